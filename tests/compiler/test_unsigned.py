"""Zeros whose signs nobody sees: which these are, that strong zeros stay, and that signs stay where they are seen."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import target
from chainrule.compiler.unsigned import unsigned
from chainrule.ops.arithmetic import scale

RNG = np.random.default_rng(0)


def found(f, *arrays):
    graph = cr.trace(f, *arrays)
    known = unsigned(graph)
    return [n.op.name for n in graph.nodes if n in known]


def test_what_only_goes_into_sums_and_products():
    a, b = np.ones((3, 4)), np.ones((4, 5))
    assert found(lambda a, b: (a * a) @ b, a, b) == ["multiply"]
    assert found(lambda a, b: cr.sum(-a) + cr.sum((a * 2).T @ a), a, b) == [
        "negative",
        "multiply",
        "permute_dims",
        "matmul",
    ]


def test_what_is_returned_or_read_in_another_way_is_seen():
    a = np.ones((3, 3))
    assert found(lambda a: ((y := a * 2), y @ a), a) == []
    assert found(lambda a: cr.sum(y := a * 2) + cr.sum(1 / y), a) == ["divide"]  # -0.0 would give -inf
    assert found(lambda a: cr.sum(cr.atan2(a * 2, a)), a) == ["atan2"]


needs_code = pytest.mark.skipif(target.host() is None, reason="this machine has no native code")


@needs_code
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_strong_zeros_stay_in_front_of_a_product(dtype):
    """What is scaled by 0 gives 0 to a product, even if it is infinite or nan."""
    up = RNG.normal(size=(6, 40)).astype(dtype)
    up[::2, ::3] = 0
    up[1, 5] = -0.0
    x = RNG.normal(size=(6, 40)).astype(dtype)
    x[2, 3], x[4, 6], x[1, 5], x[0, 0] = np.inf, -np.inf, np.nan, np.nan
    b = RNG.normal(size=(40, 7)).astype(dtype)

    def f(up, x, b):
        y = scale(up, x)
        return y @ b, cr.sum(y, axis=1), cr.sum(y[:, :10] @ b[:10])

    got = [np.asarray(r) for r in cr.compile(f)(up, x, b)]
    wanted = [np.asarray(r) for r in f(*map(cr.tensor, (up, x, b)))]
    assert all(np.isfinite(r).all() for r in wanted)
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=2e-5 if dtype is np.float32 else 1e-13, atol=1e-5)


@needs_code
def test_signs_of_zeros_stay_where_they_are_seen():
    up, x = np.array([0.0, -0.0, 0.0, 0.0]), np.array([-1.0, 1.0, np.inf, np.nan])
    got = np.asarray(cr.compile(scale)(up, x))
    wanted = np.asarray(scale(cr.tensor(up), cr.tensor(x)))
    assert got.tobytes() == wanted.tobytes()
    assert np.signbit(got).tolist() == [True, True, False, False]


@needs_code
def test_infinite_factors_behind_a_product_are_nan():
    """Within a product 0 times infinity stays nan."""
    f = cr.compile(lambda up, x, b: scale(up, x) @ b)
    b = np.array([[np.inf], [1.0]])
    assert np.isnan(np.asarray(f(np.array([[0.0, 1.0]]), np.ones((1, 2)), b))).all()
