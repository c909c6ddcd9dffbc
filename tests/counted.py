"""Arithmetic that is really executed, counted while NumPy executes it.

Arrays are of a class whose every NumPy function is seen (`Counted`), and `asarray` and the like, which would give plain
arrays, are replaced meanwhile by their siblings that keep the class. So the primitives' own code runs, unchanged.

What LAPACK computes cannot be seen from outside: there the textbook algorithm that it runs is counted, in
:mod:`eliminated`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from unittest import mock

import numpy as np

from chainrule.ops import error_function
from chainrule.primitive import REGISTRY

MULTIPLICATIONS, ADDITIONS, TRANSCENDENTALS = "multiplications", "additions", "transcendentals"

_ONE = {
    MULTIPLICATIONS: (np.multiply, np.divide, np.square, np.reciprocal, np.floor_divide),
    ADDITIONS: (
        *(np.add, np.subtract, np.negative, np.absolute, np.fabs, np.sign, np.maximum, np.minimum),
        *(np.floor, np.ceil, np.trunc, np.rint, np.less, np.less_equal, np.greater, np.greater_equal),
        *(np.equal, np.not_equal, np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
        *(np.isnan, np.isinf, np.isfinite, np.copysign, np.signbit),
    ),
    TRANSCENDENTALS: (
        *(np.exp, np.exp2, np.expm1, np.log, np.log1p, np.log2, np.log10, np.sqrt, np.cbrt, np.power),
        *(np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan, np.arctan2, np.sinh, np.cosh, np.tanh),
        *(np.arcsinh, np.arccosh, np.arctanh, np.float_power),
    ),
}
WORK = {ufunc: Counter({kind: 1}) for kind, ufuncs in _ONE.items() for ufunc in ufuncs}
"""What a ufunc does to one element."""
WORK[np.hypot] = Counter({MULTIPLICATIONS: 2, ADDITIONS: 1, TRANSCENDENTALS: 1})
WORK[np.logaddexp] = Counter({ADDITIONS: 3, TRANSCENDENTALS: 2})
WORK[np.remainder] = Counter({MULTIPLICATIONS: 2, ADDITIONS: 1})  # a quotient, a product, a difference
_PRODUCTS = (np.matmul, np.vecdot, np.matvec, np.vecmat) if hasattr(np, "matvec") else (np.matmul, np.vecdot)
_BITS = ("bitwise", "left_shift", "right_shift", "invert")

_count: Counter[str] | None = None
_floats_only = _guards = False
_GUARDS = (np.isfinite, np.isnan, np.logical_and, np.logical_or)
"""Looking whether numbers are finite, before what would be inexact or hide a nan, is no part of the arithmetic."""


class Counted(np.ndarray):
    """An array whose arithmetic is counted."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        for key in ("out", "where"):
            if key in kwargs:
                given = kwargs[key]
                many = isinstance(given, tuple)
                bare = [
                    x.view(np.ndarray) if isinstance(x, Counted) else x for x in (given if many else (given,))
                ]
                kwargs[key] = tuple(bare) if many else bare[0]
        result = getattr(ufunc, method)(*plain, **kwargs)
        _tally(ufunc, method, plain, kwargs, result)
        if "out" in kwargs and method != "at":
            return counted_view(kwargs["out"][0])
        if isinstance(result, tuple):
            return tuple(map(counted_view, result))
        return None if result is None else counted_view(result)

    def __array_function__(self, function, types, args, kwargs):
        if function is np.einsum:
            return self._einsum(args, kwargs)
        if function in (
            np.argmax,
            np.argmin,
            np.count_nonzero,
        ):  # n elements meet n - 1 times
            plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in args]
            result = counted_view(function(*plain, **kwargs))
            _add(ADDITIONS, max(0, np.size(args[0]) - np.size(result)))
            return result
        result = super().__array_function__(function, types, args, kwargs)
        return counted_view(result) if type(result) is np.ndarray else result

    def __getitem__(self, index):
        return counted_view(super().__getitem__(index))  # numbers too

    def dot(self, other):
        if other is self:  # a look for nan, as `scale` has it
            return self.view(np.ndarray).dot(self.view(np.ndarray))
        return np.matmul(self, other)

    @staticmethod
    def _einsum(args, kwargs):
        """By its definition: so many factors less one multiplications at each point; the points of a sum are added."""
        subscripts, *operands = args
        plain = [np.asarray(x).view(np.ndarray) for x in operands]
        result = np.einsum(subscripts, *plain, **kwargs)
        terms, _, out = subscripts.partition("->")
        sizes = {
            c: n
            for t, x in zip(terms.split(","), plain, strict=True)
            for c, n in zip(t, x.shape, strict=True)
        }
        points = int(np.prod(list(sizes.values()), dtype=object)) if sizes else 1
        _add(MULTIPLICATIONS, points * (len(plain) - 1))
        if len(sizes) > len(out):
            _add(ADDITIONS, points)
        return counted_view(result)


def _add(kind: str, number: int) -> None:
    if _count is not None:
        _count[kind] += int(number)


def _tally(ufunc, method, inputs, kwargs, result) -> None:
    if _count is None:
        return
    if ufunc in _PRODUCTS:
        size = np.size(result) * np.shape(inputs[0])[-1]
        _add(MULTIPLICATIONS, size)
        _add(ADDITIONS, size)  # into a sum that begins with 0, as a multiply-add does
        return
    joins = ufunc in (np.bitwise_and, np.bitwise_or) and np.asarray(result).dtype.kind == "b"
    if (ufunc in _GUARDS or joins) and not _guards:
        return
    if _floats_only and not _has_floats(result, *inputs):
        return
    work = WORK.get(ufunc)
    if work is None and ufunc.__name__.startswith(_BITS):
        work = Counter({ADDITIONS: 1})
    if work is None:
        raise AssertionError(f"np.{ufunc.__name__} is not in the table of counted functions")
    if method == "reduce":
        times = max(0, np.size(inputs[0]) - np.size(result))
    elif method == "accumulate":
        steps = np.size(inputs[0])
        axis = inputs[1] if len(inputs) > 1 else kwargs.get("axis", 0)
        times = steps - steps // max(1, np.shape(inputs[0])[axis]) if steps else 0
    elif method == "at":
        times = np.size(inputs[1] if not isinstance(inputs[1], tuple) else np.empty(0)[:0])
        if isinstance(inputs[1], tuple):
            times = int(np.broadcast(*[np.asarray(i) for i in inputs[1]]).size)
    elif method == "__call__":
        times = np.size(result[0] if isinstance(result, tuple) else result)
    else:
        raise AssertionError(f"{method} of np.{ufunc.__name__} is not counted")
    for kind, each in work.items():
        _add(kind, times * each)


def _has_floats(*xs) -> bool:
    return any(isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f" for x in xs)


def counted_view(x):
    """An array or a number as an array that is counted."""
    return np.asanyarray(x).view(Counted)


@contextlib.contextmanager
def counting(floats_only: bool = False, guards: bool = False) -> Iterator[Counter[str]]:
    """Within this context arithmetic of `Counted` arrays is counted, and arrays that are made are such.

    With ``guards`` tests such as ``isfinite`` count too. With ``floats_only`` the keeping of books in integers and
    booleans, as for indices, is left out.
    """
    global _count, _floats_only, _guards
    _floats_only, _guards = floats_only, guards
    keep = {
        name: _keeping(getattr(np, name))
        for name in ("empty", "zeros", "ones", "full", "empty_like", "zeros_like", "ones_like", "arange")
    }
    as_any = np.asanyarray

    def asarray(x, dtype=None, **kwargs):
        return counted_view(as_any(x, dtype, **kwargs))

    _count = Counter()
    with contextlib.ExitStack() as stack:
        for name, function in keep.items():
            stack.enter_context(mock.patch.object(np, name, function))
        stack.enter_context(mock.patch.object(np, "asarray", asarray))
        stack.enter_context(
            mock.patch.object(
                np, "ascontiguousarray", lambda x, dtype=None: counted_view(np.require(x, dtype, "C"))
            )
        )
        for name in ("erf", "erfc"):
            one = _one_each(getattr(error_function, name))
            stack.enter_context(mock.patch.object(error_function, name, one))
            stack.enter_context(mock.patch.object(REGISTRY[name], "evaluate", staticmethod(one)))
        try:
            yield _count
        finally:
            _count = None


def _one_each(function):
    """An elementary function that is written in NumPy counts as what it is, one for each element."""

    def evaluated(x):
        result = function(np.asarray(x).view(np.ndarray))
        _add(TRANSCENDENTALS, np.size(result))
        return counted_view(result)

    return evaluated


def _keeping(function):
    def made(*args, **kwargs):
        return counted_view(function(*args, **kwargs))

    return made
