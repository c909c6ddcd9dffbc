"""A recurrent network that predicts the next item of a sequence."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError, ShapeError, StructureError, shown
from chainrule.nn import GRU, LSTM, RNN, Dropout, Embedding, Linear, Module, Recurrent, lecun_normal
from chainrule.nn.arguments import as_size
from chainrule.nn.training import Training
from chainrule.node import as_node
from chainrule.ops import random
from chainrule.shapes import as_share
from chainrule.tensor import Tensor

CELLS = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
"""Recurrent layers by the name of their cell."""


class CharRNN(Module):
    """Recurrent layers between vectors for items and scores for the next one; made by :func:`char_rnn`.

    Attributes:
        tokens: a vector for each item, ``(vocabulary, width)``.
        layers: recurrent layers of ``width`` units, one after the other.
        head: from the last one's output to scores.
    """

    def __init__(
        self, vocabulary: int, width: int, cell: str, layers: int, dropout: float, key: Tensor
    ) -> None:
        first, last, *keys = random.split(key, 2 + layers)
        self.tokens = Embedding(vocabulary, width, key=first)
        self.layers: list[Recurrent] = [CELLS[cell](width, width, key=own) for own in keys]
        self.head = Linear(width, vocabulary, key=last, initializer=lecun_normal)
        self.dropout = Dropout(dropout) if dropout else None

    def __call__(self, ids: Any, training: Training | None = None) -> Tensor:
        """Scores for what comes after each time, from a state of zeros on.

        Args:
            ids: integers from 0 to ``vocabulary - 1``, shape ``(batch, time)``.
            training: the pass, while the model is trained.

        Returns:
            Shape ``(batch, time, vocabulary)``; time t depends on the ids up to t alone.

        Raises:
            ShapeError: ids of another shape.
            AxisError: an id is negative or too large.
            DTypeError: ``ids`` are not integers.
        """
        return self.run(ids, training=training)[0]

    def run(self, ids: Any, state: Any = None, training: Training | None = None) -> tuple[Tensor, Any]:
        """Scores, and the state behind the last item, from which the next call may go on.

        Args:
            ids, training: as for a call.
            state: what an earlier call returned, for a batch of the same size; None for zeros.

        Raises:
            StructureError, ShapeError: a state of another model or batch.
        """
        ids = as_node(ids)
        if ids.ndim != 2:
            raise ShapeError(
                f"CharRNN: expected ids (batch, time), got shape {ids.shape}",
                fix="one sequence is a batch of one: ids[None]",
            )
        states = [None] * len(self.layers) if state is None else state
        if not isinstance(states, list) or len(states) != len(self.layers):
            raise StructureError(
                f"CharRNN: expected a list of {len(self.layers)} states, got {shown(state)}",
                fix="pass the state that model.run returned",
            )
        y, left = self.tokens(ids), []
        for layer, before in zip(self.layers, states, strict=True):
            y, after = layer(y, before)
            y = y if self.dropout is None else self.dropout(y, training)
            left.append(after)
        return self.head(y), left


def char_rnn(
    vocabulary: int,
    width: int,
    cell: str = "lstm",
    layers: int = 1,
    *,
    key: Tensor,
    dropout: float = 0.0,
) -> CharRNN:
    """A recurrent network that reads a sequence, such as the characters of a text, and scores what comes next.

    Args:
        vocabulary: how many different items there are.
        width: features of an item's vector, and units of each layer.
        cell: ``"lstm"``, ``"gru"`` or ``"rnn"``.
        layers: number of recurrent layers.
        key: for the weights.
        dropout: rate in [0, 1) behind each recurrent layer, for training.

    Returns:
        Maps ids ``(batch, time)`` to scores ``(batch, time, vocabulary)``.

    Raises:
        ArgumentError: another cell, or a number out of its range.

    Example:
        >>> model = char_rnn(65, 32, key=cr.random.key(0))
        >>> model(np.zeros((3, 16), np.int64)).shape, model.summary().total
        ((3, 16, 65), 12545)
        >>> scores, state = model.run(np.zeros((3, 4), np.int64))
        >>> model.run(np.ones((3, 4), np.int64), state)[0].shape
        (3, 4, 65)

    Source: Mikolov, Karafiát, Burget, Černocký and Khudanpur, Interspeech 2010, 1045-1048,
    DOI 10.21437/Interspeech.2010-343.
    """
    if not isinstance(cell, str) or cell not in CELLS:
        raise ArgumentError(f"char_rnn: unknown cell {shown(cell)}", fix='choose "lstm", "gru" or "rnn"')
    sizes = {"vocabulary": vocabulary, "width": width, "layers": layers}
    whole = {what: as_size("char_rnn", what, value) for what, value in sizes.items()}
    return CharRNN(**whole, cell=cell, dropout=as_share("char_rnn", "dropout", dropout, like="0.1"), key=key)
