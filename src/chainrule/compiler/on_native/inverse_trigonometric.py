"""Arcsine, arccosine and arctangent.

Arguments are brought below 1/2 by half-angle and addition formulas (Cody and Waite, Software Manual for the Elementary
Functions, 1980), where the function is x plus x³ times a polynomial in x². The polynomials are of this project: Remez
exchange, relative error below 2**-27 (2**-57 in float64).
"""

from __future__ import annotations

from chainrule.compiler.on_native.floats import (
    INFINITY,
    ByType,
    Coefficients,
    Floats,
    Pair,
    fast_two_sum,
    fma,
    polynomial,
    square_root,
    two_sum,
)
from chainrule.compiler.on_native.trigonometric import HALF_PI

LARGE = ByType(2.0**120, 2.0**1000)

# (asin(x) / x - 1) / x² and (atan(x) / x - 1) / x², in x² up to 1/4
ASIN = Coefficients(
    (0.166666597, 0.0750052109, 0.0445136353, 0.0318360478, 0.0143292788, 0.037672881),
    (
        0.16666666666666763, 0.07499999999970101, 0.04464285717528345, 0.03038194267539759, 0.02237221590285597,
        0.017351595549349653, 0.013981018013226333, 0.01139729676450321, 0.010789303386638865, 0.003672241092553861,
        0.021790536168912328, -0.021116595160503602, 0.03270210302202558,
    ),
)  # fmt: skip
ATAN = Coefficients(
    (-0.333333284, 0.199995562, -0.142731503, 0.109488361, -0.0801081061, 0.0390672982),
    (
        -0.33333333333333315, 0.19999999999993417, -0.14285714284974965, 0.11111111069221062, -0.09090907687826472,
        0.07692277396486907, -0.06666222700030625, 0.05877800814003424, -0.05229980578931277, 0.04589339471207887,
        -0.03711642587736655, 0.02365220248367896, -0.008364190747338933,
    ),
)  # fmt: skip


def _half_angle(size: Floats) -> tuple[Floats, Floats]:
    """s = sqrt((1 - |x|) / 2) and what asin(s) has beyond it, with the rounding error of the root."""
    z = (1.0 - size) * 0.5
    s, error = square_root(Pair(z, z.like(0.0)))
    return s, fma(polynomial(z, ASIN) * z, s, error)


def asin(x: Floats) -> Floats:
    """Arcsine: beyond 1/2 it is pi/2 - 2 asin(sqrt((1 - x) / 2)). nan beyond 1."""
    size = abs(x)
    near = fma(polynomial(x * x, ASIN) * (x * x), size, size)
    s, more = _half_angle(size)
    first = fast_two_sum(x.like(HALF_PI[0]), -(s + s))
    far = first.high + (first.low + fma(more, -2.0, HALF_PI[1]))
    return (size < 0.5).select(near, far).copysign(x)


def acos(x: Floats) -> Floats:
    """Arccosine: beyond 1/2 it is 2 asin(sqrt((1 - x) / 2)), below -1/2 what that lacks of pi. nan beyond 1."""
    size = abs(x)
    s, more = _half_angle(size)
    right = (s + more) * 2.0
    pi = x.like(HALF_PI[0]) * 2.0
    first = fast_two_sum(pi, -(s + s))
    left = first.high + (first.low + fma(more, -2.0, x.like(HALF_PI[1]) * 2.0))
    far = (x < 0.0).select(left, right)
    first = two_sum(x.like(HALF_PI[0]), -x)
    rest = polynomial(x * x, ASIN) * (x * x)
    near = first.high + (first.low + fma(-rest, x, HALF_PI[1]))
    return (size < 0.5).select(near, far)


def _arctangent(y: Floats, x: Floats) -> Pair:
    """atan(y / x) and its rounding error, for y and x that are not negative.

    From 1/2 to 2 it is pi/4 + atan((y - x) / (y + x)), above pi/2 - atan(x / y).
    """
    above = y > x + x
    middle = ~above & (y + y > x)
    t = above.select(-x, middle.select(y - x, y)) / above.select(y, middle.select(y + x, x))
    z = t * t
    high, low = y.like(HALF_PI[0]), y.like(HALF_PI[1])
    base = above.select(high, middle.select(high * 0.5, 0.0))
    rest = above.select(low, middle.select(low * 0.5, 0.0))
    return fast_two_sum(base, fma(polynomial(z, ATAN) * z, t, rest) + t)


def atan(x: Floats) -> Floats:
    """Arctangent."""
    return _arctangent(abs(x), x.like(1.0)).high.copysign(x)


def atan2(y: Floats, x: Floats) -> Floats:
    """The angle of the point (x, y), with the signs of zeros and the infinite cases of IEEE 754-2019, 9.2.1."""
    up, right = abs(y), abs(x)
    corner = up.equals(INFINITY) & right.equals(INFINITY)
    origin = up.equals(0.0) & right.equals(0.0)
    smaller = ((up > LARGE) | (right > LARGE)).select(y.like(0.25), 1.0)  # the sum must not overflow
    up = corner.select(y.like(1.0), up * smaller)
    right = (corner | origin).select(y.like(1.0), right * smaller)
    angle = _arctangent(up, right)
    pi = fast_two_sum(y.like(HALF_PI[0]) * 2.0, -angle.high)
    left = pi.high + (pi.low + (y.like(HALF_PI[1]) * 2.0 - angle.low))
    return (x.has_sign()).select(left, angle.high).copysign(y)
