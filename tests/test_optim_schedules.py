"""Learning rates that change: each schedule against its formula, eager, traced and in a compiled step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, TracedValueError

RATES = st.floats(1e-6, 10.0)
COUNTS = st.integers(1, 10_000)
UPDATES = st.integers(0, 30_000)
SIMPLE = st.one_of(
    RATES.map(optim.constant),
    st.builds(optim.step_decay, RATES, COUNTS, st.floats(0.01, 1.0)),
    st.builds(
        lambda rate, n, share: optim.cosine(rate, n, final=rate * share), RATES, COUNTS, st.floats(0, 1)
    ),
    st.builds(
        lambda peak, n, rising, a, b: optim.one_cycle(
            peak, n, rising=rising, first_divisor=a, final_divisor=b
        ),
        *(RATES, COUNTS, st.floats(0, 0.99), st.floats(1, 100), st.floats(1, 1e5)),
    ),
)
SCHEDULES = st.one_of(
    SIMPLE,
    st.builds(lambda then, n, first: optim.warm_up(then, n, first=first), SIMPLE, COUNTS, st.floats(0, 1)),
)


def traced_rate(schedule: Any, update: int) -> float:
    graph = cr.trace(lambda u: cr.asarray(schedule(u)), cr.tensor(update)).verify()
    return float(graph.evaluate(np.int64(update))[0])


@given(SCHEDULES, UPDATES)
def test_a_traced_rate_is_the_eager_one(schedule: optim.Schedule, update: int):
    rate = schedule(update)
    assert type(rate) is float and 0 <= rate <= 10
    assert traced_rate(schedule, update) == pytest.approx(rate, rel=1e-12, abs=1e-15)
    assert schedule(cr.tensor(update)) == schedule(np.int64(update)) == rate


@given(RATES, COUNTS, st.floats(0.01, 1.0), UPDATES)
def test_step_decay(rate: float, every: int, factor: float, update: int):
    expected = rate * math.exp(update // every * math.log(factor))
    assert optim.step_decay(rate, every, factor)(update) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(RATES, COUNTS, st.floats(0, 1), UPDATES)
def test_cosine(rate: float, updates: int, share: float, update: int):
    """Equation 5 of the paper, of one period."""
    low = rate * share
    now = min(update, updates)
    expected = low + 0.5 * (rate - low) * (1 + math.cos(now / updates * math.pi))
    assert optim.cosine(rate, updates, final=low)(update) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@given(SIMPLE, COUNTS, st.floats(0, 1), UPDATES)
def test_warm_up(then: optim.Schedule, updates: int, first: float, update: int):
    schedule = optim.warm_up(then, updates, first=first)
    if update >= updates:
        assert schedule(update) == then(update - updates)
    else:
        line = np.interp(update, [0, updates], [first * then(0), then(0)])
        assert schedule(update) == pytest.approx(line, rel=1e-9, abs=1e-15)


@given(RATES, st.integers(2, 10_000), st.floats(0, 0.99), st.floats(1, 100), st.floats(1, 1e5))
def test_one_cycle(peak: float, updates: int, rising: float, above: float, below: float):
    schedule = optim.one_cycle(peak, updates, rising=rising, first_divisor=above, final_divisor=below)
    turn = rising * updates - 1
    if turn >= 1:
        assert schedule(0) == pytest.approx(peak / above, rel=1e-9)
    up = [schedule(u) for u in range(0, max(0, math.floor(turn)) + 1, max(1, updates // 50))]
    down = [schedule(u) for u in range(max(0, math.ceil(turn)), updates, max(1, updates // 50))]
    assert up == sorted(up) or turn <= 0
    assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(down))
    assert max(up + down) <= peak * (1 + 1e-12)
    assert schedule(updates - 1) == pytest.approx(peak / above / below, rel=1e-6, abs=1e-14 * peak)
    assert schedule(10**9) == schedule(updates - 1)


@pytest.mark.parametrize("updates", [1, 2, 3])
@pytest.mark.parametrize("rising", [0.0, 0.3, 0.5, 0.99])
def test_a_very_short_cycle(updates: int, rising: float):
    schedule = optim.one_cycle(1.0, updates, rising=rising)
    for u in range(updates + 2):
        assert 0 < schedule(u) <= 1 and traced_rate(schedule, u) == pytest.approx(schedule(u), rel=1e-12)
    assert schedule(updates - 1) == pytest.approx(4e-6)


def test_an_update_takes_the_rate_of_its_own_number():
    rates = [0.5, 0.25, 0.125]
    optimizer = optim.gradient_descent(optim.step_decay(0.5, 1, 0.5))
    p: Any = cr.tensor(0.0)
    state, moved = optimizer.init(p), []
    for expected in rates:
        assert optimizer.learning_rate_at(state["updates"]) == expected
        before = p.item()
        p, state = optimizer.update(1.0, state, p)
        moved.append(before - p.item())
    assert moved == rates


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        optim.gradient_descent,
        optim.momentum,
        optim.nesterov,
        optim.adagrad,
        optim.rmsprop,
        optim.adam,
        optim.adamw,
    ],
)
def test_a_schedule_changes_no_dtype(make: Callable[..., optim.Optimizer], dtype: str):
    optimizer = make(optim.warm_up(optim.cosine(0.1, 10), 3), weight_decay=0.1)
    p = cr.ones(3, dtype=dtype)
    state = optimizer.init(p)
    for _ in range(3):
        p, state = optimizer.update(cr.ones(3, dtype=dtype), state, p)
    assert p.dtype.name == dtype and all(
        v.dtype.name == dtype for kept in optimizer.kept for v in state[kept].values()
    )


def test_any_function_of_the_number_of_updates():
    def inverse(u: Any) -> Any:
        return 0.1 / (1 + u)

    optimizer = optim.adam(inverse)
    assert [optimizer.learning_rate_at(u) for u in (0, 1, 9)] == [0.1, 0.05, 0.01]
    assert optimizer.settings["learning_rate"] == {"schedule": "function", "function": "inverse"}
    with_tensors = optim.adam(lambda u: cr.where(u < 2, 0.1, 0.01 * cr.exp(-u)))
    assert with_tensors.learning_rate_at(1) == 0.1
    assert optim.adam(lambda u: np.float32(0.5)).learning_rate_at(3) == 0.5
    assert optim.warm_up(inverse, 10)(11) == 0.05
    assert traced_rate(optim.warm_up(inverse, 10), 11) == pytest.approx(0.05)


@pytest.mark.parametrize(
    "rate", [-0.1, math.nan, math.inf, "0.1", None, True, 1j, [0.1], np.ones(3), cr.ones(1)]
)
def test_a_function_that_gives_no_rate(rate: Any):
    with pytest.raises(
        ArgumentError, match=r"the learning rate for update 0 is .*: expected a finite number"
    ):
        optim.adam(lambda u: rate)
    later = optim.adam(lambda u: 0.1 if u < 3 else rate)
    with pytest.raises(
        ArgumentError, match=r"the learning rate for update 3 is .*: expected a finite number"
    ):
        later.learning_rate_at(3)
    params = {"w": 1.0}
    state = {**later.init(params), "updates": cr.tensor(3)}
    with pytest.raises(ArgumentError, match="the learning rate for update 3"):
        later.update(params, state, params)


def test_a_function_that_gives_no_rate_when_it_is_traced():
    for rate in (
        lambda u: 0.1 if isinstance(u, float) else u * cr.ones(3),
        lambda u: [0.1, -1][type(u) is not float],
    ):
        optimizer = optim.gradient_descent(rate)
        state = optimizer.init(1.0)
        with pytest.raises(ArgumentError, match=r"the learning rate in a traced update is .*: expected"):
            cr.trace(optimizer.update, 1.0, state, 1.0)
    branching = optim.gradient_descent(lambda u: 0.1 if u < 3 else 0.2)
    with pytest.raises(TracedValueError, match="a truth value was asked") as caught:
        cr.trace(branching.update, 1.0, branching.init(1.0), 1.0)
    assert "cr.where(condition, a, b)" in caught.value.fix


@pytest.mark.parametrize("update", [-1, 1.5, True, None, "3", 2**60, cr.tensor(1.0), np.ones(2)])
def test_what_is_no_number_of_updates(update: Any):
    for schedule in (optim.cosine(0.1, 10), optim.constant(0.1)):
        with pytest.raises(ArgumentError, match="learning rate: update must be"):
            schedule(update)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.constant(0), "constant: rate must be above 0 and finite, got 0"),
        (lambda: optim.constant(optim.constant(1)), "constant: rate must be a number, got Schedule"),
        (lambda: optim.step_decay(0.1, 0), "step_decay: every must be at least 1, got 0"),
        (lambda: optim.step_decay(0.1, 1.5), "step_decay: every must be an integer, got 1.5"),
        (lambda: optim.step_decay(0.1, 10, 0), r"step_decay: factor must lie in \(0, 1\], got 0"),
        (lambda: optim.step_decay(0.1, 10, 1.1), r"step_decay: factor must lie in \(0, 1\], got 1.1"),
        (lambda: optim.cosine(-0.1, 10), "cosine: rate must be above 0"),
        (lambda: optim.cosine(0.1, -3), "cosine: updates must be at least 1, got -3"),
        (lambda: optim.cosine(0.1, 10**400), r"cosine: updates must be at most 2\^53, got "),
        (lambda: optim.cosine(0.1, 10, final=0.2), "cosine: final must be at most the rate, 0.1, got 0.2"),
        (
            lambda: optim.cosine(0.1, 10, final=math.nan),
            "cosine: final must be at least 0 and finite, got nan",
        ),
        (lambda: optim.warm_up("fast", 10), "warm_up: rate must be a number or a schedule, got str"),
        (lambda: optim.warm_up(0.1, 0), "warm_up: updates must be at least 1, got 0"),
        (lambda: optim.warm_up(0.1, 10, first=2), r"warm_up: first must lie in \[0, 1\], got 2"),
        (lambda: optim.one_cycle(0.1, 0), "one_cycle: updates must be at least 1"),
        (lambda: optim.one_cycle(0.1, 10, rising=1), r"one_cycle: rising must lie in \[0, 1\), got 1"),
        (
            lambda: optim.one_cycle(0.1, 10, first_divisor=0.5),
            "first_divisor must be at least 1 and finite, got 0.5",
        ),
        (
            lambda: optim.one_cycle(0.1, 10, final_divisor=math.inf),
            "final_divisor must be at least 1 and finite",
        ),
    ],
)
def test_arguments_are_validated(call: Callable[[], object], message: str):
    with pytest.raises(ArgumentError, match=message) as caught:
        call()
    assert caught.value.fix


def test_a_compiled_step_follows_its_schedule_without_being_compiled_again():
    model = cr.nn.Linear(2, 1, key=cr.random.key(0))
    x, y = np.array([[1.0, 0.0]], np.float32), np.array([[50.0]], np.float32)
    schedule, asked = optim.warm_up(optim.cosine(4e-3, 2), 4), []

    def rate(update: Any) -> Any:
        asked.append(update)
        return schedule.formula(update)

    step = cr.train.compile_step(model, cr.nn.mean_squared_error, optim.gradient_descent(rate))
    before, times = model.bias.item(), []
    for expected in (0.0, 1e-3, 2e-3, 3e-3, 4e-3, 2e-3, 0.0, 0.0):
        slope = -2 * (50.0 - (x @ step.model.weight.numpy() + step.model.bias.numpy()).item())
        step(x, y)
        times.append(len(asked))
        assert step.model.bias.item() - before == pytest.approx(-expected * slope, rel=1e-3, abs=1e-7)
        before = step.model.bias.item()
    assert len(set(times)) == 1  # all of it was traced for the first step


def test_training_goes_on_with_the_schedule_where_it_was():
    """The number of updates is in the state, so that a state that was kept continues its schedule."""
    optimizer = optim.adam(optim.one_cycle(0.1, 20))
    slope = cr.grad(lambda p: cr.cosh(p).sum())

    def trained(p: Any, state: Any, updates: int) -> Any:
        for _ in range(updates):
            p, state = optimizer.update(slope(p), state, p)
        return p, state

    start = cr.tensor([2.0, -1.0])
    at_once, _ = trained(start, optimizer.init(start), 20)
    halfway, state = trained(start, optimizer.init(start), 9)
    kept = {"updates": state["updates"].item(), **{k: state[k] for k in optimizer.kept}}
    assert trained(halfway, kept, 11)[0].tolist() == at_once.tolist()
