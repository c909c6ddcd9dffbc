"""In which order to multiply a chain of Jacobians: the matrix-chain problem.

Of ``f = f_k ∘ ... ∘ f_1`` with ``n_0`` numbers in, ``n_1``, ... between and ``n_k`` out, the Jacobian is the product
``J_k ··· J_1`` of factors ``n_i × n_(i-1)``. All orders give the same product; what they cost differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from chainrule.errors import ArgumentError

Parenthesisation: TypeAlias = "int | tuple[Parenthesisation, Parenthesisation]"
"""A factor by its number, from 1, or the product of a left and a right part: ``((3, 2), 1)`` is ``(J₃ J₂) J₁``."""
Term: TypeAlias = "tuple[int, int, int]"
"""Rows, summed, columns of one product of two matrices: so many multiplications as their product."""

MOST_FACTORS = 200
"""For so many the search takes some tenths of a second; its work grows with the cube."""


def matrix_chain(sizes: Sequence[int]) -> tuple[int, Parenthesisation]:
    """The order of multiplication that takes the fewest scalar multiplications, by dynamic programming.

    Args:
        sizes: numbers at the argument, between the factors, and at the result: ``n_0, ..., n_k`` for k factors,
            at most `MOST_FACTORS`.

    Returns:
        The multiplications, and the order. Of equally cheap ones that which starts nearer to the result.

    Raises:
        ArgumentError: fewer than two sizes, negative ones, or too many factors.

    Example:
        >>> matrix_chain([1000, 10, 1000, 5])
        (100000, ((3, 2), 1))
        >>> matrix_chain([10, 1000, 5, 1000])
        (100000, (3, (2, 1)))

    Source: Bellman's principle; Godbole, IEEE Transactions on Computers C-22(9), 1973, 864-866,
    DOI 10.1109/TC.1973.5009182.
    """
    n = _checked(sizes)
    factors = len(n) - 1
    best = [[0] * (factors + 1) for _ in range(factors + 1)]  # of factors i+1 ... j
    split = [[0] * (factors + 1) for _ in range(factors + 1)]
    for length in range(2, factors + 1):
        for i in range(factors - length + 1):
            j = i + length
            outer = n[i] * n[j]
            row = best[i]
            cost, at = min((row[m] + best[m][j] + outer * n[m], m) for m in range(i + 1, j))
            row[j], split[i][j] = cost, at
    return best[0][factors], _order(split, factors)


def _checked(sizes: Sequence[int]) -> list[int]:
    n = [int(size) for size in sizes]
    if len(n) < 2 or min(n) < 0:
        raise ArgumentError(
            f"matrix_chain: expected at least two sizes from 0 on, got {list(sizes)}",
            fix="pass the number of rows of each factor, after the columns of the first",
        )
    if len(n) - 1 > MOST_FACTORS:
        raise ArgumentError(
            f"matrix_chain: {len(n) - 1} factors are more than the {MOST_FACTORS} that are searched",
            fix="join neighbours, or multiply from the result on",
        )
    return n


def _order(split: Sequence[Sequence[int]], factors: int) -> Parenthesisation:
    """From the places where ranges are split to nested pairs, without recursion: chains may be long."""
    made: dict[tuple[int, int], Parenthesisation] = {}
    todo = [(0, factors)]
    while todo:
        i, j = todo[-1]
        if j - i == 1:
            made[i, j] = j
        else:
            halves = (split[i][j], j), (i, split[i][j])
            missing = [half for half in halves if half not in made]
            if missing:
                todo += missing
                continue
            made[i, j] = (made[halves[0]], made[halves[1]])
        todo.pop()
    return made[0, factors]


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
