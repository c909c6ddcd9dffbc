"""What a derivative predicts for a step, beside what happens."""

import json
import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors


def leaf(values, name="x", dtype=np.float64):
    return cr.tensor(np.asarray(values, dtype), requires_grad=True, name=name)


@pytest.mark.parametrize(
    ("formula", "at", "slope", "order"),
    [
        ("3x", 2.0, 3.0, math.inf),
        ("x^2", 3.0, 6.0, 2.0),
        ("exp(x)", 0.0, 1.0, 2.0),
        ("x^3", 0.0, 0.0, 3.0),
        ("relu(x)", 0.0, 0.0, 1.0),
        ("abs(x)", 0.0, 0.0, 1.0),
    ],
)
def test_the_error_falls_with_the_order_that_theory_says(formula, at, slope, order):
    answer = cr.sensitivity(cr.formula(formula)(x=at), "x")
    assert answer.slope == slope
    assert answer.order == pytest.approx(order, abs=0.05)
    assert answer.holds is (order > 1.5)


def test_a_step_function_is_not_what_its_derivative_says():
    answer = cr.sensitivity(cr.formula("floor(x)")(x=1.0), "x")
    assert all(step.actual == 0 for step in answer.steps)  # floor jumps going down, not up
    x = leaf(0.9999999)
    answer = cr.sensitivity(cr.floor(x) * 1.0, x)
    assert answer.holds is False


def test_predicted_and_actual_are_those_of_the_function():
    y = cr.formula("(a+b)*(b+c)")(a=-1, b=3, c=4)
    answer = cr.sensitivity(y, "b")
    for step in answer.steps:
        assert step.predicted == pytest.approx(9 * step.size, rel=1e-9)
        assert step.actual == pytest.approx((2 + step.size) * (7 + step.size) - 14, rel=1e-6)
    assert answer.headline == "Increase b by ε, and f rises by about 9·ε."


def test_an_array_moves_along_its_gradient_and_an_element_alone():
    x = leaf([3.0, 4.0])
    whole = cr.sensitivity(cr.sum(x * x), x)
    assert (whole.slope, whole.along) == (10.0, True)  # the norm of (6, 8)
    one = cr.sensitivity(cr.sum(x * x), ("x", 1))
    assert (one.slope, one.along, one.variable) == (8.0, False, "x[1]")


def test_float32_says_what_is_rounding():
    model = cr.models.mlp([4, 8, 3], cr.tanh, key=cr.random.key(0))
    x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    loss = cr.nn.softmax_cross_entropy(model(x), np.arange(16) % 3)
    answer = cr.sensitivity(loss, model.layers[0].weight)
    assert answer.holds
    assert not answer.steps[-1].measurable


def test_the_many_kinks_of_a_deep_network_are_no_wrong_derivative():
    model = cr.models.resnet(20, key=cr.random.key(0))
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    loss = cr.nn.softmax_cross_entropy(model(x), np.arange(2))
    answer = cr.sensitivity(loss, model.parameters()["stem.conv.weight"])
    assert answer.holds, answer.text


def test_a_derivative_that_misses_a_way_is_seen():
    x = leaf(2.0)
    # A quantity whose gradient is cut off on one of two ways has a slope that its derivative does not say.
    answer = cr.sensitivity(lambda: x * x.detach(), x)
    assert answer.holds is False
    assert answer.slope == 2.0
    assert answer.steps[0].actual == pytest.approx(4 * answer.steps[0].size, rel=0.2)


def test_json_has_all_of_it():
    answer = cr.sensitivity(cr.formula("3x")(x=2.0), "x")
    data = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert (data["slope"], data["order"], len(data["steps"])) == (3.0, "Infinity", 8)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda x: cr.sensitivity(cr.sum(x), None), errors.ArgumentError, "wrt is missing"),
        (lambda x: cr.sensitivity(cr.sum(cr.sqrt(x * 0.0)), x), errors.GradientError, "is not finite"),
        (lambda x: cr.sensitivity(cr.sum(x), leaf([1.0], "y")), errors.GradientError, "∂f/∂y does not exist"),
        (lambda x: cr.sensitivity(cr.sum(x), "xx"), errors.ArgumentError, "did you mean x"),
    ],
)
def test_what_cannot_be_asked(ask, error, message):
    with pytest.raises(error, match=message):
        ask(leaf([1.0, 2.0]))
