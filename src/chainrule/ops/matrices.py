"""What functions of square matrices have in common: their shapes, and the work of an elimination.

The last two axes are the matrix, those before them are batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.batching import stacks
from chainrule.primitive import (
    Array,
    Cost,
    Example,
    HasSpec,
    PerElement,
    Primitive,
    moved_bytes,
)
from chainrule.shapes import (
    FLOATS,
    DType,
    Shape,
    count,
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
        require_square(cls.name, shape, dtype)
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
        products, divisions = elimination(n)
        return PerElement(products + divisions, products + n, n)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for shape in ((3, 3), (2, 1, 2, 2), (1, 1), (2, 0, 0), (0, 2, 2)):
            yield Example((regular(rng, shape),))


def elimination(n: int) -> tuple[int, int]:
    """Products, each with a difference, and divisions that turn n rows into two triangles."""
    return (n - 1) * n * (2 * n - 1) // 6, n * (n - 1) // 2


def regular(rng: np.random.Generator, shape: Shape) -> Array:
    """Matrices far from singular."""
    return np.asarray(rng.uniform(-1.0, 1.0, shape)) + (shape[-1] + 0.5) * np.eye(shape[-1])


def require_square(name: str, shape: Shape, dtype: DType) -> None:
    require_dtype(name, dtype, FLOATS)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(
            f"{name}: expected square matrices, shape (*batch, n, n), got {shape}",
            fix="the last two axes must have one size",
        )
