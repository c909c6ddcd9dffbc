"""The tensor that a brief program hands over is used again once nobody else has it.

A training step of a small network takes two microseconds. To make a tensor for its loss, and to take it away when the
next one is there, takes Python a quarter of one. Most programs look at a loss and let it go: then the next loss is
written into the same tensor. Whether anybody could tell is looked at each time (:func:`refilled`), and all else is left
to Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import construction
from chainrule.compiler.objects import Fields, fields_of
from chainrule.compiler.on_native import jit, python_call, spare_code
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.spare_code import READY, SPARE, State
from chainrule.compiler.on_native.target import Target
from chainrule.node import Node
from chainrule.primitive import Array
from chainrule.shapes import FLOATS, DType


def made_anew(result: Array) -> Node:
    """A new leaf with what a program's result is now."""
    # As `holding` does, which would ask what the number is made of.
    made: Node = construction.make(
        None, (), construction.NO_PARAMS, (), result.dtype, result[()], False, None, None
    )
    return made


def refilled(
    program: int, table: Array, result: Array, run: Callable[[], Any], target: Target, code: object
) -> Callable[[], Node] | None:
    """A function that runs a program and gives its result as a tensor that nobody else has.

    A tensor is used again if nothing refers to it, weakly neither, and nothing of it was changed; its number in the
    order of nodes stays, since nothing that is still there was computed from it.

    Args:
        program: address of the function ``i1 program(ptr table)``, which is brief.
        table: of addresses.
        result: the array, without axes, where it writes its result.
        run: does all where the program does not come to its end.
        target: what to make code for; must run here.
        code: what keeps the program, and the arrays it works on, where they are.

    Returns:
        The function; None if native code may not look into objects here.
    """
    kind = construction.node_type()
    fields = fields_of(kind)
    more = kind.__dictoffset__ or kind.__basicsize__ != Node.__basicsize__  # fields that nobody looks at here
    if fields is None or more or result.dtype not in FLOATS or result.shape:
        return None
    library = _library(fields, result.dtype, target)
    state = np.zeros(State.WORDS, np.int64)
    holder: list[Any] = [None] * READY

    def make() -> Node:
        node = made_anew(result)
        construction.forget(
            node
        )  # whoever remembers what nodes hold would not see what is written into this one
        return node

    def run_and_make() -> Node:
        run()
        return make()

    known = (kind, result.dtype.type, None, (), construction.NO_PARAMS, False, result.dtype)
    state[State.PROGRAM], state[State.TABLE], state[State.RESULT] = (
        program,
        table.ctypes.data,
        result.ctypes.data,
    )
    state[State.MAKE], state[State.RUN] = id(make), id(run_and_make)
    state[State.TENSORS : State.HOLDER], state[State.HOLDER] = id(None), id(holder)
    state[State.KIND : State.WORDS] = [id(thing) for thing in known]
    keeper = library, code, table, result, known, holder, make, run_and_make
    return python_call.function(library.addresses[SPARE], state, keeper)


@functools.cache
def _library(fields: Fields, dtype: DType, target: Target) -> jit.Library:
    written = module(spare_code.functions(fields, dtype, target))
    return jit.build(written, [SPARE], target, python_call.imports(spare_code.IMPORTED))
