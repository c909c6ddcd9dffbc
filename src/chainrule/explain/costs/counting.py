"""``cr.cost``: what a function and its derivative cost, counted on their graphs before anything is computed."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chainrule.explain.costs.bound import nonscalar
from chainrule.explain.costs.chains import Chain, find_chain
from chainrule.explain.costs.derivatives import Derivative, Traced, forward, reaches, reverse, trace_function
from chainrule.explain.costs.elimination import Eliminated, eliminate
from chainrule.explain.costs.ledger import (
    CHAIN,
    ELIMINATION,
    FORWARD,
    FUNCTION,
    REVERSE,
    Bound,
    CostLedger,
    NodeCost,
    TradeOff,
    Way,
)
from chainrule.explain.costs.memory import Storage, bytes_of, peak_bytes, read_later
from chainrule.explain.costs.tradeoff import budgets_of, curve
from chainrule.graph import distinct
from chainrule.node import Node
from chainrule.primitive import Cost

heard: contextvars.ContextVar[list[CostLedger] | None] = contextvars.ContextVar(
    "chainrule_costs", default=None
)
"""Where ledgers are collected while ``chainrule cost`` runs a program."""


def cost(
    f: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] = 0,
    seconds: float | None = None,
    budgets: str | Sequence[int | str] = (),
    **kwargs: Any,
) -> CostLedger:
    """What ``f`` and its derivative cost in each order: FLOPs, bytes, memory. Nothing is computed.

    Args:
        f: a function of arrays, or of nested dict, list, tuple and Module; its results are floating.
        args: example arguments; only shapes and dtypes matter.
        argnums: for which positional arguments it is differentiated; an int, or several.
        seconds: how long a cheap order of elimination may be searched for, at most; by default a fraction of a second.
        budgets: of memory, in bytes or as ``"1.5 GB"``, for the curve of memory against recomputation; ``"auto"`` for
            halves, quarters, ... of what is kept. Planning takes seconds for a hundred layers.
        kwargs: handed to ``f`` as they are.

    Returns:
        A `CostLedger`: a row for the function and for each way to its derivative, a row for each step of the function,
        and where it stands beside the cheap-gradient bound. Counts are those of what is executed: each node of the
        graphs once, equal calls once, and what depends on the direction of a sweep once for each sweep.

    Raises:
        ArgumentError: no function, no arguments, or ``argnums`` names none.
        DTypeError: an argument or a result has no derivative.
        GradientError: no result depends on the arguments.
        TracedValueError: ``f`` asks for a number, in ``if x > 0`` for example.

    Example:
        >>> import chainrule as cr
        >>> ledger = cr.cost(lambda a, b, c: (a + b) * (b + c), -1.0, 3.0, 4.0, argnums=(0, 1, 2))
        >>> ledger.way("reverse").cost.multiplications, ledger.way("forward").cost.multiplications
        (3, 5)

    Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, chapter 4, DOI 10.1137/1.9780898717761.
    """
    allowed = budgets_of(budgets)
    traced = trace_function(f, argnums, args, kwargs)
    known: dict[Node, Cost] = {}
    both = {key: _Counted(traced, make(traced), known) for key, make in _MODES.items()}
    function = {n: known[n] for n, first in distinct(traced.graph.nodes) if first is n}
    storage = Storage(traced.graph.nodes)
    alone = Way(FUNCTION, "function", total(function.values()), peak_bytes=peak_bytes(traced.graph, storage))
    names = traced.graph.names()
    chain = find_chain(traced, names)
    ways = [alone, *(counted.way(key) for key, counted in both.items())]
    if chain is not None and chain.best is not None:
        ways.append(_chain_way(chain, alone.cost))
    by_node = {FUNCTION: function, **{key: counted.by_node() for key, counted in both.items()}}
    eliminated = eliminate(traced, seconds)
    if eliminated is not None:
        way, by_node[ELIMINATION] = _elimination_way(traced, eliminated, known)
        ways.append(way)
    ledger = CostLedger(
        traced.name,
        traced.numbers_in,
        traced.numbers_out,
        tuple(ways),
        tuple(_nodes(traced, by_node, names, both[REVERSE].kept())),
        chain,
        _bound(both[REVERSE], list(function), alone.cost),
        tradeoff=_curve(both[REVERSE], allowed),
        elimination=eliminated and eliminated.described(names),
    )
    listener = heard.get()
    if listener is not None:
        listener.append(ledger)
    return ledger


def total(costs: Iterable[Cost]) -> Cost:
    """Costs added up."""
    multiplications = additions = transcendentals = moved = 0
    for cost in costs:
        multiplications += cost.multiplications
        additions += cost.additions
        transcendentals += cost.transcendentals
        moved += cost.bytes
    return Cost(multiplications, additions, transcendentals, moved)


def multiple(cost: Cost, times: int) -> Cost:
    """A cost several times."""
    if times == 1:
        return cost
    return Cost(
        times * cost.multiplications, times * cost.additions, times * cost.transcendentals, times * cost.bytes
    )


_MODES = {REVERSE: reverse, FORWARD: forward}
_TITLES = {REVERSE: "reverse mode", FORWARD: "forward mode"}
_AT_MOST = {
    REVERSE: "counted with sweeps from all arrays of results at once, so at most this; those from one are cheaper",
    FORWARD: "counted with sweeps along all arrays of arguments at once, so at most this; those along one are cheaper",
}


class _Counted:
    """The sweeps of one mode with the work of each node.

    Args:
        traced: the function.
        derivative: its sweeps.
        known: work of one evaluation by node, which is filled.

    Attributes:
        times: how often each node is computed.
        parts: what is computed again in each sweep, for each kind of sweep.
        later: nodes of the sweeps.
    """

    def __init__(self, traced: Traced, derivative: Derivative, known: dict[Node, Cost]) -> None:
        self.traced, self.derivative, self.known = traced, derivative, known
        self.times = derivative.times()
        for node in self.times:
            if node not in known:
                assert node.op is not None
                known[node] = node.op.cost(node.inputs, node.shape, node.dtype, **node.params)
        self.parts = self._parts()
        self.storage = Storage(derivative.graph.nodes)
        own = set(traced.graph.nodes)
        self.later = [n for n in derivative.graph.nodes if n.inputs and n not in own]

    def _parts(self) -> list[list[Node]]:
        part = {seed: i for i, each in enumerate(self.derivative.parts) for seed in each.seeds}
        for node in self.derivative.graph.nodes:
            for x in node.inputs:
                if x in part:
                    part[node] = part[x]
        found: list[list[Node]] = [[] for _ in self.derivative.parts]
        for node in self.times:
            if node in part:
                found[part[node]].append(node)
        return found

    def work(self, nodes: Iterable[Node]) -> Cost:
        """Of one evaluation of each."""
        return total(self.known[n] for n in nodes)

    def way(self, key: str) -> Way:
        """The row of the ledger."""
        derivative, known = self.derivative, self.known
        jacobian = sum((p.sweeps - 1) * sum(map(bytes_of, p.results)) for p in derivative.parts)
        kept = read_later(self.storage, self.traced.graph.nodes, self.later) if key == REVERSE else None
        return Way(
            key,
            _TITLES[key],
            total(multiple(known[node], n) for node, n in self.times.items()),
            sweeps=derivative.sweeps,
            sweep=max(map(self.work, self.parts), key=lambda c: c.flops),
            peak_bytes=peak_bytes(derivative.graph, self.storage) + jacobian,
            kept_bytes=kept,
            note="" if derivative.apart else _AT_MOST[key],
        )

    def by_node(self) -> dict[Node, Cost]:
        """What the derivative adds to each step of the function, all sweeps together."""
        found: dict[Node, list[Cost]] = {}
        last = self.traced.graph.outputs[0]
        for node in self.later:
            if node in self.times:
                owner = self.derivative.made_for.get(node, last)
                found.setdefault(owner, []).append(multiple(self.known[node], self.times[node]))
        return {node: total(costs) for node, costs in found.items()}

    def kept(self) -> dict[Node, int]:
        """Bytes of each result of the function that the sweeps read."""
        own = set(self.traced.graph.nodes)
        read = {self.storage.base(x) for n in self.later for x in n.inputs}
        return {n: bytes_of(n) for n in read if n.inputs and n in own}


def _nodes(
    traced: Traced, by_node: dict[str, dict[Node, Cost]], names: dict[Node, str], kept: dict[Node, int]
) -> list[NodeCost]:
    found: list[NodeCost] = []
    for node in by_node[FUNCTION]:
        assert node.op is not None
        costs = {key: costs.get(node, Cost()) for key, costs in by_node.items()}
        reads = tuple(dict.fromkeys(names[x] for x in node.inputs if x.op is None and x.value is None))
        found.append(
            NodeCost(
                names[node],
                node.name is not None,
                node.op.name,
                reads,
                node.shape,
                node.source if traced.in_program else None,
                costs,
                kept.get(node, 0),
            )
        )
    return found


def _chain_way(chain: Chain, function: Cost) -> Way:
    assert chain.best is not None
    products = sum(rows * columns for rows, _, columns in chain.best.terms)
    work = chain.best.multiplications
    return Way(
        CHAIN,
        "matrix chain",
        function + Cost(work, work - products if work else 0),
        counts=False,
        note=f"products of dense local Jacobians as {chain.best.text}, the best order; making these is not counted",
    )


def _curve(counted: _Counted, budgets: tuple[int, ...] | None) -> tuple[TradeOff, ...]:
    """Of the function and a sweep from each array of its results."""
    return () if budgets == () else curve(counted.derivative.graph, budgets)


def _elimination_way(
    traced: Traced, eliminated: Eliminated, known: dict[Node, Cost]
) -> tuple[Way, dict[Node, Cost]]:
    """The row, and what each step of the function adds to it."""
    counted = _Counted(traced, Derivative(eliminated.graph, (), eliminated.made_for, True), known)
    peak = peak_bytes(eliminated.graph, counted.storage)
    return Way(ELIMINATION, "elimination", counted.work(counted.times), peak_bytes=peak), counted.by_node()


def _bound(counted: _Counted, own: list[Node], function: Cost) -> Bound:
    """Of the function and one sweep from its costliest result."""
    again = {n for nodes in counted.parts for n in nodes}
    costliest = max(counted.parts, key=lambda nodes: counted.work(nodes).flops)
    both = [*(n for n in counted.times if n not in again), *costliest]
    active = reaches(counted.derivative.graph.nodes, counted.traced.wrt)
    flops = counted.work(both).flops
    return Bound(
        sum(nonscalar(n, counted.known[n], active) for n in own),
        sum(nonscalar(n, counted.known[n], active) for n in both),
        flops / function.flops if function.flops else None,
    )
