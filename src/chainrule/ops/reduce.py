"""Reductions: sums, products and extrema over axes.

Conventions: elements that tie for the maximum or minimum share the gradient equally; the gradient of a
product is exact where elements are zero, to every order, since it never divides by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias

import numpy as np

from chainrule.axes import Ties, reduced
from chainrule.errors import ShapeError
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.arithmetic import multiply, scale
from chainrule.ops.batching import along_axes
from chainrule.ops.cast import astype
from chainrule.ops.compare import equal, where
from chainrule.ops.create import ones_like
from chainrule.ops.join import concat, narrow
from chainrule.ops.move import BroadcastTo, flip, permute_dims, reshape
from chainrule.primitive import (
    Array,
    Cost,
    Custom,
    Discrete,
    Example,
    HasSpec,
    Linear,
    Partial,
    PerElement,
    Primitive,
    moved_bytes,
    register,
)
from chainrule.shapes import (
    DTYPES,
    FLOATS,
    NUMBERS,
    DType,
    Shape,
    as_flag,
    count,
    int64,
    normalize_axes,
    reduce_shape,
    require_dtype,
)

Axes: TypeAlias = "int | tuple[int, ...] | None"
"""One axis, several, or all of them (None)."""

KeptAxes: TypeAlias = "tuple[int, ...]"
"""Axes as parameters of a primitive: sorted, distinct, from 0."""


class Reduction(Primitive):
    """Shape rule and cost of whatever gives one number for each slice along ``axes``.

    Attributes:
        accepts: dtypes of the input.
        result: dtype of the output; None for that of the input.
        nonempty: whether a slice needs at least one element.
        combine: work of adding one element to a slice's result.
    """

    accepts: ClassVar[tuple[DType, ...]] = NUMBERS
    result: ClassVar[DType | None] = None
    nonempty: ClassVar[bool] = False
    combine: ClassVar[PerElement] = PerElement(additions=1)
    batch = classmethod(along_axes)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        shape, dtype = xs[0].shape, xs[0].dtype
        if dtype not in cls.accepts:
            require_dtype(cls.name, dtype, cls.accepts)
        axes: KeptAxes = params["axes"]
        if cls.nonempty and 0 in [shape[a] for a in axes]:
            raise ShapeError(
                f"{cls.name}: cannot reduce {shape} over axes {axes}: expected at least one element in "
                f"each slice, got none",
                fix=f"join a first element with cr.concat, or leave {cls.name} out where x.size is 0",
            )
        return reduce_shape(shape, axes, params["keepdims"]), cls.result or dtype

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        n, per = count(xs[0].shape), cls.combine
        steps = n - count(shape) if n else 0
        return Cost(
            steps * per.multiplications,
            steps * per.additions,
            steps * per.transcendentals,
            moved_bytes(xs, shape, dtype),
        )

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 4)),), {"axes": (1,), "keepdims": False})
        yield Example((rng.normal(size=(2, 3, 4)),), {"axes": (0, 2), "keepdims": True})
        yield Example((rng.normal(size=(2, 3)),), {"axes": (0, 1), "keepdims": False})
        yield Example((rng.normal(size=(0, 3)),), {"axes": (1,), "keepdims": False})
        yield Example((np.asarray(rng.normal()),), {"axes": (), "keepdims": False})


class Functional(Reduction, Custom):
    """A reduction with a gradient: ``gradient`` is the whole derivative."""

    accepts = FLOATS

    gradient: ClassVar[Callable[..., Node]]
    """``gradient(y, x, axes, **params)``: derivative of each result for the elements of its slice, shaped as
    ``x``; ``y`` is the output with the reduced axes kept as axes of size 1."""

    @classmethod
    def ties(cls, i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        values, rank = cls._gradient(y, xs[0], **params), xs[0].ndim
        return reduced(rank, params["axes"], params["keepdims"], values=values, labels=tuple(range(rank)))

    @classmethod
    def jvp(cls, tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,), (x,) = tangents, xs
        if t is None:
            return None
        over = {"axes": params["axes"], "keepdims": params["keepdims"]}
        return apply(Sum, (scale(t, cls._gradient(y, x, **params)),), over)

    @classmethod
    def vjp(cls, g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        (x,) = xs
        return (scale(unreduce(g, x, params["axes"]), cls._gradient(y, x, **params)),)

    @classmethod
    def _gradient(cls, y: Node, x: Node, *, axes: KeptAxes, keepdims: bool, **params: Any) -> Node:
        return cls.gradient(unreduce(y, x, axes), x, axes, **params)


def unreduce(y: N, x: Node, axes: KeptAxes) -> N:
    """``y``, reduced from ``x``, with the reduced axes back as axes of size 1."""
    return reshape(y, reduce_shape(x.shape, axes, True))


def _reducing(ufunc: np.ufunc) -> Callable[..., Any]:
    over: Callable[..., Any] = ufunc.reduce

    def evaluate(x: Any, axes: KeptAxes, keepdims: bool) -> Any:
        # NumPy would sum int32 in int64; the dtype of the result has been chosen before.
        return over(x, axes, x.dtype, None, keepdims)

    return evaluate


@register
class Sum(Reduction, Linear):
    """Sum over axes; the sum of nothing is 0."""

    name, label, latex = "sum", "Σ", r"\sum {0}"
    value_states_shape = True
    evaluate = staticmethod(_reducing(np.add))

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return reduced(xs[0].ndim, params["axes"], params["keepdims"])

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        shape = xs[0].shape
        if g.shape:
            g = unreduce(g, xs[0], params["axes"])
        return g if g.shape == shape else apply(BroadcastTo, (g,), {"shape": shape})

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield from super().examples(rng)
        yield Example((rng.normal(size=(0, 3)),), {"axes": (0,), "keepdims": False})


def _count_nonzero(x: Any, axes: KeptAxes, keepdims: bool) -> Array:
    # Without an axis NumPy counts booleans about ten times as fast as it sums them.
    over = None if len(axes) == np.ndim(x) else axes
    return np.asarray(np.count_nonzero(x, over, keepdims=keepdims), np.int64)


@register
class CountNonzero(Reduction, Discrete):
    """Number of elements that are not 0."""

    name, label, latex = "count_nonzero", "#", r"\#\{{ {0} \ne 0 \}}"
    accepts, result = DTYPES, int64
    evaluate = staticmethod(_count_nonzero)


class _Extremum(Functional):
    accepts = NUMBERS
    nonempty = True

    @staticmethod
    def gradient(y: Node, x: Node, axes: KeptAxes, **params: Any) -> Node:
        reached = equal(x, y)
        ties = apply(CountNonzero, (reached,), {"axes": axes, "keepdims": True})
        return where(reached, 1 / astype(ties, x.dtype), 0.0)


@register
class Max(_Extremum):
    """Largest element; elements that tie share the gradient equally."""

    name, label, latex = "max", "max", r"\max {0}"
    evaluate = staticmethod(_reducing(np.maximum))


@register
class Min(_Extremum):
    """Smallest element; elements that tie share the gradient equally."""

    name, label, latex = "min", "min", r"\min {0}"
    evaluate = staticmethod(_reducing(np.minimum))


@register
class Prod(Functional):
    """Product over axes; the product of nothing is 1.

    The derivative for one element is the product of the others, computed as such in ``O(n)``: right to
    every order with any number of zeros, where dividing the product by the element is not.
    """

    name, label, latex = "prod", "Π", r"\prod {0}"
    accepts = NUMBERS
    combine = PerElement(multiplications=1)
    evaluate = staticmethod(_reducing(np.multiply))

    @staticmethod
    def gradient(y: Node, x: Node, axes: KeptAxes, **params: Any) -> Node:
        if not axes:
            return ones_like(x)
        if len(axes) == 1:
            return _products_of_others(x, axes[0])
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        order = (*kept, *axes)
        moved = permute_dims(x, order)
        joined = (*moved.shape[: len(kept)], count(moved.shape[len(kept) :]))
        others = _products_of_others(reshape(moved, joined), len(kept))
        return permute_dims(reshape(others, moved.shape), tuple(int(a) for a in np.argsort(order)))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield from super().examples(rng)
        zeros = np.array([[2.0, 0.0, -1.0, 0.5, 3.0], [0.0, 1.5, 0.0, -2.0, 1.0], [0.0, 0.0, 0.0, 1.0, 2.0]])
        yield Example((zeros,), {"axes": (1,), "keepdims": False})
        yield Example((zeros,), {"axes": (0, 1), "keepdims": True})


def _products_of_others(x: Node, axis: int) -> Node:
    """For each element along ``axis`` the product of all the others, in ``O(n)`` and ``O(log n)`` steps.

    Halves are multiplied together, the products of others found among these, and spread back: a product
    tree. All of it is multiplications, so every derivative of it is exact too.

    The problem is known as Speelpenning's: Compiling Fast Partial Derivatives of Functions Given by
    Algorithms, PhD thesis, University of Illinois, 1980.
    """
    n = x.shape[axis]
    if n < 2:
        return ones_like(x)
    if n == 2:
        return flip(x, axis=axis)
    half = n // 2
    left, right = narrow(x, axis, 0, half), narrow(x, axis, half, 2 * half)
    products = multiply(left, right)
    if n % 2 == 0:
        others = _products_of_others(products, axis)
        return concat([multiply(others, right), multiply(others, left)], axis=axis)
    last = narrow(x, axis, n - 1, n)
    others = _products_of_others(concat([products, last], axis=axis), axis)
    pairs, rest = narrow(others, axis, 0, half), narrow(others, axis, half, half + 1)
    return concat([multiply(pairs, right), multiply(pairs, left), rest], axis=axis)


def sum(x: Operand[N], /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> N:
    """Sum over axes; the sum of nothing is 0.

    Args:
        x: shape ``(*n,)``.
        axis: one axis, several, or all of them (None).
        dtype: of the result, and of the sums on the way. By default that of ``x``, but int64 where ``x``
            holds int32 or booleans.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        ``x.shape`` without the reduced axes, in the units of ``x``.

    Raises:
        AxisError: an axis is out of range or named twice.

    Example:
        >>> sum([[1.0, 2.0], [3.0, 4.0]], axis=0).tolist()
        [4.0, 6.0]
    """
    return reduce(Sum, accumulator(x, dtype), axis, keepdims)


def prod(x: Operand[N], /, *, axis: Axes = None, dtype: Any = None, keepdims: bool = False) -> N:
    """Product over axes; the product of nothing is 1.

    Args:
        x: shape ``(*n,)``.
        axis: one axis, several, or all of them (None).
        dtype: of the result, and of the products on the way. By default that of ``x``, but int64 where
            ``x`` holds int32 or booleans.
        keepdims: keep the reduced axes, with size 1.

    Returns:
        ``x.shape`` without the reduced axes. The gradient is exact where elements are 0, to every order.

    Raises:
        AxisError: an axis is out of range or named twice.

    Example:
        >>> prod([[1.0, 2.0], [3.0, 4.0]], axis=1).tolist()
        [2.0, 12.0]
        >>> import chainrule as cr
        >>> cr.grad(prod)(np.array([2.0, 0.0, 3.0])).tolist()
        [0.0, 6.0, 0.0]
    """
    return reduce(Prod, accumulator(x, dtype), axis, keepdims)


def max(x: Operand[N], /, *, axis: Axes = None, keepdims: bool = False) -> N:
    """Largest element over axes; nan, with gradient 0, where a slice holds a nan.

    Args:
        x: numbers, shape ``(*n,)``; at least one in each slice.
        axis: one axis, several, or all of them (None).
        keepdims: keep the reduced axes, with size 1.

    Returns:
        ``x.shape`` without the reduced axes. Elements that tie for the maximum share the gradient equally.

    Raises:
        ShapeError: a reduced axis has size 0.
        AxisError: an axis is out of range or named twice.

    Example:
        >>> max([[1.0, 4.0], [3.0, 2.0]], axis=1).tolist()
        [4.0, 3.0]
    """
    return reduce(Max, as_node(x), axis, keepdims)


def min(x: Operand[N], /, *, axis: Axes = None, keepdims: bool = False) -> N:
    """Smallest element over axes: as :func:`max`, with the same arguments and errors.

    Example:
        >>> min([[1.0, 4.0], [3.0, 2.0]], axis=1).tolist()
        [1.0, 2.0]
    """
    return reduce(Min, as_node(x), axis, keepdims)


def reduce(op: type[Primitive], x: Node, axis: Axes, keepdims: bool, **params: Any) -> Any:
    """Apply a primitive that takes ``axes`` and ``keepdims``, from the arguments that users give."""
    rank = len(x.shape)
    axes = tuple(range(rank)) if axis is None else normalize_axes(op.name, axis, rank)
    kept = keepdims if type(keepdims) is bool else as_flag(op.name, "keepdims", keepdims)
    return apply(op, (x,), {"axes": axes, "keepdims": kept, **params})


def accumulator(x: Operand[Node], dtype: Any) -> Any:
    """``x`` in the dtype of its sums and products: ``dtype``, or else its own, widened to int64."""
    node = as_node(x)
    if dtype is None and node.dtype.kind == "f":
        return node
    return astype(node, int64 if dtype is None else dtype)
