"""``cr.cost``: what a function and its derivative cost, counted on their graphs before anything is computed."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chainrule.explain.costs.bound import count_nonscalar
from chainrule.explain.costs.chains import Chain, find_chain
from chainrule.explain.costs.derivatives import Derivative, Traced, forward, reaches, reverse, trace_function
from chainrule.explain.costs.ledger import CHAIN, FORWARD, FUNCTION, REVERSE, Bound, CostLedger, NodeCost, Way
from chainrule.explain.costs.memory import Storage, bytes_of, peak_bytes, read_later
from chainrule.graph import distinct
from chainrule.node import Node
from chainrule.primitive import Cost

heard: contextvars.ContextVar[list[CostLedger] | None] = contextvars.ContextVar(
    "chainrule_costs", default=None
)
"""Where ledgers are collected while ``chainrule cost`` runs a program."""


def cost(f: Callable[..., Any], *args: Any, argnums: int | Sequence[int] = 0, **kwargs: Any) -> CostLedger:
    """What ``f`` and its derivative cost: FLOPs, bytes, memory, for forward and reverse mode. Nothing is computed.

    Args:
        f: a function of arrays, or of nested dict, list, tuple and Module; its results are floating.
        args: example arguments; only shapes and dtypes matter.
        argnums: for which positional arguments it is differentiated; an int, or several.
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
    traced = trace_function(f, argnums, args, kwargs)
    both = {REVERSE: reverse(traced), FORWARD: forward(traced)}
    storage = Storage(traced.graph.nodes)
    function = {first: node_cost(first) for node, first in distinct(traced.graph.nodes) if first is node}
    alone = Way(FUNCTION, "function", total(function.values()), peak_bytes=peak_bytes(traced.graph, storage))
    by_node = {FUNCTION: function, **{key: _by_node(traced, d) for key, d in both.items()}}
    names = traced.graph.names()
    chain = find_chain(traced, names)
    ways = [alone, *(_way(key, traced, d) for key, d in both.items())]
    if chain is not None and chain.best is not None:
        ways.append(_chain_way(chain, alone.cost))
    ledger = CostLedger(
        traced.name,
        traced.numbers_in,
        traced.numbers_out,
        tuple(ways),
        tuple(_nodes(traced, by_node, names, _kept(traced, both[REVERSE]))),
        chain,
        _bound(traced, both[REVERSE], alone.cost),
    )
    listener = heard.get()
    if listener is not None:
        listener.append(ledger)
    return ledger


def node_cost(node: Node) -> Cost:
    """Work of one evaluation of a node."""
    if node.op is None:
        return Cost()
    return node.op.cost(node.inputs, node.shape, node.dtype, **node.params)


def total(costs: Iterable[Cost]) -> Cost:
    """Costs added up."""
    return sum(costs, Cost())


def multiple(cost: Cost, times: int) -> Cost:
    """A cost several times."""
    return Cost(
        times * cost.multiplications, times * cost.additions, times * cost.transcendentals, times * cost.bytes
    )


_TITLES = {REVERSE: "reverse mode", FORWARD: "forward mode"}


def _way(key: str, traced: Traced, derivative: Derivative) -> Way:
    times = derivative.times()
    costs = {node: multiple(node_cost(node), n) for node, n in times.items()}
    each = [total(map(node_cost, nodes)) for nodes in _by_part(derivative, times)]
    storage = Storage(derivative.graph.nodes)
    own = set(traced.graph.nodes)
    later = [n for n in derivative.graph.nodes if n.inputs and n not in own]
    jacobian = sum((p.sweeps - 1) * sum(map(bytes_of, p.results)) for p in derivative.parts)
    return Way(
        key,
        _TITLES[key],
        total(costs.values()),
        sweeps=derivative.sweeps,
        sweep=max(each, key=lambda c: c.flops),
        peak_bytes=peak_bytes(derivative.graph, storage) + jacobian,
        kept_bytes=read_later(storage, own, later) if key == REVERSE else None,
    )


def _by_part(derivative: Derivative, computed: Iterable[Node]) -> list[list[Node]]:
    """What is computed again in each sweep, for each kind of sweep."""
    part = {seed: i for i, each in enumerate(derivative.parts) for seed in each.seeds}
    for node in derivative.graph.nodes:
        for x in node.inputs:
            if x in part:
                part[node] = part[x]
    found: list[list[Node]] = [[] for _ in derivative.parts]
    for node in computed:
        if node in part:
            found[part[node]].append(node)
    return found


def _by_node(traced: Traced, derivative: Derivative) -> dict[Node, Cost]:
    """What the derivative adds to each step of the function, all sweeps together."""
    own = set(traced.graph.nodes)
    found: dict[Node, Cost] = {}
    for node, times in derivative.times().items():
        if node not in own:
            owner = derivative.made_for.get(node, traced.graph.outputs[0])
            found[owner] = found.get(owner, Cost()) + multiple(node_cost(node), times)
    return found


def _kept(traced: Traced, derivative: Derivative) -> dict[Node, int]:
    """Bytes of each result of the function that the sweeps read."""
    own = set(traced.graph.nodes)
    storage = Storage(derivative.graph.nodes)
    read = {storage.base(x) for n in derivative.graph.nodes if n not in own for x in n.inputs}
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


def _bound(traced: Traced, derivative: Derivative, function: Cost) -> Bound:
    """Of the function and one sweep from its costliest result."""
    own = [n for n, first in distinct(traced.graph.nodes) if n is first]
    times = derivative.times()
    active = reaches(derivative.graph.nodes, traced.wrt)
    sweeps = _by_part(derivative, times)
    again = {n for nodes in sweeps for n in nodes}
    costliest = max(sweeps, key=lambda nodes: total(map(node_cost, nodes)).flops)
    both = [*(n for n in times if n not in again), *costliest]
    flops = total(map(node_cost, both)).flops
    return Bound(
        count_nonscalar(own, active),
        count_nonscalar(both, active),
        flops / function.flops if function.flops else None,
    )
