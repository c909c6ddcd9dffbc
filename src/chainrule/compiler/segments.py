"""Recomputation along the forward pass as along a chain: its states are what is in memory between two steps.

The program turns where most is in memory; what comes before is the forward pass. Wherever it is cut there is a state:
the arrays made before that are read behind it on the way to the turn. The blocks between cuts are a chain, and
:mod:`chainrule.autodiff.schedule` says when each runs: the binomial schedule where blocks are equal, the result of
dynamic programming where they differ.
"""

from __future__ import annotations

import numpy as np

from chainrule.autodiff.schedule import Advance, Schedule, Tape, advances, binomial, optimal
from chainrule.compiler.dataflow import Dataflow
from chainrule.compiler.eviction import RUNS
from chainrule.primitive import Array

BLOCKS = 64
"""So many blocks at most are scheduled by dynamic programming, whose time grows with their cube."""
UNITS = 48
"""So many units the memory is divided into for that."""
SHARES = (1.0, 0.98, 0.95, 0.92, 0.88, 0.82, 0.75, 0.65, 0.5)
"""Parts of a budget that are tried for states and tapes, since others are in memory too."""
EQUAL = 1.05
"""Blocks count as equal if none takes so many times as long, or as much memory, as the median."""


class Chain:
    """A program as a chain of blocks.

    Args:
        flow: of its steps.

    Attributes:
        turn: the last step of the forward pass.
        cuts: the steps before which blocks begin, and the one behind the last block.
        equal: whether all blocks cost the same, and their states take the same memory.
        beside: bytes that the backward pass needs beside states and tapes.
    """

    def __init__(self, flow: Dataflow) -> None:
        self.flow = flow
        profile = flow.profile(flow.plain)
        self.turn = int(np.argmax(profile)) if len(profile) else 0
        last = [max((u for u in uses if u <= self.turn), default=-1) for uses in flow.uses]
        self._kept = {
            a for a, maker in enumerate(flow.maker) if maker <= self.turn < max(flow.uses[a], default=0)
        }
        change = np.zeros(self.turn + 2, np.int64)
        for a, (maker, end) in enumerate(zip(flow.maker, last, strict=True)):
            if maker < end:
                change[maker + 1] += flow.sizes[a]
                change[end + 1] -= flow.sizes[a]
        self._states = np.cumsum(change)[: self.turn + 1]
        self._last = last
        self.cuts = self._cut()
        self.equal = self._is_equal()
        if not self.equal and len(self.cuts) > BLOCKS + 1:
            self.cuts = self._joined()
        held = sum(flow.sizes[a] for a in self._kept)
        behind = profile[self.turn + 1 :]
        self.beside = max(0, int(profile[self.turn] - held), int(behind.max() - held) if len(behind) else 0)

    def _cut(self) -> list[int]:
        """Before each step that makes what is kept for the backward pass, or reads it first."""
        makes = [p for p in range(1, self.turn + 1) if any(a in self._kept for a in self.flow.writes[p])]
        first = next(
            (p for p in range(self.turn + 1) if any(a in self._kept for a in self.flow.writes[p])), 0
        )
        return [0, *(p for p in makes if p > first), self.turn + 1]

    def _sizes(self) -> tuple[Array, Array, Array]:
        """Of each block: the work, the bytes of the state before it, and those of its tape."""
        flow, bounds = self.flow, list(zip(self.cuts, self.cuts[1:], strict=False))
        costs = [sum(flow.time[a:b]) for a, b in bounds]
        states = [int(self._states[a]) for a, _ in bounds]
        kept = [
            sum(flow.sizes[x] for p in range(a, b) for x in flow.writes[p] if x in self._kept)
            for a, b in bounds
        ]
        return np.asarray(costs), np.asarray(states), np.asarray(kept)

    def _is_equal(self) -> bool:
        costs, states, tapes = self._sizes()
        middle = slice(1, -1)  # the first and the last may do more
        pairs = ((each[middle], float(np.median(each))) for each in (costs, states, tapes))
        return len(costs) > 4 and all(
            bool((each <= EQUAL * median).all() and (EQUAL * each >= median).all()) for each, median in pairs
        )

    def _joined(self) -> list[int]:
        """Fewer cuts: at about equal steps of work, each where the state is smallest."""
        costs, states, _ = self._sizes()
        along = np.cumsum(costs)
        found = [self.cuts[0]]
        for part in range(1, BLOCKS):
            low, high = along[-1] * (part - 0.5) / BLOCKS, along[-1] * (part + 0.5) / BLOCKS
            near = [
                i for i in range(1, len(costs)) if low <= along[i - 1] < high and self.cuts[i] > found[-1]
            ]
            if near:
                found.append(self.cuts[min(near, key=lambda i: int(states[i]))])
        return [*found, self.cuts[-1]]

    def schedule(self, budget: int) -> Schedule | None:
        """The cheapest schedule for states and tapes of so many bytes; None if there is none."""
        if len(self.cuts) < 3 or budget <= 0:
            return None
        costs, states, tapes = self._sizes()
        if self.equal:
            return self._binomial(budget // max(int(np.median(tapes)), 1))
        unit = max(budget / UNITS, 1.0)
        states, tapes = (np.ceil(each / unit).astype(int) for each in (states, tapes))
        found = optimal(costs.tolist(), states.tolist(), tapes.tolist(), int(budget / unit))
        return None if found is None or found.forwards > RUNS * float(costs.sum()) else found

    def _binomial(self, slots: int) -> Schedule | None:
        """The schedule for equal blocks; None if it runs them too often."""
        n = len(self.cuts) - 1
        return binomial(n, slots) if slots >= 1 and advances(n, slots) <= RUNS * n else None

    def sequence(self, schedule: Schedule) -> list[int]:
        """The steps of the program as a schedule says: the forward pass, and the backward pass with runs in between.

        Blocks that it tapes before it first goes back run on the forward pass alone.
        """
        flow, found = self.flow, list(range(self.turn + 1))
        block_of = np.searchsorted(self.cuts, range(self.turn + 1), side="right") - 1
        actions = list(schedule.actions)
        ready: set[int] = set()
        place = 0
        while place < len(actions):  # what the forward pass does
            action = actions[place]
            if isinstance(action, Tape):
                ready.add(action.block)
                if action.block == len(self.cuts) - 2:
                    place += 1
                    break
            place += 1
        for number in range(self.turn + 1, len(flow.steps)):
            for a in flow.reads[number]:
                if flow.maker[a] > self.turn:
                    continue
                wanted = int(block_of[flow.maker[a]])
                while wanted not in ready and place < len(actions):
                    action = actions[place]
                    place += 1
                    if isinstance(action, Tape):
                        ready.add(action.block)
                    found += self._runs(action, number)
            found.append(number)
        return found

    def _runs(self, action: Advance | Tape, number: int) -> list[int]:
        """The steps of an action, of those that may still run before a step."""
        flow = self.flow
        start = self.cuts[action.start if isinstance(action, Advance) else action.block]
        stop = self.cuts[action.stop if isinstance(action, Advance) else action.block + 1]
        wanted: set[int] = set()
        runs: list[int] = []
        for p in reversed(range(start, stop)):
            ends = isinstance(action, Tape)
            keep = any(
                a in wanted or (a in self._kept if ends else self._last[a] >= stop) for a in flow.writes[p]
            )
            if keep and number <= flow.before[p]:
                runs.append(p)
                wanted.update(flow.reads[p])
        return runs[::-1]


def along_chain(chain: Chain, limit: int) -> list[int] | None:
    """The sequence of the longest states and tapes with which a chain keeps within a limit; None if none does.

    Args:
        chain: of the program.
        limit: bytes in use at a time.
    """
    room = limit - chain.beside
    for share in SHARES:
        schedule = chain.schedule(int(room * share))
        if schedule is not None:
            found = chain.flow.pruned(chain.sequence(schedule))
            if int(chain.flow.profile(found).max(initial=0)) <= limit:
                return found
    return None
