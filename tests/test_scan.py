"""Scans: the same as a loop in Python, in values and in gradients of both modes and of second order."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from chainrule.autodiff.scan import Scan

SEEDS = range(12)


def unrolled(f, init, xs, length, reverse=False):
    """What `cr.scan` says, as a loop."""
    carry, ys = init, [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, ys[t] = f(carry, trees.map_leaves(lambda x, t=t: cr.asarray(x)[t], xs))
    return carry, trees.map_leaves(lambda *rows: cr.stack(rows), *ys)


class Program:
    """A random step with a nested carry, tokens, and weights that it closes over; and arrays for it."""

    def __init__(self, seed, dtype=np.float64, length=None):
        rng = np.random.default_rng(seed)
        self.length = int(rng.integers(1, 6)) if length is None else length
        self.reverse = bool(rng.integers(2))
        b, h, v = (int(n) for n in rng.integers(1, 5, 3))
        normal = lambda *shape: rng.normal(size=shape).astype(dtype)
        self.weights = {
            "w": normal(h, h) / h,
            "u": normal(v, h),
            "bias": normal(h),
            "scale": normal(b, h),
            "deep": normal(h, 2 * h),
        }
        self.init = {"h": normal(b, h), "rest": [normal(h), normal(b, h)], "n": np.int64(rng.integers(3))}
        self.xs = (normal(self.length, b, h), rng.integers(0, v, (self.length, b)))
        self.choice = rng.integers(0, 3, 6)
        self.mix = [normal(self.length, b, h), normal(b, h), normal(h)]

    def step(self, weights):
        w, u, bias, scale, deep = (weights[k] for k in ("w", "u", "bias", "scale", "deep"))
        c = self.choice

        def f(carry, given):
            x, token = given
            h, (total, memory), n = carry["h"], carry["rest"], carry["n"]
            z = h @ (w if c[0] else w.mT) + x
            z = z + bias if c[1] else z * scale
            if c[2]:
                z = z + u[token]
            gates = cr.tanh(z) @ deep
            left, right = cr.split(gates, 2, axis=-1)
            new = cr.sigmoid(left) * memory + cr.tanh(right) * (bias if c[3] else 1.0)
            h = cr.tanh(new) * scale if c[4] else cr.where(new > 0, new, h * 0.5)
            y = {"h": h, "z": z.sum(axis=0), "same": x, "old": memory} if c[5] else {"h": h, "n": n + token}
            return {"h": h, "rest": [total + cr.sum(z * z, axis=0), new], "n": n + 1}, y

        return f

    def both(self, run):
        """A loss as a function of weights, first carry and inputs."""

        def loss(weights, h, memory, x):
            init = {**self.init, "h": h, "rest": [self.init["rest"][0], memory]}
            carry, ys = run(
                self.step(weights), init, (x, self.xs[1]), length=self.length, reverse=self.reverse
            )
            whole = (ys["h"] * self.mix[0]).sum() + (carry["rest"][1] * self.mix[1]).sum()
            whole = whole + (carry["rest"][0] * self.mix[2]).sum() * 0.1
            return whole + (ys["z"] ** 2).sum() if "z" in ys else whole

        return loss

    @property
    def arguments(self):
        return self.weights, self.init["h"], self.init["rest"][1], self.xs[0]


def assert_close(a, b, tolerance):
    for x, y in zip(trees.leaves(a), trees.leaves(b), strict=True):
        x, y = cr.asarray(x).numpy(), cr.asarray(y).numpy()
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seed", SEEDS)
def test_values_are_those_of_a_loop(seed):
    p = Program(seed)
    f = p.step(trees.map_leaves(cr.asarray, p.weights))
    expected = unrolled(f, trees.map_leaves(cr.asarray, p.init), p.xs, p.length, p.reverse)
    assert_close(cr.scan(f, p.init, p.xs, reverse=p.reverse), expected, 1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_are_those_of_a_loop(seed, dtype):
    p = Program(seed, dtype)
    at = range(4)
    found = cr.value_and_grad(p.both(cr.scan), at)(*p.arguments)
    expected = cr.value_and_grad(p.both(unrolled), at)(*p.arguments)
    assert_close(found, expected, 1e-10 if dtype is np.float64 else 2e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_tangents_and_second_derivatives_are_those_of_a_loop(seed):
    p = Program(seed)
    rng = np.random.default_rng(seed)
    v = trees.map_leaves(lambda a: rng.normal(size=a.shape), p.arguments)
    for transform in (
        lambda f: cr.jvp(f, p.arguments, v),
        lambda f: cr.jvp(cr.grad(f, range(4)), p.arguments, v),
        lambda f: cr.grad(
            lambda w: sum((g * g).sum() for g in trees.leaves(cr.grad(f)(w, *p.arguments[1:])))
        )(p.weights),
    ):
        assert_close(transform(p.both(cr.scan)), transform(p.both(unrolled)), 1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_compiled_gradients_are_those_of_a_loop(seed):
    p = Program(seed)
    at = range(4)
    found = cr.compile(cr.value_and_grad(p.both(cr.scan), at))(*p.arguments)
    assert_close(found, cr.value_and_grad(p.both(unrolled), at)(*p.arguments), 1e-10)


@pytest.mark.parametrize("every", [1, 2, 3, 7, 9])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_checkpoints_change_no_result(seed, every):
    p = Program(seed, length=7)
    sparse = lambda *args, **options: cr.scan(*args, checkpoint=every, **options)
    found = cr.value_and_grad(p.both(sparse), range(4))(*p.arguments)
    assert_close(found, cr.value_and_grad(p.both(unrolled), range(4))(*p.arguments), 1e-10)
    assert_close(
        cr.compile(cr.value_and_grad(p.both(sparse), range(4)))(*p.arguments),
        found,
        1e-10,
    )


def test_checkpoints_keep_fewer_carries():
    x = np.ones((64, 50))

    def kept(**options):
        run = lambda w: cr.scan(lambda c, x: (cr.tanh(c * w + x), None), x[0], x, **options)[0].sum()
        return next(n.size for n in cr.trace(cr.grad(run), np.ones(50)).nodes if n.op is Scan)

    assert kept() == (64 + 1) * 50
    assert kept(checkpoint=8) == (8 + 1) * 50


@pytest.mark.parametrize("reverse", [False, True])
def test_no_steps(reverse):
    carry, ys = cr.scan(lambda c, x: (c * x, c + x), 2.0, np.zeros(0), reverse=reverse)
    assert carry.item() == 2.0 and ys.shape == (0,)
    slope = cr.grad(lambda c: cr.scan(lambda c, x: (c * x, c), c, np.zeros(0), reverse=reverse)[0] ** 2)
    assert slope(3.0).item() == 6.0
    assert cr.compile(slope)(np.float64(3.0)).item() == 6.0


def test_one_step_is_the_function():
    carry, y = cr.scan(lambda c, x: (c + x, c * x), np.ones(3), np.full((1, 3), 2.0))
    assert carry.tolist() == [3.0] * 3 and y.tolist() == [[2.0] * 3]


def test_without_xs_there_is_a_length():
    carry, ys = cr.scan(lambda c, x: (2 * c, c if x is None else x), 1, length=5)
    assert carry.item() == 32 and ys.tolist() == [1, 2, 4, 8, 16] and ys.dtype == cr.int64


def test_a_step_may_give_nothing():
    carry, ys = cr.scan(lambda c, x: (c + x, None), 0.0, np.array([1.0, 2.0]))
    assert carry.item() == 3.0 and ys is None
    assert cr.scan(lambda c, x: (c, x), (), np.arange(3))[1].tolist() == [0, 1, 2]
    assert cr.scan(lambda c, x: (c, 2 * x), None, np.arange(3))[1].tolist() == [0, 2, 4]
    assert cr.scan(lambda c, x: ((), 7), (), length=2)[1].tolist() == [7, 7]


def test_reverse_keeps_the_order_of_time():
    carry, ys = cr.scan(lambda c, x: (c + x, c), 0, np.array([1, 2, 3]), reverse=True)
    assert carry.item() == 6 and ys.tolist() == [5, 3, 0]


def test_named_tuples_and_modules_are_carried():
    class Pair(cr.nn.Module):
        def __init__(self):
            self.a, self.b = cr.zeros(2), cr.ones(2)

    carry, _ = cr.scan(
        lambda p, x: (trees.map_leaves(lambda a: a + x, p), None), Pair(), np.array([1.0, 2.0])
    )
    assert isinstance(carry, Pair) and carry.a.tolist() == [3.0, 3.0]


def test_backward_reaches_what_the_step_closes_over():
    w, x = cr.tensor([[0.5]], requires_grad=True), cr.tensor(np.ones((3, 1, 1)), requires_grad=True)
    double = w * 2.0  # computed before, and tracked
    carry, _ = cr.scan(lambda c, x: (c @ double + x, None), cr.zeros((1, 1)), x)
    carry.sum().backward()
    assert w.grad.item() == 2 * (1 + 2 * 1.0) and x.grad.reshape(-1).tolist() == [1.0, 1.0, 1.0]


def test_what_does_not_change_from_step_to_step_is_computed_once():
    graph = cr.trace(
        lambda w, x: cr.scan(lambda c, x: (c @ cr.exp(w).mT + x, None), x[0], x)[0],
        np.ones((2, 2)),
        np.ones((4, 2, 2)),
    )
    (node,) = [n for n in graph.nodes if n.op is Scan]
    assert [n.op.name for n in node.params["body"].graph.nodes if n.op] == ["matmul", "add"]


def test_gradients_of_weights_are_one_product():
    """The factors of all steps are stacked; no carry of the backward scan is as large as the weight."""

    def loss(w, b, x):
        return cr.scan(lambda h, x: (cr.tanh(x + h @ w + b), None), x[0], x)[0].sum()

    arrays = np.ones((32, 32)), np.ones(32), np.ones((9, 4, 32))
    graph = cr.trace(cr.grad(loss, (0, 1)), *arrays)
    bodies = [n.params["body"] for n in graph.nodes if n.op is Scan]
    assert all(x.shape == (4, 32) for body in bodies for x in body.carry_inputs)
    (product,) = [n for n in graph.nodes if n.op is not None and n.op.name == "matmul"]
    assert [x.shape for x in product.inputs] == [(32, 36), (36, 32)]


def test_gradients_that_are_no_products_are_summed_up():
    w = np.random.default_rng(0).normal(size=(3, 2))
    f = lambda run: (
        lambda w: run(lambda c, x: (cr.sin(c * w) + x, None), w, np.ones((4, 3, 2)), length=4)[0].sum()
    )
    assert_close(cr.grad(f(cr.scan))(w), cr.grad(f(unrolled))(w), 1e-12)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_scan_within_a_scan(compiled):
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(2, 2)), rng.normal(size=(3, 4, 2))

    def loss(run):
        inner = lambda w: lambda c, x: (cr.tanh(c @ w + x), c)
        outer = lambda w: lambda c, x: run(inner(w), c, x, length=4)
        return lambda w, x: sum(v.sum() for v in run(outer(w), cr.zeros(2), x, length=3))

    gradients = cr.grad(loss(cr.scan), (0, 1))
    gradients = cr.compile(gradients) if compiled else gradients
    assert_close(gradients(w, x), cr.grad(loss(unrolled), (0, 1))(w, x), 1e-12)


def test_a_gradient_within_a_step():
    descend = lambda start: cr.scan(
        lambda p, _: (p - 0.1 * cr.grad(lambda p: (p - 3.0) ** 2)(p), None), start, length=60
    )
    assert abs(descend(0.0)[0].item() - 3.0) < 1e-4
    assert abs(cr.grad(lambda s: descend(s)[0])(0.0).item() - 0.8**60) < 1e-12


def test_strong_zeros_hold_within_steps():
    safe = lambda x: cr.scan(lambda c, x: (c + cr.where(x > 0, cr.log(x), 0.0), None), 0.0, x)[0]
    assert cr.grad(safe)(np.array([0.0, 2.0])).tolist() == [0.0, 0.5]


def test_recorded_for_another_derivative():
    x = cr.tensor(0.7, requires_grad=True)
    y = cr.scan(lambda c, _: (cr.sin(c), None), x, length=3)[0]
    y.backward()
    expected = np.cos(0.7) * np.cos(np.sin(0.7)) * np.cos(np.sin(np.sin(0.7)))
    assert abs(x.grad.item() - expected) < 1e-15


def test_a_step_without_gradient_inside_keeps_no_carries():
    with cr.no_grad():
        w = cr.tensor(2.0, requires_grad=True)
        carry, _ = cr.scan(lambda c, x: (c * w + x, None), 0.0, np.ones(3))
    assert carry.item() == 7.0 and carry.op is None


WRONG = {
    "shape": (
        lambda: cr.scan(
            lambda c, x: ({"h": c["h"] @ np.ones((2, 3))}, None), {"h": np.ones((1, 2))}, length=2
        ),
        cr.errors.ShapeError,
        "scan: carry.h is float64[1, 2] at first and float64[1, 3] after a step",
        "a carry keeps shape and dtype: reshape it in the step, or begin with zeros of shape (1, 3)",
    ),
    "dtype": (
        lambda: cr.scan(lambda c, x: (c.astype("float64"), None), cr.zeros(2, dtype="float32"), length=2),
        cr.errors.ShapeError,
        "scan: carry is float32[2] at first and float64[2] after a step",
        "a carry keeps shape and dtype: return carry.astype(cr.float32)",
    ),
    "structure": (
        lambda: cr.scan(lambda c, x: ({"g": c["h"]}, None), {"h": 1.0}, length=2),
        cr.errors.StructureError,
        "scan: the carry changes its structure in a step: differs at the top: expected dict with keys ['h'], "
        "got dict with keys ['g']",
        "return a carry with the keys, lengths and container types of init",
    ),
    "no pair": (
        lambda: cr.scan(lambda c, x: c, 1.0, length=2),
        cr.errors.StructureError,
        "scan: the function must return (carry, y), got Tensor",
        "return a pair; (carry, None) where a step gives nothing",
    ),
    "lengths": (
        lambda: cr.scan(lambda c, x: (c, x), 1.0, {"a": np.ones((3, 2)), "b": np.ones((4, 2))}),
        cr.errors.ShapeError,
        "scan: xs.a has 3 steps and xs.b has 4: shapes (3, 2) and (4, 2)",
        "the first axis of all xs counts the steps; make it equal, or move time to the front with cr.moveaxis",
    ),
    "length": (
        lambda: cr.scan(lambda c, x: (c, x), 1.0, np.ones(3), length=4),
        cr.errors.ArgumentError,
        "scan: length is 4, but xs has 3 steps",
        "leave length out where there are xs",
    ),
    "negative": (
        lambda: cr.scan(lambda c, x: (c, x), 1.0, length=-1),
        cr.errors.ArgumentError,
        "scan: length is -1, but there is no such number of steps",
        "leave length out where there are xs",
    ),
    "nothing": (
        lambda: cr.scan(lambda c, x: (c, x), 1.0),
        cr.errors.ArgumentError,
        "scan: there are neither xs nor a length",
        "pass length=n for n steps without input",
    ),
    "number": (
        lambda: cr.scan(lambda c, x: (c, x), 1.0, 2.0),
        cr.errors.ShapeError,
        "scan: xs is one float64 number, without an axis for the steps",
        "pass an array of shape (steps, ...), or let f close over what is the same in all steps",
    ),
    "function": (
        lambda: cr.scan(1.0, 1.0, np.ones(2)),
        cr.errors.ArgumentError,
        "scan: expected a function, got 1.0",
        "pass f first: cr.scan(f, init, xs)",
    ),
    "checkpoint": (
        lambda: cr.scan(lambda c, x: (c, x), 1.0, np.ones(100), checkpoint=0),
        cr.errors.ArgumentError,
        "scan: checkpoint must be at least 1, got 0",
        "leave it out, or pass about the root of the length: 10",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_said_of_a_bad_call(case):
    call, kind, message, fix = WRONG[case]
    with pytest.raises(kind) as caught:
        call()
    assert (caught.value.message, caught.value.fix) == (message, fix)
    assert caught.value.source is not None and caught.value.source.file == __file__


def test_numbers_are_not_there_while_a_step_is_traced():
    with pytest.raises(cr.errors.TracedValueError):
        cr.scan(lambda c, x: (c if x > 0 else -c, None), 1.0, np.ones(2))
