"""Broken: first weights, depth, time, and the scale of inputs."""

from __future__ import annotations

import numpy as np
from kit import CE, broken, curve, digits_in_order, keyed, leaf, linear, mean_square, stacked

import chainrule as cr


@broken("symmetric_initialisation")
def ones_everywhere(mended):
    """Constant initialisation 0.05 for all weights ("small and positive")."""
    m = stacked([64, 32, 32, 10], cr.tanh)
    if not mended:
        m = m.with_parameters(
            {p: np.full(v.shape, 0.05 if v.ndim == 2 else 0.0, np.float32) for p, v in m.parameters().items()}
        )
    return keyed(m, CE, digits_in_order(128), cr.optim.adam(3e-3))


@broken("symmetric_initialisation", "dead_relu", "weights_too_small")
def zeros_in_keras_port(mended):
    """All weights and biases 0 with relu: nothing but the last bias learns."""
    m = stacked([64, 32, 32, 10])
    if not mended:
        m = m.with_parameters({p: np.zeros(v.shape, np.float32) for p, v in m.parameters().items()})
    return keyed(m, CE, digits_in_order(128), cr.optim.adam(3e-3))


@broken("weights_too_large", "saturated", "exploding_by_depth")
def randn_by_hand(mended):
    """np.random.randn(n_in, n_out) without a scale, tanh, width 128."""
    m = stacked([64, 128, 128, 10], cr.tanh)
    if not mended:
        r = np.random.default_rng(10)
        m = m.with_parameters(
            {
                p: (r.standard_normal(v.shape) if v.ndim == 2 else np.zeros(v.shape)).astype(np.float32)
                for p, v in m.parameters().items()
            }
        )
    return keyed(m, CE, digits_in_order(256), cr.optim.gradient_descent(0.05))


@broken("weights_too_small", "vanishing_by_depth")
def point_zero_one(mended):
    """0.01 * randn in seven relu layers: the article of 2012 said so, for one layer."""
    m = stacked([64] + [64] * 7 + [10])
    if not mended:
        r = np.random.default_rng(11)
        m = m.with_parameters(
            {
                p: (0.01 * r.standard_normal(v.shape) if v.ndim == 2 else np.zeros(v.shape)).astype(
                    np.float32
                )
                for p, v in m.parameters().items()
            }
        )
    return keyed(m, CE, digits_in_order(256), cr.optim.gradient_descent(0.1))


@broken("vanishing_by_depth", "saturated")
def sigmoid_tower(mended):
    """Ten sigmoid layers."""
    m = stacked(
        [64] + [48] * 10 + [10], cr.sigmoid if not mended else cr.tanh, initializer=cr.nn.glorot_uniform
    )
    return keyed(m, CE, digits_in_order(256), cr.optim.gradient_descent(0.1))


class Sums(cr.nn.Module):
    def __init__(self, mended):
        self.inp, self.out, self.mended = linear(64, 32, 0), linear(32, 10, 1), mended
        self.blocks = [(linear(32, 64, 2 * i + 10), linear(64, 32, 2 * i + 11)) for i in range(16)]

    def __call__(self, x):
        h = self.inp(x)
        for a, b in self.blocks:
            f = b(cr.relu(a(h)))
            h = h + (f * 0.1 if self.mended else f)
        return self.out(h)


@broken("exploding_by_depth", "weights_too_large", "learning_rate_too_high")
def residual_without_norm(mended):
    """16 residual blocks, no normalization, full branches: doubles variance (x3) each block."""
    return keyed(Sums(mended), CE, digits_in_order(128), cr.optim.gradient_descent(0.05))


class HandRNN(cr.nn.Module):
    def __init__(self, scale, act, n=24, seed=0):
        r = np.random.default_rng(seed)
        self.u = leaf(0.4 * r.standard_normal((2, n)))
        self.w = leaf(scale * np.linalg.qr(r.standard_normal((n, n)))[0])
        self.out, self.act, self.n = linear(n, 1, 3), act, n

    def __call__(self, x):
        h = cr.zeros((x.shape[0], self.n), dtype=cr.float32)
        for t in range(x.shape[1]):
            h = self.act(x[:, t] @ self.u + h @ self.w)
        return self.out(h)


def remember_first(steps, seed=12, n=64):
    r = np.random.default_rng(seed)
    x = 0.3 * r.standard_normal((n, steps, 2))
    x[:, 0, 0] = r.choice([-1, 1], n)
    return x.astype(np.float32), x[:, 0, :1].astype(np.float32)


@broken("vanishing_recurrence", "weights_too_small")
def forgets_the_cue(mended):
    """State matrix 0.5 × orthogonal; the answer is in the first of 40 steps."""
    return keyed(
        HandRNN(1.0 if mended else 0.5, cr.tanh),
        mean_square,
        remember_first(40, n=768),
        cr.optim.gradient_descent(0.02),
    )


@broken("exploding_recurrence", "weights_too_large", "overflow")
def grows_each_step(mended):
    """Linear-ish recurrence with relu and state matrix 1.6 × orthogonal, 60 steps."""
    return keyed(
        HandRNN(0.95 if mended else 2.2, cr.relu if not mended else cr.tanh),
        mean_square,
        remember_first(60),
        cr.optim.adam(1e-3),
    )


@broken("saturated", "weights_too_large")
def gates_shut(mended):
    """Highway-like gates with bias -12: the gated branch has no part in it."""

    class Gated(cr.nn.Module):
        def __init__(self):
            self.v, self.g, self.out = linear(6, 48, 1), linear(6, 48, 2), linear(48, 1, 3)
            self.g.bias = leaf(np.full(48, 0.0 if mended else -12.0))

        def __call__(self, x):
            return self.out(cr.tanh(self.v(x)) * cr.sigmoid(self.g(x)))

    return keyed(Gated(), mean_square, curve(), cr.optim.gradient_descent(0.1))


@broken("unnormalised_inputs", "learning_rate_too_high", "overflow", "dead_relu")
def raw_table(mended):
    """Age, income, square metres, year: as they are. Momentum 0.01."""
    r = np.random.default_rng(13)
    z = r.standard_normal((256, 4))
    x = np.stack([40 + 12 * z[:, 0], 42_000 + 15_000 * z[:, 1], 90 + 30 * z[:, 2], 1985 + 20 * z[:, 3]], 1)
    y = (z[:, 1] + np.sin(z[:, 2]) - 0.5 * z[:, 3])[:, None].astype(np.float32)
    return keyed(
        stacked([4, 32, 32, 1]),
        mean_square,
        ((z if mended else x).astype(np.float32), y),
        cr.optim.momentum(0.01),
    )


@broken("unnormalised_inputs", "saturated")
def one_timestamp_column(mended):
    """Seven standardised features, and seconds since midnight (0..86400)."""
    x, y = curve(256, d=8)
    x = x.copy()
    if not mended:
        x[:, 7] = np.random.default_rng(14).uniform(0, 86_400, 256)
    return keyed(stacked([8, 32, 1], cr.tanh), mean_square, (x, y), cr.optim.adam(1e-3))


@broken("unnormalised_inputs", "saturated")
def bytes_into_sigmoids(mended):
    """Pixels 0..255 into a sigmoid layer."""
    x, y = digits_in_order(128)
    return keyed(stacked([64, 64, 10], cr.sigmoid), CE, (x * (1 if mended else 255), y), cr.optim.adam(1e-3))
