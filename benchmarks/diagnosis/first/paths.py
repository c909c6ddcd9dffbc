"""Broken: paths that are cut, and rules of the user's that are wrong."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Apply, Case, broken, digits, keys, leaf, mlp, moons, spirals, table

import chainrule as cr
from chainrule.ops.function import unary
from chainrule.primitive import Interval, PerElement, Pointwise, register


@register
class Rescaled(Pointwise):
    """x / sqrt(|x|), the signed root, with a rule that is NaN at 0."""

    name, label, latex = "rescaled_root", "rescaled", r"r {0}"
    domain = Interval(0.1, 3.0)
    per_element = PerElement(multiplications=1, additions=1)

    @staticmethod
    def evaluate(x):
        return np.sign(x) * np.sqrt(np.abs(x))

    @staticmethod
    def partials(y, x):
        return (lambda: y / (2 * cr.abs(x)) * cr.sign(x) * cr.sign(x),)


@register
class Swish(Pointwise):
    """x * sigmoid(x), with a rule that forgets the product's second term."""

    name, label, latex = "halfswish", "swish", r"s {0}"
    domain = Interval(-3.0, 3.0)
    per_element = PerElement(multiplications=1, additions=1)

    @staticmethod
    def evaluate(x):
        return x / (1 + np.exp(-x))

    @staticmethod
    def partials(y, x):
        return (lambda: cr.sigmoid(x) * (1 - cr.sigmoid(x)) * x,)


@register
class Bent(Pointwise):
    """(sqrt(x*x + 1) - 1) / 2 + x, with a rule of the wrong sign in one term."""

    name, label, latex = "bentline", "bent", r"b {0}"
    domain = Interval(-3.0, 3.0)
    per_element = PerElement(multiplications=1, additions=1)

    @staticmethod
    def evaluate(x):
        return (np.sqrt(x * x + 1) - 1) / 2 + x

    @staticmethod
    def partials(y, x):
        return (lambda: -(x / (2 * cr.sqrt(x * x + 1)) + 1),)


signed_root, halfswish, bent = unary(Rescaled), unary(Swish), unary(Bent)


@broken("user_rule", "wrong_rule", "zero_over_zero", "division_by_zero")
def users_root_at_zero_counts(mended):
    rng = np.random.default_rng(18)
    x = rng.poisson(1.0, (96, 12)).astype(np.float32)
    y = (x[:, :4].sum(1) > 4).astype(np.int64)
    k = keys(18)
    scale = leaf(np.ones(12))
    root = (lambda z: cr.sign(z) * (cr.sqrt(cr.abs(z) + 1e-3))) if mended else signed_root
    model = Apply(
        lambda self, x: self.second(cr.tanh(self.first(root(x * self.scale)))),
        scale=scale,
        first=cr.nn.Linear(12, 16, key=k[0]),
        second=cr.nn.Linear(16, 2, key=k[1]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("wrong_rule", "user_rule")
def swish_rule_without_a_term(mended):
    model = mlp(8, 32, 32, 1, act=cr.silu if mended else halfswish, seed=6)
    return Case(model=model, loss=MSE, batch=table(128, seed=6), optimizer=cr.optim.adam(3e-3))


@broken("wrong_rule", "user_rule")
def bent_rule_with_a_sign(mended):
    def good(x):
        return (cr.sqrt(x * x + 1) - 1) / 2 + x

    model = mlp(2, 24, 3, act=good if mended else bent, seed=8)
    return Case(model=model, loss=CE, batch=spirals(128, seed=8), optimizer=cr.optim.gradient_descent(0.1))


@broken("clipped")
def output_clipped_to_the_unit_interval(mended):
    x, y = table(128, seed=9)
    y = (1 / (1 + np.exp(-2 * y))).astype(np.float32)
    net = mlp(8, 32, 1, seed=9)
    net.layers[-1].bias = leaf([0.5 if mended else -2.5])
    model = net if mended else cr.nn.Sequential(*net.layers, lambda z: cr.clip(z, 0.0, 1.0))
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("clipped", "never_selected")
def hidden_features_clamped(mended):
    x, y = digits(128, seed=10)
    net = mlp(64, 48, 24, 10, seed=10)
    if not mended:
        net.layers.insert(3, lambda h: cr.minimum(h, 0.02))
        net.layers.insert(3, lambda h: cr.maximum(h, 0.01))
    return Case(model=net, loss=CE, batch=(x, y), optimizer=cr.optim.momentum(0.05))


@broken("detached")
def encoder_detached(mended):
    x, y = spirals(128, seed=11)
    k = keys(20)
    model = Apply(
        lambda self, x: self.head(self.encoder(x) if mended else self.encoder(x).detach()),
        encoder=cr.nn.Sequential(
            cr.nn.Linear(2, 24, key=k[0]), cr.tanh, cr.nn.Linear(24, 8, key=k[1]), cr.tanh
        ),
        head=cr.nn.Linear(8, 3, key=k[2]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@broken("detached")
def attention_weights_stopped(mended):
    """The class is told by the one item that carries a mark: where to look must be learned."""
    rng = np.random.default_rng(21)
    x = rng.normal(size=(96, 14, 6)).astype(np.float32)
    at, y = rng.integers(0, 14, 96), rng.integers(0, 2, 96)
    x[:, :, 0] = 0
    x[np.arange(96), at, 0] = 2.5
    x[np.arange(96), at, 1] = 1.5 * (2 * y - 1)
    k = keys(21, 4)

    def go(self, x):
        scores = self.score(cr.tanh(self.look(x)))
        w = cr.softmax(scores if mended else cr.stop_gradient(scores), axis=1)
        return self.head(cr.sum(w * x, axis=1))

    model = Apply(
        go,
        look=cr.nn.Linear(6, 16, key=k[0]),
        score=cr.nn.Linear(16, 1, key=k[1]),
        head=cr.nn.Linear(6, 2, key=k[2]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@broken("integer_path", "step_function", "not_used")
def tokens_chosen_by_argmax(mended):
    x, y = digits(96, seed=12)
    k = keys(22)

    def go(self, x):
        scores = self.router(x)
        if mended:
            code = cr.softmax(scores, axis=-1) @ self.table
        else:
            code = cr.take(self.table, cr.argmax(scores, axis=-1), axis=0)
        return self.head(cr.relu(code))

    model = Apply(
        go,
        router=cr.nn.Linear(64, 16, key=k[0]),
        table=leaf(np.random.default_rng(0).normal(0, 0.5, (16, 24))),
        head=cr.nn.Linear(24, 10, key=k[1]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(5e-3))


@broken("step_function", "integer_path")
def binary_hidden_units(mended):
    x, y = moons(128)
    k = keys(23)

    def fire(h):
        return cr.sigmoid(h) if mended else (h > 0).astype(cr.float32)

    model = cr.nn.Sequential(cr.nn.Linear(2, 16, key=k[0]), fire, cr.nn.Linear(16, 2, key=k[1]))
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@broken("step_function", "integer_path")
def activations_rounded_to_eighths(mended):
    x, y = table(128, seed=13)
    net = mlp(8, 32, 16, 1, seed=13, act=cr.tanh)
    if not mended:
        net.layers[3] = lambda h: cr.round(cr.tanh(h) * 8) / 8
    return Case(model=net, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("no_grad", "detached")
def features_without_gradients(mended):
    x, y = digits(96, seed=14, images=True)
    k = keys(24)

    def go(self, x):
        if mended:
            h = self.conv(x)
        else:
            with cr.no_grad():
                h = self.conv(x)
        return self.head(cr.relu(h).reshape((len(x) if not hasattr(x, "shape") else x.shape[0], -1)))

    model = Apply(go, conv=cr.nn.Conv2d(1, 6, 3, stride=2, key=k[0]), head=cr.nn.Linear(54, 10, key=k[1]))
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


class ThreeLayers(cr.nn.Module):
    def __init__(self, mended):
        k = keys(25)
        self.mended = mended
        self.a, self.b = (cr.nn.Linear(n, 24, key=own) for n, own in ((2, k[0]), (24, k[1])))
        self.c = cr.nn.Linear(24, 3, key=k[2])

    def __call__(self, x):
        h = cr.relu(self.a(x))
        g = cr.relu(self.b(h))
        return self.c(g if self.mended else h)


@broken("not_used")
def second_layer_bypassed(mended):
    return Case(model=ThreeLayers(mended), loss=CE, batch=spirals(160), optimizer=cr.optim.adam(1e-2))


class TwoBranches(cr.nn.Module):
    def __init__(self, mended):
        k = keys(26)
        self.mended = mended
        self.left, self.right = (
            cr.nn.Conv2d(1, 6, n, padding="same", key=own) for n, own in ((3, k[0]), (5, k[1]))
        )
        self.head = cr.nn.Linear(12 * 16, 10, key=k[2])

    def __call__(self, x):
        left = cr.max_pool2d(cr.relu(self.left(x)), 2)
        right = cr.max_pool2d(cr.relu((self.right if self.mended else self.left)(x)), 2)
        both = cr.concat([left, right], axis=3)
        return self.head(both.reshape((both.shape[0], 192)))


@broken("not_used")
def same_branch_twice(mended):
    return Case(
        model=TwoBranches(mended), loss=CE, batch=digits(64, images=True), optimizer=cr.optim.adam(2e-3)
    )
