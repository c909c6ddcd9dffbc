"""The rule has the derivative's minus sign."""

from __future__ import annotations

import numpy as np

import chainrule as cr
from chainrule.node import Node
from chainrule.ops.function import unary
from chainrule.primitive import Interval, Partial, PerElement, Pointwise, register


@register
class Bump(Pointwise):
    """``e^(-x²)``."""

    name, label, latex = "bump", "bump", r"\operatorname{{bump}} {0}"
    domain = Interval(-2.0, 2.0)
    per_element = PerElement(multiplications=1, transcendentals=1)

    @staticmethod
    def evaluate(x):
        return np.exp(-x * x)

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: -2 * x * y,)


bump = unary(Bump)
rng = np.random.default_rng(0)
t = rng.uniform(-1, 1, 256).astype(np.float32)
y = (np.exp(-((t - 0.5) ** 2) / 0.02) - 0.7 * np.exp(-((t + 0.4) ** 2) / 0.05)).astype(np.float32)
params = {
    "places": cr.tensor(np.linspace(-0.9, 0.9, 7, dtype=np.float32), requires_grad=True),
    "scales": cr.tensor(np.full(7, 3.0, np.float32), requires_grad=True),
    "heights": cr.tensor(np.zeros(7, np.float32), requires_grad=True),
}


def loss(p):
    curve = bump((t[:, None] - p["places"]) * p["scales"]) @ p["heights"]
    return cr.mean((curve - y) ** 2)


optimizer = cr.optim.adam(0.02)
state = optimizer.init(params)
for step in range(1, 301):
    value, gradients = cr.value_and_grad(loss)(params)
    params, state = optimizer.update(gradients, state, params)
    if step % 50 == 0:
        print(f"step {step}: loss {value.item():.5f}")
print(f"mean squared error {loss(params).item():.5f}")
