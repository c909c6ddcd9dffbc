"""The function that runs a brief program and hands its one number over in a tensor that nobody else has.

``ptr spare(self, arguments, count)``, a built-in function of Python without arguments. Two tensors are kept ready.
If one of them is as it was made and is held by nobody else, the number is written into it, and it is returned; if
not, what a function of Python returns. See :mod:`chainrule.compiler.spare`.
"""

from __future__ import annotations

import enum

from chainrule.compiler import addresses
from chainrule.compiler.objects import HELD, NUMBER, Fields
from chainrule.compiler.on_native import python_call
from chainrule.compiler.on_native.ir import I1, I8, I32, I64, PTR, Function, Type, Value, number
from chainrule.compiler.on_native.marking import field, put, same, word
from chainrule.compiler.on_native.target import Target
from chainrule.shapes import DType

SPARE = "spare"
IMPORTED = ("PyObject_CallNoArgs", "PyList_SetItem", "Py_IncRef")
"""Functions of Python that are called."""
READY = 2
"""A power of two: how many tensors are kept ready. One would always be held in ``loss = step(x, y)`` in a loop."""


class State(enum.IntEnum):
    """Words of the state: the program, its table of addresses and where its number will be; functions of Python that
    make a new tensor, and that do all where the program did not come to its end; the tensors that are kept ready, the
    list that holds them, and the place in it of the one that was made first; and what they hold if nobody has changed
    them.
    """

    PROGRAM = 0
    TABLE = 1
    RESULT = 2
    MAKE = 3
    RUN = 4
    TENSORS = 5
    HOLDER = TENSORS + READY
    OLDEST = 8
    KIND = 9
    NUMBERS = 10
    NONE = 11
    EMPTY = 12
    NO_PARAMS = 13
    FALSE = 14
    DTYPE = 15
    WORDS = 16


_UNCHANGED = {
    "op": State.NONE,
    "inputs": State.EMPTY,
    "params": State.NO_PARAMS,
    "shape": State.EMPTY,
    "dtype": State.DTYPE,
    "tracked": State.FALSE,
    "name": State.NONE,
    "position": State.NONE,
    "grad": State.NONE,
    "retains_grad": State.FALSE,
}


def functions(fields: Fields, dtype: DType, target: Target) -> list[Function]:
    """All of them, for tensors with these fields and numbers of this dtype."""
    f, state, _ = python_call.begin(SPARE, target)
    program, table = word(f, state, State.PROGRAM, PTR), word(f, state, State.TABLE, PTR)
    ran, back = f.label("ran"), f.label("back")
    f.branch(f.emit(f"call i1 {program}(ptr {table})", I1), ran, back)
    f.begin(ran)
    result = f.load(word(f, state, State.RESULT, PTR), I32 if dtype.itemsize == I32.itemsize else I64)
    for i in range(READY):
        tensor = word(f, state, State.TENSORS + i, PTR)
        f.when(f.call("fill", [state, tensor, result], I1), lambda tensor=tensor: _return(f, tensor))
    _return_new(f, state, State.MAKE)
    f.begin(back)
    _return_new(f, state, State.RUN)
    return [f, _fill(fields, result.type, target)]


def _return(f: Function, tensor: Value) -> None:
    f.call("Py_IncRef", [tensor], declare=True)
    f.ret(tensor)
    f.begin(f.label("unreached"))


def _return_new(f: Function, state: Value, which: int) -> None:
    """Return what a function of Python makes, and keep it ready in the place of the oldest."""
    made = f.call("PyObject_CallNoArgs", [word(f, state, which, PTR)], PTR, declare=True)
    nothing, keep = f.label("nothing"), f.label("keep")
    f.branch(same(f, made, "null"), nothing, keep)
    f.begin(nothing)
    f.ret(made)
    f.begin(keep)
    place = word(f, state, State.OLDEST)
    put(
        f,
        state,
        State.OLDEST,
        f.binary("and", f.binary("add", place, number(I64, 1)), number(I64, READY - 1)),
    )
    f.store(made, f.at(f.at(state, State.TENSORS, I64), place, I64))
    f.call("Py_IncRef", [made], declare=True)
    f.call("PyList_SetItem", [word(f, state, State.HOLDER, PTR), place, made], I32, declare=True)
    f.ret(made)


def _fill(fields: Fields, kind: Type, target: Target) -> Function:
    """``i1 fill(state, tensor, number)``: write a number into a tensor if nobody can tell; whether that was done."""
    parameters = [("%state", PTR), ("%tensor", PTR), ("%number", kind)]
    f = Function("fill", parameters, target, result=I1, exported=False)
    state, tensor, result = f.parameters
    _require(f, same(f, field(f, tensor, HELD, I64), "1"))
    _require(f, same(f, field(f, tensor, addresses.CLASS), word(f, state, State.KIND, PTR)))
    _require(f, same(f, field(f, tensor, fields.weakly), "null"))
    for name, unchanged in _UNCHANGED.items():
        _require(f, same(f, field(f, tensor, getattr(fields, name)), word(f, state, unchanged, PTR)))
    value = field(f, tensor, fields.value)
    _require(f, same(f, field(f, value, HELD, I64), "1"))
    _require(f, same(f, field(f, value, addresses.CLASS), word(f, state, State.NUMBERS, PTR)))
    f.store(result, f.at(value, NUMBER, I8))
    f.ret(number(I1, True))
    f.begin("other")
    f.ret(number(I1, False))
    return f


def _require(f: Function, condition: Value) -> None:
    go = f.label("go")
    f.branch(condition, go, "other")
    f.begin(go)
