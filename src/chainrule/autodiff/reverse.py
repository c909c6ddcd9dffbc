"""Reverse mode: one sweep from the results gives the gradient of everything before them.

Each delta, once summed, is reused by all of a node's inputs: dynamic programming over the graph.
Sweeps follow descending node numbers, so they need no recursion and always add in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.autodiff.replay import NODES, Replays, structure_of
from chainrule.autodiff.rules import pull, pull_through
from chainrule.modes import on_bare_values, recording
from chainrule.node import Node, ancestors, by_index, holding, is_differentiable, reach, tracked_ancestors

Visit = Callable[[Node, Node, list["Node | None"]], None]


def pullback(
    outputs: Sequence[Node],
    seeds: Sequence[Node],
    wrt: Sequence[Node],
    *,
    record: bool = True,
    visit: Visit | None = None,
    large: Large | None = None,
) -> list[Node | None]:
    """Pull ``seeds`` back from ``outputs`` to ``wrt``.

    Args:
        outputs: results, any shapes.
        seeds: ∂L/∂output for each, of the same shapes.
        wrt: nodes, leaves or not, for which the gradient is wanted.
        record: whether the gradients remember how they were computed, to be differentiated again.
        visit: called as ``visit(node, delta, contributions)`` at each node that is passed.
        large: whom to ask where nodes are many and mostly single numbers; the nodes of ``wrt`` must then be fresh.

    Returns:
        ∂L/∂w for each of ``wrt``; None where no path leads to it. Time is linear in the graph's size.

    Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, section 3.2,
    DOI 10.1137/1.9780898717761.
    """
    bare = not record and visit is None and all(n.value is not None for n in (*outputs, *seeds))
    if bare and large is not None and wrt and len(outputs) == 1:
        found = large.pulled(outputs[0], seeds[0], wrt)
        if found is not None:
            return found
    order, live = between(outputs, wrt)
    kept = set(wrt)
    if not bare:
        deltas = _sweep(order, live, _seeded(live, outputs, seeds), kept, record, visit)
    else:
        with recording(False):
            deltas = _seeded(live, outputs, seeds)
        deltas = _sweep_bare(order, live, {node: delta.value for node, delta in deltas.items()}, kept)
    return [deltas.get(w) for w in wrt]


@dataclass(slots=True)
class Large:
    """Who sweeps large graphs instead.

    Attributes:
        most: nodes up to which a graph is not large.
        sweep: computes the gradients from the output and the value of the seed, to the same bits, without looking at
            nodes below a number; None if it cannot.
    """

    most: int
    sweep: Callable[[Node, Any, int], dict[Node, Any] | None]

    def asked(
        self, first: Sequence[Node], output: Node, seed: Node, since: int = 0
    ) -> dict[Node, Node] | None:
        """The gradients, if the graph, of which these nodes were found first, is mostly one of single numbers."""
        scalars = sum(not n.shape for n in first)
        found = self.sweep(output, seed.value, since) if 2 * scalars > len(first) else None
        return None if found is None else {node: holding(value) for node, value in found.items()}

    def pulled(self, output: Node, seed: Node, wrt: Sequence[Node]) -> list[Node | None] | None:
        """The gradients of fresh nodes, as of a pass backward in which they retain theirs; None if it is not large."""
        since = min(w.index for w in wrt)
        if output.index - since <= self.most:
            return None
        order, seen = [output], {output}
        reach(order, seen, 0, self.most)
        if len(order) <= self.most:
            return None
        retained = [w.retains_grad for w in wrt]
        for w in wrt:
            w.retain(True)
        try:
            found = self.asked(order, output, seed, since)
        finally:
            for w, before in zip(wrt, retained, strict=True):
                w.retain(before)
        return None if found is None else [found.get(w) for w in wrt]


def leaf_gradients(output: Node, seed: Node, *, record: bool, large: Large | None = None) -> dict[Node, Node]:
    """Gradients of one output for every tracked leaf before it, and every node that retains its gradient.

    Args:
        output: the result; ``seed`` is ∂L/∂output, of its shape.
        record: whether the gradients remember how they were computed.
        large: whom to ask where nodes are many and mostly single numbers.
    """
    bare = not record and output.value is not None and seed.value is not None
    if large is None or not bare:
        order, live = tracked_ancestors(output)
    else:
        order, live = [output], {output}
        reach(order, live, 0, large.most)
        if len(order) > large.most:
            found = large.asked(order, output, seed)
            if found is not None:
                return found
            reach(order, live, large.most)
        order.sort(key=by_index)
    kept = {n for n in order if n.retains_grad}
    if not bare:
        return _sweep(order, live, {output: seed}, kept, record, None)
    structure = structure_of(order) if not kept and len(order) <= NODES else None
    replay = structure and _replays.find(structure, order, _sweep_all)
    if not structure or not replay:
        return _sweep_bare(order, live, {output: seed.value}, kept)
    gradients = on_bare_values(replay.program.run, [*structure.values, seed.value])
    return {structure.nodes[i]: holding(value) for i, value in zip(replay.leaves, gradients, strict=True)}


_replays = Replays()


def _sweep_all(order: Sequence[Node], deltas: dict[Node, Node]) -> dict[Node, Node]:
    return _sweep(order, set(order), deltas, set(), True, None)


def _sweep(
    order: Sequence[Node],
    live: set[Node],
    deltas: dict[Node, Node],
    kept: set[Node],
    record: bool,
    visit: Visit | None,
) -> dict[Node, Node]:
    with recording(record):
        for node in reversed(order):
            delta = deltas.get(node)
            if delta is None or not node.inputs:
                continue
            if node not in kept:
                del deltas[node]
            contributions = pull(node, delta, [x in live for x in node.inputs])
            if visit is not None:
                visit(node, delta, contributions)
            _add(deltas, node.inputs, contributions)
    return deltas


def _sweep_bare(
    order: Sequence[Node], live: set[Node], deltas: dict[Node, Any], kept: set[Node]
) -> dict[Node, Node]:
    """The same sweep on arrays, where nobody will ask how the gradients came about."""
    on_bare_values(_sweep_values, order, live, deltas, kept)
    return {node: holding(value) for node, value in deltas.items()}


def _sweep_values(order: Sequence[Node], live: set[Node], deltas: dict[Node, Any], kept: set[Node]) -> None:
    for node in reversed(order):
        op, inputs = node.op, node.inputs
        delta = deltas.get(node)
        if op is None or delta is None or not inputs:
            continue
        if node not in kept:
            del deltas[node]
        values: list[Any] = []
        wanted: list[bool] = []
        for x in inputs:  # a hot loop: a list comprehension each would cost twice as much
            values.append(x.value)
            wanted.append(x in live)
        if not op.bare:
            _add(deltas, inputs, _pull_on_nodes(node, delta, wanted))
            continue
        pulled = pull_through(op, node.params, node.value, values, delta, wanted)
        for x, contribution in zip(inputs, pulled):  # noqa: B905 (as long as each other; the hot loop)
            if contribution is not None:
                known = deltas.get(x)
                deltas[x] = contribution if known is None else known + contribution


def pulled(node: Node, delta: Any, wanted: Sequence[bool]) -> list[Any]:
    """Values of the contributions of one node to its inputs, None for none. Call it within `on_bare_values`."""
    op = node.op
    if op is None or not op.bare:
        return _pull_on_nodes(node, delta, wanted)
    return pull_through(op, node.params, node.value, [x.value for x in node.inputs], delta, wanted)


def _pull_on_nodes(node: Node, delta: Any, wanted: Sequence[bool]) -> list[Any]:
    """Values of the contributions, by a rule that a user wrote and that may do more than arrays can."""
    with recording(False):
        pulled = pull(node, holding(delta), wanted)
    return [None if c is None else c.value for c in pulled]


def _seeded(live: set[Node], outputs: Sequence[Node], seeds: Sequence[Any]) -> dict[Node, Any]:
    deltas: dict[Node, Any] = {}
    for output, seed in zip(outputs, seeds, strict=True):
        if output in live:
            _add(deltas, (output,), (seed,))
    return deltas


def _add(deltas: dict[Node, Any], inputs: Sequence[Node], contributions: Sequence[Any]) -> None:
    """Gradients add at branches."""
    for x, contribution in zip(inputs, contributions, strict=True):
        if contribution is not None:
            deltas[x] = deltas[x] + contribution if x in deltas else contribution


def between(outputs: Sequence[Node], wrt: Sequence[Node]) -> tuple[list[Node], set[Node]]:
    """The nodes that lie on a path from ``wrt`` to ``outputs``, in topological order, and as a set."""
    if not wrt:
        return [], set()
    goal = set(wrt)
    live: set[Node] = set()
    order: list[Node] = []
    for node in ancestors(outputs, since=min(w.index for w in wrt)):
        if node in goal or (is_differentiable(node) and any(x in live for x in node.inputs)):
            live.add(node)
            order.append(node)
    return order, live
