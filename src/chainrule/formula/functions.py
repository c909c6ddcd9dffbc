"""The functions and constants that a formula can name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

from chainrule.ops import activation, arithmetic, exponential, trigonometric


class Function(NamedTuple):
    """A function of formulas.

    Attributes:
        function: takes nodes, gives a node.
        latex: with ``#`` for the arguments; it stands before a power without parentheses.
        arity: least and greatest number of arguments; None for no limit.
    """

    function: Callable[..., Any]
    latex: str
    arity: tuple[int, int | None] = (1, 1)


class Constant(NamedTuple):
    """A number with a name: what its node is called, and its LaTeX."""

    value: float
    name: str
    latex: str


CONSTANTS: Mapping[str, Constant] = {
    "e": Constant(math.e, "e", "e"),
    "pi": Constant(math.pi, "π", r"\pi"),
    "π": Constant(math.pi, "π", r"\pi"),
}

OPERATORS: Mapping[str, Callable[..., Any]] = {
    "+": arithmetic.add,
    "-": arithmetic.subtract,
    "*": arithmetic.multiply,
    "implicit": arithmetic.multiply,
    "/": arithmetic.divide,
    "^": exponential.power,
    "neg": arithmetic.negative,
}


def _called(latex: str) -> str:
    return rf"{latex}\left(#\right)"


def _named(name: str) -> str:
    return _called(rf"\operatorname{{{name}}}")


def _folded(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A function of two arguments, as one of two or more, from left to right."""
    return lambda *xs: reduce(function, xs)


_FUNCTIONS: Mapping[str, Function] = {
    "exp": Function(exponential.exp, _called(r"\exp")),
    "exp2": Function(exponential.exp2, _named("exp2")),
    "expm1": Function(exponential.expm1, _named("expm1")),
    "log": Function(exponential.log, _called(r"\log")),
    "log1p": Function(exponential.log1p, _named("log1p")),
    "log2": Function(exponential.log2, _called(r"\log_{2}")),
    "log10": Function(exponential.log10, _called(r"\log_{10}")),
    "logaddexp": Function(exponential.logaddexp, _named("logaddexp"), (2, 2)),
    "sqrt": Function(exponential.sqrt, r"\sqrt{#}"),
    "cbrt": Function(exponential.cbrt, r"\sqrt[3]{#}"),
    "square": Function(arithmetic.square, _named("square")),
    "hypot": Function(exponential.hypot, _named("hypot"), (2, 2)),
    "sin": Function(trigonometric.sin, _called(r"\sin")),
    "cos": Function(trigonometric.cos, _called(r"\cos")),
    "tan": Function(trigonometric.tan, _called(r"\tan")),
    "asin": Function(trigonometric.asin, _called(r"\arcsin")),
    "acos": Function(trigonometric.acos, _called(r"\arccos")),
    "atan": Function(trigonometric.atan, _called(r"\arctan")),
    "atan2": Function(trigonometric.atan2, _named("atan2"), (2, 2)),
    "sinh": Function(trigonometric.sinh, _called(r"\sinh")),
    "cosh": Function(trigonometric.cosh, _called(r"\cosh")),
    "tanh": Function(trigonometric.tanh, _called(r"\tanh")),
    "asinh": Function(trigonometric.asinh, _named("arsinh")),
    "acosh": Function(trigonometric.acosh, _named("arcosh")),
    "atanh": Function(trigonometric.atanh, _named("artanh")),
    "sigmoid": Function(exponential.sigmoid, _called(r"\sigma")),
    "log_sigmoid": Function(activation.log_sigmoid, _called(r"\log \sigma")),
    "relu": Function(activation.relu, _named("ReLU")),
    "leaky_relu": Function(activation.leaky_relu, _named("LeakyReLU")),
    "elu": Function(activation.elu, _named("ELU")),
    "gelu": Function(activation.gelu, _named("GELU")),
    "silu": Function(activation.silu, _named("SiLU")),
    "softplus": Function(activation.softplus, _named("softplus")),
    "erf": Function(activation.erf, _named("erf")),
    "erfc": Function(activation.erfc, _named("erfc")),
    "abs": Function(arithmetic.abs, r"\left|#\right|"),
    "sign": Function(arithmetic.sign, _named("sign")),
    "floor": Function(arithmetic.floor, r"\left\lfloor #\right\rfloor"),
    "ceil": Function(arithmetic.ceil, r"\left\lceil #\right\rceil"),
    "round": Function(arithmetic.round, _named("round")),
    "max": Function(_folded(arithmetic.maximum), _called(r"\max"), (2, None)),
    "min": Function(_folded(arithmetic.minimum), _called(r"\min"), (2, None)),
    "clip": Function(arithmetic.clip, _named("clip"), (3, 3)),
}

_ALIASES = {
    "√": "sqrt",
    "σ": "sigmoid",
    "ReLU": "relu",
    "ELU": "elu",
    "GELU": "gelu",
    "SiLU": "silu",
    "swish": "silu",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "maximum": "max",
    "minimum": "min",
}

FUNCTIONS: Mapping[str, Function] = {
    **_FUNCTIONS,
    "ln": _FUNCTIONS["log"]._replace(latex=_called(r"\ln")),
    **{alias: _FUNCTIONS[name] for alias, name in _ALIASES.items()},
}
"""Every function by each of its names."""
