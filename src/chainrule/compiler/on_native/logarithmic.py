"""Logarithms, and what is made of them: inverse hyperbolic functions and powers.

All of them write ``x = 2**k (1 + f)`` with an integer k and ``sqrt(1/2) <= 1 + f < sqrt(2)``, and need
``log(1 + f) = f - f²/2 + tail(f)``. In float32 the tail is a polynomial in f; in float64 it comes from a polynomial in
``s² = (f / (2 + f))²``, as in Sun's fdlibm (Ng, 1993): ``log(1 + f) = f - s (f - s² P(s²))``. The polynomials are of
this project: Remez exchange for the error relative to the logarithm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chainrule.compiler.on_native.exponential import LOG_2_HIGH, LOG_2_LOW, exp_of_pair
from chainrule.compiler.on_native.floats import (
    INFINITY,
    NAN,
    ByType,
    Floats,
    Number,
    Pair,
    cut,
    fast_two_sum,
    fma,
    nearest,
    polynomial,
    power_of_two,
    quotient,
    round_even,
    square_root,
    times,
    two_product,
    two_sum,
)
from chainrule.compiler.on_native.ir import F32, F64

NORMAL = ByType(2.0**-126, 2.0**-1022)
"""The smallest float that is not denormal."""

# In f, (log(1 + f) - f + f²/2) / f³: relative error 2**-29
LOG = (
    0.333333135, -0.250001669, 0.200022236, -0.16659385, 0.14209564, -0.125492379, 0.121085189, -0.109195724,
    0.0534351356,
)  # fmt: skip
# In s², (log((1 + s) / (1 - s)) / s - 2) / s²: relative error of the logarithm 2**-59
LOG_OF_RATIO = (
    0.6666666666666734, 0.3999999999941468, 0.285714287423865, 0.22222198573337001, 0.18183564316966852,
    0.15314050806553206, 0.14795947016138308,
)  # fmt: skip
# The same without its first two terms, 2/3 and 2/5: relative error of the logarithm 2**-72
LOG_OF_RATIO_FROM_S7 = (
    0.28571428571433155, 0.22222222220014737, 0.18181818605067326, 0.15384572929214477, 0.1333576180814677,
    0.11685070748044644, 0.1191071641209709,
)  # fmt: skip

TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
TWO_FIFTHS = (0.4, -2.2204460492503132e-17)
TINY = ByType(2.0**-26, 2.0**-55)
"""Below it the odd functions here are their argument."""
LARGE = ByType(2.0**14, 2.0**29)
"""Above it, the inverse hyperbolic functions are log(2x)."""
# For float32 in float64: log2((1 + s) / (1 - s)) / s in s², and 2**r: relative error 2**-37, 2**-34
LOG2_OF_RATIO = (
    2.8853900817901406,
    0.9617966732852903,
    0.5770835942362703,
    0.41167223079009824,
    0.34073814290125365,
)
EXP2_COARSE = (
    1.0, 0.6931471807068693, 0.2402265107098836, 0.05550410359923775, 0.009618037407201706, 0.0013333938101252139,
    0.00015467008179920793, 1.5195925867231732e-05,
)  # fmt: skip


class Constant(NamedTuple):
    """A number in two parts."""

    high: ByType
    low: ByType


PER_LOG_2 = Constant(
    ByType(1.4423828125, 1.4426950216293335), ByType(0.00031222839606925845, 1.9259629911266175e-08)
)
PER_LOG_10 = Constant(
    ByType(0.4342041015625, 0.4342944771051407), ByType(9.038033749675378e-05, 4.798111141615973e-09)
)
"""1 / log(2) and 1 / log(10) in two parts; the first's product with half a significand is exact."""
LOG10_2 = Constant(
    ByType(0.301025390625, 0.30102999566361177), ByType(4.605039066518657e-06, 3.694239077158931e-13)
)
"""log10(2) in two parts; the first's product with an exponent is exact."""


class Split(NamedTuple):
    """``x = 2**k (1 + f)``; ``down`` is ``2**(1 - k)``, or 0 for the largest k."""

    k: Floats
    f: Floats
    down: Floats


def split(x: Floats) -> Split:
    """Exponent and significand of a positive normal number."""
    bits = x.bits()
    if x.single:
        above = bits - 0x3F3504F3  # the bits of sqrt(1/2)
        exponent = (above + (127 << 23)) >> 23
        significand = (bits - (above & 0xFF800000)).floats()
        return Split(above.signed(23), significand - 1.0, ((255 - exponent) << 23).floats())
    above = bits - 0x3FE6A09E667F3BCD
    exponent = (above + (1023 << 52)) >> 52
    k = (exponent | 0x4330000000000000).floats() - (2.0**52 + 1023)  # few machines convert 64-bit integers
    significand = (bits - (above & 0xFFF0000000000000)).floats()
    return Split(k, significand - 1.0, ((2047 - exponent) << 52).floats())


def split_any(x: Floats) -> Split:
    """The same for any positive finite number."""
    tiny = x < NORMAL
    lift = ByType(23.0, 54.0)
    parts = split(tiny.select(x * ByType(2.0**23, 2.0**54), x))
    return parts._replace(k=tiny.select(parts.k - lift, parts.k))


def tail(f: Floats) -> tuple[Floats, Floats]:
    """``f²``, and what is to be added to ``f - f²/2`` to give log(1 + f)."""
    square = f * f
    if f.single:
        return square, square * (f * polynomial(f, LOG))
    s = f / (f + 2.0)
    z = s * s
    return square, s * fma(square, 0.5, polynomial(z, LOG_OF_RATIO) * z)


def natural(k: Floats, f: Floats) -> Floats:
    """``k log(2) + log(1 + f)``."""
    square, rest = tail(f)
    return fma(k, LOG_2_HIGH, f + fma(square, -0.5, fma(k, LOG_2_LOW, rest)))


def limits(x: Floats, value: Floats, zero: float = 0.0) -> Floats:
    """The value of a logarithm; -inf where x is ``zero``, nan below, inf at inf, and nan at nan."""
    value = (x < INFINITY).select(value, x)
    value = x.equals(zero).select(x.like(-INFINITY), value)
    return (x < zero).select(x.like(NAN), value)


def log(x: Floats) -> Floats:
    """Natural logarithm."""
    k, f, _ = split_any(x)
    return limits(x, natural(k, f))


def log1p(x: Floats) -> Floats:
    """log(1 + x): the rounding error of the sum goes into f, which is exact where k is 0."""
    return limits(x, (abs(x) < TINY).select(x, log_of_pair(two_sum(x.like(1.0), x))), -1.0)


def log_of_pair(x: Pair, doublings: Number = 0.0) -> Floats:
    """log(high + low) + ``doublings`` log(2), for a normal, finite sum."""
    k, f, down = split(x.high)
    return natural(k + doublings, fma(x.low * 0.5, down, f))


def log2(x: Floats) -> Floats:
    """Base 2: the logarithm of the significand in two parts, times 1 / log(2) in two parts."""
    k, f, _ = split_any(x)
    high, low = _of_base(f, PER_LOG_2)
    whole = fast_two_sum(k, high)
    return limits(x, whole.high + (whole.low + low))


def log10(x: Floats) -> Floats:
    """Base 10, in the way of `log2`."""
    k, f, _ = split_any(x)
    high, low = _of_base(f, PER_LOG_10)
    whole = fast_two_sum(k * LOG10_2.high, high)
    return limits(x, whole.high + (whole.low + fma(k, LOG10_2.low, low)))


def _of_base(f: Floats, factor: Constant) -> Pair:
    """log(1 + f) times 1 / log(base)."""
    square, rest = tail(f)
    half = square * 0.5
    high = cut(f - half).high
    low = ((f - high) - half) + rest
    return Pair(high * factor.high, fma(low, factor.high, (high + low) * factor.low))


# Inverse hyperbolic functions: logarithms of sums that are computed with their rounding errors.


def asinh(x: Floats) -> Floats:
    """log(|x| + sqrt(x² + 1)), with the sign of x."""
    size = abs(x)
    square = two_product(size, size)
    below = two_sum(x.like(1.0), square.high)
    root = square_root(Pair(below.high, below.low + square.low))
    value = _log_of_sum(size, root)
    value = (size < INFINITY).select(value, size)
    return (size < TINY).select(size, value).copysign(x)


def acosh(x: Floats) -> Floats:
    """log(x + sqrt(x² - 1)); nan below 1."""
    square = two_product(x, x)
    below = two_sum(x.like(-1.0), square.high)
    root = square_root(Pair(below.high, below.low + square.low))
    value = (x < INFINITY).select(_log_of_sum(x, root), x)
    return (x < 1.0).select(x.like(NAN), value)


def _log_of_sum(x: Floats, root: Pair) -> Floats:
    """log(x + root), where the root of x² + 1 or x² - 1 may have overflown."""
    large = x > LARGE
    total = two_sum(x, root.high)
    high = large.select(x, total.high)
    low = large.select(x.like(0.0), total.low + root.low)
    return log_of_pair(Pair(high, low), large.select(x.like(1.0), 0.0))


def atanh(x: Floats) -> Floats:
    """log(1 + 2|x| / (1 - |x|)) / 2, with the sign of x; infinite at 1, nan beyond."""
    size = abs(x)
    ratio = quotient(Pair(size + size, x.like(0.0)), fast_two_sum(x.like(1.0), -size))
    total = two_sum(x.like(1.0), ratio.high)
    value = log_of_pair(Pair(total.high, total.low + ratio.low)) * 0.5
    value = (size < TINY).select(size, value)
    value = size.equals(1.0).select(x.like(INFINITY), value)
    return (size > 1.0).select(x.like(NAN), value).copysign(x)


# Powers


def power(x: Floats, y: Floats) -> Floats:
    """x**y as exp(y log(x)), with the special cases of IEEE 754-2019, 9.2.1.

    In float64, log(x) and the product are pairs of floats, for an error of 2**-60 in them would be one of 2**-51 in
    the result. In float32 both functions are computed in float64.
    """
    if x.single:
        return _power(x.to(F64), y.to(F64), _exp_of_product).to(F32)
    return _power(x, y, _exp_of_exact_product)


def _exp_of_product(x: Floats, y: Floats) -> Floats:
    """2**(y log2(x)) in float64 to 2**-30, for results that will be float32: beyond 2**200 they are infinite anyway."""
    k, f, _ = split(x)
    s = f / (f + 2.0)
    product = (y * fma(polynomial(s * s, LOG2_OF_RATIO), s, k)).at_least(-200.0).at_most(200.0)
    n, _ = nearest(product)
    return polynomial(product - n, EXP2_COARSE) * power_of_two(n)


def _exp_of_exact_product(x: Floats, y: Floats) -> Floats:
    logarithm = _log_in_two_parts(x)
    product = two_product(logarithm.high, y)
    return exp_of_pair(product.high, fma(logarithm.low, y, product.low))


def _power(x: Floats, y: Floats, exp_of_product: Callable[[Floats, Floats], Floats]) -> Floats:
    size = abs(x)
    # Beyond 2**64 only log(1) = 0 keeps the result from 0 or infinity; an infinite y would make it nan.
    value = exp_of_product(size, y.at_most(2.0**64).at_least(-(2.0**64)))
    infinite = size.equals(INFINITY)
    grows = ~((y > 0.0) ^ infinite)
    value = (infinite | size.equals(0.0)).select(grows.select(x.like(INFINITY), 0.0), value)
    whole = round_even(y).equals(y)
    half = y * 0.5
    odd = whole & ~round_even(half).equals(half)
    value = odd.select(value.copysign(x), value)
    undefined = ((x < 0.0) & ~infinite & ~whole) | x.compare("uno", y)
    value = undefined.select(x.like(NAN), value)
    return (y.equals(0.0) | x.equals(1.0)).select(x.like(1.0), value)


def _log_in_two_parts(x: Floats) -> Pair:
    """log(x) to 2**-66, for positive finite float64: 2s + s³ (2/3 + s² (2/5 + s² P(s²))), s = f / (2 + f).

    The sums and products that matter are pairs, as in Dekker 1971; P is an ordinary polynomial.
    """
    k, f, _ = split_any(x)
    s = quotient(Pair(f, x.like(0.0)), fast_two_sum(x.like(2.0), f))
    s = fast_two_sum(s.high, s.low)
    z = times(s, s)
    inner = fast_two_sum(x.like(TWO_FIFTHS[0]), z.high * polynomial(z.high, LOG_OF_RATIO_FROM_S7))
    product = times(z, Pair(inner.high, inner.low + TWO_FIFTHS[1]))
    outer = fast_two_sum(x.like(TWO_THIRDS[0]), product.high)
    cubic = times(times(s, z), Pair(outer.high, outer.low + (product.low + TWO_THIRDS[1])))
    main = fast_two_sum(s.high + s.high, cubic.high)
    total = two_sum(k * LOG_2_HIGH, main.high)
    rest = fma(k, LOG_2_LOW, total.low) + (main.low + fma(s.low, 2.0, cubic.low))
    return fast_two_sum(total.high, rest)
