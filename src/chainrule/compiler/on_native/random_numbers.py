"""Random numbers from keys and counters, in vectors: Threefry-2x32, and numbers made of its words.

The operations are those of :mod:`chainrule.ops.threefry`, each rounded by itself, so the bits are the same. Number i
depends on i alone: any lane of any task can make any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compiler.on_native.ir import (
    F32,
    F64,
    I1,
    I32,
    I64,
    Function,
    Int,
    Type,
    Value,
    lanes_of,
    number,
)
from chainrule.ops import threefry
from chainrule.ops.keys import RandomFoldIn, RandomSplit
from chainrule.ops.random import RandomBits, RandomNormal, RandomUniform
from chainrule.primitive import Primitive
from chainrule.shapes import DType, float32

GENERATORS: tuple[type[Primitive], ...] = (
    RandomBits,
    RandomFoldIn,
    RandomNormal,
    RandomSplit,
    RandomUniform,
)
"""Primitives whose elements are functions of a key and their place."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Which numbers are wanted: the one at ``first``, and every ``step``-th after it.

    Attributes:
        even: whether ``first`` is even, which is known while building, and ``step`` is 1.
    """

    first: Int
    step: int
    lanes: int
    even: bool


class Key:
    """A key in vectors, and what its encryption adds between rounds."""

    def __init__(self, f: Function, first: Value, second: Value) -> None:
        self._f = f
        self.lanes = first.type.lanes
        parity = f.binary("xor", f.binary("xor", first, second), number(first.type, threefry.PARITY))
        words = (first, second, parity)
        self._start = first, second
        self._added = [
            (words[group % 3], f.add(words[(group + 1) % 3], number(first.type, group)))
            for group in range(1, 6)
        ]

    @staticmethod
    def load(f: Function, pointer: Value, stride: int, lanes: int) -> Key:
        """From an array of two int64, whose lower halves count."""
        words = [f.load(f.at(pointer, i * stride, I64), I64) for i in range(2)]
        first, second = (f.splat(f.convert("trunc", w, I32), lanes) for w in words)
        return Key(f, first, second)

    def block(self, first: Value, second: Value) -> tuple[Value, Value]:
        """Encrypt counters: two words in each lane."""
        f = self._f
        x, y = f.add(first, self._start[0]), f.add(second, self._start[1])
        for group, (to_x, to_y) in enumerate(self._added):
            for rotation in threefry.ROTATIONS[group % 2]:
                x = f.add(x, y)
                y = f.intrinsic("fshl", y, y, number(y.type, rotation))
                y = f.binary("xor", y, x)
            x, y = f.add(x, to_x), f.add(y, to_y)
        return x, y


def key_lanes(op: type[Primitive], width: int, lanes: int, even: bool) -> int:
    """Lanes in which the blocks for a vector of numbers are made: half as many if each gives two of them."""
    return lanes // 2 if width == 32 and op is not RandomFoldIn and even else lanes


def generate(
    f: Function,
    op: type[Primitive],
    dtype: DType,
    width: int,
    key: Key,
    counters: Counters,
    extra: Sequence[Value],
) -> Value:
    """Elements of a random primitive.

    Args:
        op: one of `GENERATORS`.
        dtype: of the elements.
        width: bits of a word that makes one element.
        key: in as many lanes as :func:`key_lanes` says.
        counters: the elements' places in row-major order.
        extra: the number that is folded in.
    """
    if op is RandomFoldIn:
        return _widened(f, _folded(f, key, extra[0], _places(f, counters)))
    if width == 64:
        x, y = key.block(*_halves(f, _places(f, counters)))
        if op is RandomBits:
            high = f.binary("shl", _widened(f, x), number(I64.vector(counters.lanes), 32))
            return f.binary("or", high, _widened(f, y))
        return _uniform64(f, x, y) if op is RandomUniform else normal64(f, x, y)
    word = _words32(f, key, counters, threefry.SPLIT if op is RandomSplit else None)
    if op in (RandomBits, RandomSplit):
        return _widened(f, word)
    return _uniform32(f, word) if op is RandomUniform else normal32(f, word)


def width_of(op: type[Primitive] | None, dtype: DType, asked: int | None) -> int:
    """Bits of the word that makes one element."""
    if op is RandomBits:
        assert asked is not None
        return asked
    return 64 if op in (RandomUniform, RandomNormal) and dtype != float32 else 32


def _places(f: Function, c: Counters) -> Value:
    kind = I64.vector(c.lanes)
    steps = lanes_of(kind, [lane * c.step for lane in range(c.lanes)])
    return f.add(f.splat(f.operand(c.first), c.lanes), steps)


def _halves(f: Function, numbers: Value) -> tuple[Value, Value]:
    """Lower and upper words of 64-bit counters."""
    kind = I32.vector(numbers.type.lanes)
    upper = f.binary("lshr", numbers, number(numbers.type, 32))
    return f.convert("trunc", numbers, kind), f.convert("trunc", upper, kind)


def _widened(f: Function, words: Value) -> Value:
    return f.convert("zext", words, I64.vector(words.type.lanes))


def _words32(f: Function, key: Key, c: Counters, second: int | None) -> Value:
    """Word i is word ``i % 2`` of block ``i // 2``; ``second`` stands for the counters' upper words if given."""
    places = _places(f, Counters(f.div_int(c.first, 2), 1, key.lanes, False) if c.even else c)
    blocks = places if c.even else f.binary("lshr", places, number(places.type, 1))
    low, high = _halves(f, blocks)
    x, y = key.block(low, high if second is None else number(low.type, second))
    if c.even:
        return f.shuffle(x, y, [lane // 2 + lane % 2 * key.lanes for lane in range(c.lanes)])
    return _chosen(f, places, x, y)


def _chosen(f: Function, places: Value, x: Value, y: Value) -> Value:
    """The second word at odd places, the first at even ones."""
    return f.select(f.convert("trunc", places, I1.vector(places.type.lanes)), y, x)


def _folded(f: Function, key: Key, with_number: Value, places: Value) -> Value:
    wide = I64.vector(places.type.lanes)
    given = with_number if with_number.type == wide else f.convert("sext", with_number, wide)
    low, high = _halves(f, given)
    second = number(low.type, threefry.FOLD_IN)
    x, y = Key(f, *key.block(low, second)).block(high, second)
    return _chosen(f, places, x, y)


def _uniform32(f: Function, word: Value) -> Value:
    top = f.binary("lshr", word, number(word.type, 8))
    kind = F32.vector(word.type.lanes)
    return f.mul(f.convert("sitofp", top, kind), number(kind, 2.0**-24))


def _uniform64(f: Function, x: Value, y: Value) -> Value:
    """The upper 53 bits: 32 and 21, put together without rounding."""
    kind = F64.vector(x.type.lanes)
    low = f.convert("sitofp", f.binary("lshr", y, number(y.type, 11)), kind)
    high = f.mul(f.convert("uitofp", x, kind), number(kind, 2.0**21))
    return f.mul(f.add(high, low), number(kind, 2.0**-53))


def normal32(f: Function, word: Value) -> Value:
    """Standard normal numbers in float32, from words of 32 bits."""
    kind = F32.vector(word.type.lanes)
    tail = f.binary("or", f.binary("and", word, number(word.type, 0x7FFFFFFF)), number(word.type, 1))
    p = f.mul(f.convert("sitofp", tail, kind), number(kind, 2.0**-32))
    return _signed(f, word, _upper_quantile(f, p))


def normal64(f: Function, x: Value, y: Value) -> Value:
    """Standard normal numbers in float64, from words of 64 bits in two halves.

    Each half is a float without rounding; only their sum, the word without its sign, is rounded.
    """
    kind = F64.vector(x.type.lanes)
    low = f.convert("uitofp", f.binary("or", y, number(y.type, 1)), kind)
    high = f.convert("sitofp", f.binary("and", x, number(x.type, 0x7FFFFFFF)), kind)
    p = f.mul(f.add(f.mul(high, number(kind, 2.0**32)), low), number(kind, 2.0**-64))
    return _signed(f, x, _upper_quantile(f, p))


def _signed(f: Function, word: Value, z: Value) -> Value:
    return f.select(f.compare("slt", word, number(word.type, 0)), f.neg(z), z)


def _upper_quantile(f: Function, p: Value) -> Value:
    """As `threefry.upper_quantile`: all lanes go both ways, and choose."""
    kind = p.type
    width = kind.itemsize

    def c(value: float) -> Value:
        return number(kind, value)

    q = f.sub(c(0.5), p)
    middle = f.mul(q, _ratio(f, threefry.MIDDLE[width], f.sub(c(0.180625), f.mul(q, q))))
    r = f.intrinsic("sqrt", f.neg(_log(f, p)))
    tail = _ratio(f, threefry.TAIL[width], f.sub(r, c(1.6)))
    if width == 8:
        beyond = f.compare("ogt", r, c(5.0))

        def further(_: Int, known: list[Value]) -> list[Value]:
            return [f.select(beyond, _ratio(f, threefry.FAR_TAIL, f.sub(r, c(5.0))), known[0])]

        # Hardly ever does a vector hold one of these, so the code for them is a loop of no turn or one.
        (tail,) = f.loop(0, _any(f, beyond), 1, further, [tail], may_be_empty=True)
    return f.select(f.compare("ogt", q, c(0.425)), tail, middle)


def _any(f: Function, mask: Value) -> Value:
    """1 if a lane is on, else 0."""
    bits = Type(f"i{mask.type.lanes}")
    on = f.emit(f"icmp ne {bits} {f.convert('bitcast', mask, bits)}, 0", I1)
    return f.convert("zext", on, I64)


def _log(f: Function, p: Value) -> Value:
    """Logarithm of normal numbers below 1: exponent times ln 2, and a series in ``(m - 1) / (m + 1)``."""
    kind = p.type
    single = kind.itemsize == 4
    integer = Type("i32" if single else "i64", kind.lanes)
    digits, bias = (23, 126) if single else (52, 1022)
    bits = f.convert("bitcast", p, integer)
    fraction = f.binary("and", bits, number(integer, (1 << digits) - 1))
    mantissa = f.convert("bitcast", f.binary("or", fraction, number(integer, bias << digits)), kind)
    exponent = f.sub(f.binary("lshr", bits, number(integer, digits)), number(integer, bias))
    low = f.compare("olt", mantissa, number(kind, 0.7071067811865476))
    mantissa = f.select(low, f.mul(number(kind, 2.0), mantissa), mantissa)
    exponent = f.sub(exponent, f.convert("zext", low, integer))
    if not single:
        exponent = f.convert("trunc", exponent, I32.vector(kind.lanes))
    one = number(kind, 1.0)
    s = f.div(f.sub(mantissa, one), f.add(mantissa, one))
    series = _polynomial(f, threefry.LOG_SERIES[kind.itemsize], f.mul(s, s))
    scaled = f.mul(f.convert("sitofp", exponent, kind), number(kind, 0.6931471805599453))
    return f.add(scaled, f.mul(s, series))


def _ratio(f: Function, coefficients: tuple[Sequence[float], Sequence[float]], x: Value) -> Value:
    above, below = coefficients
    return f.div(_polynomial(f, above, x), _polynomial(f, below, x))


def _polynomial(f: Function, coefficients: Sequence[float], x: Value) -> Value:
    """Horner's rule, a product and a sum at a time."""
    total = number(x.type, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = f.add(f.mul(total, x), number(x.type, c))
    return total
