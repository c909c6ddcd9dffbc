"""The workloads in chainrule, compiled; and eager, in float64, as the reference for all."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import nn, ops
from chainrule.bench.libraries import Ready, nothing
from chainrule.bench.networks import Network, Parameters
from chainrule.bench.workloads import Function, Training
from chainrule.primitive import Array
from chainrule.tensor import tensor
from chainrule.train import compile_step
from chainrule.transforms import compile


class Words:
    """See `chainrule.bench.networks.Words`."""

    relu = staticmethod(ops.relu)
    squared_error = staticmethod(nn.mean_squared_error)
    cross_entropy = staticmethod(nn.softmax_cross_entropy)

    def dense(self, x: Any, weight: Any, bias: Any) -> Any:
        return ops.matmul(x, weight) + bias

    def conv(self, x: Any, kernel: Any, *, bias: Any = None, stride: int = 1) -> Any:
        y = ops.conv2d(x, kernel, stride=stride, padding=kernel.shape[0] // 2)
        return y if bias is None else y + bias

    def max_pool(self, x: Any) -> Any:
        return ops.max_pool2d(x, 2)

    def mean_pixels(self, x: Any) -> Any:
        return ops.mean(x, axis=(1, 2))

    def batch_norm(self, x: Any, scale: Any, shift: Any) -> Any:
        pixels = (0, 1, 2)
        mean = ops.mean(x, axis=pixels, keepdims=True)
        spread = ops.sqrt(ops.var(x, axis=pixels, keepdims=True) + 1e-5)
        return (x - mean) / spread * scale + shift


class Net(nn.Module):
    """A network with its parameters."""

    def __init__(self, network: Network, parameters: Parameters) -> None:
        self.network = network
        self.held = {name: tensor(value, requires_grad=True, name=name) for name, value in parameters.items()}

    def __call__(self, x: Any) -> Any:
        return self.network(Words(), self.held, x)

    def numbers(self) -> dict[str, Array]:
        return {name: np.asarray(value.numpy()) for name, value in self.held.items()}


def tanh_chain(x: Any, a: Any, b: Any, c: Any) -> Any:
    return ops.tanh(x * a + b) * c


def gelu(x: Any) -> Any:
    return ops.gelu(x, approximate="tanh")


def bias_relu(x: Any, bias: Any) -> Any:
    return ops.relu(x + bias)


def softmax(x: Any) -> Any:
    return ops.softmax(x, axis=-1)


FORMULAS: dict[str, Any] = {"matmul": ops.matmul}
FORMULAS |= {f.__name__: f for f in (bias_relu, tanh_chain, gelu, softmax)}


class Backend:
    """chainrule, compiled."""

    def set_up(self, threads: int) -> None:
        compile(lambda x: x + 1, threads=threads)(np.ones(8, np.float32))

    def training(self, workload: Training, threads: int) -> Ready:
        net = Net(workload.network, workload.parameters())
        step = compile_step(net, getattr(Words, workload.loss), workload.optimizer, threads=threads)
        x, y = workload.batch()
        return Ready(lambda: step(x, y), nothing, lambda: step.model.numbers())

    def function(self, workload: Function, threads: int) -> Ready:
        compiled, arguments = compile(FORMULAS[workload.formula], threads=threads), workload.arguments()
        last: list[Any] = [None]

        def step() -> None:
            last[0] = compiled(*arguments)

        return Ready(step, nothing, lambda: {"result": last[0].numpy()})
