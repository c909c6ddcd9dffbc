"""Graphs of very many scalars run as a tape: the numbers of eager evaluation, to the last bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.compiler import tape
from chainrule.compiler.on_native.target import host
from chainrule.errors import ArgumentError, DTypeError
from chainrule.node import apply
from chainrule.primitive import REGISTRY
from chainrule.shapes import DTYPES, FLOATS, bool_
from compiler.same_bits import SPECIAL, bits

pytestmark = pytest.mark.skipif(host() is None, reason="there are no kernels for this machine")

EMITTED = {name: op for name, op in sorted(REGISTRY.items()) if op.emit is not None}


def require_same(function, *arrays):
    """A function as a tape, whatever its size, gives what its graph gives when NumPy evaluates it."""
    graph = cr.trace(function, *arrays)
    program = tape.Tape(graph, host())
    for _ in range(2):
        found = program([np.asarray(a) for a in arrays])
        for got, wanted in zip(found, graph.evaluate(*arrays), strict=True):
            assert bits(got) == bits(wanted)
    return program


def numbers(dtype, *values):
    return [np.asarray(v).astype(dtype) for v in values]


@pytest.mark.parametrize("name", EMITTED)
def test_each_primitive_gives_numpys_bits(name):
    op = EMITTED[name]
    for example in op.examples(np.random.default_rng(3)):
        arity = len(example.inputs)
        for dtype in DTYPES:
            for shift in range(len(SPECIAL)):
                values = np.roll(SPECIAL, shift)[:arity] if dtype in FLOATS else [2, 3, 1][:arity]
                kept = [bool_ if x.dtype == bool_ else dtype for x in example.inputs]
                xs = [np.asarray(v).astype(d) for v, d in zip(values, kept, strict=True)]
                try:
                    op.infer(*xs, **example.params)
                except DTypeError:
                    continue
                require_same(lambda *a, p=example.params: apply(op, a, p), *xs)


@st.composite
def programs(draw):
    choices = [
        n for n, op in EMITTED.items() if getattr(op, "result", 0) is None and not op.__dict__.get("params")
    ]
    steps = []
    for place in range(draw(st.integers(1, 40))):
        op = EMITTED[draw(st.sampled_from(choices))]
        steps.append((op, [draw(st.integers(0, place + 2)) for _ in range(op.arity)]))
    return steps


@settings(max_examples=40, deadline=None)
@given(programs(), st.sampled_from(FLOATS), st.integers(0, 2**32 - 1))
def test_random_programs_and_their_gradients(steps, dtype, seed):
    rng = np.random.default_rng(seed)
    given = numbers(dtype, *rng.normal(size=3))

    def program(*xs):
        values = list(xs)
        for op, places in steps:
            values.append(apply(op, tuple(values[i] for i in places), next(iter(op.examples(rng))).params))
        return sum(values, values[0])

    require_same(program, *given)
    require_same(cr.grad(program), *given)


def long(x, w):
    y = x
    for i in range(tape.MANY // 3 + 1):
        y = cr.tanh(y * w + x) if i % 2 else cr.sin(y) - y * y + 0.1
    return y


def test_a_large_program_is_compiled_to_a_tape_and_a_small_one_is_not():
    x, w = np.array(0.3), np.array(0.7)
    compiled = cr.compile(cr.value_and_grad(long, (0, 1)))
    value, gradient = compiled(x, w)
    wanted = cr.value_and_grad(long, (0, 1))(x, w)
    assert bits(value.numpy()) == bits(wanted[0].numpy())
    for got, expected in zip(gradient, wanted[1], strict=True):
        assert bits(got.numpy()) == bits(expected.numpy())
    assert "as a tape" in compiled.explain().text
    assert compiled.explain().to_dict()["steps"][0]["kind"] == "kernel"
    small = cr.compile(lambda x: cr.sin(x) * x)
    small(x)
    assert "as a tape" not in small.explain().text


def test_arrays_before_between_and_behind_scalars():
    w = np.linspace(-1, 1, 5)

    def mixed(w, x):
        y = x
        for i in range(12):
            y = y * w[i % 5] + (w * y).sum()
        return cr.stack([y, x]), y, w + y, w

    program = require_same(mixed, w, np.array(0.3))
    assert "NumPy" in program.explain().text
    require_same(cr.grad(lambda w, x: mixed(w, x)[1], (0, 1)), w, np.array(0.3))


def test_intermediate_arrays_are_let_go():
    def sums(w, x):
        y = x
        for _ in range(10):
            y = y + (w * y).sum()
        return y

    graph = cr.trace(sums, np.ones(3), 0.1)
    calls = [a for a in tape.Tape(graph, host())._actions if isinstance(a, tape.Call)]
    assert sum(len(call.dead) for call in calls) == 10


def test_parameters_that_compare_equal_are_told_apart():
    def slopes(x):
        return cr.leaky_relu(x, 0.0) + 0 * x, cr.leaky_relu(x, -0.0), cr.leaky_relu(x, 0.5)

    require_same(slopes, np.array(-2.0))
    require_same(lambda x: (cr.astype(x, cr.float32), cr.astype(x, cr.int32)), np.array(2.7))


def test_inputs_that_are_results_and_constants():
    require_same(lambda x, y: (y, x, x * 2.0, cr.tensor(3.0), y), *numbers(cr.float64, 1, 2))


def test_an_error_of_numpy_is_raised_and_the_next_run_is_right():
    graph = cr.trace(lambda a, b: a**b + a, np.array(2), np.array(3))
    program = tape.Tape(graph, host())
    with pytest.raises(ArgumentError, match="negative exponent"):
        program([np.array(2), np.array(-3)])
    assert program([np.array(2), np.array(3)])[0] == 10


def test_threads_take_turns():
    graph = cr.trace(long, np.array(0.1), np.array(0.2))
    program = tape.Tape(graph, host())
    given = [(np.array(0.1 * i), np.array(0.7)) for i in range(4)]
    wanted = [bits(graph.evaluate(*pair)[0]) for pair in given]
    found = [[] for _ in given]

    def work(i):
        for _ in range(10):
            found[i].append(bits(program(given[i])[0]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(set(f) == {w} and len(f) == 10 for f, w in zip(found, wanted, strict=True))
