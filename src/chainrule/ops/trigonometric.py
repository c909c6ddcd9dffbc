"""Trigonometric and hyperbolic functions and their inverses. All pointwise; angles in radians.

Conventions: ``atan2`` has derivative 0 to both at the origin; at the ends of their domains the derivatives
of ``asin``, ``acos``, ``acosh`` and ``atanh`` are infinite, outside nan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.node import Node
from chainrule.ops.arithmetic import square
from chainrule.ops.compare import where
from chainrule.ops.exponential import hypot, sqrt
from chainrule.ops.function import binary, unary
from chainrule.primitive import Interval, Partial, PerElement, Pointwise, elementary, register

if TYPE_CHECKING:
    from chainrule.compiler.instructions import Instructions, Scalar

_INSIDE = Interval(-0.9, 0.9)


@register
class OneMinusSquare(Pointwise):
    """``1 - x * x``, accurate where x is near 1; the derivatives of four functions here are made of it.

    A product ``(1 - x) * (1 + x)`` of nodes would be as accurate, but its second derivative 0 * inf at 1.
    """

    name, label, latex = "one_minus_square", "1−x²", "1 - {0}^2"
    per_element = PerElement(multiplications=1, additions=2)

    @staticmethod
    def evaluate(x: Any) -> Any:
        return (1 - x) * (1 + x)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: -2 * x,)

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        one = k.number(1, x)
        return k.mul(k.sub(one, x), k.add(one, x))


class _Transcendental(Pointwise):
    per_element = PerElement(transcendentals=1)


@register
class Sin(_Transcendental):
    """Sine."""

    name, label, latex, evaluate = "sin", "sin", r"\sin {0}", np.sin
    intuition = ("The slope of the sine is the cosine.",)
    emit = elementary("sin")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: cos(x),)


@register
class Cos(_Transcendental):
    """Cosine."""

    name, label, latex, evaluate = "cos", "cos", r"\cos {0}", np.cos
    intuition = ("The slope of the cosine is minus the sine.",)
    emit = elementary("cos")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: -sin(x),)


@register
class Tan(_Transcendental):
    """Tangent."""

    name, label, latex, evaluate = "tan", "tan", r"\tan {0}", np.tan
    emit = elementary("tan")
    domain = Interval(-1.2, 1.2)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 + square(y),)


@register
class Asin(_Transcendental):
    """The angle in ``[-π/2, π/2]`` whose sine is x; nan for ``|x| > 1``."""

    name, label, latex, evaluate = "asin", "asin", r"\arcsin {0}", np.arcsin
    emit = elementary("asin")
    domain = _INSIDE

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / sqrt(one_minus_square(x)),)


@register
class Acos(_Transcendental):
    """The angle in ``[0, π]`` whose cosine is x; nan for ``|x| > 1``."""

    name, label, latex, evaluate = "acos", "acos", r"\arccos {0}", np.arccos
    emit = elementary("acos")
    domain = _INSIDE

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: -1 / sqrt(one_minus_square(x)),)


@register
class Atan(_Transcendental):
    """The angle in ``[-π/2, π/2]`` whose tangent is x."""

    name, label, latex, evaluate = "atan", "atan", r"\arctan {0}", np.arctan
    emit = elementary("atan")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / (1 + square(x)),)


@register
class Atan2(_Transcendental):
    """The angle in ``[-π, π]`` from the first axis to the point ``(y, x)``: the ordinate ``x`` comes first.

    At the origin its derivatives are 0.

    Example:
        >>> atan2(1.0, 0.0).item() == np.pi / 2
        True
    """

    name, label, latex = "atan2", "atan2", r"\operatorname{{atan2}}({0}, {1})"
    evaluate = np.arctan2
    emit = elementary("atan2")
    arity = 2
    domain = (Interval(0.3, 2.0), Interval(-2.0, 2.0))

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        radius = hypot(a, b)
        # Divided twice, since its square may overflow.
        return (
            lambda: where(radius == 0, 0.0, b / radius / radius),
            lambda: where(radius == 0, 0.0, -a / radius / radius),
        )


@register
class Sinh(_Transcendental):
    """Hyperbolic sine."""

    name, label, latex, evaluate = "sinh", "sinh", r"\sinh {0}", np.sinh
    emit = elementary("sinh")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: cosh(x),)


@register
class Cosh(_Transcendental):
    """Hyperbolic cosine."""

    name, label, latex, evaluate = "cosh", "cosh", r"\cosh {0}", np.cosh
    emit = elementary("cosh")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: sinh(x),)


@register
class Tanh(_Transcendental):
    """Hyperbolic tangent. Saturates: ``dy/dx < 1e-3`` once ``|x| > 4.15``."""

    name, label, latex, evaluate = "tanh", "tanh", r"\tanh {0}", np.tanh
    intuition = ("tanh is steepest at 0 and flat far out: its slope is 1 − tanh².",)
    emit = elementary("tanh")
    domain = Interval(-6.0, 6.0)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: one_minus_square(y),)


@register
class Asinh(_Transcendental):
    """The number whose hyperbolic sine is x."""

    name, label, latex, evaluate = "asinh", "asinh", r"\operatorname{{arsinh}} {0}", np.arcsinh
    emit = elementary("asinh")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / hypot(x, 1.0),)


@register
class Acosh(_Transcendental):
    """The number of at least 0 whose hyperbolic cosine is x; nan for ``x < 1``."""

    name, label, latex, evaluate = "acosh", "acosh", r"\operatorname{{arcosh}} {0}", np.arccosh
    emit = elementary("acosh")
    domain = Interval(1.3, 3.0)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / sqrt(x - 1) / sqrt(x + 1),)


@register
class Atanh(_Transcendental):
    """The number whose hyperbolic tangent is x; infinite at ``|x| = 1``, nan beyond."""

    name, label, latex, evaluate = "atanh", "atanh", r"\operatorname{{artanh}} {0}", np.arctanh
    emit = elementary("atanh")
    domain = _INSIDE

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / one_minus_square(x),)


one_minus_square = unary(OneMinusSquare)
sin = unary(Sin)
cos = unary(Cos)
tan = unary(Tan)
asin = unary(Asin)
acos = unary(Acos)
atan = unary(Atan)
atan2 = binary(Atan2)
sinh = unary(Sinh)
cosh = unary(Cosh)
tanh = unary(Tanh)
asinh = unary(Asinh)
acosh = unary(Acosh)
atanh = unary(Atanh)
