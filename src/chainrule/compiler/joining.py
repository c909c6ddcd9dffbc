"""Parts of a joined array that are written where they belong, instead of being copied there.

The gradient of an array that was split is the join of the parts' gradients. Where a loop computes a part that nobody
else reads, it stores it in the joined array itself.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from chainrule.compiler.groups import Grouping
from chainrule.compiler.views import Sight
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.join import Concatenate
from chainrule.shapes import row_major


def place_parts(graph: Graph, grouping: Grouping, needed: Container[Node]) -> None:
    """Note in ``grouping.placed`` which nodes are stored as parts of others.

    Args:
        graph: grouped.
        grouping: of it.
        needed: nodes with an array of their own.
    """
    outside = {grouping.sights[n].base for n in graph.outputs}
    readers: dict[Node, int] = {}
    for node in graph.nodes:
        if grouping.sights[node].base is not node:
            continue  # it is only another sight of what it reads
        for x in node.inputs:
            base = grouping.sights[x].base
            readers[base] = readers.get(base, 0) + 1
    loops = {g for g in grouping.groups if g.kind == "loop" and not g.reduced}
    for group in grouping.groups:
        node = group.members[0]
        if group.kind != "alone" or node.op is not Concatenate:
            continue
        axis: int = node.params["axis"]
        strides, start = row_major(node.shape), 0
        for x in node.inputs:
            sight = grouping.sights[x]
            part, lies = sight.base, _within(sight, x, strides)
            own = part in needed and part not in outside and readers[part] == 1
            if lies is not None and own and grouping.home.get(part) in loops and part.dtype == node.dtype:
                grouping.placed[part] = Sight(node, start * strides[axis], lies, None)
            start += x.shape[axis]


def _within(sight: Sight, x: Node, strides: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of an array in the joined one of which it is the part ``x``, perhaps with its axes in another order and
    new ones of size 1; None if it is anything else."""
    part = sight.base
    if sight.offset or sight.axes is None or part.size != x.size or sight.strides != _own(part, sight.axes):
        return None
    along = dict(zip(sight.axes, strides, strict=True))
    return tuple(along.get(i, 0) for i in range(part.ndim))


def _own(part: Node, axes: Sequence[int | None]) -> tuple[int, ...]:
    """Strides of axes of an array as it lies."""
    own = row_major(part.shape)
    return tuple(0 if i is None else own[i] for i in axes)
