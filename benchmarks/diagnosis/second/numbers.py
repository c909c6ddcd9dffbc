"""Broken: poles, overflow, rounding."""

from __future__ import annotations

import numpy as np
from kit import CE, broken, curve, digits_in_order, keyed, leaf, linear, mean_square, stacked

import chainrule as cr


@broken("log_of_zero", "softmax_by_hand")
def entropy_by_hand(mended):
    """-sum(p log p) as a bonus: p underflows to 0 for confident logits in float32."""

    def loss(p, y):
        q = cr.softmax(30 * p, axis=-1)
        lq = cr.log_softmax(30 * p, axis=-1) if mended else cr.log(q)
        return CE(30 * p, y) + 0.01 * cr.mean(cr.sum(q * lq, axis=1))

    return keyed(stacked([64, 64, 10]), loss, digits_in_order(128), cr.optim.adam(1e-3))


@broken("log_of_negative")
def poisson_identity_link(mended):
    """Poisson likelihood, log of an unconstrained output."""
    x, y = curve()
    t = np.random.default_rng(15).poisson(np.exp(0.5 * y + 0.5)).astype(np.float32)

    def loss(p, y):
        rate = cr.softplus(p) + 1e-4 if mended else p
        return cr.mean(rate - y * cr.log(rate))

    return keyed(stacked([6, 32, 1]), loss, (x, t), cr.optim.adam(3e-3))


@broken("sqrt_at_zero", "norm_at_zero")
def distance_matrix(mended):
    """Soft margin between distances in an embedding and wanted ones: sqrt of squared distances, diagonal and all."""

    def loss(z, y):
        d2 = cr.sum((z[:, None, :] - z[None, :, :]) ** 2, axis=2)
        return cr.mean(cr.softplus(4 * (cr.sqrt(d2 + (1e-8 if mended else 0.0)) - y)))

    x, _ = digits_in_order(48)
    d = np.linalg.norm(x[:, None] - x[None], axis=2).astype(np.float32)
    return keyed(stacked([64, 32, 2], cr.tanh), loss, (x, d), cr.optim.adam(3e-3))


@broken("sqrt_of_negative", "rounded_away", "division_by_zero", "sqrt_at_zero", "unnormalised_inputs")
def one_pass_variance(mended):
    """Feature normalisation by E[x²] - E[x]² of pressure readings around 101325 Pa."""

    class OnePass(cr.nn.Module):
        def __init__(self):
            self.net = stacked([5, 32, 1])

        def __call__(self, x):
            m = cr.mean(x, axis=1, keepdims=True)
            v = (
                cr.mean((x - m) ** 2, axis=1, keepdims=True)
                if mended
                else cr.mean(x * x, axis=1, keepdims=True) - m * m
            )
            return self.net((x - m) / cr.sqrt(v))

    r = np.random.default_rng(16)
    z = r.standard_normal((128, 5))
    return keyed(
        OnePass(),
        mean_square,
        ((101_325 + 3 * z).astype(np.float32), (z[:, :1] - z[:, 1:2]).astype(np.float32)),
        cr.optim.adam(3e-3),
    )


class Bag(cr.nn.Module):
    def __init__(self, mended):
        self.table, self.out, self.mended = (
            cr.nn.Embedding(40, 12, key=cr.random.key(1)),
            linear(12, 2, 2),
            mended,
        )

    def __call__(self, x):
        live = (x > 0).astype(cr.float32)
        s = cr.sum(self.table(x) * live[:, :, None], axis=1)
        n = cr.sum(live, axis=1, keepdims=True)
        return self.out(s / (cr.maximum(n, 1.0) if self.mended else n))


@broken("zero_over_zero", "division_by_zero")
def empty_reviews(mended):
    """Mean of the embeddings of a text's words; two of 64 texts have none."""
    r = np.random.default_rng(17)
    x = r.integers(1, 40, (64, 12)) * (np.arange(12) < r.integers(3, 13, (64, 1)))
    x[[11, 40]] = 0
    return keyed(Bag(mended), CE, (x, (x[:, 0] % 2)), cr.optim.adam(1e-2))


@broken("softmax_by_hand", "overflow_in_exp", "overflow", "zero_over_zero", "unnormalised_inputs")
def softmax_attention_by_hand(mended):
    """exp(scores) / sum, scores not scaled, features of norm 30: exp overflows."""

    class Pool(cr.nn.Module):
        def __init__(self):
            self.q, self.out = linear(16, 1, 1), linear(16, 3, 2)

        def __call__(self, x):
            s = self.q(x)
            if mended:
                a = cr.softmax(s, axis=1)
            else:
                e = cr.exp(s)
                a = e / cr.sum(e, axis=1, keepdims=True)
            return self.out(cr.sum(a * x, axis=1) / 10)

    r = np.random.default_rng(18)
    x = (40 * r.standard_normal((64, 9, 16))).astype(np.float32)
    return keyed(Pool(), CE, (x, r.integers(0, 3, 64)), cr.optim.adam(1e-3))


@broken("overflow_in_exp", "overflow", "unnormalised_inputs")
def exponential_link(mended):
    """Poisson with exp link and inputs of size 100."""
    r = np.random.default_rng(19)
    z = r.standard_normal((128, 3))
    t = r.poisson(np.exp(0.4 * z[:, :1])).astype(np.float32)
    x = z if mended else 150 + 60 * z
    return keyed(
        linear(3, 1, 5),
        lambda p, y: cr.mean(cr.exp(p) - y * p),
        (x.astype(np.float32), t),
        cr.optim.adam(1e-2),
    )


@broken("power_at_pole", "sqrt_at_zero", "log_of_zero")
def power_normalisation(mended):
    """(x W)² ** gamma with a learned gamma, as in bilinear pooling; two pictures are blank, and there are no biases."""

    class Bilinear(cr.nn.Module):
        def __init__(self):
            self.gamma, self.a, self.b = (
                leaf(np.full(32, 0.4)),
                linear(64, 32, 1, bias=False),
                linear(32, 10, 2),
            )

        def __call__(self, x):
            return self.b((self.a(x) ** 2 + (1e-3 if mended else 0.0)) ** self.gamma)

    x, y = digits_in_order(128)
    x = x.copy()
    x[[17, 80]] = 0
    return keyed(Bilinear(), CE, (x, y), cr.optim.adam(1e-3))


@broken("division_by_zero", "zero_over_zero")
def percent_error_with_zeros(mended):
    """MAPE; some sales are 0."""
    x, y = curve()
    t = np.maximum(0, np.round(3 + 2 * y)).astype(np.float32)
    loss = lambda p, y: cr.mean(cr.abs(p - y) / (cr.maximum(y, 1.0) if mended else y))
    return keyed(stacked([6, 32, 1]), loss, (x, t), cr.optim.adam(3e-3))


@broken("given_not_finite")
def gap_in_the_series(mended):
    """Missing measurements are NaN in three rows."""
    x, y = curve()
    x = x.copy()
    x[[5, 60, 99], [1, 4, 2]] = 0.0 if mended else np.nan
    return keyed(stacked([6, 32, 1]), mean_square, (x, y), cr.optim.adam(3e-3))


@broken("sqrt_at_zero", "norm_at_zero")
def group_lasso_at_zero(mended):
    """Penalty sqrt(sum w²) for each input of a layer that starts at zero."""

    def loss(model, x, y):
        w = model.layers[0].weight
        return mean_square(model(x), y) + 0.01 * cr.sum(
            cr.sqrt(cr.sum(w * w, axis=1) + (1e-8 if mended else 0.0))
        )

    m = stacked([6, 16, 1], cr.tanh)
    w = m.layers[0].weight.numpy().copy()
    w[4:] = 0
    m.layers[0].weight = leaf(w)
    return keyed(m, loss, curve(), cr.optim.adam(3e-3))


@broken("rounded_away", "learning_rate_too_low")
def carrier_frequency(mended):
    """Fits a frequency near 1e5 Hz as a float32 parameter with steps of 1e-3: they round away."""

    class Tone(cr.nn.Module):
        def __init__(self):
            self.f = leaf([0.5 if mended else 100_000.0])

        def __call__(self, x):
            return cr.sin((self.f - (0.0 if mended else 99_999.5)) * x)

    x = np.linspace(0, 3, 128).astype(np.float32)[:, None]
    return keyed(Tone(), mean_square, (x, np.sin(0.6 * x)), cr.optim.adam(1e-3))
