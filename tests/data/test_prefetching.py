"""A thread that makes items ahead: their order, its errors, and that it ends whatever its consumer does."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import chainrule as cr
from chainrule import data
from chainrule.data import prefetch
from chainrule.errors import ArgumentError, OperandError
from chainrule.modes import is_recording

PATIENCE = 30.0
"""Seconds after which a test that waits in vain fails; none takes as long."""


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "chainrule prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    assert running() == []
    yield
    gc.collect()
    assert running() == []


class Source:
    """Counts from 0, notes what it has made and whether it was closed, and may be told to wait or to fail."""

    def __init__(self, n: int = 10**9, fails_at: int | None = None) -> None:
        self.n, self.fails_at = n, fails_at
        self.made, self.closed, self.threads = 0, threading.Event(), set[str]()
        self.reached = {number: threading.Event() for number in range(20)}

    def __iter__(self) -> Iterator[int]:
        try:
            for number in range(self.n):
                self.threads.add(threading.current_thread().name)
                if number == self.fails_at:
                    raise OSError("the disk is gone")
                self.made += 1
                if number in self.reached:
                    self.reached[number].set()
                yield number
        finally:
            self.closed.set()


@pytest.mark.parametrize("ahead", [1, 2, 50])
def test_items_come_in_order_from_another_thread(ahead: int):
    source = Source(20)
    assert list(prefetch(source, ahead)) == list(range(20))
    assert source.threads == {"chainrule prefetch"} and source.closed.is_set()
    assert list(prefetch([])) == [] and list(prefetch("ab")) == ["a", "b"]


def test_it_works_ahead_and_no_further():
    source = Source()
    items = prefetch(source, 3)
    assert next(items) == 0
    assert source.reached[3].wait(PATIENCE)  # three are ready, and nobody has asked for them
    assert not source.reached[4].wait(0.05)
    assert next(items) == 1
    assert source.reached[4].wait(PATIENCE)
    items.close()


def test_the_thread_ends_where_the_consumer_stops():
    source = Source()
    for item in prefetch(source):
        if item == 5:
            break
    assert source.closed.wait(PATIENCE)


def test_the_thread_ends_where_the_consumer_fails():
    source = Source()
    with pytest.raises(ZeroDivisionError):
        _ = [1 / (3 - item) for item in prefetch(source)]
    assert source.closed.wait(PATIENCE)


def test_the_thread_ends_before_close_returns():
    source = Source()
    items = prefetch(source)
    next(items)
    items.close()
    assert source.closed.is_set() and running() == []
    assert list(items) == []
    items.close()


def test_the_thread_ends_where_the_iterator_is_forgotten():
    source = Source()
    items = prefetch(source)
    next(items)
    del items
    gc.collect()
    assert source.closed.wait(PATIENCE)


def test_a_program_ends_whose_iterators_are_not_used_up():
    program = """
import builtins, itertools
from chainrule.data import prefetch
global_one, builtins.kept = prefetch(itertools.count()), prefetch(itertools.count())
print(next(global_one), next(builtins.kept))
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "0 0\n", "")


def test_an_iterator_that_nobody_asks_starts_no_thread():
    items = prefetch(Source())
    assert running() == []
    items.close()


def test_errors_of_the_producer_come_after_what_it_made():
    got: list[int] = []
    source = Source(fails_at=4)
    with pytest.raises(OSError, match="the disk is gone") as caught:
        got.extend(prefetch(source))
    assert got == [0, 1, 2, 3] and source.closed.is_set()
    assert caught.traceback[-1].name == "__iter__"  # where it happened


def test_after_an_error_nothing_is_kept_alive():
    """Without the help of the collector, as batches may be large."""
    source = Source(fails_at=2)
    gone = weakref.ref(source)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(OSError):
            list(prefetch(source))
        del source
        assert gone() is None
    finally:
        gc.enable()


def test_an_error_of_ours_names_no_line_of_the_library():
    def failing() -> Iterator[int]:
        yield 1
        data.batches(np.ones(3), np.ones(3), 0)

    with pytest.raises(ArgumentError, match=r"size must be at least 1.*\n.*\n  At:  test_prefetching.py"):
        list(prefetch(failing()))
    with pytest.raises(ArgumentError, match="seed must be an integer") as caught:
        list(prefetch(map(cr.random.key, [0.5])))
    assert caught.value.source is None


def test_an_error_while_closing_is_raised_too():
    def stubborn() -> Iterator[int]:
        yield 1
        raise KeyError("first")

    class Closing:
        def __init__(self) -> None:
            self.items = stubborn()

        def __iter__(self) -> Iterator[int]:
            return self

        def __next__(self) -> int:
            return next(self.items)

        def close(self) -> None:
            raise ValueError("second")

    with pytest.raises(KeyError, match="first"):
        list(prefetch(Closing()))


def test_the_mode_of_the_consumer_holds():
    def modes() -> Iterator[bool]:
        yield is_recording()
        yield bool((cr.tensor([1.0], requires_grad=True) * 2).requires_grad)

    assert list(prefetch(modes())) == [True, True]
    with cr.no_grad():
        assert list(prefetch(modes())) == [False, False]
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        list(prefetch(np.ones(1) / np.zeros(1) for _ in range(2)))


def test_an_epoch_is_the_same_ahead():
    work = data.Batches(data.digits(), 100, cr.random.key(0), augment=[data.crop(1), data.flip()])
    pairs = zip(work.epoch(3), prefetch(work.epoch(3)), strict=True)
    for (x, y), (u, v) in pairs:
        np.testing.assert_array_equal(x, u)
        np.testing.assert_array_equal(y, v)


def test_two_at_a_time():
    both = list(zip(prefetch(range(1000), 1), prefetch(range(1000), 5), strict=True))
    assert both == [(i, i) for i in range(1000)]


def test_bad_arguments_are_refused_at_once():
    with pytest.raises(ArgumentError, match="ahead must be at least 1, got 0"):
        prefetch([], 0)
    with pytest.raises(ArgumentError, match=r"ahead must be an integer, got 1.5"):
        prefetch([], 1.5)  # type: ignore[arg-type]
    with pytest.raises(OperandError, match="cannot iterate over int"):
        prefetch(3)  # type: ignore[arg-type]
