"""Broken: inputs, their order, and what they give away."""

from __future__ import annotations

import numpy as np
from kit import CE, LETTERS, MSE, Apply, Case, broken, digits, keys, mlp, normal, table, text

import chainrule as cr


@broken("unnormalised_inputs", "learning_rate_too_low")
def rooms_and_square_feet(mended):
    rng = np.random.default_rng(24)
    area, rooms, age = rng.normal(1500, 400, 160), rng.integers(1, 7, 160), rng.uniform(0, 80, 160)
    x = np.stack([area, rooms, age, rng.random(160)], 1)
    y = 0.8 * (area - 1500) / 400 + 0.5 * (rooms - 3.5) / 1.7 - 0.3 * (age - 40) / 23
    x = (x - x.mean(0)) / x.std(0) if mended else x
    return Case(
        model=mlp(4, 32, 1, seed=24),
        loss=MSE,
        batch=(x.astype(np.float32), y[:, None].astype(np.float32)),
        optimizer=cr.optim.gradient_descent(0.05 if mended else 1e-8),
    )


@broken("unnormalised_inputs", "saturated")
def years_beside_ratios(mended):
    rng = np.random.default_rng(25)
    x, y = table(128, 5, seed=25)
    year = rng.integers(1990, 2024, (128, 1))
    y = ((y + 0.05 * (year - 2007)) > 0).astype(np.int64)[:, 0]
    x = np.concatenate([x, (year - 2007) / 10 if mended else year], 1).astype(np.float32)
    return Case(model=mlp(6, 24, 2, seed=25), loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-3))


@broken("unnormalised_inputs", "saturated", "weights_too_large")
def pictures_of_bytes(mended):
    x, y = digits(128, seed=26, images=True)
    k = keys(57)
    model = cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, key=k[0]), cr.relu, cr.nn.Flatten(), cr.nn.Linear(288, 10, key=k[1])
    )
    return Case(
        model=model, loss=CE, batch=(x if mended else x * 255, y), optimizer=cr.optim.gradient_descent(0.05)
    )


def _parts(x, y, size):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x) - size + 1, size)]


@broken("sorted_batches")
def digits_in_order(mended):
    x, y = digits(640, seed=27)
    order = np.arange(640) if mended else np.argsort(y, kind="stable")
    return Case(
        model=mlp(64, 32, 10, seed=27),
        loss=CE,
        batch=_parts(x[order], y[order], 64),
        optimizer=cr.optim.gradient_descent(0.1),
    )


@broken("sorted_batches")
def prices_in_order(mended):
    x, y = table(320, seed=28)
    order = np.arange(320) if mended else np.argsort(y[:, 0])
    return Case(
        model=mlp(8, 24, 1, act=cr.leaky_relu, seed=28),
        loss=MSE,
        batch=_parts(x[order], y[order], 32),
        optimizer=cr.optim.adam(5e-3),
    )


@broken("sees_the_answer")
def label_among_the_features(mended):
    x, y = table(160, 9, seed=38, noise=1.0)
    y = (y[:, 0] > 0).astype(np.int64)
    x = x.copy()
    if not mended:
        x[:, 6] = 2.0 * y - 1
    return Case(model=mlp(9, 24, 2, seed=38), loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("sees_the_answer")
def next_letter_without_a_mask(mended):
    ids, nexts = text(16, 20, seed=39)
    k = keys(62, 6)

    def go(self, ids):
        h = self.tokens(ids) + self.places.weight
        h = h + self.attention(self.norm(h))
        h = h + self.mlp(self.norm2(h))
        return self.head(h)

    model = Apply(
        go,
        tokens=cr.nn.Embedding(len(LETTERS), 32, key=k[0], initializer=normal(0.3)),
        places=cr.nn.Embedding(20, 32, key=k[1], initializer=normal(0.3)),
        attention=cr.nn.MultiHeadAttention(32, 4, causal=mended, key=k[2]),
        norm=cr.nn.LayerNorm(32),
        norm2=cr.nn.LayerNorm(32),
        mlp=mlp(32, 64, 32, act=cr.gelu, seed=40),
        head=cr.nn.Linear(32, len(LETTERS), key=k[3], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=CE, batch=(ids, nexts), optimizer=cr.optim.adam(3e-3))


@broken("sees_the_answer")
def both_directions_for_the_next_letter(mended):
    ids, nexts = text(16, 20, seed=41)
    k = keys(63)
    v = len(LETTERS)

    def go(self, ids):
        h = self.tokens(ids)
        parts = [self.forth(h)] + ([] if mended else [self.back(h)])
        return self.head(cr.concat(parts, axis=-1) if len(parts) > 1 else parts[0])

    extra = {} if mended else {"back": cr.nn.LSTM(20, 24, reverse=True, returns="sequence", key=k[2])}
    model = Apply(
        go,
        tokens=cr.nn.Embedding(v, 20, key=k[0]),
        forth=cr.nn.LSTM(20, 24, returns="sequence", key=k[1]),
        **extra,
        head=cr.nn.Linear(24 if mended else 48, v, key=k[3], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=CE, batch=(ids, nexts), optimizer=cr.optim.adam(5e-3))
