"""Simulated annealing over orders of elimination.

Source: Kirkpatrick, Gelatt and Vecchi, Optimization by simulated annealing, Science 220, 1983, 671-680, DOI
10.1126/science.220.4598.671.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence

from chainrule.autodiff.elimination import Divisible, State

HOT, COLD = 1.0, 0.04
"""What a move may cost more at first, and in the end, with a chance of 1/e: in what a vertex takes on average."""
NEAR, FEW = 2.0, 6.0
"""Neighbours past which, and places by which, half of the moves go on average; the others go anywhere."""
STRETCH, EACH = 200, 2_000
"""Places of a stretch of a long order, and moves in it."""
SETTLED = 0.2
"""Seconds before which nothing is concluded from how long moves take."""
KEPT = 1_000_000
"""Vertices in all states that are kept of one order."""


class Walk:
    """An order with the states between its steps.

    What is left after a set of vertices was eliminated does not depend on their order. So where a vertex moves in the
    order, only the steps between its two places change, and none does if it moves past no neighbour. Of long orders
    not all states are kept but every so many.

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
        self._place = {v: at for at, v in enumerate(order)}
        state = start.copy()
        for at, v in enumerate(self.order):
            if at % self._stride == 0:
                self._states.append(state.copy())
            self._costs.append(state.eliminate(v) - least[v])
        self.cost = sum(self._costs)

    def later(self, i: int, draw: Callable[[], float]) -> int:
        """A later place for what is at ``i``, past a neighbour; ``i`` itself if there is none."""
        places = self._neighbours(i, self.order[i])
        if not places:
            return i
        if draw() < 0.5:
            return sorted(places)[min(len(places) - 1, int(-NEAR * math.log(1 - draw())))]
        n = len(self.order)
        j = i + 1 + int(draw() * (n - 1 - i))
        return j if min(places) <= j else i

    def earlier(self, i: int, draw: Callable[[], float]) -> int:
        """An earlier place for what is at ``i``, past a neighbour; ``i`` itself if there is none."""
        v, back = self.order[i], i
        if draw() < 0.5:
            back = 1 + int(-FEW * math.log(1 - draw()))
        else:
            back = 1 + int(draw() * i)
        while back < 2 * i:
            j = max(0, i - back)
            places = [at for at in self._neighbours(j, v) if j <= at < i]
            if places:
                return min(places)  # to go on to j would change nothing
            back *= 2
        return i

    def _neighbours(self, at: int, v: int) -> list[int]:
        """Places of the neighbours that ``v`` has before a step."""
        state = self._states[at] if self._stride == 1 else self._before(at)
        place = self._place
        return [place[w] for w in state.neighbours(v)]

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
        """Bring up to date what is known of the steps from ``low`` to ``high``."""
        state, stride = self._before(low), self._stride
        for at in range(low, high + 1):
            if at % stride == 0 and at > low:
                self._states[at // stride] = state.copy()
            v = self.order[at]
            self._place[v] = at
            state.eliminate(v)


def anneal(
    start: State,
    order: Sequence[int],
    least: Mapping[int, int],
    *,
    seed: int | str,
    moves: int,
    left: Callable[[int], float],
) -> tuple[int, ...]:
    """The best order that a random walk comes by: at first it goes up as well as down, later only down.

    Args:
        start: what is to be eliminated; not changed.
        order: where the walk begins.
        least: what each vertex takes at least, in every order; 0 where nothing is known.
        seed: of the walk. The same seed gives the same order, unless time is short.
        moves: steps of the walk; each takes one vertex out of the order and puts it in elsewhere.
        left: seconds until the walk must end, asked with what the best order so far takes beyond ``least``. Where they
            seem too few for all moves, fewer are made, and it cools down faster.
    """
    n = len(order)
    walk = Walk(start, order, least)
    best, cost = tuple(order), walk.cost
    hot = HOT * (cost + sum(least[v] for v in order)) / max(n, 1)
    cold, cooling = hot * COLD / HOT, 1.0
    rng = random.Random(seed)
    draw, log = rng.random, math.log
    began, made, todo, late = time.monotonic(), 0, moves if n > 1 else 0, False
    between = max(1, min(32, 20_000 // max(n, 1)))
    while todo > 0 and cost:
        if late or not made:
            cooling = (cold / hot) ** (1 / todo)
        for _ in range(min(todo, between)):
            i = int(draw() * n)
            j = walk.later(i, draw) if draw() < 0.5 else walk.earlier(i, draw)
            hot *= cooling
            if i != j and walk.move(i, j, -hot * log(1 - draw())) and walk.cost < cost:
                best, cost = tuple(walk.order), walk.cost
        made += min(todo, between)
        past, todo, seconds = time.monotonic() - began, moves - made, left(cost)
        if seconds <= 0:
            break
        if past > SETTLED and seconds / past * made < todo:
            todo, late = int(seconds / past * made), True
    return best


def anneal_stretches(
    start: State,
    order: Sequence[int],
    least: Mapping[int, int],
    *,
    seed: int | str,
    rounds: int,
    left: Callable[[int], float],
) -> tuple[int, ...]:
    """A better order from many short walks, each in a stretch of a long one.

    Between two steps of an order nothing depends on what comes before or after, but on the state. So a stretch is a
    problem of its own; every other round cuts the order between the cuts of the last. Ends with a round that finds
    nothing.

    Args:
        start: what is to be eliminated; not changed. Stretches of states that are not `Divisible` are not searched.
        order: where the walks begin.
        least, seed, left: as for `anneal`.
        rounds: how often at most.
    """
    best = list(order)
    state = start.copy()
    cost = sum(state.eliminate(v) - least[v] for v in best)
    for number in range(rounds):
        state, before, low = start.copy(), cost, 0
        while low < len(best) and left(cost) > 0 and isinstance(state, Divisible):
            high = low + (STRETCH if low or number % 2 == 0 else STRETCH // 2)
            some = best[low:high]
            part, known = state.part(some), {k: least[v] for k, v in enumerate(some)}
            found = anneal(
                part,
                range(len(some)),
                known,
                seed=f"{seed}/{number}/{low}",
                moves=EACH,
                left=lambda _, c=cost: left(c),
            )
            best[low:high] = [some[k] for k in found]
            one, other = part.copy(), state.copy()
            cost += sum(one.eliminate(k) for k in found) - sum(other.eliminate(v) for v in some)
            for v in best[low:high]:
                state.eliminate(v)
            low = high
        if cost == before:
            break
    return tuple(best)
