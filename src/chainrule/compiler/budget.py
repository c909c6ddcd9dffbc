"""Numbers of bytes as people write them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, cast

import numpy as np

from chainrule.errors import ArgumentError, shown

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("kmgt", 1)
    for end, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_FORM = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*([a-z]*)\s*", re.IGNORECASE)


def as_bytes(name: str, value: Any) -> int | None:
    """A budget of memory as bytes; None for none.

    Args:
        name: of the function that was given it, for messages.
        value: bytes (``2e9``), or text such as ``"2GB"`` (10^9 bytes each), ``"512 MiB"`` (2^20 each), ``"1.5 GB"``.

    Raises:
        ArgumentError: it is not that, or below 1 byte.

    Example:
        >>> as_bytes("compile", "1.5 GB"), as_bytes("compile", "512MiB"), as_bytes("compile", 4096)
        (1500000000, 536870912, 4096)
    """
    if value is None:
        return None
    found = _bytes_of(value)
    if found is None:
        raise ArgumentError(
            f"{name}: memory {shown(value)} is not a number of bytes",
            fix='pass bytes, or a number with kB, MB, GB, KiB, MiB or GiB: memory="512MiB"',
        )
    if found < 1:
        raise ArgumentError(
            f"{name}: memory must be at least 1 byte, got {shown(value)}", fix='pass, say, memory="512MiB"'
        )
    return found


def _bytes_of(value: Any) -> int | None:
    if isinstance(value, str):
        form = _FORM.fullmatch(value)
        unit = _UNITS.get(form[2].lower()) if form else None
        return None if form is None or unit is None else int(Fraction(form[1]) * unit)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        return None
    return int(cast("int", value))


def shown_bytes(n: float) -> str:
    """A number of bytes for people: ``1.25 MiB``.

    Example:
        >>> shown_bytes(1310720)
        '1.25 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.4g} {unit}" if n >= 1000 else f"{n:.3g} {unit}"
        n /= 1024
    return f"{n:.3g} GiB" if n < 1000 else f"{n:,.0f} GiB"
