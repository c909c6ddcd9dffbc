"""A hundred updates of every optimizer beside torch's, on the same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr
from chainrule import optim

PAIRS = {
    "gradient_descent": (optim.gradient_descent(0.05), lambda ps: torch.optim.SGD(ps, lr=0.05)),
    "momentum": (optim.momentum(0.05, decay=0.8), lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.8)),
    "adagrad": (optim.adagrad(0.05), lambda ps: torch.optim.Adagrad(ps, lr=0.05)),
    "rmsprop": (optim.rmsprop(0.05, decay=0.95), lambda ps: torch.optim.RMSprop(ps, lr=0.05, alpha=0.95)),
    "adam": (
        optim.adam(0.05, beta1=0.8, beta2=0.95, epsilon=1e-6),
        lambda ps: torch.optim.Adam(ps, lr=0.05, betas=(0.8, 0.95), eps=1e-6),
    ),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", PAIRS)
def test_updates(name: str, dtype: Any, rng: np.random.Generator):
    optimizer, theirs = PAIRS[name]
    start = [rng.normal(size=shape).astype(dtype) for shape in ((3, 4), (4,), ())]
    tensors = [torch.tensor(p, requires_grad=True) for p in start]
    other = theirs(tensors)
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
