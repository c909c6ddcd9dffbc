"""Kernels for elementwise nodes and reductions: one loop nest over a domain, in as many passes as it needs.

A `Loop` says what is computed, as a list of instructions in single assignment, and how each array runs along the
axes of the domain. Equal loops share one kernel. One axis is cut into vectors; if that is a reduced one, sums are
kept in several vectors whose lanes are added at the end, always in the same order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from chainrule.compiler.on_native.call import remembered
from chainrule.compiler.on_native.division import Divisor
from chainrule.compiler.on_native.elements import slow
from chainrule.compiler.on_native.folding import folded
from chainrule.compiler.on_native.ir import Int, Value, first_lanes, number, type_of
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.revisiting import waits
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Loop, Values, collapsed, in_pairs
from chainrule.ops.arithmetic import Divide
from chainrule.ops.reduce import Max, Prod, Sum
from chainrule.primitive import Primitive
from chainrule.shapes import DType, count

UNROLL = 4
"""Vectors that a reduction keeps, to hide the latency of an addition."""
AHEAD = 8
"""How many rows ahead a reduction over them asks for what it will read,"""
APART = 1024
"""if they are at least so many bytes apart: the machine foresees no reads that each go to a page of their own."""
SHORT = 24
"""Instructions up to which a reduction over rows is written out so many times."""
ROWS = 8
"""Rows along which vectors lie that are summed together, at most: what they share is read and computed once."""
BESIDE = 4
"""Vectors beside each other that are reduced over rows together: what lies together in memory is then read together,
where each vector would go through all pages of memory anew."""
DIVISIONS = 4
"""Vectors of a row from which on it is worth preparing to divide them by one number."""
MANY = 8
"""Vectors of short rows that are worth reading across."""
TASK = 1 << 15
"""Elements of the domain that make a task worth the hand-over."""
TASKS = 32
"""At most so many tasks, whatever the size."""


@remembered(Loop.name)
def lower(loop: Loop, target: Target) -> Kernel:
    """The kernel of a loop. Its operands are the loop's arrays."""
    loop = collapsed(loop)
    return _Nest(loop, target).kernel()


def lower_items(loop: Loop, like: Kernel, target: Target) -> Kernel | None:
    """The kernel of a loop whose tasks share the first axis as those of another do; None if it runs in another way."""
    return _lower_items(loop, target, replace(like, name="", functions=()))


@remembered(Loop.name)
def _lower_items(loop: Loop, target: Target, like: Kernel) -> Kernel | None:
    for first in (False, True):
        nest = _Nest(collapsed(loop, first), target, f"_{like.items}_{like.together}_{like.tasks}")
        if nest.goes_by(like):
            return nest.kernel(like)
    return None


def _even(tasks: int) -> int:
    """At least so many, of which two or four threads get equally many: of three tasks one thread would run two."""
    return 1 << max(tasks - 1, 0).bit_length()


def _identity(op: type[Primitive] | None, dtype: DType) -> float | int | bool:
    """What a reduction starts from."""
    if op is Sum:
        return -0.0 if dtype.kind == "f" else 0
    if op is Prod:
        return 1
    if dtype.kind == "f":
        return float("-inf") if op is Max else float("inf")
    bits = 8 * dtype.itemsize - 1
    return -(2**bits) if op is Max else 2**bits - 1


@dataclass(slots=True)
class _Side:
    """One of several vectors beside each other, or of several rows that are summed together.

    Attributes:
        axis, place: where it is along the axis in which they differ.
        rows, divisors: as `Values` has them.
        single: what one pass computed for the next, where a row is one vector.
        known: what was computed outside of the passes.
    """

    axis: int
    place: Int
    rows: dict[int, Value]
    divisors: dict[int, Divisor]
    single: dict[int, Value] | None
    known: dict[int, Value] = field(default_factory=dict[int, Value])


class _Nest(Values):
    """The loops of one kernel."""

    def __init__(self, loop: Loop, target: Target, suffix: str = "") -> None:
        self.name = loop.name(target) + suffix
        f, operands, self.task, _ = entry(self.name, target)
        itemsizes = [a.dtype.itemsize for a in loop.arrays if a.dtype.itemsize >= 4]
        pointers = [operand(f, operands, i) for i in range(len(loop.arrays))]
        lanes = target.isa.lanes(min(itemsizes, default=4))
        vector = _vector_axis(loop, lanes)
        for i in loop.body:  # whole vectors of words, of which two may make one of numbers
            if i.kind == "generate":
                pairs = in_pairs(loop.arrays[i.array].strides, vector)
                lanes = max(
                    lanes, target.isa.lanes(4) * (2 if dict(i.params)["width"] == 32 and pairs else 1)
                )
        super().__init__(f, loop, pointers, vector, lanes)
        self.kept = [a for a in range(len(loop.sizes)) if a not in loop.reduced and a != self.vector]
        self.gone = [a for a in sorted(loop.reduced) if a != self.vector]
        self.across = self.vector in loop.reduced
        self.passes = 1 + max((i.known for i in loop.body), default=0)
        self.divides = self._divides()
        self.beside = self._most_beside()
        self.waits = () if self._fits_one_vector() else waits(loop, vector)

    def _most_beside(self) -> int:
        """How many vectors beside each other are reduced together, as far as registers hold their sums."""
        sums = sum(i.kind == "reduce" for i in self.loop.body)
        if self.across:
            return self._most_rows(sums)
        if not self.gone or len(self.loop.body) > SHORT:
            return 1
        most = self.f.target.isa.registers // 2 // max(sums, 1)
        return max(n for n in (1, 2, BESIDE) if n <= max(most, 1))

    def _most_rows(self, sums: int) -> int:
        """How many rows along which vectors lie are summed together, of those that follow each other on one axis."""
        loop, registers = self.loop, self.f.target.isa.registers
        alike = all(i.op is Sum and i.dtype.kind == "f" for i in loop.body if i.kind == "reduce")
        plain = all(i.kind in ("load", "number", "emit", "reduce") for i in loop.body)
        divides = any(i.op is Divide for i in loop.body)
        if not sums or not alike or not plain or divides or self.gone or not self.kept:
            return 1
        if len(loop.body) > SHORT or self._fits_one_vector() or not self._shared():
            return 1
        most = min(ROWS, self.lanes, registers // 2 // (sums * self._width(1)))
        return max(n for n in range(1, max(most, 1) + 1) if loop.sizes[self.kept[-1]] % n == 0)

    def _shared(self) -> frozenset[int]:
        """Instructions that load or compute the same in all rows along the last axis that is kept."""
        found: set[int] = set()
        for n, i in enumerate(self.loop.body):
            own = i.kind == "load" and self.loop.arrays[i.array].strides[self.kept[-1]]
            if (
                i.full
                and i.kind in ("load", "emit")
                and not own
                and found.issuperset(a for a in i.args if self.loop.body[a].kind != "number")
            ):
                found.add(n)
        return frozenset(found)

    def _divides(self) -> bool:
        """Whether it is worth preparing to divide rows: if they are long, and the divider is what is waited for.

        Beside elementary functions, which do not need it, it works for nothing.
        """
        loop = self.loop
        reduced = count(tuple(loop.sizes[a] for a in loop.reduced))
        if not loop.reduced or reduced < DIVISIONS * (self.lanes if self.across else 1):
            return False
        return not any(
            i.op and i.op is not Divide and slow(i.op, tuple(loop.body[a].dtype for a in i.args), i.params)
            for i in loop.body
            if i.kind == "emit"
        )

    def goes_by(self, like: Kernel) -> bool:
        """Whether tasks can share the items of another kernel: some rows each, or some whole vectors of a row."""
        each = self.loop.sizes[0] // max(like.items, 1)
        if like.items < 2 or self.loop.sizes[0] % like.items:
            return False
        alone = self.vector == 0 and not self.across and not self.kept
        return self.kept[:1] == [0] or (alone and each * like.together % self.lanes == 0)

    def kernel(self, like: Kernel | None = None) -> Kernel:
        """All of it; the tasks share the first axis as those of ``like`` do."""
        loop, f = self.loop, self.f
        if not count(loop.sizes):
            return Kernel(self.name, (f,), 1, 0, 0)
        domain = count(loop.sizes)
        if like and self.across:
            self.beside = 1
        tasks, rows, columns = self._cut_like(like) if like else self._cut()
        step = self.beside if self.across else 1

        def row(i: Int, _: list[Value]) -> None:
            rest = i
            for a in reversed(self.kept):
                self.index[a] = f.mod_int(rest, loop.sizes[a])
                rest = f.div_int(rest, loop.sizes[a])
            if self.across:
                self._passes(None, step)
            else:
                self._columns(columns)

        self.hoist()
        f.loop(rows[0], rows[1], step, row, may_be_empty=True)
        costs = [i.op for i in loop.body if i.op is not None]
        found = {i.array: i.kind for i in loop.body}  # of what is stored there is no instruction
        moved = sum(_reach(a, loop.sizes, found.get(n)) * a.dtype.itemsize for n, a in enumerate(loop.arrays))
        shared = (like.items, like.together) if like else ()
        return Kernel(self.name, (f,), tasks, len(costs) * domain, moved, *shared)

    def _cut(self) -> tuple[int, tuple[Int, Int], tuple[Int, Int]]:
        """How many tasks there are, and the rows and columns of one."""
        f, width = self.f, self.loop.sizes[self.vector]
        outer = count(tuple(self.loop.sizes[a] for a in self.kept))
        tasks = min(TASKS, _even(count(self.loop.sizes) // TASK))
        if outer < tasks and not self.across:
            tasks = max(1, min(tasks, width // (4 * self.lanes)))
            return tasks, (0, outer), share(f, self.task, width, tasks, 4 * self.lanes)
        tasks = min(tasks, max(1, outer))
        step = self.beside if self.across else 1
        return tasks, share(f, self.task, outer, tasks, step), (0, width)

    def _cut_like(self, like: Kernel) -> tuple[int, tuple[Int, Int], tuple[Int, Int]]:
        """The same for tasks that share the items of another kernel."""
        f, width = self.f, self.loop.sizes[self.vector]
        outer = count(tuple(self.loop.sizes[a] for a in self.kept))
        if self.kept:
            each = outer // like.items * like.together
            return like.tasks, share(f, self.task, outer, like.tasks, each), (0, width)
        each = width // like.items * like.together
        return like.tasks, (0, 1), share(f, self.task, width, like.tasks, each)

    def _columns(self, bounds: tuple[Int, Int]) -> None:
        """Vectors along an axis that is kept: whole ones, then the rest under a mask."""
        start, stop = bounds
        lanes = self.lanes
        if isinstance(start, int) and isinstance(stop, int):
            whole = start + (stop - start) // lanes * lanes
            self._column_loop(start, whole, None)
            if stop > whole:
                self.index[self.vector] = whole
                self._passes(first_lanes(stop - whole, lanes))
            return
        f, size = self.f, self.loop.sizes[self.vector]
        whole = size // lanes * lanes
        self._column_loop(start, f.min_int(stop, whole), None)
        if size > whole:

            def rest() -> None:
                self.index[self.vector] = whole
                self._passes(first_lanes(size - whole, lanes))

            f.when(f.equal_int(stop, size), rest)

    def _column_loop(self, start: Int, stop: Int, mask: Value | None) -> None:
        f = self.f

        def body(i: Int, _: list[Value], beside: int) -> None:
            self.index[self.vector] = i
            self._passes(mask, beside)

        def several(start: Int, stop: Int, beside: int) -> None:
            if not (isinstance(start, int) and isinstance(stop, int) and start >= stop):
                step = beside * self.lanes
                f.loop(start, stop, step, lambda i, _: body(i, _, beside), may_be_empty=True)

        if self.beside > 1:
            step = self.beside * self.lanes
            together = f.add_int(start, f.mul_int(f.div_int(f.sub_int(stop, start), step), step))
            several(start, together, self.beside)
            start = together
        several(start, stop, 1)

    def _passes(self, mask: Value | None, beside: int = 1) -> None:
        """All passes over the reduced axes for one row, and the results that the row gives.

        Args:
            mask: of lanes that count.
            beside: for so many vectors, of which the first one's place is told.
        """
        sides = [self._side(n) for n in range(beside)]
        for step in range(self.passes):
            for side in sides:
                self._take(side)
                for n, i in enumerate(self.loop.body):  # before the loops, so that all of them can use it
                    if self.loop.reduced and not i.full and i.known == step and i.kind != "reduce":
                        self.value(n, mask, side.known)
                if self.divides:
                    self.prepare_divisors(self.rows)
            sums = [n for n, i in enumerate(self.loop.body) if i.kind == "reduce" and i.known == step + 1]
            writes = [
                s for s in self.loop.stores if self._spread(s[0]) and self.loop.body[s[1]].known == step
            ]
            if sums or writes:
                self._sweep(step, sums, writes, mask, sides)
        for side in sides:
            self._take(side)
            for array, n in self.loop.stores:
                if not self._spread(array):
                    self.store(array, self.value(n, mask, side.known), mask)

    def _side(self, number: int) -> _Side:
        axis = self.kept[-1] if self.across and self.kept else self.vector
        place = self.f.add_int(self.index.get(axis, 0), number * (1 if self.across else self.lanes))
        divisors = {n: d for n, d in self.divisors.items() if n in self.fixed}
        return _Side(axis, place, dict(self.fixed), divisors, {} if self._fits_one_vector() else None)

    def _take(self, side: _Side) -> None:
        """Be at the place of one of several vectors."""
        self.rows, self.divisors = side.rows, side.divisors
        if not self.across or self.kept:
            self.index[side.axis] = side.place

    def _spread(self, array: int) -> bool:
        """Whether an array has elements of its own along the reduced axes."""
        return any(self.loop.arrays[array].strides[a] for a in self.loop.reduced)

    def _fits_one_vector(self) -> bool:
        """Whether the reduced axes are one vector: then what one pass computed is at hand in the next."""
        return self.across and not self.gone and self.loop.sizes[self.vector] <= self.lanes

    def _sweep(
        self,
        step: int,
        sums: Sequence[int],
        writes: Sequence[tuple[int, int]],
        mask: Value | None,
        sides: Sequence[_Side],
    ) -> None:
        """One pass over the reduced axes: accumulate ``sums``, store ``writes``."""
        body, f = self.loop.body, self.f
        kinds = [type_of(body[n].dtype).vector(self.lanes) for n in sums]
        start = [number(k, _identity(body[n].op, body[n].dtype)) for n, k in zip(sums, kinds, strict=True)]

        shared = self._shared() if self.across and len(sides) > 1 else frozenset[int]()

        def visit(part: Value | None, totals: list[Value], lane: int) -> list[Value]:
            """One vector, or all beside it; ``lane`` says which of those kept for each sum it is added to."""
            totals = list(totals)
            first: dict[int, Value] = {}
            for s, side in enumerate(sides):
                self._take(side)
                if len(sides) > 1 and not self.across:
                    self._ask()
                known: dict[int, Value] = {} if side.single is None else side.single
                known.update((n, value) for n, value in first.items() if n in shared)
                for wait in self.waits:
                    if step in wait.later:
                        known[wait.instruction] = self.load(wait.array, body[wait.instruction].dtype, part)
                for place, n in enumerate(sums):
                    value = self.value(body[n].args[0], part, known)
                    if self.across and part is not None:
                        value = f.select(part, value, start[place])
                    at = (lane * len(sides) + s) * len(sums) + place
                    totals[at] = self.combine(body[n].op, totals[at], value)
                for array, n in writes:
                    self.store(array, self.value(n, part, known), part)
                for wait in self.waits:  # last: its place may be that of something read here
                    if step == wait.first:
                        self.store(wait.array, self.value(wait.instruction, part, known), part)
                first = first or known
            return totals

        width = self._width(len(sides))
        totals = self._nest(list(self.gone), start * (width * len(sides)), visit, mask, width)
        found: list[Value] = []
        for i, (_, n) in enumerate(itertools.product(sides, sums)):
            parts = totals[i :: len(sides) * len(sums)]
            while len(parts) > 1:
                parts = [self.combine(body[n].op, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
            found.append(parts[0])
        if self.across:
            found = self._folded(found, sums, len(sides))
        for total, (side, n) in zip(found, itertools.product(sides, sums), strict=True):
            if body[n].op is Sum and body[n].dtype.kind == "f":
                total = f.add(total, number(total.type, 0.0))  # the sum of nothing, and of -0.0, is 0.0
            side.rows[n] = total

    def _folded(self, totals: list[Value], sums: Sequence[int], sides: int) -> list[Value]:
        """The lanes of each total as one number, in all lanes."""
        f, body = self.f, self.loop.body
        if sides == 1:
            return [f.splat(self.fold(body[n].op, t), self.lanes) for n, t in zip(sums, totals, strict=True)]
        found = list(totals)
        for place in range(len(sums)):
            together = folded(f, totals[place :: len(sums)])
            for s in range(sides):
                found[s * len(sums) + place] = f.splat(f.lane(together, s), self.lanes)
        return found

    def _ask(self) -> None:
        """Ask for what lies some rows ahead, if rows are far apart."""
        axis = self.gone[-1]
        here = self.index[axis]
        self.index[axis] = self.f.add_int(here, AHEAD)
        for i in self.loop.body:
            if i.kind == "load" and self.loop.arrays[i.array].strides[axis] * i.dtype.itemsize >= APART:
                self.f.prefetch(self.address(i.array), locality=2)
        self.index[axis] = here

    def _width(self, beside: int) -> int:
        """How many vectors are kept for each sum, one for each of some that follow each other."""
        if self.across:
            return UNROLL if self.loop.sizes[self.vector] >= 2 * UNROLL * self.lanes else 1
        deep = bool(self.gone) and self.loop.sizes[self.gone[-1]] >= 2 * UNROLL
        written = sum(i.full for i in self.loop.body)
        return max(1, UNROLL // beside) if deep and written <= SHORT else 1

    def _nest(
        self,
        axes: list[int],
        carried: list[Value],
        visit: Callable[[Value | None, list[Value], int], list[Value]],
        mask: Value | None,
        width: int,
    ) -> list[Value]:
        """Loops over reduced axes, outer ones first; the vectors along the innermost if it is reduced."""
        f = self.f
        if len(axes) == 1 and width > 1 and not self.across:

            def turns(i: Int, inside: list[Value]) -> list[Value]:
                for lane in range(width):
                    self.index[axes[0]] = f.add_int(i, lane)
                    inside = visit(mask, inside, lane)
                return inside

            size = self.loop.sizes[axes[0]]
            carried = f.loop(0, size // width * width, width, turns, carried)
            for i in range(size // width * width, size):
                self.index[axes[0]] = i
                carried = visit(mask, carried, 0)
            return carried
        if axes:

            def turn(i: Int, inside: list[Value]) -> list[Value]:
                self.index[axes[0]] = i
                return self._nest(axes[1:], inside, visit, mask, width)

            return f.loop(0, self.loop.sizes[axes[0]], 1, turn, carried)
        if not self.across:
            return visit(mask, carried, 0)
        size, lanes = self.loop.sizes[self.vector], self.lanes

        def several(i: Int, inside: list[Value]) -> list[Value]:
            for lane in range(width):
                self.index[self.vector] = f.add_int(i, lane * lanes)
                inside = visit(None, inside, lane)
            return inside

        def one(i: Int, inside: list[Value]) -> list[Value]:
            self.index[self.vector] = i
            return visit(None, inside, 0)

        bulk = size // (width * lanes) * width * lanes
        whole = size // lanes * lanes
        carried = f.loop(0, bulk, width * lanes, several, carried)
        carried = f.loop(bulk, whole, lanes, one, carried)
        if size > whole:
            self.index[self.vector] = whole
            carried = visit(first_lanes(size - whole, lanes), carried, 0)
        return carried


def _vector_axis(loop: Loop, lanes: int) -> int:
    """The axis along which most arrays are adjacent; of those the last.

    Rows to be reduced that do not fill a vector, as the scores of ten classes, are taken many at a time instead.
    """

    def merit(axis: int) -> tuple[int, int, int]:
        steps = [a.strides[axis] for a in loop.arrays]
        awkward = sum(1 for s in steps if s not in (0, 1))
        return (-awkward, sum(1 for s in steps if s == 1), axis)

    wide = [a for a in range(len(loop.sizes)) if loop.sizes[a] > 1] or [0]
    best = max(wide, key=merit)
    if loop.reduced == frozenset([best]) and 4 * loop.sizes[best] <= 3 * lanes:
        best = max((a for a in wide if a != best and loop.sizes[a] >= MANY * lanes), key=merit, default=best)
    return best


def _reach(access: Access, sizes: Sequence[int], kind: str | None) -> int:
    """How many elements of an array a loop touches."""
    if kind == "gather":
        return count(tuple(sizes))
    if kind == "generate":
        return 2
    return count(tuple(n for n, s in zip(sizes, access.strides, strict=True) if s))
