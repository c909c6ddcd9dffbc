"""Copies of some rows of images with zeros around them, so that windows need not know the edges."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.compiler.on_native.ir import Function, Int, Type, Value, number
from chainrule.ops.windows import Pair


@dataclass(frozen=True, slots=True)
class Stage:
    """Room for rows of a few images.

    Attributes:
        images: how many.
        height, width: rows and columns of a copy.
        left: column of the image that the first column of a copy is; negative for zeros.
        size: rows and columns of an image.
        channels: of a pixel.
        kind: element type.
        lanes: of a vector.
    """

    images: int
    height: int
    width: int
    left: int
    size: Pair
    channels: int
    kind: Type
    lanes: int

    @property
    def elements(self) -> int:
        """Size of the copy."""
        return self.images * self.height * self.width * self.channels

    def fill(self, f: Function, source: Value, copy: Value, images: tuple[Int, Int], top: Int) -> None:
        """Copy the rows from ``top`` on, which may be negative, of images ``[first, stop)``; zeros elsewhere."""
        self._zeros(f, copy)
        before, skipped = max(0, -self.left), max(0, self.left)
        length = max(0, min(self.size[1] - skipped, self.width - before)) * self.channels
        begin = f.max_int(f.sub_int(0, top), 0)
        end = f.min_int(f.sub_int(self.size[0], top), self.height)

        def row(n: Int, r: Int) -> None:
            line = f.add_int(f.mul_int(n, self.size[0]), f.add_int(top, r))
            start = f.add_int(f.mul_int(line, self.size[1]), skipped)
            line = f.add_int(f.mul_int(f.sub_int(n, images[0]), self.height), r)
            place = f.add_int(f.mul_int(line, self.width), before)
            here = f.at(source, f.mul_int(start, self.channels), self.kind)
            there = f.at(copy, f.mul_int(place, self.channels), self.kind)

            def move(i: Int, kind: Type) -> None:
                f.store(f.load(f.at(here, i, kind), kind), f.at(there, i, kind))

            whole = length - length % self.lanes
            f.loop(0, whole, self.lanes, lambda i, _: move(i, self.kind.vector(self.lanes)))
            f.loop(whole, length, 1, lambda i, _: move(i, self.kind))

        def image(n: Int, _: list[Value]) -> None:
            f.loop(begin, end, 1, lambda r, _: row(n, r), may_be_empty=True)

        f.loop(*images, 1, image, may_be_empty=True)

    def _zeros(self, f: Function, copy: Value) -> None:
        def zero(i: Int, kind: Type) -> None:
            f.store(number(kind, 0.0), f.at(copy, i, kind))

        whole = self.elements - self.elements % self.lanes
        f.loop(0, whole, self.lanes, lambda i, _: zero(i, self.kind.vector(self.lanes)))
        f.loop(whole, self.elements, 1, lambda i, _: zero(i, self.kind))
