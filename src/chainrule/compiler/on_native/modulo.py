"""Floats divided with a remainder, exactly as NumPy does it: results have NumPy's bits.

The remainder of ``a`` and ``b`` is what a long division leaves. If the quotient has fewer bits than a significand, one
step of it is a rounded quotient, put right by its remainder, which a fused multiply-add gives exactly. Otherwise, which
is rare, significands are divided step by step, as many bits at a time as fit.
"""

from __future__ import annotations

from chainrule.compiler.on_native.floats import (
    Bits,
    ByType,
    Floats,
    Mask,
    floor,
    minus_product,
    trunc,
    unless_any,
)
from chainrule.compiler.on_native.ir import I64, Int, Type, Value, number

_STEP = ByType(20, 49)
"""Bits of a quotient that a step gives: the rounding error of a quotient of so many is less than 1/4."""
_LARGE = ByType(2.0**100, 2.0**1000)
"""From here on a quotient that is too large by 1 could overflow when it is multiplied again."""


def remainder(a: Floats, b: Floats) -> Floats:
    """What is left of ``a``, with the sign of ``b``; nan if b is 0 or a is infinite."""
    return _adjusted(_left(a, b), b)[0]


def floor_divide(a: Floats, b: Floats) -> Floats:
    """The quotient rounded down. As NumPy's it is that of the remainder, ``a / b`` if b is 0."""
    left = _left(a, b)
    _, crossed = _adjusted(left, b)
    exact = (a - left) / b  # an integer but for rounding
    exact = crossed.select(exact - 1.0, exact)
    down = floor(exact)
    nearest = (exact - down > 0.5).select(down + 1.0, down)
    plain = a / b
    zero = a.like(0.0).copysign(plain)
    return b.equals(0.0).select(plain, exact.equals(0.0).select(zero, nearest))


def _adjusted(left: Floats, b: Floats) -> tuple[Floats, Mask]:
    """A remainder with the dividend's sign as one with the divisor's, and whether that took a step of ``b``."""
    crossed = ((b < 0.0) ^ (left < 0.0)) & left.compare("une", 0.0)
    moved = crossed.select(left + b, left)
    return left.equals(0.0).select(b.like(0.0).copysign(b), moved), crossed


def _left(a: Floats, b: Floats) -> Floats:
    """C's ``fmod``: what a division truncated towards 0 leaves, exactly; it has the sign of ``a``."""
    r, d = abs(a), abs(b)
    rough = r / d
    limit = ByType(2.0**_STEP.single, 2.0**_STEP.double)
    rare = ((rough >= limit) | (r > _LARGE)) & (d > 0.0) & (r < float("inf"))
    usual = _step(r, trunc(rough), d)
    (left,) = unless_any(rare, [usual], lambda: [rare.select(_long_division(r, d, rare), usual)])
    return (r < d).select(r, left).copysign(a)


def _step(r: Floats, quotient: Floats, d: Floats) -> Floats:
    """``r - quotient * d`` for a quotient that is right, or too large by 1."""
    rest = minus_product(r, quotient, d)
    return (rest < 0.0).select(rest + d, rest)


def _long_division(r: Floats, d: Floats, wanted: Mask) -> Floats:
    """The remainder of finite positive numbers with any quotient, in the lanes that are wanted."""
    f = r.function
    (m, high), (divisor, low) = _parts(r), _parts(d)
    wanted = wanted & (r >= d)
    gap = Bits(f, f.select(wanted.value, (high - low).value, number(high.value.type, 0)))
    step = _integer(_STEP, r)
    rounds = f.add_int(f.div_int(_largest(gap), step), 1)

    def turn(_: Int, carried: list[Value]) -> list[Value]:
        rest, todo = Floats(f, carried[0]), Bits(f, carried[1])
        bits = Bits(f, f.intrinsic("smin", todo.value, number(todo.value.type, step)))
        rest = rest * _power(bits)
        return [_step(rest, trunc(rest / divisor), divisor).value, (todo - bits).value]

    left = Floats(f, f.loop(0, rounds, 1, turn, [m.value, gap.value])[0])
    half = Bits(f, f.binary("ashr", low.value, number(low.value.type, 1)))
    return left * _power(half) * _power(low - half)


def _parts(x: Floats) -> tuple[Floats, Bits]:
    """A positive number as a significand in [1, 2) and an exponent."""
    places, bias = (23, 127) if x.single else (52, 1023)
    denormal = x < ByType(2.0**-126, 2.0**-1022)
    bits = denormal.select(x * ByType(2.0**23, 2.0**52), x).bits()
    f, one = x.function, (bias << places)
    kind = bits.value.type
    shift = f.select(denormal.value, number(kind, bias + places), number(kind, bias))
    return ((bits & ((1 << places) - 1)) | one).floats(), (bits >> places) - Bits(f, shift)


def _power(n: Bits) -> Floats:
    """2**n, which is normal."""
    places, bias = (23, 127) if n.value.type.element == "i32" else (52, 1023)
    return ((n + bias) << places).floats()


def _integer(by_type: ByType, x: Floats) -> int:
    return int(by_type.single if x.single else by_type.double)


def _largest(x: Bits) -> Int:
    """The largest lane."""
    f, kind = x.function, x.value.type
    top = f.intrinsic("vector.reduce.smax", x.value, kind=kind.scalar) if kind.lanes else x.value
    return top if kind.element == "i64" else f.convert("sext", top, Type(I64.element))
