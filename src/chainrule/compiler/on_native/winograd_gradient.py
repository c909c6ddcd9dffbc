"""The gradient for the kernel by Winograd's minimal filtering (:mod:`chainrule.compiler.on_native.winograd`).

The transposed computation: tiles of the image are transformed by ``Bᵀ d B`` as before, tiles of the gradient upstream
by ``Aᵀ g A``; their products, summed over tiles, become weights by ``Gᵀ u G``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from chainrule.compiler.on_native import winograd
from chainrule.compiler.on_native.call import Call, epilogue_operands, remembered
from chainrule.compiler.on_native.conv import Convolution, forward
from chainrule.compiler.on_native.direct import TASKS, cut
from chainrule.compiler.on_native.exact_sums import KernelSums, exact
from chainrule.compiler.on_native.ir import Function, Int, Value, number
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.outer import Asking, Outer
from chainrule.compiler.on_native.panels import parts
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.winograd_filter import F2, TAPS, Filter, both_turned, sandwich
from chainrule.compiler.on_native.winograd_tiles import (
    WORK,
    Block,
    Plan,
    area,
)

_CHANNELS = 8
"""With fewer the direct sums are as fast, and spread the gradient of a pool as they read it."""
_FEWEST = 48
"""With fewer tiles there is no work for several threads."""
_TILES = 64
"""Tiles of a block, at least about: a product that is as long is worth reading and writing its sums."""
_SUMS = 1 << 18
"""Elements of the sums of a task: they should stay in the L2 cache."""


def suits(problem: Convolution, how: Filter) -> bool:
    """Whether the gradient for the kernel is faster for being computed in this way."""
    few = min(problem.channels, problem.outputs) < _CHANNELS
    return not few and winograd.suits(problem, how, _FEWEST)


@remembered(Convolution.name)
def lower_weight_gradient(problem: Convolution, target: Target, how: Filter = F2) -> Lowered:
    """As :func:`chainrule.compiler.on_native.conv_gradient.lower_weight_gradient`.

    For all to which :func:`chainrule.compiler.on_native.winograd.applies`.
    """
    d, _ = forward(problem, target)
    plan = Plan.of(d, how, target.isa, _TILES, math.isqrt(_SUMS // how.planes))
    sums = how.planes * d.depth * plan.width
    shares = d.depth // plan.deep * plan.sections
    read = plan.images * (area(d.source) + area(d.result))
    wanted = min(8, max(4, read // (2 * sums)), max(1, d.products // (4 * WORK)))
    count = parts(plan.blocks, -(-wanted // shares))
    name = problem.symbol(f"winograd{how.name}_weight_gradient", target, finished=False)
    kernel = _Weights(plan, target, name).kernel(count, sums)
    finish = _finish(plan, problem, count, sums, target)
    calls = (
        Call(kernel, ("x", "g", "workspace", "scratch")),
        Call(finish, ("workspace", "y", "x", "g", *epilogue_operands(problem.epilogue))),
    )
    itemsize = problem.dtype.itemsize
    return Lowered(calls, count * sums * itemsize, plan.room(True) * itemsize)


@dataclass
class _Weights(Block):
    """The kernel of a gradient for the kernel: sums for each part, as ``[part][plane][panel][depth][channels]``.

    A task has some channels of the images, some of the gradient upstream, and a part of the blocks.
    """

    begun: Value = field(init=False)  # whether a block before this one has begun the sums

    def kernel(self, count: int, size: int) -> Kernel:
        """Operands: images, gradient upstream, workspace, scratch."""
        p, d = self.plan, self.plan.d
        f, operands, task = self.begin(3, p.pixels, p.upstream)
        x, g, sums = (operand(f, operands, i) for i in range(3))
        lots = d.depth // p.deep
        turn, s = f.div_int(task, lots * p.sections), f.mod_int(f.div_int(task, lots), p.sections)
        first = f.mul_int(f.mod_int(task, lots), p.deep)
        part = f.at(sums, f.mul_int(turn, size), d.kind)
        x, g = f.at(x, first, d.kind), f.at(g, f.mul_int(s, p.wide), d.kind)
        blocks = share(f, turn, p.blocks, count)

        def block(b: Int, images: tuple[Int, Int], line: Int) -> None:
            self.begun = f.less_int(blocks[0], b)
            self.planes(p.pixels, x, images, line, self.seen, p.above)
            self.planes(p.upstream, g, images, line, self.sums, p.below)
            lines = f.min_int(f.sub_int(p.down, line), p.lines)
            tiles = f.mul_int(f.mul_int(f.sub_int(images[1], images[0]), lines), p.across)
            later = self.later(x, g, images, line)
            f.loop(
                0,
                p.filter.planes,
                1,
                lambda e, _: self.multiply(e, self.part(part, e), first, s, tiles, later),
            )

        if p.blocks:
            p.each_block(f, *blocks, block)
        else:
            f.loop(0, p.filter.planes, 1, lambda e, _: self.clear(self.part(part, e), first, s))
        f.ret()
        moved = p.images * (area(d.source) + area(d.result)) + count * size
        tasks = count * lots * p.sections
        return Kernel(
            self.name, [f, *self.functions.values()], tasks, 2 * d.products, moved * d.kind.itemsize
        )

    def part(self, sums: Value, e: Int) -> Value:
        """The sums of a plane."""
        return self.f.at(sums, self.f.mul_int(e, self.plan.d.depth * self.plan.width), self.plan.d.kind)

    def clear(self, sums: Value, first: Int, s: Int) -> None:
        """Zeros for the channels of a task."""
        p, f, kind = self.plan, self.f, self.plan.vector

        def panel(at: Int, _: list[Value]) -> None:
            row = f.add_int(f.mul_int(at, p.d.depth), first)
            start = f.at(sums, f.mul_int(row, p.panels.channels), kind)
            size = p.deep * p.panels.channels
            f.loop(0, size, p.panels.lanes, lambda i, _: f.store(number(kind, 0.0), f.at(start, i, kind)))

        f.loop(*p.section(f, s), 1, panel)

    def later(self, x: Value, g: Value, images: tuple[Int, Int], line: Int) -> tuple[Value, Value]:
        """Where what the next block reads begins."""
        p, f = self.plan, self.f
        found: list[Value] = []
        for array, shape in ((x, p.d.source), (g, p.d.result)):
            place = f.mul_int(images[1], area(shape))
            if p.cuts > 1:
                part = f.mul_int(f.add_int(line, p.lines), area(shape))
                place = f.add_int(f.mul_int(images[0], area(shape)), f.div_int(part, p.down))
            found.append(f.at(array, place, p.d.kind))
        return found[0], found[1]

    @property
    def asking(self) -> Asking:
        """How the tiles of a block ask for the next one."""
        p = self.plan
        sizes = [area(shape) * p.together * p.d.kind.itemsize // p.cuts for shape in (p.d.source, p.d.result)]
        alone = p.deep == p.d.depth and p.sections == 1  # else several tasks would ask for the same
        each = len(cut(p.deep, p.panels.vectors, self.target.isa)[0])
        tiles = p.filter.planes * p.panels.count * each if alone and p.panels.full == p.panels.count else 0
        return Asking((sizes[0], sizes[1]), tiles, p.tiles)

    def multiply(
        self, e: Int, sums: Value, first: Int, s: Int, tiles: Int, later: tuple[Value, Value]
    ) -> None:
        """Add the products of a plane of the images and one of the gradient."""
        p, d, f = self.plan, self.plan.d, self.f
        seen = f.at(self.seen, f.mul_int(e, p.plane(p.above)), d.kind)
        upstream = f.at(self.sums, f.mul_int(e, p.plane(p.below)), d.kind)
        counts = [f.operand(n) for n in (1, 1, tiles)]

        def panel(at: Int, _: Int, channel: Int, ragged: bool) -> None:
            vectors, _mask = p.panels.shape(ragged)
            row = f.add_int(f.mul_int(at, d.depth), first)
            to = f.at(sums, f.mul_int(row, p.panels.channels), d.kind)
            g = f.at(upstream, f.sub_int(channel, f.mul_int(s, p.wide)), d.kind)
            sizes = cut(p.deep, vectors, self.target.isa)[0]
            panels = f.add_int(f.mul_int(e, p.panels.count), at)
            begin, each = 0, len(sizes)
            for rows in sorted(set(sizes), reverse=True):
                name = self.tile(rows, vectors, ragged)

                def some(c: Int, _: list[Value], name: str = name) -> None:
                    here = f.at(to, f.mul_int(c, p.panels.channels), d.kind)
                    done = f.add_int(f.mul_int(panels, each), f.div_int(f.mul_int(c, each), p.deep))
                    asked = self.asking.asked(f, done, *later)
                    f.call(name, [seen, g, here, asked, f.operand(c), *counts, self.begun])

                end = begin + rows * sizes.count(rows)
                f.loop(begin, end, rows, some)
                begin = end

        p.panels.sweep(f, *p.section(f, s), panel)

    def tile(self, rows: int, vectors: int, ragged: bool) -> str:
        """The function for the sums of some channels of the images and a panel."""
        p = self.plan
        name = f"{self.name}_tile{rows}{'r' * ragged}"
        if name not in self.functions:
            outer = Outer(
                tuple(range(rows)),
                vectors,
                None,
                p.vector,
                (0, 0, p.above),
                (0, 0, p.below),
                p.panels.channels,
                asks=self.asking.step,
            )
            self.functions[name] = outer.function(name, self.target)
        return name


def _finish(p: Plan, problem: Convolution, count: int, size: int, target: Target) -> Kernel:
    """Add the parts in order and transform them back.

    Operands: workspace, result, images, gradient upstream, those of the epilogue.
    """
    d, kind, epilogue = p.d, p.vector, problem.epilogue
    name = problem.symbol(f"winograd{p.filter.name}_weight_gradient_sum", target)
    tasks = parts(d.depth, max(1, min(TASKS, count * size >> 14)))
    f, operands, task, _ = entry(name, target)
    sums, y, x, g = (operand(f, operands, i) for i in range(4))
    room = f.stack(kind, TAPS * TAPS)
    functions: dict[str, Function] = {}
    extra: Sequence[Value] = ()
    if epilogue:
        extra = epilogue.prepare(f, [operand(f, operands, 4 + i) for i in range(epilogue.operands)], kind)

    def total(start: Value) -> Value:
        out = f.load(start, kind)
        for n in range(1, count):
            out = f.add(out, f.load(f.at(start, n * size, kind), kind))
        return out

    def one(number: Int, depth: Int, v: int, channel: Int, mask: Value | None) -> None:
        place = f.mul_int(f.add_int(f.mul_int(number, d.depth), depth), p.panels.channels)
        start = f.at(sums, f.add_int(place, v * p.panels.lanes), kind)

        def get(a: int, b: int) -> Value:
            return total(f.at(start, (p.filter.across.size * a + b) * d.depth * p.width, kind))

        def put(a: int, b: int, value: Value) -> None:
            made[TAPS * a + b] = value

        def again(results: Value) -> None:
            direct = KernelSums(d.images, p.rows, p.columns, d.depth, d.width, kind, mask)
            called = f"{name}_exact{'_ragged' * (mask is not None)}"
            if called not in functions:
                functions[called] = direct.function(called, target)
            places = [f.at(x, depth, d.kind), f.at(g, channel, d.kind)]

            def tap(t: Int, _: list[Value]) -> None:
                row, column = f.operand(f.div_int(t, TAPS)), f.operand(f.mod_int(t, TAPS))
                to = f.at(results, f.mul_int(t, p.panels.lanes), kind)
                f.call(called, [*places, row, column, to])

            f.loop(0, TAPS * TAPS, 1, tap)

        made: dict[int, Value] = {}
        sandwich(f, both_turned(p.filter.weights), get, put)
        for tap, value in zip(made, exact(f, list(made.values()), room, again), strict=True):
            row = f.add_int(depth, tap * d.depth)
            done = epilogue.apply(f, extra, value, row, channel, mask, 0) if epilogue else value
            if done is not None:
                f.store(done, f.at(y, f.add_int(f.mul_int(row, d.width), channel), kind), mask)

    def panel(number: Int, _: Int, channel: Int, ragged: bool) -> None:
        vectors, mask = p.panels.shape(ragged)

        def row(c: Int, _: list[Value]) -> None:
            for v in range(vectors):
                within = mask if v == vectors - 1 else None
                one(number, c, v, f.add_int(channel, v * p.panels.lanes), within)

        f.loop(*share(f, task, d.depth, tasks), 1, row, may_be_empty=True)

    p.panels.sweep(f, 0, p.panels.count, panel)
    f.ret()
    moved = (count * size + TAPS * TAPS * d.depth * d.width) * d.kind.itemsize
    return Kernel(name, [f, *functions.values()], tasks, count * size, moved)
