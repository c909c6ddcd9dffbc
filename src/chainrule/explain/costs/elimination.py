"""The row of vertex elimination: what the Jacobian costs in the best order that is found."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from chainrule.autodiff.accumulate import JacobianGraph
from chainrule.autodiff.ordering import Found, search
from chainrule.explain.costs.derivatives import Traced, newest
from chainrule.explain.costs.ledger import Elimination
from chainrule.graph import Graph
from chainrule.modes import recording
from chainrule.node import Node
from chainrule.transforms.orders import MOVES, PROOFS, is_small


@dataclass(frozen=True, slots=True)
class Eliminated:
    """A Jacobian by vertex elimination.

    Attributes:
        graph: arguments to results and Jacobians.
        made_for: for each node of a product, or of a local Jacobian, the node of the function that it belongs to.
        found: the order, over ``steps``, and what is known of it.
        steps: the intermediate results that are eliminated.
    """

    graph: Graph
    made_for: Mapping[Node, Node]
    found: Found
    steps: tuple[Node, ...]

    def described(self, names: Mapping[Node, str]) -> Elimination:
        """As plain data.

        Args:
            names: of the nodes of the function.
        """
        found, steps = self.found, tuple(names[n] for n in self.steps)
        tried = dict(found.tried)
        return Elimination(found.order, steps, found.multiplications, found.at_least, found.by, tried)


def eliminate(traced: Traced, seconds: float | None = None) -> Eliminated | None:
    """Search for an order and carry it out; None where sweeps are the best anyway, or the graph is too large.

    Args:
        traced: the function.
        seconds: of search, at most; by default as long as ``cr.jacobian`` takes.
    """
    live = [n for n in traced.graph.nodes if n in traced.live]
    if min(traced.numbers_in, traced.numbers_out) <= 1 or not is_small(live, set(traced.live)):
        return None
    ends: list[tuple[int, Node | None]] = [(newest(), None)]

    def visit(node: Node) -> None:
        ends.append((newest(), node))

    with recording(True):
        graph = JacobianGraph(traced.graph.outputs, traced.wrt, visit)
        if seconds is None:
            found = search(graph, moves=MOVES, restarts=1, proofs=PROOFS)
        else:
            found = search(graph, seconds=seconds)
        entries = [entry for row in graph.accumulate(found.order, visit) for entry in row]
    whole = Graph(traced.graph.inputs, [*traced.graph.outputs, *entries])
    return Eliminated(whole, _owners(whole, traced, ends), found, graph.nodes)


def _owners(graph: Graph, traced: Traced, ends: list[tuple[int, Node | None]]) -> dict[Node, Node]:
    known = set(traced.graph.nodes)
    made = iter([n for n in graph.nodes if n not in known and n.inputs])
    node, found = next(made, None), dict[Node, Node]()
    for _, (end, owner) in itertools.pairwise(ends):
        while node is not None and node.index <= end:
            if owner is not None:
                found[node] = owner
            node = next(made, None)
    return found
