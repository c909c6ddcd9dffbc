"""The instructions of elementwise primitives on vectors: a backend of :mod:`chainrule.compiler.instructions`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from chainrule.compiler.on_native import modulo, roots
from chainrule.compiler.on_native.elementary import ELEMENTARY, ROUNDING, supports
from chainrule.compiler.on_native.floats import Floats
from chainrule.compiler.on_native.ir import F64, I1, I64, Function, Int, Type, Value, number, type_of
from chainrule.primitive import Primitive
from chainrule.shapes import DTYPES, DType, bool_

_DTYPES = {type_of(d).element: d for d in DTYPES}
_SMALLEST = {"i32": -(2**31), "i64": -(2**63)}


class Elements:
    """Elements as LLVM values, all of them with the same number of lanes; bools are ``i1``.

    Args:
        function: where the code goes.
    """

    def __init__(self, function: Function) -> None:
        self._f = function

    def dtype(self, x: Value) -> DType:
        return _DTYPES[x.type.element]

    def number(self, value: float | int | bool, like: Value) -> Value:
        return number(like.type, value)

    def convert(self, x: Value, dtype: DType) -> Value:
        kind = Type(type_of(dtype).element, x.type.lanes)
        before, after = x.type.element, kind.element
        if before == after:
            return x
        if after == "i1":
            return self._f.compare("une" if x.type.floating else "ne", x, number(x.type, 0))
        if before == "i1":
            return self._f.convert("uitofp" if kind.floating else "zext", x, kind)
        if x.type.floating and kind.floating:
            return self._f.convert("fpext" if kind.element == F64.element else "fptrunc", x, kind)
        if x.type.floating:  # what does not fit is left to the machine, as in NumPy
            whole = self._f.convert("fptosi", x, kind)
            return self._f.emit(f"freeze {kind} {whole}", kind)
        if kind.floating:
            return self._f.convert("sitofp", x, kind)
        return self._f.convert("sext" if kind.element == "i64" else "trunc", x, kind)

    def add(self, a: Value, b: Value) -> Value:
        return self._f.binary("or", a, b) if a.type.element == I1.element else self._f.add(a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self._f.sub(a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self._f.binary("and", a, b) if a.type.element == I1.element else self._f.mul(a, b)

    def div(self, a: Value, b: Value) -> Value:
        return self._f.div(a, b)

    def neg(self, a: Value) -> Value:
        return self._f.neg(a)

    def abs(self, a: Value) -> Value:
        if a.type.floating:
            return self._f.intrinsic("fabs", a)
        return self._f.select(self._f.compare("slt", a, number(a.type, 0)), self._f.neg(a), a)

    def minimum(self, a: Value, b: Value) -> Value:
        return self._extreme("lt", a, b)

    def maximum(self, a: Value, b: Value) -> Value:
        return self._extreme("gt", a, b)

    def _extreme(self, relation: str, a: Value, b: Value) -> Value:
        if not a.type.floating:
            return self._f.select(self._f.compare("s" + relation, a, b), a, b)
        chosen = self._f.select(self._f.compare("o" + relation, a, b), a, b)  # b where one is nan
        return self._f.select(self._f.compare("uno", a, a), a, chosen)

    def floor_divide(self, a: Value, b: Value) -> Value:
        if a.type.floating:
            return modulo.floor_divide(Floats(self._f, a), Floats(self._f, b)).value
        return self._divide_integers(a, b)[0]

    def remainder(self, a: Value, b: Value) -> Value:
        if a.type.floating:
            return modulo.remainder(Floats(self._f, a), Floats(self._f, b)).value
        return self._divide_integers(a, b)[1]

    def power(self, a: Value, b: Value) -> Value:
        """By squaring, bit by bit of the exponents, up to the highest bit of the largest."""
        f, kind = self._f, a.type
        one = number(kind, 1)
        most = f.intrinsic("vector.reduce.umax", b, kind=kind.scalar) if kind.lanes else b
        empty = f.emit(f"call {most.type} @llvm.ctlz.{most.type}({most.type} {most}, i1 false)", most.type)
        f.declarations.add(f"declare {most.type} @llvm.ctlz.{most.type}({most.type}, i1)")
        length = f.sub(number(most.type, 8 * kind.itemsize), empty)
        bits = length if length.type.element == "i64" else f.convert("zext", length, I64)

        def turn(_: Int, carried: list[Value]) -> list[Value]:
            made, square, rest = carried
            odd = f.compare("ne", f.binary("and", rest, one), number(kind, 0))
            made = f.select(odd, f.mul(made, square), made)
            return [made, f.mul(square, square), f.binary("lshr", rest, one)]

        return f.loop(0, bits, 1, turn, [one, a, b], may_be_empty=True)[0]

    def _divide_integers(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Quotient rounded down and remainder with the divisor's sign; both 0 where it is 0. Never traps."""
        f, zero, one = self._f, number(a.type, 0), number(a.type, 1)
        nothing = f.compare("eq", b, zero)
        smallest = f.compare("eq", a, number(a.type, _SMALLEST[a.type.element]))
        overflows = f.binary("and", smallest, f.compare("eq", b, number(a.type, -1)))
        safe = f.select(f.binary("or", nothing, overflows), one, b)
        quotient = f.binary("sdiv", a, safe)
        rest = f.sub(a, f.mul(quotient, safe))
        inexact = f.compare("ne", rest, zero)
        apart = f.compare("slt", f.binary("xor", rest, safe), zero)
        down = f.binary("and", inexact, apart)
        quotient = f.select(down, f.sub(quotient, one), quotient)
        rest = f.select(down, f.add(rest, safe), rest)
        return f.select(nothing, zero, quotient), f.select(nothing, zero, rest)

    def sqrt(self, a: Value) -> Value:
        return roots.root(self._f, a) if roots.suits(self._f, a) else self._f.intrinsic("sqrt", a)

    def floor(self, a: Value) -> Value:
        return ROUNDING["floor"](self._f, a)

    def ceil(self, a: Value) -> Value:
        return ROUNDING["ceil"](self._f, a)

    def trunc(self, a: Value) -> Value:
        return ROUNDING["trunc"](self._f, a)

    def round(self, a: Value) -> Value:
        return ROUNDING["round"](self._f, a)

    def copysign(self, a: Value, b: Value) -> Value:
        return self._f.intrinsic("copysign", a, b)

    def elementary(self, name: str, *xs: Value) -> Value:
        return ELEMENTARY[name](self._f, *xs)

    def less(self, a: Value, b: Value) -> Value:
        return self._compare("olt", "slt", a, b)

    def less_equal(self, a: Value, b: Value) -> Value:
        return self._compare("ole", "sle", a, b)

    def equal(self, a: Value, b: Value) -> Value:
        return self._compare("oeq", "eq", a, b)

    def not_equal(self, a: Value, b: Value) -> Value:
        return self._compare("une", "ne", a, b)

    def _compare(self, floats: str, integers: str, a: Value, b: Value) -> Value:
        if a.type.element == I1.element:  # False is less than True
            integers = {"slt": "ult", "sle": "ule"}.get(integers, integers)
        return self._f.compare(floats if a.type.floating else integers, a, b)

    def select(self, condition: Value, yes: Value, no: Value) -> Value:
        return self._f.select(condition, yes, no)

    def logical_and(self, a: Value, b: Value) -> Value:
        return self._f.binary("and", a, b)

    def logical_or(self, a: Value, b: Value) -> Value:
        return self._f.binary("or", a, b)

    def logical_xor(self, a: Value, b: Value) -> Value:
        return self._f.binary("xor", a, b)

    def logical_not(self, a: Value) -> Value:
        return self._f.binary("xor", a, number(a.type, True))


class Survey:
    """Runs an emission on dtypes alone, to find out whether this backend has all that it needs."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.slow = False

    def dtype(self, x: DType) -> DType:
        return x

    def number(self, value: float | int | bool, like: DType) -> DType:
        return like

    def convert(self, x: DType, dtype: DType) -> DType:
        return dtype

    def elementary(self, name: str, *xs: DType) -> DType:
        self.slow = True
        if not supports(name, type_of(xs[0])):
            self.missing.append(f"{name} of {xs[0].name}")
        return xs[0]

    def _slow(self, a: DType, *_: DType) -> DType:
        self.slow = True
        return a

    floor_divide = remainder = power = sqrt = _slow

    def select(self, condition: DType, yes: DType, no: DType) -> DType:
        return yes

    def __getattr__(self, name: str) -> Any:
        compares = name in ("less", "less_equal", "equal", "not_equal")
        return lambda a, *_: bool_ if compares else a  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]


@functools.cache
def missing(
    op: type[Primitive], dtypes: tuple[DType, ...], params: tuple[tuple[str, Any], ...]
) -> tuple[str, ...]:
    """What this backend lacks to compute an elementwise primitive; nothing if it has all."""
    return tuple(_surveyed(op, dtypes, params).missing)


@functools.cache
def slow(op: type[Primitive], dtypes: tuple[DType, ...], params: tuple[tuple[str, Any], ...]) -> bool:
    """Whether an elementwise primitive takes a root, divides integers, or calls an elementary function."""
    return _surveyed(op, dtypes, params).slow


def _surveyed(op: type[Primitive], dtypes: tuple[DType, ...], params: tuple[tuple[str, Any], ...]) -> Survey:
    assert op.emit is not None
    survey = Survey()
    op.emit(survey, *promoted(survey, dtypes), **dict(params))
    return survey


def promoted(k: Any, xs: Sequence[Any]) -> list[Any]:
    """Inputs of an emission: numbers in their common dtype; booleans stay."""
    dtypes = [k.dtype(x) for x in xs]
    numeric = [d for d in dtypes if d.kind != "b"]
    if not numeric:
        return list(xs)
    widest = max(numeric, key=lambda d: (d.kind == "f", d.itemsize))
    return [x if d.kind == "b" else k.convert(x, widest) for x, d in zip(xs, dtypes, strict=True)]
