"""Activation functions of neural networks, and the error function. All pointwise.

Conventions: ``relu'(0) = 0``; at 0 ``leaky_relu`` and ``elu`` have the derivative from the left.
The logistic function ``sigmoid`` is at home in :mod:`chainrule.ops.exponential`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from chainrule.errors import ArgumentError, shown
from chainrule.node import N, Node, Operand, apply, as_node, constant
from chainrule.ops import error_function
from chainrule.ops.arithmetic import Scale, scale, square
from chainrule.ops.cast import astype
from chainrule.ops.compare import where
from chainrule.ops.exponential import Sigmoid, exp, sigmoid
from chainrule.ops.function import unary
from chainrule.primitive import (
    Cost,
    Example,
    HasSpec,
    Interval,
    Partial,
    PerElement,
    Pointwise,
    elementary,
    moved_bytes,
    register,
)
from chainrule.shapes import NUMBERS, DType, Shape, count

if TYPE_CHECKING:
    from chainrule.compiler.instructions import Instructions, Scalar

_SQRT_HALF = math.sqrt(0.5)
_ERF_SLOPE = 2 / math.sqrt(math.pi)
_NORMAL_DENSITY = 1 / math.sqrt(2 * math.pi)
_TANH_LINEAR, _TANH_CUBIC = math.sqrt(8 / math.pi), math.sqrt(8 / math.pi) * 0.044715


@register
class Erf(Pointwise):
    """The error function ``2/√π ∫₀ˣ exp(-t²) dt``.

    Example:
        >>> erf([0.0, np.inf]).tolist()
        [0.0, 1.0]
    """

    name, label, latex = "erf", "erf", r"\operatorname{{erf}} {0}"
    per_element = PerElement(transcendentals=1)
    evaluate = staticmethod(error_function.erf)
    emit = elementary("erf")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: _ERF_SLOPE * exp(-square(x)),)


@register
class Erfc(Pointwise):
    """``1 - erf(x)``, accurate where ``erf(x)`` is close to 1.

    Example:
        >>> 2.08e-45 < erfc(10.0).item() < 2.09e-45
        True
    """

    name, label, latex = "erfc", "erfc", r"\operatorname{{erfc}} {0}"
    per_element = PerElement(transcendentals=1)
    evaluate = staticmethod(error_function.erfc)
    emit = elementary("erfc")

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: -_ERF_SLOPE * exp(-square(x)),)


def _softplus(x: Any) -> Any:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@register
class Softplus(Pointwise):
    """``ln(1 + e ** x)`` without overflow: a smooth ``relu``.

    Example:
        >>> softplus([-1000.0, 1000.0]).tolist()
        [0.0, 1000.0]
    """

    name, label, latex = "softplus", "softplus", r"\operatorname{{softplus}} {0}"
    domain = Interval(-6.0, 6.0)
    per_element = PerElement(additions=4, transcendentals=2)
    evaluate = staticmethod(_softplus)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: sigmoid(x),)

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        share = k.elementary("exp", k.neg(k.abs(x)))
        return k.add(Relu.emit(k, x), k.elementary("log1p", share))


@register
class LogSigmoid(Pointwise):
    """``ln(sigmoid(x))`` without underflow: the log-likelihood of "yes" at logit x.

    Example:
        >>> log_sigmoid(-1000.0).item()
        -1000.0
    """

    name, label, latex = "log_sigmoid", "ln σ", r"\ln \sigma({0})"
    domain = Interval(-6.0, 6.0)
    per_element = PerElement(additions=6, transcendentals=2)

    @staticmethod
    def evaluate(x: Any) -> Any:
        return -_softplus(-x)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: sigmoid(-x),)

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return k.neg(Softplus.emit(k, k.neg(x)))


class _Kinked(Pointwise):
    """Has a kink at 0, so that tests draw from both sides of it.

    Attributes:
        settings: parameters to test.
    """

    settings: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        away = Interval(0.1, 2.0)
        shapes: tuple[Shape, ...] = ((), (3, 4), (0, 2))
        for params in cls.settings:
            for shape in shapes:
                x = away.sample(rng, shape) * rng.choice((-1.0, 1.0), shape)
                yield Example((np.asarray(x),), params)


@register
class Relu(_Kinked):
    """The larger of x and 0; its derivative at 0 is 0.

    Example:
        >>> relu([-2.0, 3.0]).tolist()
        [0.0, 3.0]
    """

    name, label, latex = "relu", "relu", r"\max(0, {0})"
    intuition = ("ReLU is a gate: it passes changes on where {0} is positive, else nothing.",)
    accepts = NUMBERS
    per_element = PerElement(additions=1)
    selects = True

    @staticmethod
    def evaluate(x: Any) -> Any:
        return np.maximum(x, 0)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: astype(~(y <= 0), y.dtype),)  # 1 where x is nan: the gradient is not hidden

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return k.maximum(x, k.number(0, x))


@register
class LeakyRelu(_Kinked):
    """x where it is positive, ``negative_slope * x`` elsewhere."""

    name, label, latex = "leaky_relu", "leaky relu", r"\operatorname{{leaky\,relu}} {0}"
    settings = ({"negative_slope": 0.01}, {"negative_slope": 2.0})
    per_element = PerElement(multiplications=1, additions=3)

    @staticmethod
    def evaluate(x: Any, negative_slope: float) -> Any:
        # A sum, one term of which is 0, takes a third of the time of a selection.
        return np.maximum(x, 0) + negative_slope * np.minimum(x, 0)

    @staticmethod
    def partials(y: Node, x: Node, negative_slope: float) -> tuple[Partial, ...]:
        return (lambda: where(x > 0, constant(1.0, y.dtype), constant(negative_slope, y.dtype)),)

    @staticmethod
    def emit(k: Instructions, x: Scalar, negative_slope: float) -> Scalar:
        below = k.minimum(x, k.number(0, x))
        return k.add(Relu.emit(k, x), k.mul(k.number(negative_slope, x), below))


@register
class Elu(_Kinked):
    """x where it is positive, ``alpha * (e ** x - 1)`` elsewhere."""

    name, label, latex = "elu", "elu", r"\operatorname{{elu}} {0}"
    settings = ({"alpha": 1.0}, {"alpha": 0.5})
    per_element = PerElement(multiplications=1, additions=3, transcendentals=1)

    @staticmethod
    def evaluate(x: Any, alpha: float) -> Any:
        return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0))

    @staticmethod
    def partials(y: Node, x: Node, alpha: float) -> tuple[Partial, ...]:
        return (lambda: where(x > 0, 1.0, y + alpha),)

    @staticmethod
    def emit(k: Instructions, x: Scalar, alpha: float) -> Scalar:
        below = k.elementary("expm1", k.minimum(x, k.number(0, x)))
        return k.add(Relu.emit(k, x), k.mul(k.number(alpha, x), below))


@register
class Silu(Pointwise):
    """``x * sigmoid(x)``, also called swish.

    Example:
        >>> silu(0.0).item()
        0.0

    Source: Elfwing, Uchibe and Doya, Neural Networks 107, 2018, 3-11, DOI 10.1016/j.neunet.2017.12.012.
    """

    name, label, latex = "silu", "silu", r"\operatorname{{silu}} {0}"
    domain = Interval(-6.0, 6.0)
    per_element = PerElement(multiplications=2, additions=2, transcendentals=1)

    @staticmethod
    def evaluate(x: Any) -> Any:
        return Scale.evaluate(Sigmoid.evaluate(x), x)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: _silu_slope(y, sigmoid(x)),)

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return Scale.emit(k, k.elementary("sigmoid", x), x)


def _silu_slope(y: Node, share: Node) -> Node:
    return share + scale(1 - share, y)


@register
class Gelu(Pointwise):
    """``x`` times the probability that a standard normal number is less than x."""

    name, label, latex = "gelu", "gelu", r"\operatorname{{gelu}} {0}"

    @staticmethod
    def evaluate(x: Any, approximate: str) -> Any:
        if approximate == "tanh":
            share = Sigmoid.evaluate(x * (_TANH_LINEAR + _TANH_CUBIC * np.square(x)))
        else:
            share = 0.5 + 0.5 * error_function.erf(_SQRT_HALF * x)
        return Scale.evaluate(share, x)

    @staticmethod
    def partials(y: Node, x: Node, approximate: str) -> tuple[Partial, ...]:
        return (lambda: _gelu_slope_tanh(x) if approximate == "tanh" else _gelu_slope(x),)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, **params: Any) -> Cost:
        n, moved = count(shape), moved_bytes(xs, shape, dtype)
        if params["approximate"] == "tanh":
            return Cost(multiplications=5 * n, additions=3 * n, transcendentals=n, bytes=moved)
        return Cost(multiplications=3 * n, additions=n, transcendentals=n, bytes=moved)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for approximate in ("none", "tanh"):
            for example in super().examples(rng):
                yield Example(example.inputs, {"approximate": approximate})

    @staticmethod
    def emit(k: Instructions, x: Scalar, approximate: str) -> Scalar:
        if approximate == "tanh":
            cubic = k.mul(k.number(_TANH_CUBIC, x), k.mul(x, x))
            share = k.elementary("sigmoid", k.mul(x, k.add(k.number(_TANH_LINEAR, x), cubic)))
        else:
            half = k.number(0.5, x)
            error = k.elementary("erf", k.mul(k.number(_SQRT_HALF, x), x))
            share = k.add(half, k.mul(half, error))
        return Scale.emit(k, share, x)


# In these slopes `scale` takes the factor that vanishes at infinity first: its strong zero gives the limit.
def _gelu_slope(x: Node) -> Node:
    density = _NORMAL_DENSITY * exp(-0.5 * square(x))
    return 0.5 + 0.5 * erf(_SQRT_HALF * x) + scale(density, x)


def _gelu_slope_tanh(x: Node) -> Node:
    squared = square(x)
    share = sigmoid(x * (_TANH_LINEAR + _TANH_CUBIC * squared))
    return share + scale(share * (1 - share), x * (_TANH_LINEAR + 3 * _TANH_CUBIC * squared))


erf = unary(Erf)
erfc = unary(Erfc)
softplus = unary(Softplus)
log_sigmoid = unary(LogSigmoid)
relu = unary(Relu)
silu = unary(Silu)


def leaky_relu(x: Operand[N], /, negative_slope: float = 0.01) -> N:
    """``x`` where it is positive, ``negative_slope * x`` elsewhere.

    Args:
        x: floating, shape ``(*n,)``.
        negative_slope: slope below 0, and the derivative at 0; a finite Python number.

    Raises:
        ArgumentError: ``negative_slope`` is not a finite number.

    Example:
        >>> leaky_relu([-2.0, 3.0], 0.5).tolist()
        [-1.0, 3.0]
    """
    slope = _finite("leaky_relu", "negative_slope", negative_slope, "cr.where(x > 0, x, slope * x)")
    return apply(LeakyRelu, (as_node(x),), {"negative_slope": slope})


def elu(x: Operand[N], /, alpha: float = 1.0) -> N:
    """``x`` where it is positive, ``alpha * (e ** x - 1)`` elsewhere.

    Args:
        x: floating, shape ``(*n,)``.
        alpha: minus the limit far below 0, and the derivative at 0; a finite Python number.

    Raises:
        ArgumentError: ``alpha`` is not a finite number.

    Example:
        >>> elu([-1000.0, 3.0]).tolist()
        [-1.0, 3.0]

    Source: Clevert, Unterthiner and Hochreiter, arXiv:1511.07289.
    """
    number = _finite("elu", "alpha", alpha, "cr.where(x > 0, x, alpha * cr.elu(x))")
    return apply(Elu, (as_node(x),), {"alpha": number})


def gelu(x: Operand[N], /, approximate: Literal["none", "tanh"] = "none") -> N:
    """``x`` times the probability that a standard normal number is less than ``x``.

    Args:
        x: floating, shape ``(*n,)``.
        approximate: ``"none"``, or ``"tanh"`` for ``0.5 x (1 + tanh(sqrt(2/π) (x + 0.044715 x³)))``.

    Raises:
        ArgumentError: ``approximate`` is neither.

    Example:
        >>> gelu([-np.inf, 0.0, 100.0]).tolist()
        [0.0, 0.0, 100.0]

    Source: Hendrycks and Gimpel, arXiv:1606.08415.
    """
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"gelu: approximate must be 'none' or 'tanh', got {shown(approximate)}",
            fix="gelu(x, approximate='tanh')",
        )
    return apply(Gelu, (as_node(x),), {"approximate": approximate})


def _finite(name: str, what: str, value: Any, learned: str) -> float:
    if isinstance(value, Node):
        raise ArgumentError(f"{name}: {what} must be a Python number, got a tensor", fix=f"write {learned}")
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ArgumentError(
            f"{name}: {what} must be a finite number, got {shown(value)}", fix="pass a Python float"
        )
    return float(value)
