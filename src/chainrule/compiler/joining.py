"""Parts of a joined array that are written where they belong, instead of being copied there.

The gradient of an array that was split is the join of the parts' gradients. Where a loop computes a part that nobody
else reads, it stores it in the joined array itself.
"""

from __future__ import annotations

from collections.abc import Container

from chainrule.compiler.groups import Grouping
from chainrule.compiler.views import Sight, of_base
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
            own = x in needed and x not in outside and grouping.sights[x] == of_base(x)
            if own and readers[x] == 1 and grouping.home.get(x) in loops and x.dtype == node.dtype:
                grouping.placed[x] = Sight(node, start * strides[axis], strides, None)
            start += x.shape[axis]
