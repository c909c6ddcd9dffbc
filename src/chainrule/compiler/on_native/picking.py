"""From the numbers in arrays of indices to places in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from chainrule.compiler.on_native.ir import I64, Function, Value, number

Extents: TypeAlias = "tuple[tuple[int, int], ...]"
"""For each array of indices, the size of the axis that it indexes, and that axis's stride in elements."""


def picked(f: Function, indices: Sequence[Value], extents: Extents) -> Value:
    """How far indices lead into an array, in elements; scalars or vectors of int32 or int64.

    Negative ones count from the end. Whatever they are, what comes out is inside of the array.
    """
    total: Value | None = None
    for index, (size, step) in zip(indices, extents, strict=True):
        kind = I64.vector(index.type.lanes)
        wide = index if index.type == kind else f.convert("sext", index, kind)
        from_end = f.add(wide, number(kind, size))
        place = f.select(f.compare("slt", wide, number(kind, 0)), from_end, wide)
        place = f.intrinsic("umin", place, number(kind, size - 1))
        part = place if step == 1 else f.mul(place, number(kind, step))
        total = part if total is None else f.add(total, part)
    assert total is not None
    return total
