"""Data for small networks: points in the plane, a curve, the digits, and the one example of article 001."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from chainrule import data
from chainrule.data.splitting import split_rows
from chainrule.ops import random
from chainrule.primitive import Array
from chainrule.shapes import float64
from chainrule.tour.network import VALUES

Kind = Literal["classes", "numbers"]


@dataclass(frozen=True, eq=False)
class Examples:
    """What a network is trained and tested on.

    Attributes:
        kind: what is to be learned: classes, or numbers.
        x: inputs as the network gets them, float64, shape ``(n, inputs)``.
        y: numbers of classes, int64, or what is to be learned, float64; shape ``(n,)``.
        tests: which are for testing, bool, shape ``(n,)``.
        classes: names of the classes; empty for numbers.
        features: names of the inputs.
        target: what is learned, in a word.
        raw, mean, deviation: inputs as they were given; the network's are ``(raw - mean) / deviation``.
        level, size: what was taken from numbers to learn and what they were divided by.
        picture: rows and columns where the inputs are pixels.
    """

    kind: Kind
    x: Array
    y: Array
    tests: Array
    classes: tuple[str, ...]
    features: tuple[str, ...]
    target: str = "y"
    raw: Array | None = None
    mean: Array | None = None
    deviation: Array | None = None
    level: float = 0.0
    size: float = 1.0
    picture: tuple[int, int] | None = None

    def part(self, tests: bool) -> tuple[Array, Array]:
        """Inputs and answers to train on, or to test on."""
        rows = self.tests if tests else ~self.tests
        return self.x[rows], self.y[rows]

    @property
    def given(self) -> Array:
        """The inputs as they were given, before they were standardized."""
        return self.x if self.raw is None else self.raw


def split(y: Array, share: float, seed: int, classes: tuple[str, ...]) -> Array:
    """Which examples are for testing: a share of each class; none where the share is 0."""
    tests = np.zeros(len(y), np.bool_)
    if share and len(y) > 1:
        key = random.fold_in(random.key(seed), 1)
        _, moved = split_rows("split", y, float(share), key, classes or None)
        tests[moved] = True
    return tests


def _drawn(key: Any, *shape: int) -> Array:
    """Numbers between 0 and 1."""
    return random.uniform(key, shape, float64).numpy()


def _normal(key: Any, *shape: int) -> Array:
    return random.normal(key, shape, float64).numpy()


def _turns(n: int, classes: int = 2) -> Array:
    """Classes in turn."""
    return np.arange(n, dtype=np.int64) % classes


Made = tuple[Array, Array]


def moons(n: int, noise: float, key: Any) -> Made:
    """Two half circles that grip into each other."""
    along, around = random.split(key)
    y, t = _turns(n), np.pi * _drawn(along, n)
    upper = np.stack([np.cos(t) - 0.5, np.sin(t) - 0.2], 1)
    lower = np.stack([0.5 - np.cos(t), 0.3 - np.sin(t)], 1)
    return np.where(y[:, None] == 1, lower, upper) + noise * _normal(around, n, 2), y


def circles(n: int, noise: float, key: Any) -> Made:
    """A disc within a ring."""
    along, out, around = random.split(key, 3)
    y, t = _turns(n), 2 * np.pi * _drawn(along, n)
    radius = np.where(y == 1, 0.55 * np.sqrt(_drawn(out, n)), 0.95 + 0.35 * _drawn(out, n))
    return np.stack([radius * np.cos(t), radius * np.sin(t)], 1) + noise * _normal(around, n, 2), y


def spirals(n: int, noise: float, key: Any) -> Made:
    """Two arms that wind around each other one and three quarter times."""
    along, around = random.split(key)
    y, s = _turns(n), np.sqrt(_drawn(along, n))
    t = 3.5 * np.pi * s + np.pi * y
    return (
        np.stack([1.4 * s * np.sin(t), 1.4 * s * np.cos(t)], 1) + 0.5 * noise * _normal(around, n, 2),
        y,
    )


def xor(n: int, noise: float, key: Any) -> Made:
    """Four squares; class 1 where the signs of the inputs differ."""
    place, around = random.split(key)
    y = _turns(n)
    x = 0.12 + 1.1 * _drawn(place, n, 2)
    x[:, 0] *= np.where(np.arange(n) // 2 % 2 == 0, 1, -1)
    x[:, 1] *= np.where(y == 1, -1, 1) * np.sign(x[:, 0])
    return x + noise * _normal(around, n, 2), y


def clouds(n: int, noise: float, key: Any) -> Made:
    """Three round clouds of three classes."""
    y = _turns(n, 3)
    t = 2 * np.pi * (y / 3 + 0.08)
    centres = np.stack([np.cos(t), np.sin(t)], 1) * 0.9
    return centres + (0.12 + 1.5 * noise) * _normal(key, n, 2), y


def plane_waves(n: int, noise: float, key: Any) -> Made:
    """A hill and a valley over the plane, to be learned as numbers."""
    place, around = random.split(key)
    x = 3 * _drawn(place, n, 2) - 1.5
    height = np.sin(2 * x[:, 0]) * np.cos(1.5 * x[:, 1])
    return x, height + noise * _normal(around, n)


def sine(n: int, noise: float, key: Any) -> Made:
    """One input and a wave over it, to be learned as numbers."""
    place, around = random.split(key)
    x = 3 * _drawn(place, n, 1) - 1.5
    return x, np.sin(3 * x[:, 0]) + noise * _normal(around, n)


@dataclass(frozen=True, slots=True)
class Kit:
    """One set of examples to choose.

    Attributes:
        title, note: for people.
        make: from number, noise and key; None for examples that are what they are.
        kind: classes, or numbers.
        classes, features: names.
        defaults: options that suit it, where they differ from the usual ones.
    """

    title: str
    note: str
    make: Callable[[int, float, Any], Made] | None
    kind: Kind = "classes"
    classes: tuple[str, ...] = ("0", "1")
    features: tuple[str, ...] = ("x1", "x2")
    defaults: tuple[tuple[str, Any], ...] = ()


_NUMBERS: tuple[tuple[str, Any], ...] = (("loss", "squared"), ("layers", (8, 8)), ("noise", 0.05))
KITS: dict[str, Kit] = {
    "moons": Kit("two moons", "two half circles that grip into each other", moons),
    "circles": Kit("circles", "a disc within a ring", circles),
    "spirals": Kit("spirals", "two arms around each other", spirals, defaults=(("layers", (8, 8)), ("points", 400))),
    "xor": Kit("xor", "class 1 where the signs of the inputs differ", xor),
    "clouds": Kit("three clouds", "three classes", clouds, classes=("0", "1", "2")),
    "waves": Kit("hill and valley", "numbers over the plane", plane_waves, "numbers", (), defaults=_NUMBERS),
    "sine": Kit("wave", "numbers over one input", sine, "numbers", (), ("x",), _NUMBERS),
    "digits": Kit(
        "digits",
        "handwritten digits of 8 × 8 pixels",
        None,
        classes=tuple(str(digit) for digit in range(10)),
        defaults=(("layers", ()), ("batch", 64), ("rate", 0.01)),
    ),
    "article": Kit(
        "article 001",
        "the 2-2-1 network of the article; its one example and first weights are chainrule's own",
        None,
        features=("x1", "x2"),
        classes=("0", "1"),
        defaults=(
            ("layers", (2,)),
            ("activation", "sigmoid"),
            ("loss", "squared"),
            ("optimizer", "gradient_descent"),
            ("rate", 0.5),
            ("init", "article"),
            ("biases", False),
        ),
    ),
}  # fmt: skip


def examples_of(name: str, points: int, noise: float, tests: float, seed: int) -> Examples:
    """Make a set of examples.

    Args:
        name: one of `KITS`.
        points: how many; digits and the article have as many as they have.
        noise: how far points stray.
        tests: which share is for testing.
        seed: another one gives other points.

    Example:
        >>> found = examples_of("moons", 100, 0.1, 0.25, 0)
        >>> found.x.shape, int(found.tests.sum()), found.classes
        ((100, 2), 25, ('0', '1'))
    """
    kit = KITS[name]
    if name == "digits":
        return _digits()
    if kit.make is None:
        return _article()
    x, y = kit.make(points, noise, random.fold_in(random.key(seed), 0))
    return Examples(kit.kind, x, y, split(y, tests, seed, kit.classes), kit.classes, kit.features)


def _digits() -> Examples:
    found = data.digits()
    parts = [found.part(name) for name in ("train", "test")]
    x, y = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    tests = np.arange(len(y)) >= len(parts[0][1])
    names = tuple(f"pixel {i // 8 + 1}, {i % 8 + 1}" for i in range(64))
    return Examples(
        "classes", x.astype(np.float64), y, tests, found.classes or (), names, "digit", picture=(8, 8)
    )


def _article() -> Examples:
    x = np.array([[VALUES["x1"], VALUES["x2"]]])
    y = np.array([int(VALUES["y"])], np.int64)
    return Examples("classes", x, y, np.zeros(1, np.bool_), ("0", "1"), ("x1", "x2"))


def bounds(examples: Examples) -> list[tuple[float, float]]:
    """The part of the input plane that is drawn: all points, with a margin; the same scale on both axes where the
    inputs are not standardized."""
    low, high = examples.x.min(0), examples.x.max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    half = np.where(half > 0, half, 2.0)  # a single point has room around it
    if examples.mean is None:
        half = np.full(half.shape, half.max())
    half = half * 1.12
    return [(float(m - h), float(m + h)) for m, h in zip(middle, half, strict=True) if math.isfinite(h)]
