"""A graph made ready to run: planned, compiled, callable on arrays."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.compiler import addresses, passes, records, report
from chainrule.compiler.addresses import address_of
from chainrule.compiler.dataflow import Dataflow
from chainrule.compiler.layout import Action, Builder, Call, Layout, Seen, Spot
from chainrule.compiler.memory import MUCH, aligned, give_back
from chainrule.compiler.on_native import gate, jit, pool, program, python_call
from chainrule.compiler.on_native.ir import Function
from chainrule.compiler.on_native.lowering import runs, steps_of
from chainrule.compiler.on_native.modules import modules
from chainrule.compiler.on_native.program import ARENA, FIRST, POOL, WHOLE
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.passes.blocking import blocking
from chainrule.compiler.passes.expand import expand
from chainrule.compiler.recycling import empty, maker
from chainrule.compiler.rematerialise import Planner, Recomputation
from chainrule.compiler.spare import made_anew, refilled
from chainrule.compiler.steps import Step
from chainrule.compiler.views import Sight
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.primitive import Array
from chainrule.shapes import DType, Shape, bool_, count


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A program whose arrays have no place in memory yet.

    Attributes:
        graph: after all passes; its last ``flags`` outputs are flags.
        flags: how many.
        changes: what the passes did.
        steps: what is done.
        overwritten: for a result, the input whose memory it takes.
        sights: how nodes are read.
    """

    graph: Graph
    flags: int
    changes: list[passes.Change]
    steps: list[Step]
    overwritten: Mapping[Node, Node]
    sights: Mapping[Node, Sight]

    @staticmethod
    def of(graph: Graph, target: Target | None, donated: Mapping[int, int]) -> Unplaced:
        """Run all passes on a graph, and make kernels. Arguments are those of :func:`lower`."""
        simple, changes = passes.run(graph)
        lean, flags = expand(simple) if target else (simple, 0)
        lean = blocking(lean, runs) if target else lean
        wanted = {lean.outputs[o]: lean.inputs[i] for o, i in donated.items()}
        checked = lean.outputs[len(lean.outputs) - flags :]
        steps, overwritten, sights = steps_of(lean, target, wanted, checked)
        return Unplaced(lean, flags, changes, steps, overwritten, sights)

    def placed(self, donated: Mapping[int, int], threads: int) -> Builder:
        """A place for every array."""
        return Builder(self.graph, self.flags, self.steps, self.sights, self.overwritten, donated, threads)

    def dataflow(self, threads: int) -> Dataflow:
        """What the steps read and write in the arena."""
        ends = len(self.graph.outputs) - self.flags
        results = {self.sights[n].base for n in self.graph.outputs[:ends]}
        elsewhere = {*self.graph.inputs, *self.overwritten, *results}
        flags = {self.sights[n].base for n in self.graph.outputs[ends:]}
        return Dataflow(
            self.steps, elsewhere, self.overwritten, flags, lambda n: self.sights[n].base, threads
        )


@dataclass(frozen=True, slots=True)
class Lowered:
    """What the passes and the backend make of a graph.

    Attributes:
        graph: after all passes.
        changes: what the passes did.
        steps: what is done.
        segments: the steps of each native function.
        where: for each array, its entry in the table of addresses and the bytes from there.
        layout: how it runs.
        recomputation: what runs again to keep within a budget; None if there is none.
    """

    graph: Graph
    changes: list[passes.Change]
    steps: list[Step]
    segments: list[list[Step]]
    where: Mapping[Any, tuple[int, int]]
    layout: Layout
    recomputation: Recomputation | None = None


def lower(
    graph: Graph,
    target: Target | None,
    threads: int,
    donated: Mapping[int, int],
    memory: int | None = None,
) -> Lowered:
    """Run all passes on a graph, make kernels, and give every array a place.

    Args:
        graph: as it was traced.
        target: what to make code for; None leaves everything to NumPy.
        threads: how many run it.
        donated: for an output by number, the input whose memory it takes.
        memory: bytes for intermediate results; some steps run again if that takes less.

    Raises:
        BudgetError: that is too little.
    """
    made = Unplaced.of(graph, target, donated)
    again = None
    if memory is not None:
        flow = made.dataflow(threads)
        again = Planner(flow).within(memory)
        made = replace(made, steps=flow.realised(again.sequence))
    built = made.placed(donated, threads)
    return Lowered(made.graph, made.changes, made.steps, built.segments, built.where, built.layout, again)


def planner(
    graph: Graph, target: Target | None, threads: int, donated: Mapping[int, int] | None = None
) -> Planner:
    """Of what runs again within budgets. Arguments are those of :func:`lower`; nothing is made into machine code."""
    return Planner(Unplaced.of(graph, target, donated or {}).dataflow(threads))


class Executable:
    """A compiled graph. Threads that call it at once take turns.

    Args:
        graph: any.
        target: what to make code for; must run here. None leaves everything to NumPy.
        threads: how many run it. Results do not depend on it.
        donated: for an output, by number, the input whose memory it takes.
        denormals: whether to compute with numbers too small for the usual form, or take them for zero.
        memory: bytes for intermediate results, at most.

    Raises:
        BudgetError: that is too little.

    Attributes:
        graph, target, threads, memory: as given.
        layout: how it runs.
        from_cache: whether the machine code came from disk.
        quick: like calling it, but gives None for arrays that it is not made for; None if there is no such way.
        single: what `quick` uses if it is brief and has one result: the native function of all arrays, what makes
            that result, its shape and dtype; else None.
    """

    single: tuple[Callable[..., bool], Any, Shape, DType] | None = None

    def __init__(
        self,
        graph: Graph,
        target: Target | None,
        threads: int,
        donated: Mapping[int, int] | None = None,
        denormals: bool = True,
        memory: int | None = None,
    ) -> None:
        self.graph, self.target, self.threads, self.memory = graph, target, threads, memory
        self._donated = dict(donated or {})
        self._pool = pool.shared_pool(threads) if target else None
        self.layout, library = self._made(denormals)
        self.from_cache = library is None or library.from_cache
        if self.layout.arena_bytes >= MUCH:
            give_back()  # what the passes took
        self._arena = aligned(self.layout.arena_bytes)
        self._bases = self._table()
        self._library = library
        self._order = [self._runnable(action) for action in self.layout.order]
        self.running = threading.RLock()
        self.quick = self._quick()

    def _made(self, denormals: bool) -> tuple[Layout, jit.Library | None]:
        """The layout and the machine code: from disk if this very graph was compiled before."""
        if self.target is None or self._pool is None:
            return self.lowered.layout, None
        imports = {**self._pool.imports, **python_call.imports()}
        key = records.key_of(self.graph, self.target, self.threads, self._donated, denormals, self.memory)
        found = records.read(key, self.graph) if key else None
        if found:
            library = jit.load(found.code, _symbols(found.layout), self.target, imports)
            if library:
                return found.layout, library
        lowered = self.lowered
        if not lowered.segments:
            return lowered.layout, None
        functions = program.functions(lowered.segments, lowered.where, self.target, not denormals)
        functions += self._entries(lowered.layout, self.target)
        library = jit.build(modules(functions), _symbols(lowered.layout), self.target, imports)
        if key:
            records.write(key, self.graph, lowered.layout, library.key)
        return lowered.layout, library

    def _entries(self, layout: Layout, target: Target) -> list[Function]:
        """What Python calls, if native functions are the whole program."""
        symbols = _symbols(layout)
        found: list[Function] = []
        if gate.AGAIN in symbols and layout.whole is not None:
            flags = [(seen.spot.entry, seen.spot.offset, seen.spot.dtype) for seen in layout.flags]
            found.append(program.whole(layout.whole, flags, target))
            found.append(gate.write_again(layout.brief, target))
        if gate.GATE in symbols:
            inputs = [(x.shape, x.dtype) for x in self.graph.inputs]
            sizes = layout.entries, len(layout.fresh)
            found.append(gate.write_gate(inputs, *sizes, layout.brief, target))
        return found

    @functools.cached_property
    def lowered(self) -> Lowered:
        """What the passes and the backend made of the graph; made now if machine code came from disk."""
        return lower(self.graph, self.target, self.threads, self._donated, self.memory)

    def _table(self) -> Array:
        """The addresses that are the same for every call."""
        bases = np.zeros(self.layout.entries, np.int64)
        bases[ARENA] = self._arena.ctypes.data
        bases[POOL] = self._pool.address if self._pool else 0
        for entry, array in enumerate(self.layout.constants, self.layout.first_constant):
            bases[entry] = array.ctypes.data
        return bases

    def _runnable(self, action: Action) -> Any:
        if not isinstance(action, str):
            return action
        assert self._library is not None
        return self._library.function(action, ctypes.c_void_p)

    def _quick(self) -> Callable[[Sequence[Array]], list[Array] | None] | None:
        """A function from arrays to results that gives None if it is not made for such arrays."""
        layout, library, direct = self.layout, self._library, self.layout.direct
        if library is None or direct is None or gate.GATE not in library.addresses:
            return None
        expected = gate.expected([(x.shape, x.dtype) for x in self.graph.inputs])
        table = np.array([*self._bases.tolist(), *expected], np.int64)
        native = self.locked(python_call.function(library.addresses[gate.GATE], table, library))
        makers = [(maker(shape, dtype), shape, dtype) for shape, dtype in layout.fresh]

        make, shape, dtype = makers[0] if makers else (maker((), bool_), (), bool_)
        if layout.brief and direct == (0,):
            self.single = native, make, shape, dtype

        def one(arrays: Sequence[Array]) -> list[Array] | None:
            result = make(shape, dtype)
            return [result] if native(*arrays, result) else None

        def several(arrays: Sequence[Array]) -> list[Array] | None:
            fresh = [make(shape, dtype) for make, shape, dtype in makers]
            return [fresh[i] for i in direct] if native(*arrays, *fresh) else None

        return one if direct == (0,) else several

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays that are contiguous and of the graph's shapes and dtypes.

        Donated ones are overwritten, and are the results that took their memory.
        """
        found = self.quick(arrays) if self.quick else None
        return self.bound(arrays)() if found is None else found

    def bound(self, arrays: Sequence[Array]) -> Bound:
        """The program on given arrays, and with new ones for its results, ready to run many times."""
        return Bound(self, list(arrays), [empty(shape, dtype) for shape, dtype in self.layout.fresh])

    def table(self, arrays: Sequence[Array], fresh: Sequence[Array]) -> Array:
        """The addresses of everything."""
        bases = self._bases.copy()
        for i, array in enumerate(arrays, FIRST):
            bases[i] = address_of(array)
        for i, array in enumerate(fresh, self.layout.first_fresh):
            bases[i] = address_of(array)
        return bases

    def run(self, address: int, arrays: Sequence[Array], fresh: Sequence[Array]) -> None:
        """All steps, on the table at an address."""
        with self.running:
            if self._pool is not None and not self._pool.ready:
                self._pool.start()
            for each in self._order:
                if each is None:
                    if any(self._array(flag.spot, arrays, fresh).item() for flag in self.layout.flags):
                        self.graph.evaluate(*arrays)  # which raises what is wrong
                elif isinstance(each, Call):
                    self._call(each, arrays, fresh)
                else:
                    each(address)

    def result(self, number: int, arrays: Sequence[Array], fresh: Sequence[Array]) -> Array:
        """The array of one result, if it has one of its own; else a copy of it as it is now."""
        seen = self.layout.results[number]
        if seen.own:
            return self._array(seen.spot, arrays, fresh).reshape(seen.shape)
        return np.array(self._view(seen, arrays, fresh))

    def results(self, arrays: Sequence[Array], fresh: Sequence[Array]) -> list[Array]:
        """What the program returns, after it has run."""
        found = [self.result(i, arrays, fresh) for i in range(len(self.layout.results))]
        for o in self.layout.moved:
            found[o] = np.array(found[o])
        for o, i in self.layout.moved.items():
            arrays[i][...] = found[o]
            found[o] = arrays[i]
        return found

    def _call(self, call: Call, arrays: Sequence[Array], fresh: Sequence[Array]) -> None:
        op = call.node.op
        assert op is not None
        given = [self._view(seen, arrays, fresh) for seen in call.inputs]
        self._array(call.result, arrays, fresh)[...] = silently(op.evaluate, *given, **call.node.params)

    def _array(self, spot: Spot, arrays: Sequence[Array], fresh: Sequence[Array]) -> Array:
        """A whole array, wherever it lies."""
        layout = self.layout
        if spot.entry >= layout.first_fresh:
            return fresh[spot.entry - layout.first_fresh].reshape(spot.shape)
        if spot.entry >= layout.first_constant:
            return layout.constants[spot.entry - layout.first_constant]
        if spot.entry >= FIRST:
            return arrays[spot.entry - FIRST]
        stop = spot.offset + count(spot.shape) * spot.dtype.itemsize
        return self._arena[spot.offset : stop].view(spot.dtype).reshape(spot.shape)

    def _view(self, seen: Seen, arrays: Sequence[Array], fresh: Sequence[Array]) -> Array:
        """What a node reads, as an array that shares memory."""
        array = self._array(seen.spot, arrays, fresh)
        if not count(seen.shape):
            return np.empty(seen.shape, seen.spot.dtype)
        flat = array.reshape(-1)[seen.offset :]
        strides = tuple(s * array.itemsize for s in seen.strides)
        return np.lib.stride_tricks.as_strided(flat, seen.shape, strides, writeable=False)

    def again(self, table: Array) -> Any:
        """A function without arguments that runs the program on a table, and returns whether it came to its end."""
        library = self._library
        if library is None or gate.AGAIN not in library.addresses:
            return None
        return python_call.function(library.addresses[gate.AGAIN], table, library)

    def refilling(
        self, table: Array, result: Array, run: Callable[[], Any], holder: object
    ) -> Callable[[], Node] | None:
        """A function that runs the program on a table, and gives a result in a tensor that is used again.

        Args:
            table: of addresses.
            result: the array, without axes, in which the result will be.
            run: runs the program in any case.
            holder: keeps the arrays where they are.

        Returns:
            The function; None if there is no such way.
        """
        library, target = self._library, self.target
        if library is None or target is None or not self.layout.brief or WHOLE not in library.addresses:
            return None
        return refilled(library.addresses[WHOLE], table, result, run, target, (library, holder))

    def locked(self, native: Callable[..., Any]) -> Callable[..., Any]:
        """A native function whose callers take turns, and share the pool's threads."""

        def taking_turns(*arrays: Array) -> Any:
            with self.running:
                if self._pool is not None and not self._pool.ready:
                    self._pool.start()
                return native(*arrays)

        return native if self.layout.brief else taking_turns

    def explain(self) -> report.Report:
        """What became of every node."""
        return report.of_steps(self)


class Bound:
    """A program on certain arrays.

    Attributes:
        run: runs it; what is returned stays in its arrays.
    """

    __slots__ = ("_again", "_arrays", "_executable", "_fresh", "_table", "run")

    def __init__(self, executable: Executable, arrays: list[Array], fresh: list[Array]) -> None:
        self._executable, self._arrays, self._fresh = executable, arrays, fresh
        self._table = executable.table(arrays, fresh)
        again = executable.again(self._table)
        self._again = again and executable.locked(again)
        self.run: Callable[[], Any] = again if again and executable.layout.sure else self._run

    def __call__(self) -> list[Array]:
        """Run, and give the results: the same arrays each time, with new numbers."""
        if self._executable.layout.moved:
            self._execute()
        else:
            self.run()
        return self.results()

    def _run(self) -> None:
        if self._again and self._again():
            return
        self._execute()
        if self._executable.layout.moved:
            self.results()

    def _execute(self) -> None:
        """Run, up to what `results` moves: what is a view of an input has to be read before."""
        self._executable.run(self._table.ctypes.data, self._arrays, self._fresh)

    def results(self) -> list[Array]:
        """The results of the last run."""
        return self._executable.results(self._arrays, self._fresh)

    def single(self, number: int) -> Callable[[], Node]:
        """A function that runs the program and gives one result, a number, as a tensor."""
        result, run = self.result(number), self.run

        def run_and_make() -> Node:
            run()
            return made_anew(result)

        def run_and_read() -> Node:
            self._execute()
            return made_anew(self.results()[number])

        if not self._executable.layout.results[number].own:
            return run_and_read  # a part of an array, say, or a parameter: `result` is a copy of what it was
        return self._executable.refilling(self._table, result, run, self) or run_and_make

    def result(self, number: int) -> Array:
        """The array in which one result will be, run after run; of those that are computed, not moved."""
        return self._executable.result(number, self._arrays, self._fresh)

    def explain(self) -> report.Report:
        """What became of every node."""
        return self._executable.explain()

    def replace(self, number: int, array: Array) -> None:
        """Take another array as an input."""
        self._arrays[number] = array
        self._table[FIRST + number] = address_of(array)


def _symbols(layout: Layout) -> list[str]:
    """What to find in the machine code of a program."""
    found = list(layout.native)
    if addresses.READABLE and layout.whole:
        found += [gate.AGAIN, WHOLE]
        if layout.direct is not None and layout.inputs + len(layout.fresh) <= gate.MOST:
            found.append(gate.GATE)
    return found
