"""Eager Jacobians that are compiled when their structure is first met."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from chainrule.compiler.on_native.target import host
from chainrule.node import as_node
from chainrule.transforms.orders import Orders
from chainrule.transforms.run import run_function

RNG = np.random.default_rng(0)
KERNEL, OTHER = RNG.normal(size=(3, 3, 1, 4)), RNG.normal(size=(3, 3, 4, 1))
LARGE = RNG.normal(size=(1, 24, 24, 1))

native = pytest.mark.skipif(host() is None, reason="there is no machine code for this machine")


def filters(x, kernel=KERNEL):
    return cr.conv2d(cr.tanh(cr.conv2d(x, kernel, padding=1)), OTHER, padding=1)


def plan(f, x):
    run = run_function("jacobian", f, 0, (x,), {})
    return Orders("auto", None).plan([as_node(run.result)], run.wrt, run.outer)


@native
def test_what_takes_long_through_numpy_is_compiled_once_for_its_structure():
    first = plan(filters, LARGE).choice
    assert first.by == "elimination"
    assert first.program is not None
    assert plan(lambda x: filters(x, 2 * KERNEL), 0.5 * LARGE).choice.program is first.program
    assert plan(lambda x: filters(x)[:, :9], LARGE).choice.program is not first.program


@native
def test_weights_are_inputs_of_the_program_and_every_call_has_the_same_bits():
    for kernel, x in ((KERNEL, LARGE), (2 * KERNEL, 0.5 * LARGE), (KERNEL, LARGE)):
        jacobian = cr.jacobian(lambda x, k=kernel: filters(x, k))
        found = jacobian(x).numpy()
        expected = cr.jacobian(lambda x, k=kernel: filters(x, k), order="reverse")(x).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(found, jacobian(x).numpy())


@native
def test_several_results_and_arguments_and_those_that_do_not_depend_on_each_other():
    def both(pair, y):
        h = filters(pair["x"])
        return {"a": h * y, "b": [y * 3.0, np.ones(2)]}

    pair, y = {"x": LARGE, "unused": np.ones(3)}, np.asarray(2.0)
    found = cr.jacobian(both, (0, 1))(pair, y)
    expected = cr.jacobian(both, (0, 1), order="reverse")(pair, y)
    flat, like = trees.leaves(found), trees.leaves(expected)
    assert len(flat) == len(like) == 9
    for a, b in zip(flat, like, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def test_small_ones_and_nested_ones_are_not_compiled():
    assert plan(lambda x: cr.sin(x) * x, np.ones(5)).choice.program is None
    assert plan(lambda x: cr.sin(x) * x, cr.tensor(LARGE.ravel())).choice.program is None
    found = []

    def look(x):
        found.append(plan(filters, x).choice)
        return (x * x).sum()

    cr.grad(look)(LARGE)
    assert found[0].program is None


def test_second_derivatives_flow_through_a_jacobian_that_would_be_compiled_alone():
    small = LARGE[:, :3, :3]
    cr.jacobian(filters)(LARGE)
    found = cr.grad(lambda s: (cr.jacobian(filters)(s * LARGE) ** 2).sum())(np.asarray(0.7)).item()
    step = 1e-5
    ends = [(cr.jacobian(filters)((0.7 + d) * LARGE).numpy() ** 2).sum() for d in (step, -step)]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)
    assert cr.jacobian(filters)(small).shape == (*small.shape, *small.shape)


def test_places_that_are_looked_up_are_part_of_what_the_jacobian_is():
    for places in (np.array([0, 5, 5]), np.array([3, 1, 2])):
        f = lambda x, at=places: filters(x)[:, at] * 2.0
        expected = cr.jacobian(f, order="reverse")(LARGE).numpy()
        np.testing.assert_allclose(cr.jacobian(f)(LARGE).numpy(), expected, rtol=1e-10, atol=1e-12)


@native
def test_results_are_the_callers_own():
    weights = RNG.normal(size=(600, 600))
    f = lambda x: cr.tanh(cr.tanh(x @ weights)) @ weights
    x = RNG.normal(size=(4, 600))
    first = cr.jacobian(f)(x)
    copy = first.numpy().copy()
    cr.jacobian(f)(2 * x)
    np.testing.assert_array_equal(first.numpy(), copy)


@native
def test_zeros_stay_strong():
    def f(x):
        return filters(cr.where(x > 0, cr.log(x), 0.0))

    x = np.where(LARGE > 0, LARGE, 0.0)
    found = cr.jacobian(f)(x).numpy()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, cr.jacobian(f, order="reverse")(x).numpy(), rtol=1e-9, atol=1e-11)
