"""Healthy: autoencoders, gates, sets and graphs."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Apply, Case, digits, healthy, keys, leaf, mlp, spirals, table, train, waves

import chainrule as cr


@healthy
def autoencoder_with_a_narrow_code_fresh():
    x, _ = digits(128, seed=45)
    return Case(
        model=mlp(64, 40, 5, 40, 64, act=cr.elu, seed=45, initializer=cr.nn.glorot_uniform),
        loss=MSE,
        batch=(x, x),
        optimizer=cr.optim.adam(2e-3),
    )


@healthy
def sparse_relu_code_trained():
    """A wide relu code with a penalty on its size: most units are silent for most pictures, and are to be."""
    x, _ = digits(800, seed=46)
    k = keys(46)

    def go(self, x):
        code = cr.relu(self.enter(x))
        return self.leave(code), code

    def loss(out, x):
        return MSE(out[0], x) + 2e-4 * cr.mean(cr.sum(code_size(out[1]), axis=-1))

    def code_size(code):
        return cr.abs(code)

    model = Apply(
        go,
        enter=cr.nn.Linear(64, 96, key=k[0]),
        leave=cr.nn.Linear(96, 64, key=k[1], initializer=cr.nn.glorot_uniform),
    )
    model = train(model, loss, cr.optim.adam(2e-3), x, x, 300)
    return Case(model=model, loss=loss, batch=(x[:256], x[:256]), optimizer=cr.optim.adam(2e-3))


@healthy
def tied_autoencoder():
    x, _ = digits(128, seed=47)
    enter = cr.nn.Linear(64, 24, key=cr.random.key(47), initializer=cr.nn.glorot_uniform)
    model = Apply(
        lambda self, x: cr.tanh(self.enter(x)) @ cr.matrix_transpose(self.enter.weight) + self.back,
        enter=enter,
        back=leaf(np.zeros(64)),
    )
    return Case(model=model, loss=MSE, batch=(x, x), optimizer=cr.optim.adam(3e-3))


@healthy
def denoising_convolutional_autoencoder():
    x, _ = digits(64, seed=48, images=True)
    noisy = (x + np.random.default_rng(48).normal(0, 0.2, x.shape)).astype(np.float32)
    k = keys(48)
    model = cr.nn.Sequential(
        cr.nn.Conv2d(1, 12, 3, padding="same", key=k[0]),
        cr.leaky_relu,
        cr.nn.Conv2d(12, 12, 3, padding="same", key=k[1]),
        cr.leaky_relu,
        cr.nn.Conv2d(12, 1, 3, padding="same", key=k[2], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=MSE, batch=(noisy, x), optimizer=cr.optim.adam(2e-3))


@healthy
def gated_linear_units():
    k = keys(49, 6)

    def go(self, x):
        h = self.a(x) * cr.sigmoid(self.b(x))
        return self.head(self.c(h) * cr.sigmoid(self.d(h)))

    parts = {
        n: cr.nn.Linear(i, 32, key=own, initializer=cr.nn.glorot_normal)
        for n, i, own in zip("abcd", (8, 8, 32, 32), k, strict=False)
    }
    model = Apply(go, **parts, head=cr.nn.Linear(32, 1, key=k[4], initializer=cr.nn.lecun_normal))
    return Case(model=model, loss=MSE, batch=table(128, seed=49), optimizer=cr.optim.adam(3e-3))


@healthy
def softly_gated_experts():
    k = keys(50, 6)

    def go(self, x):
        each = cr.stack([e(x) for e in self.experts], axis=1)
        return cr.sum(each * cr.expand_dims(cr.softmax(self.gate(x), axis=-1), axis=-1), axis=1)

    model = Apply(
        go,
        gate=cr.nn.Linear(2, 3, key=k[5], initializer=cr.nn.lecun_normal),
        experts=[cr.models.mlp((2, 16, 3), cr.tanh, key=own) for own in k[:3]],
    )
    return Case(model=model, loss=CE, batch=spirals(128, seed=50), optimizer=cr.optim.adam(5e-3))


@healthy
def learned_slopes():
    k = keys(51)

    def go(self, x):
        h = self.first(x)
        h = cr.where(h > 0, h, self.slope * h)
        g = self.second(h)
        return self.head(cr.where(g > 0, g, self.slope2 * g))

    model = Apply(
        go,
        first=cr.nn.Linear(64, 32, key=k[0]),
        second=cr.nn.Linear(32, 32, key=k[1]),
        head=cr.nn.Linear(32, 10, key=k[2]),
        slope=leaf(0.25),
        slope2=leaf(np.full(32, 0.25)),
    )
    return Case(model=model, loss=CE, batch=digits(96, seed=51), optimizer=cr.optim.adam(2e-3))


@healthy
def sets_pooled_by_sum():
    rng = np.random.default_rng(52)
    x = rng.normal(size=(64, 12, 3)).astype(np.float32)
    y = (x[:, :, 0] ** 2).mean(1, keepdims=True).astype(np.float32)
    model = Apply(
        lambda self, x: self.after(cr.mean(self.each(x), axis=1)),
        each=mlp(3, 24, 24, seed=52),
        after=mlp(24, 24, 1, seed=53),
    )
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def graphs_with_normalized_neighbours():
    rng = np.random.default_rng(53)
    x = rng.normal(size=(32, 10, 6)).astype(np.float32)
    edges = rng.random((32, 10, 10)) < 0.3
    edges = (edges | edges.transpose(0, 2, 1) | np.eye(10, dtype=bool)).astype(np.float32)
    degree = edges.sum(-1)
    edges = edges / np.sqrt(degree[:, :, None] * degree[:, None, :])
    y = (np.tanh(edges @ x)[:, :, 0].mean(1, keepdims=True) * 3).astype(np.float32)
    k = keys(54)

    def go(self, given):
        nodes, a = given
        h = cr.relu(a @ self.first(nodes))
        return self.head(cr.mean(cr.relu(a @ self.second(h)), axis=1))

    model = Apply(
        go,
        first=cr.nn.Linear(6, 24, key=k[0]),
        second=cr.nn.Linear(24, 24, key=k[1]),
        head=cr.nn.Linear(24, 1, key=k[2]),
    )
    return Case(
        model=model, loss=MSE, batch=((x, edges.astype(np.float32)), y), optimizer=cr.optim.adam(3e-3)
    )


@healthy
def one_dimensional_convolutions():
    x, y = waves(64, 24, seed=55)
    k = keys(55)
    model = cr.nn.Sequential(
        lambda x: cr.reshape(x, (x.shape[0], 1, 24, 1)),
        cr.nn.Conv2d(1, 12, (1, 5), key=k[0]),
        cr.relu,
        cr.nn.Conv2d(12, 12, (1, 5), dilation=(1, 2), key=k[1]),
        cr.relu,
        cr.nn.Flatten(),
        cr.nn.Linear(144, 1, key=k[2], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(1e-3))


@healthy
def unet_like_shortcut():
    x, _ = digits(48, seed=56, images=True)
    target = (x > 0.5).astype(np.float32)
    k = keys(56)

    def go(self, x):
        a = cr.relu(self.down(x))
        b = cr.relu(self.inner(cr.max_pool2d(a, 2)))
        up = cr.repeat(cr.repeat(b, 2, axis=1), 2, axis=2)
        return self.out(cr.concat([a, up], axis=3))

    noisy = (x + np.random.default_rng(56).normal(0, 0.15, x.shape)).astype(np.float32)
    model = Apply(
        go,
        down=cr.nn.Conv2d(1, 8, 3, padding="same", key=k[0]),
        inner=cr.nn.Conv2d(8, 12, 3, padding="same", key=k[1]),
        out=cr.nn.Conv2d(20, 1, 3, padding="same", key=k[2], initializer=cr.nn.lecun_normal),
    )
    return Case(
        model=model, loss=cr.nn.binary_cross_entropy, batch=(noisy, target), optimizer=cr.optim.adam(3e-3)
    )
