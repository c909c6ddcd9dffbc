"""A gradient shared out over what the result is a sum of: its terms, and the examples of a batch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from chainrule.errors import ArgumentError, ChainruleError
from chainrule.explain.shares.attribution import Share, Split, fraction
from chainrule.explain.shares.flow import Flow
from chainrule.explain.shares.labels import Labels
from chainrule.node import Node, ancestors
from chainrule.ops.reduce import Reduction
from chainrule.primitive import Array

_SUMS = {"add", "subtract"}
_FACTORS = {"multiply", "divide", "scale"}
_SAME = {"negative", "identity", "astype", "reshape"}

Edges = list[tuple[Node, int]]


def terms(result: Node) -> Edges:
    """The edges through which the terms of a sum enter: ``a + 0.1 * (b - c)`` has the terms a, b and c.

    None where the result is no sum.
    """
    tracked = [n for n in ancestors([result]) if n.tracked]
    uses = Counter(x for node in tracked for x in node.inputs)
    splitting: set[Node] = set()
    for node in tracked:
        name = node.op.name if node.op and node.size == 1 else ""
        live = [x for x in node.inputs if x.tracked]
        passes = (name in _SUMS | _SAME) or (name in _FACTORS and len(live) == 1)
        # A multiple of a sum is one of its terms where the sum is used elsewhere as well.
        inside = any(x in splitting and uses[x] == 1 for x in live)
        if (name in _SUMS and len(live) > 1) or (passes and inside):
            splitting.add(node)
    return _entering(result, lambda node: node in splitting) if result in splitting else []


def samples(result: Node) -> tuple[Edges, int]:
    """The edges through which arrays with one entry for each example enter single numbers, and how many examples.

    Raises:
        ArgumentError: there is no such array.
    """
    edges = _entering(result, lambda node: node.size == 1 and bool(node.inputs))
    for node, slot in edges:
        array = node.inputs[slot]
        given = [n for n in ancestors([array]) if n.op is None and n.ndim]
        sizes = {n.shape[0] for n in given if not n.tracked} or {n.shape[0] for n in given}
        if array.shape and array.shape[0] in sizes:
            return edges, array.shape[0]
    raise no_examples()


def no_examples() -> ChainruleError:
    """The error for a result that is not computed of an array with an entry for each example."""
    return ArgumentError(
        "attribute: the result is not reduced from an array whose first axis is that of a batch of examples",
        fix="compute the losses of all examples as one array, then take cr.mean or cr.sum of it",
    )


def _entering(result: Node, opens: Callable[[Node], bool]) -> Edges:
    """From the result back through nodes that open, none of which is used elsewhere: the edges that lead into them."""
    order = [n for n in ancestors([result]) if n.tracked]
    users: dict[Node, list[Node]] = {n: [] for n in order}
    for node in order:
        for x in node.inputs:
            if x.tracked:
                users[x].append(node)
    opened: set[Node] = set()
    for node in reversed(order):
        if all(user in opened for user in users[node]) and opens(node):
            opened.add(node)
    return [
        (node, slot)
        for node in order
        if node in opened
        for slot, x in enumerate(node.inputs)
        if x.tracked and x not in opened
    ]


def by_term(flow: Flow, labels: Labels, edges: Edges, formula: Callable[[Node], str]) -> Split:
    """The terms' parts, in order of computation; terms that do not depend on the variable have 0."""
    amounts: dict[Node, list[float]] = {}
    if not edges:  # one term
        amounts[flow.order[-1]] = [flow.gradient]
    for node, slot in edges:
        amounts.setdefault(node.inputs[slot], []).append(_through(flow, node, slot))
    shares: list[Share] = []
    for node, parts in sorted(amounts.items(), key=lambda pair: pair[0].index):
        value = math.fsum(parts)
        shares.append(Share(formula(node), value, fraction(value, flow.gradient), labels.source(node)))
    return Split("", tuple(shares))


def by_sample(flow: Flow, edges: Edges, count: int) -> Split:
    """The examples' parts, and that of what belongs to none, such as a penalty on weights."""
    found, others = np.zeros(count), [0.0]
    for node, slot in edges:
        part = flow.parts.get((node, slot))
        if part is not None and part.shape[:1] == (count,):
            found += part.reshape(count, -1).sum(axis=1)
        else:
            others.append(_through(flow, node, slot))
    shares = [_share(flow, f"example {i}", float(value)) for i, value in enumerate(found)]
    rest = math.fsum(others)
    if rest or len(others) > 1:
        shares.append(_share(flow, "no example", rest))
    return Split("", tuple(shares))


def _share(flow: Flow, name: str, value: float) -> Share:
    return Share(name, value, fraction(value, flow.gradient))


def _through(flow: Flow, node: Node, slot: int) -> float:
    if node not in flow.index:
        return 0.0
    return next((s.amount for s in flow.streams[flow.index[node]] if s.slot == slot), 0.0)


def mixing(order: Sequence[Node], edges: Edges, count: int) -> Node | None:
    """A node that mixes the examples before their losses are there, as batch normalization does; None for none."""
    inside = {node for node, _ in edges}
    for node in order:
        op, x = node.op, node.inputs[0] if node.inputs else node
        if op is None or not issubclass(op, Reduction) or node in inside or x.shape[:1] != (count,):
            continue
        axes: Array | Sequence[int] | None = node.params.get("axes")
        if axes is None or 0 in axes:
            return node
    return None
