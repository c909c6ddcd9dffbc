"""Compiled programs on disk: the same graph runs at once, any other is compiled."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule import primitive
from chainrule.compiler import records
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import cache, target
from chainrule.errors import AxisError
from chainrule.node import apply
from compiler.random_graphs import random_gradient_graph, random_graph

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="this machine has no native code")


def key(graph, threads=2, donated=(), denormals=True):
    assert HOST is not None
    return records.key_of(graph, HOST, threads, dict(donated), denormals)


def was_lowered(program):
    """Whether passes ran and code was written, rather than read from disk."""
    return "lowered" in program.__dict__


def traced(f, *args):
    return cr.trace(f, *args)


@given(seed=st.integers(0, 2000))
def test_a_program_from_disk_gives_the_same_bits(seed):
    graph, inputs = (random_gradient_graph if seed % 2 else random_graph)(seed, 4 + seed % 20)
    inputs = [np.ascontiguousarray(x).reshape(np.shape(x)) for x in inputs]
    first = Executable(graph, HOST, 2)
    second = Executable(graph, HOST, 2)
    calls_numpy = any(step.kernel is None for step in first.lowered.steps)
    assert calls_numpy or not first.lowered.segments or not was_lowered(second)
    for a, b in zip(first(inputs), second(inputs), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(a, b)


def test_a_function_traced_again_is_the_same_program():
    def loss(w, x):
        return (cr.relu(x @ w) ** 2).mean()

    w, x = np.ones((20, 30), np.float32), np.ones((40, 20), np.float32)
    keys = {key(traced(cr.grad(loss), w, x)) for _ in range(3)}
    assert len(keys) == 1 and None not in keys


def test_everything_that_a_program_depends_on_is_in_its_key():
    x, y = np.ones((4, 4), np.float32), np.ones((4, 4))
    graphs = [
        traced(lambda a: a + 1, x),
        traced(lambda a: a + 2, x),
        traced(lambda a: a - 1, x),
        traced(lambda a: a + 1, y),
        traced(lambda a: a + 1, x[:3]),
        traced(lambda a: a + np.full((4, 4), 1, np.float32), x),
        traced(lambda a: a + np.arange(16, dtype=np.float32).reshape(4, 4), x),
        traced(lambda a: (a + 1, a), x),
        traced(lambda a: (a, a + 1), x),
        traced(lambda a: a.sum(0), x),
        traced(lambda a: a.sum(1), x),
        traced(lambda a: a[0:2], x),
        traced(lambda a: a[1:3], x),
        traced(lambda a, b: a - b, x, x),
        traced(lambda a, b: b - a, x, x),
    ]
    assert len({key(g) for g in graphs}) == len(graphs)
    graph = graphs[-1]
    others = [key(graph), key(graph, threads=1), key(graph, donated={0: 0}), key(graph, donated={0: 1})]
    assert len({*others, key(graph, denormals=False)}) == 5


def test_constants_are_found_again():
    """One that the user gave, and one that was computed from it when the function was compiled."""
    table = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)

    def f(x):
        return x @ table + np.exp(table).sum(0), cr.tensor(table)

    x = np.ones((5, 3), np.float32)
    graph = traced(f, x)
    first, second = Executable(graph, HOST, 2), Executable(graph, HOST, 2)
    assert not was_lowered(second)
    for a, b, expected in zip(
        first([x]), second([x]), (x @ table + np.exp(table).sum(0), table), strict=True
    ):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, expected, rtol=1e-5)


def test_labels_are_checked_by_a_program_from_disk():
    def loss(scores, labels):
        return cr.nn.softmax_cross_entropy(scores, labels)

    scores, labels = np.ones((6, 4), np.float32), np.arange(6) % 4
    graph = traced(loss, scores, labels)
    Executable(graph, HOST, 2)
    program = Executable(graph, HOST, 2)
    assert not was_lowered(program)
    assert program([scores, labels])[0] == pytest.approx(np.log(4))
    with pytest.raises(AxisError):
        program([scores, labels + 4])


def test_a_step_from_disk_trains_the_same_parameters():
    x, y = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32), np.arange(20) % 4

    def trained():
        model = cr.nn.Linear(8, 4, key=cr.random.key(0))
        step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(0.01))
        losses = [step(x, y).item() for _ in range(5)]
        return losses, step.model.weight.tolist(), was_lowered(step._bound._executable)

    first, again = trained(), trained()
    assert first[:2] == again[:2] and not again[2]


def test_what_it_says_of_itself_is_the_same():
    graph = traced(lambda x: cr.tanh(x * 2).sum(), np.ones(100))
    first, second = (Executable(graph, HOST, 2).explain() for _ in range(2))
    assert second.from_cache
    assert dataclasses.replace(first, from_cache=True) == second


def test_a_primitive_of_the_users_own_has_no_record(monkeypatch):
    monkeypatch.setattr(primitive, "REGISTRY", dict(primitive.REGISTRY))

    @primitive.register
    class Cube(primitive.Pointwise):
        """What another version of the user's program computes under the same name may differ."""

        name, label, latex = "cube_of_a_test", "cube", "{0}^3"
        evaluate = staticmethod(lambda x: x**3)

        @staticmethod
        def partials(y, x):
            return (3 * x**2,)

    def f(x):
        return apply(Cube, (x,), {}) * 2

    graph = traced(f, np.ones(3))
    assert key(graph) is None
    assert Executable(graph, HOST, 2)([np.full(3, 2.0)])[0].tolist() == [16, 16, 16]


def test_a_damaged_record_is_a_miss():
    graph = traced(lambda x: cr.exp(x) * 3.25, np.ones(7))
    Executable(graph, HOST, 2)
    place = cache.directory() / f"{key(graph)}.object"
    content = place.read_bytes()
    place.write_bytes(content[:-3] + b"abc")
    program = Executable(graph, HOST, 2)
    assert was_lowered(program) and program.from_cache  # the code is still there
    assert not was_lowered(Executable(graph, HOST, 2))


def test_a_record_without_its_code_is_a_miss():
    graph = traced(lambda x: cr.exp(x) * 4.25, np.ones(7))
    Executable(graph, HOST, 2)
    cache.forget(records.read(key(graph), graph).code)
    program = Executable(graph, HOST, 2)
    assert was_lowered(program) and not program.from_cache
    np.testing.assert_allclose(program([np.ones(7)])[0], np.e * 4.25)
