"""Keys of random numbers: made from a seed, split, and derived from numbers.

Source: Claessen and Pałka, Splittable pseudorandom number generators using cryptographic hashing,
Haskell Symposium 2013, DOI 10.1145/2503778.2503784.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsIndex, cast

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.node import N, Node, Operand, apply, as_node, constant
from chainrule.ops import threefry
from chainrule.ops.batching import repeated
from chainrule.ops.join import unstack
from chainrule.primitive import Array, Cost, Discrete, Example, HasSpec, Primitive, moved_bytes, register
from chainrule.shapes import FLOATS, INTS, DType, Shape, Spec, as_int, count, int64, require_dtype

_BLOCK_WORK = 112
"""Integer operations of one Threefry block of 64 bits: 20 rounds of 5, and 6 times both words of the key."""

WORDS = 1 << 32
"""How many words of 32 bits there are."""


def keys_apart(op: type[Primitive], xs: Sequence[Any], batched: Sequence[bool], **params: Any) -> Node:
    """The batching rule: the batch is one of keys, each with inputs of its own."""
    return apply(op, repeated(xs, batched), params)


def over_keys(one: Callable[..., Array]) -> Any:
    """The evaluation for keys of any shape, from that for one key, or for several in a row."""

    def evaluate(key: Array, *others: Any, shape: Shape, dtype: DType, **params: Any) -> Array:
        if key.ndim == 1:
            return one(key, *others, shape=shape, dtype=dtype, **params)
        rows = [x.reshape(-1, n) for x, n in ((key, 2), *((x, 1) for x in others))]
        return one(*rows, shape=shape, dtype=dtype, **params).reshape(*key.shape[:-1], *shape)

    return staticmethod(evaluate)


class Keyed(Discrete):
    """What all random primitives have in common: the first input is a key, shape and dtype of its numbers are given.

    Instead of one key there may be several, shape ``(*keys, 2)``: then each gives what it would give alone.
    """

    batch = classmethod(keys_apart)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        _require_key(cls.name, Spec(xs[0].shape[-1:], xs[0].dtype))
        return (*xs[0].shape[:-1], *params["shape"]), params["dtype"]

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        words = count(shape)
        blocks = words if params.get("width", 8 * dtype.itemsize) == 64 else (words + 1) // 2
        return Cost(additions=_BLOCK_WORK * blocks, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for shape in ((), (5,), (2, 3), (0, 3)):
            for dtype in FLOATS:
                yield Example((example_key(rng),), {"shape": shape, "dtype": dtype})


def _require_key(name: str, key: HasSpec) -> None:
    fix = "make one with cr.random.key(seed), and more with cr.random.split(key, n)"
    if key.shape != (2,):
        raise ShapeError(f"{name}: expected a key of shape (2,), got shape {key.shape}", fix=fix)
    if key.dtype != int64:
        raise DTypeError(f"{name}: expected a key of dtype int64, got {key.dtype.name}", fix=fix)


def example_key(rng: np.random.Generator) -> Array:
    """A key for examples."""
    return rng.integers(0, WORDS, 2)


def _split(key: Array, *, shape: Shape, dtype: DType) -> Array:
    return threefry.children(threefry.key_of(key), shape[0])


@register
class RandomSplit(Keyed):
    """Keys derived from a key, one in each row."""

    name, label, latex = "random_split", "split", r"\operatorname{{split}} {0}"
    evaluate = over_keys(_split)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        return Cost(additions=_BLOCK_WORK * count(shape[:-1]), bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for number in (1, 3, 0):
            yield Example((example_key(rng),), {"shape": (number, 2), "dtype": int64})


def _fold_in(key: Array, number: Any, *, shape: Shape, dtype: DType) -> Array:
    return threefry.child(threefry.key_of(key), number)


@register
class RandomFoldIn(Keyed):
    """The key that a key and a number determine."""

    name, label, latex = "random_fold_in", "fold in", r"\operatorname{{fold}}({0}, {1})"
    evaluate = over_keys(_fold_in)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        number = xs[1]
        if number.shape != xs[0].shape[:-1]:
            raise ShapeError(
                f"fold_in: expected one number, got shape {number.shape}", fix="fold in one number at a time"
            )
        require_dtype("fold_in: number", number.dtype, INTS)
        return super().infer(*xs, **params)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        return Cost(additions=2 * _BLOCK_WORK * count(shape[:-1]), bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for number in (0, 7, -1, 2**40):
            yield Example((example_key(rng), np.array(number)), {"shape": (2,), "dtype": int64})


def key(seed: SupportsIndex) -> Any:
    """A key from a seed.

    Args:
        seed: integer from -2**63 to 2**64 - 1. Different seeds give different keys, except that a negative
            one gives the key of ``seed + 2**64``.

    Returns:
        int64, shape (2,): the upper and the lower 32 bits of the seed, each from 0 to 2**32 - 1.

    Raises:
        ArgumentError: not an integer, or out of range.

    Example:
        >>> key(42).tolist()
        [0, 42]
    """
    number = as_int("key", "seed", seed)
    if not -(1 << 63) <= number < 1 << 64:
        raise ArgumentError(
            f"key: seed must be from -2**63 to 2**64 - 1, got {number}", fix="pass seed % 2**64"
        )
    return constant(np.array([number >> 32 & (WORDS - 1), number & (WORDS - 1)], np.int64))


def split(key: Operand[N], n: int = 2) -> list[N]:
    """Make ``n`` new keys from one. Do not use the old one again.

    Args:
        key: int64, shape (2,).
        n: how many; the first keys are the same for every n.

    Returns:
        List of keys. They share no number with each other, with the old key's stream or with
        :func:`fold_in` of the old key: they come from counters that those never use.

    Raises:
        ShapeError, DTypeError: ``key`` is not a key.
        ArgumentError: ``n`` is negative or no integer.

    Example:
        >>> [new.tolist() for new in split(key(0))]
        [[917456828, 636652529], [4017256875, 4208457211]]
    """
    number = as_int("split", "n", n)
    if not 0 <= number < WORDS:
        raise ArgumentError(
            f"split: n must be from 0 to 2**32 - 1, got {number}", fix="pass how many you need"
        )
    return list(unstack(keyed(RandomSplit, "split", key, (number, 2), int64)))


def fold_in(key: Operand[N], number: Operand[N]) -> N:
    """The key that ``key`` and ``number`` determine, for example one for each step of a training run.

    Args:
        key: int64, shape (2,).
        number: int32 or int64, shape (); may be computed, as a step counter is.

    Returns:
        int64, shape (2,).

    Raises:
        ShapeError, DTypeError: ``key`` is not a key, or ``number`` not one integer.

    Example:
        >>> fold_in(key(0), 7).tolist()
        [2617049284, 190451876]
    """
    return apply(
        RandomFoldIn, (_checked_key("fold_in", key), as_node(number)), {"shape": (2,), "dtype": int64}
    )


def keyed(op: type[Keyed], name: str, key: Operand[Node], shape: Shape, dtype: DType, **params: Any) -> Any:
    """Apply a random primitive; errors bear the ``name`` of the function that the user called."""
    return apply(op, (_checked_key(name, key),), {"shape": shape, "dtype": dtype, **params})


def _checked_key(name: str, key: Operand[Node]) -> Node:
    if isinstance(key, (list, tuple)) and any(isinstance(x, Node) for x in cast("list[Any]", key)):
        raise ArgumentError(
            f"{name}: expected one key, got a {type(key).__name__} of {len(cast('list[Any]', key))} tensors",
            fix="give each of several keys to a call of its own; under vmap their items count, so make them one "
            "array first: cr.vmap(f)(cr.asarray(keys))",
        )
    node = as_node(key)
    _require_key(name, node)
    value = node.value
    if value is not None and not np.all((value >= 0) & (value < WORDS)):
        raise ArgumentError(
            f"{name}: the words of a key are from 0 to 2**32 - 1, got {np.asarray(value).tolist()}",
            fix="make a key with cr.random.key(seed)",
        )
    return node
