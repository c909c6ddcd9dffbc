"""Exponentials and what is made of them: hyperbolic functions and the logistic sigmoid.

All of them write ``x = n log(2) + r`` with an integer n and ``|r| <= log(2) / 2`` (Cody and Waite, Software Manual for
the Elementary Functions, 1980: n times the leading part of log(2) is exact), and have a minimax polynomial in r.
The polynomials are of this project: Remez exchange for the error relative to the function, coefficients rounded from
the lowest power on.
"""

from __future__ import annotations

from typing import NamedTuple

from chainrule.compiler.on_native.floats import (
    ByType,
    Coefficients,
    Floats,
    Pair,
    fast_two_sum,
    fma,
    nearest,
    polynomial,
    power_of_two,
    quotient,
    scale,
)

LOG2_E = 1.4426950408889634
LOG_2_HIGH = ByType(0.693359375, 6.93147180369123816490e-01)
LOG_2_LOW = ByType(-0.00021219444170128554, 1.9082149292705877e-10)
"""log(2) in two parts; the first has so few bits that its product with an exponent is exact."""

# (exp(r) - 1 - r) / r²: relative error of expm1 2**-28, 2**-60
EXP_FROM_R2 = Coefficients(
    (0.5, 0.166666359, 0.0416665114, 0.00834150612, 0.00139305356, 0.000150181717),
    (
        0.5, 0.16666666666666677, 0.041666666666666505, 0.00833333333332142, 0.0013888888888964088,
        0.00019841269886748002, 2.4801587170293942e-05, 2.7557243503201926e-06, 2.7557403600037767e-07,
        2.510930898227441e-08, 2.087532567839159e-09,
    ),
)  # fmt: skip
EXP = Coefficients((1.0, 1.0, *EXP_FROM_R2.single), (1.0, 1.0, *EXP_FROM_R2.double))
# (2**r - 1) / r: relative error of 2**r 2**-32, 2**-55
EXP2 = Coefficients(
    (0.693147182, 0.240226507, 0.0555040501, 0.0096180886, 0.00133379688, 0.00015451356, 1.43223315e-05),
    (
        0.6931471805599453, 0.24022650695910072, 0.05550410866482169, 0.009618129107628326,
        0.0013333558146392123, 0.00015403530393644886, 1.525273385491761e-05, 1.321548659255908e-06,
        1.0178051671230908e-07, 7.054974983879153e-09, 4.456614322672878e-10, 2.5625205315159223e-11,
    ),
)  # fmt: skip
# (sinh(r) / r - 1) / r², in r²: relative error of sinh 2**-34, 2**-61
SINH = Coefficients(
    (0.166666672, 0.00833317637, 0.000199730101),
    (
        0.16666666666666677,
        0.008333333333321346,
        0.00019841269886935957,
        2.7557243312397154e-06,
        2.5109375288451727e-08,
    ),
)
# (cosh(r) - 1) / r², in r²: relative error of cosh 2**-33, 2**-65
COSH = Coefficients(
    (0.5, 0.0416664556, 0.00139358419),
    (
        0.5, 0.04166666666666671, 0.0013888888888863348, 2.4801587364488853e-05, 2.75572409145993e-07,
        2.0924705018594276e-09,
    ),
)  # fmt: skip
# (tanh(x) / x - 1) / x², in x²: relative error 2**-29, 2**-57
TANH = Coefficients(
    (-0.333333164, 0.133325443, -0.0538475476, 0.021050714, -0.00624284847),
    (
        -0.333333333333333, 0.1333333333332639, -0.05396825396362266, 0.021869488381798356, -0.008863232533173752,
        0.003592091322805648, -0.001455538173333119, 0.0005884247874937271, -0.00023333024285953448,
        8.324117913496944e-05, -1.9447176418342156e-05,
    ),
)  # fmt: skip


class Reduced(NamedTuple):
    """``x = n log(2) + r + low``."""

    n: Floats
    r: Floats
    low: Floats


def reduce(x: Floats, beyond: Floats | None = None) -> Reduced:
    """Split off the powers of two of e**(x + beyond).

    ``low`` is the rounding error of r; it costs nothing where it is not used.
    """
    n, _ = nearest(x, LOG2_E)
    first = fma(n, -x.like(LOG_2_HIGH), x)
    second = fma(n, -x.like(LOG_2_LOW), 0.0 if beyond is None else beyond)
    r = fma(n, -x.like(LOG_2_LOW), first) if beyond is None else first + second
    return Reduced(n, r, (first - r) + second)


def exp(x: Floats) -> Floats:
    """e**x, by a polynomial."""
    n, r, _ = reduce(x.at_least(ByType(-104.0, -746.0)).at_most(ByType(89.0, 710.0)))
    return scale(polynomial(r, EXP), n)


def exp_of_pair(x: Floats, beyond: Floats | None = None, factor: Pair | None = None) -> Floats:
    """``factor`` e**(x + beyond), for a factor between 2**-10 and 2**10. Within 0.9 ulp; `exp` is within 1.2."""
    if beyond is not None:
        beyond = beyond.at_least(-1.0).at_most(1.0)  # as large as that only where the result is 0 or infinite
    n, r, low = reduce(x.at_least(ByType(-115.0, -760.0)).at_most(ByType(96.0, 720.0)), beyond)
    value = fma(polynomial(r, EXP_FROM_R2), r * r, low) + r
    return scale(value + 1.0 if factor is None else fma(value, factor.high, factor.low) + factor.high, n)


def exp2(x: Floats) -> Floats:
    """2**x, by a polynomial."""
    x = x.at_least(ByType(-151.0, -1076.0)).at_most(ByType(129.0, 1025.0))
    n, _ = nearest(x)
    r = x - n
    return scale(fma(polynomial(r, EXP2), r, 1.0), n)


def expm1(x: Floats) -> Floats:
    """e**x - 1 = 2**n expm1(r) + (2**n - 1), where the last term is exact or next to nothing."""
    n, r, low = reduce(x.at_least(ByType(-20.0, -40.0)).at_most(ByType(89.0, 710.0)))
    small = fma(polynomial(r, EXP_FROM_R2), r * r, low) + r
    half = power_of_two(n - 1.0)
    whole = fma(half, small, half - 0.5)
    # Halves, for 2**n overflows before the result does; a tiny x must not be halved, it may be denormal.
    return (abs(x) < 0.25).select(small, whole + whole).copysign(x)


def _parts(x: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """For x = n log(2) + r: n, ``2**n / 4``, ``2**-n / 4``, sinh(r) and cosh(r) - 1."""
    n, r, low = reduce(x.at_most(ByType(89.6, 710.6)))
    square = r * r
    odd = fma(polynomial(square, SINH) * square, r, low) + r
    return (
        n,
        power_of_two(n - 2.0),
        power_of_two((-n).at_least(-64.0) - 2.0),
        odd,
        polynomial(square, COSH) * square,
    )


def sinh(x: Floats) -> Floats:
    """sinh(n log(2)) cosh(r) + cosh(n log(2)) sinh(r), where the functions of n log(2) are sums of powers of two.

    Half of it is computed, for it must not overflow before the result does.
    """
    n, up, down, odd, even = _parts(abs(x))
    a = fast_two_sum(up, -down)
    half = fma(up + down, odd, fma(a.high, even, a.low)) + a.high
    # A tiny result is not halved and doubled: it may be denormal.
    return n.equals(0.0).select(odd, half + half).copysign(x)


def cosh(x: Floats) -> Floats:
    """cosh(n log(2)) cosh(r) + sinh(n log(2)) sinh(r), in the way of `sinh`."""
    _, up, down, odd, even = _parts(abs(x))
    b = fast_two_sum(up, down)
    half = fma(up - down, odd, fma(b.high, even, b.low)) + b.high
    return half + half


def tanh(x: Floats) -> Floats:
    """A polynomial up to 0.55, beyond it 1 - 2 / (exp(2 |x|) + 1)."""
    square = x * x
    near = fma(polynomial(square, TANH) * square, x, x)
    n, r, _ = reduce((x.like(2.0) * abs(x)).at_most(ByType(20.0, 44.0)))
    far = 1.0 - 2.0 / fma(polynomial(r, EXP), power_of_two(n), 1.0)
    return (abs(x) < 0.55).select(near, far).copysign(x)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), and exp(x) / (1 + exp(x)) where x is negative: accurate in both tails."""
    small = exp_of_pair(-abs(x))
    above = (x >= 0.0).select(x.like(1.0), small)
    whole = quotient(Pair(above, x.like(0.0)), fast_two_sum(x.like(1.0), small))
    return whole.high + whole.low
