"""Products with rows of a table, moved to the table: values and gradients stay, and there is less to compute."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from chainrule.compiler.on_native import target

pytestmark = pytest.mark.skipif(target.host() is None, reason="no native code for this machine")

FORMS = {
    "rows": lambda t, w, i: t[i] @ w,
    "time first": lambda t, w, i: cr.moveaxis(t[i], 1, 0) @ w,
    "flat": lambda t, w, i: (t[i].reshape((-1, t.shape[1])) @ w).reshape((*i.shape, w.shape[1])) ** 2,
    "twice": lambda t, w, i: (t[i] @ w)[..., : t.shape[1]] * t[i],
    "both factors": lambda t, w, i: t[i] @ cr.tanh(t).mT,
}


def made(dtype=np.float64, rows=5, numbers=(7, 6)):
    rng = np.random.default_rng(0)
    table, weight = (rng.normal(size=s).astype(dtype) for s in ((rows, 4), (4, 9)))
    return table, weight, rng.integers(-rows, rows - 1, numbers)


def products(compiled):
    """Flops of the products in a program."""
    return sum(line.flops for line in compiled.explain().lines if "matmul" in line.nodes)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_and_gradients(form, dtype):
    f, arrays = FORMS[form], made(dtype)
    run = cr.value_and_grad(
        lambda t, w, i: (f(t, w, i) ** 2).sum(), (0,) if form == "both factors" else (0, 1)
    )
    tolerance = 1e-12 if dtype is np.float64 else 1e-4
    for found, expected in zip(
        trees.leaves(cr.compile(run)(*arrays)), trees.leaves(run(*arrays)), strict=True
    ):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance)


def test_there_is_less_to_compute():
    table, weight, numbers = made(np.float32, rows=10, numbers=(40, 50))
    f = cr.compile(cr.grad(lambda t, w, i: ((cr.moveaxis(t[i], 1, 0) @ w) ** 2).sum(), (0, 1)))
    f(table, weight, numbers)
    assert products(f) <= 3 * 2 * table.size * weight.shape[1]


def test_few_rows_of_a_large_table_are_looked_up_first():
    table, weight, numbers = made(np.float32, rows=1000, numbers=(20,))
    f = cr.compile(lambda t, w, i: t[i] @ w)
    f(table, weight, numbers)
    assert products(f) == 2 * 20 * weight.size


def test_rows_that_are_not_looked_up_may_hold_anything():
    """The last row is never looked up: its infinities reach nothing."""
    table, weight, numbers = made()
    numbers = np.where(numbers == -1, 0, numbers)
    table[-1] = [np.inf, np.nan, -np.inf, 1.0]
    run = cr.value_and_grad(lambda t, w, i: ((t[i] @ w) ** 2).sum(), (0, 1))
    for found, expected in zip(
        trees.leaves(cr.compile(run)(table, weight, numbers)),
        trees.leaves(run(table, weight, numbers)),
        strict=True,
    ):
        assert np.isfinite(found.numpy()).all()
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


def test_a_number_that_is_no_row_is_an_error():
    table, weight, numbers = made()
    f = cr.compile(lambda t, w, i: cr.moveaxis(t[i], 1, 0) @ w)
    numbers[0, 0] = 5
    with pytest.raises(cr.errors.AxisError):
        f(table, weight, numbers)
