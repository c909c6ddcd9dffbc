"""The Gaussian mixture of examples/gmm.py: its value in plain NumPy, its gradient by differences, compiled too."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

FILE = Path(__file__).parents[1] / "examples" / "gmm.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("gmm_example", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given(n, d, k):
    rng = np.random.default_rng(0)
    sizes = [(k,), (k, d), (k, d * (d + 1) // 2), (n, d)]
    return [rng.uniform(size=s) if i == 1 else rng.normal(size=s) / 2 for i, s in enumerate(sizes)]


def in_loops(alphas, means, icf, x, gamma, m):
    """Point by point and component by component, as the article defines it."""
    (n, d), k = x.shape, len(alphas)
    total = -n * d / 2 * math.log(2 * math.pi) - n * math.log(sum(math.exp(a) for a in alphas))
    factors = []
    for row in icf:
        q, rest = np.diag(np.exp(row[:d])), iter(row[d:])
        for j in range(d):
            for i in range(j + 1, d):
                q[i, j] = next(rest)
        factors.append(q)
    for point in x:
        total += math.log(
            sum(
                math.exp(a + sum(row[:d]) - 0.5 * np.sum((q @ (point - mean)) ** 2))
                for a, mean, row, q in zip(alphas, means, icf, factors, strict=True)
            )
        )
    free = d + m + 1
    log_gamma = d * (d - 1) / 4 * math.log(math.pi) + sum(math.lgamma((free - j) / 2) for j in range(d))
    for row, q in zip(icf, factors, strict=True):
        total += 0.5 * gamma**2 * np.sum(q**2) - m * sum(row[:d])
    return total - k * (free * d * (math.log(gamma) - 0.5 * math.log(2)) - log_gamma)


@pytest.mark.parametrize(("gamma", "m"), [(1.0, 0), (0.5, 2)])
def test_the_value_is_that_of_plain_loops(example, gamma, m):
    arrays = given(20, 3, 4)
    f = lambda *a: example.log_posterior(*a, gamma=gamma, m=m)
    wanted = in_loops(*arrays, gamma=gamma, m=m)
    assert f(*arrays).item() == pytest.approx(wanted, rel=1e-12)
    assert cr.compile(f)(*arrays).item() == pytest.approx(wanted, rel=1e-12)


def test_the_gradient_is_that_of_central_differences(example):
    arrays = given(12, 3, 2)
    gradients = cr.compile(cr.grad(example.log_posterior, argnums=(0, 1, 2)))(*arrays)
    h = 1e-6
    for which, gradient in enumerate(gradients):
        for place in np.ndindex(arrays[which].shape):
            ends = []
            for step in (h, -h):
                moved = [a.copy() for a in arrays]
                moved[which][place] += step
                ends.append(in_loops(*moved, gamma=1.0, m=0))
            slope = (ends[0] - ends[1]) / (2 * h)
            assert np.asarray(gradient)[place] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_many_points_run_in_blocks_and_keep_their_gradient(example):
    arrays = given(5003, 10, 8)
    gradient = cr.grad(example.log_posterior, argnums=(0, 1, 2))
    compiled = cr.compile(gradient)
    for got, wanted in zip(compiled(*arrays), gradient(*arrays), strict=True):
        wanted = np.asarray(wanted)
        np.testing.assert_allclose(np.asarray(got), wanted, rtol=1e-9, atol=1e-11 * np.abs(wanted).max())
    assert "stretches that threads share" in str(compiled.explain())
