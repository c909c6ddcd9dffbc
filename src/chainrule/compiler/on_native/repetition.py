"""Scans: the kernels of one step, run again and again within one call, on pointers that move with time.

A step is lowered as a program of its own. What it reads from arrays with time, and the carries that are kept, lie in
rows; each turn of the loop writes the addresses of this time's rows into the kernels' tables. A carry that is not kept
is overwritten if the step allows it, and otherwise has two places that take turns. Kernels that read nothing but
constants, such as those that pack weights, run once before the loop. Tasks are shared by threads as everywhere else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from chainrule.autodiff.body import Body, layout
from chainrule.compiler.memory import ALIGNMENT, Life, plan
from chainrule.compiler.on_native import loops
from chainrule.compiler.on_native.ir import I8, PTR, Function, Int, Value
from chainrule.compiler.on_native.kernel import Kernel, entry, operand
from chainrule.compiler.on_native.operands import as_it_lies, is_dense
from chainrule.compiler.on_native.pool import parallel
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Instruction, Loop
from chainrule.compiler.passes.reads import Stairs
from chainrule.compiler.steps import POOL, Place, Scratch, Step, Workspace
from chainrule.compiler.views import Sight, of_base
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.shapes import Shape, count, row_major


@dataclass(frozen=True, slots=True)
class Repeated:
    """What is known of a graph that runs again and again.

    Attributes:
        seen: how its inputs lie.
        fixed: inputs that stay the same.
        times: how often it runs.
        stairs: for products of which only a part is read, the columns that are read of each row, from and to.
    """

    seen: Mapping[Node, Sight]
    fixed: frozenset[Node]
    times: int
    stairs: Mapping[Node, Stairs] = field(default_factory=dict[Node, Stairs])


@dataclass(frozen=True, slots=True)
class Fixed:
    """An address: bytes behind one of the operands, or, at each time, so many more."""

    operand: int
    offset: int
    moves: int = 0


@dataclass(frozen=True, slots=True)
class Turning:
    """The place of a carry before a step, or after it; they take turns."""

    carry: int
    after: bool


Address: TypeAlias = "Fixed | Turning"


class Whole:
    """A scan that is being lowered: all nodes that give results of it, and the graph of a step that gives these.

    Args:
        members: nodes for results of one dtype each.
        sights: of the graph that they are in.

    Attributes:
        graph: of a step. Its outputs are the carries, and those things given that are results.
        donated: for a carry that is not kept, the one before, whose memory it may take.
        repeated: how the graph runs.
    """

    def __init__(self, members: Sequence[Node], sights: Mapping[Node, Sight]) -> None:
        self.members = {node.dtype: node for node in members}
        first = members[0]
        self.body: Body = first.params["body"]
        self.length: int = first.params["length"]
        self.reverse: bool = first.params["reverse"]
        body, asked = self.body, first.params["kept"]
        self.kept = [k and c.dtype in self.members for k, c in zip(asked, body.carry_outputs, strict=True)]
        self.layouts = {dtype: layout(body, self.length, asked, dtype) for dtype in self.members}
        self.ys = [i for i, y in enumerate(body.y_outputs) if y.dtype in self.members]
        outputs = [*body.carry_outputs, *(body.y_outputs[i] for i in self.ys)]
        self.graph = Graph(body.graph.inputs, outputs)
        self.given = dict(zip(body.graph.inputs, first.inputs, strict=True))
        self.sights = sights
        changing = zip(body.carry_outputs, body.carry_inputs, self.kept, strict=True)
        self.donated = {after: before for after, before, kept in changing if not kept}
        seen = {node: self._sight(node) for node in (*body.constant_inputs, *body.x_inputs)}
        self.repeated = Repeated(seen, frozenset(body.constant_inputs), self.length)

    def _sight(self, node: Node) -> Sight:
        """How an input of a step lies behind its own address."""
        outside = self.sights[self.given[node]]
        strides = outside.strides[len(outside.strides) - node.ndim :]
        own = Sight(node, 0, tuple(strides), None)
        return of_base(node) if is_dense(own, node.shape) else own


def lower(
    whole: Whole,
    steps: Sequence[Step],
    overwritten: Mapping[Node, Node],
    sights: Mapping[Node, Sight],
    target: Target,
) -> Step:
    """A scan as one step.

    Args:
        whole: the scan.
        steps, overwritten, sights: of the graph of a step.
    """
    return Builder(whole, steps, overwritten, sights, target).step()


class Builder:
    """Finds the address of everything that a step touches, and writes the loop."""

    def __init__(
        self,
        whole: Whole,
        steps: Sequence[Step],
        overwritten: Mapping[Node, Node],
        sights: Mapping[Node, Sight],
        target: Target,
    ) -> None:
        self.whole, self.target, self.sights = whole, target, sights
        self.operands: dict[Any, int] = {POOL: 0}
        self.where: dict[Any, Address] = {POOL: Fixed(0, 0)}
        self.arena: dict[Any, int] = {}
        self.turning: dict[int, tuple[Fixed, Fixed]] = {}
        self.overwritten = overwritten
        self.workspace = object()  # until its size is known
        self.first: list[Step] = []
        self._place_inputs()
        self._place_carries()
        self.each = [*steps, *self._place_outputs()]
        self._place_rest()

    def _operand(self, key: Any) -> int:
        return self.operands.setdefault(key, len(self.operands))

    def _place_inputs(self) -> None:
        body = self.whole.body
        for node in (*body.constant_inputs, *body.x_inputs):
            sight = self.whole.sights[self.whole.given[node]]
            item = sight.base.dtype.itemsize
            moves = sight.strides[0] * item if node not in self.whole.repeated.fixed else 0
            self.where[node] = Fixed(self._operand(sight.base), sight.offset * item, moves)

    def _row(self, node: Node, start: int, slot: int, moves: bool) -> Fixed:
        """A row among the results of a dtype."""
        size = node.size * node.dtype.itemsize
        place = self._operand(self.whole.members[node.dtype])
        return Fixed(place, start * node.dtype.itemsize + slot * size, size if moves else 0)

    def _place_carries(self) -> None:
        """Where each carry is before a step and after it, and a step that puts the first one there."""
        whole = self.whole
        self.after: list[Address] = []
        for i, (before, after) in enumerate(
            zip(whole.body.carry_inputs, whole.body.carry_outputs, strict=True)
        ):
            at = whole.layouts[after.dtype].carries[i].start if after.dtype in whole.members else None
            if whole.kept[i]:
                assert at is not None
                self.where[before] = self._row(after, at, int(whole.reverse), True)
                self.after.append(self._row(after, at, 1 - int(whole.reverse), True))
                start = self._row(after, at, whole.length if whole.reverse else 0, False)
            else:
                start = self._unkept(i, before, after, at)
            self._copy_first(before, start)

    def _unkept(self, i: int, before: Node, after: Node, at: int | None) -> Fixed:
        """The places of a carry that is not kept; the one where it is first is returned."""
        size = before.size * before.dtype.itemsize
        last = self._row(after, at, 0, False) if at is not None else self._room(f"last {i}", size)
        if self.overwritten.get(after) is before:
            self.where[before] = last
            self.after.append(last)
            return last
        other = self._room(f"other {i}", size)
        pair = (
            (other, last) if self.whole.length % 2 else (last, other)
        )  # so that the last step writes the result
        self.turning[i] = pair
        self.where[before] = Turning(i, False)
        self.after.append(Turning(i, True))
        return pair[0]

    def _room(self, key: Any, nbytes: int) -> Fixed:
        """Memory of the scan's own, for as long as it runs."""
        offset = sum(self.arena.values())
        self.arena[key] = -(-nbytes // ALIGNMENT) * ALIGNMENT
        return Fixed(self._operand(self.workspace), offset)

    def _copy_first(self, node: Node, to: Fixed) -> None:
        given = self.whole.given[node]
        source = as_it_lies(self.whole.sights[given])
        key = ("outside", node)
        base = source.place
        self.where[key] = Fixed(self._operand(base.array), base.offset)
        target = ("first", node)
        self.where[target] = to
        self.first += self._copy(Place(key), source.strides, node, Place(target))

    def _copy(self, source: Place, strides: Sequence[int], node: Node, to: Place) -> list[Step]:
        shape: Shape = node.shape
        if not count(shape):
            return []
        own = tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
        load = Instruction("load", (), node.dtype, array=0, full=False)
        arrays = (Access(own, node.dtype), Access(row_major(shape), node.dtype))
        loop = Loop(shape, frozenset(), arrays, (load,), ((1, 0),))
        kernel = loops.lower(loop, self.target)
        return [Step([node], (source, to), frozenset([to.array]), kernel)]

    def _place_outputs(self) -> list[Step]:
        """Let results be written where they belong; those that have no array of their own are copied there."""
        whole, found = self.whole, list[Step]()
        outputs = list(zip(whole.body.carry_outputs, self.after, strict=True))
        for i in whole.ys:
            y = whole.body.y_outputs[i]
            outputs.append((y, self._row(y, whole.layouts[y.dtype].ys[i].start, 0, True)))
        for n, (node, address) in enumerate(outputs):
            sight = self.sights[node]
            computed = sight.base.op is not None and sight.base not in whole.given
            whole_array = sight.offset == 0 and node.size == sight.base.size and is_dense(sight, node.shape)
            if computed and whole_array and sight.base not in self.where:
                self.where[sight.base] = address
            elif self.where.get(sight.base) != address or not whole_array:
                key = ("result", n)
                self.where[key] = address
                lies = as_it_lies(sight)
                found += self._copy(lies.place, lies.strides, node, Place(key))
        return found

    def _place_rest(self) -> None:
        """Places for what is made on the way, and which steps run before all others."""
        once = self._taken_ahead()
        lives: dict[Any, Life] = {}
        scratch = 0
        for i, step in enumerate([*once, *self.each]):
            for key in step.arrays:
                if key in self.where:
                    continue
                if isinstance(key, Scratch):
                    scratch = max(scratch, key.nbytes)
                elif isinstance(key, Node) and key.op is None:
                    self.where[key] = Fixed(self._operand(key), 0)
                else:
                    begin = lives[key].first if key in lives else i
                    last = len(once) + len(self.each) if begin < len(once) else i
                    size = key.nbytes if isinstance(key, Workspace) else key.size * key.dtype.itemsize
                    lives[key] = Life(size, begin, last)
        offsets, nbytes = plan(lives)
        for key, offset in offsets.items():
            room = sum(self.arena.values())
            self.where[key] = Fixed(self._operand(self.workspace), room + offset)
        self.nbytes = sum(self.arena.values()) + nbytes
        self.scratch = Scratch(scratch)
        for step in self.each + self.first:
            for key in step.arrays:
                if isinstance(key, Scratch):
                    self.where[key] = Fixed(self._operand(self.scratch), 0)

    def _taken_ahead(self) -> list[Step]:
        """The steps that give the same each time, which from now on run before all turns."""
        numbers = self._once()
        once = [step for i, step in enumerate(self.each) if i in numbers]
        self.each = [step for i, step in enumerate(self.each) if i not in numbers]
        self.first += once
        return once

    def _once(self) -> set[int]:
        """Numbers of steps that give the same each time: they read constants, and no others write what they write."""
        known, each = set[Any](self.whole.repeated.fixed), self.each
        found = set(range(len(each)))
        while True:
            made = {key for i in found for key in each[i].writes} | known
            late = {key for i, step in enumerate(each) if i not in found for key in step.writes}
            kept = {i for i in found if self._stays(each[i], made, late)}
            if kept == found:
                return found
            found = kept

    def _stays(self, step: Step, known: Container[Any], late: Container[Any]) -> bool:
        """Whether all that a step reads is known before the first step, and what it writes is its own."""
        for key in step.arrays:
            if key in step.writes or isinstance(key, Scratch) or key in known:
                continue
            if not (isinstance(key, Node) and key.op is None and key.value is not None):
                return False
        return not any(key in late or key in self.where for key in step.writes)

    def step(self) -> Step:
        arena = Workspace(self.nbytes)
        f, operands, _, _ = entry("scan", self.target)
        bases = [operand(f, operands, i) for i in range(len(self.operands))]
        most = max((len(step.places) for step in self.first), default=1)
        table = f.stack(PTR, max(most, 1))
        tables = [f.stack(PTR, max(len(step.places), 1)) for step in self.each]
        for step in self.first:
            self._tell(f, bases, step, table, 0, {}, True)
            self._tell(f, bases, step, table, 0, {}, False)
            parallel(f, bases[0], step.kernel.name, table, step.kernel.tasks)
        for step, own in zip(self.each, tables, strict=True):
            self._tell(f, bases, step, own, 0, {}, True)
        pairs = list(self.turning)
        places = [f.at(bases[a.operand], a.offset, I8) for i in pairs for a in self.turning[i]]

        def turn(count: Int, carried: list[Value]) -> list[Value]:
            time = f.sub_int(self.whole.length - 1, count) if self.whole.reverse else count
            now = {i: (carried[2 * n], carried[2 * n + 1]) for n, i in enumerate(pairs)}
            for step, own in zip(self.each, tables, strict=True):
                self._tell(f, bases, step, own, time, now, False)
                parallel(f, bases[0], step.kernel.name, own, step.kernel.tasks)
            return [carried[n ^ 1] for n in range(len(carried))]

        f.loop(0, self.whole.length, 1, turn, places)
        f.ret()
        f.name = f"scan_{hashlib.sha256(f.text().encode()).hexdigest()[:20]}"
        return self._made(f, arena)

    def _tell(
        self,
        f: Function,
        bases: Sequence[Value],
        step: Step,
        table: Value,
        time: Int,
        turning: Mapping[int, tuple[Value, Value]],
        fixed: bool,
    ) -> None:
        """Write a step's addresses into its table: those that stay, or those that change with time."""
        for i, place in enumerate(step.places):
            address = self.where[place.array]
            if isinstance(address, Turning):
                if fixed:
                    continue
                pointer = f.at(turning[address.carry][address.after], place.offset, I8)
            elif fixed is (address.moves == 0):
                moved = f.add_int(f.mul_int(time, address.moves), address.offset + place.offset)
                pointer = f.at(bases[address.operand], moved, I8)
            else:
                continue
            f.store(pointer, f.at(table, i, PTR))

    def _made(self, f: Function, arena: Workspace) -> Step:
        times = self.whole.length
        places = [Place(arena if key is self.workspace else key) for key in self.operands]
        own: list[Kernel] = [step.kernel for step in self.each]
        once: list[Kernel] = [step.kernel for step in self.first]
        kernel = Kernel(
            f.name,
            [f, *(function for k in (*once, *own) for function in k.functions)],
            1,
            times * sum(k.flops for k in own) + sum(k.flops for k in once),
            times * sum(k.bytes for k in own) + sum(k.bytes for k in once),
            jobs=max((k.widest for k in (*once, *own)), default=1),
        )
        members = list(self.whole.members.values())
        writes = frozenset([*members, arena, self.scratch])
        note = f"{times} times" + (f", after {len(once)} kernels that run once" if once else "")
        return Step(members, places, writes, kernel, note=note, inside=self.each)
