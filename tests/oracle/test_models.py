"""Whole networks beside the same ones written in torch, on the same weights.

In float64 every array agrees. In float32 it is native code that is compared. There the error of a deep network is not
rounding alone: a few of a million relus lie so close to their kink that rounding decides, in torch as here. So it is
the error of all gradients together that is compared with torch's own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import chainrule as cr
from chainrule import models, nn, trees

KEY = cr.random.key(0)
EXACT = 1e-9
"""Largest difference in float64, relative to the largest element of an array."""


@pytest.fixture(autouse=True)
def _one_thread():
    """torch's threads wait busily for each other, for seconds where a machine has other things to do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ResNets in torch, channels first


class Unit(torch.nn.Module):
    """Convolution and batch norm."""

    def __init__(self, cin: int, cout: int, size: int, stride: int = 1):
        super().__init__()
        self.conv = torch.nn.Conv2d(cin, cout, size, stride, size // 2, bias=False)
        self.norm = torch.nn.BatchNorm2d(cout)

    def forward(self, x):
        return self.norm(self.conv(x))


class Basic(torch.nn.Module):
    """Two convolutions; without a projection, the shortcut leaves out pixels and adds channels of zeros."""

    def __init__(self, cin: int, width: int, stride: int, projected: bool):
        super().__init__()
        self.first, self.second = Unit(cin, width, 3, stride), Unit(width, width, 3)
        changes = stride != 1 or cin != width
        self.projection = Unit(cin, width, 1, stride) if projected and changes else None
        self.stride, self.more = stride, width - cin

    def forward(self, x):
        y = self.second(F.relu(self.first(x)))
        if self.projection is not None:
            return F.relu(y + self.projection(x))
        return F.relu(y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more)))


class Bottleneck(torch.nn.Module):
    def __init__(self, cin: int, width: int, stride: int, projected: bool):
        super().__init__()
        self.first, self.second, self.third = (
            Unit(cin, width, 1),
            Unit(width, width, 3, stride),
            Unit(width, 4 * width, 1),
        )
        self.projection = Unit(cin, 4 * width, 1, stride) if stride != 1 or cin != 4 * width else None

    def forward(self, x):
        y = self.third(F.relu(self.second(F.relu(self.first(x)))))
        return F.relu(y + (x if self.projection is None else self.projection(x)))


class TorchResNet(torch.nn.Module):
    def __init__(self, depth: int, classes: int):
        super().__init__()
        self.small = depth in (20, 32, 44, 56, 110)
        if self.small:
            numbers, width, block, wider = [(depth - 2) // 6] * 3, 16, Basic, 1
        else:
            numbers = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3], 152: [3, 8, 36, 3]}[depth]
            width, block, wider = 64, Basic if depth == 18 else Bottleneck, 1 if depth == 18 else 4
        self.stem = Unit(3, width, 3 if self.small else 7, 1 if self.small else 2)
        blocks, cin = [], width
        for stage, number in enumerate(numbers):
            for i in range(number):
                inner = width * 2**stage
                blocks.append(block(cin, inner, 2 if stage > 0 and i == 0 else 1, not self.small))
                cin = inner * wider
        self.blocks = torch.nn.Sequential(*blocks)
        self.head = torch.nn.Linear(cin, classes)

    def forward(self, x):
        y = F.relu(self.stem(x))
        if not self.small:
            y = F.max_pool2d(y, 3, 2, 1)
        return self.head(self.blocks(y).mean((2, 3)))


# Both on the same weights


def as_torch(value: np.ndarray) -> torch.Tensor:
    """Kernels and matrices with outputs first."""
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.ndim)
    return torch.tensor(value.transpose(axes) if axes else value)


def copied(model: Any, theirs: torch.nn.Module) -> None:
    """Give torch's model our parameters and buffers; both are defined in the same order."""
    for ours, others in (
        (model.parameters(), dict(theirs.named_parameters())),
        (model.buffers(), {n: b for n, b in theirs.named_buffers() if "num_batches" not in n}),
    ):
        assert len(ours) == len(others)
        for value, other in zip(ours.values(), others.values(), strict=True):
            with torch.no_grad():
                new = as_torch(value.numpy())
                assert new.shape == other.shape
                other.copy_(new)


def in_torch(theirs: torch.nn.Module, x: Any, labels: np.ndarray, dtype: Any) -> list[np.ndarray]:
    """Scores, and gradients of the mean cross-entropy for every parameter and for a floating input."""
    averages = {name: b.clone() for name, b in theirs.named_buffers()}
    theirs.to(dtype).zero_grad()
    given = torch.tensor(x.transpose(0, 3, 1, 2) if x.ndim == 4 else x)
    given = given.to(dtype).requires_grad_() if given.is_floating_point() else given
    scores = theirs(given)
    F.cross_entropy(scores.flatten(0, -2), torch.tensor(labels).flatten()).backward()
    found = [scores, *(p.grad for p in theirs.parameters()), *([given.grad] if given.requires_grad else [])]
    left = [b.clone() for name, b in theirs.named_buffers() if "num_batches" not in name]
    for name, b in theirs.named_buffers():
        b.copy_(averages[name])
    return [f.detach().numpy().copy() for f in [*found, *left]]


def in_chainrule(
    model: Any, x: np.ndarray, labels: np.ndarray, dtype: Any, training: bool
) -> list[np.ndarray]:
    """The same, in torch's order of axes; in float32 by native code."""
    model = trees.map_leaves(lambda p: p.astype(dtype), model)
    model = model.with_buffers({path: b.astype(dtype) for path, b in model.buffers().items()})

    def loss(model: Any, x: Any) -> Any:
        run = nn.Training() if training else None
        scores = nn.training.call(model, x, run)
        averages = run.buffers_of(model) if run else model.buffers()
        return nn.softmax_cross_entropy(scores, labels), (scores, averages)

    floating = x.dtype.kind == "f"
    both = cr.grad(loss, argnums=(0, 1) if floating else (0,), has_aux=True)
    if dtype is np.float32:
        both = cr.compile(both, threads=1)
    found, (scores, averages) = both(model, x.astype(dtype) if floating else x)
    inputs = [g.numpy().transpose(0, 3, 1, 2) if g.ndim == 4 else g.numpy() for g in found[1:]]
    gradients = [as_torch(g.numpy()).numpy() for g in found[0].parameters().values()]
    results = [scores.numpy(), *gradients, *inputs, *(b.numpy() for b in averages.values())]
    assert all(r.dtype == dtype for r in results)
    return results


def distance(found: list[np.ndarray], exact: list[np.ndarray]) -> float:
    """Of all arrays together, relative to their size."""
    difference = sum(((f.astype(np.float64) - e) ** 2).sum() for f, e in zip(found, exact, strict=True))
    return math.sqrt(difference / sum((e**2).sum() for e in exact))


def assert_same_network(
    model: nn.Module, theirs: torch.nn.Module, x: np.ndarray, labels: np.ndarray, *, training: bool = True
) -> None:
    """Scores, all gradients, and the averages that training leaves."""
    copied(model, theirs)
    theirs.train(training)
    rounded = in_torch(theirs, x, labels, torch.float32)
    exact = in_torch(theirs, x, labels, torch.float64)
    names = ["scores", *model.parameters(), *(["input"] if x.dtype.kind == "f" else []), *model.buffers()]
    for name, f, e in zip(names, in_chainrule(model, x, labels, np.float64, training), exact, strict=True):
        assert f.shape == e.shape
        np.testing.assert_allclose(f, e, rtol=0, atol=EXACT * max(abs(e).max(), 1e-6), err_msg=name)
    found = in_chainrule(model, x, labels, np.float32, training)
    assert distance(found[:1], exact[:1]) <= max(10 * distance(rounded[:1], exact[:1]), 1e-5)
    assert distance(found[1:], exact[1:]) <= max(10 * distance(rounded[1:], exact[1:]), 0.01)


def settled(model: Any, x: np.ndarray) -> Any:
    """The model with running averages of these images, so that evaluation is no trivial case."""
    training = nn.Training()
    model(x, training)
    values = training.buffers_of(model)
    return model.with_buffers(values)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("depth", "size", "batch"),
    [(20, 32, 4), (18, 32, 4), (50, 64, 4), pytest.param(152, 64, 4, marks=pytest.mark.slow)],
)
def test_resnet(depth: int, size: int, batch: int, training: bool, rng: np.random.Generator):
    model, theirs = models.resnet(depth, classes=7, key=KEY), TorchResNet(depth, 7)
    x, labels = rng.normal(size=(batch, size, size, 3)).astype(np.float32), rng.integers(0, 7, batch)
    assert model.summary().total == sum(p.numel() for p in theirs.parameters())
    assert_same_network(settled(model, x), theirs, x, labels, training=training)


# Small classifiers


def test_mlp(rng: np.random.Generator):
    theirs = torch.nn.Sequential(
        *(torch.nn.Linear(20, 16), torch.nn.Tanh(), torch.nn.Linear(16, 12), torch.nn.Tanh()),
        torch.nn.Linear(12, 5),
    )
    x, labels = rng.normal(size=(8, 20)).astype(np.float32), rng.integers(0, 5, 8)
    assert_same_network(models.mlp((20, 16, 12, 5), cr.tanh, key=KEY), theirs, x, labels)


class ChannelsLast(torch.nn.Module):
    """So that flattened features come in our order."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


@pytest.mark.parametrize("size", [28, 32])
def test_lenet(size: int, rng: np.random.Generator):
    theirs = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 6, 5, padding=2 if size == 28 else 0), torch.nn.Tanh(), torch.nn.AvgPool2d(2)),
        *(torch.nn.Conv2d(6, 16, 5), torch.nn.Tanh(), torch.nn.AvgPool2d(2), ChannelsLast()),
        *(torch.nn.Linear(400, 120), torch.nn.Tanh(), torch.nn.Linear(120, 84), torch.nn.Tanh()),
        torch.nn.Linear(84, 10),
    )
    x, labels = rng.normal(size=(4, size, size, 1)).astype(np.float32), rng.integers(0, 10, 4)
    assert_same_network(models.lenet((size, size, 1), key=KEY), theirs, x, labels)


def test_cnn(rng: np.random.Generator):
    theirs = torch.nn.Sequential(
        *(torch.nn.Conv2d(1, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Conv2d(32, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), ChannelsLast()),
        *(torch.nn.Linear(7 * 7 * 64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)),
    )
    x, labels = rng.normal(size=(4, 28, 28, 1)).astype(np.float32), rng.integers(0, 10, 4)
    assert_same_network(models.cnn((28, 28, 1), 10, key=KEY), theirs, x, labels)


# The transformer


class TorchBlock(torch.nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first = torch.nn.LayerNorm(width)
        self.queries, self.keys, self.values, self.output = (torch.nn.Linear(width, width) for _ in range(4))
        self.second = torch.nn.LayerNorm(width)
        self.expand, self.contract = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x):
        y = self.first(x)
        parts = [
            layer(y).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.queries, self.keys, self.values)
        ]
        seen = F.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.output(seen)
        return x + self.contract(F.gelu(self.expand(self.second(x))))


class TorchTransformer(torch.nn.Module):
    def __init__(self, vocabulary: int, width: int, heads: int, layers: int, context: int):
        super().__init__()
        # As matrices, so that they are copied like other weights: inputs on the last axis.
        self.tokens = torch.nn.Parameter(torch.zeros(width, vocabulary))
        self.positions = torch.nn.Parameter(torch.zeros(width, context))
        self.blocks = torch.nn.Sequential(*(TorchBlock(width, heads) for _ in range(layers)))
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, ids):
        x = self.tokens.T[ids] + self.positions.T[: ids.shape[1]]
        return self.norm(self.blocks(x)) @ self.tokens


def test_transformer(rng: np.random.Generator):
    sizes = 23, 24, 4, 3, 16
    model, theirs = models.transformer(*sizes, key=KEY), TorchTransformer(*sizes)
    # Larger weights than it starts with, so that attention has something to choose.
    model = model.with_parameters(
        {
            path: p.numpy() + 0.3 * rng.normal(size=p.shape) / math.sqrt(p.shape[0])
            for path, p in model.parameters().items()
        }
    )
    ids, following = rng.integers(0, 23, (3, 12)), rng.integers(0, 23, (3, 12))
    assert model.summary().total == sum(p.numel() for p in theirs.parameters())
    assert_same_network(model, theirs, ids, following)


# The recurrent network


class TorchCharRNN(torch.nn.Module):
    """torch's own recurrences, which have two biases for each sum: ours is the first."""

    def __init__(self, vocabulary: int, width: int, cell: str, layers: int):
        super().__init__()
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[cell]
        self.cell, self.gates, self.width = cell, gates, width
        self.tokens = torch.nn.Parameter(torch.zeros(width, vocabulary))
        shapes = [(gates * width, width), (gates * width, width), (gates * width,)]
        shapes += [(width,)] if cell == "gru" else []
        self.layers = torch.nn.ParameterList(
            torch.nn.Parameter(torch.zeros(shape)) for _ in range(layers) for shape in shapes
        )
        self.parts = len(shapes)
        self.head = torch.nn.Linear(width, vocabulary)

    def forward(self, ids):
        x = self.tokens.T[ids]
        zeros = x.new_zeros(1, len(ids), self.width)
        for first in range(0, len(self.layers), self.parts):
            own = [self.layers[first + i] for i in range(self.parts)]
            second = torch.zeros_like(own[2])
            if self.cell == "gru":
                second = torch.cat([second[: 2 * self.width], own[3]])
            run = {"rnn": torch.rnn_tanh, "gru": torch.gru, "lstm": torch.lstm}[self.cell]
            state = (zeros, zeros) if self.cell == "lstm" else zeros
            x = run(x, state, [*own[:3], second], True, 1, 0.0, False, False, True)[0]
        return self.head(x)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_char_rnn(cell: str, rng: np.random.Generator):
    model, theirs = models.char_rnn(13, 10, cell, 2, key=KEY), TorchCharRNN(13, 10, cell, 2)
    model = model.with_parameters(
        {path: p.numpy() + 0.1 * rng.normal(size=p.shape) for path, p in model.parameters().items()}
    )
    ids, following = rng.integers(0, 13, (3, 9)), rng.integers(0, 13, (3, 9))
    assert_same_network(model, theirs, ids, following)
