"""The scalar instructions on NumPy arrays: what each of them means, and the reference for every backend."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.ops import error_function
from chainrule.ops.exponential import Sigmoid
from chainrule.primitive import Array
from chainrule.shapes import DType

ELEMENTARY: Mapping[str, Callable[..., Any]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": error_function.erf,
    "erfc": error_function.erfc,
    "sigmoid": Sigmoid.evaluate,
    "pow": np.power,
    "cbrt": np.cbrt,
    "hypot": np.hypot,
}
"""The elementary functions by name."""


class NumpyInstructions:
    """`Instructions` whose scalars are arrays: each works on all elements, with broadcasting.

    Example:
        >>> from chainrule.ops.compare import IsFinite
        >>> IsFinite.emit(NumpyInstructions(), np.array([1.0, -np.inf, np.nan])).tolist()
        [True, False, False]
    """

    def dtype(self, x: Any) -> DType:
        return x.dtype

    def number(self, value: float | int | bool, like: Any) -> Any:
        return like.dtype.type(value)

    def convert(self, x: Any, dtype: DType) -> Array:
        return np.asarray(x).astype(dtype)

    def elementary(self, name: str, *xs: Any) -> Any:
        return ELEMENTARY[name](*xs)

    add = staticmethod(operator.add)
    sub = staticmethod(operator.sub)
    mul = staticmethod(operator.mul)
    div = staticmethod(np.divide)
    neg = staticmethod(operator.neg)
    abs = staticmethod(np.abs)
    minimum = staticmethod(np.minimum)
    maximum = staticmethod(np.maximum)
    floor_divide = staticmethod(np.floor_divide)
    remainder = staticmethod(np.remainder)
    power = staticmethod(np.power)

    sqrt = staticmethod(np.sqrt)
    floor = staticmethod(np.floor)
    ceil = staticmethod(np.ceil)
    trunc = staticmethod(np.trunc)
    round = staticmethod(np.rint)
    copysign = staticmethod(np.copysign)

    less = staticmethod(np.less)
    less_equal = staticmethod(np.less_equal)
    equal = staticmethod(np.equal)
    not_equal = staticmethod(np.not_equal)
    select = staticmethod(np.where)

    logical_and = staticmethod(np.logical_and)
    logical_or = staticmethod(np.logical_or)
    logical_xor = staticmethod(np.logical_xor)
    logical_not = staticmethod(np.logical_not)
