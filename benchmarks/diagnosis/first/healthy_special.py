"""Healthy: special first weights, streams, games, equations."""

from __future__ import annotations

import numpy as np
from kit import (
    CE,
    LETTERS,
    MSE,
    Apply,
    Case,
    digits,
    healthy,
    keys,
    leaf,
    mlp,
    moons,
    normal,
    table,
    text,
    train,
)

import chainrule as cr


@healthy
def sine_layers_with_wide_first_weights():
    """SIREN: a coordinate network with sin(30 w x) and weights made for it."""
    rng = np.random.default_rng(1)
    t = np.linspace(-1, 1, 128, dtype=np.float32)[:, None]
    y = (np.sin(9 * t) + 0.4 * np.sin(31 * t)).astype(np.float32)

    def layer(n, m, limit):
        made = cr.nn.Linear(n, m, key=cr.random.key(n))
        made.weight, made.bias = (
            leaf(rng.uniform(-limit, limit, (n, m))),
            leaf(rng.uniform(-1, 1, m) / np.sqrt(n)),
        )
        return made

    deep = (6 / 48) ** 0.5 / 30
    model = cr.nn.Sequential(
        layer(1, 48, 1.0),
        lambda h: cr.sin(30 * h),
        layer(48, 48, deep),
        lambda h: cr.sin(30 * h),
        layer(48, 1, deep),
    )
    return Case(model=model, loss=MSE, batch=(t, y), optimizer=cr.optim.adam(3e-4))


@healthy
def two_stacked_lstms_with_dropout():
    model = cr.models.char_rnn(len(LETTERS), 32, "lstm", layers=2, key=cr.random.key(2), dropout=0.2)
    return Case(
        model=model, loss=CE, batch=text(16, 24, seed=2), optimizer=cr.optim.adam(5e-3), key=cr.random.key(3)
    )


@healthy
def text_by_convolution_and_the_largest():
    rng = np.random.default_rng(3)
    ids = rng.integers(0, 30, (64, 16))
    y = rng.integers(0, 2, 64)
    at = rng.integers(0, 14, 64)
    for i in range(64):
        ids[i, at[i] : at[i] + 2] = (3, 7) if y[i] else (7, 3)
    k = keys(3)

    def go(self, ids):
        h = cr.expand_dims(self.tokens(ids), axis=1)
        return self.head(cr.max(cr.relu(self.conv(h)), axis=(1, 2)))

    model = Apply(
        go,
        tokens=cr.nn.Embedding(30, 12, key=k[0]),
        conv=cr.nn.Conv2d(12, 24, (1, 3), key=k[1]),
        head=cr.nn.Linear(24, 2, key=k[2], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=CE, batch=(ids, y), optimizer=cr.optim.adam(3e-3))


@healthy
def highway_that_starts_by_carrying():
    k = keys(4, 12)

    def go(self, x):
        h = cr.tanh(self.first(x))
        for part, gate in zip(self.parts, self.gates, strict=True):
            g = cr.sigmoid(gate(h))
            h = g * cr.relu(part(h)) + (1 - g) * h
        return self.head(h)

    gates = [cr.nn.Linear(32, 32, key=own, initializer=cr.nn.glorot_uniform) for own in k[:5]]
    for gate in gates:
        gate.bias = leaf(np.full(32, -1.5))
    model = Apply(
        go,
        first=cr.nn.Linear(64, 32, key=k[10], initializer=cr.nn.glorot_uniform),
        gates=gates,
        parts=[cr.nn.Linear(32, 32, key=own) for own in k[5:10]],
        head=cr.nn.Linear(32, 10, key=k[11]),
    )
    return Case(model=model, loss=CE, batch=digits(128, seed=4), optimizer=cr.optim.adam(3e-3))


class Coupling(cr.nn.Module):
    def __init__(self, key, swap):
        self.net = cr.models.mlp((1, 24, 2), cr.tanh, key=key, initializer=cr.nn.lecun_normal)
        self.swap = swap

    def __call__(self, z, total):
        a, b = (z[:, 1:], z[:, :1]) if self.swap else (z[:, :1], z[:, 1:])
        out = self.net(a)
        s = cr.tanh(out[:, :1])
        b = b * cr.exp(s) + out[:, 1:]
        return cr.concat([b, a] if self.swap else [a, b], axis=1), total + s[:, 0]


@healthy
def normalizing_flow():
    x, _ = moons(160, seed=5)
    k = keys(5, 4)

    class Flow(cr.nn.Module):
        def __init__(self):
            self.parts = [Coupling(own, i % 2 == 1) for i, own in enumerate(k)]

        def __call__(self, x):
            z, total = cr.asarray(x), cr.zeros(x.shape[0], dtype=cr.float32)
            for part in self.parts:
                z, total = part(z, total)
            return 0.5 * cr.sum(z**2, axis=-1) - total + np.float32(np.log(2 * np.pi))

    def loss(each, y):
        return cr.mean(each * y)

    return Case(model=Flow(), loss=loss, batch=(x, np.ones(160, np.float32)), optimizer=cr.optim.adam(3e-3))


@healthy
def values_of_states_with_fixed_targets():
    """Q-learning: the target is the network's own next value, held constant."""
    rng = np.random.default_rng(6)
    now, later = (rng.normal(size=(96, 5)).astype(np.float32) for _ in range(2))
    reward = now[:, 0].astype(np.float32)
    action = rng.integers(0, 3, 96)

    def go(self, given):
        return self.net(given[0]), cr.stop_gradient(cr.max(self.net(given[1]), axis=-1))

    def loss(out, target):
        done, reward = target
        q = cr.squeeze(cr.take_along_axis(out[0], cr.expand_dims(done, axis=-1), axis=-1), -1)
        return cr.nn.huber(q, reward + 0.9 * out[1])

    return Case(
        model=Apply(go, net=mlp(5, 32, 3, seed=6)),
        loss=loss,
        batch=((now, later), (action, reward)),
        optimizer=cr.optim.adam(1e-3),
    )


@healthy
def hard_examples_weigh_more():
    x, y = digits(128, seed=7)

    def focal(z, y):
        each = CE(z, y, reduction="none")
        return cr.mean((1 - cr.exp(-each)) ** 2 * each)

    return Case(model=mlp(64, 48, 10, seed=7), loss=focal, batch=(x, y), optimizer=cr.optim.adam(2e-3))


@healthy
def who_lives_longer():
    """Cox's partial likelihood compares each patient with all that are still at risk: samples of one batch."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(96, 6)).astype(np.float32)
    time = rng.exponential(np.exp(-(x[:, 0] - 0.5 * x[:, 1])))
    order = np.argsort(-time)
    seen = (rng.random(96) < 0.7).astype(np.float32)[order]
    at_risk = np.where(np.tri(96) > 0, 0.0, -np.inf).astype(np.float32)

    def loss(risk, seen):
        r = risk[:, 0]
        return -cr.sum(seen * (r - cr.logsumexp(r[None, :] + at_risk, axis=1))) / cr.sum(seen)

    model = mlp(6, 16, 1, act=cr.tanh, seed=8, initializer=cr.nn.glorot_uniform)
    return Case(model=model, loss=loss, batch=(x[order], seen), optimizer=cr.optim.adam(3e-3))


@healthy
def word_vectors_by_negative_samples():
    rng = np.random.default_rng(9)
    centre = rng.integers(0, 60, 128)
    near = (centre + rng.integers(1, 4, 128)) % 60
    far = rng.integers(0, 60, (128, 5))
    k = keys(9)

    def go(self, ids):
        v = cr.expand_dims(self.inside(ids[:, 0]), axis=1)
        return cr.sum(v * self.outside(ids[:, 1:]), axis=-1)

    ids = np.concatenate([centre[:, None], near[:, None], far], 1)
    marks = np.zeros((128, 6), np.float32)
    marks[:, 0] = 1
    model = Apply(
        go,
        inside=cr.nn.Embedding(60, 10, key=k[0], initializer=normal(0.3)),
        outside=cr.nn.Embedding(60, 10, key=k[1], initializer=normal(0.3)),
    )
    return Case(
        model=model, loss=cr.nn.binary_cross_entropy, batch=(ids, marks), optimizer=cr.optim.adam(1e-2)
    )


@healthy
def equation_with_its_derivative():
    """A network that is to obey u' = -2 u, u(0) = 1: the slope is part of what the model gives."""
    t = np.linspace(0, 1.5, 48, dtype=np.float32)[:, None]

    def go(self, t):
        def u(t):
            return 1.0 + t * self.net(t)

        return cr.jvp(u, (cr.asarray(t),), (np.ones(t.shape, np.float32),))

    def loss(out, y):
        u, du = out
        return cr.mean((du + 2.0 * u - y) ** 2)

    net = mlp(1, 24, 24, 1, act=cr.tanh, seed=10, initializer=cr.nn.glorot_uniform)
    return Case(
        model=Apply(go, net=net),
        loss=loss,
        batch=(t, np.zeros((48, 1), np.float32)),
        optimizer=cr.optim.adam(3e-3),
    )


@healthy
def same_block_again_and_again():
    """An equation followed in time: one block applied ten times with small steps."""
    x, y = moons(128, seed=11)
    k = keys(11)

    def go(self, x):
        h = self.enter(x)
        for _ in range(10):
            h = h + 0.1 * self.out(cr.tanh(self.inside(h)))
        return self.head(h)

    glorot = cr.nn.glorot_uniform
    model = Apply(
        go,
        enter=cr.nn.Linear(2, 8, key=k[0], initializer=cr.nn.lecun_normal),
        inside=cr.nn.Linear(8, 24, key=k[1], initializer=glorot),
        out=cr.nn.Linear(24, 8, key=k[2], initializer=glorot),
        head=cr.nn.Linear(8, 2, key=k[3], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(5e-3))


@healthy
def discriminator_of_a_game():
    rng = np.random.default_rng(12)
    real, fake = moons(64, seed=12)[0], rng.normal(0, 0.6, (64, 2)).astype(np.float32)
    x = np.concatenate([real, fake])
    y = np.concatenate([np.ones((64, 1)), np.zeros((64, 1))]).astype(np.float32)
    order = rng.permutation(128)
    model = mlp(2, 32, 32, 1, act=cr.leaky_relu, seed=12)
    return Case(
        model=model,
        loss=cr.nn.binary_cross_entropy,
        batch=(x[order], y[order]),
        optimizer=cr.optim.adam(1e-3, beta1=0.5),
    )


@healthy
def translator_that_looks_at_a_memory():
    """An encoder and a decoder: reverse a sequence, given what was written so far."""
    rng = np.random.default_rng(13)
    source = rng.integers(1, 10, (32, 6))
    target = source[:, ::-1].copy()
    given = np.concatenate([np.zeros((32, 1), np.int64), target[:, :-1]], 1)
    k = keys(13, 10)

    def go(self, both):
        source, given = both
        memory = self.tokens(source) + self.places.weight
        memory = memory + self.look(self.n1(memory))
        h = self.tokens(given) + self.places.weight
        h = h + self.back(self.n2(h))
        h = h + self.across(self.n3(h), memory=memory)
        h = h + self.mlp(self.n4(h))
        return self.head(h)

    model = Apply(
        go,
        tokens=cr.nn.Embedding(10, 24, key=k[0], initializer=normal(0.4)),
        places=cr.nn.Embedding(6, 24, key=k[1], initializer=normal(0.4)),
        look=cr.nn.MultiHeadAttention(24, 4, key=k[2]),
        back=cr.nn.MultiHeadAttention(24, 4, causal=True, key=k[3]),
        across=cr.nn.MultiHeadAttention(24, 4, key=k[4]),
        mlp=cr.models.mlp((24, 48, 24), cr.gelu, key=k[5]),
        n1=cr.nn.LayerNorm(24),
        n2=cr.nn.LayerNorm(24),
        n3=cr.nn.LayerNorm(24),
        n4=cr.nn.LayerNorm(24),
        head=cr.nn.Linear(24, 10, key=k[6], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=CE, batch=((source, given), target), optimizer=cr.optim.adam(2e-3))


@healthy
def weights_split_into_length_and_direction():
    k = keys(14)

    def go(self, x):
        d = self.direction / cr.sqrt(cr.sum(self.direction**2, axis=0, keepdims=True))
        return self.head(cr.relu(x @ (d * self.length)))

    model = Apply(
        go,
        direction=leaf(np.random.default_rng(14).normal(size=(64, 32))),
        length=leaf(np.full(32, 1.4)),
        head=cr.nn.Linear(32, 10, key=k[0]),
    )
    return Case(model=model, loss=CE, batch=digits(128, seed=14), optimizer=cr.optim.adam(3e-3))


@healthy
def logistic_regression_on_few_columns_trained():
    x, y = table(300, 5, seed=15)
    y = (y > 0).astype(np.float32)
    model = cr.nn.Linear(5, 1, key=cr.random.key(15), initializer=lambda key, s, d: cr.zeros(s, dtype=d))
    model = train(model, cr.nn.binary_cross_entropy, cr.optim.gradient_descent(0.5), x, y, 300)
    return Case(
        model=model,
        loss=cr.nn.binary_cross_entropy,
        batch=(x[:128], y[:128]),
        optimizer=cr.optim.gradient_descent(0.5),
    )


@healthy
def logistic_regression_from_zero():
    x, y = table(128, 5, seed=16)
    y = (y > 0).astype(np.float32)
    model = cr.nn.Linear(5, 1, key=cr.random.key(16), initializer=lambda key, s, d: cr.zeros(s, dtype=d))
    return Case(
        model=model, loss=cr.nn.binary_cross_entropy, batch=(x, y), optimizer=cr.optim.gradient_descent(0.5)
    )
