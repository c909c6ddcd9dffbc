"""Sums of products of which only a part is read: that part is what it was, and no more is computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.compiler.on_native import target
from chainrule.compiler.on_native.matmul import Product, lower
from chainrule.compiler.passes.reads import Reads
from compiler.test_native_matmul import every_kind, matrix, product_of, room, run

pytestmark = pytest.mark.skipif(target.host() is None, reason="this machine has no native code")

RNG = np.random.default_rng(0)


# Kernels.


@every_kind
@given(seed=st.integers(0, 10**6), m=st.integers(5, 20), n=st.integers(5, 20), k=st.integers(40, 90))
def test_read_elements_are_computed_and_others_left(target, dtype, seed, m, n, k):
    rng = np.random.default_rng(seed)
    a, b = matrix(rng, (3, m, k), dtype, False), matrix(rng, (3, k, n), dtype, True)
    c = room(3 * m * n, dtype).reshape(3, m, n)
    ends = np.sort(rng.integers(0, n + 1, (m, 2)), axis=1).tolist()
    stairs = tuple((first, stop) for first, stop in ends)
    product: Product = product_of(a, b, c, dtype)
    whole, part = lower(product, target), lower(replace(product, stairs=stairs), target)
    run(part, target, dtype, seed, a=a, b=b, c=c)
    read = np.zeros((m, n), bool)
    for row, (first, stop) in zip(read, stairs, strict=True):
        row[first:stop] = True
    np.testing.assert_allclose(
        c[:, read], (a @ b)[:, read], rtol=0, atol=k * 4 * np.finfo(dtype.name).eps * 10
    )
    assert np.isnan(c[:, ~read]).all()
    assert part.calls[0].kernel.flops == 2 * 3 * k * read.sum() <= whole.calls[0].kernel.flops


# Which elements are read.


def test_joined_parts_are_read_where_the_whole_is():
    def f(a, b, c):
        whole = cr.concat([cr.concat([a * 1, b * 2], axis=1), c * 3], axis=0)
        return cr.sum(cr.tril(whole))

    graph = cr.trace(f, np.ones((2, 2)), np.ones((2, 3)), np.ones((3, 5)))
    reads = Reads(graph)
    parts = [n for n in graph.nodes if n.op and n.op.name == "multiply"]
    assert [reads.of(n).tolist() for n in parts] == [
        np.tril(np.ones((2, 2), bool)).tolist(),
        np.zeros((2, 3), bool).tolist(),
        np.tril(np.ones((3, 5), bool), 2).tolist(),
    ]


# Scans.


def sums(f, *arrays):
    """Multiplications and additions of the product that a scan sums, after its results were compared."""
    wanted = f(*map(cr.tensor, arrays))
    compiled = [cr.compile(f, threads=n) for n in (1, 2, 3)]
    found = [np.asarray(g(*arrays)) for g in compiled]
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()
    np.testing.assert_allclose(found[0], np.asarray(wanted), rtol=1e-12, atol=1e-10)
    (scan,) = [step for step in compiled[0]._last.run.lowered.steps if step.inside]
    (flops,) = [step.kernel.flops for step in scan.inside if "matmul" in step.kernel.name]
    return flops


def gram(x):
    """The sum of products of blocks with themselves."""
    step = lambda c, x: (c + x @ cr.permute_dims(x, (1, 0)), ())
    return cr.scan(step, cr.zeros((6, 6)), x)[0]


X = RNG.normal(size=(20, 6, 40))
ALL = 2 * 6 * 6 * 40


def test_of_a_sum_whose_triangle_is_read_a_triangle_is_computed():
    assert sums(lambda x: cr.tril(gram(x)), X) == 2 * 21 * 40
    assert sums(lambda x: cr.sum(cr.triu(gram(x), k=2)), X) == 2 * 10 * 40
    rows, columns = np.array([0, 3, 5]), np.array([1, 1, 4])
    assert sums(lambda x: gram(x)[rows, columns], X) == 2 * 3 * 40


def test_what_is_read_in_any_other_way_is_computed_whole():
    assert sums(gram, X) == ALL
    assert sums(lambda x: cr.tril(g := gram(x)) + cr.sum(g), X) == ALL
    assert sums(lambda x: cr.tril(cr.reshape(gram(x), (4, 9))), X) == ALL


def test_what_is_written_over_another_sum_is_computed_whole():
    def f(x, y):
        def step(carry, both):
            (a, b), (x, y) = carry, both
            return (a + x @ cr.permute_dims(x, (1, 0)), b + y @ cr.permute_dims(y, (1, 0))), ()

        (a, b), _ = cr.scan(step, (cr.zeros((6, 6)), cr.zeros((6, 6))), (x, y))
        return a.at[np.arange(6)].set(b)

    y = RNG.normal(size=X.shape)
    compiled = cr.compile(f)
    np.testing.assert_allclose(np.asarray(compiled(X, y)), np.einsum("nij,nkj->ik", y, y), rtol=1e-12)
    (scan,) = [step for step in compiled._last.run.lowered.steps if step.inside]
    assert ALL in [step.kernel.flops for step in scan.inside if "matmul" in step.kernel.name]


def test_a_carry_that_a_step_looks_at_is_computed_whole():
    def f(x):
        step = lambda c, x: (c + x @ cr.permute_dims(x, (1, 0)), cr.sum(c))
        total, seen = cr.scan(step, cr.zeros((6, 6)), x)
        return cr.tril(total) + cr.sum(seen)

    assert sums(f, X) == ALL


def test_a_first_carry_stays_where_nothing_is_added():
    def f(x, start):
        step = lambda c, x: (c + x @ cr.permute_dims(x, (1, 0)), ())
        return cr.tril(cr.scan(step, start, x)[0], k=1)

    assert sums(f, X, RNG.normal(size=(6, 6))) == 2 * 26 * 40


def test_the_gradient_of_triangular_factors():
    """As the benchmark of mixtures has them: 10 rows in two strips, 55 of 100 elements."""
    rows, columns = np.tril_indices(10)

    def f(values, means, x):
        q = cr.zeros((4, 10, 10)).at[:, rows, columns].set(values)
        y = cr.einsum("kij,nkj->nki", q, x[:, None, :] - means)
        return cr.sum(cr.logsumexp(-0.5 * cr.sum(y * y, axis=2), axis=1))

    arrays = 0.1 * RNG.normal(size=(4, 55)), RNG.normal(size=(4, 10)), RNG.normal(size=(8000, 10))
    gradient = cr.grad(f, argnums=(0, 1))
    compiled = [cr.compile(gradient, threads=n) for n in (1, 2)]
    found = [[np.asarray(r) for r in g(*arrays)] for g in compiled]
    for one, other, wanted in zip(*found, gradient(*arrays), strict=True):
        assert one.tobytes() == other.tobytes()
        np.testing.assert_allclose(one, np.asarray(wanted), rtol=1e-9, atol=1e-9 * np.abs(one).max())
    (scan,) = [step for step in compiled[0]._last.run.lowered.steps if step.inside]
    products = [s.kernel for s in scan.inside if s.kernel.name.startswith("matmul_inner")]
    points = int(products[0].name.split("_")[2].split("x")[2])
    assert sum(k.flops for k in products) == 2 * 4 * 55 * points
