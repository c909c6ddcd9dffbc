"""What is measured beside the loss: functions of a model's output and the targets that give one number.

They are computed within the step, so they are written in operations of chainrule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from chainrule.ops import argmax, astype, equal, mean
from chainrule.shapes import float32
from chainrule.tensor import Tensor

Metrics: TypeAlias = Mapping[str, Callable[[Any, Any], Any]]


def accuracy(scores: Any, labels: Any) -> Tensor:
    """Share of examples whose highest score is that of the right class.

    Args:
        scores: shape ``(*batch, classes)``.
        labels: integers, shape ``(*batch,)``.

    Example:
        >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1]).item()
        0.5
    """
    return mean(astype(equal(argmax(scores, axis=-1), labels), float32))
