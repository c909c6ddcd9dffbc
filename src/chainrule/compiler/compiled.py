"""A graph made ready to run: planned, compiled, callable on arrays."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.compiler import passes, report
from chainrule.compiler.addresses import address_of
from chainrule.compiler.memory import Life, plan
from chainrule.compiler.on_native import jit, pool, program
from chainrule.compiler.on_native.lowering import steps_of
from chainrule.compiler.on_native.program import ARENA, FIRST, POOL
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.passes.expand import expand
from chainrule.compiler.recycling import empty
from chainrule.compiler.steps import Scratch, Step, Workspace
from chainrule.compiler.views import Sight
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.primitive import Array
from chainrule.shapes import count, row_major


class Executable:
    """A compiled graph. Threads that call it at once take turns.

    Args:
        graph: any.
        target: what to make code for; must run here. None leaves everything to NumPy.
        threads: how many run it. Results do not depend on it.
        donated: for an output, by number, the input whose memory it takes.
        denormals: whether to compute with numbers too small for the usual form, or take them for zero.

    Attributes:
        graph, lean: as given, and as it is after all passes.
        steps: what is done.
        changes: what the passes did.
        arena_bytes: memory for intermediate results.
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
        self._flush = not denormals
        simple, self.changes = passes.run(graph)
        expanded, flags = expand(simple) if target else (simple, 0)
        self.lean = expanded
        self._inputs = {node: i for i, node in enumerate(expanded.inputs)}
        outputs = expanded.outputs
        wanted = {outputs[o]: expanded.inputs[i] for o, i in (donated or {}).items()}
        checked = outputs[len(outputs) - flags :]
        self.steps, self._overwritten, sights = steps_of(expanded, target, wanted, checked)
        self._results = [sights[n] for n in outputs[: len(outputs) - flags]]
        self._flags = [sights[n] for n in checked]
        self._moved = {
            o: i
            for o, i in (donated or {}).items()
            if self._overwritten.get(outputs[o]) is not expanded.inputs[i]
        }
        self._place()
        self.from_cache = True
        self._order: list[Any] = list(self._stretches())
        self._pool = pool.shared_pool(threads) if target else None
        if target and self._pool:
            self._bases[POOL] = self._pool.address
            self._build(target, self._pool)
        self.running = threading.RLock()
        self._made = [(n.shape, n.dtype, entry) for n, entry in self._fresh.items()]
        places = {node: i for i, node in enumerate(self._fresh)}
        whole = [
            sight.base in self._fresh and sight.base.shape == node.shape and _is_whole(sight, node)
            for sight, node in zip(self._results, graph.outputs, strict=True)
        ]
        native = len(self._order) == 1 and not isinstance(self._order[0], Step)
        self._simple = native and all(whole) and not self._moved and not self._overwritten
        self._direct = [places[sight.base] for sight in self._results] if self._simple else []
        # The same table as for `bound`, in a form that Python writes to in three quarters of the time.
        self._shared = (ctypes.c_int64 * len(self._bases))(*self._bases.tolist())
        self._shared_address = ctypes.addressof(self._shared)

    def _place(self) -> None:
        """Give every array its entry in the table of addresses: arena, inputs, constants, results."""
        lives: dict[Any, tuple[int, int, int]] = {}
        self._constants: dict[Node, Array] = {}
        for i, step in enumerate(self.steps):
            for key in step.arrays:
                if key in self._inputs or key in self._overwritten:
                    continue
                if isinstance(key, Node) and key.op is None:
                    self._constants[key] = np.ascontiguousarray(key.value)
                    continue
                first = lives[key][1] if key in lives else i
                lives[key] = (_nbytes(key, self.threads), first, i)
        self._where: dict[Any, tuple[int, int]] = {n: (FIRST + i, 0) for n, i in self._inputs.items()}
        for result, old in self._overwritten.items():
            self._where[result] = self._where[old]
        entry = FIRST + len(self._inputs)
        for node in self._constants:
            self._where[node] = (entry, 0)
            entry += 1
        self._fresh: dict[Node, int] = {}  # computed arrays that leave the program
        for sight in self._results:
            if sight.base in lives:
                self._fresh[sight.base] = entry
                self._where[sight.base] = (entry, 0)
                entry += 1
                del lives[sight.base]
        offsets, self.arena_bytes = plan({key: Life(*life) for key, life in lives.items()})
        for key, offset in offsets.items():
            self._where[key] = (ARENA, offset)
        self._arena = _aligned(self.arena_bytes)
        self._bases = np.zeros(entry, np.int64)
        self._bases[ARENA] = self._arena.ctypes.data
        for node, array in self._constants.items():
            self._bases[self._where[node][0]] = array.ctypes.data

    def _build(self, target: Target, threads: pool.Pool) -> None:
        stretches: list[list[Step]] = [each for each in self._order if isinstance(each, list)]
        if not stretches:
            return
        text, names = program.emit(stretches, self._where, target, self._flush)
        self._library = jit.build(text, names, target, threads.imports)
        self.from_cache = self._library.from_cache
        functions = iter([self._library.function(name, ctypes.c_void_p) for name in names])
        self._order = [next(functions) if isinstance(each, list) else each for each in self._order]

    def _stretches(self) -> list[list[Step] | Step | None]:
        """Stretches of native steps, and between them calls of NumPy; None where the flags are looked at."""
        order: list[list[Step] | Step | None] = []
        waiting = {sight.base for sight in self._flags}
        for step in self.steps:
            if step.kernel is None:
                order.append(step)
            elif order and isinstance(order[-1], list):
                order[-1].append(step)
            else:
                order.append([step])
            if waiting:
                waiting -= step.writes
                if not waiting:
                    order.append(None)
        return order

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays that are contiguous and of the graph's shapes and dtypes.

        Donated ones are overwritten, and are the results that took their memory.
        """
        if not self._simple:
            return self.bound(arrays)()
        with self.running:  # what follows is what a small function spends its time with
            table = self._shared
            for i, array in enumerate(arrays, FIRST):
                table[i] = address_of(array)
            fresh = [empty(shape, dtype) for shape, dtype, _ in self._made]
            for array, (_, _, entry) in zip(fresh, self._made, strict=True):
                table[entry] = address_of(array)
            if self._pool is not None and not self._pool.ready:
                self._pool.start()
            self._order[0](self._shared_address)
        return [fresh[i] for i in self._direct]

    def bound(self, arrays: Sequence[Array]) -> Bound:
        """The program on given arrays, and with new ones for its results, ready to run many times."""
        return Bound(self, list(arrays), {node: empty(node.shape, node.dtype) for node in self._fresh})

    def table(self, arrays: Sequence[Array], fresh: Mapping[Node, Array]) -> Array:
        """The addresses of everything."""
        bases = self._bases.copy()
        for i, array in enumerate(arrays, FIRST):
            bases[i] = address_of(array)
        for node, array in fresh.items():
            bases[self._fresh[node]] = address_of(array)
        return bases

    def run(self, address: int, arrays: Sequence[Array], fresh: Mapping[Node, Array]) -> None:
        """All steps, on the table at an address."""
        with self.running:
            if self._pool is not None and not self._pool.ready:
                self._pool.start()
            for each in self._order:
                if each is None:
                    if any(self._array(flag.base, arrays, fresh).item() for flag in self._flags):
                        self.graph.evaluate(*arrays)  # which raises what is wrong
                elif isinstance(each, Step):
                    self._call(each, arrays, fresh)
                else:
                    each(address)

    def result(self, number: int, arrays: Sequence[Array], fresh: Mapping[Node, Array]) -> Array:
        """The array of one result, if it has one of its own; else a copy of it as it is now."""
        return self._result(self._results[number], self.graph.outputs[number], arrays, fresh)

    def results(self, arrays: Sequence[Array], fresh: Mapping[Node, Array]) -> list[Array]:
        """What the program returns, after it has run."""
        found = [self.result(i, arrays, fresh) for i in range(len(self._results))]
        for o in self._moved:
            found[o] = np.array(found[o])
        for o, i in self._moved.items():
            arrays[i][...] = found[o]
            found[o] = arrays[i]
        return found

    def _call(self, step: Step, arrays: Sequence[Array], fresh: Mapping[Node, Array]) -> None:
        node = step.nodes[0]
        assert node.op is not None
        given = [
            self._seen(sight, x, arrays, fresh) for sight, x in zip(step.sights, node.inputs, strict=True)
        ]
        self._array(node, arrays, fresh)[...] = silently(node.op.evaluate, *given, **node.params)

    def _array(self, base: Node, arrays: Sequence[Array], fresh: Mapping[Node, Array]) -> Array:
        """The whole array of a node, wherever it lies."""
        base = self._overwritten.get(base, base)
        if base in self._inputs:
            return arrays[self._inputs[base]]
        if base in fresh:
            return fresh[base]
        if base.op is None:
            return np.asarray(base.value)
        offset = self._where[base][1]
        stop = offset + count(base.shape) * base.dtype.itemsize
        return self._arena[offset:stop].view(base.dtype).reshape(base.shape)

    def _seen(self, sight: Sight, node: Node, arrays: Sequence[Array], fresh: Mapping[Node, Array]) -> Array:
        """What a node reads, as an array that shares memory."""
        array = self._array(sight.base, arrays, fresh)
        if not node.size:
            return np.empty(node.shape, node.dtype)
        flat = array.reshape(-1)[sight.offset :]
        strides = tuple(s * array.itemsize for s in sight.strides)
        return np.lib.stride_tricks.as_strided(flat, node.shape, strides, writeable=False)

    def _result(
        self, sight: Sight, node: Node, arrays: Sequence[Array], fresh: Mapping[Node, Array]
    ) -> Array:
        whole = fresh.get(sight.base)
        if whole is None and sight.base in self._overwritten:
            whole = self._array(sight.base, arrays, fresh)
        if whole is not None and _is_whole(sight, node):
            return whole.reshape(node.shape)
        return np.array(self._seen(sight, node, arrays, fresh))

    @property
    def alone(self) -> Any:
        """The one native function that is the whole program, if it is so, and never hands tasks to threads."""
        parallel = any(step.kernel is not None and step.kernel.tasks > 1 for step in self.steps)
        only = self._order[0] if len(self._order) == 1 else None
        return None if parallel or isinstance(only, Step) else only

    @property
    def moves(self) -> bool:
        """Whether donated inputs get their new values by copying after a run."""
        return bool(self._moved)

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

    def __init__(self, executable: Executable, arrays: list[Array], fresh: dict[Node, Array]) -> None:
        self._executable, self._arrays, self._fresh = executable, arrays, fresh
        self._table = executable.table(arrays, fresh)
        self.address: int = self._table.ctypes.data
        self.moved = executable.moves
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


def _is_whole(sight: Sight, node: Node) -> bool:
    """Whether a node is all of an array, in its order."""
    if sight.offset or node.size != sight.base.size:
        return False
    expected = row_major(node.shape)
    return all(n == 1 or s == e for n, s, e in zip(node.shape, sight.strides, expected, strict=True))


def _nbytes(key: Any, threads: int) -> int:
    if isinstance(key, Workspace):
        return key.nbytes
    if isinstance(key, Scratch):
        return key.nbytes * threads
    return count(key.shape) * key.dtype.itemsize


def _aligned(nbytes: int) -> Array:
    """Zeroed bytes that begin at a cache line."""
    raw = np.zeros(nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes]
