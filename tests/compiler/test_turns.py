"""Scans that carry only sums: threads share their turns, and what they give does not depend on how many there are."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

RNG = np.random.default_rng(0)


def shares(f, *arrays):
    """Whether threads share the turns, after the results were compared with NumPy's and among threads."""
    wanted = f(*arrays)
    runs = []
    for threads in (1, 2, 3):
        compiled = cr.compile(f, threads=threads)
        runs.append([np.asarray(r) for r in compiled(*arrays)])
    for first, *others, plain in zip(*runs, wanted, strict=True):
        assert all(other.tobytes() == first.tobytes() for other in others)
        scale = np.abs(np.asarray(plain)).max(initial=1.0)
        np.testing.assert_allclose(first, np.asarray(plain), rtol=1e-12, atol=1e-12 * scale)
    return "stretches" in str(compiled.explain())


@pytest.mark.parametrize("length", [2, 5, 40, 101])
@pytest.mark.parametrize("reverse", [False, True])
def test_sums_and_what_each_turn_gives(length, reverse):
    def f(w, start, x):
        step = lambda c, x: ((c[0] + cr.exp(x @ w), c[1] - x.sum()), cr.tanh(x))
        (total, other), each = cr.scan(step, start, x, reverse=reverse)
        return total, other, each

    start = RNG.normal(size=(4, 3)), RNG.normal(size=())
    assert shares(f, RNG.normal(size=(5, 3)), start, RNG.normal(size=(length, 4, 5)))


def test_a_map_without_carry():
    assert shares(lambda x: (cr.scan(lambda c, x: (c, cr.exp(x) * 2), (), x)[1],), RNG.normal(size=(30, 7)))


def test_sums_of_integers_are_exact():
    def f(x):
        return (cr.scan(lambda c, x: (c + x.sum(), ()), np.array(3), x)[0],)

    assert shares(f, RNG.integers(-9, 9, (50, 4)))


@pytest.mark.parametrize(
    "step",
    [
        lambda c, x: (c * 0.5 + x, c),
        lambda c, x: (c + x, c),
        lambda c, x: (x - c, x),
        lambda c, x: (c + x * c, x),
    ],
    ids=["a product", "a sum that is given", "subtracted from", "read twice"],
)
def test_turns_that_wait_for_each_other_are_left_alone(step):
    f = lambda x: cr.scan(step, np.zeros(3), x)
    assert not shares(f, RNG.normal(size=(20, 3)) / 4)


def test_kernels_that_run_once_are_shared():
    def f(w, x):
        step = lambda c, x: (c + cr.square(x @ cr.exp(w)), ())
        return (cr.scan(step, np.zeros((40, 33)), x)[0],)

    assert shares(f, RNG.normal(size=(33, 33)) / 9, RNG.normal(size=(12, 40, 33)))


def test_results_take_the_memory_of_what_they_are_computed_from():
    """Only where an element is read once, before it is stored: weights of rows are read again in a second pass."""

    def f(w, x):
        def step(c, x):
            y = x @ w
            weights = cr.softmax(y, axis=1)
            shifted = cr.tanh(weights * 2.0 - y)
            z = cr.exp(-shifted)
            return (c[0] + x.mT @ (weights * z), c[1] + z.mT @ (shifted @ w.mT)), ()

        return cr.scan(step, (np.zeros((30, 40)), np.zeros((40, 30))), x)[0]

    assert shares(f, RNG.normal(size=(30, 40)) / 5, RNG.normal(size=(9, 21, 30)))
