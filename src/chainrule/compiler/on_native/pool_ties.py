"""Windows of a max pool in registers: their maximum, which places tie for it, and the gradient that these share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.ir import I8, Function, Int, Type, Value, number
from chainrule.compiler.on_native.panels import Panels
from chainrule.ops.windows import Pair


@dataclass(frozen=True, slots=True)
class PoolEnd:
    """A pool, without padding or gaps, that takes what a kernel makes.

    Attributes:
        size: rows and columns of a window.
        keeps: whether the maximum is stored, and which places tie for it.
    """

    size: Pair
    keeps: tuple[bool, bool]

    @property
    def name(self) -> str:
        """Says everything that code depends on."""
        return f"pool{self.size[0]}.{self.size[1]}{'y' * self.keeps[0]}{'t' * self.keeps[1]}"

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of what is stored."""
        return tuple(itertools.compress(("y", "ties"), self.keeps))

    def store(
        self, f: Function, places: Sequence[Value], results: Sequence[Value], at: Int, mask: Value | None
    ) -> None:
        """Write what a window comes to.

        Args:
            f: the function under construction.
            places: of the window, row by row.
            results: the arrays that are written.
            at: the number of the first channel among all of the first array, and its byte in the other.
            mask: lanes that exist.
        """
        y = largest(f, places)
        values = itertools.compress((y, ties(f, places, y) if self.keeps[1] else y), self.keeps)
        for array, value in zip(results, values, strict=True):
            f.store(value, f.at(array, at, value.type), mask)


@dataclass(frozen=True, slots=True)
class PooledRows:
    """A pool at work: rows of a kernel's results wait in memory of the thread until a window is complete.

    Attributes:
        end: the pool.
        room: the first of these rows, with the channels of a panel.
        results: what it writes.
        kind: element type.
        size: rows, columns and channels of the images that are pooled.
    """

    end: PoolEnd
    room: Value
    results: Sequence[Value]
    kind: Type
    size: tuple[int, int, int]

    def windows(self, f: Function, panels: Panels, n: Int, m: Int, channel: Int, ragged: bool) -> None:
        """Pool the rows of the ``m``-th windows of image ``n``, for the channels of a panel from ``channel`` on."""
        height, width = self.end.size
        lines, columns = self.size[0] // height, self.size[1] // width
        kind, each = self.kind.vector(panels.lanes), panels.channels
        vectors, mask = panels.shape(ragged)
        places = [(r * self.size[1] + c) * each for r in range(height) for c in range(width)]

        def window(q: Int, _: list[Value]) -> None:
            here = f.at(self.room, f.mul_int(q, width * each), self.kind)
            row = f.add_int(f.mul_int(f.add_int(f.mul_int(n, lines), m), columns), q)
            to = f.add_int(f.mul_int(row, self.size[2]), channel)
            for v in range(vectors):
                values = [f.load(f.at(here, place + v * panels.lanes, kind), kind) for place in places]
                within = mask if v == vectors - 1 else None
                self.end.store(f, values, self.results, f.add_int(to, v * panels.lanes), within)

        f.loop(0, columns, 1, window)


@dataclass(frozen=True, slots=True)
class SpreadRows:
    """A pool's gradient at work: spread over the windows of some rows, into memory of the thread, before it is read.

    Attributes:
        window: rows and columns of a window; windows cover the images.
        upstream, ties: the gradient of each window, and which places share it.
        room: where images follow each other, ``lines`` rows of each.
        kind: a vector of elements.
        size: rows, columns and channels of an image.
        lines: a multiple of a window's rows.
    """

    window: Pair
    upstream: Value
    ties: Value
    room: Value
    kind: Type
    size: tuple[int, int, int]
    lines: int

    def fill(self, f: Function, images: tuple[Int, Int], lines: tuple[Int, Int]) -> None:
        """Spread what belongs to rows from and to of images from and to."""
        (height, width), (rows, columns, channels) = self.window, self.size
        shape = Panels(self.kind.lanes, 1, 1, channels)
        steps = [(r * columns + c) * channels for r in range(height) for c in range(width)]

        def window(n: Int, m: Int, q: Int) -> None:
            row = f.add_int(f.mul_int(n, rows // height), m)
            source = f.mul_int(f.add_int(f.mul_int(row, columns // width), q), channels)
            line = f.mul_int(f.sub_int(n, images[0]), self.lines)
            line = f.add_int(line, f.sub_int(f.mul_int(m, height), lines[0]))
            to = f.mul_int(f.add_int(f.mul_int(line, columns), f.mul_int(q, width)), channels)

            def vector(_: Int, __: Int, channel: Int, ragged: bool) -> None:
                mask, at = shape.shape(ragged)[1], f.add_int(source, channel)
                g = f.load(f.at(self.upstream, at, self.kind), self.kind, mask)
                bits = f.load(f.at(self.ties, at, I8), Type(I8.element, self.kind.lanes), mask)
                for step, share in zip(steps, shares(f, g, bits, len(steps)), strict=True):
                    there = f.add_int(f.add_int(to, channel), step)
                    f.store(share, f.at(self.room, there, self.kind), mask)

            shape.sweep(f, 0, shape.count, vector)

        def image(n: Int, _: list[Value]) -> None:
            first, stop = (f.div_int(line, height) for line in lines)
            f.loop(first, stop, 1, lambda m, _: row(n, m), may_be_empty=True)

        def row(n: Int, m: Int) -> None:
            f.loop(0, columns // width, 1, lambda q, _: window(n, m, q))

        f.loop(*images, 1, image, may_be_empty=True)


def largest(f: Function, values: Sequence[Value]) -> Value:
    """The maximum, the first where zeros of both signs are; nan if one of them is."""
    found = values[0]
    for x in values[1:]:
        found = f.select(f.compare("ogt", x, found), x, found)
    pairs = [f.compare("uno", a, b) for a, b in zip(values[::2], [*values[1::2], values[-1]], strict=False)]
    nan = pairs[0]
    for pair in pairs[1:]:
        nan = f.binary("or", nan, pair)
    return f.select(nan, number(found.type, math.nan), found)


def ties(f: Function, values: Sequence[Value], top: Value) -> Value:
    """Bytes in which bit i says that value i is the maximum."""
    kind = Type("i8", top.type.lanes)
    found = number(kind, 0)
    for i, x in enumerate(values):
        found = f.binary("or", found, f.select(f.compare("oeq", x, top), _bit(kind, i), number(kind, 0)))
    return found


def shares(f: Function, upstream: Value, bits: Value, places: int) -> list[Value]:
    """The gradient of a window as it is spread over its places."""
    kind, nothing = upstream.type, number(upstream.type, 0.0)
    tied = [
        f.compare("ne", f.binary("and", bits, _bit(bits.type, i)), number(bits.type, 0))
        for i in range(places)
    ]
    count = nothing
    for mask in tied:
        count = f.add(count, f.select(mask, number(kind, 1.0), nothing))
    share = f.div(upstream, count)
    return [f.select(mask, share, nothing) for mask in tied]


def _bit(kind: Type, i: int) -> Value:
    return number(kind, 1 << i if i < 7 else -128)
