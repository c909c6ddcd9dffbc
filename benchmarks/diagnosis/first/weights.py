"""Broken: first weights, and what never gets to differ."""

from __future__ import annotations

import numpy as np
from kit import (
    CE,
    LETTERS,
    MSE,
    Apply,
    Case,
    broken,
    digits,
    keys,
    leaf,
    mlp,
    moons,
    normal,
    spirals,
    table,
    text,
)

import chainrule as cr


@broken("symmetric_initialisation", "weights_too_small")
def all_weights_alike(mended):
    init = cr.nn.he_normal if mended else (lambda key, shape, dtype: cr.full(shape, 0.1, dtype=dtype))
    return Case(
        model=mlp(64, 32, 10, seed=14, initializer=init),
        loss=CE,
        batch=digits(128),
        optimizer=cr.optim.momentum(0.05),
    )


@broken("symmetric_initialisation", "weights_too_small", "cancelling_paths")
def both_layers_zero(mended):
    x, y = moons(128)
    init = cr.nn.glorot_uniform if mended else (lambda key, shape, dtype: cr.zeros(shape, dtype=dtype))
    return Case(
        model=mlp(2, 16, 2, act=cr.tanh, seed=15, initializer=init),
        loss=CE,
        batch=(x, y),
        optimizer=cr.optim.gradient_descent(0.3),
    )


@broken("symmetric_initialisation")
def kernels_that_are_copies(mended):
    k = keys(27)
    conv = cr.nn.Conv2d(1, 8, 3, padding="same", key=k[0])
    head = cr.nn.Linear(8, 10, key=k[1])
    if not mended:  # one kernel for all channels, and a head that starts at zero
        conv.weight = leaf(np.repeat(conv.weight.numpy()[..., :1], 8, axis=3))
        head.weight = leaf(np.zeros((8, 10)))
    model = cr.nn.Sequential(conv, cr.relu, cr.nn.GlobalAveragePool(), head)
    return Case(model=model, loss=CE, batch=digits(96, images=True), optimizer=cr.optim.adam(1e-2))


@broken("never_selected")
def one_piece_of_maxout_wins(mended):
    x, y = table(128, seed=16)
    k = keys(28)
    layer = cr.nn.Maxout(8, 12, 3, key=k[0])
    if not mended:
        layer.bias = leaf(np.repeat([40.0, 0.0, -40.0], 12))
    model = cr.nn.Sequential(layer, cr.nn.Linear(12, 1, key=k[1], initializer=normal(0.02)))
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("never_selected", "integer_path")
def experts_that_never_win(mended):
    x, y = spirals(160, seed=3)
    k = keys(29, 6)

    def go(self, x):
        each = cr.stack([e(x) for e in self.experts], axis=1)
        scores = self.gate(x)
        weights = cr.softmax(scores, axis=-1)
        if not mended:  # the best expert alone
            best = cr.max(weights, axis=-1, keepdims=True)
            weights = cr.where(weights >= best, weights, 0.0)
        return cr.sum(each * cr.expand_dims(weights, axis=-1), axis=1)

    gate = cr.nn.Linear(2, 4, key=k[4], initializer=normal(0.05))
    if not mended:
        gate.bias = leaf([3.0, 0.0, 0.0, 0.0])
    model = Apply(
        go,
        gate=gate,
        experts=[
            cr.nn.Sequential(cr.nn.Linear(2, 12, key=own), cr.tanh, cr.nn.Linear(12, 3, key=own))
            for own in k[:4]
        ],
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@broken("cancelling_paths", "not_used")
def mean_of_a_normalized_vector(mended):
    x, y = table(128, seed=17)
    k = keys(30)

    def go(self, x):
        h = self.norm(cr.relu(self.first(x)))
        return self.head(h if mended else cr.mean(h, axis=-1, keepdims=True))

    model = Apply(
        go,
        first=cr.nn.Linear(8, 24, key=k[0]),
        norm=cr.nn.LayerNorm(24),
        head=cr.nn.Linear(24 if mended else 1, 1, key=k[1], initializer=cr.nn.lecun_normal),
    )
    if not mended:
        model.norm.scale = cr.nn.Buffer(model.norm.scale.detach())  # elementwise_affine=False, so to say
        model.norm.__class__ = PlainNorm
        model.norm.scale, model.norm.shift = np.ones(24, np.float32), np.zeros(24, np.float32)
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


class PlainNorm(cr.nn.LayerNorm):
    def __call__(self, x):
        d = x - cr.mean(x, axis=-1, keepdims=True)
        return d / cr.sqrt(cr.mean(d * d, axis=-1, keepdims=True) + 1e-5)


@broken("cancelling_paths", "not_used")
def probabilities_summed(mended):
    """A penalty written with the sum of a softmax where its entropy was meant, as the only loss of the gate."""
    x, y = moons(96)

    def go(self, x):
        p = cr.softmax(self.gate(x), axis=-1)
        pooled = (
            cr.sum(p * self.values, axis=-1, keepdims=True) if mended else cr.sum(p, axis=-1, keepdims=True)
        )
        return pooled * self.direction

    model = Apply(
        go,
        gate=mlp(2, 16, 6, act=cr.tanh, seed=31),
        values=leaf(np.random.default_rng(3).normal(size=6)),
        direction=leaf([1.0, -1.0]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@broken("weights_too_large", "exploding_by_depth", "saturated")
def weights_of_spread_one(mended):
    init = cr.nn.he_normal if mended else normal(1.0)
    return Case(
        model=mlp(64, 200, 80, 10, seed=19, initializer=init),
        loss=CE,
        batch=digits(128),
        optimizer=cr.optim.gradient_descent(0.05),
    )


@broken("weights_too_large", "saturated")
def embeddings_of_spread_thirty(mended):
    ids, nexts = text(16, 20, seed=2)
    model = cr.models.char_rnn(len(LETTERS), 24, "rnn", key=cr.random.key(32))
    if not mended:
        model.tokens.weight = leaf(model.tokens.weight.numpy() * 30)
    return Case(model=model, loss=CE, batch=(ids, nexts), optimizer=cr.optim.adam(3e-3))


@broken("weights_too_small", "vanishing_by_depth", "symmetric_initialisation")
def weights_of_a_thousandth(mended):
    init = cr.nn.he_normal if mended else normal(1e-3)
    return Case(
        model=mlp(8, 32, 32, 32, 1, seed=20, initializer=init),
        loss=MSE,
        batch=table(128, seed=20),
        optimizer=cr.optim.momentum(0.02),
    )


@broken("weights_too_small", "vanishing_by_depth")
def fixed_small_spread_in_four_layers(mended):
    init = cr.nn.glorot_normal if mended else normal(0.01)
    return Case(
        model=mlp(64, 50, 50, 50, 10, act=cr.tanh, seed=21, initializer=init),
        loss=CE,
        batch=digits(128, seed=3),
        optimizer=cr.optim.gradient_descent(0.1),
    )
