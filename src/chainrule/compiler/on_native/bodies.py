"""From a group of nodes to the instructions of a loop, or of what follows a product."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native.indexing import select
from chainrule.compiler.on_native.operands import as_it_lies
from chainrule.compiler.on_native.random_numbers import GENERATORS, width_of
from chainrule.compiler.on_native.values import Access, Instruction
from chainrule.compiler.steps import Place
from chainrule.compiler.views import Axes, Sight, of_base
from chainrule.node import Node
from chainrule.ops.gather import GetItem
from chainrule.shapes import DType, int32, int64, row_major


@dataclass(slots=True)
class Body:
    """Instructions over a domain, with the arrays that they load and store.

    Attributes:
        rank: of the domain.
        reduced: axes of it.
        instructions: in single assignment.
        arrays, places: how each array runs along the domain, and where it begins.
        stores: array and instruction, for each result.
        of: the instruction of each member of the group.
    """

    rank: int
    reduced: frozenset[int]
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    arrays: list[Access] = field(default_factory=list[Access])
    places: list[Place] = field(default_factory=list[Place])
    stores: list[tuple[int, int]] = field(default_factory=list["tuple[int, int]"])
    of: dict[Node, int] = field(default_factory=dict[Node, int])


def build(group: Group, grouping: Grouping, stored: Container[Node]) -> Body:
    """The body of a loop or of an epilogue.

    Args:
        group: of kind ``loop``, or ``head``, whose first member then stands for the result of the head.
        grouping: all of them.
        stored: which nodes have an array of their own.
    """
    return _Builder(group, grouping, stored).build()


class _Builder:
    def __init__(self, group: Group, grouping: Grouping, stored: Container[Node]) -> None:
        self.group, self.grouping, self.kept = group, grouping, stored
        self.body = Body(len(group.domain), frozenset(group.reduced))
        self.loads: dict[tuple[Place, tuple[int, ...]], int] = {}
        self.repeated: dict[tuple[Node, Axes], int] = {}

    def build(self) -> Body:
        body, group = self.body, self.group
        members = list(group.members)
        if group.kind == "head":
            head = members.pop(0)
            body.of[head] = self.add(Instruction("result", (), head.dtype))
            self.store(head)
        for node in members:
            body.of[node] = self.member(node)
            self.store(node)
        return body

    def member(self, node: Node) -> int:
        axes, op = self.group.reads[node], node.op
        if op is GetItem:
            return self.gathered(node)
        if op in GENERATORS:
            return self.generated(node)
        args = tuple(self.argument(x, axes) for x in node.inputs)
        known = self.group.passes.get(node, 0)
        if op is None or op.emit is not None:
            return self.emitted(node, args, axes, known)
        if all(axes[a] is None for a in node.params["axes"]):
            return args[0]  # only axes of size 1 are reduced, while the group may reduce others
        return self.add(Instruction("reduce", args, node.dtype, op, full=False, known=known))

    def gathered(self, node: Node) -> int:
        """Elements that an index with arrays selects."""
        x, *arrays = node.inputs
        sight = self.grouping.sights[x]
        chosen = select(
            node.params["index"], x.shape, (sight.offset, sight.strides), arrays, self.grouping.sights
        )
        args = tuple(self.strided(node, p.strides, p.dtype, p.place) for p in chosen.picks)
        place = Place(sight.base, chosen.offset * node.dtype.itemsize)
        if not args:
            return self.strided(node, chosen.strides, node.dtype, place)
        strides = _along(self.group.axes[node], chosen.strides, self.body.rank)
        array = self.array(Access(strides, node.dtype), place)
        return self.add(
            Instruction("gather", args, node.dtype, params=(("extents", chosen.extents),), array=array)
        )

    def generated(self, node: Node) -> int:
        """Random numbers. Their key stands among the arrays; the strides that it has there count numbers."""
        key, *extra = node.inputs
        width = width_of(node.op, node.dtype, node.params.get("width"))
        sight = self.grouping.sights[key]
        strides = _along(self.group.axes[node], row_major(node.shape), self.body.rank)
        word = int32 if width == 32 else int64
        array = self.array(Access(strides, word), as_it_lies(sight).place)
        args = tuple(self.argument(x, ()) for x in extra)
        params = (("stride", sight.strides[0]), ("width", width))
        return self.add(Instruction("generate", args, node.dtype, node.op, params, array))

    def strided(self, node: Node, strides: Sequence[int], dtype: DType, place: Place) -> int:
        """Load an array along the axes of a node."""
        along = _along(self.group.axes[node], strides, self.body.rank)
        return self.add(Instruction("load", (), dtype, array=self.array(Access(along, dtype), place)))

    def emitted(self, node: Node, args: tuple[int, ...], axes: Axes, known: int) -> int:
        full = any(a in self.body.reduced for a in axes if a is not None)
        full = full and any(self.body.instructions[a].full for a in args)
        params = tuple(sorted(node.params.items()))
        alike = node in self.grouping.unsigned
        return self.add(
            Instruction("emit", args, node.dtype, node.op, params, full=full, known=known, unsigned=alike)
        )

    def argument(self, x: Node, axes: Axes) -> int:
        """What a node that runs along ``axes`` reads: a member, a number, an array, or what is computed again."""
        sight = self.grouping.sights[x]
        base = sight.base
        if base in self.body.of:
            return self.body.of[base]
        if base.op is None and base.value is not None and base.size == 1:
            value = np.asarray(base.value).reshape(())[()].item()
            return self.add(Instruction("number", (), base.dtype, number=value, full=False))
        own = axes[len(axes) - len(x.shape) :]
        if base in self.grouping.again:
            if (base, own) not in self.repeated:
                args = tuple(self.argument(y, own) for y in base.inputs)
                self.repeated[base, own] = self.emitted(base, args, own, 0)
            return self.repeated[base, own]
        return self.load(sight, x, own)

    def load(self, sight: Sight, x: Node, own: Axes) -> int:
        strides = [0] * self.body.rank
        for n, stride, along in zip(x.shape, sight.strides, own, strict=True):
            if n != 1 and along is not None:
                strides[along] = stride
        dtype = sight.base.dtype
        place = Place(sight.base, sight.offset * dtype.itemsize)
        key = (place, tuple(strides))
        if key not in self.loads:
            full = any(strides[a] for a in self.body.reduced)
            array = self.array(Access(tuple(strides), dtype), place)
            self.loads[key] = self.add(Instruction("load", (), dtype, array=array, full=full))
        return self.loads[key]

    def store(self, node: Node) -> None:
        if node in self.kept:
            lies = self.grouping.placed.get(node) or of_base(node)
            strides = _along(self.group.axes[node], lies.strides, self.body.rank)
            array = self.array(Access(strides, node.dtype), as_it_lies(lies).place)
            self.body.stores.append((array, self.body.of[node]))

    def add(self, instruction: Instruction) -> int:
        self.body.instructions.append(instruction)
        return len(self.body.instructions) - 1

    def array(self, access: Access, place: Place) -> int:
        self.body.arrays.append(access)
        self.body.places.append(place)
        return len(self.body.arrays) - 1


def _along(axes: Axes, strides: Sequence[int], rank: int) -> tuple[int, ...]:
    found = [0] * rank
    for axis, stride in zip(axes, strides, strict=True):
        if axis is not None:
            found[axis] = stride
    return tuple(found)
