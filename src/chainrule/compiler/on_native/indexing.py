"""What an index with arrays selects, as strides: the part that is known, and the arrays that are read when it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.compiler.on_native.operands import as_it_lies
from chainrule.compiler.on_native.picking import Extents
from chainrule.compiler.passes.rewrite import is_constant
from chainrule.compiler.steps import Place
from chainrule.compiler.views import Sight
from chainrule.node import Node
from chainrule.ops.selection import Index, Slice, layout, spread
from chainrule.shapes import DType, Shape


@dataclass(frozen=True, slots=True)
class Pick:
    """An array of indices.

    Attributes:
        place, dtype: of it.
        strides: along the axes of the selection, in elements.
        size, step: of the axis that it indexes, and that axis's stride.
    """

    place: Place
    dtype: DType
    strides: tuple[int, ...]
    size: int
    step: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Where the elements that an index selects lie.

    Attributes:
        shape: of the selection.
        offset, strides: in elements of the indexed array; picks are added to that.
        picks: arrays of indices, except for constants that step evenly: these are strides.
        free: axes along which no two elements of the selection are the same.
    """

    shape: Shape
    offset: int
    strides: tuple[int, ...]
    picks: tuple[Pick, ...]
    free: frozenset[int]

    @property
    def extents(self) -> Extents:
        return tuple((pick.size, pick.step) for pick in self.picks)


def select(
    index: Index,
    shape: Shape,
    at: tuple[int, Sequence[int]],
    arrays: Sequence[Node],
    sights: Mapping[Node, Sight],
) -> Selection:
    """Read the ``index`` of an array of ``shape``.

    Args:
        index, shape: as the primitives have them.
        at: the indexed array's offset and strides, in elements.
        arrays: those of the index.
        sights: how they are read.
    """
    offset, steps = at
    laid = layout("index", index, shape, arrays)
    rank, width = len(laid.shape), len(laid.block)
    strides = [0] * rank
    free = {a for a in range(rank) if not laid.place <= a < laid.place + width}
    picks: list[Pick] = []
    remaining = iter(arrays)
    position = 0  # among the axes that do not come from arrays
    for _, axis, entry in spread(index, len(shape)):
        if entry is None:
            position += 1
        elif isinstance(entry, Slice):
            places = entry.places(shape[axis])
            offset += places.start * steps[axis] if places else 0
            strides[position if position < laid.place else position + width] = places.step * steps[axis]
            position += 1
        elif isinstance(entry, int):
            offset += entry % shape[axis] * steps[axis]
        else:
            array = next(remaining)
            sight = sights[array]
            block = range(laid.place + width - len(array.shape), laid.place + width)
            even = _even(array, shape[axis])
            if even is None:
                along = [0] * rank
                for a, n, s in zip(block, array.shape, sight.strides, strict=True):
                    along[a] = s if n != 1 else 0
                place = as_it_lies(sight).place
                picks.append(Pick(place, array.dtype, tuple(along), shape[axis], steps[axis]))
                continue
            offset += even[0] * steps[axis]
            for a, s in zip(block, even[1:], strict=True):
                strides[a] += s * steps[axis]
            moving = [a for a, s in zip(block, even[1:], strict=True) if s]
            if len(moving) == 1:
                free.add(moving[0])
    return Selection(laid.shape, offset, tuple(strides), tuple(picks), frozenset(free))


def _even(array: Node, size: int) -> tuple[int, ...] | None:
    """The first of a constant's indices, and their steps along its axes, if these never change; else None."""
    if not is_constant(array):
        return None
    places = np.asarray(array.value)
    places = np.where(places < 0, places + size, places)
    if not places.size or places.min() < 0 or places.max() >= size:
        return None
    first = int(places.flat[0])
    ends = [
        places[(0,) * a + (min(1, n - 1),) + (0,) * (places.ndim - a - 1)] for a, n in enumerate(places.shape)
    ]
    steps = [int(end) - first for end in ends]
    even: Any = first
    for step, along in zip(steps, np.indices(places.shape, sparse=True), strict=True):
        even = even + step * along
    return (first, *steps) if bool(np.all(places == even)) else None
