"""Sorting along an axis. nan sorts as the largest number, as in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.axes import Ties, along
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.batching import along_axis
from chainrule.ops.index import add_along_axis, take_along_axis
from chainrule.primitive import (
    Array,
    Cost,
    Custom,
    Discrete,
    Example,
    HasSpec,
    Partial,
    moved_bytes,
    register,
)
from chainrule.shapes import DType, Shape, as_flag, count, int64, normalize_axis


def _comparisons(xs: Sequence[HasSpec], shape: Shape, dtype: DType, axis: int) -> Cost:
    depth = max(shape[axis] - 1, 0).bit_length()
    return Cost(additions=count(shape) * depth, bytes=moved_bytes(xs, shape, dtype))


def _argsort(x: Any, axis: int, descending: bool, stable: bool) -> Array:
    kind = "stable" if stable else None
    if not descending:
        order = np.argsort(x, axis, kind=kind)
    else:  # equal elements keep their order: sort the reversed line, and reverse the result
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind=kind), axis)
    return order.astype(np.int64, copy=False)


@register
class Argsort(Discrete):
    """The places of the elements in sorted order."""

    name, label, latex = "argsort", "argsort", r"\operatorname{{argsort}} {0}"
    evaluate = staticmethod(_argsort)
    batch = classmethod(along_axis)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, int64

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        return _comparisons(xs, shape, dtype, params["axis"])

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for axis, descending, stable in ((0, False, True), (1, True, True), (1, True, False)):
            x = rng.permutation(12).reshape(3, 4).astype(float)
            yield Example((x,), {"axis": axis, "descending": descending, "stable": stable})


def _sort(x: Any, axis: int, descending: bool, stable: bool) -> Array:
    ordered = np.sort(x, axis)  # the fastest kind: in values, unlike in places, stability does not show
    return np.flip(ordered, axis) if descending else ordered


@register
class Sort(Custom):
    """The elements in sorted order; each gradient goes back to where its element came from."""

    name, label, latex = "sort", "sort", r"\operatorname{{sort}} {0}"
    evaluate = staticmethod(_sort)
    batch = classmethod(along_axis)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return along(y.ndim, (params["axis"],), pulled=True)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, xs[0].dtype

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (tangent,), (x,) = tangents, xs
        return None if tangent is None else take_along_axis(tangent, _order(x, params), axis=params["axis"])

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        (x,) = xs
        return (lambda: add_along_axis(g, _order(x, params), x.shape, params["axis"]),)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        return _comparisons(xs, shape, dtype, params["axis"])

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield from Argsort.examples(rng)
        yield Example((np.zeros((0, 2)),), {"axis": 0, "descending": False, "stable": True})


def _order(x: Node, params: Any) -> Node:
    return apply(Argsort, (x,), params)


def sort(x: Operand[N], /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> N:
    """The elements of ``x`` in ascending order along ``axis``.

    Args:
        x: any dtype, at least one axis.
        axis: each line along it is sorted by itself.
        descending: whether the largest, with nan before all, comes first.
        stable: whether equal elements keep their order, which decides which of them gets which gradient.

    Raises:
        AxisError: ``axis`` is out of range.
        ArgumentError: ``descending`` or ``stable`` is not a truth value.

    Example:
        >>> sort([3.0, 1.0, 2.0]).tolist()
        [1.0, 2.0, 3.0]
    """
    node = as_node(x)
    return apply(Sort, (node,), _params("sort", node, axis, descending, stable))


def argsort(x: Operand[N], /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> N:
    """The places, along ``axis``, of the elements of ``x`` in ascending order.

    Args:
        x, axis, descending, stable: as for :func:`sort`.

    Returns:
        int64 in the shape of ``x``; no derivative flows through it.

    Raises:
        AxisError: ``axis`` is out of range.

    Example:
        >>> argsort([3.0, 1.0, 2.0]).tolist()
        [1, 2, 0]
    """
    node = as_node(x)
    return apply(Argsort, (node,), _params("argsort", node, axis, descending, stable))


def _params(name: str, node: Node, axis: int, descending: bool, stable: bool) -> dict[str, Any]:
    return {
        "axis": normalize_axis(name, axis, node.ndim),
        "descending": as_flag(name, "descending", descending),
        "stable": as_flag(name, "stable", stable),
    }
