"""What the parts of a data set must be, and what is measured of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from chainrule.data.documents import sizes
from chainrule.errors import DataError, shown
from chainrule.primitive import Array
from chainrule.shapes import FLOATS, INTS, Shape, count

_SHOWN_NAMES = 5
_ROWS = 1024
"""Examples that are looked at together: a few MB in float64."""
_NOISE = 1e-12
"""Of the size of numbers: what they deviate by less comes from rounding alone."""
_COARSE = 1e-3
"""Of the range of a feature: the widest steps that float32 may have there."""


def title(part: str, kind: str) -> str:
    """What messages call examples or labels: ``train_x``; ``x`` for those of which a part is still to be split off."""
    return f"{part}_{kind}" if part else kind


def require_examples(part: str, x: Any, y: Any, classes: tuple[str, ...] | None) -> None:
    """Check one part of a data set, or, where ``part`` is empty, what is to be split into parts.

    Raises:
        DataError: what is wrong with it.
    """
    wanted = "floats, or of images of bytes (uint8)"
    x_title, y_title = title(part, "x"), title(part, "y")
    _require_kind(x_title, x, lambda d: d in FLOATS or d == np.uint8 or d in INTS, wanted)
    if classes is None:
        _require_kind(y_title, y, lambda d: d in FLOATS, "floats, the targets of a regression")
    else:
        _require_kind(y_title, y, lambda d: d.kind == "i", "integers")
    require_as_many(part, x, y, labels=classes is not None)
    if not x[0].size:
        raise DataError(
            f"{x_title} has examples of shape {x.shape[1:]}, which are empty", fix="leave out empty axes"
        )
    if x.dtype == np.uint8 and x.ndim == 4 and x.shape[3] not in (1, 3):
        raise _not_images(x_title, x.shape)
    for name, array in ((x_title, x), (y_title, y)):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0][0])
            raise DataError(
                f"{name} is not finite in row {row}", fix="remove or replace nan and inf before training"
            )
    if classes is not None:
        require_labels(part, y, classes)


def require_as_many(part: str, x: Array, y: Array, labels: bool = False) -> None:
    """Check that there are examples, and as many labels.

    Raises:
        DataError: there are not.
    """
    if y.shape[:1] != x.shape[:1] or not len(x) or (labels and y.ndim != 1):
        raise DataError(
            f"{title(part, 'x')} has shape {x.shape}, {title(part, 'y')} {y.shape}: "
            "expected one label for each example",
            fix="y.shape must be (len(x),), and there must be an example",
        )


def require_labels(part: str, y: Array, classes: tuple[str, ...]) -> None:
    """Check that labels are numbers of classes.

    Raises:
        DataError: one is not.
    """
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= len(classes):
        wrong = low if low < 0 else high
        raise DataError(
            f"{title(part, 'y')} has label {wrong} in row {int(np.argmax(y == wrong))}, "
            f"but there are {len(classes)} classes",
            fix="number classes from 0",
        )


def _require_kind(name: str, array: Any, allowed: Any, wanted: str) -> None:
    if not isinstance(array, np.ndarray) or not array.ndim or not allowed(array.dtype):
        got = shown(array) if isinstance(array, np.ndarray) and not array.ndim else None
        got = got or (array.dtype if isinstance(array, np.ndarray) else type(array).__name__)
        raise DataError(
            f"{name}: expected a NumPy array of {wanted}, got {got}", fix="convert it with astype"
        )


def _not_images(name: str, shape: Shape) -> DataError:
    fix = "images are (n, rows, columns, channels), with 1 or 3 channels"
    if shape[1] in (1, 3):
        fix += ": x.transpose(0, 2, 3, 1)"
    elif shape[3] == 4:
        fix += ": leave out the transparency, x[..., :3]"
    return DataError(f"{name}: images of shape {shape[1:]} have {shape[3]} channels", fix=fix)


def require_classes(train_y: Array, classes: tuple[str, ...]) -> None:
    """Check that there are classes to tell apart, each with a name of its own and a training example.

    Raises:
        DataError: there are not.
    """
    if len(set(classes)) < len(classes):
        twice = next(name for name, n in Counter(classes).items() if n > 1)
        raise DataError(f"two classes are called {shown(twice)}", fix="give each class a name of its own")
    if len(classes) < 2:
        what = f"every example is of class {classes[0]!r}" if classes else "there is no class"
        raise DataError(
            f"{what}: there is nothing to tell apart",
            fix="bring examples of another class, or check which column or folder names the classes",
        )
    missing = [name for name, n in zip(classes, class_counts(train_y, classes), strict=True) if not n]
    if missing:
        names = ", ".join(repr(name) for name in missing[:_SHOWN_NAMES])
        more = f" and {len(missing) - _SHOWN_NAMES} more" if len(missing) > _SHOWN_NAMES else ""
        raise DataError(
            f"no training example is of class {names}{more}: what never occurs cannot be learned",
            fix="bring examples of it, or leave the class out and number the others from 0",
        )


def class_counts(y: Array, classes: tuple[str, ...]) -> Array:
    """How many labels there are of each class."""
    return np.bincount(y, minlength=len(classes))


def image_shape_of(x: Array, given: Any) -> Shape | None:
    """The shape in which examples are pictures: as given, or as their own shape says.

    Returns:
        ``(rows, columns)`` or ``(rows, columns, 3)``; None if they are not known to be pictures.

    Raises:
        DataError: what is given is no such shape, or has not as many numbers as an example.
    """
    example = x.shape[1:]
    if given is None:
        if len(example) != 3 or example[2] not in (1, 3) or x.dtype in INTS:
            return None
        given = example
    shape = sizes("image_shape", given)
    if len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,)):
        raise DataError(
            f"image_shape {shape} is no shape of a picture",
            fix="pass (rows, columns), or (rows, columns, 3) for one in colour",
        )
    if count(shape) != count(example):
        raise DataError(
            f"image_shape {shape} does not hold {count(example)} features",
            fix="pass the shape of one example, or None",
        )
    return shape[:2] if shape[2:] == (1,) else shape


def rounds_away(x: Array) -> bool:
    """Whether float32 hardly tells the numbers of a feature apart that float64 does, as with seconds since 1970.

    Args:
        x: float64, shape ``(n, *example)``, whose last axis is that of features or channels.
    """
    rows = x.reshape(-1, (1, *x.shape[1:])[-1])
    low, high = rows.min(0), rows.max(0)
    with np.errstate(over="ignore", invalid="ignore"):
        largest, spread = np.maximum(abs(low), abs(high)), high - low
        lost = np.finfo(np.float32).eps * largest > _COARSE * spread
        return bool((lost & (spread > _NOISE * largest)).any())


def moments(x: Array, channels: int) -> tuple[Array, Array]:
    """Mean and standard deviation over all but the channels, in float64.

    Args:
        x: shape ``(n, *example)``, whose numbers run through the channels fastest.
        channels: how many.

    Returns:
        Two arrays of shape ``(channels,)``; a standard deviation of 0 comes as 1.
    """
    rows = x.reshape(len(x), -1)
    mean = _mean(rows, channels, None)
    deviation = np.sqrt(_mean(rows, channels, np.tile(mean, rows.shape[1] // channels)))
    # What never changes deviates by rounding errors only.
    return mean, np.where(deviation > _NOISE * np.abs(mean), deviation, 1.0)


def _mean(rows: Array, channels: int, centre: Array | None) -> Array:
    """Of the numbers, or of their squared distances from ``centre``. Sums run along rows, which are long."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS].astype(np.float64)
        if centre is not None:
            some -= centre
            some *= some
        total += some.sum(0)
    return (total / len(rows)).reshape(-1, channels).mean(0)
