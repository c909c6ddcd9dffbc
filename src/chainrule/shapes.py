"""Shape and dtype arithmetic: broadcasting, promotion, axes. Pure functions of tuples and dtypes.

Semantics follow the Python array API standard, version 2024.12
(https://data-apis.org/array-api/2024.12/API_specification/): five dtypes, promotion only within one
kind, Python scalars take the array's dtype.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple, SupportsIndex, TypeAlias, cast

import numpy as np

from chainrule.errors import ArgumentError, AxisError, DTypeError, ShapeError, SizeError, shown

DType: TypeAlias = "np.dtype[Any]"
Shape: TypeAlias = "tuple[int, ...]"

float32: DType = np.dtype(np.float32)
float64: DType = np.dtype(np.float64)
int32: DType = np.dtype(np.int32)
int64: DType = np.dtype(np.int64)
bool_: DType = np.dtype(np.bool_)

FLOATS = (float32, float64)
INTS = (int32, int64)
NUMBERS = (*FLOATS, *INTS)
DTYPES = (*NUMBERS, bool_)

_NO_DTYPE = (type(None), tuple, list, dict)
"""What NumPy reads as a dtype and we do not: None as float64, the others as records."""

_BY_NAME: dict[str, DType] = {d.name: d for d in DTYPES}


class Spec(NamedTuple):
    """What is known of an array before it is computed."""

    shape: Shape
    dtype: DType

    def __str__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}"


def as_dtype(dtype: Any) -> DType:
    """Return one of the five dtypes, from a dtype, a NumPy type, a name, or Python's float, int, bool."""
    if dtype is float:
        return float64
    if dtype is int:
        return int64
    if dtype is bool:
        return bool_
    try:
        name = shown(dtype) if type(dtype) in _NO_DTYPE else np.dtype(dtype).name
    except (TypeError, ValueError):
        name = str(dtype)
    found = _BY_NAME.get(name)
    if found is None:
        close = difflib.get_close_matches(name, _BY_NAME, n=1)
        raise DTypeError(
            f"dtype {name} is not supported: expected one of {', '.join(_BY_NAME)}",
            fix=f"use one of them, such as cr.{close[0] if close else 'float32'}",
        )
    return found


def promote(name: str, *dtypes: DType) -> DType:
    """The common dtype of arrays: float32 with float64, or int32 with int64; kinds do not mix."""
    result = dtypes[0]
    for other in dtypes[1:]:
        if other is result or other == result:
            continue
        if result.kind != other.kind:
            raise mixed_kinds(name, result, other)
        result = result if result.itemsize >= other.itemsize else other
    return result


def mixed_kinds(name: str, left: DType, right: DType) -> DTypeError:
    """The error for two arrays whose dtypes have no common dtype in the standard."""
    wide = max((d for d in (left, right) if d.kind == "f"), key=lambda d: d.itemsize, default=None)
    if wide is None:
        narrow, target = (left, right) if left.kind == "b" else (right, left)
        fix = f"convert the {narrow.name} operand: x.astype(cr.{target.name})"
    elif "b" in (left.kind, right.kind):
        fix = f"select with cr.where(mask, x, 0), or convert the mask: mask.astype(cr.{wide.name})"
    else:
        narrow = left if right.kind == "f" else right
        fix = f"convert the {narrow.name} operand: x.astype(cr.{wide.name})"
    return DTypeError(
        f"{name}: cannot combine {left.name} with {right.name}: arrays of different kinds do not promote",
        fix=fix,
    )


def require_dtype(name: str, dtype: DType, allowed: Sequence[DType]) -> None:
    """Raise :class:`DTypeError` unless ``dtype`` is allowed."""
    if dtype in allowed:
        return
    wants = " or ".join(d.name for d in allowed)
    fix = f"convert first: x.astype(cr.{allowed[-1].name})"
    if dtype.kind == "i" and allowed[-1].kind == "f":
        fix += "; a number is a float if written with a point, such as 3.0"
    raise DTypeError(f"{name}: expected {wants}, got {dtype.name}", fix=fix)


def broadcast(name: str, *shapes: Shape) -> Shape:
    """Broadcast shapes from the right; sizes must be equal or 1."""
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    rank = max(len(s) for s in shapes)
    result: list[int] = []
    for axis in range(-rank, 0):
        size = 1
        for shape in shapes:
            n = shape[axis] if len(shape) >= -axis else 1
            if n == 1 or n == size:
                continue
            if size != 1:
                raise _no_broadcast(name, shapes, axis, size, n)
            size = n
        result.append(size)
    return tuple(result)


def _no_broadcast(name: str, shapes: tuple[Shape, ...], axis: int, left: int, right: int) -> ShapeError:
    listed = " with ".join(str(s) for s in shapes)
    fix = "make the two sizes equal, or 1"
    a, b = shapes[0], shapes[-1]
    if len(a) != len(b):
        short, long = (a, b) if len(a) < len(b) else (b, a)
        if len(short) and short[-1] == long[0]:
            new = (*short, *(1 for _ in range(len(long) - len(short))))
            fix = f"add axes on the right: reshape {short} to {new}"
    elif a[::-1] == b:
        fix = "transpose one operand: x.mT"
    return ShapeError(
        f"{name}: cannot broadcast {listed}: axis {axis} has sizes {left} and {right}",
        fix=fix,
    )


def as_int(name: str, what: str, value: SupportsIndex) -> int:
    """Return ``value`` as an int; floats, truth values and others are refused, with the argument's name."""
    if value is True or value is False:
        raise _no_int(name, what, value)
    try:
        return operator.index(value)
    except TypeError:
        raise _no_int(name, what, value) from None


def _no_int(name: str, what: str, value: object) -> ArgumentError:
    return ArgumentError(f"{name}: {what} must be an integer, got {shown(value)}", fix="pass an int")


def as_sequence(value: Any) -> Sequence[Any]:
    """``value`` itself if it is a tuple or list, else a tuple of it alone."""
    return cast("Sequence[Any]", value) if isinstance(value, (tuple, list)) else (value,)


def as_shape(name: str, shape: Any) -> Shape:
    """Return a shape given as an int or a sequence of ints, each at least 0."""
    result = tuple(
        [n if type(n) is int else as_int(name, "each size of shape", n) for n in as_sequence(shape)]
    )
    if result and min(result) < 0:
        raise ShapeError(f"{name}: sizes must not be negative, got {result}", fix="pass sizes of 0 or more")
    if len(result) > 4 or max(result, default=0) > _SMALL:
        require_room(name, result)
    return result


def normalize_axis(name: str, axis: SupportsIndex, rank: int) -> int:
    """Return ``axis`` as 0 .. rank-1."""
    number = as_int(name, "axis", axis)
    if -rank <= number < rank:
        return number % rank
    limits = f"-{rank} .. {rank - 1}" if rank else "none: the array is 0-dimensional"
    raise AxisError(
        f"{name}: axis {number} is out of range for {rank} dimensions",
        fix=f"valid axes: {limits}",
    )


def normalize_axes(name: str, axis: Any, rank: int) -> tuple[int, ...]:
    """Return ``axis`` (None, an int or a tuple) as sorted, distinct axes; None means all of them."""
    if axis is None:
        return tuple(range(rank))
    axes = tuple(normalize_axis(name, a, rank) for a in as_sequence(axis))
    if len(set(axes)) != len(axes):
        raise AxisError(f"{name}: axis {axis!r} names an axis twice", fix="name each axis once")
    return tuple(sorted(axes))


def reduce_shape(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    """Shape after reducing ``axes``."""
    if len(axes) == len(shape):
        return (1,) * len(shape) if keepdims else ()
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def sum_axes(shape: Shape, target: Shape) -> tuple[int, ...]:
    """Axes of ``shape`` along which ``target`` was broadcast to give it."""
    extra = len(shape) - len(target)
    return (
        *range(extra),
        *(i + extra for i, n in enumerate(target) if n == 1 and shape[i + extra] != 1),
    )


def row_major(shape: Shape) -> tuple[int, ...]:
    """Strides of an array without gaps, in elements."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def count(shape: Shape) -> int:
    """Number of elements."""
    return math.prod(shape)


def as_ints(name: str, what: str, value: Any) -> tuple[int, ...]:
    """One integer, or several in a tuple, list, range or array, as a tuple."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    given: Sequence[Any] = value if isinstance(value, range) else as_sequence(value)
    return tuple([n if type(n) is int else as_int(name, what, n) for n in given])


def as_flag(name: str, what: str, value: Any) -> bool:
    """Return ``value`` if it is True or False; numbers and texts are refused, since all of them are true."""
    if value is True or value is False:
        return value
    if type(value) is np.bool_:
        return bool(value)
    raise ArgumentError(
        f"{name}: {what} must be True or False, got {shown(value)}", fix=f"pass {what}=True or {what}=False"
    )


def as_number(name: str, what: str, value: Any, like: str = "1.0") -> float:
    """``value`` as a float, which may be nan or infinite; tensors, texts and truth values are refused."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            return float(cast("float", value))
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    raise ArgumentError(
        f"{name}: {what} must be a number, got {type(value).__name__}", fix=f"pass {what}={like}"
    )


def as_above_zero(name: str, what: str, value: Any, like: str = "0.001") -> float:
    """A finite number above 0."""
    found = as_number(name, what, value, like)
    if not 0 < found < math.inf:
        raise ArgumentError(
            f"{name}: {what} must be above 0 and finite, got {shown(value)}", fix=f"pass {what}={like}"
        )
    return found


def as_share(name: str, what: str, value: Any, like: str = "0.9", *, within: str = "[0, 1)") -> float:
    """A number in an interval from 0 to 1, whose brackets say which ends belong to it."""
    found = as_number(name, what, value, like)
    if not (0 < found < 1 or (found == 0 and within[0] == "[") or (found == 1 and within[-1] == "]")):
        raise ArgumentError(
            f"{name}: {what} must lie in {within}, got {shown(value)}", fix=f"pass {what}={like}"
        )
    return found


MAX_RANK = 64
"""Most axes that NumPy's arrays have."""

_MAX_BYTES = 2**63 - 1

_SMALL = 2**14
"""Four axes of this size give an array that can be addressed."""


def require_room(name: str, shape: Shape) -> None:
    """Raise :class:`SizeError` for a shape that no array can have, whatever the memory."""
    if len(shape) > MAX_RANK:
        raise SizeError(
            f"{name}: expected at most {MAX_RANK} axes, got {len(shape)}", fix="reshape to fewer axes"
        )
    if count(tuple(n for n in shape if n)) * 8 > _MAX_BYTES:
        raise too_large(name, shape, float64)


def too_large(name: str, shape: Shape, dtype: DType) -> SizeError:
    """The error for an array that memory cannot hold."""
    size = count(tuple(n for n in shape if n)) * dtype.itemsize
    amount = "more bytes than can be addressed"
    if size <= _MAX_BYTES:
        power = max((size.bit_length() - 1) // 10, 0)
        amount = f"{size / 1024**power:.3g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[power]}"
    return SizeError(
        f"{name}: no memory for an array of shape {shown(shape)}: in {dtype.name} it takes {amount}",
        fix="choose smaller sizes, or work on one part after another",
    )
