"""In which order a Jacobian is accumulated: sweeps or vertex elimination, and the search for a cheap order."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.autodiff.accumulate import JacobianGraph
from chainrule.autodiff.elimination import require_order
from chainrule.autodiff.ordering import Found, search
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
WORTH = 0.9
"""Elimination has to take so much less than sweeps, which are fewer and larger steps."""
STRUCTURES = 256
"""For so many an order is remembered; then all are forgotten, and those in use come back."""
SECONDS_STEP, SECONDS_PRODUCT = 5e-5, 4e-5
"""What one node takes in an eager sweep, and what making or multiplying a Jacobian takes, both without arithmetic."""
SECONDS_EACH, SECONDS_ELEMENTWISE, SECONDS_ENTRY = 5e-11, 2e-9, 4e-9
"""For each multiplication in a product of matrices, for each between arrays that pass through memory, and for each
entry that is put into its place in the Jacobian at the end. All are rough: what matters is that none is far off."""


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
        if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
            raise ArgumentError(
                f"jacobian: seconds must be a positive number, got {shown(seconds)}", fix="leave it out"
            )
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
        structure, traced = structure_of(nodes), outputs[0].value is None
        if structure is None and not traced and not self._seconds:
            return sweeps, None  # what was found could not be remembered
        key = structure and (structure.key, len(wrt), traced)
        known = self._known.get(key) if key else None
        if known is not None and known.by != "elimination":
            return known, None
        graph = JacobianGraph(outputs, wrt)
        if known is None or len(known.order) != len(graph.intermediates):
            known = self._chosen(graph, sweeps, min(width, height), traced)
            if key:
                if len(self._known) >= STRUCTURES:  # as where indices differ from call to call
                    self._known.clear()
                self._known[key] = known
        return known, graph if known.by == "elimination" else None

    def _chosen(self, graph: JacobianGraph, sweeps: Choice, units: int, traced: bool) -> Choice:
        if self._seconds:
            found = search(graph, seconds=self._seconds)
        else:
            found = search(graph, moves=MOVES if traced else 0, restarts=1, proofs=PROOFS if traced else 0)
        cheaper = found.multiplications + graph.making <= WORTH * graph.sweep * units
        if not traced and not self._seconds:
            cheaper = cheaper and _eager_seconds(graph, found) < _swept_seconds(graph, units)
        return Choice("elimination", found.order) if cheaper else sweeps


def _eager_seconds(graph: JacobianGraph, found: Found) -> float:
    """What elimination may take where each product is a call of NumPy."""
    entries = sum(o.size for o in graph.outputs) * sum(w.size for w in graph.wrt)
    products = 2 + graph.edges + graph.products(found.order)
    return SECONDS_PRODUCT * products + SECONDS_EACH * found.multiplications + SECONDS_ENTRY * entries


def _swept_seconds(graph: JacobianGraph, units: int) -> float:
    """What sweeps may take, all of them at once: local Jacobians that mix numbers are then products of matrices."""
    mixing = SECONDS_EACH * (graph.sweep - graph.elementwise)
    return SECONDS_STEP * len(graph.local) + units * (mixing + SECONDS_ELEMENTWISE * graph.elementwise)


def _as_order(order: Any) -> str | tuple[Any, ...]:
    """A known word, or the numbers of a sequence or iterator; what is no number is refused with the graph at hand."""
    if order in ("auto", "forward", "reverse") if isinstance(order, str) else _is_iterable(order):
        return order if isinstance(order, str) else tuple([_as_number(v) for v in order])
    raise ArgumentError(
        f"jacobian: unknown order {shown(order)}",
        fix='choose "auto", "forward" or "reverse", or list the intermediate results by number',
    )


def _is_iterable(x: Any) -> bool:
    """Whether it can be gone through; an array without axes says that it can, but cannot."""
    return getattr(x, "ndim", 1) > 0 and isinstance(x, Iterable)


def _as_number(v: Any) -> Any:
    """A whole number of any library as an int; anything else as it is."""
    try:
        return v if isinstance(v, bool) else operator.index(v)
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
