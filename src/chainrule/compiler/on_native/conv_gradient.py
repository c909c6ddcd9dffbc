"""The gradient of a convolution for the kernel.

A product of a few channels of the image and a few vectors of channels of the upstream gradient,
summed over all pixels. Images are cut into parts in a way that depends on the sizes alone; each part has sums of
its own in the workspace, and a last kernel adds them in order. So the bits do not depend on the threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from chainrule.compiler.on_native.axis import Axis, even, forward_axis
from chainrule.compiler.on_native.call import Call, epilogue_operands, remembered
from chainrule.compiler.on_native.conv import Convolution
from chainrule.compiler.on_native.direct import TASKS, cycles, most_rows
from chainrule.compiler.on_native.exact_sums import KernelSums, exact
from chainrule.compiler.on_native.ir import I8, Function, Int, Type, Value, number, type_of
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.outer import Asking, Outer
from chainrule.compiler.on_native.panels import Panels, parts
from chainrule.compiler.on_native.pool_ties import SpreadRows
from chainrule.compiler.on_native.staging import Stage
from chainrule.compiler.on_native.target import InstructionSet, Target
from chainrule.shapes import count

_WORK = 1 << 20
"""Fewest multiplications in a task of the gradient for the kernel."""
_PIXELS = 256
"""Pixels that are summed before the sums go back to memory: what of them is read again stays in the caches."""
_SHALLOW = 8
"""Channels below which the taps of a window are taken together, from a padded copy of some rows of the image."""
_PARTS = 16
"""Most parts with sums of their own."""
_FINISH = 1 << 14
"""Fewest elements in a task of the kernel that adds the parts."""


@remembered(Convolution.name)
def lower_weight_gradient(problem: Convolution, target: Target) -> Lowered:
    """The kernels of the gradient for the kernel: operands "x", "g", "y", and those of the epilogue.

    "y" is shaped as the kernel; the epilogue sees it as a matrix of (KH × KW × depth, outputs).
    """
    c = problem.flat
    if not c.outputs * c.depth:
        return Lowered(())
    plan = _Plan.of(c, target)
    sums = _Parts(plan, target)
    ties = ("ties",) if c.spread else ()
    read = ("x", "g", *ties) if plan.padded else ()
    calls = (
        Call(sums.kernel(), ("x", "g", "workspace", "scratch", *ties)),
        Call(_finish(plan, target), ("workspace", "y", *read, *epilogue_operands(c.epilogue))),
    )
    itemsize = c.dtype.itemsize
    return Lowered(calls, plan.parts * plan.part * itemsize, (plan.staged + plan.spread) * itemsize)


@dataclass(frozen=True)
class _Plan:
    """How the gradient for the kernel is computed.

    The sums of a part lie as ``[panel][row][column][depth][channels of a panel]``.

    Attributes:
        c: the problem.
        kind: element type.
        panels: of the kernel's output channels.
        rows, columns: windows.
        images, lines: of a block: images, or rows of one image if that is 1.
        parts: with sums of their own.
        channels: tasks of a part, which share its panels.
        shallow: whether the taps of a window are taken together.
        heights: how many rows a tile has: (channels of a tap, or of all taps if shallow) cut evenly.
    """

    c: Convolution
    kind: Type
    panels: Panels
    rows: Axis
    columns: Axis
    images: int
    lines: int
    parts: int
    channels: int
    shallow: bool
    heights: tuple[int, ...]

    @staticmethod
    def of(c: Convolution, target: Target) -> _Plan:
        windows = c.windows
        rows, columns = (
            forward_axis(c.size[i], windows[i], c.kernel[i], c.stride[i], c.padding[i], c.dilation[i])
            for i in (0, 1)
        )
        kind = type_of(c.dtype)
        taps = c.kernel[0] * c.kernel[1]
        shallow = c.depth < _SHALLOW and not c.depthwise and taps > 1
        depth = c.depth * taps if shallow else c.depth
        groups, width = (1, c.outputs) if c.depthwise else (c.groups, c.width)
        panels, heights = _shape(depth, groups, width, kind, target.isa)
        lines = max(1, min(windows[0], _PIXELS // windows[1]))
        if c.spread:
            lines = max(c.spread[0], lines // c.spread[0] * c.spread[0])
        images = max(1, min(c.images, _PIXELS // (windows[0] * windows[1])))
        blocks = -(-c.images // images) * -(-windows[0] // lines)
        wanted = max(1, min(TASKS, c.products // _WORK))
        # Adding the parts must not take long against reading the images.
        size = c.kernel[0] * c.kernel[1] * c.depth * c.outputs
        read = c.images * (c.size[0] * c.size[1] * c.channels + windows[0] * windows[1] * c.outputs)
        count = parts(blocks, min(wanted, _PARTS, max(1, read // (2 * size))))
        channels = parts(panels.count, -(-wanted // count))
        return _Plan(c, kind, panels, rows, columns, images, lines, count, channels, shallow, heights)

    @property
    def depth(self) -> int:
        """Rows of a panel's sums."""
        return self.c.kernel[0] * self.c.kernel[1] * self.c.depth

    @property
    def part(self) -> int:
        """Elements of the sums of a part."""
        return self.depth * self.panels.channels * self.panels.count

    @property
    def asking(self) -> Asking:
        """How the tiles of a block ask for the next one."""
        c, windows = self.c, (self.rows.outputs, self.columns.outputs)
        lines = self.lines if self.images == 1 else windows[0]
        rows = self.lines * self.rows.stride if self.images == 1 else c.size[0]
        seen = self.images * rows * c.size[1] * c.channels
        upstream = self.images * lines * windows[1] * c.outputs
        # Tiles that take the taps together are few, and tasks that share panels would all ask for the same.
        tiles = (
            0
            if self.shallow or self.channels > 1
            else c.kernel[0] * c.kernel[1] * len(self.heights) * self.panels.count
        )
        itemsize = c.dtype.itemsize
        return Asking((seen * itemsize, upstream * itemsize), tiles, self.images * lines * windows[1])

    @property
    def padded(self) -> bool:
        """Whether rows of the image are copied with zeros around them."""
        return self.shallow and not (self.rows.all_inside and self.columns.all_inside)

    @property
    def stage(self) -> Stage:
        """Room for what the windows of a block see."""
        height = (self.lines - 1) * self.rows.stride + self.rows.span
        width = (self.columns.outputs - 1) * self.columns.stride + self.columns.span
        sizes = (self.c.size, self.c.channels, self.kind, self.panels.lanes)
        return Stage(self.images, height, width, self.columns.first, *sizes)

    @property
    def staged(self) -> int:
        """Elements of such a copy."""
        return self.stage.elements if self.padded else 0

    @property
    def spread(self) -> int:
        """Elements of the gradient upstream of a block, where it is spread over the windows of a pool."""
        return self.images * self.lines * self.columns.outputs * self.c.outputs if self.c.spread else 0


def _shape(
    depth: int, groups: int, width: int, kind: Type, isa: InstructionSet
) -> tuple[Panels, tuple[int, ...]]:
    """Panels and heights of tiles that take the fewest cycles."""
    lanes = isa.lanes(kind.itemsize)

    def heights(vectors: int) -> list[int]:
        choices = [even(depth, n) for n in range(most_rows(isa, vectors), 0, -1)]
        return min(choices, key=lambda sizes: cost(sizes, vectors))

    def cost(sizes: Sequence[int], vectors: int) -> float:
        steps = sum(cycles(n, vectors, n + vectors) + 0.5 for n in sizes)
        return steps * (1 + 0.02 * len(set(sizes)))

    choices = [Panels(lanes, n, groups, width) for n in range(1, min(4, -(-width // lanes)) + 1)]
    best = min(choices, key=lambda p: cost(heights(p.vectors), p.vectors) * p.count)
    return best, tuple(heights(best.vectors))


@dataclass
class _Parts:
    """The kernel that computes the sums of all parts. Operands: images, gradient, workspace, scratch."""

    plan: _Plan
    target: Target
    functions: dict[str, Function] = field(default_factory=dict[str, Function])
    begun: Value = field(init=False)  # whether a block before this one has begun the sums

    @property
    def name(self) -> str:
        return self.plan.c.symbol("conv_weight_gradient", self.target, finished=False)

    def kernel(self) -> Kernel:
        p = self.plan
        f, operands, task, thread = entry(self.name, self.target)
        self.f = f
        self.x, self.g, sums = (operand(f, operands, i) for i in range(3))
        self.origin: tuple[Int, Int] = (0, 0)
        if p.padded or p.spread:
            scratch = operand(f, operands, 3)
            self.copy = f.at(scratch, f.mul_int(thread, p.staged + p.spread), p.kind)
        if p.c.spread:
            pooled, self.g = self.g, f.at(self.copy, p.staged, p.kind)
            size = p.rows.outputs, p.columns.outputs, p.c.outputs
            ties = operand(f, operands, 4)
            self.spread = SpreadRows(
                p.c.spread, pooled, ties, self.g, p.kind.vector(p.panels.lanes), size, p.lines
            )
        part = f.div_int(task, p.channels)
        self.sums = f.at(sums, f.mul_int(part, p.part), p.kind)
        panels = share(f, f.mod_int(task, p.channels), p.panels.count, p.channels)
        batches, heights = -(-p.c.images // p.images), -(-p.rows.outputs // p.lines)
        blocks = share(f, part, batches * heights, p.parts)

        def block(b: Int, _: list[Value]) -> None:
            self.begun = f.less_int(blocks[0], b)
            image = f.mul_int(f.div_int(b, heights), p.images)
            line = f.mul_int(f.mod_int(b, heights), p.lines)
            self.block(
                (image, f.min_int(p.c.images, f.add_int(image, p.images))),
                (line, f.min_int(p.rows.outputs, f.add_int(line, p.lines))),
                panels,
            )

        if batches * heights:
            f.loop(*blocks, 1, block)
        else:
            self.clear(*panels)
        f.ret()
        c = p.c
        upstream = p.rows.outputs * p.columns.outputs * c.outputs * c.dtype.itemsize
        if c.spread:
            upstream = upstream // count(c.spread) // c.dtype.itemsize * (c.dtype.itemsize + 1)
        read = c.images * (c.size[0] * c.size[1] * c.channels * c.dtype.itemsize + upstream)
        return Kernel(
            self.name,
            [f, *self.functions.values()],
            p.parts * p.channels,
            2 * c.products,
            read + p.parts * p.part * c.dtype.itemsize,
        )

    def clear(self, start: Int, stop: Int) -> None:
        p, f = self.plan, self.f
        kind = p.kind.vector(p.panels.lanes)
        size = p.depth * p.panels.channels

        def zero(i: Int, _: list[Value]) -> None:
            f.store(number(kind, 0.0), f.at(self.sums, i, p.kind))

        f.loop(f.mul_int(start, size), f.mul_int(stop, size), p.panels.lanes, zero, may_be_empty=True)

    def block(self, images: tuple[Int, Int], lines: tuple[Int, Int], panels: tuple[Int, Int]) -> None:
        """Add the products of some images or rows to the sums."""
        p, f = self.plan, self.f
        if p.padded:
            top = f.add_int(f.mul_int(lines[0], p.rows.stride), p.rows.first)
            p.stage.fill(f, self.x, self.copy, images, top)
        if p.c.spread:
            self.origin = images[0], lines[0]
            self.spread.fill(f, images, lines)

        def panel(number: Int, group: Int, channel: Int, ragged: bool) -> None:
            sums = f.at(self.sums, f.mul_int(number, p.depth * p.panels.channels), p.kind)
            part = channel if p.c.depthwise else f.mul_int(group, p.c.depth)
            if p.shallow:
                self.together(sums, images, lines, part, channel, ragged)
            else:
                self.each_tap(sums, images, lines, part, channel, ragged, number)

        p.panels.sweep(f, *panels, panel)

    def together(
        self,
        sums: Value,
        images: tuple[Int, Int],
        lines: tuple[Int, Int],
        part: Int,
        channel: Int,
        ragged: bool,
    ) -> None:
        """All taps of a window at once: every element that a window sees is a row of the product."""
        p, f = self.plan, self.f
        channels, size = p.c.channels, p.c.size
        if p.padded:
            height, width = p.stage.height, p.stage.width
            x, start = self.copy, part
        else:
            height, width = size
            first = f.add_int(
                f.mul_int(images[0], height), f.add_int(f.mul_int(lines[0], p.rows.stride), p.rows.first)
            )
            first = f.add_int(f.mul_int(first, width), p.columns.first)
            x, start = self.x, f.add_int(f.mul_int(first, channels), part)
        places = [
            (a * p.rows.gap * width + b * p.columns.gap) * channels + d
            for a in range(len(p.rows.taps))
            for b in range(len(p.columns.taps))
            for d in range(p.c.depth)
        ]
        counts = [f.sub_int(images[1], images[0]), f.sub_int(lines[1], lines[0]), p.columns.outputs]
        g = self.upstream(images[0], lines[0], 0, channel)
        row = 0
        for n in p.heights:
            seen = places[row : row + n]
            name = self.tile(tuple(z - seen[0] for z in seen), (height * width, width), ragged)
            to = f.at(sums, row * p.panels.channels, p.kind)
            numbers = [f.operand(z) for z in (f.add_int(start, seen[0]), *counts)]
            f.call(name, [x, g, to, x, *numbers, self.begun])
            row += n

    def each_tap(
        self,
        sums: Value,
        images: tuple[Int, Int],
        lines: tuple[Int, Int],
        part: Int,
        channel: Int,
        ragged: bool,
        panel: Int,
    ) -> None:
        """One tap after the other, each with the windows that see the image through it."""
        p, f = self.plan, self.f
        size, channels = p.c.size, p.c.channels
        count = f.sub_int(images[1], images[0])
        later = self.later(images[0], lines[0])

        def tap(a: Int, b: Int, rows: tuple[Int, Int]) -> None:
            columns = p.columns.viewers(f, b, 0, p.columns.outputs)
            place = f.add_int(f.mul_int(images[0], size[0]), p.rows.place(f, rows[0], a))
            place = f.add_int(f.mul_int(place, size[1]), p.columns.place(f, columns[0], b))
            start = f.add_int(f.mul_int(place, channels), part)
            g = self.upstream(images[0], rows[0], columns[0], channel)
            counts = [count, f.sub_int(rows[1], rows[0]), f.sub_int(columns[1], columns[0])]
            index = f.add_int(f.mul_int(a, len(p.columns.taps)), b)
            taps = f.add_int(f.mul_int(panel, len(p.rows.taps) * len(p.columns.taps)), index)
            first, each = 0, len(p.heights)
            for n in sorted(set(p.heights), reverse=True):
                name = self.tile(tuple(range(n)), (size[0] * size[1], size[1]), ragged)

                def tile(m: Int, _: list[Value], name: str = name) -> None:
                    to = f.mul_int(f.add_int(f.mul_int(index, p.c.depth), m), p.panels.channels)
                    done = f.add_int(f.mul_int(taps, each), f.div_int(f.mul_int(m, each), p.c.depth))
                    asked = p.asking.asked(f, done, *later)
                    numbers = [f.operand(z) for z in (f.add_int(start, m), *counts)]
                    f.call(name, [self.x, g, f.at(sums, to, p.kind), asked, *numbers, self.begun])

                last = first + n * p.heights.count(n)
                f.loop(first, last, n, tile)
                first = last

        def line(a: Int, _: list[Value]) -> None:
            rows = p.rows.viewers(f, a, *lines)
            f.loop(0, len(p.columns.taps), 1, lambda b, _: tap(a, b, rows))

        f.loop(0, len(p.rows.taps), 1, line)

    def later(self, image: Int, line: Int) -> tuple[Value, Value]:
        """Where what the next block reads begins."""
        p, f = self.plan, self.f
        if p.images > 1:
            image = f.add_int(image, p.images)
        else:
            line = f.add_int(line, p.lines)
        seen = f.add_int(f.mul_int(image, p.c.size[0]), f.mul_int(line, p.rows.stride))
        x = f.at(self.x, f.mul_int(seen, p.c.size[1] * p.c.channels), p.kind)
        return x, self.upstream(image, line, 0, 0)

    def upstream(self, image: Int, line: Int, pixel: Int, channel: Int) -> Value:
        """The address of an element of the gradient."""
        p, f = self.plan, self.f
        image, line = (f.sub_int(n, first) for n, first in zip((image, line), self.origin, strict=True))
        place = f.add_int(f.mul_int(image, p.rows.outputs), line)
        place = f.add_int(f.mul_int(place, p.columns.outputs), pixel)
        return f.at(self.g, f.add_int(f.mul_int(place, p.c.outputs), channel), p.kind)

    def tile(self, places: tuple[int, ...], steps: tuple[int, int], ragged: bool) -> str:
        """The function for a tile; ``steps`` leads from image to image and from row to row, in pixels."""
        p = self.plan
        near = places == tuple(range(len(places)))
        shape = f"{len(places)}" if near else "_".join(map(str, places))
        name = f"{self.name}_tile{shape}{'r' * ragged}"
        if name not in self.functions:
            c, (vectors, mask) = p.c, p.panels.shape(ragged)
            image, row = steps[0] * c.channels, steps[1] * p.rows.stride * c.channels
            line = p.columns.outputs * c.outputs
            outer = Outer(
                places,
                vectors,
                mask,
                p.kind.vector(p.panels.lanes),
                (image, row, p.columns.stride * c.channels),
                (p.rows.outputs * line, line, c.outputs),
                p.panels.channels,
                c.depthwise,
                p.asking.step,
            )
            self.functions[name] = outer.function(name, self.target)
        return name


def _finish(p: _Plan, target: Target) -> Kernel:
    """Add the parts in order, and write the gradient as the kernel lies.

    Operands: workspace, result; images and gradient upstream, if a padded copy was read; the epilogue's.
    """
    c = p.c
    tasks = max(1, min(TASKS, p.part * p.parts // _FINISH))
    name = c.symbol("conv_weight_gradient_sum", target)
    f, operands, task, _ = entry(name, target)
    sums, y = operand(f, operands, 0), operand(f, operands, 1)
    kind = p.kind.vector(p.panels.lanes)
    read = [operand(f, operands, 2 + i) for i in range(2 + bool(c.spread))] if p.padded else []
    room = f.stack(kind) if p.padded else None
    functions: dict[str, Function] = {}
    extra: Sequence[Value] = ()
    if c.epilogue:
        extra = [operand(f, operands, 2 + len(read) + i) for i in range(c.epilogue.operands)]
        extra = c.epilogue.prepare(f, extra, kind)

    def again(image: Int, tap: Int, column: Int, mask: Value | None, result: Value) -> None:
        """Sum up directly for a channel of the images, a tap, and channels of the result."""
        called = f"{name}_exact{'_ragged' * (mask is not None)}"
        if called not in functions:
            exactly = KernelSums(c.images, p.rows, p.columns, c.channels, c.outputs, kind, mask, c.spread)
            functions[called] = exactly.function(called, target)
        x, *upstream = read
        kinds = (p.kind, I8)
        places = [
            f.at(x, image, p.kind),
            *(f.at(g, column, k) for g, k in zip(upstream, kinds, strict=False)),
        ]
        taps = [f.operand(g(tap, c.kernel[1])) for g in (f.div_int, f.mod_int)]
        f.call(called, [*places, *taps, result])

    def one(row: Int, group: Int, channel: Int, source: Int, v: int, mask: Value | None) -> None:
        column = f.add_int(channel, v * p.panels.lanes)
        total = f.load(f.at(sums, source, kind), kind)
        for n in range(1, p.parts):
            total = f.add(total, f.load(f.at(sums, f.add_int(source, n * p.part), kind), kind))
        if room is not None:
            tap, image = (
                f.div_int(row, c.depth),
                f.add_int(f.mul_int(group, c.depth), f.mod_int(row, c.depth)),
            )
            (total,) = exact(f, [total], room, partial(again, image, tap, column, mask))
        done = c.epilogue.apply(f, extra, total, row, column, mask, 0) if c.epilogue else total
        if done is not None:
            f.store(done, f.at(y, f.add_int(f.mul_int(row, c.outputs), column), kind), mask)

    def panel(number: Int, group: Int, channel: Int, ragged: bool) -> None:
        vectors, mask = p.panels.shape(ragged)

        def row(r: Int, _: list[Value]) -> None:
            line = f.mul_int(f.add_int(f.mul_int(number, p.depth), r), p.panels.channels)
            for v in range(vectors):
                within = mask if v == vectors - 1 else None
                one(r, group, channel, f.add_int(line, v * p.panels.lanes), v, within)

        f.loop(*share(f, f.mod_int(task, cuts), p.depth, cuts), 1, row, may_be_empty=True)

    across = parts(p.panels.count, tasks)
    cuts = parts(p.depth, tasks // across)
    p.panels.sweep(f, *share(f, f.div_int(task, cuts), p.panels.count, across), panel)
    f.ret()
    moved = (p.parts * p.part + p.depth * c.outputs) * c.dtype.itemsize
    return Kernel(name, [f, *functions.values()], across * cuts, p.parts * p.part, moved)
