"""grad, vjp, jvp, jacobian, ... nested, on structures, and what they say when they cannot."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    ShapeError,
    StructureError,
    TracedValueError,
)


def cube(x):
    return x * x * x


def test_grad_nests_to_any_order():
    f, expected = cube, [12.0, 12.0, 6.0, 0.0, 0.0]
    for value in expected:
        f = cr.grad(f)
        assert f(2.0).item() == value


def test_forward_nests_in_reverse_and_reverse_in_forward():
    def slope(f):
        return lambda x: cr.jvp(f, (x,), (1.0,))[1]

    assert cr.grad(slope(cube))(2.0).item() == 12
    assert slope(cr.grad(cube))(2.0).item() == 12
    assert slope(slope(slope(cube)))(2.0).item() == 6
    assert slope(slope(slope(slope(cube))))(2.0).item() == 0


def test_no_perturbation_confusion():
    """d/dx (x · d/dy (x + y)) is 1, not 2 (Siskind and Pearlmutter, 2005)."""
    assert cr.grad(lambda x: x * cr.grad(lambda y: x + y)(1.0))(1.0).item() == 1
    assert cr.grad(lambda x: x * cr.jvp(lambda y: x * y, (1.0,), (1.0,))[1])(3.0).item() == 6
    assert cr.grad(lambda x: cr.grad(lambda z: z * x)(x))(5.0).item() == 1


def test_python_control_flow_sees_the_numbers():
    f = cr.grad(lambda x: x * x if x > 0 else -x)
    assert f(3.0).item() == 6
    assert f(-3.0).item() == -1


class Point(NamedTuple):
    x: object
    y: object


def test_structures_of_arrays():
    parameters = {"w": [np.ones((2, 2)), np.zeros(2)], "p": Point(1.0, (2.0,)), "none": None}

    def f(p):
        return (p["w"][0] @ p["w"][1]).sum() + p["p"].x * p["p"].y[0]

    g = cr.grad(f)(parameters)
    assert list(g) == ["w", "p", "none"] and g["none"] is None
    assert isinstance(g["p"], Point)
    assert (g["p"].x.item(), g["p"].y[0].item()) == (2, 1)
    np.testing.assert_array_equal(g["w"][1].numpy(), [2, 2])
    assert g["w"][0].shape == (2, 2)


def test_argnums_kwargs_and_aux():
    def f(a, b, *, scale=1.0):
        return a * b * scale, {"sum": a + b}

    (value, aux), (ga, gb) = cr.value_and_grad(f, (0, 1), has_aux=True)(2.0, 3.0, scale=10.0)
    assert (value.item(), ga.item(), gb.item(), aux["sum"].item()) == (60, 30, 20, 5)
    assert not value.requires_grad and not aux["sum"].requires_grad
    assert cr.grad(lambda a, b: a * b, -1)(2.0, 3.0).item() == 2


def test_results_of_a_transform_are_plain():
    g = cr.grad(cube)(cr.tensor(2.0, requires_grad=True))
    assert not g.requires_grad and g.inputs == ()


NESTED = [
    lambda: cr.grad(lambda x: cr.grad(lambda y: x * y * y)(1.0))(3.0),
    lambda: cr.grad(lambda x: cr.jvp(lambda y: x * y * y, 1.0, 1.0)[1])(3.0),
    lambda: cr.grad(lambda x: cr.hvp(lambda y: x * y * y * y, 1.0, 1.0))(3.0),
    lambda: cr.grad(lambda x: cr.vjp(lambda y: x * y * y, 1.0)[1](1.0)[0])(3.0),
    lambda: cr.jvp(lambda x: cr.grad(lambda y: x * y * y)(1.0), 3.0, 1.0)[1],
    lambda: cr.jacobian(lambda x: cr.grad(lambda y: x * y * y)(1.0))(3.0),
    lambda: cr.grad(cr.formula("x*y"))(1.0, 2.0),
]


@pytest.mark.parametrize("run", NESTED)
def test_nested_transforms_give_plain_results_too(run):
    """Nothing stays connected to the nodes that a transform makes for itself."""
    result = run()
    assert not result.requires_grad and result.inputs == ()


def test_each_pull_is_independent():
    _, pull = cr.vjp(lambda x: x * x, 3.0)
    tracked = cr.tensor(1.0, requires_grad=True) * 1.0
    assert [pull(c)[0].requires_grad for c in (1.0, tracked, 1.0)] == [False, True, False]


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_a_jacobian_has_the_dtype_of_the_argument(order):
    j = cr.jacobian(lambda x: x.astype("float64") * 2.0, order=order)(np.ones(2, np.float32))
    assert j.dtype == cr.float32


def test_what_a_function_closes_over_stays_connected():
    w = cr.tensor(3.0, requires_grad=True)
    g = cr.grad(lambda x: w * x * x)(2.0)
    assert g.item() == 12
    g.backward()
    assert w.grad.item() == 4


def test_vjp_can_pull_again_and_again():
    result, pull = cr.vjp(lambda a, b: {"p": a * b, "s": a + b}, np.array([1.0, 2.0]), 3.0)
    assert list(result) == ["p", "s"]
    for _ in range(2):
        ga, gb = pull({"p": np.array([1.0, 0.0]), "s": np.array([0.0, 1.0])})
        assert (ga.tolist(), gb.item()) == ([3.0, 1.0], 2.0)


def test_jvp_is_one_directional_derivative():
    _, slope = cr.jvp(lambda x: cr.sin(x), (np.array([0.0, 1.0]),), (np.array([2.0, 0.0]),))
    np.testing.assert_allclose(slope.numpy(), [2.0, 0.0])


def test_jvp_takes_a_single_argument_without_a_tuple():
    value, slope = cr.jvp(lambda x: (x * x).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    assert (value.item(), slope.item()) == (5, 6)
    assert cr.jvp(lambda x: x * x, 3.0, 1.0)[1].item() == 6


def test_hvp_multiplies_the_hessian_by_a_vector():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(4, 4))
    x, v = rng.normal(size=4), rng.normal(size=4)
    f = lambda x: (cr.tanh(a @ x) ** 2).sum() * x[0]
    np.testing.assert_allclose(cr.hvp(f, x, v).numpy(), cr.hessian(f)(x).numpy() @ v, rtol=1e-12)
    assert cr.hvp(cube, 2.0, 10.0).item() == 120


@pytest.mark.parametrize("order", ["forward", "reverse", "auto"])
def test_jacobian_orders_agree(order):
    rng = np.random.default_rng(1)
    a, x = rng.normal(size=(3, 2, 4)), rng.normal(size=4)
    j = cr.jacobian(lambda x: cr.sin(a @ x), order=order)(x)
    assert j.shape == (3, 2, 4)
    np.testing.assert_allclose(j.numpy(), np.cos(a @ x)[..., None] * a, rtol=1e-14)


def test_jacobian_of_structures():
    f = lambda p: {"sum": p["a"] + p["b"], "twice": 2 * p["a"]}
    for order in ("forward", "reverse"):
        j = cr.jacobian(f, order=order)({"a": np.ones(2), "b": np.ones(2)})
        np.testing.assert_array_equal(j["sum"]["b"].numpy(), np.eye(2))
        np.testing.assert_array_equal(j["twice"]["a"].numpy(), 2 * np.eye(2))
        np.testing.assert_array_equal(j["twice"]["b"].numpy(), np.zeros((2, 2)))


def test_hessian_of_a_linear_function_is_zero():
    np.testing.assert_array_equal(cr.hessian(lambda x: (3 * x).sum())(np.ones(3)).numpy(), np.zeros((3, 3)))


def test_hessian_is_symmetric_and_right():
    x = np.array([0.5, 1.5, 2.5])
    h = cr.hessian(lambda x: cr.prod(x) + cr.exp(x[0]))(x).numpy()
    expected = np.array([[np.exp(0.5), 2.5, 1.5], [2.5, 0, 0.5], [1.5, 0.5, 0]])
    np.testing.assert_allclose(h, expected, rtol=1e-14, atol=1e-14)


def test_trace_records_without_computing():
    graph = cr.trace(lambda a, b: (a + b) * (b + 4.0), -1.0, 3.0)
    assert [n.name for n in graph.inputs] == ["a", "b"]
    assert all(n.value is None for n in graph.nodes if not n.is_leaf)
    assert graph.verify().evaluate(-1.0, 3.0)[0] == 14
    assert "multiply" in str(graph) and "return" in str(graph)


def test_the_gradient_is_a_graph_that_evaluates_like_the_eager_one():
    x = np.linspace(0.1, 1, 5)
    f = lambda x: (cr.sin(x) * cr.exp(x)).sum()
    graph = cr.trace(cr.grad(f), x)
    graph.verify()
    assert graph.evaluate(x)[0].tobytes() == cr.grad(f)(x).numpy().tobytes()
    assert not any(n.op and n.op.name == "identity" for n in graph.nodes)


def test_traced_programs_cannot_ask_for_numbers():
    for ask in (
        lambda x: x if x > 0 else -x,
        lambda x: x * float(x),
        lambda x: np.asarray(x),
        lambda x: x.item(),
    ):
        with pytest.raises(TracedValueError, match=r"cr\.where"):
            cr.trace(ask, 1.0)


def test_no_gradient_is_lost_in_a_python_number():
    for f in (lambda x: float(x[0]) * 2 + x.sum(), lambda x: math.sin(x[0]) + x[0], lambda x: x[int(x[0])]):
        with pytest.raises(GradientError, match="its gradient would be lost"):
            cr.grad(f)(np.ones(3))
    assert cr.grad(lambda x: x * x.item())(3.0).item() == 3
    assert cr.grad(lambda x: x * 2 if float(x > 0) else x)(3.0).item() == 2
    x = cr.tensor(3.0, requires_grad=True)
    assert float(x * x) == 9


def test_an_error_inside_leaves_no_trace():
    def broken(x):
        raise ZeroDivisionError

    with cr.no_grad(), pytest.raises(ZeroDivisionError):
        cr.grad(broken)(1.0)
    x = cr.tensor(2.0, requires_grad=True)
    assert float(x * x) == 4 and (x * x).requires_grad


def test_gradients_work_under_no_grad():
    with cr.no_grad():
        assert cr.grad(cube)(2.0).item() == 12


BAD = [
    (lambda: cr.grad(cube)(3), DTypeError, "respect to x: it is int64", "3.0"),
    (
        lambda: cr.grad(lambda x: x * 2.0)(np.ones(3)),
        ShapeError,
        r"one number, got shape \(3,\)",
        "cr.jacobian",
    ),
    (lambda: cr.grad(lambda x, y: x * 2.0, 1)(1.0, 2.0), GradientError, "does not depend on y", "argnums"),
    (lambda: cr.grad(lambda x: 3.0)(1.0), GradientError, "does not depend on x", "cuts the path"),
    (lambda: cr.grad(lambda x: x.detach() * 2.0)(1.0), GradientError, "does not depend on x", "detach"),
    (lambda: cr.grad(cube, 1)(1.0), ArgumentError, "argnums 1", "count from 0"),
    (lambda: cr.grad(cube, 1.5)(1.0), ArgumentError, "argnums 1.5", "count from 0"),
    (lambda: cr.grad(cube, True)(1.0), ArgumentError, "argnums True", "count from 0"),
    (lambda: cr.grad(lambda a, b: a * b, (0, 0))(1.0, 2.0), ArgumentError, "names an argument twice", "once"),
    (lambda: cr.grad(3.0)(1.0), ArgumentError, "expected a function, got float", "function"),
    (
        lambda: cr.grad(lambda x: cr.stop_gradient(x) * 2.0)(1.0),
        GradientError,
        "does not depend on x",
        "stop",
    ),
    (lambda: cr.grad(lambda x: "text")(1.0), GradientError, "returned str", "return the loss"),
    (lambda: cr.grad(lambda x: x > 0)(1.0), DTypeError, "returned bool", "float"),
    (lambda: cr.grad(cube)("one"), cr.errors.OperandError, "expected numbers", "numbers"),
    (lambda: cr.jacobian(cube, order="sideways"), ArgumentError, "unknown order 'sideways'", "reverse"),
    (lambda: cr.jvp(cube, (1.0,), ()), ArgumentError, "1 primals and 0 tangents", "each primal"),
    (lambda: cr.jvp(cube, (1.0,), (np.ones(2),)), ShapeError, r"shape \(2,\), expected \(\)", "shape"),
    (lambda: cr.vjp(cube, 1.0)[1]([1.0]), StructureError, "structure differs", "keys, lengths"),
    (lambda: cr.grad(lambda x: x, has_aux=True)(1.0), StructureError, r"\(number, aux\)", "pair"),
]


@pytest.mark.parametrize(("call", "kind", "text", "fix"), BAD)
def test_bad_input_says_what_and_how(call, kind, text, fix):
    with pytest.raises(kind, match=text) as caught:
        call()
    assert fix in caught.value.fix
    assert caught.value.source is not None and caught.value.source.file == __file__


def test_an_unused_leaf_of_a_structure_has_gradient_zero():
    g = cr.grad(lambda p: p["a"] * 2.0)({"a": 1.0, "b": np.ones(3)})
    assert g["a"].item() == 2
    assert g["b"].tolist() == [0, 0, 0]
