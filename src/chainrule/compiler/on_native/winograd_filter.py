"""The transforms of Winograd's minimal filtering F(m × n, 3 × 3), and straight-line code for them.

A convolution of polynomials is a product of their values at enough points. Turned around, it gives m results of a
filter of 3 taps from m + 2 pixels with m + 2 products: ``y = A ((G g) ⊙ (Bᵀ d))``; in two dimensions such matrices
are applied from both sides, those for m down the columns and those for n along the rows. Bᵀ holds the coefficients of
products of ``x - point``, A powers of the points; what makes up for them is in G, which meets only the weights.

Points that lie close to 1 keep the powers alike, and pairs ``±p`` share their work. For four results, 0, ±11/16, ±3/2
and infinity give a quarter of the error of the usual 0, ±1, ±2, for hardly more instructions where there is a fused
multiply-add. Their powers are exact in float32.

Source: Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016, arXiv:1509.09308; points: Alam,
Anderson, Barabasz and Gregg, Winograd convolution for deep neural networks: efficient point selection, ACM TECS 21(6),
2022, doi:10.1145/3524069, and a search of our own near theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

from chainrule.compiler.on_native.ir import Function, Value, number
from chainrule.ops.windows import Pair

Matrix: TypeAlias = "tuple[tuple[Fraction, ...], ...]"
Matrices: TypeAlias = "tuple[Matrix, Matrix]"
"""For columns and for rows."""
Term: TypeAlias = "tuple[Fraction, Value]"
TAPS = 3


@dataclass(frozen=True)
class Points:
    """A way to filter with 3 taps: along one axis.

    Attributes:
        points: at which polynomials are evaluated, next to infinity; pairs of opposite ones follow each other.
    """

    points: tuple[Fraction, ...]

    @property
    def size(self) -> int:
        """Pixels of an edge of a tile."""
        return len(self.points) + 1

    @property
    def outputs(self) -> int:
        """Results of an edge of a tile: m."""
        return self.size - TAPS + 1

    @cached_property
    def pixels(self) -> Matrix:
        """Bᵀ, for tiles of pixels."""
        size = self.size
        rows = [_product(q for j, q in enumerate(self.points) if j != i) for i in range(size - 1)]
        rows.append(_product(self.points))
        return tuple((*row, *[Fraction(0)] * (size - len(row))) for row in rows)

    @cached_property
    def weights(self) -> Matrix:
        """G, for the weights."""
        rows: list[tuple[Fraction, ...]] = []
        for i, p in enumerate(self.points):
            others = Fraction(1)
            for j, q in enumerate(self.points):
                others *= p - q if j != i else 1
            rows.append(tuple(p**k / others for k in range(TAPS)))
        return (*rows, _last(TAPS))

    @cached_property
    def results(self) -> Matrix:
        """A, which makes tiles of results of sums of products."""
        return turned((*(tuple(p**k for k in range(self.outputs)) for p in self.points), _last(self.outputs)))


@dataclass(frozen=True)
class Filter:
    """A way to filter with 3 × 3 taps.

    Attributes:
        down, across: ways to filter along columns and rows.
    """

    down: Points
    across: Points

    @property
    def name(self) -> str:
        """Rows and columns of a tile of results."""
        return f"{self.down.outputs}x{self.across.outputs}"

    @property
    def size(self) -> Pair:
        """Rows and columns of a tile of pixels."""
        return self.down.size, self.across.size

    @property
    def outputs(self) -> Pair:
        """Rows and columns of a tile of results."""
        return self.down.outputs, self.across.outputs

    @property
    def least(self) -> int:
        """The shorter edge of a tile of results: what is as short on one side is about as exact as direct sums."""
        return min(self.outputs)

    @property
    def planes(self) -> int:
        """Elements of a transformed tile."""
        return math.prod(self.size)

    @property
    def pixels(self) -> Matrices:
        """Bᵀ for both axes."""
        return self.down.pixels, self.across.pixels

    @property
    def weights(self) -> Matrices:
        """G."""
        return self.down.weights, self.across.weights

    @property
    def results(self) -> Matrices:
        """A."""
        return self.down.results, self.across.results

    def tiles(self, windows: Pair) -> int:
        """Tiles of an image with so many rows and columns of results."""
        return math.prod(-(-n // m) for n, m in zip(windows, self.outputs, strict=True))

    def gain(self, windows: Pair) -> float:
        """How many products of the direct sums one product stands for; fewer where tiles reach beyond the edge."""
        return math.prod(windows) * TAPS * TAPS / (self.tiles(windows) * self.planes)


_TWO = Points((Fraction(0), Fraction(1), Fraction(-1)))
_FOUR = Points(tuple(Fraction(n, 16) for n in (0, 11, -11, 24, -24)))
F2 = Filter(_TWO, _TWO)
F24 = Filter(_TWO, _FOUR)
F4 = Filter(_FOUR, _FOUR)
FILTERS = (F4, F24, F2)
"""The one that saves most first."""


def turned(m: Matrix) -> Matrix:
    return tuple(zip(*m, strict=True))


def both_turned(m: Matrices) -> Matrices:
    return turned(m[0]), turned(m[1])


def _last(size: int) -> tuple[Fraction, ...]:
    """The point at infinity sees the highest power alone."""
    return (*[Fraction(0)] * (size - 1), Fraction(1))


def _product(points: Iterable[Fraction]) -> list[Fraction]:
    """Coefficients of the product of ``x - p``, lowest power first."""
    found = [Fraction(1)]
    for p in points:
        shifted, scaled = [Fraction(0), *found], [*(p * c for c in found), Fraction(0)]
        found = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return found


def sandwich(
    f: Function, m: Matrices, get: Callable[[int, int], Value], put: Callable[[int, int, Value], None]
) -> None:
    """Write ``m d nᵀ``: ``get(i, j)`` reads an element of d, ``put(i, j, value)`` takes one of the result."""
    down, across = m
    rows, columns = range(len(down[0])), range(len(across[0]))
    half = [apply(f, down, [get(i, j) for i in rows]) for j in columns]
    for i in range(len(down)):
        for j, value in enumerate(apply(f, across, [line[i] for line in half])):
            put(i, j, value)


def apply(f: Function, m: Matrix, values: Sequence[Value]) -> list[Value]:
    """``m v`` in few instructions."""
    columns = _butterflies(f, [(list(c), v) for c, v in zip(turned(m), values, strict=True)])
    seen = [v for _, v in columns]
    rows = list(zip(*(c for c, _ in columns), strict=True))
    made: dict[int, Value] = {}
    for i, row in enumerate(rows):
        if i in made:
            continue
        twin = next((j for j in range(i + 1, len(m)) if j not in made and _mirrored(row, rows[j])), None)
        if twin is None:
            made[i] = _total(f, zip(row, seen, strict=True))
        else:
            made[i], made[twin] = _pair(f, row, rows[twin], seen)
    return [made[i] for i in range(len(m))]


def _mirrored(a: Sequence[Fraction], b: Sequence[Fraction]) -> bool:
    """Whether two sums differ in the signs of some of their terms."""
    signs = {x == y for x, y in zip(a, b, strict=True) if x}
    return len(signs) == 2 and all(abs(x) == abs(y) for x, y in zip(a, b, strict=True))


def _butterflies(
    f: Function, columns: list[tuple[list[Fraction], Value]]
) -> list[tuple[list[Fraction], Value]]:
    """Replace two values that always meet by their sum and their difference, where that saves additions."""
    found: list[tuple[list[Fraction], Value]] = []
    left = list(columns)
    while left:
        a, x = left.pop(0)
        other = next((c for c in left if sum(map(bool, a)) > 2 and _mirrored(a, c[0])), None)
        if other is None:
            found.append((a, x))
            continue
        left.remove(other)
        b, y = other
        zero = Fraction(0)
        found.append(([p if p == q else zero for p, q in zip(a, b, strict=True)], f.add(x, y)))
        found.append(([p if p != q else zero for p, q in zip(a, b, strict=True)], f.sub(x, y)))
    return found


def _pair(
    f: Function, row: Sequence[Fraction], twin: Sequence[Fraction], values: Sequence[Value]
) -> tuple[Value, Value]:
    """Two sums that differ in the signs of some terms."""
    terms = list(zip(row, twin, values, strict=True))
    even = _total(f, [(a, v) for a, b, v in terms if a == b])
    factor, odd = _scaled(f, [(a, v) for a, b, v in terms if a != b])
    if abs(factor) != 1 and not f.target.isa.fma:
        factor, odd = Fraction(1), f.mul(odd, number(odd.type, float(factor)))
    return _plus(f, even, factor, odd), _plus(f, even, -factor, odd)


def _scaled(f: Function, terms: Sequence[Term]) -> tuple[Fraction, Value]:
    """A sum as a factor and a value, so that the factor can be part of a multiply-add."""

    def inexact(factor: Fraction) -> int:
        denominators = [(c / factor).denominator for c, _ in terms]
        return sum(bool(d & (d - 1)) for d in denominators)

    factor = min((c for c, _ in terms), key=inexact)
    return factor, _total(f, [(c / factor, v) for c, v in terms])


def _total(f: Function, terms: Iterable[Term]) -> Value:
    """A sum of terms; one with a factor of 1 comes first, which saves its multiplication."""
    (factor, value), *others = sorted((t for t in terms if t[0]), key=lambda t: (t[0] != 1, t[0] == -1))
    if factor == -1:
        total = f.neg(value)
    else:
        total = value if factor == 1 else f.mul(value, number(value.type, float(factor)))
    for c, v in others:
        total = _plus(f, total, c, v)
    return total


def _plus(f: Function, total: Value, factor: Fraction, value: Value) -> Value:
    if factor == 1:
        return f.add(total, value)
    if factor == -1:
        return f.sub(total, value)
    return f.fma(value, number(value.type, float(factor)), total)
