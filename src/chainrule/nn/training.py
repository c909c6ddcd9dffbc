"""What a model needs besides its input while it is trained, and what it leaves: passed on, never global."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from chainrule.errors import ArgumentError, NotSupportedError
from chainrule.nn.module import Buffer, Module
from chainrule.ops import random
from chainrule.tensor import Tensor


class Training:
    """One training pass through a model: random numbers for it, and the running averages that it leaves.

    A layer is called with the input alone, ``layer(x)``, or while it is trained with a pass, ``layer(x, training)``.
    So there is no mode to forget: dropout drops and batch normalization uses the batch only in a call that says so.

    Args:
        key: from ``cr.random.key``, another one for each step; None for models without random layers.

    Example:
        >>> model = cr.nn.Sequential(cr.nn.BatchNorm(2), cr.nn.Dropout(0.5))
        >>> training = Training(cr.random.key(0))
        >>> y = model(np.ones((4, 2), np.float32), training)
        >>> model = model.with_buffers(training.buffers_of(model))
        >>> model.layers[0].mean.value.tolist()
        [0.10000000149011612, 0.10000000149011612]
    """

    def __init__(self, key: Tensor | None = None) -> None:
        self._key = key
        self._drawn = 0
        self._kept: dict[Buffer, Tensor] = {}

    def next_key(self, name: str) -> Tensor:
        """A key that no other layer of this pass gets.

        Args:
            name: of the layer that asks.

        Raises:
            ArgumentError: the pass has no key.
        """
        if self._key is None:
            raise ArgumentError(
                f"{name} draws random numbers, and this training pass has no key",
                fix="give it one, another for each step: cr.nn.Training(cr.random.fold_in(key, step))",
            )
        self._drawn += 1
        return random.fold_in(self._key, self._drawn - 1)

    def current(self, buffer: Buffer) -> Tensor:
        """The numbers of a buffer: those kept last in this pass, or those it came with."""
        kept = self._kept.get(buffer)
        return buffer.value if kept is None else kept

    def keep(self, buffer: Buffer, value: Tensor) -> None:
        """Leave new numbers for a buffer, which keeps its dtype; :meth:`buffers_of` gives them back."""
        self._kept[buffer] = value.astype(buffer.value.dtype)

    def buffers_of(self, model: Module) -> dict[str, Tensor]:
        """The model's buffers by path after this pass, for :meth:`Module.with_buffers`."""
        return {path: self.current(buffer) for path, buffer in model.named_buffers().items()}


def call(layer: Callable[..., Any], x: Any, training: Training | None) -> Any:
    """Call a layer, with the training pass if there is one and the layer takes it."""
    if training is None or not takes_training(layer):
        return layer(x)
    return layer(x, training)


def takes_training(layer: Callable[..., Any]) -> bool:
    """Whether a layer's call has a second argument ``training``; functions such as ``cr.relu`` have none.

    Raises:
        NotSupportedError: a module holds layers that must know, and does not take it to pass it on.
    """
    if not isinstance(layer, Module):
        return False
    if _has_argument(type(layer)):
        return True
    inside = next(
        (m for m in layer.named_modules().values() if m is not layer and m.trains_differently), None
    )
    if inside is not None:
        name = type(layer).__name__
        raise NotSupportedError(
            f"{name} holds a {type(inside).__name__}, which must know when it is trained, and does not pass it on",
            fix=f"define {name}.__call__(self, x, training=None), and call the layers inside with (x, training)",
        )
    return False


@functools.lru_cache(maxsize=256)  # classes may be made while the program runs
def _has_argument(kind: type) -> bool:
    return "training" in inspect.signature(kind.__call__).parameters
