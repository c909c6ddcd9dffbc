"""The order of multiplication of a chain of Jacobians."""

import itertools

import numpy as np
import pytest

from chainrule import errors
from chainrule.autodiff.chain import (
    MOST_FACTORS,
    from_the_argument,
    from_the_result,
    matrix_chain,
    terms,
    written,
)


def every_order(first, last):
    """All ways to put parentheses around factors first ... last."""
    if first == last:
        yield first
    for middle in range(first, last):
        for right in every_order(first, middle):
            for left in every_order(middle + 1, last):
                yield left, right


def work(sizes, order):
    return sum(a * b * c for a, b, c in terms(sizes, order))


@pytest.mark.parametrize("seed", range(12))
def test_best_of_all_orders(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, rng.integers(3, 8)).tolist()
    factors = len(sizes) - 1
    cost, order = matrix_chain(sizes)
    assert cost == work(sizes, order) == min(work(sizes, o) for o in every_order(1, factors))
    assert cost <= work(sizes, from_the_result(factors))
    assert cost <= work(sizes, from_the_argument(factors))


def test_an_order_makes_the_product():
    rng = np.random.default_rng(0)
    sizes = [5, 2, 7, 1, 6, 3]
    factors = [rng.normal(size=(b, a)) for a, b in itertools.pairwise(sizes)]

    def product(order):
        return factors[order - 1] if isinstance(order, int) else product(order[0]) @ product(order[1])

    whole = product(from_the_result(5))
    assert whole.shape == (3, 5)
    for order in (matrix_chain(sizes)[1], from_the_argument(5)):
        np.testing.assert_allclose(product(order), whole)


def test_orders_as_text():
    assert written(from_the_result(4)) == "((J₄·J₃)·J₂)·J₁"
    assert written(from_the_argument(4)) == "J₄·(J₃·(J₂·J₁))"
    assert written(((4, 3), (2, 1))) == "(J₄·J₃)·(J₂·J₁)"
    assert matrix_chain([3, 4]) == (0, 1)


def test_long_chains_need_no_recursion():
    cost, order = matrix_chain([2] * (MOST_FACTORS + 1))
    assert cost == 8 * (MOST_FACTORS - 1)
    assert written(order).count("J") == MOST_FACTORS


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([3], "expected at least two sizes"),
        ([3, -1], "sizes from 0 on"),
        ([2] * (MOST_FACTORS + 2), f"{MOST_FACTORS + 1} factors are more than the {MOST_FACTORS}"),
    ],
)
def test_sizes_that_are_none(sizes, said):
    with pytest.raises(errors.ArgumentError, match=said) as caught:
        matrix_chain(sizes)
    assert caught.value.fix
