"""Chains of dense Jacobians: where to set the parentheses of a product, by dynamic programming.

Of ``f = f_k ∘ ... ∘ f_1`` with ``n_0`` numbers in, ``n_1``, ... between and ``n_k`` out, the Jacobian is the product
``J_k ··· J_1`` of factors ``n_i × n_(i-1)``. All orders give the same product; what they cost differs. Eliminating an
inner vertex of the chain multiplies the two matrices that meet there, so an order of elimination is a way to set
parentheses, and the best one is known after k³/6 steps.

Source: Godbole, On efficient computation of matrix chain products, IEEE Trans. Comput. C-22, 1973, 864-866, DOI
10.1109/TC.1973.5009182. (Hu and Shing, SIAM J. Comput. 11, 1982, 362-373, take k log k; the steps here are NumPy's, and
a chain of 1,000 takes about a second.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chainrule.autodiff.elimination import Solution
from chainrule.errors import ArgumentError, shown

LONGEST = 1_000
"""Factors of a chain."""

Parenthesisation: TypeAlias = "int | tuple[Parenthesisation, Parenthesisation]"
"""A factor by its number, from 1, or the product of a left and a right part: ``((3, 2), 1)`` is ``(J₃ J₂) J₁``."""
Term: TypeAlias = "tuple[int, int, int]"
"""Rows, summed, columns of one product of two matrices: so many multiplications as their product."""


def matrix_chain(sizes: Sequence[int]) -> tuple[int, Parenthesisation]:
    """The order of multiplication that takes the fewest scalar multiplications.

    Args:
        sizes: numbers at the argument, between the factors, and at the result: ``n_0, ..., n_k`` for k factors.

    Returns:
        The multiplications, and the order. Of equally cheap ones that which starts nearer to the result.

    Raises:
        ArgumentError: there is no factor, there are more than `LONGEST`, or a size is no whole number, 0 or more.

    Example:
        >>> matrix_chain([1000, 10, 1000, 5])
        (100000, ((3, 2), 1))
        >>> matrix_chain([10, 1000, 5, 1000])
        (100000, (3, (2, 1)))
    """
    cost, last = _table(sizes)
    made: dict[tuple[int, int], Parenthesisation] = {(k - 1, k): k for k in range(1, len(sizes))}
    for low, high in reversed(_spans(last, len(sizes))):
        if high - low > 1:
            middle = last[low][high]
            made[low, high] = (made[middle, high], made[low, middle])
    return cost, made[0, len(sizes) - 1]


def from_the_result(factors: int) -> Parenthesisation:
    """The order of reverse mode, ``((J_k J_(k-1)) ...) J_1``."""
    order: Parenthesisation = factors
    for factor in range(factors - 1, 0, -1):
        order = (order, factor)
    return order


def from_the_argument(factors: int) -> Parenthesisation:
    """The order of forward mode, ``J_k (... (J_2 J_1))``."""
    order: Parenthesisation = 1
    for factor in range(2, factors + 1):
        order = (factor, order)
    return order


def terms(sizes: Sequence[int], order: Parenthesisation) -> list[Term]:
    """The products of an order, in the order in which they can be made.

    Example:
        >>> terms([1000, 10, 1000, 5], ((3, 2), 1))
        [(5, 1000, 10), (5, 10, 1000)]
    """
    found: list[Term] = []
    ranges: list[tuple[int, int]] = []  # of the parts that are made: first and last factor
    for at in _postorder(order):
        if isinstance(at, int):
            ranges.append((at, at))
            continue
        (low, middle), (_, high) = ranges.pop(), ranges.pop()
        found.append((sizes[high], sizes[middle], sizes[low - 1]))
        ranges.append((low, high))
    return found


def written(order: Parenthesisation) -> str:
    """An order as text.

    Example:
        >>> written(((3, 2), 1)), written((3, (2, 1)))
        ('(J₃·J₂)·J₁', 'J₃·(J₂·J₁)')
    """
    made: list[str] = []
    for at in _postorder(order):
        if isinstance(at, int):
            made.append(f"J{str(at).translate(_LOWERED)}")
            continue
        right, left = made.pop(), made.pop()
        made.append("·".join(f"({part})" if "·" in part else part for part in (left, right)))
    return made[0]


_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _postorder(order: Parenthesisation) -> Iterator[Parenthesisation]:
    """Parts before what is made of them, left before right."""
    todo: list[tuple[Parenthesisation, bool]] = [(order, False)]
    while todo:
        at, done = todo.pop()
        if isinstance(at, int) or done:
            yield at
        else:
            todo += [(at, True), (at[1], False), (at[0], False)]


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
            f"sizes: expected those of a chain of 1 to {LONGEST} factors, got {count} sizes",
            fix="pass one size more than there are factors"
            if count < 2
            else "search an order for MatrixChain(sizes) with ordering.search",
        )
    small = count * max(sizes) ** 3 < 2**62
    n: Any = np.array(sizes, np.int64 if small else object)
    cost: Any = np.zeros((count, count), n.dtype)  # by the first vertex, then the last
    turned = np.zeros_like(cost)
    last = np.zeros((count, count), np.int64)
    for length in range(
        2, count
    ):  # of all parts of this length at once: a row each, a column for each inner vertex
        low = np.arange(count - length)
        shape = (len(low), length - 1)
        of = (n[low] * n[low + length])[:, None] * _sliding(n[1:], shape, down=1)
        of += _sliding(cost[0, 1:], shape, down=count + 1)
        of += _sliding(turned[length, 1:], shape, down=count + 1)
        k = of.argmin(axis=1)
        cost[low, low + length] = turned[low + length, low] = of[low, k]
        last[low, low + length] = low + 1 + k
    return int(cost[0, -1]), last.tolist()


def _sliding(first: Any, shape: tuple[int, int], down: int) -> Any:
    """A view: entry (i, j) is ``i * down + j`` numbers behind the first of ``first``."""
    step = first.strides[-1]
    return np.lib.stride_tricks.as_strided(first, shape, (down * step, step), writeable=False)


def _spans(last: Any, count: int) -> list[tuple[int, int]]:
    """The parts of the chain that become one matrix each, larger ones before those within."""
    found = [(0, count - 1)]
    for low, high in found:  # which grows on the way
        if high - low > 1:
            middle = last[low][high]
            found += [(low, middle), (middle, high)]
    return found
