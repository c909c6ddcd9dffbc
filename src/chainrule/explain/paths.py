"""The paths from the result to a variable: counted exactly, listed strongest first, the rest summed.

There may be 2^50 of them, or one with a million edges. Counts and bounds come from dynamic programming
over the graph; listing is a best-first search whose bound is exact, so that it never walks into a path
that it does not list. What is not listed is added up by one backward sweep that starts at every branch
which the listed paths did not take. Nothing recurses.

Source: Eppstein, Finding the k shortest paths, SIAM J. Comput. 28(2), 1998, 652-673,
DOI 10.1137/S0097539795290477 (the problem; here the graph is acyclic and the bound exact).
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.reverse import pullback
from chainrule.autodiff.rules import pull
from chainrule.explain.numbers import Value, as_value
from chainrule.explain.sweep import Edge, Sweep
from chainrule.modes import recording
from chainrule.node import Node, constant
from chainrule.primitive import Array

MOST_PATHS = 100
MOST_STEPS = 100_000
"""At most so many edges in all listed paths together; one path is listed however long it is."""
MOST_ELEMENTS = 20_000_000
"""At most so many array elements are pulled back along listed paths; one path is listed in any case."""
COUNTED = 10**300
"""Counts stop here: exact beyond, they alone would take hours on long graphs."""

_ZERO, _UNDEFINED = -1e12, 1e9
"""Logarithms of a factor that is 0, and of one that is infinite or NaN."""


@dataclass(frozen=True, slots=True)
class Path:
    """One way from the result to a variable.

    Attributes:
        variable: its name.
        nodes: indices of the nodes, the result first, the variable last.
        edges: between them.
        product: of the local derivatives along it; shaped as the variable.
    """

    variable: str
    nodes: tuple[int, ...]
    edges: tuple[Edge, ...]
    product: Value

    @property
    def factors(self) -> tuple[Value | None, ...]:
        """The local derivatives, in the order in which the gradient meets them."""
        return tuple(edge.local for edge in self.edges)


@dataclass(frozen=True, slots=True)
class Paths:
    """What was found between the result and a variable.

    Attributes:
        count: how many paths there are; None for more than 10^300.
        listed: the strongest of them, by the size of their product.
        rest: sum of the products of all others; shaped as the variable.
        total: sum of all products, to be compared with the gradient.
    """

    count: int | None
    listed: tuple[Path, ...]
    rest: Value
    total: Value


class _Prefix(NamedTuple):
    """The start of a path: an edge more than ``before``, and the product so far."""

    before: _Prefix | None
    edge: Edge
    product: Any
    length: int


class _State(NamedTuple):
    """All paths that go on from ``prefix`` at ``node`` by its edge number ``rank`` or a weaker one."""

    bound: float
    order: int
    prefix: _Prefix | None
    log: float
    node: int
    rank: int


@dataclass
class _Search:
    sweep: Sweep
    goal: int
    counts: dict[int, int] = field(default_factory=dict[int, int])
    best: dict[int, float] = field(default_factory=dict[int, float])
    _ranked: dict[int, list[Edge]] = field(default_factory=dict[int, "list[Edge]"])
    elements: int = 0

    def __post_init__(self) -> None:
        self._prepare()
        self.scalar = all(self.sweep.nodes[i].is_scalar for i in self.counts)
        self._order = itertools.count()

    def _prepare(self) -> None:
        """Count paths to the goal and find the strongest, for every node that leads to it."""
        self.counts[self.goal], self.best[self.goal] = 1, 0.0
        for node in self.sweep.nodes[self.goal + 1 :]:
            live = [e for e in node.edges if e.input in self.counts]
            if live:
                self.counts[node.index] = min(sum(self.counts[e.input] for e in live), COUNTED + 1)
                self.best[node.index] = max(self.strength(e) + self.best[e.input] for e in live)

    def strength(self, edge: Edge) -> float:
        """Logarithm of the size of a local derivative; for maps between arrays, by how much it scaled."""
        if isinstance(edge.local, float):
            size = abs(edge.local)
        else:
            upstream = _norm(self.sweep.nodes[edge.node].gradient)
            size = _norm(edge.contribution) / upstream if upstream else 0.0
        if size == 0:
            return _ZERO
        return math.log(size) if math.isfinite(size) else _UNDEFINED

    def ranked(self, node: int) -> list[Edge]:
        """Edges of a node that lead to the goal, the start of the strongest path first."""
        known = self._ranked.get(node)
        if known is None:
            live = [e for e in self.sweep.nodes[node].edges if e.input in self.counts]
            known = sorted(live, key=lambda e: -(self.strength(e) + self.best[e.input]))
            self._ranked[node] = known
        return known

    def state(self, prefix: _Prefix | None, log: float, node: int, rank: int) -> _State:
        edge = self.ranked(node)[rank]
        bound = log + self.strength(edge) + self.best[edge.input]
        return _State(-bound, next(self._order), prefix, log, node, rank)

    def extend(self, prefix: _Prefix | None, edge: Edge) -> _Prefix:
        """One edge further, with the product pulled back along this edge alone."""
        before: Any = prefix.product if prefix else None
        length = prefix.length + 1 if prefix else 1
        if self.scalar:
            assert isinstance(edge.local, float)
            # Strong zeros, as everywhere: what is exactly 0 stays 0.
            product = edge.local if prefix is None else before * edge.local if before else 0.0
        else:
            product = self._pulled(before, edge)
            self.elements += product.size
        return _Prefix(prefix, edge, product, length)

    def _pulled(self, upstream: Array | None, edge: Edge) -> Array:
        node = self.sweep.origin[edge.node]
        g = constant(np.ones(node.shape, node.dtype) if upstream is None else upstream)
        with recording(False):
            found = pull(node, g, [i == edge.slot for i in range(len(node.inputs))])[edge.slot]
        x = node.inputs[edge.slot]
        return np.zeros(x.shape, x.dtype) if found is None else np.asarray(found.value)


def find_paths(sweep: Sweep, variable: int) -> Paths:
    """Count, list and add up the paths from the result to a node."""
    search = _Search(sweep, variable)
    result = len(sweep.nodes) - 1
    name, shape = sweep.nodes[variable].name, sweep.nodes[variable].shape
    if variable == result:
        one = as_value(np.ones(shape))
        return Paths(1, (Path(name, (result,), (), one),), as_value(np.zeros(shape)), one)
    if result not in search.counts:
        zero = as_value(np.zeros(shape))
        return Paths(0, (), zero, zero)
    found, left = _list_strongest(search, result)
    listed = tuple(_path(name, result, prefix) for prefix in found)
    listed = tuple(sorted(listed, key=_rank))
    rest = _sum_of_rest(search, left)
    total = as_value(_add([np.asarray(p.product) for p in listed], np.asarray(rest)))
    count = search.counts[result]
    return Paths(count if count <= COUNTED else None, listed, rest, total)


def _list_strongest(search: _Search, result: int) -> tuple[list[_Prefix], list[_State]]:
    """The strongest paths, and the states that stand for all others."""
    heap = [search.state(None, 0.0, result, 0)]
    found: list[_Prefix] = []
    steps = 0
    while heap and len(found) < MOST_PATHS:
        if found and (steps > MOST_STEPS or search.elements > MOST_ELEMENTS):
            break
        top = heapq.heappop(heap)
        prefix, log, node, rank = top.prefix, top.log, top.node, top.rank
        while True:
            edges = search.ranked(node)
            if rank + 1 < len(edges):
                heapq.heappush(heap, search.state(prefix, log, node, rank + 1))
            edge = edges[rank]
            prefix, log = search.extend(prefix, edge), log + search.strength(edge)
            if edge.input == search.goal:
                break
            node, rank = edge.input, 0  # the best way on keeps the bound, so it is followed to the end
        found.append(prefix)
        steps += prefix.length
    return found, heap


def _path(variable: str, result: int, last: _Prefix) -> Path:
    edges: list[Edge] = []
    prefix: _Prefix | None = last
    while prefix is not None:
        edges.append(prefix.edge)
        prefix = prefix.before
    edges.reverse()
    product = last.product
    nodes = (result, *(edge.input for edge in edges))
    return Path(variable, nodes, tuple(edges), product if isinstance(product, float) else as_value(product))


def _sum_of_rest(search: _Search, states: list[_State]) -> Value:
    """Sum over all paths that no listed one covers, by one sweep from where they branch off."""
    sweep, goal = search.sweep, search.sweep.origin[search.goal]
    seeds: dict[int, Any] = {}
    for state in states:
        for edge in search.ranked(state.node)[state.rank :]:
            product = search.extend(state.prefix, edge).product
            seeds[edge.input] = seeds[edge.input] + product if edge.input in seeds else product
    outputs: list[Node] = [sweep.origin[i] for i in seeds]
    starts = [
        constant(np.asarray(g).reshape(n.shape), n.dtype)
        for g, n in zip(seeds.values(), outputs, strict=True)
    ]
    (found,) = pullback(outputs, starts, [goal], record=False)
    return as_value(np.zeros(goal.shape) if found is None else found.value)


def _rank(path: Path) -> tuple[float, tuple[int, ...]]:
    """Strongest first; equal ones, up to rounding, from left to right as the operands are written."""
    return -float(f"{_norm(path.product):.12e}"), tuple(edge.slot for edge in path.edges)


def _add(products: list[Array], rest: Array) -> Array:
    """Sum, exactly rounded where each is one number."""
    if rest.size == 1:
        numbers = [float(p.reshape(())) for p in (*products, rest)]
        try:
            return np.asarray(math.fsum(numbers))
        except (OverflowError, ValueError):  # a sum beyond the largest float; infinities of both signs
            return np.asarray(sum(numbers))
    return np.sum([*products, rest], axis=0)


def _norm(value: Value | None) -> float:
    array = np.asarray(value, dtype=np.float64)
    size = float(np.abs(array).max(initial=0.0))
    if size == 0 or not math.isfinite(size):
        return size if size == size else math.inf
    return size * math.sqrt(float(np.sum(np.square(array / size))))
