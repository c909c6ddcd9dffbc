"""Native functions that Python calls as its own built-in ones, in 0.02 microseconds.

Through ctypes a call takes 0.2, as long as some programs. A built-in function of one table of arguments
is ``ptr function(ptr self, ptr arguments, i64 count)``; what it returns is a Python object. ``self`` is an array whose
numbers are the table of addresses, so that it lives as long as the function.

Python's lock is held while a brief function runs, so that no second thread runs the same; a longer one gives it back
meanwhile.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.compiler import addresses
from chainrule.compiler.on_native.ir import I1, I8, I64, PTR, Function, Value
from chainrule.compiler.on_native.target import Target
from chainrule.primitive import Array

_PARAMETERS = [("%self", PTR), ("%arguments", PTR), ("%count", I64)]
_FASTCALL = 0x80
_IMPORTED = ("PyBool_FromLong", "PyEval_SaveThread", "PyEval_RestoreThread")


class _Definition(ctypes.Structure):
    """PyMethodDef: https://docs.python.org/3/c-api/structures.html"""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


def imports(names: Sequence[str] = _IMPORTED) -> Mapping[str, int]:
    """Functions of Python that such functions call, by symbol; none where Python is not CPython."""
    if not addresses.READABLE:
        return {}
    api: Any = ctypes.pythonapi
    return {name: ctypes.cast(getattr(api, name), ctypes.c_void_p).value or 0 for name in names}


def begin(name: str, target: Target) -> tuple[Function, Value, Value]:
    """A function under construction; the table of addresses; and the table of arguments."""
    f = Function(name, _PARAMETERS, target, result=PTR)
    own, arguments, _ = f.parameters
    return f, f.load(f.at(own, addresses.DATA, I8), PTR), arguments


def run(f: Function, program: str, table: Value, brief: bool) -> Value:
    """Write a call of a program, which says whether it came to its end."""
    thread = None if brief else f.call("PyEval_SaveThread", [], PTR, declare=True)
    done = f.call(program, [table], I1, declare=True)
    if thread is not None:
        f.call("PyEval_RestoreThread", [thread], declare=True)
    return done


def give(f: Function, answer: Value) -> None:
    """Write the end of a function: it returns a bool."""
    f.ret(f.call("PyBool_FromLong", [f.convert("zext", answer, I64)], PTR, declare=True))


def function(address: int, table: Array, code: object) -> Callable[..., Any]:
    """The Python function for one that was compiled.

    Args:
        address: of its code.
        table: of addresses.
        code: what keeps it where it is. It lives as long as the function.
    """
    definition = _Definition(b"program", address, _FASTCALL, None)
    make: Any = ctypes.pythonapi.PyCFunction_NewEx
    make.restype = ctypes.py_object
    make.argtypes = (ctypes.POINTER(_Definition), ctypes.py_object, ctypes.py_object)
    # Python does not copy a definition: it lives as long as the dictionary that stands for the function's module.
    return make(ctypes.byref(definition), table, _Keeper(definition, code))


class _Keeper:
    """What a function has as its module: it keeps the definition and the code alive."""

    __slots__ = ("_code", "_definition")

    def __init__(self, definition: _Definition, code: object) -> None:
        self._definition, self._code = definition, code
