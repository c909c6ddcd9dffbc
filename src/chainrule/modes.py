"""In which mode values come about: remembered, forgotten or bare; and without NumPy's warnings.

The mode belongs to the context of a thread or task (:mod:`contextvars`), so threads do not disturb each other.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

RECORDING, FORGETTING, BARE, REMEMBERING = 0, 1, 2, 4
mode: contextvars.ContextVar[int] = contextvars.ContextVar("chainrule_mode", default=RECORDING)
"""Whether nodes remember their inputs, or forget them, or are not built at all (see `on_bare_values`).

`REMEMBERING` is added to one of the first two: inputs are remembered even where no derivative flows.
"""

inside_transform: contextvars.ContextVar[bool] = contextvars.ContextVar("chainrule_inside", default=False)
"""Whether a function that is being differentiated runs."""

batch_items: contextvars.ContextVar[int] = contextvars.ContextVar("chainrule_items", default=1)
"""For how many items at once a function is being traced that says what is computed for one of them."""


class _Silent(threading.local):
    """Contexts for each thread in which NumPy does not warn of inf and nan.

    Entering one takes 0.1 us, ``np.errstate`` ten times that.
    """

    def __init__(self) -> None:
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        self.run = context.run
        bare = context.copy()
        bare.run(mode.set, BARE)
        self.run_bare = bare.run


silent = _Silent()


def silently(function: Callable[..., Any], *args: Any, **params: Any) -> Any:
    """Call ``function`` so that in it inf and nan come out as values, not as warnings."""
    try:
        return silent.run(function, *args, **params)
    except RuntimeError as error:
        if not is_entered(error):
            raise
        # A user-written primitive that calls chainrule while it is evaluated: it is silent already.
        return function(*args, **params)


def is_entered(error: RuntimeError) -> bool:
    """Whether the error only says that the silent context is in use by an outer call."""
    return str(error).startswith("cannot enter context")


def on_bare_values(function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function`` so that rules in it compute on arrays and give arrays, and no nodes are built.

    Rules are written against operators, functions and ``.shape``, which nodes and arrays share. Where nobody
    will differentiate the result, a graph of it is wasted; this spares two thirds of an eager backward pass.
    """
    if mode.get() == BARE:
        return function(*args)
    try:
        return silent.run_bare(function, *args)
    except RuntimeError as error:
        if not is_entered(error):
            raise
    token = mode.set(BARE)  # a rule that a user wrote differentiates something of its own
    try:
        return function(*args)
    finally:
        mode.reset(token)


def is_recording() -> bool:
    """Whether nodes remember their inputs."""
    return not mode.get() & FORGETTING


class recording:
    """Within this context nodes remember their inputs (True) or forget them (False).

    Also a decorator, of generator functions too. One object may be entered again while it is in use.
    """

    __slots__ = ("_new", "_tokens")

    def __init__(self, on: bool) -> None:
        self._new = RECORDING if on else FORGETTING
        self._tokens: list[contextvars.Token[int]] = []

    def __enter__(self) -> None:
        self._tokens.append(mode.set(self._new | mode.get() & REMEMBERING))

    def __exit__(self, *error: object) -> None:
        mode.reset(self._tokens.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        on = self._new == RECORDING
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                return (yield from _each_step(function(*args, **kwargs), on))

            return generate

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with recording(on):
                return function(*args, **kwargs)

        return call


class remembering:
    """Within this context nodes remember their inputs even where no derivative flows, to be asked why."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = mode.set(RECORDING | REMEMBERING)

    def __exit__(self, *error: object) -> None:
        mode.reset(self._token)


def is_remembering() -> bool:
    """Whether nodes remember their inputs even where no derivative flows."""
    return bool(mode.get() & REMEMBERING)


def _each_step(steps: Generator[Any, Any, Any], on: bool) -> Generator[Any, Any, Any]:
    """Run each step of a generator in the mode, and its consumer in its own."""
    sent: Any = None
    while True:
        with recording(on):
            try:
                item = steps.send(sent)
            except StopIteration as stop:
                return stop.value
        sent = yield item
