"""A pool of threads that run the tasks of a kernel: fork and join in less than a microsecond.

A program calls ``void chainrule_parallel(ptr pool, ptr entry, ptr operands, i64 tasks)``, which runs
``entry(operands, task, thread)`` for every task and returns when all are done (how: see
:mod:`chainrule.compiler.on_native.fork_join`). Between `enter` and `leave` workers stay awake. Scratch memory that
is told apart by ``thread`` must belong to the call, not to the pool: two calls at a time may both have a thread 0.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import ctypes
import math
import os
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path

from chainrule.compiler.on_native.fork_join import IMPORTED
from chainrule.compiler.on_native.ir import PTR, Function, Int, Value
from chainrule.compiler.on_native.pool_library import native
from chainrule.compiler.on_native.pool_state import State
from chainrule.errors import ArgumentError, shown

MOST_THREADS = 1024
_GROUPS = Path("/sys/fs/cgroup")


def _serve(seat: _thread.LockType, state: State, thread: int) -> None:
    """What a worker's thread does. The seat makes sure that a number is in use once."""
    if seat.acquire(blocking=False):
        try:
            native().worker(ctypes.addressof(state), thread)
        finally:
            seat.release()


class Pool:
    """Threads that share the tasks of kernels.

    Workers are started by `start`, which whoever calls native code does before each call::

        if not pool.ready:
            pool.start()

    A fork stops them, in the parent and in the child; the end of the program does so for good. Without workers
    jobs run on the calling thread, with the same results.

    Args:
        threads: how many run tasks, with the calling thread; from 1 to 1024. They may be more than processors.

    Attributes:
        threads: the same.
        address: what native code passes as ``pool``; valid for as long as this object lives.
        ready: false if `start` has something to do.

    Raises:
        ArgumentError: ``threads`` is out of range, or this machine has no native code.
    """

    _ended = False  # whether the program is ending: threads that start then may never come back
    _closed = True

    def __init__(self, threads: int) -> None:
        if not 1 <= threads <= MOST_THREADS:
            raise ArgumentError(
                f"threads: expected a number from 1 to {MOST_THREADS}, got {shown(threads)}",
                fix="leave CHAINRULE_THREADS unset to use the processors that this process may use",
            )
        self._state = native().state(threads)
        self.threads = threads
        self.address = ctypes.addressof(self._state)
        self.ready = threads == 1 or Pool._ended
        self._seats = [_thread.allocate_lock() for _ in range(threads - 1)]
        self._changing = _thread.allocate_lock()
        self._closed = Pool._ended
        _pools.add(self)

    @property
    def imports(self) -> Mapping[str, int]:
        """What modules import that call `enter`, `parallel` and `leave`."""
        addresses = native().library.addresses
        return {name: addresses[name] for name in (f"chainrule_{word}" for word in IMPORTED)}

    @property
    def parked(self) -> int:
        """How many workers sleep."""
        return self._state.parked

    def start(self) -> None:
        """Start the workers, unless they run. Never waits."""
        if self.ready or not self._changing.acquire(blocking=False):
            return
        try:
            if self._closed:
                return
            self._state.stop = 0
            workers = 0
            # Threads may be refused: by the system's limit, or because the interpreter is ending.
            with contextlib.suppress(RuntimeError):
                for thread, seat in enumerate(self._seats, 1):
                    if not seat.locked():
                        _thread.start_new_thread(_serve, (seat, self._state, thread))
                    workers += 1
            self._state.workers = workers
            self.ready = True
        finally:
            self._changing.release()

    def stop(self) -> None:
        """Stop the workers until the next `start`. Waits for tasks that they have begun."""
        if not self._closed and self._changing.acquire(blocking=False):
            try:
                self.ready = self.threads == 1
                self._dismiss()
                for seat in self._seats:
                    with seat:
                        pass
            finally:
                self._changing.release()

    def close(self) -> None:
        """Stop the workers for good. Jobs then run on the calling thread."""
        if self._closed:
            return
        self._closed = self.ready = True
        held = self._changing.acquire(timeout=1.0)
        self._dismiss()
        for seat in self._seats:
            seat.acquire()  # and never give it back: a thread that comes late finds it taken
        if held:
            self._changing.release()

    def __del__(self) -> None:
        self.close()

    def _dismiss(self) -> None:
        self._state.workers = 0
        native().stop(self.address)

    def _forked(self) -> None:
        """In the child of a fork there are no workers, and locks may be held by threads that are not there."""
        self._seats = [_thread.allocate_lock() for _ in self._seats]
        self._changing = _thread.allocate_lock()
        native().initialize(self._state, self.threads)
        self.ready = self._closed or self.threads == 1


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_shared: dict[int, Pool] = {}


def shared_pool(threads: int) -> Pool:
    """The pool of so many threads that the whole process shares.

    Raises:
        ArgumentError: ``threads`` is not from 1 to 1024, or this machine has no native code.

    Example:
        >>> shared_pool(2) is shared_pool(2), shared_pool(2).threads
        (True, 2)
    """
    found = _shared.get(threads)
    return found if found is not None else _shared.setdefault(threads, Pool(threads))


def _close_all() -> None:
    Pool._ended = True  # pyright: ignore[reportPrivateUsage]
    for pool in list(_pools):
        pool.close()


def _before_fork() -> None:
    for pool in list(_pools):
        pool.stop()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool._forked()  # pyright: ignore[reportPrivateUsage]


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)


def enter(function: Function, pool: Value, tasks: Int) -> None:
    """Write the beginning of a program: wake workers for jobs of up to ``tasks`` tasks, and keep them awake.

    Args:
        function: under construction. Its module imports `Pool.imports`.
        pool: holds `Pool.address`.
        tasks: of the program's largest job.
    """
    function.call("chainrule_enter", [pool, function.operand(tasks)], declare=True)


def leave(function: Function, pool: Value) -> None:
    """Write the end of a program that began with `enter`: workers without work may sleep."""
    function.call("chainrule_leave", [pool], declare=True)


def parallel(function: Function, pool: Value, entry: str, operands: Value, tasks: Int) -> None:
    """Write a job: all tasks of an entry, on the threads of a pool if they are several.

    Args:
        function: under construction. Its module imports `Pool.imports`.
        pool: holds `Pool.address`.
        entry: symbol of the entry, in this module or another.
        operands: passed to the entry.
        tasks: how many; 0 does nothing.
    """
    if tasks == 0:
        return
    if tasks == 1:
        function.call(entry, [operands, function.operand(0), function.operand(0)], declare=True)
        return
    function.declarations.add(f"declare void @{entry}(ptr, i64, i64)")
    arguments = [pool, Value.of(f"@{entry}", PTR), operands, function.operand(tasks)]
    function.call("chainrule_parallel", arguments, declare=True)


def default_threads() -> int:
    """How many threads to use: ``CHAINRULE_THREADS``, else the processors that this process may use.

    Raises:
        ArgumentError: ``CHAINRULE_THREADS`` is not a number from 1 to 1024.

    Example:
        >>> 1 <= default_threads() <= 1024
        True
    """
    named = os.environ.get("CHAINRULE_THREADS", "").strip()
    if not named:
        return max(1, math.ceil(min(_processors(), _quota(), MOST_THREADS)))
    if not (named.isascii() and named.isdigit() and 1 <= int(named) <= MOST_THREADS):
        raise ArgumentError(
            f"CHAINRULE_THREADS: expected a number from 1 to {MOST_THREADS}, got {shown(named)}",
            fix="unset it to use the processors that this process may use",
        )
    return int(named)


def _processors() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota() -> float:
    """How many processors' time the control group of a container grants (Linux); infinite without a limit."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_GROUPS / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):
        quota, period = ((_GROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        if int(quota) > 0:
            return int(quota) / int(period)
    return math.inf
