"""Random zeros, against units that rely on each other."""

from __future__ import annotations

from typing import Any

from chainrule.nn.arguments import as_features
from chainrule.nn.module import Module
from chainrule.nn.training import Training
from chainrule.ops import random
from chainrule.shapes import as_share
from chainrule.tensor import Tensor


class Dropout(Module):
    """Sets elements to 0 at random while it is trained, and scales the others so that the mean stays.

    Args:
        rate: probability with which an element is dropped, in [0, 1).

    Raises:
        ArgumentError: ``rate`` out of its range.

    Example:
        >>> layer = Dropout(0.5)
        >>> x = np.ones(5, np.float32)
        >>> layer(x).tolist(), layer(x, cr.nn.Training(cr.random.key(0))).tolist()
        ([1.0, 1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 2.0, 0.0, 0.0])

    Source: Srivastava et al., Journal of Machine Learning Research 15, 2014, 1929-1958.
    """

    trains_differently = True

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = as_share("Dropout", "rate", rate, like="0.5")

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """``x`` of any shape, floats, as it is, or in a training pass with zeros.

        Raises:
            ArgumentError: the pass has no key.
        """
        x = as_features("Dropout", x)
        if training is None or not self.rate:
            return x
        return random.dropout(training.next_key("Dropout"), x, self.rate)
