"""See what every layer of a model computes, without a change to the model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.nn.module import Module
from chainrule.nn.sequential import Sequential
from chainrule.nn.training import Training

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
            _change_functions(value, path, lambda inside, layer: _function(layer, inside, see))
        return _reporting(value, path, see)

    return change("", model.rebuilt(change))


def bracketed(model: Module, begin: Callable[[str, Any], object], end: Callable[[], object]) -> Any:
    """A copy that tells when each module, or function in a `Sequential`, begins to compute, and when it has ended.

    Args:
        model: any module.
        begin: called with a layer's path (``""`` for the model) and the layer, before it is called.
        end: called when it has returned or raised.

    Returns:
        A model with the same parameters and buffers.

    Example:
        >>> model = cr.nn.Sequential(cr.nn.Linear(2, 3, key=cr.random.key(0)), cr.relu)
        >>> said = []
        >>> _ = bracketed(model, lambda path, layer: said.append(path), lambda: said.append("end"))(
        ...     np.ones((5, 2), np.float32)
        ... )
        >>> said
        ['', 'layers.0', 'end', 'layers.1', 'end', 'end']
    """

    def around(path: str, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def called(*args: Any, **kwargs: Any) -> Any:
            begin(path, layer)
            try:
                return call(*args, **kwargs)
            finally:
                end()

        return called

    def change(path: str, value: Any) -> Any:
        if not isinstance(value, Module):
            return value
        if isinstance(value, Sequential):
            _change_functions(value, path, lambda inside, layer: around(inside, layer, layer))
        return _of_class(value, around(path, value, type(value).__call__))

    return change("", model.rebuilt(change))


def located(model: Module) -> Any:
    """A copy whose errors say in which module they were raised, and what that module was given.

    Args:
        model: any module.

    Returns:
        A model with the same parameters and buffers. A `ChainruleError` that a call of it raises begins with the
        innermost module's path; to other exceptions a note is added.

    Example:
        >>> model = located(cr.nn.Sequential(cr.nn.Linear(2, 3, key=cr.random.key(0))))
        >>> try:
        ...     model(np.ones((5, 4), np.float32))
        ... except cr.errors.ShapeError as error:
        ...     print(error.message.partition(": ")[0])
        layers.0 (Linear), given float32(5, 4)
    """
    told: list[Exception] = []  # themselves, as an id may be another's once an error was caught

    def change(path: str, value: Any) -> Any:
        if not isinstance(value, Module):
            return value
        kind = type(value)

        @functools.wraps(kind.__call__)
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return kind.__call__(self, *args, **kwargs)
            except Exception as error:
                if not any(error is other for other in told):
                    told.append(error)
                    given = ", ".join(_described(a) for a in args if not isinstance(a, Training))
                    _say(error, f"{path or 'the model'} ({kind.__name__}), given {given}")
                raise

        return _of_class(value, called)

    return change("", model.rebuilt(change))


def _described(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None or dtype is None else f"{np.dtype(dtype).name}{tuple(shape)}"


def _say(error: Exception, where: str) -> None:
    if isinstance(error, ChainruleError):
        error.message = f"{where}: {error.message}"
    else:
        error.add_note(f"  In:  {where}")


def untold(model: Module, call: Callable[[Any], object]) -> list[str]:
    """Layers that must know when they are trained, and were called without a :class:`Training`: path and kind.

    Args:
        model: any module.
        call: makes a training pass with a copy of it.

    Example:
        >>> class Net(Module):
        ...     def __init__(self):
        ...         self.drop = cr.nn.Dropout(0.5)
        ...
        ...     def __call__(self, x, training=None):
        ...         return self.drop(x)
        >>> untold(Net(), lambda model: model(np.ones(3), cr.nn.Training(cr.random.key(0))))
        ['drop (Dropout)']
    """
    found: list[str] = []

    def change(path: str, value: Any) -> Any:
        if not isinstance(value, Module) or not value.trains_differently:
            return value

        def see(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            if not any(isinstance(given, Training) for given in (*args, *kwargs.values())):
                found.append(f"{path} ({type(self).__name__})" if path else type(self).__name__)

        return _seen(value, see)

    call(change("", model.rebuilt(change)))
    return list(dict.fromkeys(found))


def _change_functions(value: Sequential, path: str, change: Callable[[str, Any], Any]) -> None:
    """Put other functions in the place of those among the layers; the modules stay."""
    inside = f"{path}.layers" if path else "layers"
    value.layers = [
        layer if isinstance(layer, Module) else change(f"{inside}.{i}", layer)
        for i, layer in enumerate(value.layers)
    ]


def _function(layer: Callable[..., Any], path: str, see: See) -> Callable[..., Any]:
    def called(x: Any) -> Any:
        result = layer(x)
        see(path, layer, result)
        return result

    return called


def _reporting(module: Module, path: str, see: See) -> Module:
    return _seen(module, lambda self, args, kwargs, result: see(path, self, result))


def _seen(module: Module, see: Callable[[Any, tuple[Any, ...], dict[str, Any], Any], None]) -> Module:
    """The same module, of a class that shows each call's arguments and result."""
    kind = type(module)

    @functools.wraps(kind.__call__)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = kind.__call__(self, *args, **kwargs)
        see(self, args, kwargs, result)
        return result

    return _of_class(module, called)


def _of_class(module: Module, called: Callable[..., Any]) -> Module:
    """The same module, of a class that is called otherwise."""
    kind = type(module)
    new = object.__new__(type(kind.__name__, (kind,), {"__call__": called}))
    vars(new).update(vars(module))
    return new
