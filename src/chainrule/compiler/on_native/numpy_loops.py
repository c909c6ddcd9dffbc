"""NumPy's own loops of elementary functions, for native code that must give its bits.

A ufunc holds, for each combination of dtypes, a function ``void loop(ptr operands, ptr count, ptr strides, ptr data)``
(https://numpy.org/doc/stable/reference/c-api/types-and-structures.html). The fields before it are the same in every
version since 1.0; that they are, and that the loop computes what the ufunc does, is checked before it is used.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import numpy as np

from chainrule.compiler import addresses
from chainrule.compiler.on_native.elements import Elements, promoted, slow
from chainrule.compiler.on_native.ir import I64, PTR, Function, Type, Value, number
from chainrule.compiler.on_numpy import ELEMENTARY
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.shapes import FLOATS, DType

_SAMPLES = (0.0, -0.0, 0.3, 1.0, -1.0, 2.0, 0.7310585786300049, -37.25, 1e5, np.inf, np.nan)


class Loop(NamedTuple):
    """Addresses of a loop and of what it is given as data."""

    function: int
    data: int


class _Ufunc(ctypes.Structure):
    """The beginning of PyUFuncObject, behind what every object begins with."""

    _fields_ = (
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),
    )


@functools.cache
def loop_of(ufunc: Any, dtype: DType) -> Loop | None:
    """The loop of a function of NumPy's for one floating dtype; None if it cannot be found."""
    if not isinstance(ufunc, np.ufunc) or not addresses.READABLE:
        return None
    held = _Ufunc.from_address(id(ufunc) + addresses.DATA)
    if (held.nin, held.nout, held.nargs, held.ntypes) != (ufunc.nin, 1, ufunc.nargs, ufunc.ntypes):
        return None
    if held.name != ufunc.__name__.encode() or not held.functions or not held.data:
        return None
    kinds = held.types[: ufunc.ntypes * ufunc.nargs]  # for each loop, the number of the dtype of each operand
    for i in range(ufunc.ntypes):
        if kinds[i * ufunc.nargs : (i + 1) * ufunc.nargs] == bytes([dtype.num]) * ufunc.nargs:
            found = Loop(held.functions[i] or 0, held.data[i] or 0)
            return found if found.function and _computes(found, ufunc, dtype) else None
    return None


def _computes(loop: Loop, ufunc: Any, dtype: DType) -> bool:
    """Whether a loop gives the bits of its ufunc, one number after the other."""
    types = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    call: Any = ctypes.CFUNCTYPE(None, *types)(loop.function)
    count, strides = np.ones(1, np.int64), np.zeros(ufunc.nargs, np.int64)
    for i in range(len(_SAMPLES)):
        cells = np.array([[_SAMPLES[(i + 3 * k) % len(_SAMPLES)]] for k in range(ufunc.nargs)], dtype)
        wanted = silently(ufunc, *(cell[0] for cell in cells[:-1]))
        operands = np.array([cell.ctypes.data for cell in cells], np.int64)
        call(operands.ctypes.data, count.ctypes.data, strides.ctypes.data, loop.data or None)
        same = cells[-1][0] == wanted or (cells[-1][0] != cells[-1][0] and wanted != wanted)
        if not same or np.signbit(cells[-1][0]) != np.signbit(wanted):
            return False
    return True


class NumpyElements(Elements):
    """Instructions on single numbers that give NumPy's bits throughout: elementary functions are its loops.

    Args:
        function: where the code goes.
        loops: the table of addresses that the function is given, two words for each loop.

    Attributes:
        used: the loops that the table is to hold.
        missing: functions for which there is no loop; the code is of no use then.
    """

    def __init__(self, function: Function, loops: Value) -> None:
        super().__init__(function)
        self._table = loops
        self.used: list[Loop] = []
        self.missing: list[str] = []

    def elementary(self, name: str, *xs: Value) -> Value:
        if name == "sigmoid":  # as the primitive of that name evaluates it
            one = number(xs[0].type, 1)
            return self.div(one, self.add(one, self.elementary("exp", self.neg(xs[0]))))
        return self.ufunc(ELEMENTARY[name], *xs)

    def ufunc(self, ufunc: Any, *xs: Value) -> Value:
        """A function of NumPy's, of floats."""
        loop = loop_of(ufunc, self.dtype(xs[0]))
        if loop is None:
            self.missing.append(str(ufunc))
            return xs[0]
        return self._call(loop, xs)

    def node(self, node: Node, *xs: Value) -> Value:
        """What a node with an emission does to its inputs."""
        op, params = node.op, tuple(sorted(node.params.items()))
        assert op is not None
        assert op.emit is not None
        given = promoted(self, xs)
        if isinstance(op.evaluate, np.ufunc) and slow(op, tuple(x.dtype for x in node.inputs), params):
            dtypes = {self.dtype(x) for x in given}
            if len(dtypes) == 1 and dtypes <= {node.dtype} and node.dtype in FLOATS:
                return self.ufunc(op.evaluate, *given)  # an emission may add in another order
        return op.emit(self, *given, **node.params)

    def _call(self, loop: Loop, xs: tuple[Value, ...]) -> Value:
        f, kind = self._f, xs[0].type
        count = len(xs) + 1
        cells, operands, strides = f.stack(I64, count, 8), f.stack(PTR, count, 8), f.stack(I64, count + 1, 8)
        for i in range(count):
            cell = f.at(cells, i, I64)
            if i < len(xs):
                f.store(xs[i], cell)
            f.store(cell, f.at(operands, i, PTR))
            f.store(number(I64, kind.itemsize), f.at(strides, i, I64))
        once = f.at(strides, count, I64)
        f.store(number(I64, 1), once)
        if loop not in self.used:
            self.used.append(loop)
        place = 2 * self.used.index(loop)
        address, data = (f.load(f.at(self._table, place + i, PTR), PTR) for i in range(2))
        f.effect(f"call void {address}(ptr {operands}, ptr {once}, ptr {strides}, ptr {data})")
        return f.load(f.at(cells, len(xs), I64), Type(kind.element))
