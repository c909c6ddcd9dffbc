"""Numbers as people read them, and as JSON: four digits, a true minus sign, summaries of arrays."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from chainrule.primitive import Array

Value: TypeAlias = "float | Array"
"""One number, or an array that cannot be written to."""

MINUS = "−"
FEW = 9
"""Arrays of up to so many elements are written out."""
DIGITS, MOST_DIGITS = 4, 8
"""Significant digits that are shown, and the most where numbers near 1 need more to differ from it."""
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


def number_text(number: float, digits: int = DIGITS) -> str:
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


def number_latex(number: float, digits: int = DIGITS) -> str:
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


def factor_text(number: float, digits: int = DIGITS) -> str:
    """A number as a factor or a term: in parentheses if it is negative or has a power of ten."""
    return as_factor(number_text(number, digits))


def as_factor(text: str) -> str:
    """A number that is written already, in parentheses where it would not stand alone in a product."""
    return f"({text})" if text.startswith(MINUS) or not {"·", " "}.isdisjoint(text) else text


def digits_beside_one(number: float) -> int:
    """Significant digits, at most `MOST_DIGITS`, with which a number near 1 or −1 is not written as 1.

    Example:
        >>> [digits_beside_one(x) for x in (3.14159, 1.0, 1.0001, 0.99999, 1 + 1e-12)]
        [4, 4, 5, 5, 8]
    """
    digits = DIGITS
    if 0 < abs(abs(number) - 1) < 1e-3:
        while digits < MOST_DIGITS and is_written_as_one(number, digits):
            digits += 1
    return digits


def is_written_as_one(number: float, digits: int) -> bool:
    """Whether a number that is neither 1 nor −1 looks so when it is rounded."""
    return abs(number) != 1 and number_text(number, digits) in ("1", f"{MINUS}1")


def count_text(count: int) -> str:
    """A count in full with thousands separators; from 10²¹ on as a power of ten.

    Example:
        >>> count_text(1797), count_text(10**30)
        ('1,797', '10³⁰')
    """
    return f"{count:,}" if count < 10**21 else number_text(float(count))


def counted(count: int, noun: str) -> str:
    """A count with its noun: ``1 path``, ``2 paths``, ``3 passes``."""
    ending = "es" if noun.endswith(("s", "tch", "nch")) else "s"
    return f"{count_text(count)} {noun}{'' if count == 1 else ending}"


def share_text(share: float) -> str:
    """A share of the whole in per cent, three digits."""
    return f"{number_text(100 * share, 3)} %"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape: ``64×10``."""
    return "×".join(map(str, shape))


def root_mean_square(value: Value) -> float:
    """The size of a typical element."""
    array = np.asarray(value, dtype=np.float64)
    if array.size:
        square = float(np.vdot(array, array)) / array.size
        if 1e-200 < square < 1e200:  # neither lost nor beyond the largest float
            return math.sqrt(square)
    array = np.abs(array)
    largest = float(array.max(initial=0.0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(np.mean(np.square(array / largest))))


def value_text(value: Value | None, digits: int = DIGITS) -> str:
    """A number, the elements of a small array, or the shape and range of a larger one.

    Example:
        >>> value_text(np.array([[1.0, -2.0], [0.5, 1.0]])), value_text(np.arange(12.0).reshape(3, 4))
        ('[[1, −2], [0.5, 1]]', '3×4, 0 to 11')
    """
    if value is None:
        return "none"
    if isinstance(value, (int, float)):
        return number_text(value, digits)
    if not value.size:
        return f"{shape_text(value.shape)}, no elements"
    if value.size <= FEW:
        return _listed(value.tolist(), digits)
    finite = _finite(value)
    strange = int(value.size - finite.size)
    note = f", {count_text(strange)} not finite" if strange else ""
    if not finite.size:
        return f"{shape_text(value.shape)}{note}"
    low, high = (number_text(float(x), digits) for x in (finite.min(), finite.max()))
    return f"{shape_text(value.shape)}, {f'all {low}' if low == high else f'{low} to {high}'}{note}"


def _listed(nested: Any, digits: int) -> str:
    if isinstance(nested, list):
        return f"[{', '.join(_listed(part, digits) for part in nested)}]"  # pyright: ignore[reportUnknownVariableType]
    return number_text(float(nested), digits)


def _finite(value: Array) -> Array:
    """The elements that are finite: the array itself where all are, since large ones take time to copy."""
    known = np.isfinite(value)
    return value if known.all() else value[known]


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
    finite = _finite(value)
    result: dict[str, Any] = {"shape": list(value.shape), "dtype": value.dtype.name}
    if finite.size:
        result |= {
            "min": float(finite.min()),
            "max": float(finite.max()),
            "mean": json_number(float(finite.mean(dtype=np.float64))),
            "rms": root_mean_square(finite),
        }
    result["not_finite"] = int(value.size - finite.size)
    if value.size <= LISTED:
        result["elements"] = [json_number(float(x)) for x in value.ravel()]
    return result
