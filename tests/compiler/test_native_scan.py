"""Scans as machine code: one loop over the kernels of a step, with the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from chainrule.autodiff.scan import Scan
from chainrule.compiler import passes
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import target
from chainrule.transforms.compiled import traced

MACHINE = target.host()
pytestmark = pytest.mark.skipif(MACHINE is None, reason="no native code for this machine")


def lstm(weights, x, reverse=False, **options):
    """The outputs of an LSTM, shape (time, batch, features)."""
    start = cr.zeros(x.shape[1:2] + weights["h"].shape[:1], dtype=x.dtype)

    def step(carry, given):
        h, c = carry
        i, f, g, o = cr.split(given + h @ weights["h"], 4, axis=-1)
        c = cr.sigmoid(f) * c + cr.sigmoid(i) * cr.tanh(g)
        h = cr.sigmoid(o) * cr.tanh(c)
        return (h, c), h

    projected = x @ weights["x"] + weights["b"]
    return cr.scan(step, (start, start), projected, reverse=reverse, **options)[1]


def made(length, batch=4, features=12, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape).astype(dtype)
    weights = {"x": normal(8, 4 * features), "h": normal(features, 4 * features), "b": normal(4 * features)}
    return trees.map_leaves(lambda w: w / 4, weights), normal(length, batch, 8)


def loss(weights, x):
    return (lstm(weights, x) ** 2).sum()


def kernels(report):
    return [line for line in report.lines if line.kind == "kernel"]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_lstm_gives_what_numpy_gives(dtype, length, reverse):
    f = cr.value_and_grad(lambda w, x: (lstm(w, x, reverse) ** 2).sum(), (0, 1))
    arguments = made(length, dtype=dtype)
    compiled = cr.compile(f)
    for found, expected in zip(trees.leaves(compiled(*arguments)), trees.leaves(f(*arguments)), strict=True):
        tolerance = 1e-12 if dtype is np.float64 else 2e-5
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance)
    assert all(line.kind == "kernel" for line in compiled.explain().lines)


@pytest.mark.parametrize("shape", [(4, 12), (33, 70)])
def test_the_bits_do_not_depend_on_the_threads(shape):
    arguments = made(9, *shape)
    graph, _ = traced(cr.value_and_grad(loss, (0, 1)), arguments, {})
    arrays = trees.leaves(arguments)
    expected = None
    for threads in (1, 2, 3):
        program = Executable(graph, MACHINE, threads)
        for _ in range(2):
            found = [a.tobytes() for a in program(arrays)]
            assert expected in (None, found)
            expected = found


def test_a_long_scan_is_no_more_code_than_a_short_one():
    """The same kernels, and as much text: only the number of turns differs."""
    sizes = []
    for length in (100, 1000):
        graph, _ = traced(cr.grad(loss), made(length), {})
        scans = [s.kernel for s in Executable(graph, MACHINE, 1).lowered.steps if s.inside]
        sizes.append([sum(len(f.text()) for f in kernel.functions) // 100 for kernel in scans])
    assert sizes[0] == sizes[1] and len(sizes[0]) == 2


def test_explain_shows_what_is_inside():
    run = cr.compile(lstm)
    run(*made(20))
    (scan,) = [line for line in run.explain().lines if line.inside]
    assert scan.nodes == ("scan",) and scan.note.startswith("20 times")
    names = [name for line in scan.inside for name in line.nodes]
    assert "matmul" in names and "tanh" in names
    assert "  matmul" in run.explain().text
    assert run.explain().to_dict()["steps"][-1]["inside"][0]["nodes"][0] == "matmul"


def test_carries_that_are_not_kept_are_overwritten_or_take_turns():
    double = cr.compile(lambda x, n: cr.scan(lambda c, x: ((c[1] + x, c[0] * 0.5), None), (x[0], x[1]), x)[0])
    for length in (2, 3, 4, 5):
        x = np.random.default_rng(length).normal(size=(length, 3))
        a, b = x[0], x[1]
        for row in x:
            a, b = b + row, a * 0.5
        found = double(x, np.zeros(length))
        np.testing.assert_allclose(found[0].numpy(), a)
        np.testing.assert_allclose(found[1].numpy(), b)


def test_steps_that_only_move_what_they_carry():
    shift = lambda x: cr.scan(lambda c, x: ((c[1], x, c[0]), c[2]), (x[0], x[1], x[2]), x)
    x = np.arange(12.0).reshape(4, 3)
    for found, expected in zip(trees.leaves(cr.compile(shift)(x)), trees.leaves(shift(x)), strict=True):
        assert found.tolist() == expected.tolist()


def test_inputs_are_read_where_they_lie():
    """Batch first, reversed, repeated, and one column of a matrix: no copy is made of any."""
    x, w = np.random.default_rng(0).normal(size=(3, 5, 4)), np.random.default_rng(1).normal(size=(4, 4))

    def f(x, w):
        step = lambda c, given: (c * 0.5 + given[0] @ w.mT + given[1], given[2] + w[0])
        times = cr.moveaxis(x, 1, 0)
        return cr.scan(step, times[0], (times, cr.flip(times, axis=0), cr.broadcast_to(w[:, 1], (5, 4))))

    compiled = cr.compile(f)
    for found, expected in zip(trees.leaves(compiled(x, w)), trees.leaves(f(x, w)), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    assert len(kernels(compiled.explain())) == 1


def test_weights_are_packed_once():
    w, x = np.ones((70, 90), np.float32), np.ones((50, 20, 90), np.float32)
    f = cr.compile(lambda w, x: cr.scan(lambda c, x: (c, x @ w.mT + c), w[:1, :70], x)[1])
    f(w, x)
    (scan,) = [line for line in f.explain().lines if line.inside]
    assert "packed before" in scan.inside[0].note
    assert not any("packs" in line.note for line in scan.inside)


def test_a_token_that_is_not_there_is_an_error_that_names_it():
    table = np.arange(6.0).reshape(3, 2)
    f = cr.compile(lambda t, x: cr.scan(lambda c, i: (c + t[i], None), t[0], x)[0])
    assert f(table, np.array([0, 2, -1])).tolist() == [8.0, 12.0]
    for wrong in (3, -4):
        with pytest.raises(cr.errors.AxisError):
            f(table, np.array([0, wrong, 1]))


def test_integers_and_floats_are_carried_by_one_loop():
    f = lambda x: cr.scan(lambda c, x: ((c[0] + x, c[1] + 1), c[1]), (0.0, 0), x)
    compiled = cr.compile(f)
    for found, expected in zip(trees.leaves(compiled(np.ones(4))), trees.leaves(f(np.ones(4))), strict=True):
        assert found.dtype == expected.dtype and found.tolist() == expected.tolist()
    assert len([line for line in compiled.explain().lines if line.inside]) == 1


def test_what_has_no_kernel_runs_through_numpy_and_is_named():
    f = lambda x: cr.scan(lambda c, x: (cr.sort(c + x), c), x[0], x)
    compiled = cr.compile(f)
    x = np.random.default_rng(0).normal(size=(4, 5))
    for found, expected in zip(trees.leaves(compiled(x)), trees.leaves(f(x)), strict=True):
        assert found.tolist() == expected.tolist()
    (line,) = [line for line in compiled.explain().lines if line.kind == "numpy"]
    assert line.reason == "no native kernel for sort of float64 in its step"


def test_random_numbers_differ_from_step_to_step():
    def f(key, x):
        def step(c, given):
            i, row = given
            return c + cr.random.uniform(cr.random.fold_in(key, i), (3,)) * row, None

        return cr.scan(step, cr.zeros(3), (cr.arange(4), x))[0]

    key, x = cr.random.key(3), np.ones((4, 3))
    np.testing.assert_allclose(cr.compile(f)(key, x).numpy(), f(key, x).numpy())


def test_a_training_step_with_a_scan_learns():
    class Counter(cr.nn.Module):
        def __init__(self):
            weights, _ = made(1)
            self.weights = {k: cr.tensor(w, requires_grad=True) for k, w in weights.items()}

        def __call__(self, x):
            return lstm(self.weights, x)[-1]

    x = made(6)[1]
    y = np.tanh(x.sum(axis=(0, 2)))[:, None].repeat(12, 1).astype(np.float32)
    step = cr.train.compile_step(Counter(), cr.nn.mean_squared_error, cr.optim.adam(3e-2))
    losses = [step(x, y).item() for _ in range(150)]
    assert losses[-1] < 0.2 * losses[0]


def test_a_recorded_scan_comes_back_from_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    arguments = made(5)
    graph, _ = traced(cr.grad(loss), arguments, {})
    other, _ = traced(cr.grad(lambda w, x: (lstm(w, x) ** 3).sum()), arguments, {})
    reverse, _ = traced(cr.grad(lambda w, x: (lstm(w, x, reverse=True) ** 2).sum()), arguments, {})
    arrays = trees.leaves(arguments)
    first = Executable(graph, MACHINE, 1)
    again = Executable(traced(cr.grad(loss), arguments, {})[0], MACHINE, 1)
    assert not first.from_cache and again.from_cache
    assert [a.tobytes() for a in first(arrays)] == [a.tobytes() for a in again(arrays)]
    for different in (other, reverse):
        assert Executable(different, MACHINE, 1)(arrays)[0].tobytes() != first(arrays)[0].tobytes()


def test_only_what_is_read_is_kept():
    """Carries are kept at all times for a second derivative, which nobody takes here."""
    sizes = lambda graph: [n.size for n in graph.nodes if n.op is Scan]
    length, batch, features = 9, 4, 12
    row = batch * features
    graph, _ = traced(cr.grad(loss), made(length), {})
    forward, backward = sizes(passes.run(graph)[0])
    assert forward == 2 * (length + 1) * row
    assert backward == 2 * row + length * 4 * row  # the last carries, and the gradients of the gates
    inference, _ = traced(lstm, made(length), {})
    assert sizes(passes.run(inference)[0]) == [(length + 1) * row + row]


def test_a_carry_that_nothing_depends_on_is_not_computed():
    f = lambda x: cr.scan(lambda c, x: ((c[0] + x, cr.sort(c[1] * x)), c[0]), (x[0], x[0]), x)[1]
    compiled = cr.compile(f)
    x = np.random.default_rng(0).normal(size=(5, 3))
    assert compiled(x).tolist() == f(x).tolist()
    assert all(line.kind == "kernel" for line in compiled.explain().lines)
