"""Residual networks have the published sizes and train."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError

KEY = cr.random.key(0)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    # The first three as counted by He et al., section 4.2, in millions; all as published code counts them.
    [(20, 269_722), (32, 464_154), (56, 853_018), (110, 1_727_962), (18, 11_689_512), (50, 25_557_032)],
)
def test_published_sizes(depth: int, parameters: int):
    assert cr.models.resnet(depth, key=KEY).summary().total == parameters


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "parameters"), [(34, 21_797_672), (101, 44_549_160), (152, 60_192_808)])
def test_published_sizes_of_large_ones(depth: int, parameters: int):
    assert cr.models.resnet(depth, key=KEY).summary().total == parameters


@pytest.mark.parametrize(("depth", "size"), [(20, 8), (18, 32), (50, 32)])
def test_shapes(depth: int, size: int):
    model = cr.models.resnet(depth, classes=4, channels=1, key=KEY)
    assert model(np.ones((2, size, size, 1), np.float32)).shape == (2, 4)


def test_it_trains():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 8, 8, 3)).astype(np.float32), np.arange(8) % 4
    step = cr.train.compile_step(
        cr.models.resnet(20, classes=4, key=KEY), cr.nn.softmax_cross_entropy, cr.optim.momentum(0.02)
    )
    losses = [step(x, y).item() for _ in range(25)]
    assert losses[-1] < 0.1 < losses[0]
    assert all(np.isfinite(b.numpy()).all() for b in step.model.buffers().values())


def test_another_depth():
    with pytest.raises(ArgumentError, match="there is none of depth 21"):
        cr.models.resnet(21, key=KEY)
