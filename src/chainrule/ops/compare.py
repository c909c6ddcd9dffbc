"""Comparisons, logic and selection. Comparisons give booleans, through which no derivative flows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.axes import Ties, aligned, stretched
from chainrule.node import ArrayLike, N, Node, Operand, apply, as_node, as_nodes
from chainrule.ops.batching import elementwise
from chainrule.ops.function import binary, unary
from chainrule.ops.move import sum_to
from chainrule.primitive import (
    Array,
    Cost,
    Example,
    HasSpec,
    Interval,
    Linear,
    Partial,
    PerElement,
    Pointwise,
    instruction,
    moved_bytes,
    register,
)
from chainrule.shapes import (
    DTYPES,
    FLOATS,
    NUMBERS,
    DType,
    Shape,
    bool_,
    broadcast,
    promote,
    require_dtype,
)

if TYPE_CHECKING:
    from chainrule.compiler.instructions import Instructions, Scalar


class _Comparison(Pointwise):
    arity, accepts, result = 2, NUMBERS, bool_
    domain = (Interval(-2.0, -0.1), Interval(0.1, 2.0))
    per_element = PerElement(additions=1)

    @staticmethod
    def partials(y: Node, a: Node, b: Node) -> tuple[Partial, ...]:
        return (None, None)


@register
class Less(_Comparison):
    """Where ``x < y``."""

    name, label, latex, evaluate = "less", "<", "{0} < {1}", np.less
    emit = instruction("less")


@register
class LessEqual(_Comparison):
    """Where ``x <= y``."""

    name, label, latex, evaluate = "less_equal", "≤", r"{0} \le {1}", np.less_equal
    emit = instruction("less_equal")


@register
class Greater(_Comparison):
    """Where ``x > y``."""

    name, label, latex, evaluate = "greater", ">", "{0} > {1}", np.greater

    @staticmethod
    def emit(k: Instructions, x: Scalar, y: Scalar) -> Scalar:
        return k.less(y, x)


@register
class GreaterEqual(_Comparison):
    """Where ``x >= y``."""

    name, label, latex, evaluate = "greater_equal", "≥", r"{0} \ge {1}", np.greater_equal

    @staticmethod
    def emit(k: Instructions, x: Scalar, y: Scalar) -> Scalar:
        return k.less_equal(y, x)


@register
class Equal(_Comparison):
    """Where ``x == y``."""

    name, label, latex, evaluate = "equal", "=", "{0} = {1}", np.equal
    emit = instruction("equal")
    accepts = DTYPES


@register
class NotEqual(_Comparison):
    """Where ``x != y``."""

    name, label, latex, evaluate = "not_equal", "≠", r"{0} \ne {1}", np.not_equal
    emit = instruction("not_equal")
    accepts = DTYPES


class _Logic(Pointwise):
    arity, accepts, result = 2, (bool_,), bool_
    per_element = PerElement(additions=1)

    @staticmethod
    def partials(y: Node, *xs: Any) -> tuple[Partial, ...]:
        return (None,) * len(xs)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example(tuple(rng.integers(0, 2, (3, 4)).astype(bool) for _ in range(cls.arity)))


@register
class LogicalAnd(_Logic):
    """Where both are true."""

    name, label, latex, evaluate = "logical_and", "and", r"{0} \land {1}", np.logical_and
    emit = instruction("logical_and")


@register
class LogicalOr(_Logic):
    """Where at least one is true."""

    name, label, latex, evaluate = "logical_or", "or", r"{0} \lor {1}", np.logical_or
    emit = instruction("logical_or")


@register
class LogicalXor(_Logic):
    """Where exactly one is true."""

    name, label, latex, evaluate = "logical_xor", "xor", r"{0} \oplus {1}", np.logical_xor
    emit = instruction("logical_xor")


@register
class LogicalNot(_Logic):
    """Where x is false."""

    arity = 1
    name, label, latex, evaluate = "logical_not", "not", r"\lnot {0}", np.logical_not
    emit = instruction("logical_not")


class _Test(Pointwise):
    accepts, result = FLOATS, bool_
    per_element = PerElement(additions=1)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (None,)


@register
class IsNan(_Test):
    """Where x is not a number."""

    name, label, latex, evaluate = "isnan", "isnan", r"\operatorname{{isnan}} {0}", np.isnan

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return k.not_equal(x, x)


@register
class IsInf(_Test):
    """Where x is infinite."""

    name, label, latex, evaluate = "isinf", "isinf", r"\operatorname{{isinf}} {0}", np.isinf

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return k.equal(k.abs(x), k.number(np.inf, x))


@register
class IsFinite(_Test):
    """Where x is neither infinite nor nan."""

    name, label, latex, evaluate = "isfinite", "isfinite", r"\operatorname{{isfinite}} {0}", np.isfinite

    @staticmethod
    def emit(k: Instructions, x: Scalar) -> Scalar:
        return k.less(k.abs(x), k.number(np.inf, x))


_choose: Callable[..., Array] = np.where


def _select(condition: Any, x: Any, y: Any) -> Array:
    return _choose(condition, x, y)


@register
class Where(Linear):
    """``x`` where the condition holds, ``y`` elsewhere. What is not taken gets gradient 0, exactly."""

    name, label = "where", "where"
    latex = r"\begin{{cases}} {1} & {0} \\ {2} & \text{{else}} \end{{cases}}"
    linear = (1, 2)
    evaluate = staticmethod(_select)
    batch = classmethod(elementwise)
    emit = instruction("select")

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        one, zero = np.ones((), y.dtype), np.zeros((), y.dtype)
        values: Node = where(xs[0], one, zero) if i == 1 else where(xs[0], zero, one)
        labels = aligned(values.shape, y.shape)
        return stretched(xs[i].shape, y.shape, values=values, labels=labels, selects=True)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        condition, x, y = xs
        require_dtype("where: condition", condition.dtype, (bool_,))
        dtype = promote("where", x.dtype, y.dtype)
        return broadcast("where", condition.shape, x.shape, y.shape), dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        condition = xs[0]
        picked = where(condition, g, 0) if i == 1 else where(condition, 0, g)
        return sum_to(picked, xs[i].shape)

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        return Cost(bytes=moved_bytes(xs, shape, dtype))  # the comparison is another node's

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        mask = rng.integers(0, 2, (3, 4)).astype(bool)
        yield Example((mask, rng.normal(size=(3, 4)), rng.normal(size=(3, 4))))
        yield Example((mask, rng.normal(size=(4,)), rng.normal(size=(3, 1))))
        yield Example((np.array(True), np.array(0.5), np.array(-1.5)))


less = binary(Less)
less_equal = binary(LessEqual)
greater = binary(Greater)
greater_equal = binary(GreaterEqual)
equal = binary(Equal)
not_equal = binary(NotEqual)
logical_and = binary(LogicalAnd)
logical_or = binary(LogicalOr)
logical_xor = binary(LogicalXor)
logical_not = unary(LogicalNot)
isnan = unary(IsNan)
isinf = unary(IsInf)
isfinite = unary(IsFinite)


def where(condition: Node | ArrayLike, x: Operand[N], y: Operand[N], /) -> N:
    """Select ``x`` where ``condition`` holds and ``y`` elsewhere.

    Args:
        condition: boolean; broadcasts against ``x`` and ``y``.
        x, y: numbers of one kind; Python numbers take the other's dtype.

    Returns:
        The broadcast shape, in the promoted dtype. The side that is not taken gets gradient exactly 0,
        even where its own derivative is infinite.

    Raises:
        DTypeError: the condition is not boolean, or the dtypes do not promote.

    Example:
        >>> import chainrule as cr
        >>> cr.grad(lambda x: where(x > 0, cr.log(x), 0.0).sum())(np.array([0.0, 2.0])).tolist()
        [0.0, 0.5]
    """
    return apply(Where, (as_node(condition), *as_nodes("where", x, y)))
