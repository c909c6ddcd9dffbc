"""Products of which only a part is read: that part keeps its value, and no more is computed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.autodiff.scan import Scan
from chainrule.compiler import passes
from chainrule.compiler.on_native.lowering import runs
from chainrule.compiler.passes.blocking import blocking
from chainrule.compiler.passes.expand import expand
from chainrule.compiler.passes.partly_read import SAVED, partly_read
from chainrule.graph import Graph
from chainrule.ops.matmul import MatMul
from compiler.same_bits import reference

RNG = np.random.default_rng(0)
LONG = 1 << 14


def multiplications(graph: Graph) -> int:
    return sum(n.size * n.inputs[0].shape[-1] for n in graph.nodes if n.op is MatMul)


def cut(f, *arrays, saved: int = SAVED) -> tuple[Graph, Graph]:
    """The graph of a function before and after the pass, whose values are the same."""
    before = passes.run(cr.trace(f, *arrays))[0]
    after = partly_read(before, saved)
    after.verify()
    for wanted, got in zip(reference(before, arrays), reference(after, arrays), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max(initial=1.0))
    return before, after


def share(f, *arrays) -> float:
    """How many of its multiplications are left."""
    before, after = cut(f, *arrays)
    return multiplications(after) / multiplications(before)


def factor_of(rows, columns):
    """What the gradient of a factor is that is written into zeros at some places."""

    def f(x, y, values):
        factor = cr.zeros((20, 20)).at[rows, columns].set(values)
        return cr.sum((x @ factor) * y)

    return cr.grad(f, argnums=2)


def long(*rest: int):
    return RNG.normal(size=(LONG, *rest))


def test_the_gradient_of_a_triangular_factor_computes_a_triangle():
    rows, columns = np.tril_indices(20)
    f = factor_of(rows, columns)
    assert share(f, long(20), long(20), RNG.normal(size=len(rows))) == 0.625  # four strips


def test_the_gradient_of_a_full_factor_is_left_whole():
    f = factor_of(*np.indices((20, 20)).reshape(2, -1))
    before, after = cut(f, long(20), long(20), RNG.normal(size=400))
    assert after is before


@pytest.mark.parametrize(
    ("part", "left"),
    [
        (cr.tril, 0.625),
        (cr.triu, 0.625),
        (lambda p: cr.triu(p.T), 0.625),
        (lambda p: cr.tril(cr.exp(p) - 1.0), 0.625),
        (lambda p: cr.tril(cr.triu(p, k=-1), k=1), 0.325),
        (lambda p: p[:, :4], 0.2),
        (lambda p: p[-5:], 0.25),
        (lambda p: p.at[:, 5:].set(2.0), 0.25),
        (lambda p: cr.tril(p).at[0, 19].set(cr.sum(cr.tril(p))), 0.625),
        (lambda p: (cr.tril(p), cr.diagonal(p)), 0.625),
        (lambda p: (cr.tril(p), p[3, 18]), 0.8),
        (lambda p: (cr.tril(p), cr.sum(p)), 1.0),
        (lambda p: cr.where(p > 0, p, 0.0), 1.0),
        (lambda p: cr.tril(p) @ p, 1.0),
        (lambda p: cr.tril(cr.sort(p)), 1.0),
        (lambda p: p, 1.0),
    ],
)
def test_what_is_read_is_computed(part, left):
    f = lambda x, y: part(x.T @ y)
    assert share(f, long(20), long(20)) == pytest.approx(left)


def test_of_a_batch_what_is_read_of_any_matrix_is_computed():
    lower = np.broadcast_to(np.tri(10, dtype=bool), (2, 10, 10))
    mixed = lower.copy()
    mixed[1] = mixed[1].T
    x = RNG.normal(size=(2, 10, LONG))
    of = lambda mask: lambda x: cr.where(mask, x @ x.mT, 0.0)
    assert share(of(lower), x) == 0.75
    assert share(of(mixed), x) == 1.0
    assert share(lambda x: cr.tril(cr.sum(x @ x.mT, axis=0)), x) == 0.75


@pytest.mark.parametrize(
    "read",
    [
        lambda z, x: z.at[np.arange(20)].set(x),
        lambda z, x: z.at[:, :].set(x),
        lambda z, x: cr.tril(z.at[np.arange(5)].set(x[:5])),
        lambda z, x: cr.tril(z) + z.at[np.arange(20)].set(cr.tril(x)),
        lambda z, x: cr.concat([z[:3], x.at[np.arange(4)].set(z[:4])], axis=0),
    ],
)
def test_what_is_written_over_another_product_is_computed(read):
    a, c = RNG.normal(size=(2, 20, 4000))
    cut(lambda a, c: read(a @ a.T, c @ c.T), a, c, saved=0)
    f = lambda a, c: read(a @ a.T, c @ c.T)
    np.testing.assert_allclose(
        np.asarray(cr.compile(f)(a, c)), np.asarray(f(cr.tensor(a), cr.tensor(c))), rtol=1e-9
    )


def test_short_sums_are_left_whole():
    x = RNG.normal(size=(20, 100))
    before, after = cut(lambda x: cr.tril(x @ x.T), x)
    assert after is before


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 30), st.floats(0, 1))
def test_any_elements_keep_their_values(seed, m, n, density):
    rng = np.random.default_rng(seed)
    mask = rng.random((m, n)) < density * rng.random((m, 1))
    x, y = rng.normal(size=(3, m, 600)), rng.normal(size=(600, n))
    cut(lambda x, y: cr.where(mask, cr.square(x @ y), 1.0)[1:], x, y, saved=0)


# As machine code.


def triangular_mixture(d, n):
    """The gradient of a likelihood, and its arguments."""
    rows, columns = np.tril_indices(d)

    def f(means, values, x):
        factors = cr.zeros((12, d, d)).at[:, rows, columns].set(values)
        y = cr.einsum("kij,nkj->nki", factors, x[:, None, :] - means)
        return cr.logsumexp(-0.5 * cr.sum(y * y, axis=2), axis=1).sum()

    arrays = RNG.normal(size=(12, d)), RNG.normal(size=(12, len(rows))), RNG.normal(size=(n, d))
    return cr.grad(f, argnums=(0, 1)), arrays


@pytest.mark.parametrize("d", [4, 7, 10, 20])
@pytest.mark.parametrize("n", [1000, 4099])
def test_a_mixture_with_triangular_factors_gives_the_same_bits_on_any_number_of_threads(d, n):
    gradient, arrays = triangular_mixture(d, n)
    found = [[np.asarray(g) for g in cr.compile(gradient, threads=t)(*arrays)] for t in (1, 2, 4)]
    for others in found[1:]:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(found[0], others, strict=True))
    for got, wanted in zip(found[0], gradient(*arrays), strict=True):
        wanted = np.asarray(wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


def test_strips_run_in_blocks_of_points():
    gradient, arrays = triangular_mixture(20, 5000)
    graph = blocking(expand(passes.run(cr.trace(gradient, *arrays))[0])[0], runs)
    (scan,) = [n for n in graph.nodes if n.op is Scan]
    body = scan.params["body"].graph.verify()
    assert sum(n.op is MatMul for n in body.nodes) == 1 + 4
    assert not any(n.op is MatMul and n.inputs[0].shape[-1] > 20 for n in graph.nodes)
