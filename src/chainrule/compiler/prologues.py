"""Loops that only feed products: computed where the product copies its operand, and never stored.

What joins a group runs on its results; this is the other end. A loop whose one result is read by heads alone is given
to them as the prologue of an input, if the kernels of all of them can compute that input as they read it. So is a
gradient that is spread over the windows of a pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from chainrule.compiler.groups import Group, Grouping
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.pool_ties import MaxPool2dSpread

Takes: TypeAlias = "Callable[[Group, int, Group], bool]"
"""Whether the kernel of a head can compute one of its inputs, by its number, as a loop does."""


def absorb(
    graph: Graph, grouping: Grouping, needed: set[Node], takes: Takes, cheap: Callable[[Node], bool]
) -> None:
    """Let heads compute what nobody else reads.

    Args:
        graph: grouped.
        grouping: loses the loops that become prologues.
        needed: nodes with an array of their own; loses the results of these loops.
        takes: says what kernels can.
        cheap: whether a node takes few instructions, so that several heads may each compute it.
    """
    outside = {grouping.sights[n].base for n in graph.outputs}
    readers = _readers(grouping)
    for loop in list(grouping.groups):
        result = _only_result(loop, grouping, needed)
        if result is None or result in outside:
            continue
        found = readers.get(result, [])
        heads = [(g, i) for g, i in found if i is not None]
        if not heads or len(heads) < len(found):
            continue
        if len(heads) > 1 and not all(map(cheap, loop.members)):
            continue
        if all(takes(g, i, loop) for g, i in heads):
            _give(loop, heads, grouping)
            needed.discard(result)


def _readers(grouping: Grouping) -> dict[Node, list[tuple[Group, int | None]]]:
    """Who reads each array: a head by one of its inputs, or somebody else."""
    found: dict[Node, list[tuple[Group, int | None]]] = {}
    for group in grouping.groups:
        for node in group.members:
            head = group.kind == "head" and node is group.members[0]
            for i, x in enumerate(node.inputs):
                direct = head and grouping.sights[x].base not in grouping.again
                for base in grouping.arrays_read(x):
                    if grouping.home.get(base) is not group:
                        found.setdefault(base, []).append((group, i if direct else None))
    return found


def _only_result(group: Group, grouping: Grouping, needed: set[Node]) -> Node | None:
    """What a loop stores, if that is one array without a sum on the way, whose elements are all there are; what is
    spread over windows."""
    if group.members[0].op is MaxPool2dSpread:
        return group.members[0]
    if group.kind != "loop" or group.reduced or group.once:
        return None
    results = [n for n in group.members if n in needed]
    if len(results) != 1 or results[0].size < 2:
        return None
    (result,) = results
    axes = [a for a in group.axes[result] if a is not None]
    return result if len(axes) == sum(n != 1 for n in group.domain) else None


def _give(loop: Group, heads: Sequence[tuple[Group, int]], grouping: Grouping) -> None:
    """Make a loop the prologue of heads, and take it out of the order."""
    grouping.groups.remove(loop)
    for head, i in heads:
        head.prologues[i] = loop
    for group in grouping.groups:
        if group.after & loop.bit:
            group.after &= ~loop.bit  # what it waited for is among those already
