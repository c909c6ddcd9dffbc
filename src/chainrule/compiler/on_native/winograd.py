"""Convolutions with kernels of 3 × 3 and stride 1 by Winograd's minimal filtering, F(2 × 2, 3 × 3).

Four results at a time take 16 products for each pair of channels instead of 36. Tiles of 4 × 4 pixels, which overlap
by two, are transformed (``Bᵀ d B``), and so are the weights (``G g Gᵀ``); for each of the 16 elements of a tile the
sums over channels are a product of matrices; its results are transformed back (``Aᵀ m A``). The gradient for the
kernel is the same with everything transposed. No less accurate than the direct sums.

A task works on blocks of tiles that fit the L2 cache, in memory of its thread.

Source: Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016, arXiv:1509.09308.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.call import Call, Epilogue, epilogue_operands
from chainrule.compiler.on_native.conv import Convolution, forward
from chainrule.compiler.on_native.conv_gradient import backward
from chainrule.compiler.on_native.direct import TASKS, Direct, cut
from chainrule.compiler.on_native.ir import Int, Value
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.matmul.tile import Place, Tile, call_tile
from chainrule.compiler.on_native.panels import Weights, parts
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
    panels_of,
    sandwich,
)

_LEAST_CHANNELS = 32
"""With fewer the transforms take longer than what they save."""


def suits(problem: Convolution) -> bool:
    """Whether a convolution can be computed in this way, and is faster for it."""
    plain = problem.stride == problem.dilation == (1, 1) and problem.groups == 1
    deep = min(problem.channels, problem.outputs) >= _LEAST_CHANNELS
    return problem.kernel == (3, 3) and plain and deep and min(problem.windows) >= 4


def lower(problem: Convolution, target: Target) -> Lowered:
    """As :func:`chainrule.compiler.on_native.conv.lower`, for convolutions that `suits` accepts.

    If ``problem.packed``, "w" holds transformed weights: the end of the workspace, :func:`packed_bytes` long.
    """
    return _lower(problem, forward(problem, target), "x", target)


def lower_input_gradient(problem: Convolution, target: Target) -> Lowered:
    """As :func:`chainrule.compiler.on_native.conv_gradient.lower_input_gradient`."""
    return _lower(problem, backward(problem, target), "g", target)


def packed_bytes(problem: Convolution, target: Target, gradient: bool = False) -> int:
    """Bytes of transformed weights, for the forward pass or for the gradient for the image."""
    d, _ = (backward if gradient else forward)(problem, target)
    panels = panels_of(d.width, d.kind, target.isa)
    return PLANES * d.depth * panels.channels * panels.count * problem.dtype.itemsize


def _lower(problem: Convolution, sums: tuple[Direct, Weights], source: str, target: Target) -> Lowered:
    d, weights = sums
    if not d.images:
        return Lowered(())
    plan = Plan.of(d, target.isa, BLOCK)
    plain = weights.size(plan.panels)
    size = PLANES * d.depth * plan.panels.channels * plan.panels.count
    name = f"winograd_{d.name}{'_packed' * problem.packed}"
    kernel = _Images(plan, target, name, epilogue=d.epilogue).kernel(0 if problem.packed else plain)
    where = "w" if problem.packed else "workspace"
    call = Call(kernel, (source, where, "scratch", "y", *epilogue_operands(problem.epilogue)))
    itemsize = problem.dtype.itemsize
    scratch = plan.room(False) * itemsize
    if problem.packed:
        return Lowered((call,), 0, scratch)
    pack = weights.pack(plan.panels, f"{name}_pack", target)
    transform = _transform(plan, f"{name}_weights", target)
    calls = (Call(pack, ("w", "workspace")), Call(transform, ("workspace",)), call)
    return Lowered(calls, (plain + size) * itemsize, scratch)


@dataclass
class _Images(Block):
    """The kernel of a forward pass, or of a gradient for the image."""

    epilogue: Epilogue | None = None

    def kernel(self, offset: int) -> Kernel:
        """Operands: source, transformed weights from an offset on, scratch, result, those of the epilogue."""
        p, d = self.plan, self.plan.d
        tasks = parts(p.blocks, max(1, min(TASKS, d.products // WORK)))
        f, operands, task = self.begin(2)
        x, w, self.y = (operand(f, operands, i) for i in (0, 1, 3))
        extra = range(4, 4 + (self.epilogue.operands if self.epilogue else 0))
        self.extra: Sequence[Value] = [operand(f, operands, i) for i in extra]
        if self.epilogue:
            self.extra = self.epilogue.prepare(f, self.extra, p.vector)
        weights = f.at(w, offset, d.kind)

        def block(images: tuple[Int, Int], line: Int) -> None:
            self.source(x, images, line)
            f.loop(0, PLANES, 1, lambda e, _: self.multiply(e, weights))
            self.result(images, line)

        p.each_block(f, *share(f, task, p.blocks, tasks), block)
        f.ret()
        size = p.images * (area(d.source) + area(d.result)) + PLANES * d.depth * p.width
        # So many operations as the sums take that it stands for, so that rates can be compared.
        return Kernel(self.name, [f, *self.functions.values()], tasks, 2 * d.products, size * d.kind.itemsize)

    def multiply(self, e: Int, weights: Value) -> None:
        """One plane of sums over channels."""
        p, d, f = self.plan, self.plan.d, self.f
        seen = f.at(self.seen, f.mul_int(e, p.plane(d.depth)), d.kind)
        sums = f.at(self.sums, f.mul_int(e, p.plane(p.width)), d.kind)
        w = f.at(weights, f.mul_int(e, d.depth * p.width), d.kind)

        def panel(number: Int, _: Int, channel: Int, ragged: bool) -> None:
            vectors, _mask = p.panels.shape(ragged)
            b = f.at(w, f.mul_int(number, d.depth * p.panels.channels), d.kind)
            sizes = cut(p.tiles, vectors, self.target.isa)[0]
            first = 0
            for rows in sorted(set(sizes), reverse=True):
                tile = Tile(
                    rows,
                    vectors,
                    p.panels.lanes,
                    d.kind,
                    (d.depth, 1),
                    p.panels.channels,
                    p.width,
                    True,
                    d.depth,
                    None,
                )

                def some(
                    t: Int, _: list[Value], tile: Tile = tile, b: Value = b, channel: Int = channel
                ) -> None:
                    a = f.at(seen, f.mul_int(t, d.depth), d.kind)
                    c = f.at(sums, f.add_int(f.mul_int(t, p.width), channel), d.kind)
                    call_tile(f, tile, Place(a, b, c), self.functions)

                last = first + rows * sizes.count(rows)
                f.loop(first, last, rows, some)
                first = last

        p.panels.sweep(f, 0, p.panels.count, panel)

    def result(self, images: tuple[Int, Int], line: Int) -> None:
        """Transform the sums of a block back, and write pixels."""
        p, f = self.plan, self.f
        ragged = p.columns.outputs % 2
        lines = f.min_int(f.sub_int(p.down, line), p.lines)

        def row(n: Int, r: Int) -> None:
            place = f.mul_int(f.sub_int(n, images[0]), p.lines)
            t = f.mul_int(f.add_int(place, r), p.across)
            top = f.mul_int(f.add_int(line, r), 2)
            f.loop(0, p.across - ragged, 1, lambda q, _: self.tile(f.add_int(t, q), n, top, q, 2))
            if ragged:
                self.tile(f.add_int(t, p.across - 1), n, top, p.across - 1, 1)

        def image(n: Int, _: list[Value]) -> None:
            f.loop(0, lines, 1, lambda r, _: row(n, r), may_be_empty=True)

        f.loop(*images, 1, image, may_be_empty=True)

    def tile(self, t: Int, image: Int, top: Int, column: Int, columns: int) -> None:
        p, f, kind = self.plan, self.f, self.plan.vector
        outputs = p.rows.outputs, p.columns.outputs
        place = f.mul_int(f.add_int(f.mul_int(image, outputs[0]), top), outputs[1])
        place = f.add_int(place, f.mul_int(column, 2))

        def channel(c: Int, mask: Value | None) -> None:
            start = f.at(self.sums, f.add_int(f.mul_int(t, p.width), c), kind)
            places = [[(4 * i + j) * p.plane(p.width) for j in range(4)] for i in range(4)]
            sums = [[f.load(f.at(start, z, kind), kind) for z in line] for line in places]
            upper, lower = sandwich(f, AT, sums)

            def write(i: int, values: Sequence[Value]) -> None:
                for j, value in enumerate(values[:columns]):
                    self.store(value, f.add_int(place, i * outputs[1] + j), c, mask)

            write(0, upper)
            if outputs[0] % 2:
                below = f.less_int(f.add_int(top, 1), f.operand(outputs[0]))
                f.when(below, lambda: write(1, lower))
            else:
                write(1, lower)

        p.each_channel(f, p.d.width, channel)

    def store(self, value: Value, row: Int, column: Int, mask: Value | None) -> None:
        f, width = self.f, self.plan.d.width
        done: Value | None = value
        if self.epilogue:
            done = self.epilogue.apply(f, self.extra, value, row, column, mask, 0)
        if done is not None:
            f.store(done, f.at(self.y, f.add_int(f.mul_int(row, width), column), value.type), mask)


def _transform(p: Plan, name: str, target: Target) -> Kernel:
    """Transform packed weights, which follow each other as ``[panel][tap][depth][channels]``. Operand: workspace."""
    d, kind = p.d, p.vector
    line = d.depth * p.panels.channels
    vectors = line // p.panels.lanes * p.panels.count
    tasks = parts(vectors, max(1, min(TASKS, vectors >> 8)))
    f, operands, task, _ = entry(name, target)
    packed = operand(f, operands, 0)
    result = f.at(packed, 9 * line * p.panels.count, d.kind)

    def one(i: Int, _: list[Value]) -> None:
        at = f.mul_int(i, p.panels.lanes)
        panel, place = f.div_int(at, line), f.mod_int(at, line)
        start = f.at(packed, f.add_int(f.mul_int(panel, 9 * line), place), d.kind)
        to = f.at(result, at, d.kind)
        taps = [[f.load(f.at(start, (3 * a + b) * line, kind), kind) for b in range(3)] for a in range(3)]
        for a, values in enumerate(sandwich(f, G, taps)):
            for b, value in enumerate(values):
                f.store(value, f.at(to, (4 * a + b) * line * p.panels.count, kind))

    f.loop(*share(f, task, vectors, tasks), 1, one, may_be_empty=True)
    f.ret()
    return Kernel(name, [f], tasks, 0, (9 + PLANES) * line * p.panels.count * d.kind.itemsize)
