"""Operations that move elements and never change them: reshape, transpose, broadcast, join, split, shift."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.node import ArrayLike, N, Node, Operand, apply, as_node, as_nodes
from chainrule.primitive import Array, Example, HasSpec, Linear, register
from chainrule.shapes import (
    NUMBERS,
    DType,
    Shape,
    as_int,
    as_shape,
    broadcast,
    count,
    normalize_axes,
    normalize_axis,
    promote,
    require_dtype,
    sum_axes,
)


@register
class Reshape(Linear):
    """The same elements in row-major order, in another shape."""

    name, label, latex = "reshape", "reshape", r"\operatorname{{reshape}} {0}"
    evaluate = staticmethod(lambda x, shape: np.reshape(x, shape))

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
    def transpose(g: Node, i: int, *xs: Node, shape: Shape) -> Node:
        return reshape(g, xs[0].shape)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 6)),), {"shape": (3, 4)})
        yield Example((rng.normal(size=(0, 3)),), {"shape": (3, 0, 2)})


@register
class Transpose(Linear):
    """The axes in another order."""

    name, label, latex = "permute_dims", "T", r"{0}^{{\mathsf T}}"
    evaluate = staticmethod(lambda x, axes: x.transpose(axes))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return tuple(xs[0].shape[a] for a in params["axes"]), xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, axes: tuple[int, ...]) -> Node:
        return permute_dims(g, tuple(int(a) for a in np.argsort(axes)))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3, 4)),), {"axes": (2, 0, 1)})


@register
class BroadcastTo(Linear):
    """Repeat along new axes and along axes of size 1."""

    name, label, latex = "broadcast_to", "broadcast", "{0}"
    evaluate = staticmethod(lambda x, shape: np.broadcast_to(x, shape))

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
    def transpose(g: Node, i: int, *xs: Node, shape: Shape) -> Node:
        return sum_to(g, xs[0].shape)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 1)),), {"shape": (2, 3, 4)})
        yield Example((rng.normal(size=()),), {"shape": (2,)})
        yield Example((rng.normal(size=(1,)),), {"shape": (0,)})


def _sum_to(x: Any, shape: Shape) -> Array:
    axes = sum_axes(x.shape, shape)
    return np.reshape(np.add.reduce(x, axis=axes), shape)


@register
class SumTo(Linear):
    """Sum over the axes along which ``shape`` would be broadcast: the transpose of broadcasting."""

    name, label, latex = "sum_to", "Σ", r"\sum {0}"
    evaluate = staticmethod(_sum_to)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return params["shape"], xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, shape: Shape) -> Node:
        return broadcast_to(g, xs[0].shape)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3, 4)),), {"shape": (3, 1)})
        yield Example((rng.normal(size=(0, 4)),), {"shape": (4,)})


@register
class Concatenate(Linear):
    """Arrays one after another along an axis."""

    name, label, latex = "concat", "concat", r"\operatorname{{concat}}"
    linear = None
    evaluate = staticmethod(lambda *xs, axis: np.concatenate(xs, axis))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        axis, first = params["axis"], xs[0].shape
        for x in xs[1:]:
            rest = (*x.shape[:axis], *x.shape[axis + 1 :])
            if len(x.shape) != len(first) or rest != (*first[:axis], *first[axis + 1 :]):
                raise ShapeError(
                    f"concat: cannot join {first} and {x.shape} along axis {axis}",
                    fix="all sizes except along the axis must be equal; cr.stack adds a new axis",
                )
        total = sum(x.shape[axis] for x in xs)
        return (*first[:axis], total, *first[axis + 1 :]), promote("concat", *(x.dtype for x in xs))

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, axis: int) -> Node:
        start = sum(x.shape[axis] for x in xs[:i])
        return narrow(g, axis, start, start + xs[i].shape[axis])

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example(tuple(rng.normal(size=(2, n, 2)) for n in (1, 3, 0)), {"axis": 1})
        yield Example((rng.normal(size=(3,)),), {"axis": 0})


def _narrow(x: Any, axis: int, start: int, stop: int) -> Array:
    return x[(slice(None),) * axis + (slice(start, stop),)]


@register
class Narrow(Linear):
    """The elements ``start:stop`` along one axis."""

    name, label, latex = "narrow", "[a:b]", "{0}"
    evaluate = staticmethod(_narrow)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        axis, shape = params["axis"], xs[0].shape
        return (*shape[:axis], params["stop"] - params["start"], *shape[axis + 1 :]), xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, axis: int, start: int, stop: int) -> Node:
        width = [(0, 0)] * g.ndim
        width[axis] = (start, xs[0].shape[axis] - stop)
        return pad(g, width)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 5)),), {"axis": 1, "start": 1, "stop": 3})


def _pad(x: Any, width: tuple[tuple[int, int], ...]) -> Array:
    return np.pad(x, width) if width else np.asarray(x)


@register
class Pad(Linear):
    """Zeros around an array."""

    name, label, latex = "pad", "pad", r"\operatorname{{pad}} {0}"
    evaluate = staticmethod(_pad)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return tuple(n + a + b for n, (a, b) in zip(xs[0].shape, params["width"], strict=True)), xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, width: tuple[tuple[int, int], ...]) -> Node:
        for axis, (before, after) in enumerate(width):
            if before or after:
                g = narrow(g, axis, before, g.shape[axis] - after)
        return g

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)),), {"width": ((0, 1), (2, 0))})


@register
class Flip(Linear):
    """Elements in reverse order along some axes."""

    name, label, latex = "flip", "flip", r"\operatorname{{flip}} {0}"
    evaluate = staticmethod(lambda x, axes: np.flip(x, axes))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, axes: tuple[int, ...]) -> Node:
        return flip(g, axis=axes)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)),), {"axes": (1,)})
        yield Example((rng.normal(size=(2, 3)),), {"axes": (0, 1)})


def sum_to(x: N, shape: Shape) -> N:
    """Sum ``x`` over the axes along which ``shape`` broadcasts to it."""
    return x if x.shape == shape else apply(SumTo, (x,), {"shape": shape})


def narrow(x: N, axis: int, start: int, stop: int) -> N:
    """The elements ``start:stop`` of ``x`` along ``axis``; bounds are within the array."""
    if start == 0 and stop == x.shape[axis]:
        return x
    return apply(Narrow, (x,), {"axis": axis, "start": start, "stop": stop})


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
    sizes = [shape] if isinstance(shape, int) else [as_int("reshape", "each size", n) for n in shape]
    if sizes.count(-1) == 1:
        known = count(tuple(n for n in sizes if n != -1))
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
    order = tuple(normalize_axis("permute_dims", a, node.ndim) for a in axes)
    if sorted(order) != list(range(node.ndim)):
        raise ShapeError(
            f"permute_dims: axes {tuple(axes)} do not name each of the {node.ndim} axes of {node.shape} once",
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
    if node.ndim < 2:
        raise ShapeError(
            f"matrix_transpose: expected at least 2 axes, got shape {node.shape}",
            fix="a vector needs no transpose for @; reshape it to (n, 1) or (1, n) for a matrix",
        )
    order = (*range(node.ndim - 2), node.ndim - 1, node.ndim - 2)
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
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise ArgumentError(
            f"moveaxis: got {len(sources)} sources and {len(targets)} destinations", fix="pass as many of each"
        )
    start = [normalize_axis("moveaxis", a, node.ndim) for a in sources]
    end = [normalize_axis("moveaxis", a, node.ndim) for a in targets]
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
    node, target = as_node(x), as_shape("broadcast_to", shape)
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


def concat(xs: Sequence[Operand[N]], /, *, axis: int | None = 0) -> N:
    """Join arrays along an axis; ``axis=None`` flattens them first.

    Args:
        xs: at least one array, equal in every size but that of ``axis``.
        axis: where they are joined.

    Raises:
        ShapeError: other sizes differ.
        ArgumentError: no arrays.

    Example:
        >>> concat([[1.0], [2.0, 3.0]]).tolist()
        [1.0, 2.0, 3.0]
    """
    nodes = _several("concat", xs)
    if axis is None:
        nodes, axis = tuple(reshape(n, (-1,)) for n in nodes), 0
    if not nodes[0].ndim:
        raise ShapeError("concat: cannot join 0-dimensional arrays", fix="use cr.stack, which adds an axis")
    return apply(Concatenate, nodes, {"axis": normalize_axis("concat", axis, nodes[0].ndim)})


def concatenate(xs: Sequence[Operand[N]], /, *, axis: int | None = 0) -> N:
    """:func:`concat` under NumPy's name.

    Example:
        >>> concatenate([[1.0], [2.0]]).tolist()
        [1.0, 2.0]
    """
    return concat(xs, axis=axis)


def stack(xs: Sequence[Operand[N]], /, *, axis: int = 0) -> N:
    """Join arrays of one shape along a new axis.

    Raises:
        ShapeError: the shapes differ.

    Example:
        >>> stack([[1.0, 2.0], [3.0, 4.0]], axis=1).tolist()
        [[1.0, 3.0], [2.0, 4.0]]
    """
    nodes = _several("stack", xs)
    if any(n.shape != nodes[0].shape for n in nodes):
        raise ShapeError(
            f"stack: shapes differ: {', '.join(str(n.shape) for n in nodes)}",
            fix="all arrays need one shape; cr.concat joins along an axis that exists",
        )
    place = normalize_axis("stack", axis, nodes[0].ndim + 1)
    return concat([expand_dims(n, axis=place) for n in nodes], axis=place)


def _several(name: str, xs: Sequence[Operand[Any]]) -> tuple[Any, ...]:
    if not len(xs):
        raise ArgumentError(f"{name}: expected at least one array, got none", fix="pass a list of arrays")
    return as_nodes(name, *xs)


def split(x: Operand[N], /, sections: int | Sequence[int], *, axis: int = 0) -> list[N]:
    """Cut an array into parts, as NumPy does.

    Args:
        x: any dtype.
        sections: a number of equal parts, or the places at which to cut.
        axis: the axis that is cut.

    Raises:
        ShapeError: the axis does not divide into that many equal parts.

    Example:
        >>> [part.tolist() for part in split([1.0, 2.0, 3.0], [1])]
        [[1.0], [2.0, 3.0]]
    """
    node = as_node(x)
    place = normalize_axis("split", axis, node.ndim)
    size = node.shape[place]
    if isinstance(sections, int):
        if sections < 1 or size % sections:
            raise ShapeError(
                f"split: axis {place} of {node.shape} has size {size}, which is not {sections} equal parts",
                fix="give the places at which to cut as a list",
            )
        step = size // sections
        cuts = [step * i for i in range(1, sections)]
    else:
        cuts = [slice(0, as_int("split", "each place", c)).indices(size)[1] for c in sections]
    bounds = [0, *cuts, size]
    return [narrow(node, place, a, max(a, b)) for a, b in zip(bounds, bounds[1:], strict=False)]


def unstack(x: Operand[N], /, *, axis: int = 0) -> tuple[N, ...]:
    """The arrays along an axis, without that axis.

    Example:
        >>> [part.tolist() for part in unstack([[1.0, 2.0], [3.0, 4.0]])]
        [[1.0, 2.0], [3.0, 4.0]]
    """
    node = as_node(x)
    place = normalize_axis("unstack", axis, node.ndim)
    return tuple(squeeze(narrow(node, place, i, i + 1), place) for i in range(node.shape[place]))


def pad(x: Operand[N], /, width: int | Sequence[Any], *, value: float = 0.0) -> N:
    """Put ``value`` around an array.

    Args:
        x: numbers.
        width: one number for all sides, one pair for all axes, or a pair (before, after) for each axis.
        value: what is put there.

    Raises:
        ShapeError: a negative width, or not one pair for each axis.

    Example:
        >>> pad([1.0, 2.0], (1, 0)).tolist()
        [0.0, 1.0, 2.0]
    """
    node = as_node(x)
    pairs = _pad_width(node, width)
    padded = node if not any(map(any, pairs)) else apply(Pad, (node,), {"width": pairs})
    if value == 0 or padded is node:
        return padded
    require_dtype("pad", node.dtype, NUMBERS)
    frame = np.pad(np.zeros(node.shape, node.dtype), pairs, constant_values=value)
    return padded + frame


def _pad_width(node: Node, width: int | Sequence[Any]) -> tuple[tuple[int, int], ...]:
    try:
        array = np.broadcast_to(np.asarray(width, dtype=np.int64), (node.ndim, 2))
    except (ValueError, TypeError):
        raise ShapeError(
            f"pad: width {width!r} is not one pair (before, after) for each of {node.ndim} axes",
            fix=f"pass {node.ndim} pairs of integers",
        ) from None
    if (array < 0).any():
        raise ShapeError(f"pad: widths must not be negative, got {width!r}", fix="cut with x[a:b]")
    return tuple((int(a), int(b)) for a, b in array)


def flip(x: Operand[N], /, *, axis: int | tuple[int, ...] | None = None) -> N:
    """Reverse the order of elements along ``axis``; None means along all axes.

    Example:
        >>> flip([1.0, 2.0, 3.0]).tolist()
        [3.0, 2.0, 1.0]
    """
    node = as_node(x)
    axes = normalize_axes("flip", axis, node.ndim)
    return apply(Flip, (node,), {"axes": axes}) if axes else node


def roll(
    x: Operand[N], /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None
) -> N:
    """Shift elements along an axis; what leaves at one end comes in at the other.

    Example:
        >>> roll([1.0, 2.0, 3.0], 1).tolist()
        [3.0, 1.0, 2.0]
    """
    node = as_node(x)
    if axis is None:
        if isinstance(shift, tuple):
            raise ArgumentError("roll: several shifts need an axis each", fix="pass axis=(0, 1, ...)")
        return reshape(roll(reshape(node, (-1,)), shift, axis=0), node.shape)
    axes = axis if isinstance(axis, tuple) else (axis,)
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ArgumentError(f"roll: got {len(shifts)} shifts for {len(axes)} axes", fix="pass one shift each")
    for a, s in zip(axes, shifts, strict=True):
        place = normalize_axis("roll", a, node.ndim)
        size = node.shape[place]
        cut = -as_int("roll", "shift", s) % size if size else 0
        if cut:
            node = concat([narrow(node, place, cut, size), narrow(node, place, 0, cut)], axis=place)
    return node


def repeat(x: Operand[N], repeats: int, /, *, axis: int | None = None) -> N:
    """Repeat each element ``repeats`` times along ``axis``; None flattens first.

    Example:
        >>> repeat([1.0, 2.0], 2).tolist()
        [1.0, 1.0, 2.0, 2.0]
    """
    node = as_node(x)
    if axis is None:
        node, axis = reshape(node, (-1,)), 0
    place = normalize_axis("repeat", axis, node.ndim)
    times = as_int("repeat", "repeats", repeats)
    shape = (*node.shape[: place + 1], times, *node.shape[place + 1 :])
    wide = broadcast_to(expand_dims(node, axis=place + 1), as_shape("repeat", shape))
    return reshape(wide, (*node.shape[:place], node.shape[place] * times, *node.shape[place + 1 :]))


def tile(x: Operand[N], repetitions: int | Sequence[int], /) -> N:
    """Put copies of the whole array side by side.

    Example:
        >>> tile([1.0, 2.0], 2).tolist()
        [1.0, 2.0, 1.0, 2.0]
    """
    node = as_node(x)
    times = [repetitions] if isinstance(repetitions, int) else list(repetitions)
    rank = max(node.ndim, len(times))
    times = [1] * (rank - len(times)) + times
    node = reshape(node, (*(1,) * (rank - node.ndim), *node.shape))
    pairs = [n for size, t in zip(node.shape, times, strict=True) for n in (t, size)]
    ones = [n for size in node.shape for n in (1, size)]
    target = tuple(size * t for size, t in zip(node.shape, times, strict=True))
    return reshape(broadcast_to(reshape(node, ones), as_shape("tile", pairs)), target)


def as_operand(x: Operand[N] | ArrayLike) -> Any:
    """``x`` as a node."""
    return as_node(x)
