"""Healthy: convolutions, norms and residual networks, fresh and trained."""

from __future__ import annotations

import numpy as np
from kit import CE, Case, coloured_pictures, digits, healthy, keys, leaf, train

import chainrule as cr


@healthy
def lenet_fresh():
    x, y = digits(32, seed=19, images=True)
    x = np.pad(np.kron(x, np.ones((1, 3, 3, 1), np.float32)), ((0, 0), (2, 2), (2, 2), (0, 0)))
    return Case(
        model=cr.models.lenet(key=cr.random.key(19)), loss=CE, batch=(x, y), optimizer=cr.optim.adam(1e-3)
    )


@healthy
def cnn_of_the_package_fresh():
    model = cr.models.cnn((8, 8, 1), 10, key=cr.random.key(20))
    return Case(
        model=model,
        loss=CE,
        batch=digits(48, images=True),
        optimizer=cr.optim.adam(3e-3),
        key=cr.random.key(1),
    )


@healthy
def cnn_of_the_package_trained():
    x, y = digits(600, seed=21, images=True)
    model = cr.models.cnn((8, 8, 1), 10, key=cr.random.key(21))
    model = train(model, CE, cr.optim.adam(5e-4), x, y, 150, key=cr.random.key(2))
    return Case(
        model=model, loss=CE, batch=(x[:96], y[:96]), optimizer=cr.optim.adam(5e-4), key=cr.random.key(1)
    )


@healthy
def plain_convolutions_trained():
    x, y = digits(800, seed=22, images=True)
    k = keys(22)
    model = cr.nn.Sequential(
        cr.nn.Conv2d(1, 12, 3, padding="same", key=k[0]),
        cr.relu,
        cr.nn.MaxPool2d(2),
        cr.nn.Conv2d(12, 24, 3, padding="same", key=k[1]),
        cr.relu,
        cr.nn.Flatten(),
        cr.nn.Linear(384, 10, key=k[2]),
    )
    model = train(model, CE, cr.optim.adam(2e-3), x, y, 250)
    return Case(model=model, loss=CE, batch=(x[:64], y[:64]), optimizer=cr.optim.adam(2e-3))


class ConvNorm(cr.nn.Module):
    def __init__(self, norm, seed, drop=0.0, width=16):
        k = keys(seed)
        self.a = cr.nn.Conv2d(1, width, 3, padding="same", bias=False, key=k[0])
        self.b = cr.nn.Conv2d(width, width, 3, padding="same", bias=False, stride=2, key=k[1])
        self.na, self.nb = norm(width), norm(width)
        self.drop = cr.nn.Dropout(drop) if drop else None
        self.head = cr.nn.Linear(width, 10, key=k[2], initializer=cr.nn.lecun_normal)

    def __call__(self, x, training=None):
        def normed(norm, h):
            return norm(h, training) if isinstance(norm, cr.nn.BatchNorm) else norm(h)

        h = cr.relu(normed(self.na, self.a(x)))
        h = cr.mean(cr.relu(normed(self.nb, self.b(h))), axis=(1, 2))
        return self.head(h if self.drop is None else self.drop(h, training))


@healthy
def batch_norm_fresh():
    model = ConvNorm(cr.nn.BatchNorm, 23)
    return Case(
        model=model, loss=CE, batch=digits(64, seed=23, images=True), optimizer=cr.optim.momentum(0.05)
    )


@healthy
def batch_norm_trained_several_batches():
    x, y = digits(800, seed=24, images=True)
    model = train(ConvNorm(cr.nn.BatchNorm, 24), CE, cr.optim.adam(3e-3), x, y, 250)
    parts = [(x[i : i + 64], y[i : i + 64]) for i in range(0, 384, 64)]
    return Case(model=model, loss=CE, batch=parts, optimizer=cr.optim.adam(3e-3))


@healthy
def group_norm_fresh():
    model = ConvNorm(lambda c: cr.nn.GroupNorm(4, c), 25)
    return Case(model=model, loss=CE, batch=digits(32, seed=25, images=True), optimizer=cr.optim.adam(2e-3))


@healthy
def batch_norm_and_dropout_trained():
    x, y = digits(800, seed=26, images=True)
    model = train(
        ConvNorm(cr.nn.BatchNorm, 26, drop=0.3), CE, cr.optim.adam(3e-3), x, y, 200, key=cr.random.key(3)
    )
    return Case(
        model=model, loss=CE, batch=(x[:64], y[:64]), optimizer=cr.optim.adam(3e-3), key=cr.random.key(4)
    )


@healthy
def dropout_mlp_fresh():
    k = keys(27)
    model = cr.nn.Sequential(
        cr.nn.Linear(64, 128, key=k[0]),
        cr.relu,
        cr.nn.Dropout(0.5),
        cr.nn.Linear(128, 64, key=k[1]),
        cr.relu,
        cr.nn.Dropout(0.2),
        cr.nn.Linear(64, 10, key=k[2]),
    )
    return Case(
        model=model, loss=CE, batch=digits(128, seed=27), optimizer=cr.optim.adam(1e-3), key=cr.random.key(27)
    )


@healthy
def resnet20_on_coloured_pictures_fresh():
    model = cr.models.resnet(20, classes=4, key=cr.random.key(28))
    return Case(
        model=model,
        loss=CE,
        batch=coloured_pictures(12),
        optimizer=cr.optim.momentum(0.05, weight_decay=1e-4),
    )


class Block(cr.nn.Module):
    def __init__(self, width, key, zero=False):
        a, b = cr.random.split(key)
        self.a, self.b = (cr.nn.Conv2d(width, width, 3, padding="same", bias=False, key=k) for k in (a, b))
        self.na, self.nb = cr.nn.BatchNorm(width), cr.nn.BatchNorm(width)
        if zero:
            self.nb.scale = leaf(np.zeros(width))

    def __call__(self, x, training=None):
        h = cr.relu(self.na(self.a(x), training))
        return cr.relu(x + self.nb(self.b(h), training))


class SmallResNet(cr.nn.Module):
    def __init__(self, seed, blocks=3, zero=False):
        k = keys(seed, blocks + 2)
        self.first = cr.nn.Conv2d(1, 12, 3, padding="same", key=k[0])
        self.blocks = [Block(12, own, zero) for own in k[1:-1]]
        self.head = cr.nn.Linear(12, 10, key=k[-1], initializer=cr.nn.lecun_normal)

    def __call__(self, x, training=None):
        h = cr.relu(self.first(x))
        for block in self.blocks:
            h = block(h, training)
        return self.head(cr.mean(h, axis=(1, 2)))


@healthy
def residual_network_with_zero_branches_fresh():
    return Case(
        model=SmallResNet(29, zero=True),
        loss=CE,
        batch=digits(48, seed=29, images=True),
        optimizer=cr.optim.adam(3e-3),
    )


@healthy
def residual_network_trained():
    x, y = digits(700, seed=30, images=True)
    model = train(SmallResNet(30), CE, cr.optim.adam(3e-3), x, y, 120)
    return Case(model=model, loss=CE, batch=(x[:64], y[:64]), optimizer=cr.optim.adam(3e-3))


class Scaled(cr.nn.Module):
    """Blocks that start as the identity: each has a learned factor of 0 (ReZero)."""

    def __init__(self, seed, blocks):
        k = keys(seed, blocks + 2)
        self.first = cr.nn.Linear(64, 48, key=k[0])
        self.blocks = [cr.nn.Linear(48, 48, key=own) for own in k[1:-1]]
        self.factors = [leaf(0.0) for _ in self.blocks]
        self.last = cr.nn.Linear(48, 10, key=k[-1], initializer=cr.nn.lecun_normal)

    def __call__(self, x):
        h = self.first(x)
        for block, factor in zip(self.blocks, self.factors, strict=True):
            h = h + factor * cr.relu(block(h))
        return self.last(h)


@healthy
def rezero_twelve_blocks():
    return Case(model=Scaled(31, 12), loss=CE, batch=digits(96, seed=31), optimizer=cr.optim.adam(1e-3))
