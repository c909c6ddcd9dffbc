"""A structure that keeps coming is replayed: the same bits as the sweep, and only where that is certain."""

import threading
import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule.autodiff import replay, reverse
from chainrule.node import apply
from chainrule.primitive import Pointwise, register

OFTEN = replay.SIGHTINGS + 1


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(reverse, "_replays", replay.Replays())


@pytest.fixture
def sweeps(monkeypatch):
    """Counts the sweeps that are not replayed."""
    made = []
    sweep = reverse._sweep_bare

    def counted(order, *rest):
        made.append(len(order))
        return sweep(order, *rest)

    monkeypatch.setattr(reverse, "_sweep_bare", counted)
    return made


def network(x, w, v):
    hidden = cr.tanh(x @ w)
    return (cr.relu(hidden @ v) ** 2 + hidden[:, :1]).mean()


def gradients(make, *arrays):
    leaves = [cr.tensor(a, requires_grad=True) for a in arrays]
    make(*leaves).backward()
    return [None if x.grad is None else x.grad.numpy() for x in leaves]


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=s) for s in shapes]


def test_a_training_loop_is_swept_a_few_times_and_then_replayed(sweeps):
    given = arrays((5, 4), (4, 3), (3, 1))
    first = gradients(network, *given)
    for _ in range(20):
        again = gradients(network, *given)
    assert len(sweeps) == replay.SIGHTINGS - 1
    for a, b in zip(first, again, strict=True):
        assert a.tobytes() == b.tobytes()


def test_other_numbers_shapes_and_dtypes_are_not_mixed_up():
    for _ in range(OFTEN):
        for dtype in (np.float32, np.float64):
            for n in (1, 2, 5):
                given = [a.astype(dtype) * n for a in arrays((n, 4), (4, 3), (3, 1))]
                found = gradients(network, *given)
                expected = cr.grad(network, (0, 1, 2))(*given)
                for a, b in zip(found, expected, strict=True):
                    assert a.dtype == dtype
                    assert a.tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: cr.leaky_relu(x, 0.0).sum(), lambda x: cr.leaky_relu(x, -0.0).sum()),
        (lambda x: cr.sum(x, axis=0)[0], lambda x: cr.sum(x, axis=1)[0]),
        (lambda x: x[1:].sum(), lambda x: x[:1].sum()),
        (lambda x: (x - 2 * x).sum(), lambda x: (2 * x - x).sum()),
        (lambda x: cr.astype(x, cr.float32).sum(), lambda x: cr.astype(x, cr.float64).sum()),
        (lambda x: cr.where(x > 0, x, 0.0).sum(), lambda x: cr.where(x > 0, 0.0, x).sum()),
        (lambda x: x[np.array([0, 0])].sum(), lambda x: x[np.array([1, 0])].sum()),
    ],
)
def test_structures_that_differ_in_one_detail_are_told_apart(one, other):
    (x,) = arrays((2, 2))
    for _ in range(OFTEN + 2):
        for function in (one, other):
            (found,) = gradients(function, x)
            assert found.tobytes() == cr.grad(function)(x).numpy().tobytes()


def test_a_leaf_that_had_no_gradient_when_its_structure_was_met_gets_one():
    x, c = cr.tensor(0.3, requires_grad=True), cr.tensor(2.0)
    for _ in range(2 * replay.SIGHTINGS):
        (c * x).backward()
    c.requires_grad_()
    (c * x).backward()
    assert c.grad.item() == 0.3


def test_the_order_in_which_gradients_add_is_kept():
    def left_first(x):
        a = x * 1e16
        b = x * 1.0
        c = x * -1e16
        return a + b + c

    def right_first(x):
        c = x * -1e16
        b = x * 1.0
        a = x * 1e16
        return a + b + c

    expected = [cr.grad(f)(1.0).item() for f in (left_first, right_first)]
    for _ in range(OFTEN):
        assert [gradients(f, 1.0)[0].item() for f in (left_first, right_first)] == expected


def test_gradients_accumulate_and_seeds_differ():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    for i in range(1, 3 * OFTEN):
        (x * x).backward(gradient=np.array([1.0, float(i)]))
    n = 3 * OFTEN - 1
    assert x.grad.tolist() == [2.0 * n, 4.0 * n * (n + 1) / 2]


def test_a_retained_gradient_is_kept_whether_or_not_the_structure_is_known(sweeps):
    for retain in (False, True) * OFTEN:
        x = cr.tensor(3.0, requires_grad=True)
        y = x * x
        if retain:
            y.retain_grad()
        cr.sin(y).backward()
        assert (y.retains_grad and y.grad.item()) == (retain and np.cos(9.0))


def test_a_users_rule_is_run_each_time(sweeps):
    ran = []

    @register
    class Noted(Pointwise):
        """Doubles, and notes each time that it is differentiated."""

        name, label = "noted", "noted"

        @staticmethod
        def evaluate(x):
            return x * 2

        @staticmethod
        def partials(y, x):
            ran.append(1)
            return (2.0,)

    for _ in range(2 * OFTEN):
        x = cr.tensor(1.0, requires_grad=True)
        apply(Noted, (x,)).backward()
        assert x.grad.item() == 2.0
    assert len(ran) == len(sweeps) == 2 * OFTEN


def test_infinite_factors_meet_zero_deltas_as_in_the_sweep():
    def chosen(x):
        return cr.where(x > 0, cr.log(x), 0.0).sum()

    for _ in range(2 * OFTEN):
        (found,) = gradients(chosen, np.array([0.0, 2.0]))
        assert found.tolist() == [0.0, 0.5]


def test_large_intermediate_gradients_are_let_go_on_the_way():
    def chain(x):
        for _ in range(30):
            x = cr.sin(x)
        return x.sum()

    def peak():
        x = cr.tensor(np.ones(100_000), requires_grad=True)
        y = chain(x)
        tracemalloc.start()
        try:
            y.backward()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    swept = peak()
    for _ in range(OFTEN):
        replayed = peak()
    assert replayed < swept + 100_000 * 8


def test_long_graphs_and_many_structures_are_swept(sweeps, monkeypatch):
    def longer(x):
        for _ in range(replay.NODES):
            x = x + 1.0
        return x

    for _ in range(OFTEN + 2):
        gradients(longer, [1.0])
    assert len(sweeps) == OFTEN + 2

    monkeypatch.setattr(replay, "PROGRAMS", 3)
    for _ in range(OFTEN):
        for n in range(1, 9):
            assert gradients(lambda x, n=n: (x * np.ones(n)).sum(), 2.0)[0] == n
    assert len(reverse._replays._known) <= 3


def test_threads_share_the_programs():
    given = arrays((5, 4), (4, 3), (3, 1))
    expected = [g.tobytes() for g in gradients(network, *given)]
    found = []

    def work():
        for _ in range(20):
            found.append([g.tobytes() for g in gradients(network, *given)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(f == expected for f in found)
