"""What a walk over nodes needs of Python's objects, and where it writes down which nodes are still to be met.

See :mod:`chainrule.compiler.on_native.walker`.
"""

from __future__ import annotations

from chainrule.compiler import addresses
from chainrule.compiler.objects import COUNT, DIGIT, HIGH, LOW, NUMBER, Fields
from chainrule.compiler.on_native.ir import F32, F64, I1, I8, I32, I64, PTR, Function, Type, Value, number
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.walk_state import CODES, ENTRY, PAGE, State, Status
from chainrule.shapes import DType, float32, float64

GIVE = "give"


def functions(fields: Fields, target: Target) -> list[Function]:
    """Those that the walk calls, and ``give``."""
    return [*reading(fields, target), _mark(fields, target), _give(target)]


def reading(fields: Fields, target: Target) -> list[Function]:
    """Those that say what an object is."""
    return [_code_of(target), _kind_of(fields, target), _number_of(fields, target)]


def word(f: Function, state: Value, which: int, kind: Type = I64) -> Value:
    """A word of the state."""
    return f.load(f.at(state, which, I64), kind)


def put(f: Function, state: Value, which: int, value: Value) -> None:
    """Set a word of the state."""
    f.store(value, f.at(state, which, I64))


def field(f: Function, thing: Value, offset: int, kind: Type = PTR) -> Value:
    """What an object holds so many bytes from its beginning."""
    return f.load(f.at(thing, offset, I8), kind)


def same(f: Function, a: Value, b: Value | str) -> Value:
    """Whether two words are equal."""
    return f.emit(f"icmp eq {a.type} {a}, {b}", I1)


def status(which: Status) -> Value:
    """What the walk returns."""
    return number(I64, int(which))


def _code_of(target: Target) -> Function:
    """``i64 code(value, cell, state)``: which kind of number an object is, with its bits in the cell; 0 for none."""
    f = Function(
        "code", [("%value", PTR), ("%cell", PTR), ("%state", PTR)], target, result=I64, exported=False
    )
    value, cell, state = f.parameters
    kind = field(f, value, addresses.CLASS)
    for i, dtype in enumerate(CODES):
        f.when(
            same(f, kind, word(f, state, State.CLASSES + i, PTR)),
            lambda d=dtype: _copy(f, f.at(value, NUMBER, I8), cell, d),
        )
    array = f.label("array")
    nothing = f.label("nothing")
    f.branch(same(f, kind, word(f, state, State.ARRAY, PTR)), array, nothing)
    f.begin(array)
    flags = f.binary("and", field(f, value, addresses.FLAGS, I32), number(I32, addresses.ORDERLY))
    orderly = f.compare("eq", flags, number(I32, addresses.ORDERLY))
    single = f.compare("eq", field(f, value, addresses.RANK, I32), number(I32, 0))
    scalar = f.label("scalar")
    f.branch(f.binary("and", orderly, single), scalar, nothing)
    f.begin(scalar)
    dtype_of = field(f, value, addresses.DTYPE)
    data = field(f, value, addresses.DATA)
    for i, dtype in enumerate(CODES):
        f.when(
            same(f, dtype_of, word(f, state, State.DTYPES + i, PTR)),
            lambda d=dtype: _copy(f, data, cell, d),
        )
    f.jump(nothing)
    f.begin(nothing)
    f.ret(number(I64, 0))
    return f


def _copy(f: Function, source: Value, cell: Value, dtype: DType) -> None:
    """Copy a number and return its code; what follows in the block is never reached."""
    kind = {1: I8, 4: I32, 8: I64}[dtype.itemsize]
    f.store(f.load(source, kind), cell)
    f.ret(number(I64, CODES[dtype]))
    f.begin(f.label("unreached"))


def _kind_of(fields: Fields, target: Target) -> Function:
    """``i64 kind(node, state)``: the code of a node by its shape and dtype; 0 if it is not one number.

    What is no node of the usual class has a code below 0.
    """
    f = Function("kind", [("%node", PTR), ("%state", PTR)], target, result=I64, exported=False)
    node, state = f.parameters
    usual, other, single, several = (f.label(s) for s in ("usual", "other", "single", "several"))
    f.branch(
        same(f, field(f, node, addresses.CLASS), word(f, state, State.NODES, PTR)),
        usual,
        other,
    )
    f.begin(other)
    f.ret(number(I64, -1))
    f.begin(usual)
    f.branch(same(f, field(f, node, fields.shape), word(f, state, State.EMPTY, PTR)), single, several)
    f.begin(single)
    dtype_of = field(f, node, fields.dtype)
    for i, dtype in enumerate(CODES):

        def answer(code: int = CODES[dtype]) -> None:
            f.ret(number(I64, code))
            f.begin(f.label("unreached"))

        f.when(same(f, dtype_of, word(f, state, State.DTYPES + i, PTR)), answer)
    f.jump(several)
    f.begin(several)
    f.ret(number(I64, 0))
    return f


def _number_of(fields: Fields, target: Target) -> Function:
    """``i64 number(node)``: the number of a node; below 0 if it has more than two digits."""
    f = Function("number", [("%node", PTR)], target, result=I64, exported=False)
    (node,) = f.parameters
    index = field(f, node, fields.index)
    digits = field(f, index, COUNT, I64)
    count = f.binary("lshr", digits, number(I64, fields.digits)) if fields.digits else digits
    low = f.convert("zext", field(f, index, LOW, I32), I64)
    one, more, two, none = (f.label(s) for s in ("one", "more", "two", "none"))
    f.branch(f.compare("ule", count, number(I64, 1)), one, more)
    f.begin(one)
    f.ret(low)
    f.begin(more)
    f.branch(same(f, count, "2"), two, none)
    f.begin(two)
    high = f.convert("zext", field(f, index, HIGH, I32), I64)
    f.ret(f.binary("or", low, f.binary("shl", high, number(I64, DIGIT))))
    f.begin(none)
    f.ret(number(I64, -1))
    return f


def _mark(fields: Fields, target: Target) -> Function:
    """``i64 mark(state, node, gradient, code, now)``: add to the entry of a node that is still to be met.

    With code 0 the gradient is kept by Python. A page must be free. ``now`` is the number that is being met.
    """
    parameters = [("%state", PTR), ("%node", PTR), ("%gradient", I64), ("%code", I64), ("%now", I64)]
    f = Function("mark", parameters, target, result=I64, exported=False)
    state, node, gradient, code, now = f.parameters
    clash = f.label("clash")
    place = f.call("number", [node], I64)
    known = f.label("known")
    f.branch(f.compare("sge", place, number(I64, 0)), known, clash)
    f.begin(known)
    wanted, later, skip = (f.label(s) for s in ("wanted", "later", "skip"))
    f.branch(f.compare("sge", place, word(f, state, State.SINCE)), wanted, skip)
    f.begin(wanted)
    f.branch(f.compare("slt", place, now), later, clash)
    f.begin(later)
    page_number = f.binary("lshr", place, number(I64, PAGE.bit_length() - 1))
    spot = f.at(word(f, state, State.DIRECTORY, PTR), page_number, PTR)
    there = f.load(spot, PTR)
    new, ready = f.label("new"), f.label("ready")
    f.branch(same(f, there, "null"), new, ready)
    f.begin(new)
    f.store(_page(f, state), spot)
    lowest = f.call("llvm.smin.i64", [word(f, state, State.LOWEST), page_number], I64, declare=True)
    put(f, state, State.LOWEST, lowest)
    f.jump(ready)
    f.begin(ready)
    page = f.load(spot, PTR)
    entry = f.at(page, f.binary("shl", f.binary("and", place, number(I64, PAGE - 1)), number(I64, 1)), I64)
    collected = f.at(entry, 1, I64)
    old = f.load(entry, PTR)
    first, again, alike = f.label("first"), f.label("again"), f.label("alike")
    f.branch(same(f, old, "null"), first, again)
    f.begin(first)
    f.store(node, entry)
    f.store(gradient, collected)
    f.ret(status(Status.DONE))
    f.begin(again)
    f.branch(same(f, old, node), alike, clash)  # two nodes with one number: a copy of a node
    f.begin(alike)
    for kind, bits in ((F64, I64), (F32, I32)):
        dtype = float64 if kind is F64 else float32

        def add(kind: Type = kind, bits: Type = bits) -> None:
            raw = gradient if bits is I64 else f.convert("trunc", gradient, I32)
            f.store(f.add(f.load(collected, kind), f.convert("bitcast", raw, kind)), collected)

        f.when(same(f, code, str(CODES[dtype])), add)
    f.ret(status(Status.DONE))
    f.begin(clash)
    f.ret(status(Status.CLASH))
    f.begin(skip)
    f.ret(status(Status.DONE))
    return f


def _page(f: Function, state: Value) -> Value:
    """An empty page: one that was used before, or an unused one."""
    used = word(f, state, State.USED, PTR)
    fresh, again, end = f.label("fresh"), f.label("again"), f.label("end")
    f.branch(same(f, used, "null"), fresh, again)
    f.begin(fresh)
    unused = word(f, state, State.UNUSED, PTR)
    put(f, state, State.UNUSED, f.at(unused, PAGE * ENTRY, I8))
    f.jump(end)
    f.begin(again)
    put(f, state, State.USED, f.load(used, PTR))
    f.store(Value.of("null", PTR), used)
    f.jump(end)
    f.begin(end)
    page = f.emit(f"phi ptr [ {unused}, %{fresh} ], [ {used}, %{again} ]", PTR)
    put(f, state, State.FREE, f.binary("sub", word(f, state, State.FREE), number(I64, 1)))
    return page


def _give(target: Target) -> Function:
    parameters = [("%state", PTR), ("%node", PTR), ("%gradient", I64), ("%code", I64)]
    f = Function(GIVE, parameters, target, result=I64)
    state, node, gradient, code = f.parameters
    full, go = f.label("full"), f.label("go")
    f.branch(f.compare("slt", word(f, state, State.FREE), number(I64, 1)), full, go)
    f.begin(full)
    f.ret(status(Status.PAGES))
    f.begin(go)
    # The entry of the node that Python was told of is the one above that at which the walk will go on.
    page = f.binary("shl", word(f, state, State.AT_PAGE), number(I64, PAGE.bit_length() - 1))
    now = f.add_int(f.add_int(page, word(f, state, State.AT_ENTRY)), 1)
    f.ret(f.call("mark", [state, node, gradient, code, f.operand(now)], I64))
    return f
