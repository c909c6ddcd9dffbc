"""Which examples go to another part."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from chainrule.data.documents import is_number
from chainrule.errors import ArgumentError, DataError, shown
from chainrule.ops import random
from chainrule.primitive import Array


def split_rows(
    name: str, y: Array, size: Any, key: Any, classes: tuple[str, ...] | None
) -> tuple[Array, Array]:
    """Choose examples at random, of each class in proportion.

    Args:
        name: of the caller, for messages.
        y: labels, or targets that are numbers.
        size: how many to move, an integer; or which share, a float between 0 and 1.
        key: decides which.
        classes: their names; None where ``y`` holds no labels.

    Returns:
        The rows that stay and those that move, int64, both ascending. Every class keeps an example.

    Raises:
        ArgumentError: ``size`` is out of range.
        DataError: a single example, or too many to leave every class an example.
    """
    n = len(y)
    count = _count(name, size, n)
    order = random.permutation(key, n).numpy()
    if classes is None:
        chosen = order[:count]
    else:
        quotas = _quotas(name, np.bincount(y, minlength=len(classes)), count)
        grouped = order[np.argsort(y[order], kind="stable")]
        labels = y[grouped]
        place = np.arange(n) - np.searchsorted(labels, labels)  # within its class, in the order of the key
        chosen = grouped[place < quotas[labels]]
    moves = np.zeros(n, np.bool_)
    moves[chosen] = True
    return np.flatnonzero(~moves), np.flatnonzero(moves)


def _count(name: str, size: Any, n: int) -> int:
    if is_number(size):
        if isinstance(size, Integral) and 1 <= int(size) < n:
            return int(size)
        if not isinstance(size, Integral) and 0 < size < 1 and n > 1:
            return min(max(round(float(size) * n), 1), n - 1)
    if n < 2:
        raise DataError(
            f"{name}: none can be split off from {n} example{'s' * (n != 1)}", fix="bring more examples"
        )
    raise ArgumentError(
        f"{name}: expected a share between 0 and 1, or a number of examples below {n}, got {shown(size)}",
        fix="pass 0.1 for a tenth",
    )


def _quotas(name: str, counts: Array, count: int) -> Array:
    """How many of each class move: its share, rounded by largest remainders, and never all of it."""
    most = np.maximum(counts - 1, 0)
    if count > most.sum():
        raise DataError(
            f"{name}: cannot take {count} of {counts.sum()} examples and leave one of each of "
            f"{np.count_nonzero(counts)} classes",
            fix=f"take at most {most.sum()}" if most.any() else "bring more examples",
        )
    exact = counts * (count / counts.sum())
    quotas = np.minimum(np.floor(exact).astype(np.int64), most)
    while (left := count - int(quotas.sum())) > 0:
        remainders = np.where(quotas < most, exact - quotas, -np.inf)
        quotas[np.argsort(-remainders, kind="stable")[: min(left, int((quotas < most).sum()))]] += 1
    return quotas
