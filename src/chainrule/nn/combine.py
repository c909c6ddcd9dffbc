"""Layers made of layers, and layers that only arrange."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn.module import Module
from chainrule.nn.sequential import as_layer
from chainrule.nn.training import Training, call
from chainrule.node import as_node
from chainrule.tensor import Tensor


class Flatten(Module):
    """All axes but the first as one: images ``(N, H, W, C)`` become features ``(N, H * W * C)``.

    Example:
        >>> Flatten()(np.ones((2, 4, 4, 3), np.float32)).shape
        (2, 48)
    """

    def __call__(self, x: Any) -> Tensor:
        """Shape ``(N, *any)`` to ``(N, features)``."""
        node: Any = as_node(x)
        if not node.shape:
            raise ShapeError("Flatten: expected a batch, (N, *any), got one number", fix="pass an array")
        return node.reshape((node.shape[0], math.prod(node.shape[1:])))


class Residual(Module):
    """``layer(x) + shortcut(x)``: what the layer learns is what is to be added to its input.

    Args:
        layer: a module or a function, such as a `Sequential`.
        shortcut: another, where the layer changes the shape; None for ``x`` itself.

    Raises:
        ArgumentError: one of them cannot be called.

    Example:
        >>> block = Residual(cr.nn.Linear(3, 3, key=cr.random.key(0)))
        >>> block(np.ones((5, 3), np.float32)).shape
        (5, 3)

    Source: He, Zhang, Ren and Sun, CVPR 2016, 770-778, DOI 10.1109/CVPR.2016.90.
    """

    def __init__(self, layer: Callable[..., Any], shortcut: Callable[..., Any] | None = None) -> None:
        self.layer = as_layer("Residual", layer)
        self.shortcut = None if shortcut is None else as_layer("Residual", shortcut)

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Apply both and add.

        Raises:
            ShapeError: their results differ in shape.
        """
        y: Any = call(self.layer, x, training)
        short: Any = as_node(x) if self.shortcut is None else call(self.shortcut, x, training)
        if y.shape != short.shape:
            what = "the input" if self.shortcut is None else "the shortcut's result"
            raise ShapeError(
                f"Residual: the layer's result has shape {y.shape}, {what} {short.shape}",
                fix="give a shortcut that changes the shape in the same way, such as a convolution of size 1 with the "
                "same stride",
            )
        return y + short
