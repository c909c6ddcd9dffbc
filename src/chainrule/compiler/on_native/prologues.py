"""Operands that are computed as they are read: an elementwise function, evaluated where a kernel copies its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import bodies
from chainrule.compiler.on_native.ir import Function, Int, Value
from chainrule.compiler.on_native.kernel import operand
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Loop, Values, as_matrix, place_of
from chainrule.compiler.steps import Place, Step
from chainrule.node import Node


@dataclass(frozen=True, slots=True)
class Prologue:
    """An array that lies nowhere.

    It is seen as a matrix: its last axis are the columns, and rows run through all others.

    Attributes:
        loop: over its axes; without stores.
        result: the instruction that is an element.
        target: for the name.
    """

    loop: Loop
    result: int
    target: Target

    @property
    def name(self) -> str:
        """Says everything that the code depends on."""
        return f"of_{self.loop.name(self.target)}_{self.result}"

    @property
    def operands(self) -> int:
        """How many arrays it reads."""
        return len(self.loop.arrays)

    def values(self, f: Function, pointers: Sequence[Value], lanes: int) -> Values:
        """What `at` needs, computed where that comes before all its calls."""
        values = Values(f, self.loop, pointers, len(self.loop.sizes) - 1, lanes)
        values.hoist()
        return values

    def reader(
        self, f: Function, operands: Value, place: int, lanes: int
    ) -> Callable[[Int, Int, Value | None], Value]:
        """`at` for arrays whose addresses stand in a table from a place on."""
        values = self.values(f, [operand(f, operands, place + i) for i in range(self.operands)], lanes)
        return lambda row, column, mask: self.at(values, row, column, mask)

    def at(self, values: Values, row: Int, column: Int, mask: Value | None = None) -> Value:
        """Adjacent elements of a row as a vector."""
        place_of(values, row, column)
        return values.value(self.result, mask, dict(values.fixed))


@dataclass(frozen=True, slots=True)
class Computed:
    """An operand with its prologue.

    Attributes:
        prologue: computes it.
        places: where the arrays are that it reads.
        nodes: what is computed.
    """

    prologue: Prologue
    places: tuple[Place, ...]
    nodes: tuple[Node, ...]


def computed(loop: Group, result: Node, columns: int, grouping: Grouping, target: Target) -> Computed | None:
    """The result of a loop as an operand, seen as a matrix with so many columns; None if it cannot be seen so."""
    body = bodies.build(loop, grouping, {result})
    ((stored, element),) = body.stores
    kept = [i for i in range(len(body.arrays)) if i != stored]
    number = {array: i for i, array in enumerate(kept)}
    axes = loop.axes[result]
    arrays = [
        Access(tuple(0 if a is None else body.arrays[i].strides[a] for a in axes), body.arrays[i].dtype)
        for i in kept
    ]
    instructions = [replace(i, array=number[i.array]) if i.array >= 0 else i for i in body.instructions]
    whole = as_matrix(Loop(result.shape, frozenset(), tuple(arrays), tuple(instructions), ()), columns)
    if whole is None:
        return None
    places = tuple(body.places[i] for i in kept)
    return Computed(Prologue(whole, element, target), places, tuple(loop.members))


def with_prologue(steps: Sequence[Step], made: Computed, what: str) -> list[Step]:
    """The steps of a head, the last of which computes an input as it stages it."""
    *others, last = steps
    words = " ".join(n.op.name for n in made.nodes if n.op)
    note = f"{words}: into the {what}, as it is staged"
    return [*others, replace(last, nodes=[*made.nodes, *last.nodes], note=note)]


def prologue_operands(prologue: Prologue | None) -> tuple[str, ...]:
    """The names of its arrays in a call."""
    return tuple(f"prologue{i}" for i in range(prologue.operands if prologue else 0))
