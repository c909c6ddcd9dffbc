"""Optimizers as plain data, and back: what a run writes down, so that it can be continued."""

from __future__ import annotations

import copy
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chainrule.errors import ArgumentError, OperandError, shown
from chainrule.optim import clipping, rules, schedules
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import FUNCTION

_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    make.__name__: make
    for make in (
        rules.gradient_descent,
        rules.momentum,
        rules.nesterov,
        rules.adagrad,
        rules.rmsprop,
        rules.adam,
        rules.adamw,
    )
}
_SCHEDULES: dict[str, Callable[..., schedules.Schedule]] = {
    make.__name__: make
    for make in (
        schedules.constant,
        schedules.step_decay,
        schedules.cosine,
        schedules.warm_up,
        schedules.one_cycle,
    )
}
_CLIPPING: dict[str, Callable[[Optimizer, float], Optimizer]] = {
    "norm": clipping.clip_by_norm,
    "value": clipping.clip_by_value,
}
_DEEPEST = 20
"""Schedules within schedules, and clippings one after the other."""


def describe(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer as JSON-ready data: its name and everything that it was given.

    Functions of yours, as schedules or as ``decays``, are described by their names, for people: from such a
    description the optimizer cannot be made again.

    Raises:
        OperandError: it is no optimizer.

    Example:
        >>> described = describe(cr.optim.momentum(cr.optim.step_decay(0.1, 30)))
        >>> described["learning_rate"]
        {'schedule': 'step_decay', 'rate': 0.1, 'every': 30, 'factor': 0.1}
        >>> from_description(described).name
        'momentum'
    """
    if not isinstance(optimizer, Optimizer):
        raise OperandError(
            f"describe: expected an optimizer, got {type(optimizer).__name__}",
            fix="pass cr.optim.adam(0.001)",
        )
    return {"name": optimizer.name, **copy.deepcopy(optimizer.settings)}


def from_description(description: Mapping[str, Any]) -> Optimizer:
    """The optimizer that :func:`describe` described.

    Nothing is executed but the functions of ``cr.optim``, and they check what they are given: a description may
    come from anywhere. What it leaves out has its default.

    Args:
        description: such as ``{"name": "adam", "learning_rate": 0.001}``.

    Raises:
        ArgumentError: a name or a setting is unknown, missing or out of its range, or was a function of yours.

    Example:
        >>> from_description({"name": "adam", "learning_rate": 0.01}).learning_rate_at(0)
        0.01
    """
    settings = _entries("description", description)
    make = _named("optimizer", settings.pop("name", None), _OPTIMIZERS)
    clips = settings.pop("clipping", [])
    if not isinstance(clips, list) or len(clips) > _DEEPEST:
        raise ArgumentError(
            f"from_description: clipping must be a list of at most {_DEEPEST}, got {shown(clips)}",
            fix='write "clipping": [{"by": "norm", "limit": 1.0}]',
        )
    rate = settings.get("learning_rate")
    if isinstance(rate, Mapping):
        settings["learning_rate"] = _schedule(rate)
    _refuse_functions("decays", settings.get("decays"))
    optimizer = _called(make, settings)
    for clip in reversed(clips):
        entries = _entries("clipping", clip)
        wrap = _named("clipping", entries.pop("by", None), _CLIPPING)
        optimizer = _called(wrap, entries, optimizer)
    return optimizer


def _schedule(description: Mapping[str, Any], depth: int = 1) -> schedules.Schedule:
    settings = _entries("schedule", description)
    name = settings.pop("schedule", None)
    if name == FUNCTION:
        _refuse_functions("learning_rate", settings)
    if depth > _DEEPEST:
        raise ArgumentError(
            f"from_description: more than {_DEEPEST} schedules within each other", fix="nest fewer"
        )
    make = _named("schedule", name, _SCHEDULES)
    if isinstance(settings.get("rate"), Mapping):
        settings["rate"] = _schedule(settings["rate"], depth + 1)
    return _called(make, settings)


def _entries(what: str, description: Any) -> dict[str, Any]:
    """A copy of a dictionary, whose keys are texts and whose values are data."""
    if not isinstance(description, Mapping) or not all(isinstance(key, str) for key in description):
        raise ArgumentError(
            f"from_description: the {what} must be a dict with names as keys, got {shown(description)}",
            fix="pass what cr.optim.describe(optimizer) gave, also after a way through JSON",
        )
    for key, value in description.items():
        if callable(value):
            raise ArgumentError(
                f"from_description: {key} is {shown(value)}: expected plain data",
                fix="call the function that makes the optimizer, such as cr.optim.adam(learning_rate=schedule)",
            )
    return dict(description)


def _named(kind: str, name: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(name, str) and name in known:
        return known[name]
    raise ArgumentError(
        f"from_description: unknown {kind} {shown(name)}: expected one of {', '.join(known)}",
        fix=f"write {_closest(name, known)!r}",
    )


def _called(make: Callable[..., Any], settings: dict[str, Any], *first: Any) -> Any:
    """Call a maker with its first arguments and with settings, which may be too many or too few."""
    parameters = list(inspect.signature(make).parameters.values())[len(first) :]
    known = [parameter.name for parameter in parameters]
    for key in settings:
        if key not in known:
            raise ArgumentError(
                f"from_description: {make.__name__} has no setting {shown(key)}: expected {', '.join(known)}",
                fix=f"write {_closest(key, known)!r}, or leave it out",
            )
    for parameter in parameters:
        if parameter.default is parameter.empty and parameter.name not in settings:
            raise ArgumentError(
                f"from_description: {make.__name__} lacks the setting {parameter.name!r}",
                fix=f"add {parameter.name!r}",
            )
    return make(*first, **settings)


def _refuse_functions(what: str, value: Any) -> None:
    if isinstance(value, Mapping):
        raise ArgumentError(
            f"from_description: {what} was a function, {shown(value.get(FUNCTION))}, which a description does not hold",
            fix=f"make the optimizer as before, with {what}= and the function itself",
        )


def _closest(name: Any, known: Iterable[str]) -> str:
    names = list(known)
    return (difflib.get_close_matches(str(name), names, n=1) or names)[0]
