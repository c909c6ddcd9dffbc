"""What a group does with the results of the kernel at its head, while they are in registers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.call import Epilogue
from chainrule.compiler.on_native.ir import Function, Int, Type, Value
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Loop, Values, place_of

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
