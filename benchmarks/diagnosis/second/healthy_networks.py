"""Healthy: architectures."""

from __future__ import annotations

import functools

import numpy as np
from kit import (
    CE,
    curve,
    digits_in_order,
    healthy,
    images_in_order,
    keyed,
    leaf,
    linear,
    mean_square,
    stacked,
)

import chainrule as cr


@healthy
def plain_digits():
    return keyed(stacked([64, 48, 10]), CE, digits_in_order(128), cr.optim.adam(1e-3))


@healthy
def log_softmax_then_cross_entropy():
    """log_softmax before a cross entropy of logits changes nothing: it is idempotent."""
    return keyed(
        cr.nn.Sequential(*stacked([64, 48, 10]).layers, lambda h: cr.log_softmax(h, axis=-1)),
        CE,
        digits_in_order(128),
        cr.optim.adam(1e-3),
    )


@healthy
def negative_log_likelihood_by_hand():
    m = cr.nn.Sequential(*stacked([64, 48, 10], cr.tanh).layers, functools.partial(cr.log_softmax, axis=-1))
    return keyed(
        m,
        lambda p, y: -cr.mean(cr.sum(p * cr.one_hot(y, 10, cr.float32), axis=1)),
        digits_in_order(96),
        cr.optim.momentum(0.1),
    )


@healthy
def smoothed_labels():
    return keyed(
        stacked([64, 64, 10], cr.gelu),
        functools.partial(CE, label_smoothing=0.15),
        digits_in_order(128),
        cr.optim.adamw(1e-3),
    )


@healthy
def conv_net_with_batch_norm():
    m = cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, bias=False, key=cr.random.key(1)),
        cr.nn.BatchNorm(8),
        cr.relu,
        cr.nn.MaxPool2d(2),
        cr.nn.Flatten(),
        cr.nn.Dropout(0.3),
        linear(72, 10, 2),
    )
    return keyed(m, CE, images_in_order(64), cr.optim.adam(3e-3))


@healthy
def depthwise_separable():
    m = cr.nn.Sequential(
        cr.nn.Conv2d(1, 12, 3, padding="same", key=cr.random.key(1)),
        cr.silu,
        cr.nn.Conv2d(12, 12, 3, groups=12, padding="same", key=cr.random.key(2)),
        cr.nn.GroupNorm(4, 12),
        cr.silu,
        cr.nn.Conv2d(12, 24, 1, key=cr.random.key(3)),
        cr.silu,
        cr.nn.GlobalAveragePool(),
        linear(24, 10, 4),
    )
    return keyed(m, CE, images_in_order(64), cr.optim.adam(5e-3))


class PreNorm(cr.nn.Module):
    def __init__(self, depth=14, width=32):
        self.inp, self.out, self.last = linear(64, width, 0), linear(width, 10, 1), cr.nn.LayerNorm(width)
        self.norms = [cr.nn.LayerNorm(width) for _ in range(depth)]
        self.ups = [linear(width, 2 * width, 2 * i + 50) for i in range(depth)]
        self.downs = [
            linear(2 * width, width, 2 * i + 51, initializer=cr.nn.lecun_normal) for i in range(depth)
        ]

    def __call__(self, x):
        h = self.inp(x)
        for n, u, d in zip(self.norms, self.ups, self.downs, strict=True):
            h = h + d(cr.gelu(u(n(h))))
        return self.out(self.last(h))


@healthy
def deep_prenorm_residuals():
    return keyed(PreNorm(), CE, digits_in_order(96), cr.optim.adam(cr.optim.warm_up(1e-3, updates=20)))


@healthy
def rezero():
    """Residual branches times a scalar that starts at 0: they have no gradient in the first step, by design."""

    class ReZero(cr.nn.Module):
        def __init__(self):
            self.inp, self.out = linear(6, 32, 0), linear(32, 1, 1)
            self.layers = [linear(32, 32, 10 + i) for i in range(6)]
            self.alpha = [leaf(0.0) for _ in range(6)]

        def __call__(self, x):
            h = self.inp(x)
            for a, l in zip(self.alpha, self.layers, strict=True):
                h = h + a * cr.tanh(l(h))
            return self.out(h)

    return keyed(ReZero(), mean_square, curve(), cr.optim.adam(5e-3))


@healthy
def zero_last_layer():
    """The last layer starts at 0, so that all classes are equally likely; below, gradients come from step 2 on."""
    m = stacked([64, 48, 10])
    m.layers[2].weight = leaf(np.zeros((48, 10)))
    return keyed(m, CE, digits_in_order(128), cr.optim.adam(1e-3))


@healthy
def logistic_regression_from_zero():
    m = linear(64, 10, 0).with_parameters(
        {"weight": np.zeros((64, 10), np.float32), "bias": np.zeros(10, np.float32)}
    )
    return keyed(m, CE, digits_in_order(256), cr.optim.gradient_descent(0.5))


@healthy
def ridge_on_counts():
    r = np.random.default_rng(1)
    x = r.poisson(0.4, (200, 30)).astype(np.float32)
    return keyed(
        linear(30, 1, 0),
        mean_square,
        (x, (x @ r.standard_normal((30, 1))).astype(np.float32)),
        cr.optim.adam(2e-2, weight_decay=1e-3),
    )


@healthy
def low_rank_linear():
    """Two linear layers with 4 features between: a factorised matrix, meant so; the data are linear."""
    r = np.random.default_rng(2)
    x = r.standard_normal((128, 40)).astype(np.float32)
    y = (x @ r.standard_normal((40, 3)) @ r.standard_normal((3, 20)) / 6).astype(np.float32)
    return keyed(
        cr.nn.Sequential(linear(40, 4, 1, bias=False), linear(4, 20, 2)),
        mean_square,
        (x, y),
        cr.optim.adam(1e-2),
    )


@healthy
def tied_autoencoder():
    class Tied(cr.nn.Module):
        def __init__(self):
            self.w, self.b, self.c = (
                leaf(0.1 * np.random.default_rng(3).standard_normal((64, 20))),
                leaf(np.zeros(20)),
                leaf(np.zeros(64)),
            )

        def __call__(self, x):
            return cr.sigmoid(cr.tanh(x @ self.w + self.b) @ self.w.T + self.c)

    x, _ = digits_in_order(128)
    return keyed(Tied(), mean_square, (x, x), cr.optim.adam(1e-2))


class LM(cr.nn.Module):
    """One transformer block, the table used for input and output."""

    def __init__(self, v=14, d=24):
        self.table = cr.nn.Embedding(v, d, key=cr.random.key(1))
        self.table.weight = leaf(self.table.weight.numpy() * d**-0.5)
        self.place = leaf(0.1 * np.random.default_rng(4).standard_normal((20, d)))
        self.att, self.n1, self.n2, self.n3 = (
            cr.nn.MultiHeadAttention(d, 3, key=cr.random.key(2), causal=True),
            cr.nn.LayerNorm(d),
            cr.nn.LayerNorm(d),
            cr.nn.LayerNorm(d),
        )
        self.up, self.down = linear(d, 2 * d, 5), linear(2 * d, d, 6)

    def __call__(self, x):
        h = self.table(x) + self.place
        h = h + self.att(self.n1(h))
        h = h + self.down(cr.gelu(self.up(self.n2(h))))
        return self.n3(h) @ self.table.weight.T


@healthy
def tied_language_model():
    r = np.random.default_rng(5)
    s = np.cumsum(r.choice([1, 1, 1, 3], (32, 21)), axis=1) % 14
    return keyed(
        LM(),
        lambda p, y: CE(p.reshape((-1, 14)), y.reshape((-1,))),
        (s[:, :-1], s[:, 1:]),
        cr.optim.clip_by_norm(cr.optim.adamw(3e-3), 1.0),
    )


@healthy
def bidirectional_filling_in():
    """Masked positions are filled in by attention to both sides: seeing the future is right here."""

    class Fill(cr.nn.Module):
        def __init__(self):
            self.table, self.place = (
                cr.nn.Embedding(9, 24, key=cr.random.key(1)),
                leaf(0.3 * np.random.default_rng(6).standard_normal((12, 24))),
            )
            self.att, self.norm, self.out = (
                cr.nn.MultiHeadAttention(24, 2, key=cr.random.key(2)),
                cr.nn.LayerNorm(24),
                linear(24, 8, 3),
            )

        def __call__(self, x):
            h = self.table(x) + self.place
            return self.out(self.norm(h + self.att(h)))

    r = np.random.default_rng(7)
    s = (r.integers(0, 8, (64, 1)) + np.arange(12)) % 8
    hole = r.random(s.shape) < 0.2
    y = np.where(hole, s, -1)

    def loss(p, y):
        on = (y >= 0).astype(cr.float32)
        lp = cr.log_softmax(p, axis=-1) * cr.one_hot(cr.maximum(y, 0), 8, cr.float32)
        return -cr.sum(cr.sum(lp, axis=2) * on) / cr.maximum(cr.sum(on), 1.0)

    return keyed(Fill(), loss, (np.where(hole, 8, s), y), cr.optim.adam(5e-3))


@healthy
def lstm_adding():
    r = np.random.default_rng(8)
    x = np.stack([r.random((64, 20)), np.zeros((64, 20))], 2)
    for row in x:
        row[r.choice(20, 2, replace=False), 1] = 1
    y = (x[:, :, 0] * x[:, :, 1]).sum(1, keepdims=True)
    m = cr.nn.Sequential(cr.nn.LSTM(2, 24, key=cr.random.key(1), returns="last"), linear(24, 1, 2))
    return keyed(
        m,
        mean_square,
        (x.astype(np.float32), y.astype(np.float32)),
        cr.optim.clip_by_norm(cr.optim.adam(1e-2), 1.0),
    )


@healthy
def gru_tagger():
    r = np.random.default_rng(9)
    x = r.standard_normal((32, 15, 3)).astype(np.float32)
    y = (np.cumsum(x[:, :, 0], 1) > 0).astype(int)
    m = cr.nn.Sequential(cr.nn.GRU(3, 16, key=cr.random.key(1), returns="sequence"), linear(16, 2, 2))
    return keyed(m, lambda p, y: CE(p.reshape((-1, 2)), y.reshape((-1,))), (x, y), cr.optim.adam(1e-2))


@healthy
def leaky_integrator():
    """A recurrence with a learned time constant, by scan."""

    class Leak(cr.nn.Module):
        def __init__(self):
            self.a, self.inp, self.out = leaf(np.full(8, 1.0)), linear(1, 8, 1), linear(8, 1, 2)

        def __call__(self, x):
            u = cr.moveaxis(self.inp(x), 1, 0)
            d = cr.sigmoid(self.a)
            h, _ = cr.scan(
                lambda h, z: (d * h + (1 - d) * z, h), cr.zeros((x.shape[0], 8), dtype=cr.float32), u
            )
            return self.out(h)

    r = np.random.default_rng(10)
    x = r.standard_normal((64, 25, 1)).astype(np.float32)
    w = 0.8 ** np.arange(25)[::-1]
    return keyed(Leak(), mean_square, (x, (x[:, :, 0] @ w)[:, None].astype(np.float32)), cr.optim.adam(2e-2))


@healthy
def gated_units():
    class GLU(cr.nn.Module):
        def __init__(self):
            self.a, self.b, self.c = linear(6, 64, 1), linear(32, 64, 2), linear(32, 1, 3)

        def __call__(self, x):
            for l in (self.a, self.b):
                h = l(x)
                x = h[:, :32] * cr.sigmoid(h[:, 32:])
            return self.c(x)

    return keyed(GLU(), mean_square, curve(), cr.optim.adam(5e-3))


@healthy
def highway_from_carry():
    """Gates start at -2: mostly carried, as the paper advises."""

    class Highway(cr.nn.Module):
        def __init__(self):
            self.inp, self.out = linear(64, 24, 0), linear(24, 10, 1)
            self.t, self.h = (
                [linear(24, 24, 10 + i) for i in range(8)],
                [linear(24, 24, 30 + i) for i in range(8)],
            )
            for t in self.t:
                t.bias = leaf(np.full(24, -2.0))

        def __call__(self, x):
            x = self.inp(x)
            for t, h in zip(self.t, self.h, strict=True):
                g = cr.sigmoid(t(x))
                x = g * cr.relu(h(x)) + (1 - g) * x
            return self.out(x)

    return keyed(Highway(), CE, digits_in_order(96), cr.optim.adam(2e-3))


@healthy
def token_mixer():
    """Mixes the tokens of each example by a transposition, not the examples."""

    class Mixer(cr.nn.Module):
        def __init__(self):
            self.emb, self.tok, self.ch, self.out = (
                linear(8, 16, 1),
                linear(8, 8, 2),
                linear(16, 16, 3),
                linear(16, 10, 4),
            )
            self.n1, self.n2 = cr.nn.LayerNorm(16), cr.nn.LayerNorm(16)

        def __call__(self, x):
            h = self.emb(x.reshape((-1, 8, 8)))
            h = h + cr.swapaxes(cr.gelu(self.tok(cr.swapaxes(self.n1(h), 1, 2))), 1, 2)
            h = h + cr.gelu(self.ch(self.n2(h)))
            return self.out(cr.mean(h, axis=1))

    return keyed(Mixer(), CE, digits_in_order(96), cr.optim.adam(5e-3))
