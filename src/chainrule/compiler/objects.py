"""Where the fields of Python's own objects lie, for native code that reads a million nodes without Python.

Nothing of it is taken on trust. Slots and tuples are filled with marked objects and looked for; integers and NumPy's
numbers are read back and compared. Where anything is otherwise than expected (another Python, a build without the
interpreter's lock), there is no layout, and whoever asks does without.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import sysconfig
import weakref
from dataclasses import dataclass
from typing import Any

from chainrule.compiler import addresses
from chainrule.node import Node
from chainrule.shapes import DTYPES

WORD = ctypes.sizeof(ctypes.c_void_p)
LOW, HIGH, DIGIT = addresses.DATA + WORD, addresses.DATA + WORD + 4, 30
"""The first two digits of an integer, 32-bit fields of 30 bits each; before them stands how many there are."""
COUNT = addresses.DATA
"""That number, and the length of a tuple."""
NUMBER = addresses.DATA
"""The value of one of NumPy's numbers."""
HELD = addresses.CLASS - WORD
"""How many references to an object there are, a whole word."""
_word: Any = ctypes.c_size_t.from_address
_half: Any = ctypes.c_uint32.from_address


@dataclass(frozen=True, slots=True)
class Fields:
    """Bytes from the beginning of an object to its fields.

    Attributes:
        op, inputs, params, shape, dtype, value, tracked, index, retains_grad, name, position, grad: of a node.
        items: of a tuple, the first one.
        digits: by how many bits the number of an integer's digits is shifted.
        weakly: of a node, the first weak reference to it; 0 without one.
    """

    op: int
    inputs: int
    params: int
    shape: int
    dtype: int
    value: int
    tracked: int
    index: int
    retains_grad: int
    name: int
    position: int
    grad: int
    items: int
    digits: int
    weakly: int


@functools.cache
def fields_of(kind: type[Node]) -> Fields | None:
    """The layout of nodes of a class; None if native code may not look into objects here."""
    if not addresses.READABLE or sysconfig.get_config_var("Py_GIL_DISABLED") or sys.byteorder != "little":
        return None
    slots = {name.lstrip("_"): _slot(kind, name) for name in _SLOTS}
    known = {name: place for name, place in slots.items() if place is not None}
    items, digits, weakly = _items(), _digits(), _weakly(kind)
    if len(known) < len(_SLOTS) or items is None or digits is None or weakly is None:
        return None
    return Fields(**known, items=items, digits=digits, weakly=weakly) if _numbers() and _counted() else None


_SLOTS = (
    "op",
    "inputs",
    "params",
    "shape",
    "dtype",
    "value",
    "tracked",
    "index",
    "retains_grad",
    "name",
    "_position",
    "_grad",
)


def _slot(kind: type[Node], name: str) -> int | None:
    sample: Any = object.__new__(kind)
    mark = object()
    setattr(sample, name, mark)
    return _found(sample, mark, kind.__basicsize__)


def _items() -> int | None:
    mark = object()
    first = _found((mark, None), mark, sys.getsizeof(()))
    if first is None or _word(id(mark_of := (None, mark)) + first + WORD).value != id(mark):
        return None
    return first if _word(id(mark_of) + COUNT).value == 2 else None


def _found(holder: Any, mark: object, size: int) -> int | None:
    """Where in an object the address of another stands, if in one place."""
    places = [k for k in range(addresses.DATA, size + WORD, WORD) if _word(id(holder) + k).value == id(mark)]
    return places[0] if len(places) == 1 else None


def _digits() -> int | None:
    """By how many bits the number of digits is shifted: 0 up to Python 3.11, 3 since."""
    samples = [0, 1, 7, 2**29, 2**30 - 1, 2**30, 2**30 + 5, 2**45 + 3, 2**59 + 2**29 + 1]
    return next((s for s in (0, 3) if all(_integer(n, s) == n for n in samples)), None)


def _integer(n: int, shift: int) -> int | None:
    """An integer that is not negative as native code reads it; None if it has more than two digits."""
    count = _word(id(n) + COUNT).value >> shift
    if count > 2:
        return None
    low, high = _half(id(n) + LOW).value, _half(id(n) + HIGH).value if count == 2 else 0
    return int(low | high << DIGIT)


def _weakly(kind: type[Node]) -> int | None:
    """Where weak references to a node begin."""
    sample: Any = object.__new__(kind)
    place = kind.__weakrefoffset__
    before = _word(id(sample) + place).value
    reference = weakref.ref(sample)
    there = _word(id(sample) + place).value
    del reference
    after = _word(id(sample) + place).value
    return place if there and not before and not after else None


def _counted() -> bool:
    """Whether references are counted where that is expected."""
    holders = [object()]
    for count in range(1, 4):
        if _word(id(holders[0]) + HELD).value != count:
            return False
        holders.append(holders[0])
    return True


def _numbers() -> bool:
    """Whether NumPy's numbers hold their value where it is expected."""
    for dtype in DTYPES:
        for value in (0, 1, 3):
            sample = dtype.type(value)
            raw = ctypes.string_at(id(sample) + NUMBER, dtype.itemsize)
            if raw != sample.tobytes():
                return False
    return True
