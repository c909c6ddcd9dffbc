"""Broken: paths that are cut."""

from __future__ import annotations

import numpy as np
from kit import CE, broken, curve, digits_in_order, images_in_order, keyed, linear, mean_square, stacked

import chainrule as cr


class Gate(cr.nn.Module):
    def __init__(self, mended):
        self.mended = mended
        self.rules = linear(20, 32, 1)
        self.out = linear(32, 2, 2)

    def __call__(self, x):
        h = self.rules(x)
        fire = cr.tanh(h) if self.mended else cr.where(h > 0, 1.0, -1.0).astype(cr.float32)
        return self.out(fire)


@broken("step_function", "integer_path", "detached")
def binary_neurons(mended):
    """Threshold units by hand: the layer below never learns."""
    r = np.random.default_rng(6)
    x = r.standard_normal((128, 20)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    return keyed(Gate(mended), CE, (x, y), cr.optim.adam(3e-3))


class Tokens(cr.nn.Module):
    """Two stages: the first classifies each glyph, the second adds embeddings of the *chosen* classes."""

    def __init__(self, mended):
        self.mended = mended
        self.first, self.table, self.last = (
            linear(16, 6, 1),
            cr.nn.Embedding(6, 8, key=cr.random.key(2)),
            linear(8, 3, 3),
        )

    def __call__(self, x):
        s = self.first(x)
        e = cr.softmax(s, axis=-1) @ self.table.weight if self.mended else self.table(cr.argmax(s, axis=-1))
        return self.last(e)


@broken("integer_path", "step_function", "never_selected")
def lookup_of_a_guess(mended):
    """argmax, then an embedding."""
    r = np.random.default_rng(7)
    x = r.standard_normal((120, 16)).astype(np.float32)
    return keyed(Tokens(mended), CE, (x, np.argmax(x[:, 3:6], 1)), cr.optim.adam(1e-2))


class Quantised(cr.nn.Module):
    def __init__(self, mended):
        self.mended = mended
        self.enc, self.dec = linear(64, 16, 1), linear(16, 64, 2)

    def __call__(self, x):
        z = 4 * cr.sigmoid(self.enc(x))
        q = cr.round(z)
        return self.dec(z + cr.stop_gradient(q - z) if self.mended else q)


@broken("step_function")
def rounded_code(mended):
    """Autoencoder with a rounded code, without straight-through."""
    x, _ = digits_in_order(128)
    return keyed(Quantised(mended), mean_square, (x, x), cr.optim.adam(3e-3))


class TwoTower(cr.nn.Module):
    def __init__(self, mended):
        self.mended = mended
        self.user, self.item = linear(10, 16, 1), linear(10, 16, 2)

    def __call__(self, x):
        u, v = cr.tanh(self.user(x[:, :10])), cr.tanh(self.item(x[:, 10:]))
        return cr.sum(u * (v if self.mended else v.detach()), axis=1)


@broken("detached", "no_grad")
def item_tower_cached(mended):
    """The item tower's output was detached "to save memory"."""
    r = np.random.default_rng(8)
    x = r.standard_normal((256, 20)).astype(np.float32)
    y = np.tanh(x[:, 0] * x[:, 10] + x[:, 1] * x[:, 12]).astype(np.float32)
    return keyed(TwoTower(mended), mean_square, (x, y), cr.optim.adam(5e-3))


class FrozenByMistake(cr.nn.Module):
    def __init__(self, mended):
        self.mended = mended
        self.stem = cr.nn.Conv2d(1, 12, 3, key=cr.random.key(1))
        self.norm = cr.nn.LayerNorm(12)
        self.head = linear(12, 10, 2)

    def features(self, x):
        return cr.mean(cr.gelu(self.norm(self.stem(x))), axis=(1, 2))

    def __call__(self, x):
        if self.mended:
            return self.head(self.features(x))
        with cr.no_grad():
            h = self.features(x)
        return self.head(h)


@broken("no_grad", "detached")
def no_grad_left_in(mended):
    """no_grad from the evaluation code remained around the backbone."""
    return keyed(FrozenByMistake(mended), CE, images_in_order(96), cr.optim.adam(1e-2))


class Deep(cr.nn.Module):
    def __init__(self, mended):
        self.inp = linear(64, 32, 0)
        self.blocks = [linear(32, 32, 10 + i) for i in range(4)]
        self.out = linear(32, 10, 1)
        self.mended = mended

    def __call__(self, x):
        h0 = cr.relu(self.inp(x))
        h = h0
        for b in self.blocks:
            h = cr.relu(b(h if self.mended else h0))
        return self.out(h)


@broken("not_used")
def wrong_variable_in_the_loop(mended):
    """Each block is applied to h0; only the last one counts."""
    return keyed(Deep(mended), CE, digits_in_order(128), cr.optim.adam(1e-3))


class Siamese(cr.nn.Module):
    def __init__(self, mended):
        self.mended, self.net = mended, stacked([8, 32, 8], cr.tanh)

    def __call__(self, x):
        a, b = x[:, :8], x[:, 8:]
        u = self.net(a)
        v = self.net(b if self.mended else a)
        return cr.sum((u - v) ** 2, axis=1)


def contrastive(d, y):
    return cr.mean(y * d + (1 - y) * cr.relu(2.0 - d))


@broken("cancelling_paths", "not_used", "norm_at_zero")
def siamese_same_side(mended):
    """Copy-paste: both sides of the siamese network see the left input; distances are 0."""
    r = np.random.default_rng(9)
    a = r.standard_normal((128, 8)).astype(np.float32)
    y = r.integers(0, 2, 128)
    b = np.where(y[:, None] > 0, a + 0.1 * r.standard_normal(a.shape), r.standard_normal(a.shape))
    return keyed(
        Siamese(mended),
        contrastive,
        (np.concatenate([a, b], 1).astype(np.float32), y.astype(np.float32)),
        cr.optim.adam(3e-3),
    )


class Centred(cr.nn.Module):
    def __init__(self, mended):
        self.body, self.mended = stacked([6, 32, 12]), mended
        self.norm = cr.nn.LayerNorm(12)

    def __call__(self, x):
        h = self.body(x)
        h = h if self.mended else self.norm(h)
        return cr.mean(h, axis=1, keepdims=True)


@broken("cancelling_paths", "batch_norm_constant")
def mean_of_a_layer_norm(mended):
    """Pools over the very features that were just centred: always 0 (the shift's mean)."""
    return keyed(Centred(mended), mean_square, curve(), cr.optim.adam(3e-3))


class Hermite(cr.nn.Module):
    """Limits its output with clip."""

    def __init__(self, mended):
        self.body, self.mended = stacked([6, 32, 1]), mended

    def __call__(self, x):
        h = self.body(x)
        return cr.sigmoid(h) if self.mended else cr.clip(4 * h - 3.0, 0.0, 1.0)


@broken("clipped")
def clip_as_activation(mended):
    """clip(…, 0, 1) in place of a sigmoid: most outputs start outside, where nothing passes."""
    x, y = curve()
    t = (1 / (1 + np.exp(-2 * y))).astype(np.float32)
    return keyed(Hermite(mended), mean_square, (x, t), cr.optim.adam(3e-3))
