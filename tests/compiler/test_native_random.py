"""Random numbers in native code: NumPy's bits, whatever the loop that they are made in."""

import ctypes

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import ir, jit, program, target
from chainrule.compiler.on_native.lowering import steps_of
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.random_numbers import Counters, Key, generate, normal32, normal64
from chainrule.compiler.passes.expand import expand
from chainrule.ops import threefry
from chainrule.ops.random import RandomBits
from chainrule.shapes import FLOATS, int64
from compiler.same_bits import bits
from compiler.test_compiled_graphs import run, sets

machines = pytest.mark.parametrize("machine", sets())
native = pytest.mark.skipif(target.host() is None, reason="no native code for this machine")
KEY = np.array([0x9E3779B9, 0xFFFFFFFF])
SHAPES = [(), (1,), (31,), (3, 5), (4, 0, 2)]


def same(function, arrays, machine, threads=2):
    graph = cr.trace(function, *arrays)
    for got, wanted in zip(run(graph, arrays, machine, threads), graph.evaluate(*arrays), strict=True):
        assert bits(got) == bits(wanted)


@machines
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numbers_of_every_kind(machine, shape):
    def every(key):
        for width in (32, 64):
            yield cr.random.bits(key, shape, width=width)
        for dtype in FLOATS:
            yield cr.random.uniform(key, shape, dtype)
            yield cr.random.normal(key, shape, dtype)
            yield cr.random.uniform(key, shape, dtype, low=-2.0, high=3.0)
        yield cr.random.bernoulli(key, 0.3, shape)
        yield cr.random.randint(key, shape, -5, 12)

    same(lambda key: tuple(every(key)), [KEY], machine)


@machines
def test_keys_made_of_keys(machine):
    def every(key, number, small):
        yield cr.random.fold_in(key, number)
        yield cr.random.fold_in(key, small)
        yield from cr.random.split(key, 5)
        a, b = cr.random.split(cr.random.fold_in(key, number))
        yield cr.random.normal(b, (3,)) * cr.random.uniform(a)

    for number in (0, 7, -1, 2**40, -(2**63)):
        small = np.array(number % 1000 - 500, np.int32)
        same(lambda *xs: tuple(every(*xs)), [KEY, np.array(number), small], machine)


@machines
def test_numbers_do_not_depend_on_the_loop_in_which_they_are_made(machine):
    row, column = np.linspace(1, 2, 7), np.linspace(3, 4, 5)[:, None]

    def every(key, row, column):
        yield cr.random.normal(key, (5, 7), cr.float32) * cr.astype(row, cr.float32)
        yield cr.random.bits(key, (5, 7), width=32) + cr.astype(column, cr.int64)
        yield cr.where(cr.random.uniform(key, (5, 7)) < 0.5, row + column, 0.0)
        yield cr.random.uniform(key, (4, 5, 7), cr.float32).mT[::2] + 1
        yield cr.random.normal(key, (5, 7)).sum(axis=0)[:0]
        yield cr.random.uniform(key, (5, 1)) + cr.random.normal(key, (5, 1)) * column

    same(lambda *xs: tuple(every(*xs)), [KEY, row, column], machine)


@machines
def test_many_numbers_on_any_number_of_threads(machine):
    for threads in (1, 3):
        same(
            lambda key: (cr.random.normal(key, (100_003,), cr.float32), cr.random.bits(key, (300, 333))),
            [KEY],
            machine,
            threads,
        )


def call(emit, *arrays):
    """Compile code that reads and writes arrays, and run it."""
    f = ir.Function("made", [(f"%a{i}", ir.PTR) for i in range(len(arrays))], target.host())
    emit(f, *f.parameters)
    library = jit.build(module([f]), ["made"], target.host())
    library.function("made", *[ctypes.c_void_p] * len(arrays))(*[a.ctypes.data for a in arrays])


@native
@pytest.mark.parametrize("first", [0, 2**32 - 3, 2**40 + 1])
def test_counters_beyond_32_bits(first):
    def emit(f, key, out):
        made = Key.load(f, key, 1, 8)
        counters = Counters(first, 1, 8, False)
        f.store(generate(f, RandomBits, int64, 64, made, counters, ()), out)

    found = np.empty(8, np.int64)
    call(emit, KEY, found)
    assert (
        found.view(np.uint64).tolist()
        == threefry.words64((0x9E3779B9, 0xFFFFFFFF), first, first + 8).tolist()
    )


@native
def test_normal_numbers_out_to_the_ends():
    """Words that hardly ever occur: the middle, both ends, and the powers of two between them."""
    tails = np.array(
        [0, 1, 2, 3, 2**63 - 1, 2**62, *(2**n + d for n in range(2, 63) for d in (-1, 1))], np.uint64
    )
    words = np.concatenate([tails, tails | np.uint64(2**63)])
    words = np.resize(words, -(-words.size // 8) * 8)

    def emit64(f, x, y, out):
        def eight(i, _):
            kind = ir.I32.vector(8)
            z = normal64(f, f.load(f.at(x, i, kind), kind), f.load(f.at(y, i, kind), kind))
            f.store(z, f.at(out, i, z.type))

        f.loop(0, words.size, 8, eight)

    found = np.empty(words.size)
    high, low = (words >> np.uint64(32)).astype(np.uint32), words.astype(np.uint32)
    call(emit64, high, low, found)
    tail = (words & np.uint64(2**63 - 1)) | np.uint64(1)
    z = threefry.upper_quantile(tail.astype(np.float64) * 2.0**-64)
    assert found.tobytes() == np.where(words >> np.uint64(63) == 1, -z, z).tobytes()
    assert 9.07 < found.max() < 9.09

    def emit32(f, x, out):
        def eight(i, _):
            z = normal32(f, f.load(f.at(x, i, ir.I32), ir.I32.vector(8)))
            f.store(z, f.at(out, i, z.type))

        f.loop(0, words.size, 8, eight)

    found = np.empty(words.size, np.float32)
    call(emit32, high, found)
    tail = (high & np.uint32(2**31 - 1)) | np.uint32(1)
    z = threefry.upper_quantile(tail.astype(np.float32) * np.float32(2.0**-32))
    assert found.tobytes() == np.where(high >> np.uint32(31) == 1, -z, z).tobytes()


def step(w, key, number, x, y):
    def loss(w):
        first, second = cr.random.split(cr.random.fold_in(key, number))
        hidden = cr.random.dropout(first, cr.relu(x @ w["a"]), 0.25)
        noisy = hidden + cr.random.normal(second, hidden.shape, cr.float32, std=0.1)
        return ((noisy @ w["b"] - y) ** 2).mean()

    value, slope = cr.value_and_grad(loss)(w)
    return value, {name: w[name] - 0.1 * slope[name] for name in w}


def given():
    rng = np.random.default_rng(0)
    a, b, x, y = (rng.normal(size=s).astype(np.float32) for s in ((6, 20), (20, 3), (40, 6), (40, 3)))
    return {"a": a, "b": b}, KEY, np.array(3), x, y


@native
def test_a_training_step_with_dropout_is_native_and_keeps_the_mask_as_truth_values():
    compiled = cr.compile(step)
    value, after = compiled(*given())
    lines = compiled.explain().lines
    assert all(line.kind == "kernel" for line in lines)
    assert "bool[40, 20]" in [result for line in lines for result in line.results]
    assert "int64[40, 20]" not in [result for line in lines for result in line.results]
    weights, key, number, x, y = given()
    expected, wanted = step(
        {k: cr.tensor(v) for k, v in weights.items()}, *map(cr.tensor, (key, number, x, y))
    )
    np.testing.assert_allclose(value.numpy(), expected.numpy(), rtol=1e-5)
    for name in after:
        np.testing.assert_allclose(after[name].numpy(), wanted[name].numpy(), rtol=1e-4, atol=1e-6)


def test_machines_that_are_not_here_can_be_written_for():
    neon = target.forced("neon", "aarch64-unknown-linux-gnu")
    graph, flags = expand(cr.trace(step, *given()))
    assert not flags
    steps, _, _ = steps_of(graph, neon, {}, ())
    arrays = dict.fromkeys(place.array for step in steps for place in step.places)
    text = module(program.functions([steps], {array: (i + 2, 0) for i, array in enumerate(arrays)}, neon))
    assert "fsqrt" in jit.assembly(text, neon)


@native
def test_a_loop_makes_its_numbers_once():
    """What needs several passes over a row reads them from memory."""
    report = Executable(
        cr.trace(lambda key: cr.softmax(cr.random.normal(key, (30, 20)), axis=1), KEY), target.host(), 1
    ).explain()
    first, *others = report.lines
    assert first.nodes == ("random_normal",)
    assert len(others) == 1
