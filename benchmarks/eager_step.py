"""One training step of a 2-2-1 network in eager mode: chainrule against torch, in the same process.

The network is the smallest that backpropagation is explained with: two inputs, two hidden sigmoids, one
output sigmoid, E = (y - yhat)² / 2, batch 1, float32. With so few numbers the time is overhead, which is what
is measured. A step is forward, backward and ``w - rate * dE/dw``, in two ways:

- ``optimizer``: each library's own plain gradient descent, as its users write it: `torch.optim.SGD` with
  ``zero_grad`` and ``step``, `cr.optim.gradient_descent` with ``update``;
- ``by_hand``: the update written out, in place where a library can (torch), into new tensors where tensors
  never change (chainrule).

All take turns in blocks, so that a slow moment of the machine hits them alike; medians over the blocks are
compared, and the ratio is the median of the blocks' ratios: below 1, chainrule is faster.

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


Step = tuple[Callable[[], None], Callable[[], list[Any]]]
"""A function that makes one step, and one that reads the weights."""


def chainrule_by_hand() -> Step:
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


def torch_by_hand() -> Step:
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


def chainrule_optimizer() -> Step:
    x, y = cr.tensor(X), cr.tensor(Y)
    weights: Any = [cr.tensor(W1, requires_grad=True), cr.tensor(W2, requires_grad=True)]
    optimizer = cr.optim.gradient_descent(RATE)
    state = optimizer.init(weights)

    def step() -> None:
        nonlocal weights, state
        w1, w2 = weights
        error = y - cr.sigmoid(cr.sigmoid(x @ w1) @ w2)
        loss = (error * error).sum() * 0.5
        loss.backward()
        weights, state = optimizer.update([w1.grad, w2.grad], state, weights)

    return step, lambda: [w.tolist() for w in weights]


def torch_optimizer() -> Step:
    x, y = torch.tensor(X), torch.tensor(Y)
    w1, w2 = torch.tensor(W1, requires_grad=True), torch.tensor(W2, requires_grad=True)
    optimizer = torch.optim.SGD([w1, w2], lr=RATE)

    def step() -> None:
        optimizer.zero_grad()
        error = y - torch.sigmoid(torch.sigmoid(x @ w1) @ w2)
        loss = (error * error).sum() * 0.5
        loss.backward()
        optimizer.step()

    return step, lambda: [w1.tolist(), w2.tolist()]


VARIANTS: dict[str, dict[str, Callable[[], Step]]] = {
    "optimizer": {"chainrule": chainrule_optimizer, "torch": torch_optimizer},
    "by_hand": {"chainrule": chainrule_by_hand, "torch": torch_by_hand},
}


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


def measure(steps: dict[tuple[str, str], Step]) -> dict[str, Any]:
    """Medians in microseconds and ratios, from blocks in which all take turns."""
    for step, _ in steps.values():
        seconds_per_step(step)
    blocks: dict[tuple[str, str], list[float]] = {which: [] for which in steps}
    for _ in range(BLOCKS):
        for which, (step, _) in steps.items():
            blocks[which].append(seconds_per_step(step))
    result: dict[str, Any] = {"blocks": BLOCKS, "steps_per_block": STEPS}
    for variant in VARIANTS:
        times = {library: b for (v, library), b in blocks.items() if v == variant}
        found: dict[str, Any] = {name: round(statistics.median(b) * 1e6, 1) for name, b in times.items()}
        if len(times) == 2:
            ratios = [a / b for a, b in zip(times["chainrule"], times["torch"], strict=True)]
            found["ratio"] = round(statistics.median(ratios), 3)
        result[variant] = found
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="One eager training step of a 2-2-1 network.")
    parser.add_argument("--once", action="store_true", help="run each once and check it, without timing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if torch is None:
        print("torch is not installed: chainrule runs alone, without a ratio", file=sys.stderr)
    else:
        torch.set_num_threads(1)

    libraries = ["chainrule", "torch"] if torch else ["chainrule"]
    steps = {(variant, name): make[name]() for variant, make in VARIANTS.items() for name in libraries}
    result: dict[str, Any] = {
        "step": "2-2-1 network, batch 1, float32, eager",
        "unit": "microseconds",
        **work(),
    }
    if options.once:
        for step, _ in steps.values():
            step()
    else:
        result.update(measure(steps))

    weights = [np.concatenate([np.ravel(w) for w in read()]) for _, read in steps.values()]
    for other in weights[1:]:
        np.testing.assert_allclose(weights[0], other, rtol=1e-4)
    result["weights_agree"] = True
    print(json.dumps(result) if options.json else "\n".join(f"{k}: {v}" for k, v in result.items()))


if __name__ == "__main__":
    main()
