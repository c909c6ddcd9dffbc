"""Operands that are packed before kernels read them: once and for all, or once in a call.

A product or a convolution reads its weights fastest in an order of its own. Left alone it brings them into that
order itself, every time it runs. That is done here instead

- when the program is made, by NumPy, if they are constants: the program then holds the packed numbers;
- by a step of its own, if several products read them in the same order, or the products of a batch.

Each head of a group says what it wishes for and what that would save; `lower` decides. Sums are made in the same
order either way, so results keep their bits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from chainrule.compiler.groups import Group
from chainrule.compiler.memory import aligned
from chainrule.compiler.on_native.call import Lowered
from chainrule.compiler.on_native.ir import Function, Value
from chainrule.compiler.on_native.operands import is_constant, values_of
from chainrule.compiler.on_native.prologues import Computed, Prologue, prologue_operands
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Place, Step, Workspace
from chainrule.node import Node, holding
from chainrule.primitive import Array
from chainrule.shapes import Shape

Check: TypeAlias = "Callable[[Function, Value], Value]"
"""Writes code that says whether something holds, given the table of a kernel's operands."""
ALIGNED = 0.1
"""What a product saves at least, in times of packing, if B begins at a cache line."""
WORTH = 1.5
"""A step that packs must save so many times the time that it takes."""


class Packing(ABC):
    """An order in which kernels read an operand; equal ones are shared."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Of the packed operand."""

    @abstractmethod
    def of(self, array: Array) -> Array:
        """The numbers of an array in this order, flat."""

    @abstractmethod
    def lower(self, strides: Sequence[int], target: Target, prologue: Prologue | None = None) -> Lowered:
        """The kernels that pack: operands "plain", with such strides in elements, and "packed".

        If a prologue computes the array, what that reads comes in the place of "plain".
        """


@dataclass(frozen=True, slots=True)
class Wish:
    """What a head would have packed.

    Attributes:
        node: the operand.
        place, shape, strides: where it lies, and as which array the packing sees it.
        packing: what is wished for.
        saves: the time that it saves, in times of packing.
        computed: what computes the operand, if it lies nowhere.
    """

    node: Node
    place: Place
    shape: Shape
    strides: tuple[int, ...]
    packing: Packing
    saves: float
    computed: Computed | None = None

    @property
    def key(self) -> tuple[Place, Shape, tuple[int, ...], Packing]:
        """Wishes that have it in common are fulfilled together."""
        return self.place, self.shape, self.strides, self.packing


class Head(ABC):
    """A product or a convolution, with what runs on its results, on its way to steps."""

    @abstractmethod
    def wish(self) -> Wish | None:
        """What it would have packed; None if it is as fast without."""

    @abstractmethod
    def steps(self, packed: Place | None) -> list[Step]:
        """What computes it, from the operand packed as it wishes or as it lies."""

    @property
    def within(self) -> Sequence[Group]:
        """The loops behind it whose sums it makes itself."""
        return ()

    @property
    def pools(self) -> bool:
        """Whether it ends with the pool that its group is given."""
        return False

    sound: Check | None = None
    """Says, once there are steps, whether these sums are right; None if they always are."""

    def takes(self, i: int) -> bool:
        """Whether it is no slower if it computes an input, by its number, by the prologue that is given for it."""
        return False


def lower(
    heads: Sequence[Head], target: Target, fixed: Container[object] = (), times: int = 1
) -> list[list[Step]]:
    """The steps of each head; a step that packs comes with those of the first reader.

    Args:
        heads: in the order in which they run.
        fixed: inputs that stay the same where all of it runs again and again, and are packed once.
        times: how often it runs.
    """
    together: dict[object, list[tuple[int, Wish]]] = {}
    for i, head in enumerate(heads):
        wish = head.wish()
        if wish is not None:
            together.setdefault(wish.key, []).append((i, wish))
    found: list[list[Step]] = [[] for _ in heads]
    packed: dict[int, tuple[Place, str]] = {}
    for readers in together.values():
        first, wish = readers[0]
        if is_constant(wish.place):
            place, note = Place(_constant(wish)), f"{wish.node.spec} packed when compiled"
        elif wish.computed or _saved(readers, fixed, times) >= WORTH:
            place, note = Place(Workspace(wish.packing.nbytes)), f"{wish.node.spec} packed before"
            found[first] = _packing(wish, place, len(readers), target)
        else:
            continue
        packed.update((i, (place, note)) for i, _ in readers)
    for i, head in enumerate(heads):
        place, note = packed.get(i, (None, ""))
        *others, last = head.steps(place)
        found[i] += [*others, replace(last, note="; ".join(filter(None, (last.note, note))))]
    return found


def _saved(readers: Sequence[tuple[int, Wish]], fixed: Container[object], times: int) -> float:
    """The time that is saved, in times of packing."""
    saved = sum(wish.saves for _, wish in readers)
    return times * max(saved, ALIGNED) if readers[0][1].place.array in fixed else saved


def _packing(wish: Wish, to: Place, readers: int, target: Target) -> list[Step]:
    """The steps that pack something for all of its readers."""
    lowered = wish.packing.lower(wish.strides, target, wish.computed and wish.computed.prologue)
    given = {"plain": wish.place, "packed": to, "workspace": Place(Workspace(lowered.workspace))}
    nodes: Sequence[Node] = (wish.node,)
    if wish.computed:
        nodes = wish.computed.nodes
        given |= zip(prologue_operands(wish.computed.prologue), wish.computed.places, strict=True)
        whom = f"{readers} products" if readers > 1 else "a product"
        note = f"into {whom}, as {wish.node.spec} is packed"
    else:
        note = f"packs {wish.node.spec} for {f'{readers} readers' if readers > 1 else 'a batch'}"
    steps: list[Step] = []
    for call in lowered.calls:
        writes = frozenset(given[name].array for name in call.operands if name in ("packed", "workspace"))
        steps.append(Step(nodes, [given[name] for name in call.operands], writes, call.kernel, note=note))
    return steps


def _constant(wish: Wish) -> Node:
    """The numbers of a constant in the order of a packing, as a constant of its own."""
    array = values_of(wish.place, wish.shape, wish.strides)
    packed = aligned(wish.packing.nbytes).view(array.dtype)
    packed[:] = wish.packing.of(array)
    return holding(packed, name=wish.node.name)
