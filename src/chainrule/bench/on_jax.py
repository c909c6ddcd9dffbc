"""The workloads in jax, compiled by ``jax.jit``: whole steps, with parameters and state donated."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.bench.libraries import Ready
from chainrule.bench.workloads import Function, Training
from chainrule.optim import Optimizer


class Words:
    """See `chainrule.bench.networks.Words`."""

    def __init__(self, jax: Any) -> None:
        self.jax: Any = jax
        self.np: Any = jax.numpy
        self.relu, self.matmul = jax.nn.relu, self.np.matmul

    def dense(self, x: Any, weight: Any, bias: Any) -> Any:
        return x @ weight + bias

    def conv(self, x: Any, kernel: Any, *, bias: Any = None, stride: int = 1) -> Any:
        half = kernel.shape[0] // 2
        around = [(half, half)] * 2
        layout = ("NHWC", "HWIO", "NHWC")
        y = self.jax.lax.conv_general_dilated(x, kernel, (stride,) * 2, around, dimension_numbers=layout)
        return y if bias is None else y + bias

    def max_pool(self, x: Any) -> Any:
        # On CPUs several times as fast as lax.reduce_window with its gradient.
        n, h, w, c = x.shape
        return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))

    def mean_pixels(self, x: Any) -> Any:
        return x.mean((1, 2))

    def batch_norm(self, x: Any, scale: Any, shift: Any) -> Any:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * self.jax.lax.rsqrt(variance + 1e-5) * scale + shift

    def squared_error(self, y: Any, target: Any) -> Any:
        return self.np.mean((y - target) ** 2)

    def cross_entropy(self, scores: Any, labels: Any) -> Any:
        right = self.np.take_along_axis(scores, labels[:, None], 1)[:, 0]
        return self.np.mean(self.jax.nn.logsumexp(scores, axis=1) - right)

    def bias_relu(self, x: Any, bias: Any) -> Any:
        return self.jax.nn.relu(x + bias)

    def tanh_chain(self, x: Any, a: Any, b: Any, c: Any) -> Any:
        return self.np.tanh(x * a + b) * c

    def gelu(self, x: Any) -> Any:
        return self.jax.nn.gelu(x, approximate=True)

    def softmax(self, x: Any) -> Any:
        return self.jax.nn.softmax(x, axis=-1)


class Backend:
    """jax. How many threads it uses is set in the environment before it is loaded."""

    def __init__(self) -> None:
        self.jax: Any = importlib.import_module("jax")

    def set_up(self, threads: int) -> None:
        self.jax.block_until_ready(self.jax.jit(lambda x: x + 1)(np.ones(8, np.float32)))

    def training(self, workload: Training, threads: int) -> Ready:
        jax, words = self.jax, Words(self.jax)
        x, y = (jax.device_put(a) for a in workload.batch())
        loss_of, update = getattr(words, workload.loss), _update(jax, workload.optimizer)

        def whole(now: Any, x: Any, y: Any) -> Any:
            p, state = now

            def loss(p: Any) -> Any:
                return loss_of(workload.network(words, p, x), y)

            value, gradients = jax.value_and_grad(loss)(p)
            return update(p, gradients, state), value

        p = {name: jax.device_put(value) for name, value in workload.parameters().items()}
        kept = [{name: jax.numpy.zeros_like(v) for name, v in p.items()} for _ in workload.optimizer.kept]
        now: list[Any] = [(p, (jax.numpy.zeros((), "int32"), *kept))]
        compiled = jax.jit(whole, donate_argnums=0)

        def step() -> None:
            now[0], _ = compiled(now[0], x, y)

        return Ready(
            step,
            lambda: jax.block_until_ready(now[0]),
            lambda: {name: np.asarray(value) for name, value in now[0][0].items()},
        )

    def function(self, workload: Function, threads: int) -> Ready:
        jax = self.jax
        compiled = jax.jit(getattr(Words(jax), workload.formula))
        arguments = [jax.device_put(a) for a in workload.arguments()]
        last: list[Any] = [None]

        def step() -> None:
            last[0] = compiled(*arguments)

        return Ready(step, lambda: jax.block_until_ready(last[0]), lambda: {"result": np.asarray(last[0])})


def _update(jax: Any, optimizer: Optimizer) -> Callable[..., Any]:
    """The formulas of `chainrule.optim` on dictionaries of parameters."""
    settings, each = optimizer.settings, jax.tree.map
    rate = settings["learning_rate"]

    def adam(p: Any, g: Any, state: Any) -> Any:
        b1, b2, eps = settings["beta1"], settings["beta2"], settings["epsilon"]
        t, mean, square = state
        t = t + 1
        mean = each(lambda m, g: b1 * m + (1 - b1) * g, mean, g)
        square = each(lambda s, g: b2 * s + (1 - b2) * g * g, square, g)
        # 1 - b^t, which would lose its digits in float32
        first, second = (-jax.numpy.expm1(t * math.log(b)) for b in (b1, b2))

        def moved(p: Any, m: Any, s: Any) -> Any:
            return p - rate / first * m / (jax.numpy.sqrt(s / second) + eps)

        return each(moved, p, mean, square), (t, mean, square)

    def momentum(p: Any, g: Any, state: Any) -> Any:
        t, velocity = state
        velocity = each(lambda v, g: settings["decay"] * v + g, velocity, g)
        return each(lambda p, v: p - rate * v, p, velocity), (t + 1, velocity)

    def gradient_descent(p: Any, g: Any, state: Any) -> Any:
        return each(lambda p, g: p - rate * g, p, g), (state[0] + 1,)

    return {f.__name__: f for f in (adam, momentum, gradient_descent)}[optimizer.name]
