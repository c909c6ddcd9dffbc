"""Sums ahead of products, and gradients of logsumexp as quotients: what is computed, and that values stay."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler import passes
from chainrule.compiler.passes.expand import expand
from chainrule.compiler.passes.sums_first import sums_first
from chainrule.compiler.passes.weights import weights
from compiler.same_bits import operations, reference

RNG = np.random.default_rng(0)


def require_close(before, after, arrays):
    for wanted, got in zip(reference(before, arrays), reference(after.verify(), arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shapes", "axes"),
    [
        (((7, 3), (3, 4)), (0,)),
        (((7, 3), (3, 4)), (1,)),
        (((7, 3), (3, 4)), (0, 1)),
        (((5, 7, 3), (3, 4)), (0,)),
        (((5, 7, 3), (3, 4)), (0, 1)),
        (((5, 7, 3), (5, 3, 4)), (1,)),
        (((5, 7, 3), (5, 3, 4)), (0, 2)),
        (((1, 7, 3), (5, 3, 4)), (0, 1)),
    ],
)
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_are_taken_first(shapes, axes, keepdims):
    arrays = [RNG.normal(size=s) for s in shapes]
    before = cr.trace(lambda a, b: cr.sum(-(a @ b), axis=axes, keepdims=keepdims), *arrays)
    after = sums_first(before)
    names = operations(after).split()
    assert names.index("sum") < names.index("matmul")
    require_close(before, after, arrays)


def test_through_moves():
    arrays = RNG.normal(size=(5, 7, 3)), RNG.normal(size=(5, 3, 4))
    before = cr.trace(lambda a, b: cr.permute_dims(a @ b, (1, 2, 0)).sum(axis=0), *arrays)
    after = sums_first(before)
    assert operations(after).split()[:2] == ["sum", "matmul"]
    require_close(before, after, arrays)


def test_a_sum_over_what_both_factors_have_stays():
    before = cr.trace(lambda a, b: cr.sum(a @ b, axis=0), np.ones((5, 7, 3)), np.ones((5, 3, 4)))
    assert sums_first(before) is before


def exponentials(f, *arrays):
    graph = expand(passes.run(cr.trace(f, *arrays))[0])[0]
    return operations(graph).split().count("exp")


@pytest.mark.parametrize("axis", [0, 1, None, (0, 1)])
def test_the_gradient_of_logsumexp_takes_no_exponential_again(axis):
    f = lambda x: cr.sum(cr.sin(cr.logsumexp(x, axis=axis)))
    x = RNG.normal(size=(4, 6))
    assert exponentials(cr.value_and_grad(f), x) == 1
    got, wanted = cr.compile(cr.grad(f))(x), cr.grad(f)(x)
    np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=1e-13, atol=1e-15)


def test_rows_of_infinities_have_the_same_gradient():
    x = np.array([[0.0, -np.inf], [-np.inf, -np.inf], [np.inf, 1.0], [np.nan, 0.0], [1e300, -1e300]])
    f = lambda x: cr.sum(cr.logsumexp(x, axis=1))
    assert np.array_equal(np.asarray(cr.compile(cr.grad(f))(x)), np.asarray(cr.grad(f)(x)), equal_nan=True)


def test_other_exponentials_stay():
    for f in (
        lambda x: cr.exp(x - cr.logsumexp(2 * x)),
        lambda x: cr.exp(x - cr.where(x[0] == 1.0, 0.0, cr.logsumexp(x))),
    ):
        before = expand(passes.run(cr.trace(f, np.ones(3)))[0])[0]
        assert weights(before) is before
        assert exponentials(f, np.ones(3)) == 2
