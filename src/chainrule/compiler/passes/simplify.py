"""Algebraic identities that hold for every number: nan, infinities and both zeros included.

What is not here does not hold: ``x + 0`` turns -0 into 0, ``x - x`` and ``0 * x`` can be nan, ``x ** 0.5`` is not
``sqrt(x)`` at -inf, sums rounded in another order differ. Multiplications by gradients with strong zeros have a
pass of their own, :mod:`.strong_zeros`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.compiler.passes.rewrite import (
    build,
    constant_of,
    fitted,
    instead,
    is_constant,
    number,
    rewrite,
)
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node, holding
from chainrule.ops.arithmetic import (
    Add,
    Clip,
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
from chainrule.ops.compare import Equal, LogicalAnd, LogicalNot, LogicalOr, NotEqual, Where
from chainrule.ops.exponential import Power
from chainrule.ops.move import Reshape, SumTo
from chainrule.ops.reduce import Max, Min, Prod, Sum
from chainrule.ops.statistics import Mean
from chainrule.primitive import Array, Primitive
from chainrule.shapes import DType


def simplify(graph: Graph) -> Graph:
    """Replace operations by their inputs, or by cheaper operations. c is a constant.

    =========================================  ==========================  =====================================
    what                                       becomes                     if
    =========================================  ==========================  =====================================
    ``identity(x)``, ``stop_gradient(x)``      ``x``
    ``astype(x)``                              ``x``                       x has the dtype
    ``astype(astype(x))``                      ``astype(x)``               the dtype between holds all values of
                                                                           x, and floats do not become integers
    ``x * 1``, ``x / 1``, ``x ** 1``           ``x``
    ``scale(x, 1)``, ``scale(1, x)``           ``x``
    ``x * -1``, ``scale(x, -1)``, ...          ``-x``
    ``x + -0.0``, ``x - 0.0``                  ``x``                       for integers, any 0
    ``x ** 2``                                 ``square(x)``               the exponent has shape ()
    ``x / c``                                  ``x * (1 / c)``             c are powers of 2, 1 / c is normal
    ``-(-x)``, ``-x * -y``, ``-x / -y``        ``x``, ``x * y``, ``x / y``
    ``-x * c``, ``-x / c``                     ``x * -c``, ``x / -c``
    ``x + -y``, ``-y + x``, ``x - -y``         ``x - y``, ``x + y``
    ``~~x``, ``~(x == y)``, ``~(x != y)``      ``x``, ``x != y``, ``x == y``
    ``x & True``, ``x | False``                ``x``
    ``x & False``, ``x | True``                ``False``, ``True``
    ``where(c, x, y)``                         ``x``, ``y``                c is True, or False, throughout
    ``where(a, x, x)``, ``where(~a, x, y)``    ``x``, ``where(a, y, x)``
    ``clip(x, -inf, y)``, ``clip(x, y, inf)``  ``minimum``, ``maximum``
    ``sum``, ``sum_to``, ``mean``              ``reshape(x) + 0``          over axes of size 1 only; the sum of
                                                                           -0 is 0, hence ``+ 0`` for floats
    ``max``, ``min``, ``prod``                 ``reshape(x)``              over axes of size 1 only
    =========================================  ==========================  =====================================

    Wherever x has fewer elements or a narrower dtype than the result it is repeated and converted.

    Example:
        >>> import chainrule as cr
        >>> print(simplify(cr.trace(lambda x: (1 * -(-x)) ** 2 / 8, 3.0)))
        graph(x: float64[]):
          t = square(x): float64[]
          y = multiply(t, 0.125): float64[]
          return y
    """
    return rewrite(graph, _simpler)


def _simpler(node: Node) -> Node | None:
    rule = _RULES.get(node.op)
    return rule(node) if rule is not None else None


def _same(node: Node) -> Node:
    return node.inputs[0]


def _astype(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.dtype == node.dtype:
        return x
    if x.op is AsType and _holds(x.dtype, x.inputs[0].dtype):
        start = x.inputs[0]
        # Machines differ in what integers they make of nan and of large floats of either dtype.
        if node.dtype.kind != "i" or start.dtype.kind != "f":
            return instead(node, AsType, start, dtype=node.dtype)
    return None


def _holds(wide: DType, narrow: DType) -> bool:
    """Whether every value of ``narrow`` is one of ``wide``."""
    if narrow.kind == "i" and wide.kind == "f":
        return wide.itemsize > narrow.itemsize
    return (wide.kind == narrow.kind and wide.itemsize >= narrow.itemsize) or narrow.kind == "b"


def _negative(node: Node) -> Node | None:
    (x,) = node.inputs
    return x.inputs[0] if x.op is Negative else None


def _multiply(node: Node) -> Node | None:
    a, b = node.inputs
    for x, c in ((a, b), (b, a)):
        one = number(c)
        if one == 1:
            return fitted(x, node)
        if one == -1:
            return fitted(build(Negative, x, like=node), node)
    return _signs(node)


def _signs(node: Node) -> Node | None:
    """Signs of both factors, or of one and a constant, cancel in a product or quotient."""
    op, (a, b) = node.op, node.inputs
    assert op is not None
    if a.op is Negative:
        if b.op is Negative:
            return instead(node, op, a.inputs[0], b.inputs[0])
        if is_constant(b):
            return instead(node, op, a.inputs[0], _negated(b))
    return instead(node, op, _negated(a), b.inputs[0]) if b.op is Negative and is_constant(a) else None


def _negated(c: Node) -> Node:
    return constant_of(silently(np.negative, np.asarray(c.value)))


def _scale(node: Node) -> Node | None:
    for x, c in (node.inputs, node.inputs[::-1]):
        one = number(c)
        if one == 1:
            return fitted(x, node)
        if one == -1:
            return fitted(build(Negative, x, like=node), node)
    return None


def _divide(node: Node) -> Node | None:
    x, c = node.inputs
    if number(c) == 1:
        return fitted(x, node)
    if is_constant(c):
        reciprocal = _exact_reciprocal(np.asarray(c.value))
        if reciprocal is not None:
            return instead(node, Multiply, x, constant_of(reciprocal))
    return _signs(node)


def _exact_reciprocal(c: Array) -> Array | None:
    """``1 / c`` if all of c are powers of 2, neither so large nor so small that this is not a normal number."""
    parts, exponents = silently(np.frexp, c)
    limit = -int(np.finfo(c.dtype).minexp)
    exact = (np.abs(parts) == 0.5) & (np.abs(exponents - 1) <= limit)
    return np.divide(1, c, dtype=c.dtype) if exact.all() and c.size else None


def _add(node: Node) -> Node | None:
    a, b = node.inputs
    for x, y in ((a, b), (b, a)):
        if _is_zero(y, negative=True):
            return fitted(x, node)
        if y.op is Negative:
            return instead(node, Subtract, x, y.inputs[0])
    return None


def _subtract(node: Node) -> Node | None:
    x, y = node.inputs
    if _is_zero(y, negative=False):
        return fitted(x, node)
    return instead(node, Add, x, y.inputs[0]) if y.op is Negative else None


def _is_zero(node: Node, *, negative: bool) -> bool:
    """Whether a constant is 0 everywhere: for floats the zero of that sign."""
    value = number(node)
    if value is None or value != 0:
        return False
    return node.dtype.kind == "i" or bool(np.signbit(value)) == negative


def _power(node: Node) -> Node | None:
    x, p = node.inputs
    exponent = number(p) if p.shape == () else None
    if exponent == 1:
        return fitted(x, node)
    return instead(node, Square, x) if exponent == 2 and x.dtype == node.dtype else None


def _logical_not(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.op is LogicalNot:
        return x.inputs[0]
    if x.op is Equal:
        return instead(node, NotEqual, *x.inputs)
    return instead(node, Equal, *x.inputs) if x.op is NotEqual else None


def _with_neutral(neutral: bool) -> Callable[[Node], Node | None]:
    """The rule of an operation of booleans which one constant leaves as they are, and the other decides."""

    def rule(node: Node) -> Node | None:
        a, b = node.inputs
        for x, c in ((a, b), (b, a)):
            value = number(c)
            if value is not None:
                return fitted(x if value == neutral else c, node)
        return None

    return rule


def _where(node: Node) -> Node | None:
    condition, x, y = node.inputs
    value = number(condition)
    if value is not None:
        return fitted(x if value else y, node)
    if x is y:
        return fitted(x, node)
    return instead(node, Where, condition.inputs[0], y, x) if condition.op is LogicalNot else None


def _clip(node: Node) -> Node | None:
    x, low, high = node.inputs
    if node.dtype.kind != "f":
        return None
    if number(high) == math.inf:
        return fitted(build(Maximum, x, low, like=node), node)
    return fitted(build(Minimum, x, high, like=node), node) if number(low) == -math.inf else None


def _sum(node: Node) -> Node | None:
    (x,) = node.inputs
    if x.size != node.size:
        return None
    same = _reshaped(x, node)
    if node.dtype.kind == "i":
        return same
    return instead(node, Add, same, holding(node.dtype.type(0)))


def _select(node: Node) -> Node | None:
    (x,) = node.inputs
    return _reshaped(x, node) if x.size == node.size else None


def _reshaped(x: Node, node: Node) -> Node:
    return x if x.shape == node.shape else instead(node, Reshape, x, shape=node.shape)


_RULES: dict[type[Primitive] | None, Callable[[Node], Any]] = {
    Identity: _same,
    StopGradient: _same,
    AsType: _astype,
    Negative: _negative,
    Multiply: _multiply,
    Scale: _scale,
    Divide: _divide,
    Add: _add,
    Subtract: _subtract,
    Power: _power,
    LogicalNot: _logical_not,
    LogicalAnd: _with_neutral(True),
    LogicalOr: _with_neutral(False),
    Where: _where,
    Clip: _clip,
    Sum: _sum,
    SumTo: _sum,
    Mean: _sum,
    Max: _select,
    Min: _select,
    Prod: _select,
}
