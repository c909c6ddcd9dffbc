"""The strongest paths of an acyclic graph, without walking into any other.

Nodes are numbered in topological order. Counts and bounds come from dynamic programming over the graph; the search is
best-first, and since its bound is that of a path that exists, it never walks into a path that it does not give.
Nothing recurses.

Source: Eppstein, Finding the k shortest paths, SIAM J. Comput. 28(2), 1998, 652-673,
DOI 10.1137/S0097539795290477 (the problem; here the graph is acyclic and the bound exact).
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from chainrule.autodiff.rules import pull
from chainrule.modes import recording
from chainrule.node import Node, constant
from chainrule.primitive import Array

COUNTED = 10**300
"""Counts stop here: exact beyond, they alone would take hours on long graphs."""
_ZERO, _UNDEFINED = -1e12, 1e9
"""Logarithms of a factor that is 0, and of one that is infinite or NaN."""


class Link(Protocol):
    """One use of a node by another."""

    @property
    def node(self) -> int: ...
    @property
    def input(self) -> int: ...
    @property
    def slot(self) -> int: ...


E = TypeVar("E", bound=Link)


class Prefix(Generic[E]):
    """The start of a path: an edge more than ``before``; its product once someone has asked for it."""

    __slots__ = ("before", "edge", "length", "product")

    def __init__(self, before: Prefix[E] | None, edge: E) -> None:
        self.before, self.edge = before, edge
        self.length: int = 1 if before is None else before.length + 1
        self.product: Any = None

    @property
    def edges(self) -> list[E]:
        """Its edges from the result on."""
        found: list[E] = []
        prefix: Prefix[E] | None = self
        while prefix is not None:
            found.append(prefix.edge)
            prefix = prefix.before
        return found[::-1]


class State(NamedTuple):
    """All paths that go on from ``prefix`` at ``node`` by its edge number ``rank`` or a weaker one."""

    bound: float
    order: int
    prefix: Prefix[Any] | None
    log: float
    node: int
    rank: int


class Search(Generic[E]):
    """Paths from the last node to a goal, by the sum of their edges' strengths.

    Args:
        edges: for each node those to its inputs.
        goal: number of a node.
        strength: of an edge; the logarithm of the size of its factor, see :func:`strength_of`.

    Attributes:
        counts: for every node that leads to the goal how many paths there are; `COUNTED` + 1 stands for more.
        left: after :meth:`paths` has been read as far as one wants, all paths that it has not given.
    """

    def __init__(self, edges: Sequence[Sequence[E]], goal: int, strength: Callable[[E], float]) -> None:
        self.goal = goal
        self.counts: dict[int, int] = {goal: 1}
        self.left: list[State] = []
        self._best: dict[int, float] = {goal: 0.0}
        self._ranked: dict[int, list[E]] = {}
        self._strength: dict[tuple[int, int], float] = {}
        self._order = itertools.count()
        for node in range(goal + 1, len(edges)):
            live = [e for e in edges[node] if e.input in self.counts]
            if live:
                self.counts[node] = min(sum(self.counts[e.input] for e in live), COUNTED + 1)
                self._strength |= {(node, e.slot): strength(e) for e in live}
                self._ranked[node] = sorted(live, key=lambda e: -self._bound(e))
                self._best[node] = self._bound(self._ranked[node][0])

    def _bound(self, edge: E) -> float:
        return self._strength[edge.node, edge.slot] + self._best[edge.input]

    def ranked(self, node: int) -> list[E]:
        """Edges of a node that lead to the goal, the start of the strongest path first."""
        return self._ranked[node]

    def _state(self, prefix: Prefix[E] | None, log: float, node: int, rank: int) -> State:
        return State(-log - self._bound(self._ranked[node][rank]), next(self._order), prefix, log, node, rank)

    def paths(self, start: int) -> Iterator[Prefix[E]]:
        """Every path from a node, the strongest first."""
        self.left = [self._state(None, 0.0, start, 0)]
        while self.left:
            top = heapq.heappop(self.left)
            prefix, log, node, rank = top.prefix, top.log, top.node, top.rank
            while True:
                edges = self._ranked[node]
                if rank + 1 < len(edges):
                    heapq.heappush(self.left, self._state(prefix, log, node, rank + 1))
                edge = edges[rank]
                prefix, log = Prefix(prefix, edge), log + self._strength[node, edge.slot]
                if edge.input == self.goal:
                    break
                node, rank = edge.input, 0  # the best way on keeps the bound, so it is followed to the end
            yield prefix


def product_of(prefix: Prefix[E], step: Callable[[Any, E], Any]) -> Any:
    """The product along a prefix, made edge by edge from what is known of it; ``step(None, edge)`` starts it."""
    missing: list[Prefix[E]] = []
    at: Prefix[E] | None = prefix
    while at is not None and at.product is None:
        missing.append(at)
        at = at.before
    known = None if at is None else at.product
    for part in reversed(missing):
        known = part.product = step(known, part.edge)
    return known


def pulled(node: Node, slot: int, upstream: Array | None) -> Array:
    """What a node passes on to one of its inputs of what comes from above; None stands for ones."""
    g = constant(np.ones(node.shape, node.dtype) if upstream is None else upstream)
    with recording(False):
        found = pull(node, g, [i == slot for i in range(len(node.inputs))])[slot]
    x = node.inputs[slot]
    return np.zeros(x.shape, x.dtype) if found is None else np.asarray(found.value)


def strength_of(size: float) -> float:
    """The logarithm of the size of a factor, where that is 0, infinite or NaN too."""
    if size == 0:
        return _ZERO
    return math.log(size) if math.isfinite(size) else _UNDEFINED
