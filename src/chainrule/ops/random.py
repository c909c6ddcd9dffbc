"""Random numbers from explicit keys.

There is no hidden state: the same key gives the same numbers, on every backend, in any order and on any
number of threads. Number i depends only on the key and i, so a longer or differently shaped request begins
with the same numbers. Use a key once; make new ones with :func:`split` or :func:`fold_in`. No derivative
flows to a key; it does flow to the location, scale and limits of a distribution (reparameterisation).

The generator is Threefry-2x32 with 20 rounds; :mod:`chainrule.ops.threefry` says how its words become
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, SupportsIndex

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError, shown
from chainrule.node import ArrayLike, N, Node, Operand, as_node, as_nodes
from chainrule.ops import threefry
from chainrule.ops.cast import astype
from chainrule.ops.compare import where
from chainrule.ops.index import take
from chainrule.ops.keys import WORDS, Keyed, example_key, fold_in, key, keyed, over_keys, split
from chainrule.ops.sort import argsort
from chainrule.primitive import Array, Cost, Example, HasSpec, register
from chainrule.shapes import (
    FLOATS,
    INTS,
    DType,
    Shape,
    as_dtype,
    as_int,
    as_shape,
    broadcast,
    count,
    float32,
    float64,
    int64,
    require_dtype,
)

__all__ = [
    "key",
    "split",
    "fold_in",
    "bits",
    "uniform",
    "normal",
    "randint",
    "bernoulli",
    "dropout",
    "permutation",
]


def _bits(key: Array, *, shape: Shape, dtype: DType, width: int) -> Array:
    return threefry.bits(threefry.key_of(key), shape, width)


@register
class RandomBits(Keyed):
    """Random words of 32 or 64 bits."""

    name, label, latex = "random_bits", "bits", r"\operatorname{{bits}} {0}"
    evaluate = over_keys(_bits)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for shape, width in (((), 32), ((5,), 32), ((2, 3), 64), ((0,), 64)):
            yield Example((example_key(rng),), {"shape": shape, "dtype": int64, "width": width})


def _uniform(key: Array, *, shape: Shape, dtype: DType) -> Array:
    return threefry.uniform(threefry.key_of(key), shape, dtype)


@register
class RandomUniform(Keyed):
    """Random numbers that are uniform in [0, 1)."""

    name, label, latex = "random_uniform", "uniform", r"\mathcal{{U}}(0, 1)"
    evaluate = over_keys(_uniform)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        return super().cost(xs, shape, dtype, **params) + Cost(multiplications=count(shape))


def _normal(key: Array, *, shape: Shape, dtype: DType) -> Array:
    return threefry.normal(threefry.key_of(key), shape, dtype)


@register
class RandomNormal(Keyed):
    """Standard normal random numbers."""

    name, label, latex = "random_normal", "normal", r"\mathcal{{N}}(0, 1)"
    evaluate = over_keys(_normal)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        # A rational function of degree 3 over 3, or 7 over 7; one number in seven needs more, for its tail.
        terms = (6 if dtype == float32 else 14) * count(shape)
        return super().cost(xs, shape, dtype, **params) + Cost(terms + 3 * count(shape), terms)


def bits(key: Operand[N], shape: int | Sequence[int] = (), *, width: int = 64) -> N:
    """Random words.

    Args:
        key: int64, shape (2,).
        shape: of the result.
        width: 64 or 32.

    Returns:
        int64 of that shape: any of its 2**64 values for width 64, or 0 .. 2**32 - 1 for width 32.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, or a size is negative.
        ArgumentError: another width.

    Example:
        >>> bits(key(0), (2,), width=32).tolist()
        [1797259609, 2579123966]
    """
    if as_int("bits", "width", width) not in (32, 64):
        raise ArgumentError(f"bits: width must be 32 or 64, got {width}", fix="pass width=32 or width=64")
    return _words("bits", key, shape, width)


def uniform(
    key: Operand[N],
    shape: int | Sequence[int] = (),
    dtype: Any = float64,
    *,
    low: Operand[N] = 0.0,
    high: Operand[N] = 1.0,
) -> N:
    """Random numbers, uniform in [low, high).

    Args:
        key: int64, shape (2,).
        shape: of the result.
        dtype: float64 (53 random bits a number) or float32 (24).
        low, high: limits; numbers, or arrays that broadcast to ``shape``. Derivatives flow to them.

    Returns:
        ``low + (high - low) * u``. Where rounding would give ``high`` itself the result is ``low``.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, ``dtype`` not floating, or limits that do not fit.
        ArgumentError: ``low`` above ``high``, or not finite.

    Example:
        >>> uniform(key(0), (2,), low=-1.0).tolist()
        [-0.1630857765672269, -0.3706365615346512]
    """
    u = keyed(RandomUniform, "uniform", key, as_shape("uniform", shape), _dtype_of("uniform", dtype, FLOATS))
    if isinstance(low, (int, float)) and isinstance(high, (int, float)):
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ArgumentError(
                f"uniform: expected finite limits with low <= high, got low={low}, high={high}",
                fix="exchange them" if low > high else "pass finite limits",
            )
        if (low, high) == (0, 1):
            return u
    u, lower, upper = as_nodes("uniform", u, low, high)
    _require_fit("uniform", u.shape, lower, upper)
    y = lower + u * (upper - lower)
    return where(y < upper, y, lower)


def normal(
    key: Operand[N],
    shape: int | Sequence[int] = (),
    dtype: Any = float64,
    *,
    mean: Operand[N] = 0.0,
    std: Operand[N] = 1.0,
) -> N:
    """Normal (Gaussian) random numbers.

    Made by inversion: one word for each number, through the inverse of the distribution function, which is
    accurate to a relative 1e-15 (float64) or 4e-7 (float32), out to 9.08 or 6.23 standard deviations.
    float32 numbers come from float32 arithmetic alone.

    Args:
        key: int64, shape (2,).
        shape: of the result.
        dtype: float64 or float32.
        mean, std: numbers, or arrays that broadcast to ``shape``. Derivatives flow to them.

    Returns:
        ``mean + std * z``.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, ``dtype`` not floating, or arrays that do not fit.
        ArgumentError: a negative ``std``.

    Example:
        >>> normal(key(0), (2,)).tolist()
        [0.20584213947964297, 0.4826230094333745]
        >>> import chainrule as cr
        >>> grad = cr.grad(lambda std: normal(key(0), (2,), std=std).sum())(1.0)
        >>> grad.item() == normal(key(0), (2,)).sum().item()
        True

    Source: Wichura, Algorithm AS 241, Applied Statistics 37(3), 1988, 477-484, DOI 10.2307/2347330.
    """
    z = keyed(RandomNormal, "normal", key, as_shape("normal", shape), _dtype_of("normal", dtype, FLOATS))
    if isinstance(std, (int, float)) and not std >= 0:
        raise ArgumentError(f"normal: std must not be negative, got {std}", fix="pass its absolute value")
    if isinstance(mean, (int, float)) and isinstance(std, (int, float)) and (mean, std) == (0, 1):
        return z
    z, location, scale = as_nodes("normal", z, mean, std)
    _require_fit("normal", z.shape, location, scale)
    return location + scale * z


def randint(
    key: Operand[N],
    shape: int | Sequence[int],
    low: SupportsIndex,
    high: SupportsIndex,
    dtype: Any = int64,
) -> N:
    """Random integers, uniform in low .. high - 1.

    Args:
        key: int64, shape (2,).
        shape: of the result.
        low, high: integers; ``high`` itself never occurs.
        dtype: int64 or int32.

    Returns:
        ``low + word % (high - low)`` for random words of 64 bits: no value's probability is off by more than
        2**-64.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, or ``dtype`` not an integer type.
        ArgumentError: ``low`` is not below ``high``, or they do not fit ``dtype``.

    Example:
        >>> randint(key(0), (5,), 1, 7).tolist()
        [1, 1, 6, 1, 2]
    """
    target = _dtype_of("randint", dtype, INTS)
    first, stop = as_int("randint", "low", low), as_int("randint", "high", high)
    if first >= stop:
        raise ArgumentError(f"randint: low={first} is not below high={stop}", fix="high itself never occurs")
    limits = np.iinfo(target)
    if first < limits.min or stop - 1 > limits.max or stop - first > np.iinfo(np.int64).max:
        raise ArgumentError(
            f"randint: {first} .. {stop - 1} does not fit {target.name}",
            fix="choose limits that the dtype can hold, less than 2**63 apart",
        )
    return astype(_words("randint", key, shape, 64) % (stop - first) + first, target)


def bernoulli(key: Operand[N], p: Node | ArrayLike = 0.5, shape: int | Sequence[int] | None = None) -> N:
    """Random truth values that are true with probability ``p``.

    Args:
        key: int64, shape (2,).
        p: probabilities in [0, 1]; 0 is never true, 1 always.
        shape: of the result, to which ``p`` broadcasts; None for the shape of ``p``.

    Returns:
        bool. No derivative flows to ``p``.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, or ``p`` is not floating or does not fit.
        ArgumentError: a probability outside [0, 1].

    Example:
        >>> bernoulli(key(0), 0.5, (5,)).tolist()
        [True, True, True, False, False]
    """
    probability = as_node(float(p) if isinstance(p, int) else p)
    require_dtype("bernoulli: p", probability.dtype, FLOATS)
    if probability.value is not None:
        outside = np.ravel(probability.value)[~np.ravel((probability.value >= 0) & (probability.value <= 1))]
        if outside.size:
            raise ArgumentError(
                f"bernoulli: p must lie in [0, 1], got {outside[0]}", fix="limit it with cr.clip(p, 0.0, 1.0)"
            )
    size = probability.shape if shape is None else as_shape("bernoulli", shape)
    _require_fit("bernoulli", size, probability)
    # Always float64: a multiple of float32's 2**-24 would be far from a small p.
    u: Any = keyed(RandomUniform, "bernoulli", key, size, float64)
    return u < probability


def dropout(key: Operand[N], x: Operand[N], rate: float) -> N:
    """Set elements to 0 at random and scale the others, so that the mean stays.

    Args:
        key: int64, shape (2,); its random words decide, whatever the dtype of ``x``.
        x: floating, shape ``(*n,)``.
        rate: probability, from 0 to 1, with which an element is dropped.

    Returns:
        ``x / (1 - rate)`` where kept, else 0; for rate 1 all is 0. The gradient follows the same mask.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, or ``x`` is not floating.
        ArgumentError: ``rate`` outside [0, 1].

    Example:
        >>> dropout(key(0), np.ones(5), 0.5).tolist()
        [0.0, 2.0, 0.0, 2.0, 0.0]

    Source: Srivastava et al., Journal of Machine Learning Research 15, 2014, 1929-1958.
    """
    node = as_node(x)
    require_dtype("dropout", node.dtype, FLOATS)
    share = _probability("dropout", "rate", rate)
    kept = _words("dropout", key, node.shape, 32) >= math.ceil(share * WORDS)
    return where(kept, node * (1 / (1 - share) if share < 1 else 0.0), 0.0)


def permutation(key: Operand[N], x: SupportsIndex | Operand[N]) -> N:
    """A random order: of 0 .. x - 1 for an integer ``x``, else of the rows of an array.

    Made by sorting random words of 64 bits, equal ones by their place, so that all orders are equally likely
    up to a relative n² / 2**65.

    Args:
        key: int64, shape (2,).
        x: how many numbers; or an array of any dtype, of which the first axis is reordered.

    Returns:
        int64, shape (x,); or an array shaped as ``x``, to which derivatives flow.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, ``x`` is negative or 0-dimensional.

    Example:
        >>> permutation(key(0), 5).tolist()
        [4, 3, 1, 2, 0]
    """
    if isinstance(x, SupportsIndex) and not isinstance(x, (Node, np.ndarray)):
        return _order(key, as_int("permutation", "n", x))
    node = as_node(x)
    if not node.ndim:
        raise ShapeError(
            f"permutation: expected an integer or an array with rows, got {shown(x)}",
            fix="pass an int: int(n)",
        )
    return take(node, _order(key, node.shape[0]), axis=0)


def _order(key: Operand[Node], n: int) -> Any:
    return argsort(_words("permutation", key, n, 64), stable=True)


def _words(name: str, key: Operand[Node], shape: int | Sequence[int], width: int) -> Any:
    return keyed(RandomBits, name, key, as_shape(name, shape), int64, width=width)


def _dtype_of(name: str, dtype: Any, allowed: tuple[DType, ...]) -> DType:
    target = as_dtype(dtype)
    if target not in allowed:
        wants = [f"cr.{d.name}" for d in allowed]
        raise DTypeError(
            f"{name}: dtype must be one of {', '.join(wants)}, got {target.name}",
            fix=f"pass dtype={wants[-1]}",
        )
    return target


def _probability(name: str, what: str, value: float) -> float:
    known = isinstance(value, (Real, Node)) and not isinstance(value, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
    number = float(value) if known else math.nan
    if not 0 <= number <= 1:
        raise ArgumentError(
            f"{name}: {what} must lie in [0, 1], got {shown(value)}", fix=f"pass {what}=0.5 for a half"
        )
    return number


def _require_fit(name: str, shape: Shape, *xs: Node) -> None:
    given = broadcast(name, shape, *(x.shape for x in xs))
    if given != shape:
        raise ShapeError(
            f"{name}: parameters of shape {given} do not fit numbers of shape {shape}",
            fix=f"ask for as many numbers: shape={given}",
        )
