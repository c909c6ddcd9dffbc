"""Sine, cosine and tangent, for arguments of any size.

All of them write ``x = n pi/2 + r`` with an integer n and ``|r| <= pi/4``. Up to a million (2**14 in float32), n times
pi/2 is subtracted in parts whose errors do not matter (Cody and Waite, Software Manual for the Elementary Functions,
1980). Beyond, in a branch, x is multiplied by those digits of 2/pi that decide the fraction (Payne and Hanek, ACM
SIGNUM Newsletter 18(1), 1983, 19-24, DOI 10.1145/1057600.1057602). The polynomials in r² are of this project: Remez
exchange, relative error below 2**-27 (2**-56 in float64).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from chainrule.compiler.on_native.floats import (
    INFINITY,
    ROUNDER,
    Bits,
    ByType,
    Coefficients,
    Floats,
    Pair,
    fast_two_sum,
    fma,
    nearest,
    polynomial,
    quotient,
    round_even,
    two_product,
    two_sum,
    unless_any,
)
from chainrule.compiler.on_native.ir import F32, F64, PTR, Function, Type, Value, number

TWO_OVER_PI = 0.6366197723675814
HALF_PI = (
    ByType(1.5707963705062866, 1.5707963267948966),
    ByType(-4.371138828673793e-08, 6.123233995736766e-17),
    ByType(-1.7151245100058819e-15, -1.4973849048591698e-33),
)
"""pi/2 in parts of a whole significand."""
HALF_PI_SHORT = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32)
"""pi/2 in parts of 33 bits (the last of 53), for machines without fused multiply-add: their products with n < 2**20 are
exact."""
LARGEST = ByType(2.0**14, 1.0e6)
"""Up to here the parts of pi/2 suffice."""

# (sin(r) / r - 1) / r² and (cos(r) - 1 + r²/2) / r⁴
SIN = Coefficients(
    (-0.166666552, 0.00833218545, -0.000195174143),
    (
        -0.1666666666666663, 0.008333333333321981, -0.00019841269829446202, 2.755731356157675e-06,
        -2.5050737003677773e-08, 1.5895534157825212e-10,
    ),
)  # fmt: skip
COS = Coefficients(
    (0.0416666456, -0.00138873013, 2.44306575e-05),
    (
        0.041666666666666595, -0.001388888888887354, 2.4801587289100183e-05, -2.7557314237526904e-07,
        2.087570710792795e-09, -1.1358783817797486e-11,
    ),
)  # fmt: skip


class Reduced(NamedTuple):
    """``x = n pi/2 + r + low``; the lowest bits of ``quadrant`` are those of n."""

    quadrant: Bits
    r: Floats
    low: Floats


def reduce(x: Floats) -> Reduced:
    """Subtract the nearest multiple of pi/2."""
    n, quadrant = nearest(x, TWO_OVER_PI)
    if x.function.target.isa.fma:
        r, low = _by_fused_steps(x, n)
    elif x.single:
        r, low = _in_double(x, n)
    else:
        r, low = _by_short_steps(x, n)
    usual = (quadrant.floats(), r, low)
    merged = unless_any(~(abs(x) <= LARGEST), usual, lambda: _reduce_any(x, usual))
    return Reduced(merged[0].bits(), merged[1], merged[2])


def _by_fused_steps(x: Floats, n: Floats) -> Pair:
    first = fma(n, -x.like(HALF_PI[0]), x)  # exact: a multiple of the part's last place, and below 1
    second = two_product(n, x.like(HALF_PI[1]))
    r = two_sum(first, -second.high)
    return Pair(r.high, fma(n, -x.like(HALF_PI[2]), r.low - second.low))


def _in_double(x: Floats, n: Floats) -> Pair:
    """Of float32: the rest of pi/2 beyond 86 bits does not reach its last place."""
    whole, times = x.to(F64), n.to(F64)
    return _cut((whole - times * HALF_PI_SHORT[0]) - times * (HALF_PI_SHORT[1] + HALF_PI_SHORT[2]))


def _cut(x: Floats) -> Pair:
    """A float64 as two of float32."""
    high = x.to(F32)
    return Pair(high, (x - high.to(F64)).to(F32))


def _by_short_steps(x: Floats, n: Floats) -> Pair:
    first = x - n * HALF_PI_SHORT[0]
    second = two_sum(first, -(n * HALF_PI_SHORT[1]))
    third = two_sum(second.high, -(n * HALF_PI_SHORT[2]))
    return Pair(third.high, (second.low + third.low) - n * HALF_PI_SHORT[3])


# Large arguments


def _reduce_any(x: Floats, usual: Sequence[Floats]) -> Sequence[Floats]:
    """The reduction of large arguments; nan for infinite ones. Other lanes keep what they have."""
    n, r = _payne_hanek(x.to(F64))
    if x.single:
        n, r = n.to(F32), _cut(r.high)
    finite = (abs(x) < INFINITY).select(r.high, x - x)
    large = abs(x) > LARGEST
    return [large.select(new, old) for new, old in zip((n + ROUNDER, finite, r.low), usual, strict=True)]


STEP, ROWS, PARTS = 16, 61, 4
"""The table has a row for each 16 binary exponents, with 2/pi's digits from there on in four floats."""


@functools.cache
def _digits() -> list[float]:
    """``2**(16 j) 2/pi mod 4`` for each row j, in floats of which each continues the one before.

    They have 50 bits, for a product with such a number is exact even where `two_product` has no fused multiply-add.
    """
    places, kept = 1400, 240
    digits = (2 << (2 * places)) // _pi(places)  # 2/pi, with ``places`` binary places
    table: list[float] = []
    for row in range(ROWS):
        rest = (digits >> (places - STEP * row - kept)) % (4 << kept)
        for _ in range(PARTS):
            below = max(rest.bit_length() - 50, 0)
            part = rest >> below << below
            rest -= part
            table.append(float(part) * 2.0**-kept)
    return table


def _pi(places: int) -> int:
    """pi with ``places`` binary places, rounded down within a few of the last, by Machin's formula."""

    def arctangent_of_inverse(q: int) -> int:
        term = total = (1 << (places + 32)) // q
        k = 1
        while term:
            term //= -q * q
            k += 2
            total += term // k
        return total

    return (16 * arctangent_of_inverse(5) - 4 * arctangent_of_inverse(239)) >> 32


def _payne_hanek(x: Floats) -> tuple[Floats, Pair]:
    """Of float64: the multiple of pi/2, mod 4, and the remainder.

    With x = m 2**e and j = e // 16, x / 2**(16 j) is an integer, so multiples of 4 may be left out of 2/pi 2**(16 j).
    """
    row = ((abs(x).at_least(2.0**52).bits() >> 52) - 1075) >> 4
    whole = x * ((1023 << 52) - (row << 56)).floats()
    products = [two_product(whole, part) for part in _look_up(row)]
    # What is a multiple of 4 goes; then everything is below 4, and sums keep their errors.
    terms = [_mod_4(products[0].high), _mod_4(products[0].low), _mod_4(products[1].high)]
    terms += [products[1].low, products[2].high, products[2].low, products[3].high]
    total = _distil(terms)
    n = round_even(total[0])
    total = _distil([total[0] - n, *total[1:]])
    fraction = fast_two_sum(total[0], total[1] + total[2])
    high = two_product(fraction.high, x.like(HALF_PI[0]))
    low = fma(fraction.high, HALF_PI[1], fma(fraction.low, HALF_PI[0], high.low))
    return n, fast_two_sum(high.high, low)


def _mod_4(x: Floats) -> Floats:
    """Into -2 to 2."""
    return x - round_even(x * 0.25) * 4.0


def _distil(terms: Sequence[Floats]) -> list[Floats]:
    """The same sum in terms that fall off; two passes are enough for seven."""
    terms = list(terms)
    for _ in range(2):
        for i in reversed(range(len(terms) - 1)):
            terms[i], terms[i + 1] = two_sum(terms[i], terms[i + 1])
    return terms


def _look_up(row: Bits) -> list[Floats]:
    """A row of the table for each lane."""
    f, lanes = row.function, row.value.type.lanes
    values = ", ".join(f"double {number(F64, v)}" for v in _digits())
    f.declarations.add(f"@two_over_pi = internal constant [{ROWS * PARTS} x double] [{values}]")
    return [Floats(f, _gather(f, (row << 2) + part, F64.vector(lanes))) for part in range(PARTS)]


def _gather(f: Function, place: Bits, kind: Type) -> Value:
    """Elements of the table."""
    pointers = PTR.vector(kind.lanes)
    address = f.emit(f"getelementptr double, ptr @two_over_pi, {place.value.type} {place.value}", pointers)
    if not kind.lanes:
        return f.load(address, kind)
    mask = number(Type("i1", kind.lanes), True)
    name = f"llvm.masked.gather.{kind.suffix}.v{kind.lanes}p0"
    f.declarations.add(f"declare {kind} @{name}({pointers}, {mask.type}, {kind})")
    arguments = f"{pointers} align 8 {address}, {mask.type} {mask}, {kind} zeroinitializer"
    return f.emit(f"call {kind} @{name}({arguments})", kind)


# The functions


def _sine(r: Floats, low: Floats, z: Floats) -> Pair:
    return fast_two_sum(r, fma(polynomial(z, SIN) * z, r, low))


def _cosine(r: Floats, low: Floats, z: Floats) -> Pair:
    half = z * 0.5
    high = 1.0 - half
    rest = (1.0 - high) - half
    return Pair(high, rest + fma(polynomial(z, COS) * z, z, -(r * low)))


def _wave(reduced: Reduced, quarters: int) -> Floats:
    """sin(x + ``quarters`` pi/2): sine or cosine of the remainder, with a sign, by the quadrant."""
    quadrant, r, low = reduced
    z = r * r
    sine, cosine = _sine(r, low, z), _cosine(r, low, z)
    n = quadrant + quarters if quarters else quadrant
    value = (n & 1).nonzero().select(cosine.high + cosine.low, sine.high + sine.low)
    sign = (n & 2) << (30 if r.single else 62)
    return (value.bits() ^ sign).floats()


def sin(x: Floats) -> Floats:
    """Sine of an angle in radians."""
    return x.equals(0.0).select(x, _wave(reduce(x), 0))


def cos(x: Floats) -> Floats:
    """Cosine of an angle in radians."""
    return _wave(reduce(x), 1)


def tan(x: Floats) -> Floats:
    """Tangent: sin(r) / cos(r), or -cos(r) / sin(r), with the rounding errors of both."""
    quadrant, r, low = reduce(x)
    z = r * r
    sine, cosine = _sine(r, low, z), fast_two_sum(*_cosine(r, low, z))
    odd = (quadrant & 1).nonzero()
    above = Pair(odd.select(-cosine.high, sine.high), odd.select(-cosine.low, sine.low))
    below = Pair(odd.select(sine.high, cosine.high), odd.select(sine.low, cosine.low))
    value = quotient(above, below)
    return (abs(x) < ByType(2.0**-13, 2.0**-28)).select(x, value.high + value.low)
