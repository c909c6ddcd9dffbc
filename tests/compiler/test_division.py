"""Division by a number that all elements share is division."""

import numpy as np
import pytest

import chainrule as cr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kind_of_divisor_and_dividend(dtype):
    info = np.finfo(dtype)
    rng = np.random.default_rng(0)
    special = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1.0,
        -3.0,
        info.max,
        info.tiny,
        info.smallest_subnormal,
        1e30,
        1e-30,
    ]
    spread = rng.normal(size=500) * 10.0 ** rng.uniform(-30, 30, 500)
    x = np.concatenate([special, spread]).astype(dtype)
    f = cr.compile(lambda x, s: x / s)
    for s in np.concatenate([special, spread[:60]]).astype(dtype):
        with np.errstate(all="ignore"):
            expected = x / s
        found = f(x, s).numpy()
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(found[~finite], expected[~finite])
        normal = finite & (np.abs(expected) >= info.tiny)
        np.testing.assert_array_max_ulp(found[normal], expected[normal], 1)
        np.testing.assert_allclose(found[finite], expected[finite], rtol=0, atol=info.max, equal_nan=True)
        tiny = finite & ~normal
        np.testing.assert_allclose(found[tiny], expected[tiny], rtol=0, atol=2 * info.smallest_subnormal)
        assert not normal.any() or np.mean(found[normal] == expected[normal]) > 0.99


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_division_of_rows_each_by_a_number_of_its_own(dtype):
    """The largest of a row is exact, so quotients have NumPy's bits; but for the last of some tiny ones."""
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(50, 300)) * 10.0 ** rng.uniform(-30, 30, (50, 1))).astype(dtype)
    x[3, 5], x[4, 6], x[5], x[6] = np.inf, np.nan, -0.0, -np.inf
    for axis in (0, 1):
        f = cr.compile(lambda x, axis=axis: x / cr.max(x, axis=axis, keepdims=True))
        with np.errstate(all="ignore"):
            expected = x / np.max(x, axis=axis, keepdims=True)
        np.testing.assert_array_equal(f(x).numpy(), expected)
