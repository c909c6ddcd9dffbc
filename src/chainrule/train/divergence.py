"""Which number was the first to be infinite or nan."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import trees
from chainrule.nn import Module
from chainrule.nn.watching import watched
from chainrule.node import Node, as_node
from chainrule.primitive import Array
from chainrule.tensor import no_grad
from chainrule.train.step import both_ways, call_in_training, with_buffers


def first_parameter(model: Any) -> str | None:
    """The path of the first parameter that is not finite; None if all are."""
    pairs = zip(trees.paths(model), trees.leaves(model), strict=True)
    return next((path for path, value in pairs if not _finite(value)), None)


def first_of_step(loss: Any, parts: Any, x: Array, y: Array, key: Any) -> str:
    """What is not finite first in a step's forward and backward pass, in words.

    Args:
        loss: ``(model(x), y) -> one number``.
        parts: model, optimizer's state and buffers before the step.
        x, y: the batch.
        key: for random layers, or None.
    """
    model, state, buffers = parts
    if not _finite(x):
        row = int(np.argwhere(~np.isfinite(x))[0][0])
        return f"the input is not finite in row {row} of the batch"
    wrong = _first_result(with_buffers(model, buffers), state, x, key)
    if wrong is not None:
        return f"the first result that is not finite is that of {_layer(*wrong)}"
    (value, _), gradients = both_ways((loss, {}), model, state, buffers, x, y, key)
    if not _finite(value):
        return "the model's output is finite, and the loss function makes it " + str(float(value))
    path = first_parameter(gradients)
    return f"the loss is finite, and the gradient of {path} is not" if path else "all of this step is finite"


def _first_result(model: Any, state: Any, x: Array, key: Any) -> tuple[str, Any] | None:
    if not isinstance(model, Module):
        return None
    found: list[tuple[str, Any]] = []

    def see(path: str, layer: Any, result: Any) -> None:
        if isinstance(result, Node) and not _finite(result):
            found.append((path, layer))

    with no_grad():
        call_in_training(watched(model, see), state, x, key)
    return found[0] if found else None


def _layer(path: str, layer: Any) -> str:
    name = type(layer).__name__ if isinstance(layer, Module) else getattr(layer, "__name__", "a function")
    return f"{path} ({name})" if path else "the model itself"


def _finite(value: Any) -> bool:
    return bool(np.isfinite(as_node(value).array()).all())
