"""Products that are computed in two steps: into the workspace first, and from there into C.

Few elements with long sums are computed as several partial sums each, so that there is work for several threads.
And a product with a vector is computed as a row, whose elements are adjacent, whatever C looks like.
"""

from __future__ import annotations

from dataclasses import replace

from chainrule.compiler.on_native.call import Call, epilogue_operands
from chainrule.compiler.on_native.ir import Int, Value, first_lanes
from chainrule.compiler.on_native.kernel import Kernel, entry, evenly
from chainrule.compiler.on_native.matmul.plan import MAX_TASKS, MIN_TASK, UNPACKED
from chainrule.compiler.on_native.matmul.product import Product, item_pointers, packed_size, table
from chainrule.compiler.on_native.target import Target
from chainrule.shapes import row_major

SHORTEST = 512
"""Steps of k that make a part worth while."""
OWNED = 1 << 18, UNPACKED
"""Bytes of a B that two threads keep in their second caches, half of it each."""
FINISHED = 1 << 14
"""Partial sums that make a task of adding them."""


def parts_of(p: Product) -> int:
    """Into how many partial sums the elements of C are cut; 1 if that does not pay."""
    if _is_kept_by_halves(p):
        return 2
    wanted = min(MAX_TASKS, p.work // MIN_TASK, p.k // SHORTEST)
    # The parts are written and read once; that must be little beside what is read of A and B.
    if p.items > 1 or wanted < 2 or 8 * wanted * p.m * p.n > p.k * (p.m + p.n):
        return 1
    return max(s for s in range(1, wanted + 1) if p.k % s == 0)


def _is_kept_by_halves(p: Product) -> bool:
    """Whether A and B are large beside C, and B is of a size that caches hold.

    In a training step one thread then multiplies with the rows of the weights that it has updated itself, in the
    gradient's product, instead of fetching the others' from their caches: 784-128-10 takes 218 us instead of 246. In
    other programs it makes no difference.
    """
    low, high = OWNED
    return (
        p.items == 1
        and not p.repeated
        and p.b[1] == 1
        and p.k % 2 == 0
        and 16 <= p.m <= p.k // 4
        and low <= p.k * p.n * p.dtype.itemsize <= high
    )


def in_parts(p: Product, parts: int) -> Product:
    """The product of all parts, as a batch; C is the workspace. A packed B is packed part by part."""
    k = p.k // parts
    b = packed_size(k, p.n, p.packed_b) if p.packed_b else k * p.b[0]
    strides = ((k * p.a[1],), (b,), (p.m * p.n,))
    return replace(p, k=k, c=p.n, batch=(parts,), batch_strides=strides, epilogue=None)


def turned(p: Product) -> Product:
    """A product with a vector as the product of a row with the transpose of A; C is taken to be adjacent."""
    a, b, c = p.batch_strides
    return replace(
        p,
        m=1,
        n=p.m,
        a=(p.b[1], p.b[0]),
        b=(p.a[1], p.a[0]),
        c=p.m,
        batch_strides=(b, a, c),
        epilogue=None,
    )


def into_workspace(p: Product) -> Product:
    """The same product with C in the workspace, one matrix after the other."""
    steps = tuple(s * p.m * p.n for s in row_major(p.batch))
    return replace(p, c=p.n, batch_strides=(*p.batch_strides[:2], steps))


def finish(p: Product, parts: int, target: Target) -> Call:
    """The call that adds the parts in the workspace and stores C.

    In the workspace lie C of the first part, of the second, ..., each with its batch, rows and columns.
    """
    lanes = target.isa.lanes(p.dtype.itemsize)
    vector = p.element.vector(lanes)
    f, operands, task, _ = entry(f"matmul_finish{parts}_{p.name(target)}", target)
    workspace, c = table(f, operands, 2)
    pointers = table(f, operands, p.epilogue.operands, 2) if p.epilogue else []
    if p.epilogue:
        pointers = p.epilogue.prepare(f, pointers, vector)
    size = p.items * p.m * p.n

    def row(index: Int, _: list[Value]) -> None:
        item, r = (0, index) if p.items == 1 else (f.div_int(index, p.m), f.mod_int(index, p.m))
        target_row = f.at(item_pointers(f, p, item, (c, c, c))[2], f.mul_int(r, p.c), p.element)
        source = f.at(workspace, f.mul_int(index, p.n), p.element)

        def columns(j: Int, mask: Value | None) -> None:
            place = f.at(source, j, p.element)

            def add(part: Int, sums: list[Value]) -> list[Value]:
                x = f.load(f.at(place, f.mul_int(part, size), p.element), vector, mask)
                return [f.add(sums[0], x)]

            result: Value | None = f.loop(1, parts, 1, add, [f.load(place, vector, mask)])[0]
            if p.epilogue:
                result = p.epilogue.apply(f, pointers, result, r, j, mask, item)
            if result is not None:
                f.store(result, f.at(target_row, j, p.element), mask)

        whole = p.n // lanes * lanes
        f.loop(0, whole, lanes, lambda j, _: columns(j, None))
        if p.n > whole:
            columns(whole, first_lanes(p.n - whole, lanes))

    rows = p.items * p.m
    tasks = max(1, min(MAX_TASKS, rows, parts * size // FINISHED))
    start, end = evenly(f, 0 if tasks == 1 else task, rows, tasks)
    f.loop(start, end, 1, row)
    nbytes = (parts + 1) * size * p.dtype.itemsize
    kernel = Kernel(f.name, [f], tasks, (parts - 1) * size, nbytes)
    return Call(kernel, ("workspace", "c", *epilogue_operands(p.epilogue)))
