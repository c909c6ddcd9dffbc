"""How far a derivative can be trusted: what it predicts for a step, beside what happens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, GradientError
from chainrule.explain.numbers import factor_text, json_number, number_text, root_mean_square
from chainrule.explain.reasons.passes import Passes, rebuilt
from chainrule.explain.reasons.question import questions
from chainrule.primitive import Array

VERSION = 1
"""Of the JSON."""
SIZES = (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
"""Steps as parts of the variable's size; the larger ones for float32, whose rounding hides what smaller ones say."""
NOISE = 16.0
"""Errors below so many roundings of the result say nothing of the derivative."""
_BORNE_OUT = 1.5
"""An error of higher order than this vanishes beside the step: that of a smooth function is 2."""
_CLOSE = 0.01
"""Nor is a derivative wrong that predicts all but this part of a change: where many kinks lie close together, as in a
deep network of relu, errors fall more slowly than any power."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        size: of the step.
        predicted: the change to first order, ``size`` times the slope.
        actual: the change when the function is computed again.
        measurable: whether the difference between the two is more than rounding.
    """

    size: float
    predicted: float
    actual: float
    measurable: bool

    @property
    def error(self) -> float:
        """How far the prediction is off."""
        return abs(self.actual - self.predicted)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How a result answers to steps of a variable. Made by :func:`sensitivity`; ``print`` shows ``text``.

    Attributes:
        result, variable: names.
        slope: change of the result per unit of the step: the derivative; for an array the norm of the gradient,
            along which the steps go.
        along: whether the steps go along a gradient, the variable being an array.
        steps: the largest first.
        order: the power of the step with which the error falls; about 2 where the function is smooth, infinite where it
            is linear up to rounding, None where too few errors can be measured.
    """

    result: str
    variable: str
    slope: float
    along: bool
    steps: tuple[Step, ...]
    order: float | None

    @property
    def holds(self) -> bool | None:
        """Whether the prediction becomes right as steps become small; None where that cannot be measured."""
        if self.close is not None and self.close < _CLOSE:
            return True
        return None if self.order is None else self.order > _BORNE_OUT

    @property
    def close(self) -> float | None:
        """The error as a part of the change, for the smallest step with an error that can be measured."""
        found = [s for s in self.steps if s.measurable and s.actual]
        return found[-1].error / abs(found[-1].actual) if found else None

    @property
    def headline(self) -> str:
        """``Increase x by ε, and f rises by about 3·ε``."""
        way = (
            f"Move {self.variable} by ε along its gradient"
            if self.along
            else f"Increase {self.variable} by ε"
        )
        if self.slope == 0:
            return f"{way}, and {self.result} stays as it is, to first order."
        verb = "rises" if self.slope > 0 else "falls"
        return f"{way}, and {self.result} {verb} by about {factor_text(abs(self.slope))}·ε."

    @property
    def verdict(self) -> str:
        """What the errors say."""
        if self.order is None:
            return "Too few errors are larger than rounding to say how they fall."
        if math.isinf(self.order):
            return "The prediction is exact up to rounding: the function is linear along these steps."
        falls = f"The error falls as ε^{number_text(self.order, 2)}"
        if self.order > _BORNE_OUT:
            return f"{falls}: the first-order prediction is borne out."
        if self.holds:
            part = number_text(100 * (self.close or 0.0), 2)
            return f"The error comes down to {part} % of the change: the first-order prediction is borne out."
        return (
            f"{falls}, no faster than ε itself: the derivative is not the function's slope here. It may have a kink or "
            "a jump at this point, or a rule is wrong; cr.check tells."
        )

    @property
    def text(self) -> str:
        """All of it as plain text."""
        head = ("ε", "predicted", "actual", "error")
        rows = [head, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        table = [
            "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([self.headline, *table, self.verdict])

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """The table as text."""
        return [
            (
                number_text(s.size, 3),
                number_text(s.predicted),
                number_text(s.actual),
                number_text(s.error, 2) if s.measurable else "rounding",
            )
            for s in self.steps
        ]

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        cell = "text-align:left;padding:2px 12px"
        head = "".join(f'<th style="{cell}">{h}</th>' for h in ("ε", "predicted", "actual", "error"))
        body = "".join(
            "<tr>" + "".join(f'<td style="{cell}">{escape(c)}</td>' for c in row) + "</tr>"
            for row in self.rows
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return (
            f'<div class="chainrule-sensitivity">{escape(self.headline)}{table}{escape(self.verdict)}</div>'
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "version": VERSION,
            "result": self.result,
            "variable": self.variable,
            "slope": json_number(self.slope),
            "along_gradient": self.along,
            "steps": [
                {
                    "size": s.size,
                    "predicted": json_number(s.predicted),
                    "actual": json_number(s.actual),
                    "measurable": s.measurable,
                }
                for s in self.steps
            ],
            "order": None if self.order is None else json_number(self.order),
            "holds": self.holds,
        }


def sensitivity(y: Any, wrt: Any) -> Sensitivity:
    """Compare what a derivative predicts with what happens, for steps of several sizes.

    Args:
        y: a tensor with one element, computed; or a function without arguments that computes it.
        wrt: a tensor before it, its name, or one of its elements, as ``("w", 3, 7)``. A whole array is moved along its
            gradient.

    Returns:
        A `Sensitivity`: ``print`` it, or read ``.slope``, ``.steps``, ``.order``, ``.holds``.

    Raises:
        OperandError, ArgumentError: as for :func:`why`; ``wrt`` is missing or names several variables.
        GradientError: the result or the gradient is not finite, or no derivative flows to the variable.

    Example:
        >>> import chainrule as cr
        >>> y = cr.formula("x^2")(x=3)
        >>> answer = cr.sensitivity(y, "x")
        >>> answer.slope, round(answer.order, 3)
        (6.0, 2.0)
    """
    if wrt is None:
        raise ArgumentError("sensitivity: wrt is missing", fix="name a variable: cr.sensitivity(y, 'x')")
    asked = questions(y, wrt, "sensitivity")
    if len(asked) != 1:
        raise ArgumentError(
            f"sensitivity: {len(asked)} variables are meant", fix="name one: cr.sensitivity(y, 'x')"
        )
    (question,) = asked
    result, variable = question.result, question.variable
    name = question.words.names[result]
    gradient = Passes(result, variable).gradient
    finite = gradient is not None and bool(np.isfinite(gradient[question.chosen]).all())
    if gradient is None or not finite or not np.isfinite(result.value).all():
        what = "does not exist" if gradient is None else "is not finite"
        raise GradientError(f"sensitivity: ∂{name}/∂{question.label} {what}", fix="cr.why(y, x) says why")
    direction, slope = _direction(np.where(question.chosen, gradient, 0.0), question.chosen)
    along = int(np.count_nonzero(question.chosen)) > 1
    scale = root_mean_square(np.where(question.chosen, variable.value, 0.0)) or 1.0
    steps = tuple(_step(result, variable, direction, slope, scale * part) for part in SIZES)
    return Sensitivity(name, question.label, slope, along, steps, _order(steps))


def _direction(gradient: Array, chosen: Array) -> tuple[Array, float]:
    """Where to step, a vector of length 1, and the slope that way."""
    if np.count_nonzero(chosen) == 1:
        return chosen.astype(np.float64), float(gradient[chosen][0])
    norm = float(np.linalg.norm(gradient.astype(np.float64)))
    return (gradient / norm if norm else chosen / math.sqrt(chosen.sum())), norm


def _step(result: Any, variable: Any, direction: Array, slope: float, size: float) -> Step:
    moved = (np.asarray(variable.value) + size * direction).astype(variable.dtype)
    new, _ = rebuilt(result, {variable: moved})
    before, after = (
        float(np.asarray(result.value).reshape(())),
        float(np.asarray(new[result].value).reshape(())),
    )
    # What was added is not quite the step: the prediction is for the step that was made.
    made = float(np.sum((moved.astype(np.float64) - variable.value) * direction))
    actual, predicted = after - before, made * slope
    rounding = NOISE * float(np.finfo(result.dtype).eps) * max(abs(before), abs(after))
    return Step(size, predicted, actual, abs(actual - predicted) > rounding)


def _order(steps: tuple[Step, ...]) -> float | None:
    """The slope of the errors over the steps, both as logarithms; without the largest step where there are others."""
    found = [s for s in steps if s.measurable and math.isfinite(s.error)]
    if not found:
        return math.inf
    found = found[1:] if len(found) > 2 else found
    if len(found) < 2:
        return None
    sizes, errors = np.log([s.size for s in found]), np.log([s.error for s in found])
    return float(np.polyfit(sizes, errors, 1)[0])
