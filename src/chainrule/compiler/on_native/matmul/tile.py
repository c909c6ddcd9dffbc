"""The register tile: a few rows and vectors of C, whose sums stay in registers while they run over k.

Each step of k loads a row of B, ``vectors`` vectors wide, and multiplies it by one element of each row of A. The
more of C is held, the fewer loads for each multiplication; the size of the tile is what the registers allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.call import Epilogue
from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Type, Value, first_lanes, number
from chainrule.compiler.on_native.kernel import operand
from chainrule.compiler.on_native.target import InstructionSet, Target

SUMS = 8
"""Sums that run at once, so that the latency of an addition is hidden."""
DEEP = 64
"""Steps of k from which on there is time to fetch what the epilogue will read."""
EPILOGUE = 3
"""Where the arrays of an epilogue begin in a table of addresses: after A, B and C."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile, and how the operands lie around it.

    Attributes:
        rows, vectors: size.
        last: columns in the last vector; fewer than its lanes at the right edge of C.
        element: of the matrices.
        a, b, c: strides of A (row, column), and from row to row of B and C.
        padded: whether B may be read beyond the last column.
        depth: k; None if it is given when the code runs, with partial sums that are kept from call to call.
        epilogue: what is done with the sums.
    """

    rows: int
    vectors: int
    last: int
    element: Type
    a: tuple[int, int]
    b: int
    c: int
    padded: bool
    depth: int | None
    epilogue: Epilogue | None

    def name(self, isa: InstructionSet) -> str:
        """Everything that its code depends on."""
        parts = [f"tile{self.rows}x{self.vectors}l{self.last}", self.element.suffix]
        parts.append(f"a{self.a[0]}_{self.a[1]}_b{self.b}{'p' * self.padded}_c{self.c}_k{self.depth}")
        if self.epilogue:
            parts.append(self.epilogue.name)
        return "_".join((*parts, isa.name)).replace("-", "n")

    def lanes(self, isa: InstructionSet) -> int:
        return isa.lanes(self.element.itemsize)

    def mask(self, vector: int, isa: InstructionSet) -> Value | None:
        """Which lanes of a vector of the tile are within C; None if all are."""
        lanes = self.lanes(isa)
        return first_lanes(self.last, lanes) if vector == self.vectors - 1 and self.last < lanes else None


@dataclass(frozen=True, slots=True)
class Place:
    """What a tile's code is called with.

    Attributes:
        a, b, c: addresses of the first row of A, the first columns of B, and the first element of C.
        row, column, batch: of that element, for the epilogue.
        operands: the table of addresses, for the epilogue.
        partial, before, depth, last: where sums are kept between calls, how many calls went before, steps of k in
            this one, and whether it is the last (1 or 0). Only if the tile's depth is None.
    """

    a: Value
    b: Value
    c: Value
    row: Int = 0
    column: Int = 0
    batch: Int = 0
    operands: Value | None = None
    partial: Value | None = None
    before: Int = 0
    depth: Int = 0
    last: Int = 0


def call_tile(f: Function, tile: Tile, place: Place, code: dict[str, Function]) -> None:
    """Write a call of a tile's code, which is added to ``code`` if it is not there."""
    name = tile.name(f.target.isa)
    if name not in code:
        code[name] = _tile(tile, f.target)
    arguments = [place.a, place.b, place.c]
    if tile.epilogue:
        assert place.operands is not None
        arguments += [*map(f.operand, (place.row, place.column, place.batch)), place.operands]
    if tile.depth is None:
        assert place.partial is not None
        arguments += [place.partial, *map(f.operand, (place.before, place.depth, place.last))]
    f.call(name, arguments)


def turns(rows: int, vectors: int, depth: int | None) -> int:
    """How many sets of sums steps of k take turns with: few sums at once would wait for each other."""
    return 1 if depth is None else max(1, min(-(-SUMS // (rows * vectors)), depth))


def _tile(tile: Tile, target: Target) -> Function:
    parameters = [("%a", PTR), ("%b", PTR), ("%c", PTR)]
    if tile.epilogue:
        parameters += [("%row", I64), ("%column", I64), ("%batch", I64), ("%operands", PTR)]
    if tile.depth is None:
        parameters += [("%partial", PTR), ("%before", I64), ("%depth", I64), ("%last", I64)]
    f = Function(tile.name(target.isa), parameters, target, exported=False)
    given = {name[1:]: value for (name, _), value in zip(parameters, f.parameters, strict=True)}
    place = Place(**given)
    room = None
    if tile.epilogue and tile.epilogue.long and tile.rows > 1:
        room = f.stack(tile.element.vector(tile.lanes(target.isa)), tile.rows * tile.vectors)
    sums = _sums(f, tile, place)
    if tile.depth is None:
        _keep_partial(f, tile, place, sums, room)
    else:
        _finish(f, tile, place, sums, room)
    return f


def _sums(f: Function, tile: Tile, place: Place) -> list[Value]:
    """The products of the rows of A and the columns of B: a vector for each row and vector of the tile."""
    vector = tile.element.vector(tile.lanes(f.target.isa))
    size = tile.rows * tile.vectors
    depth = place.depth if tile.depth is None else tile.depth
    sets = turns(tile.rows, tile.vectors, tile.depth)

    def step(k: Int, sums: list[Value], count: int) -> list[Value]:
        sums = list(sums)
        a = f.at(place.a, f.mul_int(k, tile.a[1]), tile.element)
        b = f.at(place.b, f.mul_int(k, tile.b), tile.element)
        for q in range(count):
            row = [
                f.load(
                    f.at(b, q * tile.b + v * vector.lanes, tile.element),
                    vector,
                    None if tile.padded else tile.mask(v, f.target.isa),
                )
                for v in range(tile.vectors)
            ]
            for r in range(tile.rows):
                x = f.load_splat(f.at(a, r * tile.a[0] + q * tile.a[1], tile.element), vector)
                for v in range(tile.vectors):
                    i = (q * tile.rows + r) * tile.vectors + v
                    sums[i] = f.fma(x, row[v], sums[i])
        return sums

    zeros = [number(vector, 0.0)] * (size * sets)
    if sets == 1 and isinstance(depth, int) and depth >= DEEP and tile.rows > 1:
        pointers = _epilogue_pointers(f, tile, place)

        each = depth // tile.rows

        def early(r: Int, sums: list[Value]) -> list[Value]:
            _prefetch_row(f, tile, place, pointers, r)
            start = f.mul_int(r, each)
            return f.loop(start, f.add_int(start, each), 1, lambda k, s: step(k, s, 1), sums)

        sums = f.loop(0, tile.rows, 1, early, zeros)
        if each * tile.rows == depth:
            return sums
        return f.loop(tile.rows * each, depth, 1, lambda k, s: step(k, s, 1), sums)
    if sets == 1:
        return f.loop(0, depth, 1, lambda k, s: step(k, s, 1), zeros)
    assert isinstance(depth, int)
    whole = depth // sets * sets
    sums = f.loop(0, whole, sets, lambda k, s: step(k, s, sets), zeros)
    if depth > whole:
        sums = step(whole, sums, depth - whole)
    while len(sums) > size:
        pairs = len(sums) // size
        half = pairs // 2
        kept = sums[half * size : (pairs - half) * size]  # the middle set of an odd number
        low, high = sums[: half * size], sums[(pairs - half) * size :]
        sums = [f.add(x, y) for x, y in zip(low, high, strict=True)] + kept
    return sums


def _keep_partial(f: Function, tile: Tile, place: Place, sums: list[Value], room: Value | None) -> None:
    """Add what the calls before have kept; keep that in turn, or finish."""
    lanes = tile.lanes(f.target.isa)
    assert place.partial is not None

    def kept(i: int) -> Value:
        assert place.partial is not None
        return f.at(place.partial, i * lanes, tile.element)

    def added(_: Int, before: list[Value]) -> list[Value]:
        return [f.add(f.load(kept(i), x.type), x) for i, x in enumerate(before)]

    sums = f.loop(0, f.min_int(place.before, 1), 1, added, sums, may_be_empty=True)  # one turn or none

    def keep() -> None:
        for i, x in enumerate(sums):
            f.store(x, kept(i))

    f.when(f.equal_int(place.last, 1), lambda: _finish(f, tile, place, sums, room), keep)


def _epilogue_pointers(f: Function, tile: Tile, place: Place) -> list[Value]:
    if not tile.epilogue:
        return []
    assert place.operands is not None
    return [operand(f, place.operands, EPILOGUE + i) for i in range(tile.epilogue.operands)]


def _prefetch_row(f: Function, tile: Tile, place: Place, pointers: Sequence[Value], r: Int) -> None:
    """Ask for what the end of the tile will read in a row, so that it is there when the sums are."""
    line = 64 // tile.element.itemsize
    for column in range(0, tile.vectors * tile.lanes(f.target.isa), line):
        if tile.epilogue and tile.epilogue.reads:
            row, first = f.add_int(place.row, r), f.add_int(place.column, column)
            tile.epilogue.prefetch(f, pointers, row, first, place.batch)
        else:
            place_in_c = f.add_int(f.mul_int(r, tile.c), column)
            f.prefetch(f.at(place.c, place_in_c, tile.element), write=True)


def _finish(f: Function, tile: Tile, place: Place, sums: list[Value], room: Value | None) -> None:
    """Pass the sums on to the epilogue and store its results: row after row, or in a loop over sums in memory.

    A loop leaves the registers to the epilogue, and is compiled in a fraction of the time.
    """
    lanes, kind = tile.lanes(f.target.isa), sums[0].type
    if room is not None:
        for i, x in enumerate(sums):
            f.store(x, f.at(room, i * lanes, tile.element))
    pointers: Sequence[Value] = _epilogue_pointers(f, tile, place)
    if tile.epilogue:
        pointers = tile.epilogue.prepare(f, pointers, kind)

    def finish_row(r: Int, row_of_sums: Sequence[Value]) -> None:
        for v, value in enumerate(row_of_sums):
            result: Value | None = value
            mask = tile.mask(v, f.target.isa)
            if tile.epilogue:
                row, column = f.add_int(place.row, r), f.add_int(place.column, v * lanes)
                result = tile.epilogue.apply(f, pointers, value, row, column, mask, place.batch)
            if result is not None:
                place_in_c = f.add_int(f.mul_int(r, tile.c), v * lanes)
                f.store(result, f.at(place.c, place_in_c, tile.element), mask)

    if room is None:
        for r in range(tile.rows):
            finish_row(r, sums[r * tile.vectors : (r + 1) * tile.vectors])
        return

    def turn(r: Int, _: list[Value]) -> None:
        at = f.at(room, f.mul_int(r, tile.vectors * lanes), tile.element)
        finish_row(r, [f.load(f.at(at, v * lanes, tile.element), kind) for v in range(tile.vectors)])

    f.loop(0, tile.rows, 1, turn)


def most_rows(vectors: int, isa: InstructionSet) -> int:
    """The tallest tile of so many vectors that leaves registers for a row of B and an element of A."""
    if vectors == isa.tile_vectors:
        return isa.tile_rows
    return max(1, (isa.registers - vectors - 1) // vectors)


def least_rows(isa: InstructionSet) -> int:
    """The lowest tile that is still fast: it has sums enough to hide latency, and few loads for each."""
    return max(-(-(SUMS + 2) // isa.tile_vectors), isa.tile_rows * 4 // 7)
