"""Threads for what takes time, so that the server goes on serving whatever is computed."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_AGAIN = 0.25
"""Seconds after which work is interrupted again that went on."""


class TookTooLong(Exception):
    """There was no result within the time limit.

    Attributes:
        began: whether the work was begun at all, or other work took all threads.
    """

    def __init__(self, began: bool) -> None:
        super().__init__(began)
        self.began = began


class _OutOfTime(BaseException):
    """Raised inside of work that takes too long. No Exception: work that goes on after any of those ends too."""


class Workers:
    """Runs at most so many pieces of work at a time, and gives up on each after a while.

    Work that is given up is interrupted, which ends it at its next Python instruction; until then it keeps its place.
    Its threads are daemons, so that what cannot be interrupted does not keep the process alive after Ctrl-C.

    Args:
        most: pieces of work at a time.
        seconds: that one may wait for its turn, and then take.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self.seconds = seconds
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], T]) -> T:
        """Give what ``work`` gives, or raise what it raises.

        Raises:
            TookTooLong: it was given up.
        """
        try:
            async with asyncio.timeout(self.seconds):
                await self._free.acquire()
        except TimeoutError:
            raise TookTooLong(began=False) from None
        job = _Job(work, asyncio.get_running_loop(), self._free.release)
        limit = asyncio.timeout(self.seconds)
        try:
            async with limit:
                return await job.result
        except TimeoutError:
            if limit.expired():
                raise TookTooLong(began=True) from None
            raise  # the work's own
        finally:
            if job.result.cancelled():
                job.interrupt()


class _Job(Generic[T]):
    """A piece of work in a thread of its own."""

    def __init__(
        self, work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: Callable[[], None]
    ) -> None:
        self.result: asyncio.Future[T] = loop.create_future()
        self._work, self._loop, self._done = work, loop, done
        self._over = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="chainrule-studio", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # no more threads
            done()
            raise

    def interrupt(self) -> None:
        """End the work, if it has not ended. In the thread of the loop."""
        with self._lock:
            if self._over or self._thread.ident is None:
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident), ctypes.py_object(_OutOfTime)
            )
        # Python drops what is raised while it forgets an object, in a weak reference's callback for example.
        self._loop.call_later(_AGAIN, self.interrupt)

    def _run(self) -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            try:
                value = self._work()
            except BaseException as error:
                failure = error
        except _OutOfTime as error:
            failure = error
        # An interruption may come at any instruction, also at those that end the work; none comes when it is over.
        ended = False
        while not ended:
            with contextlib.suppress(_OutOfTime):
                self._end(value, failure)
                ended = True

    def _end(self, value: Any, failure: BaseException | None) -> None:
        with self._lock:
            self._over = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._hand_over, value, failure)

    def _hand_over(self, value: Any, failure: BaseException | None) -> None:
        """In the thread of the loop: may be called twice."""
        if self._done is not _nothing:
            self._done()
            self._done = _nothing
        if self.result.done():
            return
        if failure is None:
            self.result.set_result(value)
        elif isinstance(failure, Exception) and not isinstance(failure, StopIteration):
            self.result.set_exception(failure)
        else:  # such as SystemExit: it ends the work, not the server; StopIteration would end the loop's own generator
            self.result.set_exception(RuntimeError(f"{type(failure).__name__}: {failure}"))


def _nothing() -> None:
    pass
