"""Square roots by multiplication, which leaves the divider to the division that comes with them.

A divider of AVX-512 takes over ten cycles for the root of a vector of float32, and as long for a quotient, one after
the other; Adam's update needs both. Multiply-adds run beside it: m / (sqrt(v) + eps) takes half the time. From the
processor's estimate of 1 / sqrt(a) (relative error below 2**-14) one step of Goldschmidt's iteration gives root and
half its inverse, and the remainder, which fused multiply-add computes without error, the last bit: the result is
the correctly rounded one, as a divider's (P. Markstein, IBM J. Res. Dev. 34, 1990, doi:10.1147/rd.341.0111). Below
2e-31 the remainder is denormal and the last bit may differ.
"""

from __future__ import annotations

from chainrule.compiler.on_native.ir import Function, Type, Value, number

_VECTOR = Type("float", 16)
_MASK = Type("i1", 16)
_ZEROS_AND_INFINITY = 2 | 4 | 8


def suits(f: Function, x: Value) -> bool:
    """Whether there is a way around the divider for values of this type."""
    return f.target.isa.name == "avx512" and x.type == _VECTOR


def root(f: Function, a: Value) -> Value:
    """The square root."""
    half = number(_VECTOR, 0.5)
    inverse = _estimate(f, a)
    near, halved = f.mul(a, inverse), f.mul(inverse, half)
    rest = f.fma(f.neg(near), halved, half)
    near, halved = f.fma(near, rest, near), f.fma(halved, rest, halved)
    exact = f.fma(f.fma(f.neg(near), near, a), halved, near)
    return f.select(_is_its_own_root(f, a), a, exact)


def _estimate(f: Function, a: Value) -> Value:
    name = "llvm.x86.avx512.rsqrt14.ps.512"
    f.declarations.add(f"declare {_VECTOR} @{name}({_VECTOR}, {_VECTOR}, i16)")
    return f.emit(f"call {_VECTOR} @{name}({_VECTOR} {a}, {_VECTOR} {a}, i16 -1)", _VECTOR)


def _is_its_own_root(f: Function, a: Value) -> Value:
    """0, -0 and infinity, where the estimate is infinite or 0."""
    name = "llvm.x86.avx512.fpclass.ps.512"
    f.declarations.add(f"declare {_MASK} @{name}({_VECTOR}, i32 immarg)")
    return f.emit(f"call {_MASK} @{name}({_VECTOR} {a}, i32 {_ZEROS_AND_INFINITY})", _MASK)
