"""A process of its own for what is measured: ``python -m chainrule.bench.worker``.

So every library starts fresh, with the number of threads that its environment says, and a library that dies takes
nothing with it. A request is one JSON document on stdin; what happens is written as JSON, one line each.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from chainrule.bench import machine, reference
from chainrule.bench.libraries import LIBRARIES, OWN, Library, Ready
from chainrule.bench.measure import Times, interleave, ratio
from chainrule.bench.results import Figures
from chainrule.bench.workloads import WORKLOADS, Training, Workload

Tell = Callable[[dict[str, Any]], None]


class Session:
    """Workloads measured one after the other, in this process.

    Args:
        libraries: names of those that take part; chainrule first.
        threads: for each.
        tell: is told what happens.
        seconds: for the timing of a workload; 0 for none.
        steps: after so many parameters are compared; None for as many as the workload says.
    """

    def __init__(
        self,
        libraries: Sequence[str],
        threads: int,
        tell: Tell,
        seconds: float = 0.0,
        steps: int | None = None,
    ) -> None:
        self.threads, self.tell, self.seconds, self.wanted = threads, tell, seconds, steps
        self.libraries = [LIBRARIES[name] for name in libraries]
        self.backends: dict[str, Any] = {}
        self.absent: dict[str, str] = {}

    def measure(self, workload: Workload) -> None:
        """Get every library ready, compare numbers, time."""
        taking_part = [library for library in self.libraries if library.applies(workload)]
        self.absent = {}
        first: dict[str, float] = {}
        ready: dict[str, Ready] = {}
        for library in taking_part:
            self.doing(workload, f"compiling with {library.name}")
            try:
                ready[library.name], first[library.name] = self.first_call(library, workload)
            except Exception as error:  # whatever a library raises is its result
                self.absent[library.name] = _reason(error)
        self.doing(workload, "comparing with float64")
        steps = {name: self.steps(LIBRARIES[name], workload) for name in ready}
        errors = self.errors(workload, ready, steps)
        times: dict[str, Times] = {}
        if self.seconds and ready:
            self.doing(workload, "timing")
            gc.collect()
            gc.freeze()  # collections would cost more the more libraries are loaded
            times = interleave(ready, self.seconds, first=OWN)
        self.tell(
            {
                "result": workload.name,
                "cost": asdict(reference.work(workload)),
                "figures": [
                    asdict(self.figures(library, first, errors, steps, times)) for library in taking_part
                ],
            }
        )

    def first_call(self, library: Library, workload: Workload) -> tuple[Ready, float]:
        """Make a library ready for its second call, and say how many seconds the first one took."""
        if library.name not in self.backends:
            backend = library.backend()
            backend.set_up(self.threads)
            self.backends[library.name] = backend
        ready = library.prepare(self.backends[library.name], workload, self.threads)
        began = time.perf_counter()
        ready.step()
        ready.wait()
        return ready, time.perf_counter() - began

    def steps(self, library: Library, workload: Workload) -> int:
        """After how many steps its parameters are compared."""
        if not isinstance(workload, Training) or workload.name in library.slow:
            return 1
        return self.wanted or workload.checked

    def errors(
        self, workload: Workload, ready: Mapping[str, Ready], steps: Mapping[str, int]
    ) -> dict[str, float]:
        """How far from float64 each library is after its steps, of which one is made."""
        if not isinstance(workload, Training):
            right = reference.value_of(workload)
            return {name: reference.error(each.result(), right) for name, each in ready.items()}
        after = reference.parameters_after(workload, set(steps.values()))
        found: dict[str, float] = {}
        for name, each in ready.items():
            for _ in range(steps[name] - 1):
                each.step()
            each.wait()
            found[name] = reference.error(each.result(), after[steps[name]], after[0])
        return found

    def figures(
        self,
        library: Library,
        first: Mapping[str, float],
        errors: Mapping[str, float],
        steps: Mapping[str, int],
        times: Mapping[str, Times],
    ) -> Figures:
        name, found, own = library.name, times.get(library.name), times.get(OWN)
        return Figures(
            library=name,
            version=library.version,
            absent=self.absent.get(name),
            median=found.median if found else None,
            best=found.best if found else None,
            ratio=ratio(found, own) if found and own else None,
            rounds=len(found.rounds) if found else 0,
            first=first.get(name) if self.seconds else None,
            error=errors.get(name),
            steps=steps.get(name, 0),
        )

    def doing(self, workload: Workload, what: str) -> None:
        self.tell({"doing": what, "workload": workload.name})


def _reason(error: Exception) -> str:
    """An exception on one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}"[:300] if lines else type(error).__name__


def memory(library: Library, workload: Workload, threads: int) -> int | None:
    """Bytes by which the peak of this process grows while a library makes three steps; None where unknown."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    backend = library.backend()
    backend.set_up(threads)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ready = library.prepare(backend, workload, threads)
    for _ in range(3):
        ready.step()
    ready.wait()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def serve(request: Mapping[str, Any], tell: Tell) -> None:
    """Do what is asked for."""
    threads = request["threads"]
    if request["do"] == "machine":
        tell(machine.here(threads, measured=request["measured"]).to_dict())
        return
    session = Session(request["libraries"], threads, tell, request.get("seconds", 0.0), request.get("steps"))
    workloads = [WORKLOADS[name] for name in request["workloads"]]
    if request["do"] == "measure":
        for workload in workloads:
            session.measure(workload)
        return
    (library,), (workload,) = session.libraries, workloads
    if request["do"] == "memory":
        tell({"memory": memory(library, workload, threads)})
    else:
        tell({"first": session.first_call(library, workload)[1]})


def main() -> None:
    """Read the request, and keep stdout for the answers alone."""
    request = json.load(sys.stdin)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(request, lambda answer: _write(answers, answer))


def _write(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
