"""What native code and Python share on a walk backward over scalars: the words of its state, and the names of numbers.

See :mod:`chainrule.compiler.on_native.walker`.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from chainrule.compiler.on_native.pulling import MOST
from chainrule.construction import NO_PARAMS
from chainrule.shapes import FLOATS, DType, bool_, float32, float64, int32, int64

PAGE = 4096
"""Entries of a page."""
ENTRY = 16
"""Bytes of an entry: node and gradient."""
CODES = {dtype: 1 + i for i, dtype in enumerate((float64, float32, int64, int32, bool_))}
"""What a signature calls a number's dtype; 0 stands for anything but one number."""
_BY_CODE = {code: dtype for dtype, code in CODES.items()}
BITS = 4
"""Of a signature for each number: the code, and whether a gradient is wanted."""


class State(enum.IntEnum):
    """Words of the state.

    The node and the gradient that Python is told of; where the walk is (page, entry within it); the lowest page there
    is; how many pages to go through before Python is asked whether to go on; pages: how many are free, the first one
    that was used before, where the unused ones begin; results, how many there are and how many there may be; the
    table of rules and its last number; the directory; the lowest number to visit; objects of Python; the classes and
    dtypes of NumPy's numbers; the signature of the node that Python is told of, if that has no rule yet; the shape of
    single numbers; the ring (:mod:`chainrule.compiler.on_native.ring`), by which mask a node's number becomes a place
    in it, and from which number on it is to be believed. And what only the making of nodes needs: the next number,
    more objects of Python, and a table of primitives with its last place.
    """

    NODE = 0
    DELTA = 1
    AT_PAGE = 2
    AT_ENTRY = 3
    LOWEST = 4
    TURNS = 5
    FREE = 6
    USED = 7
    UNUSED = 8
    RESULTS = 9
    COUNT = 10
    ROOM = 11
    RULES = 12
    LAST = 13
    DIRECTORY = 14
    SINCE = 15
    NONE = 16
    TRUE = 17
    TUPLE = 18
    NODES = 19
    ARRAY = 20
    CLASSES = 21
    DTYPES = 26
    SIGNATURE = 31
    EMPTY = 32
    RING = 33
    MASK = 34
    FROM = 35
    NEXT = 36
    FALSE = 37
    NO_PARAMS = 38
    OPS = 39
    LAST_OP = 40
    WORDS = 41


def know(state: Any, kind: type) -> None:
    """Write down Python's objects that native code compares with.

    Args:
        state: the words.
        kind: the class of nodes.
    """
    known = (None, True, tuple, kind, np.ndarray)
    state[State.NONE : State.CLASSES] = [id(thing) for thing in known]
    state[State.CLASSES : State.DTYPES] = [id(dtype.type) for dtype in CODES]
    state[State.DTYPES : State.SIGNATURE] = [id(dtype) for dtype in CODES]
    state[State.EMPTY], state[State.FALSE], state[State.NO_PARAMS] = id(()), id(False), id(NO_PARAMS)


class Status(enum.IntEnum):
    """What `walk` and `give` return: all nodes were met; the turns are used up; there is no free page; no room for
    results; a node is left to Python, whose signature has no rule in the table; nodes have numbers that cannot be.
    """

    DONE = 0
    TURNS = 1
    PAGES = 2
    RESULTS = 3
    FOREIGN = 4
    CLASH = 5


RULE = 6
"""Words of a rule: primitive, parameters, signature, function and its loops, and which values the function reads (a
bit for the output, one for each input); no function: Python is to do it."""


def hashed(op: int, signature: int) -> int:
    """Where in a table of rules to begin looking; its last number masks it."""
    return (op >> 4) + signature * 0x9E37


def code(value: Any) -> int:
    """What a signature calls a node's value."""
    dtype = getattr(value, "dtype", None)
    return 0 if dtype is None or value.shape else CODES.get(dtype, 0)


def described(signature: int) -> tuple[DType | None, list[DType], list[bool]]:
    """The dtypes of output and inputs, and which inputs want a gradient; None if not all of them are numbers."""
    count = next(n for n in range(1, MOST + 1) if signature >> BITS * (n + 1) == n)
    parts = [signature >> BITS * i & (1 << BITS) - 1 for i in reversed(range(count + 1))]
    dtypes = [_BY_CODE.get(part >> 1) for part in parts]
    inputs = [d for d in dtypes[1:] if d is not None]
    known = dtypes[0] in FLOATS and len(inputs) == count
    return dtypes[0] if known else None, inputs, [bool(part & 1) for part in parts[1:]]
