"""Memory for large results, used again when a result is no longer needed.

The system gives fresh memory page by page, as it is first touched, which takes several times as long as a kernel
takes to fill it. So the memory of a large result goes back to a store when the last array that sees it is gone, and
the next result of that size gets it.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from chainrule.compiler.memory import aligned
from chainrule.primitive import Array
from chainrule.shapes import DType, Shape, count

SMALLEST = 1 << 18
"""Bytes from which it is worth it; smaller results come from Python's own allocator, which reuses memory."""
KEPT = 256 << 20
"""Bytes that wait to be used again, at most."""


class _Store:
    """Blocks that wait, by size. Safe to use from several threads, and from destructors."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[Array]] = {}
        self._total = 0
        self._changing = threading.RLock()

    def take(self, nbytes: int) -> Array:
        with self._changing:
            blocks = self._waiting.get(nbytes)
            if blocks:
                self._total -= nbytes
                return blocks.pop()
        return aligned(nbytes, np.empty)

    def give(self, block: Array) -> None:
        with self._changing:
            if self._total + block.nbytes <= KEPT:
                self._total += block.nbytes
                self._waiting.setdefault(block.nbytes, []).append(block)


_store = _Store()


class _Lease:
    """What an array has as its base; when the array and all its views are gone, the block goes back."""

    __slots__ = ("__array_interface__", "_block", "_give")

    def __init__(self, block: Array, shape: Shape, dtype: DType) -> None:
        self._block = block
        self._give: Any = _store.give  # the module may be gone when the program ends
        address, _ = block.__array_interface__["data"]
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (address, False),
        }

    def __del__(self) -> None:
        self._give(self._block)


def maker(shape: Shape, dtype: DType) -> Any:
    """The function that makes such arrays: `empty`, or NumPy's own, which is faster, where they are the same."""
    return np.empty if count(shape) * dtype.itemsize < SMALLEST else empty


def empty(shape: Shape, dtype: DType) -> Array:
    """An array whose elements are anything; its memory may have been another's."""
    nbytes = count(shape) * dtype.itemsize
    if nbytes < SMALLEST:
        return np.empty(shape, dtype)
    return np.asarray(_Lease(_store.take(nbytes), shape, dtype))
