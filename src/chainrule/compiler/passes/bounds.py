"""Between which numbers a node's values certainly lie, whatever the inputs of the graph are.

An input may be nan or infinite, and so may nearly everything that is computed from it: ``tanh(nan)`` is nan. What
has bounds is made of constants, booleans, integers and random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import numpy as np

from chainrule.compiler.passes.rewrite import is_constant
from chainrule.node import Node
from chainrule.ops.activation import Relu
from chainrule.ops.arithmetic import (
    Abs,
    Add,
    Divide,
    Maximum,
    Minimum,
    Multiply,
    Negative,
    Scale,
    Square,
    Subtract,
)
from chainrule.ops.cast import AsType, Identity, StopGradient
from chainrule.ops.compare import Where
from chainrule.ops.exponential import Exp, Sigmoid, Sqrt
from chainrule.ops.gather import GetItem
from chainrule.ops.index import OneHot
from chainrule.ops.join import Concatenate, Narrow, Pad
from chainrule.ops.move import BroadcastTo, Flip, Reshape, SumTo, Transpose
from chainrule.ops.random import RandomNormal, RandomUniform
from chainrule.ops.reduce import Max, Min, Sum
from chainrule.ops.statistics import Mean
from chainrule.ops.trigonometric import Cos, OneMinusSquare, Sin, Tanh
from chainrule.primitive import Array, Primitive
from chainrule.shapes import DType


class Bounds(NamedTuple):
    """Every element is finite, and ``low <= element <= high``."""

    low: float
    high: float

    @property
    def nonzero(self) -> bool:
        """Whether no element can be 0, nor be rounded to it in float32."""
        return self.low > _SMALL or self.high < -_SMALL


_LARGE, _SMALL = 1e30, 1e-30  # far from where float32 overflows and underflows
_SLACK = 1e-5  # more than the rounding of one operation in float32


def bounds(node: Node, of_inputs: Sequence[Bounds | None]) -> Bounds | None:
    """The bounds of a node from those of its inputs; None if it may be nan or infinite, or is not known.

    Example:
        >>> import chainrule as cr
        >>> (x, is_positive, mask) = cr.trace(lambda x: (x > 0).astype("float64"), 1.0).nodes[-3:]
        >>> bounds(mask, [bounds(is_positive, [None, None])])
        Bounds(low=0.0, high=1.00001)
    """
    if is_constant(node) and node.size:
        return _of_values(cast("Array", np.asarray(node.value)))
    if node.op is None or node.dtype.kind != "f":
        return of_dtype(node.dtype)
    rule = _RULES.get(node.op)
    known = [x for x in of_inputs if x is not None]
    if rule is None or len(known) < len(of_inputs):
        return None
    found = rule(node, known)
    if found is None:
        return None
    low, high = (v - sign * _SLACK * abs(v) for v, sign in zip(found, (1, -1), strict=True))
    return Bounds(low, high) if max(-low, high) < _LARGE else None


def of_dtype(dtype: DType) -> Bounds | None:
    """The bounds of everything of a dtype; None for floats."""
    if dtype.kind == "f":
        return None
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return Bounds(float(limits[0]), float(limits[1]))


def _of_values(values: Array) -> Bounds | None:
    low, high = float(values.min()), float(values.max())
    return Bounds(low, high) if max(-low, high) < _LARGE else None  # False for nan


Pair = tuple[float, float]


def _within(low: float, high: float) -> Callable[[Node, list[Bounds]], Pair]:
    return lambda node, xs: (low, high)


def _first(node: Node, xs: list[Bounds]) -> Pair:
    return xs[0]


def _hull(node: Node, xs: list[Bounds]) -> Pair:
    return min(x.low for x in xs), max(x.high for x in xs)


def _monotone(f: Callable[[float], float]) -> Callable[[Node, list[Bounds]], Pair | None]:
    def rule(node: Node, xs: list[Bounds]) -> Pair | None:
        try:
            return f(xs[0].low), f(xs[0].high)
        except (ValueError, OverflowError):  # outside the domain, or too large
            return None

    return rule


def _multiply(node: Node, xs: list[Bounds]) -> Pair:
    products = [a * b for a in xs[0] for b in xs[1]]
    return min(products), max(products)


def _divide(node: Node, xs: list[Bounds]) -> Pair | None:
    return _multiply(node, [xs[0], Bounds(1 / xs[1].high, 1 / xs[1].low)]) if xs[1].nonzero else None


def _abs(node: Node, xs: list[Bounds]) -> Pair:
    low, high = xs[0]
    return max(low, -high, 0.0), max(-low, high)


def _square(node: Node, xs: list[Bounds]) -> Pair:
    low, high = _abs(node, xs)
    return low * low, high * high


def _sum(node: Node, xs: list[Bounds]) -> Pair:
    """Twice what it could be, for what many additions round."""
    terms = 2 * node.inputs[0].size // max(node.size, 1)
    low, high = xs[0]
    return (low if low > 0 and terms else terms * low), (high if high < 0 and terms else terms * high)


def _mean(node: Node, xs: list[Bounds]) -> Pair | None:
    low, high = xs[0]
    return (
        (low / 2 if low > 0 else 2 * low, high / 2 if high < 0 else 2 * high) if node.inputs[0].size else None
    )


_RULES: dict[type[Primitive], Callable[[Node, list[Bounds]], Pair | None]] = {
    **dict.fromkeys([Reshape, Transpose, BroadcastTo, Flip, Narrow, GetItem, Max, Min], _first),
    **dict.fromkeys([AsType, Identity, StopGradient], _first),
    Concatenate: _hull,
    Pad: lambda node, xs: _hull(node, [*xs, Bounds(0.0, 0.0)]),
    Where: lambda node, xs: _hull(node, xs[1:]),
    Sum: _sum,
    SumTo: _sum,
    Mean: _mean,
    Add: lambda node, xs: (xs[0].low + xs[1].low, xs[0].high + xs[1].high),
    Subtract: lambda node, xs: (xs[0].low - xs[1].high, xs[0].high - xs[1].low),
    Negative: lambda node, xs: (-xs[0].high, -xs[0].low),
    Multiply: _multiply,
    Scale: _multiply,
    Divide: _divide,
    Abs: _abs,
    Square: _square,
    Maximum: lambda node, xs: (max(xs[0].low, xs[1].low), max(xs[0].high, xs[1].high)),
    Minimum: lambda node, xs: (min(xs[0].low, xs[1].low), min(xs[0].high, xs[1].high)),
    Relu: lambda node, xs: (max(xs[0].low, 0.0), max(xs[0].high, 0.0)),
    Sqrt: _monotone(math.sqrt),
    Exp: _monotone(math.exp),
    Sigmoid: _within(0.0, 1.0),
    **dict.fromkeys([Tanh, Sin, Cos], _within(-1.0, 1.0)),
    OneMinusSquare: lambda node, xs: (1 - _square(node, xs)[1], 1 - _square(node, xs)[0]),
    OneHot: _within(0.0, 1.0),
    RandomUniform: _within(0.0, 1.0),
    RandomNormal: _within(-100.0, 100.0),
}
