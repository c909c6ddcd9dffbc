"""Every layer with weights beside torch's on the same weights: result, and gradients for input and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import chainrule as cr
from chainrule import nn

KEY = cr.random.key(0)
ACCURACY = {np.float64: 1e-10, np.float32: 2e-5}
"""Of each array, relative to its largest element, or to 1: a bias that softmax takes out has a gradient of 0."""
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def close(ours: Any, theirs: torch.Tensor, what: str) -> None:
    expected, got = theirs.detach().numpy(), ours.numpy()
    assert got.shape == expected.shape and got.dtype == expected.dtype, what
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=ACCURACY[expected.dtype.type] * scale, err_msg=what
    )


def as_torch(x: Any, gradient: bool = True) -> torch.Tensor:
    array = np.array(x)
    return torch.tensor(array, requires_grad=gradient and array.dtype.kind == "f")


def assert_same(
    layer: nn.Module,
    theirs: Callable[..., torch.Tensor],
    x: np.ndarray,
    rng: np.random.Generator,
    *,
    call: Callable[..., Any] = lambda layer, x: layer(x),
) -> None:
    """``theirs(x, **parameters)`` gets ours by path, with underscores for dots."""
    start = {path: rng.normal(size=p.shape) for path, p in layer.parameters().items()}
    layer = layer.with_parameters(start)
    parameters = {path: as_torch(p.numpy()) for path, p in layer.parameters().items()}
    floating = x.dtype.kind == "f"
    other = as_torch(x)
    result = theirs(other, **{path.replace(".", "_"): p for path, p in parameters.items()})
    seed = rng.normal(size=result.shape).astype(result.detach().numpy().dtype)
    (result * torch.tensor(seed)).sum().backward()

    def combined(layer: Any, x: Any) -> tuple[Any, Any]:
        y = call(layer, x)
        return (y * seed).sum(), y

    wrt = ([0] if parameters else []) + ([1] if floating else [])
    found, y = cr.grad(combined, argnums=tuple(wrt), has_aux=True)(layer, x)
    close(y, result, "result")
    gradients = dict(zip(wrt, found, strict=True))
    for path, parameter in parameters.items():
        close(gradients[0].parameters()[path], parameter.grad, path)
    if floating:
        close(gradients[1], other.grad, "input")


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels last to channels first."""
    return x.movedim(-1, 1)


def last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1)


def kernel(weight: torch.Tensor) -> torch.Tensor:
    return weight.permute(3, 2, 0, 1)


@DTYPES
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6), (6,)], ids=str)
def test_linear(shape, dtype, rng):
    x = rng.normal(size=shape).astype(dtype)
    assert_same(
        nn.Linear(6, 5, key=KEY, dtype=dtype), lambda x, weight, bias: F.linear(x, weight.T, bias), x, rng
    )
    assert_same(
        nn.Linear(6, 5, key=KEY, bias=False, dtype=dtype), lambda x, weight: F.linear(x, weight.T), x, rng
    )


@DTYPES
def test_dense(dtype, rng):
    layer, x = nn.Dense(5, cr.tanh, key=KEY, dtype=dtype), rng.normal(size=(4, 6)).astype(dtype)
    layer(x)
    assert_same(layer, lambda x, weight, bias: torch.tanh(F.linear(x, weight.T, bias)), x, rng)


@DTYPES
@pytest.mark.parametrize("pieces", [1, 2, 5])
def test_maxout(pieces, dtype, rng):
    def theirs(x, weight, bias):
        return torch.stack([x @ w + b for w, b in zip(weight.split(3, 1), bias.split(3), strict=True)]).amax(
            0
        )

    x = rng.normal(size=(7, 6)).astype(dtype)
    assert_same(nn.Maxout(6, 3, pieces, key=KEY, dtype=dtype), theirs, x, rng)


@DTYPES
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 1, "stride": 2},
        {"padding": "same"},
        {"dilation": 2, "padding": (1, 2)},
        {"groups": 2, "bias": False},
    ],
    ids=str,
)
def test_conv(options, dtype, rng):
    settings = {name: value for name, value in options.items() if name != "bias"}

    def theirs(x, weight, bias=None):
        return last(F.conv2d(first(x), kernel(weight), bias, **settings))

    x = rng.normal(size=(2, 7, 6, 4)).astype(dtype)
    assert_same(nn.Conv2d(4, 6, 3, key=KEY, dtype=dtype, **options), theirs, x, rng)


@DTYPES
def test_pools(dtype, rng):
    x = rng.normal(size=(2, 7, 6, 4)).astype(dtype)
    assert_same(nn.MaxPool2d(2), lambda x: last(F.max_pool2d(first(x), 2)), x, rng)
    assert_same(nn.MaxPool2d(3, stride=2, padding=1), lambda x: last(F.max_pool2d(first(x), 3, 2, 1)), x, rng)
    assert_same(nn.AvgPool2d((3, 2), stride=1), lambda x: last(F.avg_pool2d(first(x), (3, 2), 1)), x, rng)
    assert_same(
        nn.AvgPool2d(3, stride=2, padding=1),
        lambda x: last(F.avg_pool2d(first(x), 3, 2, 1, count_include_pad=False)),
        x,
        rng,
    )
    assert_same(nn.GlobalAveragePool(), lambda x: F.adaptive_avg_pool2d(first(x), 1).flatten(1), x, rng)


@DTYPES
@pytest.mark.parametrize("shape", [(8, 6), (2, 3, 5, 6)], ids=str)
def test_batch_norm(shape, dtype, rng):
    """In training, and by averages that are neither 0 nor 1."""
    layer = nn.BatchNorm(6, epsilon=1e-3, dtype=dtype)
    mean, variance = rng.normal(size=6).astype(dtype), rng.uniform(0.5, 2, 6).astype(dtype)
    layer = layer.with_buffers({"mean": mean, "variance": variance})
    x = rng.normal(2.0, 3.0, shape).astype(dtype)
    assert_same(
        layer,
        lambda x, scale, shift: last(F.batch_norm(first(x), None, None, scale, shift, True, 0.1, 1e-3)),
        x,
        rng,
        call=lambda layer, x: layer(x, nn.Training()),
    )
    assert_same(
        layer,
        lambda x, scale, shift: last(
            F.batch_norm(first(x), torch.tensor(mean), torch.tensor(variance), scale, shift, False, 0.1, 1e-3)
        ),
        x,
        rng,
    )


@DTYPES
def test_running_averages(dtype, rng):
    """Five training passes, then evaluation."""
    ours = nn.BatchNorm(6, decay=0.8, dtype=dtype)
    theirs = torch.nn.BatchNorm2d(
        6, momentum=0.2, dtype=torch.float64 if dtype is np.float64 else torch.float32
    )
    for _ in range(5):
        x, training = rng.normal(2.0, 3.0, (4, 3, 2, 6)).astype(dtype), nn.Training()
        close(ours(x, training), last(theirs(first(torch.tensor(x)))), "result in training")
        ours = ours.with_buffers(training.buffers_of(ours))
        close(ours.mean.value, theirs.running_mean, "mean")
        close(ours.variance.value, theirs.running_var, "variance")
    theirs.eval()
    close(ours(x), last(theirs(first(torch.tensor(x)))), "result")


@DTYPES
def test_layer_norm(dtype, rng):
    x = rng.normal(2.0, 3.0, (2, 5, 6)).astype(dtype)
    assert_same(
        nn.LayerNorm(6, dtype=dtype), lambda x, scale, shift: F.layer_norm(x, (6,), scale, shift), x, rng
    )


@DTYPES
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(groups, dtype, rng):
    x = rng.normal(2.0, 3.0, (2, 5, 3, 6)).astype(dtype)
    assert_same(
        nn.GroupNorm(groups, 6, dtype=dtype),
        lambda x, scale, shift: last(F.group_norm(first(x), groups, scale, shift)),
        x,
        rng,
    )


@DTYPES
def test_embedding(dtype, rng):
    ids = rng.integers(0, 7, (4, 5))
    assert_same(nn.Embedding(7, 3, key=KEY, dtype=dtype), lambda x, weight: F.embedding(x, weight), ids, rng)


def multi_head(
    features: int, heads: int, memory: torch.Tensor | None, mask: torch.Tensor | None, causal: bool
):
    """torch's own function, whose masks are True where nothing may be seen, and whose weights are (out, in)."""

    def theirs(x, **p):
        y, _ = F.multi_head_attention_forward(
            *(t.transpose(0, 1) for t in (x, *[x if memory is None else memory] * 2)),
            features,
            heads,
            torch.cat([p[f"{name}_weight"].T for name in ("queries", "keys", "values")]),
            torch.cat([p[f"{name}_bias"] for name in ("queries", "keys", "values")]),
            None,
            None,
            False,
            0.0,
            p["output_weight"].T,
            p["output_bias"],
            attn_mask=~torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril()
            if causal
            else None
            if mask is None
            else ~mask.repeat_interleave(heads, 0),
            need_weights=False,
        )
        return y.transpose(0, 1)

    return theirs


@DTYPES
@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention(causal, dtype, rng):
    x = rng.normal(size=(2, 5, 6)).astype(dtype)
    assert_same(
        nn.MultiHeadAttention(6, 3, causal=causal, key=KEY, dtype=dtype),
        multi_head(6, 3, None, None, causal),
        x,
        rng,
    )


@DTYPES
def test_attention_to_another_sequence_through_a_mask(dtype, rng):
    x, memory = rng.normal(size=(2, 5, 6)).astype(dtype), rng.normal(size=(2, 4, 6)).astype(dtype)
    mask = rng.uniform(size=(2, 5, 4)) > 0.4
    mask[..., 0] = True
    assert_same(
        nn.MultiHeadAttention(6, 2, key=KEY, dtype=dtype),
        multi_head(6, 2, torch.tensor(memory), torch.tensor(mask), False),
        x,
        rng,
        call=lambda layer, x: layer(x, memory=memory, mask=mask),
    )


class Dots(nn.Module):
    """Attention of what it is called with to keys that are parameters."""

    def __init__(self, shape, dtype, **options):
        self.key, self.value = (cr.zeros(shape, dtype=dtype) for _ in range(2))
        self.options = options

    def __call__(self, x):
        return nn.attention_weights(x, self.key, **self.options) @ self.value


@DTYPES
def test_dot_product_attention(dtype, rng):
    x, mask = rng.normal(size=(2, 3, 5, 4)).astype(dtype), rng.uniform(size=(5, 5)) > 0.3
    mask[:, 2] = True
    for ours, theirs in (
        ({}, {}),
        ({"causal": True}, {"is_causal": True}),
        ({"mask": mask}, {"attn_mask": torch.tensor(mask)}),
    ):
        assert_same(
            Dots(x.shape, dtype, **ours),
            lambda x, key, value, options=theirs: F.scaled_dot_product_attention(x, key, value, **options),
            x,
            rng,
        )


@DTYPES
def test_residual(dtype, rng):
    x = rng.normal(size=(2, 5, 6)).astype(dtype)
    block = nn.Residual(
        nn.Sequential(nn.LayerNorm(6, dtype=dtype), nn.Linear(6, 6, key=KEY, dtype=dtype), cr.gelu)
    )

    def theirs(x, layer_layers_0_scale, layer_layers_0_shift, layer_layers_1_weight, layer_layers_1_bias):
        y = F.layer_norm(x, (6,), layer_layers_0_scale, layer_layers_0_shift)
        return x + F.gelu(F.linear(y, layer_layers_1_weight.T, layer_layers_1_bias))

    assert_same(block, theirs, x, rng)
