"""The curve of memory against work: how much of a gradient is computed again within a budget of bytes."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.budget import as_bytes
from chainrule.errors import ArgumentError, shown
from chainrule.explain.costs.ledger import TradeOff
from chainrule.graph import Graph
from chainrule.shapes import as_sequence

PARTS = (1, 2, 4, 8, 16, 32)
"""Of the memory without recomputation, where no budgets are given."""


def budgets_of(budgets: str | Sequence[int | str]) -> tuple[int, ...] | None:
    """Budgets as bytes; None for ``"auto"``.

    Raises:
        ArgumentError: one is no number of bytes.
    """
    if budgets == "auto":
        return None
    if isinstance(budgets, (str, int)):
        raise ArgumentError(
            f"cost: budgets must be several numbers of bytes, got {shown(budgets)}",
            fix='pass "auto", or such as ["1GB", "512MB"]',
        )
    found = (as_bytes("cost", budget) for budget in as_sequence(budgets))
    return tuple(n for n in found if n is not None)


def curve(graph: Graph, budgets: Sequence[int] | None) -> tuple[TradeOff, ...]:
    """What is computed again for each budget, as ``cr.compile(..., memory=budget)`` would do it.

    Args:
        graph: of a function and its gradient.
        budgets: bytes for intermediate results; by default halves, quarters, ... of what they take. Those that cannot
            be met are left out.
    """
    # llvmlite takes a tenth of a second to import, which only those pay who need it.
    from chainrule.compiler.compiled import planner
    from chainrule.compiler.on_native.pool import default_threads
    from chainrule.compiler.on_native.target import host

    made = planner(graph, host(), default_threads())
    if budgets is None:
        budgets = [-(-made.plain.arena_bytes // part) for part in PARTS]
    falling = sorted(set(budgets), reverse=True)
    pairs = zip(falling, made.tradeoff(falling), strict=True)
    return tuple(TradeOff(budget, each.arena_bytes, each.flops) for budget, each in pairs if each is not None)
