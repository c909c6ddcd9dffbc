"""The curve of memory against recomputation in the ledger of costs."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError

WS = [0.9 * np.eye(16) for _ in range(24)]
X = np.ones((32, 16))


def deep(ws, x):
    for w in ws:
        x = cr.tanh(x @ w)
    return (x * x).sum()


def test_less_memory_costs_more_work():
    curve = cr.cost(deep, WS, X, budgets="auto").tradeoff
    assert len(curve) >= 3
    assert curve[0].recomputed_flops == 0
    assert all(point.peak_bytes <= point.budget for point in curve)
    peaks = [point.peak_bytes for point in curve]
    assert peaks == sorted(peaks, reverse=True)
    assert curve[-1].recomputed_flops > 0


def test_budgets_of_ones_own_and_those_that_cannot_be_met():
    ledger = cr.cost(deep, WS, X, budgets=["1MB", 40_000, 8])
    assert [point.budget for point in ledger.tradeoff] == [1_000_000, 40_000]
    assert "Memory against work" in ledger.text


def test_compiling_within_a_point_of_the_curve_takes_what_it_says():
    point = cr.cost(deep, WS, X, budgets=[40_000]).tradeoff[0]
    compiled = cr.compile(cr.grad(deep), memory=point.budget)
    found, expected = compiled(WS, X), cr.compile(cr.grad(deep))(WS, X)
    assert compiled.explain().arena_bytes <= point.budget
    assert all(a.numpy().tobytes() == b.numpy().tobytes() for a, b in zip(found, expected, strict=True))


def test_it_is_not_worked_out_unasked():
    assert cr.cost(deep, WS, X).tradeoff == ()


@pytest.mark.parametrize("budgets", ["2GB", 5, ["lots"], [-1]])
def test_budgets_that_are_none(budgets):
    with pytest.raises(ArgumentError):
        cr.cost(deep, WS, X, budgets=budgets)
