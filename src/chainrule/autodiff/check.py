"""Check a derivative against central differences, and name the worst element."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.autodiff.forward import pushforward
from chainrule.autodiff.reverse import pullback
from chainrule.errors import ArgumentError, DTypeError, GradientError
from chainrule.modes import recording
from chainrule.node import Node, apply, as_node, leaf
from chainrule.ops.cast import Identity
from chainrule.primitive import Array
from chainrule.shapes import FLOATS, as_int, float64


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One element of one argument: what the rules say and what differences say.

    Attributes:
        argument: path of the argument, such as ``0.weight``.
        index: place in that argument.
        derived: by the derivative rules.
        measured: by central differences.
        error: their difference beyond the rounding noise of the measurement, relative to the largest of
            1, ``|derived|`` and ``|measured|``.
        mode: ``"reverse"`` or ``"forward"``.
    """

    argument: str
    index: tuple[int, ...]
    derived: float
    measured: float
    error: float
    mode: str

    @property
    def text(self) -> str:
        place = f"{self.argument}[{', '.join(map(str, self.index))}]" if self.index else self.argument
        return (
            f"{self.mode} mode, argument {place}: derived {self.derived:.9g}, "
            f"measured {self.measured:.9g}, error {self.error:.2g}"
        )


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """Result of :func:`check`.

    Attributes:
        ok: whether every element agrees within ``tolerance``.
        worst: the element that agrees least, in either mode.
        checked: how many elements were compared.
        tolerance: the largest error that passes.
    """

    ok: bool
    worst: Mismatch
    checked: int
    tolerance: float

    @property
    def text(self) -> str:
        verdict = "agree" if self.ok else "DISAGREE"
        return (
            f"derivatives {verdict} with central differences on {self.checked} elements "
            f"(tolerance {self.tolerance:g})\n  worst: {self.worst.text}"
        )

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checked": self.checked,
            "tolerance": self.tolerance,
            "worst": asdict(self.worst),
        }

    def require(self) -> None:
        """Raise :class:`GradientError` unless everything agrees."""
        if not self.ok:
            raise GradientError(
                self.text,
                fix="mend the rule that is wrong; move the point if it is near a kink or a pole",
            )


def check(
    f: Callable[..., Any], *args: Any, tolerance: float = 1e-6, samples: int = 200, seed: int = 0
) -> GradientCheck:
    """Compare the derivatives of ``f`` at ``args``, in both modes, with central differences.

    Args:
        f: a function of arrays, or nested arrays, that returns arrays, or nested arrays.
        args: where; floating arguments are checked, and must be float64.
        tolerance: largest relative error that passes.
        samples: at most so many elements are checked, chosen at random; at least 1.
        seed: of that choice, and of the combination of several results.

    Returns:
        Whether they agree, and the worst element. Of one number its derivative is compared; several results
        are combined with random weights first, so that one sweep checks them all. At a kink differences give
        the mean of both sides, which need not be the convention.

    Raises:
        DTypeError: a float32 argument: differences of float32 numbers say little.
        ArgumentError: nothing to check: no floating argument, or no floating result; or ``samples`` below 1.

    Example:
        >>> import chainrule as cr
        >>> cr.check(lambda x: cr.sin(x) * x, np.array([0.5, 2.0])).ok
        True
    """
    if as_int("check", "samples", samples) < 1:
        raise ArgumentError(f"check: samples must be at least 1, got {samples}", fix="pass samples=200")
    rng = np.random.default_rng(seed)
    flat, structure = trees.flatten(args)
    labels = trees.paths(args)
    starts = [_start(v) for v in flat]
    wrt = [n for n in starts if n.tracked]
    if not wrt or not sum(n.size for n in wrt):
        raise ArgumentError("check: no floating argument to check", fix="pass float64 arrays")
    if any(n.dtype != float64 for n in wrt):
        raise DTypeError("check: arguments must be float64", fix="x.astype(cr.float64)")

    def run(values: list[Node]) -> list[Node]:
        result = f(*trees.unflatten(structure, values))
        return [n for n in map(as_node, trees.leaves(result)) if n.dtype in FLOATS]

    with recording(True):
        outputs = run(starts)
    if not outputs:
        raise ArgumentError(
            "check: the function returns no floating array, so that it has no derivative",
            fix="return a float64 array; comparisons and indices have no derivative",
        )
    if sum(o.size for o in outputs) == 1:  # one number: what is reported is its derivative itself
        weights = [as_node(np.ones(o.shape, o.dtype)) for o in outputs]
    else:
        weights = [as_node(rng.normal(size=o.shape).astype(o.dtype)) for o in outputs]
    pulled = pullback(outputs, weights, wrt, record=False)
    gradients = [np.zeros(w.shape) if g is None else g.array() for g, w in zip(pulled, wrt, strict=True)]
    magnitude = sum(
        float(np.sum(np.abs(w.array() * o.array()))) for w, o in zip(weights, outputs, strict=True)
    )

    def measured(k: int, direction: Array) -> float:
        return _difference(
            lambda x: _total(run([*starts[:k], leaf(x), *starts[k + 1 :]]), weights), starts[k], direction
        )

    found: list[Mismatch] = []
    for i, place in _pick(wrt, samples, rng):
        k = next(j for j, n in enumerate(starts) if n is wrt[i])
        unit = np.zeros(wrt[i].shape)
        unit[place] = 1.0
        numeric = measured(k, unit)
        pushed = pushforward(outputs, [wrt[i]], [as_node(unit)], record=False)
        forward = _total(
            [t for t in pushed if t is not None],
            [w for w, t in zip(weights, pushed, strict=True) if t is not None],
        )
        for derived, mode in ((float(gradients[i][place]), "reverse"), (forward, "forward")):
            error = _error(derived, numeric, _NOISE * magnitude / _step(starts[k].array(), unit))
            found.append(Mismatch(labels[k], place, derived, numeric, error, mode))
    worst = max(found, key=lambda m: m.error)
    return GradientCheck(worst.error <= tolerance, worst, len(found) // 2, tolerance)


def _start(value: Any) -> Node:
    """The argument as a node from which derivatives begin, transforms within the function included."""
    array: Array = as_node(value).array()
    if array.dtype not in FLOATS:
        return leaf(array)
    with recording(True):
        return apply(Identity, (leaf(array, tracked=True),))


def _total(outputs: list[Node], weights: list[Node]) -> float:
    return sum(float(np.sum(w.array() * o.array())) for w, o in zip(weights, outputs, strict=True))


_NOISE = 1e3 * float(np.finfo(np.float64).eps)
"""Rounding errors of a sum of magnitude 1: a thousand roundings, as after some hundred operations."""


def _error(derived: float, measured: float, noise: float) -> float:
    """Difference beyond ``noise``, relative to this element alone: a large neighbour hides nothing."""
    beyond = abs(derived - measured) - noise
    if beyond <= 0:
        return 0.0
    error = beyond / max(1.0, abs(derived), abs(measured))
    return error if error == error else math.inf  # nan agrees with nothing


def _step(values: Array, direction: Array) -> float:
    return 1e-3 * max(1.0, float(np.max(np.abs(values * direction), initial=0.0)))


def _difference(f: Callable[[Array], float], x: Node, direction: Array) -> float:
    """Central difference with one step of Richardson extrapolation: error of fourth order in h."""
    values = x.array()
    h = _step(values, direction)

    def central(step: float) -> float:
        return (f(values + step * direction) - f(values - step * direction)) / (2 * step)

    return (4 * central(h / 2) - central(h)) / 3


def _pick(wrt: list[Node], samples: int, rng: np.random.Generator) -> list[tuple[int, tuple[int, ...]]]:
    """At most ``samples`` elements: which of ``wrt``, and the place in it. Nothing of their number is listed."""
    ends = np.cumsum([w.size for w in wrt])
    total = int(ends[-1])
    flat = range(total) if total <= samples else np.sort(rng.choice(total, samples, replace=False)).tolist()
    picked: list[tuple[int, tuple[int, ...]]] = []
    for number in flat:
        i = int(np.searchsorted(ends, number, side="right"))
        within = number - (int(ends[i - 1]) if i else 0)
        picked.append((i, tuple(int(j) for j in np.unravel_index(within, wrt[i].shape))))
    return picked
