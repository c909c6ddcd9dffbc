"""What happens in the two passes, as lists of events: a page shows any of them, and steps back as easily as on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Event = dict[str, Any]


class Use(Protocol):
    """An edge: ``node`` uses ``input``."""

    @property
    def node(self) -> int: ...
    @property
    def input(self) -> int: ...


def reverse_events(operations: Sequence[int], edges: Sequence[Use], result: int) -> list[Event]:
    """Values forward, then gradients back.

    ``start``; ``value`` of each operation; ``seed`` of the result; ``flow`` over each edge, one multiplication each,
    in the order of the backward pass; ``sum`` at a node where the last of several contributions has arrived; ``done``.

    Args:
        operations: indices of the nodes that are computed, in order.
        edges: those that derivatives flow through, ordered by their user.
        result: index of the result.
    """
    events: list[Event] = [{"t": "start"}, *({"t": "value", "node": i} for i in operations)]
    if not edges:
        return [*events, {"t": "done"}]
    events.append({"t": "seed", "node": result})
    waiting = _uses(edges)
    for e in _backward(edges):
        events.append({"t": "flow", "edge": e, "node": edges[e].input})
        uses, left = waiting[edges[e].input]
        waiting[edges[e].input] = (uses, left - 1)
        if left == 1 and uses > 1:
            events.append({"t": "sum", "node": edges[e].input})
    return [*events, {"t": "done"}]


def forward_events(operations: Sequence[int], variables: Sequence[int]) -> list[Event]:
    """Values forward, then for each variable a sweep: ``tseed``, and ``tangent`` of each operation."""
    events: list[Event] = [{"t": "start"}, *({"t": "value", "node": i} for i in operations)]
    for sweep, variable in enumerate(variables):
        events.append({"t": "tseed", "node": variable, "wrt": variable, "sweep": sweep})
        events += ({"t": "tangent", "node": i, "wrt": variable, "sweep": sweep} for i in operations)
    return [*events, {"t": "done"}]


def _uses(edges: Sequence[Use]) -> dict[int, tuple[int, int]]:
    """How often each node is used, twice: once to be counted down."""
    counts: dict[int, int] = {}
    for edge in edges:
        counts[edge.input] = counts.get(edge.input, 0) + 1
    return {node: (count, count) for node, count in counts.items()}


def _backward(edges: Sequence[Use]) -> list[int]:
    """Edges in the order of the backward pass: the last user first, its inputs from left to right."""
    return sorted(range(len(edges)), key=lambda e: -edges[e].node)
