"""Identity, conversion between dtypes, and where derivatives stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.axes import Ties, stretched
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.batching import repeated, stacks
from chainrule.primitive import Array, Custom, Discrete, Example, HasSpec, Linear, Partial, register
from chainrule.shapes import DType, Shape, as_dtype

if TYPE_CHECKING:
    from chainrule.compiler.instructions import Instructions, Scalar


def _first(x: Any, *others: Any) -> Any:
    return x


def _same(k: Instructions, x: Scalar) -> Scalar:
    return x


@register
class Identity(Linear):
    """The same value as a node of its own: where one derivative begins inside another."""

    name, label, latex = "identity", "=", "{0}"
    evaluate = staticmethod(_first)
    emit = staticmethod(_same)
    batch = classmethod(stacks)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return stretched(y.shape, y.shape)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return g

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)),))


def _cast(x: Any, dtype: DType) -> Array:
    return np.asarray(x).astype(dtype)


@register
class AsType(Linear):
    """Conversion to another dtype. Derivatives flow between floating dtypes only."""

    name, label, latex = "astype", "astype", "{0}"
    evaluate = staticmethod(_cast)
    batch = classmethod(stacks)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return stretched(y.shape, y.shape)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, params["dtype"]

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return astype(g, xs[0].dtype)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)),), {"dtype": np.dtype(np.float64)})
        yield Example((np.arange(3),), {"dtype": np.dtype(np.float64)})

    @staticmethod
    def emit(k: Instructions, x: Scalar, dtype: DType) -> Scalar:
        return k.convert(x, dtype)


@register
class StopGradient(Discrete):
    """The same value, through which no derivative flows."""

    name, label, latex = "stop_gradient", "stop", "{0}"
    evaluate = staticmethod(_first)
    emit = staticmethod(_same)
    batch = classmethod(stacks)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, xs[0].dtype

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)),))


class _First(Custom):
    """The first input, which alone gives and gets derivatives; the others only have to be there."""

    evaluate = staticmethod(_first)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return xs[0].shape, xs[0].dtype

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        return tangents[0]

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        return (g, *(None for _ in xs[1:]))

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        return apply(cls, (repeated(xs, batched)[0], *xs[1:]))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(2, 3)), rng.normal(size=(2,))))


@register
class ConstantIn(_First):
    """The first input, said to be constant in the second: the derivative with respect to that is zero.

    A derivative that is itself constant (of ``3 * x``, say) still belongs to ``x``; this node keeps the
    connection, so that differentiating once more gives 0 instead of "does not depend on x".
    """

    name, label, latex = "constant_in", "const", "{0}"


@register
class After(_First):
    """The first input, once the others are known: what is computed from it again is not what was computed before.

    Compiled programs make it where a checkpoint's function runs a second time.
    """

    name, label, latex = "after", "after", "{0}"


def like(x: Operand[N]) -> Any:
    """``x`` as a node."""
    return as_node(x)


def identity(x: Operand[N], /) -> N:
    """A new node with the value of ``x``, through which derivatives flow unchanged.

    Example:
        >>> identity(2.0).item()
        2.0
    """
    return apply(Identity, (as_node(x),))


def astype(x: Operand[N], dtype: Any, /) -> N:
    """Convert to ``dtype``; nothing happens where it is that already.

    Args:
        x: shape ``(*n,)``.
        dtype: one of ``cr.float32, cr.float64, cr.int32, cr.int64, cr.bool``, or a NumPy dtype or name.

    Raises:
        DTypeError: not one of the five.

    Example:
        >>> astype([1, 2], "float32").dtype.name
        'float32'
    """
    node, target = as_node(x), as_dtype(dtype)
    return node if node.dtype == target else apply(AsType, (node,), {"dtype": target})


def stop_gradient(x: Operand[N], /) -> N:
    """The value of ``x`` as a constant: no derivative flows back through it.

    Example:
        >>> import chainrule as cr
        >>> cr.grad(lambda x: x * stop_gradient(x))(3.0).item()
        3.0
    """
    return apply(StopGradient, (as_node(x),))
