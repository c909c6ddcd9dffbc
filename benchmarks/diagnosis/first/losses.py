"""Broken: losses and targets."""

from __future__ import annotations

import numpy as np
from kit import CE, LETTERS, MSE, Case, broken, digits, keys, leaf, mlp, moons, table, text

import chainrule as cr


@broken("loss_summed", "learning_rate_too_high", "loss_scaled")
def summed_over_the_batch(mended):
    def loss(z, y):
        return CE(z, y, reduction="mean" if mended else "sum")

    return Case(
        model=mlp(64, 64, 10, seed=1), loss=loss, batch=digits(256), optimizer=cr.optim.momentum(0.05)
    )


@broken("loss_summed", "learning_rate_too_high", "loss_scaled")
def squared_error_summed(mended):
    def loss(p, y):
        return cr.mean((p - y) ** 2) if mended else cr.sum((p - y) ** 2)

    return Case(
        model=mlp(8, 32, 1, seed=2),
        loss=loss,
        batch=table(200, seed=2),
        optimizer=cr.optim.gradient_descent(0.02),
    )


@broken("loss_averaged_twice", "loss_scaled", "learning_rate_too_low")
def divided_by_the_batch_again(mended):
    x, y = digits(128, seed=3)

    def loss(z, y):
        return CE(z, y) if mended else CE(z, y) / y.shape[0]

    return Case(
        model=mlp(64, 32, 10, seed=3), loss=loss, batch=(x, y), optimizer=cr.optim.gradient_descent(0.1)
    )


@broken("loss_scaled", "loss_averaged_twice", "learning_rate_too_low")
def loss_times_a_ten_thousandth(mended):
    def loss(z, y):
        return MSE(z, y) * (1.0 if mended else 1e-4)

    return Case(
        model=mlp(8, 24, 1, act=cr.tanh, seed=4),
        loss=loss,
        batch=table(96, seed=4),
        optimizer=cr.optim.momentum(0.02),
    )


@broken("loss_scaled", "learning_rate_too_high")
def loss_times_a_thousand(mended):
    def loss(z, y):
        return CE(z, y) * (1.0 if mended else 1000.0)

    return Case(
        model=mlp(64, 32, 10, seed=5),
        loss=loss,
        batch=digits(96, seed=5),
        optimizer=cr.optim.gradient_descent(0.05),
    )


@broken("shifted_targets", "wrong_targets")
def classes_counted_from_one(mended):
    """One-hot by comparison: the last class has a row of zeros, and class 0 never occurs."""
    x, y = digits(192, seed=6)
    given = y if mended else y + 1

    def loss(z, y):
        hot = (cr.expand_dims(y, axis=-1) == np.arange(10)).astype(cr.float32)
        return -cr.mean(cr.sum(hot * cr.log_softmax(z, axis=-1), axis=-1))

    return Case(model=mlp(64, 32, 10, seed=6), loss=loss, batch=(x, given), optimizer=cr.optim.adam(3e-3))


@broken("shifted_targets", "sees_the_answer", "wrong_targets")
def targets_are_the_inputs(mended):
    """A language model whose targets were not moved by one: it learns to copy."""
    ids, nexts = text(12, 20, seed=7)
    model = cr.models.transformer(len(LETTERS), 32, 4, 2, 20, key=cr.random.key(7))
    return Case(model=model, loss=CE, batch=(ids, nexts if mended else ids), optimizer=cr.optim.adam(3e-3))


@broken("broadcast_targets")
def targets_without_the_axis(mended):
    x, y = table(128, seed=8)

    def loss(p, y):
        return cr.mean((p - y) ** 2)

    return Case(
        model=mlp(8, 32, 1, seed=8),
        loss=loss,
        batch=(x, y if mended else y[:, 0]),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("broadcast_targets")
def binary_targets_without_the_axis(mended):
    x, y = moons(96, seed=9)

    def loss(z, y):
        return cr.mean(cr.softplus(z) - y * z)

    y = y.astype(np.float32)
    return Case(
        model=mlp(2, 16, 1, act=cr.gelu, seed=9),
        loss=loss,
        batch=(x, y[:, None] if mended else y),
        optimizer=cr.optim.adam(1e-2),
    )


@broken("double_softmax")
def softmax_before_the_loss(mended):
    x, y = digits(128, seed=10, images=True)
    k = keys(50)
    layers = [cr.nn.Conv2d(1, 8, 3, key=k[0]), cr.relu, cr.nn.Flatten(), cr.nn.Linear(288, 10, key=k[1])]
    layers += [] if mended else [cr.softmax]
    return Case(model=cr.nn.Sequential(*layers), loss=CE, batch=(x, y), optimizer=cr.optim.momentum(0.05))


@broken("double_softmax")
def sigmoid_before_the_logit_loss(mended):
    x, y = moons(128, seed=11)
    layers = mlp(2, 24, 1, seed=11).layers + ([] if mended else [cr.sigmoid])
    return Case(
        model=cr.nn.Sequential(*layers),
        loss=cr.nn.binary_cross_entropy,
        batch=(x, y[:, None]),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("unreachable_targets", "saturated")
def sigmoid_towards_fifty(mended):
    x, y = table(128, seed=12)
    y = 6 + 2 * y
    net = mlp(8, 32, 1, seed=12)
    net.layers[-1].bias = leaf([6.0 if mended else 0.0])
    return Case(
        model=net if mended else cr.nn.Sequential(*net.layers, cr.sigmoid),
        loss=MSE,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("unreachable_targets", "dead_relu")
def relu_towards_negative_targets(mended):
    x, y = table(128, seed=13)
    net = mlp(8, 32, 1, seed=13)
    return Case(
        model=net if mended else cr.nn.Sequential(*net.layers, cr.relu),
        loss=cr.nn.huber,
        batch=(x, y),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("unreachable_targets", "saturated")
def tanh_pictures_up_to_255(mended):
    x, _ = digits(96, seed=14)
    net = mlp(64, 24, 64, seed=14)
    target = x * 2 - 1 if mended else x * 255
    return Case(
        model=cr.nn.Sequential(*net.layers, cr.tanh),
        loss=cr.nn.absolute_error,
        batch=(x, target),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("uphill")
def minus_forgotten(mended):
    x, y = digits(128, seed=36)

    def loss(z, y):
        likely = cr.mean(cr.take_along_axis(cr.log_softmax(z, axis=-1), cr.expand_dims(y, axis=-1), axis=-1))
        return -likely if mended else likely

    return Case(model=mlp(64, 32, 10, seed=36), loss=loss, batch=(x, y), optimizer=cr.optim.momentum(0.05))


@broken("uphill")
def error_below_zero(mended):
    def loss(p, y):
        return cr.mean((p - y) ** 2) if mended else -cr.mean((p - y) ** 2)

    return Case(
        model=mlp(8, 24, 1, act=cr.tanh, seed=37),
        loss=loss,
        batch=table(96, seed=37),
        optimizer=cr.optim.adam(3e-3),
    )


@broken("wrong_targets")
def signs_for_a_loss_of_zeros_and_ones(mended):
    x, y = moons(128, seed=44)
    y = y.astype(np.float32)[:, None]

    def loss(z, y):
        return cr.mean(cr.softplus(z) - y * z)

    return Case(
        model=mlp(2, 16, 1, seed=44),
        loss=loss,
        batch=(x, y if mended else 2 * y - 1),
        optimizer=cr.optim.adam(5e-3),
    )


@broken("wrong_targets")
def zeros_and_ones_for_a_margin(mended):
    x, y = moons(128, seed=45)
    y = y.astype(np.float32)[:, None]

    def loss(z, y):
        return cr.mean(cr.relu(1 - y * z))

    return Case(
        model=mlp(2, 16, 1, act=cr.tanh, seed=45),
        loss=loss,
        batch=(x, 2 * y - 1 if mended else y),
        optimizer=cr.optim.adam(5e-3),
    )


@broken("wrong_targets")
def class_numbers_where_one_hot_is_meant(mended):
    x, y = digits(128, seed=46)
    given = np.eye(10, dtype=np.float32)[y] if mended else np.repeat(y[:, None], 10, 1).astype(np.float32)

    def loss(z, y):
        return -cr.mean(cr.sum(y * cr.log_softmax(z, axis=-1), axis=-1))

    return Case(model=mlp(64, 32, 10, seed=46), loss=loss, batch=(x, given), optimizer=cr.optim.adam(3e-3))


@broken("wrong_targets", "unreachable_targets")
def percentages_for_probabilities(mended):
    x, y = table(128, seed=47)
    p = 1 / (1 + np.exp(-1.5 * y))
    given = (p if mended else np.round(100 * p)).astype(np.float32)

    def loss(z, y):
        return cr.mean(y * cr.softplus(-z) + (1 - y) * cr.softplus(z))

    return Case(model=mlp(8, 24, 1, seed=47), loss=loss, batch=(x, given), optimizer=cr.optim.adam(3e-3))
