"""See what every layer of a model computes, without a change to the model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

from chainrule.nn.module import Module
from chainrule.nn.sequential import Sequential

See: TypeAlias = Callable[[str, Callable[..., Any], Any], None]
"""Called with a layer's path (``""`` for the model), the layer, and its result."""


def watched(model: Module, see: See) -> Any:
    """A copy that reports the result of each module, and of functions in a `Sequential`, as soon as it is there.

    Args:
        model: any module.
        see: called with what is reported.

    Returns:
        A model with the same parameters and buffers.

    Example:
        >>> model = cr.nn.Sequential(cr.nn.Linear(2, 3, key=cr.random.key(0)), cr.relu)
        >>> seen = []
        >>> _ = watched(model, lambda path, module, y: seen.append((path, y.shape)))(
        ...     np.ones((5, 2), np.float32)
        ... )
        >>> seen
        [('layers.0', (5, 3)), ('layers.1', (5, 3)), ('', (5, 3))]
    """

    def change(path: str, value: Any) -> Any:
        if not isinstance(value, Module):
            return value
        if isinstance(value, Sequential):
            inside = f"{path}.layers" if path else "layers"
            value.layers = [
                layer if isinstance(layer, Module) else _function(layer, f"{inside}.{i}", see)
                for i, layer in enumerate(value.layers)
            ]
        return _reporting(value, path, see)

    return change("", model.rebuilt(change))


def _function(layer: Callable[..., Any], path: str, see: See) -> Callable[..., Any]:
    def called(x: Any) -> Any:
        result = layer(x)
        see(path, layer, result)
        return result

    return called


def _reporting(module: Module, path: str, see: See) -> Module:
    kind = type(module)

    @functools.wraps(kind.__call__)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = kind.__call__(self, *args, **kwargs)
        see(path, self, result)
        return result

    new = object.__new__(type(kind.__name__, (kind,), {"__call__": called}))
    vars(new).update(vars(module))
    return new
