"""Numbers as people read them, and as JSON: four digits, a true minus sign, summaries of arrays."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from chainrule.primitive import Array

Value: TypeAlias = "float | Array"
"""One number, or an array that cannot be written to."""

MINUS = "−"
FEW = 4
"""One-dimensional arrays of up to so many elements are written out."""
LISTED = 1_000
"""Arrays of up to so many elements are in the JSON in full."""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def as_value(value: Any) -> Value:
    """A value of one element as a float, any other as an array that cannot be written to."""
    if isinstance(value, np.generic):
        return float(value)
    array = np.asarray(value)
    if array.size == 1:
        return float(array.reshape(())[()])
    view = array.view()
    view.flags.writeable = False
    return view


def _parts(number: float, digits: int) -> tuple[str, int | None]:
    """Mantissa, and the power of ten where there is one."""
    if number == 0:
        return "0", None
    if not 1e-3 <= abs(float(f"{number:.{digits - 1}e}")) < 1e5:
        mantissa, _, power = f"{number:.{digits - 1}e}".partition("e")
        return _trimmed(mantissa), int(power)
    if number.is_integer():
        return str(int(number)), None
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(number))))
    return _trimmed(f"{number:.{decimals}f}"), None


def _trimmed(text: str) -> str:
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def number_text(number: float, digits: int = 4) -> str:
    """A number of ``digits`` significant digits; whole numbers below 100,000 in full.

    Example:
        >>> number_text(-2.5), number_text(0.0000977312), number_text(1797.0), number_text(float("inf"))
        ('−2.5', '9.773·10⁻⁵', '1797', '∞')
    """
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else f"{MINUS}∞"
    mantissa, power = _parts(float(number), digits)
    if power is None:
        return mantissa.replace("-", MINUS)
    text = f"{mantissa}·10{str(power).translate(_RAISED)}"
    return text.removeprefix("1·").replace("-1·", "-").replace("-", MINUS)


def number_latex(number: float, digits: int = 4) -> str:
    """The same in LaTeX.

    Example:
        >>> number_latex(-2.5), number_latex(0.0000977312)
        ('-2.5', '9.773 \\\\cdot 10^{-5}')
    """
    if math.isnan(number):
        return r"\mathrm{NaN}"
    if math.isinf(number):
        return r"\infty" if number > 0 else r"-\infty"
    mantissa, power = _parts(float(number), digits)
    if power is None:
        return mantissa
    text = rf"{mantissa} \cdot 10^{{{power}}}"
    return text.removeprefix(r"1 \cdot ").replace(r"-1 \cdot ", "-")


def factor_text(number: float, digits: int = 4) -> str:
    """A number as a factor or a term: in parentheses if it is negative or has a power of ten."""
    text = number_text(number, digits)
    return f"({text})" if text.startswith(MINUS) or "·" in text else text


def count_text(count: int) -> str:
    """A count in full with thousands separators; from 10²¹ on as a power of ten.

    Example:
        >>> count_text(1797), count_text(10**30)
        ('1,797', '10³⁰')
    """
    return f"{count:,}" if count < 10**21 else number_text(float(count))


def share_text(share: float) -> str:
    """A share of the whole in per cent, three digits."""
    return f"{number_text(100 * share, 3)} %"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape: ``64×10``."""
    return "×".join(map(str, shape))


def root_mean_square(value: Value) -> float:
    """The size of a typical element."""
    array = np.abs(np.asarray(value, dtype=np.float64))
    largest = float(array.max(initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(np.mean(np.square(array / largest))))


def value_text(value: Value | None) -> str:
    """A number, a short list, or the shape and range of an array."""
    if value is None:
        return "none"
    if isinstance(value, (int, float)):
        return number_text(value)
    if value.ndim == 1 and value.size <= FEW:
        return f"[{', '.join(number_text(float(x)) for x in value)}]"
    if not value.size:
        return f"{shape_text(value.shape)}, no elements"
    strange = int(np.count_nonzero(~np.isfinite(value)))
    note = f", {count_text(strange)} not finite" if strange else ""
    finite = value[np.isfinite(value)]
    if not finite.size:
        return f"{shape_text(value.shape)}{note}"
    low, high = float(finite.min()), float(finite.max())
    range_ = f"all {number_text(low)}" if low == high else f"{number_text(low)} to {number_text(high)}"
    return f"{shape_text(value.shape)}, {range_}{note}"


def json_number(number: float) -> float | str:
    """A float, or ``"NaN"``, ``"Infinity"``, ``"-Infinity"``, which JSON has no numbers for."""
    if math.isfinite(number):
        return float(number)
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def json_count(count: int) -> int | str:
    """A count as a number while every JSON reader keeps it exact, else as text."""
    return count if count < 2**53 else str(count)


def json_value(value: Value | None) -> Any:
    """A number; or shape, statistics and, up to 1,000 elements, the elements of an array."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return json_number(value)
    finite = value[np.isfinite(value)].astype(np.float64)
    result: dict[str, Any] = {"shape": list(value.shape), "dtype": value.dtype.name}
    if finite.size:
        result |= {
            "min": float(finite.min()),
            "max": float(finite.max()),
            "mean": json_number(float(finite.mean())),
            "rms": root_mean_square(finite),
        }
    result["not_finite"] = int(value.size - finite.size)
    if value.size <= LISTED:
        result["elements"] = [json_number(float(x)) for x in value.ravel()]
    return result
