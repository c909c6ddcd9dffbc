"""Benchmarks from outside: what to measure, in which processes, and what comes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chainrule.bench.libraries import LIBRARIES, OWN
from chainrule.bench.machine import Machine
from chainrule.bench.reference import Work
from chainrule.bench.results import Doing, Event, Figures, Finished, Measured, Result, Started
from chainrule.bench.workloads import Training, Workload, chosen
from chainrule.errors import ArgumentError, ProcessError
from chainrule.formula.mistakes import closest
from chainrule.shapes import as_int

_THREAD_SETTINGS = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "CHAINRULE_THREADS"),
    "NPROC",  # jax
)


def run(
    names: Sequence[str] = (),
    *,
    threads: int = 2,
    seconds: float = 3.0,
    without: Sequence[str] = (),
    steps: int | None = None,
    memory: bool = False,
    once: bool = False,
) -> Iterator[Event]:
    """Measure workloads, and yield what happens: `Started`, then `Doing` and `Measured`, and `Finished`.

    Each family of workloads has a process of its own, in which all libraries take turns. Compiled code of chainrule
    goes to a directory of its own, so that the first call compiles; torch keeps its own cache from run to run.

    Args:
        names: of workloads and families; none for all.
        threads: each library may use so many.
        seconds: for the timing of each workload.
        without: names of libraries that are left out.
        steps: after so many the parameters are compared with float64; by default as each workload says.
        memory: measure that of training steps too, each library in one more process.
        once: run everything once and check its numbers, without timing.

    Raises:
        ArgumentError: an unknown name, or a number out of range.
        ProcessError: the process that measures the machine failed. Of others it is a result.
    """
    workloads = chosen(names)
    for name, value in (("threads", threads), ("steps", 1 if steps is None else steps)):
        if as_int("bench", name, value) < 1:
            raise ArgumentError(f"bench: {name} must be at least 1, got {value}", fix=f"pass {name}=2")
    if not 0 < seconds < math.inf:
        raise ArgumentError(f"bench: seconds must be above 0, got {seconds}", fix="pass seconds=3")
    for name in without:
        if name not in LIBRARIES or name == OWN:
            others = [n for n in LIBRARIES if n != OWN]
            meant = closest(name, others)
            raise ArgumentError(
                f"bench: there is no library {name!r} to leave out",
                fix=f"did you mean {meant}?" if meant else f"the others are {', '.join(others)}",
            )
    if once:
        seconds, steps = 0.0, steps or 1
    return _Run(workloads, threads, seconds, without, steps, memory).events()


class _Run:
    """One run, from the machine to the last workload."""

    def __init__(
        self,
        workloads: list[Workload],
        threads: int,
        seconds: float,
        without: Sequence[str],
        steps: int | None,
        memory: bool,
    ) -> None:
        self.workloads, self.threads, self.seconds = workloads, threads, seconds
        self.steps, self.memory = steps, memory
        wanted = [
            library
            for name, library in LIBRARIES.items()
            if name not in without and any(library.applies(w) for w in workloads)
        ]
        self.missing = {library.name: library.missing for library in wanted if library.missing}
        self.libraries = [library.name for library in wanted if not library.missing]

    def events(self) -> Iterator[Event]:
        with tempfile.TemporaryDirectory(prefix="chainrule-bench-") as place:
            environment = _environment(self.threads, Path(place))
            (about,) = self.ask(environment, {"do": "machine", "measured": self.seconds > 0})
            machine = Machine(**about)
            yield Started(machine, tuple(w.name for w in self.workloads), self.missing)
            results: list[Result] = []
            for family in dict.fromkeys(w.family for w in self.workloads):
                for event in self.family(environment, family, machine):
                    if isinstance(event, Measured):
                        results.append(event.result)
                    yield event
        yield Finished(machine, self.missing, tuple(results))

    def family(
        self, environment: dict[str, str], family: str, machine: Machine
    ) -> Iterator[Doing | Measured]:
        """Workloads that differ in size, in one process; for a training step what needs others comes after."""
        names = [w.name for w in self.workloads if w.family == family]
        request = {
            "do": "measure",
            "workloads": names,
            "libraries": self.libraries,
            "seconds": self.seconds,
            "steps": self.steps,
        }
        now = Doing(names[0], "starting")
        found: list[Result] = []
        try:
            for answer in self.ask(environment, request):
                if "doing" in answer:
                    now = Doing(answer["workload"], answer["doing"])
                    yield now
                    continue
                figures = tuple(Figures(**f) for f in answer["figures"])
                found.append(Result(answer["result"], self.threads, Work(**answer["cost"]), figures, machine))
                if not isinstance(found[-1].workload, Training):
                    yield Measured(found[-1])
        except ProcessError as death:
            reason = f"{death.message}, while {now.what}"
            figures = (Figures(OWN, LIBRARIES[OWN].version, reason),)
            for name in names[len(found) :]:
                yield Measured(Result(name, self.threads, Work(0, 0, 0), figures, machine))
            return
        if isinstance(found[0].workload, Training):
            figures = list(found[0].figures)
            if self.seconds:
                yield from self.in_fresh_processes(environment, found[0].name, figures)
            yield Measured(dataclasses.replace(found[0], figures=tuple(figures)))

    def in_fresh_processes(
        self, environment: dict[str, str], name: str, figures: list[Figures]
    ) -> Iterator[Doing]:
        """Compiling with code on disk, and memory; written into ``figures``."""
        for i, each in enumerate(figures):
            asked: dict[str, str] = {}
            if each.library == OWN:
                asked["first"] = "compiling with chainrule from its cache"
            if self.memory:
                asked["memory"] = f"measuring memory of {each.library}"
            for do, what in asked.items() if each.absent is None else ():
                yield Doing(name, what)
                request = {"do": do, "workloads": [name], "libraries": [each.library]}
                field = {"first": "warm", "memory": "memory"}[do]
                try:
                    (answer,) = self.ask(environment, request)
                    figures[i] = dataclasses.replace(figures[i], **{field: answer[do]})
                except ProcessError as death:
                    figures[i] = dataclasses.replace(figures[i], absent=f"{death.message}, while {what}")

    def ask(self, environment: dict[str, str], request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A worker's answers, as they come.

        Raises:
            ProcessError: the process ended with an error.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-m", "chainrule.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                encoding="utf-8",
                env=environment,
            )
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                with contextlib.suppress(BrokenPipeError):  # its status says more
                    process.stdin.write(json.dumps({**request, "threads": self.threads}))
                    process.stdin.close()
                yield from map(json.loads, process.stdout)
                status = process.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            if status:
                complaints.seek(0)
                raise _died(status, complaints.read())


def _died(status: int, complaints: str) -> ProcessError:
    how = f"signal {-status}" if status < 0 else f"status {status}"
    last = complaints.strip().splitlines()[-1:]
    return ProcessError(
        f"bench: a process ended with {how}" + (f": {last[0][:200]}" if last else ""),
        fix="leave out the library that was running, with --without",
    )


def _environment(threads: int, place: Path) -> dict[str, str]:
    """That of a worker: the number of threads, the same modules as here, and a place for compiled code."""
    return {
        **os.environ,
        **dict.fromkeys(_THREAD_SETTINGS, str(threads)),
        "CHAINRULE_CACHE": str(place),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUTF8": "1",
    }
