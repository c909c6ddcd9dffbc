"""Budgets of memory: kept, at no change of any bit, and refused with the least that can be met."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.compiler.budget import as_bytes, shown_bytes
from chainrule.compiler.compiled import Executable, planner
from chainrule.compiler.on_native.target import host
from compiler.random_graphs import random_gradient_graph

LAYERS = 40


def chain(ws, x):
    for w in ws:
        x = cr.tanh(x @ w)
    return (x * x).mean()


def weights(n=LAYERS, width=16):
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(width, width)) / 4).astype(np.float32) for _ in range(n)]


X = np.random.default_rng(1).normal(size=(64, 16)).astype(np.float32)


def arena(f):
    return f.explain().arena_bytes


def same(a, b):
    return all(np.array_equal(p.numpy(), q.numpy(), equal_nan=True) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("part", [0.5, 0.25, 0.15])
def test_a_chain_keeps_within_its_budget_and_has_the_same_bits(part):
    ws = weights()
    plain = cr.compile(cr.grad(chain))
    expected = plain(ws, X)
    budget = int(arena(plain) * part)
    small = cr.compile(cr.grad(chain), memory=budget)
    assert same(small(ws, X), expected)
    assert arena(small) <= budget
    report = small.explain()
    assert report.recomputation.runs > 0 and report.recomputation.plain_bytes == arena(plain)
    assert f"{report.recomputation.runs} kernels run again" in report.text
    assert sum("computed again" in line.note for line in report.lines) == report.recomputation.runs


def test_a_chain_with_a_third_of_its_memory_runs_each_layer_at_most_once_more():
    plain = cr.compile(cr.grad(chain))
    plain(weights(), X)
    small = cr.compile(cr.grad(chain), memory=arena(plain) // 3)
    small(weights(), X)
    assert small.explain().recomputation.runs < LAYERS


def test_a_budget_that_is_large_enough_changes_nothing():
    f = cr.compile(cr.grad(chain), memory="1 GB")
    f(weights(5), X)
    assert f.explain().recomputation.runs == 0
    assert "nothing runs again" in f.explain().text


def test_a_budget_below_the_minimum_states_it_and_the_minimum_can_be_met():
    ws = weights()
    with pytest.raises(cr.errors.BudgetError, match="need at least") as caught:
        cr.compile(cr.grad(chain), memory=1000)(ws, X)
    least = caught.value.minimum
    assert str(least) in caught.value.fix and least > 1000
    f = cr.compile(cr.grad(chain), memory=least)
    assert same(f(ws, X), cr.compile(cr.grad(chain))(ws, X))
    assert arena(f) <= least
    with pytest.raises(cr.errors.BudgetError):
        cr.compile(cr.grad(chain), memory=least // 2)(ws, X)


NOTHING_KEPT = {
    "an argument": (lambda x: x, X),
    "a constant": (lambda x: 3.0, X),
    "no items": (cr.grad(lambda x: (x**2).sum()), X[:0]),
    "a number": (lambda x: cr.sin(cr.exp(x)), np.float64(0.5)),
}


@pytest.mark.parametrize("what", NOTHING_KEPT)
def test_what_keeps_nothing_has_any_budget(what):
    f, x = NOTHING_KEPT[what]
    for memory in (1, "1GB"):
        assert np.array_equal(cr.compile(f, memory=memory)(x), cr.compile(f)(x))
    assert [each.runs for each in planner(cr.trace(f, x), host(), 1).tradeoff([1])] == [0]


def residual(params, x):
    for w, v in params:
        x = x + cr.relu(x @ w) @ v
    return cr.logsumexp(x, axis=-1).sum()


def test_a_network_with_skips_keeps_within_its_budget():
    ws = weights(24)
    params = list(zip(ws[::2], ws[1::2], strict=True))
    plain = cr.compile(cr.value_and_grad(residual))
    value, expected = plain(params, X)
    for part in (0.6, 0.4):
        budget = int(arena(plain) * part)
        small = cr.compile(cr.value_and_grad(residual), memory=budget)
        again, found = small(params, X)
        assert again.item() == value.item() and arena(small) <= budget
        assert all(same(p, q) for p, q in zip(found, expected, strict=True))


class Dropping(cr.nn.Module):
    def __init__(self, key):
        self.layers = [cr.nn.Linear(16, 16, key=k) for k in cr.random.split(key, 12)]
        self.drop = cr.nn.Dropout(0.3)

    def __call__(self, x, training=None):
        for layer in self.layers:
            x = self.drop(cr.tanh(layer(x)), training)
        return x


def test_training_steps_with_random_layers_and_updates_in_place_have_the_same_bits():
    model, y = Dropping(cr.random.key(0)), np.zeros((64, 16), np.float32)
    steps = []
    plain = None
    for memory in (None, 0.6):
        budget = memory and int(plain * memory)
        step = cr.train.compile_step(
            model, cr.nn.mean_squared_error, cr.optim.adam(0.01), key=cr.random.key(1), memory=budget
        )
        losses = [step(X, y).item() for _ in range(4)]
        plain = step.explain().arena_bytes if plain is None else plain
        steps.append((losses, [p.numpy() for p in step.model.parameters().values()], step.explain()))
    assert steps[0][0] == steps[1][0]
    assert all(np.array_equal(a, b) for a, b in zip(steps[0][1], steps[1][1], strict=True))
    assert steps[1][2].arena_bytes <= 0.6 * plain and steps[1][2].recomputation.runs > 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 0.95))
def test_random_graphs_give_the_same_bits_within_a_budget(seed, part):
    graph, given = random_gradient_graph(seed, 40)
    arrays = [np.asarray(x, order="C") for x in given]
    plain = Executable(graph, host(), 2)
    expected = plain(arrays)
    budget = max(1, int(plain.layout.arena_bytes * part))
    (found,) = planner(graph, host(), 2).tradeoff([budget])
    if found is None:
        with pytest.raises(cr.errors.BudgetError):
            Executable(graph, host(), 2, memory=budget)
        return
    small = Executable(graph, host(), 2, memory=budget)
    assert small.layout.arena_bytes <= max(budget, found.arena_bytes) and found.arena_bytes <= budget
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(small(arrays), expected, strict=True))


@pytest.mark.slow
def test_a_residual_network_trains_within_a_budget_with_the_same_bits():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 32, 32, 3)).astype(np.float32), rng.integers(0, 10, 16)
    losses, parameters, plain = [], [], None
    for part in (None, 0.66, 0.5):
        model = cr.models.resnet(20, key=cr.random.key(0))
        budget = part and int(plain * part)
        step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(1e-3), memory=budget)
        losses.append([step(x, y).item() for _ in range(3)])
        parameters.append([p.numpy() for p in [*step.model.parameters().values()]])
        parameters[-1] += [b.numpy() for b in step.model.buffers().values()]
        arena = step.explain().arena_bytes
        plain = plain or arena
        assert budget is None or arena <= budget
    assert losses[1] == losses[0] == losses[2]
    for other in parameters[1:]:
        assert all(map(np.array_equal, other, parameters[0]))


def test_steps_that_numpy_makes_run_again_too():
    def f(x):
        for _ in range(6):
            x = cr.sort(cr.sin(x) @ x, axis=0)
        return (x * x).sum()

    x = np.random.default_rng(2).normal(size=(24, 24))
    graph = cr.trace(cr.grad(f), x)
    plain = Executable(graph, None, 1)
    budget = int(plain.layout.arena_bytes * 0.7)
    small = Executable(graph, None, 1, memory=budget)
    assert small.lowered.recomputation.runs and small.layout.arena_bytes <= budget
    assert all(np.array_equal(a, b) for a, b in zip(small([x]), plain([x]), strict=True))


def test_the_tradeoff_has_an_entry_for_each_budget():
    graph = cr.trace(cr.grad(chain), weights(), X)
    plain = Executable(graph, host(), 1).layout.arena_bytes
    budgets = [plain, plain // 2, plain // 4, plain // 8, 100]
    found = planner(graph, host(), 1).tradeoff(budgets)
    assert found[-1] is None and found[0].runs == 0
    assert all(each.arena_bytes <= budget for each, budget in zip(found[:-1], budgets, strict=False))
    flops = [each.flops for each in found[:-1]]
    assert flops == sorted(flops)


def test_a_budget_cuts_a_scan_into_segments():
    rng = np.random.default_rng(0)
    w, xs = (rng.normal(size=(8, 8)) / 3).astype(np.float32), rng.normal(size=(256, 4, 8)).astype(np.float32)

    def f(w, xs):
        return cr.scan(lambda h, x: (cr.tanh(h @ w + x), None), np.zeros((4, 8), np.float32), xs)[0].sum()

    plain = cr.compile(cr.grad(f))
    expected = plain(w, xs).numpy()
    small = cr.compile(cr.grad(f), memory=arena(plain) // 2)
    np.testing.assert_allclose(small(w, xs).numpy(), expected, rtol=1e-5, atol=1e-6)
    assert arena(small) <= arena(plain) // 2


def test_scans_nest_their_checkpoints():
    xs = np.random.default_rng(0).normal(size=37)

    def f(xs, checkpoint=None):
        step = lambda c, x: (cr.sin(c) + x, c * x)
        last, ys = cr.scan(step, 0.5, xs, checkpoint=checkpoint)
        return last + ys.sum()

    expected = cr.grad(f)(xs).numpy()
    for checkpoint in (6, (12, 3), (20, 5, 2)):
        np.testing.assert_allclose(cr.grad(lambda x, c=checkpoint: f(x, c))(xs).numpy(), expected, rtol=1e-12)
    with pytest.raises(cr.errors.ArgumentError, match="each is at most the one before"):
        f(xs, (3, 12))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2 * 10**9),
        ("512MiB", 512 << 20),
        ("1.5 GB", 1_500_000_000),
        ("7", 7),
        (" 3 k ", 3000),
        (12, 12),
        (np.int64(12), 12),
        (2e9, 2 * 10**9),
    ],
)
def test_budgets_are_read(text, expected):
    assert as_bytes("compile", text) == expected


@pytest.mark.parametrize(
    "wrong", ["", "GB", "2 XB", "-3MB", "1e3", "0", 0, -5, 1.5, math.inf, math.nan, True, [1]]
)
def test_what_is_no_budget_is_refused(wrong):
    with pytest.raises(cr.errors.ArgumentError, match="memory"):
        cr.compile(chain, memory=wrong)


def test_bytes_are_shown_for_people():
    assert [shown_bytes(n) for n in (1000, 1023 << 10)] == ["1000 B", "1023 KiB"]
    assert [shown_bytes(n) for n in (12, 2048, 5 << 20, 3 << 30)] == ["12 B", "2 KiB", "5 MiB", "3 GiB"]
