"""Norms of vectors and matrices. Their derivative is 0 wherever the norm or the element is 0."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, AxisError, ShapeError, shown
from chainrule.node import N, Node, Operand, as_node
from chainrule.ops.arithmetic import abs, divide, multiply, sign
from chainrule.ops.cast import astype
from chainrule.ops.compare import logical_and, not_equal, where
from chainrule.ops.exponential import power
from chainrule.ops.reduce import Functional, KeptAxes, max, min, reduce, sum
from chainrule.primitive import Cost, Example, moved_bytes, register
from chainrule.shapes import (
    FLOATS,
    DType,
    Shape,
    as_sequence,
    count,
    normalize_axes,
    normalize_axis,
    reduce_shape,
    require_dtype,
)


def _vector_norm(x: Any, axes: KeptAxes, keepdims: bool, ord: float) -> Any:
    if ord == 2:
        squares = np.add.reduce(np.square(x), axis=axes, keepdims=keepdims)
        limits = np.finfo(x.dtype)
        if np.all((squares > limits.tiny / limits.eps) & (squares <= limits.max)):
            return np.sqrt(squares)
    size = np.abs(x)
    largest = np.maximum.reduce(size, axis=axes, keepdims=True, initial=0)
    unit = np.where((largest > 0) & (largest < np.inf), largest, largest.dtype.type(1))
    total = np.add.reduce((size / unit) ** ord, axis=axes, keepdims=True)
    return np.reshape(total ** (1 / ord) * unit, reduce_shape(x.shape, axes, keepdims))


@register
class VectorNorm(Functional):
    """``sum(|x| ** ord) ** (1 / ord)``, without overflow; its derivative is 0 where it or x is 0."""

    name, label, latex = "vector_norm", "‖·‖", r"\left\lVert {0} \right\rVert"
    evaluate = staticmethod(_vector_norm)

    @staticmethod
    def gradient(y: Node, x: Node, axes: KeptAxes, **params: Any) -> Node:
        power_of_size = params["ord"] - 1.0
        nonzero = not_equal(y, 0.0)
        unit = where(nonzero, y, 1.0)
        if power_of_size == 1:
            return divide(where(nonzero, x, 0.0), unit)
        inside = logical_and(nonzero, not_equal(x, 0.0))
        relative = where(inside, divide(abs(x), unit), 1.0)  # never 0, where powers have infinite derivatives
        return where(inside, multiply(sign(x), power(relative, power_of_size)), 0.0)

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        n, results = count(xs[0].shape), count(shape)
        if params["ord"] == 2:
            # Sums, and whether each of them is neither too small nor too large for an exact root.
            additions = n + results if n else 2 * results
            return Cost(n, additions, results, moved_bytes(xs, shape, dtype))
        additions = 3 * n if n else 2 * results
        return Cost(n + results, additions, n + results, moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for example in super().examples(rng):
            for ord in (2.0, 3.0, 0.5, -1.5):
                x = example.inputs[0]
                away = np.asarray(x + np.where(x < 0, -0.2, 0.2))
                yield Example((away,), {**example.params, "ord": ord})


def vector_norm(
    x: Operand[N],
    /,
    *,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
    ord: float = 2,
) -> N:
    """Norm of vectors: ``sum(|x| ** ord) ** (1 / ord)``.

    Args:
        x: floats, shape ``(*n,)``.
        axis: the axes that hold a vector; None for all of them.
        keepdims: keep these axes, with size 1.
        ord: any number but nan. ``inf`` and ``-inf`` give the largest and the smallest absolute value,
            0 the number of elements that are not 0.

    Returns:
        Units of ``x``. The derivative is 0 where the norm is 0, and for elements that are 0.

    Raises:
        ArgumentError: ``ord`` is not a number.
        DTypeError: integers.

    Example:
        >>> vector_norm([3.0, 4.0]).item()
        5.0
    """
    node = as_node(x)
    require_dtype("vector_norm", node.dtype, FLOATS)
    axes = normalize_axes("vector_norm", axis, node.ndim)
    if not isinstance(ord, Real) or ord != ord:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"vector_norm: ord must be a number, got {shown(ord)}", fix="use 2, 1, cr.inf, or another power"
        )
    if ord == 0:
        return sum(astype(not_equal(node, 0.0), node.dtype), axis=axes, keepdims=keepdims)
    if ord == 1:
        return sum(abs(node), axis=axes, keepdims=keepdims)
    if ord in (np.inf, -np.inf):
        return (max if ord > 0 else min)(abs(node), axis=axes, keepdims=keepdims)
    return reduce(VectorNorm, node, axes, keepdims, ord=float(ord))


def matrix_norm(x: Operand[N], /, *, keepdims: bool = False, ord: float | str = "fro") -> N:
    """Norm of matrices.

    Args:
        x: floats, shape ``(*batch, m, n)``.
        keepdims: keep the last two axes, with size 1.
        ord: ``"fro"``, the root of the sum of squares; 1, the largest sum of absolute values in a column;
            ``inf``, the largest in a row; -1 and ``-inf``, the smallest.

    Returns:
        Shape ``(*batch,)``, in the units of ``x``.

    Raises:
        ArgumentError: another ``ord``.
        ShapeError: fewer than two axes.
        DTypeError: integers.

    Example:
        >>> matrix_norm([[1.0, -2.0], [3.0, 4.0]], ord=1).item()
        6.0
    """
    node = as_node(x)
    if node.ndim < 2:
        raise ShapeError(
            f"matrix_norm: expected matrices, shape (*batch, m, n), got {node.shape}",
            fix="use cr.vector_norm for vectors",
        )
    return _matrix_norm(node, ord, (node.ndim - 2, node.ndim - 1), keepdims)


def _matrix_norm(x: Node, ord: float | str, axes: tuple[int, int], keepdims: bool) -> Any:
    if isinstance(ord, str) and ord == "fro":
        return vector_norm(x, axis=axes, keepdims=keepdims)
    require_dtype("matrix_norm", x.dtype, FLOATS)
    if not isinstance(ord, Real) or ord not in (1, -1, np.inf, -np.inf):
        raise ArgumentError(
            f"matrix_norm: ord {shown(ord)} is not supported: it needs singular values, or is no norm",
            fix="use 'fro', 1, -1, cr.inf or -cr.inf",
        )
    totals = sum(abs(x), axis=axes[0] if ord in (1, -1) else axes[1], keepdims=True)
    return (max if ord in (1, np.inf) else min)(totals, axis=axes, keepdims=keepdims)


def norm(
    x: Operand[N],
    ord: float | str | None = None,
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> N:
    """Norm of vectors or matrices, as ``np.linalg.norm`` chooses.

    Args:
        x: floats.
        ord: for vectors as in :func:`vector_norm`, for matrices as in :func:`matrix_norm`; None is the
            root of the sum of squares for both.
        axis: one axis for vectors, two (rows, columns) for matrices. None: all elements if ``ord`` is None
            too, else the vector or the matrix that ``x`` is.
        keepdims: keep these axes, with size 1.

    Raises:
        ArgumentError: an ``ord`` that the vector or matrix norm has not.
        AxisError: more axes than two, or an ``ord`` for an array of more axes without ``axis``.
        DTypeError: integers.

    Example:
        >>> norm([[3.0, 0.0], [0.0, 4.0]]).item()
        5.0
    """
    node = as_node(x)
    if axis is None and ord is None:
        return vector_norm(node, keepdims=keepdims)
    given = tuple(range(node.ndim)) if axis is None else tuple(as_sequence(axis))
    chosen: Any = ord if ord is not None else 2 if len(given) == 1 else "fro"
    if len(given) == 1:
        return vector_norm(node, axis=given, keepdims=keepdims, ord=chosen)
    if len(given) != 2:
        raise AxisError(
            f"norm: {len(given)} axes of {node.shape} are neither a vector nor a matrix",
            fix="pass axis as one axis or as two, or leave out both axis and ord",
        )
    normalize_axes("norm", given, node.ndim)  # both exist and differ
    rows, columns = (normalize_axis("norm", a, node.ndim) for a in given)
    return _matrix_norm(node, chosen, (rows, columns), keepdims)
