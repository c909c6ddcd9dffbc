"""The best order of elimination, proved: branch and bound over the sets of vertices that may have been eliminated.

Source: Land and Doig, An automatic method of solving discrete programming problems, Econometrica 28, 1960, 497-520, DOI
10.2307/1910129.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from chainrule.autodiff.elimination import State

DEEPEST = 200
"""Vertices: of more there is no hope, and each is a call within a call."""


class Proof:
    """Looks at every order that may be better than one that is known.

    Two ways to eliminate the same vertices leave the same state, so only the cheaper one is followed; and none is that
    cannot become better even if every vertex that is left takes the least that it can.

    Args:
        start: what is to be eliminated; not changed.
        order: the best that is known.
        least: what each vertex takes at least, in every order.
        most: sets of eliminated vertices to look at before giving up.
        left: seconds until it must end, asked at each of them with what the best order takes beyond ``least``.

    Attributes:
        order, cost: the best that was found, and what it takes.
        complete: whether it is proved that none is better.
    """

    def __init__(
        self,
        start: State,
        order: Sequence[int],
        least: Mapping[int, int],
        *,
        most: int,
        left: Callable[[int], float],
    ) -> None:
        self.order = tuple(order)
        self._least, self._most, self._left = least, most, left
        self._bit = {v: 1 << k for k, v in enumerate(order)}
        state = start.copy()
        self._best = sum(state.eliminate(v) - least[v] for v in order)
        self._cheapest: dict[int, int] = {}
        self._done: list[int] = []
        self.complete = len(order) <= DEEPEST and self._follow(start.copy(), set(order), 0, 0)
        self.cost = self._best + sum(least[v] for v in order)

    def _follow(self, state: State, left: set[int], eliminated: int, cost: int) -> bool:
        """Go on from a state, which may be changed; returns whether all was looked at."""
        if cost >= self._best or self._cheapest.get(eliminated, math.inf) <= cost:
            return True
        if not left:
            self._best, self.order = cost, tuple(self._done)
            return True
        if len(self._cheapest) >= self._most or self._left(self._best) <= 0:
            return False
        self._cheapest[eliminated] = cost
        for v in sorted(left, key=self._bit.__getitem__):
            if state.harmless(v):
                return self._step(state, v, left, eliminated, cost)
        dearer = sorted((state.cost(v) - self._least[v], self._bit[v], v) for v in left)
        for more, _, v in dearer:
            if cost + more >= self._best:
                break
            if not self._step(state.copy(), v, left, eliminated, cost):
                return False
        return True

    def _step(self, state: State, v: int, left: set[int], eliminated: int, cost: int) -> bool:
        more = state.eliminate(v) - self._least[v]
        self._done.append(v)
        complete = self._follow(state, left - {v}, eliminated | self._bit[v], cost + more)
        self._done.pop()
        return complete
