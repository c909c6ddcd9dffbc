"""Operands that are computed as they are copied: each element once, in the order in which tiles read it.

What is computed (`Prologue`) is seen as a row-major matrix that lies nowhere. It is A, staged by a task that needs no
other's part of it; or B or its transpose, packed by a step of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Type, Value, first_lanes
from chainrule.compiler.on_native.matmul.packing import transposed
from chainrule.compiler.on_native.matmul.product import Product, table
from chainrule.compiler.on_native.matmul.tile import EPILOGUE
from chainrule.compiler.on_native.prologues import Prologue
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Values

Range: TypeAlias = "tuple[Int, Int]"


class ComputedRows:
    """Copies of rows of A, one after the other.

    Args:
        product: whose A.
        depth: steps of k that are copied at most.
        code: what functions are added to.

    Attributes:
        pitch: elements from row to row of the copy.
    """

    def __init__(self, product: Product, depth: int, target: Target, code: dict[str, Function]) -> None:
        self.product, self.target, self.code = product, target, code
        line = 64 // product.dtype.itemsize
        self.pitch = (-(-depth // line) | 1) * line

    def copy(
        self, f: Function, operands: Value, to: Value, row: Int, rows: Int, start: Int, depth: Int
    ) -> None:
        """Compute some rows: ``depth`` elements of each, from ``start`` on."""
        f.call(self._rows().name, [operands, to, *map(f.operand, (row, rows, start, depth))])

    def _rows(self) -> Function:
        p = self.product
        lanes = self.target.isa.lanes(p.dtype.itemsize)
        short, prologue = min(p.k, lanes), p.prologue
        assert prologue is not None
        place = EPILOGUE + (p.epilogue.operands if p.epilogue else 0)
        name = f"rows{self.pitch}_{short}_at{place}_{prologue.name}"
        if name in self.code:
            return self.code[name]
        parameters = [("%operands", PTR), ("%to", PTR)]
        parameters += [(f"%{x}", I64) for x in ("row", "rows", "start", "depth")]
        f = self.code[name] = Function(name, parameters, self.target, exported=False)
        operands, to, row, rows, start, depth = f.parameters
        values = prologue.values(f, table(f, operands, prologue.operands, place), lanes)
        mask = first_lanes(short, lanes) if short < lanes else None

        def one(i: Int, _: list[Value]) -> None:
            here, end = f.add_int(row, i), f.at(to, f.mul_int(i, self.pitch), p.element)

            def vector(k: Int, _: list[Value]) -> None:
                # The last one ends where the row ends: it may compute some elements again.
                k = f.min_int(k, f.sub_int(depth, lanes)) if mask is None else 0
                x = prologue.at(values, here, f.add_int(start, k), mask)
                f.store(x, f.at(end, k, p.element), mask)

            f.loop(0, depth if mask is None else lanes, lanes, vector)

        f.loop(0, rows, 1, one)
        return f


@dataclass(frozen=True, slots=True)
class Panels:
    """Panels of matrices, one after the other, each of several parts, one after the other.

    Attributes:
        matrices, parts: how many.
        k, n: rows and columns of a part.
        width: of a panel.
        turned: whether the transpose of each matrix is computed.
        prologue: computes them, one below the other.
    """

    matrices: int
    parts: int
    k: int
    n: int
    width: int
    turned: bool
    prologue: Prologue

    @property
    def name(self) -> str:
        """Says everything that code for it depends on, but for the target."""
        shape = (self.matrices, self.parts, self.k, self.n, self.width)
        return f"{'_'.join(map(str, shape))}{'t' * self.turned}_{self.prologue.name}"

    @property
    def units(self) -> int:
        """What tasks share: rows, or panels of transposes."""
        if self.turned:
            return self.matrices * self.parts * -(-self.n // self.width)
        return self.matrices * self.parts * self.k

    def write(self, f: Function, kind: Type, pointers: Sequence[Value], packed: Value, units: Range) -> None:
        """Code for a range of units.

        Args:
            f: the function that is written.
            kind: of an element.
            pointers: addresses of what the prologue reads.
            packed: address of the first panel.
            units: from and to.
        """
        lanes = f.target.isa.lanes(kind.itemsize)
        values = self.prologue.values(f, pointers, lanes)
        code = _PanelCode(self, f, kind, lanes, values, packed)
        f.loop(*units, 1, lambda u, _: code.panel(u) if self.turned else code.row(u), may_be_empty=True)


@dataclass(frozen=True, slots=True)
class _PanelCode:
    """Code that computes panels, under construction."""

    panels: Panels
    f: Function
    kind: Type
    lanes: int
    values: Values
    packed: Value

    def mask(self, count: int) -> Value | None:
        return first_lanes(count, self.lanes) if count < self.lanes else None

    def at(self, row: Int, column: Int, mask: Value | None) -> Value:
        return self.panels.prologue.at(self.values, row, column, mask)

    def row(self, unit: Int) -> None:
        """A row of a part: a piece of each of its panels."""
        f, p = self.f, self.panels
        part, k = f.div_int(unit, p.k), f.mod_int(unit, p.k)
        size, full = p.k * p.width, p.n // p.width
        row = f.add_int(f.mul_int(part, -(-p.n // p.width) * size), f.mul_int(k, p.width))

        def piece(panel: Int, width: int) -> None:
            to = f.at(self.packed, f.add_int(row, f.mul_int(panel, size)), self.kind)
            for c in range(0, width, self.lanes):
                mask = self.mask(width - c)
                x = self.at(unit, f.add_int(f.mul_int(panel, p.width), c), mask)
                f.store(x, f.at(to, c, self.kind), mask)

        f.loop(0, full, 1, lambda panel, _: piece(panel, p.width))
        if p.n % p.width:
            piece(full, p.n % p.width)

    def panel(self, unit: Int) -> None:
        """A panel of the transpose of what is computed."""
        f, p = self.f, self.panels
        count = -(-p.n // p.width)
        matrix, part = f.div_int(unit, p.parts * count), f.mod_int(f.div_int(unit, count), p.parts)
        panel, top = f.mod_int(unit, count), f.mul_int(part, p.k)
        first = f.add_int(f.mul_int(matrix, p.n), f.mul_int(panel, p.width))
        to = f.at(self.packed, f.mul_int(unit, p.k * p.width), self.kind)
        ragged = p.n % p.width
        if ragged:
            last = f.equal_int(panel, count - 1)
            f.when(
                last,
                lambda: self.squares(first, top, to, ragged),
                lambda: self.squares(first, top, to, p.width),
            )
        else:
            self.squares(first, top, to, p.width)

    def squares(self, row: Int, column: Int, to: Value, width: int) -> None:
        """Some rows of what is computed become columns of a panel: squares are transposed in registers."""
        f, p, lanes = self.f, self.panels, self.lanes
        short = min(p.k, lanes)

        def block(k: Int, _: list[Value]) -> None:
            k = 0 if short < lanes else f.min_int(k, p.k - lanes)  # the last one ends where k ends
            for c in range(0, width, lanes):
                # Beyond the last column it is computed again.
                rows = [f.add_int(row, min(c + i, width - 1)) for i in range(lanes)]
                read = [self.at(r, f.add_int(column, k), self.mask(short)) for r in rows]
                end = f.at(to, f.add_int(f.mul_int(k, p.width), c), self.kind)
                for i, x in enumerate(transposed(f, read)[:short]):
                    f.store(x, f.at(end, i * p.width, self.kind))

        f.loop(0, p.k if short == lanes else lanes, lanes, block)
