"""The functions in NumPy, as one would write them."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.bench.libraries import Ready, nothing
from chainrule.bench.workloads import Function
from chainrule.primitive import Array


def matmul(a: Any, b: Any) -> Any:
    return a @ b


def bias_relu(x: Any, bias: Any) -> Any:
    return np.maximum(x + bias, 0)


def tanh_chain(x: Any, a: Any, b: Any, c: Any) -> Any:
    return np.tanh(x * a + b) * c


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def softmax(x: Any) -> Any:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


FORMULAS = {f.__name__: f for f in (matmul, bias_relu, tanh_chain, gelu, softmax)}


class Backend:
    """NumPy. How many threads it uses is set in the environment before it is loaded."""

    def set_up(self, threads: int) -> None:
        np.matmul(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32))

    def function(self, workload: Function, threads: int) -> Ready:
        formula, arguments = FORMULAS[workload.formula], workload.arguments()
        last: list[Array] = [np.empty(0)]

        def step() -> None:
            last[0] = formula(*arguments)

        return Ready(step, nothing, lambda: {"result": last[0]})
