"""What an index selects: how ``x[index]`` is read, the shape it gives, and the places it names.

An index is read once into a static part and its arrays. The static part is a tuple of entries:

=============  ===================================================================
int            one place along an axis
`Slice`        a range along an axis
``None``       a new axis of size 1
``...``        the axes that no other entry names
`ARRAY`        an axis indexed by an integer array, which is an input of the node
=============  ===================================================================
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from types import EllipsisType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from chainrule.errors import (
    ArgumentError,
    AxisError,
    DTypeError,
    OperandError,
    ShapeError,
    TracedValueError,
    shown,
)
from chainrule.node import Node, constant
from chainrule.primitive import Array, HasSpec
from chainrule.shapes import INTS, Shape, broadcast, require_room

ARRAY = "array"
"""Stands in an index for the next of its integer arrays."""


class Slice(NamedTuple):
    """``start:stop:step`` as the user wrote it; unlike Python's own slices before 3.12 it can be hashed."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None

    def __repr__(self) -> str:
        start, stop, step = ("" if n is None else str(n) for n in self)
        return f"{start}:{stop}" + (f":{step}" if step else "")

    def places(self, size: int) -> range:
        """The places along an axis of ``size`` elements."""
        return range(*slice(*self).indices(size))


FULL = Slice()

Entry: TypeAlias = int | Slice | EllipsisType | str | None


class Index(tuple[Entry, ...]):
    """The static part of an index; a tuple of entries that prints as the user would write it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"[{', '.join('...' if e is ... else str(e) for e in self)}]"


class Layout(NamedTuple):
    """Where the axes of a selection come from.

    Attributes:
        shape: of the selection.
        block: shape to which the integer arrays broadcast.
        place: the axis of ``shape`` at which the block begins.
    """

    shape: Shape
    block: Shape
    place: int


def layout(name: str, index: Index, shape: Shape, arrays: Sequence[HasSpec]) -> Layout:
    """Lay out the selection ``index`` of an array of ``shape``.

    The axes of integer arrays stand where the arrays stand; if other entries separate the arrays they
    come first. An int counts as an array where there is one (NumPy, "Combining advanced and basic indexing").

    Raises:
        AxisError: an int is out of range, or there are more entries than axes.
        ShapeError: the arrays do not broadcast together.
    """
    block = broadcast(name, *(a.shape for a in arrays)) if arrays else ()
    return _lay_out(name, index, shape, block)


@lru_cache(maxsize=1024)
def _lay_out(name: str, index: Index, shape: Shape, block: Shape) -> Layout:
    require_axes(name, sum(e is not None and e is not ... for e in index), shape)
    sizes: list[int] = []
    positions: list[int] = []
    place = 0
    for position, axis, entry in spread(index, len(shape)):
        if entry is None:
            sizes.append(1)
        elif isinstance(entry, Slice):
            sizes.append(len(entry.places(shape[axis])))
        else:
            if isinstance(entry, int) and not -shape[axis] <= entry < shape[axis]:
                raise out_of_range(name, entry, axis, shape[axis])
            if not positions:
                place = len(sizes)
            positions.append(position)
    if positions and positions[-1] - positions[0] >= len(positions):
        place = 0
    selected = (*sizes[:place], *block, *sizes[place:])
    require_room(name, selected)
    return Layout(selected, block, place)


def spread(index: Index, rank: int) -> Iterator[tuple[int, int, Entry]]:
    """Position in the index, axis, and entry, for every axis and every new axis."""
    missing = rank - sum(e is not None and e is not ... for e in index)
    axis = 0
    for position, entry in enumerate(index if ... in index else (*index, ...)):
        if entry is None:
            yield position, axis, entry
        elif entry is ...:
            for _ in range(missing):
                yield position, axis, FULL
                axis += 1
        else:
            yield position, axis, entry
            axis += 1


def flat_places(name: str, index: Index, shape: Shape, arrays: Sequence[Array]) -> Array:
    """Row-major places, in an array of ``shape``, of the selected elements; shaped as the selection.

    Raises:
        AxisError: an index is out of range.
    """
    require_in_range(name, index, shape, arrays)
    laid = layout(name, index, shape, arrays)
    remaining = iter(arrays)
    rank, width = len(laid.shape), len(laid.block)
    strides = np.cumprod((1, *shape[:0:-1]))[::-1]
    total: Any = np.zeros((1,) * rank, np.int64)
    position = 0
    for _, axis, entry in spread(index, len(shape)):
        if entry is None:
            position += 1
            continue
        if isinstance(entry, Slice):
            own, after = np.asarray(entry.places(shape[axis]), np.int64), rank - 1 - position
            after -= width if position >= laid.place else 0
            position += 1
        else:
            own = np.asarray(entry if isinstance(entry, int) else next(remaining), np.int64)
            own = np.where(own < 0, own + shape[axis], own)
            after = rank - laid.place - width
        total = total + (own * strides[axis]).reshape(own.shape + (1,) * after)
    return np.broadcast_to(total, laid.shape)


def require_axes(name: str, used: int, shape: Shape) -> None:
    """Raise :class:`AxisError` if an index of ``used`` axes meets an array with fewer."""
    if used > len(shape):
        fix = "use fewer indices, or add axes with None" if shape else "x.item() gives its one number"
        raise AxisError(
            f"{name}: too many indices for shape {shape}: got {used}, expected at most {len(shape)}", fix=fix
        )


def require_in_range(name: str, index: Index, shape: Shape, arrays: Iterable[Array | None]) -> None:
    """Raise :class:`AxisError` if an integer array names a place that is not there; None is not looked at."""
    remaining = iter(arrays)
    for _, axis, entry in spread(index, len(shape)):
        if entry != ARRAY:
            continue
        places, size = next(remaining), shape[axis]
        if places is not None and places.size:
            low, high = int(places.min()), int(places.max())
            if low < -size or high >= size:
                raise out_of_range(name, low if low < -size else high, axis, size)


def out_of_range(name: str, place: int, axis: int, size: int) -> AxisError:
    """The error for an index beyond the end of an axis."""
    valid = f"-{size} .. {size - 1}" if size else "none: the axis is empty"
    return AxisError(
        f"{name}: index {place} is out of range for axis {axis} of size {size}",
        fix=f"valid indices: {valid}",
    )


def as_numpy(index: Index, arrays: Iterable[Any]) -> tuple[Any, ...]:
    """The index as NumPy takes it."""
    remaining = iter(arrays)
    return tuple(
        slice(*entry) if isinstance(entry, Slice) else next(remaining) if entry == ARRAY else entry
        for entry in index
    )


def read(name: str, index: Any, shape: Shape) -> tuple[Index, tuple[Any, ...], Shape]:
    """Read what a user wrote between brackets after an array of ``shape``.

    Returns:
        The static index, the nodes that its `ARRAY` entries stand for, and the shape that it indexes:
        a 0-dimensional mask, as in ``x[True]``, stands for an axis of size 1 that is added to ``shape``.

    Raises:
        AxisError: more entries than axes. (Ranges are checked by :func:`layout`.)
        ShapeError: a mask differs from the axes it covers.
        DTypeError: an index is a float.
        TracedValueError: a mask has no value yet.
    """
    given: tuple[Any, ...] = index if isinstance(index, tuple) else (index,)  # pyright: ignore[reportUnknownVariableType]
    parts = [_read_entry(name, entry) for entry in given]
    used = sum(map(_axes_of, parts))
    require_axes(name, used, shape)
    ellipses = sum(part is ... for part in parts)
    if ellipses > 1:
        raise ArgumentError(
            f"{name}: {ellipses} ellipses in one index", fix="write ... once, and : for an axis"
        )
    entries: list[Entry] = []
    arrays: list[Any] = []
    sizes: list[int] = list(shape)
    axis = 0
    for part in parts:
        if isinstance(part, Node):
            entries.append(ARRAY)
            arrays.append(part)
        elif part is None or part is ... or isinstance(part, (int, Slice)):
            entries.append(part)
        else:
            _require_fit(name, part, shape, sizes, axis)
            if not part.ndim:
                sizes.insert(axis, 1)
                axis += 1
            entries.extend([ARRAY] * max(part.ndim, 1))
            arrays.extend(constant(places) for places in np.nonzero(np.atleast_1d(part)))
        axis += len(shape) - used if part is ... else _axes_of(part)
    return Index(entries), tuple(arrays), tuple(sizes)


def _read_entry(name: str, entry: Any) -> Any:
    """An entry of a static index, a node of integers, or a mask as an array of bool."""
    if type(entry) is int or entry is None or entry is ...:
        return entry
    if isinstance(entry, slice):
        return _read_slice(name, entry)
    if isinstance(entry, Node) and entry.dtype.kind != "b":
        return as_indices(name, entry)
    if isinstance(entry, Node):
        if entry.value is None:
            raise TracedValueError(
                f"{name}: a mask that is only being traced ({entry.spec}) cannot index: "
                "the shape of the result would depend on its values",
                fix="use cr.where(mask, x, 0) for x[mask], and cr.where(mask, v, x) for x.at[mask].set(v)",
            )
        return entry.array()
    array = _plain(name, entry)
    if array.dtype.kind == "b":
        return array
    return as_indices(name, array) if array.ndim else int(array)


def as_indices(name: str, indices: Any) -> Any:
    """Integers as a node.

    Raises:
        DTypeError: they are floats or booleans.
    """
    array = indices if isinstance(indices, Node) else _plain(name, indices)
    kind = array.dtype.kind
    if kind not in "iu":
        mask, floats = "turn a mask into indices with cr.nonzero(mask)", "convert first: i.astype(cr.int64)"
        raise DTypeError(
            f"{name}: indices must be integers, got {array.dtype.name}", fix=mask if kind == "b" else floats
        )
    if isinstance(array, Node):
        return array
    return constant(array if array.dtype in INTS else array.astype(np.int64))


def _plain(name: str, entry: Any) -> Array:
    """Plain numbers as an array; an empty list holds no indices, rather than no floats."""
    try:
        array = np.asarray(entry)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise OperandError(
            f"{name}: {shown(entry)} is not an index",
            fix="index with ints, slices, None, ..., integer arrays or boolean masks",
        )
    if not array.size and isinstance(entry, (list, tuple)):
        return array.astype(np.int64)
    if array.dtype.kind == "f" and not array.ndim:
        raise DTypeError(f"{name}: {entry!r} is not an integer index", fix="convert first: int(i)")
    return array


def _read_slice(name: str, given: Any) -> Slice:
    read = Slice(*(_bound(name, n) for n in (given.start, given.stop, given.step)))
    if read.step == 0:
        raise ArgumentError(f"{name}: the step of a slice is 0", fix="step by 1 or more, or by -1 or less")
    return read


def _bound(name: str, bound: Any) -> int | None:
    if bound is None:
        return None
    try:
        return operator.index(bound)
    except TypeError:
        raise DTypeError(
            f"{name}: a slice takes integers or None, got {bound!r}",
            fix="convert first: int(i); n // 2 halves",
        ) from None


def _axes_of(part: Any) -> int:
    """How many axes an entry indexes."""
    return part.ndim if isinstance(part, np.ndarray) else int(part is not None and part is not ...)


def _require_fit(name: str, mask: Array, shape: Shape, sizes: Sequence[int], axis: int) -> None:
    covered = tuple(sizes[axis : axis + mask.ndim])
    if mask.shape != covered:
        raise ShapeError(
            f"{name}: a mask of shape {mask.shape} does not fit the axes of sizes {covered} that it indexes "
            f"in shape {shape}",
            fix=f"compute the mask from the array that it indexes, so that it has shape {covered}",
        )
