"""How raw examples become the input of a network."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.data.documents import fields, is_number, sizes
from chainrule.errors import DataError, ShapeError, shown
from chainrule.primitive import Array
from chainrule.shapes import FLOATS, Shape, count, float32

_LARGEST = 1e30
"""Of the numbers here; divisors are at least its inverse. float32 holds both, and their quotients with pixels."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """``(x / scale - mean) / std`` in float32 or ``dtype``, reshaped to ``shape``.

    It is kept with a trained network, so that new examples get the same treatment to the bit. Each of the three
    operations rounds on its own, in the order of the formula, as torchvision's ``ToTensor`` and ``Normalize`` do.

    Attributes:
        scale: what raw numbers are divided by, 255 for images of bytes.
        mean, std: subtracted, and divided by, after that. One number for each channel of an image or each feature of
            a table (the last axis of a raw example), or one for all; None leaves them out. ``std`` is above 0.
        shape: of one prepared example, such as ``(784,)`` for a network that takes rows of features; None keeps that
            of the raw one.
        dtype: ``"float32"`` or ``"float64"``, to which the result is rounded; None for float64 where raw examples
            are, else float32. Raw float64 is computed with as such: of seconds since 1970 float32 keeps two minutes,
            and has every one of them once the mean is subtracted.

    Raises:
        DataError: numbers that are not finite or too large for float32, a divisor that is not above 0, or no such
            dtype.

    Example:
        >>> prepare = Preparation(scale=255, mean=(0.5,), std=(0.25,), shape=(3,))
        >>> prepare(np.array([[[[0], [255], [51]]]], np.uint8))
        array([[-2. ,  2. , -1.2]], dtype=float32)
    """

    scale: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    shape: Shape | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        _set(self, "scale", _floats("scale", (self.scale,), positive=True)[0])
        for name in ("mean", "std"):
            if (values := getattr(self, name)) is not None:
                _set(self, name, _floats(name, values, positive=name == "std"))
        if self.shape is not None:
            _set(self, "shape", sizes("shape", self.shape))
        if self.dtype not in (None, "float32", "float64"):
            raise DataError(
                f"preparation: dtype must be float32, float64 or None, got {shown(self.dtype)}",
                fix='pass dtype="float32", or None',
            )

    @property
    def is_identity(self) -> bool:
        """Whether numbers stay as they are; the shape may change."""
        return self.scale == 1 and self.mean is None and self.std is None

    def __call__(self, x: Array) -> Array:
        """Prepare raw examples.

        Args:
            x: shape ``(n, *example)``: floats, or uint8. Integers of other dtypes are indices, which only an
                identity keeps.

        Returns:
            Of ``dtype``, shape ``(n, *input_shape(example))``; integers other than uint8 stay as they are. Where
            nothing is to be done it is ``x`` itself, or a view.

        Raises:
            ShapeError: ``mean``, ``std`` or ``shape`` do not fit these examples.
            DataError: numbers of a dtype that cannot be prepared.
        """
        example = x.shape[1:]
        target = self.input_shape(example)
        if x.dtype.kind == "i" and self.is_identity:
            return x.reshape(len(x), *target)
        if x.dtype not in FLOATS and x.dtype != np.uint8:
            raise DataError(
                f"cannot prepare examples of dtype {x.dtype}: expected floats or uint8",
                fix="convert them: x.astype(np.float32)",
            )
        dtype = x.dtype if x.dtype in FLOATS else float32
        wanted = dtype if self.dtype is None else np.dtype(self.dtype)
        rows = x.reshape(len(x), count(example))
        if self.is_identity:
            return rows.astype(wanted, copy=False).reshape(len(x), *target)
        # One long axis: a loop over the last one alone would be as short as an image has channels.
        result = rows.astype(dtype, copy=True)
        if self.scale != 1:
            result /= dtype.type(self.scale)
        if self.mean is not None:
            result -= _tiled(self.mean, rows.shape[1], dtype.name)
        if self.std is not None:
            result /= _tiled(self.std, rows.shape[1], dtype.name)
        return result.astype(wanted, copy=False).reshape(len(x), *target)

    def input_shape(self, example: Sequence[int]) -> Shape:
        """The shape of one prepared example, from that of a raw one.

        Raises:
            ShapeError: this preparation does not fit such examples.
        """
        raw = tuple(example)
        last = raw[-1] if raw else 1
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) not in (1, last):
                raise ShapeError(
                    f"preparation: {name} has {len(values)} numbers, examples of shape {raw} have {last} "
                    "along their last axis",
                    fix="give one number for each channel or feature, or one for all",
                )
        if self.shape is None:
            return raw
        if count(self.shape) != count(raw):
            raise ShapeError(
                f"preparation: examples of shape {raw} cannot become {self.shape}: "
                f"{count(raw)} numbers are not {count(self.shape)}",
                fix="give a shape of as many numbers, or None",
            )
        return self.shape

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :meth:`from_dict` gives an equal preparation."""
        lists = {name: getattr(self, name) for name in ("mean", "std", "shape")}
        plain = {name: None if value is None else list(value) for name, value in lists.items()}
        return {"scale": self.scale, **plain, "dtype": self.dtype}

    @classmethod
    def from_dict(cls, document: Any) -> Preparation:
        """What :meth:`to_dict` wrote.

        Raises:
            DataError: it did not write this.

        Example:
            >>> Preparation.from_dict(Preparation(scale=255, shape=(784,)).to_dict())
            Preparation(scale=255.0, mean=None, std=None, shape=(784,), dtype=None)
        """
        known = ("scale", "mean", "std", "shape", "dtype")
        return cls(**fields("preparation", document, known))


def _set(preparation: Preparation, name: str, value: Any) -> None:
    object.__setattr__(preparation, name, value)


def _floats(name: str, values: Any, positive: bool) -> tuple[float, ...]:
    given = values.reshape(-1).tolist() if isinstance(values, np.ndarray) else values
    lowest = 1 / _LARGEST if positive else -_LARGEST
    if (
        not isinstance(given, (tuple, list))
        or not given
        or not all(is_number(v) and lowest <= v <= _LARGEST for v in given)
    ):
        raise DataError(
            f"preparation: {name} must be numbers from {lowest:g} to {_LARGEST:g}, got {shown(values)}",
            fix=f"pass {name}=0.5" if name == "scale" else f"pass {name}=(0.5,), or None",
        )
    return tuple(float(v) for v in given)


@functools.lru_cache(maxsize=64)
def _tiled(values: tuple[float, ...], width: int, dtype: str) -> Array:
    """``values`` again and again, as the last axis of an example runs within its ``width`` numbers."""
    return np.tile(np.array(values, dtype), width // len(values))
