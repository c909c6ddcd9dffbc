"""A small transformer that predicts the next item of a sequence."""

from __future__ import annotations

import functools
from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn import Dropout, Embedding, LayerNorm, Linear, Module, MultiHeadAttention
from chainrule.nn.arguments import as_size
from chainrule.nn.training import Training
from chainrule.node import as_node
from chainrule.ops import gelu, matmul, matrix_transpose, random
from chainrule.shapes import as_share
from chainrule.tensor import Tensor

_SPREAD = 0.02
"""Standard deviation of the first weights (GPT-2's)."""


class DecoderBlock(Module):
    """Attention to what came before, then a layer of four times the width, each added to its input.

    Both see a normalized input; what is added up along the blocks is never normalized itself ("pre-norm").

    Args:
        width: features of each place.
        heads: of the attention.
        dropout: rate at which what is added, and attention weights, are dropped in training.
        spread: standard deviation of the first weights of what is added.
        key: for the weights.
    """

    def __init__(self, width: int, heads: int, dropout: float, spread: float, key: Tensor) -> None:
        usual, last = (functools.partial(random.normal, std=s) for s in (_SPREAD, spread))
        keys = random.split(key, 4)
        self.attention_norm = LayerNorm(width)
        self.attention = MultiHeadAttention(
            width, heads, causal=True, dropout=dropout, key=keys[0], initializer=usual
        )
        self.attention.output = Linear(width, width, key=keys[1], initializer=last)
        self.mlp_norm = LayerNorm(width)
        self.expand = Linear(width, 4 * width, key=keys[2], initializer=usual)
        self.contract = Linear(4 * width, width, key=keys[3], initializer=last)
        self.dropout = Dropout(dropout) if dropout else None

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Shape ``(*batch, time, width)`` to the same."""
        x = x + self._dropped(self.attention(self.attention_norm(x), training), training)
        return x + self._dropped(self.contract(gelu(self.expand(self.mlp_norm(x)))), training)

    def _dropped(self, y: Tensor, training: Training | None) -> Tensor:
        return y if self.dropout is None else self.dropout(y, training)


class Transformer(Module):
    """A decoder-only transformer; made by :func:`transformer`.

    Attributes:
        tokens: a vector for each item, ``(vocabulary, width)``; the scores are products with them too.
        positions: a vector for each place, ``(context, width)``.
        blocks: one after the other.
        norm: before the scores.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        heads: int,
        layers: int,
        context: int,
        dropout: float,
        key: Tensor,
    ) -> None:
        first, second, *keys = random.split(key, 2 + layers)
        usual = functools.partial(random.normal, std=_SPREAD)
        self.tokens = Embedding(vocabulary, width, key=first, initializer=usual)
        self.positions = Embedding(context, width, key=second, initializer=usual)
        # Each block adds twice: so the sum of all has the spread of one.
        spread = _SPREAD / (2 * layers) ** 0.5
        self.blocks = [DecoderBlock(width, heads, dropout, spread, own) for own in keys]
        self.norm = LayerNorm(width)
        self.dropout = Dropout(dropout) if dropout else None

    def __call__(self, ids: Any, training: Training | None = None) -> Tensor:
        """Scores for what comes after each place.

        Args:
            ids: integers from 0 to ``vocabulary - 1``, shape ``(*batch, time)``, at most ``context`` of them in a row.
            training: the pass, while the model is trained.

        Returns:
            Shape ``(*batch, time, vocabulary)``; place t depends on the ids up to t alone.

        Raises:
            ShapeError: longer sequences than ``context``, or no axis of time.
            AxisError: an id is negative or too large.
            DTypeError: ``ids`` are not integers.
        """
        ids = as_node(ids)
        context = self.positions.weight.shape[0]
        if not ids.ndim or ids.shape[-1] > context:
            raise ShapeError(
                f"Transformer: expected ids (*batch, time) with at most {context} in a row, got shape {ids.shape}",
                fix="cut them: ids[..., -context:]"
                if ids.ndim
                else "one item is a sequence of one: ids[None]",
            )
        y: Any = self.tokens(ids) + self.positions.weight[: ids.shape[-1]]
        if self.dropout is not None:
            y = self.dropout(y, training)
        for block in self.blocks:
            y = block(y, training)
        return matmul(self.norm(y), matrix_transpose(self.tokens.weight))


def transformer(
    vocabulary: int,
    width: int,
    heads: int,
    layers: int,
    context: int,
    *,
    key: Tensor,
    dropout: float = 0.0,
) -> Transformer:
    """A transformer that reads a sequence and scores what comes next, as GPT-2 is built.

    Learned positions, normalization before each part, layers of four times the width with GELU, and scores by the same
    vectors that items come in with. It has ``(vocabulary + context + 2) * width + layers * (12 * width² + 13 * width)``
    parameters: 124,439,808 in the size of the smallest GPT-2, ``transformer(50257, 768, 12, 12, 1024, key=key)``.

    Args:
        vocabulary: how many different items there are.
        width: features of each place.
        heads: of each attention; they divide ``width``.
        layers: number of blocks.
        context: the longest sequence.
        key: for the weights.
        dropout: rate in [0, 1), for training.

    Returns:
        Maps ids ``(*batch, time)`` to scores ``(*batch, time, vocabulary)``.

    Raises:
        ArgumentError: a number out of its range, or heads that do not divide the width.

    Example:
        >>> model = transformer(65, 32, 4, 2, 16, key=cr.random.key(0))
        >>> model(np.zeros((3, 16), np.int64)).shape, model.summary().total
        ((3, 16, 65), 28064)

    Source: Vaswani et al., NeurIPS 2017, arXiv:1706.03762; Radford et al., Language Models are Unsupervised Multitask
    Learners, 2019.
    """
    sizes = {"width": width, "heads": heads, "layers": layers, "context": context, "vocabulary": vocabulary}
    whole = {what: as_size("transformer", what, value) for what, value in sizes.items()}
    return Transformer(**whole, dropout=as_share("transformer", "dropout", dropout, like="0.1"), key=key)
