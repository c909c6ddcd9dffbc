"""What every primitive states as its cost is what is executed, counted while NumPy executes it."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.modes import silently
from chainrule.primitive import REGISTRY, Discrete, Pointwise
from counted import ADDITIONS, MULTIPLICATIONS, TRANSCENDENTALS, counted_view, counting

BY_LAPACK = {"solve", "inv", "cholesky", "det", "det_sign", "logabsdet"}
"""Nobody can look into LAPACK: `test_eliminations` counts the textbook algorithm that it runs."""
ABOUT = {
    "cofactor": "singular values are found by iteration",
    "random_normal": "how many terms a number takes depends on how far out it lies",
}
NOT_ADDITIONS = {
    "sort": "n log n comparisons, within NumPy",
    "argsort": "n log n comparisons, within NumPy",
    "conv2d_input_grad": "sums of blocks are added to the image as well",
    "conv2d_weight_grad": "sums of blocks are added to the kernel as well",
    "numbered": "looks whether numbers exist",
    "one_hot": "looks whether classes exist",
    "random_bits": "counters and joined words",
    "random_uniform": "counters and joined words",
    "random_split": "counters and joined words",
    "random_fold_in": "counters and joined words",
}
"""Of these the multiplications and elementary functions are compared, and additions are not."""
INDEXING = {"getitem", "index_set", "max_pool2d_spread", "max_pool2d_ties", "scatter_add"}
"""These keep books in integers, of places or of bits, which is no arithmetic of theirs."""

CASES = [
    pytest.param(op, example, id=f"{name}-{i}")
    for name, op in sorted(REGISTRY.items())
    if name not in BY_LAPACK and name not in ABOUT
    for i, example in enumerate(op.examples(np.random.default_rng(7)))
]


def stated_cost(op, inputs, params):
    shape, dtype = op.infer(*inputs, **params)
    return op.cost(inputs, shape, dtype, **params)


@pytest.mark.parametrize(("op", "example"), CASES)
def test_stated_is_executed(op, example):
    inputs = [np.asarray(x) for x in example.inputs]
    stated = stated_cost(op, inputs, example.params)
    guards = issubclass(op, (Discrete, Pointwise))
    with counting(floats_only=op.name in INDEXING, guards=guards) as executed:
        silently(op.evaluate, *map(counted_view, inputs), **example.params)
    assert stated.multiplications == executed[MULTIPLICATIONS]
    assert stated.transcendentals == executed[TRANSCENDENTALS]
    if op.name not in NOT_ADDITIONS:
        assert stated.additions == executed[ADDITIONS]


def test_exceptions_are_primitives():
    assert BY_LAPACK | set(ABOUT) | set(NOT_ADDITIONS) | INDEXING <= set(REGISTRY)


class Work:
    """Counts what a textbook algorithm does with numbers."""

    def __init__(self):
        self.products = self.divisions = self.differences = self.others = 0

    def less(self, x, a, b):
        self.products += 1
        self.differences += 1
        return x - a * b

    def over(self, a, b):
        self.divisions += 1
        return a / b

    def eliminate(self, a):
        """Gauss: the triangles of rows in place, without exchange, as for pivots that are large enough."""
        n = len(a)
        for k in range(n):
            for i in range(k + 1, n):
                a[i][k] = self.over(a[i][k], a[k][k])
                for j in range(k + 1, n):
                    a[i][j] = self.less(a[i][j], a[i][k], a[k][j])
        return a

    def substitute(self, a, b):
        """A right side through both triangles."""
        n = len(a)
        for i in range(n):
            for j in range(i):
                b[i] = self.less(b[i], a[i][j], b[j])
        for i in reversed(range(n)):
            for j in range(i + 1, n):
                b[i] = self.less(b[i], a[i][j], b[j])
            b[i] = self.over(b[i], a[i][i])
        return b

    def factor(self, a):
        """Cholesky."""
        n = len(a)
        out = [[0.0] * n for _ in range(n)]
        for i in range(n):
            for j in range(i + 1):
                x = a[i][j]
                for k in range(j):
                    x = self.less(x, out[i][k], out[j][k])
                if i == j:
                    self.others += 1
                    out[i][i] = x**0.5
                else:
                    out[i][j] = self.over(x, out[j][j])
        return out


def matrix(n):
    return np.random.default_rng(n).uniform(-1, 1, (n, n)) + n * np.eye(n)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_eliminations(n):
    a, b = matrix(n), np.random.default_rng(1).normal(size=(n, 4))
    work = Work()
    triangles = work.eliminate(a.tolist())
    lu = work.products, work.divisions
    found = np.array([work.substitute(triangles, column) for column in b.T.tolist()]).T
    np.testing.assert_allclose(found, np.linalg.solve(a, b))
    stated = stated_cost(REGISTRY["solve"], [a, b], {})
    assert stated.multiplications == work.products + work.divisions
    assert stated.additions == work.differences
    several = stated_cost(REGISTRY["solve"], [a, np.stack([b, b, b])], {})
    assert several.multiplications == 3 * stated.multiplications, "NumPy eliminates anew for each right side"
    inverse = stated_cost(REGISTRY["inv"], [a], {})
    square = stated_cost(REGISTRY["solve"], [a, np.eye(n)], {})
    assert (inverse.multiplications, inverse.additions) == (square.multiplications, square.additions)
    sign, logarithm, det = (stated_cost(REGISTRY[name], [a], {}) for name in ("det_sign", "logabsdet", "det"))
    assert sign.multiplications == logarithm.multiplications == sum(lu)
    assert det.multiplications == sum(lu) + 1, "the sign times the exponential of the logarithm"
    assert (logarithm.transcendentals, det.transcendentals) == (n, n + 1)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_cholesky(n):
    a = matrix(n) @ matrix(n).T
    work = Work()
    np.testing.assert_allclose(work.factor(a.tolist()), np.linalg.cholesky(a))
    stated = stated_cost(REGISTRY["cholesky"], [a], {})
    assert stated.multiplications == work.products + work.divisions + n * n, "halves of the symmetric part"
    assert stated.additions == work.differences + n * n
    assert stated.transcendentals == work.others


def test_cost_of_a_cofactor_is_of_the_right_order():
    small, large = (stated_cost(REGISTRY["cofactor"], [matrix(n)], {}).flops for n in (10, 20))
    assert large == 8 * small
