"""Linear algebra on batches of matrices: systems, inverses, Cholesky factors.

The last two axes are the matrix, those before them are batches. ``cholesky`` is a function of the symmetric
part of its input, so its gradient is symmetric.

Source: Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation, LNCSE 64, 2008, 35-44, DOI 10.1007/978-3-540-68942-3_4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np

from chainrule.errors import ArgumentError, ChainruleError, ShapeError
from chainrule.node import N, Node, Operand, apply, as_node, as_nodes, constant
from chainrule.ops.arithmetic import add, multiply, negative, subtract
from chainrule.ops.batching import items_in, merged, ranks_of, split_off, with_rank
from chainrule.ops.function import unary
from chainrule.ops.matmul import matmul
from chainrule.ops.matrices import OfMatrix, elimination, regular, require_square
from chainrule.ops.move import matrix_transpose, reshape
from chainrule.primitive import (
    Array,
    Cost,
    Custom,
    Example,
    HasSpec,
    Partial,
    PerElement,
    moved_bytes,
    register,
)
from chainrule.shapes import (
    DType,
    Shape,
    as_flag,
    broadcast,
    count,
    promote,
)


def _singular(name: str, x: Any) -> ChainruleError:
    n = x.shape[-1]
    return ArgumentError(
        f"{name}: matrix is singular{_where(x, np.linalg.slogdet(x)[0] == 0)}",
        fix=f"look for rows that are zero or follow from others; x + 1e-6 * cr.eye({n}) is often regular",
    )


def _where(x: Any, bad: Any) -> str:
    """In words, which matrix of a batch is bad."""
    found = np.argwhere(bad)
    return f" at batch index {tuple(map(int, found[0]))}" if x.ndim > 2 and len(found) else ""


def _solve(a: Any, b: Any) -> Array:
    try:
        z = cast("Array", np.linalg.solve(a, b))
    except np.linalg.LinAlgError:
        raise _singular("solve", a) from None
    return z


@register
class Solve(Custom):
    """``x`` such that ``a @ x = b``; the batch axes broadcast."""

    name, label, latex = "solve", "solve", "{0}^{{-1}} {1}"
    evaluate = staticmethod(_solve)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        a, b = xs
        dtype = promote("solve", a.dtype, b.dtype)
        require_square("solve", a.shape, dtype)
        if len(b.shape) < 2 or b.shape[-2] != a.shape[-1]:
            raise _unequal_rows(a.shape, b.shape)
        return (*broadcast("solve: batch axes", a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), dtype

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        a, (da, db) = xs[0], tangents
        if da is None:
            return None if db is None else solve(a, db)
        moved = matmul(da, y)
        return solve(a, negative(moved) if db is None else subtract(db, moved))

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        pulled: Any = solve(matrix_transpose(xs[0]), g)
        return (lambda: negative(matmul(pulled, matrix_transpose(y))), pulled)

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        a, b = xs
        if (
            not batched[0] and a.ndim == 2 and b.ndim == 3
        ):  # one factorization for all: the items are further columns
            return split_off(apply(Solve, (a, merged(b, 1))), 1, items_in(xs, batched))
        rank = max(ranks_of(xs, batched))
        return apply(Solve, tuple(with_rank(x, rank) if f else x for x, f in zip(xs, batched, strict=True)))

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, **params: Any) -> Cost:
        n, columns, systems = shape[-2], shape[-1], count(shape[:-2])
        each = _solution(n, columns)
        return Cost(
            systems * each.multiplications, systems * each.additions, bytes=moved_bytes(xs, shape, dtype)
        )

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for a, b in (
            ((3, 3), (3, 2)),
            ((2, 1, 2, 2), (3, 2, 4)),
            ((2, 2), (3, 2, 1)),
            ((2, 0, 0), (2, 0, 3)),
            ((0, 2, 2), (2, 3)),
        ):
            yield Example((regular(rng, a), np.asarray(rng.normal(size=b))))


def _solution(n: int, columns: int) -> PerElement:
    """Work for the solution of one system: elimination, and both triangles for each right side."""
    products, divisions = elimination(n)
    return PerElement(products + divisions + columns * n * n, products + columns * n * (n - 1))


def _unequal_rows(a: Shape, b: Shape) -> ShapeError:
    return ShapeError(
        f"solve: cannot solve {a} for right sides {b}: expected {a[-1]} rows",
        fix=f"give the right sides as columns, shape (*batch, {a[-1]}, k), or as one vector ({a[-1]},)",
    )


def _inverse(x: Any) -> Array:
    try:
        y = cast("Array", np.linalg.inv(x))
    except np.linalg.LinAlgError:
        raise _singular("inv", x) from None
    return y


@register
class Inverse(OfMatrix, Custom):
    """Inverse of square matrices; to solve systems use :func:`solve`, which is faster and more accurate.

    Args:
        x: floats, shape ``(*batch, n, n)``.

    Returns:
        Shape ``(*batch, n, n)``, in the inverse of the units of ``x``.

    Raises:
        ArgumentError: a matrix is singular.
        ShapeError: the matrices are not square.
        DTypeError: integers.

    Example:
        >>> inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """

    name, label, latex = "inv", "inv", "{0}^{{-1}}"
    evaluate = staticmethod(_inverse)
    gives_matrix = True

    @classmethod
    def work(cls, n: int) -> PerElement:
        return _solution(n, n)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,) = tangents
        return None if t is None else negative(matmul(matmul(y, t), y))

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        turned = matrix_transpose(y)
        return (negative(matmul(matmul(turned, g), turned)),)


def _cholesky(x: Any) -> Array:
    symmetric = (x + np.swapaxes(x, -1, -2)) * x.dtype.type(0.5)
    try:
        y = cast("Array", np.linalg.cholesky(symmetric))
    except np.linalg.LinAlgError:
        raise _not_positive(symmetric) from None
    return y


def _not_positive(x: Any) -> ArgumentError:
    finite = np.isfinite(x).all(axis=(-1, -2))
    if not finite.all():
        return ArgumentError(
            f"cholesky: matrix has nan or inf{_where(x, ~finite)}", fix="look for the step that made them"
        )
    lowest = np.linalg.eigvalsh(x)[..., 0]
    least = float(np.min(lowest))
    return ArgumentError(
        f"cholesky: matrix is not positive definite{_where(x, lowest == np.min(lowest))}: "
        f"its smallest eigenvalue is {least:.3g}",
        fix=f"add more than {0.0 - least:.3g} to the diagonal: x + c * cr.eye({x.shape[-1]})",
    )


@register
class Cholesky(OfMatrix, Custom):
    """Lower triangular ``L`` with ``L @ L.mT`` equal to the symmetric part of the input."""

    name, label, latex = "cholesky", "chol", r"\operatorname{{chol}} {0}"
    evaluate = staticmethod(_cholesky)
    gives_matrix = True

    @classmethod
    def work(cls, n: int) -> PerElement:
        products = (n - 1) * n * (n + 1) // 6
        symmetric = n * n
        return PerElement(symmetric + products + n * (n - 1) // 2, symmetric + products, n)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,) = tangents
        return None if t is None else matmul(y, _lower(_congruent(y, _symmetric(t))))

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        turned = matrix_transpose(y)
        return (_symmetric(_congruent(turned, _lower(matmul(turned, g)))),)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for example in super().examples(rng):
            (x,) = example.inputs
            yield Example((x @ np.swapaxes(x, -1, -2),))


def _symmetric(x: Node) -> Any:
    return multiply(add(x, matrix_transpose(x)), 0.5)


def _lower(x: Node) -> Any:
    """Lower triangle with half the diagonal: written Φ in the literature."""
    n = x.shape[-1]
    return x * constant(np.tril(np.ones((n, n))) - 0.5 * np.eye(n), x.dtype)


def _congruent(a: Node, x: Node) -> Node:
    """``inv(a) @ x @ inv(a).mT``."""
    left = solve(a, x)
    return matrix_transpose(solve(a, matrix_transpose(left)))


def solve(x: Operand[N], y: Operand[N], /) -> N:
    """Solve linear systems: the array ``z`` with ``x @ z = y``.

    Args:
        x: floats, shape ``(*batch, n, n)``.
        y: floats, one vector ``(n,)``, or columns ``(*batch, n, k)``; the batch axes broadcast.

    Returns:
        Shape ``(*batch, n)`` for a vector, else ``(*batch, n, k)``; units of ``y`` per unit of ``x``.

    Raises:
        ArgumentError: a matrix is singular.
        ShapeError: the matrices are not square, or the rows of ``y`` are not ``n``.
        DTypeError: integers.

    Example:
        >>> solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).tolist()
        [1.0, 0.5]
    """
    a, b = as_nodes("solve", x, y)
    if b.ndim != 1:
        return apply(Solve, (a, b))
    if a.ndim and a.shape[-1] != b.shape[0]:
        raise _unequal_rows(a.shape, b.shape)
    column = apply(Solve, (a, reshape(b, (*b.shape, 1))))
    return reshape(column, column.shape[:-1])


inv = unary(Inverse)


def cholesky(x: Operand[N], /, *, upper: bool = False) -> N:
    """Factor symmetric positive definite matrices: ``x = L @ L.mT``.

    Args:
        x: floats, shape ``(*batch, n, n)``. Its symmetric part ``(x + x.mT) / 2`` is what is factored, so
            gradients are symmetric.
        upper: give ``L.mT`` instead.

    Returns:
        The lower triangular ``L``, shape ``(*batch, n, n)``.

    Raises:
        ArgumentError: a matrix is not positive definite; the smallest eigenvalue is named.
        ShapeError: the matrices are not square.
        DTypeError: integers.

    Example:
        >>> cholesky([[4.0, 2.0], [2.0, 2.0]]).tolist()
        [[2.0, 0.0], [1.0, 1.0]]

    Source: Murray, Differentiation of the Cholesky decomposition, arXiv:1602.07527.
    """
    factor = apply(Cholesky, (as_node(x),))
    return matrix_transpose(factor) if as_flag("cholesky", "upper", upper) else factor
