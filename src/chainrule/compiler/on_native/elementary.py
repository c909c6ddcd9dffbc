"""Elementary functions of vectors of floats, each within 2 units in the last place of the exact value.

`ELEMENTARY` has a function for each name: ``ELEMENTARY["exp"](function, x)`` writes the instructions that compute
it, for float32 and float64 and any number of lanes, without calls to a library. Special values are NumPy's: nan,
infinities, signed zeros, denormals, overflow. `ROUNDING` has what rounds to integers, exactly.

Subjects: `exponential`, `logarithmic` (with powers), `trigonometric`, `inverse_trigonometric`, `special`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from chainrule.compiler.on_native import exponential, floats, logarithmic, special, trigonometric
from chainrule.compiler.on_native import inverse_trigonometric as inverse
from chainrule.compiler.on_native.floats import Floats
from chainrule.compiler.on_native.ir import Function, Type, Value

Emitter: TypeAlias = Callable[..., Value]
"""Called with the function under construction and one operand for each argument; gives the result's operand."""


def _emitter(formula: Callable[..., Floats]) -> Emitter:
    def emit(function: Function, *xs: Value) -> Value:
        return formula(*(Floats(function, x) for x in xs)).value

    emit.__name__ = formula.__name__
    emit.__doc__ = formula.__doc__
    return emit


ELEMENTARY: dict[str, Emitter] = {
    "exp": _emitter(exponential.exp),
    "exp2": _emitter(exponential.exp2),
    "expm1": _emitter(exponential.expm1),
    "log": _emitter(logarithmic.log),
    "log1p": _emitter(logarithmic.log1p),
    "log2": _emitter(logarithmic.log2),
    "log10": _emitter(logarithmic.log10),
    "tanh": _emitter(exponential.tanh),
    "sigmoid": _emitter(exponential.sigmoid),
    "sin": _emitter(trigonometric.sin),
    "cos": _emitter(trigonometric.cos),
    "tan": _emitter(trigonometric.tan),
    "sinh": _emitter(exponential.sinh),
    "cosh": _emitter(exponential.cosh),
    "asin": _emitter(inverse.asin),
    "acos": _emitter(inverse.acos),
    "atan": _emitter(inverse.atan),
    "atan2": _emitter(inverse.atan2),
    "asinh": _emitter(logarithmic.asinh),
    "acosh": _emitter(logarithmic.acosh),
    "atanh": _emitter(logarithmic.atanh),
    "erf": _emitter(special.erf),
    "erfc": _emitter(special.erfc),
    "pow": _emitter(logarithmic.power),
    "cbrt": _emitter(special.cbrt),
    "hypot": _emitter(special.hypot),
}

ROUNDING: dict[str, Emitter] = {
    "floor": _emitter(floats.floor),
    "ceil": _emitter(floats.ceil),
    "trunc": _emitter(floats.trunc),
    "round": _emitter(floats.round_even),
}


def supports(name: str, kind: Type) -> bool:
    """Whether a function can be written for operands of a type; NumPy computes it otherwise.

    >>> (
    ...     supports("erfc", Type("double", 8)),
    ...     supports("erfc", Type("i64", 8)),
    ...     supports("gamma", Type("double")),
    ... )
    (True, False, False)
    """
    return kind.floating and (name in ELEMENTARY or name in ROUNDING)
