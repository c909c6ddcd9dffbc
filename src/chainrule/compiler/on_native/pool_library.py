"""The native half of the pool, compiled for this machine."""

from __future__ import annotations

import ctypes
import math
import sys
import threading
import time
from typing import Any

from chainrule.compiler.on_native import jit, processors
from chainrule.compiler.on_native.fork_join import IMPORTED, text
from chainrule.compiler.on_native.pool_state import LINE, State
from chainrule.compiler.on_native.target import Target, host
from chainrule.errors import ArgumentError

SPIN = 1.5e-3
"""Seconds that a worker looks for work before it sleeps."""


class Native:
    """The compiled module. It needs a target, so it is made with the first pool."""

    def __init__(self, target: Target) -> None:
        if sys.platform == "win32":
            system: Any = ctypes.WinDLL("kernel32")
            names = ["AcquireSRWLockExclusive", "ReleaseSRWLockExclusive", "SleepConditionVariableSRW"]
            names += ["WakeConditionVariable", "WakeAllConditionVariable", "SwitchToThread"]
        else:
            system = ctypes.CDLL(None)
            names = ["pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait"]
            names += ["pthread_cond_signal", "pthread_cond_broadcast", "sched_yield"]
        words = ("lock", "unlock", "wait", "signal", "broadcast", "yield")
        imports = {
            f"chainrule_{word}": ctypes.cast(getattr(system, name), ctypes.c_void_p).value or 0
            for word, name in zip(words, names, strict=True)
        }
        imports |= {
            name: ctypes.cast(function, ctypes.c_void_p).value or 0
            for name, function in processors.imports(system).items()
        }
        symbols = [f"chainrule_{name}" for name in (*IMPORTED, "worker", "stop", "rounds")]
        self.library = jit.build(text(target), symbols, target, imports)
        self.worker = self.library.function("chainrule_worker", ctypes.c_void_p, ctypes.c_int64)
        self.stop = self.library.function("chainrule_stop", ctypes.c_void_p)
        self._system = system
        self.spin = self._rounds()

    def _rounds(self) -> int:
        """How many rounds take `SPIN` seconds here: a pause is 10 to 140 cycles long, by the processor."""
        run, tried, best = self.library.function("chainrule_rounds", ctypes.c_int64), 20, math.inf
        for _ in range(5):
            begin = time.perf_counter()
            run(tried)
            best = min(best, time.perf_counter() - begin)
        return max(1, int(SPIN / best * tried))

    def state(self, threads: int) -> State:
        """A state for so many threads. It and its lanes begin where a line of the cache begins."""
        lanes = (threads + 1) // 2
        room = bytearray(ctypes.sizeof(State) + (lanes + 1) * LINE)
        state = State.from_buffer(room, -ctypes.addressof(ctypes.c_char.from_buffer(room)) % LINE)
        self.initialize(state, threads)
        return state

    def initialize(self, state: State, threads: int) -> None:
        """Make a state as new, whatever it was."""
        lanes = (threads + 1) // 2
        ctypes.memset(ctypes.addressof(state), 0, ctypes.sizeof(state) + lanes * LINE)
        state.threads, state.lanes = threads, lanes
        state.rounds = self.spin
        state.processor = -1  # nobody has begun a program yet
        state.allowed = processors.choice(threads)
        if sys.platform != "win32":  # there, zeros are a mutex and a condition variable
            base = ctypes.addressof(state)
            self._system.pthread_mutex_init(ctypes.c_void_p(base + State.mutex.offset), None)
            self._system.pthread_cond_init(ctypes.c_void_p(base + State.condition.offset), None)


_making = threading.Lock()
_made: list[Native] = []


def native() -> Native:
    """The module for this machine. There is one: programs call its code, which must never be let go.

    Raises:
        ArgumentError: there is no native code for it.
    """
    if not _made:
        target = host()
        if target is None:
            raise ArgumentError(
                "threads: there is no native code for this machine",
                fix="leave CHAINRULE_ISA unset, or do not compile to native code",
            )
        with _making:  # several threads may compile first
            if not _made:
                _made.append(Native(target))
    return _made[0]
