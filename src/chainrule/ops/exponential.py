"""Exponentials, logarithms, roots and powers, and the logistic function. All pointwise.

Conventions: ``0 ** 0`` is 1 with derivative 0 to both; ``0 ** p`` has derivative 0 to ``p >= 0``;
``sqrt'(0)`` and ``cbrt'(0)`` are infinite; ``hypot`` has derivative 0 to both at the origin; where both
arguments of ``logaddexp`` are the same infinity each gets half of the gradient.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.node import Node
from chainrule.ops.arithmetic import scale, square
from chainrule.ops.compare import isinf, where
from chainrule.ops.function import binary, unary
from chainrule.primitive import Interval, Partial, PerElement, Pointwise, elementary, instruction, register
from chainrule.shapes import FLOATS, INTS, NUMBERS

if TYPE_CHECKING:
    from chainrule.compiler.instructions import Instructions, Scalar

_LN_2, _LN_10 = math.log(2), math.log(10)
_POSITIVE = Interval(0.3, 3.0)
_ONE = {dtype: np.ones((), dtype) for dtype in FLOATS}
_exp, _reciprocal = np.exp, np.reciprocal
"""NumPy adds an array of no axes twice as fast as it adds a Python number."""


@register
class Exp(Pointwise):
    """``e ** x``.

    Example:
        >>> exp(0.0).item()
        1.0
    """

    name, label, latex = "exp", "eˣ", "e^{{{0}}}"
    intuition = ("An exponential is its own slope.",)
    per_element = PerElement(transcendentals=1)
    evaluate = np.exp
    emit = elementary("exp")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (y,)


@register
class Exp2(Pointwise):
    """``2 ** x``.

    Example:
        >>> exp2(3.0).item()
        8.0
    """

    name, label, latex = "exp2", "2ˣ", "2^{{{0}}}"
    per_element = PerElement(transcendentals=1)
    evaluate = np.exp2
    emit = elementary("exp2")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: _LN_2 * y,)


@register
class Expm1(Pointwise):
    """``e ** x - 1``, accurate where x is near 0.

    Example:
        >>> expm1(1e-20).item()
        1e-20
    """

    name, label, latex = "expm1", "eˣ−1", "e^{{{0}}} - 1"
    per_element = PerElement(transcendentals=1)
    evaluate = np.expm1
    emit = elementary("expm1")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: y + 1,)


@register
class Log(Pointwise):
    """Natural logarithm; minus infinity at 0, nan below.

    Example:
        >>> log([1.0, 0.0]).tolist()
        [0.0, -inf]
    """

    name, label, latex = "log", "ln", r"\ln {0}"
    intuition = ("The slope of ln {0} is 1/{0}: steep near 0, flat far out.",)
    domain = _POSITIVE
    per_element = PerElement(transcendentals=1)
    evaluate = np.log
    emit = elementary("log")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / x,)


@register
class Log1p(Pointwise):
    """``ln(1 + x)``, accurate where x is near 0.

    Example:
        >>> log1p(1e-20).item()
        1e-20
    """

    name, label, latex = "log1p", "ln(1+x)", r"\ln(1 + {0})"
    domain = Interval(-0.7, 2.0)
    per_element = PerElement(transcendentals=1)
    evaluate = np.log1p
    emit = elementary("log1p")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / (1 + x),)


@register
class Log2(Pointwise):
    """Logarithm to base 2; minus infinity at 0, nan below.

    Example:
        >>> log2(8.0).item()
        3.0
    """

    name, label, latex = "log2", "log₂", r"\log_2 {0}"
    domain = _POSITIVE
    per_element = PerElement(transcendentals=1)
    evaluate = np.log2
    emit = elementary("log2")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: (1 / _LN_2) / x,)


@register
class Log10(Pointwise):
    """Logarithm to base 10; minus infinity at 0, nan below.

    Example:
        >>> log10(1000.0).item()
        3.0
    """

    name, label, latex = "log10", "log₁₀", r"\log_{{10}} {0}"
    domain = _POSITIVE
    per_element = PerElement(transcendentals=1)
    evaluate = np.log10
    emit = elementary("log10")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: (1 / _LN_10) / x,)


@register
class Sqrt(Pointwise):
    """Square root; nan below 0. Its derivative is infinite at 0.

    Example:
        >>> sqrt([0.0, 9.0]).tolist()
        [0.0, 3.0]
    """

    name, label, latex = "sqrt", "√", r"\sqrt{{{0}}}"
    intuition = ("The slope of a root is one over twice the root.",)
    domain = _POSITIVE
    per_element = PerElement(transcendentals=1)
    evaluate = np.sqrt
    emit = instruction("sqrt")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 0.5 / y,)


@register
class Cbrt(Pointwise):
    """Cube root, of negative numbers too. Its derivative is infinite at 0.

    Example:
        >>> cbrt([-8.0, 27.0]).tolist()
        [-2.0, 3.0]
    """

    name, label, latex = "cbrt", "∛", r"\sqrt[3]{{{0}}}"
    domain = _POSITIVE
    per_element = PerElement(transcendentals=1)
    evaluate = np.cbrt
    emit = elementary("cbrt")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / (3 * square(y)),)


def _power(x: Any, p: Any) -> Any:
    if p.dtype.kind == "i" and np.any(p < 0):
        raise ArgumentError(
            f"power: integers have no integer power of negative exponent, got exponent {np.min(p)}",
            fix="convert the base: x.astype(cr.float64) ** p",
        )
    return np.power(x, p)


@register
class Power(Pointwise):
    """``x ** p``, with exact derivatives at ``x = 0`` and for negative x.

    Integers may be raised to integers that are not negative. The derivative to p is 0 at ``x = 0`` for
    ``p >= 0``, and nan for ``x < 0``, where only whole p have a power.

    Raises:
        ArgumentError: integers with a negative exponent.

    Example:
        >>> power([-3.0, 0.0, 2.0], 2).tolist()
        [9.0, 0.0, 4.0]
    """

    name, label, latex = "power", "xʸ", "{0}^{{{1}}}"
    intuition = (
        "Power rule: the exponent comes down as a factor and drops by one.",
        "An exponential grows in proportion to itself: its slope is its own value times the logarithm of the base.",
    )
    arity, accepts = 2, NUMBERS
    domain = (_POSITIVE, Interval(-2.0, 2.0))
    per_element = PerElement(transcendentals=1)
    evaluate = staticmethod(_power)

    @staticmethod
    def emit(k: Instructions, x: Scalar, p: Scalar) -> Scalar:
        # That an integer's exponent is not negative is for the compiler to find out.
        return k.power(x, p) if k.dtype(x) in INTS else k.elementary("pow", x, p)

    @staticmethod
    def partials(y: Node, x: Node, p: Node) -> tuple[Partial, ...]:
        # `scale` gives 0 where p or y is 0, even where the other factor is infinite.
        return (
            lambda: scale(p, power(x, p - 1)),
            lambda: where((x == 0) & (p >= 0), 0.0, scale(y, log(x))),
        )


@register
class LogAddExp(Pointwise):
    """``ln(e ** x + e ** y)`` without overflow: the sum of two numbers given by their logarithms.

    Example:
        >>> logaddexp(1000.0, 0.0).item()
        1000.0
    """

    name, label, latex = "logaddexp", "logaddexp", r"\ln\left(e^{{{0}}} + e^{{{1}}}\right)"
    arity = 2
    per_element = PerElement(additions=3, transcendentals=2)
    evaluate = np.logaddexp

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (lambda: _share(y, a, b), lambda: _share(y, b, a))

    @staticmethod
    def emit(k: Instructions, x: Scalar, y: Scalar) -> Scalar:
        share = k.elementary("exp", k.neg(k.abs(k.sub(x, y))))
        total = k.add(k.maximum(x, y), k.elementary("log1p", share))
        # Equal numbers apart, since inf - inf is nan.
        return k.select(k.equal(x, y), k.add(x, k.number(_LN_2, x)), total)


def _share(y: Node, a: Node, b: Node) -> Node:
    """``exp(a - y)``, which is rounded badly where y is large, as a function of ``a - b``."""
    return sigmoid(where(isinf(y) & (a == b), 0.0, a - b))


@register
class Hypot(Pointwise):
    """``sqrt(x * x + y * y)`` without overflow. At the origin its derivatives are 0.

    Example:
        >>> hypot(3.0, 4.0).item()
        5.0
    """

    name, label, latex = "hypot", "hypot", r"\sqrt{{{0}^2 + {1}^2}}"
    arity = 2
    domain = (Interval(0.3, 2.0), Interval(-2.0, 2.0))
    per_element = PerElement(multiplications=2, additions=1, transcendentals=1)
    evaluate = np.hypot
    emit = elementary("hypot")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (lambda: where(y == 0, 0.0, a / y), lambda: where(y == 0, 0.0, b / y))


@register
class Sigmoid(Pointwise):
    """The logistic function ``1 / (1 + exp(-x))``: exactly 0 and 1 far out. Its slope is at most 1/4.

    Saturates: ``dy/dx < 1e-3`` once ``|x| > 6.91``.

    Example:
        >>> sigmoid([-1000.0, 0.0, 1000.0]).tolist()
        [0.0, 0.5, 1.0]
    """

    name, label, latex = "sigmoid", "σ", r"\sigma({0})"
    intuition = ("A sigmoid's slope is {y}·(1 − {y}): at most ¼, and almost 0 where it saturates.",)
    domain = Interval(-6.0, 6.0)
    per_element = PerElement(multiplications=1, additions=2, transcendentals=1)
    emit = elementary("sigmoid")

    @staticmethod
    def evaluate(x: Any) -> Any:
        # Where exp(-x) is infinite its reciprocal is the limit, 0. Selecting by sign is several times slower.
        return _reciprocal((_ONE[x.dtype] if x.shape else 1) + _exp(-x))

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: y * (1 - y),)


exp = unary(Exp)
exp2 = unary(Exp2)
expm1 = unary(Expm1)
log = unary(Log)
log1p = unary(Log1p)
log2 = unary(Log2)
log10 = unary(Log10)
sqrt = unary(Sqrt)
cbrt = unary(Cbrt)
power = binary(Power)
pow = power  # the standard's name
logaddexp = binary(LogAddExp)
hypot = binary(Hypot)
sigmoid = unary(Sigmoid)
