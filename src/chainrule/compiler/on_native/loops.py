"""Kernels for elementwise nodes and reductions: one loop nest over a domain, in as many passes as it needs.

A `Loop` says what is computed, as a list of instructions in single assignment, and how each array runs along the
axes of the domain. Equal loops share one kernel. One axis is cut into vectors; if that is a reduced one, sums are
kept in several vectors whose lanes are added at the end, always in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.compiler.on_native.division import Divisor, divisor, quotient
from chainrule.compiler.on_native.elements import Elements, promoted
from chainrule.compiler.on_native.ir import (
    Function,
    Int,
    Type,
    Value,
    first_lanes,
    lanes_of,
    number,
    type_of,
)
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.target import Target
from chainrule.errors import GraphError
from chainrule.ops.arithmetic import Divide
from chainrule.ops.reduce import Max, Min, Prod, Sum
from chainrule.primitive import Primitive
from chainrule.shapes import DType, count

UNROLL = 4
"""Vectors that a reduction keeps, to hide the latency of an addition."""
TASK = 1 << 15
"""Elements of the domain that make a task worth the hand-over."""
TASKS = 32
"""At most so many tasks, whatever the size."""


@dataclass(frozen=True, slots=True)
class Access:
    """How an array runs along the axes of the domain: strides in elements, and its dtype."""

    strides: tuple[int, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Instruction:
    """One value of a loop.

    Attributes:
        kind: ``load`` an array, a ``number``, ``emit`` a primitive, ``reduce`` along the reduced axes.
        args: instructions before it.
        dtype: of the value.
        op, params: the primitive that is emitted or reduced with.
        array, number: what is loaded, or the number.
        full: whether it differs along the reduced axes.
        known: the number of reductions in a row that it waits for.
    """

    kind: str
    args: tuple[int, ...]
    dtype: DType
    op: type[Primitive] | None = None
    params: tuple[tuple[str, Any], ...] = ()
    array: int = -1
    number: float | int | bool = 0
    full: bool = True
    known: int = 0

    def key(self) -> str:
        """Everything that the code for it depends on."""
        name = self.op.name if self.op else ""
        parts = (self.args, self.dtype, name, self.params, self.array, self.number, self.full, self.known)
        return f"{self.kind} {' '.join(map(repr, parts))}"


@dataclass(frozen=True, slots=True)
class Loop:
    """What a kernel computes.

    Attributes:
        sizes: of the domain's axes.
        reduced: which of them are reduced.
        arrays: those that are loaded and stored, in the order of the operand table.
        body: instructions.
        stores: array and instruction, for each result.
    """

    sizes: tuple[int, ...]
    reduced: frozenset[int]
    arrays: tuple[Access, ...]
    body: tuple[Instruction, ...]
    stores: tuple[tuple[int, int], ...]

    def name(self, target: Target) -> str:
        """A symbol for the kernel: equal for equal loops."""
        parts = [self.sizes, sorted(self.reduced), [(a.strides, a.dtype.name) for a in self.arrays]]
        text = "\n".join([*map(repr, parts), *(i.key() for i in self.body), repr(self.stores)])
        return f"loop_{target.isa.name}_{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def collapsed(loop: Loop) -> Loop:
    """The same with axes joined that every array crosses in one stride, and without axes of size 1."""
    axes = [a for a, n in enumerate(loop.sizes) if n != 1]
    joined: list[list[int]] = []
    for a in axes:
        last = joined[-1] if joined else None
        if last and (last[-1] in loop.reduced) == (a in loop.reduced):
            n = loop.sizes[a]
            if all(x.strides[last[-1]] == x.strides[a] * n for x in loop.arrays):
                last.append(a)
                continue
        joined.append([a])
    sizes = tuple(count(tuple(loop.sizes[a] for a in part)) for part in joined)
    arrays = tuple(Access(tuple(x.strides[part[-1]] for part in joined), x.dtype) for x in loop.arrays)
    reduced = frozenset(i for i, part in enumerate(joined) if part[0] in loop.reduced)
    if not sizes:
        sizes, arrays = (1,), tuple(Access((0,), x.dtype) for x in loop.arrays)
    return Loop(sizes, reduced, arrays, loop.body, loop.stores)


def lower(loop: Loop, target: Target) -> Kernel:
    """The kernel of a loop. Its operands are the loop's arrays."""
    loop = collapsed(loop)
    return _Nest(loop, target).kernel()


_COMBINE: dict[type[Primitive], str] = {Sum: "add", Prod: "mul", Max: "maximum", Min: "minimum"}


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


class Values:
    """The values of a loop's body at one place of the domain. Each is a vector; what does not change along the
    vector axis is repeated in all lanes.

    Attributes:
        index: for each axis of the domain, where along it the place is.
        rows, fixed: values that are the same for all of a row, and everywhere, by instruction.
        divisors: of the fixed ones, those by which something that is not fixed is divided.
    """

    def __init__(self, f: Function, loop: Loop, pointers: Sequence[Value], vector: int, lanes: int) -> None:
        self.f, self.loop, self.pointers = f, loop, pointers
        self.vector, self.lanes = vector, lanes
        self.elements = Elements(f)
        self.index: dict[int, Int] = {}
        self.rows: dict[int, Value] = {}
        self.fixed: dict[int, Value] = {}
        self.divisors: dict[int, Divisor] = {}

    def full(self, n: int) -> bool:
        """Whether an instruction's value differs along the reduced axes."""
        return bool(self.loop.reduced) and self.loop.body[n].full

    def hoist(self) -> None:
        """Compute what is the same everywhere once: call it where that dominates all that follows."""
        for n, i in enumerate(self.loop.body):
            if i.kind == "load":
                same = not any(self.loop.arrays[i.array].strides)
            else:
                same = i.kind not in ("reduce", "result") and all(a in self.fixed for a in i.args)
            if same:
                self.fixed[n] = self.compute(n, None, self.fixed)
        for i in self.loop.body:
            if i.op is Divide and i.args[1] in self.fixed and i.args[0] not in self.fixed:
                by = i.args[1]
                if self._of_one_dtype(i) and by not in self.divisors:
                    self.divisors[by] = divisor(self.f, self.fixed[by])

    def _of_one_dtype(self, division: Instruction) -> bool:
        """Whether a division can go by its divisor's reciprocal."""
        alike = all(self.loop.body[a].dtype is division.dtype for a in division.args)
        return alike and self.f.target.isa.fma

    def value(self, n: int, mask: Value | None, known: dict[int, Value]) -> Value:
        """Instruction ``n`` at the current place; ``known`` holds what was computed there already."""
        work = [n]
        while work:
            at = work[-1]
            if at in known or at in self.rows:
                work.pop()
                continue
            missing = [a for a in self._needs(at) if a not in known and a not in self.rows]
            if missing:
                work.extend(missing)
                continue
            value = self.compute(at, mask, known)
            (known if self.full(at) or not self.loop.reduced else self.rows)[at] = value
            work.pop()
        return known[n] if n in known else self.rows[n]

    def _needs(self, n: int) -> tuple[int, ...]:
        return () if self.loop.body[n].kind == "reduce" else self.loop.body[n].args

    def compute(self, n: int, mask: Value | None, known: Mapping[int, Value]) -> Value:
        i = self.loop.body[n]
        kind = type_of(i.dtype).vector(self.lanes)
        if i.kind == "number":
            return number(kind, i.number)
        if i.kind == "result":
            raise GraphError("native code: a product's result is needed where there is none")
        if i.kind == "load":
            return self._load(i.array, kind, mask)
        assert i.op is not None
        assert i.op.emit is not None
        if i.op is Divide and i.args[1] in self.divisors and self._of_one_dtype(i):
            x = i.args[0]
            return quotient(self.f, known[x] if x in known else self.rows[x], self.divisors[i.args[1]])
        args = [known[a] if a in known else self.rows[a] for a in i.args]
        return i.op.emit(self.elements, *promoted(self.elements, args), **dict(i.params))

    def address(self, array: int) -> Value:
        """Of an array's element at the current place."""
        access = self.loop.arrays[array]
        kind = type_of(access.dtype)
        place: Int = 0
        for axis, stride in enumerate(access.strides):
            if stride:
                place = self.f.add_int(place, self.f.mul_int(self.index[axis], stride))
        return self.f.at(self.pointers[array], place, kind)

    def _load(self, array: int, kind: Type, mask: Value | None) -> Value:
        f, stride = self.f, self.loop.arrays[array].strides[self.vector]
        where = self.address(array)
        if stride == 0:
            return f.load_splat(where, kind)
        if stride == 1:
            return f.load(where, kind, mask)
        steps = lanes_of(Type("i64", self.lanes), [stride * lane for lane in range(self.lanes)])
        return f.gather(where, steps, kind, mask)

    def store(self, array: int, value: Value, mask: Value | None) -> None:
        f, stride = self.f, self.loop.arrays[array].strides[self.vector]
        where = self.address(array)
        if stride == 0:
            f.store(f.lane(value, 0), where)
        elif stride == 1:
            f.store(value, where, mask)
        else:
            steps = lanes_of(Type("i64", self.lanes), [stride * lane for lane in range(self.lanes)])
            f.scatter(value, where, steps, mask)

    def combine(self, op: type[Primitive] | None, a: Value, b: Value) -> Value:
        assert op is not None
        combined: Value = getattr(self.elements, _COMBINE[op])(a, b)
        return combined

    def fold(self, op: type[Primitive] | None, vector: Value) -> Value:
        """All lanes into one, halves first."""
        f = self.f
        while vector.type.lanes > 1:
            half = vector.type.lanes // 2
            low, high = (
                f.shuffle(vector, vector, range(half)),
                f.shuffle(vector, vector, range(half, 2 * half)),
            )
            vector = self.combine(op, low, high)
        return f.lane(vector, 0)


class _Nest(Values):
    """The loops of one kernel."""

    def __init__(self, loop: Loop, target: Target) -> None:
        self.name = loop.name(target)
        f, operands, self.task, _ = entry(self.name, target)
        itemsizes = [a.dtype.itemsize for a in loop.arrays if a.dtype.itemsize >= 4]
        pointers = [operand(f, operands, i) for i in range(len(loop.arrays))]
        lanes = target.isa.lanes(min(itemsizes, default=4))
        super().__init__(f, loop, pointers, _vector_axis(loop), lanes)
        self.kept = [a for a in range(len(loop.sizes)) if a not in loop.reduced and a != self.vector]
        self.gone = [a for a in sorted(loop.reduced) if a != self.vector]
        self.across = self.vector in loop.reduced
        self.passes = 1 + max((i.known for i in loop.body), default=0)

    def kernel(self) -> Kernel:
        loop, f = self.loop, self.f
        if not count(loop.sizes):
            return Kernel(self.name, (f,), 1, 0, 0)
        outer = count(tuple(loop.sizes[a] for a in self.kept))
        width = loop.sizes[self.vector]
        domain = count(loop.sizes)
        tasks = max(1, min(TASKS, domain // TASK))
        by_rows = outer >= tasks
        if not by_rows and not self.across:
            tasks = max(1, min(tasks, width // (4 * self.lanes)))
        elif not by_rows:
            tasks = max(1, outer)
            by_rows = True
        rows = share(f, self.task, outer, tasks) if by_rows else (0, outer)
        columns = (0, width) if by_rows or self.across else share(f, self.task, width, tasks, 4 * self.lanes)

        def row(i: Int, _: list[Value]) -> None:
            rest = i
            for a in reversed(self.kept):
                self.index[a] = f.mod_int(rest, loop.sizes[a])
                rest = f.div_int(rest, loop.sizes[a])
            if self.across:
                self._passes(None)
            else:
                self._columns(columns)

        self.hoist()
        f.loop(rows[0], rows[1], 1, row, may_be_empty=True)
        costs = [i.op for i in loop.body if i.op is not None]
        moved = sum(_reach(a, loop.sizes) * a.dtype.itemsize for a in loop.arrays)
        return Kernel(self.name, (f,), tasks, len(costs) * domain, moved)

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
        def body(i: Int, _: list[Value]) -> None:
            self.index[self.vector] = i
            self._passes(mask)

        if not (isinstance(start, int) and isinstance(stop, int) and start >= stop):
            self.f.loop(start, stop, self.lanes, body, may_be_empty=True)

    def _passes(self, mask: Value | None) -> None:
        """All passes over the reduced axes for one row, and the results that the row gives."""
        self.rows = dict(self.fixed)
        known: dict[int, Value] = {}
        single: dict[int, Value] | None = {} if self._fits_one_vector() else None
        for step in range(self.passes):
            for n, i in enumerate(self.loop.body):  # before the loops, so that all of them can use it
                if self.loop.reduced and not i.full and i.known == step and i.kind != "reduce":
                    self.value(n, mask, known)
            sums = [n for n, i in enumerate(self.loop.body) if i.kind == "reduce" and i.known == step + 1]
            writes = [
                s for s in self.loop.stores if self._spread(s[0]) and self.loop.body[s[1]].known == step
            ]
            if sums or writes:
                self._sweep(sums, writes, mask, single)
        for array, n in self.loop.stores:
            if not self._spread(array):
                self.store(array, self.value(n, mask, known), mask)

    def _spread(self, array: int) -> bool:
        """Whether an array has elements of its own along the reduced axes."""
        return any(self.loop.arrays[array].strides[a] for a in self.loop.reduced)

    def _fits_one_vector(self) -> bool:
        """Whether the reduced axes are one vector: then what one pass computed is at hand in the next."""
        return self.across and not self.gone and self.loop.sizes[self.vector] <= self.lanes

    def _sweep(
        self,
        sums: Sequence[int],
        writes: Sequence[tuple[int, int]],
        mask: Value | None,
        single: dict[int, Value] | None,
    ) -> None:
        """One pass over the reduced axes: accumulate ``sums``, store ``writes``."""
        body, f = self.loop.body, self.f
        kinds = [type_of(body[n].dtype).vector(self.lanes) for n in sums]
        start = [number(k, _identity(body[n].op, body[n].dtype)) for n, k in zip(sums, kinds, strict=True)]

        def visit(part: Value | None, totals: list[Value], lane: int) -> list[Value]:
            """One vector; ``lane`` says which of the vectors kept for each sum it is added to."""
            known: dict[int, Value] = {} if single is None else single
            totals = list(totals)
            for place, n in enumerate(sums):
                value = self.value(body[n].args[0], part, known)
                if self.across and part is not None:
                    value = f.select(part, value, start[place])
                at = lane * len(sums) + place
                totals[at] = self.combine(body[n].op, totals[at], value)
            for array, n in writes:
                self.store(array, self.value(n, part, known), part)
            return totals

        width = UNROLL if self.across and self.loop.sizes[self.vector] >= 2 * UNROLL * self.lanes else 1
        totals = self._nest(list(self.gone), start * width, visit, mask, width)
        for place, n in enumerate(sums):
            parts = [totals[lane * len(sums) + place] for lane in range(width)]
            while len(parts) > 1:
                parts = [self.combine(body[n].op, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
            total = parts[0]
            if self.across:
                total = f.splat(self.fold(body[n].op, total), self.lanes)
            if body[n].op is Sum and body[n].dtype.kind == "f":
                total = f.add(total, number(total.type, 0.0))  # the sum of nothing, and of -0.0, is 0.0
            self.rows[n] = total

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


def _vector_axis(loop: Loop) -> int:
    """The axis along which most arrays are adjacent; of those the last."""

    def merit(axis: int) -> tuple[int, int, int]:
        steps = [a.strides[axis] for a in loop.arrays]
        awkward = sum(1 for s in steps if s not in (0, 1))
        return (-awkward, sum(1 for s in steps if s == 1), axis)

    wide = [a for a in range(len(loop.sizes)) if loop.sizes[a] > 1] or [0]
    return max(wide, key=merit)


def _reach(access: Access, sizes: Sequence[int]) -> int:
    return count(tuple(n for n, s in zip(sizes, access.strides, strict=True) if s))
