"""The search for a cheap order of elimination, and what is known of how good the one is that was found."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.autodiff.annealing import anneal, anneal_stretches
from chainrule.autodiff.elimination import Divisible, Problem, State, multiplications
from chainrule.autodiff.exact import Proof
from chainrule.errors import ArgumentError, shown

SECONDS, MOVES, RESTARTS = 10.0, 50_000, 4
"""Of a search: thirty times as many moves found nothing better on graphs of a hundred vertices."""
QUICK, THOROUGH = 40_000, 200_000
"""Vertices that the exact search looks at before the annealing, and after it, in all sets of what may be left."""
LONG, ROUNDS = 2_000, 10
"""Vertices from which on orders are searched a stretch at a time, and how often over all of the order."""
BOUNDING = 0.1
"""Share of the time in which bounds are worked out."""
PAUSE = 0.2
"""Seconds between two calls of ``progress``."""


@dataclass(frozen=True, slots=True)
class Found:
    """An order, and what is known of it.

    Attributes:
        order: of the intermediates.
        multiplications: that it takes.
        at_least: what every order takes.
        by: what found it: "forward", "reverse", "markowitz", "annealing" or "exact"; "one output: reverse" and
            "one input: forward", which are the best up to a constant and not searched for; what knew it without a
            search, such as "matrix chain"; or "nothing to eliminate".
        tried: multiplications of the orders that need no search, by name; what there was no time for is missing.
        stopped: whether the time was over before the search was.
    """

    order: tuple[int, ...]
    multiplications: int
    at_least: int
    by: str
    tried: Mapping[str, int] = field(default_factory=dict[str, int])
    stopped: bool = False

    @property
    def optimal(self) -> bool:
        """Whether it is proved that no order is better."""
        return self.multiplications == self.at_least


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is: the best so far, what every order takes at least, and seconds since it began."""

    multiplications: int
    at_least: int
    seconds: float


def search(
    problem: Problem,
    *,
    seconds: float = SECONDS,
    moves: int = MOVES,
    restarts: int = RESTARTS,
    seed: int = 0,
    proofs: int = THOROUGH,
    thorough: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> Found:
    """Look for an order of elimination that takes few multiplications.

    Forward, reverse and Markowitz are tried; then annealing, and branch and bound, which proves that nothing is better
    where the graph is small or little is left between what was found and the least that is possible. The search is
    limited by moves, so the same problem gives the same order; only where ``seconds`` end it earlier that depends on
    the machine.

    Args:
        problem: what is to be eliminated.
        seconds: when to stop with the best order so far. One order is always made, however long that takes.
        moves: of each annealing.
        restarts: how many annealings.
        seed: of their random numbers.
        proofs: vertices that branch and bound looks at, at most, in all sets of what may be left.
        thorough: whether to search also where inputs or outputs hold a single number.
        progress: told how far the search is, a few times a second.

    Raises:
        ArgumentError: an argument that makes no sense.

    Example:
        >>> from chainrule.autodiff.elimination import EliminationGraph
        >>> edges = [(-1, 1), (-2, 1), (1, 2), (2, 3), (2, 4)]
        >>> found = search(EliminationGraph.from_edges(2, 4, edges, outputs=(3, 4)))
        >>> found.multiplications, found.optimal, dict(found.tried)
        (6, True, {'reverse': 6, 'forward': 6, 'markowitz': 6})
    """
    _require(seconds, moves, restarts, seed)
    inner, watch = tuple(problem.intermediates), _Watch(seconds, progress)
    if not inner:
        return Found((), 0, 0, "nothing to eliminate")
    known = problem.solved()
    if known is not None:
        cost = multiplications(problem, known.order)
        return Found(known.order, cost, cost, known.by, _tried(problem, watch)[1])
    least = _Least(problem, watch)
    if not thorough and min(problem.input_size, problem.output_size) == 1:
        reverse = problem.output_size == 1
        order = inner[::-1] if reverse else inner
        cost = multiplications(problem, order)
        by = "one output: reverse" if reverse else "one input: forward"
        return Found(order, cost, min(cost, least.total), by, {by.split()[-1]: cost})
    return _Search(problem, watch, least, moves, restarts, seed, proofs).found()


def markowitz(
    problem: Problem, stop: Callable[[], bool] = lambda: False
) -> tuple[tuple[int, ...], int] | None:
    """The order that eliminates next what takes the fewest multiplications now, of several the first; and its cost.

    Args:
        problem: what is to be eliminated.
        stop: asked before each step; the result is None if it says so.

    Source: Griewank and Reese, On the calculation of Jacobian matrices by the Markowitz rule, in Automatic
    Differentiation of Algorithms, SIAM 1991, 126-135.
    """
    state, total, order = problem.start(), 0, list[int]()
    now = {v: state.cost(v) for v in problem.intermediates}
    place = {v: k for k, v in enumerate(problem.intermediates)}
    heap = [(cost, place[v], v) for v, cost in now.items()]
    heapq.heapify(heap)
    while heap:
        cost, _, v = heapq.heappop(heap)
        if now.get(v) != cost:
            continue  # it was eliminated, or its cost has changed since
        if stop():
            return None
        near = [w for w in state.neighbours(v) if w in now]
        total += state.eliminate(v)
        order.append(v)
        del now[v]
        for w in near:
            cost = state.cost(w)
            if w in now and cost != now[w]:
                now[w] = cost
                heapq.heappush(heap, (cost, place[w], w))
    return tuple(order), total


class _Watch:
    """When to stop, and whom to tell."""

    def __init__(self, seconds: float, progress: Callable[[Progress], object] | None) -> None:
        self._began = time.monotonic()
        self._seconds, self._progress, self._said = seconds, progress, 0.0
        self.at_least = 0

    def left(self, share: float = 1.0) -> float:
        """Seconds, of all or of a share; 0 or less when they are over."""
        return share * self._seconds - (time.monotonic() - self._began)

    def say(self, best: int) -> None:
        """Tell how good the best order is, unless that was told a moment ago."""
        past = time.monotonic() - self._began
        if self._progress is not None and past - self._said >= PAUSE:
            self._said = past
            self._progress(Progress(best, self.at_least, past))


class _Least(dict[int, int]):
    """What each vertex takes at least; 0 where there was no time to find out."""

    def __init__(self, problem: Problem, watch: _Watch) -> None:
        inner = problem.intermediates
        super().__init__((v, 0) for v in inner)
        for v in inner:
            if watch.left(BOUNDING) <= 0:
                break
            self[v] = problem.lower_bound(v)
        self.total = watch.at_least = sum(self.values())


def _tried(problem: Problem, watch: _Watch) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Forward, reverse and Markowitz, as far as there is time, and their costs: at least the likely cheaper mode."""
    orders: dict[str, tuple[int, ...]] = {}
    costs: dict[str, int] = {}
    inner = tuple(problem.intermediates)
    both = {"reverse": inner[::-1], "forward": inner}
    for name in both if problem.output_size <= problem.input_size else reversed(both):
        cost = _cost_in_time(problem, both[name], watch, patient=not costs)
        if cost is not None:
            orders[name], costs[name] = both[name], cost
    found = markowitz(problem, lambda: watch.left() <= 0)
    if found is not None:
        orders["markowitz"], costs["markowitz"] = found
    return orders, costs


def _cost_in_time(problem: Problem, order: Sequence[int], watch: _Watch, patient: bool) -> int | None:
    state, cost = problem.start(), 0
    for v in order:
        if not patient and watch.left() <= 0:
            return None
        cost += state.eliminate(v)
    return cost


class _Search:
    """One search. The graph falls into parts that do not touch; each is searched on its own."""

    def __init__(
        self,
        problem: Problem,
        watch: _Watch,
        least: _Least,
        moves: int,
        restarts: int,
        seed: int,
        proofs: int,
    ) -> None:
        self._proofs = proofs
        self._problem, self._watch, self._least = problem, watch, least
        self._moves, self._restarts, self._seed = moves, restarts, seed
        self._orders: dict[str, tuple[int, ...]] = {}
        self._tried: dict[str, int] = {}

    def found(self) -> Found:
        """Try what needs no search, then search."""
        self._orders, self._tried = _tried(self._problem, self._watch)
        by = min(self._tried, key=self._tried.__getitem__)
        if self._tried[by] == self._least.total:
            return Found(self._orders[by], self._tried[by], self._least.total, by, self._tried)
        state, order, at_least = _reduced(self._problem)
        first = set(order)
        parts = [
            _Part(state, [self._only(part, name) for name in self._orders], self._least)
            for part in _parts(state, [v for v in self._problem.intermediates if v not in first])
        ]
        total, size = at_least + sum(part.cost for part in parts), sum(len(part.order) for part in parts)
        if total < self._tried[by]:
            by = "annealing"
        for number, part in enumerate(parts):
            rest, moves = total - part.cost, self._moves * len(part.order) // size
            seeds = [f"{self._seed}/{number}/{k}" for k in range(self._restarts)]
            by = part.improve(moves, seeds, self._proofs, self._left(rest + part.least_sum)) or by
            total = rest + part.cost
            order += part.order
            at_least += part.cost if part.proved else part.least_sum
        return Found(tuple(order), total, at_least, by, self._tried, self._watch.left() <= 0)

    def _only(self, part: set[int], name: str) -> tuple[int, ...]:
        return tuple(v for v in self._orders[name] if v in part)

    def _left(self, rest: int) -> Callable[[int], float]:
        """The seconds that are left, for what asks with its best cost beyond ``rest``."""

        def left(more: int) -> float:
            self._watch.say(rest + more)
            return self._watch.left()

        return left


class _Part:
    """Vertices whose costs depend on no others, and the best order of them so far.

    Attributes:
        order, cost: the best so far.
        proved: whether no order is better.
        least_sum: what every order takes.
    """

    def __init__(self, start: State, orders: Iterable[tuple[int, ...]], least: Mapping[int, int]) -> None:
        self._start, self._least = start, least
        self.cost, self.order = min((_cost_from(start, order), order) for order in dict.fromkeys(orders))
        self.least_sum = sum(least[v] for v in self.order)

    @property
    def proved(self) -> bool:
        return self.cost == self.least_sum

    def improve(
        self, moves: int, seeds: Sequence[str], proofs: int, left: Callable[[int], float]
    ) -> str | None:
        """Search; returns what found something better, or None.

        Walks end early where two have come to the same best: that is how far walks come here.
        """
        by, begin, agreed = self._prove(min(QUICK, proofs), left), self.order, 0
        for seed in seeds:
            best = self.cost - self.least_sum
            if self.proved or agreed > 1 or left(best) <= 0:
                break
            order = self._walk(begin, seed, moves, lambda more, m=best: left(min(more, m)))
            cost = _cost_from(self._start, order)
            if cost < self.cost:
                self.order, self.cost, by, agreed = order, cost, "annealing", 0
            agreed += cost == self.cost
        return self._prove(proofs, left) or by

    def _walk(
        self, order: tuple[int, ...], seed: str, moves: int, left: Callable[[int], float]
    ) -> tuple[int, ...]:
        if len(order) < LONG or not isinstance(self._start, Divisible):
            return anneal(self._start, order, self._least, seed=seed, moves=moves, left=left)
        return anneal_stretches(self._start, order, self._least, seed=seed, rounds=ROUNDS, left=left)

    def _prove(self, most: int, left: Callable[[int], float]) -> str | None:
        if self.proved:
            return None
        proof = Proof(self._start, self.order, self._least, most=most // len(self.order), left=left)
        before, self.order = self.cost, proof.order
        self.cost = proof.cost
        if proof.complete:
            self.least_sum = self.cost
        return "exact" if self.cost < before else None


def _cost_from(start: State, order: Sequence[int]) -> int:
    state = start.copy()
    return sum(state.eliminate(v) for v in order)


def _reduced(problem: Problem) -> tuple[State, list[int], int]:
    """The state after every vertex that may as well go first, those vertices, and their cost."""
    state, order, cost = problem.start(), list[int](), 0
    left = set(problem.intermediates)
    todo = list(reversed(problem.intermediates))
    while todo:
        v = todo.pop()
        if v in left and state.harmless(v):
            todo += state.neighbours(v)
            cost += state.eliminate(v)
            order.append(v)
            left.remove(v)
    return state, order, cost


def _parts(state: State, inner: Sequence[int]) -> list[set[int]]:
    """The vertices in groups of which none has a neighbour in another; all in one where orders are long anyway."""
    if len(inner) >= LONG:
        return [set(inner)]
    left, found = set(inner), list[set[int]]()
    for first in inner:
        if first in left:
            part, todo = {first}, [first]
            while todo:
                new = left.intersection(state.neighbours(todo.pop())) - part
                part |= new
                todo += new
            left -= part
            found.append(part)
    return found


def _require(seconds: float, moves: int, restarts: int, seed: int) -> None:
    if type(seconds) not in (int, float) or not seconds > 0:
        raise ArgumentError(
            f"seconds: expected a number above 0, got {shown(seconds)}", fix=f"pass {SECONDS}"
        )
    for name, value, usual in (("moves", moves, MOVES), ("restarts", restarts, RESTARTS), ("seed", seed, 0)):
        if type(value) is not int or (value < 0 and name != "seed"):
            raise ArgumentError(
                f"{name}: expected a whole number, 0 or more, got {shown(value)}", fix=f"pass {usual}"
            )
