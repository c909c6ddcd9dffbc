"""Arithmetic: sums, products, quotients, signs, rounding, extrema. All pointwise.

Conventions: ``|x|'(0) = 0``; where two arguments of ``maximum`` or ``minimum`` are equal each gets half
of the gradient; ``clip`` passes the gradient where ``low <= x <= high``; rounding has derivative 0.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.axes import Ties, aligned, stretched
from chainrule.node import ArrayLike, N, Node, Operand, apply, as_nodes
from chainrule.ops.batching import elementwise
from chainrule.ops.cast import astype, like
from chainrule.ops.function import binary, unary
from chainrule.primitive import (
    Cost,
    Example,
    HasSpec,
    Interval,
    Linear,
    Partial,
    PerElement,
    Pointwise,
    instruction,
    register,
)
from chainrule.shapes import INTS, NUMBERS, DType, Shape

if TYPE_CHECKING:
    from chainrule.compiler.instructions import Instructions, Scalar

_APART = (Interval(-2.0, -0.1), Interval(0.1, 2.0))
"""Domains that never meet, so that tests of maximum and minimum stay off the kink."""


@register
class Add(Pointwise):
    """Sum of two arrays."""

    name, label, latex = "add", "+", "{0} + {1}"
    intuition = ("A sum passes every change on unchanged, so its local derivative is 1.",)
    arity, accepts = 2, NUMBERS
    per_element = PerElement(additions=1)
    evaluate = staticmethod(operator.add)
    emit = instruction("add")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (1.0, 1.0)


@register
class Subtract(Pointwise):
    """Difference of two arrays."""

    name, label, latex = "subtract", "−", "{0} - {1}"
    intuition = (
        "A difference passes changes of its first part on unchanged.",
        "What is subtracted pulls the other way: the local derivative is −1.",
    )
    arity, accepts = 2, NUMBERS
    per_element = PerElement(additions=1)
    evaluate = staticmethod(operator.sub)
    emit = instruction("sub")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (1.0, -1.0)


@register
class Multiply(Pointwise):
    """Product of two arrays, element by element."""

    name, label, latex = "multiply", "×", r"{0} \cdot {1}"
    intuition = (
        "In a product, a change in {0} is scaled by the other factor, {1}.",
        "In a product, a change in {1} is scaled by the other factor, {0}.",
    )
    arity, accepts = 2, NUMBERS
    per_element = PerElement(multiplications=1)
    evaluate = staticmethod(operator.mul)
    emit = instruction("mul")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (b, a)


_where: Callable[..., Any] = np.where


def _scale(upstream: Any, factor: Any) -> Any:
    product: Any = upstream * factor
    if product.size == 1:
        number = product.item()
        if number == number:
            return product
    if product.ndim == 0:
        return product.dtype.type(0) if product != product and upstream == 0 else product
    elements = product.ravel("K")  # in the order of memory: no copy
    if not math.isnan(elements.dot(elements)):  # nan exactly if an element is
        return product
    return _where((upstream == 0) & (product != product), product.dtype.type(0), product)


@register
class Scale(Linear):
    """Upstream gradient times local derivative, with **strong zeros**.

    Where the upstream gradient is exactly 0 the product is 0, whatever the local derivative: never
    ``0 * inf = nan``. Hence ``where(x > 0, log(x), 0)`` has a finite gradient everywhere. There the product
    does not depend on the local derivative either, so the same holds for derivatives of derivatives.
    """

    name, label, latex = "scale", "·", r"{0} \cdot {1}"
    linear, joint = (0, 1), False
    evaluate = staticmethod(_scale)
    batch = classmethod(elementwise)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        other = xs[1 - i]
        return stretched(xs[i].shape, y.shape, values=other, labels=aligned(other.shape, y.shape))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return Multiply.infer(*xs)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        upstream, factor = xs
        return scale(g, factor) if i == 0 else scale(upstream, g)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, **params: Any) -> Cost:
        return Multiply.cost(xs, shape, dtype)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        return Multiply.examples(rng)

    @staticmethod
    def emit(k: Instructions, upstream: Scalar, factor: Scalar) -> Scalar:
        product, zero = k.mul(upstream, factor), k.number(0, upstream)
        hidden = k.logical_and(k.equal(upstream, zero), k.not_equal(product, product))
        return k.select(hidden, zero, product)


def _quotient(a: Any, b: Any) -> Any:
    return a / b


@register
class Divide(Pointwise):
    """Quotient of two floating arrays; ``x / 0`` is infinite, ``0 / 0`` is nan."""

    name, label, latex = "divide", "/", r"\frac{{{0}}}{{{1}}}"
    intuition = (
        "Dividing by {1} scales every change by 1/{1}.",
        "A larger {1} makes the quotient smaller: the slope of 1/{1} is −1/{1}².",
    )
    arity = 2
    domain = (Interval(-2.0, 2.0), Interval(0.5, 2.0))
    per_element = PerElement(multiplications=1)
    evaluate = staticmethod(_quotient)
    emit = instruction("div")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (lambda: 1 / b, lambda: -(y / b))


@register
class FloorDivide(Pointwise):
    """Quotient rounded towards minus infinity; its derivative is 0."""

    name, label, latex = "floor_divide", "//", r"\lfloor {0} / {1} \rfloor"
    arity, accepts = 2, NUMBERS
    domain = (Interval(1.1, 1.9), Interval(0.51, 0.53))
    per_element = PerElement(multiplications=1)
    evaluate = np.floor_divide
    emit = instruction("floor_divide")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (None, None)


@register
class Remainder(Pointwise):
    """Remainder with the sign of the divisor: ``a - b * floor(a / b)``."""

    name, label, latex = "remainder", "%", r"{0} \bmod {1}"
    arity, accepts = 2, NUMBERS
    domain = (Interval(1.1, 1.9), Interval(2.0, 3.0))
    per_element = PerElement(multiplications=2, additions=1)
    evaluate = np.remainder
    emit = instruction("remainder")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (1.0, lambda: -floor(a / b))


@register
class Negative(Pointwise):
    """The negative."""

    name, label, latex = "negative", "−", "-{0}"
    intuition = ("A minus sign turns every change around: −1.",)
    accepts = NUMBERS
    per_element = PerElement(additions=1)
    evaluate = staticmethod(operator.neg)
    emit = instruction("neg")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (-1.0,)


@register
class Abs(Pointwise):
    """Absolute value; its derivative at 0 is 0."""

    name, label, latex = "abs", "|·|", r"\left|{0}\right|"
    intuition = ("The absolute value passes changes on, turned around where {0} is negative.",)
    accepts = NUMBERS
    domain = Interval(0.1, 2.0)
    per_element = PerElement(additions=1)
    evaluate = np.abs
    emit = instruction("abs")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: sign(x),)


@register
class Sign(Pointwise):
    """-1, 0 or 1; its derivative is 0."""

    name, label, latex = "sign", "sign", r"\operatorname{{sign}} {0}"
    intuition = ("Steps are flat, so nothing passes: the local derivative is 0.",)
    accepts = NUMBERS
    domain = Interval(0.1, 2.0)
    per_element = PerElement(additions=1)
    evaluate = np.sign

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (None,)

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        zero, one = k.number(0, x), k.number(1, x)
        neither = k.sub(x, x)  # 0, or nan
        return k.select(k.less(zero, x), one, k.select(k.less(x, zero), k.neg(one), neither))


@register
class Square(Pointwise):
    """``x * x``."""

    name, label, latex = "square", "x²", "{0}^2"
    intuition = ("The slope of a square is twice its side.",)
    accepts = NUMBERS
    per_element = PerElement(multiplications=1)
    evaluate = np.square

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: 2 * x,)

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return k.mul(x, x)


@register
class Reciprocal(Pointwise):
    """``1 / x``."""

    name, label, latex = "reciprocal", "1/x", r"\frac{{1}}{{{0}}}"
    domain = Interval(0.5, 2.0)
    per_element = PerElement(multiplications=1)
    evaluate = np.reciprocal

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: -(y * y),)

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return k.div(k.number(1, x), x)


def _rounded(name: str) -> Callable[..., Any]:
    """Emission of a rounding: integers are whole already."""

    def emit(k: Instructions, x: Scalar) -> Scalar:
        return x if k.dtype(x) in INTS else getattr(k, name)(x)

    return emit


class _Rounding(Pointwise):
    accepts = NUMBERS
    domain = Interval(0.1, 0.4)
    per_element = PerElement(additions=1)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (None,)


@register
class Floor(_Rounding):
    """Largest integer not above x; its derivative is 0."""

    name, label, latex = "floor", "⌊·⌋", r"\lfloor {0} \rfloor"
    intuition = ("Steps are flat, so nothing passes: the local derivative is 0.",)
    evaluate = np.floor
    emit = _rounded("floor")


@register
class Ceil(_Rounding):
    """Smallest integer not below x; its derivative is 0."""

    name, label, latex = "ceil", "⌈·⌉", r"\lceil {0} \rceil"
    intuition = ("Steps are flat, so nothing passes: the local derivative is 0.",)
    evaluate = np.ceil
    emit = _rounded("ceil")


@register
class Trunc(_Rounding):
    """x without its fraction; its derivative is 0."""

    name, label, latex = "trunc", "trunc", r"\operatorname{{trunc}} {0}"
    evaluate = np.trunc
    emit = _rounded("trunc")


@register
class Round(_Rounding):
    """Nearest integer, halves to even; its derivative is 0."""

    name, label, latex = "round", "round", r"\operatorname{{round}} {0}"
    intuition = ("Steps are flat, so nothing passes: the local derivative is 0.",)
    evaluate = np.round
    emit = _rounded("round")


@register
class Maximum(Pointwise):
    """The larger of two; where they are equal each gets half of the gradient."""

    name, label, latex = "maximum", "max", r"\max({0}, {1})"
    intuition = ("Only the larger one passes its gradient on; equal ones share it.",)
    arity, accepts, domain = 2, NUMBERS, _APART
    selects = True
    per_element = PerElement(additions=1)
    evaluate = np.maximum
    emit = instruction("maximum")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (lambda: _share(a < b, a == b, y), lambda: _share(b < a, a == b, y))


@register
class Minimum(Pointwise):
    """The smaller of two; where they are equal each gets half of the gradient."""

    name, label, latex = "minimum", "min", r"\min({0}, {1})"
    intuition = ("Only the smaller one passes its gradient on; equal ones share it.",)
    arity, accepts, domain = 2, NUMBERS, _APART
    selects = True
    per_element = PerElement(additions=1)
    evaluate = np.minimum
    emit = instruction("minimum")

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (lambda: _share(a > b, a == b, y), lambda: _share(b > a, a == b, y))


def _share(loses: Node, ties: Node, y: Node) -> Node:
    """1 for the chosen, 1/2 for each of two that tie; nan counts as chosen, so that it is not hidden."""
    return 1 - astype(loses, y.dtype) - 0.5 * astype(ties, y.dtype)


def _limit(x: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


@register
class Clip(Pointwise):
    """``x`` limited to ``low <= x <= high``; the gradient passes where x lies inside."""

    name, label, latex = "clip", "clip", r"\operatorname{{clip}}({0}, {1}, {2})"
    intuition = ("Between its bounds clip passes changes on unchanged, outside of them nothing.",)
    arity, accepts = 3, NUMBERS
    domain = (Interval(-1.0, 3.0), Interval(-0.5, 0.0), Interval(1.0, 2.0))
    selects = True
    per_element = PerElement(additions=2)
    evaluate = staticmethod(_limit)

    @staticmethod
    def partials(y: Node, x: Node, low: Node, high: Node) -> tuple[Partial, ...]:
        return (
            lambda: astype((x >= low) & (x <= high), y.dtype),
            lambda: astype((x < low) & (low < high), y.dtype),
            lambda: astype((x > high) | ((low >= high) & (x < low)), y.dtype),
        )

    @staticmethod
    def emit(k: Instructions, x: Scalar, low: Scalar, high: Scalar) -> Scalar:
        return k.minimum(k.maximum(x, low), high)


add = binary(Add)
subtract = binary(Subtract)
multiply = binary(Multiply)
scale = binary(Scale)
divide = binary(Divide)
floor_divide = binary(FloorDivide)
remainder = binary(Remainder)
negative = unary(Negative)
abs = unary(Abs)  # the standard's name
sign = unary(Sign)
square = unary(Square)
reciprocal = unary(Reciprocal)
floor = unary(Floor)
ceil = unary(Ceil)
trunc = unary(Trunc)
round = unary(Round)  # the standard's name
maximum = binary(Maximum)
minimum = binary(Minimum)


def positive(x: Operand[N], /) -> N:
    """``+x``: the array itself.

    Example:
        >>> positive(2.0).item()
        2.0
    """
    return like(x)


def clip(x: Operand[N], /, min: Node | ArrayLike | None = None, max: Node | ArrayLike | None = None) -> N:
    """Limit ``x`` to ``min <= x <= max``; None leaves a side open.

    Args:
        x: numbers, shape ``(*n,)``.
        min, max: limits, in the units of ``x``; they broadcast against it.

    Example:
        >>> clip([-2.0, 0.5, 3.0], -1, 1).tolist()
        [-1.0, 0.5, 1.0]
    """
    node = like(x)
    limits = np.iinfo(node.dtype) if node.dtype in INTS else None
    low = (limits.min if limits else -np.inf) if min is None else min
    high = (limits.max if limits else np.inf) if max is None else max
    return apply(Clip, as_nodes("clip", node, low, high))
