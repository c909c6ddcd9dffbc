"""Copies of some rows of images with zeros around them, so that windows need not know the edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from chainrule.compiler.on_native.ir import Function, Int, Type, Value, first_lanes, number
from chainrule.ops.windows import Pair

Pixels: TypeAlias = "Callable[[Int, Int, Value | None], Value]"
"""Computes channels of a pixel as a vector: of which pixel of all images, from which channel on, under which mask."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Room for rows of a few images.

    Attributes:
        images: how many.
        height, width: rows and columns of a copy.
        left: column of the image that the first column of a copy is; negative for zeros.
        size: rows and columns of an image.
        channels: of a pixel of the copy.
        kind: element type.
        lanes: of a vector.
        whole: channels of a pixel of the image, if the copy has only some of them.
    """

    images: int
    height: int
    width: int
    left: int
    size: Pair
    channels: int
    kind: Type
    lanes: int
    whole: int | None = None

    @property
    def elements(self) -> int:
        """Size of the copy."""
        return self.images * self.height * self.width * self.channels

    def fill(self, f: Function, source: Value, copy: Value, images: tuple[Int, Int], top: Int) -> None:
        """Copy the rows from ``top`` on, which may be negative, of images ``[first, stop)``; zeros elsewhere."""
        self.clear(f, copy)
        begin, end = self._rows(f, top)

        def image(n: Int, _: list[Value]) -> None:
            place = f.mul_int(f.sub_int(n, images[0]), self.height)
            f.loop(
                begin, end, 1, lambda r, _: self._copy(f, source, copy, n, top, r, place), may_be_empty=True
            )

        f.loop(*images, 1, image, may_be_empty=True)

    def refill(self, f: Function, source: Value | Pixels, copy: Value, image: Int, top: Int) -> None:
        """The same for one image, in a copy that was cleared once and holds nothing but rows of this width since.

        The pixels may be computed.
        """
        begin, end = self._rows(f, top)
        f.loop(0, begin, 1, lambda r, _: self._blank(f, copy, r), may_be_empty=True)
        f.loop(begin, end, 1, lambda r, _: self._copy(f, source, copy, image, top, r, 0), may_be_empty=True)
        f.loop(f.max_int(begin, end), self.height, 1, lambda r, _: self._blank(f, copy, r), may_be_empty=True)

    def clear(self, f: Function, copy: Value) -> None:
        """Zeros everywhere."""
        self._sweep(f, self.elements, lambda i, kind: f.store(number(kind, 0.0), f.at(copy, i, kind)))

    def _rows(self, f: Function, top: Int) -> tuple[Int, Int]:
        """Rows of the copy that lie in the image."""
        begin = f.min_int(f.max_int(f.sub_int(0, top), 0), self.height)
        return begin, f.min_int(f.sub_int(self.size[0], top), self.height)

    def _copy(
        self, f: Function, source: Value | Pixels, copy: Value, n: Int, top: Int, r: Int, place: Int
    ) -> None:
        """Copy row ``r`` of image ``n``, whose rows lie in the copy from ``place`` on."""
        line = f.add_int(f.mul_int(n, self.size[0]), f.add_int(top, r))
        pixel = f.add_int(f.mul_int(line, self.size[1]), max(0, self.left))
        there = self._line(f, copy, f.add_int(place, r))
        if not isinstance(source, Value):
            self._compute(f, source, there, pixel)
            return
        pitch = self.whole or self.channels
        here = f.at(source, f.mul_int(pixel, pitch), self.kind)
        # Pixels that follow each other in both arrays are copied as one.
        pixels, length = (1, self._inside) if pitch == self.channels else (self._inside, 1)

        def one(q: Int, _: list[Value]) -> None:
            start, to = (
                f.at(z, f.mul_int(q, n), self.kind) for z, n in ((here, pitch), (there, self.channels))
            )
            self._sweep(
                f,
                length * self.channels,
                lambda i, kind: f.store(f.load(f.at(start, i, kind), kind), f.at(to, i, kind)),
            )

        f.loop(0, pixels, 1, one)

    def _compute(self, f: Function, source: Pixels, there: Value, pixel: Int) -> None:
        """The pixels of a row from ``pixel`` on."""
        lanes, rest = self.lanes, self.channels % self.lanes

        def one(q: Int, _: list[Value]) -> None:
            here, to = f.add_int(pixel, q), f.at(there, f.mul_int(q, self.channels), self.kind)

            def some(c: Int, mask: Value | None = None) -> None:
                f.store(source(here, c, mask), f.at(to, c, self.kind), mask)

            f.loop(0, self.channels - rest, lanes, lambda c, _: some(c))
            if rest:
                some(self.channels - rest, first_lanes(rest, lanes))

        f.loop(0, self._inside, 1, one)

    def _blank(self, f: Function, copy: Value, r: Int) -> None:
        there = self._line(f, copy, r)
        length = self._inside * self.channels
        self._sweep(f, length, lambda i, kind: f.store(number(kind, 0.0), f.at(there, i, kind)))

    def _line(self, f: Function, copy: Value, row: Int) -> Value:
        """Where a row of the copy holds pixels of the image."""
        place = f.add_int(f.mul_int(row, self.width), max(0, -self.left))
        return f.at(copy, f.mul_int(place, self.channels), self.kind)

    @property
    def _inside(self) -> int:
        """Pixels of a row that lie in the image."""
        return max(0, min(self.size[1] - max(0, self.left), self.width - max(0, -self.left)))

    def _sweep(self, f: Function, length: int, body: Callable[[Int, Type], None]) -> None:
        """Run ``body(element, type)`` for vectors, and for single elements at the end."""
        whole = length - length % self.lanes
        f.loop(0, whole, self.lanes, lambda i, _: body(i, self.kind.vector(self.lanes)))
        f.loop(whole, length, 1, lambda i, _: body(i, self.kind))
