"""Draw arrays, and compare values and gradients with torch's. float64 agrees to 1e-12 relative to the
largest element, float32 to 2e-5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import chainrule as cr

RTOL = {np.float64: 1e-12, np.float32: 2e-5}
SHAPES_1 = [(), (5,), (3, 4), (2, 3, 4), (0,), (3, 0, 2)]
SHAPES_2 = [
    ((), ()),
    ((4,), (4,)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((), (2, 3)),
    ((0, 3), (3,)),
    ((2, 1, 4), (3, 1)),
]


@dataclass(frozen=True)
class Range:
    low: float = -2.0
    high: float = 2.0


ANY, POSITIVE, UNIT, ABOVE_ONE = Range(), Range(0.1, 3.0), Range(-0.95, 0.95), Range(1.1, 3.0)


def draw(rng: np.random.Generator, where: Range, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.asarray(rng.uniform(where.low, where.high, shape)).astype(dtype)


def close(ours: np.ndarray, theirs: np.ndarray, dtype: Any, what: str) -> None:
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, what
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0, where=np.isfinite(theirs))))
    np.testing.assert_allclose(ours, theirs, rtol=RTOL[dtype], atol=RTOL[dtype] * scale, err_msg=what)


def assert_parity(
    ours: Any, theirs: Any, inputs: list[np.ndarray], *, gradients: bool = True, order: int = 2
) -> None:
    """Value, gradient and second derivative of a random combination of the outputs."""
    mine = [cr.tensor(x, requires_grad=gradients and x.dtype.kind == "f") for x in inputs]
    other = [torch.tensor(x, requires_grad=gradients and x.dtype.kind == "f") for x in inputs]
    y, z = ours(*mine), theirs(*other)
    dtype = inputs[0].dtype.type if inputs[0].dtype.kind == "f" else np.float64
    if z.dtype in (torch.float32, torch.float64):
        close(y.numpy(), z.detach().numpy(), dtype, "value")
    else:
        np.testing.assert_array_equal(y.numpy(), z.numpy())
    if not z.requires_grad or not gradients:
        return
    seed = np.asarray(np.random.default_rng(5).normal(size=z.shape)).astype(dtype)
    wrt = [i for i, t in enumerate(other) if t.requires_grad]
    first = torch.autograd.grad(
        z, [other[i] for i in wrt], torch.tensor(seed), create_graph=True, allow_unused=True
    )
    y.backward(seed, create_graph=True)
    for i, g in zip(wrt, first, strict=True):
        expected = np.zeros(inputs[i].shape, dtype) if g is None else g.detach().numpy(force=True)
        got = mine[i].grad
        close(
            np.zeros(inputs[i].shape, dtype) if got is None else got.numpy(), expected, dtype, f"gradient {i}"
        )
    if order < 2 or dtype is np.float32:
        return
    total = sum((g * g).sum() for g in first if g is not None and g.requires_grad)
    mine_total = sum(
        (mine[i].grad * mine[i].grad).sum()
        for i in wrt
        if mine[i].grad is not None and mine[i].grad.requires_grad
    )
    if not isinstance(total, torch.Tensor) or not isinstance(mine_total, cr.Tensor):
        return
    second = torch.autograd.grad(total, [other[i] for i in wrt], allow_unused=True)
    for i in wrt:
        mine[i].grad = None
    mine_total.backward()
    for i, g in zip(wrt, second, strict=True):
        expected = np.zeros(inputs[i].shape) if g is None else g.numpy(force=True)
        got = np.zeros(inputs[i].shape) if mine[i].grad is None else mine[i].grad.numpy()
        close(got, expected, dtype, f"second derivative {i}")
