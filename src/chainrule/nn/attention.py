"""Attention: each place of a sequence takes a weighted mean of others, with weights that depend on what is there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn.arguments import as_features, as_size
from chainrule.nn.dropout import Dropout
from chainrule.nn.init import Initializer, glorot_uniform
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.training import Training
from chainrule.node import as_node
from chainrule.ops import expand_dims, matmul, matrix_transpose, random, softmax, swapaxes, where
from chainrule.shapes import as_flag, as_share, bool_, float32
from chainrule.tensor import Tensor


def attention_weights(query: Any, key: Any, *, causal: bool = False, mask: Any = None) -> Tensor:
    """How much of each key's value a query takes: ``softmax(query @ key.mT / sqrt(size))``.

    Args:
        query: floats, shape ``(*batch, queries, size)``.
        key: floats, shape ``(*batch, keys, size)``.
        causal: whether a query sees only keys up to its own place; then there are as many of both.
        mask: booleans that broadcast to ``(*batch, queries, keys)``, True where a query may look (as in torch's
            ``scaled_dot_product_attention``; the masks of its ``MultiheadAttention`` say the opposite).

    Returns:
        Shape ``(*batch, queries, keys)``; rows sum to 1, but for those of queries that may look nowhere: they are 0.

    Raises:
        ShapeError: sizes differ, a mask that does not broadcast, or causal with other keys than queries.
        DTypeError: not floats, or a mask that is not boolean.

    Example:
        >>> attention_weights(np.ones((3, 2)), np.ones((3, 2)), causal=True)[1].tolist()
        [0.5, 0.5, 0.0]

    Source: Vaswani et al., NeurIPS 2017, section 3.2.1, arXiv:1706.03762.
    """
    q, k = as_features("attention", query), as_features("attention", key)
    causal = as_flag("attention", "causal", causal)
    if q.ndim < 2 or k.ndim < 2 or q.shape[-1] != k.shape[-1]:
        raise ShapeError(
            f"attention: expected (*batch, queries, size) and (*batch, keys, size), got {q.shape} and {k.shape}",
            fix="queries and keys are of one size, their last axis",
        )
    scores: Any = matmul(q * (1 / math.sqrt(max(q.shape[-1], 1))), matrix_transpose(k))
    earlier = _up_to_its_own(*scores.shape[-2:]) if causal else None
    if mask is None:
        return softmax(scores if earlier is None else where(earlier, scores, -np.inf), axis=-1)
    seen = _as_mask(mask, scores.shape)
    seen = seen if earlier is None else seen & earlier
    # Where all of a row is hidden there is no softmax: it gets one of all keys, which is not taken.
    some = seen.any(axis=-1, keepdims=True)
    return where(some, softmax(where(seen | ~some, scores, -np.inf), axis=-1), 0.0)


def _up_to_its_own(queries: int, keys: int) -> Any:
    if queries != keys:
        raise ShapeError(
            f"attention: causal needs as many keys as queries, got {queries} queries and {keys} keys",
            fix="pass a mask that says which key each query sees",
        )
    return np.tri(queries, dtype=bool)


def _as_mask(mask: Any, shape: tuple[int, ...]) -> Any:
    node = as_node(mask)
    if node.dtype != bool_:
        raise DTypeError(
            f"attention: mask must hold booleans, got {node.spec}",
            fix="True where a query may look at a key: mask != 0",
        )
    lacking = len(shape) - node.ndim
    if lacking < 0 or any(n not in (1, m) for n, m in zip(node.shape, shape[lacking:], strict=True)):
        raise ShapeError(
            f"attention: a mask of shape {node.shape} does not broadcast to {shape}",
            fix="its last axes are queries and keys; mask[:, None, :] hides keys from all queries",
        )
    return node


class MultiHeadAttention(Module):
    """Attention by several heads at once, each with its own part of the features.

    Args:
        features: size of the last axis of input and output.
        heads: how many; they divide ``features``.
        key: for the weights, from ``cr.random.key``; biases start at 0.
        causal: whether a place sees only itself and those before it.
        bias: whether queries, keys, values and the output have biases.
        dropout: rate at which attention weights are dropped while it is trained, in [0, 1).
        initializer: ``(key, shape, dtype) -> weights``.
        dtype: float32 or float64.

    Attributes:
        queries, keys, values, output: a `Linear` layer each, ``features`` to ``features``. Head h has the h-th part of
            the columns.

    Raises:
        ArgumentError: a number out of its range, or heads that do not divide the features.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> layer = MultiHeadAttention(16, 4, causal=True, key=cr.random.key(0))
        >>> layer(np.ones((2, 10, 16), np.float32)).shape, layer.summary().total
        ((2, 10, 16), 1088)

    Source: Vaswani et al., NeurIPS 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        *,
        key: Tensor,
        causal: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        initializer: Initializer = glorot_uniform,
        dtype: Any = float32,
    ) -> None:
        name = "MultiHeadAttention"
        size, self.heads = as_size(name, "features", features), as_size(name, "heads", heads)
        if size % self.heads:
            raise ArgumentError(
                f"{name}: {self.heads} heads do not divide {size} features",
                fix=f"pass a number of heads that does, such as {math.gcd(self.heads, size)}",
            )
        self.queries, self.keys, self.values, self.output = (
            Linear(size, size, key=own, bias=bias, initializer=initializer, dtype=dtype)
            for own in random.split(key, 4)
        )
        self.causal = as_flag(name, "causal", causal)
        self.dropout = Dropout(rate) if (rate := as_share(name, "dropout", dropout, like="0.1")) else None

    def __call__(
        self, x: Any, training: Training | None = None, *, memory: Any = None, mask: Any = None
    ) -> Tensor:
        """Apply the layer.

        Args:
            x: shape ``(*batch, time, features)``, floats.
            training: the pass, while the layer is trained.
            memory: another sequence to look at, ``(*batch, keys, features)``; None for ``x`` itself.
            mask: booleans, True where a place may look; they broadcast to ``(*batch, time, keys)``. A place that may
                look nowhere gets zeros (and the output's bias).

        Returns:
            Shape ``(*batch, time, features)``.

        Raises:
            ShapeError: another number of features, no axis of time, or a mask that does not broadcast.
            DTypeError: ``x`` does not hold floats, or the mask not booleans.
        """
        x = _as_sequence("MultiHeadAttention", x)
        source = x if memory is None else _as_sequence("MultiHeadAttention", memory)
        q, k, v = (
            self._split(part(of))
            for part, of in ((self.queries, x), (self.keys, source), (self.values, source))
        )
        if mask is not None:
            mask = as_node(mask)
            mask = expand_dims(mask, axis=-3) if mask.ndim > 2 else mask  # the same for all heads
        weights: Any = attention_weights(q, k, causal=self.causal, mask=mask)
        if self.dropout is not None:
            weights = self.dropout(weights, training)
        seen = swapaxes(matmul(weights, v), -3, -2)
        return self.output(seen.reshape((*seen.shape[:-2], seen.shape[-2] * seen.shape[-1])))

    def _split(self, x: Any) -> Any:
        """Shape ``(*batch, time, features)`` to ``(*batch, heads, time, features / heads)``."""
        return swapaxes(x.reshape((*x.shape[:-1], self.heads, x.shape[-1] // self.heads)), -3, -2)


def _as_sequence(name: str, x: Any) -> Any:
    """Return the input of a layer as a sequence of features, ``(*batch, time, features)``, floating."""
    node = as_features(name, x)
    if node.ndim < 2:
        raise ShapeError(
            f"{name}: expected (*batch, time, features), got shape {node.shape}",
            fix="a sequence of one is x[None]",
        )
    return node
