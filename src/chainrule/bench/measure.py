"""Timing several libraries against each other, fairly.

They take turns in blocks of calls. Threads of some libraries spin for milliseconds after their work, and would cost
whatever runs next: so each block begins after an idle gap, with calls that are not timed. A ratio is the median of
the rounds' ratios, so that a slow moment of the machine, which hits neighbours alike, cancels.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chainrule.bench.libraries import Ready

GAP = 0.1
"""Seconds between blocks: OpenBLAS spins for 2**26 ticks, 34 ms at 2 GHz, and longer where others run too."""
BATCH = 2e-4
"""Seconds, at least, between two looks at the clock."""
ROUNDS, FEWEST = 15, 3
"""Rounds that are aimed at, and the fewest."""
SLOW = 0.25
"""A library whose call takes this share of all the time is timed in the first round only."""


@dataclass(slots=True)
class Times:
    """Seconds for one call, of one library.

    Attributes:
        rounds: the median of each round in which it took part.
        best: the least.
    """

    rounds: list[float] = field(default_factory=list[float])
    best: float = math.inf

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def add(self, times: list[float]) -> None:
        """The times of one block."""
        self.rounds.append(statistics.median(times))
        self.best = min(self.best, *times)


def ratio(times: Times, reference: Times) -> float:
    """How many times as long as the reference: the median over the rounds that both took part in."""
    return statistics.median(a / b for a, b in zip(times.rounds, reference.rounds, strict=False))


def interleave(
    ready: Mapping[str, Ready],
    seconds: float,
    *,
    first: str = "",
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, Times]:
    """Time every library's step.

    Args:
        ready: by name; each has been called before.
        seconds: to spend on all together, roughly; slow ones may take longer.
        first: one that is timed in every round, however slow it is.
        clock, sleep: for tests.
    """
    found = {name: Times() for name in ready}
    sizes = {name: _batch_size(each, clock, sleep) for name, each in ready.items()}
    block = seconds / (ROUNDS * len(ready))
    taking_part = dict(ready)
    began = clock()
    for number in range(ROUNDS):
        if number >= FEWEST and clock() - began > seconds:
            break
        for name, each in taking_part.items():
            found[name].add(_block(each, sizes[name], block, clock, sleep))
        if number == 0:
            fast = {name for name, times in found.items() if times.best <= SLOW * seconds}
            taking_part = {name: each for name, each in ready.items() if name in fast or name == first}
    return found


def _block(
    ready: Ready, size: int, seconds: float, clock: Callable[[], float], sleep: Callable[[float], object]
) -> list[float]:
    """Seconds for one call, of each batch of calls that fits; of one at least."""
    sleep(GAP)
    _batch(ready, size, clock)
    found: list[float] = []
    began = clock()
    while not found or clock() - began < seconds:
        found.append(_batch(ready, size, clock))
    return found


def _batch(ready: Ready, size: int, clock: Callable[[], float]) -> float:
    step = ready.step
    began = clock()
    for _ in range(size):
        step()
    ready.wait()
    return (clock() - began) / size


def _batch_size(ready: Ready, clock: Callable[[], float], sleep: Callable[[float], object]) -> int:
    """So many calls that the clock's own time does not matter."""
    sleep(GAP)
    size = 1
    while True:
        each = _batch(ready, size, clock)
        if each * size >= BATCH / 2:
            return max(1, math.ceil(BATCH / each))
        size *= 4
