"""What a loop computes, and how: its description, and the values of its body at one place of the domain.

A `Loop` is a list of instructions in single assignment, with how each array runs along the axes of the domain.
`Values` emits the instructions for a vector of places; loops and the epilogues of products run it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chainrule.compiler.on_native.division import Divisor, divisor, quotient
from chainrule.compiler.on_native.elements import Elements, promoted
from chainrule.compiler.on_native.ir import Function, Int, Type, Value, lanes_of, number, type_of
from chainrule.compiler.on_native.picking import Extents, picked
from chainrule.compiler.on_native.random_numbers import Counters, Key, generate, key_lanes
from chainrule.compiler.on_native.target import Target
from chainrule.errors import GraphError
from chainrule.ops.arithmetic import Divide, Multiply, Negative, Scale
from chainrule.ops.reduce import Max, Min, Prod, Sum
from chainrule.primitive import Primitive
from chainrule.shapes import DType, count


@dataclass(frozen=True, slots=True)
class Access:
    """How an array runs along the axes of the domain: strides in elements, and its dtype."""

    strides: tuple[int, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Instruction:
    """One value of a loop.

    Attributes:
        kind: ``load`` an array, a ``number``, ``emit`` a primitive, ``reduce`` along the reduced axes, ``gather``
            from an array at the indices in ``args``, ``generate`` random numbers from the key in an array.
        args: instructions before it.
        dtype: of the value.
        op, params: the primitive that is emitted or reduced with.
        array, number: what is read, or the number.
        full: whether it differs along the reduced axes.
        known: the number of reductions in a row that it waits for.
        unsigned: whether nobody outside of the loop sees the sign of its zeros.
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
    unsigned: bool = False

    def key(self) -> str:
        """Everything that the code for it depends on."""
        name = self.op.name if self.op else ""
        alike = self.unsigned and self.op is Scale  # else it changes nothing
        parts = (
            self.args,
            self.dtype,
            name,
            self.params,
            self.array,
            self.number,
            self.full,
            self.known,
            alike,
        )
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

    def lean(self) -> tuple[Loop, list[int]]:
        """The same with only those arrays that it uses, and which these are."""
        used = sorted({i.array for i in self.body if i.array >= 0} | {array for array, _ in self.stores})
        number = {array: i for i, array in enumerate(used)}
        lean = Loop(
            self.sizes,
            self.reduced,
            tuple(self.arrays[a] for a in used),
            tuple(replace(i, array=number[i.array]) if i.array >= 0 else i for i in self.body),
            tuple((number[array], n) for array, n in self.stores),
        )
        return lean, used


def collapsed(loop: Loop, first: bool = False) -> Loop:
    """The same with axes joined that every array crosses in one stride, and without axes of size 1.

    Args:
        loop: any.
        first: whether the first axis stays as it is.
    """
    axes = [a for a, n in enumerate(loop.sizes) if n != 1]
    joined: list[list[int]] = []
    for a in axes:
        last = joined[-1] if joined else None
        if last and (last[-1] in loop.reduced) == (a in loop.reduced) and not (first and last == [0]):
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


def as_matrix(loop: Loop, columns: int) -> Loop | None:
    """The same loop with its last axes as one of so many columns, and those before joined where all arrays allow it.

    None if some array does not cross the columns in one stride.
    """
    first, size = len(loop.sizes) - 1, loop.sizes[-1]
    while size < columns and first:
        first -= 1
        size *= loop.sizes[first]
    parts = [*_joined(loop, range(first)), *(_joined(loop, range(first, len(loop.sizes))) or [[first]])]
    if size != columns or sum(part[0] >= first for part in parts) > 1:
        return None
    return Loop(
        tuple(count(tuple(loop.sizes[a] for a in part)) for part in parts),
        loop.reduced,
        tuple(Access(tuple(x.strides[part[-1]] for part in parts), x.dtype) for x in loop.arrays),
        loop.body,
        loop.stores,
    )


def _joined(loop: Loop, axes: Iterable[int]) -> list[list[int]]:
    """Axes that every array crosses in one stride; those of size 1 are left out."""
    parts: list[list[int]] = []
    for a in axes:
        n = loop.sizes[a]
        if n == 1:
            continue
        if parts and all(x.strides[parts[-1][-1]] == x.strides[a] * n for x in loop.arrays):
            parts[-1].append(a)
        else:
            parts.append([a])
    return parts


_COMBINE: dict[type[Primitive], str] = {Sum: "add", Prod: "mul", Max: "maximum", Min: "minimum"}


class Values:
    """The values of a loop's body at one place of the domain. Each is a vector; what does not change along the
    vector axis is repeated in all lanes.

    Attributes:
        index: for each axis of the domain, where along it the place is.
        rows, fixed: values that are the same for all of a row, and everywhere, by instruction.
        divisors: what is the same everywhere, or for all of a row, and divides something that is not.
        keys: of random numbers, by instruction.
        unsigned: instructions of which nobody sees whether a zero is 0.0 or -0.0.
    """

    def __init__(
        self,
        f: Function,
        loop: Loop,
        pointers: Sequence[Value],
        vector: int,
        lanes: int,
        stored: int | None = None,
    ) -> None:
        self.f, self.loop, self.pointers = f, loop, pointers
        self.vector, self.lanes = vector, lanes
        self.elements = Elements(f)
        self.index: dict[int, Int] = {}
        self.rows: dict[int, Value] = {}
        self.fixed: dict[int, Value] = {}
        self.divisors: dict[int, Divisor] = {}
        self.keys: dict[int, Key] = {}
        self.unsigned = _only_summed(loop, stored) | {n for n, i in enumerate(loop.body) if i.unsigned}

    def full(self, n: int) -> bool:
        """Whether an instruction's value differs along the reduced axes."""
        return bool(self.loop.reduced) and self.loop.body[n].full

    def hoist(self) -> None:
        """Compute what is the same everywhere once: call it where that dominates all that follows."""
        for n, i in enumerate(self.loop.body):
            if i.kind == "generate":
                self.keys[n] = self._key(n)
            same = i.array < 0 or not any(self.loop.arrays[i.array].strides)
            if same and i.kind not in ("reduce", "result") and all(a in self.fixed for a in i.args):
                self.fixed[n] = self.compute(n, None, self.fixed)
        self.prepare_divisors(self.fixed)

    def prepare_divisors(self, known: Mapping[int, Value]) -> None:
        """Make divisions of what is not known yet, by what is, fast."""
        for i in self.loop.body:
            if i.op is Divide and i.args[1] in known and i.args[0] not in known:
                by = i.args[1]
                if self._of_one_dtype(i) and by not in self.divisors:
                    self.divisors[by] = divisor(self.f, known[by])

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
            return self.load(i.array, i.dtype, mask)
        if i.kind == "gather":
            return self._gather(i, mask, [known[a] if a in known else self.rows[a] for a in i.args])
        assert i.op is not None
        if i.kind == "generate":
            args = [known[a] if a in known else self.rows[a] for a in i.args]
            width: int = dict(i.params)["width"]
            return generate(self.f, i.op, i.dtype, width, self.keys[n], self._counters(i), args)
        assert i.op.emit is not None
        if i.op is Divide and i.args[1] in self.divisors and self._of_one_dtype(i):
            x = i.args[0]
            return quotient(self.f, known[x] if x in known else self.rows[x], self.divisors[i.args[1]])
        if i.op is Scale and n in self.unsigned:
            args = [known[a] if a in known else self.rows[a] for a in i.args]
            return self._product(*promoted(self.elements, args))
        args = [known[a] if a in known else self.rows[a] for a in i.args]
        return i.op.emit(self.elements, *promoted(self.elements, args), **dict(i.params))

    def _product(self, upstream: Value, factor: Value) -> Value:
        """A product that is 0.0 where ``upstream`` is zero, whatever the factor."""
        zero = number(upstream.type, 0.0)
        return self.f.select(self.f.compare("une", upstream, zero), self.f.mul(upstream, factor), zero)

    def address(self, array: int) -> Value:
        """Of an array's element at the current place."""
        access = self.loop.arrays[array]
        kind = type_of(access.dtype)
        place: Int = 0
        for axis, stride in enumerate(access.strides):
            if stride:
                place = self.f.add_int(place, self.f.mul_int(self.index[axis], stride))
        return self.f.at(self.pointers[array], place, kind)

    def load(self, array: int, dtype: DType, mask: Value | None) -> Value:
        """Elements of an array at the current place."""
        stride = self.loop.arrays[array].strides[self.vector]
        return self._read(self.address(array), stride, type_of(dtype).vector(self.lanes), mask)

    def _read(self, where: Value, stride: int, kind: Type, mask: Value | None) -> Value:
        f = self.f
        if stride == 0:
            return f.load_splat(where, kind)
        if stride == 1:
            return f.load(where, kind, mask)
        steps = lanes_of(Type("i64", self.lanes), [stride * lane for lane in range(self.lanes)])
        return f.gather(where, steps, kind, mask)

    def _gather(self, i: Instruction, mask: Value | None, indices: Sequence[Value]) -> Value:
        """Elements where indices lead; if these are the same in all lanes, it is a load like others."""
        f, stride = self.f, self.loop.arrays[i.array].strides[self.vector]
        kind = type_of(i.dtype).vector(self.lanes)
        extents: Extents = i.params[0][1]
        where = self.address(i.array)
        if not any(self.loop.arrays[self.loop.body[a].array].strides[self.vector] for a in i.args):
            place = picked(f, [f.lane(x, 0) for x in indices], extents)
            return self._read(f.at(where, place, kind), stride, kind, mask)
        places = picked(f, indices, extents)
        if stride:
            places = f.add(places, lanes_of(places.type, [stride * lane for lane in range(self.lanes)]))
        return f.gather(where, places, kind, mask)

    def _counters(self, i: Instruction) -> Counters:
        """Which random numbers the current place takes."""
        f, strides = self.f, self.loop.arrays[i.array].strides
        first: Int = 0
        for axis, stride in enumerate(strides):
            if stride:
                first = f.add_int(first, f.mul_int(self.index[axis], stride))
        return Counters(first, strides[self.vector], self.lanes, in_pairs(strides, self.vector))

    def _key(self, n: int) -> Key:
        i = self.loop.body[n]
        assert i.op is not None
        params = dict(i.params)
        even = in_pairs(self.loop.arrays[i.array].strides, self.vector)
        lanes = key_lanes(i.op, params["width"], self.lanes, even)
        return Key.load(self.f, self.pointers[i.array], params["stride"], lanes)

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


def place_of(values: Values, row: Int, column: Int, batch: Int | None = None) -> None:
    """Tell where in a domain a row and a column are: rows run through all axes but the last, or all but a batch."""
    f, sizes = values.f, values.loop.sizes
    last = len(sizes) - 1
    values.index[last] = column
    outer = list(range(last))
    if batch is not None:
        values.index[outer.pop()] = row
        row = batch
    for axis in reversed(outer[1:]):
        values.index[axis] = f.mod_int(row, sizes[axis])
        row = f.div_int(row, sizes[axis])
    if outer:
        values.index[outer[0]] = row


def _only_summed(loop: Loop, kept: int | None) -> set[int]:
    """Instructions that only go into sums, at most with other factors and signs: there all zeros are alike.

    Args:
        loop: any.
        kept: an instruction that is stored, next to what the loop stores.
    """
    users: dict[int, list[int]] = {}
    for n, i in enumerate(loop.body):
        for a in i.args:
            users.setdefault(a, []).append(n)
    stored = {kept, *(n for _, n in loop.stores)}
    found: set[int] = set()
    for n in sorted(users, reverse=True):
        then = [(u, loop.body[u].op) for u in users[n]]
        passed = all(
            op is Sum if loop.body[u].kind == "reduce" else op in (Negative, Multiply, Scale) and u in found
            for u, op in then
        )
        if passed and n not in stored:
            found.add(n)
    return found


def in_pairs(strides: Sequence[int], vector: int) -> bool:
    """Whether vectors of counters with these strides begin at even numbers and go up by one."""
    return strides[vector] == 1 and all(s % 2 == 0 for a, s in enumerate(strides) if a != vector)
