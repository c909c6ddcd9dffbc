"""Where everything lies and what runs in which order: all that running a program needs, without its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chainrule.compiler.dataflow import nbytes
from chainrule.compiler.memory import Life, plan
from chainrule.compiler.on_native import program
from chainrule.compiler.on_native.program import ARENA, FIRST
from chainrule.compiler.steps import POOL, Step
from chainrule.compiler.views import Sight
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.primitive import Array
from chainrule.shapes import DType, Shape, row_major

BRIEF = 1 << 20
"""Operations and bytes together that take 20 to 150 microseconds at most, by what the operations are."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an array lies: an entry of the table of addresses, bytes from there, and what it is."""

    entry: int
    offset: int
    shape: Shape
    dtype: DType


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node reads, or a result.

    Attributes:
        spot: of the array.
        shape: of the node.
        offset, strides: in elements of the array.
        own: whether it is the whole of an array that the program made, or that it overwrites.
    """

    spot: Spot
    shape: Shape
    offset: int
    strides: tuple[int, ...]
    own: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A call of NumPy."""

    node: Node
    inputs: tuple[Seen, ...]
    result: Spot


Action: TypeAlias = "str | Call | None"
"""A native function by its name, a call of NumPy, or a look at the flags."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a program runs on a table of addresses: pool and arena, then inputs, constants, fresh arrays.

    Attributes:
        inputs: how many.
        constants: arrays.
        fresh: shapes and dtypes of arrays that are made anew for each call and leave the program.
        arena_bytes: memory for intermediate results.
        results: in order.
        flags: bools that must be false when they are looked at.
        moved: for a result by number, the donated input that it is copied into.
        order: what is done.
        brief: whether it is so short, on one thread, that it runs under Python's lock.
    """

    inputs: int
    constants: tuple[Array, ...]
    fresh: tuple[tuple[Shape, DType], ...]
    arena_bytes: int
    results: tuple[Seen, ...]
    flags: tuple[Seen, ...]
    moved: Mapping[int, int]
    order: tuple[Action, ...]
    brief: bool

    @property
    def first_constant(self) -> int:
        """Entry of the first constant."""
        return FIRST + self.inputs

    @property
    def first_fresh(self) -> int:
        """Entry of the first fresh array."""
        return self.first_constant + len(self.constants)

    @property
    def entries(self) -> int:
        """Length of the table."""
        return self.first_fresh + len(self.fresh)

    @property
    def native(self) -> tuple[str, ...]:
        """Names of the native functions, in order."""
        return tuple(action for action in self.order if isinstance(action, str))

    @property
    def whole(self) -> tuple[str | None, ...] | None:
        """If there is nothing to run but native functions and looks at the flags: these, in order."""
        found = tuple(action for action in self.order if not isinstance(action, Call))
        return found if len(found) == len(self.order) and self.native and not self.moved else None

    @property
    def sure(self) -> bool:
        """Whether one brief call of native code runs all, whatever the numbers."""
        return self.brief and self.whole is not None and None not in self.whole

    @property
    def direct(self) -> tuple[int, ...] | None:
        """If native functions and fresh arrays are all there is: the fresh array of each result."""
        if self.whole is None:
            return None
        found: list[int] = []
        for seen in self.results:
            i = seen.spot.entry - self.first_fresh
            if not seen.own or i < 0 or self.fresh[i][0] != seen.shape:
                return None
            found.append(i)
        return tuple(found)


class Builder:
    """Finds a place for every array of a list of steps.

    Args:
        graph: after all passes; its last ``flags`` outputs are flags.
        steps: in order.
        sights: how nodes are read.
        overwritten: results that take the memory of an input.
        donated: for an output by number, the input whose memory it should take.
        threads: how many run it.

    Attributes:
        where: for each array, its entry in the table of addresses and the bytes from there.
        segments: the steps of each native function.
        layout: the result.
    """

    def __init__(
        self,
        graph: Graph,
        flags: int,
        steps: Sequence[Step],
        sights: Mapping[Node, Sight],
        overwritten: Mapping[Node, Node],
        donated: Mapping[int, int],
        threads: int,
    ) -> None:
        self._overwritten = overwritten
        self._inputs = {node: i for i, node in enumerate(graph.inputs)}
        outputs, checked = (
            graph.outputs[: len(graph.outputs) - flags],
            graph.outputs[len(graph.outputs) - flags :],
        )
        self._place(steps, [sights[n] for n in outputs], [sights[n].base for n in checked], threads)
        # An array gets the shape of the result that is all of it: then nothing is left to do when it is returned.
        shapes = {node: node.shape for node in self._fresh}
        shapes.update((sights[n].base, n.shape) for n in outputs if _is_whole(sights[n], n))
        self.segments: list[list[Step]] = []
        order = tuple(self._actions(steps, {sights[n].base for n in checked}))
        self.layout = Layout(
            len(graph.inputs),
            tuple(self._constants.values()),
            tuple((shapes[node], node.dtype) for node in self._fresh),
            self._arena_bytes,
            tuple(self._seen(sights[n], n) for n in outputs),
            tuple(self._seen(sights[n], n) for n in checked),
            {o: i for o, i in donated.items() if overwritten.get(graph.outputs[o]) is not graph.inputs[i]},
            order,
            all(step.kernel is not None and step.kernel.widest == 1 for step in steps)
            and sum(step.kernel.flops + step.kernel.bytes for step in steps) <= BRIEF,
        )

    def _place(
        self, steps: Sequence[Step], results: Sequence[Sight], flags: Sequence[Node], threads: int
    ) -> None:
        """Give every array its entry in the table of addresses: arena, inputs, constants, results."""
        lives: dict[Any, tuple[int, int, int]] = {}
        self._constants: dict[Node, Array] = {}
        for i, step in enumerate(steps):
            for key in step.arrays:
                if key in self._inputs or key in self._overwritten or key is POOL:
                    continue
                if isinstance(key, Node) and key.op is None:
                    self._constants[key] = np.ascontiguousarray(key.value)
                    continue
                first = lives[key][1] if key in lives else i
                lives[key] = (nbytes(key, threads), first, i)
        waiting = [flag for flag in flags if flag in lives]  # for the last of them, when all are looked at
        looked = max((lives[flag][2] for flag in waiting), default=0)
        for flag in waiting:
            lives[flag] = (*lives[flag][:2], looked)
        for sight in results:  # a result that is a constant
            base = sight.base
            if base.op is None and base not in self._inputs and base not in self._constants:
                self._constants[base] = np.ascontiguousarray(base.value)
        self.where: dict[Any, tuple[int, int]] = {n: (FIRST + i, 0) for n, i in self._inputs.items()}
        self.where[POOL] = (program.POOL, 0)
        for result, old in self._overwritten.items():
            self.where[result] = self.where[old]
        entry = FIRST + len(self._inputs)
        for node in self._constants:
            self.where[node] = (entry, 0)
            entry += 1
        self._fresh: dict[Node, int] = {}
        for sight in results:
            if sight.base in lives:
                self._fresh[sight.base] = entry
                self.where[sight.base] = (entry, 0)
                entry += 1
                del lives[sight.base]
        offsets, self._arena_bytes = plan({key: Life(*life) for key, life in lives.items()})
        for key, offset in offsets.items():
            self.where[key] = (ARENA, offset)

    def _actions(self, steps: Sequence[Step], flags: set[Node]) -> list[Action]:
        """Stretches of native steps, and between them calls of NumPy; None where the flags are looked at."""
        order: list[Action] = []
        for step in steps:
            if step.kernel is None:
                order.append(self._call(step))
            else:
                if not (order and isinstance(order[-1], str)):
                    order.append(f"run{len(self.segments)}")
                    self.segments.append([])
                self.segments[-1].append(step)
            if flags:
                flags -= step.writes
                if not flags:
                    order.append(None)
        return order

    def _call(self, step: Step) -> Call:
        node = step.nodes[0]
        seen = tuple(self._seen(sight, x) for sight, x in zip(step.sights, node.inputs, strict=True))
        return Call(node, seen, self._spot(node))

    def _spot(self, base: Node) -> Spot:
        return Spot(*self.where[base], base.shape, base.dtype)

    def _seen(self, sight: Sight, node: Node) -> Seen:
        made = sight.base in self._fresh or sight.base in self._overwritten
        own = made and _is_whole(sight, node)
        return Seen(self._spot(sight.base), node.shape, sight.offset, sight.strides, own)


def _is_whole(sight: Sight, node: Node) -> bool:
    """Whether a node is all of an array, in its order."""
    if sight.offset or node.size != sight.base.size:
        return False
    expected = row_major(node.shape)
    return all(n == 1 or s == e for n, s, e in zip(node.shape, sight.strides, expected, strict=True))
