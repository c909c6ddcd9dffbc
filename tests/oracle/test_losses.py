"""Losses beside torch's: values and gradients, at usual and at extreme scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import chainrule as cr
from chainrule import nn
from oracle.parity import assert_parity

SPREADS = [1.0, 30.0, 1e4]
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])

PAIRS = {
    "half_squared_error": lambda p, t, **o: F.mse_loss(p, t, **o) / 2,
    "mean_squared_error": F.mse_loss,
    "absolute_error": F.l1_loss,
    "huber": F.huber_loss,
    "binary_cross_entropy": F.binary_cross_entropy_with_logits,
}


@DTYPES
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("name", PAIRS)
def test_of_numbers(name, spread, reduction, dtype, rng):
    p = (spread * rng.normal(size=(6, 4))).astype(dtype)
    t = rng.uniform(size=(6, 4)).astype(dtype)
    if name != "binary_cross_entropy":
        t = (t * spread).astype(dtype)
    else:
        t[:3] = t[:3] > 0.5
    loss = getattr(nn, name)
    order = 1 if name == "binary_cross_entropy" else 2
    assert_parity(
        lambda p: loss(p, t, reduction=reduction),
        lambda p: PAIRS[name](p, torch.tensor(t), reduction=reduction),
        [p],
        order=order,
    )


@DTYPES
def test_huber_of_another_width(dtype, rng):
    p, t = (3 * rng.normal(size=(6, 4)).astype(dtype) for _ in range(2))
    assert_parity(
        lambda p, t: nn.huber(p, t, delta=0.3),
        lambda p, t: F.huber_loss(p, t, delta=0.3),
        [p, t],
    )


@DTYPES
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy(smoothing, spread, reduction, dtype, rng):
    z, labels = (spread * rng.normal(size=(6, 5))).astype(dtype), rng.integers(0, 5, 6)
    assert_parity(
        lambda z: nn.softmax_cross_entropy(z, labels, label_smoothing=smoothing, reduction=reduction),
        lambda z: F.cross_entropy(z, torch.tensor(labels), label_smoothing=smoothing, reduction=reduction),
        [z],
        order=1,
    )


@DTYPES
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_multiclass_hinge(margin, spread, dtype, rng):
    z, labels = (spread * rng.normal(size=(6, 5))).astype(dtype), rng.integers(0, 5, 6)
    assert_parity(
        lambda z: nn.multiclass_hinge(z, labels, margin=margin) / 5,
        lambda z: F.multi_margin_loss(z, torch.tensor(labels), margin=margin),
        [z],
    )


@DTYPES
def test_hinge(dtype, rng):
    z, signs = rng.normal(size=(6, 5)).astype(dtype), rng.choice([-1, 1], (6, 5))
    assert_parity(
        lambda z: nn.hinge(z, signs, reduction="none"),
        lambda z: torch.clamp(1 - torch.tensor(signs) * z, min=0),
        [z],
    )


@DTYPES
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_kl_divergence(spread, dtype, rng):
    z, t = ((spread * rng.normal(size=(6, 5))).astype(dtype) for _ in range(2))
    assert_parity(
        lambda z, t: nn.kl_divergence(z, t),
        lambda z, t: F.kl_div(z.log_softmax(-1), t.log_softmax(-1), reduction="batchmean", log_target=True),
        [z, t],
        order=1,
    )


def test_extreme_logits_have_the_limits_that_torch_misses():
    """A right answer that is certain costs nothing; torch multiplies 0 by infinity."""
    z = np.array([np.inf, -np.inf, np.inf])
    labels = np.array([1.0, 0.0, 0.0])
    theirs = F.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(labels), reduction="none")
    assert torch.isnan(theirs[0])
    assert nn.binary_cross_entropy(z, labels, reduction="none").tolist() == [0.0, 0.0, np.inf]
    tail = np.array([-60.0])
    assert (
        F.binary_cross_entropy_with_logits(torch.tensor(tail), torch.zeros(1, dtype=torch.float64)).item()
        < 1e-25
    )
    ours = nn.binary_cross_entropy(tail, [0.0]).item()
    assert ours == pytest.approx(np.exp(-60.0), rel=1e-12)
    assert cr.grad(lambda z: nn.binary_cross_entropy(z, [0.0]))(tail).item() == pytest.approx(
        np.exp(-60.0), rel=1e-12
    )
