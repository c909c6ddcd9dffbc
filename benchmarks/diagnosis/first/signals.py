"""Broken: units that are dead or saturated, signals that vanish or explode with depth or time."""

from __future__ import annotations

import numpy as np
from kit import (
    CE,
    MSE,
    Apply,
    Case,
    broken,
    digits,
    first_sign,
    keys,
    leaf,
    mlp,
    normal,
    spirals,
    table,
    train,
    waves,
)

import chainrule as cr


@broken("dead_relu")
def dead_conv_channels(mended):
    k = keys(1)
    conv = cr.nn.Conv2d(1, 12, 3, padding="same", key=k[0])
    if not mended:
        conv.bias = leaf(np.full(12, -6.0))
    model = cr.nn.Sequential(
        conv, cr.relu, cr.nn.MaxPool2d(2), cr.nn.Flatten(), cr.nn.Linear(192, 10, key=k[1])
    )
    return Case(model=model, loss=CE, batch=digits(96, images=True), optimizer=cr.optim.adam(2e-3))


@broken("dead_relu", "weights_too_large")
def dead_after_a_bad_start(mended):
    x, y = table(512, 8, seed=3)
    y = y * 3
    model = mlp(8, 64, 64, 1, seed=2)
    if not mended:  # some steps with a rate far too high, as before a schedule was mended
        model = train(model, MSE, cr.optim.adam(0.7), x, y, 6)
        model = train(model, MSE, cr.optim.adam(1e-2), x, y, 60)
    return Case(model=model, loss=MSE, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(1e-3))


@broken("dead_relu")
def dead_bottleneck(mended):
    x, _ = digits(128, seed=4)
    k = keys(7, 4)
    code = cr.nn.Linear(48, 6, key=k[1])
    if not mended:
        code.bias = leaf(np.full(6, -9.0))
    model = cr.nn.Sequential(
        cr.nn.Linear(64, 48, key=k[0]),
        cr.relu,
        code,
        cr.relu,
        cr.nn.Linear(6, 48, key=k[2]),
        cr.relu,
        cr.nn.Linear(48, 64, key=k[3]),
    )
    return Case(model=model, loss=MSE, batch=(x, x), optimizer=cr.optim.adam(2e-3))


@broken("saturated", "unnormalised_inputs", "weights_too_large")
def tanh_on_raw_pixels(mended):
    x, y = digits(128, seed=5)
    model = mlp(64, 40, 10, act=cr.tanh, seed=5, initializer=cr.nn.glorot_uniform)
    return Case(model=model, loss=CE, batch=(x if mended else x * 255, y), optimizer=cr.optim.momentum(0.05))


@broken("saturated", "weights_too_large")
def sigmoid_layers_with_wide_weights(mended):
    x, y = spirals(192)
    init = cr.nn.glorot_normal if mended else normal(8.0)
    k = keys(11)
    model = cr.nn.Sequential(
        cr.nn.Linear(2, 32, key=k[0], initializer=normal(3.0 if mended else 40.0)),
        cr.sigmoid,
        cr.nn.Linear(32, 32, key=k[1], initializer=init),
        cr.sigmoid,
        cr.nn.Linear(32, 3, key=k[2]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.momentum(0.1))


@broken("saturated", "weights_too_large")
def saturated_gates(mended):
    x, y = waves(48)
    k = keys(12)
    rnn = cr.nn.GRU(1, 24, returns="last", key=k[0])
    if not mended:
        rnn.cell.bias = leaf(np.concatenate([np.zeros(24), np.full(24, 14.0), np.zeros(24)]))  # z shut
    return Case(
        model=cr.nn.Sequential(rnn, cr.nn.Linear(24, 1, key=k[1])),
        loss=MSE,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("vanishing_by_depth")
def twelve_sigmoids(mended):
    model = mlp(
        64, *[48] * 12, 10, act=cr.tanh if mended else cr.sigmoid, seed=1, initializer=cr.nn.glorot_normal
    )
    return Case(model=model, loss=CE, batch=digits(128), optimizer=cr.optim.adam(1e-3))


@broken("vanishing_by_depth", "weights_too_small")
def relus_with_half_the_spread(mended):
    init = cr.nn.he_normal if mended else (lambda key, shape, dtype: 0.4 * cr.nn.he_normal(key, shape, dtype))
    model = mlp(64, *[64] * 11, 10, seed=2, initializer=init)
    return Case(model=model, loss=CE, batch=digits(128), optimizer=cr.optim.momentum(0.005))


@broken("vanishing_by_depth", "weights_too_small")
def deep_convolutions_without_shortcuts(mended):
    k = keys(13, 12)
    init = cr.nn.he_normal if mended else normal(0.02)
    layers = [cr.nn.Conv2d(1, 12, 3, padding="same", key=k[0], initializer=init), cr.relu]
    for own in k[1:10]:
        layers += [cr.nn.Conv2d(12, 12, 3, padding="same", key=own, initializer=init), cr.relu]
    layers += [cr.nn.GlobalAveragePool(), cr.nn.Linear(12, 10, key=k[11])]
    return Case(
        model=cr.nn.Sequential(*layers), loss=CE, batch=digits(64, images=True), optimizer=cr.optim.adam(1e-3)
    )


@broken("exploding_by_depth", "weights_too_large")
def relus_with_twice_the_spread(mended):
    init = cr.nn.he_normal if mended else (lambda key, shape, dtype: 2.0 * cr.nn.he_normal(key, shape, dtype))
    model = mlp(8, *[64] * 16, 1, seed=3, initializer=init)
    return Case(model=model, loss=MSE, batch=table(128), optimizer=cr.optim.adam(1e-3))


class Growing(cr.nn.Module):
    def __init__(self, width, blocks, normed, key):
        k = cr.random.split(key, blocks + 2)
        self.first = cr.nn.Linear(64, width, key=k[0])
        self.blocks = [cr.nn.Linear(width, width, key=own) for own in k[1:-1]]
        self.norms = [cr.nn.LayerNorm(width) for _ in self.blocks] if normed else []
        self.last = cr.nn.Linear(width, 10, key=k[-1])

    def __call__(self, x):
        h = self.first(x)
        for i, block in enumerate(self.blocks):
            h = h + block(cr.relu(self.norms[i](h) if self.norms else h)) * (1.0 if not self.norms else 0.2)
        return self.last(h)


@broken("exploding_by_depth", "weights_too_large")
def residual_blocks_that_grow(mended):
    model = Growing(64, 24, mended, cr.random.key(4))
    return Case(model=model, loss=CE, batch=digits(128), optimizer=cr.optim.gradient_descent(0.05))


class ReluCell(cr.nn.Cell):
    def step(self, projected, state):
        return cr.relu(projected + cr.matmul(state, self.state_weight))


@broken("exploding_recurrence", "exploding_by_depth", "weights_too_large")
def relu_recurrence_beyond_one(mended):
    x, y = waves(48, 40)
    k = keys(14)

    def state(key, shape, dtype):
        return (1.0 if mended else 2.2) * cr.nn.orthogonal(key, shape, dtype)

    cell = ReluCell(
        1, 24, key=k[0], state_initializer=(lambda key, s, d: cr.eye(24, dtype=d)) if mended else state
    )
    model = cr.nn.Sequential(
        cr.nn.Recurrent(cell, returns="last"), cr.nn.Linear(24, 1, key=k[1], initializer=normal(0.05))
    )
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(1e-3))


@broken("exploding_recurrence", "weights_too_large", "exploding_by_depth")
def unrolled_linear_dynamics(mended):
    rng = np.random.default_rng(15)
    x = rng.normal(size=(64, 3)).astype(np.float32)
    true = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32) * 0.98
    y = (x @ np.linalg.matrix_power(true, 25)).astype(np.float32)
    start = np.linalg.qr(rng.normal(size=(3, 3)))[0] * (0.95 if mended else 1.6)

    def roll(self, h):
        for _ in range(25):
            h = h @ self.a
        return h

    return Case(
        model=Apply(roll, a=leaf(start)), loss=MSE, batch=(x, y), optimizer=cr.optim.gradient_descent(1e-3)
    )


@broken("vanishing_recurrence")
def short_memory(mended):
    x, y = first_sign(64, 40)
    k = keys(16)

    def small(key, shape, dtype):
        return (1.0 if mended else 0.25) * cr.nn.orthogonal(key, shape, dtype)

    rnn = cr.nn.RNN(2, 24, returns="last", key=k[0], state_initializer=small)
    return Case(
        model=cr.nn.Sequential(rnn, cr.nn.Linear(24, 2, key=k[1])),
        loss=CE,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )


class Unrolled(cr.nn.Module):
    """A recurrence written as a loop over time, with sigmoids for its state."""

    def __init__(self, act, key):
        k = cr.random.split(key, 3)
        self.act = act
        self.enter, self.stay = (
            cr.nn.Linear(n, 20, key=own, initializer=cr.nn.orthogonal if n == 20 else cr.nn.glorot_uniform)
            for n, own in ((2, k[0]), (20, k[1]))
        )
        self.leave = cr.nn.Linear(20, 2, key=k[2])

    def __call__(self, x):
        x = cr.asarray(x)
        h = cr.zeros((x.shape[0], 20), dtype=cr.float32)
        for t in range(x.shape[1]):
            h = self.act(self.enter(x[:, t]) + self.stay(h))
        return self.leave(h)


@broken("vanishing_recurrence", "vanishing_by_depth")
def unrolled_sigmoid_recurrence(mended):
    x, y = first_sign(48, 25, seed=1)
    model = Unrolled(cr.tanh if mended else cr.sigmoid, cr.random.key(17))
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))
