"""Where arrays lie: one block of memory for all intermediate results, planned before anything runs.

An array lives from the step that writes it to the last step that reads it. Arrays whose lives do not overlap may
share bytes; the largest are placed first, each at the lowest offset that is free for all of its life.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from chainrule.primitive import Array

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


@dataclass(frozen=True, slots=True)
class Life:
    """An array's bytes, and the first and last step that touch it."""

    nbytes: int
    first: int
    last: int


def plan(lives: Mapping[Hashable, Life]) -> tuple[dict[Hashable, int], int]:
    """Offsets for all arrays, and the bytes that they take together.

    Args:
        lives: by any key; arrays of no bytes get offset 0.

    Source: greedy by size; Pisarchyk and Lee, Efficient memory management for deep neural net inference,
    arXiv:2001.03288.
    """
    n, placed, total = len(lives), 0, 0
    offsets: dict[Hashable, int] = {}
    starts, stops, firsts, lasts = np.zeros((4, n), np.int64)
    for key, life in sorted(lives.items(), key=lambda item: (-item[1].nbytes, item[1].first)):
        size = -(-life.nbytes // ALIGNMENT) * ALIGNMENT
        beside = np.flatnonzero((lasts[:placed] >= life.first) & (firsts[:placed] <= life.last))
        beside = beside[np.argsort(starts[beside], kind="stable")]
        ends = np.concatenate([[0], np.maximum.accumulate(stops[beside])])
        gaps = np.flatnonzero(ends[:-1] + size <= starts[beside])
        offset = int(ends[gaps[0]] if len(gaps) else ends[-1])
        offsets[key] = offset
        if size:
            starts[placed], stops[placed] = offset, offset + size
            firsts[placed], lasts[placed] = life.first, life.last
            placed += 1
        total = max(total, offset + size)
    return offsets, total


def aligned(nbytes: int, make: Callable[..., Array] = np.zeros) -> Array:
    """Bytes that begin at a multiple of `ALIGNMENT`, zeroed unless ``make`` is ``np.empty``.

    NumPy's own arrays begin 16 bytes after a multiple of it: half of their vectors lie across two cache lines.
    """
    raw = make(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]


def aligned_copy(array: Array) -> Array:
    """A row-major copy that begins at a multiple of `ALIGNMENT`."""
    copy = aligned(array.nbytes, np.empty).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


MUCH = 1 << 26
"""Bytes of arrays from which on :func:`give_back` is worth its milliseconds."""


def give_back() -> None:
    """Have the C library return what is free to the system, before much is needed in one piece.

    glibc keeps what many arrays of some megabytes have left, and takes new memory for one that is larger.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
