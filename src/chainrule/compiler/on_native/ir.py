"""LLVM's intermediate representation as text: functions built instruction by instruction.

A `Value` is the text that names an operand, with its type. A `Function` has a method for each thing that
kernels do: arithmetic on scalars and vectors, memory, masks, loops. Integers that are known while building
are Python ints and fold at once, so a kernel of static shape has no index arithmetic left. Text costs less
than a microsecond an instruction, a tenth of building LLVM's objects.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from chainrule.compiler.on_native.target import Target
from chainrule.shapes import DType, bool_, float32, float64, int32, int64


@dataclass(frozen=True, slots=True)
class Type:
    """An element type (``float``, ``double``, ``i1``, ``i8``, ``i32``, ``i64``, ``ptr``) and lanes; 0 for a scalar."""

    element: str
    lanes: int = 0

    def __str__(self) -> str:
        return f"<{self.lanes} x {self.element}>" if self.lanes else self.element

    @property
    def floating(self) -> bool:
        return self.element in ("float", "double")

    @property
    def itemsize(self) -> int:
        """Bytes of an element in memory."""
        return {"float": 4, "double": 8, "i1": 1, "i8": 1, "i32": 4, "i64": 8, "ptr": 8}[self.element]

    @property
    def suffix(self) -> str:
        """As LLVM's intrinsics are named: ``f32``, ``v16f32``, ``i64``."""
        element = {"float": "f32", "double": "f64"}.get(self.element, self.element)
        return f"v{self.lanes}{element}" if self.lanes else element

    def vector(self, lanes: int) -> Type:
        """The same element in ``lanes`` lanes."""
        return Type(self.element, lanes)

    @property
    def scalar(self) -> Type:
        return Type(self.element)


F32, F64, I1, I8, I32, I64, PTR = (Type(e) for e in ("float", "double", "i1", "i8", "i32", "i64", "ptr"))
VOID = Type("void")


def type_of(dtype: DType) -> Type:
    """How elements of a dtype are held in registers; bool is ``i1`` there and ``i8`` in memory."""
    return _TYPES[dtype]


_TYPES = {float32: F32, float64: F64, int32: I32, int64: I64, bool_: I1}


class Value(str):
    """An operand: its text in the IR, and its type."""

    __slots__ = ("type",)
    type: Type

    @staticmethod
    def of(text: str, kind: Type) -> Value:
        value = Value(text)
        value.type = kind
        return value


Int: TypeAlias = Value | int
"""A 64-bit integer: an operand, or a number known while building."""
Body: TypeAlias = "Callable[[Int, list[Value]], Sequence[Value] | None]"


def number(kind: Type, value: float | int | bool) -> Value:
    """A constant; in a vector type all lanes are alike."""
    if kind.floating:
        wide = struct.unpack("<f", struct.pack("<f", value))[0] if kind.element == "float" else value
        text = f"0x{struct.unpack('<Q', struct.pack('<d', wide))[0]:016X}"
    elif kind.element == "i1":
        text = "true" if value else "false"
    else:
        text = str(int(value))
    if kind.lanes:
        text = f"splat ({kind.element} {text})"
    return Value.of(text, kind)


def lanes_of(kind: Type, values: Iterable[int | float | bool]) -> Value:
    """A vector constant with a number for each lane."""
    scalar = kind.scalar
    return Value.of("<" + ", ".join(f"{scalar} {number(scalar, v)}" for v in values) + ">", kind)


def first_lanes(count: int, lanes: int) -> Value:
    """A mask in which the first ``count`` of ``lanes`` lanes are on."""
    return lanes_of(Type("i1", lanes), [i < count for i in range(lanes)])


class Function:
    """One function under construction.

    Args:
        name: its symbol.
        parameters: names (with %) and types.
        target: decides how fused multiply-add is written.
        result: return type.
        exported: whether it can be found from outside its module.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[str, Type]],
        target: Target,
        *,
        result: Type = VOID,
        exported: bool = True,
    ) -> None:
        self.name = name
        self.target = target
        self.parameters = [Value.of(n, t) for n, t in parameters]
        self._result = result
        self._exported = exported
        self.declarations: set[str] = set()
        self._lines: list[str] = ["entry:"]
        self._count = 0

    # Writing

    def emit(self, text: str, kind: Type) -> Value:
        """An instruction with a result."""
        self._count += 1
        value = Value.of(f"%t{self._count}", kind)
        self._lines.append(f"  {value} = {text}")
        return value

    def effect(self, text: str) -> None:
        """An instruction without a result."""
        self._lines.append("  " + text)

    def label(self, stem: str) -> str:
        """A fresh name for a block."""
        self._count += 1
        return f"{stem}{self._count}"

    def begin(self, label: str) -> None:
        """Begin a block."""
        self._lines.append(f"{label}:")

    def jump(self, label: str) -> None:
        """End a block."""
        self.effect(f"br label %{label}")

    def branch(self, condition: Value, yes: str, no: str) -> None:
        """End a block in one of two ways."""
        self.effect(f"br i1 {condition}, label %{yes}, label %{no}")

    def ret(self, value: Value | None = None) -> None:
        """Return; code after it needs a new block."""
        self.effect("ret void" if value is None else f"ret {value.type} {value}")

    def call(self, name: str, arguments: Sequence[Value], kind: Type = VOID, declare: bool = False) -> Value:
        """Call a function by its symbol; ``declare`` if it is not in the same module."""
        if declare:
            types = ", ".join(str(a.type) for a in arguments)
            self.declarations.add(f"declare {kind} @{name}({types})")
        text = f"call {kind} @{name}({', '.join(f'{a.type} {a}' for a in arguments)})"
        if kind is VOID:
            self.effect(text)
            return Value.of("", VOID)
        return self.emit(text, kind)

    def intrinsic(self, name: str, *arguments: Value, kind: Type | None = None) -> Value:
        """An LLVM intrinsic that is overloaded on its first argument's type."""
        kind = kind or arguments[0].type
        return self.call(f"llvm.{name}.{arguments[0].type.suffix}", arguments, kind, declare=True)

    # Integers

    def add_int(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        return b if a == 0 else a if b == 0 else self.emit(f"add nsw i64 {a}, {b}", I64)

    def sub_int(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.emit(f"sub nsw i64 {a}, {b}", I64)

    def mul_int(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        return b if a == 1 else a if b == 1 else self.emit(f"mul nsw i64 {a}, {b}", I64)

    def div_int(self, a: Int, b: int) -> Int:
        """Quotient of two numbers that are not negative."""
        if isinstance(a, int):
            return a // b
        return a if b == 1 else self.emit(f"udiv i64 {a}, {b}", I64)

    def mod_int(self, a: Int, b: int) -> Int:
        """Remainder of two numbers that are not negative."""
        if isinstance(a, int):
            return a % b
        return 0 if b == 1 else self.emit(f"urem i64 {a}, {b}", I64)

    def min_int(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.call("llvm.smin.i64", [self.operand(a), self.operand(b)], I64, declare=True)

    def max_int(self, a: Int, b: Int) -> Int:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.call("llvm.smax.i64", [self.operand(a), self.operand(b)], I64, declare=True)

    def operand(self, a: Int) -> Value:
        """The operand for an integer."""
        return number(I64, a) if isinstance(a, int) else a

    def less_int(self, a: Int, b: Int) -> Value:
        return self.emit(f"icmp slt i64 {a}, {b}", I1)

    def equal_int(self, a: Int, b: Int) -> Value:
        return self.emit(f"icmp eq i64 {a}, {b}", I1)

    # Arithmetic on scalars and vectors of one type

    def binary(self, instruction: str, a: Value, b: Value) -> Value:
        """An instruction with two operands and a result of one type, such as ``fadd`` or ``and``."""
        return self.emit(f"{instruction} {a.type} {a}, {b}", a.type)

    def add(self, a: Value, b: Value) -> Value:
        return self.binary("fadd" if a.type.floating else "add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self.binary("fsub" if a.type.floating else "sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self.binary("fmul" if a.type.floating else "mul", a, b)

    def div(self, a: Value, b: Value) -> Value:
        """Quotient of floats."""
        return self.binary("fdiv", a, b)

    def neg(self, a: Value) -> Value:
        if a.type.floating:
            return self.emit(f"fneg {a.type} {a}", a.type)
        return self.emit(
            f"sub {a.type} zeroinitializer, {a}" if a.type.lanes else f"sub {a.type} 0, {a}", a.type
        )

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """``a * b + c``, rounded once where the machine can."""
        return self.intrinsic("fma" if self.target.isa.fma else "fmuladd", a, b, c)

    def compare(self, predicate: str, a: Value, b: Value) -> Value:
        """``olt``, ``oeq``, ``une``, ``ult`` ... for floats; ``slt``, ``eq`` ... for integers."""
        kind = "fcmp" if a.type.floating else "icmp"
        return self.emit(f"{kind} {predicate} {a.type} {a}, {b}", Type("i1", a.type.lanes))

    def select(self, condition: Value, yes: Value, no: Value) -> Value:
        return self.emit(f"select {condition.type} {condition}, {yes.type} {yes}, {no.type} {no}", yes.type)

    def convert(self, instruction: str, a: Value, kind: Type) -> Value:
        """``sitofp``, ``fptosi``, ``fpext``, ``fptrunc``, ``zext``, ``sext``, ``trunc``, ``bitcast``, ``uitofp``."""
        return self.emit(f"{instruction} {a.type} {a} to {kind}", kind)

    def splat(self, scalar: Value, lanes: int) -> Value:
        """A vector with ``scalar`` in all lanes."""
        kind = scalar.type.vector(lanes)
        first = self.emit(f"insertelement {kind} poison, {scalar.type} {scalar}, i64 0", kind)
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.emit(f"shufflevector {kind} {first}, {kind} poison, {zeros}", kind)

    def shuffle(self, a: Value, b: Value, places: Sequence[int]) -> Value:
        """Lanes of ``a`` followed by those of ``b``, picked by place."""
        mask = ", ".join(f"i32 {p}" for p in places)
        kind = a.type.vector(len(places))
        return self.emit(f"shufflevector {a.type} {a}, {b.type} {b}, <{len(places)} x i32> <{mask}>", kind)

    def lane(self, vector: Value, place: Int) -> Value:
        """One element of a vector."""
        return self.emit(f"extractelement {vector.type} {vector}, i64 {place}", vector.type.scalar)

    # Memory

    def at(self, pointer: Value, index: Int, kind: Type) -> Value:
        """The address of element ``index`` of type ``kind`` (its scalar) behind ``pointer``."""
        if index == 0:
            return pointer
        element = "i8" if kind.element == "i1" else kind.element
        return self.emit(f"getelementptr inbounds {element}, ptr {pointer}, i64 {index}", PTR)

    def load(self, pointer: Value, kind: Type, mask: Value | None = None) -> Value:
        """Consecutive elements; lanes that are masked out are 0. A bool is read from a byte."""
        if kind.element == "i1":
            byte = self.load(pointer, Type("i8", kind.lanes), mask)
            return self.compare("ne", byte, number(byte.type, 0))
        if mask is None:
            return self.emit(f"load {kind}, ptr {pointer}, align {kind.itemsize}", kind)
        name = f"llvm.masked.load.{kind.suffix}.p0"
        self.declarations.add(f"declare {kind} @{name}(ptr, {mask.type}, {kind})")
        where = f"ptr align {kind.itemsize} {pointer}"
        return self.emit(f"call {kind} @{name}({where}, {mask.type} {mask}, {kind} zeroinitializer)", kind)

    def store(self, value: Value, pointer: Value, mask: Value | None = None) -> None:
        """Write consecutive elements, except for lanes that are masked out."""
        kind = value.type
        if kind.element == "i1":
            self.store(self.convert("zext", value, Type("i8", kind.lanes)), pointer, mask)
        elif mask is None:
            self.effect(f"store {kind} {value}, ptr {pointer}, align {kind.itemsize}")
        else:
            name = f"llvm.masked.store.{kind.suffix}.p0"
            self.declarations.add(f"declare void @{name}({kind}, ptr, {mask.type})")
            where = f"ptr align {kind.itemsize} {pointer}"
            self.effect(f"call void @{name}({kind} {value}, {where}, {mask.type} {mask})")

    def gather(self, pointer: Value, places: Value, kind: Type, mask: Value | None = None) -> Value:
        """Elements that are not adjacent: lane i from ``places[i]`` behind ``pointer``."""
        if kind.element == "i1":
            byte = self.gather(pointer, places, Type("i8", kind.lanes), mask)
            return self.compare("ne", byte, number(byte.type, 0))
        on = mask or first_lanes(kind.lanes, kind.lanes)
        pointers = Type("ptr", kind.lanes)
        where = self.emit(f"getelementptr {kind.element}, ptr {pointer}, {places.type} {places}", pointers)
        name = f"llvm.masked.gather.{kind.suffix}.v{kind.lanes}p0"
        self.declarations.add(f"declare {kind} @{name}({pointers}, {on.type}, {kind})")
        spot = f"{pointers} align {kind.itemsize} {where}"
        return self.emit(f"call {kind} @{name}({spot}, {on.type} {on}, {kind} zeroinitializer)", kind)

    def scatter(self, value: Value, pointer: Value, places: Value, mask: Value | None = None) -> None:
        """Write lane i to ``places[i]`` behind ``pointer``."""
        kind = value.type
        if kind.element == "i1":
            return self.scatter(self.convert("zext", value, Type("i8", kind.lanes)), pointer, places, mask)
        on = mask or first_lanes(kind.lanes, kind.lanes)
        pointers = Type("ptr", kind.lanes)
        where = self.emit(f"getelementptr {kind.element}, ptr {pointer}, {places.type} {places}", pointers)
        name = f"llvm.masked.scatter.{kind.suffix}.v{kind.lanes}p0"
        self.declarations.add(f"declare void @{name}({kind}, {pointers}, {on.type})")
        spot = f"{pointers} align {kind.itemsize} {where}"
        self.effect(f"call void @{name}({kind} {value}, {spot}, {on.type} {on})")
        return None

    def load_splat(self, pointer: Value, kind: Type) -> Value:
        """One element in all lanes of ``kind``."""
        scalar = self.load(pointer, kind.scalar)
        return self.splat(scalar, kind.lanes) if kind.lanes else scalar

    def prefetch(self, pointer: Value, *, write: bool = False, locality: int = 3) -> None:
        """Ask for a cache line."""
        self.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.effect(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(write)}, i32 {locality}, i32 1)")

    def stack(self, kind: Type, count: int = 1, align: int = 64) -> Value:
        """Room on the stack, for as long as the function runs. Call it in the entry block only."""
        return self.emit(f"alloca [{count} x {kind}], align {align}", PTR)

    # Control

    def loop(
        self,
        start: Int,
        stop: Int,
        step: int,
        body: Body,
        carried: Sequence[Value] = (),
        *,
        may_be_empty: bool = False,
    ) -> list[Value]:
        """Count from ``start`` up to ``stop``; ``body(i, carried)`` gives the next carried values.

        A loop of one turn is written without a loop. Bounds that are not known are taken to allow at least one
        turn unless ``may_be_empty``.

        Returns:
            The carried values after the last turn.
        """
        if isinstance(start, int) and isinstance(stop, int):
            if start >= stop:
                return list(carried)
            if stop - start <= step:
                return list(body(start, list(carried)) or [])
            may_be_empty = False
        before, head, latch, end = (self.label(stem) for stem in ("before", "loop", "next", "end"))
        self.jump(before)
        self.begin(before)
        if may_be_empty:
            self.branch(self.less_int(start, stop), head, end)
        else:
            self.jump(head)
        self.begin(head)
        index = Value.of(f"%{head}.i", I64)
        inside = [Value.of(f"%{head}.c{n}", v.type) for n, v in enumerate(carried)]
        place = len(self._lines)
        self._lines.append("")
        after = list(body(index, inside) or [])
        self.jump(latch)
        self.begin(latch)
        following = self.emit(f"add nsw i64 {index}, {step}", I64)
        self.branch(self.less_int(following, stop), head, end)
        phis = [f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]"]
        for v, first, then in zip(inside, carried, after, strict=True):
            phis.append(f"  {v} = phi {v.type} [ {first}, %{before} ], [ {then}, %{latch} ]")
        self._lines[place] = "\n".join(phis)
        self.begin(end)
        if not may_be_empty:
            return after
        return [
            self.emit(f"phi {v.type} [ {first}, %{before} ], [ {v}, %{latch} ]", v.type)
            for first, v in zip(carried, after, strict=True)
        ]

    def when(
        self, condition: Value, then: Callable[[], None], otherwise: Callable[[], None] | None = None
    ) -> None:
        """Run one of two pieces of code."""
        yes, no, end = (self.label(stem) for stem in ("then", "else", "end"))
        self.branch(condition, yes, no if otherwise else end)
        self.begin(yes)
        then()
        self.jump(end)
        if otherwise:
            self.begin(no)
            otherwise()
            self.jump(end)
        self.begin(end)

    def replaced(
        self, condition: Value, values: Sequence[Value], otherwise: Callable[[], Sequence[Value]]
    ) -> list[Value]:
        """These values, or those that ``otherwise`` makes if the condition holds."""
        before, yes, last, end = (self.label(stem) for stem in ("before", "then", "made", "end"))
        self.jump(before)
        self.begin(before)
        self.branch(condition, yes, end)
        self.begin(yes)
        others = otherwise()
        self.jump(last)
        self.begin(last)
        self.jump(end)
        self.begin(end)
        return [
            self.emit(f"phi {v.type} [ {v}, %{before} ], [ {w}, %{last} ]", v.type)
            for v, w in zip(values, others, strict=True)
        ]

    @property
    def declaration(self) -> str:
        """What a module needs to call the function where it is in another one."""
        return f"declare {self._result} @{self.name}({', '.join(str(p.type) for p in self.parameters)})"

    def text(self, exported: bool = False) -> str:
        """The whole function; ``exported`` makes it known to other modules in any case."""
        parameters = ", ".join(f"{p.type} {p}" for p in self.parameters)
        lines = [*self._lines]
        if not lines[-1].startswith("  ret "):
            lines.append("  ret void")
        linkage = "" if self._exported or exported else "internal "
        head = f"define {linkage}{self._result} @{self.name}({parameters}) noinline nounwind {{"
        return "\n".join((head, *lines, "}", ""))
