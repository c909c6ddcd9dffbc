"""Small networks in micrograd, scalar by scalar in Python's own floats, through its `MLP`."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from chainrule.bench.libraries import Ready, nothing
from chainrule.bench.networks import Mlp
from chainrule.bench.workloads import Training
from chainrule.primitive import Array


class Backend:
    """micrograd. It has no optimizer: its users write the update, as here."""

    def __init__(self) -> None:
        self.nn: Any = importlib.import_module("micrograd.nn")

    def set_up(self, threads: int) -> None:
        self.nn.MLP(1, [1])([1.0]).backward()

    def training(self, workload: Training, threads: int) -> Ready:
        assert isinstance(workload.network, Mlp)
        sizes, settings = workload.network.sizes, workload.optimizer.settings
        model = self.nn.MLP(sizes[0], list(sizes[1:]))
        _fill(model, workload.parameters())
        x, y = (a.tolist() for a in workload.batch())
        parameters = model.parameters()
        kept = [[0.0, 0.0] for _ in parameters]
        t, rate = 0, settings["learning_rate"]

        def step() -> None:
            nonlocal t
            squares: Any = sum((model(row) - right[0]) ** 2 for row, right in zip(x, y, strict=True))
            loss = squares * (1 / len(x))
            model.zero_grad()
            loss.backward()
            t += 1
            if workload.optimizer.name == "gradient_descent":
                for p in parameters:
                    p.data -= rate * p.grad
                return
            b1, b2 = settings["beta1"], settings["beta2"]
            for p, moments in zip(parameters, kept, strict=True):
                moments[0] = b1 * moments[0] + (1 - b1) * p.grad
                moments[1] = b2 * moments[1] + (1 - b2) * p.grad * p.grad
                size = math.sqrt(moments[1] / (1 - b2**t)) + settings["epsilon"]
                p.data -= rate * moments[0] / (1 - b1**t) / size

        return Ready(step, nothing, lambda: _read(model))


def _fill(model: Any, parameters: dict[str, Array]) -> None:
    for i, layer in enumerate(model.layers):
        weight, bias = parameters[f"weight{i}"], parameters[f"bias{i}"]
        for j, neuron in enumerate(layer.neurons):
            neuron.b.data = float(bias[j])
            for w, value in zip(neuron.w, weight[:, j], strict=True):
                w.data = float(value)


def _read(model: Any) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for i, layer in enumerate(model.layers):
        found[f"weight{i}"] = np.array([[w.data for w in neuron.w] for neuron in layer.neurons]).T
        found[f"bias{i}"] = np.array([neuron.b.data for neuron in layer.neurons])
    return found
