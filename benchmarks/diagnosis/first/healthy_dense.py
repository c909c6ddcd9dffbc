"""Healthy: dense networks, fresh and trained."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Case, digits, healthy, keys, mlp, moons, spirals, table, train

import chainrule as cr


def glorot(*sizes, act=cr.tanh, seed=0):
    return mlp(*sizes, act=act, seed=seed, initializer=cr.nn.glorot_uniform)


@healthy
def relu_fresh():
    return Case(model=mlp(64, 128, 10, seed=1), loss=CE, batch=digits(64), optimizer=cr.optim.adam(1e-3))


@healthy
def relu_trained():
    x, y = digits(1000)
    model = train(mlp(64, 128, 10, seed=1), CE, cr.optim.adam(1e-3), x, y, 400)
    return Case(model=model, loss=CE, batch=(x[:64], y[:64]), optimizer=cr.optim.adam(1e-3))


@healthy
def recipe_of_the_package_trained_by_fit():
    model, data, loss, optimizer, settings = cr.models.digits_classifier()
    finished = cr.train.fit(model, data, loss, optimizer, **{**settings, "epochs": 6})
    x, y = data.prepared("train")
    return Case(model=finished.model, loss=loss, batch=(x[:128], y[:128]), optimizer=optimizer)


@healthy
def tanh_fresh():
    return Case(
        model=glorot(64, 60, 40, 10), loss=CE, batch=digits(128), optimizer=cr.optim.gradient_descent(0.1)
    )


@healthy
def tanh_trained_on_moons():
    x, y = moons(400)
    model = train(glorot(2, 16, 16, 2), CE, cr.optim.adam(1e-2), x, y, 400)
    return Case(model=model, loss=CE, batch=(x[:100], y[:100]), optimizer=cr.optim.adam(1e-2))


@healthy
def sigmoid_one_hidden_layer_fresh():
    model = glorot(64, 50, 10, act=cr.sigmoid, seed=2)
    return Case(model=model, loss=CE, batch=digits(96), optimizer=cr.optim.momentum(0.2))


@healthy
def sigmoid_two_hidden_layers_trained():
    x, y = digits(800, seed=3)
    model = train(glorot(64, 48, 32, 10, act=cr.sigmoid, seed=3), CE, cr.optim.adam(5e-3), x, y, 500)
    return Case(model=model, loss=CE, batch=(x[:96], y[:96]), optimizer=cr.optim.adam(5e-3))


@healthy
def gelu_four_layers_fresh():
    model = mlp(8, 64, 64, 64, 1, act=cr.gelu, seed=4)
    return Case(model=model, loss=MSE, batch=table(128), optimizer=cr.optim.adam(1e-3))


@healthy
def leaky_relu_eight_layers_fresh():
    model = mlp(64, *[64] * 8, 10, act=cr.leaky_relu, seed=5)
    return Case(model=model, loss=CE, batch=digits(128, seed=5), optimizer=cr.optim.adam(1e-3))


@healthy
def leaky_relu_trained_on_spirals():
    x, y = spirals(500)
    model = train(mlp(2, 48, 48, 3, act=cr.leaky_relu, seed=6), CE, cr.optim.adam(5e-3), x, y, 600)
    return Case(model=model, loss=CE, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(5e-3))


@healthy
def relu_twenty_layers_he():
    model = mlp(64, *[128] * 19, 10, seed=7)
    return Case(model=model, loss=CE, batch=digits(64, seed=7), optimizer=cr.optim.adam(2e-4))


@healthy
def tanh_ten_layers_orthogonal():
    model = mlp(64, *[64] * 10, 10, act=cr.tanh, seed=8, initializer=cr.nn.orthogonal)
    return Case(model=model, loss=CE, batch=digits(96, seed=8), optimizer=cr.optim.momentum(0.01))


@healthy
def xor_with_four_units():
    x = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.float32([[0], [1], [1], [0]])
    return Case(
        model=glorot(2, 4, 1, seed=9),
        loss=cr.nn.binary_cross_entropy,
        batch=(x, y),
        optimizer=cr.optim.adam(0.05),
    )


@healthy
def narrow_relu_trained_on_moons():
    x, y = moons(300, seed=10)
    model = train(mlp(2, 10, 2, seed=10), CE, cr.optim.adam(1e-2), x, y, 500)
    return Case(model=model, loss=CE, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(1e-2))


@healthy
def wide_relu_fresh():
    return Case(
        model=mlp(64, 1024, 10, seed=11), loss=CE, batch=digits(128, seed=11), optimizer=cr.optim.adam(1e-3)
    )


@healthy
def elu_lecun_six_layers():
    model = mlp(8, *[32] * 6, 1, act=cr.elu, seed=12, initializer=cr.nn.lecun_normal)
    return Case(model=model, loss=MSE, batch=table(128, seed=12), optimizer=cr.optim.adam(2e-3))


@healthy
def silu_trained_regression():
    x, y = table(600, seed=13)
    model = train(mlp(8, 48, 48, 1, act=cr.silu, seed=13), MSE, cr.optim.adam(3e-3), x, y, 400)
    return Case(model=model, loss=MSE, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(3e-3))


@healthy
def maxout_fresh():
    k = keys(14)
    model = cr.nn.Sequential(cr.nn.Maxout(64, 24, 3, key=k[0]), cr.nn.Linear(24, 10, key=k[1]))
    return Case(model=model, loss=CE, batch=digits(128, seed=14), optimizer=cr.optim.adam(1e-3))


@healthy
def layer_norms_between():
    k = keys(15)
    model = cr.nn.Sequential(
        cr.nn.Linear(8, 48, key=k[0]),
        cr.nn.LayerNorm(48),
        cr.relu,
        cr.nn.Linear(48, 48, key=k[1]),
        cr.nn.LayerNorm(48),
        cr.relu,
        cr.nn.Linear(48, 1, key=k[2], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=cr.nn.huber, batch=table(96, seed=15), optimizer=cr.optim.adam(3e-3))


@healthy
def float64_network():
    x, y = table(100, seed=16)
    model = mlp(8, 20, 1, act=cr.tanh, seed=16, initializer=cr.nn.glorot_uniform, dtype=cr.float64)
    return Case(
        model=model,
        loss=MSE,
        batch=(x.astype(np.float64), y.astype(np.float64)),
        optimizer=cr.optim.adam(3e-3),
    )


@healthy
def linear_softmax_regression():
    model = cr.models.linear((64,), 10, key=cr.random.key(17))
    return Case(model=model, loss=CE, batch=digits(128, seed=17), optimizer=cr.optim.gradient_descent(0.2))


@healthy
def linear_regression_fresh():
    rng = np.random.default_rng(18)
    x = rng.normal(size=(100, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 1)) + 0.1 * rng.normal(size=(100, 1))).astype(np.float32)
    model = cr.nn.Linear(5, 1, key=cr.random.key(18), initializer=cr.nn.lecun_normal)
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.gradient_descent(0.1))
