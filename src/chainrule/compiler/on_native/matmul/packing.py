"""Copies of A and B in the order in which tiles read them.

A task copies its part of B into panels if tiles would otherwise need transposed vectors, or rows so far apart that
they do not fit the caches' sets and page tables; and its part of a transposed A, for the latter reason. Each task
copies for itself: a copy that another processor has made costs more to fetch than to make.
"""

from __future__ import annotations

from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Value, first_lanes
from chainrule.compiler.on_native.matmul.product import Product
from chainrule.compiler.on_native.target import Target

STEPS = 8
"""Steps of k that are copied together."""


class Copies:
    """What both kinds of copies share."""

    def __init__(self, product: Product, target: Target, code: dict[str, Function]) -> None:
        self.product = product
        self.target = target
        self.lanes = target.isa.lanes(product.dtype.itemsize)
        self._code = code

    def function(self, *parts: object) -> tuple[Function, bool]:
        """The function of that name, and whether it is still to be written."""
        name = "_".join((*map(str, parts), self.product.element.suffix, self.target.isa.name))
        if name in self._code:
            return self._code[name], False
        parameters = [("%from", PTR), ("%to", PTR), ("%count", I64), ("%depth", I64)]
        self._code[name] = Function(name, parameters, self.target, exported=False)
        return self._code[name], True

    def mask(self, count: int) -> Value | None:
        """The first ``count`` lanes; None if that is all of them."""
        return first_lanes(count, self.lanes) if count < self.lanes else None


class Panels(Copies):
    """Copies of B, panel after panel.

    Args:
        product: whose B.
        width: columns of a panel.
        depth: steps of k that are copied at most.
    """

    def __init__(
        self, product: Product, width: int, depth: int, target: Target, code: dict[str, Function]
    ) -> None:
        super().__init__(product, target, code)
        self.width = width
        self.size = depth * width
        self._transposed = product.b[1] != 1

    def copy(self, f: Function, source: Value, to: Value, columns: Int, depth: Int) -> None:
        """Copy ``columns`` columns whose first element is at ``source``, the first of a panel.

        ``depth`` is k, or at least the number of lanes.
        """
        write = self._columns if self._transposed else self._rows
        f.call(write().name, [source, to, f.operand(columns), f.operand(depth)])

    def _rows(self) -> Function:
        """B's columns are adjacent: vectors move as they are."""
        p = self.product
        ragged = p.n % self.width
        f, new = self.function(f"rows{ragged}", p.b[0], self.width, self.size)
        if not new:
            return f
        source, to, columns, depth = f.parameters

        def panel(first: Int, width: int) -> None:
            begin = f.at(source, first, p.element)
            place = f.mul_int(f.div_int(first, self.width), self.size)
            into = f.at(to, place, p.element)

            def row(k: Int, _: list[Value]) -> None:
                start = f.at(begin, f.mul_int(k, p.b[0]), p.element)
                end = f.at(into, f.mul_int(k, self.width), p.element)
                for c in range(0, width, self.lanes):
                    x = f.load(f.at(start, c, p.element), p.element.vector(self.lanes), self.mask(width - c))
                    f.store(x, f.at(end, c, p.element))

            f.loop(0, depth, 1, row)

        whole = f.mul_int(f.div_int(columns, self.width), self.width)
        f.loop(0, whole, self.width, lambda c, _: panel(c, self.width), may_be_empty=True)
        if ragged:
            f.when(f.less_int(f.operand(whole), f.operand(columns)), lambda: panel(whole, ragged))
        return f

    def _columns(self) -> Function:
        """B's rows are adjacent: squares of vectors are transposed in registers."""
        p, lanes = self.product, self.lanes
        short = min(p.k, lanes)
        ragged = p.n % lanes > 0
        f, new = self.function(f"columns{'r' * ragged}", p.b[1], self.width, self.size, f"k{short}")
        if not new:
            return f
        source, to, columns, depth = f.parameters

        def vector(first: Int, _: list[Value]) -> None:
            begin = f.at(source, f.mul_int(first, p.b[1]), p.element)
            panel, within = f.div_int(first, self.width), f.mod_int(first, self.width)
            into = f.at(to, f.add_int(f.mul_int(panel, self.size), within), p.element)
            # Beyond the last column it is copied again.
            last = f.sub_int(f.sub_int(columns, first), 1) if ragged else lanes
            offsets = [f.mul_int(f.min_int(last, c), p.b[1]) for c in range(lanes)]

            def block(k: Int, _: list[Value]) -> None:
                # The last block ends where k ends: it may copy some rows again.
                k = 0 if short < lanes else f.min_int(k, f.sub_int(depth, lanes))
                start = f.at(begin, k, p.element)
                end = f.at(into, f.mul_int(k, self.width), p.element)
                kind = p.element.vector(lanes)
                read = [f.load(f.at(start, offset, p.element), kind, self.mask(short)) for offset in offsets]
                for row, x in enumerate(transposed(f, read)[:short]):
                    f.store(x, f.at(end, row * self.width, p.element))

            f.loop(0, lanes if short < lanes else depth, lanes, block)

        f.loop(0, columns, lanes, vector)
        return f


class Stage(Copies):
    """Copies of rows of A whose columns are adjacent: a block after the other, each in the order of k.

    Args:
        product: whose A.
        rows: of the highest block.
        depth: steps of k that are copied at most; at least `STEPS`.
    """

    def __init__(
        self, product: Product, rows: int, depth: int, target: Target, code: dict[str, Function]
    ) -> None:
        super().__init__(product, target, code)
        self.step = -(-rows // 4) * 4
        # Whole vectors are written, also where a step is shorter: the next step overwrites what is beyond.
        line = 64 // product.dtype.itemsize
        self.size = (-(-(depth * self.step + 2 * self.lanes) // line) | 1) * line

    def copy(self, f: Function, source: Value, to: Value, rows: int, blocks: Int, depth: Int) -> None:
        """Copy blocks of ``rows`` rows; maybe none. ``source`` is at the first element of the first."""
        f.call(self._blocks(rows).name, [source, to, f.operand(blocks), f.operand(depth)])

    def _blocks(self, rows: int) -> Function:
        p = self.product
        f, new = self.function(f"stage{rows}", p.a[1], self.step, self.size)
        if not new:
            return f
        source, to, blocks, depth = f.parameters

        def steps(k: Int, _: list[Value]) -> None:
            k = f.min_int(k, f.sub_int(depth, STEPS))  # the last ones end where k ends
            begin = f.at(source, f.mul_int(k, p.a[1]), p.element)
            into = f.at(to, f.mul_int(k, self.step), p.element)

            def block(index: Int, _: list[Value]) -> None:
                start = f.at(begin, f.mul_int(index, rows), p.element)
                end = f.at(into, f.mul_int(index, self.size), p.element)
                for q in range(STEPS):
                    for r in range(0, rows, self.lanes):
                        kind = p.element.vector(self.lanes)
                        x = f.load(f.at(start, q * p.a[1] + r, p.element), kind, self.mask(rows - r))
                        f.store(x, f.at(end, q * self.step + r, p.element))

            f.loop(0, blocks, 1, block, may_be_empty=True)

        f.loop(0, depth, STEPS, steps)
        return f


def transposed(f: Function, rows: list[Value]) -> list[Value]:
    """Vectors of columns from as many vectors of rows as they have lanes.

    Blocks of 1, 2, 4, ... lanes change places between vectors that are as far apart.
    """
    lanes = rows[0].type.lanes
    vectors = rows
    distance = 1
    while distance < lanes:
        low = [i if not i & distance else lanes + (i ^ distance) for i in range(lanes)]
        high = [i | distance if not i & distance else lanes + i for i in range(lanes)]
        after = list(vectors)
        for i in range(lanes):
            if not i & distance:
                x, y = vectors[i], vectors[i | distance]
                after[i], after[i | distance] = f.shuffle(x, y, low), f.shuffle(x, y, high)
        vectors = after
        distance *= 2
    return vectors
