"""JSON documents that come back from a file: what they must hold, so that a damaged one is named as such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DataError, shown
from chainrule.shapes import Shape, count

_MOST = 1 << 24
"""More numbers than any example has, and more names than any table has columns."""


def fields(what: str, document: Any, known: Sequence[str]) -> dict[str, Any]:
    """The fields of a JSON object that must have all of ``known`` and no others.

    Raises:
        DataError: it has not.
    """
    got = sorted(map(str, document)) if isinstance(document, Mapping) else type(document).__name__
    if got != sorted(known):
        raise DataError(
            f"{what}: expected the fields {', '.join(known)}, got {shown(got)}",
            fix="pass what to_dict() gave, as json reads it",
        )
    return dict(document)


def sizes(name: str, values: Any) -> Shape:
    """A shape.

    Raises:
        DataError: it is none, or no example is that large.
    """
    if not isinstance(values, (tuple, list)) or not all(type(n) is int and n >= 1 for n in values):
        raise DataError(
            f"{name}: expected sizes of 1 or more, got {shown(values)}", fix=f"{name}=(28, 28, 1)"
        )
    if len(values) > 8 or count(tuple(values)) > _MOST:
        raise DataError(f"{name}: no example is of shape {shown(values)}", fix="choose smaller sizes")
    return tuple(values)


def names(name: str, values: Any) -> tuple[str, ...]:
    """Texts.

    Raises:
        DataError: something else.
    """
    given = isinstance(values, (tuple, list)) and len(values) <= _MOST
    if not given or not all(isinstance(v, str) for v in values):
        raise DataError(f"{name}: expected texts, got {shown(values)}", fix=f'{name}=("cat", "dog")')
    return tuple(map(str, values))


def is_number(value: Any) -> bool:
    """Whether it is an integer or a floating number; it may be nan."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
