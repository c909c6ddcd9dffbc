"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import ArgumentError, ChainruleError
from chainrule.nn.module import Module
from chainrule.nn.training import Training, call
from chainrule.node import as_node
from chainrule.tensor import Tensor


def as_layer(name: str, layer: Any) -> Callable[..., Any]:
    """Return ``layer`` if it can be one.

    Raises:
        ArgumentError: it cannot be called, or is a class instead of an instance.
    """
    if callable(layer) and not isinstance(layer, type):
        return layer
    got = f"the class {layer.__name__}" if isinstance(layer, type) else repr(layer)
    raise ArgumentError(
        f"{name}: a layer is a module or a function of one tensor, got {got}",
        fix="add an instance, cr.nn.Dense(10, key=key), or a function, cr.tanh",
    )


class Sequential(Module):
    """The composition of its layers: ``f5(f4(f3(f2(f1(x)))))``.

    Args:
        layers: modules or functions of one tensor, such as ``cr.tanh``.

    Raises:
        ArgumentError: a layer cannot be called, or is a class instead of an instance.

    Example:
        >>> model = Sequential(cr.nn.Linear(2, 4, key=cr.random.key(0)), cr.tanh)
        >>> _ = model.add(cr.nn.Dense(1, key=cr.random.key(1)))
        >>> model.predict(np.ones((5, 2), np.float32)).shape
        (5, 1)
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        self.layers: list[Any] = []
        for layer in layers:
            self.add(layer)

    def add(self, layer: Callable[[Any], Any]) -> Sequential:
        """Put a layer at the end; returns the model."""
        self.layers.append(as_layer("Sequential", layer))
        return self

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Apply every layer in turn to ``x``, shape ``(*batch, features)``.

        Args:
            x: the first layer's input.
            training: the pass, while the model is trained; handed to the layers that take it.
        """
        y: Any = as_node(x)
        for i, layer in enumerate(self.layers):
            try:
                y = call(layer, y, training)
            except ChainruleError as error:
                error.add_note(f"  In:  layer {i} of {len(self.layers)}: {layer!r}")
                raise
        return y
