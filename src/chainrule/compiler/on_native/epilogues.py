"""What a group does with the results of the kernel at its head, while they are in registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import bodies
from chainrule.compiler.on_native.bodies import Body
from chainrule.compiler.on_native.call import Call, Epilogue
from chainrule.compiler.on_native.ir import Function, Int, Type, Value
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Loop, Values, as_matrix, place_of
from chainrule.compiler.steps import Place, Scratch, Step, Workspace
from chainrule.node import Node
from chainrule.shapes import row_major

LONG = 12
"""Instructions from which on an epilogue is a loop."""


class _Prepared(list[Value]):
    """Addresses of an epilogue's arrays, and what has been computed of them for all results."""

    def __init__(self, pointers: Sequence[Value], values: Values) -> None:
        super().__init__(pointers)
        self.values = values


@dataclass(frozen=True, slots=True)
class BodyEpilogue(Epilogue):
    """A group's body as an epilogue.

    Attributes:
        loop: over (batch axes, rows, columns), or over axes of rows and then columns; without the head's arrays.
        batched: whether the kernel counts batches; else its rows run through all axes but the last.
        head: the instruction that stands for the head's result.
        given: the instruction whose value the head's kernel stores, or None.
        target: for the name.
    """

    loop: Loop
    batched: bool
    head: int
    given: int | None
    target: Target

    @property
    def name(self) -> str:
        return f"{self.loop.name(self.target)}_{self.given}"

    @property
    def operands(self) -> int:
        return len(self.loop.arrays)

    @property
    def _rows(self) -> list[int]:
        """Arrays that are read along rows. Those that are written are mostly the same, updated in place."""
        read = sorted({i.array for i in self.loop.body if i.kind == "load"})
        strides = {a: self.loop.arrays[a].strides for a in read}
        return [a for a in read if strides[a][-1] == 1 and any(strides[a][:-1])]

    @property
    def reads(self) -> bool:
        return bool(self._rows)

    @property
    def long(self) -> bool:
        return len(self.loop.body) >= LONG

    def prepare(self, f: Function, pointers: Sequence[Value], kind: Type) -> Sequence[Value]:
        values = Values(f, self.loop, pointers, len(self.loop.sizes) - 1, kind.lanes)
        values.hoist()
        return _Prepared(pointers, values)

    def prefetch(self, f: Function, pointers: Sequence[Value], row: Int, column: Int, batch: Int) -> None:
        values = Values(f, self.loop, pointers, len(self.loop.sizes) - 1, 1)
        place_of(values, row, column, batch if self.batched else None)
        for array in self._rows:
            f.prefetch(values.address(array))

    def apply(
        self,
        f: Function,
        pointers: Sequence[Value],
        result: Value,
        row: Int,
        column: Int,
        mask: Value | None,
        batch: Int,
    ) -> Value | None:
        if isinstance(pointers, _Prepared) and pointers.values.lanes == result.type.lanes:
            values = pointers.values
        else:
            values = Values(f, self.loop, pointers, len(self.loop.sizes) - 1, result.type.lanes)
        place_of(values, row, column, batch if self.batched else None)
        known = {**values.fixed, self.head: result}
        for array, n in self.loop.stores:
            values.store(array, values.value(n, mask, known), mask)
        return None if self.given is None else values.value(self.given, mask, known)


@dataclass(slots=True)
class Finish:
    """A head's group, ready to be lowered.

    Attributes:
        epilogue: what runs on the results; None if they are just stored.
        arrays: where the epilogue's operands are, and ``result``, what the kernel itself stores.
        group, body: of the head.
    """

    epilogue: BodyEpilogue | None
    arrays: dict[str, Place]
    group: Group
    body: Body

    def steps(
        self, calls: Sequence[Call], workspace: int, scratch: int, arrays: Mapping[str, Place], result: str
    ) -> list[Step]:
        """A step for each kernel; what the epilogue reads and writes belongs to the last.

        Args:
            calls: of the lowered head.
            workspace, scratch: bytes that they need, and need for each thread.
            arrays: where the head's inputs are, by their names.
            result: what the calls name the head's result.
        """
        extra = {"workspace": Place(Workspace(workspace)), "scratch": Place(Scratch(scratch))}
        everything = {**self.arrays, **arrays, **extra, result: self.arrays["result"]}
        written = {"workspace", "scratch", result}
        stored = {self.body.places[array].array for array, _ in self.body.stores}
        steps: list[Step] = []
        for call in calls:
            writes = {everything[name].array for name in call.operands if name in written}
            last = call is calls[-1]
            if last:
                writes |= stored
            nodes = self.group.members if last else self.group.members[:1]
            places = [everything[name] for name in call.operands]
            steps.append(Step(nodes, places, frozenset(writes), call.kernel))
        return steps


def finish(group: Group, grouping: Grouping, needed: set[Node], target: Target, *, batched: bool) -> Finish:
    """Work out what runs on a head's results."""
    body = bodies.build(group, grouping, needed)
    node = group.members[0]
    given = _main_store(body, node)
    result = Place(Workspace(0)) if given is None else body.places[body.stores[given][0]]
    arrays = {"result": result}
    head = body.of[node]
    if len(body.stores) == 1 and given is not None and body.stores[0][1] == head:
        return Finish(None, arrays, group, body)
    skipped = None if given is None else body.stores[given][0]
    kept = [i for i in range(len(body.arrays)) if i != skipped]
    number = {array: i for i, array in enumerate(kept)}
    loop = Loop(
        group.domain,
        frozenset(),
        tuple(body.arrays[i] for i in kept),
        tuple(replace(i, array=number[i.array]) if i.kind == "load" else i for i in body.instructions),
        tuple((number[array], n) for array, n in body.stores if array != skipped),
    )
    stored = None if given is None else body.stores[given][1]
    if not batched:
        loop = as_matrix(loop, loop.sizes[-1])
        assert loop is not None
    arrays.update({f"epilogue{i}": body.places[array] for i, array in enumerate(kept)})
    return Finish(BodyEpilogue(loop, batched, head, stored, target), arrays, group, body)


def _main_store(body: Body, node: Node) -> int | None:
    """Which of the stores the head's own kernel can make: one of its shape and dtype without gaps."""
    wanted = row_major(node.shape)
    for i, (array, _) in enumerate(body.stores):
        access = body.arrays[array]
        same = all(n == 1 or s == w for n, s, w in zip(node.shape, access.strides, wanted, strict=True))
        if same and access.dtype is node.dtype:
            return i
    return None
