"""Gradients of max pools from what the pool remembers: its ties, instead of the image that it was made of.

A pool's gradient asks where the maxima are, which the pool knew. Then nobody reads the image any more: it need not be
kept until the gradient comes, nor be stored at all if a kernel makes it and pools it.
"""

from __future__ import annotations

from typing import Any

from chainrule.compiler.passes.pools import pool_key
from chainrule.compiler.passes.rewrite import build, instead, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.pool import MaxPool2d, MaxPool2dGrad
from chainrule.ops.pool_ties import MaxPool2dSpread, MaxPool2dTies, fits


def ties(graph: Graph) -> Graph:
    """Replace ``max_pool2d_grad(g, x)`` by ``max_pool2d_spread(g, max_pool2d_ties(x))`` where the graph has
    ``max_pool2d(x)``, too. The bits are the same."""
    pooled: set[tuple[Node, str]] = set()
    kept: dict[tuple[Node, str], Node] = {}

    def rule(node: Node) -> Node | None:
        if node.op is MaxPool2d:
            pooled.add(pool_key(node.inputs[0], node))
        if node.op is not MaxPool2dGrad:
            return None
        g, x = node.inputs
        key, params = pool_key(x, node), dict[str, Any](node.params)
        if key not in pooled or not fits(x.shape, params["size"], params["padding"]) or not x.size:
            return None
        if key not in kept:
            kept[key] = build(MaxPool2dTies, x, params=params)
        return instead(node, MaxPool2dSpread, g, kept[key], image=x.shape[1:3], **params)

    return rewrite(graph, rule)
