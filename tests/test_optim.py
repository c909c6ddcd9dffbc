"""Every optimizer against its paper's formula, and what `init` and `update` promise."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import habits, nn, optim
from chainrule.errors import ArgumentError, DTypeError, ShapeError, StructureError

Rows = list[np.ndarray]


def descend(p: np.ndarray, slopes: Rows) -> np.ndarray:
    for g in slopes:
        p = p - 0.1 * g
    return p


def heavy_ball(p: np.ndarray, slopes: Rows) -> np.ndarray:
    v = np.zeros_like(p)
    for g in slopes:
        v = 0.8 * v + g
        p = p - 0.1 * v
    return p


def looking_ahead(p: np.ndarray, slopes: Rows) -> np.ndarray:
    """Equations 3 and 4 of Sutskever et al., where p stands for θ + μ v, at which gradients are taken."""
    theta, v = p, np.zeros_like(p)
    for g in slopes:
        v = 0.8 * v - 0.1 * g
        theta = theta + v
    return theta + 0.8 * v


def adaptive(p: np.ndarray, slopes: Rows) -> np.ndarray:
    for t in range(len(slopes)):
        total = np.sum([g**2 for g in slopes[: t + 1]], axis=0)
        p = p - 0.1 * slopes[t] / (np.sqrt(total) + 1e-10)
    return p


def root_mean_square(p: np.ndarray, slopes: Rows) -> np.ndarray:
    for t in range(len(slopes)):
        mean = np.sum([0.2 * 0.8 ** (t - i) * slopes[i] ** 2 for i in range(t + 1)], axis=0)
        p = p - 0.1 * slopes[t] / (np.sqrt(mean) + 1e-8)
    return p


def kingma_ba(p: np.ndarray, slopes: Rows) -> np.ndarray:
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(slopes, 1):
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        p = p - 0.1 * m_hat / (np.sqrt(v_hat) + 1e-8)
    return p


def loshchilov_hutter(p: np.ndarray, slopes: Rows) -> np.ndarray:
    """Algorithm 2 with α = 0.1, λ = α 0.5, and a schedule that multiplies both."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(slopes, 1):
        eta = 0.97 ** (t - 1)
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        p = p - eta * (0.1 * m_hat / (np.sqrt(v_hat) + 1e-8) + 0.05 * p)
    return p


PAPERS: dict[str, tuple[optim.Optimizer, Callable[[np.ndarray, Rows], np.ndarray]]] = {
    "gradient_descent": (optim.gradient_descent(0.1), descend),
    "momentum": (optim.momentum(0.1, decay=0.8), heavy_ball),
    "nesterov": (optim.nesterov(0.1, 0.8), looking_ahead),
    "adagrad": (optim.adagrad(0.1), adaptive),
    "rmsprop": (optim.rmsprop(0.1, decay=0.8), root_mean_square),
    "adam": (optim.adam(0.1), kingma_ba),
    "adamw": (optim.adamw(optim.step_decay(0.1, 1, 0.97), weight_decay=0.5), loshchilov_hutter),
}
MAKERS: list[Callable[..., optim.Optimizer]] = [getattr(optim, name) for name in PAPERS]
ALL = pytest.mark.parametrize("optimizer", [made for made, _ in PAPERS.values()], ids=list(PAPERS))


@pytest.mark.parametrize("name", PAPERS)
def test_a_hundred_updates_follow_the_paper(name: str, rng: np.random.Generator):
    optimizer, formula = PAPERS[name]
    start, slopes = rng.normal(size=(3, 4)), [rng.normal(size=(3, 4)) for _ in range(100)]
    p: Any = cr.tensor(start)
    state = optimizer.init(p)
    for g in slopes:
        p, state = optimizer.update(g, state, p)
    np.testing.assert_allclose(p.numpy(), formula(start, slopes), rtol=1e-12, atol=1e-12)
    assert state["updates"].item() == 100


def test_nesterov_takes_its_gradients_a_step_ahead():
    """Nesterov's own form: the gradient at θ + μ v, for a parameter θ and a loss with a gradient of its own."""
    theta, v, p = np.array([1.5, -0.5]), np.zeros(2), cr.tensor([1.5, -0.5])
    optimizer = optim.nesterov(0.05)
    state = optimizer.init(p)
    for _ in range(30):
        v = 0.9 * v - 0.05 * np.sinh(theta + 0.9 * v)
        theta = theta + v
        p, state = optimizer.update(cr.grad(lambda p: cr.cosh(p).sum())(p), state, p)
    np.testing.assert_allclose(p.numpy(), theta + 0.9 * v, rtol=1e-12)


@ALL
def test_it_finds_a_minimum(optimizer: optim.Optimizer):
    optimizer = optim.adamw(0.1) if optimizer.name == "adamw" else optimizer
    loss = lambda p: ((p["a"] - 1) ** 2).sum() + (p["b"] + p["a"].sum()) ** 2
    params = {"a": np.zeros(3), "b": 0.5}
    state = optimizer.init(params)
    for _ in range(1000):
        params, state = optimizer.update(cr.grad(loss)(params), state, params)
    assert loss(params).item() < 0.1  # from 3.25; at this rate rmsprop stays in motion around the minimum


@ALL
def test_parameters_stay_what_they_were(optimizer: optim.Optimizer):
    params = {
        "w": cr.tensor(np.ones((2, 3), np.float32), requires_grad=True, name="weights"),
        "frozen": cr.tensor(1.0),
        "rest": [np.ones(2), (cr.tensor(np.float32(2.0), requires_grad=True), None)],
    }
    before = params["w"]
    gradients = {"w": np.ones((2, 3)), "frozen": 1.0, "rest": [np.ones(2), (cr.tensor(np.float32(1)), None)]}
    new, state = optimizer.update(gradients, optimizer.init(params), params)
    assert params["w"] is before and before.tolist() == [[1.0] * 3] * 2
    assert (new["w"].dtype, new["w"].requires_grad, new["w"].is_leaf) == (cr.float32, True, True)
    assert new["w"].name == "weights" and new["w"].grad is None
    assert not new["frozen"].requires_grad and new["rest"][0].dtype == cr.float64
    assert new["rest"][1][0].dtype == cr.float32 and new["rest"][1][0].shape == ()
    assert new["rest"][1][1] is None
    for kept in optimizer.kept:
        assert list(state[kept]) == ["w", "frozen", "rest.0", "rest.1.0"]
        assert [v.dtype.name for v in state[kept].values()] == ["float32", "float64", "float64", "float32"]
        assert not any(v.requires_grad for v in state[kept].values())


@ALL
def test_modules_go_in_and_come_out(optimizer: optim.Optimizer):
    model = nn.Sequential(nn.Linear(2, 3, key=cr.random.key(0)), cr.tanh)
    gradients = cr.grad(lambda model: model(np.ones((4, 2), np.float32)).sum())(model)
    new, _ = optimizer.update(gradients, optimizer.init(model), model)
    assert isinstance(new, nn.Sequential) and new.layers[1] is cr.tanh
    for path, p in new.parameters().items():
        assert p.requires_grad and (p.numpy() != model.parameters()[path].numpy()).all()


@ALL
def test_nothing_is_recorded(optimizer: optim.Optimizer):
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    state = optimizer.init(w)
    (w * w).sum().backward()
    new, state = optimizer.update(w.grad, state, w)
    assert new.inputs == () and new.op is None
    for kept in optimizer.kept:
        assert all(v.op is None for v in state[kept].values())


@ALL
def test_updates_can_be_traced(optimizer: optim.Optimizer, rng: np.random.Generator):
    """What compiles a whole training step later sees the same arithmetic."""
    params = {"w": rng.normal(size=(2, 3)).astype(np.float32), "b": rng.normal(size=3)}
    gradients = {"w": rng.normal(size=(2, 3)).astype(np.float32), "b": rng.normal(size=3)}
    state = optimizer.init(params)
    params, state = optimizer.update(gradients, state, params)
    expected = optimizer.update(gradients, state, params)
    graph = cr.trace(optimizer.update, gradients, state, params).verify()
    inputs = [*gradients.values(), state["updates"]]
    inputs += [v for kept in optimizer.kept for v in state[kept].values()] + list(params.values())
    values = graph.evaluate(*inputs)
    for value, name in zip(values, ("w", "b"), strict=False):
        assert value.dtype == expected[0][name].dtype
        np.testing.assert_allclose(value, expected[0][name].numpy(), rtol=2e-6)
    assert values[2] == 2


@ALL
def test_gradients_of_another_dtype_change_none(optimizer: optim.Optimizer):
    p, g = np.ones(3, np.float32), np.ones(3)
    state = optimizer.init(p)
    expected, _ = optimizer.update(g, state, p)
    values = cr.trace(lambda g, p: optimizer.update(g, state, p)[0], g, p).evaluate(g, p)
    assert expected.dtype == values[0].dtype == cr.float32
    np.testing.assert_allclose(values[0], expected.numpy(), rtol=2e-6)


@ALL
def test_size_zero_and_infinite_values_pass(optimizer: optim.Optimizer):
    params = {"none": np.zeros((0, 3)), "huge": np.float32(3e38)}
    gradients = {"none": np.zeros((0, 3)), "huge": np.float32(-np.inf)}
    new, _ = optimizer.update(gradients, optimizer.init(params), params)
    assert new["none"].shape == (0, 3)
    assert not np.isfinite(new["huge"].item())


@pytest.mark.parametrize("name", ["gradient_descent", "momentum", "nesterov", "adagrad", "rmsprop", "adam"])
def test_weight_decay_is_half_the_square_in_the_loss(name: str):
    make = getattr(optim, name)
    plain, decaying = make(0.05), make(0.05, weight_decay=0.3)
    loss = lambda p: cr.cosh(p - 1.0).sum()
    with_square = lambda p: loss(p) + 0.15 * (p * p).sum()
    p = q = cr.tensor([2.0, -1.0, 0.5])
    plain_state, decaying_state = plain.init(p), decaying.init(q)
    for _ in range(20):
        p, plain_state = plain.update(cr.grad(with_square)(p), plain_state, p)
        q, decaying_state = decaying.update(cr.grad(loss)(q), decaying_state, q)
    np.testing.assert_allclose(q.numpy(), p.numpy(), rtol=1e-12)


def test_decoupled_decay_does_not_reach_the_moments():
    params = [np.full(2, 3.0)]
    optimizer = optim.adamw(0.1, weight_decay=0.2)
    new, state = optimizer.update([np.zeros(2)], optimizer.init(params), params)
    np.testing.assert_allclose(new[0].numpy(), 3.0 * (1 - 0.1 * 0.2))
    assert state["mean"]["0"].tolist() == state["square"]["0"].tolist() == [0, 0]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_what_decays_is_chosen_by_path(make: Callable[..., optim.Optimizer]):
    layer = {"weight": np.full(2, 3.0), "bias": np.full(2, 3.0)}
    params = {"layers": [layer, {"scale": np.full(2, 3.0)}]}
    zeros = {"layers": [{"weight": np.zeros(2), "bias": np.zeros(2)}, {"scale": np.zeros(2)}]}

    def decayed(decays: Any) -> set[str]:
        optimizer = make(0.1, weight_decay=0.5, decays=decays)
        new, _ = optimizer.update(zeros, optimizer.init(params), params)
        moved = {
            "weight": new["layers"][0]["weight"],
            "bias": new["layers"][0]["bias"],
            "scale": new["layers"][1]["scale"],
        }
        assert all(p.tolist() == [3, 3] or (p.numpy() < 3).all() for p in moved.values())
        return {name for name, p in moved.items() if p.tolist() != [3, 3]}

    assert decayed("*") == {"weight", "bias", "scale"}
    assert decayed("*weight") == {"weight"}
    assert decayed(["layers.0.*", "*.scale"]) == {"weight", "bias", "scale"}
    assert decayed(("layers.1.scale",)) == {"scale"}
    assert decayed(lambda path: path.startswith("layers.0") and not path.endswith("bias")) == {"weight"}
    assert decayed(lambda path: False) == set()


@pytest.mark.parametrize(
    ("decays", "expected"),
    [
        ("w[1]", {"w[1]"}),
        ("w[*", {"w[1]"}),
        ("w?", {"w?"}),
        ("*[!w]*", {"[!w]"}),
        ("w*", {"w[1]", "w?", "w1"}),
    ],
)
def test_only_the_star_is_special_in_a_pattern(decays: str, expected: set[str]):
    params = {name: np.ones(2) for name in ("w[1]", "w?", "w1", "[!w]")}
    optimizer = optim.adamw(0.1, weight_decay=0.5, decays=decays)
    zeros = {name: np.zeros(2) for name in params}
    new, _ = optimizer.update(zeros, optimizer.init(params), params)
    assert {name for name, p in new.items() if p.tolist() != [1, 1]} == expected


def test_patterns_that_decay_nothing_are_refused():
    params = {"kernel": np.ones(2), "bias": np.ones(2)}
    with pytest.raises(
        ArgumentError, match=r"adamw: decays='\*weight' fits no parameter; the first is 'kernel'"
    ):
        optim.adamw(decays="*weight").init(params)
    with pytest.raises(ArgumentError, match="decays='scale' fits no parameter"):
        optim.momentum(0.1, weight_decay=0.1, decays=["kernel", "scale"]).init(params)
    optim.momentum(0.1, decays="scale").init(params)  # without weight decay there is nothing to choose
    for decays in (None, 3, [], "", ["weight", 3], {"weight": True}):
        with pytest.raises(ArgumentError, match="adam: decays must be a pattern for paths, or several"):
            optim.adam(weight_decay=0.1, decays=decays)
    half = optim.adamw(decays=lambda path: 0.5)
    with pytest.raises(ArgumentError, match=r"decays: its result must be True or False, got 0\.5"):
        half.update(params, half.init(params), params)


def test_the_learning_rate_may_change_between_updates():
    p: Any = cr.tensor(1.0)
    state = optim.adam(0.1).init(p)
    for rate in (0.1, 0.01):
        p, state = optim.adam(rate).update(1.0, state, p)
    assert p.item() == pytest.approx(1 - 0.1 - 0.01, abs=1e-6)


@ALL
def test_what_does_not_belong_together_is_refused(optimizer: optim.Optimizer):
    params = {"w": np.ones(3), "b": np.ones(2)}
    state = optimizer.init(params)
    with pytest.raises(StructureError, match=r"structure differs at the top: .*'w', 'b'.*'w'"):
        optimizer.update({"w": np.ones(3)}, state, params)
    with pytest.raises(ShapeError, match=r"the gradient for b has shape \(3,\), expected \(2,\)"):
        optimizer.update({"w": np.ones(3), "b": np.ones(3)}, state, params)
    with pytest.raises(DTypeError, match=r"b is float64\[2\] and its gradient int64\[2\]: expected floats"):
        optimizer.update({"w": np.ones(3), "b": np.ones(2, np.int64)}, state, params)
    with pytest.raises(StructureError, match=r"update takes \(gradients, state, params\)"):
        optimizer.update(params, params, state)
    if optimizer.kept:
        with pytest.raises(StructureError, match="it holds 1 parameters where there are 2"):
            optimizer.update(params, optimizer.init({"w": np.ones(3)}), params)
        with pytest.raises(StructureError, match="arrays of other shapes"):
            optimizer.update(params, optimizer.init({"w": np.ones(2), "b": np.ones(2)}), params)


def test_parameters_must_be_distinct_floats():
    optimizer, w = optim.adam(), cr.tensor([1.0])
    with pytest.raises(ArgumentError, match="there are no parameters"):
        optimizer.init({"a": []})
    with pytest.raises(StructureError, match="b is the same tensor as a; an update would part them"):
        optimizer.init({"a": w, "b": w})
    with pytest.raises(StructureError, match=r"two parameters have the path 'a\.b'"):
        optimizer.init({"a.b": 1.0, "a": {"b": 2.0}})
    with pytest.raises(DTypeError, match=r"steps is int64\[\]: expected floats"):
        optimizer.init({"w": 1.0, "steps": 3})


def test_hyperparameters_are_validated():
    for make in MAKERS:
        for rate in (0, -1e-3, np.inf, np.nan, 10**400):
            with pytest.raises(ArgumentError, match=f"{make.__name__}: learning_rate must be above 0"):
                make(rate)
        for rate in ({"w": 1.0}, "0.1", None, True, 1j, np.ones(2), nn.Linear(2, 1, key=cr.random.key(0))):
            with pytest.raises(ArgumentError, match="learning_rate must be a number or a schedule, got "):
                make(rate)
        for decay in (-1e-3, np.inf, np.nan):
            with pytest.raises(
                ArgumentError, match=f"{make.__name__}: weight_decay must be at least 0 and finite"
            ):
                make(0.1, weight_decay=decay)
        with pytest.raises(ArgumentError, match=f"{make.__name__}: weight_decay must be a number, got str"):
            make(0.1, weight_decay="0.1")
    for decay in (-0.1, 1.0, np.nan):
        with pytest.raises(ArgumentError, match=r"momentum: decay must lie in \[0, 1\)"):
            optim.momentum(0.1, decay=decay)
        with pytest.raises(ArgumentError, match=r"adam: beta2 must lie in \[0, 1\)"):
            optim.adam(beta2=decay)
    with pytest.raises(ArgumentError, match="rmsprop: epsilon must be above 0"):
        optim.rmsprop(epsilon=0)


def test_an_optimizer_shows_its_settings():
    optimizer = optim.momentum(0.1)
    settings = {"learning_rate": 0.1, "decay": 0.9, "weight_decay": 0.0, "decays": "*"}
    assert (optimizer.name, optimizer.settings) == ("momentum", settings)
    assert repr(optimizer) == f"Optimizer(name='momentum', settings={settings}, kept=('velocity',))"


def test_what_others_call_otherwise():
    optimizer = optim.adam()
    for call, instead in [
        (lambda: optimizer.step, r"optimizer\.update\(gradients, state, params\)"),
        (lambda: optimizer.param_groups, r"optimizer\.settings"),
        (lambda: optim.AdamW, r"cr\.optim\.adamw"),
        (lambda: optim.SGD, r"cr\.optim\.nesterov\(rate\) for nesterov=True"),
        (lambda: optim.lr_scheduler, r"a schedule as the learning rate: cr\.optim\.adam\(cr\.optim\.cosine"),
        (lambda: optim.OneCycleLR, r"cr\.optim\.one_cycle"),
        (lambda: optim.clip_grad_norm_, r"cr\.optim\.clip_by_norm\(optimizer, limit\)"),
        (lambda: nn.utils, r"clip_grad_norm_"),
    ]:
        with pytest.raises(AttributeError, match=instead):
            call()
    with pytest.raises(AttributeError, match=r"an optimizer has no \.nonesuch$"):
        _ = optimizer.nonesuch


def test_every_name_that_habits_give_exists():
    for instead in [*habits.OPTIM.values(), *habits.OPTIMIZER.values()]:
        for name in re.findall(r"cr\.optim\.(\w+)", instead):
            assert name in optim.__all__
