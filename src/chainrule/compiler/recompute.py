"""What is cheaper to compute again than to keep in memory.

The mask of a ReLU is three instructions on the ReLU's result, which is in memory anyway since the next layer reads
it. So whoever needs the mask computes it from there, and it is never stored.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.compiler.groups import CHAIN, Grouping
from chainrule.compiler.views import of_base
from chainrule.graph import Graph
from chainrule.node import Node

SMALL = 16
"""An array that is so many times smaller than another costs nothing to read beside it."""


def stored(graph: Graph, grouping: Grouping, cheap: Callable[[Node], bool]) -> set[Node]:
    """Which nodes need an array of their own.

    Args:
        graph: grouped.
        grouping: of it; learns which nodes are computed again by those who read them.
        cheap: whether an elementwise node takes few instructions.
    """
    fixed = {grouping.sights[n].base for n in graph.outputs}
    wanted: dict[Node, bool] = {}  # read by another group; whether all of those can compute it again
    for group in grouping.groups:
        for node in group.members:
            for x in node.inputs:
                sight = grouping.sights[x]
                base = sight.base
                own = group.kind in ("call", "alone") or (group.kind == "head" and node is group.members[0])
                own = own or node in grouping.opening
                if grouping.home.get(base) is group and not own:
                    continue
                if own:
                    fixed.add(base)
                as_it_is = (
                    x.shape == base.shape and sight.axes is not None and sight.axes == of_base(base).axes
                )
                wanted[base] = wanted.get(base, True) and as_it_is
    again = grouping.again
    for node in graph.nodes:  # what comes before a node has been decided when it is its turn

        def in_memory(base: Node) -> bool:
            return base in fixed or (base in wanted and base not in again)

        if wanted.get(node) and node not in fixed and node.size > 1:
            again.update(_chain(node, grouping, in_memory, cheap))
    return {n for n in wanted if n in grouping.home and n not in again} | fixed


def _chain(
    node: Node,
    grouping: Grouping,
    in_memory: Callable[[Node], bool],
    cheap: Callable[[Node], bool],
) -> set[Node]:
    """The few nodes, this one included, that compute it from one array in memory; none if that cannot be."""
    if not _repeats(node, grouping):
        return set()
    found: set[Node] = set()
    chain: set[Node] = set()
    todo = [node]
    while todo:
        at = todo.pop()
        chain.add(at)
        if len(chain) > CHAIN or not cheap(at):
            return set()
        for x in at.inputs:
            sight = grouping.sights[x]
            base = sight.base
            if base.op is None and base.value is not None and base.size == 1:
                continue
            here = base not in grouping.home or in_memory(base)
            small = base.size * SMALL <= node.size
            if here and small:
                continue
            if here:
                found.add(base)
            elif x.shape == base.shape and sight.axes == of_base(base).axes and _repeats(base, grouping):
                todo.append(base)
            else:
                return set()
            if base.size != node.size and not small:
                return set()
    return chain if len(found) <= 1 else set()


def _repeats(node: Node, grouping: Grouping) -> bool:
    """Whether a node on the way is elementwise, in a loop or after a head."""
    home = grouping.home.get(node)
    if home is None:
        return False
    head = home.kind == "head" and node is home.members[0]
    return home.kind in ("loop", "head") and not head and node not in home.passes and node.op is not None
