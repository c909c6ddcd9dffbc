"""The gradient for the kernel by Winograd's minimal filtering (:mod:`chainrule.compiler.on_native.winograd`).

The transposed computation: tiles of the image are transformed by ``Bᵀ d B`` as before, tiles of the gradient upstream
by ``A g Aᵀ``; their products, summed over tiles, become weights by ``Gᵀ u G``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native import winograd
from chainrule.compiler.on_native.call import Call, epilogue_operands
from chainrule.compiler.on_native.conv import Convolution, forward
from chainrule.compiler.on_native.direct import TASKS, cut
from chainrule.compiler.on_native.ir import Int, Value, number
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.outer import Outer
from chainrule.compiler.on_native.panels import parts
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.winograd_tiles import (
    AT,
    BLOCK,
    PLANES,
    WORK,
    Block,
    G,
    Plan,
    area,
    sandwich,
    turned,
)


def suits(problem: Convolution) -> bool:
    """Whether the gradient for the kernel is faster in this way.

    Sums of 16 planes instead of 9 are read and written: they must fit the cache, and be worth the transforms.
    """
    fewest, most = sorted((problem.channels, problem.outputs))
    return winograd.suits(problem) and fewest >= 64 and most <= 256 and fewest * most > 64 * 64


def lower_weight_gradient(problem: Convolution, target: Target) -> Lowered:
    """As :func:`chainrule.compiler.on_native.conv_gradient.lower_weight_gradient`.

    Right for all that :func:`chainrule.compiler.on_native.winograd.suits` accepts, faster where `suits` does.
    """
    d, _ = forward(problem, target)
    plan = Plan.of(d, target.isa, BLOCK * 4)
    sums = PLANES * d.depth * plan.panels.channels * plan.panels.count
    read = plan.images * (area(d.source) + area(d.result))
    wanted = min(16, max(4, read // (2 * sums)), max(1, d.products // (4 * WORK)))
    count = parts(plan.blocks, wanted)
    name = problem.symbol("winograd_weight_gradient", target, finished=False)
    kernel = _Weights(plan, target, name).kernel(count, sums)
    finish = _finish(plan, problem, count, sums, target)
    calls = (
        Call(kernel, ("x", "g", "workspace", "scratch")),
        Call(finish, ("workspace", "y", *epilogue_operands(problem.epilogue))),
    )
    itemsize = problem.dtype.itemsize
    return Lowered(calls, count * sums * itemsize, plan.room(True) * itemsize)


@dataclass
class _Weights(Block):
    """The kernel of a gradient for the kernel: sums for each part, as ``[part][plane][panel][depth][channels]``."""

    def kernel(self, count: int, size: int) -> Kernel:
        """Operands: images, gradient upstream, workspace, scratch."""
        p, d = self.plan, self.plan.d
        f, operands, task = self.begin(3)
        x, g, sums = (operand(f, operands, i) for i in range(3))
        part = f.at(sums, f.mul_int(task, size), d.kind)
        kind = p.vector
        f.loop(0, size, p.panels.lanes, lambda i, _: f.store(number(kind, 0.0), f.at(part, i, kind)))

        def block(images: tuple[Int, Int], line: Int) -> None:
            self.source(x, images, line)
            top = f.mul_int(line, 2)
            self.planes(g, images, top, p.stage(True), 2, turned(AT), self.sums, p.plane(p.width), p.width)
            f.loop(0, PLANES, 1, lambda e, _: self.multiply(e, part))

        p.each_block(f, *share(f, task, p.blocks, count), block)
        f.ret()
        moved = p.images * (area(d.source) + area(d.result)) + count * size
        return Kernel(
            self.name, [f, *self.functions.values()], count, 2 * d.products, moved * d.kind.itemsize
        )

    def multiply(self, e: Int, part: Value) -> None:
        """Add the products of a plane of the images and one of the gradient."""
        p, d, f = self.plan, self.plan.d, self.f
        seen = f.at(self.seen, f.mul_int(e, p.plane(d.depth)), d.kind)
        upstream = f.at(self.sums, f.mul_int(e, p.plane(p.width)), d.kind)
        plane = f.at(part, f.mul_int(e, d.depth * p.width), d.kind)
        counts = [f.operand(n) for n in (1, 1, p.tiles)]

        def panel(number: Int, _: Int, channel: Int, ragged: bool) -> None:
            vectors, _mask = p.panels.shape(ragged)
            to = f.at(plane, f.mul_int(number, d.depth * p.panels.channels), d.kind)
            g = f.at(upstream, channel, d.kind)
            sizes = cut(d.depth, vectors, self.target.isa)[0]
            first = 0
            for rows in sorted(set(sizes), reverse=True):
                name = f"{self.name}_tile{rows}{'r' * ragged}"
                if name not in self.functions:
                    outer = Outer(
                        tuple(range(rows)),
                        vectors,
                        None,
                        p.vector,
                        (0, 0, d.depth),
                        (0, 0, p.width),
                        p.panels.channels,
                    )
                    self.functions[name] = outer.function(name, self.target)

                def some(c: Int, _: list[Value], name: str = name, to: Value = to, g: Value = g) -> None:
                    here = f.at(to, f.mul_int(c, p.panels.channels), d.kind)
                    f.call(name, [seen, g, here, f.operand(c), *counts])

                last = first + rows * sizes.count(rows)
                f.loop(first, last, rows, some)
                first = last

        p.panels.sweep(f, 0, p.panels.count, panel)


def _finish(p: Plan, problem: Convolution, count: int, size: int, target: Target) -> Kernel:
    """Add the parts in order and transform them back. Operands: workspace, result, those of the epilogue."""
    d, kind, epilogue = p.d, p.vector, problem.epilogue
    name = problem.symbol("winograd_weight_gradient_sum", target)
    tasks = parts(d.depth, max(1, min(TASKS, count * size >> 14)))
    f, operands, task, _ = entry(name, target)
    sums, y = operand(f, operands, 0), operand(f, operands, 1)
    extra: Sequence[Value] = ()
    if epilogue:
        extra = epilogue.prepare(f, [operand(f, operands, 2 + i) for i in range(epilogue.operands)], kind)

    def total(start: Value) -> Value:
        out = f.load(start, kind)
        for n in range(1, count):
            out = f.add(out, f.load(f.at(start, n * size, kind), kind))
        return out

    def one(number: Int, depth: Int, v: int, channel: Int, mask: Value | None) -> None:
        place = f.mul_int(f.add_int(f.mul_int(number, d.depth), depth), p.panels.channels)
        start = f.at(sums, f.add_int(place, v * p.panels.lanes), kind)
        planes = [
            [total(f.at(start, (4 * a + b) * d.depth * p.width, kind)) for b in range(4)] for a in range(4)
        ]
        for a, values in enumerate(sandwich(f, turned(G), planes)):
            for b, value in enumerate(values):
                row = f.add_int(depth, (3 * a + b) * d.depth)
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
    moved = (count * size + 9 * d.depth * d.width) * d.kind.itemsize
    return Kernel(name, [f], tasks, count * size, moved)
