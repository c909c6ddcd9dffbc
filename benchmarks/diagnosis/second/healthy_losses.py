"""Healthy: losses, noise and stops that look odd and are not."""

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
def quantile_triplet():
    q = np.array([0.1, 0.5, 0.9], np.float32)
    loss = lambda p, y: cr.mean(cr.maximum(q * (y - p), (q - 1) * (y - p)))
    return keyed(stacked([6, 48, 3]), loss, curve(256), cr.optim.adam(5e-3))


@healthy
def focal():
    x, y = digits_in_order(256)
    t = (y == 3).astype(np.float32)[:, None]

    def loss(p, y):
        s = cr.where(y > 0.5, p, -p)
        return -cr.mean((1 - cr.sigmoid(s)) ** 2 * cr.log_sigmoid(s))

    return keyed(stacked([64, 32, 1]), loss, (x, t), cr.optim.adam(2e-3))


@healthy
def dice():
    """Segmentation of the bright pixels, blurred inputs: dice loss over each picture."""
    x, _ = images_in_order(48)
    y = (x > 0.5).astype(np.float32)
    r = np.random.default_rng(11)

    def loss(p, y):
        p = cr.sigmoid(p)
        inter, total = cr.sum(p * y, axis=(1, 2, 3)), cr.sum(p, axis=(1, 2, 3)) + cr.sum(y, axis=(1, 2, 3))
        return cr.mean(1 - (2 * inter + 1) / (total + 1))

    m = cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, padding="same", key=cr.random.key(1)),
        cr.relu,
        cr.nn.Conv2d(8, 1, 3, padding="same", key=cr.random.key(2)),
    )
    return keyed(m, loss, ((x + 0.3 * r.standard_normal(x.shape)).astype(np.float32), y), cr.optim.adam(5e-3))


@healthy
def alignment_free_labels():
    """CTC-like: sum over all monotone alignments of 3 labels to 8 frames, by logaddexp."""

    class Frames(cr.nn.Module):
        def __init__(self):
            self.a, self.b = linear(5, 24, 1), linear(24, 4, 2)

        def __call__(self, x):
            return cr.log_softmax(self.b(cr.tanh(self.a(x))), axis=-1)

    def loss(lp, y):
        e = cr.einsum("ntk,nsk->nts", lp, cr.one_hot(y, 4, cr.float32))
        start = cr.asarray(np.array([0, -1e4, -1e4], np.float32))
        a = e[:, 0] + start
        low = cr.full((e.shape[0], 1), -1e4, dtype=cr.float32)
        for t in range(1, 8):
            a = e[:, t] + cr.logaddexp(a, cr.concat([low, a[:, :-1]], axis=1))
        return -cr.mean(a[:, -1])

    r = np.random.default_rng(12)
    y = np.stack([r.permutation(4)[:3] for _ in range(48)])
    seg = np.sort(np.stack([np.r_[0, r.choice(np.arange(1, 8), 2, replace=False)] for _ in range(48)]), 1)
    which = (np.arange(8)[None, :, None] >= seg[:, None, :]).sum(2) - 1
    x = np.eye(5)[np.take_along_axis(y, which, 1)] + 0.2 * r.standard_normal((48, 8, 5))
    return keyed(Frames(), loss, (x.astype(np.float32), y), cr.optim.adam(1e-2))


@healthy
def info_nce():
    """Negatives are the others in the batch; y are the positives."""

    class Enc(cr.nn.Module):
        def __init__(self):
            self.f = stacked([10, 32, 8], cr.relu)

        def __call__(self, x):
            a, b = self.f(x[:, :10]), self.f(x[:, 10:])
            unit = lambda z: z / cr.sqrt(cr.sum(z * z, axis=1, keepdims=True) + 1e-6)
            return unit(a) @ unit(b).T / 0.2

    r = np.random.default_rng(13)
    a = r.standard_normal((48, 10))
    x = np.concatenate([a, a + 0.4 * r.standard_normal(a.shape)], 1).astype(np.float32)
    return keyed(Enc(), CE, (x, np.arange(48)), cr.optim.adam(3e-3))


@healthy
def learned_variance():
    def loss(p, y):
        mu, s = p[:, :1], p[:, 1:]
        return cr.mean(0.5 * s + 0.5 * (y - mu) ** 2 * cr.exp(-s))

    return keyed(stacked([6, 48, 2], cr.tanh), loss, curve(256), cr.optim.adam(5e-3))


@healthy
def mixture_density():
    def loss(p, y):
        w, mu, s = cr.log_softmax(p[:, :3], axis=1), p[:, 3:6], cr.softplus(p[:, 6:]) + 0.05
        return -cr.mean(cr.logsumexp(w - cr.log(s) - 0.5 * ((y - mu) / s) ** 2, axis=1))

    r = np.random.default_rng(14)
    x = r.uniform(-1, 1, (200, 1))
    y = x + r.choice([-1, 1], (200, 1)) * 0.7 + 0.1 * r.standard_normal((200, 1))
    return keyed(
        stacked([1, 32, 9], cr.tanh), loss, (x.astype(np.float32), y.astype(np.float32)), cr.optim.adam(1e-2)
    )


@healthy
def poisson_counts():
    r = np.random.default_rng(15)
    x = r.standard_normal((200, 5)).astype(np.float32)
    y = r.poisson(np.exp(0.6 * x[:, :1] + 0.4)).astype(np.float32)
    return keyed(
        stacked([5, 16, 1], cr.tanh), lambda p, y: cr.mean(cr.exp(p) - y * p), (x, y), cr.optim.adam(1e-2)
    )


@healthy
def celsius():
    """Temperatures of 18 ± 4, raw, with a bias that starts at their mean."""
    x, y = curve(200)
    m = stacked([6, 48, 1])
    m.layers[2].bias = leaf([18.0])
    return keyed(m, mean_square, (x, (18 + 4 * y).astype(np.float32)), cr.optim.adam(1e-2))


@healthy
def offset_learned():
    """Targets around 5 with deviation 1; Adam's 2e-2 gets there soon."""
    x, y = curve(200)
    return keyed(stacked([6, 32, 1], cr.tanh), cr.nn.huber, (x, 5 + y), cr.optim.adam(2e-2))


@healthy
def frozen_random_features():
    """The features are fixed on purpose: a Buffer."""

    class Random(cr.nn.Module):
        def __init__(self):
            r = np.random.default_rng(16)
            self.w = cr.nn.Buffer(cr.asarray((r.standard_normal((6, 200))).astype(np.float32)))
            self.p = cr.nn.Buffer(cr.asarray(r.uniform(0, 6.28, 200).astype(np.float32)))
            self.out = linear(200, 1, 1)

        def __call__(self, x):
            return self.out(cr.cos(x @ self.w.value + self.p.value))

    return keyed(Random(), mean_square, curve(256), cr.optim.adam(1e-2))


@healthy
def vector_quantised():
    """Nearest code with straight-through; argmin and stop_gradient are meant so."""

    class VQ(cr.nn.Module):
        def __init__(self):
            self.enc, self.dec = stacked([64, 32, 6]), stacked([6, 32, 64], seed=1)
            self.codes = leaf(0.7 * np.random.default_rng(17).standard_normal((12, 6)))

        def __call__(self, x):
            z = self.enc(x)
            d = cr.sum((z[:, None, :] - self.codes[None]) ** 2, axis=2)
            q = self.codes[cr.argmin(d, axis=1)]
            out = self.dec(z + cr.stop_gradient(q - z))
            extra = cr.mean(
                (q - cr.stop_gradient(z)) ** 2 + 0.25 * (z - cr.stop_gradient(q)) ** 2, axis=1, keepdims=True
            )
            return cr.concat([out, extra], axis=1)

    x, _ = digits_in_order(128)
    return keyed(
        VQ(), lambda p, y: cr.mean((p[:, :64] - y) ** 2) + cr.mean(p[:, 64:]), (x, x), cr.optim.adam(3e-3)
    )


@healthy
def variational():
    class VAE(cr.nn.Module):
        def __init__(self):
            self.enc, self.dec = stacked([64, 48, 8]), stacked([4, 48, 64], seed=1)

        def __call__(self, x, training=None):
            h = self.enc(x)
            mu, s = h[:, :4], h[:, 4:]
            z = (
                mu
                if training is None
                else mu + cr.exp(0.5 * s) * cr.random.normal(training.next_key("z"), mu.shape, cr.float32)
            )
            return cr.concat([self.dec(z), mu, s], axis=1)

    def loss(p, y):
        mu, s = p[:, 64:68], p[:, 68:]
        return cr.mean(cr.nn.binary_cross_entropy(p[:, :64], y, reduction="none")) * 64 - 0.5 * cr.mean(
            cr.sum(1 + s - mu**2 - cr.exp(s), axis=1)
        )

    x, _ = digits_in_order(128)
    return keyed(VAE(), loss, (x, x), cr.optim.adam(2e-3))
