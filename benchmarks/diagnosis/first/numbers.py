"""Broken: poles, overflow, rounding."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Apply, Case, broken, digits, keys, leaf, mlp, normal, table, waves

import chainrule as cr


@broken("log_of_zero", "saturated")
def binary_likelihood_by_hand(mended):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(128, 6)).astype(np.float32) * 12
    y = (x[:, :1] + x[:, 1:2] > 0).astype(np.float32)
    model = mlp(6, 24, 1, seed=1)

    def by_hand(z, y):
        p = cr.sigmoid(z)
        return -cr.mean(y * cr.log(p) + (1 - y) * cr.log(1 - p))

    if mended:
        return Case(
            model=model, loss=cr.nn.binary_cross_entropy, batch=(x / 12, y), optimizer=cr.optim.adam(3e-3)
        )
    model.layers[-1].weight = leaf(model.layers[-1].weight.numpy() * 4)
    return Case(model=model, loss=by_hand, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("log_of_zero", "dead_relu")
def poisson_rate_from_a_relu(mended):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(128, 5)).astype(np.float32)
    y = rng.poisson(np.exp(0.5 * x[:, :1])).astype(np.float32)

    def loss(rate, y):
        return cr.mean(rate - y * cr.log(rate))

    rate = (lambda z: cr.softplus(z) + 1e-4) if mended else cr.relu
    return Case(
        model=cr.nn.Sequential(*mlp(5, 24, 1, seed=3).layers, rate),
        loss=loss,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("sqrt_at_zero", "norm_at_zero")
def distance_of_equal_pairs(mended):
    """A Siamese network whose batch holds some pairs of identical pictures."""
    x, y = digits(64, seed=4)
    rng = np.random.default_rng(4)
    other = rng.permutation(64)
    other[:5] = np.arange(5)
    same = (y == y[other]).astype(np.float32)

    def go(self, pair):
        a, b = self.net(pair[0]), self.net(pair[1])
        return cr.sqrt(cr.sum((a - b) ** 2, axis=-1) + (1e-6 if mended else 0.0))

    def contrast(d, same):
        return cr.mean(same * d**2 + (1 - same) * cr.relu(1.0 - d) ** 2 + 0.01 * d)

    return Case(
        model=Apply(go, net=mlp(64, 32, 8, seed=4)),
        loss=contrast,
        batch=((x, x[other]), same),
        optimizer=cr.optim.adam(1e-3),
    )


@broken("sqrt_at_zero", "norm_at_zero")
def spread_over_time_of_still_sequences(mended):
    x, y = waves(40, 16, seed=5)
    x = x.copy()
    x[:4] = 0.3
    k = keys(40)

    def go(self, x):
        h = cr.tanh(self.first(x))
        d = h - cr.mean(h, axis=1, keepdims=True)
        spread = cr.sqrt(cr.mean(d * d, axis=1) + (1e-6 if mended else 0.0))
        return self.head(cr.concat([spread, cr.mean(h, axis=1)], axis=-1))

    x = np.concatenate([x, x * 0 + 0.1], axis=2)
    model = Apply(go, first=cr.nn.Linear(2, 12, key=k[0]), head=cr.nn.Linear(24, 1, key=k[1]))
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("zero_over_zero", "norm_at_zero", "division_by_zero", "sqrt_at_zero")
def unit_vectors_of_padding(mended):
    """Embeddings brought to length 1, where the vector of the padding is zero."""
    rng = np.random.default_rng(6)
    ids = rng.integers(1, 30, (48, 10))
    y = (ids[:, 0] > 14).astype(np.int64)
    ids[:, 7:] = 0
    k = keys(41)
    table = cr.nn.Embedding(30, 12, key=k[0])
    table.weight = leaf(np.where(np.arange(30)[:, None] == 0, 0.0, table.weight.numpy()))

    def go(self, ids):
        v = self.table(ids)
        unit = v / cr.sqrt(cr.sum(v * v, axis=-1, keepdims=True) + (1e-6 if mended else 0.0))
        return self.head(unit.reshape((unit.shape[0], 120)))

    return Case(
        model=Apply(go, table=table, head=cr.nn.Linear(120, 2, key=k[1])),
        loss=CE,
        batch=(ids, y),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("norm_at_zero", "sqrt_at_zero", "zero_over_zero", "division_by_zero")
def cosine_of_silent_units(mended):
    """Cosine similarity of two relu codes; the code of an empty input is zero."""
    rng = np.random.default_rng(7)
    a, b = (rng.normal(size=(64, 10)).astype(np.float32) for _ in range(2))
    a[:3] = 0
    y = np.sign((a * b).sum(1)).astype(np.float32)

    def unit(v):
        return (
            v / cr.maximum(cr.norm(v, axis=-1, keepdims=True), 1e-3)
            if mended
            else v / cr.norm(v, axis=-1, keepdims=True)
        )

    def go(self, pair):
        return cr.sum(unit(cr.relu(self.net(pair[0]))) * unit(cr.relu(self.net(pair[1]))), axis=-1)

    return Case(
        model=Apply(go, net=cr.nn.Linear(10, 16, key=cr.random.key(7), bias=False)),
        loss=MSE,
        batch=((a, b), y),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("zero_over_zero", "division_by_zero")
def mean_of_no_words(mended):
    rng = np.random.default_rng(8)
    ids = rng.integers(0, 40, (32, 9))
    seen = rng.random((32, 9)) < 0.7
    seen[3] = False
    y = rng.integers(0, 2, 32)
    k = keys(42)

    def go(self, given):
        ids, seen = given
        v = self.table(ids) * cr.expand_dims(seen, axis=-1)
        n = cr.sum(seen, axis=1, keepdims=True)
        return self.head(cr.sum(v, axis=1) / (cr.maximum(n, 1.0) if mended else n))

    return Case(
        model=Apply(go, table=cr.nn.Embedding(40, 8, key=k[0]), head=cr.nn.Linear(8, 2, key=k[1])),
        loss=CE,
        batch=((ids, seen.astype(np.float32)), y),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("softmax_by_hand", "overflow_in_exp")
def softmax_written_out(mended):
    x, y = digits(96, seed=9)
    x = x * 16
    model = mlp(64, 64, 10, seed=9, initializer=cr.nn.he_normal if mended else normal(0.8))

    def by_hand(z, y):
        e = cr.exp(z)
        p = e / cr.sum(e, axis=-1, keepdims=True)
        return -cr.mean(cr.log(cr.squeeze(cr.take_along_axis(p, cr.expand_dims(y, axis=-1), axis=-1), -1)))

    return Case(
        model=model,
        loss=CE if mended else by_hand,
        batch=(x / 16 if mended else x, y),
        optimizer=cr.optim.adam(1e-3),
    )


@broken("softmax_by_hand", "overflow_in_exp")
def attention_written_out(mended):
    rng = np.random.default_rng(10)
    x = rng.normal(size=(24, 12, 16)).astype(np.float32)
    y = (x[:, :, 0].max(1) > 1.8).astype(np.int64)
    k = keys(43)
    init = cr.nn.glorot_uniform if mended else normal(1.5)

    def go(self, x):
        s = self.q(x) @ cr.matrix_transpose(self.k(x))
        if mended:
            w = cr.softmax(s / 4.0, axis=-1)
        else:  # neither divided by the root of the size, nor made safe
            e = cr.exp(s)
            w = e / cr.sum(e, axis=-1, keepdims=True)
        return self.head(cr.mean(w @ x, axis=1))

    model = Apply(
        go,
        q=cr.nn.Linear(16, 16, key=k[0], initializer=init),
        k=cr.nn.Linear(16, 16, key=k[1], initializer=init),
        head=cr.nn.Linear(16, 2, key=k[2]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("overflow_in_exp", "unnormalised_inputs")
def softplus_written_out(mended):
    x, y = table(128, seed=11)
    x = x * np.float32([1, 1, 1, 1, 1, 1, 1, 600])
    y = np.abs(y) + 0.1
    model = mlp(8, 32, 1, seed=11)
    if mended:
        x = x / np.float32([1, 1, 1, 1, 1, 1, 1, 600])
    out = cr.softplus if mended else (lambda z: cr.log(1 + cr.exp(z)))
    return Case(
        model=cr.nn.Sequential(*model.layers, out), loss=MSE, batch=(x, y), optimizer=cr.optim.adam(1e-3)
    )


@broken("overflow_in_exp", "unnormalised_inputs")
def rates_of_raw_counts(mended):
    rng = np.random.default_rng(12)
    x = rng.poisson(60, (96, 6)).astype(np.float32)
    y = rng.poisson(3, (96, 1)).astype(np.float32)
    k = cr.random.key(12)
    model = cr.nn.Linear(6, 1, key=k, initializer=lambda key, s, d: abs(cr.random.normal(key, s, d, std=0.4)))
    if mended:
        model, x = cr.nn.Linear(6, 1, key=k, initializer=normal(0.1)), (x - 60) / 8
    else:
        x = x * np.float32([6, 1, 1, 1, 1, 1])

    def poisson(log_rate, y):
        return cr.mean(cr.exp(log_rate) - y * log_rate)

    return Case(model=model, loss=poisson, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@broken("zero_over_zero", "division_by_zero")
def blank_picture_by_its_own_brightness(mended):
    x, y = digits(64, seed=13, images=True)
    x = x.copy()
    x[7] = 0
    k = keys(44)

    def go(self, x):
        h = cr.relu(self.conv(x))
        total = cr.sum(h, axis=(1, 2, 3), keepdims=True)
        h = h / (total + 1e-3 if mended else total)
        return self.head(h.reshape((h.shape[0], 288)) * 36.0)

    model = Apply(go, conv=cr.nn.Conv2d(1, 8, 3, key=k[0], bias=False), head=cr.nn.Linear(288, 10, key=k[1]))
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("division_by_zero", "zero_over_zero")
def relative_error_of_zero_targets(mended):
    x, y = table(96, seed=14)
    y = np.maximum(y, 0)

    def relative(p, y):
        return cr.mean(((p - y) / (y + (1.0 if mended else 0.0))) ** 2)

    return Case(model=mlp(8, 24, 1, seed=14), loss=relative, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("power_at_pole", "sqrt_at_zero", "division_by_zero")
def gamma_curve_at_black(mended):
    """A learned brightness, then a power below 1: black pixels sit at its pole."""
    x, y = digits(64, seed=15)
    k = keys(45)

    def go(self, x):
        bright = x * cr.softplus(self.gain)
        return self.head(cr.tanh(self.first((bright + (1e-2 if mended else 0.0)) ** 0.45)))

    model = Apply(
        go, gain=leaf(np.zeros(64)), first=cr.nn.Linear(64, 24, key=k[0]), head=cr.nn.Linear(24, 10, key=k[1])
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("rounded_away", "learning_rate_too_low", "unnormalised_inputs")
def offset_of_a_timestamp(mended):
    """A linear trend whose offset is a learned number near a million, in float32: steps vanish in its last digit."""
    rng = np.random.default_rng(16)
    t = rng.uniform(-1, 1, (64, 1)).astype(np.float32)
    base = 0.0 if mended else 1.0e6
    y = (base + 4.0 + 0.5 * t).astype(np.float32)
    model = Apply(lambda self, t: self.offset + self.slope * t, offset=leaf([base]), slope=leaf([0.0]))
    return Case(model=model, loss=MSE, batch=(t, y), optimizer=cr.optim.adam(2.5e-2))


@broken("rounded_away", "learning_rate_too_low")
def steps_below_the_last_digit(mended):
    x, y = digits(128, seed=17)
    net = mlp(64, 32, 10, seed=17)
    return Case(
        model=net, loss=CE, batch=(x, y), optimizer=cr.optim.gradient_descent(0.1 if mended else 3e-9)
    )
