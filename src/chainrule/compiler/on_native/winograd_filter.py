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
from functools import cache, cached_property
from typing import TypeAlias

from chainrule.compiler.on_native.ir import Function, Value, number
from chainrule.ops.windows import Pair

Matrix: TypeAlias = "tuple[tuple[Fraction, ...], ...]"
Matrices: TypeAlias = "tuple[Matrix, Matrix]"
"""For columns and for rows."""
Term: TypeAlias = "tuple[Fraction, int]"
"""A factor, and the number of a value."""
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
    down, across = (recipe_of(part, f.target.isa.fma) for part in m)
    half = [down.write(f, [get(i, j) for i in range(down.given)]) for j in range(across.given)]
    for i in range(len(down.results)):
        for j, value in enumerate(across.write(f, [line[i] for line in half])):
            put(i, j, value)


class Recipe:
    """How a matrix is applied in few instructions.

    Values are numbers: first those that are given, then one for each instruction.

    Attributes:
        given: how many are.
        fma: whether there is a fused multiply-add.
        results: the values that are the results.
    """

    def __init__(self, given: int, fma: bool) -> None:
        self.given, self.fma = given, fma
        self.results: list[int] = []
        self._steps: list[tuple[str, tuple[int, ...], float | None]] = []

    def step(self, word: str, *values: int, factor: Fraction | None = None) -> int:
        """A method of `Function` for some values, the second of them perhaps a factor."""
        self._steps.append((word, values, None if factor is None else float(factor)))
        return self.given + len(self._steps) - 1

    def write(self, f: Function, values: Sequence[Value]) -> list[Value]:
        """Write the instructions for these values."""
        made = list(values)
        for word, numbers, factor in self._steps:
            operands = [made[n] for n in numbers]
            if factor is not None:
                operands.insert(1, number(operands[0].type, factor))
            made.append(getattr(f, word)(*operands))
        return [made[n] for n in self.results]


@cache
def recipe_of(m: Matrix, fma: bool) -> Recipe:
    """How to compute ``m v``."""
    recipe = Recipe(len(m[0]), fma)
    columns = _butterflies(recipe, [(list(c), v) for v, c in enumerate(turned(m))])
    seen = [v for _, v in columns]
    rows = list(zip(*(c for c, _ in columns), strict=True))
    made: dict[int, int] = {}
    for i, row in enumerate(rows):
        if i in made:
            continue
        twin = next((j for j in range(i + 1, len(m)) if j not in made and _mirrored(row, rows[j])), None)
        if twin is None:
            made[i] = _total(recipe, zip(row, seen, strict=True))
        else:
            made[i], made[twin] = _pair(recipe, row, rows[twin], seen)
    recipe.results = [made[i] for i in range(len(m))]
    return recipe


def _mirrored(a: Sequence[Fraction], b: Sequence[Fraction]) -> bool:
    """Whether two sums differ in the signs of some of their terms."""
    signs = {x == y for x, y in zip(a, b, strict=True) if x}
    return len(signs) == 2 and all(abs(x) == abs(y) for x, y in zip(a, b, strict=True))


def _butterflies(
    recipe: Recipe, columns: list[tuple[list[Fraction], int]]
) -> list[tuple[list[Fraction], int]]:
    """Replace two values that always meet by their sum and their difference, where that saves additions."""
    found: list[tuple[list[Fraction], int]] = []
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
        total, difference = recipe.step("add", x, y), recipe.step("sub", x, y)
        found.append(([p if p == q else zero for p, q in zip(a, b, strict=True)], total))
        found.append(([p if p != q else zero for p, q in zip(a, b, strict=True)], difference))
    return found


def _pair(
    recipe: Recipe, row: Sequence[Fraction], twin: Sequence[Fraction], values: Sequence[int]
) -> tuple[int, int]:
    """Two sums that differ in the signs of some terms."""
    terms = list(zip(row, twin, values, strict=True))
    even = _total(recipe, [(a, v) for a, b, v in terms if a == b])
    factor, odd = _scaled(recipe, [(a, v) for a, b, v in terms if a != b])
    if abs(factor) != 1 and not recipe.fma:
        factor, odd = Fraction(1), recipe.step("mul", odd, factor=factor)
    return _plus(recipe, even, factor, odd), _plus(recipe, even, -factor, odd)


def _scaled(recipe: Recipe, terms: Sequence[Term]) -> tuple[Fraction, int]:
    """A sum as a factor and a value, so that the factor can be part of a multiply-add."""

    def inexact(factor: Fraction) -> int:
        denominators = [(c / factor).denominator for c, _ in terms]
        return sum(bool(d & (d - 1)) for d in denominators)

    factor = min((c for c, _ in terms), key=inexact)
    return factor, _total(recipe, [(c / factor, v) for c, v in terms])


def _total(recipe: Recipe, terms: Iterable[Term]) -> int:
    """A sum of terms; one with a factor of 1 comes first, which saves its multiplication."""
    (factor, value), *others = sorted((t for t in terms if t[0]), key=lambda t: (t[0] != 1, t[0] == -1))
    if factor == -1:
        total = recipe.step("neg", value)
    else:
        total = value if factor == 1 else recipe.step("mul", value, factor=factor)
    for c, v in others:
        total = _plus(recipe, total, c, v)
    return total


def _plus(recipe: Recipe, total: int, factor: Fraction, value: int) -> int:
    if factor == 1:
        return recipe.step("add", total, value)
    if factor == -1:
        return recipe.step("sub", total, value)
    return recipe.step("fma", value, total, factor=factor)
