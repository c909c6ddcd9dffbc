"""Vectors of floats with operators, so that an elementary function reads as its formula.

`Floats` wraps an operand of type ``float`` or ``double`` (a scalar or any number of lanes) together with the function
under construction; each operator writes one instruction. Below them stand the tools that elementary functions share:
polynomials, rounding to integers, scaling by powers of two, and arithmetic that keeps the rounding error.

Sources: Dekker, Numerische Mathematik 18, 1971, 224-242 (sums and products with their errors, DOI 10.1007/BF01397083);
Muller et al., Handbook of Floating-Point Arithmetic, 2nd edition, 2018, chapters 4 and 11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from chainrule.compiler.on_native.ir import F32, F64, I1, Function, Type, Value, number

INFINITY = float("inf")
NAN = float("nan")


class ByType(NamedTuple):
    """A constant that differs between float32 and float64."""

    single: float
    double: float


class Coefficients(NamedTuple):
    """Of a polynomial, lowest power first, for float32 and for float64."""

    single: Sequence[float]
    double: Sequence[float]


@dataclass(frozen=True, slots=True)
class Floats:
    """An operand of floating type. Python numbers beside it become constants of its type."""

    function: Function
    value: Value

    @property
    def type(self) -> Type:
        return self.value.type

    @property
    def single(self) -> bool:
        """Whether it is float32."""
        return self.type.element == "float"

    def like(self, x: Number) -> Floats:
        """A number as an operand of the same type."""
        if isinstance(x, Floats):
            return x
        if isinstance(x, ByType):
            x = x.single if self.single else x.double
        return Floats(self.function, number(self.type, x))

    def _binary(self, instruction: str, a: Number, b: Number) -> Floats:
        a, b = self.like(a), self.like(b)
        return Floats(self.function, self.function.binary(instruction, a.value, b.value))

    def __add__(self, other: Number) -> Floats:
        return self._binary("fadd", self, other)

    def __sub__(self, other: Number) -> Floats:
        return self._binary("fsub", self, other)

    def __mul__(self, other: Number) -> Floats:
        return self._binary("fmul", self, other)

    def __truediv__(self, other: Number) -> Floats:
        return self._binary("fdiv", self, other)

    def __radd__(self, other: Number) -> Floats:
        return self._binary("fadd", other, self)

    def __rsub__(self, other: Number) -> Floats:
        return self._binary("fsub", other, self)

    def __rmul__(self, other: Number) -> Floats:
        return self._binary("fmul", other, self)

    def __rtruediv__(self, other: Number) -> Floats:
        return self._binary("fdiv", other, self)

    def __neg__(self) -> Floats:
        return Floats(self.function, self.function.neg(self.value))

    def __abs__(self) -> Floats:
        return self.intrinsic("fabs")

    def intrinsic(self, name: str, *others: Number) -> Floats:
        """One of LLVM's intrinsics; only those that every instruction set has are free of calls to a library."""
        values = [self.like(x).value for x in others]
        return Floats(self.function, self.function.intrinsic(name, self.value, *values))

    def sqrt(self) -> Floats:
        return self.intrinsic("sqrt")

    def copysign(self, sign: Number) -> Floats:
        """Its magnitude with another's sign."""
        return self.intrinsic("copysign", sign)

    def compare(self, predicate: str, other: Number) -> Mask:
        """``olt``, ``oeq``, ``une``, ``ult`` ... as LLVM names them; the ordered ones are false for nan."""
        return Mask(self.function, self.function.compare(predicate, self.value, self.like(other).value))

    def __lt__(self, other: Number) -> Mask:
        return self.compare("olt", other)

    def __le__(self, other: Number) -> Mask:
        return self.compare("ole", other)

    def __gt__(self, other: Number) -> Mask:
        return self.compare("ogt", other)

    def __ge__(self, other: Number) -> Mask:
        return self.compare("oge", other)

    def equals(self, other: Number) -> Mask:
        return self.compare("oeq", other)

    def has_sign(self) -> Mask:
        """Whether it is negative or -0."""
        return (self.bits() >> (31 if self.single else 63)).nonzero()

    def at_least(self, bound: Number) -> Floats:
        """The larger of the two; nan stays nan. One instruction."""
        return (self < bound).select(self.like(bound), self)

    def at_most(self, bound: Number) -> Floats:
        """The smaller of the two; nan stays nan. One instruction."""
        return (self > bound).select(self.like(bound), self)

    def bits(self) -> Bits:
        """The same bits as integers."""
        kind = Type("i32" if self.single else "i64", self.type.lanes)
        return Bits(self.function, self.function.convert("bitcast", self.value, kind))

    def to(self, element: Type) -> Floats:
        """Converted to float32 or float64, with the same number of lanes."""
        kind = element.vector(self.type.lanes)
        if kind == self.type:
            return self
        instruction = "fpext" if self.single else "fptrunc"
        return Floats(self.function, self.function.convert(instruction, self.value, kind))


Number: TypeAlias = Floats | ByType | float


@dataclass(frozen=True, slots=True)
class Mask:
    """Which lanes satisfy a condition."""

    function: Function
    value: Value

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.function, self.function.binary("and", self.value, other.value))

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.function, self.function.binary("or", self.value, other.value))

    def __xor__(self, other: Mask) -> Mask:
        return Mask(self.function, self.function.binary("xor", self.value, other.value))

    def __invert__(self) -> Mask:
        return Mask(self.function, self.function.binary("xor", self.value, number(self.value.type, True)))

    def select(self, yes: Floats, no: Number) -> Floats:
        """``yes`` where it holds, ``no`` elsewhere."""
        return Floats(self.function, self.function.select(self.value, yes.value, yes.like(no).value))

    def any(self) -> Value:
        """Whether it holds in some lane: one ``i1``."""
        lanes = self.value.type.lanes
        if not lanes:
            return self.value
        whole = self.function.convert("bitcast", self.value, Type(f"i{lanes}"))
        return self.function.emit(f"icmp ne i{lanes} {whole}, 0", I1)


@dataclass(frozen=True, slots=True)
class Bits:
    """Integers as wide as the floats that they came from."""

    function: Function
    value: Value

    def _binary(self, instruction: str, other: Bits | int) -> Bits:
        value = (
            other.value
            if isinstance(other, Bits)
            else number(self.value.type, _signed(other, self.value.type))
        )
        return Bits(self.function, self.function.binary(instruction, self.value, value))

    def __add__(self, other: Bits | int) -> Bits:
        return self._binary("add", other)

    def __sub__(self, other: Bits | int) -> Bits:
        return self._binary("sub", other)

    def __rsub__(self, other: int) -> Bits:
        return Bits(self.function, number(self.value.type, _signed(other, self.value.type))) - self

    def __and__(self, other: Bits | int) -> Bits:
        return self._binary("and", other)

    def __or__(self, other: Bits | int) -> Bits:
        return self._binary("or", other)

    def __xor__(self, other: Bits | int) -> Bits:
        return self._binary("xor", other)

    def __lshift__(self, places: int) -> Bits:
        return self._binary("shl", places)

    def __rshift__(self, places: int) -> Bits:
        """Zeros come in at the top."""
        return self._binary("lshr", places)

    def signed(self, places: int) -> Floats:
        """The signed integers that remain after a shift to the right, as floats."""
        shifted = self._binary("ashr", places).value
        kind = (F32 if self.value.type.element == "i32" else F64).vector(self.value.type.lanes)
        return Floats(self.function, self.function.convert("sitofp", shifted, kind))

    def nonzero(self) -> Mask:
        return Mask(self.function, self.function.compare("ne", self.value, number(self.value.type, 0)))

    def floats(self) -> Floats:
        """The same bits as floats."""
        kind = (F32 if self.value.type.element == "i32" else F64).vector(self.value.type.lanes)
        return Floats(self.function, self.function.convert("bitcast", self.value, kind))


def _signed(value: int, kind: Type) -> int:
    """A bit pattern as LLVM writes it."""
    width = 8 * kind.itemsize
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


# Polynomials


def fma(a: Floats, b: Number, c: Number) -> Floats:
    """``a * b + c``, with one rounding where the machine has it and with two elsewhere."""
    f = a.function
    return Floats(f, f.fma(a.value, a.like(b).value, a.like(c).value))


def polynomial(x: Floats, coefficients: Coefficients | Sequence[float]) -> Floats:
    """By Horner's rule, lowest power first."""
    if isinstance(coefficients, Coefficients):
        coefficients = coefficients.single if x.single else coefficients.double
    total = x.like(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = fma(total, x, c)
    return total


# Integers in floats

ROUNDER = ByType(1.5 * 2.0**23, 1.5 * 2.0**52)
"""Added to a float it leaves no room for a fraction: the sum's lowest bits are the nearest integer, halves to even."""


def nearest(x: Floats, factor: Number = 1.0) -> tuple[Floats, Bits]:
    """The integer nearest to ``x * factor``, if that is less than 2**22 (2**51 in float64).

    Returns:
        The integer as a float, and bits whose lowest ones are the integer's. Neither is an undefined value for nan.
    """
    lifted = x + ROUNDER if factor == 1.0 else fma(x, factor, ROUNDER)
    return lifted - ROUNDER, lifted.bits()


def power_of_two(n: Floats) -> Floats:
    """2**n for an integer n of a normal result."""
    lifted = n + ByType(ROUNDER.single + 127, ROUNDER.double + 1023)
    return (lifted.bits() << (23 if n.single else 52)).floats()


def scale(x: Floats, n: Floats) -> Floats:
    """``x * 2**n`` with one rounding, also where the result is denormal or overflows.

    ``n`` is an integer, at most 252 in magnitude (2044 in float64), and ``x`` is near 1: two steps keep both factors
    normal, and the first is exact.
    """
    scaled = _scalef(x, n)
    if scaled is not None:
        return scaled
    half, _ = nearest(n * 0.5)
    return x * power_of_two(half) * power_of_two(n - half)


def _scalef(x: Floats, n: Floats) -> Floats | None:
    """AVX-512's instruction for it, for a whole register."""
    f, kind = x.function, x.type
    if f.target.isa.name != "avx512" or kind.lanes * kind.itemsize != 64:
        return None
    name = f"llvm.x86.avx512.mask.scalef.{'ps' if x.single else 'pd'}.512"
    mask = f"i{kind.lanes}"
    f.declarations.add(f"declare {kind} @{name}({kind}, {kind}, {kind}, {mask}, i32)")
    arguments = f"{kind} {x.value}, {kind} {n.value}, {kind} zeroinitializer, {mask} -1, i32 4"
    return Floats(f, f.emit(f"call {kind} @{name}({arguments})", kind))


# Rounding to integers in floats. SSE2 has no instruction for it, and LLVM would call the C library.


def round_even(x: Floats) -> Floats:
    """To the nearest integer, halves to the even one."""
    if x.function.target.isa.name != "sse2":
        return x.intrinsic("roundeven")
    whole = 2.0**23 if x.single else 2.0**52
    small = abs(x) < whole
    rounded = ((abs(x) + whole) - whole).copysign(x)
    return small.select(rounded, x)


def floor(x: Floats) -> Floats:
    """To the integer below."""
    if x.function.target.isa.name != "sse2":
        return x.intrinsic("floor")
    rounded = round_even(x)
    return (rounded > x).select(rounded - 1.0, rounded)


def ceil(x: Floats) -> Floats:
    """To the integer above; -0 between -1 and 0."""
    if x.function.target.isa.name != "sse2":
        return x.intrinsic("ceil")
    rounded = round_even(x)
    return (rounded < x).select(rounded + 1.0, rounded).copysign(x)


def trunc(x: Floats) -> Floats:
    """To the integer next towards 0."""
    if x.function.target.isa.name != "sse2":
        return x.intrinsic("trunc")
    return floor(abs(x)).copysign(x)


# Sums and products with their errors: pairs (high, low), |low| at most half a unit in the last place of high.


class Pair(NamedTuple):
    """An unevaluated sum of two floats: about twice their precision."""

    high: Floats
    low: Floats


def two_sum(a: Floats, b: Number) -> Pair:
    """``a + b`` exactly (Knuth)."""
    total = a + b
    other = total - a
    return Pair(total, (a - (total - other)) + (b - other))


def fast_two_sum(a: Floats, b: Floats) -> Pair:
    """``a + b`` exactly, if ``a`` is not the smaller in magnitude (Dekker)."""
    total = a + b
    return Pair(total, b - (total - a))


def two_product(a: Floats, b: Floats) -> Pair:
    """``a * b`` and its rounding error; without fused multiply-add to 2**-106 of the product (float64), else exact."""
    product = a * b
    if a.function.target.isa.fma:
        return Pair(product, fma(a, b, -product))
    ah, al = cut(a)
    bh, bl = (ah, al) if b is a else cut(b)
    return Pair(product, ((ah * bh - product) + ah * bl + al * bh) + al * bl)


def cut(a: Floats) -> Pair:
    """The leading 12 bits (26 in float64) of the significand, and the rest. Unlike Veltkamp's it cannot overflow."""
    high = (a.bits() & (0xFFFFF000 if a.single else 0xFFFFFFFFF8000000)).floats()
    return Pair(high, a - high)


def minus_product(a: Floats, b: Floats, c: Floats) -> Floats:
    """``a - b * c``, where b * c is so near to a that the product's rounding error matters."""
    if a.function.target.isa.fma:
        return fma(-b, c, a)
    product = two_product(b, c)
    return (a - product.high) - product.low


def times(a: Pair, b: Pair) -> Pair:
    """Product of pairs."""
    product = two_product(a.high, b.high)
    return Pair(product.high, fma(a.high, b.low, fma(a.low, b.high, product.low)))


def quotient(a: Pair, b: Pair) -> Pair:
    """Quotient of pairs: the remainder of a first quotient gives its correction."""
    inverse = 1.0 / b.high
    first = a.high * inverse
    rest = minus_product(a.high, first, b.high) + fma(-first, b.low, a.low)
    return Pair(first, rest * inverse)


def square_root(a: Pair) -> Pair:
    """Square root of a pair that is 0 or at least 2**-60, by a step of Newton's."""
    root = a.high.sqrt()
    rest = minus_product(a.high, root, root) + a.low
    return Pair(root, rest / (root + root).at_least(2.0**-31))


# Rare cases


def unless_any(rare: Mask, usual: Sequence[Floats], compute: Callable[[], Sequence[Floats]]) -> list[Floats]:
    """Values that are computed in another way if some lane asks for it; a branch that is hardly ever taken.

    Args:
        rare: the lanes that ask.
        usual: the values if there are none.
        compute: writes the code that gives the values of all lanes otherwise.
    """
    f = rare.function
    before, slow, last, end = (f.label(stem) for stem in ("usual", "rare", "done", "end"))
    condition = rare.any()
    f.jump(before)
    f.begin(before)
    f.branch(condition, slow, end)
    f.begin(slow)
    computed = compute()
    f.jump(last)
    f.begin(last)
    f.jump(end)
    f.begin(end)
    return [
        Floats(f, f.emit(f"phi {u.type} [ {u.value}, %{before} ], [ {c.value}, %{last} ]", u.type))
        for u, c in zip(usual, computed, strict=True)
    ]
