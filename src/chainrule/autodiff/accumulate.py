"""Jacobians by vertex elimination on the graph of tensors.

Vertices are the nodes between arguments and results, edges their local Jacobians. Eliminating a vertex multiplies each
Jacobian that enters it with each one that leaves it, and adds the products to the edges from its predecessors to its
successors. All orders give the same Jacobian; forward and reverse mode are two of them. `JacobianGraph` counts what an
order costs, for a search (:mod:`chainrule.autodiff.ordering`), and carries it out.

Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapters 9 and 10, DOI
10.1137/1.9780898717761.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Self, TypeVar

from chainrule.autodiff.elimination import Solution, multiplications, require_order
from chainrule.autodiff.forms import Edges, Effort, Form, effort, placing
from chainrule.autodiff.jacobian_chain import best_order, chains_of
from chainrule.autodiff.local import LocalJacobians, Piece, piece_of
from chainrule.autodiff.pieces import assembled, plus, times
from chainrule.autodiff.reverse import between
from chainrule.axes import stretched
from chainrule.node import Node
from chainrule.ops.cast import identity

Pieces = tuple[Piece, ...]
Visit = Callable[[Node], None]
E = TypeVar("E", int, Pieces)


class Elimination(Generic[E]):
    """A graph of which some vertices were eliminated; its edges are numbers of `Edges`, or values.

    Args:
        edges: for each vertex those that enter it, by their start.
        multiply: two edges, the upper one first, to their product and its multiplications; nothing where it is zero.
        add: two edges to their sum and its multiplications.
    """

    def __init__(
        self,
        edges: dict[int, dict[int, E]],
        multiply: Callable[[E, E], tuple[E, int]],
        add: Callable[[E, E], tuple[E, int]],
    ) -> None:
        self._multiply, self._add = multiply, add
        self.before = dict(edges)
        after: dict[int, list[int]] = {v: [] for v in edges}
        for v, into in edges.items():
            for u in into:
                after.setdefault(u, []).append(v)
        self.after = {u: frozenset(out) for u, out in after.items()}

    def cost(self, v: int) -> int:
        """Multiplications that it would take to eliminate ``v`` now."""
        cost = 0
        for w in self.after[v]:
            into = self.before[w]
            for u, lower in self.before[v].items():
                edge, more = self._multiply(into[v], lower)
                cost += more
                if edge and u in into:
                    cost += self._add(into[u], edge)[1]
        return cost

    def eliminate(self, v: int) -> int:
        """Take ``v`` out of the graph, and return the multiplications that it took."""
        cost = 0
        before, after = self.before.pop(v), self.after.pop(v)
        for u in before:
            self.after[u] = self.after[u] - {v} | after
        for w in after:
            into = self.before[w] = dict(self.before[w])  # its own: copies share it
            upper = into.pop(v)
            for u, lower in before.items():
                edge, more = self._multiply(upper, lower)
                cost += more
                if u in into:
                    into[u], more = self._add(into[u], edge)
                    cost += more
                elif edge:
                    into[u] = edge
                else:
                    self.after[u] = self.after[u] - {w}
        return cost

    def neighbours(self, v: int) -> Iterable[int]:
        """The vertices to be eliminated whose cost may change when ``v`` is eliminated now."""
        return [w for w in (*self.before[v], *self.after[v]) if w >= 0]

    def harmless(self, v: int) -> bool:
        """Not known: a product may be smaller or larger than what it is made of."""
        return False

    def copy(self) -> Self:
        """A state of its own."""
        again = object.__new__(type(self))
        again._multiply, again._add = self._multiply, self._add
        again.before, again.after = self.before.copy(), self.after.copy()
        return again


class JacobianGraph:
    """The local Jacobians between arguments and results: a `Problem` for a search of orders.

    Args:
        outputs: results, any shapes.
        wrt: nodes with respect to which they are differentiated.
        visit: called with each node whose local Jacobians have been made.

    Attributes:
        nodes: of the vertices to be eliminated, in order of computation.
        intermediates: their numbers, 0, 1, ...; arguments and results have negative ones.
        local: for each vertex the local Jacobians that enter it, by the vertex from which they come.
        forms: edges that came up so far, without their values.
        making: multiplications to find the values of local Jacobians that no formula gives.
        input_size, output_size: how many numbers the arguments and the results hold that depend on each other.
    """

    def __init__(
        self, outputs: Sequence[Node], wrt: Sequence[Node], visit: Visit = lambda node: None
    ) -> None:
        self.outputs, self.wrt, self.forms = tuple(outputs), tuple(wrt), Edges()
        nodes, _ = between(outputs, wrt)
        local = LocalJacobians()
        edges = _local_edges(nodes, set(wrt), local, visit)
        self.making = local.making
        sinks = _copied(edges, self.outputs, set(wrt))
        edges = _between(edges, wrt, sinks)
        ends = set(sinks)
        self.nodes = tuple(node for node in nodes if node in edges and node not in ends)
        number: dict[Node, int] = {node: i for i, node in enumerate(self.nodes)}
        for node in (*(w for w in wrt if w not in number), *sinks):
            number.setdefault(node, -1 - len(number))
        self.local = {
            number[v]: {number[u]: pieces for u, pieces in into.items()} for v, into in edges.items()
        }
        self.intermediates = tuple(range(len(self.nodes)))
        self._starts, self._ends = ([number[node] for node in some] for some in (self.wrt, sinks))
        reached = {u for into in self.local.values() for u in into}
        self.input_size = sum(w.size for w, u in zip(self.wrt, self._starts, strict=True) if u in reached)
        self.output_size = sum(
            o.size for o, v in zip(self.outputs, self._ends, strict=True) if v in self.local
        )

    def start(self) -> Elimination[int]:
        """The graph before anything was eliminated, without values."""
        number = self.forms.number
        edges = {
            v: {u: number(tuple(piece.form for piece in pieces)) for u, pieces in into.items()}
            for v, into in self.local.items()
        }
        return Elimination(edges, self.forms.through, self.forms.joined)

    def lower_bound(self, v: int) -> int:
        """Nothing is known of one vertex."""
        return 0

    def solved(self) -> Solution | None:
        """Reverse mode for one number as the result, forward mode for one as the argument, the best order of chains.

        None for what is neither.
        """
        if self.output_size <= 1:
            return Solution(self.intermediates[::-1], "one output: reverse")
        if self.input_size <= 1:
            return Solution(self.intermediates, "one input: forward")
        before = self.start().before
        chains = chains_of(before, self.intermediates)
        if chains is None:
            return None
        order: list[int] = []
        for chain in chains:
            edges = [before[v][u] for u, v in itertools.pairwise(chain)]
            order += [chain[k] for k in best_order(edges, self.forms)]
        return Solution(tuple(order), "matrix chain")

    def multiplications(self, order: Sequence[int]) -> int:
        """Scalar multiplications of an order.

        Raises:
            ArgumentError: it is not a permutation of the intermediates.
        """
        return multiplications(self, order)

    @property
    def edges(self) -> int:
        """How many local Jacobians there are."""
        return sum(map(len, self.local.values()))

    @property
    def sweep(self) -> int:
        """Multiplications of one sweep, in either direction: each local Jacobian times one vector."""
        return sum(math.prod(form.pattern.sizes) for form in self._multiplied())

    @property
    def elementwise(self) -> int:
        """Those among them that multiply two numbers of equal arrays and add nothing up."""
        patterns = [form.pattern for form in self._multiplied()]
        return sum(math.prod(p.sizes) for p in patterns if p.is_elementwise)

    @property
    def sliding(self) -> int:
        """Those among them of windows that slide over an image, as in convolutions."""
        patterns = [form.pattern for form in self._multiplied()]
        return sum(math.prod(p.sizes) for p in patterns if p.slides and not p.is_elementwise)

    def _multiplied(self) -> list[Form]:
        """Of all local Jacobians those that hold numbers to multiply with."""
        forms = [piece.form for into in self.local.values() for pieces in into.values() for piece in pieces]
        return [form for form in forms if form.labels is not None]

    def effort(self, order: Sequence[int]) -> Effort:
        """What an order takes beyond its multiplications."""
        state, forms = self.start(), self.forms.forms
        found = Effort()
        for v in order:
            for w in state.after[v]:
                upper = forms(state.before[w][v])
                for lower in state.before[v].values():
                    found = found.and_(effort(upper, forms(lower)))
            state.eliminate(v)
        for into in state.before.values():
            for edge in into.values():
                found = found.and_(placing(forms(edge)))
        return found

    def accumulate(self, order: Sequence[int], visit: Visit = lambda node: None) -> list[list[Node]]:
        """The Jacobian of each result with respect to each of ``wrt``, of shape ``(*result.shape, *w.shape)``.

        Args:
            order: of the intermediates.
            visit: called with each node that was eliminated.

        Raises:
            ArgumentError: the order is not a permutation of the intermediates.
        """
        require_order(self, order)
        state = Elimination(self.local, _product, _sum)
        for v in order:
            state.eliminate(v)
            visit(self.nodes[v])
        none: dict[int, Pieces] = {}
        return [
            [
                assembled(state.before.get(v, none).get(u, ()), output.shape, w.shape, w.dtype)
                for w, u in zip(self.wrt, self._starts, strict=True)
            ]
            for output, v in zip(self.outputs, self._ends, strict=True)
        ]


def _local_edges(
    nodes: Sequence[Node], starts: set[Node], local: LocalJacobians, visit: Visit
) -> dict[Node, dict[Node, Pieces]]:
    """For each node the local Jacobians that enter it, by the node from which they come."""
    inside = set(nodes)
    edges: dict[Node, dict[Node, Pieces]] = {}
    for node in nodes:
        if node in starts:
            continue
        into = edges[node] = {}
        for i, x in enumerate(node.inputs):
            piece = local.of(node, i) if x in inside else None
            if piece is not None:
                into[x] = _sum(into[x], (piece,))[0] if x in into else (piece,)
        visit(node)
    return edges


def _copied(edges: dict[Node, dict[Node, Pieces]], outputs: Sequence[Node], starts: set[Node]) -> list[Node]:
    """A node for each result from which no edge leads on: the result, or, where it is used further, a copy of it.

    A result that is returned more than once gets a copy for each time.
    """
    used = {u for into in edges.values() for u in into} | starts
    used |= {output for output, times in Counter(outputs).items() if times > 1}
    ends: list[Node] = []
    for output in outputs:
        end = output
        if output in used:
            end = identity(output)
            edges[end] = {
                output: (piece_of(stretched(output.shape, output.shape), output.shape, output.shape),)
            }
        ends.append(end)
    return ends


def _between(
    edges: dict[Node, dict[Node, Pieces]], starts: Sequence[Node], ends: Sequence[Node]
) -> dict[Node, dict[Node, Pieces]]:
    """The edges that lie on paths from arguments to results."""
    forward, backward = set(starts), set(ends)
    for v, into in edges.items():
        if any(u in forward for u in into):
            forward.add(v)
    for v, into in reversed(edges.items()):
        if v in backward:
            backward.update(into)
    live = forward & backward
    return {v: {u: some for u, some in into.items() if u in live} for v, into in edges.items() if v in live}


def _product(upper: Pieces, lower: Pieces) -> tuple[Pieces, int]:
    found: Pieces = ()
    for a in upper:
        for b in lower:
            piece = times(a, b)
            if piece is not None:
                found, _ = _sum(found, (piece,))
    return found, 0


def _sum(edge: Pieces, more: Pieces) -> tuple[Pieces, int]:
    found = {piece.form.pattern: piece for piece in edge}
    for piece in more:
        known = found.get(piece.form.pattern)
        found[piece.form.pattern] = piece if known is None else plus(known, piece)
    return tuple(found.values()), 0
