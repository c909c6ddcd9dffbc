"""A classifier for the digits that travel with the package, with all that trains it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from chainrule import optim
from chainrule.data import Dataset, digits
from chainrule.models.mlp import mlp
from chainrule.nn import Sequential, softmax_cross_entropy
from chainrule.ops import random, relu


class Recipe(NamedTuple):
    """Arguments for ``cr.train.fit(model, data, loss, optimizer, **settings)``."""

    model: Sequential
    data: Dataset
    loss: Callable[[Any, Any], Any]
    optimizer: optim.Optimizer
    settings: dict[str, Any]


def digits_classifier(seed: int = 0) -> Recipe:
    """A network of one hidden layer that learns to read handwritten digits in a second or two.

    Args:
        seed: of the first weights and the order of the examples.

    Example:
        >>> digits_classifier().model.summary().total
        9610
    """
    weights, order = random.split(random.key(seed))
    return Recipe(
        mlp((64, 128, 10), relu, key=weights),
        digits(),
        softmax_cross_entropy,
        optim.adam(3e-3),
        {"epochs": 30, "batch_size": 64, "key": order},
    )
