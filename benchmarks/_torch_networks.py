"""The networks of `training.py` in torch, channels last, with the same initial spread, optimizers and schedules."""

from __future__ import annotations

import importlib
import time
from typing import Any

import numpy as np

torch: Any = importlib.import_module("torch")
nn, F = torch.nn, torch.nn.functional


class ConvNorm(nn.Sequential):
    """A convolution without bias, then batch normalization."""

    def __init__(self, cin: int, cout: int, size: int, stride: int) -> None:
        super().__init__(nn.Conv2d(cin, cout, size, stride, size // 2, bias=False), nn.BatchNorm2d(cout))


class Block(nn.Module):
    """``relu(x + f(x))``."""

    def __init__(
        self, cin: int, widths: tuple[int, ...], sizes: tuple[int, ...], stride: int, projected: bool
    ) -> None:
        super().__init__()
        at = sizes.index(3)
        self.layers = nn.ModuleList(
            ConvNorm(a, b, size, stride if i == at else 1)
            for i, (a, b, size) in enumerate(zip((cin, *widths), widths, sizes, strict=False))
        )
        changes = stride > 1 or cin != widths[-1]
        self.shortcut = ConvNorm(cin, widths[-1], 1, stride) if changes and projected else None
        self.stride, self.width = stride, widths[-1]

    def forward(self, x: Any) -> Any:
        y = x
        for i, layer in enumerate(self.layers):
            y = layer(F.relu(y) if i else y)
        if self.shortcut is not None:
            x = self.shortcut(x)
        elif self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.width - x.shape[1]))
        return F.relu(x + y)


class ResNet(nn.Module):
    """As `chainrule.models.resnet`."""

    def __init__(self, depth: int, classes: int, channels: int) -> None:
        super().__init__()
        small = {20: (3, 3, 3), 32: (5, 5, 5), 56: (9, 9, 9), 110: (18, 18, 18)}.get(depth)
        blocks = small or {
            18: (2, 2, 2, 2),
            34: (3, 4, 6, 3),
            50: (3, 4, 6, 3),
            101: (3, 4, 23, 3),
            152: (3, 8, 36, 3),
        }.get(depth)
        assert blocks is not None
        wide, self.large = (16, False) if small else (64, True)
        self.stem = ConvNorm(channels, wide, 7 if self.large else 3, 2 if self.large else 1)
        layers, cin = [], wide
        for stage, number in enumerate(blocks):
            inner = wide << stage
            deep = self.large and depth >= 50
            widths, sizes = ((inner, inner, 4 * inner), (1, 3, 1)) if deep else ((inner, inner), (3, 3))
            for i in range(number):
                layers.append(Block(cin, widths, sizes, 2 if stage and not i else 1, self.large))
                cin = widths[-1]
        self.stages, self.head = nn.Sequential(*layers), nn.Linear(cin, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.stem(x))
        if self.large:
            y = F.max_pool2d(y, 3, 2, 1)
        return self.head(self.stages(y).mean((2, 3)))


def cnn(shape: tuple[int, ...], classes: int) -> Any:
    """As `chainrule.models.cnn`."""
    rows, columns, channels = shape
    return nn.Sequential(
        *(nn.Conv2d(channels, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(64 * (rows // 4) * (columns // 4), 128), nn.ReLU(), nn.Linear(128, classes)),
    )


def channels_last(x: Any) -> Any:
    """Images of NumPy, (N, H, W, C), as torch's fastest layout on CPUs has them."""
    made = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    return made.contiguous(memory_format=torch.channels_last)


def moved(x: Any, black: Any) -> Any:
    """A batch with random shifts by up to 4 pixels and random flips; ``black`` is what a black pixel is prepared to."""
    n, channels, rows, columns = x.shape
    padded = black.expand(n, channels, rows + 8, columns + 8).clone()
    padded[:, :, 4 : 4 + rows, 4 : 4 + columns] = x
    at = (torch.randint(0, 9, (n,))[:, None] + torch.arange(rows))[:, :, None]
    across = torch.randint(0, 9, (n,))[:, None] + torch.arange(columns)
    across = torch.where((torch.rand(n) < 0.5)[:, None], across.flip(1), across)[:, None, :]
    # Indices on both sides of the channels: the result has them last already.
    chosen = padded[torch.arange(n)[:, None, None], :, at, across].permute(0, 3, 1, 2)
    return chosen.contiguous(memory_format=torch.channels_last)


def train(data: Any, plan: Any, threads: int) -> tuple[float, float]:
    """Train by a filled plan of chainrule's.

    Args:
        data: a data set of images.
        plan: what is trained, a `chainrule.train.Plan`.
        threads: how many compute.

    Returns:
        Accuracy on the test images, and the seconds of all epochs with a look at the test images after each.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(plan.seed)
    (x, y), (test_x, test_y) = data.prepared("train"), data.prepared("test")
    classes, shape = len(data.classes), data.input_shape
    residual = plan.model.startswith("resnet")
    net = ResNet(int(plan.model[6:]), classes, shape[2]) if residual else cnn(shape, classes)
    net = net.to(memory_format=torch.channels_last)
    black = channels_last(data.preparation(np.zeros((1, *data.train_x.shape[1:]), data.train_x.dtype)))[
        :, :, :1, :1
    ]
    x, test_x, y, test_y = (
        channels_last(x),
        channels_last(test_x),
        torch.from_numpy(y),
        torch.from_numpy(test_y),
    )
    steps = -(-len(x) // plan.batch_size)
    rate = plan.learning_rate
    if plan.optimizer == "adam":
        optimizer = torch.optim.Adam(net.parameters(), rate, fused=True)
    else:
        optimizer = torch.optim.SGD(
            net.parameters(), rate, 0.9, weight_decay=plan.weight_decay, nesterov=True, fused=True
        )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps * plan.epochs, cycle_momentum=False
    )
    began, accuracy = time.perf_counter(), 0.0
    for _ in range(plan.epochs):
        net.train()
        order = torch.randperm(len(x))
        for i in range(steps):
            rows = order[i * plan.batch_size : (i + 1) * plan.batch_size]
            batch = moved(x[rows], black) if plan.augment else x[rows]
            optimizer.zero_grad()
            loss = F.cross_entropy(net(batch), y[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
            loss.item()
        net.eval()
        with torch.no_grad():
            scores = torch.cat([net(test_x[i : i + 256]) for i in range(0, len(test_x), 256)])
            accuracy = float((scores.argmax(1) == test_y).float().mean())
    return accuracy, time.perf_counter() - began


def step(depth: int, batch: int, size: int, threads: int) -> Any:
    """A training step of a residual network with momentum, as a function without arguments."""
    torch.set_num_threads(threads)
    net = ResNet(depth, 1000, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, 0.9, fused=True)
    x = channels_last(np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype(np.float32))
    labels = torch.arange(batch) % 1000

    def once() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return once
