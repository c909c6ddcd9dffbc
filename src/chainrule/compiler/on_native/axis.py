"""Sliding windows along one axis: which places of a source each output sees.

A convolution, its gradient for the image, and a pool are all sums (or maxima) over windows. Output ``m`` of an
axis sees place ``m * stride + first + k * gap`` of the source through tap ``k``, if there is such a place; it is
written to ``start + m * step``. Places outside are left out instead of being padded with zeros.

A gradient for an image with stride ``s`` is ``s`` such axes, one for each remainder of the position by ``s``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.ir import Function, Int
from chainrule.ops.windows import Pair


@dataclass(frozen=True, slots=True)
class Axis:
    """Windows along one axis.

    Attributes:
        outputs: how many windows.
        start, step: output ``m`` is written to ``start + m * step``.
        places: size of the source.
        stride: places from one window to the next.
        first: place that the first tap of the first window sees; negative if it is outside.
        gap: places from one tap to the next.
        taps: which elements of the kernel the taps are, in the order of the places.
    """

    outputs: int
    start: int
    step: int
    places: int
    stride: int
    first: int
    gap: int
    taps: tuple[int, ...]

    def seen(self, m: int) -> tuple[int, int]:
        """The taps ``[a, b)`` of window ``m`` that see a place of the source."""
        base = m * self.stride + self.first
        a = min(len(self.taps), max(0, -(base // self.gap)))
        b = min(len(self.taps), (self.places - 1 - base) // self.gap + 1)
        return a, max(a, b)

    def window(self, f: Function, m: Int) -> tuple[Int, Int]:
        """The same in code."""
        if self.all_inside:
            return 0, len(self.taps)
        base = f.add_int(f.mul_int(m, self.stride), self.first)
        a = f.div_int(f.max_int(f.sub_int(self.gap - 1, base), 0), self.gap)
        last = f.max_int(f.sub_int(self.places - 1 + self.gap, base), 0)
        return a, f.min_int(f.div_int(last, self.gap), len(self.taps))

    def viewers(self, f: Function, tap: Int, start: Int, stop: Int) -> tuple[Int, Int]:
        """The windows among ``[start, stop)`` whose tap sees a place of the source; maybe none (start ≥ stop)."""
        base = f.add_int(f.mul_int(tap, self.gap), self.first)
        a = f.div_int(f.max_int(f.sub_int(self.stride - 1, base), 0), self.stride)
        b = f.div_int(f.max_int(f.sub_int(self.places + self.stride - 1, base), 0), self.stride)
        return f.max_int(a, start), f.min_int(b, stop)

    def place(self, f: Function, m: Int, tap: Int) -> Int:
        """What window ``m`` sees through a tap; maybe a place outside."""
        return f.add_int(f.add_int(f.mul_int(m, self.stride), self.first), f.mul_int(tap, self.gap))

    def tap(self, f: Function, k: Int) -> Int:
        """Which element of the kernel tap ``k`` is."""
        return f.add_int(f.mul_int(k, self.tap_step), self.taps[0])

    @property
    def tap_step(self) -> int:
        """Elements of the kernel from one tap to the next: all are equally spaced."""
        _, *others = self.taps or (0,)
        return others[0] - self.taps[0] if others else 0

    @property
    def all_inside(self) -> bool:
        """Whether every tap of every window sees a place of the source."""
        last = (self.outputs - 1) * self.stride + self.first + (len(self.taps) - 1) * self.gap
        return not self.taps or (self.first >= 0 and last < self.places)

    @property
    def may_be_blind(self) -> bool:
        """Whether some window sees nothing of the source."""
        return any(a >= b for a, b in map(self.seen, range(self.outputs)))

    @property
    def span(self) -> int:
        """Places that a window reaches over."""
        return (len(self.taps) - 1) * self.gap + 1

    @property
    def inner(self) -> tuple[int, int]:
        """The windows ``[a, b)`` all of whose taps see a place of the source."""
        if self.all_inside:
            return 0, self.outputs
        reach = self.places - 1 - (len(self.taps) - 1) * self.gap - self.first
        a = min(self.outputs, max(0, -(self.first // self.stride)))
        return a, max(a, min(self.outputs, reach // self.stride + 1))


def forward_axis(size: int, windows: int, kernel: int, stride: int, padding: Pair, dilation: int = 1) -> Axis:
    """The axis of a convolution or a pool: its source is the image."""
    return Axis(windows, 0, 1, size, stride, -padding[0], dilation, tuple(range(kernel)))


def backward_axes(
    size: int, windows: int, kernel: int, stride: int, padding: Pair, dilation: int = 1
) -> list[Axis]:
    """The axes of a gradient for the image: its source has an element for each window.

    A pixel ``i = a + m * stride`` is seen through the taps with ``i + padding = window * stride + tap * dilation``;
    which ones depends on ``a`` alone.
    """
    axes: list[Axis] = []
    for a in range(min(stride, size)):
        taps = [k for k in reversed(range(kernel)) if (a + padding[0] - k * dilation) % stride == 0]
        first = (a + padding[0] - taps[0] * dilation) // stride if taps else 0
        gap = dilation // math.gcd(dilation, stride)
        axes.append(Axis(len(range(a, size, stride)), a, stride, windows, 1, first, gap, tuple(taps)))
    return axes


@dataclass(frozen=True, slots=True)
class Reach:
    """Taps ``[first, stop)`` through which the same outputs ``[low, high)`` of a tile see the source."""

    first: int
    stop: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Tiles:
    """Tiles of ``size`` outputs, one after the other from output ``start``, that see the source alike."""

    start: int
    count: int
    size: int
    reaches: tuple[Reach, ...]


def tiles(axis: Axis, sizes: Sequence[int]) -> list[Tiles]:
    """Cut the windows of an axis into tiles of the given sizes; tiles that see alike are one entry."""
    found: list[Tiles] = []
    start = 0
    for size in sizes:
        reaches = _reaches(axis, start, size)
        last = found[-1] if found else None
        if last and (last.size, last.reaches) == (size, reaches):
            found[-1] = Tiles(last.start, last.count + 1, size, reaches)
        else:
            found.append(Tiles(start, 1, size, reaches))
        start += size
    return found


def _reaches(axis: Axis, start: int, size: int) -> tuple[Reach, ...]:
    found: list[Reach] = []
    for k in range(len(axis.taps)):
        base = start * axis.stride + axis.first + k * axis.gap
        low = max(0, -(base // axis.stride))
        high = min(size, (axis.places - 1 - base) // axis.stride + 1)
        if high <= low:
            continue
        last = found[-1] if found else None
        if last and (last.stop, last.low, last.high) == (k, low, high):
            found[-1] = Reach(last.first, k + 1, low, high)
        else:
            found.append(Reach(k, k + 1, low, high))
    return tuple(found)


def even(total: int, largest: int) -> list[int]:
    """Cut ``total`` into as few parts of at most ``largest`` as possible, nearly equal, larger ones first."""
    parts = -(-total // largest)
    size, more = divmod(total, max(parts, 1))
    return [size + 1] * more + [size] * (parts - more)
