"""Averages over axes: mean, variance, standard deviation, and the soft maximum with its weights.

Conventions: the gradient of a standard deviation that is 0 is 0; so is that of ``logsumexp`` where all
elements are -inf.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from chainrule.axes import Ties, along, reduced
from chainrule.errors import ArgumentError, shown
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.arithmetic import divide, multiply, scale, subtract
from chainrule.ops.batching import along_axes
from chainrule.ops.compare import equal, where
from chainrule.ops.exponential import exp
from chainrule.ops.move import broadcast_to
from chainrule.ops.reduce import Axes, Functional, KeptAxes, Reduction, reduce, sum, unreduce
from chainrule.primitive import (
    Array,
    Cost,
    Custom,
    Example,
    HasSpec,
    Linear,
    Partial,
    Primitive,
    moved_bytes,
    register,
)
from chainrule.shapes import FLOATS, DType, Shape, count, normalize_axes, reduce_shape, require_dtype


def _mean(x: Any, axes: KeptAxes, keepdims: bool) -> Any:
    return np.add.reduce(x, axis=axes, keepdims=keepdims) / _size(x.shape, axes)


def _size(shape: Shape, axes: KeptAxes) -> int:
    """Number of elements in each slice along ``axes``."""
    return count(tuple(shape[a] for a in axes))


@register
class Mean(Reduction, Linear):
    """Arithmetic mean over axes; the mean of nothing is nan."""

    name, label, latex = "mean", "mean", r"\operatorname{{mean}} {0}"
    accepts = FLOATS
    evaluate = staticmethod(_mean)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        axes, x = params["axes"], xs[0]
        return reduced(x.ndim, axes, params["keepdims"], factor=1.0 / _size(x.shape, axes))

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        (x,), axes = xs, params["axes"]
        return broadcast_to(unreduce(divide(g, _size(x.shape, axes)), x, axes), x.shape)

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        return super().cost(xs, shape, dtype, **params) + Cost(multiplications=count(shape))


def _var(x: Any, axes: KeptAxes, keepdims: bool, correction: float) -> Any:
    # Deviations from one element of the slice first: those of equal elements are then exactly 0.
    first = x[tuple(slice(0, 1) if a in axes else slice(None) for a in range(np.ndim(x)))]
    deviations = np.asarray(x - first)
    deviations -= _mean(deviations, axes, True)
    squares = np.square(deviations, out=deviations)
    return np.add.reduce(squares, axis=axes, keepdims=keepdims) / _degrees(x.shape, axes, correction)


def _std(x: Any, axes: KeptAxes, keepdims: bool, correction: float) -> Any:
    return np.sqrt(_var(x, axes, keepdims, correction))


def _degrees(shape: Shape, axes: KeptAxes, correction: float) -> float:
    """Degrees of freedom of each slice, at least 0."""
    free = _size(shape, axes) - correction
    return free if free > 0 else 0.0


class _Spread(Functional):
    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        n, results = count(xs[0].shape), count(shape)
        additions = 4 * n - 2 * results if n else 0
        return Cost(n + 2 * results, additions, 0, moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 4)),), {"axes": (1,), "keepdims": False, "correction": 0.0})
        yield Example((rng.normal(size=(2, 3, 4)),), {"axes": (0, 2), "keepdims": True, "correction": 1.0})
        yield Example((rng.normal(size=(5,)),), {"axes": (0,), "keepdims": False, "correction": 1.5})
        yield Example((rng.normal(size=(0, 3)),), {"axes": (1,), "keepdims": False, "correction": 1.0})


@register
class Var(_Spread):
    """Variance over axes: the mean square deviation from the mean."""

    name, label, latex = "var", "var", r"\operatorname{{var}} {0}"
    evaluate = staticmethod(_var)

    @staticmethod
    def gradient(y: Node, x: Node, axes: KeptAxes, **params: Any) -> Node:
        free = _degrees(x.shape, axes, params["correction"])
        return multiply(_deviations(x, axes), 2.0 / free if free else math.inf)


@register
class Std(_Spread):
    """Standard deviation over axes; where it is 0 its gradient is 0."""

    name, label, latex = "std", "std", r"\operatorname{{std}} {0}"
    evaluate = staticmethod(_std)

    @staticmethod
    def gradient(y: Node, x: Node, axes: KeptAxes, **params: Any) -> Node:
        nonzero = where(equal(y, 0.0), math.inf, y)
        free = _degrees(x.shape, axes, params["correction"])
        return divide(_deviations(x, axes), multiply(nonzero, free))

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        return super().cost(xs, shape, dtype, **params) + Cost(transcendentals=count(shape))


def _deviations(x: Node, axes: KeptAxes) -> Node:
    return subtract(x, mean(x, axis=axes, keepdims=True))


def _log_sum_exp(x: Any, axes: KeptAxes, keepdims: bool) -> Any:
    largest = np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, largest.dtype.type(0))
    weights = np.asarray(x - shift)
    sums = np.add.reduce(np.exp(weights, out=weights), axis=axes, keepdims=keepdims)
    return np.log(sums) + shift.reshape(sums.shape)


@register
class LogSumExp(Functional):
    """``log(sum(exp(x)))`` without overflow: a soft maximum. Its gradient is ``softmax(x)``."""

    name, label, latex = "logsumexp", "lse", r"\operatorname{{logsumexp}} {0}"
    evaluate = staticmethod(_log_sum_exp)

    @staticmethod
    def gradient(y: Node, x: Node, axes: KeptAxes, **params: Any) -> Node:
        return exp(subtract(x, where(equal(y, -math.inf), 0.0, y)))

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        n, results = count(xs[0].shape), count(shape)
        additions = 3 * n - results if n else results
        return Cost(0, additions, n + results, moved_bytes(xs, shape, dtype))


class _Weights(Custom):
    """Shape rule of what gives a weight to each element of each slice along ``axes``."""

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return along(y.ndim, params["axes"], pulled=True)

    batch = classmethod(along_axes)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        require_dtype(cls.name, xs[0].dtype, FLOATS)
        return xs[0].shape, xs[0].dtype

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 4)),), {"axes": (1,)})
        yield Example((rng.normal(size=(2, 3, 2)),), {"axes": (0, 2)})
        yield Example((rng.normal(size=(0, 3)),), {"axes": (0,)})


def _softmax(x: Any, axes: KeptAxes) -> Array:
    largest = np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    weights = np.asarray(x - largest)
    np.exp(weights, out=weights)
    weights /= np.add.reduce(weights, axis=axes, keepdims=True)
    return weights


@register
class Softmax(_Weights):
    """``exp(x) / sum(exp(x))`` over axes, without overflow."""

    name, label, latex = "softmax", "softmax", r"\operatorname{{softmax}} {0}"
    evaluate = staticmethod(_softmax)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        return None if tangents[0] is None else _redistribute(tangents[0], y, params["axes"])

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        return (_redistribute(g, y, params["axes"]),)

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        n = count(shape)
        slices = count(reduce_shape(shape, params["axes"], False)) if n else 0
        return Cost(n, 3 * n - 2 * slices, n, moved_bytes(xs, shape, dtype))


def _redistribute(v: Node, y: Node, axes: KeptAxes) -> Node:
    """The Jacobian of softmax, which is symmetric, times ``v``: what one weight gains the others lose."""
    average = sum(scale(v, y), axis=axes, keepdims=True)
    return scale(subtract(v, average), y)


def _log_softmax(x: Any, axes: KeptAxes) -> Any:
    shifted = x - np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=axes, keepdims=True))


@register
class LogSoftmax(_Weights):
    """Logarithm of ``softmax``, without overflow or cancellation: ``x - logsumexp(x)`` over axes."""

    name, label, latex = "log_softmax", "log softmax", r"\log \operatorname{{softmax}} {0}"
    evaluate = staticmethod(_log_softmax)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        t = tangents[0]
        if t is None:
            return None
        return subtract(t, sum(scale(t, exp(y)), axis=params["axes"], keepdims=True))

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        return (subtract(g, scale(sum(g, axis=params["axes"], keepdims=True), exp(y))),)

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        n = count(shape)
        slices = count(reduce_shape(shape, params["axes"], False))
        return Cost(0, 4 * n - 2 * slices if n else 0, n + slices, moved_bytes(xs, shape, dtype))


def mean(x: Operand[N], /, *, axis: Axes = None, keepdims: bool = False) -> N:
    """Arithmetic mean over axes; nan where there is nothing to average.

    Args:
        x: float32 or float64, shape ``(*n,)``.
        axis: one axis, several, or all of them (None).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        ``x.shape`` without the reduced axes, in the units of ``x``.

    Raises:
        DTypeError: ``x`` is not floating.
        AxisError: an axis is out of range or named twice.

    Example:
        >>> mean([[1.0, 2.0], [3.0, 4.0]], axis=0).tolist()
        [2.0, 3.0]
    """
    return reduce(Mean, as_node(x), axis, keepdims)


def var(x: Operand[N], /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> N:
    """Variance over axes: the mean square deviation from the mean.

    Args:
        x: float32 or float64, shape ``(*n,)``.
        axis: one axis, several, or all of them (None).
        correction: what is taken off the number of elements before the sum of squares is divided by it: 0
            for the variance of a population, 1 for the estimate from a sample (the default of torch).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        ``x.shape`` without the reduced axes, in the squared units of ``x``; nan where ``correction`` leaves
        nothing to divide by.

    Raises:
        DTypeError: ``x`` is not floating.
        AxisError: an axis is out of range or named twice.
        ArgumentError: ``correction`` is not a number.

    Example:
        >>> var([1.0, 2.0, 3.0, 6.0]).item()
        3.5

    Source: the deviations are taken in shifted data, after Chan, Golub and LeVeque, The American
    Statistician 37(3), 1983, 242-247, DOI 10.1080/00031305.1983.10483115.
    """
    return _spread(Var, x, axis, correction, keepdims)


def std(x: Operand[N], /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False) -> N:
    """Standard deviation over axes: the square root of :func:`var`, with its arguments and errors.

    Where all elements of a slice are equal it is exactly 0, and its gradient, which does not exist, is 0.

    Returns:
        ``x.shape`` without the reduced axes, in the units of ``x``.

    Example:
        >>> std([1.0, 3.0]).item()
        1.0
        >>> import chainrule as cr
        >>> cr.grad(std)(np.array([2.0, 2.0])).tolist()
        [0.0, 0.0]
    """
    return _spread(Std, x, axis, correction, keepdims)


def logsumexp(x: Operand[N], /, *, axis: Axes = None, keepdims: bool = False) -> N:
    """``log(sum(exp(x)))`` over axes, without overflow; its gradient is :func:`softmax`.

    Args:
        x: float32 or float64, shape ``(*n,)``.
        axis: one axis, several, or all of them (None).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        ``x.shape`` without the reduced axes. It is -inf, with gradient 0, where all elements are -inf and
        where there are none; inf where an element is inf.

    Raises:
        DTypeError: ``x`` is not floating.
        AxisError: an axis is out of range or named twice.

    Example:
        >>> logsumexp([1000.0, 1000.0]).item()
        1000.6931471805599

    Source: Blanchard, Higham and Higham, IMA Journal of Numerical Analysis 41(4), 2021, 2311-2330,
    DOI 10.1093/imanum/draa038.
    """
    return reduce(LogSumExp, as_node(x), axis, keepdims)


def softmax(x: Operand[N], /, *, axis: Axes = -1) -> N:
    """``exp(x) / sum(exp(x))``: weights that are positive and sum to 1 over ``axis``.

    Args:
        x: logits, float32 or float64, shape ``(*n,)``.
        axis: one axis, several, or all of them (None).

    Returns:
        ``x.shape``, without units; nan in slices that hold inf, or -inf alone.

    Raises:
        DTypeError: ``x`` is not floating.
        AxisError: an axis is out of range or named twice.

    Example:
        >>> softmax([0.0, 0.0, -np.inf]).tolist()
        [0.5, 0.5, 0.0]
    """
    return _weigh(Softmax, x, axis)


def log_softmax(x: Operand[N], /, *, axis: Axes = -1) -> N:
    """Logarithm of :func:`softmax`, exact where that would round to 0 or 1; same arguments and errors.

    Example:
        >>> log_softmax([0.0, -1000.0]).tolist()
        [0.0, -1000.0]
    """
    return _weigh(LogSoftmax, x, axis)


def _spread(op: type[Primitive], x: Operand[Node], axis: Axes, correction: float, keepdims: bool) -> Any:
    if not isinstance(correction, (int, float)) or isinstance(correction, bool) or correction != correction:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"{op.name}: correction must be a number, got {shown(correction)}", fix="pass 0 or 1, for example"
        )
    return reduce(op, as_node(x), axis, keepdims, correction=float(correction))


def _weigh(op: type[Primitive], x: Operand[Node], axis: Axes) -> Any:
    node = as_node(x)
    return apply(op, (node,), {"axes": normalize_axes(op.name, axis, node.ndim)})
