"""Sums of products as NumPy and the array API name them: of vectors, of matrices, over chosen axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_letters
from typing import Any, TypeAlias, cast

from chainrule.errors import ArgumentError, ShapeError, shown
from chainrule.node import N, Node, Operand, apply, as_node, as_nodes
from chainrule.ops.arithmetic import multiply
from chainrule.ops.einsum import Einsum, einsum
from chainrule.ops.index import diagonal
from chainrule.ops.matmul import matmul
from chainrule.ops.move import moveaxis, reshape
from chainrule.ops.reduce import sum
from chainrule.shapes import normalize_axes, normalize_axis, promote

Axes: TypeAlias = "tuple[int, ...]"


def tensordot(x: Operand[N], y: Operand[N], /, axes: int | Sequence[Any] = 2) -> N:
    """Sum products over chosen axes of both arrays.

    Args:
        x, y: numbers.
        axes: how many of the last axes of ``x`` meet the first of ``y``, or the axes of ``x`` and those of
            ``y`` as a pair, in the order in which they meet.

    Returns:
        The other axes of ``x``, then those of ``y``. Units of ``x`` times units of ``y``.

    Raises:
        ShapeError: axes that meet differ in size or in number.
        AxisError: an axis does not exist, or is named twice.
        ArgumentError: ``axes`` is neither such a number nor a pair.

    Example:
        >>> tensordot(np.ones((2, 3, 4)), np.ones((4, 3, 5)), axes=((1, 2), (1, 0))).shape
        (2, 5)
    """
    left, right = as_nodes("tensordot", x, y)
    if isinstance(axes, (tuple, list)) and len(axes) == 2:
        return _sum_over("tensordot", left, axes[0], right, axes[1])
    most = min(left.ndim, right.ndim)
    if not isinstance(axes, int) or isinstance(axes, bool) or not 0 <= axes <= most:
        raise ArgumentError(
            f"tensordot: cannot sum over axes={shown(axes)} of {left.shape} and {right.shape}",
            fix=f"pass a number from 0 to {most}, or a pair: the axes of the left, those of the right",
        )
    return _sum_over("tensordot", left, range(left.ndim - axes, left.ndim), right, range(axes))


def _sum_over(name: str, left: Node, left_axes: Any, right: Node, right_axes: Any) -> Any:
    """Sum products over axes that meet: the other axes of ``left``, then those of ``right``."""
    promote(name, left.dtype, right.dtype)
    ours, theirs = _several(name, left, left_axes), _several(name, right, right_axes)
    sizes = [left.shape[a] for a in ours], [right.shape[a] for a in theirs]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            f"{name}: axes {ours} of {left.shape} have sizes {sizes[0]}, "
            f"axes {theirs} of {right.shape} have sizes {sizes[1]}",
            fix="as many axes of both must meet, and in the same sizes",
        )
    if left.ndim + right.ndim > len(ascii_letters):
        raise ShapeError(f"{name}: more axes than there are letters", fix="reshape to fewer axes")
    first, second = list(ascii_letters[: left.ndim]), list(ascii_letters[left.ndim :][: right.ndim])
    for a, b in zip(ours, theirs, strict=True):
        second[b] = first[a]
    out = "".join(c for c in (*first, *second) if (c in first) != (c in second))
    return apply(Einsum, (left, right), {"subscripts": f"{''.join(first)},{''.join(second)}->{out}"})


def _several(name: str, node: Node, axes: Any) -> Axes:
    given = tuple(cast("Iterable[int]", axes)) if isinstance(axes, Iterable) else (axes,)
    normalize_axes(name, given, node.ndim)  # each exists, and once
    return tuple(normalize_axis(name, a, node.ndim) for a in given)


def vecdot(x: Operand[N], y: Operand[N], /, *, axis: int = -1) -> N:
    """Multiply and sum along one axis: dot products of vectors.

    Args:
        x, y: numbers, of one size along ``axis``; the other axes broadcast.
        axis: the vectors' axis, counted from the end, before broadcasting.

    Returns:
        The broadcast shape without ``axis``. Units of ``x`` times units of ``y``.

    Raises:
        ShapeError: the vectors differ in size, or the other axes do not broadcast.

    Example:
        >>> vecdot([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0]).tolist()
        [3.0, 7.0]
    """
    left, right = as_nodes("vecdot", x, y)
    promote("vecdot", left.dtype, right.dtype)
    places = [normalize_axis("vecdot", axis, n.ndim) for n in (left, right)]
    sizes = [n.shape[a] for n, a in zip((left, right), places, strict=True)]
    if sizes[0] != sizes[1]:
        raise ShapeError(
            f"vecdot: vectors along axis {axis} of {left.shape} and {right.shape} have sizes "
            f"{sizes[0]} and {sizes[1]}",
            fix="make the two sizes equal",
        )
    left, right = (moveaxis(n, a, -1) for n, a in zip((left, right), places, strict=True))
    return einsum("...i,...i->...", left, right)


def dot(x: Operand[N], y: Operand[N], /) -> N:
    """Multiply as ``np.dot`` does: numbers, vectors, matrices; prefer :func:`matmul` for batches.

    Args:
        x: numbers; its last axis is summed.
        y: numbers; its second-to-last axis is summed, or its only one.

    Returns:
        The other axes of ``x``, then those of ``y``; the plain product if either is 0-dimensional.

    Raises:
        ShapeError: the summed axes differ in size.

    Example:
        >>> dot([1.0, 2.0], [3.0, 4.0]).item()
        11.0
    """
    left, right = as_nodes("dot", x, y)
    if not left.ndim or not right.ndim:
        return multiply(left, right)
    if left.ndim <= 2 and right.ndim <= 2:
        return matmul(left, right)
    return _sum_over("dot", left, -1, right, max(-2, -right.ndim))


def inner(x: Operand[N], y: Operand[N], /) -> N:
    """Sum products over the last axis of both, as ``np.inner`` does.

    Returns:
        The other axes of ``x``, then those of ``y``; the plain product if either is 0-dimensional.

    Raises:
        ShapeError: the last axes differ in size.

    Example:
        >>> inner([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]]).tolist()
        [11.0, 17.0]
    """
    left, right = as_nodes("inner", x, y)
    if not left.ndim or not right.ndim:
        return multiply(left, right)
    return _sum_over("inner", left, -1, right, -1)


def outer(x: Operand[N], y: Operand[N], /) -> N:
    """Multiply each element of ``x`` by each of ``y``; both are flattened first.

    Returns:
        Shape ``(x.size, y.size)``, in units of ``x`` times units of ``y``.

    Example:
        >>> outer([1.0, 2.0], [3.0, 4.0]).tolist()
        [[3.0, 4.0], [6.0, 8.0]]
    """
    left, right = as_nodes("outer", x, y)
    promote("outer", left.dtype, right.dtype)
    return multiply(reshape(left, (left.size, 1)), reshape(right, (1, right.size)))


def trace(x: Operand[N], /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> N:
    """Sum the diagonal of matrices.

    Args:
        x: numbers, shape ``(*batch, m, n)``.
        offset: which diagonal; above the main one if positive, below if negative.
        axis1, axis2: the axes of the matrices; the last two as in the array API standard, where NumPy's
            default is the first two.

    Returns:
        Shape ``(*batch,)``, in the units of ``x``.

    Raises:
        ShapeError, AxisError: fewer than two axes.

    Example:
        >>> trace([[1.0, 2.0], [3.0, 4.0]]).item()
        5.0
    """
    return sum(diagonal(as_node(x), offset=offset, axis1=axis1, axis2=axis2), axis=-1)
