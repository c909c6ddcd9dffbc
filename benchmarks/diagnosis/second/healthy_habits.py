"""Healthy: widths, inputs, optimizers, starts and habits that look odd and are not."""

from __future__ import annotations

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
def wide():
    return keyed(stacked([64, 1500, 10]), CE, digits_in_order(64), cr.optim.adam(3e-4))


@healthy
def four_examples():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    return keyed(
        stacked([2, 8, 1], cr.tanh, seed=2),
        lambda p, y: cr.nn.binary_cross_entropy(p, y),
        (x, np.array([[0], [1], [1], [0]], np.float32)),
        cr.optim.nesterov(0.5, 0.9),
    )


@healthy
def inputs_of_size_four():
    x, y = curve(200)
    return keyed(stacked([6, 48, 1]), mean_square, (4 * x, y), cr.optim.adam(3e-3))


@healthy
def inputs_of_mixed_size():
    """Columns with deviations of 0.3 to 5 and means up to 3."""
    x, y = curve(200)
    x = (x * np.array([1, 2, 0.5, 5, 0.3, 3]) + np.array([0, 3, 1, -2, 0, 3])).astype(np.float32)
    return keyed(stacked([6, 48, 1]), cr.nn.absolute_error, (x, y), cr.optim.rmsprop(1e-3))


@healthy
def heavy_momentum():
    return keyed(stacked([64, 48, 10]), CE, digits_in_order(128), cr.optim.momentum(0.005, decay=0.98))


@healthy
def adagrad_fast():
    return keyed(stacked([64, 48, 10]), CE, digits_in_order(128), cr.optim.adagrad(0.05))


@healthy
def one_cycle():
    return keyed(
        stacked([64, 48, 10]), CE, digits_in_order(128), cr.optim.adam(cr.optim.one_cycle(1e-2, updates=300))
    )


@healthy
def cosine_with_warm_up():
    rate = cr.optim.warm_up(cr.optim.cosine(0.3, updates=500), updates=40)
    return keyed(
        stacked([64, 48, 10], cr.tanh),
        CE,
        digits_in_order(256),
        cr.optim.clip_by_norm(cr.optim.gradient_descent(rate), 1.0),
    )


@healthy
def bag_of_words():
    r = np.random.default_rng(18)
    x = (r.random((150, 400)) < 0.03).astype(np.float32)
    y = (x[:, :60].sum(1) > x[:, 60:120].sum(1)).astype(int)
    return keyed(stacked([400, 32, 2]), CE, (x, y), cr.optim.adam(3e-3))


@healthy
def one_in_seven():
    r = np.random.default_rng(19)
    x = r.standard_normal((280, 8)).astype(np.float32)
    t = ((x[:, 0] + x[:, 1] ** 2 - 0.3 * x[:, 2]) > 2.0).astype(np.float32)[:, None]
    return keyed(stacked([8, 32, 1]), cr.nn.binary_cross_entropy, (x, t), cr.optim.adam(3e-3))


def trained(model, loss, batch, optimizer, n):
    step = cr.train.compile_step(model, loss, optimizer, key=cr.random.key(3))
    for _ in range(n):
        step(*batch)
    return step.model


@healthy
def nearly_converged():
    x, y = digits_in_order(256)
    m = trained(stacked([64, 64, 10]), CE, (x, y), cr.optim.adam(3e-3), 300)
    return keyed(m, CE, (x, y), cr.optim.adam(1e-4))


@healthy
def trained_half_way_conv():
    m = cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, key=cr.random.key(1)),
        cr.nn.BatchNorm(8),
        cr.relu,
        cr.nn.Flatten(),
        cr.nn.Dropout(0.2),
        linear(288, 10, 2),
    )
    return keyed(
        trained(m, CE, images_in_order(64), cr.optim.adam(1e-2), 60),
        CE,
        images_in_order(64, 64),
        cr.optim.adam(1e-3),
    )


@healthy
def siren():
    """Sines with weights in the paper's range, which look large."""
    r = np.random.default_rng(20)

    class Siren(cr.nn.Module):
        def __init__(self):
            self.w0, self.b0 = leaf(r.uniform(-1, 1, (1, 48))), leaf(r.uniform(-1, 1, 48))
            c = np.sqrt(6 / 48) / 20
            self.w1, self.b1 = leaf(r.uniform(-c, c, (48, 48))), leaf(np.zeros(48))
            self.out = linear(48, 1, 1, initializer=cr.nn.lecun_normal)

        def __call__(self, x):
            h = cr.sin(20 * (x @ self.w0 + self.b0))
            return self.out(cr.sin(20 * (h @ self.w1 + self.b1)))

    x = np.linspace(-1, 1, 160).astype(np.float32)[:, None]
    return keyed(
        Siren(),
        mean_square,
        (x, (np.sin(12 * x) * np.exp(-x * x) + 0.3 * np.sin(31 * x)).astype(np.float32)),
        cr.optim.adam(1e-3),
    )


@healthy
def linear_svm():
    r = np.random.default_rng(21)
    x = r.standard_normal((200, 12)).astype(np.float32)
    t = np.sign(x @ r.standard_normal((12, 1)) + 0.2).astype(np.float32)

    def loss(model, x, y):
        return cr.mean(cr.relu(1 - y * model(x))) + 1e-3 * cr.sum(model.weight**2)

    return keyed(linear(12, 1, 0), loss, (x, t), cr.optim.gradient_descent(0.1))


@healthy
def maxout():
    m = cr.nn.Sequential(cr.nn.Maxout(64, 24, 3, key=cr.random.key(1)), linear(24, 10, 2))
    return keyed(m, CE, digits_in_order(96), cr.optim.adam(2e-3))


@healthy
def soft_experts():
    class MoE(cr.nn.Module):
        def __init__(self):
            self.router, self.experts = (
                linear(6, 3, 1),
                [stacked([6, 16, 1], cr.tanh, seed=i + 1) for i in range(3)],
            )

        def __call__(self, x):
            return cr.sum(
                cr.softmax(self.router(x), axis=1)[:, :, None]
                * cr.stack([e(x) for e in self.experts], axis=1),
                axis=1,
            )

    return keyed(MoE(), mean_square, curve(256), cr.optim.adam(1e-2))


@healthy
def shuffled_batches():
    x, y = digits_in_order(512)
    m = cr.nn.Sequential(linear(64, 48, 1), cr.nn.BatchNorm(48), cr.relu, linear(48, 10, 2))
    return keyed(m, CE, [(x[i : i + 32], y[i : i + 32]) for i in range(0, 512, 32)], cr.optim.momentum(0.05))


@healthy
def bounded_targets():
    x, y = curve(200)
    return keyed(
        cr.nn.Sequential(*stacked([6, 48, 1]).layers, cr.tanh),
        mean_square,
        (x, (0.9 * np.tanh(y)).astype(np.float32)),
        cr.optim.adam(3e-3),
    )


@healthy
def graph_of_each_example():
    """Every example is a small graph: nodes pass messages along its own adjacency matrix."""

    class Graph(cr.nn.Module):
        def __init__(self):
            self.a, self.b, self.out = linear(3, 24, 1), linear(24, 24, 2), linear(24, 1, 3)

        def __call__(self, x):
            adj, f = x[:, :, :7], x[:, :, 7:]
            adj = adj / (cr.sum(adj, axis=2, keepdims=True) + 1e-6)
            for l in (self.a, self.b):
                f = cr.relu(l(adj @ f))
            return self.out(cr.mean(f, axis=1))

    r = np.random.default_rng(22)
    adj = (r.random((64, 7, 7)) < 0.4) | np.eye(7, dtype=bool)
    f = r.standard_normal((64, 7, 3))
    y = ((adj / adj.sum(2, keepdims=True)) @ f)[:, :, 0].clip(0).mean(1, keepdims=True) * 3
    return keyed(
        Graph(),
        mean_square,
        (np.concatenate([adj, f], 2).astype(np.float32), y.astype(np.float32)),
        cr.optim.adam(1e-2),
    )


@healthy
def pairwise_ranking():
    """RankNet: the loss compares all pairs of the batch, (n, 1) against (1, n) on purpose."""

    def loss(p, y):
        d, want = p - p.T, cr.sign(y - y.T)
        return cr.mean(cr.softplus(-d * want) * cr.abs(want))

    return keyed(stacked([6, 32, 1]), loss, curve(96), cr.optim.adam(3e-3))


@healthy
def two_heads():
    def loss(p, y):
        return CE(p[:, :10], y[:, 0].astype(cr.int64)) + 0.5 * cr.mean((p[:, 10:] - y[:, 1:]) ** 2)

    x, y = digits_in_order(128)
    return keyed(
        stacked([64, 48, 11]),
        loss,
        (x, np.stack([y, x.mean(1) * 5], 1).astype(np.float32)),
        cr.optim.adam(2e-3),
    )


@healthy
def euler_steps():
    """A neural ODE: 10 steps with one shared small field."""

    class Ode(cr.nn.Module):
        def __init__(self):
            self.a, self.b = linear(2, 24, 1), linear(24, 2, 2)

        def __call__(self, x):
            for _ in range(10):
                x = x + 0.1 * self.b(cr.tanh(self.a(x)))
            return x

    r = np.random.default_rng(23)
    x = r.standard_normal((128, 2))
    c, s = np.cos(1.2), np.sin(1.2)
    return keyed(
        Ode(),
        mean_square,
        (x.astype(np.float32), (x @ np.array([[c, s], [-s, c]])).astype(np.float32)),
        cr.optim.adam(1e-2),
    )


@healthy
def self_distillation():
    """Targets of one branch are stopped, and a predictor learns them (BYOL-like) beside the task itself."""

    class Both(cr.nn.Module):
        def __init__(self):
            self.f, self.pred, self.out = stacked([64, 48, 16]), linear(16, 16, 5), linear(16, 10, 6)

        def __call__(self, x):
            z = self.f(x)
            t = cr.stop_gradient(self.f(0.9 * x))
            return cr.concat([self.out(cr.tanh(z)), self.pred(z) - t], axis=1)

    return keyed(
        Both(),
        lambda p, y: CE(p[:, :10], y) + 0.1 * cr.mean(p[:, 10:] ** 2),
        digits_in_order(96),
        cr.optim.adam(2e-3),
    )


@healthy
def safe_distances():
    """Stress with an epsilon under the root."""

    def loss(z, y):
        d2 = cr.sum((z[:, None, :] - z[None, :, :]) ** 2, axis=2)
        return cr.mean((cr.sqrt(d2 + 1e-6) - y) ** 2)

    x, _ = digits_in_order(48)
    return keyed(
        stacked([64, 32, 2], cr.tanh),
        loss,
        (x, np.linalg.norm(x[:, None] - x[None], axis=2).astype(np.float32)),
        cr.optim.adam(3e-3),
    )


@healthy
def relative_error_of_positive_targets():
    """MAPE with targets from 5 to 60: nothing near 0; log link."""
    x, y = curve(200)
    return keyed(
        stacked([6, 32, 1], cr.tanh),
        lambda p, y: cr.mean(cr.abs(cr.exp(p + 2.5) - y) / y),
        (x, np.exp(2.7 + 0.5 * np.clip(y, -2, 2)).astype(np.float32)),
        cr.optim.adam(5e-3),
    )


@healthy
def sparse_relu_code():
    """Autoencoder with an L1 penalty on its code: many zeros are wanted."""

    class Sparse(cr.nn.Module):
        def __init__(self):
            self.enc, self.dec = linear(64, 128, 1), linear(128, 64, 2, initializer=cr.nn.lecun_normal)

        def __call__(self, x):
            h = cr.relu(self.enc(x) - 0.3)
            return cr.concat([self.dec(h), h], axis=1)

    x, _ = digits_in_order(128)
    return keyed(
        Sparse(),
        lambda p, y: mean_square(p[:, :64], y) + 3e-3 * cr.mean(p[:, 64:]),
        (x, x),
        cr.optim.adam(2e-3),
    )


@healthy
def actor_critic():
    """The advantage is stopped on purpose; the loss may be negative."""

    def loss(p, y):
        v, a, ret = p[:, 3], y[:, 0].astype(cr.int64), y[:, 1]
        adv = cr.stop_gradient(ret - v)
        lp = cr.log_softmax(p[:, :3], axis=1)
        ent = -cr.mean(cr.sum(cr.exp(lp) * lp, axis=1))
        return (
            -cr.mean(cr.sum(lp * cr.one_hot(a, 3, cr.float32), axis=1) * adv)
            + 0.5 * cr.mean((ret - v) ** 2)
            - 0.01 * ent
        )

    r = np.random.default_rng(24)
    x = r.standard_normal((256, 5)).astype(np.float32)
    a = r.integers(0, 3, 256)
    ret = (a == np.argmax(x[:, :3], 1)) * 1.0 + 0.1 * r.standard_normal(256)
    return keyed(
        stacked([5, 32, 4], cr.tanh), loss, (x, np.stack([a, ret], 1).astype(np.float32)), cr.optim.adam(3e-3)
    )


@healthy
def small_head_scale():
    """Last layer with std 0.01, as detection heads have."""
    m = stacked([64, 48, 10])
    m.layers[2].weight = leaf(0.01 * np.random.default_rng(25).standard_normal((48, 10)))
    return keyed(m, CE, digits_in_order(128), cr.optim.adam(2e-3))


@healthy
def masked_sequences():
    """Padded sequences, mean over live steps only; each has at least two."""

    class Masked(cr.nn.Module):
        def __init__(self):
            self.a, self.b = linear(4, 24, 1), linear(24, 3, 2)

        def __call__(self, x):
            live = x[:, :, 3:]
            h = cr.relu(self.a(x)) * live
            return self.b(cr.sum(h, axis=1) / cr.sum(live, axis=1))

    r = np.random.default_rng(26)
    y = r.integers(0, 3, 72)
    live = (np.arange(10) < r.integers(2, 11, (72, 1))).astype(float)
    x = (np.eye(3)[y][:, None, :] * 0.8 + 0.6 * r.standard_normal((72, 10, 3))) * live[:, :, None]
    return keyed(
        Masked(), CE, (np.concatenate([x, live[:, :, None]], 2).astype(np.float32), y), cr.optim.adam(5e-3)
    )


@healthy
def wide_and_deep():
    """A linear path on one-hot crosses beside a deep path on numbers."""

    class WD(cr.nn.Module):
        def __init__(self):
            self.wide, self.deep = linear(40, 1, 1, initializer=cr.nn.glorot_uniform), stacked([5, 24, 1])

        def __call__(self, x):
            return self.wide(x[:, :40]) + self.deep(x[:, 40:])

    r = np.random.default_rng(27)
    c = r.integers(0, 40, 240)
    z = r.standard_normal((240, 5))
    t = (r.standard_normal(40)[c] + z[:, 0] * z[:, 1] > 0).astype(np.float32)[:, None]
    return keyed(
        WD(),
        cr.nn.binary_cross_entropy,
        (np.concatenate([np.eye(40)[c], z], 1).astype(np.float32), t),
        cr.optim.adam(1e-2),
    )


@healthy
def ordinal_cutpoints():
    """Cumulative logits with ordered cut points, steps by softplus."""

    class Ordinal(cr.nn.Module):
        def __init__(self):
            self.f, self.first, self.steps = stacked([6, 24, 1], cr.tanh), leaf([-1.0]), leaf(np.zeros(3))

        def __call__(self, x):
            return cr.concat([self.first, self.first + cr.cumsum(cr.softplus(self.steps))]) - self.f(x)

    x, y = curve(200)
    g = np.digitize(y[:, 0], [-0.9, -0.2, 0.3, 0.9])
    t = (g[:, None] <= np.arange(4)).astype(np.float32)
    return keyed(Ordinal(), cr.nn.binary_cross_entropy, (x, t), cr.optim.adam(1e-2))
