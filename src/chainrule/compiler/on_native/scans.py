"""Running sums and products and linear recurrences: along each line one step after the other, as NumPy computes them.

Lines do not wait for each other. Where their elements lie side by side in memory each lane of a vector follows one
line; where the elements of a line do, several lines are followed at once, so that one step does not have to wait for
the one before. Sums are rounded in NumPy's order, so results have its bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native.ir import Int, Type, Value, first_lanes, lanes_of, number, type_of
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.loops import TASK, TASKS
from chainrule.compiler.on_native.operands import as_it_lies
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Loop, collapsed
from chainrule.compiler.steps import Place, Step
from chainrule.node import Node
from chainrule.ops.scan import CumulativeProd, CumulativeSum, LinearRecurrence
from chainrule.primitive import Primitive
from chainrule.shapes import DType, count, row_major

VECTORS = 4
"""Vectors of lines that are followed at once."""
LINES = 8
"""Single lines that are followed at once."""


@dataclass(frozen=True, slots=True)
class Scan:
    """Lines of one length.

    Attributes:
        op: what is done at each step.
        length: elements of a line.
        reverse: from the end.
        lines: the domain of lines, and how the inputs and the result, which comes last, run over it.
        along: stride of each of these along a line.
        dtype: of all of them.
    """

    op: type[Primitive]
    length: int
    reverse: bool
    lines: Loop
    along: tuple[int, ...]
    dtype: DType

    def name(self, target: Target) -> str:
        """A symbol for the kernel."""
        ends = "_".join(str(s).replace("-", "m") for s in (self.length, *self.along))
        direction = "back" if self.reverse else "on"
        return f"{self.op.name}_{direction}_{ends}_{self.lines.name(target)}"


def lower_scan(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A scan, which reads its inputs where they lie."""
    node = group.members[0]
    assert node.op is not None
    axis: int = node.params["axis"]
    given = [as_it_lies(grouping.sights[x]) for x in node.inputs]
    strides = [*(x.strides for x in given), row_major(node.shape)]
    strides = [tuple(0 if n == 1 else s for n, s in zip(node.shape, each, strict=True)) for each in strides]
    lines = Loop(
        node.shape[:axis] + node.shape[axis + 1 :],
        frozenset(),
        tuple(Access(s[:axis] + s[axis + 1 :], node.dtype) for s in strides),
        (),
        (),
    )
    along = tuple(s[axis] for s in strides)
    reverse = node.params.get("reverse", False)
    scan = Scan(node.op, node.shape[axis], reverse, collapsed(lines), along, node.dtype)
    places = (*(x.place for x in given), Place(node))
    return [Step([node], places, frozenset([node]), lower(scan, target))]


def lower(scan: Scan, target: Target) -> Kernel:
    """The kernel of a scan. Its operands are the inputs and the result."""
    return _Lines(scan, target).kernel()


class _Lines:
    """The loops over lines."""

    def __init__(self, scan: Scan, target: Target) -> None:
        self.scan, self.sizes = scan, scan.lines.sizes
        self.f, operands, self.task, _ = entry(scan.name(target), target)
        self.pointers = [operand(self.f, operands, i) for i in range(len(scan.along))]
        result = scan.lines.arrays[-1].strides
        adjacent = [a for a, n in enumerate(self.sizes) if result[a] == 1 and n > 1]
        self.side = adjacent[0] if adjacent else max(range(len(self.sizes)), key=lambda a: self.sizes[a])
        self.lanes = target.isa.lanes(scan.dtype.itemsize) if adjacent else 0
        self.kind = type_of(scan.dtype).vector(self.lanes)
        self.step = self.lanes or 1
        self.together = VECTORS if adjacent else LINES

    def kernel(self) -> Kernel:
        f, width = self.f, self.sizes[self.side]
        others = [a for a in range(len(self.sizes)) if a != self.side]
        outer = count(tuple(self.sizes[a] for a in others))
        elements = outer * width * self.scan.length
        tasks = max(1, min(TASKS, elements // TASK))
        block = self.together * self.step
        if outer >= tasks:
            rows, places = share(f, self.task, outer, tasks), (0, width)
        else:
            tasks = max(1, min(tasks, width // block))
            rows, places = (0, outer), share(f, self.task, width, tasks, block)

        def row(i: Int, _: list[Value]) -> None:
            index: dict[int, Int] = {}
            for a in reversed(others):
                index[a] = f.mod_int(i, self.sizes[a])
                i = f.div_int(i, self.sizes[a])
            self._row(index, *places)

        f.loop(*rows, 1, row, may_be_empty=True)
        flops = elements * (2 if self.scan.op is LinearRecurrence else 1)
        moved = len(self.pointers) * elements * self.scan.dtype.itemsize
        return Kernel(f.name, (f,), tasks, flops, moved)

    def _row(self, index: dict[int, Int], start: Int, stop: Int) -> None:
        """Lines side by side: blocks of many, then fewer at once, then what is left of a vector."""
        f, size, block = self.f, self.sizes[self.side], self.together * self.step
        bulk, whole = size // block * block, size // self.step * self.step

        def follow(number: int) -> Callable[[Int, list[Value]], None]:
            return lambda i, _: self._follow({**index, self.side: i}, number, None)

        f.loop(start, f.min_int(stop, bulk), block, follow(self.together), may_be_empty=True)

        def rest() -> None:
            f.loop(bulk, whole, self.step, follow(1))
            if size > whole:
                self._follow({**index, self.side: whole}, 1, first_lanes(size - whole, self.lanes))

        if isinstance(stop, int):
            rest()
        elif size > bulk:
            f.when(f.equal_int(stop, size), rest)

    def _follow(self, index: dict[int, Int], together: int, mask: Value | None) -> None:
        """Some lines, or vectors of lines, from their first elements to their last."""
        f, length, back = self.f, self.scan.length, self.scan.reverse
        begins = [
            [
                self._address(a, {**index, self.side: f.add_int(index[self.side], n * self.step)})
                for a in self._arrays
            ]
            for n in range(together)
        ]

        def place(step: Int) -> Int:
            return f.sub_int(length - 1, step) if back else step

        def turn(step: Int, carried: list[Value]) -> list[Value]:
            at = place(step)
            found: list[Value] = []
            for before, begin in zip(carried, begins, strict=True):
                found.append(self._next(before, begin, at, mask))
                self._write(found[-1], begin[-1], at, mask)
            return found

        first = [self._read(len(begin) - 2, begin[-2], place(0), mask) for begin in begins]
        for value, begin in zip(first, begins, strict=True):
            self._write(value, begin[-1], place(0), mask)
        f.loop(1, length, 1, turn, first)

    def _next(self, before: Value, begin: list[Value], at: Int, mask: Value | None) -> Value:
        f = self.f
        added = self._read(len(begin) - 2, begin[-2], at, mask)
        if self.scan.op is CumulativeSum:
            return f.add(before, added)
        if self.scan.op is CumulativeProd:
            return f.mul(before, added)
        factor = self._read(0, begin[0], f.add_int(at, 1) if self.scan.reverse else at, mask)
        zero = number(self.kind, 0.0)
        endless = f.compare("uge", f.intrinsic("fabs", factor), number(self.kind, float("inf")))
        hidden = f.binary("and", endless, f.compare("oeq", before, zero))  # a strong zero
        return f.add(f.select(hidden, zero, f.mul(factor, before)), added)

    @property
    def _arrays(self) -> range:
        return range(len(self.pointers))

    def _address(self, array: int, index: dict[int, Int]) -> Value:
        """Of the first element of a line."""
        f, place = self.f, 0
        for axis, stride in enumerate(self.scan.lines.arrays[array].strides):
            if stride:
                place = f.add_int(place, f.mul_int(index[axis], stride))
        return f.at(self.pointers[array], place, self.kind)

    def _read(self, array: int, begin: Value, at: Int, mask: Value | None) -> Value:
        f, stride = self.f, self.scan.lines.arrays[array].strides[self.side]
        where = f.at(begin, f.mul_int(at, self.scan.along[array]), self.kind)
        if not self.lanes or stride == 1:
            return f.load(where, self.kind, mask)
        if stride == 0:
            return f.load_splat(where, self.kind)
        steps = lanes_of(Type("i64", self.lanes), [stride * lane for lane in range(self.lanes)])
        return f.gather(where, steps, self.kind, mask)

    def _write(self, value: Value, begin: Value, at: Int, mask: Value | None) -> None:
        f = self.f
        f.store(value, f.at(begin, f.mul_int(at, self.scan.along[-1]), self.kind), mask)
