"""A graph made ready to run: planned, compiled, callable on arrays."""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.compiler import passes, records, report
from chainrule.compiler.addresses import address_of
from chainrule.compiler.layout import Action, Builder, Call, Layout, Seen, Spot
from chainrule.compiler.on_native import jit, pool, program
from chainrule.compiler.on_native.lowering import steps_of
from chainrule.compiler.on_native.program import ARENA, FIRST, POOL
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.passes.expand import expand
from chainrule.compiler.recycling import empty
from chainrule.compiler.steps import Step
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.primitive import Array
from chainrule.shapes import count


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
    """

    graph: Graph
    changes: list[passes.Change]
    steps: list[Step]
    segments: list[list[Step]]
    where: Mapping[Any, tuple[int, int]]
    layout: Layout


def lower(graph: Graph, target: Target | None, threads: int, donated: Mapping[int, int]) -> Lowered:
    """Run all passes on a graph, make kernels, and give every array a place.

    Args:
        graph: as it was traced.
        target: what to make code for; None leaves everything to NumPy.
        threads: how many run it.
        donated: for an output by number, the input whose memory it takes.
    """
    simple, changes = passes.run(graph)
    lean, flags = expand(simple) if target else (simple, 0)
    wanted = {lean.outputs[o]: lean.inputs[i] for o, i in donated.items()}
    checked = lean.outputs[len(lean.outputs) - flags :]
    steps, overwritten, sights = steps_of(lean, target, wanted, checked)
    built = Builder(lean, flags, steps, sights, overwritten, donated, threads)
    return Lowered(lean, changes, steps, built.segments, built.where, built.layout)


class Executable:
    """A compiled graph. Threads that call it at once take turns.

    Args:
        graph: any.
        target: what to make code for; must run here. None leaves everything to NumPy.
        threads: how many run it. Results do not depend on it.
        donated: for an output, by number, the input whose memory it takes.
        denormals: whether to compute with numbers too small for the usual form, or take them for zero.

    Attributes:
        graph, target, threads: as given.
        layout: how it runs.
        from_cache: whether the machine code came from disk.
    """

    def __init__(
        self,
        graph: Graph,
        target: Target | None,
        threads: int,
        donated: Mapping[int, int] | None = None,
        denormals: bool = True,
    ) -> None:
        self.graph, self.target, self.threads = graph, target, threads
        self._donated = dict(donated or {})
        self._pool = pool.shared_pool(threads) if target else None
        self.layout, library = self._made(denormals)
        self.from_cache = library is None or library.from_cache
        self._arena = _aligned(self.layout.arena_bytes)
        self._bases = self._table()
        self._library = library
        self._order = [self._runnable(action) for action in self.layout.order]
        self.running = threading.RLock()
        # The same table as for `bound`, in a form that Python writes to in three quarters of the time.
        self._shared = (ctypes.c_int64 * len(self._bases))(*self._bases.tolist())
        self._shared_address = ctypes.addressof(self._shared)
        first = self.layout.first_fresh
        self._fresh = [(*spec, entry) for entry, spec in enumerate(self.layout.fresh, first)]
        self._direct = self.layout.direct

    def _made(self, denormals: bool) -> tuple[Layout, jit.Library | None]:
        """The layout and the machine code: from disk if this very graph was compiled before."""
        if self.target is None or self._pool is None:
            return self.lowered.layout, None
        key = records.key_of(self.graph, self.target, self.threads, self._donated, denormals)
        found = records.read(key, self.graph) if key else None
        if found:
            library = jit.load(found.code, found.layout.native, self.target, self._pool.imports)
            if library:
                return found.layout, library
        lowered = self.lowered
        if not lowered.segments:
            return lowered.layout, None
        text, names = program.emit(lowered.segments, lowered.where, self.target, not denormals)
        library = jit.build(text, names, self.target, self._pool.imports)
        if key:
            records.write(key, self.graph, lowered.layout, library.key)
        return lowered.layout, library

    @functools.cached_property
    def lowered(self) -> Lowered:
        """What the passes and the backend made of the graph; made now if machine code came from disk."""
        return lower(self.graph, self.target, self.threads, self._donated)

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

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays that are contiguous and of the graph's shapes and dtypes.

        Donated ones are overwritten, and are the results that took their memory.
        """
        if self._direct is None:
            return self.bound(arrays)()
        with self.running:  # what follows is what a small function spends its time with
            table = self._shared
            for i, array in enumerate(arrays, FIRST):
                table[i] = address_of(array)
            fresh: list[Array] = []
            for shape, dtype, entry in self._fresh:
                array = empty(shape, dtype)
                table[entry] = address_of(array)
                fresh.append(array)
            if self._pool is not None and not self._pool.ready:
                self._pool.start()
            self._order[0](self._shared_address)
        return [fresh[i] for i in self._direct]

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
            return fresh[spot.entry - layout.first_fresh]
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

    @property
    def alone(self) -> Any:
        """The one native function that is the whole program, if it is so, and never hands tasks to threads."""
        only = self._order[0] if len(self.layout.native) == len(self._order) == 1 else None
        return None if self.layout.parallel else only

    def explain(self) -> report.Report:
        """What became of every node."""
        return report.of_steps(self)


class Bound:
    """A program on certain arrays.

    Attributes:
        address: of the table.
        moved: whether donated inputs are copied into after a run.
    """

    __slots__ = ("_alone", "_arrays", "_executable", "_fresh", "_lock", "_table", "address", "moved")

    def __init__(self, executable: Executable, arrays: list[Array], fresh: list[Array]) -> None:
        self._executable, self._arrays, self._fresh = executable, arrays, fresh
        self._table = executable.table(arrays, fresh)
        self.address: int = self._table.ctypes.data
        self.moved = bool(executable.layout.moved)
        self._alone = None if self.moved else executable.alone
        self._lock = executable.running

    def __call__(self) -> list[Array]:
        """Run, and give the results: the same arrays each time, with new numbers."""
        self.run()
        return self.results()

    def run(self) -> None:
        """Run; what is returned stays in its arrays."""
        if self._alone is not None:  # a small step takes a microsecond: every call counts
            with self._lock:
                self._alone(self.address)
            return
        self._executable.run(self.address, self._arrays, self._fresh)
        if self.moved:
            self.results()

    def results(self) -> list[Array]:
        """The results of the last run."""
        return self._executable.results(self._arrays, self._fresh)

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


def _aligned(nbytes: int) -> Array:
    """Zeroed bytes that begin at a cache line."""
    raw = np.zeros(nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes]
