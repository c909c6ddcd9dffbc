"""Networks and data of a few numbers, for tests of what is wrong with them."""

from __future__ import annotations

import numpy as np

import chainrule as cr

X, LABELS = np.random.default_rng(0).standard_normal((32, 4)).astype(np.float32), np.arange(32) % 3
IDS = np.random.default_rng(0).integers(0, 20, (8, 17))
SUMS = X.sum(axis=1, keepdims=True)
KEYS = cr.random.split(cr.random.key(0), 20)
SCORES = cr.nn.softmax_cross_entropy
SQUARES = cr.nn.mean_squared_error
DESCENT, ADAM = cr.optim.gradient_descent, cr.optim.adam


def mlp(act=cr.relu, hidden=16, classes=3, **values):
    """Two layers; ``values`` sets parameters of the first, a number for all elements, or of the second as last_..."""
    first = cr.nn.Linear(4, hidden, key=KEYS[0])
    last = cr.nn.Linear(hidden, classes, key=KEYS[1])
    for name, value in values.items():
        layer = last if name.startswith("last_") else first
        name = name.removeprefix("last_")
        full = np.broadcast_to(np.asarray(value, np.float32), getattr(layer, name).shape)
        setattr(layer, name, cr.tensor(full.copy(), requires_grad=True))
    return cr.nn.Sequential(first, act, last)


def loss_of(formula):
    """A loss of scores and targets, for a model of the test's own numbers."""
    return lambda model, x, y: SCORES(formula(model, x), y)


def drawn(*shape, scale=1.0):
    return np.random.default_rng(1).standard_normal(shape) * scale
