"""Integer arrays as indices in native code: NumPy's bits, the user's errors, and no foreign memory."""

import ctypes

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import ir, jit, program, target
from chainrule.compiler.on_native.lowering import steps_of
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.picking import picked
from chainrule.compiler.passes.expand import expand
from chainrule.errors import AxisError
from chainrule.shapes import DTYPES, bool_, float32, int32, int64
from compiler.same_bits import bits
from compiler.test_compiled_graphs import run, sets

machines = pytest.mark.parametrize("machine", sets())
native = pytest.mark.skipif(target.host() is None, reason="no native code for this machine")
RNG = np.random.default_rng(0)


def numbers(shape, dtype):
    return (RNG.normal(size=shape) * 9).astype(dtype)


def places(shape, size):
    return RNG.integers(-size, size, shape)


def same(function, arrays, machine, threads=2):
    graph = cr.trace(function, *arrays)
    for got, wanted in zip(run(graph, arrays, machine, threads), graph.evaluate(*arrays), strict=True):
        assert bits(got) == bits(wanted)


def all_native(function, *arrays):
    report = Executable(cr.trace(function, *arrays), target.host(), 2).explain()
    return all(line.kind == "kernel" for line in report.lines)


CASES = {
    "rows": ((7, 5), [places((6, 4), 7)], lambda i: i),
    "columns": ((4, 9), [places((13,), 9)], lambda i: (slice(None), i)),
    "elements": ((6, 8), [places((5, 1), 6), places((3,), 8)], lambda i, j: (i, j)),
    "apart": ((3, 4, 5, 2), [places((7, 1), 3), places((2,), 5)], lambda i, j: (i, slice(None), j)),
    "cut": ((6, 5, 7), [places((4,), 5)], lambda i: (slice(None, None, -2), i, slice(5, 1, -2), None)),
    "beside numbers": ((3, 4, 5), [places((6,), 4)], lambda i: (-1, i, 2)),
    "one": ((5, 3), [places((), 5)], lambda i: i),
    "short rows": ((50, 3), [places((40,), 50)], lambda i: i),
    "lines": ((6, 8), [np.arange(6)[:, None], places((6, 3), 8)], lambda i, j: (i, j)),
}


def everything(x, v, at):
    yield x[at]
    yield x.at[at].set(v)
    yield x.at[at].set(v[:1] if v.ndim else v)
    if x.dtype != bool_:
        yield x.at[at].add(v)
        yield x.at[at].add(cr.flip(v) if v.ndim else v)


@machines
@pytest.mark.parametrize("case", CASES)
def test_reading_adding_and_setting(machine, case):
    shape, arrays, index = CASES[case]
    x = numbers(shape, float32)
    selected = numbers(x[index(*arrays)].shape, float32)
    same(lambda x, v, *i: tuple(everything(x, v, index(*i))), [x, selected, *arrays], machine)


@native
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", ["rows", "elements", "lines"])
def test_every_dtype_and_indices_that_are_known(case, dtype):
    shape, arrays, index = CASES[case]
    x = numbers(shape, dtype)
    selected = numbers(x[index(*arrays)].shape, dtype)
    small = [a.astype(np.int32) for a in arrays]
    same(lambda x, v, *i: tuple(everything(x, v, index(*i))), [x, selected, *small], target.host())
    same(lambda x, v: tuple(everything(x, v, index(*arrays))), [x, selected], target.host())


@machines
def test_arrays_that_are_turned_repeated_and_converted(machine):
    x, ids = numbers((8, 6), float32), places((5, 4), 6)

    def everything(x, ids):
        yield x.T[ids]
        yield cr.flip(x, axis=1)[:, ids.T]
        yield cr.broadcast_to(x[:, :1], (8, 6))[cr.flip(ids)]
        yield cr.take_along_axis(x, ids[:, :1] * np.ones((1, 6), np.int64), axis=0)
        yield cr.diagonal(x)
        yield x.at[ids].set(cr.astype(x[:1, :1], cr.float64))

    same(lambda *xs: tuple(everything(*xs)), [x, ids], machine)


LARGE = {
    "places": ((3000, 260), [places((9, 100), 3000)], lambda i: i),
    "columns": ((4, 40_000), [places((9,), 4)], lambda i: i),
    "lines": ((300, 50), [np.arange(300)[:, None], places((300, 400), 50)], lambda i, j: (i, j)),
    "one task": ((10,), [places((90_000,), 10)], lambda i: i),
}


@machines
@pytest.mark.parametrize("case", LARGE)
def test_sums_keep_their_order_on_any_number_of_threads(machine, case):
    shape, arrays, index = LARGE[case]
    x = numbers(shape, float32)
    values = numbers(x[index(*arrays)].shape, float32)

    def function(x, v, *arrays):
        return x[index(*arrays)], x.at[index(*arrays)].add(v), x.at[index(*arrays)].set(v)

    for threads in (1, 3):
        same(function, [x, values, *arrays], machine, threads)


@native
def test_an_embedding_and_its_gradient_are_native():
    w, ids = numbers((50, 16), float32), places((4, 6), 50)
    assert all_native(cr.value_and_grad(lambda w: (w[ids] ** 2).sum()), w)
    assert all_native(lambda w, ids: cr.grad(lambda w: (cr.take(w, ids, axis=0) ** 2).sum())(w), w, ids)
    assert all_native(lambda x, i: cr.take_along_axis(x, i), w, places((50, 3), 16))
    assert all_native(lambda i: cr.one_hot(i, 3000, cr.float32), np.arange(5))
    assert all_native(lambda w, i: w.at[i, :3].set(1.0), w, ids)


@native
def test_what_follows_a_lookup_runs_in_its_loop():
    w, position = numbers((50, 16), float32), numbers((6, 16), float32)

    def embedded(w, position, ids):
        return (w[ids] + position) * 2.0

    report = Executable(cr.trace(embedded, w, position, places((4, 6), 50)), target.host(), 1).explain()
    assert ("getitem", "add", "multiply") in [line.nodes for line in report.lines]


WRONG = (8, -9, 2**31 - 1, -(2**31) + 1)


@native
@pytest.mark.parametrize("kind", [int32, int64], ids=str)
def test_an_index_out_of_range_is_the_users_error(kind):
    x = numbers((7, 5), float32)
    good = np.array([0, 3, -7], kind)
    functions = (
        lambda x, i: x[i] * 2,
        lambda x, i: x.at[i].add(1.0),
        lambda x, i: x.at[i].set(0.0),
        lambda x, i: cr.grad(lambda x: (x[i, :2] ** 2).sum())(x),
        lambda x, i: x.T[:, i],
        lambda x, i: cr.one_hot(cr.abs(i), 8),
    )
    for function in functions:
        program = cr.compile(function)
        wanted = program(x, good).numpy()
        for wrong in WRONG:
            bad = np.array([0, wrong, 1], kind)
            with pytest.raises(AxisError) as eager:
                function(cr.tensor(x), cr.tensor(bad))
            with pytest.raises(AxisError) as compiled:
                program(x, bad)
            said = [str(error.value).splitlines()[0].partition(": ")[2] for error in (eager, compiled)]
            assert said[0] == said[1]
        np.testing.assert_array_equal(program(x, good).numpy(), wanted)


@native
@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_of_several_arrays_is_checked(which):
    x = numbers((7, 7, 7), float32)
    given = [np.zeros(3, np.int64) for _ in range(3)]
    program = cr.compile(lambda x, i, j, k: (x[i].sum() + x[:, j].sum() + x[:, :, k].sum(), x[i, j, k]))
    program(x, *given)
    given[which] = np.array([0, 7, 0])
    with pytest.raises(AxisError, match="index 7 is out of range"):
        program(x, *given)


@native
def test_parameters_stay_as_they_are_when_an_index_is_wrong():
    class Lookup(cr.nn.Module):
        def __init__(self):
            self.table = cr.tensor(numbers((9, 4), float32), requires_grad=True)

        def __call__(self, ids):
            return self.table[ids]

    step = cr.train.compile_step(Lookup(), cr.nn.mean_squared_error, cr.optim.gradient_descent(0.1))
    y = np.zeros((2, 4), np.float32)
    step(np.array([1, 2]), y)
    before = step.model.table.numpy().copy()
    with pytest.raises(AxisError):
        step(np.array([1, 9]), y)
    assert step.model.table.numpy().tobytes() == before.tobytes()
    step(np.array([1, 2]), y)
    assert step.model.table.numpy().tobytes() != before.tobytes()


@machines
def test_a_table_is_not_overwritten_before_it_has_been_read(machine):
    w, ids = numbers((30, 4), float32), places((30,), 30)
    graph = cr.trace(lambda w, ids: w * 0.5 + w[ids], w, ids)
    wanted = graph.evaluate(w, ids)[0]
    given = w.copy()
    (found,) = Executable(graph, machine, 2, {0: 0})([given, ids])
    assert found is given
    assert bits(found) == bits(wanted)


@native
@pytest.mark.parametrize("kind", [ir.I32, ir.I64], ids=str)
def test_whatever_the_indices_are_they_lead_into_the_array(kind):
    """The check that comes first may come too late for a kernel on another thread."""
    size, step, lanes = 10, 3, 4
    f = ir.Function("lead", [("%index", ir.PTR), ("%place", ir.PTR)], target.host())
    index, place = f.parameters
    f.store(picked(f, [f.load(index, kind.vector(lanes))], ((size, step),)), place)
    library = jit.build(module([f]), ["lead"], target.host())
    call = library.function("lead", *[ctypes.c_void_p] * 2)
    limits = np.iinfo(np.int32 if kind is ir.I32 else np.int64)
    for row in (
        [0, 9, -1, -10],
        [10, -11, 99, -99],
        [limits.min, limits.max, limits.min + 5, limits.max - 5],
    ):
        given, found = np.array(row, limits.dtype), np.empty(lanes, np.int64)
        call(given.ctypes.data, found.ctypes.data)
        inside = (-size <= given) & (given < size)
        assert ((found >= 0) & (found <= (size - 1) * step) & (found % step == 0)).all()
        assert (found[inside] == (given[inside].astype(np.int64) % size) * step).all()


def test_machines_that_are_not_here_can_be_written_for():
    neon = target.forced("neon", "aarch64-unknown-linux-gnu")
    w, ids = numbers((3000, 260), float32), places((9, 100), 3000)
    graph, flags = expand(cr.trace(lambda w, i: cr.value_and_grad(lambda w: (w[i] ** 2).sum())(w), w, ids))
    steps, _, _ = steps_of(graph, neon, {}, graph.outputs[-flags:])
    arrays = dict.fromkeys(place.array for step in steps for place in step.places)
    text = module(program.functions([steps], {array: (i + 2, 0) for i, array in enumerate(arrays)}, neon))
    assert "scatter_neon" in jit.assembly(text, neon)
