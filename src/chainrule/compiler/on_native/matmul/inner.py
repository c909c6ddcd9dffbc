"""Products of few rows with a transposed B: each element of C is a sum along two adjacent runs of memory.

As many columns as a vector has lanes are summed at once, each in a vector of its own; in the end the vectors are
folded into one, whose lanes are the sums.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.on_native.call import Call, Lowered, epilogue_operands
from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Value, first_lanes, number
from chainrule.compiler.on_native.kernel import Kernel, entry
from chainrule.compiler.on_native.matmul.plan import MAX_TASKS, MIN_TASK
from chainrule.compiler.on_native.matmul.product import Product, item_pointers, part, table
from chainrule.compiler.on_native.matmul.tile import EPILOGUE, SUMS
from chainrule.compiler.on_native.target import Target

ROWS = 4
"""With more rows it pays to transpose B."""


def suits(p: Product) -> bool:
    """Whether sums run along adjacent elements, and B is not read too often."""
    return p.a[1] == 1 and p.b[0] == 1 and p.m <= ROWS and not p.packed_b and (p.n > 1 or p.m == 1)


def multiply_inner(p: Product, target: Target) -> Lowered:
    """The call that computes a product that `suits`."""
    lanes = target.isa.lanes(p.dtype.itemsize)
    tiles = -(-p.n // lanes)
    last = p.n - (tiles - 1) * lanes
    tasks = max(1, min(p.items * tiles, MAX_TASKS, p.work // MIN_TASK))
    f, operands, task, _ = entry(f"matmul_inner_{p.name(target)}", target)
    bases = table(f, operands, 3)
    functions: dict[str, Function] = {}

    def tile(item: Int, tile: Int, columns: int) -> None:
        a, b, c = item_pointers(f, p, item, bases)
        column = f.mul_int(tile, lanes)
        name = _tile(p, columns, target, functions)

        def row(r: Int, _: list[Value]) -> None:
            pointers = [
                f.at(a, f.mul_int(r, p.a[0]), p.element),
                f.at(b, f.mul_int(column, p.b[1]), p.element),
                f.at(c, f.add_int(f.mul_int(r, p.c), column), p.element),
            ]
            f.call(name, [*pointers, *map(f.operand, (r, column, item)), operands])

        f.loop(0, p.m, 1, row)

    def one(index: Int, _: list[Value]) -> None:
        item, which = (0, index) if p.items == 1 else (f.div_int(index, tiles), f.mod_int(index, tiles))
        if last == lanes:
            tile(item, which, lanes)
        elif tiles == 1:
            tile(item, 0, last)
        else:
            full = f.less_int(f.operand(which), f.operand(tiles - 1))
            f.when(full, lambda: tile(item, which, lanes), lambda: tile(item, which, last))

    first, end = part(f, 0 if tasks == 1 else task, p.items * tiles, tasks)
    f.loop(first, end, 1, one)
    kernel = Kernel(f.name, [f, *functions.values()], tasks, p.flops, p.nbytes)
    return Lowered((Call(kernel, ("a", "b", "c", *epilogue_operands(p.epilogue))),))


def _tile(p: Product, columns: int, target: Target, functions: dict[str, Function]) -> str:
    """Code for one row and some columns."""
    lanes = target.isa.lanes(p.dtype.itemsize)
    end = f"_{p.epilogue.name}" if p.epilogue else ""
    name = f"inner{columns}_{p.k}_{p.b[1]}_{p.element.suffix}{end}_{target.isa.name}"
    if name in functions:
        return name
    parameters = [(f"%{x}", PTR) for x in "abc"] + [(f"%{x}", I64) for x in ("row", "column", "batch")]
    f = Function(name, [*parameters, ("%operands", PTR)], target, exported=False)
    functions[name] = f
    a, b, c, row, column, batch, operands = f.parameters
    # Each column has several sums that take turns if the columns are few.
    sets = max(1, min(-(-SUMS // columns), p.k // lanes))
    sums = _sums(f, p, columns, sets, lanes, (a, b))
    result: Value | None = folded(f, [_total(f, sums[i::columns]) for i in range(columns)])
    mask = first_lanes(columns, lanes) if columns < lanes else None
    if p.epilogue:
        pointers = p.epilogue.prepare(
            f, table(f, operands, p.epilogue.operands, EPILOGUE), p.element.vector(lanes)
        )
        result = p.epilogue.apply(f, pointers, result, row, column, mask, batch)
    if result is not None:
        f.store(result, c, mask)
    return name


def _sums(
    f: Function, p: Product, columns: int, sets: int, lanes: int, pointers: tuple[Value, Value]
) -> list[Value]:
    a, b = pointers
    vector = p.element.vector(lanes)

    def step(k: Int, sums: list[Value], mask: Value | None = None) -> list[Value]:
        """One vector along k for each sum: as many vectors as there are columns, for each set."""
        sums = list(sums)
        start, first = f.at(a, k, p.element), f.at(b, k, p.element)
        for s in range(len(sums) // columns):
            x = f.load(f.at(start, s * lanes, p.element), vector, mask)
            for j in range(columns):
                y = f.load(f.at(first, j * p.b[1] + s * lanes, p.element), vector, mask)
                sums[s * columns + j] = f.fma(x, y, sums[s * columns + j])
        return sums

    turn = sets * lanes
    whole, vectors = p.k // turn * turn, p.k // lanes * lanes
    sums = f.loop(0, whole, turn, step, [number(vector, 0.0)] * (columns * sets))
    for k in range(whole, vectors, lanes):
        i = (k - whole) // lanes * columns
        sums = sums[:i] + step(k, sums[i : i + columns]) + sums[i + columns :]
    if p.k > vectors:
        sums = step(vectors, sums[:columns], first_lanes(p.k - vectors, lanes)) + sums[columns:]
    return sums


def _total(f: Function, vectors: Sequence[Value]) -> Value:
    """The sum of vectors, halves first."""
    while len(vectors) > 1:
        half = len(vectors) // 2
        low, high = vectors[:half], vectors[half : 2 * half]
        vectors = [f.add(x, y) for x, y in zip(low, high, strict=True)] + list(vectors[2 * half :])
    return vectors[0]


def folded(f: Function, vectors: Sequence[Value]) -> Value:
    """A vector whose lanes are the sums of the lanes of each of the vectors, of which there are at most as many.

    In each step two vectors become one: the halves of each of their groups of lanes are added.
    """
    kind = vectors[0].type
    lanes = kind.lanes
    length = 1 << (len(vectors) - 1).bit_length()
    row = [*vectors, *[number(kind, 0.0)] * (length - len(vectors))]
    group = lanes
    while len(row) > 1:
        half = group // 2
        low = [i for i in range(2 * lanes) if i % group < half]
        high = [i + half for i in low]
        row = [
            f.add(f.shuffle(x, y, low), f.shuffle(x, y, high))
            for x, y in zip(row[::2], row[1::2], strict=True)
        ]
        group = half
    result = row[0]
    while group > 1:
        half = group // 2
        low = [i for i in range(result.type.lanes) if i % group < half]
        result = f.add(f.shuffle(result, result, low), f.shuffle(result, result, [i + half for i in low]))
        group = half
    if result.type.lanes == lanes:
        return result
    return f.shuffle(result, result, [i % length for i in range(lanes)])
