"""Products with a transposed B: each element of C is a sum along two adjacent runs of memory.

Of few rows, as many columns as a vector has lanes are summed at once, each in a vector of its own; in the end
the vectors are folded into one, whose lanes are the sums. Of small matrices with long sums, such as gradients
of small weights, a tile of several rows and columns is summed at once: nothing is turned around or packed,
and vectors are full whatever the sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from chainrule.compiler.on_native.axis import even
from chainrule.compiler.on_native.call import Call, Lowered, epilogue_operands
from chainrule.compiler.on_native.folding import folded
from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Value, first_lanes, number
from chainrule.compiler.on_native.kernel import Kernel, entry, evenly
from chainrule.compiler.on_native.matmul.plan import tasks_of
from chainrule.compiler.on_native.matmul.product import Product, item_pointers, table
from chainrule.compiler.on_native.matmul.tile import EPILOGUE, SUMS
from chainrule.compiler.on_native.target import Target

ROWS = 4
"""With more rows it pays to transpose B,"""
SMALL, LONG = 64, 2
"""unless neither matrix has more rows, columns, and the sums are so many times as long."""
NEAR = 1 << 18
"""Bytes of two such matrices that the second cache holds."""


def suits(p: Product) -> bool:
    """Whether sums run along adjacent elements, and B is not read too often."""
    if p.a[1] != 1 or p.b[0] != 1 or p.packed_b or p.prologue:
        return False
    return (p.n > 1 or p.m == 1) if p.m <= ROWS else _is_small(p)


def _is_small(p: Product) -> bool:
    """Whether both matrices are a few long rows, which the caches hold."""
    most = max(p.m, p.n)
    near = (p.m + p.n) * p.k * p.dtype.itemsize <= NEAR
    return p.n > ROWS and most <= SMALL and p.k >= LONG * most and near


def multiply_inner(p: Product, target: Target) -> Lowered:
    """The call that computes a product that `suits`."""
    lanes = target.isa.lanes(p.dtype.itemsize)
    tall, wide = (1, lanes) if p.m <= ROWS else _tile_size(p, target)
    across = _widths(p.n, wide)
    down = even(p.m, tall)
    tiles = 1 if p.stairs else len(across)
    tasks = max(1, min(p.items * tiles, tasks_of(p.work)))
    f, operands, task, _ = entry(f"matmul_inner_{p.name(target)}", target)
    bases = table(f, operands, 3)
    code = _Tiles(p, target)

    def tile(item: Int, column: Int, columns: int) -> None:
        pointers = item_pointers(f, p, item, bases)

        def block(rows: int, row: Int) -> None:
            cells = [range(columns)] * rows
            code.call(f, cells, pointers, (row, column, item), operands)

        high = down.count(down[0])
        f.loop(0, high, 1, lambda r, _: block(down[0], f.mul_int(r, down[0])))
        if high < len(down):
            start = high * down[0]
            f.loop(
                0, len(down) - high, 1, lambda r, _: block(down[-1], f.add_int(f.mul_int(r, down[-1]), start))
            )

    def stairs(item: Int) -> None:
        """All tiles, of which each has cells of its own."""
        pointers = item_pointers(f, p, item, bases)
        for row, column, cells in _cut(p.stairs, down, across):
            code.call(f, cells, pointers, (row, column, item), operands)

    def one(index: Int, _: list[Value]) -> None:
        if p.stairs:
            stairs(index)
            return
        item, which = (0, index) if p.items == 1 else (f.div_int(index, tiles), f.mod_int(index, tiles))
        broad = across.count(across[0])
        if broad == tiles:
            tile(item, f.mul_int(which, across[0]), across[0])
            return
        start = broad * (across[0] - across[-1])

        def last() -> None:
            tile(item, f.add_int(f.mul_int(which, across[-1]), start), across[-1])

        full = f.less_int(f.operand(which), f.operand(broad))
        f.when(full, lambda: tile(item, f.mul_int(which, across[0]), across[0]), last)

    first, end = evenly(f, 0 if tasks == 1 else task, p.items * tiles, tasks)
    f.loop(first, end, 1, one)
    kernel = Kernel(f.name, [f, *code.functions.values()], tasks, p.flops, p.nbytes)
    return Lowered((Call(kernel, ("a", "b", "c", *epilogue_operands(p.epilogue))),))


def _widths(n: int, wide: int) -> list[int]:
    """Columns of tiles beside each other."""
    return [wide] * (n // wide) + [n % wide] * (n % wide > 0)


def _cut(
    stairs: Sequence[tuple[int, int]], down: Sequence[int], across: Sequence[int]
) -> Iterator[tuple[int, int, list[range]]]:
    """Tiles with anything to compute: the first row and column, and which columns from there on, for each row."""
    for top, rows in zip(itertools.accumulate(down, initial=0), down, strict=False):
        for left, columns in zip(itertools.accumulate(across, initial=0), across, strict=False):
            cells = [
                range(min(max(first - left, 0), columns), min(max(stop - left, 0), columns))
                for first, stop in stairs[top : top + rows]
            ]
            if any(cells):
                yield top, left, cells


def _tile_size(p: Product, target: Target) -> tuple[int, int]:
    """Rows and columns of a tile whose sums fit the registers, next to a vector of each row and one of a column."""
    lanes, most = target.isa.lanes(p.dtype.itemsize), target.isa.registers - 1
    sizes = [(most // (columns + 1), columns) for columns in range(1, min(lanes, p.n) + 1)]
    steps = -(-p.k // lanes)

    def cost(size: tuple[int, int]) -> tuple[int, int]:
        """Instructions, of which those that load run beside those that multiply, and after these the loads alone."""
        rows, columns = size
        if p.stairs:
            tiles = [cells for *_, cells in _cut(p.stairs, even(p.m, rows), _widths(p.n, columns))]
            loads = [sum(map(bool, cells)) + len(set[int]().union(*cells)) for cells in tiles]
            sums = [sum(map(len, cells)) for cells in tiles]
            folds = sum(_folds(len(row), lanes) for cells in tiles for row in cells if row)
            return steps * sum(map(max, sums, loads)) + folds, sum(loads)
        whole, rest = divmod(p.n, columns)
        read = -(-p.n // columns) * p.m + -(-p.m // rows) * p.n
        folds = whole * _folds(columns, lanes) + (_folds(rest, lanes) if rest else 0)
        return steps * max(p.m * p.n, read) + p.m * folds, read

    return min((s for s in sizes if s[0]), key=cost)


def _folds(columns: int, lanes: int) -> int:
    """Instructions that `folded` takes for so many vectors; two of three are shuffles, which take turns."""
    length = 1 << (columns - 1).bit_length()
    return 2 * (length - 1 + (lanes // length).bit_length() - 1)


class _Tiles:
    """Code for tiles, each a function that all tiles with the same cells call."""

    def __init__(self, p: Product, target: Target) -> None:
        self.p, self.target = p, target
        self.functions: dict[str, Function] = {}

    def call(
        self,
        f: Function,
        cells: Sequence[range],
        pointers: Sequence[Value],
        place: tuple[Int, Int, Int],
        operands: Value,
    ) -> None:
        """Compute a tile.

        Args:
            f: what calls.
            cells: the columns of each row.
            pointers: addresses of A, B and C.
            place: first row and column, and which item of the batch.
            operands: of the kernel.
        """
        p, (row, column, _) = self.p, place
        a, b, c = pointers
        own = [
            f.at(a, f.mul_int(row, p.a[0]), p.element),
            f.at(b, f.mul_int(column, p.b[1]), p.element),
            f.at(c, f.add_int(f.mul_int(row, p.c), column), p.element),
        ]
        f.call(self._tile(cells), [*own, *map(f.operand, place), operands])

    def _tile(self, cells: Sequence[range]) -> str:
        """Code for some rows and columns."""
        p, target = self.p, self.target
        lanes = target.isa.lanes(p.dtype.itemsize)
        end = f"_{p.epilogue.name}" if p.epilogue else ""
        shape = f"{len(cells)}x{len(cells[0])}"
        if any(row != range(len(cells[0])) for row in cells):
            shape = "_".join(f"{row.start}to{row.stop}" for row in cells)
        name = f"inner{shape}_{p.k}_{p.a[0]}_{p.b[1]}_{p.c}_{p.element.suffix}{end}_{target.isa.name}"
        name = name.replace("-", "n")
        if name in self.functions:
            return name
        parameters = [(f"%{x}", PTR) for x in "abc"] + [(f"%{x}", I64) for x in ("row", "column", "batch")]
        f = Function(name, [*parameters, ("%operands", PTR)], target, exported=False)
        self.functions[name] = f
        a, b, c, row, column, batch, operands = f.parameters
        # Each element has several sums that take turns if they are few.
        number_of = sum(map(len, cells))
        sets = max(1, min(-(-SUMS // number_of), p.k // lanes))
        sums = _sums(f, p, cells, sets, lanes, (a, b))
        totals = iter([_total(f, sums[i::number_of]) for i in range(number_of)])
        rows = [
            (r, columns.start, folded(f, list(itertools.islice(totals, len(columns)))), len(columns))
            for r, columns in enumerate(cells)
            if columns
        ]
        masks = [first_lanes(count, lanes) if count < lanes else None for *_, count in rows]
        results: list[Value | None] = [result for _, _, result, _ in rows]
        if p.epilogue:
            # What it reads of all rows comes before any row is stored: a load waits for a store to the same line.
            found = table(f, operands, p.epilogue.operands, EPILOGUE)
            pointers = p.epilogue.prepare(f, found, p.element.vector(lanes))
            results = [
                p.epilogue.apply(
                    f, pointers, result, f.add_int(row, r), f.add_int(column, first), mask, batch
                )
                for (r, first, result, _), mask in zip(rows, masks, strict=True)
            ]
        for (r, first, *_), result, mask in zip(rows, results, masks, strict=True):
            if result is not None:
                f.store(result, f.at(c, r * p.c + first, p.element), mask)
        return name


def _sums(
    f: Function, p: Product, cells: Sequence[range], sets: int, lanes: int, pointers: tuple[Value, Value]
) -> list[Value]:
    """The sums of all elements of a tile, row by row, and that for each set."""
    a, b = pointers
    places = [(r, j) for r, columns in enumerate(cells) for j in columns]
    size = len(places)
    vector = p.element.vector(lanes)

    def step(k: Int, sums: list[Value], mask: Value | None = None) -> list[Value]:
        """One vector along k for each sum."""
        sums = list(sums)
        start, first = f.at(a, k, p.element), f.at(b, k, p.element)
        for s in range(len(sums) // size):
            xs = {
                r: f.load(f.at(start, r * p.a[0] + s * lanes, p.element), vector, mask)
                for r, columns in enumerate(cells)
                if columns
            }
            for j in sorted({j for _, j in places}):
                y = f.load(f.at(first, j * p.b[1] + s * lanes, p.element), vector, mask)
                for i, (r, column) in enumerate(places, s * size):
                    if column == j:
                        sums[i] = f.fma(xs[r], y, sums[i])
        return sums

    turn = sets * lanes
    whole, vectors = p.k // turn * turn, p.k // lanes * lanes
    sums = f.loop(0, whole, turn, step, [number(vector, 0.0)] * (size * sets))
    for k in range(whole, vectors, lanes):
        i = (k - whole) // lanes * size
        sums = sums[:i] + step(k, sums[i : i + size]) + sums[i + size :]
    if p.k > vectors:
        sums = step(vectors, sums[:size], first_lanes(p.k - vectors, lanes)) + sums[size:]
    return sums


def _total(f: Function, vectors: Sequence[Value]) -> Value:
    """The sum of vectors, halves first."""
    while len(vectors) > 1:
        half = len(vectors) // 2
        low, high = vectors[:half], vectors[half : 2 * half]
        vectors = [f.add(x, y) for x, y in zip(low, high, strict=True)] + list(vectors[2 * half :])
    return vectors[0]
