"""Values that wait for a later pass in the place of a result: which, where, and that nothing else is overwritten."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import target
from chainrule.compiler.on_native.revisiting import waits
from chainrule.compiler.on_native.values import Access, Instruction, Loop
from chainrule.ops.arithmetic import Divide, Multiply, Subtract
from chainrule.ops.exponential import Exp
from chainrule.ops.reduce import Max, Sum
from chainrule.shapes import float32, float64

RNG = np.random.default_rng(0)
ROW, NUMBER = Access((8, 1), float64), Access((1, 0), float64)


def softmax(*more, arrays=(ROW, ROW), stores=((1, 5),)):
    """exp(x - max) / sum of rows, and what else is asked for."""
    body = (
        Instruction("load", (), float64, array=0),
        Instruction("reduce", (0,), float64, Max, full=False, known=1),
        Instruction("emit", (0, 1), float64, Subtract, known=1),
        Instruction("emit", (2,), float64, Exp, known=1),
        Instruction("reduce", (3,), float64, Sum, full=False, known=2),
        Instruction("emit", (3, 4), float64, Divide, known=2),
        *more,
    )
    return Loop((100, 8), frozenset([1]), arrays, body, stores)


def test_exponentials_wait_where_the_quotients_will_be():
    (found,) = waits(softmax(), 1)
    assert (found.instruction, found.array, found.first, found.later) == (3, 1, 1, {2})


def test_without_a_place_nothing_waits():
    times = Instruction("emit", (5, 5), float64, Multiply, known=2)
    total = Instruction("reduce", (6,), float64, Sum, full=False, known=3)
    assert waits(softmax(times, total, arrays=(ROW, NUMBER), stores=((1, 7),)), 1) == ()
    apart = Access((1, 100), float64)  # elements that do not lie beside each other
    assert waits(softmax(arrays=(ROW, apart)), 1) == ()
    assert waits(softmax(arrays=(ROW, Access((8, 1), float32))), 1) == ()


def test_what_is_read_again_may_lie_in_the_place():
    """A result may take the memory of what its pass reads."""
    read = Instruction("load", (), float64, array=2)
    less = Instruction("emit", (5, 6), float64, Subtract, known=2)
    assert waits(softmax(read, less, arrays=(ROW, ROW, ROW), stores=((1, 7),)), 1) == ()
    column = Instruction("load", (), float64, array=2, full=False)
    assert waits(softmax(column, less, arrays=(ROW, ROW, NUMBER), stores=((1, 7),)), 1)


def test_what_is_quick_is_computed_again():
    body = (
        Instruction("load", (), float64, array=0),
        Instruction("emit", (0, 0), float64, Multiply),
        Instruction("reduce", (1,), float64, Sum, full=False, known=1),
        Instruction("emit", (1, 2), float64, Multiply, known=1),
    )
    assert waits(Loop((100, 8), frozenset([1]), (ROW, ROW), body, ((1, 3),)), 1) == ()


needs_code = pytest.mark.skipif(target.host() is None, reason="this machine has no native code")


@needs_code
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 5), (7, 33), (2, 1000), (50, 21), (300, 40), (1, 17)])
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_and_its_gradients(dtype, shape, axis):
    x, y = (RNG.normal(size=shape).astype(dtype) for _ in range(2))
    x[0, 0] = 40

    def f(x, y):
        p = cr.softmax(x, axis=axis)
        q = cr.exp(x - cr.max(x, axis=axis, keepdims=True))
        share = q / cr.sum(q, axis=axis, keepdims=True)
        return p, p - y, share * 2, share - x, cr.log(cr.sum(p * y, axis=axis) ** 2 + 1)

    for way in (f, lambda x, y: cr.grad(lambda x: cr.sum(cr.sin(f(x, y)[0]) * y))(x)):
        got, wanted = cr.compile(way)(x, y), way(*map(cr.tensor, (x, y)))
        single = not isinstance(got, tuple)
        for g, w in zip([got] if single else got, [wanted] if single else wanted, strict=True):
            tolerance = 2e-6 if dtype is np.float32 else 1e-14
            np.testing.assert_allclose(np.asarray(g), np.asarray(w), rtol=50 * tolerance, atol=10 * tolerance)


@needs_code
def test_special_rows():
    x = np.zeros((4, 30))
    x[0, 3], x[1], x[2, 5], x[3, 7] = np.inf, -np.inf, np.nan, -np.inf
    f = lambda x: cr.sum(cr.logsumexp(x, axis=1))
    got, wanted = (np.asarray(g(x)) for g in (cr.compile(cr.grad(f)), cr.grad(f)))
    np.testing.assert_allclose(got, wanted, rtol=1e-14, equal_nan=True)
    assert np.array_equal(np.isnan(got), np.isnan(wanted)) and not np.isnan(got[3]).any()


@needs_code
def test_a_parameter_is_replaced_in_place_by_something_with_two_passes():
    w, v = RNG.normal(size=(2, 6, 50))
    graph = cr.trace(lambda w, v: w - 0.1 * cr.softmax(v, axis=1), w, v)
    wanted = np.asarray(graph.evaluate(w, v)[0])
    for threads in (1, 2):
        given = w.copy()
        (found,) = Executable(graph, target.host(), threads, {0: 0})([given, v])
        np.testing.assert_allclose(found, wanted, rtol=1e-13)
        assert np.shares_memory(found, given)
