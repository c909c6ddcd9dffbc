"""Remainders, quotients rounded down and powers of integers as native code: NumPy's results, to the last bit."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import target
from chainrule.errors import ArgumentError
from chainrule.modes import silently
from chainrule.shapes import FLOATS, INTS
from compiler.same_bits import bits
from compiler.test_compiled_graphs import run, sets

machines = pytest.mark.parametrize("machine", sets())
floats = pytest.mark.parametrize("dtype", FLOATS, ids=str)
ints = pytest.mark.parametrize("dtype", INTS, ids=str)


def every_exponent(dtype, n, rng):
    """Floats with random bits: of all magnitudes, with nan and infinities among them."""
    whole = rng.integers(0, 256, n * dtype.itemsize, dtype=np.uint8)
    return whole.view(dtype)


def special(dtype):
    limits = np.finfo(dtype)
    sizes = [0, 1, 2.5, 3, 7, 0.1, np.inf, np.nan, limits.max, limits.tiny, limits.smallest_subnormal]
    return np.array([*sizes, *(-x for x in sizes)], dtype)


def ordinary(dtype, n, rng):
    return (np.round(rng.normal(size=n) * 100) / rng.choice([1, 4, 10], n)).astype(dtype)


def same(function, evaluate, arrays, machine):
    (got,) = run(cr.trace(function, *arrays), arrays, machine)
    assert bits(got) == bits(silently(evaluate, *arrays))


@machines
@floats
def test_floats_of_all_magnitudes_have_numpys_remainders(machine, dtype):
    rng = np.random.default_rng(3)
    a = np.concatenate([every_exponent(dtype, 3000, rng), ordinary(dtype, 3000, rng)])
    b = np.concatenate([rng.permutation(a), every_exponent(dtype, 1500, rng), ordinary(dtype, 1500, rng)])
    for x, y in ((a, b[: a.size]), (np.resize(a, b.size), b)):
        same(cr.remainder, np.remainder, [x, y], machine)
        same(cr.floor_divide, np.floor_divide, [x, y], machine)


@machines
@floats
def test_special_floats_by_special_floats(machine, dtype):
    x = special(dtype)
    same(cr.remainder, np.remainder, [x[:, None], x], machine)
    same(cr.floor_divide, np.floor_divide, [x[:, None], x], machine)


@machines
@floats
def test_one_divisor_for_all(machine, dtype):
    x = np.linspace(-1e6, 1e6, 1001, dtype=dtype)
    same(lambda x: cr.remainder(x, 0.3), lambda x: np.remainder(x, dtype.type(0.3)), [x], machine)
    same(lambda x: x // -7.0, lambda x: np.floor_divide(x, dtype.type(-7)), [x], machine)


@machines
@ints
def test_powers_of_integers_wrap_around(machine, dtype):
    rng = np.random.default_rng(4)
    base, exponent = rng.integers(-50, 50, 203).astype(dtype), rng.integers(0, 70, 203).astype(dtype)
    same(cr.power, np.power, [base, exponent], machine)
    same(lambda x: x**3, lambda x: x**3, [base], machine)
    same(lambda p: cr.power(p * 0 + 3, p), lambda p: np.power(p * 0 + 3, p), [exponent], machine)
    same(cr.power, np.power, [base, np.zeros(1, dtype)], machine)


@machines
def test_a_negative_exponent_of_an_integer_is_the_error_it_is_without_compiling(machine):
    base, exponent = np.array([2, 3, 4]), np.array([1, -2, 0])
    graph = cr.trace(lambda x, p: cr.power(x, p) + 1, base, exponent)
    with pytest.raises(ArgumentError, match="negative exponent, got exponent -2"):
        run(graph, [base, exponent], machine)
    assert run(graph, [base, np.abs(exponent)], machine)[0].tolist() == [3, 10, 2]


def test_a_known_exponent_needs_no_check():
    compiled = cr.compile(lambda x: x**3)
    assert compiled(np.array([2, -3])).tolist() == [8, -27]
    if target.host() is not None:
        assert [line.kind for line in compiled.explain().lines] == ["kernel"]
