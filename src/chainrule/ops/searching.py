"""Searching and testing over axes: where the extrema are, whether and how many elements are nonzero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.batching import along_axes
from chainrule.ops.move import reshape
from chainrule.ops.reduce import Axes, CountNonzero, KeptAxes, Reduction, reduce
from chainrule.primitive import Discrete, Example, Primitive, register
from chainrule.shapes import DTYPES, bool_, count, int64, normalize_axis


class _ArgExtremum(Reduction, Discrete):
    accepts, result, nonempty = DTYPES, int64, True

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        (x,), axes = xs, params["axes"]
        if len(axes) == 1:
            return along_axes(cls, xs, batched, **params)
        items, *item = x.shape  # otherwise all axes are meant, whose elements are counted through
        flat = reshape(x, (items, count(tuple(item))))
        y = apply(cls, (flat,), {"axes": (1,), "keepdims": False})
        return reshape(y, (items, *(1,) * len(item))) if params["keepdims"] else y

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 4)),), {"axes": (1,), "keepdims": False})
        yield Example((rng.integers(0, 2, (3, 4)),), {"axes": (0, 1), "keepdims": True})
        yield Example((np.asarray(rng.normal()),), {"axes": (), "keepdims": False})


def _indexing(function: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(x: Any, axes: KeptAxes, keepdims: bool) -> Any:
        return function(x, axes[0] if len(axes) == 1 else None, keepdims=keepdims)

    return evaluate


@register
class ArgMax(_ArgExtremum):
    """Index of the largest element, the first of several."""

    name, label, latex = "argmax", "argmax", r"\operatorname{{arg\,max}} {0}"
    evaluate = staticmethod(_indexing(np.argmax))


@register
class ArgMin(_ArgExtremum):
    """Index of the smallest element, the first of several."""

    name, label, latex = "argmin", "argmin", r"\operatorname{{arg\,min}} {0}"
    evaluate = staticmethod(_indexing(np.argmin))


def _testing(function: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(x: Any, axes: KeptAxes, keepdims: bool) -> Any:
        return function(x, axis=axes, keepdims=keepdims)

    return evaluate


@register
class AllNonzero(Reduction, Discrete):
    """Whether all elements are nonzero; true where there are none."""

    name, label, latex = "all", "all", r"\bigwedge {0}"
    accepts, result = DTYPES, bool_
    evaluate = staticmethod(_testing(np.all))


@register
class AnyNonzero(Reduction, Discrete):
    """Whether an element is nonzero; false where there are none."""

    name, label, latex = "any", "any", r"\bigvee {0}"
    accepts, result = DTYPES, bool_
    evaluate = staticmethod(_testing(np.any))


def argmax(x: Operand[N], /, *, axis: int | None = None, keepdims: bool = False) -> N:
    """Index of the largest element along an axis, the first of several; no derivative flows through it.

    Args:
        x: shape ``(*n,)``; at least one element in each slice.
        axis: one axis; None counts the elements of the flattened array.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        int64, ``x.shape`` without the axis.

    Raises:
        ShapeError: the axis has size 0.
        AxisError: the axis is out of range.

    Example:
        >>> argmax([[1.0, 4.0], [3.0, 2.0]], axis=1).tolist()
        [1, 0]
    """
    return _arg_extremum(ArgMax, x, axis, keepdims)


def argmin(x: Operand[N], /, *, axis: int | None = None, keepdims: bool = False) -> N:
    """Index of the smallest element: as :func:`argmax`, with the same arguments and errors.

    Example:
        >>> argmin([[1.0, 4.0], [3.0, 2.0]], axis=1).tolist()
        [0, 1]
    """
    return _arg_extremum(ArgMin, x, axis, keepdims)


def all(x: Operand[N], /, *, axis: Axes = None, keepdims: bool = False) -> N:
    """Whether all elements over axes are nonzero; true where there are none.

    Args:
        x: any dtype, shape ``(*n,)``.
        axis: one axis, several, or all of them (None).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        bool, ``x.shape`` without the reduced axes.

    Raises:
        AxisError: an axis is out of range or named twice.

    Example:
        >>> all([[True, False], [True, True]], axis=1).tolist()
        [False, True]
    """
    return reduce(AllNonzero, as_node(x), axis, keepdims)


def any(x: Operand[N], /, *, axis: Axes = None, keepdims: bool = False) -> N:
    """Whether an element over axes is nonzero: as :func:`all`, but false where there are none.

    Example:
        >>> any([[True, False], [False, False]], axis=1).tolist()
        [True, False]
    """
    return reduce(AnyNonzero, as_node(x), axis, keepdims)


def count_nonzero(x: Operand[N], /, *, axis: Axes = None, keepdims: bool = False) -> N:
    """Number of elements over axes that are not 0: int64, with the arguments and errors of :func:`all`.

    Example:
        >>> count_nonzero([[1.0, 0.0], [2.0, 3.0]], axis=1).tolist()
        [1, 2]
    """
    return reduce(CountNonzero, as_node(x), axis, keepdims)


def _arg_extremum(op: type[Primitive], x: Operand[Node], axis: int | None, keepdims: bool) -> Any:
    node = as_node(x)
    return reduce(op, node, None if axis is None else normalize_axis(op.name, axis, node.ndim), keepdims)
