"""Tiles of Winograd's minimal filtering: the transforms, and the blocks of tiles that a task works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chainrule.compiler.on_native.axis import Axis
from chainrule.compiler.on_native.direct import Direct
from chainrule.compiler.on_native.ir import Function, Int, Type, Value, number
from chainrule.compiler.on_native.kernel import entry, operand
from chainrule.compiler.on_native.panels import Panels
from chainrule.compiler.on_native.staging import Stage
from chainrule.compiler.on_native.target import InstructionSet, Target

Matrix = tuple[tuple[float, ...], ...]
BT: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
G: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
AT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))
PLANES = 16
"""Elements of a transformed tile."""
_GAP = 48
"""Elements between planes: a distance of a power of two would map all of them onto one set of the L1 cache."""
BLOCK = 1 << 14
"""Tiles times channels of a block: two sets of planes are then about a megabyte."""
WORK = 1 << 18


"""Fewest products of the direct sums in a task."""


def panels_of(width: int, kind: Type, isa: InstructionSet) -> Panels:
    lanes = isa.lanes(kind.itemsize)
    return Panels(lanes, min(isa.tile_vectors, -(-width // lanes)), 1, width)


def area(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]


def linear(f: Function, row: Sequence[float], values: Sequence[Value]) -> Value:
    """A sum of values with factors of 1, -1, 0.5 and -0.5."""
    total: Value | None = None
    # A positive term first saves a negation.
    terms = sorted((z for z in zip(row, values, strict=True) if z[0]), key=lambda z: z[0] < 0)
    for factor, value in terms:
        scaled = value if abs(factor) == 1 else f.mul(value, number(value.type, abs(factor)))
        if total is None:
            total = scaled if factor > 0 else f.neg(scaled)
        else:
            total = f.add(total, scaled) if factor > 0 else f.sub(total, scaled)
    assert total is not None
    return total


def sandwich(f: Function, m: Matrix, d: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """``m d mᵀ``."""
    half = [[linear(f, row, [line[j] for line in d]) for j in range(len(d[0]))] for row in m]
    return [[linear(f, row, line) for row in m] for line in half]


def turned(m: Matrix) -> Matrix:
    return tuple(zip(*m, strict=True))


@dataclass(frozen=True)
class Plan:
    """Blocks of tiles.

    Memory of a thread holds the staged pixels, the planes of the source, and those of the result.

    Attributes:
        d: what is computed.
        rows, columns: windows.
        panels: of the result's channels.
        images, lines: of a block: images, or rows of tiles of one image.
    """

    d: Direct
    rows: Axis
    columns: Axis
    panels: Panels
    together: int
    lines: int

    @staticmethod
    def of(d: Direct, isa: InstructionSet, block: int) -> Plan:
        (rows, columns), *_ = d.classes
        down, across = -(-rows.outputs // 2), -(-columns.outputs // 2)
        most = max(48, block // (d.depth + d.width))
        lines = max(1, min(down, most // across))
        lines = -(-down // -(-down // lines))
        images = max(1, min(d.images, most // (down * across)))
        images = -(-d.images // -(-d.images // images)) if d.images else 1
        return Plan(d, rows, columns, panels_of(d.width, d.kind, isa), images, lines)

    @property
    def images(self) -> int:
        return self.d.images

    @property
    def vector(self) -> Type:
        return self.d.kind.vector(self.panels.lanes)

    @property
    def across(self) -> int:
        """Tiles of a row."""
        return -(-self.columns.outputs // 2)

    @property
    def down(self) -> int:
        """Rows of tiles of an image."""
        return -(-self.rows.outputs // 2)

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
        """Channels of a row of the result's planes."""
        return self.panels.count * self.panels.channels

    def plane(self, channels: int) -> int:
        """Elements from plane to plane."""
        return self.tiles * channels + _GAP

    def stage(self, gradient: bool) -> Stage:
        """Room for the pixels of a block: those of the images, or of the gradient upstream."""
        d, more = self.d, 0 if gradient else 2
        size, left = (d.result, 0) if gradient else (d.source, self.columns.first)
        height, width = 2 * self.lines + more, 2 * self.across + more
        return Stage(
            self.together, height, width, left, (size[0], size[1]), size[2], d.kind, self.panels.lanes
        )

    def room(self, gradient: bool) -> int:
        """Elements of a thread's memory."""
        staged = max(self.stage(False).elements, self.stage(True).elements if gradient else 0)
        return staged + PLANES * (self.plane(self.d.depth) + self.plane(self.width)) + self.panels.lanes

    def each_channel(self, f: Function, channels: int, body: Callable[[Int, Value | None], None]) -> None:
        """Run ``body(channel, mask)`` for all vectors of channels."""
        shape = Panels(self.panels.lanes, 1, 1, channels)
        shape.sweep(f, 0, shape.each, lambda _, __, c, ragged: body(c, shape.shape(ragged)[1]))

    def each_tile(self, f: Function, body: Callable[[Int, Int, Int, Int], None]) -> None:
        """Run ``body(tile, image, line, column)`` for all tiles of a block."""

        def line(n: Int, r: Int) -> None:
            first = f.mul_int(f.add_int(f.mul_int(n, self.lines), r), self.across)
            f.loop(0, self.across, 1, lambda q, _: body(f.add_int(first, q), n, r, q))

        def image(n: Int, _: list[Value]) -> None:
            f.loop(0, self.lines, 1, lambda r, _: line(n, r))

        f.loop(0, self.together, 1, image)

    def each_block(
        self, f: Function, start: Int, stop: Int, body: Callable[[tuple[Int, Int], Int], None]
    ) -> None:
        """Run ``body(images, first row of tiles)`` for a range of blocks."""

        def block(b: Int, _: list[Value]) -> None:
            image = f.mul_int(f.div_int(b, self.cuts), self.together)
            stop = f.min_int(f.add_int(image, self.together), self.d.images)
            body((image, stop), f.mul_int(f.mod_int(b, self.cuts), self.lines))

        f.loop(start, stop, 1, block, may_be_empty=True)


@dataclass
class Block:
    """Code for the blocks of tiles of a task."""

    plan: Plan
    target: Target
    name: str
    functions: dict[str, Function] = field(default_factory=dict[str, Function])

    def begin(self, scratch: int) -> tuple[Function, Value, Value]:
        """The entry, its table, and its task; the thread's memory is at a place of the table."""
        p = self.plan
        self.f, operands, task, thread = entry(self.name, self.target)
        room = p.room(scratch == 3)
        self.staged = self.f.at(operand(self.f, operands, scratch), self.f.mul_int(thread, room), p.d.kind)
        staged = room - PLANES * (p.plane(p.d.depth) + p.plane(p.width)) - p.panels.lanes
        self.seen = self.f.at(self.staged, staged, p.d.kind)
        self.sums = self.f.at(self.seen, PLANES * p.plane(p.d.depth), p.d.kind)
        return self.f, operands, task

    def source(self, x: Value, images: tuple[Int, Int], line: Int) -> None:
        """Stage and transform the pixels that the tiles of a block see."""
        p, f = self.plan, self.f
        top = f.add_int(f.mul_int(line, 2), p.rows.first)
        self.planes(x, images, top, p.stage(False), 4, BT, self.seen, p.plane(p.d.depth), p.d.depth)

    def planes(
        self,
        x: Value,
        images: tuple[Int, Int],
        top: Int,
        stage: Stage,
        size: int,
        matrix: Matrix,
        result: Value,
        plane: int,
        width: int,
    ) -> None:
        """Stage pixels, and write a plane for each element of their transformed tiles."""
        p, f, kind, channels = self.plan, self.f, self.plan.vector, stage.channels
        stage.fill(f, x, self.staged, images, top)

        def tile(t: Int, n: Int, r: Int, q: Int) -> None:
            row = f.add_int(f.mul_int(n, stage.height), f.mul_int(r, 2))
            place = f.mul_int(f.add_int(f.mul_int(row, stage.width), f.mul_int(q, 2)), channels)

            def channel(c: Int, mask: Value | None) -> None:
                start = f.at(self.staged, f.add_int(place, c), kind)
                to = f.at(result, f.add_int(f.mul_int(t, width), c), kind)

                def at(i: int, j: int) -> int:
                    return (i * stage.width + j) * channels

                pixels = [
                    [f.load(f.at(start, at(i, j), kind), kind, mask) for j in range(size)]
                    for i in range(size)
                ]
                for i, line in enumerate(sandwich(f, matrix, pixels)):
                    for j, value in enumerate(line):
                        within = mask if width == channels else None
                        f.store(value, f.at(to, (4 * i + j) * plane, kind), within)

            p.each_channel(f, channels, channel)

        p.each_tile(f, tile)
