"""Map-reduce over points in blocks: the same values whatever is computed, the same bits on any threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.autodiff.scan import Scan
from chainrule.compiler import passes
from chainrule.compiler.on_native.lowering import runs
from chainrule.compiler.passes.batches import batch
from chainrule.compiler.passes.blocking import Limits, blocking
from chainrule.compiler.passes.expand import expand
from chainrule.graph import Graph
from compiler.random_graphs import random_gradient_graph, random_graph
from compiler.same_bits import reference

RNG = np.random.default_rng(0)


ANYTHING = Limits(points=2, large=0, worth=-1e9, cache=64, smallest=2, blocks=2, line=1)
"""Whatever can run in blocks does, and blocks are small."""


def ready(graph: Graph) -> Graph:
    return expand(passes.run(graph)[0])[0]


def require_close(before: Graph, after: Graph, inputs) -> None:
    after.verify()
    assert [n.spec for n in after.outputs] == [n.spec for n in before.outputs]
    tolerance = 1e-4 if any(n.dtype == np.float32 for n in before.nodes) else 1e-9
    for wanted, got in zip(reference(before, inputs), reference(after, inputs), strict=True):
        scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=1.0)
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * scale)


def mixture(means, factors, x):
    y = cr.einsum("kij,nkj->nki", factors, x[:, None, :] - means)
    return cr.logsumexp(-0.5 * cr.sum(y * y, axis=2), axis=1).sum()


def given_mixture(n, k=3, d=2):
    return RNG.normal(size=(k, d)), RNG.normal(size=(k, d, d)), RNG.normal(size=(n, d))


# What is found.


def test_points_are_followed_through_products_moves_and_reductions():
    graph = ready(cr.trace(mixture, *given_mixture(20)))
    found = batch(graph, graph.inputs[2], 0, runs)
    assert found.points == 20
    assert [t.op and t.op.name for t in found.totals] == ["sum"]
    assert not found.after & set(found.along)
    assert all(n.shape[axis] == 20 for n, axis in found.along.items())


def test_what_compares_points_comes_after():
    graph = ready(cr.trace(lambda x: (cr.softmax(x, axis=0) * x).sum(), RNG.normal(size=(20, 3))))
    found = batch(graph, graph.inputs[0], 0, runs)
    assert not found.totals
    assert {n.op and n.op.name for n in found.after} >= {"max", "sum"}


def test_labels_are_cut_like_the_points_that_they_meet():
    graph = ready(
        cr.trace(lambda x, y, w: cr.square(x @ w - y).sum(), np.ones((9, 2)), np.ones(9), np.ones(2))
    )
    found = batch(graph, graph.inputs[0], 0, runs)
    assert {n.name for n, _ in found.cut} >= {"x"}
    assert len(found.totals) == 1


# What becomes of it.


@pytest.mark.parametrize("n", [16, 24, 37, 101])
def test_a_mixture_and_its_gradient_run_in_blocks(n):
    arrays = given_mixture(n)
    for f in (mixture, cr.grad(mixture, argnums=(0, 1))):
        before = ready(cr.trace(f, *arrays))
        after = blocking(before, runs, ANYTHING)
        assert Scan in {node.op for node in after.nodes}
        require_close(before, after, arrays)


def test_what_is_read_elsewhere_is_given_back():
    def f(x, w):
        h = cr.tanh(x @ w)
        return h, h.sum(axis=0), cr.sort(h, axis=0)

    arrays = RNG.normal(size=(23, 3)), RNG.normal(size=(3, 4))
    before = ready(cr.trace(f, *arrays))
    after = blocking(before, runs, ANYTHING)
    assert Scan in {node.op for node in after.nodes}
    require_close(before, after, arrays)


def test_a_prior_that_does_not_need_points_stays_outside():
    arrays = given_mixture(30)
    before = ready(cr.trace(lambda m, f, x: mixture(m, f, x) + cr.exp(m).sum(), *arrays))
    after = blocking(before, runs, ANYTHING)
    (scan,) = [n for n in after.nodes if n.op is Scan]
    inside = [n.op.name for n in scan.params["body"].graph.nodes if n.op]
    assert inside.count("exp") == 1
    require_close(before, after, arrays)


def test_little_work_stays_as_it_is():
    graph = ready(cr.trace(cr.grad(mixture), *given_mixture(600)))
    assert blocking(graph, runs) is graph


def test_large_weights_stay_outside():
    """A network's products are not worth cutting: each block would read the weights again."""
    x, w = np.ones((1024, 512), np.float32), np.ones((512, 512), np.float32)
    graph = ready(cr.trace(cr.grad(lambda w, x: cr.relu(cr.relu(x @ w) @ w).sum()), w, x))
    assert blocking(graph, runs) is graph


@given(st.integers(0, 10**6), st.integers(1, 25), st.booleans())
def test_random_graphs_keep_their_values(seed, size, gradient):
    graph, inputs = (random_gradient_graph if gradient else random_graph)(seed, size)
    before = ready(graph)
    after = blocking(before, runs, ANYTHING)
    require_close(before, after, inputs)


# As machine code.


def compiled(f, arrays, threads):
    results = cr.compile(f, threads=threads)(*arrays)
    return [np.asarray(r) for r in (results if isinstance(results, tuple) else (results,))]


@pytest.mark.parametrize("n", [4096, 5003])
def test_native_blocks_give_the_same_bits_on_any_number_of_threads(n):
    arrays = given_mixture(n, k=12, d=8)
    f = cr.value_and_grad(mixture, argnums=(0, 1))
    flat = lambda *a: (f(*a)[0], *f(*a)[1])
    runs_of = [compiled(flat, arrays, threads) for threads in (1, 2, 3)]
    for wanted, *others in zip(*runs_of, strict=True):
        assert all(other.tobytes() == wanted.tobytes() for other in others)
    for got, wanted in zip(runs_of[0], flat(*arrays), strict=True):
        wanted = np.asarray(wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())


def test_explain_says_that_blocks_are_shared_by_threads():
    f = cr.compile(mixture)
    f(*given_mixture(4096, k=12, d=8))
    assert "stretches that threads share" in str(f.explain())
