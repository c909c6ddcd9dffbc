"""Which steps of a program run again, so that its intermediate results keep within a number of bytes.

What is counted is the arena: the memory for all intermediate results, as :mod:`chainrule.compiler.memory` plans it.
Inputs are the caller's, and so are results. Candidates come from :mod:`.segments`, which sees the forward pass as a
chain, and from :mod:`.eviction`, which takes any graph; both are measured by the real plan, and the one with the least
work is taken.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chainrule.compiler.budget import shown_bytes
from chainrule.compiler.dataflow import Dataflow
from chainrule.compiler.eviction import evicting
from chainrule.compiler.segments import Chain, along_chain
from chainrule.errors import BudgetError

MOST = 5.0
"""What runs again takes at most so many times as long as the program itself."""
MARGINS = (1.0, 0.97, 0.94, 0.9, 0.85, 0.78, 0.7)
"""Parts of a budget that are tried as bytes in use at a time: places for arrays leave gaps."""
FINER = 0.82
"""By so much the limit falls from try to try where the least memory is looked for."""


@dataclass(frozen=True, slots=True)
class Recomputation:
    """What runs again so that a program keeps within a budget.

    Attributes:
        sequence: all runs, by the numbers of the steps.
        arena_bytes: memory for intermediate results.
        plain_bytes: the same if nothing ran again.
        runs: how many are not the first of their step.
        flops: floating-point operations of those.
        plain_flops: of the program if nothing ran again.
        time: what running again takes, as operations.
    """

    sequence: tuple[int, ...]
    arena_bytes: int
    plain_bytes: int
    runs: int
    flops: int
    plain_flops: int
    time: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; without the sequence."""
        return {
            "arena_bytes": self.arena_bytes,
            "plain_bytes": self.plain_bytes,
            "runs": self.runs,
            "flops": self.flops,
            "plain_flops": self.plain_flops,
        }


class Planner:
    """Finds what runs again, for one budget or many.

    Args:
        flow: of a program's steps.

    Attributes:
        plain: nothing runs again.
    """

    def __init__(self, flow: Dataflow) -> None:
        self._flow = flow
        self._most = MOST * sum(flow.time)
        self._tried: dict[int, list[Recomputation]] = {}
        self._plain_bytes = flow.arena(flow.plain)
        self.plain = self._found(flow.plain)

    @functools.cached_property
    def _chain(self) -> Chain:
        """Made where something has to run again, since programs without steps are no chain."""
        return Chain(self._flow)

    def within(self, budget: int) -> Recomputation:
        """The least that has to run again.

        Args:
            budget: bytes.

        Raises:
            BudgetError: more is needed; the error says how much.
        """
        if self.plain.arena_bytes <= budget:
            return self.plain
        for margin in MARGINS:
            found = self._at(int(budget * margin))
            fits = [each for each in found if each.arena_bytes <= budget]
            if fits:
                return min(fits, key=lambda each: each.time)
            if not found:
                break
        found = [each for limit in self._limits() for each in self._at(limit)]
        fits = [each for each in found if each.arena_bytes <= budget]
        if fits:
            return min(fits, key=lambda each: each.time)
        least = min((each.arena_bytes for each in found), default=self.plain.arena_bytes)
        raise BudgetError(
            f"memory: intermediate results need at least {shown_bytes(least)} ({least} bytes), even if what can be "
            f"computed again is; the budget is {shown_bytes(budget)}",
            fix=f"allow {least} bytes or more, or make the batch smaller; without a budget it is "
            f"{shown_bytes(self.plain.arena_bytes)}",
            minimum=least,
        )

    def tradeoff(self, budgets: Iterable[int]) -> list[Recomputation | None]:
        """What runs again for each of several budgets, in bytes; None where one cannot be met."""
        found: list[Recomputation | None] = []
        for budget in budgets:
            try:
                found.append(self.within(budget))
            except BudgetError:
                found.append(None)
        return found

    def least(self) -> int:
        """The smallest budget, in bytes, that can be met."""
        found = [each.arena_bytes for limit in self._limits() for each in self._at(limit)]
        return min([self.plain.arena_bytes, *found])

    def _limits(self) -> Iterator[int]:
        """Ever smaller numbers of bytes, the same for every budget."""
        floor = self._flow.floor
        limit, failed = self.plain.arena_bytes * FINER, 0
        while limit >= max(1, floor) and failed < 3:
            reached = min((each.arena_bytes for each in self._at(int(limit))), default=self.plain.arena_bytes)
            failed = failed + 1 if reached > limit / FINER else 0
            yield int(limit)
            limit *= FINER

    def _at(self, limit: int) -> list[Recomputation]:
        """What the ways of planning find that use no more than a number of bytes at a time."""
        if limit < self._flow.floor:
            return []
        if limit not in self._tried:
            sequences = [along_chain(self._chain, limit), evicting(self._flow, limit, self._most)]
            relaxed = [self._flow.relaxed(each, limit) for each in sequences if each is not None]
            self._tried[limit] = [self._found(each) for each in relaxed]
        return self._tried[limit]

    def _found(self, sequence: list[int]) -> Recomputation:
        flow = self._flow
        runs, flops, time = flow.extra(sequence)
        arena = flow.arena(sequence)
        return Recomputation(tuple(sequence), arena, self._plain_bytes, runs, flops, sum(flow.flops), time)
