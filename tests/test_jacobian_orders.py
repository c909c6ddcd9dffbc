"""``cr.jacobian``: the order that it takes, orders of one's own, and what it refuses."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.autodiff.accumulate import JacobianGraph
from chainrule.autodiff.ordering import search
from chainrule.errors import ArgumentError, DTypeError, SizeError
from chainrule.node import as_node
from chainrule.transforms.orders import Orders
from chainrule.transforms.run import run_function

RNG = np.random.default_rng(1)
X = RNG.normal(size=6)


def physics(x):
    """Many numbers that are computed from each other, six in and three out."""
    a, b, c, d, e, f = (x[i] for i in range(6))
    s = cr.sqrt(a * a + b * b + 1.0)
    t = cr.exp(-s * c) + d * e
    u = t * s - f * cr.sin(t)
    return cr.stack([u * s + a, t / (1.0 + u * u), cr.tanh(u * t) * f])


def bottleneck(x):
    w = [RNG_W[i] for i in range(3)]
    return w[2] @ cr.tanh(w[1] @ cr.tanh(w[0] @ x))


RNG_W = [np.random.default_rng(i).normal(size=s) for i, s in enumerate([(2, 30), (30, 2), (20, 30)])]
WIDE = RNG.normal(size=30)


@pytest.mark.parametrize(("f", "x"), [(physics, X), (bottleneck, WIDE)])
@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_all_orders_give_one_jacobian_eager_compiled_and_batched(f, x, order):
    expected = cr.jacobian(f, order="reverse")(x).numpy()
    jacobian = cr.jacobian(f, order=order)
    np.testing.assert_allclose(jacobian(x).numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(cr.compile(jacobian)(x).numpy(), expected, rtol=1e-10, atol=1e-12)
    several = np.stack([x, 0.5 * x])
    for found in (cr.vmap(jacobian)(several), cr.compile(cr.vmap(jacobian))(several)):
        np.testing.assert_allclose(found.numpy()[0], expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(
            found.numpy()[1], cr.jacobian(f, order="reverse")(0.5 * x).numpy(), rtol=1e-10, atol=1e-12
        )


def choice(f, x, order="auto", traced=True, items=1):
    found = []

    def look(x):
        run = run_function("jacobian", f, 0, (x,), {})
        found.append(Orders(order, None).plan([as_node(run.result)], run.wrt).choice)
        return run.result

    if items > 1:
        cr.vmap(look)(np.broadcast_to(x, (items, *x.shape)))
    else:
        cr.trace(look, x) if traced else look(x)
    return found[0]


def test_auto_eliminates_where_that_takes_less_time_than_sweeps():
    assert choice(bottleneck, WIDE).by == "elimination"
    assert choice(physics, X, items=1000).by == "elimination"
    single = choice(physics, X)
    assert single.by == "reverse"  # many small products, where a sweep is a few steps
    assert single.predicted[0] > single.predicted[1]


IMAGES = RNG.normal(size=(2, 8, 8, 1))
KERNELS = [RNG.normal(size=(3, 3, 1, 4)), RNG.normal(size=(3, 3, 4, 3))]
DENSE = RNG.normal(size=(12, 5))


def network(x):
    """Convolution, relu, pool, convolution, dense."""
    h = cr.max_pool2d(cr.relu(cr.conv2d(x, KERNELS[0], padding=1)), 2)
    return cr.avg_pool2d(cr.conv2d(h, KERNELS[1], padding="same"), 2).reshape(-1, 12) @ DENSE


def filters(x):
    return cr.conv2d(cr.tanh(cr.conv2d(x, KERNELS[0], padding=1)), KERNELS[1], stride=2)


@pytest.mark.parametrize("f", [network, filters])
@pytest.mark.parametrize("order", ["auto", "forward"])
def test_networks_of_convolutions_eager_compiled_and_batched(f, order):
    expected = cr.jacobian(f, order="reverse")(IMAGES).numpy()
    jacobian = cr.jacobian(f, order=order)
    for made in (jacobian, cr.compile(jacobian)):
        np.testing.assert_allclose(made(IMAGES).numpy(), expected, rtol=1e-10, atol=1e-12)
    several = cr.compile(cr.vmap(jacobian))(np.stack([IMAGES, IMAGES]))
    np.testing.assert_allclose(several.numpy()[1], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("f", [network, filters])
def test_networks_of_convolutions_against_differences(f):
    found, step = cr.jacobian(f)(IMAGES).numpy(), 1e-6
    for at in ((0, 0, 0, 0), (0, 3, 4, 0), (1, 7, 7, 0)):
        ends = []
        for sign in (1, -1):
            moved = IMAGES.copy()
            moved[at] += sign * step
            ends.append(np.asarray(f(cr.tensor(moved))))
        np.testing.assert_allclose(found[(..., *at)], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("f", [network, filters])
def test_images_of_a_batch_and_pixels_far_apart_are_never_multiplied(f):
    images = np.concatenate([IMAGES] * 8)
    assert choice(f, images).by == "elimination"
    run = run_function("jacobian", f, 0, (images,), {})
    graph = JacobianGraph([as_node(run.result)], run.wrt)
    found = search(graph, moves=0)
    assert 8 * found.multiplications < min(graph.input_size, graph.output_size) * graph.sweep


def test_auto_sweeps_where_one_sweep_is_all():
    assert choice(lambda x: (cr.sin(x) * x).sum(), X).by == "reverse"
    assert choice(lambda x: cr.sin(x) * RNG_W[0][0], np.asarray(2.0)).by == "forward"


def test_auto_sweeps_where_local_jacobians_take_as_many_sweeps():
    def looped(x):
        return cr.scan(lambda c, e: (cr.tanh(c * e + x), c.sum()), x, np.ones((20, 1)))[0]

    assert choice(looped, X).by in ("forward", "reverse")


def test_auto_sweeps_in_large_graphs():
    def deep(x):
        for _ in range(500):
            x = cr.sin(x)
        return x

    assert choice(deep, X).by in ("forward", "reverse")


def test_auto_sweeps_in_eager_calls_where_steps_take_longer_than_their_arithmetic():
    assert choice(physics, X, traced=False).by == "reverse"
    assert choice(bottleneck, WIDE, traced=False).by in ("forward", "reverse")
    wide = np.ones(1000)
    assert choice(lambda x: cr.sin(x) * x, wide, traced=False).by == "elimination"


def test_auto_sweeps_in_eager_calls_where_an_order_could_not_be_remembered():
    def looped(x):
        return cr.scan(lambda c, e: (cr.tanh(c * e), c), x, np.ones((3, 1)))[0] * x

    assert choice(looped, np.ones(1000), traced=False).by in ("forward", "reverse")


def test_the_same_order_each_time():
    assert choice(physics, X) == choice(physics, X)


def test_second_derivatives_flow_through_elimination():
    f = cr.jacobian(lambda x: cr.jacobian(physics)(x).reshape(18), order="reverse")(X)
    expected = cr.jacobian(lambda x: cr.jacobian(physics, order="reverse")(x).reshape(18), order="reverse")(X)
    np.testing.assert_allclose(f.numpy(), expected.numpy(), rtol=1e-9, atol=1e-11)


def test_gradients_of_captured_tensors_flow_through_elimination():
    w = cr.tensor(X, requires_grad=True)
    jacobian = cr.jacobian(lambda x: physics(x * w))(X)
    jacobian.sum().backward()
    step = 1e-6
    for i in range(2):
        ends = []
        for sign in (1, -1):
            moved = X.copy()
            moved[i] += sign * step
            ends.append(cr.jacobian(lambda x, m=moved: physics(x * m))(X).numpy().sum())
        np.testing.assert_allclose(w.grad.numpy()[i], (ends[0] - ends[1]) / (2 * step), rtol=1e-5)


def small(x):
    return cr.sin(cr.exp(x) * x) * x


def test_an_order_of_ones_own():
    expected = np.diag(np.cos(np.exp(X) * X) * (np.exp(X) * X + np.exp(X)) * X + np.sin(np.exp(X) * X))
    for order in ([0, 1, 2], [2, 0, 1], (1, 2, 0)):
        np.testing.assert_allclose(cr.jacobian(small, order=order)(X).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("made", [np.array, iter, lambda order: [np.int32(v) for v in order]])
def test_an_order_may_be_an_array_or_an_iterator(made):
    jacobian = cr.jacobian(small, order=made([2, 0, 1]))
    for _ in range(2):
        np.testing.assert_array_equal(jacobian(X).numpy(), cr.jacobian(small, order=[2, 0, 1])(X).numpy())


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([0, True, 2], "True is no vertex"),
        ([0, 1], "2 is missing"),
        ([0, 1, 1], "1 occurs twice"),
        ([0, 1, 7], "7 is no vertex"),
        ([0, 1, "2"], "no vertex"),
        ([0, 1, 2.0], "no vertex"),
    ],
)
def test_an_order_that_is_no_permutation(order, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        cr.jacobian(small, order=order)(X)
    assert "0 exp, 1 multiply, 2 sin" in str(caught.value)


def test_what_is_no_order():
    with pytest.raises(ArgumentError, match="unknown order 'backwards'"):
        cr.jacobian(small, order="backwards")
    for order in (None, 1, np.array(3)):
        with pytest.raises(ArgumentError, match="unknown order"):
            cr.jacobian(small, order=order)
    for seconds in (0, -1.0, float("nan"), "1", [1], True):
        with pytest.raises(ArgumentError, match="seconds must be a positive number"):
            cr.jacobian(small, seconds=seconds)


def test_results_without_derivatives():
    with pytest.raises(DTypeError, match="int64, which has no derivative"):
        cr.jacobian(lambda x: cr.argmax(x))(X)


def test_a_search_of_some_seconds_finds_no_worse_an_order_than_either_mode():
    run = run_function("jacobian", physics, 0, (X,), {})
    found = Orders("auto", 1.0).plan([as_node(run.result)], run.wrt).choice
    graph = JacobianGraph([as_node(run.result)], run.wrt)
    modes = graph.intermediates, graph.intermediates[::-1]
    assert graph.multiplications(found.order) < min(map(graph.multiplications, modes))


def test_empty_arrays_and_results_that_do_not_depend():
    assert cr.jacobian(lambda x: x * x)(np.zeros((0, 2))).shape == (0, 2, 0, 2)
    found = cr.jacobian(lambda x: (x * 2.0, np.ones(3)))(X)
    np.testing.assert_array_equal(found[1].numpy(), np.zeros((3, 6)))


@pytest.mark.parametrize("order", ["auto", "forward", "reverse", [0, 1, 2], [2, 0, 1]])
def test_a_result_that_is_returned_several_times_has_its_jacobian_each_time(order):
    def f(x):
        y = cr.sin(x * x) * x
        return [y, {"again": y}, y]

    first, again, last = cr.jacobian(f, order=order)(X)
    expected = np.diag(2 * X * X * np.cos(X * X) + np.sin(X * X))
    for found in (first, again["again"], last):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse", [0]])
def test_empty_intermediate_results_pass_nothing_on(order):
    def f(x):
        return [(x[:0] * 2.0).sum() + x * x, cr.sin(x)[6:]]

    square, empty = cr.jacobian(f, order=order)(X)
    np.testing.assert_allclose(square.numpy(), np.diag(2 * X))
    assert empty.shape == (0, 6)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_a_jacobian_that_no_memory_holds_is_refused_at_once(order):
    with pytest.raises(SizeError, match="no memory for an array of shape"):
        cr.jacobian(lambda x: cr.sin(x) * x, order=order)(np.ones(10_000_000))
