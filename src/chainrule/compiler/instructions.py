"""The scalar instructions into which elementwise primitives are emitted.

A primitive states once, in ``emit(k, *xs, **params)``, what it does to one element of each input, in the words of
`Instructions`; a backend implements those. Numeric inputs come converted to their common dtype.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from chainrule.shapes import DType

Scalar: TypeAlias = Any
"""One element, or a vector of them: whatever the backend makes of it."""


class Instructions(Protocol):
    """What a backend can do with elements. Floats follow IEEE 754, integers wrap, comparisons give booleans.

    :class:`chainrule.compiler.on_numpy.NumpyInstructions` says what each one means.
    """

    def dtype(self, x: Scalar) -> DType:
        """The dtype of a scalar."""
        ...

    def number(self, value: float | int | bool, like: Scalar) -> Scalar:
        """A constant, of the dtype of ``like``."""
        ...

    def convert(self, x: Scalar, dtype: DType) -> Scalar:
        """As NumPy's ``astype``: floats are truncated to integers, everything but 0 is True.

        A float that no integer of ``dtype`` can hold gives any integer, as the machine likes it.
        """
        ...

    # Arithmetic on two numbers of one dtype.
    def add(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def sub(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def mul(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def div(self, a: Scalar, b: Scalar, /) -> Scalar:
        """Quotient of floats."""
        ...

    def neg(self, a: Scalar, /) -> Scalar: ...
    def abs(self, a: Scalar, /) -> Scalar: ...
    def minimum(self, a: Scalar, b: Scalar, /) -> Scalar:
        """The smaller; nan if one of them is. Of 0 and -0 either."""
        ...

    def maximum(self, a: Scalar, b: Scalar, /) -> Scalar:
        """The larger; nan if one of them is. Of 0 and -0 either."""
        ...

    def floor_divide(self, a: Scalar, b: Scalar, /) -> Scalar:
        """As NumPy's, for integers and floats; an integer divided by 0 gives 0."""
        ...

    def remainder(self, a: Scalar, b: Scalar, /) -> Scalar:
        """As NumPy's, for integers and floats; an integer modulo 0 gives 0."""
        ...

    def power(self, a: Scalar, b: Scalar, /) -> Scalar:
        """Of two integers, the second not negative. (That of floats is elementary.)"""
        ...

    # Floats only.
    def sqrt(self, a: Scalar, /) -> Scalar: ...
    def floor(self, a: Scalar, /) -> Scalar: ...
    def ceil(self, a: Scalar, /) -> Scalar: ...
    def trunc(self, a: Scalar, /) -> Scalar: ...
    def round(self, a: Scalar, /) -> Scalar:
        """To the nearest integer, halves to the even one."""
        ...

    def copysign(self, a: Scalar, b: Scalar, /) -> Scalar:
        """``a`` with the sign of ``b``."""
        ...

    def elementary(self, name: str, *xs: Scalar) -> Scalar:
        """An elementary function of floats, within 2 ulp: exp, exp2, expm1, log, log1p, log2, log10, sin, cos, tan,
        asin, acos, atan, atan2, sinh, cosh, tanh, asinh, acosh, atanh, erf, erfc, pow, cbrt, hypot; and sigmoid,
        ``1 / (1 + exp(-x))``.
        """
        ...

    # Comparisons and choices.
    def less(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def less_equal(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def equal(self, a: Scalar, b: Scalar, /) -> Scalar:
        """Of booleans too."""
        ...

    def not_equal(self, a: Scalar, b: Scalar, /) -> Scalar:
        """Of booleans too."""
        ...

    def select(self, condition: Scalar, yes: Scalar, no: Scalar, /) -> Scalar:
        """One of two of one dtype, which may be bool."""
        ...

    # Booleans.
    def logical_and(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def logical_or(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def logical_xor(self, a: Scalar, b: Scalar, /) -> Scalar: ...
    def logical_not(self, a: Scalar, /) -> Scalar: ...
