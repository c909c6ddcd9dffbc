"""In which order a Jacobian is accumulated: sweeps or vertex elimination, and the search for a cheap order."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from chainrule.autodiff.accumulate import JacobianGraph
from chainrule.autodiff.elimination import require_order
from chainrule.autodiff.ordering import search
from chainrule.autodiff.replay import structure_of
from chainrule.autodiff.reverse import between
from chainrule.errors import ArgumentError, shown
from chainrule.node import Node, is_differentiable
from chainrule.primitive import Discrete, Pointwise

LARGEST = 400
"""Nodes up to which elimination is thought of unless it is asked for: what it takes grows faster than sweeps do."""
MOST_ENTRIES = 1 << 22
"""Of a local Jacobian whose primitive states no ties, likewise."""
MOVES = 2_000
"""Of the annealing, where a graph is traced: a fraction of a second. Eager calls take an order that needs none."""
PROOFS = 20_000
"""Likewise, of branch and bound."""
SECONDS_EACH, SECONDS_PRODUCT = 1e-9, 5e-6
"""What a multiplication takes, and what an eager product of two Jacobians takes beside its multiplications."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a Jacobian is accumulated: by sweeps, forward or reverse, or by elimination in an order."""

    by: str
    order: tuple[int, ...] = ()


class Orders:
    """What was chosen for the structures that a function has had so far.

    Args:
        order: "auto", "forward", "reverse", or the numbers of the intermediate results, in any iterable.
        seconds: of search, at most; None for what is worth it.
    """

    def __init__(self, order: Any, seconds: float | None) -> None:
        self.order = _as_order(order)
        if seconds is not None and not seconds > 0:
            raise ArgumentError(f"jacobian: seconds must be positive, got {seconds!r}", fix="leave it out")
        self._seconds = seconds
        self._known: dict[Hashable, Choice] = {}

    def of(self, outputs: Sequence[Node], wrt: Sequence[Node]) -> tuple[Choice, JacobianGraph | None]:
        """How to accumulate the Jacobian of ``outputs``, and the graph where that is by elimination."""
        if isinstance(self.order, tuple):
            graph = JacobianGraph(outputs, wrt)
            _require(graph, self.order)
            return Choice("elimination", self.order), graph
        width, height = sum(w.size for w in wrt), sum(o.size for o in outputs)
        sweeps = Choice("forward" if width < height else "reverse")
        if self.order != "auto":
            return Choice(self.order), None
        nodes, live = between(outputs, wrt)
        if min(width, height) <= 1 or not is_small(nodes, live):
            return sweeps, None
        structure = structure_of(nodes)
        key = structure and (structure.key, len(wrt), outputs[0].value is None)
        known = self._known.get(key) if key else None
        if known is not None and known.by != "elimination":
            return known, None
        graph = JacobianGraph(outputs, wrt)
        if known is None or len(known.order) != len(graph.intermediates):
            known = self._chosen(graph, sweeps, min(width, height), traced=outputs[0].value is None)
            if key:
                self._known[key] = known
        return known, graph if known.by == "elimination" else None

    def _chosen(self, graph: JacobianGraph, sweeps: Choice, units: int, traced: bool) -> Choice:
        if self._seconds:
            found = search(graph, seconds=self._seconds)
        else:
            found = search(graph, moves=MOVES if traced else 0, restarts=1, proofs=PROOFS if traced else 0)
        swept = graph.sweep * units
        if traced or self._seconds:
            return Choice("elimination", found.order) if found.multiplications < swept else sweeps
        saved = SECONDS_EACH * (swept - found.multiplications)
        more = SECONDS_PRODUCT * (graph.products(found.order) - graph.edges)
        return Choice("elimination", found.order) if saved > more else sweeps


def _as_order(order: Any) -> str | tuple[Any, ...]:
    """A known word, or the numbers of a sequence or iterator; what is no number is refused with the graph at hand."""
    if isinstance(order, Iterable) and not isinstance(order, str):
        return tuple([_as_number(v) for v in cast("Iterable[Any]", order)])
    if order not in ("auto", "forward", "reverse"):
        raise ArgumentError(
            f"jacobian: unknown order {shown(order)}",
            fix='choose "auto", "forward" or "reverse", or list the intermediate results by number',
        )
    return str(order)


def _as_number(v: Any) -> Any:
    """A whole number of any library as an int; anything else as it is."""
    try:
        return v if type(v) in (bool, np.bool_) else operator.index(v)
    except TypeError:
        return v


def is_small(nodes: Sequence[Node], live: set[Node]) -> bool:
    """Whether elimination may be worth it: few nodes, and no local Jacobian that would be huge.

    Args:
        nodes: between arguments and results.
        live: those among them that depend on the arguments.
    """
    if len(nodes) > LARGEST:
        return False
    for node in nodes:
        op = node.op
        if op is None or op.ties is not None or issubclass(op, (Pointwise, Discrete)):
            continue
        if any(x in live and is_differentiable(x) and x.size * node.size > MOST_ENTRIES for x in node.inputs):
            return False
    return True


def _require(graph: JacobianGraph, order: Sequence[Any]) -> None:
    try:
        require_order(graph, order)
    except ArgumentError as error:
        some = [f"{i} {n.op.name if n.op else 'input'}" for i, n in enumerate(graph.nodes[:8])]
        more = ", ..." if len(graph.nodes) > 8 else ""
        listed = f"the intermediate results, in order of computation: {', '.join(some)}{more}" if some else ""
        raise ArgumentError(
            f"jacobian: {error.message}",
            fix=f"list each of 0 to {len(graph.nodes) - 1} once; {listed}" if some else "pass an empty order",
        ) from None
