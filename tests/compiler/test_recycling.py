"""Memory of large results is used again, and never while somebody sees it."""

import gc
import threading

import numpy as np

import chainrule as cr
from chainrule.compiler import recycling

SHAPE = (300, 300)


def test_memory_comes_back_when_the_last_view_is_gone():
    first = recycling.empty(SHAPE, np.dtype(np.float64))
    address = first.ctypes.data
    view = first.T[3:]
    del first
    gc.collect()
    other = recycling.empty(SHAPE, np.dtype(np.float64))
    assert other.ctypes.data != address
    view[:] = 7.0
    other[:] = 1.0
    assert (view == 7.0).all()
    del view
    gc.collect()
    assert recycling.empty(SHAPE, np.dtype(np.float64)).ctypes.data == address


def test_results_that_are_kept_stay_as_they_are():
    f = cr.compile(lambda x: x + 1.0)
    x = np.zeros(SHAPE)
    kept = [f(x + i) for i in range(5)]
    for _ in range(20):
        f(x - 100.0)
    assert [k.numpy()[0, 0] for k in kept] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_threads_take_and_give():
    f = cr.compile(lambda x: x * 2.0)
    wrong = []

    def work(i):
        x = np.full(SHAPE, float(i))
        for _ in range(100):
            if (f(x).numpy() != 2.0 * i).any():
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(recycling, "KEPT", 3 * 300 * 300 * 8)
    store = recycling._Store()
    blocks = [store.take(300 * 300 * 8) for _ in range(10)]
    for block in blocks:
        store.give(block)
    assert store._total == 3 * 300 * 300 * 8
