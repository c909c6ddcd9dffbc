"""Learning rates that change from update to update: pure functions of the number of updates made so far.

That number is part of an optimizer's state, so a compiled step follows its schedule without being compiled again.
In the formulas u is that number, 0 at the first update.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ChainruleError, shown
from chainrule.node import Node, as_node
from chainrule.ops import astype
from chainrule.optim import hyperparameters as hyper
from chainrule.shapes import FLOATS, as_above_zero, as_share, float64

FUNCTION = "function"
"""The name under which descriptions have what a user wrote as a function."""


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """A learning rate for each update; made by :func:`cosine` and its like, and given to an optimizer.

    Attributes:
        name: such as ``"cosine"``.
        settings: its arguments by name, JSON-ready.
        formula: from u, a float or a traced tensor of float64, to the rate; in operators and functions of NumPy.

    Example:
        >>> schedule = step_decay(0.1, every=30, factor=0.5)
        >>> schedule
        Schedule(name='step_decay', settings={'rate': 0.1, 'every': 30, 'factor': 0.5})
        >>> [schedule(u) for u in (0, 29, 30, 60)]
        [0.1, 0.1, 0.05, 0.025]
    """

    name: str
    settings: dict[str, Any]
    formula: Callable[[Any], Any] = field(repr=False)

    def __call__(self, update: Any) -> Any:
        """The rate for one update.

        Args:
            update: how many updates were made before: an integer, also in a tensor, such as ``state["updates"]``.

        Returns:
            A float; of a traced ``update`` a tensor of float64, unless the rate never changes.

        Raises:
            ArgumentError: ``update`` is no such number, or a function of yours gives no rate for it.
        """
        if isinstance(update, Node) and update.value is None:
            return _traced_rate(self.formula(astype(update, float64)), self)
        fix = 'pass state["updates"], or how many updates were made before'
        return self.after(hyper.count("learning rate", "update", update, least=0, fix=fix))

    def after(self, made: int) -> float:
        """The rate after so many updates, an integer that needs no check."""
        rate = self.formula(float(made))
        if isinstance(rate, float) and 0 <= rate < math.inf:
            return float(rate)
        return _rate(rate, self, f"for update {made}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: name and arguments."""
        return {"schedule": self.name, **self.settings}


def _rate(rate: Any, schedule: Schedule, when: str) -> float:
    try:
        found = as_node(rate)
    except ChainruleError:
        found = None
    if found is not None and found.shape == () and found.dtype.kind in "fi" and found.value is not None:
        number = float(found.value)
        if 0 <= number < math.inf:
            return number
    raise ArgumentError(
        f"{schedule.settings.get(FUNCTION, schedule.name)}: the learning rate {when} is {shown(rate)}: expected a "
        "finite number of at least 0",
        fix="return one number, such as 0.1 / (1 + update)",
    )


def _traced_rate(rate: Any, schedule: Schedule) -> Any:
    if isinstance(rate, Node) and rate.shape == () and rate.dtype in FLOATS:
        return hyper.of_dtype(rate, float64)
    return _rate(rate, schedule, "in a traced update")


def as_schedule(name: str, what: str, rate: Any) -> Schedule:
    """The schedule for what a user gave as a learning rate.

    Args:
        name: whose argument it is.
        what: the argument's name.
        rate: a number, a schedule, or a function as :class:`Schedule` has it for a formula.

    Raises:
        ArgumentError: it is none of these, a number that is not above 0, or a function that gives no rate.
    """
    if isinstance(rate, Schedule):
        return rate
    if callable(rate) and not hasattr(type(rate), "tree_children"):
        made = Schedule(FUNCTION, {FUNCTION: name_of(rate)}, rate)
        made(0)
        return made
    if not isinstance(rate, (int, float, np.number)) or isinstance(rate, bool):
        fix = f"pass {what}=0.001, or {what}=cr.optim.cosine(0.001, updates=1000)"
        if what == "learning_rate":
            fix += "; an optimizer gets its parameters in init and update"
        raise ArgumentError(
            f"{name}: {what} must be a number or a schedule, got {type(rate).__name__}", fix=fix
        )
    return constant(as_above_zero(name, what, rate))


def name_of(function: Any) -> str:
    """How a description names a user's function, for people to read."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]


def described(rate: Any, schedule: Schedule) -> Any:
    """What an optimizer's settings say of its learning rate: a number if one was given, else a description."""
    plain = schedule.name == "constant" and not isinstance(rate, Schedule)
    return schedule.settings["rate"] if plain else schedule.to_dict()


def constant(rate: float) -> Schedule:
    """The same rate at every update, as a plain number is.

    Args:
        rate: above 0.

    Raises:
        ArgumentError: the rate is not above 0 and finite.

    Example:
        >>> constant(0.1)(1000)
        0.1
    """
    value = as_above_zero("constant", "rate", rate)
    return Schedule("constant", {"rate": value}, lambda u: value)


def step_decay(rate: float, every: int, factor: float = 0.1) -> Schedule:
    """``rate * factor^floor(u / every)``: the same for a while, then less by a factor, again and again.

    Args:
        rate: above 0.
        every: updates from one step to the next, at least 1; with 1 the decay is exponential.
        factor: of each step, above 0 and at most 1.

    Raises:
        ArgumentError: an argument is out of its range.

    Example:
        >>> schedule = step_decay(0.1, every=10, factor=0.5)
        >>> schedule(9), schedule(10), schedule(25)
        (0.1, 0.05, 0.025)
    """
    value, length = as_above_zero("step_decay", "rate", rate), hyper.count("step_decay", "every", every)
    ratio = as_share("step_decay", "factor", factor, "0.5", within="(0, 1]")

    def formula(u: Any) -> Any:
        return value * ratio ** np.floor(u / float(length))

    return Schedule("step_decay", {"rate": value, "every": length, "factor": ratio}, formula)


def cosine(rate: float, updates: int, *, final: float = 0.0) -> Schedule:
    """``final + (rate - final) (1 + cos(pi u / updates)) / 2``, and ``final`` from ``updates`` on.

    Args:
        rate: of the first update, above 0.
        updates: how many it takes, at least 1.
        final: in [0, rate].

    Raises:
        ArgumentError: an argument is out of its range.

    Example:
        >>> schedule = cosine(0.1, 100)
        >>> [round(schedule(u), 4) for u in (0, 50, 100, 1000)]
        [0.1, 0.05, 0.0, 0.0]

    Source: Loshchilov and Hutter, ICLR 2017, equation 5 without restarts, DOI 10.48550/arXiv.1608.03983.
    """
    value, length = as_above_zero("cosine", "rate", rate), hyper.count("cosine", "updates", updates)
    last = hyper.at_least("cosine", "final", final, 0, "0.0")
    if last > value:
        raise ArgumentError(
            f"cosine: final must be at most the rate, {value:g}, got {last:g}", fix="pass final=0.0"
        )

    def formula(u: Any) -> Any:
        return value - (value - last) * _wave(np.minimum(u / float(length), 1.0))

    return Schedule("cosine", {"rate": value, "updates": length, "final": last}, formula)


def warm_up(rate: float | Schedule | Callable[[Any], Any], updates: int, *, first: float = 0.0) -> Schedule:
    """Rise in a straight line to the first rate of a schedule, then follow it from its beginning.

    The rate is ``rate(0) (first + (1 - first) u / updates)`` for the first ``updates`` updates, then
    ``rate(u - updates)``.

    Args:
        rate: a number above 0, or a schedule.
        updates: how many the rise takes, at least 1.
        first: share of the rate that the first update has, in [0, 1]. With 0 that update moves nothing.

    Raises:
        ArgumentError: an argument is out of its range.

    Example:
        >>> schedule = warm_up(cosine(0.1, 900), 100)
        >>> [round(schedule(u), 4) for u in (0, 50, 100, 550, 1000)]
        [0.0, 0.05, 0.1, 0.05, 0.0]

    Source: Goyal et al., 2017, section 2.2, DOI 10.48550/arXiv.1706.02677.
    """
    then, length = as_schedule("warm_up", "rate", rate), hyper.count("warm_up", "updates", updates)
    start = as_share("warm_up", "first", first, "0.0", within="[0, 1]")

    def formula(u: Any) -> Any:
        missing = (1 - start) * (1 - np.minimum(u / float(length), 1.0))
        return (1 - missing) * then.formula(np.maximum(u - float(length), 0.0))

    settings = {"rate": described(rate, then), "updates": length, "first": start}
    return Schedule("warm_up", settings, formula)


def one_cycle(
    peak: float,
    updates: int,
    *,
    rising: float = 0.3,
    first_divisor: float = 25.0,
    final_divisor: float = 1e4,
) -> Schedule:
    """Half a cosine up to a large rate and half a cosine down to nearly none; the last rate stays.

    Up from ``peak / first_divisor`` until ``u = rising updates - 1``, then down to that rate over
    ``final_divisor``, reached at the last update, ``u = updates - 1``. So does torch's ``OneCycleLR`` with
    ``pct_start``, ``div_factor`` and ``final_div_factor``; unlike there, momentum stays as it is.

    Args:
        peak: the largest rate, above 0.
        updates: of the whole cycle, at least 1.
        rising: share of the updates in which the rate rises, in [0, 1).
        first_divisor, final_divisor: at least 1.

    Raises:
        ArgumentError: an argument is out of its range.

    Example:
        >>> schedule = one_cycle(0.1, 100)
        >>> [f"{schedule(u):.2g}" for u in (0, 29, 64, 99, 1000)]
        ['0.004', '0.1', '0.05', '4e-07', '4e-07']

    Source: Smith and Topin, SPIE 11006, 2019, DOI 10.1117/12.2520589.
    """
    top, length = as_above_zero("one_cycle", "peak", peak), hyper.count("one_cycle", "updates", updates)
    part = as_share("one_cycle", "rising", rising, "0.3")
    above = hyper.at_least("one_cycle", "first_divisor", first_divisor, 1, "25.0")
    below = hyper.at_least("one_cycle", "final_divisor", final_divisor, 1, "10000.0")
    first = top / above
    last, turn = first / below, part * length - 1
    fall = length - 1 - turn

    def formula(u: Any) -> Any:
        down = (top - last) * _wave(np.clip((u - turn) / fall, 0.0, 1.0))
        if turn <= 0:  # no update is on the way up
            return top - down
        return top - down - (top - first) * _wave(1 - np.minimum(u / turn, 1.0))

    settings = {
        "peak": top,
        "updates": length,
        "rising": part,
        "first_divisor": above,
        "final_divisor": below,
    }
    return Schedule("one_cycle", settings, formula)


def _wave(x: Any) -> Any:
    """From 0 at 0 to 1 at 1, along half a cosine."""
    return (1 - np.cos(math.pi * x)) / 2
