"""The workloads in torch: eager, or through ``torch.compile``.

Images and kernels are held channels last, which is torch's fastest layout on CPUs; optimizers are the fused ones.
With ``torch.compile`` forward, loss and backward are compiled, and the fused optimizer makes the update: on
CPUs that is faster than to compile the update as well.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from chainrule.bench.libraries import Ready, nothing
from chainrule.bench.workloads import Function, Training
from chainrule.primitive import Array


class Words:
    """See `chainrule.bench.networks.Words`. Images are (N, C, H, W) in memory laid out as (N, H, W, C)."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        self.nn: Any = torch.nn.functional
        self.relu, self.dense = torch.relu, self.nn.linear
        self.squared_error, self.cross_entropy = self.nn.mse_loss, self.nn.cross_entropy
        self.tanh, self.matmul = torch.tanh, torch.matmul

    def conv(self, x: Any, kernel: Any, *, bias: Any = None, stride: int = 1) -> Any:
        return self.nn.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2)

    def max_pool(self, x: Any) -> Any:
        return self.nn.max_pool2d(x, 2)

    def mean_pixels(self, x: Any) -> Any:
        return x.mean((2, 3))

    def batch_norm(self, x: Any, scale: Any, shift: Any) -> Any:
        return self.nn.batch_norm(x, None, None, scale, shift, training=True, eps=1e-5)

    def bias_relu(self, x: Any, bias: Any) -> Any:
        return self.torch.relu(x + bias)

    def tanh_chain(self, x: Any, a: Any, b: Any, c: Any) -> Any:
        return self.torch.tanh(x * a + b) * c

    def gelu(self, x: Any) -> Any:
        return self.nn.gelu(x, approximate="tanh")

    def softmax(self, x: Any) -> Any:
        return self.torch.softmax(x, -1)


class Backend:
    """torch.

    Args:
        compiled: whether through ``torch.compile``.
    """

    def __init__(self, compiled: bool) -> None:
        self.compiled = compiled
        self.torch: Any = importlib.import_module("torch")

    def set_up(self, threads: int) -> None:
        torch = self.torch
        torch.set_num_threads(threads)
        x = torch.ones(8, requires_grad=True)
        (x * x).sum().backward()
        torch.optim.SGD([x], 0.1).step()  # loads more of torch

    def training(self, workload: Training, threads: int) -> Ready:
        torch, words = self.torch, Words(self.torch)
        p = {name: self._held(value).requires_grad_() for name, value in workload.parameters().items()}
        batch_x, batch_y = workload.batch()
        x, y = self._image(batch_x), torch.from_numpy(batch_y)
        optimizer = self._optimizer(workload, list(p.values()))
        loss_of = getattr(words, workload.loss)

        def forward(p: Any, x: Any, y: Any) -> Any:
            return loss_of(workload.network(words, p, x), y)

        f = torch.compile(forward) if self.compiled else forward

        def step() -> None:
            optimizer.zero_grad()
            f(p, x, y).backward()
            optimizer.step()

        return Ready(step, nothing, lambda: {name: _plain(value) for name, value in p.items()})

    def function(self, workload: Function, threads: int) -> Ready:
        torch, formula = self.torch, getattr(Words(self.torch), workload.formula)
        arguments = [torch.from_numpy(a) for a in workload.arguments()]
        f = torch.compile(formula) if self.compiled else formula
        last: list[Any] = [None]

        def step() -> None:
            with torch.no_grad():
                last[0] = f(*arguments)

        return Ready(step, nothing, lambda: {"result": last[0].numpy()})

    def _held(self, value: Array) -> Any:
        """A parameter as torch's layers hold it: dense weights (out, in), kernels (Cout, Cin, KH, KW)."""
        if value.ndim == 2:
            return self.torch.from_numpy(np.ascontiguousarray(value.T))
        if value.ndim == 4:
            return self._channels_last(value.transpose(3, 2, 0, 1))
        return self.torch.from_numpy(value.copy())

    def _image(self, x: Array) -> Any:
        return self._channels_last(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else self.torch.from_numpy(x)

    def _channels_last(self, x: Array) -> Any:
        made = self.torch.from_numpy(np.ascontiguousarray(x))
        return made.contiguous(memory_format=self.torch.channels_last)

    def _optimizer(self, workload: Training, parameters: list[Any]) -> Any:
        name, settings = workload.optimizer.name, workload.optimizer.settings
        rate, known = settings["learning_rate"], self.torch.optim
        if name == "adam":
            betas = (settings["beta1"], settings["beta2"])
            return known.Adam(parameters, rate, betas, settings["epsilon"], fused=True)
        return known.SGD(parameters, rate, settings.get("decay", 0.0), fused=True)


def _plain(value: Any) -> Array:
    """A copy of a parameter in the workload's layout."""
    array: Array = value.detach().numpy().copy()
    return array.T if array.ndim == 2 else array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
