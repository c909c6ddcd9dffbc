"""What a network's last layer is, what training makes small, and how outputs are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import nn, ops
from chainrule.primitive import Array
from chainrule.shapes import float64
from chainrule.studio.networks.choices import Options
from chainrule.studio.networks.examples import Examples
from chainrule.tensor import tensor


@dataclass(frozen=True, slots=True)
class Objective:
    """How a network is scored, and what its outputs mean.

    Attributes:
        outputs: units of the last layer.
        last: what the last layer makes of its sums, by its name in `chainrule`; "" for nothing.
        loss: ``(outputs, targets) -> one number``.
        code: how a program calls the loss.
        targets: what the loss compares with, of the examples' answers.
        shares: of outputs ``(n, outputs)`` how sure they are: for two classes ``(n,)`` from −1 to 1 and 0 where
            undecided, for more ``(n, classes)`` from 0 to 1, for numbers ``(n,)`` the numbers.
        chosen: of outputs the class, int64 ``(n,)``; or the number.
        said: the last unit's output as people want it, with its letter: ``p`` behind a logistic function, else ŷ.
    """

    outputs: int
    last: str
    loss: Callable[[Any, Any], Any]
    code: str
    targets: Callable[[Array], Array]
    shares: Callable[[Array], Array]
    chosen: Callable[[Array], Array]
    said: Callable[[Array], tuple[str, Array]]

    def right(self, outputs: Array, y: Array) -> int:
        """How many classes are recognized."""
        return int(np.count_nonzero(self.chosen(outputs) == y))


def objective_of(options: Options, examples: Examples) -> Objective:
    """The objective that was chosen for these examples."""
    if examples.kind == "numbers":
        return _of_numbers(options.loss)
    if len(examples.classes) == 2:
        return _of_two(options.loss)
    return _of_classes(options.loss, len(examples.classes))


def _sigmoid(z: Array) -> Array:
    return np.asarray(ops.sigmoid(tensor(z)))


def _softmax(z: Array) -> Array:
    return np.asarray(ops.softmax(tensor(z), axis=-1))


def _column(y: Array) -> Array:
    return y.astype(float64)[:, None]


def _first(outputs: Array) -> Array:
    return outputs[:, 0]


def _of_numbers(loss: str) -> Objective:
    made, code = {
        "squared": (nn.half_squared_error, "half_squared_error"),
        "absolute": (nn.absolute_error, "absolute_error"),
        "huber": (nn.huber, "huber"),
    }[loss]
    return Objective(1, "", made, code, _column, _first, _first, lambda out: ("ŷ", out))


def _of_two(loss: str) -> Objective:
    def above(level: float) -> Callable[[Array], Array]:
        return lambda out: (out[:, 0] > level).astype(np.int64)

    if loss == "cross_entropy":
        return Objective(
            1, "", nn.binary_cross_entropy, "binary_cross_entropy", _column,
            lambda out: 2 * _sigmoid(_first(out)) - 1, above(0.0), lambda out: ("p", _sigmoid(out)),
        )  # fmt: skip
    if loss == "hinge":
        return Objective(
            1, "", nn.hinge, "hinge", lambda y: 2 * _column(y) - 1,
            lambda out: np.clip(_first(out), -1, 1), above(0.0), lambda out: ("ŷ", out),
        )  # fmt: skip
    return Objective(
        1, "sigmoid", nn.half_squared_error, "half_squared_error", _column,
        lambda out: 2 * _first(out) - 1, above(0.5), lambda out: ("ŷ", out),
    )  # fmt: skip


def _of_classes(loss: str, classes: int) -> Objective:
    def largest(out: Array) -> Array:
        return out.argmax(-1)

    if loss == "cross_entropy":
        return Objective(
            classes, "", nn.softmax_cross_entropy, "softmax_cross_entropy", lambda y: y, _softmax, largest,
            lambda out: ("p", _softmax(out)),
        )  # fmt: skip
    if loss == "hinge":
        return Objective(
            classes, "", nn.multiclass_hinge, "multiclass_hinge", lambda y: y, _softmax, largest,
            lambda out: ("ŷ", out),
        )  # fmt: skip
    return Objective(
        classes, "sigmoid", nn.half_squared_error, "half_squared_error",
        lambda y: np.eye(classes)[y], lambda out: out, largest, lambda out: ("ŷ", out),
    )  # fmt: skip
