"""What this machine can do at most, measured: arithmetic in registers, and copying memory."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.primitive import Array

_TURNS = 300_000
_REPEATS, _PAUSE = 50, 0.005
"""Looks, and seconds between them: with luck a busy neighbour rests during one."""
_COPIED = 1 << 27
"""Bytes that all threads copy: far more than a cache holds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where figures come from.

    Attributes:
        processor: its name.
        processors: how many this process may use.
        instructions: the set that native code is made for; None where there is none.
        threads: how many the peaks below were measured with.
        flops: float32 operations a second, a fused multiply-add counted as two; None if not measured.
        bandwidth: bytes a second that a large copy reads and writes; None if not measured.
    """

    processor: str
    processors: int
    instructions: str | None
    threads: int
    flops: float | None = None
    bandwidth: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def here(threads: int, *, measured: bool) -> Machine:
    """This machine, with peaks for a number of threads if they are to be measured."""
    from chainrule.compiler.on_native.target import host

    target = host()
    about = (_processor(), _processors(), target.isa.name if target else None, threads)
    if not measured:
        return Machine(*about)
    return Machine(*about, _flops(target, threads) if target else None, _bandwidth(threads))


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()


def _flops(target: Any, threads: int) -> float:
    """The rate of multiply-adds in independent chains, with all operands in registers."""
    from chainrule.compiler.on_native import ir, jit, kernel, modules

    lanes, chains = target.isa.lanes(4), target.isa.registers - 6
    kind = ir.F32.vector(lanes)
    function, operands, _, _ = kernel.entry(f"peak_{target.isa.name}", target)
    place = kernel.operand(function, operands, 0)
    # Each chain starts with its own numbers: LLVM would merge equal ones.
    factor, term, *sums = (
        function.load(function.at(place, i * lanes, kind), kind) for i in range(2 + chains)
    )
    sums = function.loop(0, _TURNS, 1, lambda _, sums: [function.fma(s, factor, term) for s in sums], sums)
    for i, total in enumerate(sums, 2):
        function.store(total, function.at(place, i * lanes, kind))
    library = jit.build(modules.module([function]), [function.name], target)
    run = library.function(function.name, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)

    buffers = [np.full((2 + chains) * lanes, 0.5, np.float32) for _ in range(threads)]
    tables = [np.array([buffer.ctypes.data]) for buffer in buffers]
    seconds = _best(threads, lambda thread: run(tables[thread].ctypes.data, 0, thread))
    return 2 * lanes * chains * _TURNS * threads / seconds


def _bandwidth(threads: int) -> float:
    size = _COPIED // threads
    pairs: list[tuple[Array, Array]] = [
        (np.ones(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(threads)
    ]
    seconds = _best(threads, lambda thread: np.copyto(pairs[thread][1], pairs[thread][0]))
    return 2 * size * threads / seconds


def _best(threads: int, run: Callable[[int], object]) -> float:
    """Seconds from the start of the first thread to the end of the last, the least of several times."""
    gate = threading.Barrier(threads)
    began, ended = np.zeros((2, _REPEATS, threads))

    def serve(thread: int) -> None:
        for turn in range(_REPEATS):
            time.sleep(_PAUSE)
            gate.wait()
            began[turn, thread] = time.perf_counter()
            run(thread)
            ended[turn, thread] = time.perf_counter()

    workers = [threading.Thread(target=serve, args=(i,), daemon=True) for i in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return float(np.min(ended.max(1) - began.min(1)))
