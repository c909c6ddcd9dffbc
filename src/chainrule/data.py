"""Data sets that travel with the package, and batches of them. Plain NumPy arrays."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DataError, ShapeError
from chainrule.ops import random
from chainrule.primitive import Array
from chainrule.shapes import as_int

_DIGITS_SHA256 = "e31b7ccbf8cc2b158de948b1bb7a67bf39a856fb064b3aa8ef489f12a2dc4b63"
_DIGITS_TRAIN = 1437


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dataset:
    """Examples with class labels, split into a part to train on and a part to test on.

    Attributes:
        train_x, test_x: float32, shape ``(n, features)``; finite.
        train_y, test_y: int64, shape ``(n,)``; numbers of ``classes``, from 0.
        classes: their names.
        image_shape: shape in which the features of one example are a picture, if they are.

    Raises:
        DataError: parts that do not fit each other, labels that are no class, numbers that are not finite.
    """

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array
    classes: tuple[str, ...]
    image_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            _require_examples(part, x, y, len(self.classes))
        if self.train_x.shape[1:] != self.test_x.shape[1:]:
            raise DataError(
                f"train_x has examples of shape {self.train_x.shape[1:]}, test_x of {self.test_x.shape[1:]}",
                fix="prepare both in the same way",
            )
        if self.image_shape is not None and np.prod(self.image_shape) != self.train_x[0].size:
            raise DataError(
                f"image_shape {self.image_shape} does not hold {self.train_x[0].size} features",
                fix="pass the shape of one example, or None",
            )

    def __repr__(self) -> str:
        sizes = f"{len(self.train_x)} examples to train on, {len(self.test_x)} to test on"
        return f"<Dataset: {sizes}, of shape {self.train_x.shape[1:]}; {len(self.classes)} classes>"


def digits() -> Dataset:
    """1,797 handwritten digits, grey images of 8 × 8 pixels, 1,437 to train on and 360 to test on.

    The split is the same everywhere and for ever: ``cr.random.permutation(cr.random.key(0), 1797)`` orders
    the rows of the file, and the first 1,437 are for training. Pixels run along rows from the top left; 0 is
    paper, 1 ink. The same writers wrote for both parts.

    Returns:
        ``train_x`` (1437, 64), ``test_x`` (360, 64), in 0 .. 1. The arrays cannot be written to.

    Raises:
        DataError: the file is missing or damaged.

    Example:
        >>> data = digits()
        >>> data.train_x.shape, data.test_x.shape, data.image_shape
        ((1437, 64), (360, 64), (8, 8))

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    1998, DOI 10.24432/C50P49, licence CC BY 4.0. See ``datasets/digits.md``.
    """
    return _digits()


@functools.cache
def _digits() -> Dataset:
    table = _table(_packed("digits.csv.gz"))
    order = random.permutation(random.key(0), len(table)).numpy()
    pixels = (table[:, :64] / 16).astype(np.float32)[order]
    labels = table[:, 64].astype(np.int64)[order]
    for array in (pixels, labels):
        array.flags.writeable = False
    n = _DIGITS_TRAIN
    names = tuple(str(digit) for digit in range(10))
    return Dataset(pixels[:n], labels[:n], pixels[n:], labels[n:], names, (8, 8))


def _packed(name: str) -> bytes:
    try:
        return (files("chainrule") / "datasets" / name).read_bytes()
    except OSError as error:
        raise _broken(f"the data set {name} cannot be read: {error}") from None


def _table(packed: bytes) -> Array:
    found = hashlib.sha256(packed).hexdigest()
    if found != _DIGITS_SHA256:
        raise _broken(f"digits.csv.gz is damaged: {len(packed)} bytes with SHA-256 {found[:12]}…")
    rows = gzip.decompress(packed).decode("ascii").split()
    return np.array([row.split(",") for row in rows], dtype=np.int64)


def _broken(message: str) -> DataError:
    return DataError(
        message, fix="install chainrule again: python -m pip install --force-reinstall chainrule"
    )


def _require_examples(part: str, x: Any, y: Any, classes: int) -> None:
    for name, array, kind in ((f"{part}_x", x, "f"), (f"{part}_y", y, "i")):
        if not isinstance(array, np.ndarray) or array.dtype.kind != kind:
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            wanted = "floats" if kind == "f" else "integers"
            raise DataError(
                f"{name}: expected a NumPy array of {wanted}, got {got}", fix="convert it with astype"
            )
    if y.shape != x.shape[:1] or not len(x):
        raise DataError(
            f"{part}_x has shape {x.shape}, {part}_y {y.shape}: expected one label for each example",
            fix="y.shape must be (len(x),), and there must be an example",
        )
    if not np.isfinite(x).all():
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        raise DataError(
            f"{part}_x is not finite in row {row}", fix="remove or replace nan and inf before training"
        )
    if y.min() < 0 or y.max() >= classes:
        wrong = int(y.min() if y.min() < 0 else y.max())
        raise DataError(
            f"{part}_y has label {wrong}, but there are {classes} classes", fix="number classes from 0"
        )


def batches(x: Any, y: Any, size: int, key: Any = None) -> Iterator[tuple[Array, Array]]:
    """Cut examples into batches, in an order that a key determines.

    Args:
        x: array, shape ``(n, *features)``.
        y: array, shape ``(n, *labels)``.
        size: examples in a batch; the last may have fewer.
        key: from ``cr.random.key``; the same key gives the same order. None keeps the order.

    Returns:
        An iterator over ``ceil(n / size)`` pairs.

    Raises:
        ShapeError: ``x`` and ``y`` have different lengths.
        ArgumentError: ``size`` is below 1.

    Example:
        >>> [len(x) for x, y in batches(np.zeros((5, 3)), np.arange(5), 2)]
        [2, 2, 1]
    """
    step = as_int("batches", "size", size)
    if step < 1:
        raise ArgumentError(f"batches: size must be at least 1, got {step}", fix="pass size=32")
    features, labels = np.asarray(x), np.asarray(y)
    if features.shape[:1] != labels.shape[:1] or not features.shape:
        raise ShapeError(
            f"batches: x has shape {features.shape}, y {labels.shape}: their first axes differ",
            fix="pass one label for each example",
        )
    n = len(features)
    order = None if key is None else random.permutation(key, n).numpy()
    return _cut(features, labels, step, order)


def _cut(x: Array, y: Array, step: int, order: Array | None) -> Iterator[tuple[Array, Array]]:
    for start in range(0, len(x), step):
        chosen = slice(start, start + step) if order is None else order[start : start + step]
        yield x[chosen], y[chosen]
