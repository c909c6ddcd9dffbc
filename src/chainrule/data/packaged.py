"""Data sets that travel with the package."""

from __future__ import annotations

import functools
import gzip
import hashlib
from importlib.resources import files

import numpy as np

from chainrule.data.dataset import Dataset
from chainrule.errors import DataError
from chainrule.ops import random
from chainrule.primitive import Array

_DIGITS_SHA256 = "e31b7ccbf8cc2b158de948b1bb7a67bf39a856fb064b3aa8ef489f12a2dc4b63"
_DIGITS_TRAIN = 1437


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
