"""Recomputation for graphs of any shape: run the steps in order, and forget what is cheapest to have again.

Where the next step does not fit, the array goes whose making again takes the least work for each byte and for the time
until it is read. When that time comes its maker runs again, and before it the makers of what that reads.

Source: Kirisame et al., Dynamic tensor rematerialization, arXiv:2006.09616; here the next reader is known.
"""

from __future__ import annotations

from bisect import bisect_right

from chainrule.compiler.dataflow import Dataflow

RUNS = 8
"""A program gets so many times as many steps at most, since each is a call in its code."""


def evicting(flow: Dataflow, budget: int, most: float) -> list[int] | None:
    """A sequence that keeps within the budget, as far as that can be.

    Args:
        flow: of the steps.
        budget: bytes in use at a time.
        most: work, as time, that may be done again; None comes back if that is not enough.
    """
    return _Simulation(flow, budget, most).run()


class _Simulation:
    """What is in memory as the steps run.

    Attributes:
        resident: numbers of the arrays in memory.
        needed: for each array, how many of the runs that are decided still read it.
    """

    def __init__(self, flow: Dataflow, budget: int, most: float) -> None:
        self.flow, self.budget, self.left = flow, budget, most
        self.resident: dict[int, None] = {}
        self.needed = [0] * len(flow.sizes)
        self.total = 0
        self.now = 0
        self.found: list[int] = []
        self.least = min(budget // 1024, 4096)  # smaller ones stay
        self.until = self._until()

    def _until(self) -> list[int]:
        """For each array, the step before which it can be made again, with all that this takes."""
        flow = self.flow
        until = [len(flow.steps)] * len(flow.sizes)
        for number in range(len(flow.steps)):
            limits = [until[a] for a in flow.reads[number] if not self._stays(a)]
            for a in flow.writes[number]:
                until[a] = min([flow.before[number], *limits])
        return until

    def _stays(self, a: int) -> bool:
        return self.flow.sizes[a] <= self.least

    def run(self) -> list[int] | None:
        """The sequence."""
        for number in range(len(self.flow.steps)):
            self.now = number
            for a in self.flow.reads[number]:
                self.needed[a] += 1
            missing = [a for a in self.flow.reads[number] if a not in self.resident]
            if missing:
                for again in self._closure(missing):
                    self.left -= self.flow.time[again]
                    self._execute(again)
                if self.left < 0 or len(self.found) > RUNS * len(self.flow.steps):
                    return None
            self._execute(number)
        return self.found

    def _closure(self, missing: list[int]) -> list[int]:
        """The steps that make arrays again from what there is, in order; what they read is noted as needed."""
        steps: set[int] = set()
        todo = list(missing)
        while todo:
            maker = self.flow.maker[todo.pop()]
            if maker not in steps:
                steps.add(maker)
                for a in self.flow.reads[maker]:
                    self.needed[a] += 1
                    if a not in self.resident:
                        todo.append(a)
        return sorted(steps)

    def _execute(self, number: int) -> None:
        flow = self.flow
        new = [a for a in flow.writes[number] if a not in self.resident]
        self._make_room(sum(flow.sizes[a] for a in new) + flow.own[number])
        self.found.append(number)
        for a in new:
            self.resident[a] = None
            self.total += flow.sizes[a]
        for a in flow.reads[number]:
            self.needed[a] -= 1
        for a in (*flow.reads[number], *flow.writes[number]):
            if not self.needed[a] and self._next(a) is None and not self._stays(a):
                self._drop(a)

    def _next(self, a: int) -> int | None:
        """The next step of the program that reads an array."""
        uses = self.flow.uses[a]
        place = bisect_right(uses, self.now)
        return uses[place] if place < len(uses) else None

    def _drop(self, a: int) -> None:
        if a in self.resident:
            del self.resident[a]
            self.total -= self.flow.sizes[a]

    def _make_room(self, more: int) -> None:
        """Forget what is cheapest to have again, until there is room or nothing is left to forget."""
        while self.total + more > self.budget:
            scored: list[tuple[float, int]] = []
            for a in self.resident:
                if self.needed[a] or self._stays(a):
                    continue
                read = self._next(a)
                if read is not None and read <= self.until[a]:
                    scored.append((self._again(a) / (self.flow.sizes[a] * (read - self.now + 1)), a))
            if not scored:
                return
            scored.sort()
            # What goes makes its neighbours dearer, so few go before all are looked at again.
            for _, a in scored[: max(1, len(scored) // 64)]:
                if self.total + more > self.budget:
                    self._drop(a)

    def _again(self, a: int) -> float:
        """The time that making an array again takes, from what is in memory."""
        steps: set[int] = set()
        todo, total = [a], 0.0
        while todo:
            maker = self.flow.maker[todo.pop()]
            if maker not in steps:
                steps.add(maker)
                total += self.flow.time[maker]
                todo += [x for x in self.flow.reads[maker] if x not in self.resident]
        return total
