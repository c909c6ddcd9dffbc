"""What the cases share: how one is registered, data, and small layers."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import chainrule as cr

CE = cr.nn.softmax_cross_entropy
MSE = cr.nn.mean_squared_error


@dataclass(frozen=True)
class Case:
    """What one call of ``cr.diagnose`` is given."""

    model: Any
    loss: Any
    batch: Any
    optimizer: Any = None
    key: Any = None


def keyed(model: Any, loss: Any, batch: Any, optimizer: Any = None) -> Case:
    """A case with a key for what is random."""
    return Case(model, loss, batch, optimizer, cr.random.key(7))


@dataclass(frozen=True)
class Registered:
    """A case that can be built, and the kinds of findings of which one is expected: none of a healthy one."""

    group: str
    name: str
    build: Callable[[], Case]
    expected: frozenset[str] = frozenset()


REGISTERED: list[Registered] = []


def _name(f: Callable[..., Case]) -> str:
    """Set, module and function, as ``first.signals.dead_bottleneck``."""
    return f"{f.__module__}.{f.__qualname__}"


def broken(*expected: str) -> Callable[[Callable[[bool], Case]], Callable[[bool], Case]]:
    """Registers f(mended): f(False) is the broken case, f(True) the same with the mistake mended."""

    def register(f: Callable[[bool], Case]) -> Callable[[bool], Case]:
        name = _name(f)
        REGISTERED.append(Registered("broken", name, functools.partial(f, False), frozenset(expected)))
        REGISTERED.append(Registered("mended", name, functools.partial(f, True)))
        return f

    return register


def healthy(f: Callable[[], Case]) -> Callable[[], Case]:
    """Registers a case that must give no finding."""
    REGISTERED.append(Registered("healthy", _name(f), f))
    return f


def keys(seed, n=4):
    """Some keys of one seed."""
    return cr.random.split(cr.random.key(seed), n)


def leaf(values, dtype=np.float32):
    """A parameter with these values."""
    return cr.tensor(np.asarray(values, dtype), requires_grad=True)


def normal(std):
    """An initializer: normal numbers of this spread, whatever the shape."""
    return functools.partial(cr.random.normal, std=std)


def linear(inputs, outputs, seed, **options):
    """A linear layer from a seed."""
    return cr.nn.Linear(inputs, outputs, key=cr.random.key(seed), **options)


def mlp(*sizes, act=cr.relu, seed=0, **options):
    """The dense network of the package."""
    return cr.models.mlp(sizes, act, key=cr.random.key(seed), **options)


def stacked(sizes, act=cr.relu, seed=0, **options):
    """A dense network from single layers, each with a key of its own."""
    layers = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        layers.append(linear(inputs, outputs, seed * 100 + i, **options))
        if i < len(sizes) - 2:
            layers.append(act)
    return cr.nn.Sequential(*layers)


class Apply(cr.nn.Module):
    """A function with layers beside it: ``f(self, x)``."""

    def __init__(self, f, **parts):
        self.f = f
        for name, part in parts.items():
            setattr(self, name, part)

    def __call__(self, x):
        return self.f(self, x)


def mean_square(p, y):
    """As written by hand: unlike ``cr.nn.mean_squared_error`` it lets the two broadcast."""
    return cr.mean((p - y) ** 2)


def train(model, loss, optimizer, x, y, steps=300, batch=64, key=None, seed=0):
    """A trained model: minibatches in random order. x and y are arrays, or tuples of them."""
    step = cr.train.compile_step(model, loss, optimizer, key=key)
    rng = np.random.default_rng(seed)
    n = len(x[0] if isinstance(x, tuple) else x)

    def chosen(values, pick):
        return tuple(a[pick] for a in values) if isinstance(values, tuple) else values[pick]

    for _ in range(steps):
        pick = rng.choice(n, min(batch, n), replace=False)
        step(chosen(x, pick), chosen(y, pick))
    return step.model


@functools.cache
def _digits():
    data = cr.data.digits()
    return data, data.prepared("train")


def digits(n=128, seed=0, images=False):
    """Some digits, drawn at random."""
    x, y = _digits()[1]
    pick = np.random.default_rng(seed).permutation(len(x))[:n]
    x, y = x[pick], y[pick]
    return (x.reshape(-1, 8, 8, 1) if images else x), y


def digits_in_order(n=128, start=0):
    """Some digits, as they stand in the data set."""
    data = _digits()[0]
    return data.train_x[start : start + n], data.train_y[start : start + n]


def images_in_order(n=64, start=0):
    """Some digits as images, as they stand in the data set."""
    x, y = digits_in_order(n, start)
    return x.reshape(-1, 8, 8, 1), y


def coloured_pictures(n=16, side=32, seed=0):
    """Pictures with the spectrum of photographs, 1/frequency, of four classes told by the brighter border."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(rng.normal(size=(n, 4, side, side))) / frequency
    grey = np.fft.irfft2(waves, s=(side, side))
    grey /= grey.std(axis=(2, 3), keepdims=True)
    channels = (0.9 * grey[:, :1] + 0.4 * grey[:, 1:]).transpose(0, 2, 3, 1)  # colours go together
    slope = np.linspace(-0.5, 0.5, side)
    borders = np.stack([np.add.outer(a * slope, b * slope) for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))])
    x = np.clip(0.47 + 0.25 * (channels + borders[y][..., None]), 0, 1)
    return ((x - 0.47) / 0.25).astype(np.float32), y


def moons(n=128, seed=0):
    """Two half moons in the plane."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    a = rng.uniform(0, np.pi, n)
    x = np.where(y, 1 - np.cos(a), np.cos(a)), np.where(y, 0.5 - np.sin(a), np.sin(a))
    x = np.stack(x, 1) + rng.normal(0, 0.12, (n, 2)) - [0.5, 0.25]
    return x.astype(np.float32), y.astype(np.int64)


def spirals(n=192, seed=0):
    """Three arms of a spiral in the plane."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    r = rng.uniform(0.1, 1, n)
    a = 4.5 * r + y * 2 * np.pi / 3 + rng.normal(0, 0.12, n)
    return np.stack([r * np.cos(a), r * np.sin(a)], 1).astype(np.float32) * 1.8, y.astype(np.int64)


def table(n=128, features=8, seed=0, noise=0.2):
    """Standardized features, and a smooth function of them as target, of mean 0 and deviation about 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features))
    y = np.sin(x[:, 0]) + 0.7 * x[:, 1] * x[:, 2] - 0.5 * x[:, 3] + noise * rng.normal(size=n)
    return x.astype(np.float32), y[:, None].astype(np.float32)


def curve(n=128, seed=0, d=6):
    """Standard normal features, and another smooth function of them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)).astype(np.float32)
    y = np.sin(1.5 * x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3] + 0.1 * rng.standard_normal((n, 1))
    return x, y.astype(np.float32)


def first_sign(n=64, length=30, seed=0):
    """Sequences whose class is told by their first element."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.5, (n, length, 2))
    y = rng.integers(0, 2, n)
    x[:, 0, 0] = 2.0 * y - 1
    x[:, 0, 1] = 1
    return x.astype(np.float32), y.astype(np.int64)


def waves(n=48, length=24, seed=0):
    """Noisy sine waves, and what comes next in each."""
    rng = np.random.default_rng(seed)
    t = np.arange(length + 1)
    x = np.sin(rng.uniform(0.2, 0.6, (n, 1)) * t + rng.uniform(0, 6.3, (n, 1)))
    x = x + rng.normal(0, 0.05, (n, length + 1))
    return x[:, :-1, None].astype(np.float32), x[:, -1:].astype(np.float32)


TEXT = (
    "the miller rose before the sun and walked along the river to see whether the wheel still turned. in the night "
    "there had been rain, and the water stood higher than he had ever known it to stand. his daughter came after him "
    "with bread and a lantern, and they looked at the wheel together. it turned, but it turned slowly, for a tree had "
    "come down from the hills and lay across the channel. we shall need the rope and both of the horses, said the "
    "miller, and we shall need them before noon. so the daughter went back to the house, and woke her brothers, and "
    "they brought the rope and the horses and an axe. all morning they cut and pulled, and when the tree moved at last "
    "the wheel began to run so fast that the whole mill shook. the flour that they made that day was the finest of the "
    "year, and they said that the river had paid them for the work. "
) * 2
LETTERS = sorted(set(TEXT))
IDS = np.array([LETTERS.index(c) for c in TEXT])


def text(n=16, length=24, seed=0):
    """Windows of the story as numbers of letters, and the same moved on by one letter."""
    starts = np.random.default_rng(seed).integers(0, len(IDS) - length - 1, n)
    windows = starts[:, None] + np.arange(length + 1)
    return IDS[windows[:, :-1]], IDS[windows[:, 1:]]
