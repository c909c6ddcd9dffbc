"""Jacobians and Hessians by batched sweeps, and products with the Gauss-Newton matrix."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, GradientError, ShapeError, StructureError
from chainrule.transforms import sweeps

RNG = np.random.default_rng(0)
A, X = RNG.normal(size=(4, 3)), RNG.normal(size=3)


def f(x):
    return cr.sin(A @ x)


SLOPE = np.cos(A @ X)[:, None] * A


@pytest.mark.parametrize("order", ["forward", "reverse", "auto"])
def test_of_each_item_and_compiled(order):
    j = cr.jacobian(f, order=order)
    rows = RNG.normal(size=(5, 3))
    expected = np.cos(rows @ A.T)[:, :, None] * A
    np.testing.assert_allclose(j(X).numpy(), SLOPE, rtol=1e-12)
    np.testing.assert_allclose(cr.compile(j)(X).numpy(), SLOPE, rtol=1e-12)
    np.testing.assert_allclose(cr.vmap(j)(rows).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(cr.compile(cr.vmap(j))(rows).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_units_may_take_turns(order, monkeypatch):
    """What would not fit into memory for all units at once is swept in parts, to the same result."""
    monkeypatch.setattr(sweeps, "SWEEP_BYTES", 2 * 4 * 8)
    np.testing.assert_allclose(cr.jacobian(f, order=order)(X).numpy(), SLOPE, rtol=1e-12)


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_the_graph_does_not_grow_with_the_number_of_elements(order):
    j = cr.jacobian(lambda x: cr.sin(x) * x.sum(), order=order)
    assert len(cr.trace(j, np.zeros(3))) == len(cr.trace(j, np.zeros(300)))


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_of_nothing_and_of_constants(order):
    j = cr.jacobian(lambda p: {"y": p["a"] * 2.0, "c": np.ones(2)}, order=order)
    found = j({"a": np.zeros(0), "b": np.ones((2, 2))})
    assert found["y"]["a"].shape == (0, 0) and found["y"]["b"].shape == (0, 2, 2)
    np.testing.assert_array_equal(found["c"]["b"].numpy(), np.zeros((2, 2, 2)))


def test_a_jacobian_of_a_jacobian_and_its_gradient():
    second = cr.jacobian(cr.jacobian(f))(X).numpy()
    np.testing.assert_allclose(second, -np.einsum("i,ij,ik->ijk", np.sin(A @ X), A, A), rtol=1e-11)
    size = cr.grad(lambda x: (cr.jacobian(f)(x) ** 2).sum())(X).numpy()
    np.testing.assert_allclose(size, 2 * np.einsum("ij,ijk->k", SLOPE, second), rtol=1e-11)


def test_hessians_of_each_item():
    g = lambda x: cr.exp(f(x)).sum()
    rows = RNG.normal(size=(4, 3))
    expected = np.stack([cr.hessian(g)(x).numpy() for x in rows])
    np.testing.assert_allclose(cr.compile(cr.vmap(cr.hessian(g)))(rows).numpy(), expected, rtol=1e-9)
    columns = cr.vmap(lambda v: cr.hvp(g, rows[0], v))(np.eye(3)).numpy()
    np.testing.assert_allclose(columns, expected[0], rtol=1e-9)


def network(p):
    return {"a": cr.tanh(p["w"] @ p["b"]), "c": p["b"] ** 2}


def cost(z):
    return cr.exp(z["a"]).sum() + (z["c"] ** 2).sum() + z["a"].sum() * z["c"].sum()


def point(shape=()):
    return {"w": RNG.normal(size=(*shape, 2, 3)), "b": RNG.normal(size=(*shape, 3))}


def joined(tree):
    return np.concatenate([cr.asarray(tree[k]).numpy().reshape(-1) for k in ("w", "b")])


def gauss_newton(p):
    """The matrix itself, by Jacobian and Hessian."""
    rows = cr.jacobian(network)(p)
    j = np.concatenate(
        [
            np.concatenate([rows[o][i].numpy().reshape(n, -1) for i in ("w", "b")], 1)
            for o, n in (("a", 2), ("c", 3))
        ]
    )
    z = {k: v.numpy() for k, v in network({k: cr.tensor(v) for k, v in p.items()}).items()}
    h = cr.hessian(lambda s: cost({"a": s[:2], "c": s[2:]}))(np.concatenate([z["a"], z["c"]])).numpy()
    return j.T @ h @ j


def test_gauss_newton_product_is_that_with_the_matrix():
    p, v = point(), point()
    found = cr.gnvp(network, cost, p, v)
    assert list(found) == ["w", "b"] and found["w"].shape == (2, 3)
    np.testing.assert_allclose(joined(found), gauss_newton(p) @ joined(v), rtol=1e-10)
    compiled = cr.compile(lambda p, v: cr.gnvp(network, cost, p, v))(p, v)
    np.testing.assert_allclose(joined(compiled), joined(found), rtol=1e-10)


def test_gauss_newton_products_with_many_directions_and_at_many_points():
    p, v = point(), point((6,))
    found = cr.vmap(lambda v: cr.gnvp(network, cost, p, v))(v)
    for i in range(6):
        one = cr.gnvp(network, cost, p, {k: x[i] for k, x in v.items()})
        np.testing.assert_allclose(joined({k: x[i] for k, x in found.items()}), joined(one), rtol=1e-10)
    each = cr.vmap(lambda p, v: cr.gnvp(network, cost, p, v))(v, v)
    one = cr.gnvp(network, cost, *[{k: x[3] for k, x in v.items()}] * 2)
    np.testing.assert_allclose(joined({k: x[3] for k, x in each.items()}), joined(one), rtol=1e-10)


def test_gauss_newton_product_is_linear_in_v_and_can_be_differentiated():
    p, v = point(), point()
    by_v = cr.grad(lambda v: (cr.gnvp(network, cost, p, v)["b"]).sum())(v)
    np.testing.assert_allclose(
        joined(by_v), gauss_newton(p) @ joined({"w": np.zeros((2, 3)), "b": np.ones(3)})
    )
    cr.check(lambda b: cr.gnvp(network, cost, {"w": p["w"], "b": b}, v)["w"].sum(), p["b"]).require()


def test_gauss_newton_of_a_linear_loss_is_zero():
    assert cr.gnvp(lambda x: x * x, lambda y: 3.0 * y.sum(), np.ones(2), np.ones(2)).tolist() == [0, 0]


BAD = [
    (lambda: cr.gnvp(f, cr.sum, X, np.ones(2)), ShapeError, r"v has shape \(2,\), expected \(3,\)"),
    (lambda: cr.gnvp(lambda p: f(p["x"]), cr.sum, {"x": X}, X), StructureError, "structure differs"),
    (lambda: cr.gnvp(f, cr.sin, X, X), ShapeError, "must return one number"),
    (lambda: cr.gnvp(f, lambda y: 1.0, X, X), GradientError, "does not depend on y"),
    (lambda: cr.gnvp(3.0, cr.sum, X, X), ArgumentError, "expected a function"),
]


@pytest.mark.parametrize(("call", "kind", "text"), BAD)
def test_bad_input_says_what_and_how(call, kind, text):
    with pytest.raises(kind, match=text) as caught:
        call()
    assert caught.value.fix
