"""Schedules of chains: what they say can be done, keeps within the memory, and nothing cheaper does."""

import heapq
import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.autodiff.schedule import Advance, Tape, advances, binomial, optimal, reach


def cheapest(costs, states, tapes, budget):
    """The least forward work, by Dijkstra's search through everything that can be in memory."""
    n = len(costs)
    start = (n, frozenset(), frozenset())  # the last block that is not reversed, states and tapes in memory
    best, heap, order = {start: 0.0}, [(0.0, 0, start)], itertools.count(1)
    while heap:
        cost, _, (left, kept, taped) = heapq.heappop(heap)
        if cost > best[left, kept, taped]:
            continue
        if left == 0:
            return cost
        moves = [
            (0.0, (left, kept - {s}, taped)) for s in kept if s not in taped
        ]  # its backward pass reads it
        if left - 1 in taped:
            moves.append((0.0, (left - 1, kept - {left}, taped - {left - 1})))
        for i in range(left):
            if i == 0 or i in kept or i - 1 in taped:  # a tape holds the state behind its block
                moves.append((costs[i], (left, kept, taped | {i})))
                if i + 1 < left:
                    moves.append((costs[i], (left, kept | {i + 1}, taped)))
        for more, state in moves:
            used = sum(states[s] for s in state[1]) + sum(tapes[t] for t in state[2])
            if used <= budget and cost + more < best.get(state, np.inf):
                best[state] = cost + more
                heapq.heappush(heap, (cost + more, next(order), state))
    return None


def followed(schedule, costs, states, tapes, passing=False):
    """Do what a schedule says; returns the forward work and the most memory.

    With ``passing`` a state that the next block reads at once, and nobody later, does not count.
    """
    n = len(costs)
    left, work, most = n, 0.0, 0
    kept, taped = {0}, set()
    reached = None
    for action in schedule.actions:
        if isinstance(action, Advance):
            assert action.start in kept or action.start - 1 in taped or action.start == reached
            work += sum(costs[action.start : action.stop])
            if reached is not None:
                kept.add(reached)
            reached = action.stop
        else:
            assert action.block in kept or action.block - 1 in taped or action.block == reached
            if not passing and reached is not None:
                kept.add(reached)
            if action.block != reached and reached is not None:
                kept.add(reached)
            reached = None
            work += costs[action.block]
            taped.add(action.block)
        most = max(most, sum(states[s] for s in kept) + sum(tapes[t] for t in taped))
        while left - 1 in taped:
            left -= 1
            taped.discard(left)
            kept = {s for s in kept if s <= left}
            kept.discard(left) if left else None
    assert left == 0
    return work, most


def test_the_binomial_schedule_takes_as_few_advances_as_any():
    best = {}
    for slots in range(1, 7):
        for steps in range(1, 31):
            ways = (
                [k + best[steps - k, slots - 1] + best[k, slots] for k in range(1, steps)]
                if slots > 1
                else []
            )
            least = 0 if steps == 1 else min(ways) if ways else steps * (steps - 1) // 2
            best[steps, slots] = least
            found = binomial(steps, slots)
            run = sum(a.stop - a.start for a in found.actions if isinstance(a, Advance))
            assert run == advances(steps, slots) == least
            assert [a.block for a in found.actions if isinstance(a, Tape)] == list(range(steps))[::-1]


def test_the_binomial_schedule_keeps_to_its_slots():
    for steps, slots in ((10, 3), (40, 2), (7, 1), (100, 8)):
        states = [1] * steps
        work, most = followed(binomial(steps, slots), [1.0] * steps, states, [0] * steps, passing=True)
        assert most <= slots and work == binomial(steps, slots).forwards


def test_a_thousand_steps_take_one_more_run_of_each_with_a_twentieth_of_the_states():
    assert reach(50, 2) > 1000
    assert advances(1000, 50) == 1948


@pytest.mark.parametrize("seed", range(12))
def test_dynamic_programming_finds_what_a_search_finds(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    costs = rng.integers(1, 9, n).astype(float).tolist()
    states, tapes = [0] + [1] * (n - 1), [1] * n
    for budget in range(1, n + 1):
        found, least = optimal(costs, states, tapes, budget), cheapest(costs, states, tapes, budget)
        if found is None:
            continue
        work, most = followed(found, costs, states, tapes)
        assert work == found.forwards and most <= budget
        assert found.forwards == least


@pytest.mark.parametrize("seed", range(12))
def test_schedules_for_blocks_that_differ_keep_within_the_budget(seed):
    rng = np.random.default_rng(100 + seed)
    n = int(rng.integers(2, 6))
    costs = rng.integers(1, 9, n).astype(float).tolist()
    states = [0, *rng.integers(1, 3, n - 1).tolist()]
    tapes = [int(s + rng.integers(0, 3)) for s in (*states[1:], 1)]
    reached = []
    for budget in range(1, sum(tapes) + 1):
        found = optimal(costs, states, tapes, budget)
        if found is not None:
            work, most = followed(found, costs, states, tapes)
            assert work == found.forwards and most <= budget
            assert work >= cheapest(costs, states, tapes, budget)
            reached.append(work)
    assert reached == sorted(reached, reverse=True) and reached[-1] == sum(costs)


def test_a_chain_without_blocks_or_slots_is_refused():
    with pytest.raises(cr.errors.ArgumentError, match="at least 1 step and 1 slot, got 0 and 3"):
        binomial(0, 3)
    with pytest.raises(cr.errors.ArgumentError, match="slots must be an integer"):
        binomial(3, 1.5)
