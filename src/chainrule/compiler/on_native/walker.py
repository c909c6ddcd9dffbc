"""Backward over nodes of Python without Python: native code that goes over the objects themselves.

Nodes are met in descending order of their numbers, as the sweep of :mod:`chainrule.autodiff.reverse` meets them, so
gradients add in the same order. Which nodes are still to be met stands in *pages*: one entry for each number, with
the node (null for none) and the gradient collected so far. Pages lie in a *directory*. A page whose numbers have all
been met is empty, and is used again: a long chain needs no more than two of them.

::

    i64 walk(state)                            until there is something for Python to do; says what
    i64 give(state, node, gradient, code)      add a gradient that Python has computed

Both are called with Python's lock held. What they need of Python stands in the state, a table of words; where fields
lie is written into the code. A node has a *signature*: how many inputs, and for each of them and the output which
kind of number it is and whether a gradient is wanted. For primitive, parameters and signature a table knows the
function that applies the rule (:mod:`chainrule.compiler.on_native.pulling`).
"""

from __future__ import annotations

from chainrule.compiler import addresses
from chainrule.compiler.objects import COUNT, DIGIT, HIGH, LOW, NUMBER, Fields
from chainrule.compiler.on_native import pulling
from chainrule.compiler.on_native.ir import (
    F32,
    F64,
    I1,
    I8,
    I32,
    I64,
    PTR,
    Function,
    Type,
    Value,
    number,
)
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.walk_state import BITS, CODES, ENTRY, PAGE, RULE, State, Status, hashed
from chainrule.shapes import DType, float32, float64

AHEAD = 8
"""So many nodes ahead are fetched from memory."""
GUESS = 16
"""The same where they are not known; the sizes are those that Python gives a node and what belongs to it."""
WALK, GIVE = "walk", "give"


def functions(fields: Fields, target: Target) -> list[Function]:
    """All of them, for nodes with these fields."""
    return [_code_of(target), _mark(fields, target), _give(target), _Walk(fields, target).function]


def _word(f: Function, state: Value, word: int, kind: Type = I64) -> Value:
    return f.load(f.at(state, word, I64), kind)


def _set(f: Function, state: Value, word: int, value: Value) -> None:
    f.store(value, f.at(state, word, I64))


def _field(f: Function, thing: Value, offset: int, kind: Type = PTR) -> Value:
    return f.load(f.at(thing, offset, I8), kind)


def _same(f: Function, a: Value, b: Value | str) -> Value:
    return f.emit(f"icmp eq {a.type} {a}, {b}", I1)


def _status(status: Status) -> Value:
    return number(I64, int(status))


def _code_of(target: Target) -> Function:
    """``i64 code(value, cell, state)``: which kind of number an object is, with its bits in the cell; 0 for none."""
    f = Function(
        "code", [("%value", PTR), ("%cell", PTR), ("%state", PTR)], target, result=I64, exported=False
    )
    value, cell, state = f.parameters
    kind = _field(f, value, addresses.CLASS)
    for i, dtype in enumerate(CODES):
        f.when(
            _same(f, kind, _word(f, state, State.CLASSES + i, PTR)),
            lambda d=dtype: _copy(f, f.at(value, NUMBER, I8), cell, d),
        )
    array = f.label("array")
    nothing = f.label("nothing")
    f.branch(_same(f, kind, _word(f, state, State.ARRAY, PTR)), array, nothing)
    f.begin(array)
    flags = f.binary("and", _field(f, value, addresses.FLAGS, I32), number(I32, addresses.ORDERLY))
    orderly = f.compare("eq", flags, number(I32, addresses.ORDERLY))
    single = f.compare("eq", _field(f, value, addresses.RANK, I32), number(I32, 0))
    scalar = f.label("scalar")
    f.branch(f.binary("and", orderly, single), scalar, nothing)
    f.begin(scalar)
    dtype_of = _field(f, value, addresses.DTYPE)
    data = _field(f, value, addresses.DATA)
    for i, dtype in enumerate(CODES):
        f.when(
            _same(f, dtype_of, _word(f, state, State.DTYPES + i, PTR)),
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


def _mark(fields: Fields, target: Target) -> Function:
    """``i64 mark(state, node, gradient, code, now)``: add to the entry of a node that is still to be met.

    With code 0 the gradient is kept by Python. A page must be free. ``now`` is the number that is being met.
    """
    parameters = [("%state", PTR), ("%node", PTR), ("%gradient", I64), ("%code", I64), ("%now", I64)]
    f = Function("mark", parameters, target, result=I64, exported=False)
    state, node, gradient, code, now = f.parameters
    index = _field(f, node, fields.index)
    digits = _field(f, index, COUNT, I64)
    count = f.binary("lshr", digits, number(I64, fields.digits)) if fields.digits else digits
    low = f.convert("zext", _field(f, index, LOW, I32), I64)
    one, more, wide, known, clash = (f.label(s) for s in ("one", "more", "wide", "known", "clash"))
    f.branch(f.compare("ule", count, number(I64, 1)), one, more)
    f.begin(one)
    f.jump(known)
    f.begin(more)
    f.branch(_same(f, count, "2"), wide, clash)
    f.begin(wide)
    high = f.convert("zext", _field(f, index, HIGH, I32), I64)
    both = f.binary("or", low, f.binary("shl", high, number(I64, DIGIT)))
    f.jump(known)
    f.begin(known)
    place = f.emit(f"phi i64 [ {low}, %{one} ], [ {both}, %{wide} ]", I64)
    wanted, later, skip = (f.label(s) for s in ("wanted", "later", "skip"))
    f.branch(f.compare("sge", place, _word(f, state, State.SINCE)), wanted, skip)
    f.begin(wanted)
    f.branch(f.compare("slt", place, now), later, clash)
    f.begin(later)
    page_number = f.binary("lshr", place, number(I64, PAGE.bit_length() - 1))
    spot = f.at(_word(f, state, State.DIRECTORY, PTR), page_number, PTR)
    there = f.load(spot, PTR)
    new, ready = f.label("new"), f.label("ready")
    f.branch(_same(f, there, "null"), new, ready)
    f.begin(new)
    f.store(_page(f, state), spot)
    lowest = f.call("llvm.smin.i64", [_word(f, state, State.LOWEST), page_number], I64, declare=True)
    _set(f, state, State.LOWEST, lowest)
    f.jump(ready)
    f.begin(ready)
    page = f.load(spot, PTR)
    entry = f.at(page, f.binary("shl", f.binary("and", place, number(I64, PAGE - 1)), number(I64, 1)), I64)
    collected = f.at(entry, 1, I64)
    old = f.load(entry, PTR)
    first, again, same = f.label("first"), f.label("again"), f.label("same")
    f.branch(_same(f, old, "null"), first, again)
    f.begin(first)
    f.store(node, entry)
    f.store(gradient, collected)
    f.ret(_status(Status.DONE))
    f.begin(again)
    f.branch(_same(f, old, node), same, clash)  # two nodes with one number: a copy of a node
    f.begin(same)
    for kind, word in ((F64, I64), (F32, I32)):
        dtype = float64 if kind is F64 else float32

        def add(kind: Type = kind, word: Type = word) -> None:
            raw = gradient if word is I64 else f.convert("trunc", gradient, I32)
            f.store(f.add(f.load(collected, kind), f.convert("bitcast", raw, kind)), collected)

        f.when(_same(f, code, str(CODES[dtype])), add)
    f.ret(_status(Status.DONE))
    f.begin(clash)
    f.ret(_status(Status.CLASH))
    f.begin(skip)
    f.ret(_status(Status.DONE))
    return f


def _page(f: Function, state: Value) -> Value:
    """An empty page: one that was used before, or an unused one."""
    used = _word(f, state, State.USED, PTR)
    fresh, again, end = f.label("fresh"), f.label("again"), f.label("end")
    f.branch(_same(f, used, "null"), fresh, again)
    f.begin(fresh)
    unused = _word(f, state, State.UNUSED, PTR)
    _set(f, state, State.UNUSED, f.at(unused, PAGE * ENTRY, I8))
    f.jump(end)
    f.begin(again)
    _set(f, state, State.USED, f.load(used, PTR))
    f.store(Value.of("null", PTR), used)
    f.jump(end)
    f.begin(end)
    page = f.emit(f"phi ptr [ {unused}, %{fresh} ], [ {used}, %{again} ]", PTR)
    _set(f, state, State.FREE, f.binary("sub", _word(f, state, State.FREE), number(I64, 1)))
    return page


def _give(target: Target) -> Function:
    parameters = [("%state", PTR), ("%node", PTR), ("%gradient", I64), ("%code", I64)]
    f = Function(GIVE, parameters, target, result=I64)
    state, node, gradient, code = f.parameters
    full, go = f.label("full"), f.label("go")
    f.branch(f.compare("slt", _word(f, state, State.FREE), number(I64, 1)), full, go)
    f.begin(full)
    f.ret(_status(Status.PAGES))
    f.begin(go)
    # The entry of the node that Python was told of is the one above that at which the walk will go on.
    page = f.binary("shl", _word(f, state, State.AT_PAGE), number(I64, PAGE.bit_length() - 1))
    now = f.add_int(f.add_int(page, _word(f, state, State.AT_ENTRY)), 1)
    f.ret(f.call("mark", [state, node, gradient, code, f.operand(now)], I64))
    return f


class _Walk:
    """``walk``, under construction. Pages and entries are the blocks of a double loop, with phis written by hand."""

    def __init__(self, fields: Fields, target: Target) -> None:
        self.fields = fields
        self.function = f = self.f = Function(WALK, [("%state", PTR)], target, result=I64)
        (self.state,) = f.parameters
        self.cells = f.stack(I64, pulling.CELLS)
        self.inputs = f.stack(PTR, pulling.MOST)
        self.codes = f.stack(I64, pulling.MOST)
        constant = {w: _word(f, self.state, w, PTR) for w in State if State.NONE <= w <= State.CLASSES}
        self.none, self.true, self.tuple = (constant[w] for w in (State.NONE, State.TRUE, State.TUPLE))
        self.nodes, self.double = constant[State.NODES], constant[State.CLASSES]
        self.since = _word(f, self.state, State.SINCE)
        directory = self.directory = _word(f, self.state, State.DIRECTORY, PTR)
        first_page, first_entry = (_word(f, self.state, w) for w in (State.AT_PAGE, State.AT_ENTRY))
        turns = _word(f, self.state, State.TURNS)
        f.jump("page")

        f.begin("page")
        self.page = f.emit(f"phi i64 [ {first_page}, %entry ], [ %lower, %leaving ]", I64)
        begin = f.emit(f"phi i64 [ {first_entry}, %entry ], [ {PAGE - 1}, %leaving ]", I64)
        left = f.emit(f"phi i64 [ {turns}, %entry ], [ %turns.left, %leaving ]", I64)
        self.entries = f.load(f.at(directory, self.page, PTR), PTR)
        f.branch(_same(f, self.entries, "null"), "missing", "present")
        f.begin("missing")
        f.jump("leaving")
        f.begin("present")
        f.jump("scan")

        f.begin("scan")
        self.place = f.emit(f"phi i64 [ {begin}, %present ], [ %below, %empty ], [ %below.met, %met ]", I64)
        self.left = Value.of("%remaining", I64)
        f.effect(f"%remaining = phi i64 [ {left}, %present ], [ %remaining, %empty ], [ %left.met, %met ]")
        f.branch(f.compare("slt", self.place, number(I64, 0)), "drained", "look")
        f.begin("look")
        self.entry = f.at(self.entries, f.binary("shl", self.place, number(I64, 1)), I64)
        self.node = f.load(self.entry, PTR)
        f.branch(_same(f, self.node, "null"), "empty", "found")
        f.begin("empty")
        f.effect(f"%below = sub i64 {self.place}, 1")
        f.jump("scan")

        f.begin("found")
        self._fetch()
        self._require_room()
        self._meet()
        self._endings(directory, left)

    def _fetch(self) -> None:
        """Ask for what will be read soon: of nodes to be met, or, where none is known yet, what lies before this one.

        Nodes that were made one after the other mostly lie so. An address at which there is nothing does no harm.
        """
        f, fields = self.f, self.fields
        for ahead in (AHEAD, AHEAD // 2):
            back = f.call(
                "llvm.smax.i64",
                [f.binary("sub", self.place, number(I64, ahead)), number(I64, 0)],
                I64,
                declare=True,
            )
            soon = f.load(f.at(self.entries, f.binary("shl", back, number(I64, 1)), I64), PTR)
            unknown = _same(f, soon, "null")
            if ahead == AHEAD:
                guess = f.at(self.node, -GUESS * 144, I8)
                node = f.select(unknown, guess, soon)
                for offset in (fields.index, fields.value):
                    f.prefetch(f.at(node, offset, I8))
                continue
            node = f.select(unknown, self.node, soon)
            for offset, size in ((fields.inputs, 64), (fields.value, 32), (fields.index, 32)):
                shift = f.select(unknown, number(I64, -GUESS * size), number(I64, NUMBER))
                f.prefetch(f.at(_field(f, node, offset), shift, I8))

    def _require_room(self) -> None:
        """Go on if there are turns, room for a result, and a page for each input; else return, as if not yet here."""
        f, state = self.f, self.state
        self._unless(f.compare("sgt", self.left, number(I64, 0)), Status.TURNS)
        enough = f.compare("sge", _word(f, state, State.FREE), number(I64, pulling.MOST))
        self._unless(enough, Status.PAGES)
        room = f.compare("slt", _word(f, state, State.COUNT), _word(f, state, State.ROOM))
        self._unless(room, Status.RESULTS)

    def _unless(self, condition: Value, status: Status) -> None:
        f = self.f
        go, stop = f.label("go"), f.label("stop")
        f.branch(condition, go, stop)
        f.begin(stop)
        self._leave(self.place, self.left, status)
        f.begin(go)

    def _leave(self, place: Value, left: Value, status: Status) -> None:
        f = self.f
        _set(f, self.state, State.AT_PAGE, self.page)
        _set(f, self.state, State.AT_ENTRY, place)
        _set(f, self.state, State.TURNS, left)
        f.ret(_status(status))

    def _meet(self) -> None:
        f, state = self.f, self.state
        below = f.binary("sub", self.place, number(I64, 1))
        left = f.binary("sub", self.left, number(I64, 1))
        self.below, self.after = below, left
        self.delta = f.load(f.at(self.entry, 1, I64), I64)
        f.store(Value.of("null", PTR), self.entry)
        op = _field(f, self.node, self.fields.op)
        f.branch(_same(f, op, self.none), "leaf", "computed")
        f.begin("computed")
        keeps = _same(f, _field(f, self.node, self.fields.retains_grad), self.true)
        f.when(keeps, self._result)
        signature = self._signature()
        rule = self._looked_up(op, signature)
        function = f.load(f.at(rule, 3, PTR), PTR)
        f.branch(_same(f, function, "null"), "foreign", "known")
        f.begin("known")
        given = f.emit(f"call i64 {function}(ptr {self.cells}, ptr {f.load(f.at(rule, 4, PTR), PTR)})", I64)
        now = f.binary("or", f.binary("shl", self.page, number(I64, PAGE.bit_length() - 1)), self.place)
        for i in range(pulling.MOST):
            bit = f.binary("and", given, number(I64, 1 << i))
            f.when(f.compare("ne", bit, number(I64, 0)), lambda i=i: self._pass_on(i, now))
        f.jump("met")
        f.begin("leaf")
        self._result()
        f.jump("met")
        f.begin("clash")
        f.ret(_status(Status.CLASH))
        f.begin("unknown")
        _set(f, state, State.SIGNATURE, signature)
        f.jump("abroad")
        f.begin("foreign")
        _set(f, state, State.SIGNATURE, number(I64, 0))
        f.jump("abroad")
        f.begin("abroad")
        _set(f, state, State.NODE, self.node)
        _set(f, state, State.DELTA, self.delta)
        self._leave(below, left, Status.FOREIGN)

    def _result(self) -> None:
        """Write down the node with its gradient."""
        f, state = self.f, self.state
        count = _word(f, state, State.COUNT)
        spot = f.at(_word(f, state, State.RESULTS, PTR), f.binary("shl", count, number(I64, 1)), I64)
        f.store(self.node, spot)
        f.store(self.delta, f.at(spot, 1, I64))
        _set(f, state, State.COUNT, f.binary("add", count, number(I64, 1)))

    def _signature(self) -> Value:
        """Fill in the cells; what is not one number, or has too many inputs, is left to Python."""
        f = self.f
        f.store(self.delta, f.at(self.cells, pulling.GRADIENT, I64))
        inputs = _field(f, self.node, self.fields.inputs)
        plain = _same(f, _field(f, inputs, addresses.CLASS), self.tuple)
        count = _field(f, inputs, COUNT, I64)
        few = f.compare("ule", f.binary("sub", count, number(I64, 1)), number(I64, pulling.MOST - 1))
        self._or_foreign(f.binary("and", plain, few))
        code = self._read(_field(f, self.node, self.fields.value), pulling.OUTPUT)
        first = f.binary(
            "or", f.binary("shl", count, number(I64, BITS)), f.binary("shl", code, number(I64, 1))
        )

        def turn(i: Value | int, carried: list[Value]) -> list[Value]:
            assert isinstance(i, Value)
            x = f.load(f.at(f.at(inputs, self.fields.items, I8), i, PTR), PTR)
            self._or_foreign(_same(f, _field(f, x, addresses.CLASS), self.nodes))
            cell = f.emit(f"add i64 {i}, {pulling.INPUTS}", I64)
            code = self._read(_field(f, x, self.fields.value), cell)
            f.store(x, f.at(self.inputs, i, PTR))
            f.store(code, f.at(self.codes, i, I64))
            wanted = f.convert("zext", _same(f, _field(f, x, self.fields.tracked), self.true), I64)
            own = f.binary("or", f.binary("shl", code, number(I64, 1)), wanted)
            return [f.binary("or", f.binary("shl", carried[0], number(I64, BITS)), own)]

        return f.loop(0, count, 1, turn, [first])[0]

    def _or_foreign(self, condition: Value) -> None:
        go = self.f.label("go")
        self.f.branch(condition, go, "foreign")
        self.f.begin(go)

    def _read(self, value: Value, cell: Value | int) -> Value:
        """Copy the number that an object holds into a cell; its code."""
        f = self.f
        spot = f.at(self.cells, cell, I64)
        quick, other, end = f.label("quick"), f.label("other"), f.label("end")
        f.branch(_same(f, _field(f, value, addresses.CLASS), self.double), quick, other)
        f.begin(quick)
        f.store(_field(f, value, NUMBER, I64), spot)
        f.jump(end)
        f.begin(other)
        code = f.call("code", [value, spot, self.state], I64)
        f.jump(end)
        f.begin(end)
        return f.emit(f"phi i64 [ {CODES[float64]}, %{quick} ], [ {code}, %{other} ]", I64)

    def _looked_up(self, op: Value, signature: Value) -> Value:
        f = self.f
        rules, last = _word(f, self.state, State.RULES, PTR), _word(f, self.state, State.LAST)
        params = _field(f, self.node, self.fields.params)
        number_of = f.binary("lshr", f.convert("ptrtoint", op, I64), number(I64, 4))
        start = f.binary("add", number_of, f.binary("mul", signature, number(I64, hashed(0, 1))))
        f.jump("before.rule")
        f.begin("before.rule")
        f.jump("rule")
        f.begin("rule")
        at = f.emit(f"phi i64 [ {start}, %before.rule ], [ %rule.following, %rule.other ]", I64)
        rule = f.at(rules, f.binary("mul", f.binary("and", at, last), number(I64, RULE)), I64)
        own = f.load(rule, PTR)
        fits = f.binary("and", _same(f, own, op), _same(f, f.load(f.at(rule, 1, PTR), PTR), params))
        fits = f.binary("and", fits, _same(f, f.load(f.at(rule, 2, I64), I64), signature))
        f.branch(fits, "rule.found", "rule.unlike")
        f.begin("rule.unlike")
        f.branch(_same(f, own, "null"), "unknown", "rule.other")
        f.begin("rule.other")
        f.effect(f"%rule.following = add i64 {at}, 1")
        f.jump("rule")
        f.begin("rule.found")
        return rule

    def _pass_on(self, i: int, now: Value) -> None:
        """Add a contribution to the entry of an input: here if all is as usual, or else by `mark`."""
        f = self.f
        x, code = f.load(f.at(self.inputs, i, PTR), PTR), f.load(f.at(self.codes, i, I64), I64)
        gradient = f.load(f.at(self.cells, pulling.CONTRIBUTIONS + i, I64), I64)
        usual, page, first, again, double, rare, end = (
            f.label(s) for s in ("usual", "page", "first", "again", "double", "rare", "end")
        )
        index = _field(f, x, self.fields.index)
        digits = _field(f, index, COUNT, I64)
        single = f.compare("ult", digits, number(I64, 2 << self.fields.digits))
        place = f.convert("zext", _field(f, index, LOW, I32), I64)
        inside = f.binary("and", f.compare("slt", place, now), f.compare("sge", place, self.since))
        f.branch(f.binary("and", single, inside), usual, rare)
        f.begin(usual)
        number_of = f.binary("lshr", place, number(I64, PAGE.bit_length() - 1))
        entries = f.load(f.at(self.directory, number_of, PTR), PTR)
        f.branch(_same(f, entries, "null"), rare, page)
        f.begin(page)
        within = f.binary("and", place, number(I64, PAGE - 1))
        entry = f.at(entries, f.binary("shl", within, number(I64, 1)), I64)
        collected = f.at(entry, 1, I64)
        old = f.load(entry, PTR)
        f.branch(_same(f, old, "null"), first, again)
        f.begin(first)
        f.store(x, entry)
        f.store(gradient, collected)
        f.jump(end)
        f.begin(again)
        same = f.binary("and", _same(f, old, x), _same(f, code, str(CODES[float64])))
        f.branch(same, double, rare)
        f.begin(double)
        f.store(f.add(f.load(collected, F64), f.convert("bitcast", gradient, F64)), collected)
        f.jump(end)
        f.begin(rare)
        status = f.call("mark", [self.state, x, gradient, code, now], I64)
        f.branch(_same(f, status, "0"), end, "clash")
        f.begin(end)

    def _endings(self, directory: Value, left: Value) -> None:
        """The other blocks of the double loop."""
        f, state = self.f, self.state
        f.begin("met")
        f.effect(f"%below.met = add i64 {self.below}, 0")
        f.effect(f"%left.met = add i64 {self.after}, 0")
        f.jump("scan")
        f.begin("drained")  # all of its entries are null: it may be used again
        f.store(_word(f, state, State.USED, PTR), self.entries)
        _set(f, state, State.USED, self.entries)
        _set(f, state, State.FREE, f.binary("add", _word(f, state, State.FREE), number(I64, 1)))
        f.store(Value.of("null", PTR), f.at(directory, self.page, PTR))
        f.jump("leaving")
        f.begin("leaving")
        f.effect(f"%turns.left = phi i64 [ {left}, %missing ], [ {self.left}, %drained ]")
        f.effect(f"%lower = sub i64 {self.page}, 1")
        f.branch(f.emit(f"icmp sge i64 %lower, {_word(f, state, State.LOWEST)}", I1), "page", "done")
        f.begin("done")
        f.ret(_status(Status.DONE))
