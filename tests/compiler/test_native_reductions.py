"""Reductions that end in a truth value, a place or a norm, and reductions of nothing, as native code."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import target
from chainrule.ops.arithmetic import scale
from chainrule.shapes import DTYPES
from compiler.same_bits import bits
from compiler.test_compiled_graphs import close, run, sets

machines = pytest.mark.parametrize("machine", sets())
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)
shapes = pytest.mark.parametrize("shape", [(3, 5, 40), (2, 9001)], ids=str)


def same(function, x, machine):
    graph = cr.trace(function, x)
    for got, wanted in zip(run(graph, [x], machine), graph.evaluate(x), strict=True):
        assert bits(got) == bits(wanted)


def over_axes(function, x):
    yield function(x)
    for axis in range(x.ndim):
        yield function(x, axis=axis, keepdims=axis == 1)


@machines
@dtypes
@shapes
def test_places_of_extrema_are_the_first_of_several(machine, dtype, shape):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2 if dtype.kind == "b" else 50, shape).astype(dtype)
    same(lambda x: (*over_axes(cr.argmax, x), *over_axes(cr.argmin, x)), x, machine)


@machines
def test_the_place_of_a_nan_comes_before_that_of_any_number(machine):
    x = np.random.default_rng(0).normal(size=(6, 70)).astype(np.float32)
    x[1, 3] = x[2, 0] = x[2, 69] = x[4, 60] = np.nan
    x[3, 5:9], x[3, 2], x[5] = np.inf, -np.inf, -0.0
    x[5, 40] = 0.0
    same(lambda x: (*over_axes(cr.argmax, x), *over_axes(cr.argmin, x)), x, machine)


@machines
@dtypes
@shapes
def test_whether_all_or_any_are_nonzero(machine, dtype, shape):
    rng = np.random.default_rng(1)
    shares = np.array([0.0, 0.0001, 0.9999, 1.0]).reshape(4, *[1] * len(shape))
    x = (rng.random((4, *shape)) < shares).astype(dtype)
    same(
        lambda x: tuple(y for part in range(4) for f in (cr.all, cr.any) for y in over_axes(f, x[part])),
        x,
        machine,
    )


@machines
def test_places_in_arrays_for_many_tasks(machine):
    x = np.random.default_rng(0).integers(0, 5000, (300, 700)).astype(np.float32)
    same(lambda x: (*over_axes(cr.argmax, x), *over_axes(cr.any, x)), x, machine)


@machines
def test_nan_and_the_smallest_numbers_are_nonzero(machine):
    x = np.array([[np.nan, -0.0, 0.0], [5e-324, 0.0, 0.0], [0.0, -0.0, 0.0]])
    same(lambda x: (cr.any(x, axis=1), cr.all(x, axis=0), cr.count_nonzero(x, axis=1)), x, machine)


@machines
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [-1.0, -0.999, -0.55, -0.45, 0.0, 0.45, 0.55, 0.98], ids=str)
def test_norms_neither_overflow_nor_vanish(machine, dtype, factor):
    """Of vectors of any size: ``factor`` is the exponent, relative to the largest or the smallest."""
    limits = np.finfo(dtype)
    exponent = int(factor * (-limits.minexp + limits.nmant if factor < 0 else limits.maxexp))
    x = (np.random.default_rng(2).uniform(1, 2, (3, 50)) * 2.0 ** max(exponent, -1074)).astype(dtype)
    graph = cr.trace(lambda x: (cr.vector_norm(x), cr.vector_norm(x, axis=1), cr.vector_norm(x, axis=0)), x)
    for got, wanted in zip(run(graph, [x], machine), graph.evaluate(x), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=8 * limits.eps, atol=2 * limits.smallest_subnormal)


@machines
@pytest.mark.parametrize("ord", [2.0, 3.0, 0.5, -1.5])
def test_norms_of_special_vectors(machine, ord):
    rows = [
        [0, 0],
        [0, 2],
        [np.inf, 1],
        [np.nan, 1],
        [-np.inf, np.nan],
        [1e300, -1e300],
        [5e-324, 0],
        [-3, 4],
    ]
    x = np.array(rows, np.float64)
    graph = cr.trace(lambda x: (cr.vector_norm(x, axis=1, ord=ord), cr.vector_norm(x[:2], ord=ord)), x)
    close(run(graph, [x], machine), graph.evaluate(x), graph, [x])


def of_nothing(x):
    yield cr.sum(x, axis=0), cr.prod(x, axis=0), cr.mean(x, axis=0), cr.var(x), cr.std(x, axis=0)
    yield (
        cr.all(x),
        cr.any(x, axis=0),
        cr.count_nonzero(x, axis=0),
        cr.logsumexp(x, axis=0),
        cr.vector_norm(x),
    )
    yield cr.softmax(x, axis=0), cr.cumulative_sum(x, axis=0), x.T @ x, cr.concat([x, x + 1], axis=0)
    yield cr.einsum("ij,ik->jk", x, x), cr.sum(x * 2), cr.sort(x, axis=0), x[:, :0] + 1


@machines
def test_reductions_of_nothing_are_known_beforehand(machine):
    x = np.ones((0, 3))
    graph = cr.trace(lambda x: tuple(y for group in of_nothing(x) for y in group), x)
    for got, wanted in zip(run(graph, [x], machine), graph.evaluate(x), strict=True):
        np.testing.assert_array_equal(got, wanted)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    assert machine is None or not Executable(graph, machine, 1).explain().lines


def test_what_is_joined_to_nothing_stays_native():
    x, nothing = np.ones((2, 3)), np.ones((0, 3))
    graph = cr.trace(
        lambda x, e: (cr.concat([e, x * 2, e]), cr.concat([x, e, x]), cr.concat([e, x])), x, nothing
    )
    machine = target.host()
    close(run(graph, [x, nothing], machine), graph.evaluate(x, nothing), graph, [x, nothing])
    lines = Executable(graph, machine, 1).explain().lines
    assert machine is None or all(line.kind == "kernel" for line in lines)


@machines
def test_reductions_of_axes_of_one_element_beside_others(machine):
    """They run in one loop, which reduces the long axis; that of one element is only dropped."""
    x = np.array([[2.0, 1.0, 2.0, 5.0]])

    def several(x):
        yield cr.sum(x, axis=0) * cr.sum(x, axis=(0, 1)) + cr.max(x * x, axis=0, keepdims=True)
        yield cr.logsumexp(x, axis=0), cr.logsumexp(cr.std(x, axis=(), keepdims=True)), cr.prod(x, axis=0)

    graph = cr.trace(lambda x: tuple(several(x)), x)
    close(run(graph, [x], machine), graph.evaluate(x), graph, [x])


@machines
def test_sums_that_do_not_reduce_join_one_that_does(machine):
    x = np.array([[2.0, 1.0, 2.0, 5.0]])

    def total(x):
        kept, spread = cr.logsumexp(x, axis=0), cr.logsumexp(cr.std(x, axis=(), keepdims=True))
        return cr.sum(kept * x) + cr.sum(kept) + spread

    graph = cr.trace(total, x)
    close(run(graph, [x], machine), graph.evaluate(x), graph, [x])


@machines
@pytest.mark.parametrize("classes", [1, 2, 3, 5, 6, 10, 12, 13])
@pytest.mark.parametrize("rows", [31, 128, 131, 1000])
def test_many_short_rows(machine, rows, classes):
    """The scores of a few classes: many rows at a time, or one after the other, as the machine likes."""
    x = np.random.default_rng(0).normal(size=(rows, classes)).astype(np.float32)
    x[3] = -np.inf
    x[5, 0] = np.nan
    labels = np.arange(rows) % classes

    def f(x):
        picked = cr.take_along_axis(x, labels[:, None], axis=1)
        return (
            cr.softmax(x, axis=1),
            x.sum(1),
            x.max(1, keepdims=True) - x,
            cr.logsumexp(x, axis=1) - picked[:, 0],
        )

    graph = cr.trace(f, x)
    close(run(graph, [x], machine), graph.evaluate(x), graph, [x])


def test_products_that_are_summed_keep_strong_zeros():
    """A gradient of 0 hides an infinite factor in a sum as it does elsewhere; other terms do not."""
    g = np.array([[0.0, -0.0, 2.0], [0.0, 1.0, 3.0], [-0.0, 0.0, np.nan]], "f4")
    factor = np.array([[np.inf, np.nan, -2.0], [1.0, np.inf, 0.5], [-np.inf, 3.0, 0.0]], "f4")
    f = lambda g, x: cr.sum(scale(scale(-scale(g, x), x), x), axis=1)
    expected = f(*map(cr.tensor, (g, factor))).numpy()
    found = cr.compile(f)(g, factor).numpy()
    np.testing.assert_array_equal(found, expected)
    assert not np.signbit(found[expected == 0]).any()


@machines
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [63, 64, 1000], ids=str)
@pytest.mark.parametrize("rows", [3, 49], ids=str)
def test_sums_and_variances_over_rows_that_lie_far_apart(machine, dtype, columns, rows):
    """Columns are reduced some vectors at a time; those left over one by one, and the last under a mask."""
    x = np.random.default_rng(0).normal(3.0, 1.0, (2, rows, columns)).astype(dtype)

    def several(x):
        centred = x - cr.mean(x, axis=1, keepdims=True)
        return (
            cr.sum(x, axis=1),
            cr.sum(centred * centred, axis=1),
            cr.max(x, axis=(0, 1)),
            cr.mean(x, axis=1),
        )

    graph = cr.trace(several, x)
    wide = x.astype(np.longdouble)
    mean = wide.mean(axis=1, keepdims=True)
    exact = (wide.sum(axis=1), ((wide - mean) ** 2).sum(axis=1), x.max(axis=(0, 1)), mean[:, 0])
    for got, wanted in zip(run(graph, [x], machine), exact, strict=True):
        np.testing.assert_allclose(got, wanted.astype(dtype), rtol=64 * np.finfo(dtype).eps)


@machines
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=str)
@pytest.mark.parametrize(
    "shape", [(25, 10, 40), (3, 7, 101), (4, 6, 9), (2, 8, 300), (5, 11, 64), (40, 20, 1000)], ids=str
)
def test_rows_that_share_factors_are_summed_together(machine, dtype, shape):
    """Weighted, summed along rows and kept, as in a gradient; the weights are those of several rows."""
    rng = np.random.default_rng(2)
    x, b = rng.normal(size=shape).astype(dtype), rng.normal(size=shape[:2]).astype(dtype)
    w = (rng.normal(size=(shape[0], 1, shape[2])) * (rng.random((shape[0], 1, shape[2])) < 0.8)).astype(dtype)
    x[0, 1, w[0, 0] == 0] = np.inf  # meets strong zeros

    def f(x, w, b):
        product = scale(w, x)
        return product, b + cr.sum(product, axis=2), cr.sum(x * x * w, axis=2), cr.sum(cr.abs(w - x), axis=2)

    def finite(x, w, b):
        product, *sums = f(x, w, b)
        return product, *(cr.where(cr.isfinite(s), s, 0.0) for s in sums)

    graph = cr.trace(finite, x, w, b)
    wanted = graph.evaluate(x, w, b)
    ones, others = (run(graph, [x, w, b], machine, threads=t) for t in (1, 3))
    tolerance = 2e-4 if dtype == np.float32 else 1e-11
    for one, other, reference in zip(ones, others, wanted, strict=True):
        assert bits(one) == bits(other)
        np.testing.assert_allclose(one, reference, rtol=tolerance, atol=tolerance * np.sqrt(shape[2]))
