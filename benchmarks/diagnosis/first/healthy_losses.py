"""Healthy: losses that look odd and are not."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Apply, Case, digits, healthy, keys, mlp, table, train

import chainrule as cr


@healthy
def smoothed_labels():
    def loss(z, y):
        return CE(z, y, label_smoothing=0.1)

    x, y = digits(600, seed=49)
    model = train(mlp(64, 48, 10, seed=49), loss, cr.optim.adam(2e-3), x, y, 200)
    return Case(model=model, loss=loss, batch=(x[:128], y[:128]), optimizer=cr.optim.adam(2e-3))


@healthy
def margin_of_a_linear_machine():
    x, y = table(128, seed=50)
    y = np.where(y[:, 0] > 0, 1, -1)
    model = cr.nn.Sequential(
        cr.nn.Linear(8, 1, key=cr.random.key(50), initializer=cr.nn.lecun_normal), lambda z: z[:, 0]
    )
    return Case(
        model=model,
        loss=cr.nn.hinge,
        batch=(x, y),
        optimizer=cr.optim.gradient_descent(0.05, weight_decay=1e-3),
    )


@healthy
def classes_by_margin():
    return Case(
        model=mlp(64, 32, 10, seed=51, initializer=cr.nn.glorot_normal),
        loss=cr.nn.multiclass_hinge,
        batch=digits(128, seed=51),
        optimizer=cr.optim.adam(1e-3),
    )


@healthy
def ninth_decile():
    x, y = table(128, seed=52, noise=0.8)

    def pinball(p, y):
        d = y - p
        return cr.mean(cr.maximum(0.9 * d, -0.1 * d))

    return Case(model=mlp(8, 24, 1, seed=52), loss=pinball, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def loss_with_a_penalty():
    x, y = table(128, seed=53)
    net = mlp(8, 24, 1, act=cr.tanh, seed=53)
    k = Apply(lambda self, x: (self.net(x), self.net.layers[0].weight), net=net)

    def loss(out, y):
        return MSE(out[0], y) + 1e-3 * cr.sum(out[1] ** 2)

    return Case(model=k, loss=loss, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def two_tasks_from_one_body():
    x, y = digits(128, seed=54)
    k = keys(54)
    ink = x.mean(1, keepdims=True) * 4

    def go(self, x):
        h = self.body(x)
        return self.kind(h), self.ink(h)

    def loss(out, target):
        return CE(out[0], target[0]) + 0.5 * MSE(out[1], target[1])

    model = Apply(
        go,
        body=cr.nn.Sequential(cr.nn.Linear(64, 48, key=k[0]), cr.relu),
        kind=cr.nn.Linear(48, 10, key=k[1]),
        ink=cr.nn.Linear(48, 1, key=k[2], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=loss, batch=(x, (y, ink)), optimizer=cr.optim.adam(2e-3))


@healthy
def noisy_labels():
    x, y = digits(128, seed=55)
    rng = np.random.default_rng(55)
    y = np.where(rng.random(128) < 0.2, rng.integers(0, 10, 128), y)
    return Case(model=mlp(64, 32, 10, seed=55), loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-3))


@healthy
def mixture_of_densities():
    rng = np.random.default_rng(56)
    t = rng.uniform(-1, 1, (128, 1)).astype(np.float32)
    y = (
        np.where(rng.random((128, 1)) < 0.5, 1, -1) * (0.5 + t**2) + 0.05 * rng.normal(size=(128, 1))
    ).astype(np.float32)
    net = mlp(1, 24, 9, act=cr.tanh, seed=56)

    def loss(out, y):
        w, mean, log_s = out[:, :3], out[:, 3:6], cr.clip(out[:, 6:], -5.0, 3.0)
        each = cr.log_softmax(w, axis=-1) - log_s - 0.5 * ((y - mean) * cr.exp(-log_s)) ** 2
        return -cr.mean(cr.logsumexp(each, axis=-1))

    return Case(model=net, loss=loss, batch=(t, y), optimizer=cr.optim.adam(5e-3))


@healthy
def temperatures_standardized_after_loading():
    rng = np.random.default_rng(57)
    raw = np.stack([rng.normal(15, 8, 128), rng.uniform(950, 1050, 128), rng.gamma(2, 3, 128)], 1)
    x = ((raw - raw.mean(0)) / raw.std(0)).astype(np.float32)
    y = (0.6 * x[:, :1] - 0.4 * np.abs(x[:, 1:2]) + 0.1 * rng.normal(size=(128, 1))).astype(np.float32)
    return Case(
        model=mlp(3, 16, 16, 1, act=cr.leaky_relu, seed=57),
        loss=cr.nn.half_squared_error,
        batch=(x, y),
        optimizer=cr.optim.nesterov(0.01),
    )


@healthy
def policy_gradient():
    """Minus the logarithm of what was done, times what it brought: the loss is of either sign."""
    rng = np.random.default_rng(58)
    states = rng.normal(size=(128, 6)).astype(np.float32)
    actions = rng.integers(0, 3, 128)
    reward = (actions == (states[:, 0] > 0).astype(int)).astype(np.float32)
    advantage = ((reward - reward.mean()) / reward.std()).astype(np.float32)

    def loss(z, done):
        return cr.mean(CE(z, done[0], reduction="none") * done[1])

    return Case(
        model=mlp(6, 24, 3, act=cr.tanh, seed=58, initializer=cr.nn.glorot_uniform),
        loss=loss,
        batch=(states, (actions, advantage)),
        optimizer=cr.optim.adam(1e-3),
    )


@healthy
def without_an_optimizer():
    return Case(model=mlp(64, 40, 10, seed=59), loss=CE, batch=digits(96, seed=59))


@healthy
def without_an_optimizer_trained_regression():
    x, y = table(400, seed=60)
    model = train(mlp(8, 32, 1, act=cr.tanh, seed=60), MSE, cr.optim.adam(3e-3), x, y, 300)
    return Case(model=model, loss=MSE, batch=(x[:96], y[:96]))
