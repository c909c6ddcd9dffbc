"""NumPy's own functions on tensors: ``np.tanh(x) @ w`` builds the same graph as ``cr.tanh(x) @ w``.

What NumPy offers and chainrule does not raises an error that names the way out. Nothing ever falls back
to an array of objects, and no gradient is lost silently.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule import ops
from chainrule.errors import NotSupportedError
from chainrule.node import Node

# NumPy's name -> ours, where they differ. All other ufuncs are found under their own name.
_UFUNC_NAMES = {
    "absolute": "abs",
    "fabs": "abs",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "rint": "round",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "invert": "logical_not",
    "mod": "remainder",
    "float_power": "power",
    "fmax": "maximum",
    "fmin": "minimum",
    "conjugate": "positive",
    "matvec": "matmul",
    "vecmat": "matmul",
}
_COMPOSED: dict[str, Callable[..., Any]] = {
    "deg2rad": lambda x: x * (np.pi / 180),
    "radians": lambda x: x * (np.pi / 180),
    "rad2deg": lambda x: x * (180 / np.pi),
    "degrees": lambda x: x * (180 / np.pi),
    "divmod": lambda x, y: (ops.floor_divide(x, y), ops.remainder(x, y)),
}
_REDUCERS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What ``np.<ufunc>(*inputs)`` gives when one of the inputs is a tensor."""
    name = str(ufunc.__name__)
    given = {k: v for k, v in kwargs.items() if v is not None and not (k == "where" and v is True)}
    if "out" in given:
        raise NotSupportedError(
            f"np.{name}(..., out=...) with a tensor: tensors never change", fix=f"y = np.{name}(...)"
        )
    if method == "reduce" and name in _REDUCERS:
        return _call(f"np.{name}.reduce", getattr(ops, _REDUCERS[name]), inputs, {"axis": 0, **given})
    if method != "__call__":
        raise _unsupported(f"np.{name}.{method}", name)
    ours = _UFUNC_NAMES.get(name, name)
    function = _COMPOSED.get(name) or (getattr(ops, ours) if ours in ops.__all__ else None)
    if function is None:
        raise _unsupported(f"np.{name}", name)
    return _call(f"np.{name}", function, inputs, given)


def call_function(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What ``np.<function>(*args)`` gives when one of the arguments is a tensor."""
    module = str(getattr(func, "__module__", "numpy")).replace("numpy", "np")
    label = f"{module}.{func.__name__}"
    adapted = _FUNCTIONS.get(func)
    if adapted is None:
        raise _unsupported(label, func.__name__)
    given = {
        k: v for k, v in kwargs.items() if v is not np._NoValue and not (k in ("out", "dtype") and v is None)
    }  # pyright: ignore
    return _call(label, adapted, args, given)


def _call(label: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        if "argument" not in str(error) or isinstance(error, NotSupportedError):
            raise
        raise NotSupportedError(
            f"{label} with a tensor: {error}",
            fix=f"call cr.{getattr(function, '__name__', label).strip('_')} with its own arguments",
        ) from None


def _unsupported(label: str, name: str) -> NotSupportedError:
    close = difflib.get_close_matches(_UFUNC_NAMES.get(name, name), ops.__all__, n=1, cutoff=0.75)
    fix = f"cr.{close[0]} is near to it; " if close else ""
    return NotSupportedError(
        f"{label} has no differentiable counterpart in chainrule",
        fix=f"{fix}x.numpy() gives the values as an array, without gradient",
    )


def _over(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's order of arguments for a reduction: ``(a, axis, keepdims=...)``."""

    def reduce(a: Any, axis: Any = None, **kwargs: Any) -> Any:
        return function(a, axis=axis, **kwargs)

    reduce.__name__ = function.__name__
    return reduce


def _spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Variance and its like: NumPy says ``ddof``, the standard ``correction``."""

    def reduce(
        a: Any, axis: Any = None, *, ddof: float = 0, correction: float | None = None, **kwargs: Any
    ) -> Any:
        return function(a, axis=axis, correction=ddof if correction is None else correction, **kwargs)

    reduce.__name__ = function.__name__
    return reduce


def _axis(function: Callable[..., Any], default: Any) -> Callable[..., Any]:
    """``(a, ..., axis)`` where NumPy lets the axis be positional."""

    def along(a: Any, axis: Any = default, **kwargs: Any) -> Any:
        return function(a, axis=axis, **kwargs)

    along.__name__ = function.__name__
    return along


def _axis_last(function: Callable[..., Any], default: Any) -> Callable[..., Any]:
    def along(a: Any, second: Any, axis: Any = default, **kwargs: Any) -> Any:
        return function(a, second, axis=axis, **kwargs)

    along.__name__ = function.__name__
    return along


def _pad(a: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Any:
    if mode != "constant":
        raise NotSupportedError(
            f"np.pad(mode={mode!r}) with a tensor", fix='use mode="constant", or build it with cr.concat'
        )
    return ops.pad(a, pad_width, value=constant_values)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return ops.clip(a, a_min if min is None else min, a_max if max is None else max)


def _stack_on(axis: int) -> Callable[[Any], Any]:
    def join(tup: Any) -> Any:
        parts = [ops.reshape(x, (1, -1) if axis == 0 else (-1,)) if np.ndim(x) < 2 else x for x in tup]
        if axis == 1 and all(np.ndim(x) < 2 for x in tup):
            return ops.concat(parts, axis=0)
        return ops.concat(parts, axis=axis)

    join.__name__ = "vstack" if axis == 0 else "hstack"
    return join


def _values(function: Callable[..., Any]) -> Callable[..., Any]:
    """Functions that only look at the values: comparison for tests, printing."""

    def look(*args: Any, **kwargs: Any) -> Any:
        return function(*(a.array() if isinstance(a, Node) else a for a in args), **kwargs)

    look.__name__ = function.__name__
    return look


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _over(ops.sum),
    np.mean: _over(ops.mean),
    np.prod: _over(ops.prod),
    np.max: _over(ops.max),
    np.min: _over(ops.min),
    np.amax: _over(ops.max),
    np.amin: _over(ops.min),
    np.all: _over(ops.all),
    np.any: _over(ops.any),
    np.argmax: _over(ops.argmax),
    np.argmin: _over(ops.argmin),
    np.count_nonzero: _over(ops.count_nonzero),
    np.var: _spread(ops.var),
    np.std: _spread(ops.std),
    np.cumsum: _axis(ops.cumsum, None),
    np.cumprod: _axis(ops.cumprod, None),
    np.sort: _axis(ops.sort, -1),
    np.argsort: _axis(ops.argsort, -1),
    np.reshape: ops.reshape,
    np.ravel: lambda a: ops.reshape(a, (-1,)),
    np.transpose: ops.transpose,
    np.permute_dims: ops.permute_dims,
    np.matrix_transpose: ops.matrix_transpose,
    np.swapaxes: ops.swapaxes,
    np.moveaxis: ops.moveaxis,
    np.expand_dims: _axis(ops.expand_dims, 0),
    np.squeeze: ops.squeeze,
    np.broadcast_to: ops.broadcast_to,
    np.broadcast_arrays: ops.broadcast_arrays,
    np.concatenate: _axis(ops.concat, 0),
    np.stack: _axis(ops.stack, 0),
    np.vstack: _stack_on(0),
    np.hstack: _stack_on(1),
    np.split: _axis_last(ops.split, 0),
    np.pad: _pad,
    np.flip: _axis(ops.flip, None),
    np.roll: _axis_last(ops.roll, None),
    np.repeat: _axis_last(ops.repeat, None),
    np.tile: ops.tile,
    np.take: _axis_last(ops.take, None),
    np.take_along_axis: _axis_last(ops.take_along_axis, -1),
    np.diagonal: ops.diagonal,
    np.tril: ops.tril,
    np.triu: ops.triu,
    np.trace: ops.linalg.trace,
    np.where: ops.where,
    np.clip: _clip,
    np.round: ops.round,
    np.einsum: ops.einsum,
    np.tensordot: _axis_last(lambda a, b, axis: ops.tensordot(a, b, axes=axis), 2),
    np.dot: ops.dot,
    np.inner: ops.inner,
    np.outer: ops.outer,
    np.linalg.norm: ops.norm,
    np.linalg.solve: ops.solve,
    np.linalg.inv: ops.inv,
    np.linalg.cholesky: ops.cholesky,
    np.linalg.slogdet: ops.slogdet,
    np.linalg.det: ops.det,
    np.zeros_like: ops.zeros_like,
    np.ones_like: ops.ones_like,
    np.full_like: ops.full_like,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.allclose: _values(np.allclose),
    np.isclose: _values(np.isclose),
    np.array_equal: _values(np.array_equal),
    np.array2string: _values(np.array2string),
    np.array_repr: _values(np.array_repr),
    np.array_str: _values(np.array_str),
    np.save: _values(np.save),
    np.savetxt: _values(np.savetxt),
    np.may_share_memory: _values(np.may_share_memory),
    np.shares_memory: _values(np.shares_memory),
}
