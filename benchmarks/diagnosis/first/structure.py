"""Broken: what layers are told, and along which axis they work."""

from __future__ import annotations

import numpy as np
from kit import CE, MSE, Apply, Case, broken, digits, keys, mlp, normal, spirals, table

import chainrule as cr


class Forgetful(cr.nn.Module):
    """Batch norms and dropout inside; `mended` says whether they are told that they are trained."""

    def __init__(self, mended):
        k = keys(53)
        self.mended = mended
        sizes = (64, 48, 48, 48)
        self.layers = [
            cr.nn.Linear(n, m, key=own, bias=False, initializer=normal(0.03))
            for n, m, own in zip(sizes, sizes[1:], k, strict=False)
        ]
        self.norms = [cr.nn.BatchNorm(48) for _ in self.layers]
        self.drop = cr.nn.Dropout(0.2)
        self.head = cr.nn.Linear(48, 10, key=k[3], initializer=cr.nn.lecun_normal)

    def __call__(self, x, training=None):
        told = training if self.mended else None
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = cr.relu(norm(layer(x), told))
        return self.head(self.drop(x, told))


@broken("training_mode", "weights_too_small", "vanishing_by_depth")
def layers_not_told(mended):
    return Case(
        model=Forgetful(mended),
        loss=CE,
        batch=digits(128, seed=20),
        optimizer=cr.optim.momentum(0.05),
        key=cr.random.key(20),
    )


class AlwaysDropping(cr.nn.Module):
    def __init__(self, mended):
        k = keys(54)
        self.mended = mended
        self.first, self.head = cr.nn.Linear(8, 48, key=k[0]), cr.nn.Linear(48, 1, key=k[1])
        self.drop = cr.nn.Dropout(0.5)

    def __call__(self, x, training=None):
        if not self.mended and training is None:  # it drops whenever it is called, evaluation included
            training = cr.nn.Training(cr.random.key(0))
        return self.head(self.drop(cr.relu(self.first(x)), training))


@broken("training_mode")
def drops_while_evaluated(mended):
    return Case(
        model=AlwaysDropping(mended),
        loss=MSE,
        batch=table(128, seed=21),
        optimizer=cr.optim.adam(3e-3),
        key=cr.random.key(21),
    )


@broken("batch_norm_constant", "samples_mixed", "zero_over_zero")
def pooled_over_the_batch_too(mended):
    """The pooling's axes have the batch among them: the norm behind it sees one vector for all."""
    x, y = digits(64, seed=22, images=True)
    k = keys(55)

    class Net(cr.nn.Module):
        def __init__(self):
            self.conv = cr.nn.Conv2d(1, 16, 3, key=k[0])
            self.norm = cr.nn.BatchNorm(16)
            self.head = cr.nn.Linear(16, 10, key=k[1])

        def __call__(self, x, training=None):
            h = cr.relu(self.conv(x))
            pooled = (
                cr.mean(h, axis=(1, 2))
                if mended
                else cr.mean(h, axis=(0, 1, 2), keepdims=True)[0, 0] + 0 * h[:, 0, 0]
            )
            return self.head(self.norm(pooled, training))

    return Case(model=Net(), loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-2))


@broken("batch_norm_constant")
def norm_of_what_never_changes(mended):
    """A sensor stands still but for its last digit; a norm with a tiny epsilon makes features of its noise."""
    x, y = table(128, 8, seed=23)
    x = x.copy()
    if not mended:
        rng = np.random.default_rng(23)
        x[:, 1:4] = (20 + 3e-6 * rng.normal(size=(128, 3))).astype(np.float32)
        y = (np.sin(x[:, :1]) + 0.1 * x[:, 5:6]).astype(np.float32)
    k = keys(56)
    model = cr.nn.Sequential(
        cr.nn.BatchNorm(8, epsilon=1e-5 if mended else 1e-14),
        cr.nn.Linear(8, 24, key=k[0]),
        cr.relu,
        cr.nn.Linear(24, 1, key=k[1]),
    )
    return Case(model=model, loss=MSE, batch=(x, y), optimizer=cr.optim.adam(5e-3))


@broken("no_nonlinearity")
def three_linear_layers(mended):
    x, y = spirals(192, seed=31)
    act = cr.relu if mended else cr.identity
    net = mlp(2, 32, 32, 3, act=act, seed=31)
    if not mended:
        net = cr.nn.Sequential(*net.layers[::2])
    return Case(model=net, loss=CE, batch=(x, y), optimizer=cr.optim.adam(5e-3))


@broken("no_nonlinearity")
def convolutions_without_activations(mended):
    x, _ = digits(256, seed=32, images=True)
    apart = np.abs(x[:, :, :4].sum((1, 2, 3)) - x[:, :, 4:].sum((1, 2, 3)))
    y = (apart > np.median(apart)).astype(np.int64)  # whether one half is much darker than the other
    k = keys(58)
    act = [cr.relu] if mended else []
    model = cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, padding="same", key=k[0], bias=mended),
        *act,
        cr.nn.Conv2d(8, 8, 3, padding="same", key=k[1]),
        *act,
        cr.nn.AvgPool2d(2),
        cr.nn.Flatten(),
        cr.nn.Linear(128, 32, key=k[2]),
        *act,
        cr.nn.Linear(32, 2, key=k[3]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(2e-3))


@broken("samples_mixed")
def softmax_over_the_batch(mended):
    x, y = digits(96, seed=33)
    k = keys(59)
    model = Apply(
        lambda self, x: self.head(
            cr.relu(self.values(x)) * cr.softmax(self.gate(x), axis=1 if mended else 0) * 24.0
        ),
        gate=cr.nn.Linear(64, 24, key=k[0]),
        values=cr.nn.Linear(64, 24, key=k[1]),
        head=cr.nn.Linear(24, 10, key=k[2]),
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))


@broken("samples_mixed")
def flattened_in_the_wrong_order(mended):
    """Channels are moved to the front, then all but the first axis of the batch's size is flattened."""
    x, y = digits(64, seed=34, images=True)
    k = keys(60)

    def go(self, x):
        h = cr.max_pool2d(cr.relu(self.conv(x)), 2)
        h = cr.permute_dims(h, (0, 3, 1, 2) if mended else (3, 0, 1, 2))
        return self.head(cr.reshape(h, (x.shape[0], 108)))

    model = Apply(go, conv=cr.nn.Conv2d(1, 12, 3, key=k[0]), head=cr.nn.Linear(108, 10, key=k[1]))
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(5e-3))


@broken("samples_mixed")
def attention_among_the_samples(mended):
    rng = np.random.default_rng(35)
    x = rng.normal(size=(32, 10, 16)).astype(np.float32)
    y = (x[:, 0, 0] + x[:, 5, 1] > 0).astype(np.int64)
    k = keys(61)

    def go(self, x):
        h = self.attention(x if mended else cr.swapaxes(x, 0, 1))
        h = x + (h if mended else cr.swapaxes(h, 0, 1))
        return self.head(h.reshape((h.shape[0], 160)))

    model = Apply(
        go, attention=cr.nn.MultiHeadAttention(16, 2, key=k[0]), head=cr.nn.Linear(160, 2, key=k[1])
    )
    return Case(model=model, loss=CE, batch=(x, y), optimizer=cr.optim.adam(3e-3))
