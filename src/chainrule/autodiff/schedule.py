"""In which order a chain is reversed in little memory: what is kept, and what is computed again. Plain data.

A chain is a row of blocks; block ``i`` makes state ``i + 1`` of state ``i``. Its backward pass goes from the last block
to the first, and for each needs the inside of the block, its *tape*, which running the block leaves. A schedule says
which blocks run when: an *advance* runs some and keeps the state behind the last of them alone, a *tape* runs one and
keeps all that its backward pass needs. The backward pass of a block follows its tape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.shapes import as_int


@dataclass(frozen=True, slots=True)
class Advance:
    """Run blocks ``start`` to ``stop - 1`` from state ``start``, and keep state ``stop``."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Tape:
    """Run one block and keep its inside; if no other tape comes before its backward pass, that follows."""

    block: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """What to do, and what it costs.

    Attributes:
        actions: in order; the blocks' tapes come in falling order but for those that are taped on the first way.
        forwards: how much forward work they are together, in the units of the blocks' costs.
    """

    actions: tuple[Advance | Tape, ...]
    forwards: float


def reach(slots: int, repeats: int) -> int:
    """How long a chain can be that is reversed with so many stored states and so many runs of each block.

    Example:
        >>> reach(3, 2)
        10
    """
    return comb(slots + repeats, slots) if slots >= 0 and repeats >= 0 else 0


def advances(steps: int, slots: int) -> int:
    """The fewest runs of blocks in advances that reverse so many equal ones with so many stored states.

    State 0 counts as stored.

    Example:
        >>> advances(10, 3), advances(1000, 50), advances(4, 1)
        (15, 1948, 6)
    """
    repeats = _repeats(steps, slots)
    return repeats * steps - reach(slots + 1, repeats - 1)


def _repeats(steps: int, slots: int) -> int:
    """How often a block is run in advances at most."""
    if slots == 1:
        return steps - 1
    repeats = 0
    while reach(slots, repeats) < steps:
        repeats += 1
    return repeats


def binomial(steps: int, slots: int) -> Schedule:
    """The cheapest schedule for equal blocks, with a number of states that may be stored at a time.

    Args:
        steps: blocks of the chain, at least 1.
        slots: stored states, state 0 included, at least 1. Tapes do not count.

    Returns:
        Advances of :func:`advances` blocks together, and one tape for each block; ``forwards`` counts both.

    Raises:
        ArgumentError: one is below 1.

    Example:
        >>> binomial(3, 2).actions
        (Advance(start=0, stop=1), Advance(start=1, stop=2), Tape(block=2), Tape(block=1), Tape(block=0))

    Source: Griewank and Walther, Algorithm 799: Revolve, ACM TOMS 26 (2000) 19-45, DOI 10.1145/347837.347846.
    """
    steps, slots = as_int("binomial", "steps", steps), as_int("binomial", "slots", slots)
    if steps < 1 or slots < 1:
        raise ArgumentError(
            f"binomial: expected at least 1 step and 1 slot, got {steps} and {slots}",
            fix="state 0 takes a slot, and a chain has a block",
        )
    actions: list[Advance | Tape] = []
    todo = [(0, steps, slots)]  # parts of the chain whose first state is stored, and the slots from there on
    while todo:
        first, stop, free = todo.pop()
        if stop - first == 1:
            actions.append(Tape(first))
        elif free == 1:
            for last in reversed(range(first, stop)):
                if last > first:
                    actions.append(Advance(first, last))
                actions.append(Tape(last))
        else:
            middle = first + _split(stop - first, free)
            actions.append(Advance(first, middle))
            todo += [(first, middle, free), (middle, stop, free - 1)]
    return Schedule(tuple(actions), steps + advances(steps, slots))


def _split(steps: int, slots: int) -> int:
    """How far to advance before the next state is stored."""
    repeats = _repeats(steps, slots)
    if steps <= reach(slots, repeats - 1) + reach(slots - 2, repeats - 1):
        return max(1, reach(slots, repeats - 2))
    if steps >= reach(slots, repeats) - reach(slots - 3, repeats):
        return reach(slots, repeats - 1)
    return steps - reach(slots - 1, repeats - 1) - reach(slots - 2, repeats - 1)


def optimal(
    costs: Sequence[float], states: Sequence[int], tapes: Sequence[int], budget: int
) -> Schedule | None:
    """The cheapest nested schedule for blocks that differ, by dynamic programming.

    Time grows with the cube of the blocks and with the budget: group blocks and round sizes up to some fifty of each.

    Args:
        costs: forward work of each block.
        states: size of the state before each block, in whole units; that of the first is not counted.
        tapes: size of each block's tape, the state behind it included.
        budget: units of memory.

    Returns:
        A schedule whose states and tapes never take more than the budget, or None if there is none.

    Source: Beaumont, Eyraud-Dubois, Herrmann, Joly and Shilova, arXiv:1911.13214.

    Example:
        >>> (
        ...     optimal([1, 1, 1], [0, 1, 1], [1, 1, 1], 3).forwards,
        ...     optimal([1, 1, 1], [0, 1, 1], [1, 1, 1], 2).forwards,
        ... )
        (3.0, 5.0)
    """
    n = len(costs)
    if not n or budget < 0:
        return Schedule((), 0.0) if not n else None
    total = np.concatenate([[0.0], np.cumsum(costs)])
    memory = np.arange(budget + 1)
    best = np.full((n + 1, n + 1, budget + 1), np.inf)
    choice = np.zeros(
        (n + 1, n + 1, budget + 1), np.int32
    )  # 0: the first block is taped; else where to split
    for i in range(n):
        best[i, i + 1, tapes[i] :] = costs[i]
    rows = memory[None, :] - np.asarray(states)[:, None]  # what is left once a state is stored
    fits, rows = rows >= 0, np.maximum(rows, 0)
    for size in range(2, n + 1):
        for i in range(n - size + 1):
            j, splits = i + size, np.arange(i + 1, i + size)
            behind = np.where(fits[splits], best[splits[:, None], j, rows[splits]], np.inf)
            split = total[splits, None] - total[i] + behind + best[i, splits]
            first = np.argmin(split, 0)
            found = split[first, memory]
            taped = np.full(budget + 1, np.inf)
            if tapes[i] <= budget:
                taped[tapes[i] :] = costs[i] + best[i + 1, j, : budget + 1 - tapes[i]]
            better = found < taped
            best[i, j] = np.where(better, found, taped)
            choice[i, j] = np.where(better, splits[first], 0)
    if not np.isfinite(best[0, n, budget]):
        return None
    return Schedule(tuple(_walk(choice, n, budget, states, tapes)), float(best[0, n, budget]))


def _walk(
    choice: Any, n: int, budget: int, states: Sequence[int], tapes: Sequence[int]
) -> list[Advance | Tape]:
    """The actions that the choices say."""
    actions: list[Advance | Tape] = []
    todo = [(0, n, budget)]
    while todo:
        i, j, free = todo.pop()
        split = int(choice[i, j, free])
        if j - i == 1 or not split:
            actions.append(Tape(i))
            if j - i > 1:
                todo.append((i + 1, j, free - tapes[i]))
        else:
            actions.append(Advance(i, split))
            todo += [(i, split, free), (split, j, free - states[split])]
    return actions
