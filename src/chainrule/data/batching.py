"""Batches of examples, in an order that a key determines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.data.augmentation import Augmentation, require_augmentations
from chainrule.data.dataset import Dataset
from chainrule.errors import ArgumentError, DataError, OperandError, ShapeError, shown
from chainrule.ops import random
from chainrule.primitive import Array
from chainrule.shapes import as_flag, as_int


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
    step = _size("batches", size)
    features, labels = np.asarray(x), np.asarray(y)
    if features.shape[:1] != labels.shape[:1] or not features.shape:
        raise ShapeError(
            f"batches: x has shape {features.shape}, y {labels.shape}: their first axes differ",
            fix="pass one label for each example",
        )
    n = len(features)
    order = None if key is None else random.permutation(key, n).numpy()
    return ((features[rows], labels[rows]) for rows in _rows(n, step, order, 0))


class Batches:
    """Batches of a data set as a network gets them: chosen, augmented, prepared.

    A batch depends on the key, the epoch and its place in the epoch, and on nothing else: training that resumes in
    the middle of an epoch, ``epoch(7, start=130)``, gets what it would have got, to the bit. Without augmentation an
    epoch has the order of ``batches(x, y, size, cr.random.fold_in(key, epoch))``.

    Args:
        data: what to cut.
        size: examples in a batch; the last of an epoch may have fewer.
        key: from ``cr.random.key``, for order and augmentation. None keeps the order.
        part: ``"train"``, ``"valid"`` or ``"test"``.
        augment: augmentations, in the order in which they apply: ``[crop(4), flip()]``.
        drop_last: leave out what does not fill a batch.

    Raises:
        OperandError, ArgumentError: an argument is out of range or not what it should be.
        ShapeError, DTypeError: ``key`` is not a key.
        DataError: images are to be augmented that are none.

    Example:
        >>> work = Batches(cr.data.digits(), 64, cr.random.key(0))
        >>> len(work), [x.shape for x, y in work.epoch(1, start=21)]
        (23, [(64, 64), (29, 64)])
    """

    def __init__(
        self,
        data: Dataset,
        size: int,
        key: Any = None,
        *,
        part: str = "train",
        augment: Augmentation | Sequence[Augmentation] = (),
        drop_last: bool = False,
    ) -> None:
        if not isinstance(data, Dataset):
            raise OperandError(
                f"Batches: data must be a Dataset, got {type(data).__name__}",
                fix="cr.data.Dataset.from_arrays(x, y), or cr.data.batches(x, y, size)",
            )
        self._x, self._y = data.part(part)
        self._preparation, self._key = data.preparation, key
        if key is not None:
            random.fold_in(key, 0)  # a key that is none is refused now, not in the first epoch
        self._size = _size("Batches", size)
        self._augment = require_augmentations(augment)
        self._image_shape = self._images(data, part) if self._augment else None
        n = len(self._x)
        whole = as_flag("Batches", "drop_last", drop_last)
        if whole and n < self._size:
            raise ArgumentError(
                f"Batches: no batch of {self._size} can be filled with {n} examples, and drop_last leaves out others",
                fix=f"pass a size of at most {n}, or drop_last=False",
            )
        self._end = n // self._size * self._size if whole else n

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return -(-self._end // self._size)

    def __repr__(self) -> str:
        return f"<Batches: {len(self)} of {self._size} examples>"

    def epoch(self, epoch: int = 1, start: int = 0) -> Iterator[tuple[Array, Array]]:
        """The batches of an epoch, from ``start`` on.

        Args:
            epoch: its number, usually from 1.
            start: how many batches to leave out: those that were used before training stopped.

        Returns:
            An iterator over pairs: examples ``(n, *input_shape)``, float32, and their labels, int64, or the targets
            of a regression. See :func:`chainrule.data.prefetch` to have them made in the background.

        Raises:
            ArgumentError: ``start`` is not from 0 to ``len(self)``.
        """
        number, first = as_int("epoch", "epoch", epoch), as_int("epoch", "start", start)
        if not 0 <= first <= len(self):
            raise ArgumentError(
                f"epoch: start must be from 0 to {len(self)}, the number of batches, got {first}",
                fix="pass how many batches were used already",
            )
        return self._batches(number, first)

    def _batches(self, epoch: int, start: int) -> Iterator[tuple[Array, Array]]:
        order, keys = None, []
        if self._key is not None:
            key = random.fold_in(self._key, epoch)
            order = random.permutation(key, len(self._x)).numpy()[: self._end]
            keys = [random.fold_in(key, i).numpy() for i in range(len(self._augment))]
        for number, rows in enumerate(_rows(self._end, self._size, order, start), start):
            x = self._x[rows]
            if self._augment:
                x = self._augmented(x, keys, number * self._size)
            yield self._preparation(x), self._y[rows]

    def _augmented(self, x: Array, keys: list[Array], first: int) -> Array:
        assert self._image_shape is not None
        images = x.reshape(len(x), *self._image_shape[:2], -1)
        for change, key in zip(self._augment, keys, strict=True):
            images = change(images, key, first)
        return images.reshape(x.shape)

    def _images(self, data: Dataset, part: str) -> tuple[int, ...]:
        if self._key is None:
            raise ArgumentError("Batches: augment needs a key", fix="pass key=cr.random.key(0)")
        if data.image_shape is None:
            raise DataError(
                f"Batches: examples of shape {self._x.shape[1:]} are not known to be pictures, which augment needs",
                fix="name their shape, data.replace(image_shape=(28, 28)), or leave augment out",
            )
        return data.image_shape


def _size(name: str, size: Any) -> int:
    number = as_int(name, "size", size)
    if number < 1:
        raise ArgumentError(f"{name}: size must be at least 1, got {shown(size)}", fix="pass size=32")
    return number


def _rows(n: int, size: int, order: Array | None, start: int) -> Iterator[Any]:
    """What picks the rows of each batch from batch ``start`` on."""
    for first in range(start * size, n, size):
        rows = slice(first, min(first + size, n))
        yield rows if order is None else order[rows]
