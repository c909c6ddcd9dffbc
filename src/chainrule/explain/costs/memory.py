"""Bytes that are alive while a graph is evaluated node by node, each result forgotten after its last use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from chainrule.compiler.views import Sight, of_base, see_through
from chainrule.graph import Graph, distinct
from chainrule.node import Node


def bytes_of(node: Node) -> int:
    """Bytes of a node's array."""
    return node.size * node.dtype.itemsize


class Storage:
    """Which array each node of a graph lies in: views, as of a transposition, lie in that of another node; and what is
    computed once for several lies in one.

    Args:
        nodes: of a graph, in topological order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        firsts = dict(distinct(nodes))
        sights: dict[Node, Sight] = {}
        for node in nodes:
            first = firsts.get(node, node)
            if first is not node:
                sights[node] = sights[first]
                continue
            seen = see_through(node, sights[node.inputs[0]]) if node.inputs else None
            sights[node] = seen or of_base(node)
        self._base = {node: sight.base for node, sight in sights.items()}

    def base(self, node: Node) -> Node:
        """The node whose array a node lies in."""
        return self._base[node]

    def bytes(self, nodes: Iterable[Node]) -> int:
        """Bytes of the arrays in which nodes lie, each array once."""
        return sum(bytes_of(base) for base in {self._base[n] for n in nodes})


def peak_bytes(graph: Graph, storage: Storage) -> int:
    """The most bytes that are alive at once.

    Arguments and constants are alive all the time, results until the end, everything else from the step that computes
    it to the last one that reads it. A step's inputs and its result are alive together.
    """
    held = {storage.base(n) for n in graph.nodes if not n.inputs}
    last: dict[Node, Node] = {}
    for node in graph.nodes:
        for x in node.inputs:
            last[storage.base(x)] = node
    kept = held | {storage.base(o) for o in graph.outputs}
    dying: dict[Node, list[Node]] = {}
    for base, node in last.items():
        if base not in kept:
            dying.setdefault(node, []).append(base)
    alive = peak = sum(map(bytes_of, held))
    there: set[Any] = set(held)
    for node in graph.nodes:
        base = storage.base(node)
        if node.inputs and base not in there:
            there.add(base)
            alive += bytes_of(base)
            peak = max(peak, alive)
        alive -= sum(bytes_of(gone) for gone in dying.get(node, ()))
    return peak


def read_later(storage: Storage, before: Iterable[Node], later: Iterable[Node]) -> int:
    """Bytes computed by the nodes of ``before`` that those of ``later`` read: what has to be kept between them."""
    computed = {storage.base(n) for n in before if storage.base(n).inputs}
    read = {storage.base(x) for node in later for x in node.inputs}
    return sum(map(bytes_of, computed & read))
