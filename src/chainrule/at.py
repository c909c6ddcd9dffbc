"""``x.at[i]``: places of a tensor, to be changed in a copy."""

from __future__ import annotations

from typing import Any, Generic

from chainrule import ops
from chainrule.errors import ArgumentError
from chainrule.node import N, Operand


class At(Generic[N]):
    """Places of a tensor, to be changed in a copy."""

    __slots__ = ("_index", "_tensor")

    def __init__(self, tensor: N, index: Any = None) -> None:
        self._tensor = tensor
        self._index = index

    def __getitem__(self, index: Any) -> At[N]:
        return At(self._tensor, (index,))

    def _place(self) -> Any:
        if self._index is None:
            raise ArgumentError("at: no index was given", fix="write x.at[i].set(v)")
        return self._index[0]

    def get(self) -> N:
        """The values there."""
        return ops.getitem(self._tensor, self._place())

    def set(self, value: Operand[N]) -> N:
        """A copy with ``value`` there. If an index occurs twice, the last value stays."""
        return ops.index_set(self._tensor, self._place(), value)

    def add(self, value: Operand[N]) -> N:
        """A copy with ``value`` added there. If an index occurs twice, both are added."""
        return ops.index_add(self._tensor, self._place(), value)

    def multiply(self, value: Operand[N]) -> N:
        """A copy with the values there multiplied by ``value``; each index may occur once."""
        return self.set(self.get() * value)
