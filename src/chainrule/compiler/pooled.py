"""Pools at the end of the convolutions whose results they take, which then are never stored.

A kernel that makes all pixels of a window can pool them at once. Nobody else may read them: of the gradients, that of
the pool itself reads its ties instead (:mod:`chainrule.compiler.passes.ties`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.items import wait_for
from chainrule.compiler.views import of_base
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.conv import Conv2d
from chainrule.ops.pool import MaxPool2d

Pools: TypeAlias = "Callable[[Group, Group], bool]"
"""Whether the kernel of a head can end with a pool."""


def join_pools(graph: Graph, grouping: Grouping, needed: set[Node], pools: Pools) -> None:
    """Give heads the pools that alone read their results.

    Args:
        graph: whose own results are stored.
        grouping: of it; loses the pools.
        needed: nodes with an array of their own; loses what is pooled.
        pools: says what kernels can.
    """
    outside = {grouping.sights[n].base for n in graph.outputs}
    for pool in list(grouping.groups):
        node = pool.members[0]
        if pool.kind != "alone" or node.op is not MaxPool2d:
            continue
        (x,) = node.inputs
        head = grouping.home.get(x)
        if head is None or head.members[0].op is not Conv2d or head.behind or head.pool:
            continue
        alone = [n for n in head.members if n in needed] == [x] and x not in outside
        if not (alone and grouping.sights[x] == of_base(x) and _tiles(node, x)):
            continue
        if _others_read(x, (head, pool), grouping) or not pools(head, pool):
            continue
        head.pool = pool
        grouping.groups.remove(pool)
        head.after = (head.after | pool.after) & ~(pool.bit | head.bit)
        wait_for(head, pool, grouping)
        needed.discard(x)


def _tiles(pool: Node, x: Node) -> bool:
    """Whether its windows cover the image without overlap."""
    size: tuple[int, int] = pool.params["size"]
    whole = all(n * s == m for n, s, m in zip(pool.shape[1:3], size, x.shape[1:3], strict=True))
    return whole and pool.params["stride"] == size and not any(map(any, pool.params["padding"]))


def _others_read(x: Node, known: tuple[Group, ...], grouping: Grouping) -> bool:
    """Whether any other group reads an array."""
    return any(
        x in grouping.arrays_read(y)
        for group in grouping.groups
        if group not in known
        for node in group.nodes
        for y in node.inputs
    )
