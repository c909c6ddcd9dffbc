"""How kernels of their own get at their inputs: where they lie, or in a copy that suits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.compiler.on_native import loops
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Instruction, Loop
from chainrule.compiler.steps import Place, Step, Workspace
from chainrule.compiler.views import Sight
from chainrule.node import Node, holding
from chainrule.primitive import Array
from chainrule.shapes import Shape, count, row_major


@dataclass(frozen=True, slots=True)
class Operand:
    """Where an input begins, and its strides in elements."""

    place: Place
    strides: tuple[int, ...]


def as_it_lies(sight: Sight) -> Operand:
    """An input where it is."""
    return Operand(Place(sight.base, sight.offset * sight.base.dtype.itemsize), sight.strides)


def readable(sight: Sight, shape: Shape) -> bool:
    """Whether kernels can read matrices as they lie: rows or columns are adjacent."""
    rows, columns = sight.strides[-2:]
    m, n = shape[-2:]
    apart = (m == 1 or rows > 0) and (n == 1 or columns > 0)
    return apart and (m == 1 or n == 1 or 1 in (rows, columns)) and min(sight.strides) >= 0


def factor(sight: Sight, x: Node, found: list[Step], target: Target) -> Operand:
    """Matrices that kernels can read; they are copied first, by a step in ``found``, if they are not as they lie."""
    return as_it_lies(sight) if readable(sight, x.shape) else _copied(sight, x, found, target)


def is_dense(sight: Sight, shape: Shape) -> bool:
    """Whether an array lies row-major without gaps."""
    return lies_so(sight, shape, row_major(shape))


def lies_so(sight: Sight, shape: Shape, strides: Sequence[int]) -> bool:
    """Whether an array lies with such strides, as far as they matter."""
    return all(n == 1 or s == e for n, s, e in zip(shape, sight.strides, strides, strict=True))


def dense(sight: Sight, x: Node, found: list[Step], target: Target) -> Operand:
    """An input that is row-major without gaps; it is copied first if it is not."""
    if is_dense(sight, x.shape):
        return Operand(as_it_lies(sight).place, row_major(x.shape))
    return _copied(sight, x, found, target)


def is_constant(place: Place) -> bool:
    """Whether the numbers there are known."""
    return isinstance(place.array, Node) and place.array.op is None and place.array.value is not None


def values_of(place: Place, shape: Shape, strides: Sequence[int]) -> Array:
    """The numbers of a constant, read with strides in elements."""
    assert isinstance(place.array, Node)
    flat: Array = np.ascontiguousarray(place.array.value).reshape(-1)
    apart = [s * flat.itemsize for s in strides]
    start = flat[place.offset // flat.itemsize :]
    return np.lib.stride_tricks.as_strided(start, shape, apart, writeable=False)


def _copied(sight: Sight, x: Node, found: list[Step], target: Target) -> Operand:
    """A copy without gaps: made now of a constant, else by a step."""
    given, strides = as_it_lies(sight), row_major(x.shape)
    if is_constant(given.place):
        values = np.array(values_of(given.place, x.shape, given.strides))
        return Operand(Place(holding(values, name=x.name)), strides)
    copy = Workspace(count(x.shape) * x.dtype.itemsize)
    body = Loop(
        x.shape,
        frozenset(),
        (Access(sight.strides, x.dtype), Access(strides, x.dtype)),
        (Instruction("load", (), x.dtype, array=0, full=False),),
        ((1, 0),),
    )
    places = (given.place, Place(copy))
    found.append(Step([x], places, frozenset([copy]), loops.lower(body, target)))
    return Operand(Place(copy), strides)
