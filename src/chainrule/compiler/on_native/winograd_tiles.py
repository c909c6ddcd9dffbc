"""Blocks of tiles of Winograd's minimal filtering, and how a task transforms them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from chainrule.compiler.on_native.axis import Axis
from chainrule.compiler.on_native.direct import Direct
from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Type, Value
from chainrule.compiler.on_native.kernel import LINE, entry, operand
from chainrule.compiler.on_native.panels import Panels
from chainrule.compiler.on_native.staging import Pixels, Stage
from chainrule.compiler.on_native.target import InstructionSet, Target
from chainrule.compiler.on_native.winograd_filter import Filter, Matrices, both_turned, sandwich
from chainrule.ops.windows import Pair

_GAP = 48
"""Elements between planes: a distance of a power of two would map all of them onto one set of the L1 cache."""
_BLOCK = 3 << 15
"""Elements of both sets of planes of a block: they share the L2 cache with weights or their sums."""
_STAGED = 1 << 13
"""Most elements of a copy of pixels, if that is possible: it should stay in the L1 cache."""
WORK = 1 << 18
"""Fewest products of the direct sums in a task."""


def panels_of(width: int, kind: Type, isa: InstructionSet) -> Panels:
    lanes = isa.lanes(kind.itemsize)
    return Panels(lanes, min(isa.tile_vectors, -(-width // lanes)), 1, width)


def section(channels: int, multiple: int, most: int) -> int:
    """The largest part of so many channels, of whole vectors or panels, that is not more than ``most``."""
    found = [n for n in range(multiple, channels, multiple) if channels % n == 0 and n <= most]
    return channels if channels <= most or not found else found[-1]


def area(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]


@dataclass(frozen=True)
class Tiles:
    """How tiles of an array of images are read.

    Attributes:
        size, whole: rows, columns and channels of an image.
        channels: that are read at once.
        first: row and column of the first pixel of the first tile; negative if it is outside.
        edge: rows and columns of a tile.
        matrices: transform it.
    """

    size: Pair
    whole: int
    channels: int
    first: Pair
    edge: Pair
    matrices: Matrices


@dataclass(frozen=True)
class Plan:
    """Blocks of tiles.

    Memory of a thread holds the staged pixels, the planes of the source, and those of the result.

    Attributes:
        d: what is computed.
        filter: how.
        rows, columns: windows.
        panels: of the result's channels.
        together, lines: of a block: images, or rows of tiles of one image.
        deep, wide: channels of the source and of the result that are computed at a time; divisors of all.
        computed: whether pixels of the source are computed as they are staged.
    """

    d: Direct
    filter: Filter
    rows: Axis
    columns: Axis
    panels: Panels
    together: int
    lines: int
    deep: int
    wide: int
    computed: bool = False

    @staticmethod
    def of(d: Direct, how: Filter, isa: InstructionSet, fewest: int, most: int | None = None) -> Plan:
        """Plan blocks.

        Args:
            d: what is computed.
            how: the filter.
            isa: for vectors.
            fewest: tiles of a block, about.
            most: channels of the source and of the result that are computed at a time; None for all.
        """
        (rows, columns), *_ = d.classes
        panels = panels_of(d.width, d.kind, isa)
        deep = section(d.depth, panels.lanes, most or d.depth)
        wide = section(d.width, panels.channels, most or d.width)
        down, across = -(-rows.outputs // how.down.outputs), -(-columns.outputs // how.across.outputs)
        tiles = max(fewest, _BLOCK // (how.planes * (deep + wide)))
        lines = -(-down // max(1, min(down, round(down * across / tiles))))
        images = max(1, min(d.images, round(tiles / (down * across))))
        images = -(-d.images // -(-d.images // images)) if d.images else 1
        return Plan(d, how, rows, columns, panels, images, lines, deep, wide)

    @property
    def images(self) -> int:
        return self.d.images

    @property
    def vector(self) -> Type:
        return self.d.kind.vector(self.panels.lanes)

    @property
    def across(self) -> int:
        """Tiles of a row."""
        return -(-self.columns.outputs // self.filter.across.outputs)

    @property
    def down(self) -> int:
        """Rows of tiles of an image."""
        return -(-self.rows.outputs // self.filter.down.outputs)

    @property
    def cuts(self) -> int:
        """Blocks of an image."""
        return -(-self.down // self.lines)

    @property
    def blocks(self) -> int:
        return -(-self.d.images // self.together) * self.cuts

    @property
    def tiles(self) -> int:
        """Of a block."""
        return self.together * self.lines * self.across

    @property
    def width(self) -> int:
        """Channels of the result, with those that fill the last panel."""
        return self.panels.count * self.panels.channels

    @property
    def above(self) -> int:
        """Elements from tile to tile of the source's planes."""
        return self.whole(self.deep)

    @property
    def below(self) -> int:
        """The same of the result's planes."""
        return self.whole(self.wide if self.sections > 1 else self.width)

    @property
    def sections(self) -> int:
        """How often some channels of the result are computed."""
        return self.d.width // self.wide

    def section(self, f: Function, s: Int) -> tuple[Int, Int]:
        """Panels of section ``s``, from and to."""
        each = self.panels.count // self.sections
        first = f.mul_int(s, each)
        return first, f.add_int(first, each)

    def plane(self, pitch: int) -> int:
        """Elements from plane to plane."""
        return self.tiles * pitch + _GAP

    def whole(self, elements: int) -> int:
        """Elements of whole cache lines: what begins at one is read and written at once."""
        line = LINE // self.d.kind.itemsize
        return -(-elements // line) * line

    @property
    def pixels(self) -> Tiles:
        """Of the source."""
        height, width, channels = self.d.source
        how = self.filter
        first = self.rows.first, self.columns.first
        return Tiles((height, width), channels, self.deep, first, how.size, how.pixels)

    @property
    def upstream(self) -> Tiles:
        """Of the gradient upstream, which is shaped as the result."""
        height, width, channels = self.d.result
        how = self.filter
        return Tiles((height, width), channels, self.wide, (0, 0), how.outputs, both_turned(how.results))

    def stage(self, t: Tiles) -> Stage | None:
        """Room for the pixels that some rows of tiles of an image see; None if these lie in the image."""
        m, across = self.filter.outputs
        spans = m * (self.down - 1) + t.edge[0], across * (self.across - 1) + t.edge[1]
        last = [z + n for z, n in zip(t.first, spans, strict=True)]
        inside = min(t.first) >= 0 and last[0] <= t.size[0] and last[1] <= t.size[1]
        if inside and not self.computed:
            return None
        width = spans[1]
        heights = [m * (n - 1) + t.edge[0] for n in range(1, self.lines + 1) if self.lines % n == 0]
        height = max((h for h in heights if h * width * t.channels <= _STAGED), default=heights[0])
        lanes = self.panels.lanes
        return Stage(1, height, width, t.first[1], t.size, t.channels, self.d.kind, lanes, t.whole)

    def staged(self, t: Tiles) -> int:
        """Elements of that room."""
        stage = self.stage(t)
        return self.whole(stage.elements) if stage else 0

    def room(self, gradient: bool) -> int:
        """Elements of a thread's memory."""
        staged = self.staged(self.pixels) + (self.staged(self.upstream) if gradient else 0)
        planes = self.filter.planes * (self.plane(self.above) + self.plane(self.below))
        return staged + planes + self.whole(self.panels.lanes)

    def each_channel(self, f: Function, channels: int, body: Callable[[Int, Value | None], None]) -> None:
        """Run ``body(channel, mask)`` for all vectors of channels."""
        shape = Panels(self.panels.lanes, 1, 1, channels)
        shape.sweep(f, 0, shape.each, lambda _, __, c, ragged: body(c, shape.shape(ragged)[1]))

    def each_block(
        self, f: Function, start: Int, stop: Int, body: Callable[[Int, tuple[Int, Int], Int], None]
    ) -> None:
        """Run ``body(block, images, first row of tiles)`` for a range of blocks."""

        def block(b: Int, _: list[Value]) -> None:
            image = f.mul_int(f.div_int(b, self.cuts), self.together)
            stop = f.min_int(f.add_int(image, self.together), self.d.images)
            body(b, (image, stop), f.mul_int(f.mod_int(b, self.cuts), self.lines))

        f.loop(start, stop, 1, block, may_be_empty=True)


@dataclass
class Block:
    """Code for the blocks of tiles of a task."""

    plan: Plan
    target: Target
    name: str
    functions: dict[str, Function] = field(default_factory=dict[str, Function])

    def begin(self, scratch: int, *arrays: Tiles) -> tuple[Function, Value, Value]:
        """The entry, its table, and its task.

        The thread's memory is at a place of the table; it begins with copies of tiles of ``arrays``.
        """
        p, kind = self.plan, self.plan.d.kind
        self.f, operands, task, thread = entry(self.name, self.target)
        self.thread = thread
        f = self.f
        place = f.mul_int(thread, p.room(len(arrays) > 1))
        here = f.at(operand(f, operands, scratch), place, kind)
        self.copies: dict[Tiles, Value] = {}
        for t in arrays:
            self.copies[t] = here
            stage = p.stage(t)
            if stage:
                stage.clear(f, here)
            here = f.at(here, p.staged(t), kind)
        self.seen = here
        self.sums = f.at(self.seen, p.filter.planes * p.plane(p.above), kind)
        return f, operands, task

    def planes(
        self, t: Tiles, x: Value | Pixels, images: tuple[Int, Int], line: Int, result: Value, width: int
    ) -> None:
        """Write a plane for each element of the transformed tiles of a block.

        Args:
            t: which tiles.
            x: the array, or what computes it.
            images: from and to.
            line: the block's first row of tiles.
            result: the first plane.
            width: elements from tile to tile of a plane.
        """
        if not isinstance(x, Value):
            self._planes(t, x, images, line, result, width)
            return
        p, f = self.plan, self.f
        what = (
            t,
            p.filter,
            p.rows,
            p.columns,
            p.panels,
            p.lines,
            p.deep,
            p.wide,
            p.computed,
            p.d.kind,
            width,
            p.plane(width),
        )
        name = f"planes_{self.target.isa.name}_{hashlib.sha256(repr(what).encode()).hexdigest()[:20]}"
        if name not in self.functions:
            self.functions[name] = self._function(name, t, width)
        numbers = [f.operand(n) for n in (*images, line)]
        f.call(name, [x, self.copies[t], result, *numbers])

    def _function(self, name: str, t: Tiles, width: int) -> Function:
        """The same as a function, which kernels that differ in what follows share."""
        names = ("x", "copy", "result", "first", "stop", "line")
        kinds = (*(PTR,) * 3, *(I64,) * 3)
        parameters = [(f"%{n}", k) for n, k in zip(names, kinds, strict=True)]
        made = Function(name, parameters, self.target, exported=False)
        x, copy, result, first, stop, line = made.parameters
        kept = self.f, self.copies
        self.f, self.copies = made, {t: copy}
        self._planes(t, x, (first, stop), line, result, width)
        self.f, self.copies = kept
        return made

    def _planes(
        self, t: Tiles, x: Value | Pixels, images: tuple[Int, Int], line: Int, result: Value, width: int
    ) -> None:
        p, f, (m, across) = self.plan, self.f, self.plan.filter.outputs
        stage = p.stage(t)
        lines = f.min_int(f.sub_int(p.down, line), p.lines)
        step = (stage.height - t.edge[0]) // m + 1 if stage else 1
        pixel = t.channels if stage else t.whole
        pitch = pixel * (stage.width if stage else t.size[1])

        def some(n: Int, r: Int) -> None:
            """Rows of tiles that are staged together."""
            top = f.add_int(f.mul_int(f.add_int(line, r), m), t.first[0])
            if stage:
                start = self.copies[t]
                stage.refill(f, x, start, n, top)
            else:
                assert isinstance(x, Value)
                place = f.mul_int(f.add_int(f.mul_int(n, t.size[0]), top), t.size[1])
                start = f.at(x, f.mul_int(f.add_int(place, t.first[1]), t.whole), p.d.kind)
            first = f.mul_int(f.add_int(f.mul_int(f.sub_int(n, images[0]), p.lines), r), p.across)
            stop = f.min_int(f.sub_int(lines, r), step)
            f.loop(0, stop, 1, lambda q, _: row(start, first, q))

        def row(start: Value, first: Int, r: Int) -> None:
            first = f.add_int(first, f.mul_int(r, p.across))
            here = f.at(start, f.mul_int(r, m * pitch), p.d.kind)
            f.loop(0, p.across, 1, lambda q, _: tile(here, f.add_int(first, q), q))

        def tile(start: Value, number: Int, q: Int) -> None:
            place, to = f.mul_int(q, across * pixel), f.mul_int(number, width)

            def channel(c: Int, mask: Value | None) -> None:
                here = f.at(start, f.add_int(place, c), p.d.kind)
                there = f.at(result, f.add_int(to, c), p.d.kind)
                self.transform(t.matrices, here, (pitch, pixel), mask, there, p.plane(width))

            p.each_channel(f, t.channels, channel)

        def image(n: Int, _: list[Value]) -> None:
            f.loop(0, lines, step, lambda r, _: some(n, r))

        f.loop(*images, 1, image, may_be_empty=True)

    def stage(self, t: Tiles, stage: Stage, x: Value | Pixels, image: Int, top: Int) -> None:
        """Copy rows of an image again: those from ``top`` on."""
        f = self.f
        if not isinstance(x, Value):
            stage.refill(f, x, self.copies[t], image, top)
            return
        code = hashlib.sha256(repr(stage).encode()).hexdigest()[:20]
        name = f"stage_{self.target.isa.name}_{code}"
        if name not in self.functions:
            parameters = [("%x", PTR), ("%copy", PTR), ("%image", I64), ("%top", I64)]
            made = Function(name, parameters, self.target, exported=False)
            source, copy, n, first = made.parameters
            stage.refill(made, source, copy, n, first)
            made.ret()
            self.functions[name] = made
        f.call(name, [x, self.copies[t], f.operand(image), f.operand(top)])

    def transform(
        self, matrices: Matrices, start: Value, step: Pair, mask: Value | None, to: Value, plane: int
    ) -> None:
        """Transform a tile of a vector of channels; ``step`` leads to the next row and pixel."""
        f, kind, size = self.f, self.plan.vector, self.plan.filter.across.size

        def get(i: int, j: int) -> Value:
            return f.load(f.at(start, i * step[0] + j * step[1], kind), kind, mask)

        def put(i: int, j: int, value: Value) -> None:  # there is room for whole vectors
            f.store(value, f.at(to, (i * size + j) * plane, kind))

        sandwich(f, matrices, get, put)
