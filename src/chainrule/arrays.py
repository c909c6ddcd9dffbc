"""What counts as numbers: any value as a NumPy array of one of the five dtypes, or an error that says why not.

Nothing that a value means is dropped on the way: text is not read as numbers, None does not become nan, and
neither an imaginary part, nor a mask, nor the upper half of a large integer is lost.
"""

from __future__ import annotations

from numbers import Integral, Number
from typing import Any, TypeAlias, cast

import numpy as np

from chainrule.errors import ChainruleError, DTypeError, OperandError, shown
from chainrule.shapes import DTYPES, DType

Array: TypeAlias = "np.ndarray[Any, Any]"

_OTHER = {"U": "text", "S": "bytes", "V": "records"}
"""NumPy's letters for what holds no numbers."""

_NUMBERS = "pass numbers, nested lists of numbers, or a NumPy array of numbers"


def as_array(value: Any, dtype: DType | None, copy: bool) -> Array:
    """``value`` as an array.

    Args:
        value: a number, nested lists of numbers, an array, or an object that NumPy can convert.
        dtype: to convert to; None keeps the value's own.
        copy: whether the result never shares memory with ``value``.

    Raises:
        OperandError: not numbers, ragged lists, or integers too large for int64.
        DTypeError: numbers of a dtype that is none of the five.
    """
    try:
        array = np.array(value, copy=True if copy else None)
    except (ValueError, TypeError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise OperandError(
                f"cannot make an array: expected lists of equal lengths, got {shown(value)}",
                fix="fill up the shorter lists, so that all have equal lengths",
            ) from None
        raise OperandError(f"cannot make an array of {type(value).__name__}: {error}", fix=_NUMBERS) from None
    if array.dtype not in DTYPES:
        array = _in_native_order(value, array)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(cast("Any", value)):
        raise OperandError(
            "expected numbers, got a masked array: its mask would be lost",
            fix="fill it, x.filled(0.0), and keep what counts with cr.where(~x.mask, x.data, 0.0)",
        )
    return array if dtype is None or array.dtype == dtype else array.astype(dtype)


def _in_native_order(value: Any, array: Array) -> Array:
    native = array.dtype.newbyteorder("=")
    if native in DTYPES:
        return array.astype(native)
    raise _not_supported(value, array)


def _not_supported(value: Any, array: Array) -> ChainruleError:
    """The error for an array that holds no numbers of ours."""
    name, kind = array.dtype.name, array.dtype.kind
    if kind == "O":
        return _strangers(value, array)
    if kind not in "fciu":
        what = _OTHER.get(kind, name)
        fix = "take differences and units out first: (t - t[0]) / np.timedelta64(1, 's')"
        got = type(value).__name__ + (f" of {what}" if array.ndim else "")
        return OperandError(f"expected numbers, got {got}", fix=fix if kind in "mM" else _NUMBERS)
    if name == "uint64" and int(array.max(initial=0)) > np.iinfo(np.int64).max:
        return _too_large(value)
    expected = ", ".join(d.name for d in DTYPES)
    return DTypeError(
        f"dtype {name} is not supported: expected one of {expected}", fix=_conversion(array.dtype)
    )


def _conversion(dtype: DType) -> str:
    if dtype.kind == "c":
        return "pass real and imaginary parts as two arrays: x.real, x.imag"
    if dtype.kind == "f":
        return f"convert first: x.astype(np.float{32 if dtype.itemsize < 4 else 64})"
    if dtype.name == "uint8":
        return "scale an image to 0 .. 1, x.astype(np.float32) / 255, or keep its numbers: x.astype(np.int32)"
    return f"convert first: x.astype(np.int{32 if dtype.itemsize < 4 else 64})"


def _strangers(value: Any, array: Array) -> ChainruleError:
    """The error for an array of objects: names the first that is no number, or else integers of any size."""
    elements: list[Any] = array.reshape(-1).tolist()
    strangers = [e for e in elements if not isinstance(e, (float, int))]
    if elements and not strangers:
        return _too_large(value)
    stranger = strangers[0] if strangers else value
    got = type(stranger).__name__
    inside = f" in {type(value).__name__} of shape {array.shape}" if array.ndim else ""
    fix = _NUMBERS
    if isinstance(stranger, Number) and not isinstance(stranger, complex):
        fix = "convert first: float(x)"
    return OperandError(f"expected numbers, got {got}{inside}", fix=fix)


def _too_large(value: Any) -> OperandError:
    what = shown(value) if isinstance(value, Integral) else f"an integer in {type(value).__name__}"
    return OperandError(f"{what} does not fit int64", fix="pass floats: float(x)")
