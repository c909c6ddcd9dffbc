"""What a matrix product is, and how its operands lie in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainrule.compiler.on_native.call import Epilogue
from chainrule.compiler.on_native.ir import F32, F64, PTR, Function, Int, Type, Value
from chainrule.compiler.on_native.prologues import Prologue
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.passes.reads import Stairs
from chainrule.shapes import DType, float32


@dataclass(frozen=True, slots=True)
class Product:
    """``C[b] = A[b] @ B[b]`` for every ``b`` of a batch.

    Attributes:
        m, n, k: A is (m, k), B is (k, n), C is (m, n).
        dtype: float32 or float64.
        a, b: strides of A and B in elements, (row, column). Fast if one of the two is 1.
        c: row stride of C; its columns are adjacent.
        batch: sizes of the batch axes.
        batch_strides: of A, B and C along them, in elements; 0 where an operand is repeated.
        epilogue: what is done with the sums before they are stored.
        prologue: computes A as it is staged; its rows are those of A, batch after batch.
        packed_b: if not 0, B lies in panels of so many columns instead (see `packed_size`), one matrix after the
            other or as its batch strides say; ``b`` is (packed_b, 1).
        repeated: whether it runs many times in a row with the same B.
        stairs: of each row of C the columns that anybody reads, from and to, if not all; the others may be left as
            they are.
    """

    m: int
    n: int
    k: int
    dtype: DType
    a: tuple[int, int]
    b: tuple[int, int]
    c: int
    batch: tuple[int, ...] = ()
    batch_strides: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] = ((), (), ())
    epilogue: Epilogue | None = None
    packed_b: int = 0
    prologue: Prologue | None = None
    repeated: bool = False
    stairs: Stairs = ()

    @property
    def items(self) -> int:
        """How many products the batch holds."""
        return math.prod(self.batch)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the whole batch."""
        cells = sum(stop - first for first, stop in self.stairs) if self.stairs else self.m * self.n
        return 2 * self.items * cells * self.k

    @property
    def work(self) -> int:
        """Multiplications and additions, or as many as could be done while memory delivers the operands."""
        return max(self.flops, 4 * self.nbytes)

    @property
    def nbytes(self) -> int:
        """Bytes of the operands and the result, each once."""
        a, b, c = (
            math.prod(s for s, step in zip(self.batch, steps, strict=True) if step)
            for steps in self.batch_strides
        )
        elements = a * self.m * self.k + b * self.k * self.n + c * self.m * self.n
        return elements * self.dtype.itemsize

    @property
    def element(self) -> Type:
        return F32 if self.dtype == float32 else F64

    def name(self, target: Target) -> str:
        """Everything that code for it depends on, as part of a symbol."""
        parts = [f"{self.m}x{self.n}x{self.k}", self.element.suffix, "a{}_{}".format(*self.a)]
        parts.append(f"bpacked{self.packed_b}" if self.packed_b else "b{}_{}".format(*self.b))
        parts.append(f"c{self.c}")
        for size, *steps in zip(self.batch, *self.batch_strides, strict=True):
            parts.append(f"batch{size}_{'_'.join(map(str, steps))}")
        parts += [f"{first}to{stop}" for first, stop in self.stairs]
        if self.epilogue:
            parts.append(self.epilogue.name)
        if self.prologue:
            parts.append(self.prologue.name)
        return "_".join((*parts, target.isa.name)).replace("-", "n")


def panel_width(n: int, dtype: DType, target: Target) -> int:
    """The best number of columns for a panel of a matrix with ``n`` of them."""
    lanes = target.isa.lanes(dtype.itemsize)
    return lanes * min(target.isa.tile_vectors, max(1, -(-n // lanes)))


def packed_size(k: int, n: int, width: int) -> int:
    """Elements of a packed matrix of shape (k, n), which is cut into panels of ``width`` columns.

    Panel ``p`` begins at element ``p * k * width`` and holds its rows one after the other, without gaps: column ``j``
    of row ``i`` is at ``(p * k + i) * width + j % width``, where ``p = j // width``. Columns past the last hold
    zeros, or other finite numbers.
    """
    return k * width * -(-n // width)


def normalized(product: Product) -> Product:
    """The same product with as few batch axes as possible, and strides of axes of size 1 set to those of others.

    Without an epilogue a batch of A whose rows follow each other, times one B, becomes one tall A.
    """
    p = product
    sizes: list[int] = []
    steps: list[tuple[int, int, int]] = []
    for size, *step in zip(p.batch, *p.batch_strides, strict=True):
        if size == 1:
            continue
        a, b, c = step
        if steps and all(before == s * size for before, s in zip(steps[-1], step, strict=True)):
            sizes[-1] *= size
            steps[-1] = (a, b, c)
        else:
            sizes.append(size)
            steps.append((a, b, c))
    if p.epilogue is None:
        while steps and steps[-1][1] == 0 and _follows(p, steps[-1]):
            a_row, c_row = (steps[-1][0], steps[-1][2]) if p.m == 1 else (p.a[0], p.c)
            p = replace(p, m=p.m * sizes.pop(), a=(a_row, p.a[1]), c=c_row)
            steps.pop()
    along = tuple(zip(*steps, strict=True)) if steps else ((), (), ())
    p = replace(p, batch=tuple(sizes), batch_strides=along)
    return replace(p, a=_strides(p.a, p.m, p.k), b=_strides(p.b, p.k, p.n), c=p.c if p.m > 1 else p.n)


def _follows(p: Product, step: tuple[int, int, int]) -> bool:
    return p.m == 1 or (step[0] == p.m * p.a[0] and step[2] == p.m * p.c)


def _strides(strides: tuple[int, int], rows: int, columns: int) -> tuple[int, int]:
    """Strides of an axis of size 1 can be chosen: adjacent elements if the other axis leaves that open."""
    row, column = strides
    if columns == 1:
        column = 1
    if rows == 1:
        row = columns if column == 1 else 1
    return row, column


def item_pointers(f: Function, p: Product, item: Int, bases: Sequence[Value]) -> list[Value]:
    """The addresses of A, B and C of one product of the batch."""
    offsets: list[Int] = [0, 0, 0]
    rest = item
    for axis in reversed(range(len(p.batch))):
        index = rest if axis == 0 else f.mod_int(rest, p.batch[axis])
        rest = f.div_int(rest, p.batch[axis])
        for which, steps in enumerate(p.batch_strides):
            offsets[which] = f.add_int(offsets[which], f.mul_int(index, steps[axis]))
    return [f.at(base, offset, p.element) for base, offset in zip(bases, offsets, strict=True)]


def table(f: Function, operands: Value, count: int, first: int = 0) -> list[Value]:
    """Addresses from a kernel's table, from place ``first`` on."""
    return [f.load(f.at(operands, first + i, PTR), PTR) for i in range(count)]
