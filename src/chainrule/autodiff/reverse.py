"""Reverse mode: one sweep from the results gives the gradient of everything before them.

Each delta, once summed, is reused by all of a node's inputs: dynamic programming over the graph.
Sweeps follow descending node numbers, so they need no recursion and always add in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule.autodiff.rules import pull
from chainrule.node import Node, ancestors, is_differentiable, recording

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


def leaf_gradients(
    output: Node, seed: Node, keep: Callable[[Node], bool], *, record: bool
) -> dict[Node, Node]:
    """Gradients of one output for every tracked leaf before it, and every node that ``keep`` names.

    Args:
        output: the result; ``seed`` is ∂L/∂output, of its shape.
        keep: called for each node on the way; True keeps its gradient too.
        record: whether the gradients remember how they were computed.
    """
    order = [n for n in ancestors([output]) if is_differentiable(n)]
    kept = {n for n in order if n.op is None or keep(n)}
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
    deltas: dict[Node, Node] = {}
    with recording(record):
        for output, seed in zip(outputs, seeds, strict=True):
            if output in live:
                deltas[output] = deltas[output] + seed if output in deltas else seed
        for node in reversed(order):
            delta = deltas.get(node) if node in kept else deltas.pop(node, None)
            if delta is None or not node.inputs:
                continue
            contributions = pull(node, delta, [x in live for x in node.inputs])
            if visit is not None:
                visit(node, delta, contributions)
            for x, contribution in zip(node.inputs, contributions, strict=True):
                if contribution is not None:
                    known = deltas.get(x)
                    deltas[x] = contribution if known is None else known + contribution
    return deltas


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
