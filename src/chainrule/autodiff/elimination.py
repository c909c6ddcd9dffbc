"""Vertex elimination: what it takes to turn a graph of local derivatives into a Jacobian, in any order.

A graph whose edges are local derivatives becomes a Jacobian by eliminating the vertices between inputs and outputs,
one after another: each edge that enters the vertex is multiplied with each one that leaves it, and the product is
added to the edge from the one's start to the other's end. In the order of computation this is forward mode,
backwards it is reverse mode; there are n! orders in all.

`Problem` and `State` are what a search for a cheap order (:mod:`chainrule.autodiff.ordering`) works on;
`EliminationGraph` is the problem whose edges are numbers.

Sources: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapters 9 and 10, DOI
10.1137/1.9780898717761; Naumann, Optimal Jacobian accumulation is NP-complete, Math. Program. 112, 2008, 427-441, DOI
10.1007/s10107-006-0042-z.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

from chainrule.autodiff.disjoint import disjoint_paths
from chainrule.autodiff.reverse import between
from chainrule.autodiff.rules import is_linear_in, local_partials
from chainrule.errors import ArgumentError, StructureError, shown
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.primitive import Discrete, Linear, Pointwise

LARGEST = 20_000
"""Vertices of a graph: its sets of bits then take up to 100 MB, and eliminating all of them seconds."""


class State(Protocol):
    """A graph of which some vertices were eliminated. What is left must not depend on the order in which they were."""

    def cost(self, v: int) -> int:
        """Multiplications that it would take to eliminate ``v`` now."""
        ...

    def eliminate(self, v: int) -> int:
        """Take ``v`` out of the graph, and return the multiplications that it took."""
        ...

    def neighbours(self, v: int) -> Iterable[int]:
        """The vertices still to be eliminated whose cost may change when ``v`` is eliminated now.

        If v is a neighbour of w, w is one of v.
        """
        ...

    def harmless(self, v: int) -> bool:
        """Whether some best order of what is left begins with ``v``; False where that is not known."""
        ...

    def copy(self) -> Self:
        """A state of its own. It is made often, so it should share what it can."""
        ...


@runtime_checkable
class Divisible(Protocol):
    """A state that can be cut: what long orders are searched by, a stretch at a time."""

    def part(self, some: Sequence[int]) -> State:
        """A smaller state of its own in which ``some`` can be eliminated, there numbered from 0, at the same costs."""
        ...


class Problem(Protocol):
    """What is to be eliminated, and what is known of it. Costs are whole multiplications, 0 or more."""

    @property
    def intermediates(self) -> Sequence[int]:
        """The vertices to be eliminated, each once, in order of computation."""
        ...

    @property
    def input_size(self) -> int:
        """How many numbers the inputs hold on which the outputs depend."""
        ...

    @property
    def output_size(self) -> int:
        """How many numbers the outputs hold that depend on the inputs."""
        ...

    def start(self) -> State:
        """The graph before anything was eliminated."""
        ...

    def lower_bound(self, v: int) -> int:
        """Multiplications that ``v`` takes at least, in every order; 0 where nothing is known."""
        ...

    def solved(self) -> Solution | None:
        """An order that is known to be the best without a search; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """An order of the intermediates that no other one beats, and ``by`` what it was found."""

    order: tuple[int, ...]
    by: str


@dataclass(frozen=True, slots=True)
class EliminationGraph:
    """A problem whose edges are numbers: eliminating a vertex takes predecessors times successors multiplications.

    Inputs are numbered -1, -2, ..., computed vertices 1, 2, ... in an order of computation. Sets of vertices are
    sets of bits: bit v stands for vertex v > 0, bit ``size`` + v for input v < 0, so that ``before[v]`` and
    ``after[v]`` are there for both. What lies on no path from an input to an output has no edges here.

    An output that others are computed from is eliminated too: its row of the Jacobian stays, its other edges go.

    Attributes:
        inputs: how many.
        before: for each vertex, those that enter it.
        after: for each vertex, those that it enters.
        outputs: those that depend on inputs, in order of computation.
        intermediates: vertices to be eliminated, in order of computation.

    Example:
        >>> g = EliminationGraph.from_edges(2, 3, [(-1, 1), (-2, 1), (1, 2), (1, 3)], outputs=(2, 3))
        >>> g.intermediates, g.multiplications((1,))
        ((1,), 4)
    """

    inputs: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...]

    @classmethod
    def from_edges(
        cls, inputs: int, vertices: int, edges: Iterable[tuple[int, int]], outputs: Iterable[int]
    ) -> EliminationGraph:
        """A graph from its edges. An edge given twice is one edge.

        Args:
            inputs: how many; they are -1 to -inputs.
            vertices: how many are computed; they are 1 to vertices, each after those from which it is computed.
            edges: pairs (from, to).
            outputs: computed vertices whose derivatives are wanted.

        Raises:
            StructureError: an edge leads back or to a vertex that is not there, an output is not there, or there are
                more than `LARGEST` vertices.
        """
        if inputs < 0 or vertices < 0 or inputs + vertices > LARGEST:
            raise StructureError(
                f"a graph of {shown(inputs)} inputs and {shown(vertices)} vertices: expected 0 to {LARGEST} in all",
                fix="count whole arrays as one vertex each: cr.jacobian(f) eliminates in the graph of arrays",
            )
        size = inputs + vertices + 1
        before, after = [0] * size, [0] * size
        for a, b in edges:
            if not (-inputs <= a <= vertices and a != 0 and 0 < b <= vertices):
                raise StructureError(
                    f"edge {shown(a)} -> {shown(b)}: expected to lead to a vertex, 1 to {vertices}, from one or from "
                    f"an input, -1 to -{inputs}",
                    fix="number inputs -1, -2, ... and computed vertices 1, 2, ...",
                )
            if a >= b:
                raise StructureError(
                    f"edge {a} -> {b} leads back: it closes a cycle, or {b} is not numbered in order of computation",
                    fix="number each vertex after those from which it is computed",
                )
            before[b] |= 1 << a % size
            after[a] |= 1 << b
        wanted = sorted(set(outputs))
        for v in wanted:
            if not 0 < v <= vertices:
                raise StructureError(
                    f"output {shown(v)}: expected a computed vertex, 1 to {vertices}",
                    fix="name as outputs computed vertices; the derivative of an input is known",
                )
        kept = _reached(after, range(vertices + 1, size)) & _reached(before, wanted)
        some_before = tuple(s & kept if kept >> v & 1 else 0 for v, s in enumerate(before))
        some_after = tuple(s & kept if kept >> v & 1 else 0 for v, s in enumerate(after))
        return cls(
            inputs,
            some_before,
            some_after,
            tuple(v for v in wanted if kept >> v & 1),
            tuple(v for v in range(1, vertices + 1) if some_before[v] and some_after[v]),
        )

    @classmethod
    def from_graph(cls, graph: Graph) -> EliminationGraph:
        """The graph of a computation of single numbers: vertex k is the k-th of its nodes that have inputs.

        There is an edge for each derivative that is not known to be zero. Each product of two edges counts as one
        multiplication, also where one of them is 1 or -1, as in the literature.

        Raises:
            ArgumentError: a node on the way holds more than one number.

        Example:
            >>> import chainrule as cr
            >>> g = EliminationGraph.from_graph(
            ...     cr.trace(lambda a, b: (cr.sin(a * b), cr.cos(a * b)), 1.0, 2.0)
            ... )
            >>> g.inputs, g.edges, g.outputs
            (2, ((-2, 1), (-1, 1), (1, 2), (-2, 3), (-1, 3), (3, 4)), (2, 4))
        """
        given = {node: -1 - i for i, node in enumerate(graph.inputs)}
        computed = [node for node in graph.nodes if node.inputs and node not in given]
        number = {**given, **{node: 1 + i for i, node in enumerate(computed)}}
        live, _ = between(graph.outputs, graph.inputs)
        edges: list[tuple[int, int]] = []
        reached = set(given)
        for node in live:
            if node.size != 1:
                raise ArgumentError(
                    f"{node.op.name if node.op else 'an input'} holds {node.size} numbers: expected a graph of single "
                    "numbers",
                    fix="pass each number as an argument of its own, or use cr.jacobian(f), which eliminates arrays",
                )
            if node not in given:
                some = [x for x in _moving(node) if x in reached]
                edges += [(number[x], number[node]) for x in some]
                if some:
                    reached.add(node)
        outputs = [number[node] for node in graph.outputs if node in reached and node not in given]
        return cls.from_edges(len(graph.inputs), len(computed), edges, outputs)

    @property
    def vertices(self) -> int:
        """How many computed vertices there are, also those on no path from an input to an output."""
        return len(self.before) - self.inputs - 1

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """All that lie on a path from an input to an output, as (from, to)."""
        size = len(self.before)
        return tuple(
            sorted(
                (
                    (u if u <= self.vertices else u - size, v)
                    for v in range(size)
                    for u in members(self.before[v])
                ),
                key=lambda edge: (edge[1], edge[0]),
            )
        )

    @property
    def input_size(self) -> int:
        """Inputs on which an output depends."""
        return sum(1 for out in self.after[self.vertices + 1 :] if out)

    @property
    def output_size(self) -> int:
        """Outputs that depend on an input."""
        return len(self.outputs)

    def start(self) -> Reduced:
        """The graph before anything was eliminated."""
        some = 0
        for v in self.intermediates:
            some |= 1 << v
        return Reduced(list(self.before), list(self.after), frozenset(self.outputs), some)

    def lower_bound(self, v: int) -> int:
        """Multiplications that ``v`` takes at least, in every order.

        Whatever was eliminated, the predecessors of a vertex cut it off from all inputs; so they are at least as
        many as there are paths from the inputs to it that share no other vertex. The same holds for its successors
        and the outputs.

        Source: Menger, Zur allgemeinen Kurventheorie, Fund. Math. 10, 1927, 96-115, DOI 10.4064/fm-10-1-96-115.
        """
        starts = {u for u in range(self.vertices + 1, len(self.after)) if self.after[u]}
        return disjoint_paths(self.before, v, starts) * disjoint_paths(self.after, v, set(self.outputs))

    def solved(self) -> Solution | None:
        """None: which order is best is not known without a search."""
        return None

    def multiplications(self, order: Sequence[int]) -> int:
        """How many multiplications it takes to eliminate all intermediates in this order.

        Raises:
            ArgumentError: the order does not have each intermediate once.
        """
        return multiplications(self, order)


class Reduced:
    """An `EliminationGraph` of which some vertices were eliminated."""

    __slots__ = ("_inner", "_outputs", "after", "before")

    def __init__(self, before: list[int], after: list[int], outputs: frozenset[int], inner: int) -> None:
        self.before, self.after, self._outputs, self._inner = before, after, outputs, inner

    def cost(self, v: int) -> int:
        """Predecessors times successors."""
        return self.before[v].bit_count() * self.after[v].bit_count()

    def eliminate(self, v: int) -> int:
        """Take ``v`` out of the graph, and return the multiplications that it took."""
        before, after = self.before, self.after
        into, out, bit = before[v], after[v], 1 << v
        if v in self._outputs:  # what enters it stays as its row of the Jacobian
            gone, after[v] = 0, 0
            self._inner ^= bit
        else:
            gone = bit
        some = into
        while some:  # members() in place: this is the innermost loop of every search
            low = some & -some
            some ^= low
            u = low.bit_length() - 1
            after[u] = (after[u] ^ gone) | out
        some = out
        while some:
            low = some & -some
            some ^= low
            w = low.bit_length() - 1
            before[w] = (before[w] ^ bit) | into
        return into.bit_count() * out.bit_count()

    def neighbours(self, v: int) -> Iterator[int]:
        """Predecessors and successors of ``v`` that are still to be eliminated."""
        return members((self.before[v] | self.after[v]) & self._inner)

    def harmless(self, v: int) -> bool:
        """Whether ``v`` has one predecessor and one successor: then no other vertex gets more of either without it."""
        return self.cost(v) == 1 and v not in self._outputs

    def copy(self) -> Reduced:
        """A state of its own."""
        return Reduced(self.before.copy(), self.after.copy(), self._outputs, self._inner)

    def part(self, some: Sequence[int]) -> Reduced:
        """Vertices with all that enters them and that they enter: no more is needed to eliminate them."""
        place = {v: k for k, v in enumerate(some)}
        for v in some:
            for w in members(self.before[v] | self.after[v]):
                place.setdefault(w, len(place))
        before, after = [0] * len(place), [0] * len(place)
        for k, v in enumerate(some):
            for u in members(self.before[v]):
                before[k] |= 1 << place[u]
                after[place[u]] |= 1 << k
            for w in members(self.after[v]):
                after[k] |= 1 << place[w]
                before[place[w]] |= 1 << k
        outputs = frozenset(k for k, v in enumerate(some) if v in self._outputs)
        return Reduced(before, after, outputs, (1 << len(some)) - 1)


def members(some: int) -> Iterator[int]:
    """The vertices in a set of bits, in ascending order."""
    while some:
        low = some & -some
        yield low.bit_length() - 1
        some ^= low


def require_order(problem: Problem, order: Sequence[Any]) -> None:
    """See that an order has each intermediate once.

    Raises:
        ArgumentError: it does not.
    """
    inner, seen = set(problem.intermediates), set[int]()
    fix = f"pass each of the {len(inner)} vertices to be eliminated once"
    for v in order:
        if type(v) is not int or v not in inner:
            raise ArgumentError(f"order: {shown(v)} is no vertex to be eliminated", fix=fix)
        if v in seen:
            raise ArgumentError(f"order: {v} occurs twice", fix=fix)
        seen.add(v)
    if missing := sorted(inner - seen):
        some = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ArgumentError(f"order: {some} {'is' if len(missing) == 1 else 'are'} missing", fix=fix)


def multiplications(problem: Problem, order: Sequence[int]) -> int:
    """How many multiplications it takes to eliminate all intermediates in this order.

    Raises:
        ArgumentError: the order does not have each intermediate once.
    """
    require_order(problem, order)
    state = problem.start()
    return sum(state.eliminate(v) for v in order)


def _reached(steps: Sequence[int], starts: Iterable[int]) -> int:
    found, todo = 0, list(starts)
    while todo:
        v = todo.pop()
        if not found >> v & 1:
            found |= 1 << v
            todo.extend(members(steps[v] & ~found))
    return found


def _moving(node: Node) -> list[Node]:
    """The inputs that move a node: its derivative for them is not known to be zero."""
    op, xs = node.op, node.inputs
    if op is None or issubclass(op, Discrete):
        return []
    if issubclass(op, Pointwise):
        return [x for x, partial in zip(xs, local_partials(node), strict=True) if partial is not None]
    if issubclass(op, Linear):
        return [x for i, x in enumerate(xs) if is_linear_in(op, i)]
    return list(xs)
