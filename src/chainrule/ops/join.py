"""Operations that join, cut, surround and shift arrays; no element changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, SupportsIndex, cast

import numpy as np

from chainrule.axes import At, Ties
from chainrule.errors import ArgumentError, DTypeError, OperandError, ShapeError, shown
from chainrule.node import N, Node, Operand, apply, as_node, as_nodes
from chainrule.ops.batching import along_axis
from chainrule.ops.move import broadcast_to, expand_dims, reshape, squeeze
from chainrule.primitive import Array, Example, HasSpec, Linear, register
from chainrule.shapes import (
    INTS,
    NUMBERS,
    DType,
    Shape,
    as_int,
    as_ints,
    as_sequence,
    as_shape,
    normalize_axis,
    promote,
    require_dtype,
    require_room,
)


def _concatenate(*xs: Any, axis: int) -> Array:
    return np.concatenate(xs, axis)


def _cut(g: Node, wanted: Sequence[bool], *xs: Node, axis: int) -> list[Node | None]:
    ends = itertools.accumulate(x.shape[axis] for x in xs)
    return [
        narrow(g, axis, end - x.shape[axis], end) if want else None
        for x, end, want in zip(xs, ends, wanted, strict=True)
    ]


@register
class Concatenate(Linear):
    """Arrays one after another along an axis."""

    name, label, latex = "concat", "concat", r"\operatorname{{concat}}"
    linear = None
    evaluate = staticmethod(_concatenate)
    batch = classmethod(along_axis)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        axis: int = params["axis"]
        own = tuple(range(y.ndim))
        start = sum(x.shape[axis] for x in xs[:i])
        part = At(axis, range(start, start + xs[i].shape[axis]))
        return Ties((*own[:axis], part, *own[axis + 1 :]), own)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        axis: int = params["axis"]
        first = xs[0].shape
        for x in xs[1:]:
            rest = (*x.shape[:axis], *x.shape[axis + 1 :])
            if len(x.shape) != len(first) or rest != (*first[:axis], *first[axis + 1 :]):
                raise ShapeError(
                    f"concat: cannot join {first} and {x.shape} along axis {axis}",
                    fix="all sizes except along the axis must be equal; cr.stack adds a new axis",
                )
        total = sum(x.shape[axis] for x in xs)
        return (*first[:axis], total, *first[axis + 1 :]), promote("concat", *(x.dtype for x in xs))

    transpose_all = staticmethod(_cut)

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
    batch = classmethod(along_axis)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        axis, own = params["axis"], tuple(range(y.ndim))
        return Ties(own, (*own[:axis], At(axis, range(params["start"], params["stop"])), *own[axis + 1 :]))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        axis, shape = params["axis"], xs[0].shape
        return (*shape[:axis], params["stop"] - params["start"], *shape[axis + 1 :]), xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        axis = params["axis"]
        width = [(0, 0)] * g.ndim
        width[axis] = (params["start"], xs[0].shape[axis] - params["stop"])
        return apply(Pad, (g,), {"width": tuple(width)})

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 5)),), {"axis": 1, "start": 1, "stop": 3})


def _pad(x: Any, width: tuple[tuple[int, int], ...]) -> Array:
    x = np.asarray(x)
    padded = np.zeros([n + a + b for n, (a, b) in zip(x.shape, width, strict=True)], x.dtype)
    padded[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, width, strict=True))] = x
    return padded


@register
class Pad(Linear):
    """Zeros around an array."""

    name, label, latex = "pad", "pad", r"\operatorname{{pad}} {0}"
    evaluate = staticmethod(_pad)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        inner = zip(params["width"], xs[0].shape, strict=True)
        return Ties(
            tuple(At(k, range(before, before + n)) for k, ((before, _), n) in enumerate(inner)),
            tuple(range(y.ndim)),
        )

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return tuple(n + a + b for n, (a, b) in zip(xs[0].shape, params["width"], strict=True)), xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        for axis, (before, after) in enumerate(params["width"]):
            if before or after:
                g = narrow(g, axis, before, g.shape[axis] - after)
        return g

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        return apply(Pad, tuple(xs), {"width": ((0, 0), *params["width"])})

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)),), {"width": ((0, 1), (2, 0))})


def narrow(x: N, axis: int, start: int, stop: int) -> N:
    """The elements ``start:stop`` of ``x`` along ``axis``; bounds are within the array."""
    if start == 0 and stop == x.shape[axis]:
        return x
    return apply(Narrow, (x,), {"axis": axis, "start": start, "stop": stop})


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
    if isinstance(xs, (Node, np.ndarray)) and xs.ndim:
        xs = unstack(xs)
    elif not isinstance(xs, Sequence) or isinstance(xs, (str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise OperandError(
            f"{name}: expected a list of arrays, got {shown(xs)}", fix=f"pass a list: cr.{name}([x, y])"
        )
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
    if isinstance(sections, (tuple, list, range, np.ndarray)):
        places = as_ints("split", "each place to cut", sections)
        cuts = [slice(0, n).indices(size)[1] for n in places]
    else:
        parts = as_int("split", "the number of parts", cast("SupportsIndex", sections))
        if parts < 1 or size % parts:
            raise ShapeError(
                f"split: axis {place} of {node.shape} has size {size}, which is not {parts} equal parts",
                fix="give the places at which to cut as a list",
            )
        step = size // parts
        cuts = [step * i for i in range(1, parts)]
    bounds = [0, *cuts, size]
    return [narrow(node, place, a, max(a, b)) for a, b in itertools.pairwise(bounds)]


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
        ArgumentError: ``value`` is not a number.
        DTypeError: a value that the dtype of ``x`` cannot hold.

    Example:
        >>> pad([1.0, 2.0], (1, 0)).tolist()
        [0.0, 1.0, 2.0]
    """
    node = as_node(x)
    pairs = _pad_width(node, width)
    if isinstance(value, bool) or not isinstance(value, Real):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(f"pad: value must be a number, got {shown(value)}", fix="pass a Python number")
    require_room("pad", tuple(n + a + b for n, (a, b) in zip(node.shape, pairs, strict=True)))
    padded = node if not any(map(any, pairs)) else apply(Pad, (node,), {"width": pairs})
    if value == 0 or padded is node:
        return padded
    require_dtype("pad", node.dtype, NUMBERS)
    if node.dtype in INTS and not _fits(value, node.dtype):
        raise DTypeError(
            f"pad: {node.dtype.name} cannot hold the value {shown(value)}",
            fix="pass an int in its range, or convert x: x.astype(cr.float64)",
        )
    frame = np.pad(np.zeros(node.shape, node.dtype), pairs, constant_values=value)
    return padded + frame


def _fits(value: float, dtype: DType) -> bool:
    limits = np.iinfo(dtype)
    return limits.min <= value <= limits.max and value == int(value)


def _pad_width(node: Node, width: int | Sequence[Any]) -> tuple[tuple[int, int], ...]:
    try:
        given = np.asarray(width)
        array = np.broadcast_to(given, (node.ndim, 2))
    except (ValueError, TypeError):
        given = array = np.asarray(None)
    if given.dtype.kind not in "iu":
        raise ShapeError(
            f"pad: width {shown(width)} is not one pair (before, after) for each of {node.ndim} axes",
            fix=f"pass {node.ndim} pairs of integers",
        )
    if (array < 0).any():
        raise ShapeError(f"pad: widths must not be negative, got {shown(width)}", fix="cut with x[a:b]")
    return tuple((int(a), int(b)) for a, b in array)


def roll(x: Operand[N], /, shift: int | tuple[int, ...], *, axis: int | tuple[int, ...] | None = None) -> N:
    """Shift elements along an axis; what leaves at one end comes in at the other.

    Example:
        >>> roll([1.0, 2.0, 3.0], 1).tolist()
        [3.0, 1.0, 2.0]
    """
    node, shifts = as_node(x), as_ints("roll", "shift", shift)
    if axis is None:
        if len(shifts) != 1:
            raise ArgumentError(
                f"roll: got {len(shifts)} shifts and no axis: expected an axis for each",
                fix="pass axis=(0, 1, ...)",
            )
        return reshape(roll(reshape(node, (-1,)), shifts, axis=0), node.shape)
    axes = as_sequence(axis)
    shifts = shifts * len(axes) if len(shifts) == 1 else shifts
    if len(shifts) != len(axes):
        raise ArgumentError(f"roll: got {len(shifts)} shifts for {len(axes)} axes", fix="pass one shift each")
    for a, s in zip(axes, shifts, strict=True):
        place = normalize_axis("roll", a, node.ndim)
        size = node.shape[place]
        cut = -s % size if size else 0
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
    times = list(as_ints("tile", "each number of repetitions", repetitions))
    rank = max(node.ndim, len(times))
    times = [1] * (rank - len(times)) + times
    node = reshape(node, (*(1,) * (rank - node.ndim), *node.shape))
    pairs = [n for size, t in zip(node.shape, times, strict=True) for n in (t, size)]
    ones = [n for size in node.shape for n in (1, size)]
    target = tuple(size * t for size, t in zip(node.shape, times, strict=True))
    return reshape(broadcast_to(reshape(node, ones), as_shape("tile", pairs)), target)
