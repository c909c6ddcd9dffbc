"""Weight decay: how much of a parameter each update takes away, and of which parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, cast

from chainrule.errors import ArgumentError, shown
from chainrule.optim import hyperparameters as hyper
from chainrule.optim.schedules import FUNCTION, name_of
from chainrule.shapes import as_flag

Decays: TypeAlias = "str | Sequence[str] | Set[str] | Callable[[str], bool]"
"""Which parameters decay: a pattern for their paths, several, or a function ``path -> bool``.

In patterns ``*`` stands for anything, and every other character for itself. ``"*"`` are all parameters, as in torch
and Keras. ``"*weight"`` are ``weight``, ``layers.0.weight`` and so on, the matrices and kernels of ``cr.nn`` without
biases, and without the scales and shifts of normalisation. The order of several does not matter.
"""

ALL = "*"


@dataclass(frozen=True, slots=True, eq=False)
class WeightDecay:
    """``amount`` of each chosen parameter, taken away by the gradient or beside it.

    Attributes:
        amount: per unit of learning rate, at least 0.
        decays: patterns, or a function of the path.
        decoupled: whether the parameter shrinks by itself, and the optimizer's formula never sees it.

    Source: coupled, Krogh and Hertz, Advances in Neural Information Processing Systems 4, 1991, 950-957; decoupled,
    Loshchilov and Hutter, ICLR 2019, DOI 10.48550/arXiv.1711.05101.
    """

    amount: float
    decays: tuple[str, ...] | Callable[[str], bool]
    decoupled: bool = False

    @property
    def needs_paths(self) -> bool:
        """Whether it depends on a parameter's path that it decays."""
        return self.amount > 0 and self.decays != (ALL,)

    def chosen(self, paths: Sequence[str], count: int) -> list[bool]:
        """Whether each of ``count`` parameters decays; ``paths`` are read only if :attr:`needs_paths`."""
        if not self.needs_paths:
            return [self.amount > 0] * count
        if callable(self.decays):
            return [as_flag("decays", "its result", self.decays(path)) for path in paths]
        return [any(_fits(path, pattern) for pattern in self.decays) for path in paths]

    def require_matches(self, name: str, paths: Sequence[str]) -> None:
        """A pattern that no parameter has is a slip of the pen, and would train without decay.

        Raises:
            ArgumentError: no path fits one of the patterns.
        """
        if self.amount == 0 or callable(self.decays):
            return
        for pattern in self.decays:
            if not any(_fits(path, pattern) for path in paths):
                raise ArgumentError(
                    f"{name}: decays={pattern!r} fits no parameter; the first is {paths[0]!r}",
                    fix='take patterns from the paths: decays="*weight", or "*" for all',
                )

    def applied(self, rate: Any, p: Any, g: Any) -> tuple[Any, Any]:
        """Parameter and gradient as the optimizer's formula takes them."""
        if self.decoupled:
            return p - hyper.beside(p, rate * self.amount) * p, g
        return p, g + self.amount * p


def _fits(path: str, pattern: str) -> bool:
    """Whether a path is what a pattern says; ``?`` and ``[`` stand for themselves, as names of parameters have them."""
    return fnmatchcase(path, re.sub(r"[?[]", r"[\g<0>]", pattern))


def as_weight_decay(name: str, amount: Any, decays: Any, decoupled: bool = False) -> WeightDecay:
    """Check what a user gave.

    Raises:
        ArgumentError: ``amount`` is no number of at least 0, or ``decays`` neither patterns nor a function.
    """
    size = hyper.at_least(name, "weight_decay", amount, 0, "0.01")
    if callable(decays):
        return WeightDecay(size, cast("Callable[[str], bool]", decays), decoupled)
    given = (decays,) if isinstance(decays, str) else decays
    patterns = tuple(given) if isinstance(given, (list, tuple, set, frozenset)) else ()
    if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ArgumentError(
            f"{name}: decays must be a pattern for paths, or several, or a function, got {shown(decays)}",
            fix='pass decays="*weight" to leave out biases; weight_decay=0.0 decays nothing',
        )
    if isinstance(given, (set, frozenset)):
        patterns = tuple(sorted(patterns))  # in an order that is the same in every process
    return WeightDecay(size, patterns, decoupled)


def described(decay: WeightDecay) -> Any:
    """What an optimizer's settings say of the parameters that decay."""
    if callable(decay.decays):
        return {FUNCTION: name_of(decay.decays)}
    return decay.decays[0] if len(decay.decays) == 1 else list(decay.decays)
