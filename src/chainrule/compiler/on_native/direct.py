"""Sums over windows of products with a kernel: what a convolution and its gradient for the image have in common.

A tile is a few pixels of one row of the result times a few vectors of channels, held in registers; each element of
the source is broadcast to all lanes and meets a vector of weights. Products with places outside the source are left
out: tiles at the edges have code of their own, so no padded copy is made. With one channel in each group
("depthwise") vectors of the source take the place of broadcast elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chainrule.compiler.on_native.axis import Axis, Reach, Tiles, even, tiles
from chainrule.compiler.on_native.call import Epilogue
from chainrule.compiler.on_native.ir import I8, I64, PTR, Function, Int, Type, Value, number
from chainrule.compiler.on_native.kernel import LINE, Kernel, entry, next_task, operand, share
from chainrule.compiler.on_native.panels import Panels, Weights, parts
from chainrule.compiler.on_native.pool_ties import PooledRows, PoolEnd
from chainrule.compiler.on_native.target import InstructionSet, Target
from chainrule.shapes import count

TASKS = 128
"""Most pieces that a kernel is cut into: enough for the cores of a large machine."""
_WORK = 1 << 18
"""Fewest multiplications in a piece, some microseconds."""
_LARGE = 1 << 19
"""Bytes of weights from which on a piece keeps to some channels, so that its weights stay in the L2 cache."""
_UNROLLED = 32
"""Most products in the body of an inner loop."""


@dataclass(frozen=True, slots=True)
class Direct:
    """One such computation.

    Attributes:
        name: of the kernel; says everything.
        images: how many.
        rows, columns: classes of windows; every pair of them is swept.
        source, result: rows, columns and channels of an image.
        groups, depth, width: groups of channels, and channels of source and result in one.
        depthwise: each channel of the source meets its own weights.
        products: multiplications in all.
        kind: element type.
        epilogue: finishes results.
        whole: whether tasks had better make whole images.
        asked: bytes of an item of each array that is read ahead of the tasks.
        pool: takes the results.
    """

    name: str
    images: int
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    source: tuple[int, int, int]
    result: tuple[int, int, int]
    groups: int
    depth: int
    width: int
    depthwise: bool
    products: int
    kind: Type
    epilogue: Epilogue | None
    whole: bool = False
    asked: tuple[int, ...] = ()
    pool: PoolEnd | None = None

    @property
    def classes(self) -> tuple[tuple[Axis, Axis], ...]:
        """Every pair of rows and columns."""
        return tuple((r, c) for r in self.rows for c in self.columns)

    def panels(self, isa: InstructionSet) -> Panels:
        """The panels of channels that take the fewest cycles."""
        lanes = isa.lanes(self.kind.itemsize)
        choices = [
            Panels(lanes, vectors, self.groups, self.width)
            for vectors in range(1, min(4, -(-self.width // lanes)) + 1)
        ]

        def cost(panels: Panels) -> float:
            rows = [cut(c.outputs, panels.vectors, isa, self.depthwise)[1] for c in self.columns]
            return sum(rows) * panels.count

        return min(choices, key=cost)

    def kernel(self, weights: Weights, target: Target) -> Kernel:
        """Its operands are the source, packed weights, the result, the epilogue's, and what is asked for; with a pool
        scratch memory, and what is stored next to its result."""
        return _Sweep(self, weights, target).kernel()

    def room(self, panels: Panels) -> int:
        """Elements of a thread's memory: the rows of a window, of the channels of a panel."""
        return self.pool.size[0] * self.result[1] * panels.channels if self.pool else 0

    @property
    def together(self) -> int:
        """Rows of the result that are made together."""
        return self.pool.size[0] if self.pool else 1

    @property
    def stored(self) -> int:
        """Bytes of all results."""
        elements = self.images * _area(self.result)
        if self.pool is None:
            return elements * self.kind.itemsize
        return elements // count(self.pool.size) * (self.kind.itemsize + self.pool.keeps[1])


def cycles(rows: int, vectors: int, loads: int) -> float:
    """About how long one step of a tile takes: its products, its loads, or the latency of a product."""
    return max(rows * vectors / 2, loads / 2, 4.0)


def most_rows(isa: InstructionSet, vectors: int) -> int:
    """The most rows of a tile whose sums stay in registers, beside a vector of each operand."""
    others = vectors + (1 if isa.fma else 2)
    return min(16, (isa.registers - others) // vectors)


def cut(total: int, vectors: int, isa: InstructionSet, depthwise: bool = False) -> tuple[list[int], float]:
    """Cut a row of pixels into tiles, preferably of one size, which means less code; also what a step costs."""

    def cost(sizes: list[int]) -> float:
        loads = [(n + 1) * vectors if depthwise else n + vectors for n in sizes]
        steps = sum(cycles(n, vectors, m) + 0.4 for n, m in zip(sizes, loads, strict=True))
        return steps * (1 + 0.02 * len(set(sizes)))

    choices = [even(total, largest) for largest in range(most_rows(isa, vectors), 0, -1)]
    sizes = min(choices, key=cost)
    return sizes, cost(sizes)


@dataclass(slots=True)
class _Sweep:
    """The code that goes over all tiles."""

    d: Direct
    weights: Weights
    target: Target
    panels: Panels = field(init=False)
    functions: list[Function] = field(init=False, default_factory=list[Function])
    names: dict[object, str] = field(init=False, default_factory=dict[object, str])

    def __post_init__(self) -> None:
        self.panels = self.d.panels(self.target.isa)

    def kernel(self) -> Kernel:
        d, panels = self.d, self.panels
        images, rows, channels = self.blocks()
        f, operands, task, thread = entry(d.name, self.target)
        packed = operand(f, operands, 1)
        batch = share(f, f.div_int(task, rows * channels), d.images, images)
        chosen = share(f, f.mod_int(task, channels), panels.count, channels)
        block = f.mod_int(f.div_int(task, channels), rows)
        if d.epilogue and d.epilogue.sums:
            assert rows == 1  # of an image that several tasks make nobody would begin the sums
            self.each_sum(f, operands, batch, chosen, d.epilogue.clear)
        each = -(-d.images // images) * d.result[0] * d.result[1]
        ahead = next_task(f, thread, each) if d.asked else 0
        pooled = self.pooled(f, operands, thread) if d.pool else None
        for axes in d.classes:
            lines = share(f, block, axes[0].outputs // d.together, rows)
            code = _Class(self, f, operands, axes, packed, batch, lines, ahead, pooled)
            panels.sweep(f, *chosen, code.panel)
            packed = f.at(packed, self.weights.block(panels, axes) * panels.count, d.kind)
        if d.epilogue and d.epilogue.sums:
            self.each_sum(f, operands, batch, chosen, d.epilogue.close)
        f.ret()
        elements = self.weights.size(panels) + d.images * _area(d.source)
        return Kernel(
            d.name,
            [f, *self.functions],
            images * rows * channels,
            2 * d.products,
            elements * d.kind.itemsize + d.stored,
            d.images if rows == channels == 1 else 0,
        )

    def pooled(self, f: Function, operands: Value, thread: Value) -> PooledRows:
        """Where the rows of a window wait for the pool, and what it writes."""
        d, first = self.d, 3 + (self.d.epilogue.operands if self.d.epilogue else 0) + len(self.d.asked)
        room = f.at(operand(f, operands, first), f.mul_int(thread, d.room(self.panels)), d.kind)
        assert d.pool is not None
        results = [2, *range(first + 1, first + len(d.pool.operands))]
        return PooledRows(d.pool, room, [operand(f, operands, i) for i in results], d.kind, d.result)

    def each_sum(
        self,
        f: Function,
        operands: Value,
        images: tuple[Int, Int],
        panels: tuple[Int, Int],
        body: Callable[[Function, Sequence[Value], Int, Int, int, Value | None], None],
    ) -> None:
        """Begin or finish the sums of a task's images and channels."""
        epilogue, lanes = self.d.epilogue, self.panels.lanes
        assert epilogue is not None
        extra: Sequence[Value] = [operand(f, operands, 3 + i) for i in range(epilogue.operands)]
        extra = epilogue.prepare(f, extra, self.d.kind.vector(lanes))

        def image(n: Int, _: list[Value]) -> None:
            def panel(number: Int, group: Int, channel: Int, ragged: bool) -> None:
                vectors, mask = self.panels.shape(ragged)
                for v in range(vectors):
                    column = f.add_int(channel, v * lanes)
                    body(f, extra, n, column, lanes, mask if v == vectors - 1 else None)

            self.panels.sweep(f, *panels, panel)

        f.loop(*images, 1, image, may_be_empty=True)

    def blocks(self) -> tuple[int, int, int]:
        """How many parts images, rows and panels are cut into."""
        d, panels = self.d, self.panels
        wanted = max(1, min(TASKS, d.products // _WORK))
        large = self.weights.size(panels) * d.kind.itemsize > _LARGE
        if d.whole:
            return parts(d.images, wanted), 1, parts(panels.count, wanted) if large else 1
        channels = parts(panels.count, wanted) if large else 1
        images = parts(d.images, -(-wanted // channels))
        rows = parts(max(r.outputs for r in d.rows) // d.together, wanted // (channels * images))
        if not large:
            channels = parts(panels.count, wanted // (images * rows))
        return images, rows, channels


@dataclass(slots=True)
class _Class:
    """The code for one class of windows."""

    sweep: _Sweep
    f: Function
    operands: Value
    axes: tuple[Axis, Axis]
    packed: Value
    images: tuple[Int, Int]
    lines: tuple[Int, Int]
    ahead: Int
    pooled: PooledRows | None

    def panel(self, panel: Int, group: Int, channel: Int, ragged: bool) -> None:
        f, d = self.f, self.sweep.d
        x = operand(f, self.operands, 0)
        size = self.sweep.weights.block(self.sweep.panels, self.axes)
        w = f.at(self.packed, f.mul_int(panel, size), d.kind)
        part = channel if d.depthwise else f.mul_int(group, d.depth)

        def together(n: Int, m: Int) -> None:
            for r in range(d.together):
                self.line(x, w, n, f.add_int(f.mul_int(m, d.together), r), part, channel, ragged, r)
            if self.pooled:
                self.pooled.windows(f, self.sweep.panels, n, m, channel, ragged)

        def image(n: Int, _: list[Value]) -> None:
            f.loop(*self.lines, 1, lambda m, _: together(n, m), may_be_empty=True)

        f.loop(*self.images, 1, image, may_be_empty=True)

    def line(
        self, x: Value, w: Value, n: Int, m: Int, part: Int, channel: Int, ragged: bool, number: int
    ) -> None:
        """One row of the result; ``number`` among those that are made together."""
        f, d = self.f, self.sweep.d
        rows, columns = self.axes
        seen = rows.window(f, m)
        place = f.add_int(f.mul_int(m, rows.stride), rows.first)
        start = f.mul_int(f.add_int(f.mul_int(n, d.source[0]), place), d.source[1] * d.source[2])
        start = f.add_int(f.add_int(start, part), columns.first * d.source[2])
        line = f.add_int(rows.start, f.mul_int(m, rows.step))
        line = f.mul_int(f.add_int(f.mul_int(n, d.result[0]), line), d.result[1])

        def tile(run: Tiles, name: str, q: Int) -> None:
            pixel = f.add_int(run.start, f.mul_int(q, run.size))
            offset = f.add_int(start, f.mul_int(pixel, columns.stride * d.source[2]))
            row = f.add_int(line, f.add_int(columns.start, f.mul_int(pixel, columns.step)))
            numbers = [f.operand(z) for z in (offset, *seen, row, channel, self.ahead)]
            kept: list[Value] = []
            if self.pooled:
                place = f.mul_int(f.add_int(number * d.result[1], pixel), self.sweep.panels.channels)
                kept = [f.at(self.pooled.room, place, d.kind)]
            f.call(name, [x, w, self.operands, *numbers, *kept])

        for name, run in self.runs(ragged):
            f.loop(0, run.count, 1, lambda q, _, run=run, name=name: tile(run, name, q))

    def runs(self, ragged: bool) -> list[tuple[str, Tiles]]:
        """The tiles of a row, and the functions that compute them."""
        sweep, (rows, columns) = self.sweep, self.axes
        sizes, _ = cut(columns.outputs, sweep.panels.vectors, sweep.target.isa, sweep.d.depthwise)
        found: list[tuple[str, Tiles]] = []
        for run in tiles(columns, sizes):
            alike = (
                bool(rows.taps),
                rows.gap,
                columns.stride,
                columns.gap,
                columns.step,
                len(columns.taps),
                run.size,
                run.reaches,
            )
            name = sweep.names.get((*alike, ragged))
            if name is None:
                name = f"{sweep.d.name}_tile{len(sweep.names)}"
                sweep.names[*alike, ragged] = name
                sweep.functions.append(_Tile(sweep, self.axes, run, ragged, name).function)
            found.append((name, run))
        return found


class _Tile:
    """The function for a tile: all taps and channels of the windows of a few pixels.

    Its parameters: source, packed weights of the panel, table of operands; offset in the source of the place that
    the first tap of the first pixel sees; taps of the rows that lie inside, from and to; row and column of the
    result, seen as a matrix; rows from there to those that the thread will probably make next; with a pool, where the
    results wait for it.
    """

    def __init__(self, sweep: _Sweep, axes: tuple[Axis, Axis], run: Tiles, ragged: bool, name: str) -> None:
        self.d, self.panels, self.run = sweep.d, sweep.panels, run
        self.rows, self.columns = axes
        self.vectors, self.mask = self.panels.shape(ragged)
        self.kind = self.d.kind.vector(self.panels.lanes)
        names = ("x", "w", "operands", "offset", "first", "stop", "row", "column", "ahead")
        kinds = (PTR, PTR, PTR, *(I64,) * 6)
        parameters = [(f"%{n}", k) for n, k in zip(names, kinds, strict=True)]
        parameters += [("%kept", PTR)] if self.d.pool else []
        self.function = Function(name, parameters, sweep.target, exported=False)
        self.write()

    def write(self) -> None:
        f, d, run = self.function, self.d, self.run
        x, w, operands, offset, first, stop, row, channel, ahead, *kept = f.parameters
        sums = [number(self.kind, 0.0)] * (run.size * self.vectors)

        def line(r: Int, sums: list[Value]) -> list[Value]:
            start = f.add_int(offset, f.mul_int(r, self.rows.gap * d.source[1] * d.source[2]))
            weights = f.at(w, f.mul_int(r, len(self.columns.taps) * d.depth * self.panels.channels), d.kind)
            self.prefetch(operands, r, row, channel)
            self.ask(operands, r, f.add_int(row, ahead))
            for reach in run.reaches:
                sums = self.reach(reach, x, start, weights, sums)
            return sums

        if run.reaches and self.rows.taps and d.depth:
            # Several classes may share the tile; a single one knows its rows if none is ever outside.
            known = len(d.rows) == 1 and self.rows.all_inside
            bounds: tuple[Int, Int] = (0, len(self.rows.taps)) if known else (first, stop)
            sums = f.loop(*bounds, 1, line, sums, may_be_empty=any(r.may_be_blind for r in d.rows))
        self.store(operands, sums, row, channel, *kept)

    def reach(self, reach: Reach, x: Value, start: Int, w: Value, sums: list[Value]) -> list[Value]:
        """The products of some taps of one row of the kernel."""
        f, d, size = self.function, self.d, self.panels.channels
        # Counted from the first pixel that sees something: no address lies before the image.
        x = f.at(x, f.add_int(start, self.place(reach.low, reach.first)), d.kind)
        w = f.at(w, reach.first * d.depth * size, d.kind)
        taps = reach.stop - reach.first
        if d.depthwise:
            return self.along(reach, x, self.place(0, 1), w, taps, sums)
        if (
            self.columns.gap == 1 and d.depth == d.source[2]
        ):  # the channels of neighbouring taps are neighbours
            return self.along(reach, x, 1, w, taps * d.depth, sums)

        def tap(k: Int, sums: list[Value]) -> list[Value]:
            weights = f.at(w, f.mul_int(k, d.depth * size), d.kind)
            return self.along(
                reach, f.at(x, f.mul_int(k, self.place(0, 1)), d.kind), 1, weights, d.depth, sums
            )

        return f.loop(0, taps, 1, tap, sums)

    def place(self, pixel: int, tap: int) -> int:
        """Offset of what a pixel of the tile sees, from what its first pixel's first tap does."""
        return (pixel * self.columns.stride + tap * self.columns.gap) * self.d.source[2]

    def along(
        self, reach: Reach, x: Value, step: int, w: Value, length: int, sums: list[Value]
    ) -> list[Value]:
        """A number of products for each pixel; ``step`` leads from one element of the source to the next."""
        f, size = self.function, self.panels.channels
        most = max(1, _UNROLLED // ((reach.high - reach.low) * self.vectors))
        unroll = max(u for u in (1, 2, 3, 4) if u <= most and length % u == 0)

        def turn(i: Int, sums: list[Value]) -> list[Value]:
            image = f.at(x, f.mul_int(i, step), self.kind)
            weights = f.at(w, f.mul_int(i, size), self.kind)
            for u in range(unroll):
                here, to = f.at(image, u * step, self.kind), f.at(weights, u * size, self.kind)
                sums = self.products(reach, here, to, sums)
            return sums

        return f.loop(0, length, unroll, turn, sums)

    def products(self, reach: Reach, x: Value, w: Value, sums: list[Value]) -> list[Value]:
        f, out, kind = self.function, list(sums), self.kind
        places = [v * self.panels.lanes for v in range(self.vectors)]
        weights = [f.load(f.at(w, p, kind), kind) for p in places]
        for pixel in range(reach.low, reach.high):
            here = f.at(x, self.place(pixel - reach.low, 0), kind)
            if self.d.depthwise:
                masks = [*[None] * (self.vectors - 1), self.mask]
                seen = [f.load(f.at(here, p, kind), kind, m) for p, m in zip(places, masks, strict=True)]
            else:
                seen = [f.load_splat(here, kind)] * self.vectors
            for v in range(self.vectors):
                n = pixel * self.vectors + v
                out[n] = f.fma(seen[v], weights[v], out[n])
        return out

    def prefetch(self, operands: Value, r: Int, row: Int, channel: Int) -> None:
        """Ask for a share of what the epilogue will read, so that it is there when the sums are.

        Not for all at once: what the sums themselves read would have to wait.
        """
        f, epilogue = self.function, self.d.epilogue
        if epilogue is None or not epilogue.reads:
            return
        extra = [operand(f, operands, 3 + i) for i in range(epilogue.operands)]
        share = -(-self.run.size // len(self.rows.taps))
        for i in range(share):
            pixel = f.add_int(f.mul_int(r, share), i)
            here = f.add_int(row, f.mul_int(pixel, self.columns.step))
            for column in range(0, self.panels.channels, LINE // self.d.kind.itemsize):
                epilogue.prefetch(f, extra, here, f.add_int(channel, column), 0)

    def ask(self, operands: Value, r: Int, row: Int) -> None:
        """Ask for a share of what is read ahead of the task that makes a row."""
        f, d, taps = self.function, self.d, len(self.rows.taps)
        first = 3 + (d.epilogue.operands if d.epilogue else 0)
        pixels = d.result[0] * d.result[1]
        if taps == 1 or len(d.classes) > 1 or self.panels.count > 1:
            return  # that would be too much at once, or the same again
        for i, size in enumerate(d.asked):
            lines = -(-self.run.size * size // (pixels * taps * LINE))
            start = f.div_int(f.mul_int(row, size), pixels)
            start = f.add_int(start, f.mul_int(r, lines * LINE))
            here = f.at(operand(f, operands, first + i), start, I8)
            for n in range(lines):
                f.prefetch(f.at(here, n * LINE, I8), locality=2)

    def store(
        self, operands: Value, sums: Sequence[Value], row: Int, channel: Int, kept: Value | None = None
    ) -> None:
        f, d = self.function, self.d
        y = operand(f, operands, 2)
        extra: Sequence[Value] = ()
        if d.epilogue:
            extra = [operand(f, operands, 3 + i) for i in range(d.epilogue.operands)]
            extra = d.epilogue.prepare(f, extra, sums[0].type)
        places = [f.add_int(channel, v * self.panels.lanes) for v in range(self.vectors)]
        masks = [*[None] * (self.vectors - 1), self.mask]

        for pixel in range(self.run.size):
            here = f.add_int(row, pixel * self.columns.step)
            start = f.mul_int(here, d.result[2])
            results = sums[pixel * self.vectors : (pixel + 1) * self.vectors]
            for v, (result, column, mask) in enumerate(zip(results, places, masks, strict=True)):
                done: Value | None = result
                if d.epilogue:
                    done = d.epilogue.apply(f, extra, result, here, column, mask, 0)
                if kept is not None:
                    assert done is not None  # what is pooled is what is given
                    place = pixel * self.panels.channels + v * self.panels.lanes
                    f.store(done, f.at(kept, place, self.kind))
                elif done is not None:
                    f.store(done, f.at(y, f.add_int(start, column), self.kind), mask)
        for column, mask in zip(places, masks, strict=True):
            if d.epilogue and d.epilogue.sums:
                d.epilogue.settle(f, extra, row, column, mask)


def _area(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]
