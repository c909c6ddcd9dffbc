"""Matrix products."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.axes import Ties, aligned
from chainrule.errors import ShapeError
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.arithmetic import multiply
from chainrule.ops.batching import elementwise
from chainrule.ops.move import Reshape, matrix_transpose, reshape
from chainrule.primitive import Array, Cost, Example, HasSpec, Linear, moved_bytes, register
from chainrule.shapes import NUMBERS, DType, Shape, broadcast, count, promote, require_dtype


def product(x: Any, y: Any) -> Array:
    """The matrix product of two NumPy arrays of at least two axes, whose batch axes broadcast."""
    if y.ndim == 2:
        if x.ndim == 2:
            return x.dot(y)  # half the overhead of np.matmul
        rows = x.reshape(count(x.shape[:-1]), x.shape[-1])  # one product for all batches, not one for each
        return rows.dot(y).reshape(*x.shape[:-1], y.shape[1])
    return np.matmul(x, y)


@register
class MatMul(Linear):
    """Matrix product over the last two axes; the axes before them are batches, and broadcast."""

    name, label, latex = "matmul", "@", "{0} {1}"
    linear, joint = (0, 1), False
    value_states_shape = True
    evaluate = staticmethod(product)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        own, batches = tuple(range(y.ndim)), y.shape[:-2]
        left = (*aligned(xs[0].shape[:-2], batches), own[-2], "summed")
        right = (*aligned(xs[1].shape[:-2], batches), "summed", own[-1])
        return Ties(own, left, xs[1], right) if i == 0 else Ties(own, right, xs[0], left)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        x, y = xs
        a, b = x.shape, y.shape
        dtype = x.dtype
        if dtype is not y.dtype:
            dtype = promote("matmul", dtype, y.dtype)
        if dtype.kind == "b":
            require_dtype("matmul", dtype, NUMBERS)
        if len(a) == len(b) == 2 and a[1] == b[0]:
            return (a[0], b[1]), dtype
        return _product_shape(a, b), dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Any, **params: Any) -> Node:
        x, y = xs
        if i == 0:
            return apply(MatMul, (g, y.mT))
        if y.ndim == 2 and x.ndim > 2:  # one matrix served all batches: sum over them within one product
            rows = count(x.shape[:-1])
            x, g = reshape(x, (rows, x.shape[-1])), reshape(g, (rows, g.shape[-1]))
        return apply(MatMul, (x.mT, g))

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        x, y = xs
        if all(batched):
            if x.ndim == y.ndim == 3 and x.shape[2] == 1:  # nothing is summed
                return multiply(x, y)
        elif batched[0] and x.ndim == 3 and y.ndim == 2:  # the rows of all items as those of one matrix
            items, rows, depth = x.shape
            product = apply(MatMul, (reshape(x, (items * rows, depth)), y))
            return reshape(product, (items, rows, y.shape[1]))
        elif (
            batched[1] and x.ndim == 2 and y.ndim == 3 and y.shape[2] == 1
        ):  # the vectors of all items likewise
            product = apply(MatMul, (reshape(y, y.shape[:2]), matrix_transpose(x)))
            return reshape(product, (*product.shape, 1))
        return elementwise(cls, xs, batched)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, **params: Any) -> Cost:
        products = count(shape) * xs[0].shape[-1]
        return Cost(products, products, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for a, b in (
            ((3, 4), (4, 2)),
            ((2, 3, 4), (4, 2)),
            ((3, 4), (2, 4, 2)),
            ((2, 1, 3, 4), (5, 4, 2)),
            ((3, 0), (0, 2)),
            ((0, 3, 4), (4, 2)),
        ):
            yield Example((rng.normal(size=a), rng.normal(size=b)))


def _product_shape(a: Shape, b: Shape) -> Shape:
    if len(a) < 2 or len(b) < 2:
        raise ShapeError(
            f"matmul: cannot multiply {a} by {b}: both need at least two axes",
            fix="reshape a vector to (1, n) or (n, 1); cr.matmul does so itself",
        )
    if a[-1] != b[-2]:
        raise _mismatch(a, b)
    try:
        batch = broadcast("matmul", a[:-2], b[:-2])
    except ShapeError:
        raise ShapeError(
            f"matmul: cannot multiply {a} by {b}: the batch axes {a[:-2]} and {b[:-2]} do not broadcast",
            fix="make the sizes before the last two equal, or 1",
        ) from None
    return (*batch, a[-2], b[-1])


def _mismatch(a: Shape, b: Shape) -> ShapeError:
    place = "second-to-last" if len(b) > 1 else "only axis"
    return ShapeError(
        f"matmul: cannot multiply {a} by {b}: the left's last axis has size {a[-1]}, "
        f"the right's {place} has size {_depth(b)}.",
        fix=_arrangement(a, b),
    )


def _arrangement(a: Shape, b: Shape) -> str:
    """The transposition or order of the operands that fits, in words."""
    a_t, b_t = ((*s[:-2], *s[-2:][::-1]) for s in (a, b))
    for how, left, right in (
        ("transpose the right operand: a @ b.mT", a, b_t),
        ("transpose the left operand: a.mT @ b", a_t, b),
        ("swap the operands: b @ a", b, a),
    ):
        if left[-1] == _depth(right):
            try:
                batch = broadcast("matmul", left[:-2], right[:-2])
            except ShapeError:
                continue
            return f"{how} has shape {(*batch, *left[-2:-1], *_columns(right))}."
    return "make the two sizes equal."


def _depth(b: Shape) -> int:
    """Size of the axis of a right operand that is summed."""
    return b[-2:][0]


def _columns(b: Shape) -> Shape:
    return b[-1:] if len(b) > 1 else ()


def matmul(x: Operand[N], y: Operand[N], /) -> N:
    """Multiply matrices, as ``@`` does.

    Args:
        x: numbers, shape ``(*batch, m, k)``, or a vector ``(k,)``.
        y: numbers, shape ``(*batch, k, n)``, or a vector ``(k,)``; the batch axes broadcast.

    Returns:
        Shape ``(*batch, m, n)``; the axis of an operand that is a vector is left out. Units of ``x``
        times units of ``y``.

    Raises:
        ShapeError: the sizes ``k`` differ, the batch axes do not broadcast, or an operand is a number.
        DTypeError: booleans, or dtypes that do not promote.

    Example:
        >>> matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
        [3.0, 7.0]
    """
    left, right = as_node(x), as_node(y)
    a, b = left.shape, right.shape
    if len(a) > 1 and len(b) > 1:
        return apply(MatMul, (left, right))
    if not a or not b:
        raise ShapeError(
            f"matmul: cannot multiply {a} by {b}: a 0-dimensional array is a number, not a matrix",
            fix="multiply by a number with *",
        )
    if a[-1] != _depth(b):
        raise _mismatch(a, b)
    if len(a) == 1:
        left = apply(Reshape, (left,), {"shape": (1, *a)})
    if len(b) == 1:
        right = apply(Reshape, (right,), {"shape": (*b, 1)})
    return apply(Reshape, (apply(MatMul, (left, right)),), {"shape": (*b[:-2], *a[:-1], *_columns(b))})
