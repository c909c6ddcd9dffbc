"""Broken: learning rates, decay, clipping."""

from __future__ import annotations

from kit import CE, MSE, Case, broken, digits, keys, mlp, spirals, table, waves

import chainrule as cr


@broken("learning_rate_too_high")
def descent_with_rate_three(mended):
    return Case(
        model=mlp(64, 48, 10, seed=15),
        loss=CE,
        batch=digits(128, seed=15),
        optimizer=cr.optim.gradient_descent(0.1 if mended else 4.0),
    )


@broken("learning_rate_too_high")
def adam_with_rate_one_half(mended):
    x, y = digits(96, seed=16, images=True)
    k = keys(51)
    model = cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, padding="same", key=k[0]),
        cr.relu,
        cr.nn.MaxPool2d(2),
        cr.nn.Conv2d(8, 16, 3, padding="same", key=k[1]),
        cr.relu,
        cr.nn.GlobalAveragePool(),
        cr.nn.Linear(16, 10, key=k[2]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3 if mended else 0.5))


@broken("learning_rate_too_high")
def momentum_on_wide_regression(mended):
    x, y = table(128, 24, seed=17)
    return Case(
        model=mlp(24, 128, 128, 1, seed=17),
        loss=MSE,
        batch=(x, y),
        optimizer=cr.optim.momentum(0.005 if mended else 0.6),
    )


@broken("learning_rate_too_low", "rounded_away")
def descent_with_rate_a_millionth(mended):
    return Case(
        model=mlp(2, 24, 24, 3, act=cr.tanh, seed=18, initializer=cr.nn.glorot_uniform),
        loss=CE,
        batch=spirals(160, seed=18),
        optimizer=cr.optim.gradient_descent(0.2 if mended else 2e-6),
    )


@broken("learning_rate_too_low", "rounded_away")
def adam_with_rate_one_in_ten_million(mended):
    x, y = waves(48, 16, seed=19)
    k = keys(52)
    model = cr.nn.Sequential(cr.nn.LSTM(1, 20, returns="last", key=k[0]), cr.nn.Linear(20, 1, key=k[1]))
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(5e-3 if mended else 1e-7))


@broken("weight_decay_too_strong")
def decay_of_one(mended):
    return Case(
        model=mlp(64, 64, 10, seed=29),
        loss=CE,
        batch=digits(128, seed=29),
        optimizer=cr.optim.momentum(0.05, weight_decay=1e-4 if mended else 1.0),
    )


@broken("weight_decay_too_strong")
def adamw_with_decay_thirty(mended):
    x, y = spirals(160, seed=30)
    return Case(
        model=mlp(2, 32, 32, 3, act=cr.gelu, seed=30),
        loss=CE,
        batch=(x, y),
        optimizer=cr.optim.adamw(5e-3, weight_decay=0.01 if mended else 30.0),
    )


@broken("clipping_too_tight", "learning_rate_too_low")
def norm_clipped_at_a_thousandth(mended):
    optimizer = cr.optim.clip_by_norm(cr.optim.gradient_descent(0.1), 5.0 if mended else 1e-3)
    return Case(model=mlp(64, 48, 10, seed=42), loss=CE, batch=digits(128, seed=42), optimizer=optimizer)


@broken("clipping_too_tight", "learning_rate_too_low")
def values_clipped_at_a_hundred_thousandth(mended):
    x, y = waves(48, 16, seed=43)
    k = keys(64)
    model = cr.nn.Sequential(cr.nn.RNN(1, 20, returns="last", key=k[0]), cr.nn.Linear(20, 1, key=k[1]))
    optimizer = cr.optim.clip_by_value(cr.optim.momentum(0.02), 1.0 if mended else 1e-5)
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=optimizer)
