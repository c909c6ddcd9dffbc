"""The next batches are made while the last one is used."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

from chainrule.errors import ArgumentError, OperandError
from chainrule.shapes import as_int

T = TypeVar("T")


def prefetch(iterable: Iterable[T], ahead: int = 2) -> Generator[T, None, None]:
    """Let a thread run an iterator, a few items ahead of whoever uses them.

    The thread starts with the first item that is asked for. It ends when the iterator does, when the iterator raises,
    which is raised here after the items before it, and as soon as nobody wants more: when the result is closed, or
    forgotten after a ``break`` or an error. Waiting takes no processor time.

    Args:
        iterable: such as an epoch of :class:`chainrule.data.Batches`. Nobody else may use it.
        ahead: items that are kept ready, at least 1.

    Returns:
        A generator of the same items in the same order. Its ``close()`` returns once the thread has ended, which is
        as soon as the item that it is making is made.

    Raises:
        ArgumentError: ``ahead`` is below 1.
        OperandError: what is given cannot be iterated over.

    Example:
        >>> list(prefetch(range(5)))
        [0, 1, 2, 3, 4]
    """
    number = as_int("prefetch", "ahead", ahead)
    if number < 1:
        raise ArgumentError(f"prefetch: ahead must be at least 1, got {number}", fix="pass ahead=2")
    try:
        items = iter(iterable)
    except TypeError:
        raise OperandError(
            f"prefetch: cannot iterate over {type(iterable).__name__}",
            fix="pass batches: prefetch(work.epoch(1))",
        ) from None
    return _consume(items, number)


def _consume(
    items: Iterator[T], ahead: int, ending: Callable[[], bool] = sys.is_finalizing
) -> Generator[T, None, None]:
    # The thread knows the line and the items but not this generator, which can so be forgotten while it runs.
    line = _Line(ahead)
    context = contextvars.copy_context()  # modes, and how NumPy treats inf, are those of the consumer
    thread = threading.Thread(
        target=context.run, args=(_produce, items, line), name="chainrule prefetch", daemon=True
    )
    thread.start()
    try:
        yield from line
    finally:
        # An interpreter that ends has stopped the thread, perhaps within a lock: nothing is to be waited for. Its
        # modules may be gone too, hence `ending` is an argument.
        if not ending():
            line.close()
            if threading.current_thread() is not thread:  # as it is where the collector finds this in there
                thread.join()


def _produce(items: Iterator[Any], line: _Line) -> None:
    error = None
    try:
        for item in items:
            if not line.put(item):
                break
            del item  # or it would live as long as the next one is made
    except BaseException as raised:  # whatever it is, it is for the consumer
        error = raised
    try:
        close = getattr(items, "close", None)
        if close is not None:
            close()  # here: it may not run in two threads at a time
    except BaseException as raised:
        error = error or raised
    line.end(error)
    del error  # which knows this frame, and would keep it and its items alive until the collector comes


class _Line:
    """A queue that either side can end. Each waits only for what the other does."""

    def __init__(self, most: int) -> None:
        self._most, self._items = most, deque[Any]()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Any) -> bool:
        """Wait for room and put an item in; whether anybody will want another."""
        with self._changed:
            if not self._closed:
                self._items.append(item)
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._most)
            return not self._closed

    def end(self, error: BaseException | None) -> None:
        """No more items come."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """No more items are wanted."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Any]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
            del item
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # as above
