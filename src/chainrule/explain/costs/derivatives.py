"""The derivative graphs of a function, which its costs are counted on: nothing is computed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule import trees
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import between, pullback
from chainrule.errors import ArgumentError, DTypeError, GradientError, OperandError
from chainrule.formula import Formula
from chainrule.graph import Graph, distinct
from chainrule.node import Node, as_node, symbol
from chainrule.ops.arithmetic import Add
from chainrule.shapes import FLOATS, Spec
from chainrule.transforms.run import run_function
from chainrule.transforms.tracing import symbols, without_identities

MOST_NODES = 30_000
"""Nodes of sweeps that are made apart for each array of the arguments; else one sweep is made for all."""
MOST_RESULTS = 16
"""Arrays of results from which gradients are pulled back apart."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A function as a graph of arguments without values.

    Attributes:
        graph: of the function.
        wrt: those of its inputs for which it is differentiated.
        live: nodes on a way from ``wrt`` to the results.
        name: of the function; of a formula its text.
        in_program: whether its nodes have lines in the user's program.
    """

    graph: Graph
    wrt: tuple[Node, ...]
    live: frozenset[Node]
    name: str
    in_program: bool

    @property
    def numbers_in(self) -> int:
        """Numbers among the arguments."""
        return sum(w.size for w in self.wrt)

    @property
    def numbers_out(self) -> int:
        """Numbers among the results."""
        return sum(o.size for o in self.graph.outputs)


@dataclass(frozen=True, slots=True)
class Part:
    """Sweeps in directions of one kind: along each number of an argument, or from each number of a result.

    Attributes:
        seeds: the inputs that hold the direction.
        results: what a sweep gives.
        sweeps: how many there are.
    """

    seeds: tuple[Node, ...]
    results: tuple[Node, ...]
    sweeps: int


@dataclass(frozen=True, slots=True)
class Derivative:
    """All sweeps of one mode, behind the function that they differentiate, as one graph.

    Attributes:
        graph: arguments and directions to results and derivatives.
        parts: the sweeps.
        made_for: the node of the function for which a node of a sweep was made, where that is known.
        apart: whether there is a part for each array; if not, one sweep for all of them stands for each.
    """

    graph: Graph
    parts: tuple[Part, ...]
    made_for: Mapping[Node, Node]
    apart: bool

    @property
    def sweeps(self) -> int:
        """How many directions there are in all."""
        return sum(part.sweeps for part in self.parts)

    def times(self) -> dict[Node, int]:
        """How often each node is computed.

        What depends on a direction is computed for each direction; values and local derivatives once; and of equal
        calls without parameters one, as wherever a graph is evaluated.
        """
        often: dict[Node, int] = {}
        for part in self.parts:
            often |= dict.fromkeys(part.seeds, part.sweeps)
        found: dict[Node, int] = {}
        for node, first in distinct(self.graph.nodes):
            most = max(often.get(x, 1) for x in node.inputs)
            often[node] = most
            if first is node:
                found[node] = most
        return found


def trace_function(
    f: Callable[..., Any], argnums: int | Sequence[int], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Traced:
    """Trace a function that is to be differentiated.

    Raises:
        ArgumentError: no function, no arguments, or ``argnums`` names none of them.
        DTypeError: an argument, or a result, has no derivative.
        GradientError: no result depends on the arguments.
    """
    if not callable(f):
        raise ArgumentError(
            f"cost: expected a function, got {type(f).__name__}", fix="cr.cost(f, x), with f itself"
        )
    if not args:
        raise ArgumentError(
            "cost: there are no arguments, and costs depend on their shapes",
            fix="cr.cost(f, x, y), with arrays of the sizes that you use; their values do not matter",
        )
    given, inputs = symbols(f, args)
    run = run_function("cost", f, argnums, tuple(given), dict(kwargs))
    outputs = _results(run.result)
    if not run.wrt:
        raise ArgumentError(
            f"cost: argnums {argnums!r} names arguments without arrays", fix="choose one that has arrays"
        )
    chosen = {id(fresh.inputs[0]) for fresh in run.wrt}
    others = [x for x in inputs if id(x) not in chosen]
    graph = without_identities(Graph([*run.wrt, *others], outputs))
    wrt = graph.inputs[: len(run.wrt)]
    _, live = between(graph.outputs, wrt)
    if not any(o in live for o in graph.outputs):
        raise GradientError(
            f"cost: the result does not depend on {', '.join(run.labels[:3])}",
            fix="differentiate with respect to another argument (argnums), or remove what cuts the path: "
            "stop_gradient, detach, float(), .numpy(), integer dtypes",
        )
    written = isinstance(f, Formula)
    name = f.text if written else getattr(f, "__name__", type(f).__name__)
    return Traced(graph, wrt, frozenset(live), name, not written)


def _results(result: Any) -> list[Node]:
    try:
        outputs = [as_node(x) for x in trees.leaves(result)]
    except OperandError as error:
        raise OperandError(f"cost: the function returned {type(result).__name__}", fix=error.fix) from None
    if not outputs:
        raise ArgumentError("cost: the function returned no array", fix="let it return its result")
    for node, path in zip(outputs, trees.paths(result), strict=True):
        if node.dtype not in FLOATS:
            what = f"result {path}" if path else "the result"
            raise DTypeError(
                f"cost: {what} is {node.dtype.name}, which has no derivative",
                fix="return float32 or float64 numbers alone, for example y.astype(cr.float64)",
            )
    return outputs


def reverse(traced: Traced) -> Derivative:
    """One sweep for each number of the results: those of each array of results are alike."""
    outputs = [o for o in dict.fromkeys(traced.graph.outputs) if o in traced.live]
    apart = len(outputs) <= MOST_RESULTS
    groups = [[o] for o in outputs] if apart else [outputs]
    maker = _Maker()
    parts: list[Part] = []
    for group in groups:
        seeds = [_direction(o) for o in group]
        maker.begin()
        pulled = pullback(group, seeds, traced.wrt, visit=maker.pulled)
        results = tuple(g for g in pulled if g is not None)
        parts.append(Part(tuple(seeds), results, sum(o.size for o in group)))
    return _derivative(traced, parts, maker, apart)


def forward(traced: Traced) -> Derivative:
    """One sweep for each number of the arguments: those of each array of arguments are alike."""
    live = [w for w in traced.wrt if w in traced.live]
    apart = len(live) * len(traced.graph) <= MOST_NODES
    maker = _Maker()
    parts: list[Part] = []
    for group in [[w] for w in live] if apart else [live]:
        directions = {w: _direction(w) for w in group}
        maker.begin()
        tangents = [directions.get(w) for w in traced.wrt]
        moved = pushforward(traced.graph.outputs, traced.wrt, tangents, visit=maker.pushed)
        results = tuple(m for m in moved if m is not None)
        parts.append(Part(tuple(directions.values()), results, sum(w.size for w in group)))
    return _derivative(traced, parts, maker, apart)


def _direction(like: Node) -> Any:
    return symbol(Spec(like.shape, like.dtype))


def _derivative(traced: Traced, parts: Sequence[Part], maker: _Maker, apart: bool) -> Derivative:
    seeds = [s for part in parts for s in part.seeds]
    results = [r for part in parts for r in part.results]
    graph = Graph([*traced.graph.inputs, *seeds], [*traced.graph.outputs, *results])
    return Derivative(graph, tuple(parts), maker.made_for(traced, graph), apart)


class _Maker:
    """Notes where in the sequence of nodes each visit of a sweep ended: between two, the nodes of one were made."""

    def __init__(self) -> None:
        self._ends: list[tuple[int, Node, tuple[Node, ...]]] = []
        self._owner: dict[Node, Node] = {}

    def begin(self) -> None:
        """A sweep begins."""
        self._ends.append((newest(), _NOBODY, ()))

    def pulled(self, node: Node, delta: Node, contributions: list[Node | None]) -> None:
        """The rule of a node has given what it adds to the gradients of its inputs."""
        self._ends.append((newest(), node, tuple(c for c in contributions if c is not None)))

    def pushed(self, node: Node, tangent: Node) -> None:
        """The rule of a node has given its tangent."""
        self._ends.append((newest(), node, ()))

    def made_for(self, traced: Traced, graph: Graph) -> dict[Node, Node]:
        """By node of a sweep the node of the function. Sums at branches belong to the node that adds to them."""
        known = set(traced.graph.nodes)
        made = iter([n for n in graph.nodes if n not in known and n.inputs])
        node = next(made, None)
        found: dict[Node, Node] = {}
        for (_, before, added), (end, owner, _) in itertools.pairwise(self._ends):
            adding = set(added)
            while node is not None and node.index <= end:
                adding = adding if node.op is Add and not adding.isdisjoint(node.inputs) else set[Node]()
                whose = before if adding else owner
                if whose is not _NOBODY:
                    found[node] = whose
                node = next(made, None)
        last = self._ends[-1][1] if self._ends else _NOBODY
        while node is not None and last is not _NOBODY:  # the sums of the last visit
            found[node] = last
            node = next(made, None)
        return found


def newest() -> int:
    """The number of the newest node."""
    return _direction(_NOBODY).index


_NOBODY: Node = symbol(Spec((), FLOATS[0]))


def reaches(nodes: Sequence[Node], starts: Sequence[Node]) -> set[Node]:
    """Those of ``nodes``, in topological order, that depend on one of ``starts``."""
    found = set(starts)
    for node in nodes:
        if any(x in found for x in node.inputs):
            found.add(node)
    return found
