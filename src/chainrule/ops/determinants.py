"""Determinants of batches of matrices, their signs, logarithms and cofactors.

The last two axes are the matrix, those before them are batches.

Source: Giles, Collected matrix derivative results for forward and reverse mode algorithmic
differentiation, LNCSE 64, 2008, 35-44, DOI 10.1007/978-3-540-68942-3_4.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, cast

import numpy as np

from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.arithmetic import scale
from chainrule.ops.einsum import einsum
from chainrule.ops.factor import inv
from chainrule.ops.function import unary
from chainrule.ops.matmul import matmul
from chainrule.ops.matrices import OfMatrix, require_square
from chainrule.ops.move import matrix_transpose, reshape
from chainrule.primitive import (
    Array,
    Custom,
    Discrete,
    Partial,
    PerElement,
    register,
)


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


det = unary(Det)
cofactor = unary(Cofactor)


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
    require_square("slogdet", node.shape, node.dtype)
    return SlogDet(apply(DetSign, (node,)), apply(LogAbsDet, (node,)))
