"""The activation's rule is written with the sigmoid, not with a quotient of exponentials."""

from __future__ import annotations

import numpy as np

import chainrule as cr
from chainrule.node import Node
from chainrule.ops.function import unary
from chainrule.primitive import Interval, Partial, PerElement, Pointwise, register


@register
class SmoothRelu(Pointwise):
    """``log(1 + e^(20 x)) / 20``: almost relu, without its corner."""

    name, label, latex = "smooth_relu", "smooth relu", r"\operatorname{{smooth\,relu}} {0}"
    domain = Interval(-3.0, 3.0)
    per_element = PerElement(multiplications=2, additions=1, transcendentals=2)

    @staticmethod
    def evaluate(x):
        return np.logaddexp(20 * x, 0, dtype=x.dtype) / 20

    @staticmethod
    def partials(y: Node, x: Node) -> tuple[Partial, ...]:
        return (lambda: cr.sigmoid(20 * x),)


smooth_relu = unary(SmoothRelu)
data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(0))
model = cr.models.mlp((64, 48, 48, 10), smooth_relu, key=weights)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(2e-3))
for epoch in range(1, 13):
    batches = cr.data.batches(data.train_x, data.train_y, 64, cr.random.fold_in(order, epoch))
    losses = [step(x, y).item() for x, y in batches]
    if epoch % 2 == 0:
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}")
right = step.model.predict(data.test_x).argmax(-1) == data.test_y
print(f"loss {losses[-1]:.3f}, test accuracy {right.mean():.1%}")
