"""Whoever wants to see every backward pass of a program that is not theirs, and every update made of one, such as
``chainrule why script.py``."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from chainrule.node import Node

Listener: TypeAlias = "Callable[[Node, Sequence[Node], Sequence[Node | None], Sequence[str]], None]"
"""Called with a result, what it was differentiated for, the gradients (None for none), and names of these, or none."""

Updates: TypeAlias = "Callable[[Any, Any, Any, Any, int], None]"
"""Called with an optimizer, the gradients, the parameters before and after, and how many updates were made before."""

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar(
    "chainrule_listener", default=None
)

_updates: contextvars.ContextVar[Updates | None] = contextvars.ContextVar("chainrule_updates", default=None)


def is_listened() -> bool:
    """Whether someone listens. Then nothing is compiled: a compiled pass cannot be looked into."""
    return _listener.get() is not None


def tell(
    result: Node, wrt: Sequence[Node], gradients: Sequence[Node | None], labels: Sequence[str] = ()
) -> None:
    """Tell of a backward pass that has been made, if it has numbers."""
    listener = _listener.get()
    if listener is not None and result.value is not None:
        listener(result, wrt, gradients, labels)


def tell_of_update(optimizer: Any, gradients: Any, before: Any, after: Any, made: Callable[[], int]) -> None:
    """Tell of an update, if someone listens; ``made`` says how many were made before."""
    updates = _updates.get()
    if updates is not None:
        updates(optimizer, gradients, before, after, made())


class listening:
    """Within this context ``listener`` hears of every backward pass, and ``updates`` of every update."""

    __slots__ = ("_listener", "_tokens", "_updates")

    def __init__(self, listener: Listener, updates: Updates | None = None) -> None:
        self._listener, self._updates = listener, updates

    def __enter__(self) -> None:
        self._tokens = _listener.set(self._listener), _updates.set(self._updates)

    def __exit__(self, *error: object) -> None:
        _listener.reset(self._tokens[0])
        _updates.reset(self._tokens[1])
