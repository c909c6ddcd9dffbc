"""Healthy: recurrences and attention, fresh and trained."""

from __future__ import annotations

import numpy as np
from kit import (
    CE,
    LETTERS,
    MSE,
    Apply,
    Case,
    digits,
    first_sign,
    healthy,
    keys,
    leaf,
    mlp,
    normal,
    text,
    train,
    waves,
)

import chainrule as cr


@healthy
def lstm_fresh():
    k = keys(32)
    model = cr.nn.Sequential(cr.nn.LSTM(2, 32, returns="last", key=k[0]), cr.nn.Linear(32, 2, key=k[1]))
    return Case(model=model, loss=CE, batch=first_sign(48, 12), optimizer=cr.optim.adam(3e-3))


@healthy
def lstm_trained_with_clipping():
    x, y = first_sign(300, 20, seed=33)
    k = keys(33)
    model = cr.nn.Sequential(cr.nn.LSTM(2, 24, returns="last", key=k[0]), cr.nn.Linear(24, 2, key=k[1]))
    optimizer = cr.optim.clip_by_norm(cr.optim.adam(5e-3), 1.0)
    model = train(model, CE, optimizer, x, y, 300)
    return Case(model=model, loss=CE, batch=(x[:64], y[:64]), optimizer=optimizer)


@healthy
def gru_forecast_fresh():
    k = keys(34)
    model = cr.nn.Sequential(cr.nn.GRU(1, 24, returns="last", key=k[0]), cr.nn.Linear(24, 1, key=k[1]))
    return Case(model=model, loss=MSE, batch=waves(64), optimizer=cr.optim.adam(3e-3))


@healthy
def rnn_forecast_trained():
    x, y = waves(400, 12, seed=35)
    k = keys(35)
    model = cr.nn.Sequential(cr.nn.RNN(1, 20, returns="last", key=k[0]), cr.nn.Linear(20, 1, key=k[1]))
    model = train(model, MSE, cr.optim.adam(3e-3), x, y, 300)
    return Case(model=model, loss=MSE, batch=(x[:64], y[:64]), optimizer=cr.optim.adam(3e-3))


@healthy
def letters_by_lstm_fresh():
    model = cr.models.char_rnn(len(LETTERS), 32, key=cr.random.key(36))
    return Case(model=model, loss=CE, batch=text(16, 32), optimizer=cr.optim.adam(5e-3))


@healthy
def letters_by_gru_trained():
    x, y = text(200, 24, seed=37)
    model = train(
        cr.models.char_rnn(len(LETTERS), 32, "gru", key=cr.random.key(37)),
        CE,
        cr.optim.adam(5e-3),
        x,
        y,
        250,
        32,
    )
    return Case(model=model, loss=CE, batch=(x[:24], y[:24]), optimizer=cr.optim.adam(5e-3))


@healthy
def two_directions_for_a_class():
    x, y = first_sign(64, 15, seed=38)
    k = keys(38)
    model = Apply(
        lambda self, x: self.head(cr.concat([self.forth(x)[:, -1], self.back(x)[:, 0]], axis=-1)),
        forth=cr.nn.LSTM(2, 16, returns="sequence", key=k[0]),
        back=cr.nn.LSTM(2, 16, returns="sequence", reverse=True, key=k[1]),
        head=cr.nn.Linear(32, 2, key=k[2]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@healthy
def causal_transformer_fresh():
    model = cr.models.transformer(len(LETTERS), 48, 4, 3, 32, key=cr.random.key(39))
    return Case(model=model, loss=CE, batch=text(12, 32, seed=39), optimizer=cr.optim.adamw(1e-3))


@healthy
def causal_transformer_trained():
    x, y = text(256, 24, seed=40)
    model = cr.models.transformer(len(LETTERS), 32, 4, 2, 24, key=cr.random.key(40), dropout=0.1)
    optimizer = cr.optim.clip_by_norm(cr.optim.adamw(cr.optim.warm_up(3e-3, 20), weight_decay=0.01), 1.0)
    model = train(model, CE, optimizer, x, y, 250, 24, key=cr.random.key(5))
    return Case(
        model=model, loss=CE, batch=(x[:16], y[:16]), optimizer=cr.optim.adamw(1e-3), key=cr.random.key(6)
    )


class Encoder(cr.nn.Module):
    """A transformer block that looks both ways."""

    def __init__(self, vocabulary, width, heads, length, outputs, seed, each=False):
        k = keys(seed, 6)
        self.tokens = cr.nn.Embedding(vocabulary, width, key=k[0], initializer=normal(0.3))
        self.places = cr.nn.Embedding(length, width, key=k[1], initializer=normal(0.3))
        self.attention = cr.nn.MultiHeadAttention(width, heads, key=k[2])
        self.norm, self.norm2 = cr.nn.LayerNorm(width), cr.nn.LayerNorm(width)
        self.mlp = cr.models.mlp((width, 2 * width, width), cr.gelu, key=k[3])
        self.head = cr.nn.Linear(width, outputs, key=k[4], initializer=cr.nn.lecun_normal)
        self.each = each

    def __call__(self, given):
        ids, seen = given if isinstance(given, (tuple, list)) else (given, None)
        h = self.tokens(ids) + self.places.weight
        mask = None if seen is None else seen[:, None, :]
        h = h + self.attention(self.norm(h), mask=mask)
        h = h + self.mlp(self.norm2(h))
        return self.head(h if self.each else h[:, 0])


MASK = len(LETTERS)


@healthy
def masked_letters_without_a_causal_mask():
    """A masked language model: hidden letters are to be guessed from both sides, and only they are scored."""
    ids, _ = text(24, 20, seed=41)
    hide = np.random.default_rng(41).random(ids.shape) < 0.15
    model = Encoder(MASK + 1, 32, 4, 20, MASK, 41, each=True)

    def loss(z, target):
        right, hidden = target
        each = CE(z, right, reduction="none")
        return cr.sum(each * hidden) / cr.sum(hidden)

    return Case(
        model=model,
        loss=loss,
        batch=(np.where(hide, MASK, ids), (ids, hide.astype(np.float32))),
        optimizer=cr.optim.adam(2e-3),
    )


@healthy
def sentence_classifier_with_padding():
    rng = np.random.default_rng(42)
    ids = rng.integers(1, 40, (48, 14))
    lengths = rng.integers(5, 15, 48)
    seen = np.arange(14) < lengths[:, None]
    ids = np.where(seen, ids, 0)
    y = (((ids > 0) & (ids < 12)).sum(1) > 0.28 * lengths).astype(np.int64)
    model = Encoder(40, 24, 4, 14, 2, 42)
    return Case(model=model, loss=CE, batch=((ids, seen), y), optimizer=cr.optim.adam(2e-3))


@healthy
def attention_with_minus_infinity_by_hand():
    rng = np.random.default_rng(43)
    x = rng.normal(size=(32, 10, 12)).astype(np.float32)
    y = np.cumsum(x[:, :, :1], axis=1) / np.sqrt(np.arange(1, 11))[:, None]
    k = keys(43)
    hidden = np.where(np.tri(10) > 0, 0.0, -np.inf).astype(np.float32)

    def go(self, x):
        s = self.q(x) @ cr.matrix_transpose(self.k(x)) / 12**0.5 + hidden
        return self.head(x + cr.softmax(s, axis=-1) @ self.v(x))

    parts = {
        n: cr.nn.Linear(12, 12, key=own, initializer=cr.nn.glorot_uniform)
        for n, own in zip("qkv", k[:3], strict=True)
    }
    model = Apply(go, **parts, head=cr.nn.Linear(12, 1, key=k[3]))
    return Case(model=model, loss=MSE, batch=(x, y.astype(np.float32)), optimizer=cr.optim.adam(3e-3))


@healthy
def picture_patches_by_attention():
    x, y = digits(64, seed=44, images=True)
    patches = x.reshape(64, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4).reshape(64, 16, 4)
    k = keys(44, 6)

    def go(self, x):
        h = self.enter(x) + self.places
        h = h + self.attention(self.norm(h))
        h = h + self.mlp(self.norm2(h))
        return self.head(cr.mean(h, axis=1))

    model = Apply(
        go,
        enter=cr.nn.Linear(4, 32, key=k[0]),
        places=leaf(np.random.default_rng(4).normal(0, 0.1, (16, 32))),
        attention=cr.nn.MultiHeadAttention(32, 4, key=k[1]),
        norm=cr.nn.LayerNorm(32),
        norm2=cr.nn.LayerNorm(32),
        mlp=mlp(32, 64, 32, act=cr.gelu, seed=44),
        head=cr.nn.Linear(32, 10, key=k[2], initializer=cr.nn.lecun_normal),
    )
    return Case(model=model, loss=CE, batch=(np.ascontiguousarray(patches), y), optimizer=cr.optim.adam(2e-3))
