"""What a benchmark finds, as plain data, and the events that say how far it is."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from chainrule.bench.libraries import LIBRARIES, OWN
from chainrule.bench.machine import Machine
from chainrule.bench.reference import Work
from chainrule.bench.workloads import WORKLOADS, Training, Workload

TOLERANCE = {"training": 5e-2, "function": 1e-5}
"""Errors above are no rounding. Steps amplify it: adam divides by gradients, which may be small."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One library on one workload. What was not measured is None.

    Attributes:
        library, version: which.
        absent: why there are no figures.
        median, best: seconds for one step or call.
        ratio: its time over that of chainrule, the median of the rounds.
        rounds: in how many it was timed.
        first: seconds for the first call, which compiles; library and network were there before.
        warm: the same in a new process, with compiled code on disk. Of chainrule only.
        error: distance from float64 after ``steps`` steps, relative to the way that the parameters went; of a
            function, the largest difference relative to the largest element.
        memory: bytes by which the process grew, at its peak, from before its first step.
    """

    library: str
    version: str | None
    absent: str | None = None
    median: float | None = None
    best: float | None = None
    ratio: float | None = None
    rounds: int = 0
    first: float | None = None
    warm: float | None = None
    error: float | None = None
    steps: int = 0
    memory: int | None = None

    @property
    def compiling(self) -> float | None:
        """Seconds by which the first call is longer than another one."""
        return self._beyond_a_call(self.first)

    @property
    def loading(self) -> float | None:
        """The same with compiled code on disk."""
        return self._beyond_a_call(self.warm)

    def _beyond_a_call(self, seconds: float | None) -> float | None:
        return None if seconds is None or self.median is None else max(0.0, seconds - self.median)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {**dataclasses.asdict(self), "compiling": self.compiling, "loading": self.loading}
        return {name: _plain(value) for name, value in plain.items()}


@dataclass(frozen=True, slots=True)
class Result:
    """All libraries on one workload.

    Attributes:
        name: of the workload.
        threads: each library may use so many.
        cost: FLOPs and bytes, the same for all.
        figures: of chainrule first.
        machine: where, with its peaks.
    """

    name: str
    threads: int
    cost: Work
    figures: tuple[Figures, ...]
    machine: Machine

    @property
    def workload(self) -> Workload:
        return WORKLOADS[self.name]

    @property
    def own(self) -> Figures:
        return self.figures[0]

    @property
    def best_peer(self) -> Figures | None:
        """The fastest other library, by its ratio: slow moments of the machine, which a median holds, cancel there."""
        timed = [f for f in self.figures[1:] if f.median is not None and f.ratio is not None]
        return min(timed, key=lambda f: f.ratio or math.inf, default=None)

    @property
    def speedup(self) -> float | None:
        """How many times as fast as the best other library chainrule is."""
        peer = self.best_peer
        return peer.ratio if peer else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is; None if there is nothing to compare."""
        return None if self.speedup is None else self.speedup >= self.workload.goal

    @property
    def share(self) -> float | None:
        """The least time in which this machine could do it, over the time that chainrule took.

        Of arithmetic at its measured peak, or of memory for workloads that it limits; there more than 1 is
        possible, as long as all fits a cache.
        """
        memory = self.workload.limit == "memory"
        peak = self.machine.bandwidth if memory else self.machine.flops
        if self.own.median is None or peak is None:
            return None
        return (self.cost.least_bytes if memory else self.cost.flops) / peak / self.own.median

    @property
    def wrong(self) -> tuple[Figures, ...]:
        """Libraries whose numbers are not those of float64 within rounding."""
        tolerance = TOLERANCE["training" if isinstance(self.workload, Training) else "function"]
        return tuple(f for f in self.figures if f.error is not None and not f.error <= tolerance)

    @property
    def failed(self) -> bool:
        """Whether chainrule has no figures, or wrong numbers."""
        return self.own.absent is not None or self.own in self.wrong

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; seconds, bytes, and shares of 1."""
        peer = self.best_peer
        return {
            "workload": self.name,
            "summary": self.workload.summary,
            **dataclasses.asdict(self.cost),
            "best_peer": peer.library if peer else None,
            "speedup": _plain(self.speedup),
            "goal": self.workload.goal,
            "reached": self.reached,
            "limit": self.workload.limit,
            "share_of_peak": _plain(self.share),
            "libraries": [f.to_dict() for f in self.figures],
        }


def _plain(value: Any) -> Any:
    """JSON knows neither nan nor infinity."""
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


@dataclass(frozen=True, slots=True)
class Started:
    """The machine is known.

    Attributes:
        machine: with its peaks, unless nothing is timed.
        workloads: names of what will be measured.
        missing: for each library that cannot take part, why.
    """

    machine: Machine
    workloads: tuple[str, ...]
    missing: dict[str, str]


@dataclass(frozen=True, slots=True)
class Doing:
    """Something has begun that takes a while."""

    workload: str
    what: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A workload is done."""

    result: Result


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event."""

    machine: Machine
    missing: dict[str, str]
    results: tuple[Result, ...]

    @property
    def failed(self) -> bool:
        """Whether chainrule failed somewhere, or computed what is not right."""
        return any(result.failed for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        libraries = {
            name: {"version": library.version, "missing": self.missing.get(name)}
            for name, library in LIBRARIES.items()
        }
        return {
            "version": 1,
            "machine": self.machine.to_dict(),
            "libraries": libraries,
            "results": [result.to_dict() for result in self.results],
        }


Event = Started | Doing | Measured | Finished
__all__ = ["OWN", "Doing", "Event", "Figures", "Finished", "Measured", "Result", "Started"]
