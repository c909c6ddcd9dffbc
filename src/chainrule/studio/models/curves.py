"""How a run went, from its log: losses, metrics, learning rate, gradients; read again while it goes on."""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Mapping
from typing import Any

from chainrule.errors import DataError
from chainrule.explain.numbers import json_number
from chainrule.train.folder import LOG, RunFolder

MOST_POINTS = 800
"""Of a curve. Of more, each stretch keeps its smallest and its largest."""

Points = list[tuple[float, float]]


class Curves:
    """The curves of a run's folder, or of a program that is watched."""

    def __init__(self, run: RunFolder | None = None) -> None:
        self._run = run
        self._read = 0
        self._lock = threading.Lock()
        self.series: dict[str, Points] = {}
        self.updates: dict[str, float] = {}
        self.found: list[dict[str, Any]] = []
        self.steps = self.epochs = 0
        self.state = "going on" if run else ""

    def add(self, name: str, x: float, y: float) -> None:
        """One more point."""
        with self._lock:
            self.series.setdefault(name, []).append((x, y))

    def refresh(self) -> None:
        """Read what was added to the log.

        Raises:
            DataError: a line is not what the log has.
        """
        if self._run is None:
            return
        with self._lock:
            for end, event in self._run.lines(self._read):
                if end <= self._read:  # the log was written anew
                    self.series.clear()
                    self.found.clear()
                self._read = end
                try:
                    self._hear(event)
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                    raise DataError(
                        f"{self._run.path / LOG}: a line of {event['event'][:40]!r} is not what chainrule writes",
                        fix="bring back the log as it was, or train again",
                    ) from None

    def _hear(self, event: Mapping[str, Any]) -> None:
        kind = event["event"]
        if kind == "Started":
            self.steps, self.epochs = int(event["steps"]), int(event["epochs"])
            self.state = "going on"
        elif kind == "Stepped":
            self._note("loss", self._step(event["epoch"], event["step"]), event["loss"])
        elif kind == "Found":
            self.found += [
                {"step": self._step(event["epoch"], event["step"]), **finding}
                for finding in event["findings"]
            ]
        elif kind == "EpochEnded":
            self._hear_epoch(event)
        elif kind == "Finished":
            self.state = "ended"

    def _hear_epoch(self, event: Mapping[str, Any]) -> None:
        at = self._step(event["epoch"], self.steps)
        for name, value in event["train"].items():
            self._note(f"train {name}", at, value)
        for name, value in event["valid"].items():
            self._note(f"held-out {name}", at, value)
        self._note("learning rate", at, event["learning_rate"])
        squares = [_number(g) ** 2 for g in event["gradients"].values()]
        if squares:
            self._note("gradient", at, math.sqrt(statistics.fmean(squares)))
        self.updates = {path: _number(ratio) for path, ratio in event["updates"].items()}
        if self.updates:
            self._note("update ratio", at, statistics.median(self.updates.values()))

    def _step(self, epoch: int, step: int) -> float:
        return float((epoch - 1) * self.steps + step)

    def _note(self, name: str, x: float, y: Any) -> None:
        self.series.setdefault(name, []).append((x, _number(y)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        with self._lock:
            series = {name: thinned(points) for name, points in self.series.items()}
            return {
                "state": self.state,
                "steps": self.steps,
                "epochs": self.epochs,
                "version": sum(len(points) for points in self.series.values()) + len(self.found),
                "series": {
                    name: {"x": [x for x, _ in points], "y": [json_number(y) for _, y in points]}
                    for name, points in series.items()
                },
                "found": list(self.found),
            }


def _number(value: Any) -> float:
    """A number of the log, in which those that JSON lacks are words."""
    return float(value)


def thinned(points: Points) -> Points:
    """At most `MOST_POINTS`: of each stretch its lowest and its highest point, in order; what is not finite stays."""
    if len(points) <= MOST_POINTS:
        return list(points)
    stretch = math.ceil(2 * len(points) / MOST_POINTS)
    found: Points = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        finite = [p for p in part if math.isfinite(p[1])]
        strange = [p for p in part if not math.isfinite(p[1])][:1]
        ends = [min(finite, key=lambda p: p[1]), max(finite, key=lambda p: p[1])] if finite else []
        found += sorted(dict.fromkeys([*ends, *strange]))
    return found
