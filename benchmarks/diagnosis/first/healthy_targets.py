"""Healthy: targets and features that look odd and are not."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Case, digits, healthy, leaf, mlp, moons, table, train

import chainrule as cr


@healthy
def targets_of_mean_fifty_with_a_fitting_bias():
    x, y = table(128, seed=1)
    y = 50 + 6 * y
    net = mlp(8, 32, 1, seed=1)
    net.layers[-1].bias = leaf([50.0])
    return Case(model=net, loss=MSE, batch=(x, y.astype(np.float32)), optimizer=cr.optim.adam(1e-2))


@healthy
def targets_of_mean_fifty_trained_with_absolute_error():
    x, y = table(600, seed=2)
    y = (50 + 6 * y).astype(np.float32)
    net = mlp(8, 48, 1, seed=2)
    net.layers[-1].bias = leaf([50.0])
    net = train(net, cr.nn.absolute_error, cr.optim.adam(1e-2), x, y, 400)
    return Case(model=net, loss=cr.nn.absolute_error, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(1e-2))


@healthy
def huber_with_outliers():
    x, y = table(128, seed=3)
    y = y.copy()
    y[::17] += 12
    return Case(model=mlp(8, 32, 1, seed=3), loss=cr.nn.huber, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def binary_class_one_score():
    x, y = moons(128, seed=4)
    return Case(
        model=mlp(2, 24, 1, seed=4),
        loss=cr.nn.binary_cross_entropy,
        batch=(x, y[:, None]),
        optimizer=cr.optim.adam(5e-3),
    )


@healthy
def binary_class_flat_score_trained():
    x, y = moons(400, seed=5)
    net = mlp(2, 24, 1, act=cr.tanh, seed=5)
    model = cr.nn.Sequential(*net.layers, lambda z: z[:, 0])
    model = train(model, cr.nn.binary_cross_entropy, cr.optim.adam(1e-2), x, y, 400)
    return Case(
        model=model, loss=cr.nn.binary_cross_entropy, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(1e-2)
    )


@healthy
def several_labels_at_once():
    x, _ = table(128, 12, seed=6)
    rng = np.random.default_rng(6)
    y = (x @ rng.normal(size=(12, 6)) + rng.normal(size=(128, 6)) > 1.5).astype(np.float32)
    return Case(
        model=mlp(12, 32, 6, seed=6),
        loss=cr.nn.binary_cross_entropy,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )


@healthy
def rare_class_with_a_fitting_bias():
    x, y = table(256, seed=7)
    y = (y[:, :1] > 1.9).astype(np.float32)
    net = mlp(8, 24, 1, seed=7)
    net.layers[-1].weight = leaf(net.layers[-1].weight.numpy() * 0.3)
    net.layers[-1].bias = leaf([np.log(y.mean() / (1 - y.mean()))])
    return Case(model=net, loss=cr.nn.binary_cross_entropy, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def unbalanced_classes():
    x, y = digits(600, seed=8)
    rng = np.random.default_rng(8)
    keep = (y == 3) | (rng.random(600) < 0.12)
    x, y = x[keep][:128], y[keep][:128]
    return Case(model=mlp(64, 48, 10, seed=8), loss=CE, batch=(x, y), optimizer=cr.optim.adam(2e-3))


@healthy
def four_examples():
    return Case(
        model=mlp(64, 48, 10, seed=9), loss=CE, batch=digits(4, seed=9), optimizer=cr.optim.adam(1e-3)
    )


@healthy
def small_batches_in_a_list():
    x, y = digits(64, seed=10)
    parts = [(x[i : i + 8], y[i : i + 8]) for i in range(0, 64, 8)]
    return Case(
        model=mlp(64, 32, 10, seed=10), loss=CE, batch=parts, optimizer=cr.optim.gradient_descent(0.05)
    )


@healthy
def shuffled_batches_of_trained_network():
    x, y = digits(800, seed=11)
    model = train(mlp(64, 48, 10, seed=11), CE, cr.optim.momentum(0.05), x, y, 200)
    parts = [(x[i : i + 64], y[i : i + 64]) for i in range(0, 512, 64)]
    return Case(model=model, loss=CE, batch=parts, optimizer=cr.optim.momentum(0.05))


@healthy
def constant_columns():
    x, y = table(128, seed=12)
    x = np.concatenate([np.ones((128, 1)), x, np.zeros((128, 3))], 1).astype(np.float32)
    return Case(model=mlp(12, 32, 1, seed=12), loss=MSE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def one_hot_columns():
    rng = np.random.default_rng(13)
    city, kind = rng.integers(0, 12, 128), rng.integers(0, 5, 128)
    price = rng.normal(size=12)[city] + rng.normal(size=5)[kind] + 0.1 * rng.normal(size=128)
    x = np.concatenate([np.eye(12)[city], np.eye(5)[kind]], 1).astype(np.float32)
    return Case(
        model=mlp(17, 32, 1, seed=13),
        loss=MSE,
        batch=(x, price[:, None].astype(np.float32)),
        optimizer=cr.optim.adam(3e-3),
    )


@healthy
def bags_of_words():
    rng = np.random.default_rng(14)
    y = rng.integers(0, 3, 96)
    p = np.full((3, 120), 0.02)
    p[np.arange(3)[:, None], np.arange(36).reshape(3, 12)] = 0.2
    x = (rng.random((96, 120)) < p[y]).astype(np.float32)
    return Case(model=mlp(120, 32, 3, seed=14), loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def counts_by_poisson():
    rng = np.random.default_rng(15)
    x = rng.normal(size=(128, 5)).astype(np.float32)
    y = rng.poisson(np.exp(0.6 * x[:, :1] + 0.3 * x[:, 1:2] + 0.5)).astype(np.float32)

    def poisson(log_rate, y):
        return cr.mean(cr.exp(log_rate) - y * log_rate)

    net = mlp(5, 24, 1, act=cr.tanh, seed=15, initializer=cr.nn.glorot_uniform)
    return Case(model=net, loss=poisson, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def log_of_counts_as_features():
    rng = np.random.default_rng(16)
    x = np.log1p(rng.poisson(6, (128, 6))).astype(np.float32)
    y = (x[:, :1] - x[:, 1:2] > 0).astype(np.float32)
    return Case(
        model=mlp(6, 24, 1, seed=16),
        loss=cr.nn.binary_cross_entropy,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )
