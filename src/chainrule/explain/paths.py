"""The paths from the result to a variable: counted exactly, listed strongest first, the rest summed.

There may be 2^50 of them, or one with a million edges. What the search does not list is added up by one backward sweep
that starts at every branch which the listed paths did not take. Nothing recurses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.autodiff.reverse import pullback
from chainrule.explain.numbers import Value, as_value
from chainrule.explain.search import COUNTED, Prefix, Search, State, product_of, pulled, strength_of
from chainrule.explain.sweep import Edge, Sweep
from chainrule.node import Node, constant
from chainrule.primitive import Array

MOST_PATHS = 100
MOST_STEPS = 100_000
"""At most so many edges in all listed paths together; one path is listed however long it is."""
MOST_ELEMENTS = 20_000_000
"""At most so many array elements are pulled back along listed paths; one path is listed in any case."""


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


class _Walk:
    """Products along the paths of a sweep."""

    def __init__(self, sweep: Sweep, goal: int) -> None:
        self.sweep, self.elements = sweep, 0
        self._upstream: dict[int, float] = {}
        self.search: Search[Edge] = Search([n.edges for n in sweep.nodes], goal, self._strength)
        self.scalar = all(sweep.nodes[i].is_scalar for i in self.search.counts)

    def _strength(self, edge: Edge) -> float:
        """By how much an edge scales; of a map between arrays, by how much it scaled what came."""
        if isinstance(edge.local, float):
            return strength_of(abs(edge.local))
        upstream = self._upstream.get(edge.node)
        if upstream is None:
            upstream = self._upstream[edge.node] = _length(self.sweep.nodes[edge.node].gradient)
        return strength_of(_length(edge.contribution) / upstream if upstream else 0.0)

    def product(self, prefix: Prefix[Edge]) -> Any:
        """The product along a prefix, which is remembered."""
        return product_of(prefix, self._step)

    def _step(self, before: Any, edge: Edge) -> Any:
        """One edge further, with the product pulled back along this edge alone."""
        if self.scalar:
            assert isinstance(edge.local, float)
            # Strong zeros, as everywhere: what is exactly 0 stays 0.
            return edge.local if before is None else before * edge.local if before else 0.0
        product = pulled(self.sweep.origin[edge.node], edge.slot, before)
        self.elements += product.size
        return product


def find_paths(sweep: Sweep, variable: int) -> Paths:
    """Count, list and add up the paths from the result to a node."""
    result = len(sweep.nodes) - 1
    name, shape = sweep.nodes[variable].name, sweep.nodes[variable].shape
    if variable == result:
        one = as_value(np.ones(shape))
        return Paths(1, (Path(name, (result,), (), one),), as_value(np.zeros(shape)), one)
    walk = _Walk(sweep, variable)
    if result not in walk.search.counts:
        zero = as_value(np.zeros(shape))
        return Paths(0, (), zero, zero)
    found = _list_strongest(walk, result)
    listed = tuple(sorted((_path(name, result, prefix) for prefix in found), key=_rank))
    rest = _sum_of_rest(walk, walk.search.left)
    count = walk.search.counts[result]
    return _added(Paths(count if count <= COUNTED else None, listed, rest, rest))


def paths_to_element(paths: Paths, shape: tuple[int, ...], index: tuple[int, ...], label: str) -> Paths:
    """What the paths to an array bring to one of its elements, the strongest for it first."""

    def at(value: Value) -> Value:
        return as_value(np.asarray(value).reshape(shape)[index])

    listed = [replace(p, variable=label, product=at(p.product)) for p in paths.listed]
    return _added(Paths(paths.count, tuple(sorted(listed, key=_rank)), at(paths.rest), paths.rest))


def _added(paths: Paths) -> Paths:
    products = [np.asarray(p.product) for p in paths.listed]
    return replace(paths, total=as_value(_add(products, np.asarray(paths.rest))))


def _list_strongest(walk: _Walk, result: int) -> list[Prefix[Edge]]:
    """The strongest paths; the search knows what stands for all others."""
    found: list[Prefix[Edge]] = []
    steps = 0
    for prefix in walk.search.paths(result):
        walk.product(prefix)
        found.append(prefix)
        steps += prefix.length
        if len(found) >= MOST_PATHS or steps > MOST_STEPS or walk.elements > MOST_ELEMENTS:
            break
    return found


def _path(variable: str, result: int, last: Prefix[Edge]) -> Path:
    edges, product = last.edges, last.product
    nodes = (result, *(edge.input for edge in edges))
    return Path(variable, nodes, tuple(edges), product if isinstance(product, float) else as_value(product))


def _sum_of_rest(walk: _Walk, states: list[State]) -> Value:
    """Sum over all paths that no listed one covers, by one sweep from where they branch off."""
    sweep, goal = walk.sweep, walk.sweep.origin[walk.search.goal]
    seeds: dict[int, Any] = {}
    for state in states:
        for edge in walk.search.ranked(state.node)[state.rank :]:
            product = walk.product(Prefix(state.prefix, edge))
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


def _length(value: Value | None) -> float:
    """The norm in the array's own precision, which is fast and enough to compare by."""
    if isinstance(value, np.ndarray):
        flat = value.reshape(-1)
        square = float(np.dot(flat, flat))
        if 1e-30 < square < 1e30:
            return math.sqrt(square)
    return _norm(value)


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
