"""Chains of dense Jacobians: where to set the parentheses of a product, by dynamic programming.

Eliminating an inner vertex of a chain multiplies the two matrices that meet there, so an order of elimination is a way
to set parentheses, and the best one is known after n³/6 steps.

Source: Godbole, On efficient computation of matrix chain products, IEEE Trans. Comput. C-22, 1973, 864-866, DOI
10.1109/TC.1973.5009182. (Hu and Shing, SIAM J. Comput. 11, 1982, 362-373, take n log n; the steps here are NumPy's, and
a chain of 1,000 takes seconds.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chainrule.autodiff.elimination import Solution
from chainrule.errors import ArgumentError, shown

LONGEST = 1_000
"""Matrices of a chain."""

Product: TypeAlias = "int | tuple[Product, Product]"
"""A matrix of the chain by its number, or a product of two."""


def matrix_chain(sizes: Sequence[int]) -> tuple[int, Product]:
    """The fewest multiplications for a product of matrices, and the parentheses that take so many.

    Args:
        sizes: matrix k, from 0, has ``sizes[k]`` rows and ``sizes[k + 1]`` columns, or the other way round for all.

    Returns:
        The multiplications, and the product as pairs of pairs.

    Raises:
        ArgumentError: there is no matrix, there are more than `LONGEST`, or a size is no whole number, 0 or more.

    Example:
        >>> matrix_chain((1000, 10, 1000, 5))
        (100000, (0, (1, 2)))
    """
    cost, last = _table(sizes)
    tree: dict[tuple[int, int], Product] = {(k, k + 1): k for k in range(len(sizes) - 1)}
    for low, high in reversed(list(_spans(last, len(sizes)))):
        if high - low > 1:
            middle = last[low][high]
            tree[low, high] = (tree[low, middle], tree[middle, high])
    return cost, tree[0, len(sizes) - 1]


@dataclass(frozen=True)
class MatrixChain:
    """The chain as a problem of elimination: ``sizes`` of its vertices, of which the first and the last stay.

    Example:
        >>> chain = MatrixChain((1000, 10, 1000, 5))
        >>> chain.intermediates, chain.solved()
        ((1, 2), Solution(order=(2, 1), by='matrix chain'))
    """

    sizes: tuple[int, ...]

    @property
    def intermediates(self) -> tuple[int, ...]:
        """Places in the chain, the ends left out."""
        return tuple(range(1, len(self.sizes) - 1))

    @property
    def input_size(self) -> int:
        """Numbers at one end."""
        return self.sizes[0]

    @property
    def output_size(self) -> int:
        """Numbers at the other end."""
        return self.sizes[-1]

    def start(self) -> Links:
        """The chain before anything was eliminated."""
        last = len(self.sizes) - 1
        return Links(self.sizes, list(range(-1, last)), list(range(1, last + 2)))

    def lower_bound(self, v: int) -> int:
        """What it takes between the smallest vertices on either side."""
        return min(self.sizes[:v]) * self.sizes[v] * min(self.sizes[v + 1 :])

    def solved(self) -> Solution | None:
        """The order that dynamic programming finds."""
        if len(self.sizes) - 1 > LONGEST:
            return None
        _, last = _table(self.sizes)
        middles = [last[low][high] for low, high in _spans(last, len(self.sizes)) if high - low > 1]
        return Solution(tuple(reversed(middles)), "matrix chain")


class Links:
    """A chain of which some vertices were eliminated: to each the next on either side."""

    __slots__ = ("_left", "_right", "_sizes")

    def __init__(self, sizes: tuple[int, ...], left: list[int], right: list[int]) -> None:
        self._sizes, self._left, self._right = sizes, left, right

    def cost(self, v: int) -> int:
        """Multiplications of the product of the two matrices that meet at ``v``."""
        return self._sizes[self._left[v]] * self._sizes[v] * self._sizes[self._right[v]]

    def eliminate(self, v: int) -> int:
        """Make the product, and return its multiplications."""
        cost, low, high = self.cost(v), self._left[v], self._right[v]
        self._right[low], self._left[high] = high, low
        return cost

    def neighbours(self, v: int) -> list[int]:
        """The next on either side, unless it is an end."""
        return [w for w in (self._left[v], self._right[v]) if 0 < w < len(self._sizes) - 1]

    def harmless(self, v: int) -> bool:
        """False: not known."""
        return False

    def copy(self) -> Links:
        """A state of its own."""
        return Links(self._sizes, self._left.copy(), self._right.copy())


def _table(sizes: Sequence[int]) -> tuple[int, Any]:
    """The least cost of the whole chain, and for each part of it between two vertices which one goes last."""
    for n in sizes:
        if type(n) is not int or n < 0:
            raise ArgumentError(
                f"sizes: expected whole numbers, 0 or more, got {shown(n)}",
                fix="pass x.size for each array of the chain",
            )
    count = len(sizes)
    if not 2 <= count <= LONGEST + 1:
        raise ArgumentError(
            f"sizes: expected those of a chain of 1 to {LONGEST} matrices, got {count}",
            fix="pass one size more than there are matrices"
            if count < 2
            else "search an order for MatrixChain(sizes) with ordering.search",
        )
    small = count * max(sizes) ** 3 < 2**62
    n: Any = np.array(sizes, np.int64 if small else object)
    cost: Any = np.zeros((count, count), n.dtype)  # by the first vertex, then the last
    turned = np.zeros_like(cost)
    last = np.zeros((count, count), np.int64)
    for length in range(2, count):
        for low in range(count - length):
            high = low + length
            of = (
                cost[low, low + 1 : high]
                + turned[high, low + 1 : high]
                + n[low] * n[high] * n[low + 1 : high]
            )
            k = int(of.argmin())
            cost[low, high] = turned[high, low] = of[k]
            last[low, high] = low + 1 + k
    return int(cost[0, -1]), last.tolist()


def _spans(last: Any, count: int) -> list[tuple[int, int]]:
    """The parts of the chain that become one matrix each, larger ones before those within."""
    found = [(0, count - 1)]
    for low, high in found:  # which grows on the way
        if high - low > 1:
            middle = last[low][high]
            found += [(low, middle), (middle, high)]
    return found
