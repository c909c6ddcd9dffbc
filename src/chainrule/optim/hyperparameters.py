"""The numbers that optimizers are given: what is refused, and how they meet arrays of any dtype."""

from __future__ import annotations

import math
from typing import Any

from chainrule.errors import ArgumentError, shown
from chainrule.node import Node
from chainrule.ops import astype
from chainrule.shapes import DType, as_int, as_number

_MOST = 2**53
"""Up to here float64 holds every integer."""


def at_least(name: str, what: str, value: Any, least: int, like: str) -> float:
    """A finite number, ``least`` or above."""
    found = as_number(name, what, value, like)
    if not least <= found < math.inf:
        raise ArgumentError(
            f"{name}: {what} must be at least {least} and finite, got {shown(value)}",
            fix=f"pass {what}={like}",
        )
    return found


def count(name: str, what: str, value: Any, least: int = 1, fix: str = "") -> int:
    """A number of updates."""
    found = as_int(name, what, value)
    if not least <= found <= _MOST:
        wants = f"at least {least}" if found < least else "at most 2^53"
        raise ArgumentError(
            f"{name}: {what} must be {wants}, got {shown(value)}", fix=fix or f"pass {what}=1000"
        )
    return found


def beside(p: Any, factor: Any) -> Any:
    """A scalar of float64 as it is multiplied with ``p``: of its dtype, or a Python number, which takes it."""
    if factor.__class__ is float:
        return factor
    return astype(factor, p.dtype) if isinstance(factor, Node) else float(factor)


def of_dtype(values: Any, dtype: DType) -> Any:
    """An array or a tensor in a dtype; itself where it has that already."""
    return values if values.dtype is dtype else values.astype(dtype)
