"""Values added or written where an index with arrays points, in row-major order of the selection.

An index may name a place twice. So that every place gets its values in their order, whatever the threads do, each
place belongs to one task: tasks share the axes along which no two places are the same, or else the places
themselves; then each task looks through all indices for its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import loops
from chainrule.compiler.on_native.elements import Elements
from chainrule.compiler.on_native.indexing import Selection, select
from chainrule.compiler.on_native.ir import (
    I1,
    I64,
    Int,
    Type,
    Value,
    first_lanes,
    lanes_of,
    number,
    type_of,
)
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.loops import TASK, TASKS
from chainrule.compiler.on_native.operands import as_it_lies
from chainrule.compiler.on_native.picking import picked
from chainrule.compiler.on_native.placing import copy, zeros
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Loop
from chainrule.compiler.steps import Place, Step
from chainrule.node import Node
from chainrule.shapes import count, row_major


def lower_scatter(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """Zeros, and what is added to them."""
    node = group.members[0]
    values, *arrays = node.inputs
    return [zeros(node, target), *_update(node, values, arrays, grouping, target, adds=True)]


def lower_index_set(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A copy, and what is written into it."""
    node = group.members[0]
    x, values, *arrays = node.inputs
    whole = copy(x, node, 0, row_major(node.shape), grouping, target)
    return [whole, *_update(node, values, arrays, grouping, target, adds=False)]


def _update(
    node: Node, values: Node, arrays: Sequence[Node], grouping: Grouping, target: Target, *, adds: bool
) -> list[Step]:
    chosen = select(node.params["index"], node.shape, (0, row_major(node.shape)), arrays, grouping.sights)
    if not chosen.picks and len(chosen.free) == len(chosen.shape):  # every place is named once
        return [copy(values, node, chosen.offset, chosen.strides, grouping, target, chosen.shape)]
    given = as_it_lies(grouping.sights[values])
    kernel = _Update(chosen, node, values, given.strides, target, adds).kernel()
    begin = Place(node, chosen.offset * node.dtype.itemsize)
    places = (begin, given.place, *(pick.place for pick in chosen.picks))
    return [Step([node], places, frozenset([node]), kernel)]


@dataclass(frozen=True, slots=True)
class _Cut:
    """How the work is divided.

    Attributes:
        tasks: how many.
        by: ``lines`` of the outer free axes, ``columns`` of the inner one, ``places``, or nothing.
    """

    tasks: int
    by: str


class _Update:
    """A kernel: loops over free axes, over the others in their order, and over the free axis that is adjacent."""

    def __init__(
        self, chosen: Selection, node: Node, values: Node, strides: Sequence[int], target: Target, adds: bool
    ) -> None:
        rank = len(chosen.shape)
        extra = rank - len(values.shape)
        own = (0,) * extra + tuple(0 if n == 1 else s for n, s in zip(values.shape, strides, strict=True))
        self.adds, self.extents = adds, chosen.extents
        loop = loops.collapsed(
            Loop(
                chosen.shape,
                frozenset(range(rank)) - chosen.free,
                (
                    Access(chosen.strides, node.dtype),
                    Access(own, values.dtype),
                    *(Access(pick.strides, pick.dtype) for pick in chosen.picks),
                ),
                (),
                (),
            )
        )
        self.sizes, self.arrays = loop.sizes, loop.arrays
        self.bound = sorted(loop.reduced)
        self.row = self._row_axis()
        self.lines = [a for a in range(len(self.sizes)) if a not in loop.reduced and a != self.row]
        if self.row is not None and any(x.strides[self.row] for x in self.arrays[2:]):
            self.bound.append(self.row)  # each element of a row has a place of its own
            self.row = None
        self.lanes = target.isa.lanes(max(4, node.dtype.itemsize))
        self.cut = self._divided()
        text = repr((loop.name(target), self.extents, adds))
        digest = hashlib.sha256(text.encode()).hexdigest()[:20]
        name = f"{'scatter' if adds else 'index_set'}_{target.isa.name}_{digest}"
        self.f, operands, self.task, _ = entry(name, target)
        self.pointers = [operand(self.f, operands, i) for i in range(len(self.arrays))]
        self.index: dict[int, Int] = {}
        self.columns: tuple[Int, Int] = (0, 0)
        self.range: tuple[Value, Value] | None = None

    def _row_axis(self) -> int | None:
        """The free axis along which places are adjacent."""
        strides = self.arrays[0].strides
        bound = set(self.bound)
        return next(
            (a for a, s in enumerate(strides) if s == 1 and a not in bound and self.sizes[a] > 1), None
        )

    def _width(self) -> int:
        return 1 if self.row is None else self.sizes[self.row]

    def _divided(self) -> _Cut:
        tasks = min(TASKS, count(self.sizes) // TASK)
        if tasks < 2:
            return _Cut(1, "")
        if count(tuple(self.sizes[a] for a in self.lines)) >= tasks:
            return _Cut(tasks, "lines")
        if self._width() >= tasks * 16 * self.lanes:
            return _Cut(tasks, "columns")
        if not self.extents:
            return _Cut(1, "")
        # Each task looks through all indices, which must cost less than what it does with its rows.
        tasks = min(tasks, self._reach(), self._width() // self.lanes)
        return _Cut(tasks, "places") if tasks > 1 else _Cut(1, "")

    def _reach(self) -> int:
        """One more than the largest place to which the arrays lead."""
        return 1 + sum((size - 1) * step for size, step in self.extents)

    def kernel(self) -> Kernel:
        f, cut = self.f, self.cut
        lines = count(tuple(self.sizes[a] for a in self.lines))
        mine: tuple[Int, Int] = (0, lines)
        self.columns = (0, self._width())
        if cut.by == "lines":
            mine = share(f, self.task, lines, cut.tasks)
        elif cut.by == "columns":
            self.columns = share(f, self.task, self._width(), cut.tasks, self.lanes)
        elif cut.by == "places":
            first, stop = share(f, self.task, self._reach(), cut.tasks)
            self.range = f.operand(first), f.operand(f.sub_int(stop, first))

        def line(i: Int, _: list[Value]) -> None:
            rest = i
            for a in reversed(self.lines):
                self.index[a] = f.mod_int(rest, self.sizes[a])
                rest = f.div_int(rest, self.sizes[a])
            self._in_order(self.bound)

        f.loop(*mine, 1, line, may_be_empty=True)
        elements = count(self.sizes)
        moved = elements * (2 if self.adds else 1) * self.arrays[0].dtype.itemsize
        moved += sum(_reads(x, self.sizes) for x in self.arrays[1:])
        return Kernel(f.name, (f,), cut.tasks, elements if self.adds else 0, moved)

    def _in_order(self, axes: Sequence[int]) -> None:
        """The elements of a line, one row after the other."""
        f = self.f
        if not axes:
            self._own_row()
        elif len(axes) == 1 and self.range is not None:
            self._scan(axes[0])
        else:

            def turn(i: Int, _: list[Value]) -> None:
                self.index[axes[0]] = i
                self._in_order(axes[1:])

            f.loop(0, self.sizes[axes[0]], 1, turn)

    def _scan(self, axis: int) -> None:
        """Look at a vector of indices at a time for those that lead to the task's own places."""
        f, size = self.f, self.sizes[axis]
        lanes = f.target.isa.lanes(8)
        whole = size // lanes * lanes

        def several(i: Int, _: list[Value]) -> None:
            self.index[axis] = i
            own = self._is_own(
                picked(f, [self._indices(a, axis, lanes) for a in self._picks()], self.extents)
            )
            bits = Type(f"i{lanes}")
            hits = f.convert("zext", f.convert("bitcast", own, bits), I64)

            def hit(_: Int, left: list[Value]) -> list[Value]:
                (rest,) = left
                lane = f.call("llvm.cttz.i64", [rest, number(I1, True)], I64, declare=True)
                self.index[axis] = f.add_int(i, lane)
                self._row(self._place())
                return [f.binary("and", rest, f.add(rest, number(I64, -1)))]

            f.loop(0, f.intrinsic("ctpop", hits), 1, hit, [hits], may_be_empty=True)

        def one(i: Int, _: list[Value]) -> None:
            self.index[axis] = i
            self._own_row()

        f.loop(0, whole, lanes, several)
        f.loop(whole, size, 1, one)

    def _picks(self) -> range:
        return range(2, len(self.arrays))

    def _indices(self, array: int, axis: int, lanes: int) -> Value:
        f, stride = self.f, self.arrays[array].strides[axis]
        kind = type_of(self.arrays[array].dtype).vector(lanes)
        where = self._address(array)
        if stride == 0:
            return f.load_splat(where, kind)
        if stride == 1:
            return f.load(where, kind)
        return f.gather(where, lanes_of(I64.vector(lanes), [stride * lane for lane in range(lanes)]), kind)

    def _is_own(self, places: Value) -> Value:
        assert self.range is not None
        first, length = self.range
        if places.type.lanes:
            first, length = (self.f.splat(x, places.type.lanes) for x in self.range)
        return self.f.compare("ult", self.f.sub(places, first), length)

    def _address(self, array: int) -> Value:
        """Of an array's element at the current place."""
        f, place = self.f, 0
        for a, stride in enumerate(self.arrays[array].strides):
            if stride and a != self.row:
                place = f.add_int(place, f.mul_int(self.index[a], stride))
        return f.at(self.pointers[array], place, type_of(self.arrays[array].dtype))

    def _place(self) -> Int:
        """Where the indices lead."""
        f = self.f
        if not self.extents:
            return 0
        kinds = [type_of(self.arrays[a].dtype) for a in self._picks()]
        found = [f.load(self._address(a), kind) for a, kind in zip(self._picks(), kinds, strict=True)]
        return picked(f, found, self.extents)

    def _own_row(self) -> None:
        place = self._place()
        if self.range is None:
            self._row(place)
        else:
            self.f.when(self._is_own(self.f.operand(place)), lambda: self._row(place))

    def _row(self, place: Int) -> None:
        """Add or write one row, or one element."""
        f = self.f
        kind, given = (type_of(x.dtype) for x in self.arrays[:2])
        there = f.at(self._address(0), place, kind)
        here = self._address(1)
        if self.row is None:
            self._put(f.load(here, given), there, None)
            return
        stride = self.arrays[1].strides[self.row]
        steps = lanes_of(I64.vector(self.lanes), [stride * lane for lane in range(self.lanes)])

        def part(i: Int, mask: Value | None) -> None:
            where, vector = f.at(here, f.mul_int(i, stride), given), given.vector(self.lanes)
            if stride == 0:
                value = f.load_splat(where, vector)
            elif stride == 1:
                value = f.load(where, vector, mask)
            else:
                value = f.gather(where, steps, vector, mask)
            self._put(value, f.at(there, i, kind), mask)

        start, stop = self.columns
        size = self.sizes[self.row]
        whole = size // self.lanes * self.lanes
        f.loop(start, f.min_int(stop, whole), self.lanes, lambda i, _: part(i, None), may_be_empty=True)
        if size > whole:
            rest = first_lanes(size - whole, self.lanes)
            if isinstance(stop, int):
                part(whole, rest)
            else:
                f.when(f.equal_int(stop, size), lambda: part(whole, rest))

    def _put(self, value: Value, where: Value, mask: Value | None) -> None:
        f = self.f
        value = Elements(f).convert(value, self.arrays[0].dtype)
        if self.adds:
            value = f.add(f.load(where, value.type, mask), value)
        f.store(value, where, mask)


def _reads(access: Access, sizes: Sequence[int]) -> int:
    return access.dtype.itemsize * count(tuple(n for n, s in zip(sizes, access.strides, strict=True) if s))
