"""Backward over nodes of Python without Python: native code that goes over the objects themselves.

Nodes are met in descending order of their numbers, as the sweep of :mod:`chainrule.autodiff.reverse` meets them, so
gradients add in the same order. Which nodes are still to be met stands in *pages*: one entry for each number, with
the node (null for none) and the gradient collected so far. Pages lie in a *directory*. A page whose numbers have all
been met is empty, and is used again: a long chain needs no more than two of them.

::

    i64 walk(state)                            until there is something for Python to do; says what
    i64 give(state, node, gradient, code)      add a gradient that Python has computed

What it needs of a node it finds in a ring, in which it was written down when the node was made
(:mod:`chainrule.compiler.on_native.ring`), or else in the node itself and those around it.

Both are called with Python's lock held. What they need of Python stands in the state, a table of words; where fields
lie is written into the code. A node has a *signature*: how many inputs, and for each of them and the output which
kind of number it is and whether a gradient is wanted. For primitive, parameters and signature a table knows the
function that applies the rule (:mod:`chainrule.compiler.on_native.pulling`).
"""

from __future__ import annotations

from chainrule.compiler import addresses
from chainrule.compiler.objects import COUNT, LOW, NUMBER, Fields
from chainrule.compiler.on_native import marking, pulling, ring
from chainrule.compiler.on_native.ir import F64, I1, I8, I32, I64, PTR, Function, Value, number
from chainrule.compiler.on_native.marking import field, put, same, status, word
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.walk_state import BITS, CODES, PAGE, RULE, State, Status, hashed
from chainrule.shapes import float64

AHEAD = 8
"""So many nodes ahead are fetched from memory."""
GUESS = 16
"""The same where they are not known."""
NODE, TUPLE, NUMBERS = 144, 128, 64
"""Bytes from a node to the next, and the same for what belongs to it: its inputs lie beside its position, its number
beside its value."""
WALK = "walk"


def functions(fields: Fields, target: Target) -> list[Function]:
    """All of them, for nodes with these fields."""
    return [*marking.functions(fields, target), _Walk(fields, target).function]


class _Walk:
    """``walk``, under construction. Pages and entries are the blocks of a double loop, with phis written by hand."""

    def __init__(self, fields: Fields, target: Target) -> None:
        self.fields = fields
        self.function = f = self.f = Function(WALK, [("%state", PTR)], target, result=I64)
        (self.state,) = f.parameters
        self.cells = f.stack(I64, pulling.CELLS)
        constant = {w: word(f, self.state, w, PTR) for w in State if State.NONE <= w <= State.CLASSES}
        self.none, self.true, self.tuple = (constant[w] for w in (State.NONE, State.TRUE, State.TUPLE))
        self.nodes, self.double = constant[State.NODES], constant[State.CLASSES]
        self.empty, self.dtype = (word(f, self.state, w, PTR) for w in (State.EMPTY, State.DTYPES))
        self.since = word(f, self.state, State.SINCE)
        self.ring, self.mask = word(f, self.state, State.RING, PTR), word(f, self.state, State.MASK)
        self.believed = word(f, self.state, State.FROM)
        directory = self.directory = word(f, self.state, State.DIRECTORY, PTR)
        first_page, first_entry = (word(f, self.state, w) for w in (State.AT_PAGE, State.AT_ENTRY))
        turns = word(f, self.state, State.TURNS)
        f.jump("page")

        f.begin("page")
        self.page = f.emit(f"phi i64 [ {first_page}, %entry ], [ %lower, %leaving ]", I64)
        begin = f.emit(f"phi i64 [ {first_entry}, %entry ], [ {PAGE - 1}, %leaving ]", I64)
        self.left = f.emit(f"phi i64 [ {turns}, %entry ], [ %turns.left, %leaving ]", I64)
        self.entries = f.load(f.at(directory, self.page, PTR), PTR)
        f.branch(same(f, self.entries, "null"), "leaving", "present")
        f.begin("present")
        self.place = begin
        self._unless(f.compare("sgt", self.left, number(I64, 0)), Status.TURNS)
        f.jump("scanned")
        f.begin("scanned")
        f.jump("scan")

        f.begin("scan")
        self.place = f.emit(f"phi i64 [ {begin}, %scanned ], [ %below, %empty ], [ %below.met, %met ]", I64)
        f.branch(f.compare("slt", self.place, number(I64, 0)), "drained", "look")
        f.begin("look")
        self.entry = f.at(self.entries, f.binary("shl", self.place, number(I64, 1)), I64)
        self.node = f.load(self.entry, PTR)
        f.branch(same(f, self.node, "null"), "empty", "found")
        f.begin("empty")
        f.effect(f"%below = sub i64 {self.place}, 1")
        f.jump("scan")

        f.begin("found")
        # A visit may need a page for each input; without them the walk returns as if it had not come here yet.
        enough = f.compare("sge", word(f, self.state, State.FREE), number(I64, pulling.MOST))
        self._unless(enough, Status.PAGES)
        self._meet()
        self._endings(directory)

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
            unknown = same(f, soon, "null")
            if ahead == AHEAD:
                guess = f.at(self.node, -GUESS * NODE, I8)
                node = f.select(unknown, guess, soon)
                for offset in (fields.index, fields.value):
                    f.prefetch(f.at(node, offset, I8))
                continue
            node = f.select(unknown, self.node, soon)
            for offset, size in ((fields.inputs, TUPLE), (fields.value, NUMBERS), (fields.index, NUMBERS)):
                shift = f.select(unknown, number(I64, -GUESS * size), number(I64, NUMBER))
                f.prefetch(f.at(field(f, node, offset), shift, I8))

    def _unless(self, condition: Value, reason: Status) -> None:
        f = self.f
        go, stop = f.label("go"), f.label("stop")
        f.branch(condition, go, stop)
        f.begin(stop)
        self._leave(self.place, reason)
        f.begin(go)

    def _leave(self, place: Value, reason: Status) -> None:
        f = self.f
        put(f, self.state, State.AT_PAGE, self.page)
        put(f, self.state, State.AT_ENTRY, place)
        put(f, self.state, State.TURNS, self.left)
        f.ret(status(reason))

    def _meet(self) -> None:
        f = self.f
        self.below = f.binary("sub", self.place, number(I64, 1))
        self.delta = f.load(f.at(self.entry, 1, I64), I64)
        self.now = f.binary("or", f.binary("shl", self.page, number(I64, PAGE.bit_length() - 1)), self.place)
        self._remembered()
        self._looked_at()

    def _remembered(self) -> None:
        """A node of which all stands in the ring; or else it goes on at the block `objects`."""
        f = self.f
        entry = ring.slot(f, self.ring, self.mask, self.now)
        signature = f.convert("zext", field(f, entry, ring.SIGNATURE, I32), I64)
        own = f.binary(
            "and", ring.is_of(f, entry, self.now, self.node), f.compare("sge", self.now, self.believed)
        )
        known = f.binary("and", own, f.compare("ne", signature, number(I64, 0)))
        f.branch(known, "remembered", "objects")
        f.begin("remembered")
        op = field(f, entry, ring.OP)
        rule = self._looked_up(op, None, signature, "objects")
        function = f.load(f.at(rule, 3, PTR), PTR)
        native = f.label("native")
        f.branch(same(f, function, "null"), "objects", native)
        f.begin(native)
        f.store(Value.of("null", PTR), self.entry)
        f.store(self.delta, f.at(self.cells, pulling.GRADIENT, I64))
        for n in range(1, ring.MOST + 1):
            of = f.compare("eq", f.binary("lshr", signature, number(I64, BITS * (n + 1))), number(I64, n))
            f.when(of, lambda n=n: self._pull_remembered(entry, signature, rule, function, n))
        f.effect("unreachable")

    def _pull_remembered(
        self, entry: Value, signature: Value, rule: Value, function: Value, count: int
    ) -> None:
        """Apply the rule of a node with so many inputs that stand in the ring."""
        f = self.f
        reads = f.load(f.at(rule, 5, I64), I64)
        value = field(f, entry, ring.VALUE, I64)
        f.store(value, f.at(self.cells, pulling.OUTPUT, I64))
        inputs: list[tuple[Value, Value, Value]] = []
        for i in range(count):
            x = field(f, entry, ring.INPUTS + PTR.itemsize * i)
            below = f.convert("zext", field(f, entry, ring.BELOW + I32.itemsize * i, I32), I64)
            place = f.binary("sub", self.now, below)
            part = f.binary("lshr", signature, number(I64, BITS * (count - 1 - i) + 1))
            code = f.binary("and", part, number(I64, (1 << BITS - 1) - 1))
            inputs.append((x, place, code))
            read = f.compare("ne", f.binary("and", reads, number(I64, 2 << i)), number(I64, 0))
            f.when(
                read,
                lambda i=i, x=x, place=place, code=code: self._read_remembered(
                    x, place, code, pulling.INPUTS + i
                ),
            )
        given = self._called(rule, function)
        for i, (x, place, code) in enumerate(inputs):
            bit = f.compare("ne", f.binary("and", given, number(I64, 1 << i)), number(I64, 0))
            f.when(bit, lambda i=i, x=x, place=place, code=code: self._add(i, x, place, code, None))
        f.jump("met")
        f.begin(f.label("unreached"))

    def _read_remembered(self, x: Value, place: Value, code: Value, cell: int) -> None:
        """Copy the number of an input into a cell: from its own entry, if that is not another's by now."""
        f = self.f
        entry = ring.slot(f, self.ring, self.mask, place)

        def copy() -> None:
            f.store(field(f, entry, ring.VALUE, I64), f.at(self.cells, cell, I64))

        f.when(ring.is_of(f, entry, place, x), copy, lambda: self._read(x, code, cell))

    def _called(self, rule: Value, function: Value) -> Value:
        """Call the function of a rule; which contributions it gives."""
        f = self.f
        loops = f.load(f.at(rule, 4, PTR), PTR)
        return f.emit(f"call i64 {function}(ptr {self.cells}, ptr {loops})", I64)

    def _looked_at(self) -> None:
        """A node that is read itself."""
        f, state = self.f, self.state
        f.begin("objects")
        self._fetch()
        self.op = field(f, self.node, self.fields.op)
        f.branch(same(f, self.op, self.none), "leaf", "computed")
        f.begin("leaf")
        self._result()
        f.store(Value.of("null", PTR), self.entry)
        f.jump("met")
        f.begin("computed")
        keeps = same(f, field(f, self.node, self.fields.retains_grad), self.true)
        f.when(keeps, self._result)
        f.store(Value.of("null", PTR), self.entry)
        f.store(self.delta, f.at(self.cells, pulling.GRADIENT, I64))
        self.inputs = field(f, self.node, self.fields.inputs)
        self._or_foreign(same(f, field(f, self.inputs, addresses.CLASS), self.tuple))
        count = field(f, self.inputs, COUNT, I64)
        for i in range(1, pulling.MOST + 1):
            f.when(same(f, count, str(i)), lambda i=i: self._pull(i))
        f.jump("foreign")
        f.begin("clash")
        f.ret(status(Status.CLASH))
        f.begin("foreign")
        put(f, state, State.SIGNATURE, number(I64, 0))
        f.jump("abroad")
        f.begin("abroad")
        put(f, state, State.NODE, self.node)
        put(f, state, State.DELTA, self.delta)
        self._leave(self.below, Status.FOREIGN)

    def _result(self) -> None:
        """Write down the node with its gradient; where there is no room, come here again."""
        f, state = self.f, self.state
        count = word(f, state, State.COUNT)
        self._unless(f.compare("slt", count, word(f, state, State.ROOM)), Status.RESULTS)
        spot = f.at(word(f, state, State.RESULTS, PTR), f.binary("shl", count, number(I64, 1)), I64)
        f.store(self.node, spot)
        f.store(self.delta, f.at(spot, 1, I64))
        put(f, state, State.COUNT, f.binary("add", count, number(I64, 1)))

    def _pull(self, count: int) -> None:
        """Apply the rule of a node with so many inputs, and pass on what it gives."""
        f = self.f
        items = f.at(self.inputs, self.fields.items, I8)
        nodes = [self.node, *(f.load(f.at(items, i, PTR), PTR) for i in range(count))]
        codes = [self._kind(x) for x in nodes]
        signature = f.binary("or", number(I64, count << BITS), f.binary("shl", codes[0], number(I64, 1)))
        for x, code in zip(nodes[1:], codes[1:], strict=True):
            wanted = f.convert("zext", same(f, field(f, x, self.fields.tracked), self.true), I64)
            own = f.binary("or", f.binary("shl", code, number(I64, 1)), wanted)
            signature = f.binary("or", f.binary("shl", signature, number(I64, BITS)), own)
        params = field(f, self.node, self.fields.params)
        unknown, look = f.label("unknown"), f.label("look")
        f.jump(look)
        f.begin(unknown)
        put(f, self.state, State.SIGNATURE, signature)
        f.jump("abroad")
        f.begin(look)
        rule = self._looked_up(self.op, params, signature, unknown)
        function = f.load(f.at(rule, 3, PTR), PTR)
        self._or_foreign(f.emit(f"icmp ne ptr {function}, null", I1))
        reads = f.load(f.at(rule, 5, I64), I64)
        for i, (x, code) in enumerate(zip(nodes, codes, strict=True)):
            read = f.compare("ne", f.binary("and", reads, number(I64, 1 << i)), number(I64, 0))
            f.when(read, lambda i=i, x=x, code=code: self._read(x, code, pulling.OUTPUT + i))
        given = self._called(rule, function)
        for i, (x, code) in enumerate(zip(nodes[1:], codes[1:], strict=True)):
            bit = f.compare("ne", f.binary("and", given, number(I64, 1 << i)), number(I64, 0))
            f.when(bit, lambda i=i, x=x, code=code: self._pass_on(i, x, code))
        f.jump("met")
        f.begin(f.label("unreached"))

    def _or_foreign(self, condition: Value) -> None:
        go = self.f.label("go")
        self.f.branch(condition, go, "foreign")
        self.f.begin(go)

    def _kind(self, x: Value) -> Value:
        """Which kind of number a node is, as a signature says it."""
        f = self.f
        quick, other, known, end = (f.label(s) for s in ("quick", "other", "known", "end"))
        usual = [
            (addresses.CLASS, self.nodes),
            (self.fields.shape, self.empty),
            (self.fields.dtype, self.dtype),
        ]
        alike = [same(f, field(f, x, offset), wanted) for offset, wanted in usual]
        f.branch(f.binary("and", f.binary("and", alike[0], alike[1]), alike[2]), quick, other)
        f.begin(quick)
        f.jump(end)
        f.begin(other)
        code = f.call("kind", [x, self.state], I64)
        f.branch(f.compare("slt", code, number(I64, 0)), "foreign", known)
        f.begin(known)
        f.jump(end)
        f.begin(end)
        return f.emit(f"phi i64 [ {CODES[float64]}, %{quick} ], [ {code}, %{known} ]", I64)

    def _read(self, x: Value, code: Value, cell: int) -> None:
        """Copy the number that a node holds into a cell."""
        f = self.f
        value = field(f, x, self.fields.value)
        spot = f.at(self.cells, cell, I64)
        quick, other, end = f.label("quick"), f.label("other"), f.label("end")
        double = same(f, field(f, value, addresses.CLASS), self.double)
        f.branch(f.binary("and", double, same(f, code, str(CODES[float64]))), quick, other)
        f.begin(quick)
        f.store(field(f, value, NUMBER, I64), spot)
        f.jump(end)
        f.begin(other)
        held = f.call("code", [value, spot, self.state], I64)
        f.branch(f.compare("eq", held, code), end, "foreign")
        f.begin(end)

    def _looked_up(self, op: Value, params: Value | None, signature: Value, otherwise: str) -> Value:
        """The row of the table of rules for a primitive; without parameters, if none are said."""
        f = self.f
        rules, last = word(f, self.state, State.RULES, PTR), word(f, self.state, State.LAST)
        number_of = f.binary("lshr", f.convert("ptrtoint", op, I64), number(I64, 4))
        start = f.binary("add", number_of, f.binary("mul", signature, number(I64, hashed(0, 1))))
        before, row, unlike, other, found = (
            f.label(s) for s in ("before", "row", "unlike", "other", "row.found")
        )
        f.jump(before)
        f.begin(before)
        f.jump(row)
        f.begin(row)
        at = f.emit(f"phi i64 [ {start}, %{before} ], [ %{other}.following, %{other} ]", I64)
        rule = f.at(rules, f.binary("mul", f.binary("and", at, last), number(I64, RULE)), I64)
        own = f.load(rule, PTR)
        fits = f.binary("and", same(f, own, op), same(f, f.load(f.at(rule, 2, I64), I64), signature))
        if params is not None:
            fits = f.binary("and", fits, same(f, f.load(f.at(rule, 1, PTR), PTR), params))
        f.branch(fits, found, unlike)
        f.begin(unlike)
        f.branch(same(f, own, "null"), otherwise, other)
        f.begin(other)
        f.effect(f"%{other}.following = add i64 {at}, 1")
        f.jump(row)
        f.begin(found)
        return rule

    def _pass_on(self, i: int, x: Value, code: Value) -> None:
        """Add a contribution to the entry of an input that is read itself."""
        f = self.f
        index = field(f, x, self.fields.index)
        digits = field(f, index, COUNT, I64)
        single = f.compare("ult", digits, number(I64, 2 << self.fields.digits))
        place = f.convert("zext", field(f, index, LOW, I32), I64)
        self._add(i, x, place, code, f.binary("and", single, f.compare("slt", place, self.now)))

    def _add(self, i: int, x: Value, place: Value, code: Value, sure: Value | None) -> None:
        """Add a contribution to the entry of an input: here if all is as usual, or else by `mark`.

        Args:
            i: of which input.
            x: its node.
            place: its number.
            code: what number it is.
            sure: whether it is that number; None for always.
        """
        f = self.f
        gradient = f.load(f.at(self.cells, pulling.CONTRIBUTIONS + i, I64), I64)
        usual, page, first, again, double, rare, end = (
            f.label(s) for s in ("usual", "page", "first", "again", "double", "rare", "end")
        )
        inside = f.compare("sge", place, self.since)
        f.branch(inside if sure is None else f.binary("and", sure, inside), usual, rare)
        f.begin(usual)
        number_of = f.binary("lshr", place, number(I64, PAGE.bit_length() - 1))
        entries = f.load(f.at(self.directory, number_of, PTR), PTR)
        f.branch(same(f, entries, "null"), rare, page)
        f.begin(page)
        within = f.binary("and", place, number(I64, PAGE - 1))
        entry = f.at(entries, f.binary("shl", within, number(I64, 1)), I64)
        collected = f.at(entry, 1, I64)
        old = f.load(entry, PTR)
        f.branch(same(f, old, "null"), first, again)
        f.begin(first)
        f.store(x, entry)
        f.store(gradient, collected)
        f.jump(end)
        f.begin(again)
        usual_again = f.binary("and", same(f, old, x), same(f, code, str(CODES[float64])))
        f.branch(usual_again, double, rare)
        f.begin(double)
        f.store(f.add(f.load(collected, F64), f.convert("bitcast", gradient, F64)), collected)
        f.jump(end)
        f.begin(rare)
        marked = f.call("mark", [self.state, x, gradient, code, self.now], I64)
        f.branch(same(f, marked, "0"), end, "clash")
        f.begin(end)

    def _endings(self, directory: Value) -> None:
        """The other blocks of the double loop."""
        f, state = self.f, self.state
        f.begin("met")
        f.effect(f"%below.met = add i64 {self.below}, 0")
        f.jump("scan")
        f.begin("drained")  # all of its entries are null: it may be used again
        f.store(word(f, state, State.USED, PTR), self.entries)
        put(f, state, State.USED, self.entries)
        put(f, state, State.FREE, f.binary("add", word(f, state, State.FREE), number(I64, 1)))
        f.store(Value.of("null", PTR), f.at(directory, self.page, PTR))
        f.effect(f"%fewer = sub i64 {self.left}, 1")
        f.jump("leaving")
        f.begin("leaving")
        f.effect(f"%turns.left = phi i64 [ {self.left}, %page ], [ %fewer, %drained ]")
        f.effect(f"%lower = sub i64 {self.page}, 1")
        f.branch(f.emit(f"icmp sge i64 %lower, {word(f, state, State.LOWEST)}", I1), "page", "done")
        f.begin("done")
        f.ret(status(Status.DONE))
