"""What happens in a forward and a backward pass, one thing after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from chainrule.errors import Source
from chainrule.explain.numbers import Value, as_value, json_value
from chainrule.explain.sweep import Edge, Sweep

Kind = Literal["value", "seed", "node", "edge"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happens.

    Attributes:
        place: from 0, among all events.
        kind: ``value``: a node is computed. ``seed``: the backward pass begins, with ∂result/∂result = 1. ``node``:
            all that a node's gradient is the sum of has arrived. ``edge``: upstream gradient times local derivative
            is added to the gradient of an input.
        node: the node's index among those of the explanation; for an edge the one that passes something on.
        name: its name.
        source: the user's line that made it.
        value: its value.
        delta: its gradient, as it is now; None going forward.
        input, slot: for an edge, the index and name of what it leads to, and which operand that is.
        input_name: likewise.
        local: for an edge, the local derivative: a number or an array; None where no single array describes it.
        contribution: for an edge, what it adds.
        before, after: for an edge, the sum at its input before and after; ``before`` is None for the first term.
    """

    place: int
    kind: Kind
    node: int
    name: str
    source: Source | None
    value: Value
    delta: Value | None = None
    input: int = -1
    input_name: str = ""
    slot: int = -1
    local: Value | None = None
    contribution: Value | None = None
    before: Value | None = None
    after: Value | None = None

    @property
    def phase(self) -> str:
        """``forward`` or ``backward``."""
        return "forward" if self.kind == "value" else "backward"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        data: dict[str, Any] = {
            "place": self.place,
            "phase": self.phase,
            "kind": self.kind,
            "node": self.node,
            "name": self.name,
            "source": self.source and self.source.to_dict(),
            "value": json_value(self.value),
            "delta": json_value(self.delta),
        }
        if self.kind != "edge":
            return data
        return data | {
            "input": self.input,
            "input_name": self.input_name,
            "slot": self.slot,
            "local": json_value(self.local),
            "contribution": json_value(self.contribution),
            "before": json_value(self.before),
            "after": json_value(self.after),
        }


def events_of(sweep: Sweep, named: list[str]) -> list[Event]:
    """Everything that happens in both passes of a sweep; ``named`` has a name for each of its nodes."""
    found: list[Event] = []
    for kind, node, edge, before, after in _happenings(sweep):
        seen, origin = sweep.nodes[node], sweep.origin[node]
        whole = Event(
            len(found),
            kind,
            node,
            named[node],
            origin.source,
            seen.value,
            None if kind == "value" else seen.gradient,
        )
        event = whole if edge is None else _along(whole, edge, named[edge.input], before, after)
        found.append(event)
    return found


def _along(event: Event, edge: Edge, name: str, before: Value | None, after: Value | None) -> Event:
    """An event of an edge, told of what it leads to."""
    return replace(
        event,
        input=edge.input,
        input_name=name,
        slot=edge.slot,
        local=edge.local,
        contribution=edge.contribution,
        before=before,
        after=after,
    )


def _happenings(sweep: Sweep) -> Iterator[tuple[Kind, int, Edge | None, Value | None, Value | None]]:
    for node in sweep.nodes:
        if node.inputs:
            yield "value", node.index, None, None, None
    sums: dict[int, Value] = {}
    last = len(sweep.nodes) - 1
    yield "seed", last, None, None, None
    for node in reversed(sweep.nodes):
        if node.gradient is None or (node.index != last and node.index not in sums):
            continue
        if node.index != last:
            yield "node", node.index, None, None, None
        for edge in node.edges:
            before = sums.get(edge.input)
            after = edge.contribution if before is None else as_value(before + edge.contribution)
            sums[edge.input] = after
            yield "edge", node.index, edge, before, after
