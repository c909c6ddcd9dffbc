"""The cost ledger: plain data, which other rooms add rows to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from chainrule.errors import Source
from chainrule.explain.costs import picture, text
from chainrule.explain.costs.bound import NONSCALAR, TOTAL
from chainrule.explain.costs.chains import Chain
from chainrule.explain.numbers import LISTED, counted, json_count
from chainrule.primitive import Cost

FUNCTION, REVERSE, FORWARD, CHAIN, ELIMINATION = "function", "reverse", "forward", "chain", "elimination"
"""Keys of the rows that every ledger may have."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to get the derivative, or the function alone.

    Attributes:
        key: for programs, such as ``"reverse"``; one for each row.
        title: for people, such as ``reverse mode``.
        cost: of everything, the function included.
        sweeps: how many directions are followed; None where that is no question.
        sweep: work of one of them, of the costliest kind; None as for ``sweeps``.
        peak_bytes: most bytes that are alive at once, arguments and results included; None where not counted.
        kept_bytes: intermediate results that have to be kept for the sweeps; None where not counted.
        counts: whether it is compared with the others for the cheapest.
        note: what its figures leave out, or how sure they are, in a sentence.
    """

    key: str
    title: str
    cost: Cost
    sweeps: int | None = None
    sweep: Cost | None = None
    peak_bytes: int | None = None
    kept_bytes: int | None = None
    counts: bool = True
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "key": self.key,
            "title": self.title,
            **cost_dict(self.cost),
            "sweeps": None if self.sweeps is None else json_count(self.sweeps),
            "sweep": self.sweep and cost_dict(self.sweep),
            "peak_bytes": self.peak_bytes,
            "kept_bytes": self.kept_bytes,
            "counts": self.counts,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class NodeCost:
    """What one step of the function costs in each way, all sweeps together.

    Attributes:
        name: the user's, or a letter; distinct.
        named: whether it is the user's.
        operation: name of its primitive.
        reads: names of the arguments that it reads.
        shape: of its result.
        source: the user's line that made it.
        costs: by the key of the way: the function itself, and what is computed for the derivative of this step.
        kept_bytes: of its result, if reverse mode has to keep it, else 0.
    """

    name: str
    named: bool
    operation: str
    reads: tuple[str, ...]
    shape: tuple[int, ...]
    source: Source | None
    costs: dict[str, Cost]
    kept_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "named": self.named,
            "operation": self.operation,
            "reads": list(self.reads),
            "shape": list(self.shape),
            "source": self.source and self.source.to_dict(),
            "costs": {key: cost_dict(cost) for key, cost in self.costs.items()},
            "kept_bytes": self.kept_bytes,
        }


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the function and one reverse sweep stand beside the cheap-gradient bound.

    Attributes:
        function: nonscalar operations of the function: products and quotients of what depends on the variables, and
            elementary functions of it.
        gradient: those of the function and one reverse sweep together.
        total: FLOPs of function and sweep together, divided by those of the function; None for no FLOPs.
    """

    function: int
    gradient: int
    total: float | None

    @property
    def ratio(self) -> float | None:
        """Nonscalar operations of both, divided by the function's; None where it has none."""
        return self.gradient / self.function if self.function else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "nonscalar_function": json_count(self.function),
            "nonscalar_gradient": json_count(self.gradient),
            "nonscalar_ratio": self.ratio,
            "nonscalar_bound": NONSCALAR,
            "total_ratio": self.total,
            "total_bound": TOTAL,
        }


@dataclass(frozen=True, slots=True)
class TradeOff:
    """One point of the curve of memory against work.

    Attributes:
        budget: bytes that were allowed for intermediate results.
        peak_bytes: the most that are alive at once.
        recomputed_flops: work that is done again.
    """

    budget: int
    peak_bytes: int
    recomputed_flops: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "budget": json_count(self.budget),
            "peak_bytes": json_count(self.peak_bytes),
            "recomputed_flops": json_count(self.recomputed_flops),
        }


@dataclass(frozen=True, slots=True)
class Elimination:
    """The order of vertex elimination that was found.

    Attributes:
        order: of the intermediate results, counted from 0 as they are computed, as ``cr.jacobian`` takes it.
        steps: names of the intermediate results.
        multiplications: of local Jacobians with each other.
        at_least: what every order takes, as far as that is known; 0 where nothing is.
        by: what found it: ``"reverse"``, ``"forward"``, ``"markowitz"``, ``"annealing"`` or ``"exact"``.
        tried: multiplications of the orders that need no search, by name.
    """

    order: tuple[int, ...]
    steps: tuple[str, ...]
    multiplications: int
    at_least: int
    by: str
    tried: dict[str, int]

    @property
    def optimal(self) -> bool:
        """Whether it is proved that no order takes fewer."""
        return self.multiplications == self.at_least

    @property
    def text(self) -> str:
        """How good the order is, in a sentence."""
        count = f"{self.multiplications:,} multiplications of local Jacobians"
        known = ", ".join(f"{name} takes {n:,}" for name, n in self.tried.items() if name != self.by)
        others = f"; {known}" if known else ""
        if self.optimal:
            return f"{count}, proved to be the fewest{others}"
        bound = f", and no order takes fewer than {self.at_least:,}" if self.at_least else ""
        return f"{count}, the fewest found, by {self.by}{bound}{others}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "order": list(self.order),
            "steps": list(self.steps),
            "multiplications": json_count(self.multiplications),
            "at_least": json_count(self.at_least),
            "optimal": self.optimal,
            "by": self.by,
            "tried": {name: json_count(n) for name, n in self.tried.items()},
        }


@dataclass(frozen=True)
class CostLedger:
    """What a function and its derivative cost. :func:`cost` makes it; print it, or look at it in a notebook.

    Attributes:
        name: of the function.
        numbers_in, numbers_out: numbers among its differentiated arguments, and its results.
        ways: the function alone, then each way to its derivative.
        nodes: the function's steps, in order.
        chain: its local Jacobians as a chain of matrices; None where it is none.
        bound: the cheap-gradient bound.
        tradeoff: memory against recomputation, by falling budget; empty where nobody has worked it out.
        elimination: the order of vertex elimination; None where one sweep is the best anyway, or the graph too large.
    """

    name: str
    numbers_in: int
    numbers_out: int
    ways: tuple[Way, ...]
    nodes: tuple[NodeCost, ...]
    chain: Chain | None
    bound: Bound
    tradeoff: tuple[TradeOff, ...] = ()
    elimination: Elimination | None = None

    def plus(self, *ways: Way, tradeoff: Iterable[TradeOff] = ()) -> CostLedger:
        """The ledger with further rows, and with a curve of memory against work.

        Args:
            ways: rows; one with a key that is there already takes its place.
            tradeoff: points of the curve, which replace those that are there; none leave them.
        """
        rows = {way.key: way for way in (*self.ways, *ways)}
        points = tuple(sorted(tradeoff, key=lambda p: -p.budget)) or self.tradeoff
        return dataclasses.replace(self, ways=tuple(rows.values()), tradeoff=points)

    def way(self, key: str) -> Way | None:
        """A row by its key; None if there is none."""
        return next((way for way in self.ways if way.key == key), None)

    @property
    def function(self) -> Way:
        """The function alone."""
        return self.ways[0]

    @property
    def derivatives(self) -> tuple[Way, ...]:
        """The ways to the derivative."""
        return self.ways[1:]

    @cached_property
    def cheapest(self) -> Way:
        """The way to the derivative with the fewest FLOPs; of equal ones the first."""
        return min((way for way in self.derivatives if way.counts), key=lambda way: way.cost.flops)

    @property
    def verdict(self) -> str:
        """Which way is the cheapest, and why, in one sentence."""
        return text.verdict(self)

    @property
    def derivative(self) -> Literal["gradient", "derivative", "Jacobian"]:
        """What the derivative is called: of one number by many, of many by one, of many by many."""
        if self.numbers_out == 1:
            return "gradient"
        return "derivative" if self.numbers_in == 1 else "Jacobian"

    @property
    def text(self) -> str:
        """For a terminal."""
        return text.write(self)

    def text_of(self, top: int) -> str:
        """The same with the ``top`` costliest steps."""
        return text.write(self, top)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        steps = counted(len(self.nodes), "step")
        return f"<CostLedger of {self.name}: {steps}, {len(self.derivatives)} ways to its {self.derivative}>"

    def svg(self, theme: Literal["light", "dark"] = "light", top: int = picture.TOP) -> str:
        """A picture: a bar for each way, and for each of the costliest steps.

        Args:
            theme: ``"light"`` or ``"dark"``.
            top: how many steps.
        """
        return picture.draw(self, theme, top)

    def _repr_html_(self) -> str:
        return f'<div class="chainrule-cost" style="overflow-x:auto">{picture.draw(self, "both")}</div>'

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data, described in ``docs/cost.md``; counts beyond 2^53 are text. At most 1,000 steps."""
        return {
            "format": "chainrule-cost",
            "version": 1,
            "name": self.name,
            "derivative": self.derivative,
            "numbers_in": self.numbers_in,
            "numbers_out": self.numbers_out,
            "ways": [way.to_dict() for way in self.ways],
            "cheapest": self.cheapest.key,
            "verdict": self.verdict,
            "bound": self.bound.to_dict(),
            "chain": self.chain and self.chain.to_dict(),
            "elimination": self.elimination and self.elimination.to_dict(),
            "tradeoff": [point.to_dict() for point in self.tradeoff],
            "nodes": [node.to_dict() for node in self.nodes[:LISTED]],
            "nodes_left_out": max(0, len(self.nodes) - LISTED),
        }


def cost_dict(cost: Cost) -> dict[str, Any]:
    """The figures of a cost, JSON-ready."""
    return {
        "flops": json_count(cost.flops),
        "multiplications": json_count(cost.multiplications),
        "additions": json_count(cost.additions),
        "transcendentals": json_count(cost.transcendentals),
        "bytes": json_count(cost.bytes),
    }
