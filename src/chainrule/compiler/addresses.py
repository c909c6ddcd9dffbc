"""Where the numbers of an array lie, and what else its object holds, faster than NumPy says it.

A small compiled function takes a microsecond, and ``array.ctypes.data`` nearly another for each array. NumPy's array
objects begin with the same fields in every version since 1.0: after what every Python object has come the address of
the data, rank, shape, strides, base, dtype and flags. That it is so here is checked once, on import.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from chainrule.primitive import Array

_WORD = ctypes.sizeof(ctypes.c_void_p)
DATA = object.__basicsize__
"""Bytes of what every Python object begins with, the last of it its class."""
CLASS = DATA - _WORD
RANK = DATA + _WORD
"""Fields of an array: bytes from the beginning of the object. Rank and flags are 32-bit integers."""
SHAPE, DTYPE, FLAGS = RANK + _WORD, RANK + 4 * _WORD, RANK + 5 * _WORD
ORDERLY = 0x101
"""The flags of an array that is aligned and row-major without gaps."""
_address: Any = ctypes.c_size_t.from_address
_integer: Any = ctypes.c_int32.from_address


def _slowly(array: Array) -> int:
    return int(array.ctypes.data)


def _fast(array: Array) -> int:
    return int(_address(id(array) + DATA).value)


def _is_as_described(array: Array) -> bool:
    at = id(array)
    shape = _address(at + SHAPE).value
    sizes = tuple(_address(shape + _WORD * i).value for i in range(array.ndim))
    orderly = (_integer(at + FLAGS).value & ORDERLY) == ORDERLY
    return (
        _fast(array) == _slowly(array)
        and _address(at + CLASS).value == id(type(array))
        and _address(at + DTYPE).value == id(array.dtype)
        and _integer(at + RANK).value == array.ndim
        and sizes == array.shape
        and orderly == (array.flags.c_contiguous and array.flags.aligned)
    )


def _described() -> bool:
    """Whether fields can be read directly: on CPython, if they hold what NumPy says."""
    if sys.implementation.name != "cpython" or _WORD != 8:
        return False
    samples = [np.zeros(3), np.zeros((2, 5), np.float32)[1:], np.zeros(()), np.arange(4), np.zeros((3, 2)).T]
    return all(map(_is_as_described, samples))


READABLE = _described()
"""Whether native code may look into arrays."""
address_of = _fast if READABLE else _slowly
"""The address of the first element of an array."""
