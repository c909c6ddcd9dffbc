"""Graphs of very many scalars, ready to run: instructions on a tape instead of machine code for each node.

Machine code for a hundred thousand nodes would take minutes to make. What is no scalar, or has no instruction, NumPy
computes in between. The bits are those of eager evaluation.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.compiler.on_native import jit, tape_code
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.numpy_loops import Loop
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.report import Line, Report
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.primitive import Array
from chainrule.shapes import DTYPES

MANY = 4000
"""Scalars that are computed, from which on a graph runs as a tape if they are most of its nodes."""
CELL = 8
"""Bytes of a cell."""
TURNS = 1 << 20
"""Instructions after which Python may look whether someone has pressed Ctrl-C."""


def suits(graph: Graph) -> bool:
    """Whether a graph has so many scalars that it should run as a tape."""
    if len(graph) < MANY:
        return False
    computed = sum(node.op is not None and not node.shape for node in graph.nodes)
    return computed >= MANY and 2 * computed > len(graph)


@dataclass(frozen=True, slots=True)
class Segment:
    """Instructions between two calls of NumPy."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Call:
    """A node that NumPy computes, and the arrays of which it is the last to use them."""

    node: Node
    dead: tuple[Node, ...]


class Tape:
    """A graph as a tape. Threads that call it at once take turns.

    Args:
        graph: any; made for such as :func:`suits`.
        target: what to make code for; must run here.

    Attributes:
        quick, single: None; as :class:`chainrule.compiler.compiled.Executable` says what has no faster way.
        from_cache: whether the machine code came from disk.
    """

    quick = single = None

    def __init__(self, graph: Graph, target: Target) -> None:
        self.graph, self.target = graph, target
        self._running = threading.Lock()
        self._operations = _Operations(target)
        given = set(graph.inputs)
        numbers = {
            node: self._operations.number(node) for node in graph.nodes if node.op and node not in given
        }
        order = _scheduled(graph, numbers)
        self._places = {node: i for i, node in enumerate(n for n in graph.nodes if not n.shape)}
        self._cells = np.zeros(len(self._places), np.int64)
        self._views = {d: self._cells.view(d)[:: CELL // d.itemsize] for d in DTYPES}
        self._fixed: dict[Node, Array] = {}
        for node in graph.nodes:
            if node.op is None and node not in given:
                self._put(node, node.value, self._fixed)
        self._tape, self._actions = self._written(order, numbers)
        library = jit.build(*self._operations.module(), target)
        self.from_cache = library.from_cache
        types = (ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_void_p] * 3)
        self._run = library.function(tape_code.RUN, *types)
        self._functions, self._loops, self._kept = self._operations.tables(library)

    def _written(
        self, order: Sequence[Node], numbers: dict[Node, int | None]
    ) -> tuple[Array, list[Segment | Call]]:
        """The instructions, and what runs when."""
        last = {x: node for node in order for x in node.inputs if x.shape}
        kept = {*self.graph.outputs, *self.graph.inputs, *self._fixed}
        rows: list[tuple[int, ...]] = []
        actions: list[Segment | Call] = []
        begin = 0
        for node in order:
            number = numbers[node]
            if number is not None:
                places = [self._places[x] for x in node.inputs]
                rest = [0] * (tape_code.MOST - len(places))
                rows.append((number, self._places[node], *places, *rest))
                continue
            if begin < len(rows):
                actions.append(Segment(begin, len(rows)))
                begin = len(rows)
            arrays = dict.fromkeys(x for x in node.inputs if x.shape and x not in kept)
            actions.append(Call(node, tuple(x for x in arrays if last[x] is node)))
        if begin < len(rows):
            actions.append(Segment(begin, len(rows)))
        return np.array(rows, np.int32).reshape(-1, tape_code.WIDTH), actions

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays of the graph's shapes and dtypes."""
        with self._running:
            held = dict(self._fixed)
            for node, array in zip(self.graph.inputs, arrays, strict=True):
                self._put(node, array, held)
            silently(self._perform, held)
            return [np.array(self._get(node, held)) for node in self.graph.outputs]

    def _perform(self, held: dict[Node, Array]) -> None:
        for action in self._actions:
            if isinstance(action, Segment):
                for begin in range(action.begin, action.end, TURNS):
                    count = min(action.end - begin, TURNS)
                    tables = (self._cells, self._functions, self._loops)
                    self._run(self._tape[begin:].ctypes.data, count, *(t.ctypes.data for t in tables))
                continue
            node = action.node
            assert node.op is not None
            value = node.op.evaluate(*[self._get(x, held) for x in node.inputs], **node.params)
            self._put(node, value, held)
            for x in action.dead:
                del held[x]

    def _put(self, node: Node, value: Any, held: dict[Node, Array]) -> None:
        if node.shape:
            held[node] = value
        else:
            self._views[node.dtype][self._places[node]] = value

    def _get(self, node: Node, held: dict[Node, Array]) -> Any:
        return held[node] if node.shape else self._views[node.dtype][self._places[node]]

    def explain(self) -> Report:
        """What became of every node."""
        lines = tuple(self._line(action) for action in self._actions)
        size = len(self.graph)
        return Report(self.target.isa.name, 1, (size, size), (), lines, self._cells.nbytes, self.from_cache)

    def _line(self, action: Segment | Call) -> Line:
        if isinstance(action, Segment):
            count = action.end - action.begin
            used = {int(n) for n in np.unique(self._tape[action.begin : action.end, 0])}
            names = dict.fromkeys(name for n, name in enumerate(self._operations.names) if n in used)
            note = f"{count:,} scalars, as a tape"
            return Line("kernel", tuple(names), (f"{count} scalars",), 1, count, 24 * count, "", note, "")
        node = action.node
        assert node.op is not None
        cost = node.op.cost(node.inputs, node.shape, node.dtype, **node.params)
        reason, source = "no instruction for it on a tape", str(node.source or "")
        results = (str(node.spec),)
        return Line("numpy", (node.op.name,), results, 1, cost.flops, cost.bytes, reason, "", source)


class _Operations:
    """The different operations of a tape, numbered as they are met."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._numbers: dict[Hashable, int | None] = {}
        self._written: list[tuple[Any, list[Loop]]] = []
        self.names: list[str] = []

    def number(self, node: Node) -> int | None:
        """That of a node; None if NumPy is to compute it."""
        if node.shape:
            return None
        params = tuple((k, v, repr(v)) for k, v in sorted(node.params.items()))  # -0.0 is not 0.0, nor True 1
        key = (node.op, params, *[(x.dtype, not x.shape) for x in node.inputs])
        try:
            return self._numbers[key]
        except KeyError:
            pass
        except TypeError:  # parameters that cannot be compared
            return None
        name = f"operation{len(self._written)}"
        written = tape_code.write_operation(name, node, self._target)
        self._numbers[key] = None if written is None else len(self._written)
        if written is not None and node.op is not None:
            self._written.append(written)
            self.names.append(node.op.name)
        return self._numbers[key]

    def module(self) -> tuple[str, list[str]]:
        """Text and symbols of all of them, and of the function that calls them."""
        functions = [f for f, _ in self._written] + [tape_code.write_run(self._target)]
        return module(functions), [f.name for f in functions]

    def tables(self, library: jit.Library) -> tuple[Array, Array, list[Any]]:
        """Addresses of the functions and of their loops, and what keeps these alive."""
        loops = [np.array(used or [(0, 0)], np.int64) for _, used in self._written]
        functions = np.array([library.addresses[f.name] for f, _ in self._written], np.int64)
        return functions, np.array([table.ctypes.data for table in loops], np.int64), [loops, library]


def _scheduled(graph: Graph, numbers: dict[Node, int | None]) -> list[Node]:
    """Computed nodes in an order with few changes between tape and NumPy."""
    phases: dict[Node, int] = {}
    for node in graph.nodes:
        if node not in numbers:
            phases[node] = 0
            continue
        on_tape = numbers[node] is not None
        phase = 0
        for x in node.inputs:
            changes = x in numbers and (numbers[x] is not None) != on_tape
            phase = max(phase, phases[x] + changes)
        phases[node] = phase
    return sorted(numbers, key=lambda n: (phases[n], numbers[n] is not None, n.index))
