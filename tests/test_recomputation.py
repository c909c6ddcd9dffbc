"""Checkpoints: the same derivatives, with less in memory."""

import gc
import tracemalloc

import numpy as np
import pytest

import chainrule as cr

RNG = np.random.default_rng(0)
W = [RNG.normal(size=(6, 6)) / 2 for _ in range(4)]
X = RNG.normal(size=(5, 6))


def block(params, x):
    h = cr.tanh(x @ params["w"] + 0.1)
    return {"out": cr.sin(h) @ params["v"], "mean": h.mean()}


def loss(params, x, f):
    first = f(params[0], x)
    second = f(params[1], first["out"] * 2)
    return (second["out"] ** 2).sum() + first["mean"] * second["mean"]


PARAMS = [{"w": W[0], "v": W[1]}, {"w": W[2], "v": W[3]}]


def leaves(tree):
    return [d[k].numpy() for d in tree for k in sorted(d)]


def test_gradients_have_the_same_bits_traced_compiled_and_eager():
    expected = leaves(cr.grad(loss)(PARAMS, X, block))
    again = cr.checkpoint(block)
    assert all(map(np.array_equal, leaves(cr.grad(loss)(PARAMS, X, again)), expected))
    f = cr.compile(cr.grad(lambda p, x: loss(p, x, block)))
    g = cr.compile(cr.grad(lambda p, x: loss(p, x, again)))
    assert all(map(np.array_equal, leaves(g(PARAMS, X)), leaves(f(PARAMS, X))))
    eager = []
    for function in (block, again):
        params = [{k: cr.tensor(v, requires_grad=True) for k, v in d.items()} for d in PARAMS]
        loss(params, X, function).backward()
        eager.append([d[k].grad.numpy() for d in params for k in sorted(d)])
    assert all(map(np.array_equal, *eager))


def test_every_order_and_both_modes_flow_through_it():
    f = lambda x: (cr.sin(x) * x**2).sum()
    g = cr.checkpoint(f)
    x, v = RNG.normal(size=3), RNG.normal(size=3)
    assert np.array_equal(cr.hessian(g)(x).numpy(), cr.hessian(f)(x).numpy())
    assert cr.jvp(g, x, v)[1].item() == cr.jvp(f, x, v)[1].item()
    third = lambda h: cr.grad(lambda x: cr.hvp(h, x, v).sum())(x).numpy()
    np.testing.assert_allclose(third(g), third(f), rtol=1e-13)
    np.testing.assert_allclose(cr.compile(lambda x: cr.hvp(g, x, v))(x).numpy(), cr.hvp(f, x, v).numpy())
    assert cr.check(g, x).ok


def test_what_a_function_closes_over_gets_its_gradient():
    w = cr.tensor(W[0], requires_grad=True)
    cr.checkpoint(lambda x: cr.tanh(x @ w))(X).sum().backward()
    plain = cr.grad(lambda w: cr.tanh(X @ w).sum())(W[0])
    assert np.array_equal(w.grad.numpy(), plain.numpy())


def test_random_numbers_are_the_same_in_both_runs():
    key = cr.random.key(3)
    f = lambda x: (x * cr.random.normal(key, (5, 6)) * cr.sin(x)).sum()
    assert np.array_equal(cr.grad(cr.checkpoint(f))(X).numpy(), cr.grad(f)(X).numpy())
    assert np.array_equal(cr.compile(cr.grad(cr.checkpoint(f)))(X).numpy(), cr.compile(cr.grad(f))(X).numpy())


def test_checkpoints_nest_and_work_in_scans():
    inner = cr.checkpoint(lambda c, x: cr.tanh(c * x) + cr.sin(c))

    def f(xs, step):
        return cr.scan(lambda c, x: (step(step(c, x), x), None), np.ones(3), xs)[0].sum()

    plain = lambda c, x: cr.tanh(c * x) + cr.sin(c)
    nested = cr.checkpoint(lambda c, x: inner(inner(c, x), x))
    xs = RNG.normal(size=(7, 3))
    expected = cr.grad(lambda xs: f(xs, plain))(xs).numpy()
    assert np.array_equal(cr.grad(lambda xs: f(xs, inner))(xs).numpy(), expected)
    compiled = cr.compile(cr.grad(lambda xs: f(xs, inner)))
    np.testing.assert_allclose(compiled(xs).numpy(), expected, rtol=1e-12)
    assert all(line.kind == "kernel" for line in compiled.explain().lines)
    c, x = np.ones(3), RNG.normal(size=3)
    whole = cr.grad(lambda c: nested(c, x).sum())(c).numpy()
    assert np.array_equal(whole, cr.grad(lambda c: plain(plain(c, x), x).sum())(c).numpy())


def test_an_eager_backward_pass_keeps_only_what_goes_in():
    n, layers = 200_000, 20

    def deep(x):
        for _ in range(layers):
            x = cr.sin(x)
        return x

    def most(f):
        x = cr.tensor(np.ones(n), requires_grad=True)
        gc.collect()
        tracemalloc.start()
        y = x
        for _ in range(3):
            y = f(y)
        held = tracemalloc.get_traced_memory()[0]
        y.sum().backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return held / (8 * n), peak / (8 * n)

    plain, kept = most(deep), most(cr.checkpoint(deep))
    assert plain[0] > 3 * layers - 1
    assert kept[0] < 4.5
    assert kept[1] < layers * 2.5 < plain[1]


def test_a_compiled_program_does_not_merge_both_computations():
    def f(x, g):
        for _ in range(6):
            x = g(x)
        return (x * x).sum()

    def deep(x):
        for _ in range(4):
            x = cr.sin(x @ W[0])
        return x

    x = RNG.normal(size=(40, 6))
    plain = cr.compile(cr.grad(lambda x: f(x, deep)))
    again = cr.compile(cr.grad(lambda x: f(x, cr.checkpoint(deep))))
    assert np.array_equal(plain(x).numpy(), again(x).numpy())
    assert again.explain().arena_bytes < 0.6 * plain.explain().arena_bytes


def test_modules_and_numbers_are_arguments():
    layer = cr.nn.Linear(6, 6, key=cr.random.key(0))
    x = X.astype(np.float32)
    f = lambda layer, x, power, name: layer(x) ** power if name == "yes" else x
    g = cr.grad(lambda layer, h: h(layer, x, 2, "yes").sum())
    assert np.array_equal(
        g(layer, cr.checkpoint(f)).weight.numpy(),
        g(layer, f).weight.numpy(),
    )


@cr.checkpoint
def decorated(x):
    """Its own words."""
    return cr.exp(x)


def test_it_decorates():
    assert decorated.__doc__ == "Its own words." and decorated(0.0).item() == 1.0
    off = cr.checkpoint(enabled=False)(block)
    assert off is block


def test_what_is_wrong_is_told():
    with pytest.raises(cr.errors.ArgumentError, match="checkpoint: expected a function"):
        cr.checkpoint(3.0)
    with pytest.raises(cr.errors.ArgumentError, match="enabled must be True or False"):
        cr.checkpoint(block, enabled=1)
    with pytest.raises(cr.errors.TracedValueError):
        cr.checkpoint(lambda x: x if x > 0 else -x)(cr.tensor(1.0, requires_grad=True))


def test_what_is_kept_elsewhere_is_told():
    kept = []

    def f(x):
        kept.append(cr.sin(x))
        return kept[-1] * x

    def g(x):
        return cr.checkpoint(f)(x).sum() + kept[-1].sum()

    with pytest.raises(cr.errors.TracedValueError, match="another trace"):
        cr.compile(g)(X)
