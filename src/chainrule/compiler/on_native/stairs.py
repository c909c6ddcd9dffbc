"""What anybody reads of the sums that a scan carries: of the products that are added to them, only that is computed.

The gradient of a triangular factor is summed from turn to turn, and in the end its triangle is read. The strips of
``passes/partly_read`` leave a corner of each strip's last columns that nobody needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.compiler.on_native.repetition import Whole
from chainrule.compiler.passes.reads import Reads, Stairs
from chainrule.node import Node
from chainrule.ops.arithmetic import Add
from chainrule.ops.join import Narrow
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import Reshape
from chainrule.primitive import Array


def stairs_of(whole: Whole, reads: Reads) -> dict[Node, Stairs]:
    """For products in a scan's step of which only a part is read, that part.

    Args:
        whole: the scan.
        reads: of the graph that it is in.
    """
    body, inside = whole.body, Reads(whole.graph)
    found: dict[Node, Stairs] = {}
    for i, (before, after) in enumerate(zip(body.carry_inputs, body.carry_outputs, strict=True)):
        product = _summand(before, after, inside)
        if product is None or whole.kept[i] or after.dtype not in whole.members:
            continue
        if sum(n is after for n in (*body.carry_outputs, *body.y_outputs)) > 1:
            continue
        start = whole.layouts[after.dtype].carries[i].start
        read = _read(whole.members[after.dtype], start, after, reads)
        if read is not None and not read.all():
            found[product] = _stairs(read)
    return found


def _summand(before: Node, after: Node, inside: Reads) -> Node | None:
    """The product that a step adds to a carry, if it does nothing else with either."""
    if after.op is not Add or inside.readers.get(after) or not _reads_alone(after, before, inside):
        return None
    others = [x for x in after.inputs if x is not before]
    if len(others) != 1 or others[0].op is not MatMul or others[0] in inside.outputs:
        return None
    same = others[0].shape == after.shape == before.shape
    return others[0] if same and _reads_alone(after, others[0], inside) else None


def _reads_alone(reader: Node, node: Node, inside: Reads) -> bool:
    found = inside.readers.get(node, [])
    return len(found) == 1 and found[0] is reader


def _read(flat: Node, start: int, carry: Node, reads: Reads) -> Array | None:
    """What is read of a carry's matrices among the results of a scan; None if that cannot be told."""
    if flat in reads.outputs:
        return None
    found = np.zeros(carry.shape[-2:], bool)
    alone = flat.size == carry.size
    todo = [flat] if alone else list[Node]()
    for reader in () if alone else reads.readers.get(flat, []):
        if reader.op is not Narrow:
            return None
        first, stop = reader.params["start"], reader.params["stop"]
        if (first, stop) == (start, start + carry.size):
            todo.append(reader)
        elif first < start + carry.size and start < stop:
            return None
    while todo:
        node = todo.pop()
        if node.shape[-2:] == carry.shape[-2:]:
            found |= reads.of(node)
            continue
        readers = reads.readers.get(node, [])
        if node in reads.outputs or any(r.op is not Reshape for r in readers):
            return None
        todo += readers
    return found


def _stairs(read: Array) -> Stairs:
    ends: list[tuple[int, int]] = []
    for row in read:
        columns: Sequence[int] = np.flatnonzero(row).tolist()
        ends.append((columns[0], columns[-1] + 1) if columns else (0, 0))
    return tuple(ends)
