"""What a network must know of its data to be used without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chainrule.data.documents import fields, is_number, names, sizes
from chainrule.data.preparation import Preparation
from chainrule.errors import DataError, shown
from chainrule.shapes import Shape, count

_FIELDS = (
    "classes",
    "example_shape",
    "dtype",
    "image_shape",
    "limits",
    "brightness",
    "features",
    "preparation",
)


@dataclass(frozen=True, slots=True)
class Description:
    """Kept beside a trained network, so that a new example can be made its input; from ``Dataset.description``.

    Attributes:
        classes: their names; None where a network gives numbers.
        example_shape, dtype: of one raw example.
        image_shape: ``(rows, columns)`` or ``(rows, columns, 3)`` if an example is a picture.
        limits: the least and the largest number of the training pictures; None if they are no pictures.
        brightness: their mean from 0, black, to 1, white; None if they are no pictures, or if their numbers do not
            run from 0 to 1 or from 0 to 255.
        features: names of the columns of a table, if known.
        preparation: how raw examples become input.

    Example:
        >>> about = cr.data.digits().description
        >>> about.image_shape, about.limits, about.input_shape
        ((8, 8), (0.0, 1.0), (64,))
        >>> Description.from_dict(about.to_dict()) == about
        True
    """

    classes: tuple[str, ...] | None
    example_shape: Shape
    dtype: str
    image_shape: Shape | None = None
    limits: tuple[float, float] | None = None
    brightness: float | None = None
    features: tuple[str, ...] | None = None
    preparation: Preparation = field(default_factory=Preparation)

    @property
    def input_shape(self) -> Shape:
        """The shape of one example as the network gets it."""
        return self.preparation.input_shape(self.example_shape)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :meth:`from_dict` gives an equal description."""
        values = {name: getattr(self, name) for name in _FIELDS[:-1]}
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
        return {**plain, "preparation": self.preparation.to_dict()}

    @classmethod
    def from_dict(cls, document: Any) -> Description:
        """What :meth:`to_dict` wrote.

        Raises:
            DataError: it did not write this.
            ShapeError: the preparation does not fit the examples.
        """
        given = fields("description", document, _FIELDS)
        example = sizes("example_shape", given["example_shape"])
        image = None if given["image_shape"] is None else sizes("image_shape", given["image_shape"])
        if image is not None and (len(image) not in (2, 3) or count(image) != count(example)):
            raise DataError(f"image_shape {image} does not hold an example of shape {example}", fix=_FIX)
        about = cls(
            _names("classes", given["classes"]),
            example,
            _one_of("dtype", given["dtype"], ("uint8", "float32", "float64", "int32", "int64")),
            image,
            _numbers("limits", given["limits"]),
            _number("brightness", given["brightness"]),
            _names("features", given["features"]),
            Preparation.from_dict(given["preparation"]),
        )
        about.preparation.input_shape(example)
        return about


_FIX = "pass what to_dict() gave, as json reads it"


def _names(name: str, value: Any) -> tuple[str, ...] | None:
    return None if value is None else names(name, value)


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise DataError(f"{name}: expected one of {', '.join(known)}, got {shown(value)}", fix=_FIX)
    return value


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not is_number(value) or not -1e300 <= value <= 1e300:
        raise DataError(f"{name}: expected a finite number, got {shown(value)}", fix=_FIX)
    return float(value)


def _numbers(name: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise DataError(f"{name}: expected two numbers, got {shown(value)}", fix=_FIX)
    low, high = (_number(name, v) for v in value)
    if low is None or high is None:
        raise DataError(f"{name}: expected two numbers, got {shown(value)}", fix=_FIX)
    return low, high
