"""Reverse mode: one sweep from the results gives the gradient of everything before them.

Each delta, once summed, is reused by all of a node's inputs: dynamic programming over the graph.
Sweeps follow descending node numbers, so they need no recursion and always add in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autodiff.rules import pull, pull_through
from chainrule.node import (
    Node,
    ancestors,
    holding,
    is_differentiable,
    on_bare_values,
    recording,
    tracked_ancestors,
)

Visit = Callable[[Node, Node, list["Node | None"]], None]


def pullback(
    outputs: Sequence[Node],
    seeds: Sequence[Node],
    wrt: Sequence[Node],
    *,
    record: bool = True,
    visit: Visit | None = None,
) -> list[Node | None]:
    """Pull ``seeds`` back from ``outputs`` to ``wrt``.

    Args:
        outputs: results, any shapes.
        seeds: ∂L/∂output for each, of the same shapes.
        wrt: nodes, leaves or not, for which the gradient is wanted.
        record: whether the gradients remember how they were computed, to be differentiated again.
        visit: called as ``visit(node, delta, contributions)`` at each node that is passed.

    Returns:
        ∂L/∂w for each of ``wrt``; None where no path leads to it. Time is linear in the graph's size.

    Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, section 3.2,
    DOI 10.1137/1.9780898717761.
    """
    order, live = between(outputs, wrt)
    deltas = _sweep(order, live, outputs, seeds, set(wrt), record, visit)
    return [deltas.get(w) for w in wrt]


def leaf_gradients(output: Node, seed: Node, *, record: bool) -> dict[Node, Node]:
    """Gradients of one output for every tracked leaf before it, and every node that retains its gradient.

    Args:
        output: the result; ``seed`` is ∂L/∂output, of its shape.
        record: whether the gradients remember how they were computed.
    """
    order = tracked_ancestors(output)
    kept = {n for n in order if n.op is None or n.retains_grad}
    return _sweep(order, set(order), [output], [seed], kept, record, None)


def _sweep(
    order: Sequence[Node],
    live: set[Node],
    outputs: Sequence[Node],
    seeds: Sequence[Node],
    kept: set[Node],
    record: bool,
    visit: Visit | None,
) -> dict[Node, Node]:
    if not record and visit is None and all(n.value is not None for n in (*outputs, *seeds)):
        found = on_bare_values(_sweep_values, order, live, outputs, [s.value for s in seeds], kept)
        return {node: holding(value) for node, value in found.items()}
    deltas = _seeded(live, outputs, seeds)
    with recording(record):
        for node in reversed(order):
            delta = deltas.get(node) if node in kept else deltas.pop(node, None)
            if delta is None or not node.inputs:
                continue
            contributions = pull(node, delta, [x in live for x in node.inputs])
            if visit is not None:
                visit(node, delta, contributions)
            _add(deltas, node.inputs, contributions)
    return deltas


def _sweep_values(
    order: Sequence[Node], live: set[Node], outputs: Sequence[Node], seeds: Sequence[Any], kept: set[Node]
) -> dict[Node, Any]:
    """The same sweep on arrays, where nobody will ask how the gradients came about."""
    deltas = _seeded(live, outputs, seeds)
    for node in reversed(order):
        op, inputs = node.op, node.inputs
        if op is None or not inputs or node not in deltas:
            continue
        delta = deltas[node] if node in kept else deltas.pop(node)
        wanted = [x in live for x in inputs]
        pulled = pull_through(op, node.params, node.value, [x.value for x in inputs], delta, wanted)
        for x, contribution in zip(inputs, pulled):  # noqa: B905 (as long as each other; the hot loop)
            if contribution is not None:
                deltas[x] = deltas[x] + contribution if x in deltas else contribution
    return {node: deltas[node] for node in order if node in deltas}


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
