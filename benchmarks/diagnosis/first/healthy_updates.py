"""Healthy: schedules, decay, clipping, small rates."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Case, digits, healthy, keys, mlp, spirals, table, train, waves

import chainrule as cr


@healthy
def weight_decay_as_usual():
    optimizer = cr.optim.adamw(1e-3, weight_decay=0.05, decays="*weight")
    return Case(model=mlp(64, 64, 64, 10, seed=41), loss=CE, batch=digits(128, seed=41), optimizer=optimizer)


@healthy
def descent_with_decay_trained():
    x, y = digits(800, seed=42)
    optimizer = cr.optim.momentum(0.05, weight_decay=5e-4)
    model = train(mlp(64, 48, 10, seed=42), CE, optimizer, x, y, 500)
    return Case(model=model, loss=CE, batch=(x[:128], y[:128]), optimizer=optimizer)


@healthy
def warm_up_from_zero():
    rate = cr.optim.warm_up(cr.optim.cosine(2e-3, updates=2000), updates=100)
    return Case(
        model=mlp(64, 64, 10, seed=43), loss=CE, batch=digits(64, seed=43), optimizer=cr.optim.adam(rate)
    )


@healthy
def one_cycle_from_a_small_rate():
    optimizer = cr.optim.momentum(cr.optim.one_cycle(0.1, updates=600))
    return Case(
        model=mlp(64, 64, 10, act=cr.gelu, seed=44), loss=CE, batch=digits(64, seed=44), optimizer=optimizer
    )


@healthy
def clipping_at_one():
    x, y = waves(64, 30, seed=45)
    k = keys(45)
    model = cr.nn.Sequential(cr.nn.RNN(1, 24, returns="last", key=k[0]), cr.nn.Linear(24, 1, key=k[1]))
    return Case(
        model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.clip_by_norm(cr.optim.momentum(0.02), 1.0)
    )


@healthy
def clipping_that_never_acts_when_trained():
    x, y = table(400, seed=46)
    optimizer = cr.optim.clip_by_value(cr.optim.adam(3e-3), 0.5)
    model = train(mlp(8, 32, 1, seed=46), MSE, optimizer, x, y, 300)
    return Case(model=model, loss=MSE, batch=(x[:96], y[:96]), optimizer=optimizer)


@healthy
def rmsprop_and_adagrad_like_rates():
    return Case(
        model=mlp(2, 32, 3, act=cr.tanh, seed=47),
        loss=CE,
        batch=spirals(128, seed=47),
        optimizer=cr.optim.rmsprop(3e-3),
    )


@healthy
def fine_tuning_with_a_small_rate():
    x, y = digits(800, seed=48)
    model = train(mlp(64, 64, 10, seed=48), CE, cr.optim.adam(2e-3), x, y, 250)
    shifted = (x * 0.9 + 0.05).astype(np.float32)
    return Case(model=model, loss=CE, batch=(shifted[:128], y[:128]), optimizer=cr.optim.adam(1e-4))
