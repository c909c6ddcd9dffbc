"""Operations that move elements and never change them: reshape, transpose, broadcast, join, split, shift."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.axes import At, Pattern, Ties, aligned, reshaping, stretched
from chainrule.errors import ArgumentError, AxisError, ShapeError
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.primitive import Array, Cost, Example, HasSpec, Linear, moved_bytes, register
from chainrule.shapes import (
    NUMBERS,
    DType,
    Shape,
    as_ints,
    as_shape,
    broadcast,
    count,
    normalize_axes,
    normalize_axis,
    require_dtype,
    sum_axes,
)


def _reshape(x: Any, shape: Shape) -> Array:
    return np.reshape(x, shape)


@register
class Reshape(Linear):
    """The same elements in row-major order, in another shape."""

    name, label, latex = "reshape", "reshape", r"\operatorname{{reshape}} {0}"
    evaluate = staticmethod(_reshape)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Pattern | None:
        return reshaping(xs[0].shape, y.shape)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        shape = params["shape"]
        if count(shape) != count(xs[0].shape):
            raise ShapeError(
                f"reshape: cannot reshape {xs[0].shape} ({count(xs[0].shape)} elements) to {shape} "
                f"({count(shape)} elements)",
                fix="let one size follow from the others with -1",
            )
        return shape, xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return reshape(g, xs[0].shape)

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        return reshape(xs[0], (xs[0].shape[0], *params["shape"]))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 6)),), {"shape": (3, 4)})
        yield Example((rng.normal(size=(0, 3)),), {"shape": (3, 0, 2)})


def _transpose(x: Any, axes: tuple[int, ...]) -> Array:
    return x.transpose(axes)


@register
class Transpose(Linear):
    """The axes in another order."""

    name, label, latex = "permute_dims", "T", r"{0}^{{\mathsf T}}"
    evaluate = staticmethod(_transpose)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return Ties(params["axes"], tuple(range(y.ndim)))

    @classmethod
    def bound(cls, **params: Any) -> Callable[..., Any]:
        """``.T`` costs a fifth of a call with axes, where it does the same."""
        axes: tuple[int, ...] = params["axes"]
        return (
            operator.attrgetter("T") if axes == tuple(reversed(range(len(axes)))) else super().bound(**params)
        )

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        axes: tuple[int, ...] = params["axes"]
        return tuple(xs[0].shape[a] for a in axes), xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return permute_dims(g, tuple(int(a) for a in np.argsort(params["axes"])))

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        return permute_dims(xs[0], (0, *(a + 1 for a in params["axes"])))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3, 4)),), {"axes": (2, 0, 1)})


def _broadcast_to(x: Any, shape: Shape) -> Array:
    if count(shape) > 1024:
        return np.broadcast_to(x, shape)
    copied = np.empty(shape, x.dtype)  # for few elements ten times faster than a view
    copied[...] = x
    return copied


@register
class BroadcastTo(Linear):
    """Repeat along new axes and along axes of size 1."""

    name, label, latex = "broadcast_to", "broadcast", "{0}"
    evaluate = staticmethod(_broadcast_to)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return stretched(xs[0].shape, y.shape)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        shape = params["shape"]
        if broadcast("broadcast_to", xs[0].shape, shape) != shape:
            raise ShapeError(
                f"broadcast_to: {xs[0].shape} does not broadcast to {shape}",
                fix="only axes of size 1, and new axes on the left, can be repeated",
            )
        return shape, xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return sum_to(g, xs[0].shape)

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        items, *item = xs[0].shape
        shape: Shape = params["shape"]
        return broadcast_to(reshape(xs[0], (items, *(1,) * (len(shape) - len(item)), *item)), (items, *shape))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 1)),), {"shape": (2, 3, 4)})
        yield Example((rng.normal(size=()),), {"shape": (2,)})
        yield Example((rng.normal(size=(1,)),), {"shape": (0,)})


def _sum_to(x: Any, shape: Shape) -> Array:
    axes = sum_axes(x.shape, shape)
    return np.reshape(np.add.reduce(x, axis=axes, dtype=x.dtype), shape)  # NumPy would sum int32 in int64


@register
class SumTo(Linear):
    """Sum over the axes along which ``shape`` would be broadcast: the transpose of broadcasting."""

    name, label, latex = "sum_to", "Σ", r"\sum {0}"
    evaluate = staticmethod(_sum_to)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return Ties(aligned(y.shape, xs[0].shape), tuple(range(xs[0].ndim)))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        require_dtype("sum_to", xs[0].dtype, NUMBERS)
        return params["shape"], xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return broadcast_to(g, xs[0].shape)

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        items, *item = xs[0].shape
        shape: Shape = params["shape"]
        total = sum_to(xs[0], (items, *(1,) * (len(item) - len(shape)), *shape))
        return reshape(total, (items, *shape))

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        additions = max(0, count(xs[0].shape) - count(shape))
        return Cost(additions=additions, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3, 4)),), {"shape": (3, 1)})
        yield Example((rng.normal(size=(0, 4)),), {"shape": (4,)})


def _flip(x: Any, axes: tuple[int, ...]) -> Array:
    return np.flip(x, axes)


@register
class Flip(Linear):
    """Elements in reverse order along some axes."""

    name, label, latex = "flip", "flip", r"\operatorname{{flip}} {0}"
    evaluate = staticmethod(_flip)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        turned = [At(k, range(n)[::-1]) if k in params["axes"] else k for k, n in enumerate(y.shape)]
        return Ties(tuple(range(y.ndim)), tuple(turned))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return flip(g, axis=params["axes"])

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        return flip(xs[0], axis=tuple(a + 1 for a in params["axes"]))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)),), {"axes": (1,)})
        yield Example((rng.normal(size=(2, 3)),), {"axes": (0, 1)})


def sum_to(x: N, shape: Shape) -> N:
    """Sum ``x`` over the axes along which ``shape`` broadcasts to it."""
    return x if x.shape == shape else apply(SumTo, (x,), {"shape": shape})


def reshape(x: Operand[N], /, shape: int | Sequence[int]) -> N:
    """Give ``x`` another shape; the elements keep their row-major order.

    Args:
        x: any dtype, shape ``(*n,)``.
        shape: sizes with the same product; one of them may be -1 and follows from the others.

    Raises:
        ShapeError: the number of elements would change.

    Example:
        >>> reshape([1, 2, 3, 4], (2, -1)).shape
        (2, 2)
    """
    node = as_node(x)
    if type(shape) is tuple and shape == node.shape:
        return node
    sizes = list(as_ints("reshape", "each size", shape))
    if -1 in sizes:
        known = count(tuple(n for n in sizes if n != -1))
        if sizes.count(-1) > 1 or (node.size % known if known else node.size):
            raise ShapeError(
                f"reshape: cannot reshape {node.shape} ({node.size} elements) to {tuple(sizes)}: "
                "one size may be -1, and must then be a whole number",
                fix="give sizes whose product is the number of elements, and at most one -1",
            )
        sizes[sizes.index(-1)] = node.size // known if known else 0
    target = as_shape("reshape", sizes)
    return node if target == node.shape else apply(Reshape, (node,), {"shape": target})


def permute_dims(x: Operand[N], /, axes: Sequence[int]) -> N:
    """Reorder the axes.

    Args:
        x: any dtype.
        axes: the old number of each new axis; every axis once.

    Raises:
        AxisError: an axis is missing or named twice.

    Example:
        >>> permute_dims(np.zeros((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    node = as_node(x)
    given = as_ints("permute_dims", "each axis", axes)
    order = tuple([normalize_axis("permute_dims", a, node.ndim) for a in given])
    if sorted(order) != list(range(node.ndim)):
        raise ShapeError(
            f"permute_dims: axes {given} do not name each of the {node.ndim} axes of {node.shape} once",
            fix=f"pass a permutation of {tuple(range(node.ndim))}",
        )
    return node if order == tuple(range(node.ndim)) else apply(Transpose, (node,), {"axes": order})


def transpose(x: Operand[N], /, axes: Sequence[int] | None = None) -> N:
    """Reorder the axes as NumPy does: without ``axes``, reverse them.

    Example:
        >>> transpose(np.zeros((2, 3, 4))).shape
        (4, 3, 2)
    """
    node = as_node(x)
    return permute_dims(node, tuple(range(node.ndim))[::-1] if axes is None else axes)


def matrix_transpose(x: Operand[N], /) -> N:
    """Swap the last two axes.

    Raises:
        ShapeError: fewer than two axes.

    Example:
        >>> matrix_transpose(np.zeros((2, 3, 4))).shape
        (2, 4, 3)
    """
    node = as_node(x)
    rank = len(node.shape)
    if rank < 2:
        raise ShapeError(
            f"matrix_transpose: expected at least 2 axes, got shape {node.shape}",
            fix="a vector needs no transpose for @; reshape it to (n, 1) or (1, n) for a matrix",
        )
    order = (1, 0) if rank == 2 else (*range(rank - 2), rank - 1, rank - 2)
    return apply(Transpose, (node,), {"axes": order})


def swapaxes(x: Operand[N], axis1: int, axis2: int, /) -> N:
    """Exchange two axes.

    Example:
        >>> swapaxes(np.zeros((2, 3, 4)), 0, 2).shape
        (4, 3, 2)
    """
    node = as_node(x)
    order = list(range(node.ndim))
    i, j = (normalize_axis("swapaxes", a, node.ndim) for a in (axis1, axis2))
    order[i], order[j] = j, i
    return permute_dims(node, order)


def moveaxis(x: Operand[N], source: int | Sequence[int], destination: int | Sequence[int], /) -> N:
    """Move axes to other places; the rest keep their order.

    Example:
        >>> moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    node = as_node(x)
    sources = as_ints("moveaxis", "source", source)
    targets = as_ints("moveaxis", "destination", destination)
    if len(sources) != len(targets):
        raise ArgumentError(
            f"moveaxis: got {len(sources)} sources and {len(targets)} destinations",
            fix="pass as many of each",
        )
    start = [normalize_axis("moveaxis", a, node.ndim) for a in sources]
    end = [normalize_axis("moveaxis", a, node.ndim) for a in targets]
    if len(set(start)) < len(start) or len(set(end)) < len(end):
        raise AxisError(
            f"moveaxis: source {sources} or destination {targets} names an axis twice",
            fix="name each axis once",
        )
    order = [a for a in range(node.ndim) if a not in start]
    for target, axis in sorted(zip(end, start, strict=True)):
        order.insert(target, axis)
    return permute_dims(node, order)


def expand_dims(x: Operand[N], /, *, axis: int = 0) -> N:
    """Insert an axis of size 1.

    Example:
        >>> expand_dims([1.0, 2.0], axis=1).shape
        (2, 1)
    """
    node = as_node(x)
    place = normalize_axis("expand_dims", axis, node.ndim + 1)
    return reshape(node, (*node.shape[:place], 1, *node.shape[place:]))


def squeeze(x: Operand[N], /, axis: int | tuple[int, ...] | None = None) -> N:
    """Remove axes of size 1; without ``axis``, all of them.

    Raises:
        ShapeError: a named axis has another size.

    Example:
        >>> squeeze(np.zeros((1, 3, 1)), 0).shape
        (3, 1)
    """
    node = as_node(x)
    axes = normalize_axes("squeeze", axis, node.ndim)
    if axis is None:
        axes = tuple(a for a in axes if node.shape[a] == 1)
    wide = [a for a in axes if node.shape[a] != 1]
    if wide:
        raise ShapeError(
            f"squeeze: axis {wide[0]} of {node.shape} has size {node.shape[wide[0]]}, expected 1",
            fix="index the axis, or reduce it",
        )
    return reshape(node, tuple(n for i, n in enumerate(node.shape) if i not in axes))


def broadcast_to(x: Operand[N], /, shape: int | Sequence[int]) -> N:
    """Repeat ``x`` until it has ``shape``.

    Raises:
        ShapeError: ``x`` does not broadcast to it.

    Example:
        >>> broadcast_to([1.0, 2.0], (2, 2)).tolist()
        [[1.0, 2.0], [1.0, 2.0]]
    """
    node = as_node(x)
    if type(shape) is tuple and shape == node.shape:
        return node
    target = as_shape("broadcast_to", shape)
    return node if node.shape == target else apply(BroadcastTo, (node,), {"shape": target})


def broadcast_arrays(*xs: Operand[N]) -> list[N]:
    """Repeat all arrays to their common shape.

    Example:
        >>> [a.shape for a in broadcast_arrays([1.0, 2.0], [[1.0], [2.0]])]
        [(2, 2), (2, 2)]
    """
    nodes = [as_node(x) for x in xs]
    shape = broadcast("broadcast_arrays", *(n.shape for n in nodes)) if nodes else ()
    return [broadcast_to(n, shape) for n in nodes]


def flip(x: Operand[N], /, *, axis: int | tuple[int, ...] | None = None) -> N:
    """Reverse the order of elements along ``axis``; None means along all axes.

    Example:
        >>> flip([1.0, 2.0, 3.0]).tolist()
        [3.0, 2.0, 1.0]
    """
    node = as_node(x)
    axes = normalize_axes("flip", axis, node.ndim)
    return apply(Flip, (node,), {"axes": axes}) if axes else node
