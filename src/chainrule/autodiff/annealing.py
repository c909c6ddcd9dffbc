"""Simulated annealing over orders of elimination.

Source: Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing, Science 220, 1983, 671-680, DOI
10.1126/science.220.4598.671.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence

from chainrule.autodiff.elimination import State

HOT, COLD = 1.0, 0.05
"""What a move may cost more at first, and in the end, with a chance of 1/e: in what a vertex takes on average."""
NEAR = 6.0
"""Places that half of the moves go on average; the others go anywhere."""
KEPT = 1_000_000
"""Vertices in all states that are kept of one order."""


class Walk:
    """An order with the states between its steps.

    What is left after a set of vertices was eliminated does not depend on their order. So where a vertex moves in the
    order, only the steps between its two places change. Of long orders not all states are kept but every so many.

    Args:
        start: before the first step; not changed.
        order: of what is eliminated.
        least: what each vertex takes at least. It is subtracted from all costs, so that a move is seen early to cost
            too much.
    """

    def __init__(self, start: State, order: Sequence[int], least: Mapping[int, int]) -> None:
        self.order = list(order)
        self._least = least
        self._stride = 1 + len(self.order) ** 2 // KEPT
        self._states: list[State] = []
        self._costs: list[int] = []
        state = start.copy()
        for at, v in enumerate(self.order):
            if at % self._stride == 0:
                self._states.append(state.copy())
            self._costs.append(state.eliminate(v) - least[v])
        self.cost = sum(self._costs)

    def move(self, i: int, j: int, slack: float) -> bool:
        """Put what is at place ``i`` to place ``j``, if that costs at most ``slack`` more; returns whether it did."""
        low, high = (i, j) if i < j else (j, i)
        part = self.order[low : high + 1]
        part = [*part[1:], part[0]] if i < j else [part[-1], *part[:-1]]
        old = sum(self._costs[low : high + 1])
        limit, least = old + slack, self._least
        if limit < 0:
            return False
        eliminate = self._before(low).eliminate
        costs, new = list[int](), 0
        for v in part:
            cost = eliminate(v) - least[v]
            new += cost
            if new > limit:
                return False
            costs.append(cost)
        self.order[low : high + 1], self._costs[low : high + 1] = part, costs
        self.cost += new - old
        self._keep(low, high)
        return True

    def _before(self, at: int) -> State:
        """A copy of the state before a step."""
        kept = at // self._stride
        state = self._states[kept].copy()
        for v in self.order[kept * self._stride : at]:
            state.eliminate(v)
        return state

    def _keep(self, low: int, high: int) -> None:
        """Bring up to date the states that are kept of the steps after ``low``, up to ``high``."""
        first = low // self._stride
        for kept in range(first + 1, high // self._stride + 1):
            state = self._states[kept - 1].copy()
            for v in self.order[(kept - 1) * self._stride : kept * self._stride]:
                state.eliminate(v)
            self._states[kept] = state


def anneal(
    start: State,
    order: Sequence[int],
    least: Mapping[int, int],
    *,
    seed: int | str,
    moves: int,
    stop: Callable[[int], bool],
) -> tuple[int, ...]:
    """The best order that a random walk comes by: at first it goes up as well as down, later only down.

    Args:
        start: what is to be eliminated; not changed.
        order: where the walk begins.
        least: what each vertex takes at least, in every order; 0 where nothing is known.
        seed: of the walk. The same seed gives the same order, if nothing stops it.
        moves: steps of the walk; each takes one vertex out of the order and puts it in elsewhere.
        stop: whether to end now; asked before each move, with what the best order so far takes beyond ``least``.
    """
    n = len(order)
    if n < 2:
        return tuple(order)
    walk = Walk(start, order, least)
    best, cost = tuple(order), walk.cost
    unit = (cost + sum(least[v] for v in order)) / n
    hot, cooling = unit * HOT, (COLD / HOT) ** (1 / max(1, moves))
    rng = random.Random(seed)
    draw, log = rng.random, math.log
    for _ in range(moves):
        if stop(cost):
            break
        i = int(draw() * n)
        if draw() < 0.5:
            j = int(draw() * n)
        else:
            step = 1 + int(-NEAR * log(1 - draw()))
            j = min(n - 1, max(0, i + (step if draw() < 0.5 else -step)))
        hot *= cooling
        if i != j and walk.move(i, j, -hot * log(1 - draw())) and walk.cost < cost:
            best, cost = tuple(walk.order), walk.cost
    return best
