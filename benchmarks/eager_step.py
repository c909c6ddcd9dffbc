"""One training step of a 2-2-1 network in eager mode: chainrule against torch, in the same process.

The network is the smallest that backpropagation is explained with: two inputs, two hidden sigmoids, one
output sigmoid, E = (y - yhat)² / 2, batch 1, float32. A step is forward, backward and ``w - rate * dE/dw``.
With so few numbers the time is overhead, which is what is measured. Both libraries take turns in blocks, so
that a slow moment of the machine hits both; the medians of the blocks are compared.

    python benchmarks/eager_step.py [--once] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr

try:
    torch: Any = importlib.import_module("torch")
except ModuleNotFoundError:
    torch = None

BLOCKS, STEPS, RATE = 60, 100, 0.5
X = np.array([[0.05, 0.10]], np.float32)
Y = np.array([[0.99]], np.float32)
W1 = np.array([[0.15, 0.25], [0.20, 0.30]], np.float32)
W2 = np.array([[0.40], [0.45]], np.float32)


def with_chainrule() -> tuple[Callable[[], None], Callable[[], list[Any]]]:
    """A function that makes one step, and one that reads the weights."""
    x, y = cr.tensor(X), cr.tensor(Y)
    w1: Any = cr.tensor(W1, requires_grad=True)
    w2: Any = cr.tensor(W2, requires_grad=True)

    def step() -> None:
        nonlocal w1, w2
        error = y - cr.sigmoid(cr.sigmoid(x @ w1) @ w2)
        loss = (error * error).sum() * 0.5
        loss.backward()
        with cr.no_grad():
            w1, w2 = w1 - RATE * w1.grad, w2 - RATE * w2.grad
        w1.requires_grad_()
        w2.requires_grad_()

    return step, lambda: [w1.tolist(), w2.tolist()]


def with_torch() -> tuple[Callable[[], None], Callable[[], list[Any]]]:
    """The same in torch, which updates in place."""
    x, y = torch.tensor(X), torch.tensor(Y)
    w1, w2 = torch.tensor(W1, requires_grad=True), torch.tensor(W2, requires_grad=True)

    def step() -> None:
        error = y - torch.sigmoid(torch.sigmoid(x @ w1) @ w2)
        loss = (error * error).sum() * 0.5
        loss.backward()
        with torch.no_grad():
            w1.sub_(w1.grad, alpha=RATE)
            w2.sub_(w2.grad, alpha=RATE)
        w1.grad = w2.grad = None

    return step, lambda: [w1.tolist(), w2.tolist()]


def work() -> dict[str, int]:
    """FLOPs and bytes of forward and backward as chainrule's graphs state them, and of the update."""

    def loss(w1: Any, w2: Any, x: Any, y: Any) -> Any:
        error = y - cr.sigmoid(cr.sigmoid(x @ w1) @ w2)
        return (error * error).sum() * 0.5

    graph = cr.trace(cr.grad(loss, (0, 1)), W1, W2, X, Y)
    costs = [n.op.cost(n.inputs, n.shape, n.dtype, **n.params) for n in graph.nodes if n.op and n.inputs]
    updated = W1.size + W2.size
    return {
        "flops": sum(c.flops for c in costs) + 2 * updated,
        "bytes": sum(c.bytes for c in costs) + 4 * 3 * updated,
    }


def seconds_per_step(step: Callable[[], None]) -> float:
    """Mean over a block of steps."""
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - began) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description="One eager training step of a 2-2-1 network.")
    parser.add_argument("--once", action="store_true", help="run each once and check it, without timing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if torch is None:
        print("torch is not installed: chainrule runs alone, without a ratio", file=sys.stderr)

    libraries = {"chainrule": with_chainrule, **({"torch": with_torch} if torch else {})}
    steps = {name: make() for name, make in libraries.items()}
    result: dict[str, Any] = {"step": "2-2-1 network, batch 1, float32, eager", **work()}
    if options.once:
        for step, _ in steps.values():
            step()
    else:
        if torch:
            torch.set_num_threads(1)
        for step, _ in steps.values():
            seconds_per_step(step)
        blocks: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(BLOCKS):
            for name, (step, _) in steps.items():
                blocks[name].append(seconds_per_step(step))
        result["blocks"], result["steps_per_block"] = BLOCKS, STEPS
        result["microseconds"] = {name: round(statistics.median(b) * 1e6, 1) for name, b in blocks.items()}
        if torch:
            ratios = [a / b for a, b in zip(blocks["chainrule"], blocks["torch"], strict=True)]
            result["ratio"] = round(statistics.median(ratios), 3)

    weights = [np.concatenate([np.ravel(w) for w in read()]) for _, read in steps.values()]
    if len(weights) == 2:
        np.testing.assert_allclose(weights[0], weights[1], rtol=1e-4)
        result["weights_agree"] = True
    print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
