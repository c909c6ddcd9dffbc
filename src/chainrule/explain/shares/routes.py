"""A gradient shared out over the paths on which it flows: counted, and the strongest listed, without enumeration.

Where every node on the way is one number, sizes of factors multiply, and a best-first search gives the strongest paths.
Maps between arrays have no such sizes. There each node, from the result on, keeps the beginnings of paths through which
most flows: what comes back along a beginning, times how the node moves with the variable, is the sum over all paths
that begin so. The last step gives each path's own number. Where paths cancel, one can be strong of which a beginning is
not; so the strongest of all may be missed.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.rules import pull
from chainrule.explain.numbers import counted
from chainrule.explain.search import COUNTED, Prefix, Search, product_of, pulled, strength_of
from chainrule.explain.shares.attribution import Share, Split, fraction
from chainrule.explain.shares.flow import Flow, Stream, flowing
from chainrule.explain.shares.labels import Labels
from chainrule.modes import recording
from chainrule.node import Node, constant

WIDTH, MOST_WIDTH = 8, 64
"""So many beginnings are kept at each node at least; and at most, where fewer paths are wanted."""
MOST_STEPS, MOST_ELEMENTS = 20_000, 20_000_000
"""More than `WIDTH` only while so many nodes and array elements are passed along all of them together."""
MOST_NAMES = 3
"""Nodes or layers of a path that are named at either end."""


class _Beginning(NamedTuple):
    """The start of a path.

    Attributes:
        amount: what flows on all paths that begin so.
        prefix: its edges; None for the result alone.
        delta: what comes back along it.
    """

    amount: float
    prefix: Prefix[Stream] | None
    delta: Node


class Routes:
    """The paths of a flow.

    Attributes:
        exact: once the strongest have been looked for, whether these are they for certain.
    """

    def __init__(self, flow: Flow, labels: Labels) -> None:
        self.flow, self.labels = flow, labels
        self.last = len(flow.order) - 1
        self.numbers = all(node.size == 1 for node in flow.order)
        self.exact = self.numbers
        self.search: Search[Stream] = Search(flow.streams, 0, self._strength)

    @property
    def count(self) -> int | None:
        """How many paths there are; None for more than 10^300."""
        count = self.search.counts.get(self.last, 0)
        return count if count <= COUNTED else None

    def strongest(self, top: int) -> Split:
        """The strongest paths, and all others together."""
        found: list[tuple[float, Prefix[Stream] | None]] = []
        if self.last == 0:
            found = [(self.flow.gradient, None)]
        elif self.last in self.search.counts:
            width = max(top, self._width)
            found = self._proven(top) if self.numbers else self._likely(width)
            self.exact = self.numbers or self.search.counts[self.last] <= width  # then none has been left out
        found = sorted(found, key=lambda pair: -abs(pair[0]))[:top]
        gradient, count = self.flow.gradient, self.count
        shares = [self._share(value, prefix) for value, prefix in found]
        if count is None or count > len(found):
            rest = math.fsum([gradient, *(-value for value, _ in found)])
            name = "all other paths" if count is None else counted(count - len(found), "other path")
            shares.append(Share(name, rest, fraction(rest, gradient)))
        return Split("", tuple(shares))

    @property
    def _width(self) -> int:
        """How many beginnings can be followed in about the time of a few sweeps."""
        nodes, elements = len(self.flow.order), sum(node.size for node in self.flow.order)
        return max(WIDTH, min(MOST_WIDTH, MOST_STEPS // nodes, MOST_ELEMENTS // max(elements, 1)))

    def _strength(self, stream: Stream) -> float:
        """The size of a local derivative, where that is a number."""
        if not self.numbers:
            return 0.0
        return strength_of(abs(float(self._step(None, stream).sum())))

    def _step(self, before: Any, stream: Stream) -> Any:
        return pulled(self.flow.order[stream.node], stream.slot, before)

    def _proven(self, top: int) -> list[tuple[float, Prefix[Stream] | None]]:
        """The strongest paths of a graph of numbers."""
        paths = itertools.islice(self.search.paths(self.last), top)
        return [(float(product_of(prefix, self._step).sum()), prefix) for prefix in paths]

    def _likely(self, width: int) -> list[tuple[float, Prefix[Stream] | None]]:
        """Paths of whose beginnings each was among the ``width`` through which most flows to its node."""
        result = self.flow.order[self.last]
        one = constant(np.ones(result.shape, result.dtype))
        waiting = {self.last: [_Beginning(self.flow.gradient, None, one)]}
        for i in range(self.last, 0, -1):
            for beginning in heapq.nlargest(width, waiting.pop(i, ()), key=_size):
                for further in self._further(i, beginning):
                    assert further.prefix is not None
                    waiting.setdefault(further.prefix.edge.input, []).append(further)
        return [(found.amount, found.prefix) for found in waiting.get(0, ())]

    def _further(self, i: int, beginning: _Beginning) -> list[_Beginning]:
        """A beginning that ends at a node, gone on by each of its edges."""
        node, streams = self.flow.order[i], self.flow.streams[i]
        slots = {stream.slot for stream in streams}
        with recording(False):
            deltas = pull(node, beginning.delta, [slot in slots for slot in range(len(node.inputs))])
        found: list[_Beginning] = []
        for stream in streams:
            delta = deltas[stream.slot]
            if delta is not None:
                part = flowing(delta, self.flow.tangents.get(node.inputs[stream.slot]))
                found.append(_Beginning(float(part.sum()), Prefix(beginning.prefix, stream), delta))
        return found

    def _share(self, value: float, prefix: Prefix[Stream] | None) -> Share:
        passed = [self.last] + ([] if prefix is None else [s.input for s in prefix.edges])
        names, avoided = [self.labels.name(i) for i in passed], self.labels.avoided(passed)
        detail = f"past {_shortened(avoided, ', ', 'others')}" if avoided else ""
        return Share(_shortened(names, " ← ", "nodes"), value, fraction(value, self.flow.gradient), detail)


def _size(beginning: _Beginning) -> float:
    return abs(beginning.amount)


def _shortened(names: list[str], between: str, what: str) -> str:
    left = len(names) - 2 * MOST_NAMES
    if left > 1:
        names = [*names[:MOST_NAMES], f"… {left:,} {what} …", *names[-MOST_NAMES:]]
    return between.join(names)
