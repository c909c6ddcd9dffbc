"""What is right: the workload in float64 through NumPy, by chainrule's eager engine; and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.bench.on_chainrule import FORMULAS, Net, Words
from chainrule.bench.workloads import Function, Training, Workload
from chainrule.graph import Graph
from chainrule.primitive import Array
from chainrule.shapes import float64
from chainrule.transforms import trace, value_and_grad

Numbers = Mapping[str, Array]


def parameters_after(workload: Training, steps: Iterable[int]) -> dict[int, Numbers]:
    """The parameters in float64 after each of these numbers of steps, 0 included."""
    wanted = {0, *steps}
    x, y = workload.batch()
    x = x.astype(float64)
    y = y.astype(float64) if y.dtype.kind == "f" else y
    net = Net(workload.network, {k: v.astype(float64) for k, v in workload.parameters().items()})
    state = workload.optimizer.init(net)
    gradient = value_and_grad(_loss(workload))
    found: dict[int, Numbers] = {}
    for step in range(max(wanted) + 1):
        if step in wanted:
            found[step] = net.numbers()
        if step < max(wanted):
            _, gradients = gradient(net, x, y)
            net, state = workload.optimizer.update(gradients, state, net)
    return found


def value_of(workload: Function) -> Numbers:
    """What a function returns, in float64."""
    arguments = [a.astype(float64) for a in workload.arguments()]
    return {"result": FORMULAS[workload.formula](*arguments).numpy()}


def error(found: Numbers, right: Numbers, start: Numbers | None = None) -> float:
    """How far numbers are from those in float64, all arrays together.

    Args:
        found: float32, by name.
        right: float64, likewise.
        start: parameters before the first step.

    Returns:
        The distance relative to the way from the start, both as root sums of squares; without a start, the largest
        difference relative to the largest number.
    """
    if start is None:
        far = max(float(np.max(np.abs(found[name] - value))) for name, value in right.items())
        return far / max(float(np.max(np.abs(value))) for value in right.values())
    return _distance(found, right) / _distance(start, right)


def _distance(a: Numbers, b: Numbers) -> float:
    return float(np.sqrt(sum(np.sum(np.square(a[name] - value)) for name, value in b.items())))


@dataclass(frozen=True, slots=True)
class Work:
    """What one step or call costs, whatever library does it.

    Attributes:
        flops: of all primitives: multiplications, additions, transcendentals, one each.
        bytes: of all primitives, as if each read its inputs from memory and wrote its output there.
        least_bytes: what enters and leaves, once: less is not possible.
    """

    flops: int
    bytes: int
    least_bytes: int


def work(workload: Workload) -> Work:
    """The costs that the primitives of the workload's graph declare."""
    graph = _graph(workload)
    costs = [
        node.op.cost(node.inputs, node.shape, node.dtype, **node.params)
        for node in graph.nodes
        if node.op is not None and node.inputs
    ]
    ends = sum(node.size * node.dtype.itemsize for node in (*graph.inputs, *graph.outputs))
    return Work(sum(c.flops for c in costs), sum(c.bytes for c in costs), ends)


def _graph(workload: Workload) -> Graph:
    if isinstance(workload, Function):
        return trace(FORMULAS[workload.formula], *workload.arguments())
    optimizer, loss = workload.optimizer, _loss(workload)

    def step(net: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradients = value_and_grad(loss)(net, x, y)
        return value, optimizer.update(gradients, state, net)

    net = Net(workload.network, workload.parameters())
    return trace(step, net, optimizer.init(net), *workload.batch())


def _loss(workload: Training) -> Any:
    loss_of = getattr(Words, workload.loss)
    return lambda net, x, y: loss_of(net(x), y)
