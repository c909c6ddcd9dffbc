"""How kernels of their own get at their inputs: where they lie, or in a copy that suits them."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.compiler.on_native import loops
from chainrule.compiler.on_native.loops import Access, Instruction, Loop
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Place, Step, Workspace
from chainrule.compiler.views import Sight
from chainrule.node import Node
from chainrule.shapes import count, row_major


@dataclass(frozen=True, slots=True)
class Operand:
    """Where an input begins, and its strides in elements."""

    place: Place
    strides: tuple[int, ...]


def as_it_lies(sight: Sight) -> Operand:
    """An input where it is."""
    return Operand(Place(sight.base, sight.offset * sight.base.dtype.itemsize), sight.strides)


def factor(sight: Sight, x: Node, found: list[Step], target: Target) -> Operand:
    """An input whose rows or columns are adjacent; it is copied first, by a step in ``found``, if neither are."""
    rows, columns = sight.strides[-2:]
    m, n = x.shape[-2:]
    apart = (m == 1 or rows > 0) and (n == 1 or columns > 0)
    if apart and (m == 1 or n == 1 or 1 in (rows, columns)) and min(sight.strides) >= 0:
        return as_it_lies(sight)
    return _copied(sight, x, found, target)


def dense(sight: Sight, x: Node, found: list[Step], target: Target) -> Operand:
    """An input that is row-major without gaps; it is copied first if it is not."""
    expected = row_major(x.shape)
    if all(n == 1 or s == e for n, s, e in zip(x.shape, sight.strides, expected, strict=True)):
        return Operand(as_it_lies(sight).place, expected)
    return _copied(sight, x, found, target)


def _copied(sight: Sight, x: Node, found: list[Step], target: Target) -> Operand:
    copy = Workspace(count(x.shape) * x.dtype.itemsize)
    strides = row_major(x.shape)
    body = Loop(
        x.shape,
        frozenset(),
        (Access(sight.strides, x.dtype), Access(strides, x.dtype)),
        (Instruction("load", (), x.dtype, array=0, full=False),),
        ((1, 0),),
    )
    places = (as_it_lies(sight).place, Place(copy))
    found.append(Step([x], places, frozenset([copy]), loops.lower(body, target)))
    return Operand(Place(copy), strides)
