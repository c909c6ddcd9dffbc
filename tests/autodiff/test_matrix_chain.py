"""Chains of Jacobians: the best parentheses, as an order of multiplication and as an order of elimination."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.autodiff.elimination import multiplications
from chainrule.autodiff.matrix_chain import (
    LONGEST,
    MatrixChain,
    from_the_argument,
    from_the_result,
    matrix_chain,
    terms,
    written,
)
from chainrule.autodiff.ordering import search
from chainrule.errors import ArgumentError

chains = st.lists(st.integers(1, 50), min_size=2, max_size=8).map(tuple)


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


def test_the_example_of_a_bottleneck():
    assert matrix_chain((1000, 10, 1000, 5)) == (100_000, ((3, 2), 1))
    assert matrix_chain([3, 4]) == (0, 1)
    assert matrix_chain((2, 0, 5)) == (0, (2, 1))


def test_of_equally_cheap_orders_the_one_from_the_result():
    assert matrix_chain([1] * 6) == (4, from_the_result(5))


def test_chains_of_huge_sizes_are_counted_exactly():
    big = 10**30
    assert matrix_chain((big, 3, big, 5))[0] == 3 * big * 5 + big * 3 * 5


def test_the_longest_chain_needs_no_recursion():
    cost, order = matrix_chain([2] * (LONGEST + 1))
    assert cost == 8 * (LONGEST - 1)
    assert written(order).count("J") == LONGEST


@pytest.mark.parametrize("sizes", [(), (3,), (2, -1), (2, 3.0), (2, True), (1,) * (LONGEST + 2)])
def test_what_is_no_chain_is_refused(sizes):
    with pytest.raises(ArgumentError, match="sizes: expected") as caught:
        matrix_chain(sizes)
    assert caught.value.fix


@given(chains)
def test_parentheses_of_a_chain_are_the_best_order_of_elimination(sizes: tuple[int, ...]):
    chain = MatrixChain(sizes)
    cost, order = matrix_chain(sizes)
    orders = itertools.permutations(chain.intermediates)
    assert cost == work(sizes, order) == min(multiplications(chain, o) for o in orders)
    found = search(chain)
    assert found.optimal
    assert found.multiplications == cost == multiplications(chain, found.order)
    assert found.by == ("matrix chain" if len(sizes) > 2 else "nothing to eliminate")


@given(chains)
def test_the_search_finds_the_parentheses_without_knowing_them(sizes: tuple[int, ...]):
    class Unsolved(MatrixChain):
        def solved(self):
            return None

    found = search(Unsolved(sizes), thorough=True)
    assert found.optimal
    assert found.multiplications == matrix_chain(sizes)[0]


def test_annealing_comes_close_to_the_best_parentheses_of_a_long_chain():
    class Unsolved(MatrixChain):
        def solved(self):
            return None

    rng = random.Random(0)
    sizes = tuple(rng.choice((1, 3, 10, 30, 100, 300, 1000)) for _ in range(120))
    found = search(Unsolved(sizes), moves=5_000, restarts=1, thorough=True)
    best = matrix_chain(sizes)[0]
    assert found.at_least <= best <= found.multiplications < 1.02 * best
    assert found.multiplications <= min(found.tried.values())


def test_a_chain_too_long_for_the_table_is_searched():
    sizes = tuple(1 + k % 7 for k in range(LONGEST + 200))
    found = search(MatrixChain(sizes), seconds=1.0)
    assert found.by != "matrix chain"
    assert found.multiplications <= min(found.tried.values())
