"""The numbers that optimizers are given: what is refused, and how they meet arrays of any dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, shown
from chainrule.node import Node
from chainrule.ops import astype
from chainrule.shapes import DType, as_int

_MOST = 2**53
"""Up to here float64 holds every integer."""


def _number(name: str, what: str, value: Any, like: str) -> float:
    """``value`` as a float, which may be nan or infinite; tensors, texts and truth values are refused."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    raise ArgumentError(
        f"{name}: {what} must be a number, got {type(value).__name__}", fix=f"pass {what}={like}"
    )


def above_zero(name: str, what: str, value: Any, like: str = "0.001") -> float:
    """A finite number above 0."""
    found = _number(name, what, value, like)
    if not 0 < found < math.inf:
        raise ArgumentError(
            f"{name}: {what} must be above 0 and finite, got {shown(value)}", fix=f"pass {what}={like}"
        )
    return found


def at_least(name: str, what: str, value: Any, least: int, like: str) -> float:
    """A finite number, ``least`` or above."""
    found = _number(name, what, value, like)
    if not least <= found < math.inf:
        raise ArgumentError(
            f"{name}: {what} must be at least {least} and finite, got {shown(value)}",
            fix=f"pass {what}={like}",
        )
    return found


def share(name: str, what: str, value: Any, like: str = "0.9", *, within: str = "[0, 1)") -> float:
    """A number in an interval from 0 to 1, whose brackets say which ends belong to it."""
    found = _number(name, what, value, like)
    if not (0 < found < 1 or (found == 0 and within[0] == "[") or (found == 1 and within[-1] == "]")):
        raise ArgumentError(
            f"{name}: {what} must lie in {within}, got {shown(value)}", fix=f"pass {what}={like}"
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
