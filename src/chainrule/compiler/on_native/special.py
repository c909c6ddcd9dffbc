"""Error functions, cube root and hypotenuse.

The error functions are cut as in W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp.
23, 1969, 631-637 (DOI 10.1090/S0025-5718-1969-0247736-4): a polynomial near 0, exp(-x²) times a slow factor beyond.
The slow factor is a polynomial in (x - 3) / (x + 3), as in Shepherd and Laframboise, Math. Comp. 36, 1981, 249-253.
Coefficients are of this project: Remez exchange for the relative error.
"""

from __future__ import annotations

from chainrule.compiler.on_native.exponential import exp, exp_of_pair
from chainrule.compiler.on_native.floats import (
    INFINITY,
    Coefficients,
    Floats,
    Pair,
    fast_two_sum,
    fma,
    minus_product,
    nearest,
    polynomial,
    power_of_two,
    quotient,
    two_product,
    two_sum,
)
from chainrule.compiler.on_native.ir import F32, F64
from chainrule.compiler.on_native.logarithmic import split_any

# erf(x) / x - 1 in x², up to 1: relative error 2**-29, 2**-56
ERF = Coefficients(
    (0.128379166, -0.37612626, 0.112835787, -0.0268533472, 0.0051871622, -0.00079978531, 7.80690389e-05),
    (
        0.1283791670955126, -0.3761263890318375, 0.11283791670954854, -0.026866170645072327, 0.005223977624775108,
        -0.0008548326978398413, 0.00012055331023918445, -1.492559318488568e-05, 1.6460967498613027e-06,
        -1.6349967302700485e-07, 1.4657480462742782e-08, -1.1364086286911681e-09, 5.942531881796724e-11,
    ),
)  # fmt: skip
# -log(1 - erf(x)) in x, from 1 to 4.1: relative error of erf 2**-28
ERF_EXPONENT = (
    0.000320598774, 1.12717152, 0.638012409, 0.103218049, -0.0218895674, 0.00296009495, -0.000187602811,
)  # fmt: skip
# (1 + 2x) exp(x²) (1 - erf(x)) in (x - 3) / (x + 3), from 0.44 to 27.5: relative error 2**-56, with what the first
# coefficient lacks
ERFC = (
    1.2530080582697296, -0.1356211061245813, -0.04756229435344831, 0.1296451587027801, -0.11927366341547176,
    0.06830802734322987, -0.02377051491433008, 0.0025293918291952482, 0.0018886902994455625, -0.0007798323979305517,
    -0.00010515930840306409, 0.00012510007082940772, 4.9469298144228464e-06, -2.0103101654574417e-05,
    -7.228859129292152e-07, 3.4779011956882655e-06, 3.379194453036412e-07, -6.234848445650908e-07,
    -1.1537003679952395e-07, 1.0572453842329106e-07, 2.0464579826030083e-08, -1.299060404152622e-08,
)  # fmt: skip
ERFC_FIRST_LOW = 3.831782755376646e-17
# The cube root from sqrt(1/2) to sqrt(2): relative error 2**-16
CUBE_ROOT = (
    0.451666945533838,
    0.9048185806857212,
    -0.5356308015127031,
    0.2169377766698452,
    -0.03778825729854422,
)


def erf(x: Floats) -> Floats:
    """Error function: x times a polynomial up to 1; beyond, 1 minus an exponential."""
    size = abs(x)
    near = fma(polynomial(x * x, ERF), x, x)
    if x.single:
        far = 1.0 - exp(-polynomial(size.at_most(4.1), ERF_EXPONENT))
    else:
        size = size.at_most(6.0)
        divisor = size + size + 1.0
        inverse = 1.0 / ((size + 3.0) * divisor)
        factor = _slow_factor((size - 3.0) * divisor * inverse).high * ((size + 3.0) * inverse)
        far = 1.0 - exp(-(size * size)) * factor
    return (abs(x) < 1.0).select(near, far).copysign(x)


def erfc(x: Floats) -> Floats:
    """1 - erf(x), accurate far out. In float32 it is computed in float64."""
    if x.single:
        return erfc(x.to(F64)).to(F32)
    size = abs(x).at_most(28.0)
    square = two_product(size, size)
    divisor = two_sum(x.like(1.0), size + size)
    ratio = quotient(_slow_factor((size - 3.0) / (size + 3.0)), divisor)
    far = exp_of_pair(-square.high, -square.low, fast_two_sum(*ratio))
    far = (x < 0.0).select(2.0 - far, far)
    # Near 0, 1 - x without its rounding error.
    rest = two_sum(x.like(1.0), -x)
    near = rest.high + fma(-polynomial(x * x, ERF.double), x, rest.low)
    return (abs(x) < 0.45).select(near, far)


def _slow_factor(t: Floats) -> Pair:
    """(1 + 2x) exp(x²) erfc(x) for t = (x - 3) / (x + 3): between 1.1 and 1.3."""
    total = fast_two_sum(t.like(ERFC[0]), t * polynomial(t, ERFC[1:]))
    return Pair(total.high, total.low + ERFC_FIRST_LOW)


def cbrt(x: Floats) -> Floats:
    """Cube root: a polynomial, then steps with the exact error of its cube (Newton's; in float64 Halley's before)."""
    k, f, _ = split_any(abs(x))
    n, _ = nearest(k, 1.0 / 3.0)
    rest = k - n * 3.0
    root = polynomial(f + 1.0, CUBE_ROOT)
    value = f + 1.0
    root = (rest > 0.0).select(root * 2.0 ** (1 / 3), (rest < 0.0).select(root * 2.0 ** (-1 / 3), root))
    value = (rest > 0.0).select(value * 2.0, (rest < 0.0).select(value * 0.5, value))
    if not x.single:
        cube = root * root * root
        root = root - root * ((cube - value) / (cube + cube + value))
    square = two_product(root, root)
    error = minus_product(value, square.high, root) - square.low * root
    root = fma(error, root / (value * 3.0), root)
    usual = (abs(x) < INFINITY) & (abs(x) > 0.0)
    return usual.select(root * power_of_two(n), x).copysign(x)


def hypot(x: Floats, y: Floats) -> Floats:
    """sqrt(x² + y²), where squares neither overflow nor vanish; infinite if one of them is, whatever the other."""
    a, b = abs(x), abs(y)
    infinite = a.equals(INFINITY) | b.equals(INFINITY)
    if x.single:
        p, q = a.to(F64), b.to(F64)
        return infinite.select(x.like(INFINITY), fma(p, p, q * q).sqrt().to(F32))
    large = (a > 2.0**500) | (b > 2.0**500)
    small = (a < 2.0**-450) & (b < 2.0**-450)
    up = large.select(x.like(2.0**-600), small.select(x.like(2.0**600), 1.0))
    down = large.select(x.like(2.0**600), small.select(x.like(2.0**-600), 1.0))
    p, q = a * up, b * up
    return infinite.select(x.like(INFINITY), fma(p, p, q * q).sqrt() * down)
