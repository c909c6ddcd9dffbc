"""How much of one number of a gradient passes through each edge: two sweeps, whatever the number of paths.

What flows through an edge is the sum over all paths through it: what it adds to the gradient of its input, times how
that input moves with the variable. As much flows into a node as out of it, so that what crosses any cut between the
variable and the result adds up to the gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from chainrule.autodiff.reverse import between
from chainrule.explain.reasons.passes import gradient_of, tangents_of
from chainrule.node import Node
from chainrule.primitive import Array


class Stream(NamedTuple):
    """An edge and what flows through it.

    Attributes:
        node: who uses, as an index into the nodes of the flow.
        input: what is used, likewise.
        slot: which of the user's inputs this is, from 0.
        amount: the sum over all paths through the edge.
    """

    node: int
    input: int
    slot: int
    amount: float


class Flow:
    """A number of a gradient, as it flows from a variable to a result.

    Args:
        result: one number, computed.
        variable: a node before it.
        direction: in which the variable moves: the number is the derivative in that direction.
        kept: edges, by node and slot, whose flow is wanted by elements.

    Attributes:
        order: the nodes on a path between the two, the variable's uses before what they lead to.
        index: their places.
        streams: for each of them the edges to its inputs.
        tangents: how each moves with the variable; those that do not are missing.
        parts: for the edges that are kept, what flows through each element of the input.
        gradient: the number itself, from the backward sweep alone.
    """

    def __init__(
        self, result: Node, variable: Node, direction: Array, kept: Iterable[tuple[Node, int]] = ()
    ) -> None:
        self.order, live = between([result], [variable])
        self.index = {node: i for i, node in enumerate(self.order)}
        self.tangents = tangents_of(self.order, variable, direction)
        self.streams: list[list[Stream]] = [[] for _ in self.order]
        self.parts: dict[tuple[Node, int], Array] = {}
        wanted = set(kept)

        def see(node: Node, delta: Node, added: list[Node | None]) -> None:
            i = self.index[node]
            for slot, (x, term) in enumerate(zip(node.inputs, added, strict=True)):
                if x not in live:
                    continue
                part = flowing(term, self.tangents.get(x))
                self.streams[i].append(Stream(i, self.index[x], slot, float(part.sum())))
                if (node, slot) in wanted:
                    self.parts[node, slot] = np.broadcast_to(part, x.shape)

        found = gradient_of(result, variable, see)
        self.gradient = 0.0 if found is None else float(np.sum(found * direction, dtype=np.float64))
        for i, node in enumerate(self.order):  # what the result does not feel has not been passed
            if not self.streams[i] and node is not variable:
                self.streams[i] = [
                    Stream(i, self.index[x], slot, 0.0) for slot, x in enumerate(node.inputs) if x in live
                ]

    def through(self, i: int) -> float:
        """What flows through a node: in through all of its edges."""
        return float(sum(s.amount for s in self.streams[i]))

    def uses(self) -> list[list[Stream]]:
        """For each node the edges through which others use it."""
        found: list[list[Stream]] = [[] for _ in self.order]
        for streams in self.streams:
            for stream in streams:
                found[stream.input].append(stream)
        return found

    def past(self) -> Iterator[tuple[float, int]]:
        """For each node what flows past it, through edges from nodes before it to nodes behind it.

        Yields:
            The amount, and a number that two nodes have in common which the same edges pass; 0 where there are none.
        """
        uses, crossing = self.uses(), 0
        high = low = 0.0
        for i, streams in enumerate(self.streams):
            for stream in streams:
                high, low = _added(high, low, -stream.amount)
                crossing ^= hash((stream.node, stream.slot))
            yield (high + low if crossing else 0.0), crossing
            for stream in uses[i]:
                high, low = _added(high, low, stream.amount)
                crossing ^= hash((stream.node, stream.slot))


def flowing(term: Node | None, tangent: Array | None) -> Array:
    """What flows through each element of a node, in double precision; zeros are strong.

    Args:
        term: what comes back to it; None for nothing.
        tangent: how it moves with the variable; None for not at all.
    """
    if term is None or tangent is None:
        return np.zeros(())
    added = term.array()
    part = np.multiply(added, tangent, dtype=np.float64)
    if np.isfinite(part).all():
        return part
    return np.where((added == 0) | (tangent == 0), 0.0, part)


def _added(high: float, low: float, amount: float) -> tuple[float, float]:
    """A sum in two parts, so that what is taken away later leaves nothing (Knuth's two-sum)."""
    total = high + amount
    back = total - high
    return total, low + ((high - (total - back)) + (amount - back))
