"""Random words from a key and a counter, and uniform and normal numbers from those words.

Nothing here has a state: number i of a stream is a function of (key, i), so any part of a stream can be
computed alone, in any order and on any number of threads. Only integer operations and IEEE 754's correctly
rounded ``+ - * / sqrt`` are used, one at a time (never fused), and no library's log or sine: every backend
that follows these formulas gives the same bits.

Source: Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11,
DOI 10.1145/2063384.2063405.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from chainrule.primitive import Array
from chainrule.shapes import DType, Shape, count, float32

Key: TypeAlias = "tuple[Any, Any]"
"""Two words of 32 bits: two ints; or for several keys two arrays of uint32, shape (keys, 1)."""

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
_WORD = 0xFFFFFFFF

# The second word of a counter says what is computed. Streams count up to 2**63 and never reach these.
SPLIT, FOLD_IN = 0x80000000, 0xC0000000

_CHUNK = 1 << 16
"""Numbers made at a time, so that the words stay in the cache. Even: a block gives two words."""


def threefry2x32(key: Key, first: Array, second: Array) -> tuple[Array, Array]:
    """Encrypt counters with Threefry-2x32, 20 rounds.

    Args:
        key: two words; of one key, or of several.
        first, second: the counters' words, uint32, shape (n,).

    Returns:
        Two arrays of words, uint32, shape (n,), or (keys, n): one block for each counter.
    """
    schedule = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    x, y = first + np.uint32(schedule[0]), second + np.uint32(schedule[1])
    spare = np.empty_like(x)
    for group in range(1, 6):
        for rotation in ROTATIONS[(group - 1) % 2]:
            x += y
            np.left_shift(y, rotation, out=spare)
            np.right_shift(y, 32 - rotation, out=y)
            y |= spare
            y ^= x
        x += schedule[group % 3]
        y += (schedule[(group + 1) % 3] + group) & _WORD
    return x, y


def blocks(key: Key, start: int, stop: int) -> tuple[Array, Array]:
    """The two words of each of the blocks ``start`` .. ``stop - 1`` of a key's stream."""
    index = np.arange(start, stop, dtype=np.uint64)
    return threefry2x32(key, index.astype(np.uint32), (index >> np.uint64(32)).astype(np.uint32))


def words32(key: Key, start: int, stop: int) -> Array:
    """Words ``start`` .. ``stop - 1`` of 32 bits, uint32; word i is word ``i % 2`` of block ``i // 2``."""
    first = start // 2
    pairs = np.stack(blocks(key, first, (stop + 1) // 2), axis=-1)
    words = pairs.reshape(*pairs.shape[:-2], 2 * pairs.shape[-2])
    return words[..., start - 2 * first : stop - 2 * first]


def words64(key: Key, start: int, stop: int) -> Array:
    """Words ``start`` .. ``stop - 1`` of 64 bits, uint64; word i is block i, its first word on top."""
    high, low = blocks(key, start, stop)
    return (high.astype(np.uint64) << np.uint64(32)) | low


def key_of(value: Any) -> Key:
    """The words of a key that is given as an int64 array of shape (2,); or of several, shape (keys, 2)."""
    if value.ndim == 1:
        return int(value[0]) & _WORD, int(value[1]) & _WORD
    words = (value & _WORD).astype(np.uint32)
    return words[:, :1], words[:, 1:]


def children(key: Key, number: int) -> Array:
    """``number`` keys, int64, shape (number, 2), which share no block with the key's own stream."""
    index = np.arange(number, dtype=np.uint32)
    return np.stack(threefry2x32(key, index, np.full_like(index, SPLIT)), axis=-1).astype(np.int64)


def child(key: Key, number: Any) -> Array:
    """The key, int64, shape (2,), that belongs to ``number``, a 64-bit integer; or one for each key, shape (keys, 2).

    Of several keys each has a number of its own, shape (keys, 1).
    """
    whole = np.atleast_1d(number).astype(np.int64)
    for word in (whole & _WORD, whole >> 32 & _WORD):
        key = threefry2x32(key, word.astype(np.uint32), np.array([FOLD_IN], np.uint32))
    return np.concatenate(key, axis=-1).astype(np.int64)


def bits(key: Key, shape: Shape, width: int) -> Array:
    """Random words as int64: 0 .. 2**32 - 1 for width 32, all of int64 for width 64."""
    words = words32 if width == 32 else words64
    return _fill(key, shape, np.dtype(np.int64), lambda a, b: words(key, a, b).astype(np.int64))


def uniform(key: Key, shape: Shape, dtype: DType) -> Array:
    """Multiples of 2**-53 (float64) or 2**-24 (float32) in [0, 1), all equally likely."""
    if dtype == float32:
        return _fill(
            key, shape, dtype, lambda a, b: (words32(key, a, b) >> np.uint32(8)) * np.float32(2.0**-24)
        )
    return _fill(key, shape, dtype, lambda a, b: (words64(key, a, b) >> np.uint64(11)) * 2.0**-53)


def normal(key: Key, shape: Shape, dtype: DType) -> Array:
    """Standard normal numbers by inversion: one word each, its top bit the sign.

    The rest of the word, made odd, is the tail's probability p, between 0 and 1/2 and never either, as a
    multiple of 2**-32 (float32) or 2**-64 (float64): the largest numbers are 6.23 and 9.08.
    """
    if dtype == float32:
        return _fill(key, shape, dtype, lambda a, b: _signed_quantile(words32(key, a, b), 32, dtype))
    return _fill(key, shape, dtype, lambda a, b: _signed_quantile(words64(key, a, b), 64, dtype))


def _fill(key: Key, shape: Shape, dtype: DType, part: Callable[[int, int], Array]) -> Array:
    """An array whose numbers ``a`` .. ``b - 1``, counted in row-major order, are ``part(a, b)``; for each key."""
    size, keys = count(shape), np.shape(key[0])[:1]
    step = max(2, _CHUNK // max(1, count(keys)) // 2 * 2)
    result = np.empty((*keys, size), dtype)
    for start in range(0, size, step):
        stop = min(start + step, size)
        result[..., start:stop] = part(start, stop)
    return result.reshape((*keys, *shape))


def _signed_quantile(words: Array, width: int, dtype: DType) -> Array:
    one = words.dtype.type(1)
    sign = words >> words.dtype.type(width - 1)
    tail = (words & ((one << words.dtype.type(width - 1)) - one)) | one
    z = upper_quantile((tail.astype(dtype) * dtype.type(2.0**-width)).reshape(-1)).reshape(words.shape)
    return np.where(sign.astype(np.bool_), -z, z)


# Coefficients of numerators and denominators, from the constant term up: near the middle, for
# sqrt(-log p) up to 5, and beyond. float32 needs no third range: its p is at least 2**-32.
MIDDLE = {
    4: (
        (3.3871327179e0, 5.0434271938e1, 1.5929113202e2, 5.9109374720e1),
        (1.0, 1.7895169469e1, 7.8757757664e1, 6.7187563600e1),
    ),
    8: (
        (
            3.3871328727963666080e0,
            1.3314166789178437745e2,
            1.9715909503065514427e3,
            1.3731693765509461125e4,
            4.5921953931549871457e4,
            6.7265770927008700853e4,
            3.3430575583588128105e4,
            2.5090809287301226727e3,
        ),
        (
            1.0,
            4.2313330701600911252e1,
            6.8718700749205790830e2,
            5.3941960214247511077e3,
            2.1213794301586595867e4,
            3.9307895800092710610e4,
            2.8729085735721942674e4,
            5.2264952788528545610e3,
        ),
    ),
}
TAIL = {
    4: (
        (1.4234372777e0, 2.7568153900e0, 1.3067284816e0, 1.7023821103e-1),
        (1.0, 7.3700164250e-1, 1.2021132975e-1),
    ),
    8: (
        (
            1.42343711074968357734e0,
            4.63033784615654529590e0,
            5.76949722146069140550e0,
            3.64784832476320460504e0,
            1.27045825245236838258e0,
            2.41780725177450611770e-1,
            2.27238449892691845833e-2,
            7.74545014278341407640e-4,
        ),
        (
            1.0,
            2.05319162663775882187e0,
            1.67638483018380384940e0,
            6.89767334985100004550e-1,
            1.48103976427480074590e-1,
            1.51986665636164571966e-2,
            5.47593808499534494600e-4,
            1.05075007164441684324e-9,
        ),
    ),
}
FAR_TAIL = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
LOG_SERIES = {width: tuple(2 / (2 * k + 1) for k in range(terms)) for width, terms in ((4, 6), (8, 12))}


def upper_quantile(p: Array) -> Array:
    """The z with ``P(Z > z) = p`` for a standard normal Z, in the arithmetic of p's dtype.

    Args:
        p: float32 from 2**-32 or float64 from 2**-64, up to 1/2; shape (n,).

    Returns:
        Shape (n,). The relative error is below 5e-7 in float32 and 2e-15 in float64.

    Source: Wichura, Algorithm AS 241, Applied Statistics 37(3), 1988, 477-484, DOI 10.2307/2347330.
    """
    width = p.dtype.itemsize
    q = 0.5 - p
    z = q * _ratio(MIDDLE[width], 0.180625 - q * q)
    far = np.flatnonzero(q > 0.425)
    r = np.sqrt(-_log(p[far]))
    z[far] = _ratio(TAIL[width], r - 1.6)
    if width == 8:
        beyond = r > 5.0
        z[far[beyond]] = _ratio(FAR_TAIL, r[beyond] - 5.0)
    return z


def _log(p: Array) -> Array:
    """Natural logarithm of numbers in (0, 1/8): exponent times ln 2, and 2 artanh((m - 1) / (m + 1))."""
    mantissa, exponent = np.frexp(p)
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, 2 * mantissa, mantissa)
    s = (mantissa - 1) / (mantissa + 1)
    series = _polynomial(LOG_SERIES[p.dtype.itemsize], s * s)
    return (exponent - low).astype(p.dtype) * 0.6931471805599453 + s * series


def _ratio(coefficients: tuple[Sequence[float], Sequence[float]], x: Array) -> Array:
    above, below = coefficients
    return _polynomial(above, x) / _polynomial(below, x)


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule; ``coefficients`` from the constant term up, rounded to the dtype of x."""
    total = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total *= x
        total += c
    return total
