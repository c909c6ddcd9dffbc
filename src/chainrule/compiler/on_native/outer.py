"""Sums over pixels of products of some elements of one array with some vectors of another.

This is what gradients for weights are made of: a few elements at each pixel of the images, times a few vectors of
channels at the same pixel of the gradient upstream.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.compiler.on_native.ir import I64, PTR, Function, Int, Type, Value, number
from chainrule.compiler.on_native.target import Target


@dataclass(frozen=True, slots=True)
class Outer:
    """A tile of such sums, in registers.

    Attributes:
        places: the elements of the first array, as offsets from a pixel's first; each is a row of the tile.
        vectors: of the second array.
        mask: lanes of the last vector; None for all.
        kind: a vector of elements.
        first, second: elements from image to image, row to row and pixel to pixel.
        step: elements from row to row of the sums.
        elementwise: vectors of the first array meet those of the second.
    """

    places: tuple[int, ...]
    vectors: int
    mask: Value | None
    kind: Type
    first: tuple[int, int, int]
    second: tuple[int, int, int]
    step: int
    elementwise: bool = False

    def function(self, name: str, target: Target) -> Function:
        """Code that adds to sums in memory.

        Its parameters: both arrays and the sums; offset in the first array; how many images, rows of each, and
        pixels of a row.
        """
        names = ("first", "second", "sums", "offset", "images", "rows", "pixels")
        kinds = (PTR, PTR, PTR, *(I64,) * 4)
        parameters = [(f"%{n}", k) for n, k in zip(names, kinds, strict=True)]
        f = Function(name, parameters, target, exported=False)
        first, second, sums, offset, images, rows, pixels = f.parameters

        def row(n: Int, r: Int, out: list[Value]) -> list[Value]:
            here = f.add_int(f.mul_int(n, self.first[0]), f.mul_int(r, self.first[1]))
            there = f.add_int(f.mul_int(n, self.second[0]), f.mul_int(r, self.second[1]))
            a = f.at(first, f.add_int(offset, here), self.kind)
            b = f.at(second, there, self.kind)
            return f.loop(0, pixels, 1, lambda q, out: self._pixel(f, a, b, q, out), out, may_be_empty=True)

        def image(n: Int, out: list[Value]) -> list[Value]:
            return f.loop(0, rows, 1, lambda r, out: row(n, r, out), out, may_be_empty=True)

        # Sums begin at zero and are added at the end: the error grows with the root of the pixels.
        zeros = [number(self.kind, 0.0)] * (len(self.places) * self.vectors)
        for i, total in enumerate(f.loop(0, images, 1, image, zeros, may_be_empty=True)):
            n, v = divmod(i, self.vectors)
            to = f.at(sums, n * self.step + v * self.kind.lanes, self.kind)
            f.store(f.add(f.load(to, self.kind), total), to)
        return f

    def _pixel(self, f: Function, first: Value, second: Value, q: Int, out: list[Value]) -> list[Value]:
        here = f.at(first, f.mul_int(q, self.first[2]), self.kind)
        b = self._vectors(f, f.at(second, f.mul_int(q, self.second[2]), self.kind))
        after: list[Value] = []
        for i, place in enumerate(self.places):
            seen = f.at(here, place, self.kind)
            a = self._vectors(f, seen) if self.elementwise else [f.load_splat(seen, self.kind)] * self.vectors
            after += [f.fma(a[v], b[v], out[i * self.vectors + v]) for v in range(self.vectors)]
        return after

    def _vectors(self, f: Function, start: Value) -> list[Value]:
        masks = [*[None] * (self.vectors - 1), self.mask]
        return [
            f.load(f.at(start, v * self.kind.lanes, self.kind), self.kind, m) for v, m in enumerate(masks)
        ]
