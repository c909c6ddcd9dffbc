"""Plain sums in the place of those of a convolution that are not finite.

Winograd's transforms add and subtract pixels, so one infinity makes NaNs of a whole tile, and numbers near the largest
one overflow. Where a padded copy of the image is read, a gradient that is not finite makes NaNs of the zeros. A result
that is not finite is therefore computed again, directly and without what lies outside the image; then infinities and
NaNs go where they go in NumPy. Conversely what these ways give is not finite where the plain sums are not: an infinity
or a NaN is never lost on the way.

Such code runs rarely. Sums that are NaN in all lanes are left as soon as they are, so a network whose every number
is NaN is not slow.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from chainrule.compiler.on_native.axis import Axis
from chainrule.compiler.on_native.floats import Mask
from chainrule.compiler.on_native.ir import I1, I8, I64, PTR, Function, Int, Type, Value, number
from chainrule.compiler.on_native.pool_ties import shares
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.winograd_filter import TAPS
from chainrule.ops.windows import Pair


def exact(f: Function, values: Sequence[Value], room: Value, write: Callable[[Value], None]) -> list[Value]:
    """These vectors, or if an element is not finite, those that ``write(room)`` writes to memory."""
    total = reduce(f.add, values)  # finite only if all are; an overflow costs time alone

    def again() -> list[Value]:
        write(room)
        kind = values[0].type
        return [f.load(f.at(room, n * kind.lanes, kind), kind) for n in range(len(values))]

    return f.replaced(_some(f, _none(f, total)), values, again)


def _none(f: Function, value: Value) -> Value:
    """Where a vector is infinite or NaN."""
    gone = f.sub(value, value)
    return f.compare("uno", gone, gone)


def _some(f: Function, where: Value) -> Value:
    return Mask(f, where).any()


def _within(f: Function, place: Int, size: int) -> Value:
    """Whether a place is one of so many."""
    return f.emit(f"icmp ult i64 {place}, {size}", I1)


def _alive(f: Function, sums: Sequence[Value]) -> Value:
    """Whether a lane of some sums is a number or infinite, so that more products can change it."""
    return _some(f, reduce(lambda a, b: f.binary("or", a, b), (f.compare("ord", s, s) for s in sums)))


@dataclass(frozen=True, slots=True)
class TileSums:
    """The results of a tile for a vector of channels, from pixels and plain packed weights.

    Attributes:
        outputs: rows and columns of the tile.
        size: rows and columns of an image.
        pitch, pixel: elements from row to row, and from pixel to pixel.
        depth: channels of a pixel.
        channels: of a panel of weights, which lie as ``[tap][depth][channel]``.
        vector: of some channels.
    """

    outputs: Pair
    size: Pair
    pitch: int
    pixel: int
    depth: int
    channels: int
    vector: Type

    def function(self, target: Target) -> Function:
        """Parameters: the tile's first pixel, its row and column in the image, weights of the channels, and what the
        results are written to."""
        code = hashlib.sha256(repr(self).encode()).hexdigest()[:20]
        names = ("pixels", "row", "column", "weights", "results")
        kinds = (PTR, I64, I64, PTR, PTR)
        parameters = [(f"%{n}", k) for n, k in zip(names, kinds, strict=True)]
        f = Function(f"exact_{target.isa.name}_{code}", parameters, target, exported=False)
        start, *first, weights, results = f.parameters
        kind, scalar = self.vector, self.vector.scalar
        places = list(itertools.product(*map(range, self.outputs)))

        def tap(t: Int, sums: list[Value]) -> list[Value]:
            down, across = f.div_int(t, TAPS), f.mod_int(t, TAPS)
            seen = f.add_int(f.mul_int(down, self.pitch), f.mul_int(across, self.pixel))
            rows, columns = (
                [_within(f, f.add_int(f.add_int(corner, at), n), size) for n in range(outputs)]
                for corner, at, outputs, size in zip(
                    first, (down, across), self.outputs, self.size, strict=True
                )
            )
            inside = [f.binary("and", rows[i], columns[j]) for i, j in places]

            def deep(k: Int, sums: list[Value]) -> list[Value]:
                row = f.add_int(f.mul_int(t, self.depth), k)
                w = f.load(f.at(weights, f.mul_int(row, self.channels), scalar), kind)
                here = f.at(start, f.add_int(seen, k), scalar)
                pixels = [f.at(here, self.pitch * i + self.pixel * j, scalar) for i, j in places]
                return [
                    f.select(within, f.fma(f.load_splat(x, kind), w, s), s)
                    for within, x, s in zip(inside, pixels, sums, strict=True)
                ]

            return f.replaced(_alive(f, sums), sums, lambda: f.loop(0, self.depth, 1, deep, sums))

        for n, value in enumerate(f.loop(0, TAPS * TAPS, 1, tap, [number(kind, 0.0)] * len(places))):
            f.store(value, f.at(results, n * kind.lanes, kind))
        f.ret()
        return f


@dataclass(frozen=True, slots=True)
class KernelSums:
    """The gradient for the weights of one channel of images and a vector of the results', a tap at a time.

    Attributes:
        images: how many.
        rows, columns: windows.
        depth, width: channels of the images, and of the gradient upstream.
        vector: of some channels.
        mask: of those there are; None for all.
        spread: rows and columns of the windows of a pool over which the gradient upstream is spread; None if it lies
            there.
    """

    images: int
    rows: Axis
    columns: Axis
    depth: int
    width: int
    vector: Type
    mask: Value | None
    spread: Pair | None = None

    def function(self, name: str, target: Target) -> Function:
        """Parameters: images from the channel on, gradient upstream from the channels on, which places of its pool's
        windows tie from there on (if it is spread), the tap's row and column, and what the result is written to."""
        names = ("images", "upstream", *(("ties",) if self.spread else ()), "row", "column", "result")
        parameters = [(f"%{n}", I64 if n in ("row", "column") else PTR) for n in names]
        f = Function(name, parameters, target, exported=False)

        def image(n: Int, total: list[Value]) -> list[Value]:
            return f.replaced(_alive(f, total), total, lambda: [f.add(total[0], self._image(f, n))])

        (total,) = f.loop(0, self.images, 1, image, [number(self.vector, 0.0)])
        f.store(total, f.parameters[-1])
        f.ret()
        return f

    def _image(self, f: Function, n: Int) -> Value:
        """The sum of an image."""
        scalar = self.vector.scalar
        images, *taps = f.parameters[0], *f.parameters[-3:-1]

        def seen(axis: Axis, m: Int, tap: Int) -> tuple[Int, Value]:
            """A place of the images, and whether there is one; else it is the first."""
            at = f.operand(axis.place(f, m, tap))
            within = _within(f, at, axis.places)
            return f.select(within, at, number(I64, 0)), within

        def row(i: Int, total: list[Value]) -> list[Value]:
            down, inside = seen(self.rows, i, taps[0])
            line = f.mul_int(f.add_int(f.mul_int(n, self.rows.places), down), self.columns.places)

            def column(j: Int, total: list[Value]) -> list[Value]:
                across, near = seen(self.columns, j, taps[1])
                pixel = f.at(images, f.mul_int(f.add_int(line, across), self.depth), scalar)
                more = f.fma(f.load_splat(pixel, self.vector), self._upstream(f, n, i, j), total[0])
                return [f.select(f.binary("and", inside, near), more, total[0])]

            return f.loop(0, self.columns.outputs, 1, column, total)

        return f.loop(0, self.rows.outputs, 1, row, [number(self.vector, 0.0)])[0]

    def _upstream(self, f: Function, n: Int, i: Int, j: Int) -> Value:
        """The gradient upstream of a window."""
        height, width = self.spread or (1, 1)
        row = f.add_int(f.mul_int(n, self.rows.outputs // height), f.div_int(i, height))
        place = f.add_int(f.mul_int(row, self.columns.outputs // width), f.div_int(j, width))
        at = f.mul_int(place, self.width)
        g = f.load(f.at(f.parameters[1], at, self.vector.scalar), self.vector, self.mask)
        if self.spread is None:
            return g
        bits = f.load(f.at(f.parameters[2], at, I8), Type(I8.element, self.vector.lanes), self.mask)
        found, *others = shares(f, g, bits, height * width)
        mine = f.add_int(f.mul_int(f.mod_int(i, height), width), f.mod_int(j, width))
        for which, share in enumerate(others, 1):
            found = f.select(f.equal_int(f.operand(mine), number(I64, which)), share, found)
        return found
