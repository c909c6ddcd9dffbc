"""Sums over pixels of products of some elements of one array with some vectors of another.

This is what gradients for weights are made of: a few elements at each pixel of the images, times a few vectors of
channels at the same pixel of the gradient upstream.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.compiler.on_native.ir import I1, I8, I64, PTR, Function, Int, Type, Value, number
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
        asks: bytes to ask for at each pixel, of what is read later.
    """

    places: tuple[int, ...]
    vectors: int
    mask: Value | None
    kind: Type
    first: tuple[int, int, int]
    second: tuple[int, int, int]
    step: int
    elementwise: bool = False
    asks: int = 0

    def function(self, name: str, target: Target) -> Function:
        """Code that adds to sums in memory, or begins them.

        Its parameters: both arrays and the sums; what to ask for; offset in the first array; how many images, rows
        of each, and pixels of a row; whether there are sums, to which it adds.
        """
        names = ("first", "second", "sums", "asked", "offset", "images", "rows", "pixels", "begun")
        kinds = (*(PTR,) * 4, *(I64,) * 4, I1)
        parameters = [(f"%{n}", k) for n, k in zip(names, kinds, strict=True)]
        f = Function(name, parameters, target, exported=False)
        first, second, sums, asked, offset, images, rows, pixels, begun = f.parameters

        def row(n: Int, r: Int, out: list[Value]) -> list[Value]:
            here = f.add_int(f.mul_int(n, self.first[0]), f.mul_int(r, self.first[1]))
            there = f.add_int(f.mul_int(n, self.second[0]), f.mul_int(r, self.second[1]))
            a = f.at(first, f.add_int(offset, here), self.kind)
            b = f.at(second, there, self.kind)
            before = f.mul_int(f.mul_int(f.add_int(f.mul_int(n, rows), r), pixels), self.asks)
            later = f.at(asked, before, I8) if self.asks else None

            def pixel(q: Int, out: list[Value]) -> list[Value]:
                return self._pixel(f, a, b, later, q, out)

            return f.loop(0, pixels, 1, pixel, out, may_be_empty=True)

        def image(n: Int, out: list[Value]) -> list[Value]:
            return f.loop(0, rows, 1, lambda r, out: row(n, r, out), out, may_be_empty=True)

        # Sums begin at zero and are added at the end: the error grows with the root of the pixels.
        zeros = [number(self.kind, 0.0)] * (len(self.places) * self.vectors)
        totals = f.loop(0, images, 1, image, zeros, may_be_empty=True)

        def store(adds: bool) -> None:
            for i, total in enumerate(totals):
                n, v = divmod(i, self.vectors)
                to = f.at(sums, n * self.step + v * self.kind.lanes, self.kind)
                f.store(f.add(f.load(to, self.kind), total) if adds else total, to)

        # What nobody has written yet need not be cleared first, which would be a pass over all sums.
        f.when(begun, lambda: store(True), lambda: store(False))
        return f

    def _pixel(
        self, f: Function, first: Value, second: Value, later: Value | None, q: Int, out: list[Value]
    ) -> list[Value]:
        if later is not None:
            f.prefetch(f.at(later, f.mul_int(q, self.asks), I8), locality=2)
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


@dataclass(frozen=True, slots=True)
class Asking:
    """How tiles that run one after the other ask for two arrays, a few bytes for each pixel: one, then the other.

    Attributes:
        sizes: bytes of both that are read next.
        tiles: that are run before.
        pixels: of a tile.
    """

    sizes: tuple[int, int]
    tiles: int
    pixels: int

    @property
    def half(self) -> int:
        """Tiles that ask for the first array."""
        return self.tiles // 2

    @property
    def step(self) -> int:
        """Bytes for each pixel; 0 if there are so few tiles that it would be too much at once."""
        if self.tiles < 4 or not self.pixels:
            return 0
        return -(-max(self.sizes) // (self.half * self.pixels))

    def asked(self, f: Function, tile: Int, first: Value, second: Value) -> Value:
        """What a tile begins to ask for, given by its number; the arrays are those that are read next."""
        if not self.step:
            return first
        place = f.operand(f.mul_int(tile, self.step * self.pixels))
        back = f.operand(f.sub_int(place, self.step * self.pixels * self.half))
        early = f.less_int(tile, self.half)
        return f.select(early, f.at(first, place, I8), f.at(second, back, I8))
