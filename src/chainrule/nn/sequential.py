"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.errors import ArgumentError, ChainruleError
from chainrule.nn.module import Module
from chainrule.node import as_node
from chainrule.primitive import Array
from chainrule.tensor import Tensor, no_grad


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
        if not callable(layer) or isinstance(layer, type):
            got = f"the class {layer.__name__}" if isinstance(layer, type) else repr(layer)
            raise ArgumentError(
                f"Sequential: a layer is a module or a function of one tensor, got {got}",
                fix="add an instance, cr.nn.Dense(10, key=key), or a function, cr.tanh",
            )
        self.layers.append(layer)
        return self

    def __call__(self, x: Any) -> Tensor:
        """Apply every layer in turn to ``x``, shape ``(*batch, features)``."""
        y = as_node(x)
        for i, layer in enumerate(self.layers):
            try:
                y = layer(y)
            except ChainruleError as error:
                error.add_note(f"  In:  layer {i} of {len(self.layers)}: {layer!r}")
                raise
        return y

    def predict(self, x: Any) -> Array:
        """The result for ``x`` as a NumPy array, class scores for a classifier; nothing is recorded."""
        with no_grad():
            return self(x).numpy()
