"""Linear algebra on batches of matrices: systems, inverses, determinants, Cholesky factors.

The last two axes are the matrix, those before them are batches. ``cholesky`` is a function of the symmetric
part of its input, so its gradient is symmetric.

Source: Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation, LNCSE 64, 2008, 35-44, DOI 10.1007/978-3-540-68942-3_4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, cast

import numpy as np

from chainrule.errors import ArgumentError, ChainruleError, ShapeError
from chainrule.node import N, Node, Operand, apply, as_node, as_nodes, constant
from chainrule.ops.arithmetic import add, multiply, negative, scale, subtract
from chainrule.ops.batching import items_in, merged, ranks_of, split_off, stacks, with_rank
from chainrule.ops.einsum import einsum
from chainrule.ops.function import unary
from chainrule.ops.matmul import matmul
from chainrule.ops.move import matrix_transpose, reshape
from chainrule.primitive import (
    Array,
    Cost,
    Custom,
    Discrete,
    Example,
    HasSpec,
    Partial,
    PerElement,
    Primitive,
    moved_bytes,
    register,
)
from chainrule.shapes import (
    FLOATS,
    DType,
    Shape,
    as_flag,
    broadcast,
    count,
    promote,
    require_dtype,
)


class OfMatrix(Primitive):
    """What is computed from square matrices alone.

    Attributes:
        gives_matrix: whether each matrix gives a matrix of its size, rather than a number.
    """

    gives_matrix: ClassVar[bool] = False
    batch = classmethod(stacks)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        shape, dtype = xs[0].shape, xs[0].dtype
        _require_square(cls.name, shape, dtype)
        return shape if cls.gives_matrix else shape[:-2], dtype

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, **params: Any) -> Cost:
        matrices = count(xs[0].shape[:-2])
        each = cls.work(xs[0].shape[-1])
        return Cost(
            matrices * each.multiplications,
            matrices * each.additions,
            matrices * each.transcendentals,
            moved_bytes(xs, shape, dtype),
        )

    @classmethod
    def work(cls, n: int) -> PerElement:
        """Work for one matrix of n rows; unless overridden the elimination and the logarithms of its pivots."""
        products, divisions = _elimination(n)
        return PerElement(products + divisions, products + n, n)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for shape in ((3, 3), (2, 1, 2, 2), (1, 1), (2, 0, 0), (0, 2, 2)):
            yield Example((_regular(rng, shape),))


def _elimination(n: int) -> tuple[int, int]:
    """Products, each with a difference, and divisions that turn n rows into two triangles."""
    return (n - 1) * n * (2 * n - 1) // 6, n * (n - 1) // 2


def _regular(rng: np.random.Generator, shape: Shape) -> Array:
    """Matrices far from singular."""
    return np.asarray(rng.uniform(-1.0, 1.0, shape)) + (shape[-1] + 0.5) * np.eye(shape[-1])


def _require_square(name: str, shape: Shape, dtype: DType) -> None:
    require_dtype(name, dtype, FLOATS)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(
            f"{name}: expected square matrices, shape (*batch, n, n), got {shape}",
            fix="the last two axes must have one size",
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
        _require_square("solve", a.shape, dtype)
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
            yield Example((_regular(rng, a), np.asarray(rng.normal(size=b))))


def _solution(n: int, columns: int) -> PerElement:
    """Work for the solution of one system: elimination, and both triangles for each right side."""
    products, divisions = _elimination(n)
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


def _det_sign(x: Any) -> Any:
    return np.linalg.slogdet(x)[0]


def _logabsdet(x: Any) -> Any:
    return np.linalg.slogdet(x)[1]


@register
class DetSign(OfMatrix, Discrete):
    """Sign of the determinant: -1, 0 or 1; its derivative is 0."""

    name, label, latex = "det_sign", "sign det", r"\operatorname{{sign}} \det {0}"
    evaluate = staticmethod(_det_sign)


@register
class LogAbsDet(OfMatrix, Custom):
    """Logarithm of the determinant's absolute value; minus infinity for a singular matrix."""

    name, label, latex = "logabsdet", "log|det|", r"\log \left| \det {0} \right|"
    evaluate = staticmethod(_logabsdet)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,) = tangents
        return None if t is None else einsum("...ij,...ji->...", inv(xs[0]), t)

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        return (_each_matrix(g, matrix_transpose(inv(xs[0]))),)


def _each_matrix(factor: Node, x: Any) -> Any:
    """Each matrix of ``x`` times the number of its own in ``factor``."""
    return scale(reshape(factor, (*factor.shape, 1, 1)), x)


@register
class Det(OfMatrix, Custom):
    """Determinant of square matrices; its gradient is right for singular matrices too.

    The determinant of a large matrix overflows easily: :func:`slogdet` does not.

    Args:
        x: floats, shape ``(*batch, n, n)``.

    Returns:
        Shape ``(*batch,)``, in the units of ``x`` to the power ``n``.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: integers.

    Example:
        >>> det([[1.0, 2.0], [2.0, 4.0]]).item()
        0.0
    """

    name, label, latex = "det", "det", r"\det {0}"
    evaluate = np.linalg.det

    @classmethod
    def work(cls, n: int) -> PerElement:
        logarithm = super().work(n)
        return PerElement(logarithm.multiplications + 1, logarithm.additions, logarithm.transcendentals + 1)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,) = tangents
        return None if t is None else einsum("...ij,...ij->...", cofactor(xs[0]), t)

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        return (_each_matrix(g, cofactor(xs[0])),)


def _cofactor(x: Any) -> Array:
    finite = np.isfinite(x).all(axis=(-1, -2))[..., None, None]
    u, s, vh = np.linalg.svd(np.where(finite, x, 0))
    one = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate((one, s[..., :-1]), -1), -1)
    after = np.cumprod(np.concatenate((one, s[..., :0:-1]), -1), -1)[..., ::-1]
    sign_of_basis = np.linalg.det(u) * np.linalg.det(vh)
    others = sign_of_basis[..., None] * before * after
    return cast("Array", np.where(finite, (u * others[..., None, :]) @ vh, x.dtype.type(np.nan)))


@register
class Cofactor(OfMatrix, Custom):
    """Matrix of cofactors, ``det(x) * inv(x).mT``: the derivative of the determinant.

    It exists for singular matrices too, and is computed from singular values, without division. Its own
    derivative needs the inverse, and raises ArgumentError where there is none.

    Args:
        x: floats, shape ``(*batch, n, n)``.

    Returns:
        Shape ``(*batch, n, n)``.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: integers.

    Example:
        >>> np.round(cofactor([[1.0, 2.0], [3.0, 4.0]]).numpy(), 12).tolist()
        [[4.0, -3.0], [-2.0, 1.0]]
    """

    name, label, latex = "cofactor", "cof", r"\operatorname{{cof}} {0}"
    evaluate = staticmethod(_cofactor)
    gives_matrix = True

    @classmethod
    def work(cls, n: int) -> PerElement:
        return PerElement(14 * n**3, 14 * n**3)  # about: singular values are found by iteration

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,), inverse = tangents, inv(xs[0])
        if t is None:
            return None
        relative: Any = matmul(t, inverse)
        return _each_matrix(einsum("...ii->...", relative), y) - matmul(matrix_transpose(relative), y)

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        turned = matrix_transpose(inv(xs[0]))
        pulled: Any = matmul(matmul(y, matrix_transpose(g)), turned)
        return (_each_matrix(einsum("...ij,...ij->...", g, y), turned) - pulled,)


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
det = unary(Det)
cofactor = unary(Cofactor)


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


class SlogDet(NamedTuple, Generic[N]):
    """A determinant as ``sign * exp(logabsdet)``."""

    sign: N
    logabsdet: N


def slogdet(x: Operand[N], /) -> SlogDet[N]:
    """Sign and logarithm of the absolute value of the determinant, which itself may overflow.

    Args:
        x: floats, shape ``(*batch, n, n)``.

    Returns:
        ``sign``, one of -1, 0 and 1, and ``logabsdet``, both of shape ``(*batch,)``. A singular matrix has
        sign 0 and minus infinity; differentiating there raises ArgumentError.

    Raises:
        ShapeError: the matrices are not square.
        DTypeError: integers.

    Example:
        >>> slogdet([[0.0, 1.0], [1.0, 0.0]]).sign.item()
        -1.0
    """
    node = as_node(x)
    _require_square("slogdet", node.shape, node.dtype)
    return SlogDet(apply(DetSign, (node,)), apply(LogAbsDet, (node,)))
