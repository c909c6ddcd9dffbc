"""Vectors for things that have a number instead of features: characters, words, positions."""

from __future__ import annotations

from typing import Any

from chainrule.errors import DTypeError
from chainrule.nn.arguments import as_floating, as_size
from chainrule.nn.init import Initializer
from chainrule.nn.module import Module
from chainrule.node import as_node
from chainrule.ops import random, take
from chainrule.ops.index import numbered
from chainrule.shapes import INTS, float32
from chainrule.tensor import Tensor, tensor


class Embedding(Module):
    """A learned vector for each of a number of things: ``y = weight[ids]``.

    Args:
        vocabulary: how many things there are.
        features: size of a vector.
        key: for the weights, from ``cr.random.key``.
        initializer: ``(key, shape, dtype) -> weights``; by default normal numbers of standard deviation 1.
        dtype: float32 or float64.

    Attributes:
        weight: shape ``(vocabulary, features)``.

    Raises:
        ArgumentError: a size below 1.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> layer = Embedding(26, 8, key=cr.random.key(0))
        >>> layer([[7, 8], [0, 25]]).shape
        (2, 2, 8)

    Source: Bengio, Ducharme, Vincent and Jauvin, Journal of Machine Learning Research 3, 2003, 1137-1155.
    """

    def __init__(
        self,
        vocabulary: int,
        features: int,
        *,
        key: Tensor,
        initializer: Initializer = random.normal,
        dtype: Any = float32,
    ) -> None:
        rows, columns = (
            as_size("Embedding", "vocabulary", vocabulary),
            as_size("Embedding", "features", features),
        )
        chosen = as_floating(dtype)
        weight = initializer(key, (rows, columns), chosen)
        self.weight = tensor(weight, dtype=chosen, requires_grad=True, name="weight")

    def __call__(self, ids: Any) -> Tensor:
        """Look up.

        Args:
            ids: integers from 0 to ``vocabulary - 1``, shape ``(*n,)``.

        Returns:
            Shape ``(*n, features)``.

        Raises:
            AxisError: an id is negative or too large.
            DTypeError: ``ids`` are not integers.
        """
        rows, count = as_node(ids), self.weight.shape[0]
        if rows.dtype not in INTS:
            raise DTypeError(
                f"Embedding: ids must be integers, got {rows.spec}", fix="convert: ids.astype(np.int64)"
            )
        wrong, fix = f"Embedding: id {{}} is not one of {count}", f"number them 0 .. {count - 1}"
        return take(
            self.weight, numbered(rows, count, wrong, fix, ", or make the layer with vocabulary={}"), axis=0
        )
