"""A gradient shared out at the places that it passes: where it divides, and by what goes through each layer."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

from chainrule.explain.shares.attribution import Share, Split, fraction
from chainrule.explain.shares.flow import Flow
from chainrule.explain.shares.labels import Labels


def at_branches(flow: Flow, labels: Labels) -> tuple[Split, ...]:
    """For each node with several uses what comes through each of them, and what goes past the node."""
    uses, found = flow.uses(), list[Split]()
    meeting, layers = _meeting(flow), _running([bool(name) for name in labels.layers])
    for i, (past, crossing) in enumerate(flow.past()):
        if len(uses[i]) < 2:
            continue
        shares = [_share(flow, labels.use(s), s.amount) for s in uses[i]]
        if crossing:
            shares.append(_share(flow, f"past {labels.name(i)}", past))
        inner = layers[meeting[i]] == layers[i + 1]
        found.append(Split(labels.node(i), tuple(shares), labels.behind(i), inner))
    return tuple(found)


def at_layers(flow: Flow, labels: Labels) -> tuple[Split, ...]:
    """For each use of a layer's parameters what flows through it, and what past it.

    Layers one behind the other that the same edges pass, as those of a residual branch, are taken together.
    """
    uses, found = _layer_uses(flow, labels), list[Split]()
    often, met = Counter(labels.layers[i] for i in uses), Counter[str]()
    passing, before = list(flow.past()), 0
    for i in uses:
        layer, (past, crossing) = labels.layers[i], passing[i]
        met[layer] += 1
        detail = f"use {met[layer]} of {often[layer]}" if often[layer] > 1 else ""
        shares = _share(flow, "through it", flow.through(i)), _share(flow, "past it", past)
        common = _common(found[-1].name, layer) if found and crossing and crossing == before else ""
        if common:
            found[-1] = replace(found[-1], name=common)
        else:
            found.append(Split(layer, shares, detail))
        before = crossing
    return tuple(found)


def _common(name: str, other: str) -> str:
    """What two paths have in common: ``layers`` for ``layers.0`` and ``layers.1``."""
    pairs = zip(name.split("."), other.split("."), strict=False)
    return ".".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _layer_uses(flow: Flow, labels: Labels) -> list[int]:
    """Nodes that use a parameter beside what comes from the variable, of each chain within a layer the first."""
    found: list[int] = []
    chained: set[int] = set()
    for i, streams in enumerate(flow.streams):
        before = [s.input for s in streams if flow.order[s.input].op is not None]
        if not labels.layers[i]:
            continue
        same = len(before) == 1 and before[0] in chained and labels.layers[before[0]] == labels.layers[i]
        chained.add(i)
        if before and not same:
            found.append(i)
    return found


def _share(flow: Flow, name: str, value: float) -> Share:
    return Share(name, value, fraction(value, flow.gradient))


def _meeting(flow: Flow) -> list[int]:
    """For each node the first that all ways from it to the result pass: its immediate post-dominator."""
    last = len(flow.order) - 1
    meeting = [last] * len(flow.order)
    uses = flow.uses()
    for i in range(last - 1, -1, -1):
        at = -1
        for stream in uses[i]:
            other = stream.node
            while at >= 0 and at != other:
                at, other = (meeting[at], other) if at < other else (at, meeting[other])
            at = other
        meeting[i] = at if at >= 0 else last
    return meeting


def _running(marks: list[bool]) -> list[int]:
    """How many marks stand before each place, and before the end."""
    counts = [0]
    for mark in marks:
        counts.append(counts[-1] + mark)
    return counts
