"""Scans as native code have NumPy's bits: along any axis, in both directions, wherever the input lies."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import jit, target
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.scans import Scan, lower
from chainrule.compiler.on_native.values import Access, Loop
from chainrule.node import apply
from chainrule.ops.scan import CumulativeSum, LinearRecurrence, linear_recurrence
from chainrule.shapes import DTYPES, bool_, float32
from compiler.same_bits import SPECIAL, bits
from compiler.test_compiled_graphs import run, sets

machines = pytest.mark.parametrize("machine", sets())
NUMBERS = [d for d in DTYPES if d != bool_]


def numbers(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype.kind == "i":
        return rng.integers(-(2**30), 2**30, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def same(function, arrays, machine, threads=2):
    graph = cr.trace(function, *arrays)
    for got, wanted in zip(run(graph, arrays, machine, threads), graph.evaluate(*arrays), strict=True):
        assert bits(got) == bits(wanted)


def backward(x, axis):
    return apply(CumulativeSum, (x,), {"axis": axis, "reverse": True})


@machines
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
@pytest.mark.parametrize("shape", [(5, 37, 3), (1, 1, 9), (2, 70, 1), (3, 2, 130)], ids=str)
def test_sums_and_products_along_every_axis(machine, dtype, shape):
    x = numbers(shape, dtype)

    def every(x):
        for axis in range(3):
            yield cr.cumulative_sum(x, axis=axis, dtype=dtype)
            yield cr.cumulative_prod(x, axis=axis, dtype=dtype)
            yield backward(x, axis)

    same(lambda x: tuple(every(x)), [x], machine)


@machines
def test_recurrences_along_every_axis_in_both_directions(machine):
    a, b = numbers((4, 19, 21), float32), numbers((4, 19, 21), float32, 1)

    def every(a, b):
        for axis in range(3):
            for reverse in (False, True):
                yield linear_recurrence(a, b, axis=axis, reverse=reverse)

    same(lambda a, b: tuple(every(a, b)), [a, b], machine)


@machines
def test_inputs_that_are_turned_flipped_cut_and_repeated(machine):
    x, column = numbers((40, 33), float32), numbers((40, 1), float32, 1)

    def every(x, column):
        yield cr.cumulative_sum(x.T, axis=0)
        yield cr.cumulative_sum(x.T, axis=1)
        yield cr.cumulative_sum(cr.flip(x, axis=1), axis=1)
        yield cr.cumulative_sum(x[::2, 3:20], axis=0)
        yield linear_recurrence(column, x, axis=0)
        yield linear_recurrence(column, x, axis=1)
        yield linear_recurrence(x.T, x[:, 0], axis=1, reverse=True)

    same(lambda *xs: tuple(every(*xs)), [x, column], machine)


@machines
def test_infinite_factors_carry_nothing_of_zero(machine):
    special = np.resize(np.array(SPECIAL), (11, 18))
    a, b = np.roll(special, 1), np.roll(special, 5, 0)
    graph = cr.trace(lambda a, b: tuple(linear_recurrence(a, b, axis=axis) for axis in (0, 1)), a, b)
    for got, wanted in zip(run(graph, [a, b], machine), graph.evaluate(a, b), strict=True):
        np.testing.assert_array_equal(got, wanted)  # but for the sign of zeros


@machines
@pytest.mark.parametrize("shape", [(700, 300), (300, 700), (3, 70_000), (70_000, 3)], ids=str)
def test_work_for_many_tasks(machine, shape):
    x = numbers(shape, float32)
    for threads in (1, 3):
        same(lambda x: (cr.cumulative_sum(x, axis=0), cr.cumulative_sum(x, axis=1)), [x], machine, threads)


def test_a_gradient_through_a_scan_is_native():
    x = numbers((9, 8), float32)
    compiled = cr.compile(cr.grad(lambda x: cr.sum(cr.cumulative_prod(cr.cumulative_sum(x, axis=0), axis=1))))
    wanted = cr.grad(lambda x: cr.sum(cr.cumulative_prod(cr.cumulative_sum(x, axis=0), axis=1)))(x)
    np.testing.assert_allclose(compiled(x).numpy(), wanted.numpy(), rtol=1e-4, atol=1e-4)
    if target.host() is not None:
        assert all(line.kind == "kernel" for line in compiled.explain().lines)


def test_machines_that_are_not_here_can_be_written_for():
    neon = target.forced("neon", "aarch64-unknown-linux-gnu")
    lines = Loop((6, 40), frozenset(), tuple(Access((40, 1), float32) for _ in range(3)), (), ())
    kernel = lower(Scan(LinearRecurrence, 9, False, lines, (240, 240, 240), float32), neon)
    assert "fadd" in jit.assembly(module(kernel.functions), neon)
