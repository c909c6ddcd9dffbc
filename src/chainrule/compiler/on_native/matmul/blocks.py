"""Products cut into blocks: tiles of C in registers, panels of B in the first cache, rows of A in the second.

C is cut into blocks of rows and panels of columns. A task computes a rectangle of them. Long sums are cut as well,
so that a panel of B and the rows of A that meet it stay in the caches; the partial sums of a rectangle wait in the
task's own memory, so that C is written once. Every element is summed in the same order whatever task computes it.

Source: Goto and van de Geijn, ACM Transactions on Mathematical Software 34(3), 2008, doi:10.1145/1356052.1356053.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainrule.compiler.on_native.call import Call, Lowered, epilogue_operands, remembered
from chainrule.compiler.on_native.ir import Function, Int, Value
from chainrule.compiler.on_native.kernel import Kernel, entry, evenly, operand
from chainrule.compiler.on_native.matmul.computed import ComputedRows
from chainrule.compiler.on_native.matmul.packing import Panels, Stage
from chainrule.compiler.on_native.matmul.plan import Plan, plan
from chainrule.compiler.on_native.matmul.product import Product, item_pointers, table
from chainrule.compiler.on_native.matmul.tile import EPILOGUE, Place, Tile, call_tile
from chainrule.compiler.on_native.prologues import prologue_operands
from chainrule.compiler.on_native.target import Target


@remembered(Product.name)
def multiply(p: Product, target: Target) -> Lowered:
    """The call that computes a product by blocks."""
    code = _Code(p, plan(p, target), target)
    operands = ("a", "b", "c", *epilogue_operands(p.epilogue), *prologue_operands(p.prologue))
    call = Call(code.kernel(), (*operands, "scratch") if code.scratch else operands)
    return Lowered((call,), 0, code.scratch * p.dtype.itemsize)


class _Code:
    """The entry of a product, and what its parts share.

    Attributes:
        functions: what the entry calls, by name.
        width: columns of a panel.
        last_vectors, last_lanes: vectors of the last panel, and columns in the last of them.
        full: how many panels have no other shape.
        big, small: heights of blocks; the first ``bigs`` are higher.
        offsets: where panels, rows of A and partial sums begin in a thread's scratch memory.
        scratch: elements of it.
    """

    def __init__(self, p: Product, how: Plan, target: Target) -> None:
        self.p = p
        self.plan = how
        self.target = target
        self.functions: dict[str, Function] = {}
        lanes = target.isa.lanes(p.dtype.itemsize)
        vectors = -(-p.n // lanes)
        self.lanes = lanes
        self.width = how.vectors * lanes
        self.last_vectors = vectors - (how.panels - 1) * how.vectors
        self.last_lanes = p.n - (vectors - 1) * lanes
        self.full = how.panels - (self.last_vectors < how.vectors or self.last_lanes < lanes)
        self.big, self.small = how.rows[0], how.rows[-1]
        self.bigs = how.rows.count(self.big)
        blocks, panels = -(-len(how.rows) // how.grid[0]), -(-how.panels // how.grid[1])
        deepest = how.depths[0]
        self.panels = Panels(p, self.width, deepest, target, self.functions) if how.pack else None
        self.stage = Stage(p, self.big, deepest, target, self.functions) if how.stage else None
        self.computed = ComputedRows(p, deepest, target, self.functions) if p.prologue else None
        sizes = [
            panels * self.panels.size if self.panels else 0,
            how.group
            * (self.stage.size if self.stage else self.big * self.computed.pitch if self.computed else 0),
            blocks * panels * self.big * self.width if len(how.depths) > 1 else 0,
        ]
        self.a = (1, self.stage.step) if self.stage else (self.computed.pitch, 1) if self.computed else p.a
        line = 64 // p.dtype.itemsize
        starts = [sum(-(-size // line) * line for size in sizes[:i]) for i in range(4)]
        self.offsets, self.scratch = starts[:3], starts[3]

    def kernel(self) -> Kernel:
        p, how = self.p, self.plan
        f, operands, task, thread = entry(f"matmul_{p.name(self.target)}", self.target)
        bases = table(f, operands, 3)
        scratch = None
        if self.scratch:
            place = EPILOGUE + sum(x.operands for x in (p.epilogue, p.prologue) if x)
            scratch = f.at(operand(f, operands, place), f.mul_int(thread, self.scratch), p.element)
        down, across = how.grid
        cells = down * across
        which: Int = 0 if how.tasks == 1 else task
        if cells > 1:
            cell, item = f.mod_int(which, cells), f.div_int(which, cells)
            if p.items == 1:
                cell, item = which, 0
            items = item, f.add_int(item, 1)
        else:
            cell = 0
            items = evenly(f, which, p.items, how.tasks)
        blocks = evenly(f, f.div_int(cell, across), len(how.rows), down)
        panels = evenly(f, f.mod_int(cell, across), how.panels, across)

        def product(item: Int, _: list[Value]) -> None:
            matrices = item_pointers(f, p, item, bases)
            _Rectangle(self, f, matrices, blocks, panels, item, operands, scratch).write()

        f.loop(*items, 1, product)
        return Kernel(f.name, [f, *self.functions.values()], how.tasks, p.flops, p.nbytes)


@dataclass(frozen=True, slots=True)
class _Pass:
    """A range of k: which one, where it starts, how long it is, and whether it is the last (1 or 0)."""

    index: Int
    start: Int
    depth: Int
    last: Int


@dataclass(frozen=True, slots=True)
class _Group:
    """Blocks of rows that meet a panel together, and the address of the first element of A of the first."""

    first: Int
    end: Int
    a: Value


class _Rectangle:
    """What one task does for one product: a range of blocks of rows and a range of panels."""

    def __init__(
        self,
        code: _Code,
        f: Function,
        matrices: Sequence[Value],
        blocks: tuple[Int, Int],
        panels: tuple[Int, Int],
        item: Int,
        operands: Value,
        scratch: Value | None,
    ) -> None:
        self.code = code
        self.f = f
        self.a, self.b, self.c = matrices
        self.blocks = blocks
        self.panels = panels
        self.item = item
        self.operands = operands
        self.scratch = scratch

    def write(self) -> None:
        self.f.loop(0, len(self.code.plan.depths), 1, lambda index, _: self._pass(index))

    def _pass(self, index: Int) -> None:
        f, depths = self.f, self.code.plan.depths
        longest, many = depths[0], depths.count(depths[0])
        start, depth = f.mul_int(index, longest), longest
        if many < len(depths):  # the others are shorter by 1
            start = f.sub_int(start, f.max_int(f.sub_int(index, many), 0))
            depth = f.sub_int(longest, f.min_int(f.max_int(f.sub_int(index, many - 1), 0), 1))
        last = f.max_int(f.sub_int(index, len(depths) - 2), 0) if len(depths) > 1 else 1
        this = _Pass(index, start, depth, last)
        low, high = self.blocks
        if self.code.panels:
            self._copy_panels(this, self.code.panels)
        f.loop(low, high, self.code.plan.group, lambda first, _: self._group(this, first, high))

    def _group(self, this: _Pass, first: Int, high: Int) -> None:
        f, code, p = self.f, self.code, self.code.p
        row = self._row(first)
        along = f.add_int(f.mul_int(row, p.a[0]), f.mul_int(this.start, p.a[1]))
        group = _Group(
            first, f.min_int(f.add_int(first, code.plan.group), high), f.at(self.a, along, p.element)
        )
        if code.stage:
            group = self._staged(this, group, code.stage)
        if code.computed:
            group = self._computed(this, group, code.computed)
        start, end = self.panels
        full, panels = code.full, code.plan.panels
        f.loop(
            start,
            f.min_int(end, full),
            1,
            lambda panel, _: self._panel(this, group, panel, code.plan.vectors, code.lanes),
            may_be_empty=full < panels,
        )
        if full < panels:
            f.loop(
                f.max_int(start, full),
                end,
                1,
                lambda panel, _: self._panel(this, group, panel, code.last_vectors, code.last_lanes),
                may_be_empty=True,
            )

    def _copy_panels(self, this: _Pass, panels: Panels) -> None:
        f, code, p = self.f, self.code, self.code.p
        start, end = (f.mul_int(panel, code.width) for panel in self.panels)
        columns = f.sub_int(f.min_int(end, p.n), start)
        offset = f.add_int(f.mul_int(this.start, p.b[0]), f.mul_int(start, p.b[1]))
        panels.copy(f, f.at(self.b, offset, p.element), self._scratch(0), columns, this.depth)

    def _scratch(self, which: int, offset: Int = 0) -> Value:
        assert self.scratch is not None
        return self.f.at(self.scratch, self.f.add_int(offset, self.code.offsets[which]), self.code.p.element)

    def _staged(self, this: _Pass, group: _Group, stage: Stage) -> _Group:
        f, code, p = self.f, self.code, self.code.p
        start = self._row(group.first)

        def copy(rows: int, first: Int, end: Int) -> None:
            source = f.at(group.a, f.sub_int(self._row(first), start), p.element)
            place = self._scratch(1, f.mul_int(f.sub_int(first, group.first), stage.size))
            stage.copy(f, source, place, rows, f.sub_int(end, first), this.depth)

        copy(code.big, group.first, f.min_int(group.end, code.bigs))
        if code.small < code.big:
            copy(code.small, f.max_int(group.first, code.bigs), group.end)
        return replace(group, a=self._scratch(1))

    def _computed(self, this: _Pass, group: _Group, computed: ComputedRows) -> _Group:
        """Compute the rows of A that a group meets."""
        f, code = self.f, self.code
        first, end = self._row(group.first), self._row(group.end)
        row = f.add_int(f.mul_int(self.item, code.p.m), first)
        computed.copy(f, self.operands, self._scratch(1), row, f.sub_int(end, first), this.start, this.depth)
        return replace(group, a=self._scratch(1))

    def _row(self, block: Int) -> Int:
        f, code = self.f, self.code
        row = f.mul_int(block, code.big)
        return row if code.small == code.big else f.sub_int(row, f.max_int(f.sub_int(block, code.bigs), 0))

    def _panel(self, this: _Pass, group: _Group, panel: Int, vectors: int, last: int) -> None:
        f, code, p = self.f, self.code, self.code.p
        if code.panels:
            b = self._scratch(0, f.mul_int(f.sub_int(panel, self.panels[0]), code.panels.size))
        elif p.packed_b:
            row = f.add_int(f.mul_int(panel, p.k), this.start)
            b = f.at(self.b, f.mul_int(row, code.width), p.element)
        else:
            offset = f.add_int(f.mul_int(this.start, p.b[0]), f.mul_int(panel, code.width))
            b = f.at(self.b, offset, p.element)
        packed = p.packed_b > 0 or code.plan.pack
        tile = Tile(
            code.big,
            vectors,
            last,
            p.element,
            code.a,
            code.width if packed else p.b[0],
            p.c,
            packed,
            p.k if len(code.plan.depths) == 1 else None,
            p.epilogue,
        )

        def blocks(tile: Tile, first: Int, end: Int) -> None:
            f.loop(
                first,
                end,
                1,
                lambda block, _: self._tile(this, group, panel, block, b, tile),
                may_be_empty=code.small < code.big,
            )

        if code.small == code.big:
            blocks(tile, group.first, group.end)
        else:
            blocks(tile, group.first, f.min_int(group.end, code.bigs))
            blocks(replace(tile, rows=code.small), f.max_int(group.first, code.bigs), group.end)

    def _tile(self, this: _Pass, group: _Group, panel: Int, block: Int, b: Value, tile: Tile) -> None:
        f, code, p = self.f, self.code, self.code.p
        row, column = self._row(block), f.mul_int(panel, code.width)
        if code.stage:
            offset = f.mul_int(f.sub_int(block, group.first), code.stage.size)
        else:
            offset = f.mul_int(f.sub_int(row, self._row(group.first)), code.a[0])
        a = f.at(group.a, offset, p.element)
        c = f.at(self.c, f.add_int(f.mul_int(row, p.c), column), p.element)
        place = Place(a, b, c, row, column, self.item, self.operands)
        if tile.depth is None:
            # Tiles of the rectangle one after the other.
            down, across = f.sub_int(block, self.blocks[0]), f.sub_int(panel, self.panels[0])
            index = f.add_int(f.mul_int(down, -(-code.plan.panels // code.plan.grid[1])), across)
            partial = self._scratch(2, f.mul_int(index, code.big * code.width))
            more = {"partial": partial, "before": this.index, "depth": this.depth, "last": this.last}
            place = replace(place, **more)
        call_tile(f, tile, place, code.functions)
