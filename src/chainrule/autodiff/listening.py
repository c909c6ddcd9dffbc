"""Whoever wants to see every backward pass of a program that is not theirs, such as ``chainrule why script.py``."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from typing import TypeAlias

from chainrule.node import Node

Listener: TypeAlias = "Callable[[Node, Sequence[Node], Sequence[Node | None], Sequence[str]], None]"
"""Called with a result, what it was differentiated for, the gradients (None for none), and names of these, or none."""

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar(
    "chainrule_listener", default=None
)


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


class listening:
    """Within this context ``listener`` hears of every backward pass."""

    __slots__ = ("_listener", "_token")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def __enter__(self) -> None:
        self._token = _listener.set(self._listener)

    def __exit__(self, *error: object) -> None:
        _listener.reset(self._token)
