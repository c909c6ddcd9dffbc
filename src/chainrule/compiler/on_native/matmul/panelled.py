"""Matrices that lie in panels before a product reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.compiler.on_native.call import Call, Lowered
from chainrule.compiler.on_native.ir import Function, Int, Value, type_of
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.matmul import computed
from chainrule.compiler.on_native.matmul.inner import suits
from chainrule.compiler.on_native.matmul.packing import Panels
from chainrule.compiler.on_native.matmul.parts import in_parts, parts_of
from chainrule.compiler.on_native.matmul.plan import MAX_TASKS, UNPACKED, Plan, plan
from chainrule.compiler.on_native.matmul.product import Product, normalized, packed_size
from chainrule.compiler.on_native.matmul.tile import turns
from chainrule.compiler.on_native.prepacking import Packing
from chainrule.compiler.on_native.prologues import Prologue, prologue_operands
from chainrule.compiler.on_native.target import Target
from chainrule.primitive import Array
from chainrule.shapes import DType, Shape, row_major

SMALL, LARGE, SLIGHT = 0.8, 0.4, 0.1
"""What a product saves of the time of a step that packs B, measured: of one that the second cache holds; of a larger
one, which then comes from memory twice; of one whose columns are adjacent, for few rows of A."""
FEW = 16
"""Fewer rows of A are few."""
STAGED = 1 << 16
"""Bytes of an A from which on it is worth while to compute it as it is staged."""
_TASK = 1 << 14
"""Fewest elements that a task packs."""


@dataclass(frozen=True, slots=True)
class Panelled(Packing):
    """Packed matrices (see `packed_size`), one after the other.

    Attributes:
        batch: how many, along each axis.
        parts: into how many the rows of each are cut; each part is packed as a matrix of its own.
        k, n: rows and columns of a part.
        dtype: of elements.
        width: of a panel.
    """

    batch: tuple[int, ...]
    parts: int
    k: int
    n: int
    dtype: DType
    width: int

    @property
    def size(self) -> int:
        """Elements of one matrix."""
        return self.parts * packed_size(self.k, self.n, self.width)

    @property
    def panels(self) -> int:
        """Of a part."""
        return -(-self.n // self.width)

    @property
    def nbytes(self) -> int:
        return math.prod(self.batch) * self.size * self.dtype.itemsize

    def of(self, array: Array) -> Array:
        whole = (math.prod(self.batch), self.parts, self.k)
        padded = np.zeros((*whole, self.panels * self.width), array.dtype)
        padded[..., : self.n] = array.reshape(*whole, self.n)
        return padded.reshape(*whole, self.panels, self.width).swapaxes(2, 3).reshape(-1)

    def lower(self, strides: Sequence[int], target: Target, prologue: Prologue | None = None) -> Lowered:
        if prologue:
            kernel = self._computed(strides[-1] != 1, prologue, target)
            return Lowered((Call(kernel, (*prologue_operands(prologue), "packed")),))
        return Lowered((Call(self._copied(strides, target), ("plain", "packed")),))

    def _copied(self, strides: Sequence[int], target: Target) -> Kernel:
        *steps, row, column = strides
        p = Product(1, self.n, self.k, self.dtype, (self.k, 1), (row, column), self.n)
        sizes = (*self.batch, self.parts, self.panels)
        units, panel = math.prod(sizes), self.k * self.width
        shape = "_".join(map(str, (*sizes, *steps)))
        f, operands, task, _ = entry(f"pack{self.width}_{shape}_{p.name(target)}", target)
        source, packed = operand(f, operands, 0), operand(f, operands, 1)
        code: dict[str, Function] = {}
        copies = Panels(p, self.width, self.k, target, code)
        apart = (self.width * column, self.k * row, *steps[::-1])

        def one(unit: Int, _: list[Value]) -> None:
            start, rest = 0, unit
            for size, step in zip(sizes[::-1], apart, strict=True):
                start = f.add_int(start, f.mul_int(f.mod_int(rest, size), step))
                rest = f.div_int(rest, size)
            left = f.sub_int(self.n, f.mul_int(f.mod_int(unit, self.panels), self.width))
            to = f.at(packed, f.mul_int(unit, panel), p.element)
            copies.copy(f, f.at(source, start, p.element), to, f.min_int(left, self.width), self.k)

        tasks = self._tasks(units)
        f.loop(*share(f, task, units, tasks), 1, one, may_be_empty=True)
        f.ret()
        return Kernel(f.name, [f, *code.values()], tasks, 0, 2 * self.nbytes)

    def _computed(self, turned: bool, prologue: Prologue, target: Target) -> Kernel:
        panels = computed.Panels(
            math.prod(self.batch), self.parts, self.k, self.n, self.width, turned, prologue
        )
        f, operands, task, _ = entry(f"pack_{panels.name}_{target.isa.name}", target)
        *pointers, packed = (operand(f, operands, i) for i in range(prologue.operands + 1))
        tasks = self._tasks(panels.units)
        panels.write(f, type_of(self.dtype), pointers, packed, share(f, task, panels.units, tasks))
        f.ret()
        return Kernel(f.name, [f], tasks, 0, 2 * self.nbytes)

    def _tasks(self, units: int) -> int:
        return max(1, min(MAX_TASKS, units, self.nbytes // self.dtype.itemsize // _TASK))


@dataclass(frozen=True, slots=True)
class Panelling:
    """A product whose B would better be packed before.

    Attributes:
        packing: of B.
        shape, strides: of the matrices that it is made of.
        saves: the time that it saves the product, in times of packing.
        product: the same, of a packed B.
    """

    packing: Panelled
    shape: Shape
    strides: tuple[int, ...]
    saves: float
    product: Product


def panelling(product: Product, target: Target) -> Panelling | None:
    """How B would lie best; None if no packed B is read, or if sums would be made in another order.

    Even a small B is read faster from panels that begin at cache lines: NumPy's arrays do not, mostly.
    """
    p = normalized(product)
    if not p.m * p.n * p.k * p.items or p.n == 1:
        return None
    parts = parts_of(p)
    q = normalized(in_parts(p, parts)) if parts > 1 else p
    if suits(q):
        return None
    before = plan(q, target)
    width = before.vectors * target.isa.lanes(p.dtype.itemsize)
    after = plan(replace(q, packed_b=width, b=(width, 1)), target)
    if _order(before, q, target) != _order(after, q, target):
        return None
    kept = [(size, step) for size, step in zip(p.batch, p.batch_strides[1], strict=True) if step]
    batch, steps = tuple(size for size, _ in kept), tuple(step for _, step in kept)
    packing = Panelled(batch, parts, q.k, p.n, p.dtype, width)
    places = iter(packing.size * s for s in row_major(batch))
    along = tuple(next(places) if step else 0 for step in p.batch_strides[1])
    a, _, c = p.batch_strides
    packed = replace(p, packed_b=width, b=(width, 1), batch_strides=(a, along, c))
    saves = _saves(p) * p.items / math.prod(batch)
    return Panelling(packing, (*batch, p.k, p.n), (*steps, *p.b), saves, packed)


def computes_rows(product: Product, target: Target) -> bool:
    """Whether tasks may compute A as they stage it: no two need the same part, so each element is computed once."""
    p = normalized(product)
    if p.items * p.m * p.k * p.dtype.itemsize < STAGED or not p.n > 1 or suits(p) or parts_of(p) > 1:
        return False
    follow = p.batch_strides[0] == tuple(s * p.m * p.k for s in row_major(p.batch))
    return follow and plan(p, target).grid[1] == 1


def _saves(p: Product) -> float:
    """What part of the time of a step that packs B one product of the batch saves."""
    small, turned = p.k * p.n * p.dtype.itemsize <= UNPACKED, p.b[1] != 1
    if small:
        return SMALL if turned else 0.0
    return LARGE if turned or p.m >= FEW else SLIGHT


def _order(how: Plan, p: Product, target: Target) -> object:
    """What decides in which order the products of each element of C are added."""
    lanes = target.isa.lanes(p.dtype.itemsize)
    depth = p.k if len(how.depths) == 1 else None
    vectors = -(-p.n // lanes)
    widths = [min(how.vectors, vectors - first) for first in range(0, vectors, how.vectors)]
    sets = [turns(rows, width, depth) for rows in set(how.rows) for width in widths for _ in range(width)]
    return tuple(how.rows), tuple(how.depths), sets
