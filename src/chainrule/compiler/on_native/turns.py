"""Scans whose turns do not wait for each other: stretches of turns are tasks, and each runs on one thread.

A scan that carries nothing but sums, to which each step adds, is a map and a reduction: the turns may run in
any order. They are cut into stretches, by their number alone. A stretch has sums of its own, which start at
zero; in the end the stretches' sums are added to the first carry, in their order. So results do not depend on
the number of threads. All that a step makes on the way lies in memory of its thread, which stays in that
processor's cache from turn to turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chainrule.compiler.memory import ALIGNMENT, Life, plan
from chainrule.compiler.on_native import loops
from chainrule.compiler.on_native.ir import I8, PTR, Function, Int, Value
from chainrule.compiler.on_native.kernel import Kernel, entry, evenly, operand
from chainrule.compiler.on_native.operands import as_it_lies
from chainrule.compiler.on_native.pool import parallel
from chainrule.compiler.on_native.repetition import Builder, Fixed, Turning, Whole
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Instruction, Loop
from chainrule.compiler.steps import POOL, Place, Scratch, Step, Workspace
from chainrule.compiler.views import Sight
from chainrule.node import Node
from chainrule.ops.arithmetic import Add, Subtract
from chainrule.ops.reduce import Sum
from chainrule.shapes import row_major

FEWEST, MOST = 4, 32
"""Stretches of turns."""
SHARE = 80
"""A stretch moves at least so many times as many bytes as its sums have."""


def lower(
    whole: Whole,
    steps: Sequence[Step],
    overwritten: Mapping[Node, Node],
    sights: Mapping[Node, Sight],
    target: Target,
) -> Step | None:
    """A scan as one step whose tasks are stretches of turns; None if its turns wait for each other."""
    if not _only_sums(whole) or any(POOL in step.arrays for step in steps):
        return None
    return _Apart(whole, steps, overwritten, sights, target).step()


def _only_sums(whole: Whole) -> bool:
    """Whether each carry is a sum that steps add to, and do not look at."""
    body = whole.body
    pairs = list(zip(body.carry_inputs, body.carry_outputs, strict=True))
    if any(whole.kept) or whole.length < 2 or len(set(body.carry_outputs)) < len(pairs):
        return False
    readers: dict[Node, list[Node]] = {}
    for node in whole.graph.nodes:
        for x in node.inputs:
            readers.setdefault(x, []).append(node)
    outputs = set(body.carry_outputs)
    if outputs & set(body.y_outputs) or outputs & set(body.carry_inputs):
        return False
    return all(_adds(before, after, readers) for before, after in pairs)


def _adds(before: Node, after: Node, readers: Mapping[Node, Sequence[Node]]) -> bool:
    """Whether a carry is what it was before plus or minus something, and nothing else looks at it."""
    if after.op not in (Add, Subtract) or after in readers or len(readers.get(before, ())) != 1:
        return False
    among = after.inputs if after.op is Add else after.inputs[:1]
    return any(x is before for x in among) and before.spec == after.spec


class _Apart(Builder):
    """Places of two kinds besides the arrays: a stretch's own, for its sums, and a thread's own, for the rest."""

    def __init__(self, whole: Whole, steps: Sequence[Step], *more: Any) -> None:
        self.sums = object()
        self.own = object()
        self.sums_bytes = 0
        self.last: dict[int, Fixed] = {}
        self.totals: list[tuple[int, Fixed]] = []
        super().__init__(whole, steps, *more)

    def _unkept(self, i: int, before: Node, after: Node, at: int | None) -> Fixed:
        place = self._sum(before)
        self.last[i] = place
        if self.overwritten.get(after) is before:
            self.where[before] = place
            self.after.append(place)
        else:
            self.turning[i] = (self._sum(before), place)
            self.where[before] = Turning(i, False)
            self.after.append(Turning(i, True))
        if at is not None:
            self.totals.append((i, self._row(after, at, 0, False)))
        return place

    def _sum(self, node: Node) -> Fixed:
        """Room for a carry in a stretch's own memory."""
        place = Fixed(self._operand(self.sums), self.sums_bytes)
        self.sums_bytes += _padded(node.size * node.dtype.itemsize)
        return place

    def _copy_first(self, node: Node, to: Fixed) -> None:
        """Sums begin at zero: the first carry is added in the end."""

    def _place_rest(self) -> None:
        """Results of what runs once lie in memory that all share; those of the turns in their thread's own."""
        once = self._taken_ahead()
        shared: dict[Any, Life] = {}
        lives: dict[Any, Life] = {}
        self.scratches: dict[Any, int] = {}
        for i, step in enumerate([*once, *self.each]):
            for key in step.arrays:
                if key in self.where:
                    continue
                if isinstance(key, Scratch):
                    self.scratches[key] = key.nbytes
                elif isinstance(key, Node) and key.op is None:
                    self.where[key] = Fixed(self._operand(key), 0)
                elif i < len(once):
                    shared[key] = Life(_size(key), 0, 0)
                elif key not in shared:
                    lives[key] = Life(_size(key), lives[key].first if key in lives else i, i)
        offsets, self.shared_bytes = plan(shared)
        for key, offset in offsets.items():
            self.where[key] = Fixed(self._operand(self.workspace), offset)
        taken = self._taken(lives, len(once))
        offsets, nbytes = plan(lives)
        for key, old in taken.items():
            offsets[key] = offsets[old]
        for key, offset in offsets.items():
            self.where[key] = Fixed(self._operand(self.own), offset)
        for key in self.scratches:
            self.where[key] = Fixed(self._operand(self.own), nbytes)
        self.own_bytes = _padded(nbytes + max(self.scratches.values(), default=0))

    def _taken(self, lives: dict[Any, Life], first: int) -> dict[Any, Any]:
        """Results that take the memory of what they are computed from, and what that is; they leave ``lives``."""
        found: dict[Any, Any] = {}
        for i, step in enumerate(self.each, first):
            for key, old in step.instead:
                own = found.get(old, old)
                if key not in lives or own not in lives or key in found or lives[key].first != i:
                    continue
                before, after = lives[own], lives[key]
                if before.last == i and before.nbytes == after.nbytes:
                    lives[own] = Life(before.nbytes, before.first, after.last)
                    found[key] = own
                    del lives[key]
        return found

    def step(self) -> Step:
        stretches = self._stretches()
        finishes = [self._finish(stretches, i, to) for i, to in self.totals]
        keys = self._keys(stretches)
        stretch = self._stretch(stretches)
        f, operands, _, _ = entry("scan", self.target)
        bases = [operand(f, operands, i) for i in range(len(self.operands))]
        table = f.stack(PTR, max((len(s.places) for s in (*self.first, *finishes)), default=1) or 1)

        def run(step: Step) -> None:
            self._tell(f, bases, step, table, 0, {}, True)
            parallel(f, bases[0], step.kernel.name, table, step.kernel.tasks)

        for step in self.first:
            run(step)
        parallel(f, bases[0], stretch.name, operands, stretches)
        for step in finishes:
            run(step)
        f.ret()
        f.name = f"scan_{hashlib.sha256((f.text() + stretch.name).encode()).hexdigest()[:20]}"
        return self._whole_step(f, stretch, finishes, keys, stretches)

    def _stretches(self) -> int:
        """How many there are: more than threads, but few enough that their sums do not count.

        Two and four threads get equally many of them.
        """
        length = self.whole.length
        moved = length * sum(step.kernel.bytes for step in self.each)
        wanted = min(max(FEWEST, moved // (SHARE * max(self.sums_bytes, 1))), MOST)
        return min(1 << (wanted.bit_length() - 1), length)

    def _keys(self, stretches: int) -> dict[Any, Any]:
        """Keys of the memory of the scan's own, as its step names it."""
        return {
            self.workspace: Workspace(self.shared_bytes),
            self.sums: Workspace(self.sums_bytes * stretches),
            self.own: Scratch(self.own_bytes),
        }

    def _stretch(self, stretches: int) -> Function:
        """The entry whose tasks are stretches. Its operands are those of the scan."""
        f, operands, task, thread = entry("stretch", self.target)
        bases = [operand(f, operands, i) for i in range(len(self.operands))]
        own = {self.sums: (task, self.sums_bytes), self.own: (thread, self.own_bytes)}
        for key, (number, nbytes) in own.items():
            if key in self.operands:
                i = self.operands[key]
                bases[i] = f.at(bases[i], f.mul_int(number, nbytes), I8)
        zeros = [step for i in self.last for step in self._zero(i)]
        room = max((len(step.places) for step in zeros), default=1)
        table = f.stack(PTR, room)
        tables = [f.stack(PTR, max(len(step.places), 1)) for step in self.each]
        for step in zeros:
            self._tell(f, bases, step, table, 0, {}, True)
            _run(f, step.kernel, table)
        for step, own_table in zip(self.each, tables, strict=True):
            self._tell(f, bases, step, own_table, 0, {}, True)

        first, end = evenly(f, task, self.whole.length, stretches)
        pairs = list(self.turning)
        swap = f.equal_int(f.mod_int(f.sub_int(end, first), 2), 0)  # so that the last turn writes the sum
        places: list[Value] = []
        for i in pairs:
            other, last = (f.at(bases[a.operand], a.offset, I8) for a in self.turning[i])
            places += [f.select(swap, last, other), f.select(swap, other, last)]

        def turn(count: Int, carried: list[Value]) -> list[Value]:
            time = f.sub_int(self.whole.length - 1, count) if self.whole.reverse else count
            now = {i: (carried[2 * n], carried[2 * n + 1]) for n, i in enumerate(pairs)}
            for step, own_table in zip(self.each, tables, strict=True):
                self._tell(f, bases, step, own_table, time, now, False)
                _run(f, step.kernel, own_table)
            return [carried[n ^ 1] for n in range(len(carried))]

        f.loop(first, end, 1, turn, places)
        f.ret()
        self.zeros = zeros
        f.name = f"stretch_{hashlib.sha256(f.text().encode()).hexdigest()[:20]}"
        return f

    def _zero(self, i: int) -> list[Step]:
        """Steps that clear a sum, in both places if it has two."""
        node = self.whole.body.carry_outputs[i]
        none = Instruction("number", (), node.dtype, number=0.0 if node.dtype.kind == "f" else 0, full=False)
        sizes = (max(node.size, 1),)
        loop = Loop(sizes, frozenset(), (Access((1,), node.dtype),), (none,), ((0, 0),))
        kernel = loops.lower(loop, self.target)
        found: list[Step] = []
        for n, address in enumerate(self.turning.get(i, (self.last[i],))):
            key = ("sum", i, n)
            self.where[key] = address
            found.append(Step([node], [Place(key)], frozenset([key]), kernel))
        return found

    def _finish(self, stretches: int, i: int, to: Fixed) -> Step:
        """A step that adds the stretches' sums of one carry to its first value."""
        node, target = self.whole.body.carry_outputs[i], ("total", i)
        first = as_it_lies(self.whole.sights[self.whole.given[self.whole.body.carry_inputs[i]]])
        start, parts = ("first", i), ("parts", i)
        self.where[start] = Fixed(self._operand(first.place.array), first.place.offset)
        self.where[parts], self.where[target] = self.last[i], to
        own = tuple(0 if n == 1 else s for n, s in zip(node.shape, first.strides, strict=True))
        dense = row_major(node.shape)
        arrays = (
            Access((self.sums_bytes // node.dtype.itemsize, *dense), node.dtype),
            Access((0, *own), node.dtype),
            Access((0, *dense), node.dtype),
        )
        body = (
            Instruction("load", (), node.dtype, array=0),
            Instruction("reduce", (0,), node.dtype, Sum, full=False, known=1),
            Instruction("load", (), node.dtype, array=1, full=False),
            Instruction("emit", (2, 1), node.dtype, Add, full=False, known=1),
        )
        loop = Loop((stretches, *node.shape), frozenset([0]), arrays, body, ((2, 3),))
        places = [Place(parts), Place(start), Place(target)]
        return Step([node], places, frozenset([target]), loops.lower(loop, self.target))

    def _whole_step(
        self,
        f: Function,
        stretch: Function,
        finishes: Sequence[Step],
        keys: Mapping[Any, Any],
        stretches: int,
    ) -> Step:
        times, members = self.whole.length, list(self.whole.members.values())
        kernels: list[Kernel] = [step.kernel for step in (*self.first, *finishes)]
        turns: list[Kernel] = [step.kernel for step in self.each]
        functions = [g for k in (*kernels, *turns, *(z.kernel for z in self.zeros)) for g in k.functions]
        kernel = Kernel(
            f.name,
            [f, stretch, *functions],
            1,
            times * sum(k.flops for k in turns) + sum(k.flops for k in kernels),
            times * sum(k.bytes for k in turns) + sum(k.bytes for k in kernels),
            jobs=max(stretches, *(k.widest for k in kernels), 1),
        )
        places = [Place(keys.get(key, key)) for key in self.operands]
        once = f", after {len(self.first)} kernels that run once" if self.first else ""
        note = f"{times} times, in {stretches} stretches that threads share{once}"
        inside = [replace(step, note=step.note) for step in self.each]
        return Step(members, places, frozenset([*members, *keys.values()]), kernel, note=note, inside=inside)


def _run(f: Function, kernel: Kernel, table: Value) -> None:
    """All tasks of a kernel, one after the other, on memory that belongs to the thread."""

    def one(task: Int, _: list[Value]) -> None:
        f.call(kernel.name, [table, f.operand(task), f.operand(0)], declare=True)

    f.loop(0, kernel.tasks, 1, one)


def _size(key: Any) -> int:
    return key.nbytes if isinstance(key, Workspace) else key.size * key.dtype.itemsize


def _padded(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
