"""A hundred updates of every optimizer beside torch's: on the same gradients, and training a small network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import nn, optim

PAIRS: dict[str, tuple[Callable[..., optim.Optimizer], Callable[..., Any]]] = {
    "gradient_descent": (optim.gradient_descent, torch.optim.SGD),
    "momentum": (
        lambda rate, **more: optim.momentum(rate, decay=0.8, **more),
        lambda ps, **more: torch.optim.SGD(ps, momentum=0.8, **more),
    ),
    "nesterov": (
        lambda rate, **more: optim.nesterov(rate, decay=0.8, **more),
        lambda ps, **more: torch.optim.SGD(ps, momentum=0.8, nesterov=True, **more),
    ),
    "adagrad": (optim.adagrad, torch.optim.Adagrad),
    "rmsprop": (
        lambda rate, **more: optim.rmsprop(rate, decay=0.95, **more),
        lambda ps, **more: torch.optim.RMSprop(ps, alpha=0.95, **more),
    ),
    "adam": (
        lambda rate, **more: optim.adam(rate, beta1=0.8, beta2=0.95, epsilon=1e-6, **more),
        lambda ps, **more: torch.optim.Adam(ps, betas=(0.8, 0.95), eps=1e-6, **more),
    ),
    "adamw": (optim.adamw, torch.optim.AdamW),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.1}], ids=["plain", "decay"])
@pytest.mark.parametrize("name", PAIRS)
def test_updates(name: str, more: dict[str, float], dtype: Any, rng: np.random.Generator):
    make, theirs = PAIRS[name]
    optimizer = make(0.05, **more)
    start = [rng.normal(size=shape).astype(dtype) for shape in ((3, 4), (4,), ())]
    tensors = [torch.tensor(p, requires_grad=True) for p in start]
    other = theirs(tensors, lr=0.05, **more)
    params: Any = start
    state = optimizer.init(params)
    for _ in range(100):
        gradients = [rng.normal(size=p.shape).astype(dtype) for p in start]
        params, state = optimizer.update(gradients, state, params)
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = torch.tensor(gradient)
        other.step()
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    for p, tensor in zip(params, tensors, strict=True):
        assert p.dtype == cr.tensor(start[0]).dtype
        np.testing.assert_allclose(p.numpy(), tensor.detach().numpy(), rtol=tolerance, atol=tolerance)


SCHEDULERS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "constant": (0.02, lambda o: torch.optim.lr_scheduler.ConstantLR(o, factor=1.0)),
    "step_decay": (optim.step_decay(0.02, 30, 0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 30, 0.5)),
    "exponential": (
        optim.step_decay(0.02, 1, 0.97),
        lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.97),
    ),
    "cosine": (
        optim.cosine(0.02, 100, final=0.001),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 100, eta_min=0.001),
    ),
    "warm_up": (
        optim.warm_up(0.02, 20, first=0.1),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=20),
    ),
    "warm_up and cosine": (
        optim.warm_up(optim.cosine(0.02, 80), 20, first=0.1),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [
                torch.optim.lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=20),
                torch.optim.lr_scheduler.CosineAnnealingLR(o, 80),
            ],
            milestones=[20],
        ),
    ),
    "one_cycle": (
        optim.one_cycle(0.02, 100),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.02, 100, cycle_momentum=False),
    ),
    "one_cycle of another kind": (
        optim.one_cycle(0.02, 100, rising=0.45, first_divisor=7, final_divisor=30),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, 0.02, 100, pct_start=0.45, div_factor=7, final_div_factor=30, cycle_momentum=False
        ),
    ),
    "a function": (
        lambda u: 0.02 / (1 + 0.1 * u),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda u: 1 / (1 + 0.1 * u)),
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_rates(name: str):
    rate, theirs = SCHEDULERS[name]
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.02)
    scheduler = theirs(other)
    optimizer = optim.gradient_descent(rate)
    for update in range(100):
        expected = other.param_groups[0]["lr"]
        assert optimizer.learning_rate_at(update) == pytest.approx(expected, rel=1e-9, abs=1e-15)
        other.step()
        if update < 99:
            scheduler.step()


def network(dtype: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Two networks with the same parameters: ours, and torch's."""
    ours = nn.Sequential(
        nn.Linear(5, 8, key=cr.random.key(0), dtype=dtype),
        cr.tanh,
        nn.Linear(8, 3, key=cr.random.key(1), dtype=dtype),
    )
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    theirs = theirs.to(torch.float64 if dtype == "float64" else torch.float32)
    with torch.no_grad():
        for place in (0, 2):
            theirs[place].weight.copy_(torch.tensor(ours.layers[place].weight.numpy().T))
            theirs[place].bias.copy_(torch.tensor(ours.layers[place].bias.numpy()))
    return ours, theirs


CLIPPING: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "unclipped": (lambda optimizer: optimizer, lambda ps: None),
    "by norm": (
        lambda optimizer: optim.clip_by_norm(optimizer, 0.3),
        lambda ps: torch.nn.utils.clip_grad_norm_(ps, 0.3, error_if_nonfinite=True),
    ),
    "by value": (
        lambda optimizer: optim.clip_by_value(optimizer, 0.05),
        lambda ps: torch.nn.utils.clip_grad_value_(ps, 0.05),
    ),
}


@pytest.mark.parametrize(
    ("schedule", "clip"),
    [("step_decay", "unclipped"), ("warm_up and cosine", "by norm"), ("one_cycle", "by value")],
)
@pytest.mark.parametrize("name", PAIRS)
def test_training(name: str, schedule: str, clip: str, rng: np.random.Generator):
    """The whole step of a user: loss, gradients, clipping, weight decay for matrices alone, schedule."""
    make, their_optimizer = PAIRS[name]
    rate, their_scheduler = SCHEDULERS[schedule]
    ours_clipped, their_clipping = CLIPPING[clip]
    model, theirs = network("float64", rng)
    optimizer = ours_clipped(make(rate, weight_decay=0.05, decays="*weight"))
    state = optimizer.init(model)
    groups = [
        {"params": [theirs[0].weight, theirs[2].weight], "weight_decay": 0.05},
        {"params": [theirs[0].bias, theirs[2].bias], "weight_decay": 0.0},
    ]
    other = their_optimizer(groups, lr=0.02)
    scheduler = their_scheduler(other)
    slope = cr.value_and_grad(lambda m, x, y: nn.softmax_cross_entropy(m(x), y))
    for _ in range(100):
        x, y = rng.normal(size=(16, 5)), rng.integers(0, 3, 16)
        value, gradients = slope(model, x, y)
        model, state = optimizer.update(gradients, state, model)
        other.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        their_clipping(theirs.parameters())
        other.step()
        if state["updates"].item() < 100:
            scheduler.step()
        assert value.item() == pytest.approx(loss.item(), rel=1e-4)
    # torch adds 1e-6 to the norm that it divides by
    tolerance = 1e-4 if clip == "by norm" else 1e-9
    for place in (0, 2):
        mine, their = model.layers[place], theirs[place]
        np.testing.assert_allclose(
            mine.weight.numpy(), their.weight.detach().numpy().T, rtol=tolerance, atol=tolerance
        )
        np.testing.assert_allclose(
            mine.bias.numpy(), their.bias.detach().numpy(), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("name", PAIRS)
def test_a_compiled_step(name: str, rng: np.random.Generator):
    """float32, compiled, with everything at once, beside torch."""
    make, their_optimizer = PAIRS[name]
    model, theirs = network("float32", rng)
    optimizer = optim.clip_by_norm(make(optim.one_cycle(0.02, 100), weight_decay=0.05), 0.3)
    step = cr.train.compile_step(model, nn.softmax_cross_entropy, optimizer)
    other = their_optimizer(theirs.parameters(), lr=0.02, weight_decay=0.05)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(other, 0.02, 100, cycle_momentum=False)
    for update in range(100):
        x, y = rng.normal(size=(16, 5)).astype(np.float32), rng.integers(0, 3, 16)
        value = step(x, y)
        other.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.3)
        other.step()
        if update < 99:
            scheduler.step()
        assert value.item() == pytest.approx(loss.item(), rel=1e-5)
    for place in (0, 2):
        mine, their = step.model.layers[place], theirs[place]
        np.testing.assert_allclose(mine.weight.numpy(), their.weight.detach().numpy().T, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(mine.bias.numpy(), their.bias.detach().numpy(), rtol=1e-5, atol=1e-5)
