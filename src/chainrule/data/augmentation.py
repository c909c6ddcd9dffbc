"""Random changes of training images that leave their labels right.

They work on raw images, before these are prepared, so that what :func:`crop` fills in is black. What happens to an
image depends on a key and on the image's number within the epoch alone: on nothing that came before it, and not on
how examples are cut into batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from chainrule.data.documents import fields, is_number
from chainrule.errors import ArgumentError, DataError, shown
from chainrule.ops import threefry
from chainrule.primitive import Array
from chainrule.shapes import as_int

_MOST_PADDED = 1 << 12


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirrors left and right; made by :func:`flip`."""

    name: ClassVar[str] = "flip"
    p: float

    def __call__(self, images: Array, key: Any, first: int) -> Array:
        """Mirror some of the images; see :func:`flip`."""
        words = threefry.words32(threefry.key_of(key), first, first + len(images))
        # Compared as float64, which holds all words and p exactly: p=0 flips none and p=1 all.
        chosen = np.flatnonzero(words < self.p * 2.0**32)
        pixels = _pixels(images)
        result = pixels.copy()
        result[chosen] = pixels[chosen][:, :, ::-1]
        return result.view(images.dtype).reshape(images.shape)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :func:`augmentation_from` reads it."""
        return {"name": self.name, "p": self.p}


@dataclass(frozen=True, slots=True)
class Crop:
    """Cuts out a part of an image that was made larger; made by :func:`crop`."""

    name: ClassVar[str] = "crop"
    pad: int

    def __call__(self, images: Array, key: Any, first: int) -> Array:
        """Shift each image; see :func:`crop`."""
        n, rows, columns, channels = images.shape
        pad = self.pad
        words = threefry.words32(threefry.key_of(key), 2 * first, 2 * (first + n))
        # A word times the number of places, without its lower 32 bits: each place equally likely to 2**-32.
        places = (words.astype(np.uint64) * np.uint64(2 * pad + 1) >> np.uint64(32)).astype(np.int64)
        padded = np.zeros((n, rows + 2 * pad, columns + 2 * pad, channels), images.dtype)
        padded[:, pad : pad + rows, pad : pad + columns] = images
        image, row, pixel, _ = padded.strides
        # Axes 1 and 2 choose a window, axes 3 and 4 run through it, one line of pixels at a time.
        windows = as_strided(
            padded.view(np.uint8),
            (n, 2 * pad + 1, 2 * pad + 1, rows, columns * pixel),
            (image, row, pixel, row, 1),
            writeable=False,
        )
        chosen = windows[np.arange(n), places[0::2], places[1::2]]
        return np.ascontiguousarray(chosen).view(images.dtype).reshape(images.shape)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :func:`augmentation_from` reads it."""
        return {"name": self.name, "pad": self.pad}


Augmentation = Flip | Crop
"""Callable ``(images, key, first) -> images``: raw images ``(n, rows, columns, channels)``; ``first`` is the number
of the first of them within the epoch."""


def flip(p: float = 0.5) -> Flip:
    """Mirror an image left and right, with a probability.

    Args:
        p: from 0 to 1.

    Raises:
        ArgumentError: another probability.

    Example:
        >>> image = np.array([[[[1], [2]], [[3], [4]]]], np.uint8)
        >>> flip(1.0)(image, cr.random.key(0).numpy(), 0)[0, :, :, 0].tolist()
        [[2, 1], [4, 3]]
    """
    if not is_number(p) or not 0 <= p <= 1:
        raise ArgumentError(f"flip: p must lie in [0, 1], got {shown(p)}", fix="pass p=0.5 for a half")
    return Flip(float(p))


def crop(pad: int = 4) -> Crop:
    """Add black lines on each side, and cut out a part of the first size at a random place.

    That shifts an image by up to ``pad`` pixels each way, all shifts equally likely.

    Args:
        pad: lines on each side, from 0.

    Raises:
        ArgumentError: no such number.

    Example:
        >>> image = np.ones((1, 3, 3, 1), np.uint8)
        >>> crop(1)(image, cr.random.key(1).numpy(), 0)[0, :, :, 0].tolist()
        [[0, 0, 0], [1, 1, 1], [1, 1, 1]]
    """
    number = as_int("crop", "pad", pad)
    if not 0 <= number <= _MOST_PADDED:
        raise ArgumentError(f"crop: pad must be from 0 to {_MOST_PADDED}, got {number}", fix="pass pad=4")
    return Crop(number)


def augmentation_from(document: Any) -> Augmentation:
    """What ``to_dict`` wrote.

    Raises:
        DataError: it did not write this.
        ArgumentError: a number in it is out of range.

    Example:
        >>> augmentation_from(crop(2).to_dict())
        Crop(pad=2)
    """
    name = document.get("name") if isinstance(document, dict) else None
    if name == Flip.name:
        return flip(fields("augmentation", document, ("name", "p"))["p"])
    if name == Crop.name:
        return crop(fields("augmentation", document, ("name", "pad"))["pad"])
    raise DataError(
        f"augmentation: expected a document of flip or crop, got {shown(document)}",
        fix="pass what to_dict() gave",
    )


def require_augmentations(given: Any) -> tuple[Augmentation, ...]:
    """Augmentations in the order in which they apply.

    Raises:
        ArgumentError: something else.
    """
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    for one in several:
        if not isinstance(one, Augmentation):
            raise ArgumentError(
                f"augment: expected augmentations, got {shown(one)}",
                fix="pass augment=[cr.data.crop(4), cr.data.flip()]",
            )
    return tuple(several)


def _pixels(images: Array) -> Array:
    """A view whose elements are whole pixels: ``(n, rows, columns)``. Copying them whole is much quicker."""
    whole = np.dtype((np.void, images.shape[3] * images.itemsize))
    return np.ascontiguousarray(images).view(whole)[..., 0]
