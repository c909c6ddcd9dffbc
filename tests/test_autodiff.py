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


MILLION = 1_000_000


@pytest.fixture(scope="module")
def chain():
    """First and last tensor of a chain of a million nodes, far beyond the recursion limit."""
    assert 100 * sys.getrecursionlimit() < MILLION
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(MILLION):
        y = y * 1.0000001
    return x, y


def test_backward_along_a_chain_of_a_million_nodes(chain):
    x, y = chain
    y.backward()
    assert x.grad.item() == pytest.approx(1.0000001**MILLION, rel=1e-9)


def test_forward_mode_along_a_chain_of_a_million_nodes(chain):
    x, y = chain
    (pushed,) = pushforward([y], [x], [as_node(1.0)], record=False)
    assert pushed.item() == pytest.approx(1.0000001**MILLION, rel=1e-9)


def test_backward_through_a_binary_tree_of_a_million_nodes():
    x = cr.tensor(0.5, requires_grad=True)
    level = [x * 1.0 for _ in range(2**19)]
    while len(level) > 1:
        level = [a + b for a, b in zip(level[::2], level[1::2], strict=True)]
    level[0].backward()
    assert x.grad.item() == 2**19


def test_each_node_is_visited_once():
    (x,) = scalars(x=0.5)
    level = [x * 1.0 for _ in range(2**9)]
    while len(level) > 1:
        level = [a + b for a, b in zip(level[::2], level[1::2], strict=True)]
    visits = 0

    def visit(node, delta, contributions):
        nonlocal visits
        visits += 1

    (g,) = pullback(level, [as_node(1.0)], [x], record=False, visit=visit)
    assert (g.item(), visits) == (2**9, 2**10 - 1)


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


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (lambda x: cr.sqrt(cr.relu(x)), -1.0),
        (lambda x: cr.sqrt(cr.maximum(x, 0.0)), -1.0),
        (lambda x: cr.sqrt(cr.clip(x, 0.0, None)), -1.0),
        (lambda x: cr.log(cr.clip(x, 0.0, 1.0)), -1.0),
        (lambda x: 1 / cr.relu(x), -1.0),
        (lambda x: cr.relu(x) ** 0.5, -1.0),
        (lambda x: cr.sqrt(-cr.minimum(x, 0.0)), 1.0),
    ],
)
def test_what_was_not_chosen_gets_nothing_even_of_an_infinite_gradient(f, at):
    assert cr.grad(f)(at).item() == 0
    assert cr.jvp(f, at, 1.0)[1].item() == 0


def test_nan_is_not_hidden_by_a_choice():
    assert cr.grad(cr.relu)(np.nan).item() == 1
    assert cr.grad(lambda x: cr.maximum(x, 0.0))(np.nan).item() == 1


def test_a_rule_of_a_user_may_differentiate_something_of_its_own():
    from chainrule.ops.function import unary
    from chainrule.primitive import REGISTRY, Pointwise, register

    @register
    class Cubed(Pointwise):
        """x³, with its rule derived on the spot."""

        name, label, latex = "cubed_by_a_user", "x³", "{0}^3"
        evaluate = staticmethod(lambda x: x * x * x)

        @staticmethod
        def partials(y, x):
            return (cr.vjp(lambda z: z * z * z, x)[1](cr.ones_like(x))[0],)

    try:
        x = cr.tensor([1.0, 2.0], requires_grad=True)
        unary(Cubed)(x).sum().backward()
        assert x.grad.tolist() == [3, 12]
        assert cr.grad(cr.grad(unary(Cubed)))(2.0).item() == 12
    finally:
        del REGISTRY["cubed_by_a_user"]


def test_a_primitive_without_its_rule_is_refused():
    from chainrule.primitive import Custom, Linear, Pointwise, register

    for kind, rule in ((Pointwise, "partials"), (Linear, "transpose"), (Custom, "jvp")):
        cls = type("Half", (kind,), {"name": "half", "label": "½", "evaluate": staticmethod(lambda x: x / 2)})
        with pytest.raises(cr.errors.GraphError, match=f"Half lacks '{rule}'"):
            register(cls)


def test_check_names_the_worst_element():
    """A rule that is wrong for one element only is found, and that element is named."""
    wrong = np.array([1.0, 1.0, 1.5])

    def f(x):
        return cr.stop_gradient(cr.sin(x) * x) + (x - cr.stop_gradient(x)) * wrong * cr.stop_gradient(
            cr.cos(x) * x + cr.sin(x)
        )

    report = cr.check(f, np.array([0.3, 0.5, 0.7]))
    assert report.ok is False and report.worst.index == (2,)
    assert report.worst.derived == pytest.approx(1.5 * report.worst.measured)
    assert cr.check(lambda x: cr.sin(x) * x, np.array([0.3, 0.5, 0.7])).ok


def test_a_large_gradient_hides_no_wrong_one():
    report = cr.check(lambda a, b: 1e7 * a + cr.stop_gradient(b), 1.0, 1.0)
    assert not report.ok
    assert (report.worst.argument, report.worst.derived) == ("1", 0.0)
    assert report.worst.measured == pytest.approx(1.0, rel=1e-4)


def test_check_allows_for_the_rounding_of_a_large_value():
    """1e9 is rounded to 1e-7, which divided by the step exceeds the tolerance: that is no wrong rule."""
    assert cr.check(lambda x: 1e9 + cr.sin(x), 0.5).ok
    assert not cr.check(lambda x: 1e9 + cr.stop_gradient(x), 0.5).ok


def test_check_takes_nan_for_disagreement():
    report = cr.check(lambda x: cr.log(x), -1.0)
    assert not report.ok and report.worst.error == np.inf


def test_check_says_what_it_cannot_check():
    for call, text in [
        (lambda: cr.check(cr.sin, 1), "no floating argument"),
        (lambda: cr.check(cr.sin, np.zeros((0, 3))), "no floating argument"),
        (lambda: cr.check(lambda x: x > 0, 1.0), "no floating array"),
        (lambda: cr.check(cr.sin, 1.0, samples=0), "samples must be at least 1"),
    ]:
        with pytest.raises(cr.errors.ArgumentError, match=text) as caught:
            call()
        assert caught.value.fix


def test_check_samples_without_listing_every_element():
    report = cr.check(lambda a, b: a.sum() * b, np.ones((300, 400)), 2.0, samples=3)
    assert report.ok and report.checked == 3
    every = cr.check(lambda a, b: (a * a).sum() * b, np.ones((2, 3)), 2.0)
    assert every.ok and every.checked == 7


def test_stacking_many_is_linear_in_their_number():
    """The gradient is cut in one pass for all inputs: the rule runs once, not 8,000 times."""
    xs = [cr.tensor(float(i), requires_grad=True) for i in range(8_000)]
    y = (cr.stack(xs) * np.arange(8_000.0)).sum()
    y.backward()
    assert [x.grad.item() for x in xs[:3] + xs[-1:]] == [0.0, 1.0, 2.0, 7_999.0]


def test_stacking_cuts_only_what_is_wanted():
    x, y = cr.tensor([1.0], requires_grad=True), cr.tensor([2.0, 3.0])
    (cr.concat([y, x, y, x]) * np.arange(6.0)).sum().backward()
    assert x.grad.tolist() == [2.0 + 5.0] and y.grad is None


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
