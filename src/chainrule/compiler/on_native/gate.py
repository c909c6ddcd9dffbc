"""The way from Python's arrays into a small program, without Python.

A small program takes less time than Python needs to look at its arguments: a tenth of a microsecond for each shape,
dtype and address. So a built-in function is given the arrays themselves. It looks whether each is what the program
was made for, finds the numbers in it, fills in a table of addresses on its stack and runs the program; or it says that
something is different, and has done nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.compiler import addresses
from chainrule.compiler.on_native import python_call
from chainrule.compiler.on_native.ir import I1, I8, I32, I64, PTR, Function, Type, Value, number
from chainrule.compiler.on_native.program import ARENA, FIRST, POOL, WHOLE
from chainrule.compiler.on_native.target import Target
from chainrule.shapes import DType, Shape

GATE, AGAIN = "gate", "again"
"""Symbols of the function that takes arrays, and of the one that runs the program on a table that is filled in."""
MOST = 16
"""Arrays, with those for results, that a gate takes."""


def expected(inputs: Sequence[tuple[Shape, DType]]) -> list[int]:
    """What a gate compares with, behind the table of addresses: the class of arrays, and each one's dtype."""
    return [id(np.ndarray), *(id(dtype) for _, dtype in inputs)]


def write_again(brief: bool, target: Target) -> Function:
    """A built-in function without arguments that runs the program on its table, and returns whether to its end."""
    f, table, _ = python_call.begin(AGAIN, target)
    python_call.give(f, python_call.run(f, WHOLE, table, brief))
    return f


def write_gate(
    inputs: Sequence[tuple[Shape, DType]],
    entries: int,
    fresh: int,
    brief: bool,
    target: Target,
) -> Function:
    """A built-in function of arrays: inputs, then new ones for results. It returns whether the program came to its end.

    Args:
        inputs: what it is made for.
        entries: length of its table of addresses, which ends with those of results.
        fresh: how many results there are.
        brief: whether it runs under Python's lock.
        target: what the code is made for.
    """
    f, table, arguments = python_call.begin(GATE, target)
    bases = f.stack(PTR, entries)
    first_fresh = entries - fresh
    arrays = [f.load(f.at(arguments, i, PTR), PTR) for i in range(len(inputs) + fresh)]
    for i, (shape, _) in enumerate(inputs):
        kind = f.load(f.at(table, entries, PTR), PTR)
        dtype = f.load(f.at(table, entries + 1 + i, PTR), PTR)
        _require(f, arrays[i], shape, kind, dtype)
    for entry in (POOL, ARENA, *range(FIRST + len(inputs), first_fresh)):
        f.store(f.load(f.at(table, entry, PTR), PTR), f.at(bases, entry, PTR))
    places = [*range(FIRST, FIRST + len(inputs)), *range(first_fresh, entries)]
    for entry, array in zip(places, arrays, strict=True):
        f.store(_field(f, array, addresses.DATA, PTR), f.at(bases, entry, PTR))
    python_call.give(f, python_call.run(f, WHOLE, bases, brief))
    f.begin("other")
    python_call.give(f, number(I1, False))
    return f


def _require(f: Function, array: Value, shape: Shape, kind: Value, dtype: Value) -> None:
    """Go on if an object is an array of this shape and dtype, row-major without gaps."""
    _go_on(f, f.compare("eq", _field(f, array, addresses.CLASS, PTR), kind))
    same = f.compare("eq", _field(f, array, addresses.DTYPE, PTR), dtype)
    rank = f.compare("eq", _field(f, array, addresses.RANK, I32), number(I32, len(shape)))
    flags = f.binary("and", _field(f, array, addresses.FLAGS, I32), number(I32, addresses.ORDERLY))
    orderly = f.compare("eq", flags, number(I32, addresses.ORDERLY))
    _go_on(f, f.binary("and", f.binary("and", same, rank), orderly))
    sizes = _field(f, array, addresses.SHAPE, PTR)
    for axis, n in enumerate(shape):
        _go_on(f, f.equal_int(f.load(f.at(sizes, axis, I64), I64), number(I64, n)))


def _field(f: Function, array: Value, offset: int, kind: Type) -> Value:
    return f.load(f.at(array, offset, I8), kind)


def _go_on(f: Function, condition: Value) -> None:
    following = f.label("same")
    f.branch(condition, following, "other")
    f.begin(following)
