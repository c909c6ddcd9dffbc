"""What is held to be the cause, and how to test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.explain.reasons.passes import Edge
from chainrule.node import Node
from chainrule.primitive import Array


@dataclass(frozen=True, slots=True)
class Change:
    """Something to put in the place of the cause.

    Attributes:
        text: in words, such as ``x = 0.001 there``.
        values: of nodes.
        factors: local derivatives of elementwise nodes.
        gains: by which what edges add is multiplied.
    """

    text: str
    values: Mapping[Node, Array] = field(default_factory=dict[Node, Array])
    factors: Mapping[Edge, Array] = field(default_factory=dict[Edge, Array])
    gains: Mapping[Edge, float] = field(default_factory=dict[Edge, float])


def together(changes: Sequence[Change]) -> Change:
    """Several changes as one."""
    whole = Change(" and ".join(c.text for c in changes), {}, {}, {})
    for c in changes:
        whole = Change(
            whole.text,
            merged(whole.values, c.values),
            {**whole.factors, **c.factors},
            {**whole.gains, **c.gains},
        )
    return whole


def merged(values: Mapping[Node, Array], more: Mapping[Node, Array]) -> dict[Node, Array]:
    """Changed values of nodes, and more of them; of a node in both the elements that either changes."""
    whole = dict(values)
    for node, value in more.items():
        own = np.asarray(node.value)
        kept = whole.get(node, own)
        whole[node] = np.where((kept == own) | (np.isnan(kept) & np.isnan(own)), value, kept)
    return whole


@dataclass(frozen=True, slots=True)
class Verdict:
    """A cause.

    Attributes:
        kind: its name in the catalogue.
        node: where it is.
        text: the mechanism, with its numbers.
        evidence: what else can be checked.
        remedy: what to do.
        change: what would cure the gradient if this is the cause; None where nothing can be put in its place.
    """

    kind: str
    node: Node
    text: str
    evidence: tuple[str, ...]
    remedy: str
    change: Change | None
