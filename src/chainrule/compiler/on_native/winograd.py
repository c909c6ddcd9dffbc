"""Convolutions with kernels of 3 × 3 and stride 1 by Winograd's minimal filtering.

Tiles of pixels, which overlap by two, are transformed (``Bᵀ d B``), and so are the weights (``G g Gᵀ``); for each
element of a tile the sums over channels are a product of matrices; its results are transformed back (``A m Aᵀ``). The
gradient for the kernel is the same with everything transposed (:mod:`chainrule.compiler.on_native.winograd_gradient`).
F(2 × 2) makes four results with 16 products for each pair of channels instead of 36, and F(2 × 4) eight with 24 instead
of 72, about as exactly as the direct sums; F(4 × 4) makes sixteen with 36 instead of 144, about twice less exactly
(:mod:`chainrule.compiler.on_native.winograd_filter`).

A task works on blocks of tiles that fit the L2 cache, in memory of its thread.

Source: Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016, arXiv:1509.09308.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from chainrule.compiler.memory import aligned
from chainrule.compiler.on_native.call import Call, Epilogue, Lowered, remembered
from chainrule.compiler.on_native.conv import Convolution, forward
from chainrule.compiler.on_native.conv_input_gradient import backward
from chainrule.compiler.on_native.direct import TASKS, Direct, cut
from chainrule.compiler.on_native.exact_sums import TileSums, exact
from chainrule.compiler.on_native.ir import I8, Function, Int, Value
from chainrule.compiler.on_native.kernel import LINE, Kernel, entry, next_task, operand, share
from chainrule.compiler.on_native.matmul.tile import Place, Tile, call_tile
from chainrule.compiler.on_native.once import run_once
from chainrule.compiler.on_native.panels import PackedWeights, Panels, Weights, parts
from chainrule.compiler.on_native.pool_ties import PoolEnd
from chainrule.compiler.on_native.prepacking import Packing
from chainrule.compiler.on_native.prologues import Prologue, prologue_operands
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.winograd_filter import F2, F24, FILTERS, TAPS, Filter, sandwich
from chainrule.compiler.on_native.winograd_tiles import (
    WORK,
    Block,
    Plan,
    area,
    panels_of,
)
from chainrule.primitive import Array

_CHANNELS = {"2x2": 32, "2x4": 8, "4x4": 16}
"""With fewer the transforms take longer than what they save."""
_IMAGES, _PAIRS = 3, 96
"""Of so few channels, as images have them, the transforms are worth it with so many pairs of channels."""
_GAIN = 1.6
"""How many products one must stand for, so that the transforms are worth it."""
_BETTER = 1.2
"""How much more a larger tile must save, whose transforms take longer and whose result is less exact."""
_TILES = 192
"""With fewer there is no work for several threads."""


_FEW, _MANY = 24, 48
"""Tiles of a block, at least about: so often is a transformed weight used that is read, from the L2 cache or not."""
_NEAR = 3 << 17
"""Elements of transformed weights that stay in the L2 cache."""


def applies(problem: Convolution) -> bool:
    """Whether a convolution can be computed in this way."""
    plain = problem.stride == problem.dilation == (1, 1) and problem.groups == 1
    return problem.kernel == (TAPS, TAPS) and plain


def suits(problem: Convolution, how: Filter, fewest: int = _TILES) -> bool:
    """Whether a convolution is faster for being computed in this way, if it has so many tiles."""
    windows = problem.windows
    few, many = sorted((problem.channels, problem.outputs))
    deep = few >= _CHANNELS[how.name] or (how is F24 and few >= _IMAGES and few * many >= _PAIRS)
    if not (applies(problem) and deep and problem.images * how.tiles(windows) >= fewest):
        return False
    smaller = [_BETTER * other.gain(windows) for other in FILTERS if other.planes < how.planes]
    return how.gain(windows) >= max([_GAIN, *smaller])


@remembered(Convolution.name)
def lower(problem: Convolution, target: Target, how: Filter = F2) -> Lowered:
    """As :func:`chainrule.compiler.on_native.conv.lower`, for convolutions to which it `applies`.

    If ``problem.packed``, "w" holds transformed weights, as :func:`packing` makes them.
    """
    return _lower(problem, forward(problem, target), "x", target, how)


@remembered(Convolution.name)
def lower_input_gradient(problem: Convolution, target: Target, how: Filter = F2) -> Lowered:
    """As :func:`chainrule.compiler.on_native.conv_input_gradient.lower_input_gradient`."""
    return _lower(problem, backward(problem, target), "g", target, how)


def packing(
    problem: Convolution, target: Target, how: Filter = F2, *, gradient: bool = False
) -> Packing | None:
    """How transformed weights lie, for the forward pass or for the gradient for the image; None on other machines."""
    d, weights = (backward if gradient else forward)(problem, target)
    if not target.runs_here:
        return None
    panels = panels_of(d.width, d.kind, target.isa)
    return Transformed(PackedWeights.of_sums(weights, panels), how, target)


@dataclass(frozen=True, slots=True)
class Transformed(Packing):
    """Weights that are packed, and then the same transformed: ``[plane][panel][depth][channels]``."""

    packed: PackedWeights
    how: Filter
    target: Target

    @property
    def nbytes(self) -> int:
        return self.packed.nbytes // (TAPS * TAPS) * (TAPS * TAPS + self.how.planes)

    def of(self, array: Array) -> Array:
        dtype = array.dtype
        found = aligned(self.nbytes).view(dtype)
        lowered = self.lower((), self.target)
        run_once(lowered, {"plain": np.ascontiguousarray(array), "packed": found}, self.target)
        return found

    def lower(self, strides: Sequence[int], target: Target, prologue: Prologue | None = None) -> Lowered:
        assert prologue is None  # no convolution takes one for its weights
        name = f"transform{self.how.name}_{self.packed.code}_{target.isa.name}"
        weights, panels = self.packed.weights, self.packed.panels
        pack = Call(weights.pack(panels, f"{name}_pack", target), ("plain", "packed"))
        transform = _transform(weights, panels, self.how, name, target)
        return Lowered((pack, Call(transform, ("packed", "packed"))))


def _lower(
    problem: Convolution, sums: tuple[Direct, Weights], source: str, target: Target, how: Filter
) -> Lowered:
    d, weights = sums
    if not d.images:
        return Lowered(())
    near = how.planes * d.depth * d.width <= _NEAR
    plan = Plan.of(d, how, target.isa, _FEW if near else _MANY)
    plan = replace(plan, computed=problem.prologue is not None)
    plain = weights.size(plan.panels)
    size = how.planes * d.depth * plan.panels.channels * plan.panels.count
    name = f"winograd{how.name}_{d.name}{'_packed' * problem.packed}"
    code = _Images(plan, target, name, epilogue=d.epilogue, asks=near, prologue=problem.prologue)
    kernel = code.kernel(plain)
    where = "w" if problem.packed else "workspace"
    pooled = problem.pool.operands[1:] if problem.pool else ()
    extra = (*problem.extra, *prologue_operands(problem.prologue), *pooled)
    call = Call(kernel, (source, where, "scratch", "y", *extra))
    itemsize = problem.dtype.itemsize
    scratch = plan.room(False) * itemsize
    if problem.packed:
        return Lowered((call,), 0, scratch)
    pack = weights.pack(plan.panels, f"{name}_pack", target)
    transform = _transform(weights, plan.panels, how, f"{name}_weights", target)
    calls = (Call(pack, ("w", "workspace")), Call(transform, ("workspace", "workspace")), call)
    return Lowered(calls, (plain + size) * itemsize, scratch)


@dataclass
class _Images(Block):
    """The kernel of a forward pass, or of a gradient for the image."""

    epilogue: Epilogue | None = None
    asks: bool = True
    prologue: Prologue | None = None

    def kernel(self, offset: int) -> Kernel:
        """Operands: source, weights, transformed ones from an offset on, scratch, result, the epilogue's, the
        prologue's, and what a pool stores beside its result."""
        p, d = self.plan, self.plan.d
        wanted = max(1, min(TASKS, d.products // WORK))
        items = p.images if p.cuts == 1 or d.whole else 0
        tasks = parts(p.blocks // p.cuts if items else p.blocks, wanted)
        f, operands, task = self.begin(2, p.pixels)
        x, w, self.y = (operand(f, operands, i) for i in (0, 1, 3))
        extra = range(4, 4 + (self.epilogue.operands if self.epilogue else 0))
        asked = extra.stop + len(d.asked)
        self.asked = [operand(f, operands, i) for i in range(extra.stop, asked)]
        pixels = x
        if self.prologue:
            pixels = self.prologue.reader(f, operands, asked, p.panels.lanes)
        ties = asked + (self.prologue.operands if self.prologue else 0)
        kept = d.pool.operands[1:] if d.pool else ()
        self.pooled = [self.y, *(operand(f, operands, ties + i) for i in range(len(kept)))]
        self.extra: Sequence[Value] = [operand(f, operands, i) for i in extra]
        if self.epilogue:
            self.extra = self.epilogue.prepare(f, self.extra, p.vector)
        self.pixels, self.weights = pixels, w
        self.room = f.stack(p.vector, math.prod(p.filter.outputs))
        weights = f.at(w, offset, d.kind)

        start, stop = share(f, task, p.blocks, tasks, p.cuts if items else 1)
        most = -(-p.images // (tasks * p.together)) * p.together  # images of a task
        self.ahead = next_task(f, self.thread, most) if self.asked else 0

        def block(_: Int, images: tuple[Int, Int], line: Int) -> None:
            self.planes(p.pixels, pixels, images, line, self.seen, p.above)
            f.loop(0, p.filter.planes, 1, lambda e, _: self.multiply(e, weights, images, line))
            self.result(images, line)

        first = f.mul_int(f.div_int(start, p.cuts), p.together)
        last = f.min_int(f.mul_int(f.div_int(stop, p.cuts), p.together), p.images)
        if self.epilogue and self.epilogue.sums:
            assert items  # of an image that several tasks make nobody would begin the sums
            self.each_sum(first, last, self.epilogue.clear)
        p.each_block(f, start, stop, block)
        if self.epilogue and self.epilogue.sums:
            self.each_sum(first, last, self.epilogue.close)
        f.ret()
        size = p.images * area(d.source) + p.filter.planes * d.depth * p.width
        # So many operations as the sums take that it stands for, so that rates can be compared.
        moved = size * d.kind.itemsize + d.stored
        return Kernel(
            self.name, [f, *self.functions.values()], tasks, 2 * d.products, moved, items, p.together
        )

    def each_sum(
        self,
        first: Int,
        last: Int,
        body: Callable[[Function, Sequence[Value], Int, Int, int, Value | None], None],
    ) -> None:
        """Begin or finish the sums of some images."""
        p, f = self.plan, self.f

        def image(n: Int, _: list[Value]) -> None:
            p.each_channel(f, p.d.width, lambda c, mask: body(f, self.extra, n, c, p.panels.lanes, mask))

        f.loop(first, last, 1, image, may_be_empty=True)

    def ask(self, position: Int, size: int, stop: int, images: tuple[Int, Int], line: Int) -> None:
        """Ask for a share of the cache lines that the block's results will be written to, while sums are computed.

        Args:
            position: of the sums among all of the block.
            size: how many come next.
            stop: how many the block has.
            images, line: of the block.
        """
        p, f, width = self.plan, self.f, self.plan.d.width
        rows, columns = p.rows.outputs, p.columns.outputs
        down = p.filter.down.outputs
        pixels = columns * (p.together * rows if p.cuts == 1 else p.lines * down)
        top = f.add_int(f.mul_int(images[0], rows), f.mul_int(line, down))
        top = f.mul_int(top, columns)

        def pixel(n: Int, _: list[Value]) -> None:
            row = f.min_int(f.add_int(top, n), p.images * rows * columns - 1)
            for c in range(0, width, p.whole(1)):
                if p.d.pool is None:  # of a pool's result there is little
                    f.prefetch(
                        f.at(self.y, f.add_int(f.mul_int(row, width), c), p.d.kind), write=True, locality=2
                    )
                if self.epilogue:
                    self.epilogue.prefetch(f, self.extra, row, c, 0)

        def part(whole: int) -> tuple[Int, Int]:
            first = f.div_int(f.mul_int(position, whole), stop)
            return first, f.div_int(f.mul_int(f.add_int(position, size), whole), stop)

        if p.d.pool is None or (self.epilogue and self.epilogue.reads):
            f.loop(*part(pixels), 1, pixel, may_be_empty=True)
        for array, item in zip(self.asked, p.d.asked, strict=True):
            image = f.mul_int(f.add_int(images[0], self.ahead), item)
            here = f.at(array, f.add_int(image, f.div_int(f.mul_int(line, item), p.down)), I8)
            block = item * p.together if p.cuts == 1 else item * p.lines // p.down
            f.loop(
                *part(-(-block // LINE)),
                1,
                lambda n, _, here=here: f.prefetch(f.at(here, f.mul_int(n, LINE), I8), locality=2),
                may_be_empty=True,
            )

    def multiply(self, e: Int, weights: Value, images: tuple[Int, Int], line: Int) -> None:
        """One plane of sums over channels of a block."""
        p, d, f = self.plan, self.plan.d, self.f
        seen = f.at(self.seen, f.mul_int(e, p.plane(p.above)), d.kind)
        sums = f.at(self.sums, f.mul_int(e, p.plane(p.below)), d.kind)
        w = f.at(weights, f.mul_int(e, d.depth * p.width), d.kind)

        every = p.filter.planes * p.panels.count * p.tiles

        def panel(number: Int, _: Int, channel: Int, ragged: bool) -> None:
            vectors, _mask = p.panels.shape(ragged)
            before = f.mul_int(f.add_int(f.mul_int(e, p.panels.count), number), p.tiles)
            b = f.at(w, f.mul_int(number, d.depth * p.panels.channels), d.kind)
            sizes = cut(p.tiles, vectors, self.target.isa)[0]
            first = 0
            for rows in sorted(set(sizes), reverse=True):
                tile = Tile(
                    rows,
                    vectors,
                    p.panels.lanes,
                    d.kind,
                    (p.above, 1),
                    p.panels.channels,
                    p.below,
                    True,
                    d.depth,
                    None,
                )

                def some(
                    t: Int, _: list[Value], tile: Tile = tile, b: Value = b, channel: Int = channel
                ) -> None:
                    if self.asks:
                        self.ask(f.add_int(before, t), tile.rows, every, images, line)
                    a = f.at(seen, f.mul_int(t, p.above), d.kind)
                    c = f.at(sums, f.add_int(f.mul_int(t, p.below), channel), d.kind)
                    call_tile(f, tile, Place(a, b, c), self.functions)

                last = first + rows * sizes.count(rows)
                f.loop(first, last, rows, some)
                first = last

        p.panels.sweep(f, 0, p.panels.count, panel)

    def result(self, images: tuple[Int, Int], line: Int) -> None:
        """Transform the sums of a block back, and write pixels."""
        p, f, (m, across) = self.plan, self.f, self.plan.filter.outputs
        ragged = p.columns.outputs % across
        full = p.columns.outputs // across
        lines = f.min_int(f.sub_int(p.down, line), p.lines)

        def row(n: Int, r: Int) -> None:
            place = f.mul_int(f.sub_int(n, images[0]), p.lines)
            t = f.mul_int(f.add_int(place, r), p.across)
            top = f.mul_int(f.add_int(line, r), m)
            f.loop(0, full, 1, lambda q, _: self.tile(f.add_int(t, q), n, top, q, across))
            if ragged:
                self.tile(f.add_int(t, full), n, top, full, ragged)

        def image(n: Int, _: list[Value]) -> None:
            f.loop(0, lines, 1, lambda r, _: row(n, r), may_be_empty=True)

        f.loop(*images, 1, image, may_be_empty=True)

    def tile(self, t: Int, image: Int, top: Int, column: Int, columns: int) -> None:
        """Write so many columns of a tile, and those of its rows that lie in the image."""
        p, f, kind, how = self.plan, self.f, self.plan.vector, self.plan.filter
        outputs, (m, across) = (p.rows.outputs, p.columns.outputs), how.outputs
        place = f.mul_int(f.add_int(f.mul_int(image, outputs[0]), top), outputs[1])
        place = f.add_int(place, f.mul_int(column, across))

        def channel(c: Int, mask: Value | None) -> None:
            start = f.at(self.sums, f.add_int(f.mul_int(t, p.below), c), kind)
            made: dict[tuple[int, int], Value] = {}

            def get(i: int, j: int) -> Value:
                return f.load(f.at(start, (how.across.size * i + j) * p.plane(p.below), kind), kind)

            def put(i: int, j: int, value: Value) -> None:
                made[i, j] = value

            def write(first: int, stop: int) -> None:
                done = {
                    (i, j): self.done(made[i, j], f.add_int(place, i * outputs[1] + j), c, mask)
                    for i, j in itertools.product(range(first, stop), range(columns))
                }
                if p.d.pool:
                    self.pool(p.d.pool, done, image, (top, f.mul_int(column, across)), c, mask)
                else:
                    for (i, j), value in done.items():
                        self.store(value, f.add_int(place, i * outputs[1] + j), c, mask)
                if self.epilogue and self.epilogue.sums:
                    self.epilogue.settle(f, self.extra, place, c, mask)

            sandwich(f, how.results, get, put)
            again = partial(self.again, image, top, column, c)
            made = dict(zip(made, exact(f, list(made.values()), self.room, again), strict=True))
            known = outputs[0] % m or m
            write(0, known)
            if known < m:
                f.when(f.less_int(f.add_int(top, known), f.operand(outputs[0])), lambda: write(known, m))

        p.each_channel(f, p.d.width, channel)

    def again(self, image: Int, top: Int, column: Int, channel: Int, results: Value) -> None:
        """Compute the results of a tile directly, of the channels from one on."""
        p, f, t, panels = self.plan, self.f, self.plan.pixels, self.plan.panels
        top = f.add_int(top, t.first[0])
        begin = f.mul_int(column, p.filter.outputs[1])
        left = f.add_int(begin, t.first[1])
        stage, x = p.stage(t), self.pixels
        pixel, width = (t.channels, stage.width) if stage else (t.whole, t.size[1])
        if stage:
            self.stage(t, stage, x, image, top)
            start = f.at(self.copies[t], f.mul_int(begin, pixel), p.d.kind)
        else:
            assert isinstance(x, Value)
            place = f.mul_int(f.add_int(f.mul_int(image, t.size[0]), top), width)
            start = f.at(x, f.mul_int(f.add_int(place, left), pixel), p.d.kind)
        panel, within = f.div_int(channel, panels.channels), f.mod_int(channel, panels.channels)
        w = f.at(self.weights, f.mul_int(panel, TAPS * TAPS * p.d.depth * panels.channels), p.d.kind)
        sums = TileSums(p.filter.outputs, t.size, width * pixel, pixel, p.d.depth, panels.channels, p.vector)
        made = sums.function(self.target)
        self.functions[made.name] = made
        place = [f.operand(n) for n in (top, left)]
        f.call(made.name, [start, *place, f.at(w, within, p.d.kind), results])

    def done(self, value: Value, row: Int, column: Int, mask: Value | None) -> Value | None:
        """What is stored of a result."""
        if self.epilogue:
            return self.epilogue.apply(self.f, self.extra, value, row, column, mask, 0)
        return value

    def store(self, value: Value | None, row: Int, column: Int, mask: Value | None) -> None:
        f, width = self.f, self.plan.d.width
        if value is not None:
            f.store(value, f.at(self.y, f.add_int(f.mul_int(row, width), column), value.type), mask)

    def pool(
        self,
        end: PoolEnd,
        done: dict[tuple[int, int], Value | None],
        image: Int,
        first: tuple[Int, Int],
        channel: Int,
        mask: Value | None,
    ) -> None:
        """Pool the results of a tile, whose first one is that of a pixel of an image."""
        f, d, size = self.f, self.plan.d, end.size
        rows, columns = (n // s for n, s in zip(d.result, size, strict=False))
        values = {place: value for place, value in done.items() if value is not None}
        for i, j in values:
            if i % size[0] or j % size[1]:
                continue
            window = [values[i + r, j + c] for r in range(size[0]) for c in range(size[1])]
            row = f.add_int(f.div_int(first[0], size[0]), i // size[0])
            column = f.add_int(f.div_int(first[1], size[1]), j // size[1])
            place = f.add_int(f.mul_int(f.add_int(f.mul_int(image, rows), row), columns), column)
            at = f.add_int(f.mul_int(place, d.width), channel)
            end.store(f, window, self.pooled, at, mask)


def _transform(w: Weights, panels: Panels, how: Filter, name: str, target: Target) -> Kernel:
    """Transform packed weights, which follow each other as ``[panel][tap][depth][channels]``.

    Operands: these, and what the results are written to, after as many elements.
    """
    kind = w.kind.vector(panels.lanes)
    line = w.depth * panels.channels
    vectors = line // panels.lanes * panels.count
    tasks = parts(vectors, max(1, min(TASKS, vectors >> 8)))
    f, operands, task, _ = entry(name, target)
    packed, result = operand(f, operands, 0), f.at(operand(f, operands, 1), w.size(panels), w.kind)

    def one(i: Int, _: list[Value]) -> None:
        at = f.mul_int(i, panels.lanes)
        panel, place = f.div_int(at, line), f.mod_int(at, line)
        start = f.at(packed, f.add_int(f.mul_int(panel, TAPS * TAPS * line), place), w.kind)
        to = f.at(result, at, w.kind)

        def get(a: int, b: int) -> Value:
            return f.load(f.at(start, (TAPS * a + b) * line, kind), kind)

        def put(a: int, b: int, value: Value) -> None:
            f.store(value, f.at(to, (how.across.size * a + b) * line * panels.count, kind))

        sandwich(f, how.weights, get, put)

    f.loop(*share(f, task, vectors, tasks), 1, one, may_be_empty=True)
    f.ret()
    moved = (TAPS * TAPS + how.planes) * line * panels.count
    return Kernel(name, [f], tasks, 0, moved * w.kind.itemsize)
