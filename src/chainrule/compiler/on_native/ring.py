"""What was written down of the newest nodes when they were made, so that a walk need not gather it from objects.

A ring of entries of 64 bytes: the node with number ``i`` has entry ``i & mask``, until a later one takes it. An entry
holds of one number what the walk reads: the primitive, the signature, the value, and of the inputs their addresses
and numbers. It keeps nothing alive. That the entry is a node's own says the number with which it is *stamped*; that
the node is alive knows only who has it from a node that is.

::

    ptr make(self, arguments, count)           what `node.new_node` does, as a built-in function of Python
    ptr next_index(self, arguments, count)     the next number, for a node that Python makes
    ptr watch(self, arguments, count)          what `gc` is to watch from now on, if it does not

Python's lock is held from the number to the entry, so no thread sees one without the other.

A node that is written down whole, and computed from nothing but such nodes and leaves, is not watched by Python's
search for cycles (:mod:`gc`), which would go through all of a large graph again and again: it can only be part of one
by way of a gradient that was recorded, and is watched from then on.
"""

from __future__ import annotations

from chainrule.compiler import addresses
from chainrule.compiler.objects import COUNT, Fields
from chainrule.compiler.on_native import marking, python_call
from chainrule.compiler.on_native.ir import I1, I8, I32, I64, PTR, Function, Value, number
from chainrule.compiler.on_native.marking import field, put, same, word
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.walk_state import BITS, State

MAKE, NEXT_INDEX, WATCH = "make", "next_index", "watch"
IMPORTED = (
    "PyType_GenericAlloc",
    "PyLong_FromLongLong",
    "PyBool_FromLong",
    "Py_IncRef",
    "Py_DecRef",
    "PyErr_BadArgument",
    "PyObject_GC_IsTracked",
    "PyObject_GC_Track",
    "PyObject_GC_UnTrack",
)
"""Functions of Python that are called."""
SIZE = 64
"""Bytes of an entry."""
STAMP, SIGNATURE, NODE, OP, VALUE, INPUTS, BELOW = 0, 4, 8, 16, 24, 32, 48
"""Bytes to its fields: the stamp; the signature, 0 if the node is to be read itself; the address of each input; by how
much the number of each is smaller, in 32 bits."""
MOST = 2
"""Inputs that an entry has room for."""
GIVEN = ("op", "inputs", "params", "shape", "dtype", "value", "tracked", "name", "_position")
"""The fields of a node that are arguments, in order."""


def slot(f: Function, ring: Value, mask: Value, index: Value) -> Value:
    """The entry of a node."""
    return f.at(ring, f.binary("shl", f.binary("and", index, mask), number(I64, SIZE.bit_length() - 1)), I8)


def stamp_of(f: Function, index: Value) -> Value:
    """What an entry of the node with this number is stamped with: its last 31 bits and a one, so that it is never 0.

    The number before with the same bits was passed two billions ago, and its entry taken by others since.
    """
    return f.convert("trunc", f.binary("or", f.binary("shl", index, number(I64, 1)), number(I64, 1)), I32)


def is_of(f: Function, entry: Value, index: Value, node: Value) -> Value:
    """Whether an entry is that of a node with this number."""
    stamped = f.compare("eq", field(f, entry, STAMP, I32), stamp_of(f, index))
    return f.binary("and", stamped, same(f, field(f, entry, NODE), node))


def functions(fields: Fields, target: Target) -> list[Function]:
    """All of them, for nodes with these fields."""
    read = marking.reading(fields, target)
    return [*read, _note(fields, target), _make(fields, target), _next_index(target), _watch(target)]


def _make(fields: Fields, target: Target) -> Function:
    f, state, arguments = python_call.begin(MAKE, target)
    wrong, right = f.label("wrong"), f.label("right")
    f.branch(same(f, f.parameters[2], str(len(GIVEN))), right, wrong)
    f.begin(wrong)
    f.call("PyErr_BadArgument", [], I32, declare=True)
    f.ret(Value.of("null", PTR))
    f.begin(right)
    kind = word(f, state, State.NODES, PTR)
    node = f.call("PyType_GenericAlloc", [kind, number(I64, 0)], PTR, declare=True)
    _if_null(f, node)
    now, index = _taken(f, state, node)
    held = {name: f.load(f.at(arguments, i, PTR), PTR) for i, name in enumerate(GIVEN)}
    held["_grad"] = word(f, state, State.NONE, PTR)
    held["retains_grad"] = word(f, state, State.FALSE, PTR)
    for name, thing in held.items():
        f.call("Py_IncRef", [thing], declare=True)
        f.store(thing, f.at(node, getattr(fields, name.lstrip("_")), I8))
    f.store(index, f.at(node, fields.index, I8))
    f.call("note", [state, node, now])
    f.ret(node)
    return f


def _next_index(target: Target) -> Function:
    f, state, _ = python_call.begin(NEXT_INDEX, target)
    _, index = _taken(f, state, None)
    f.ret(index)
    return f


def _watch(target: Target) -> Function:
    f, _, arguments = python_call.begin(WATCH, target)
    thing = f.load(arguments, PTR)
    tracked = f.call("PyObject_GC_IsTracked", [thing], I32, declare=True)
    new, end = f.label("new"), f.label("end")
    f.branch(same(f, tracked, "0"), new, end)
    f.begin(new)
    f.call("PyObject_GC_Track", [thing], declare=True)
    f.jump(end)
    f.begin(end)
    python_call.give(f, number(I1, True))
    return f


def _taken(f: Function, state: Value, node: Value | None) -> tuple[Value, Value]:
    """The next number, and the object of Python for it; without memory for that, the node goes."""
    now = word(f, state, State.NEXT)
    index = f.call("PyLong_FromLongLong", [now], PTR, declare=True)
    _if_null(f, index, node)
    put(f, state, State.NEXT, f.binary("add", now, number(I64, 1)))
    f.store(number(I64, 0), slot(f, word(f, state, State.RING, PTR), word(f, state, State.MASK), now))
    return now, index


def _if_null(f: Function, made: Value, node: Value | None = None) -> None:
    """Give up where there is no memory; Python knows the error."""
    nothing, go = f.label("nothing"), f.label("go")
    f.branch(same(f, made, "null"), nothing, go)
    f.begin(nothing)
    if node is not None:
        f.call("Py_DecRef", [node], declare=True)
    f.ret(Value.of("null", PTR))
    f.begin(go)


def _note(fields: Fields, target: Target) -> Function:
    """``void note(state, node, now)``: write the entry of a node, if it is one number."""
    f = Function("note", [("%state", PTR), ("%node", PTR), ("%now", I64)], target, exported=False)
    state, node, now = f.parameters
    cell = f.stack(I64)
    entry = slot(f, word(f, state, State.RING, PTR), word(f, state, State.MASK), now)
    f.store(number(I64, 0), cell)
    code = f.call("kind", [node, state], I64)
    held = f.call("code", [field(f, node, fields.value), cell, state], I64)
    plain = f.binary("and", same(f, code, held), f.compare("sgt", code, number(I64, 0)))
    _or(f, plain, "end")
    op = field(f, node, fields.op)
    for offset, thing in ((NODE, node), (VALUE, f.load(cell, I64)), (OP, op)):
        f.store(thing, f.at(entry, offset, I8))
    f.store(stamp_of(f, now), f.at(entry, STAMP, I8))
    computed = f.emit(f"icmp ne ptr {op}, {word(f, state, State.NONE, PTR)}", I1)
    inputs = field(f, node, fields.inputs)
    bare = same(f, field(f, node, fields.params), word(f, state, State.NO_PARAMS, PTR))
    listed = same(f, field(f, inputs, addresses.CLASS), word(f, state, State.TUPLE, PTR))
    _or(f, f.binary("and", f.binary("and", computed, bare), listed), "end")
    count = field(f, inputs, COUNT, I64)
    items = f.at(inputs, fields.items, I8)
    for n in range(1, MOST + 1):
        f.when(same(f, count, str(n)), lambda n=n: _inputs(f, fields, entry, code, items, n))
    f.jump("end")
    f.begin("whole")
    last = f.binary(
        "and", f.binary("lshr", f.convert("ptrtoint", op, I64), number(I64, 4)), word(f, state, State.LAST_OP)
    )
    own = same(f, f.load(f.at(word(f, state, State.OPS, PTR), last, PTR), PTR), op)
    unnamed = same(f, field(f, node, fields.name), word(f, state, State.NONE, PTR))
    _or(f, f.binary("and", own, unnamed), "end")
    for thing in (node, inputs):
        f.call("PyObject_GC_UnTrack", [thing], declare=True)
    f.jump("end")
    f.begin("end")
    f.ret()
    return f


def _inputs(f: Function, fields: Fields, entry: Value, code: Value, items: Value, count: int) -> None:
    """Write so many inputs into an entry, and the signature, if all of them are single numbers."""
    state, _, now = f.parameters
    signature = f.binary("or", number(I64, count << BITS), f.binary("shl", code, number(I64, 1)))
    watched = number(I1, 0)
    for i in range(count):
        x = f.load(f.at(items, i, PTR), PTR)
        kind = f.call("kind", [x, state], I64)
        _or(f, f.compare("sgt", kind, number(I64, 0)), "end")
        place = f.call("number", [x], I64)
        below = f.binary("sub", now, place)
        near = f.compare("ult", f.binary("sub", below, number(I64, 1)), number(I64, (1 << 32) - 1))
        _or(f, f.binary("and", f.compare("sge", place, number(I64, 0)), near), "end")
        f.store(x, f.at(entry, INPUTS + PTR.itemsize * i, I8))
        f.store(f.convert("trunc", below, I32), f.at(entry, BELOW + I32.itemsize * i, I8))
        searched = f.emit(f"icmp ne i32 {f.call('PyObject_GC_IsTracked', [x], I32, declare=True)}, 0", I1)
        leaf = same(f, field(f, x, fields.op), word(f, state, State.NONE, PTR))
        watched = f.binary("or", watched, f.select(leaf, number(I1, 0), searched))
        tracked = same(f, field(f, x, fields.tracked), word(f, state, State.TRUE, PTR))
        own = f.binary("or", f.binary("shl", kind, number(I64, 1)), f.convert("zext", tracked, I64))
        signature = f.binary("or", f.binary("shl", signature, number(I64, BITS)), own)
    f.store(f.convert("trunc", signature, I32), f.at(entry, SIGNATURE, I8))
    f.branch(watched, "end", "whole")
    f.begin(f.label("unreached"))


def _or(f: Function, condition: Value, otherwise: str) -> None:
    go = f.label("go")
    f.branch(condition, go, otherwise)
    f.begin(go)
