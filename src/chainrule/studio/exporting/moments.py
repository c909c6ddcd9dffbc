"""What has happened up to an event, from trace and step alone, as on the page (``static/js/formula/snapshot.js``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from chainrule.errors import ArgumentError

Mode: TypeAlias = Literal["reverse", "forward"]
Trace: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class Moment:
    """The state after an event.

    Attributes:
        step: its place among the events.
        event: what happened last.
        ended: whether nothing is left to come.
        valued: ids of the nodes that have a value.
        gradients: what has arrived at each node, its tangent in forward mode.
        flowed: ids of the edges that a gradient, or a tangent, has passed.
        added: what each edge carries when it is passed.
    """

    step: int
    event: Mapping[str, Any]
    ended: bool
    valued: set[int]
    added: Sequence[float]
    gradients: dict[int, float] = field(default_factory=dict[int, float])
    flowed: set[int] = field(default_factory=set[int])


def moment_at(trace: Trace, step: int | None = None, mode: Mode = "reverse") -> Moment:
    """The state of a formula's trace after an event.

    Args:
        trace: of a formula.
        step: the event's place; None for the last, after both passes.
        mode: of which events.

    Raises:
        ArgumentError: there is no such step or mode.
    """
    events = require_step(trace["events"], step, mode)
    last = len(events) - 1
    at = last if step is None else step
    nodes, edges = trace["nodes"], trace["edges"]
    known = {node["id"] for node in nodes if node["kind"] in ("variable", "constant")}
    found = Moment(at, events[at], at == last, known, [float(edge["contribution"]) for edge in edges])
    for event in events[: at + 1]:
        _happen(trace, found, event)
    if mode == "reverse":  # sums in another order could differ in the last digit
        waiting = {edge["from"] for edge in edges if edge["id"] not in found.flowed}
        for i in found.gradients.keys() - waiting:
            found.gradients[i] = float(nodes[i]["gradient"])
    return found


def require_step(
    by_mode: Mapping[str, Sequence[Mapping[str, Any]] | None], step: int | None, mode: str
) -> Sequence[Mapping[str, Any]]:
    """The events of a mode, among which there is a step.

    Raises:
        ArgumentError: there is no such step or mode.
    """
    events = by_mode.get(mode)
    if events is None:
        fix = "reverse mode shows the formula" if mode == "forward" else "modes are 'reverse' and 'forward'"
        raise ArgumentError(f"this formula has no events of mode {mode!r}", fix=fix)
    last = len(events) - 1
    if step is not None and not 0 <= step <= last:
        raise ArgumentError(
            f"step {step} is not among the formula's events", fix=f"steps go from 0 to {last}"
        )
    return events


def _happen(trace: Trace, found: Moment, event: Mapping[str, Any]) -> None:
    kind = event["t"]
    if kind == "value":
        found.valued.add(event["node"])
    elif kind == "seed":
        found.gradients[event["node"]] = 1.0
    elif kind == "flow":
        node, edge = event["node"], event["edge"]
        found.gradients[node] = found.gradients.get(node, 0.0) + found.added[edge]
        found.flowed.add(edge)
    elif kind == "tseed":
        found.flowed.clear()
        found.added = _tangents(trace, event["node"])
        found.gradients = {i: float(i == event["node"]) for i in trace["variables"]}
    elif kind == "tangent":
        into: list[int] = [edge["id"] for edge in trace["edges"] if edge["to"] == event["node"]]
        found.gradients[event["node"]] = sum(found.added[e] for e in into)
        found.flowed.update(into)


def _tangents(trace: Trace, variable: int) -> list[float]:
    """What each edge adds to its node's derivative with respect to a variable."""
    tangents: dict[int, float] = {node["id"]: float(node["id"] == variable) for node in trace["nodes"]}
    added: list[float] = []
    for edge in trace["edges"]:
        upstream = tangents[edge["from"]]
        local = float(edge["local"])
        nothing = upstream == 0 or (local == 0 and "selects" in edge)
        added.append(0.0 if nothing else upstream * local)
        tangents[edge["to"]] += added[-1]
    return added
