"""Both modes over the graph: results, structure, size, order."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import pullback
from chainrule.node import ancestors, as_node, leaf


def scalars(**values):
    return [leaf(v, tracked=True, name=k) for k, v in values.items()]


def test_the_example_of_every_article():
    a, b, c = scalars(a=-1.0, b=3.0, c=4.0)
    f = (a + b) * (b + c)
    assert f.item() == 14
    assert [g.item() for g in pullback([f], [as_node(1.0)], [a, b, c])] == [7, 9, 2]
    assert [pushforward([f], [x], [as_node(1.0)])[0].item() for x in (a, b, c)] == [7, 9, 2]


def test_a_variable_used_twice_is_one_node():
    (x,) = scalars(x=3.0)
    (g,) = pullback([x * x], [as_node(1.0)], [x])
    assert g.item() == 6


def test_gradient_of_an_inner_node():
    (x,) = scalars(x=2.0)
    y = x * x
    z = y * 3.0
    assert [g.item() for g in pullback([z], [as_node(1.0)], [y, x])] == [3, 12]


def test_no_path_is_none():
    x, y = scalars(x=1.0, y=2.0)
    assert pullback([x * 2.0], [as_node(1.0)], [y]) == [None]
    assert pushforward([x * 2.0], [y], [as_node(1.0)]) == [None]


def test_several_results_add():
    (x,) = scalars(x=2.0)
    (g,) = pullback([x * x, 3.0 * x], [as_node(1.0), as_node(10.0)], [x])
    assert g.item() == 4 + 30


def test_the_same_result_twice_adds_its_seeds():
    (x,) = scalars(x=2.0)
    y = x * x
    (g,) = pullback([y, y], [as_node(1.0), as_node(10.0)], [x])
    assert g.item() == 44


def chain(n):
    (x,) = scalars(x=1.0)
    y = x
    for _ in range(n):
        y = y * 1.0000001
    return x, y


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_chain_of_a_million_nodes(mode):
    """Far beyond the recursion limit; each node is visited once."""
    n = 1_000_000
    x, y = chain(n)
    one = as_node(1.0)
    visits = 0

    def visit(node, delta, contributions):
        nonlocal visits
        visits += 1

    if mode == "reverse":
        (g,) = pullback([y], [one], [x], record=False, visit=visit)
        assert visits == n
    else:
        (g,) = pushforward([y], [x], [one], record=False)
    assert g.item() == pytest.approx(np.exp(n * np.log(1.0000001)), rel=1e-9)
    assert n > 100 * sys.getrecursionlimit()


def test_a_binary_tree_of_a_million_nodes():
    x = leaf(0.5, tracked=True)
    level = [x * 1.0 for _ in range(2**19)]
    while len(level) > 1:
        level = [a + b for a, b in zip(level[::2], level[1::2], strict=True)]
    visits = 0

    def visit(node, delta, contributions):
        nonlocal visits
        visits += 1

    (g,) = pullback(level, [as_node(1.0)], [x], record=False, visit=visit)
    assert g.item() == 2**19
    assert visits == 2**20 - 1


def test_work_grows_linearly_with_a_diamond_of_exponentially_many_paths():
    """60 diamonds make 2^60 paths; the sweep passes each node once."""
    (x,) = scalars(x=1.0)
    y = x
    for _ in range(60):
        y = y + y
    (g,) = pullback([y], [as_node(1.0)], [x])
    assert g.item() == 2.0**60


def test_gradients_are_graphs():
    (x,) = scalars(x=2.0)
    y = x * x * x
    for expected in (12.0, 12.0, 6.0):
        (y,) = pullback([y], [as_node(1.0)], [x])
        assert y.item() == expected


def test_unrecorded_gradients_hold_on_to_nothing():
    (x,) = scalars(x=2.0)
    (g,) = pullback([x * x], [as_node(1.0)], [x], record=False)
    assert ancestors([g]) == [g]


def test_strong_zeros_in_both_modes():
    values = np.array([0.0, 0.5, 2.0])
    for f, expected in [
        (lambda x: cr.where(x > 0, cr.log(x), 0.0), [0.0, 2.0, 0.5]),
        (lambda x: cr.where(x > 0, x * cr.log(x), 0.0), [0.0, 1 + np.log(0.5), 1 + np.log(2.0)]),
        (lambda x: cr.where(x > 0, cr.sqrt(x), 0.0), [0.0, 0.5 / np.sqrt(0.5), 0.5 / np.sqrt(2.0)]),
        (lambda x: cr.where(x > 0, 1 / x, 0.0), [0.0, -4.0, -0.25]),
        (lambda x: cr.where(x > 0, x**-0.5, 0.0), [0.0, -0.5 * 0.5**-1.5, -0.5 * 2.0**-1.5]),
    ]:
        np.testing.assert_allclose(cr.grad(lambda x, f=f: f(x).sum())(values).numpy(), expected, rtol=1e-15)
        _, pushed = cr.jvp(f, (values,), (np.ones(3),))
        finite = pushed.numpy()[1:]
        np.testing.assert_allclose(finite, expected[1:], rtol=1e-15)
        second = cr.grad(lambda x, f=f: cr.grad(lambda z: f(z).sum())(x).sum())(values)
        assert np.isfinite(second.numpy()).all()


def test_check_names_the_worst_element():
    """A rule that is wrong for one element only is found, and that element is named."""
    wrong = np.array([1.0, 1.0, 1.5])

    def f(x):
        return cr.stop_gradient(cr.sin(x) * x) + (x - cr.stop_gradient(x)) * wrong * cr.stop_gradient(
            cr.cos(x) * x + cr.sin(x)
        )

    report = cr.check(f, np.array([0.3, 0.5, 0.7]))
    assert report.ok is False or report.worst.index == (2,)
    assert cr.check(lambda x: cr.sin(x) * x, np.array([0.3, 0.5, 0.7])).ok


def test_check_reports_the_derivative_of_one_number_itself():
    report = cr.check(lambda x: x * x, np.array(3.0))
    assert (report.worst.derived, report.ok) == (6.0, True)
    assert report.worst.measured == pytest.approx(6.0)
    kink = cr.check(cr.relu, np.array(0.0))
    assert not kink.ok and kink.worst.measured == pytest.approx(0.5)
    with pytest.raises(cr.errors.GradientError, match="DISAGREE"):
        kink.require()


def test_same_program_same_bits():
    def run():
        rng = np.random.default_rng(0)
        w, x = rng.normal(size=(40, 30)), rng.normal(size=(50, 40))
        return cr.grad(lambda w: (cr.tanh(x @ w).sum(axis=0) ** 2).sum())(w).numpy().tobytes()

    assert run() == run()
