"""Backward over a million scalars: chainrule against micrograd and torch, in the same process.

Programs as one writes them with numbers that remember: a chain of products, a balanced tree of sums, and micrograd's
network for two moons (2-16-16-1, relu, a hinge loss), over as many samples as give the number of operations asked for.
The same code runs on each library's scalars. Measured are the time to record an operation and that of
``.backward()``; libraries take turns, medians over the turns are compared, and a ratio above 1 says how many times
longer the peer takes. micrograd sorts its graph by recursion, so it is given room for that.

    python benchmarks/million_nodes.py [--once] [--json] [--nodes N] [--alone]
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import chainrule as cr

TURNS = 3


@dataclass(frozen=True)
class Library:
    """Scalars of one library: how a leaf is made, what relu is, and how a gradient is read."""

    name: str
    leaf: Callable[[float], Any]
    relu: Callable[[Any], Any]
    gradient: Callable[[Any], float]


def libraries() -> tuple[list[Library], list[str]]:
    """Those that are installed, chainrule first; and the names of those that are not."""
    found = [
        Library("chainrule", lambda v: cr.tensor(v, requires_grad=True), cr.relu, lambda x: x.grad.item())
    ]
    missing: list[str] = []
    try:
        engine: Any = importlib.import_module("micrograd.engine")
        found.append(Library("micrograd", engine.Value, lambda v: v.relu(), lambda x: x.grad))
    except ModuleNotFoundError:
        missing.append("micrograd")
    try:
        torch: Any = importlib.import_module("torch")

        def leaf(value: float) -> Any:
            return torch.tensor(value, dtype=torch.float64, requires_grad=True)

        found.append(Library("torch", leaf, torch.relu, lambda x: x.grad.item()))
    except ModuleNotFoundError:
        missing.append("torch")
    return found, missing


def chain(library: Library, n: int) -> tuple[Any, Any, int]:
    """A leaf, and the end of n multiplications in a row."""
    x = library.leaf(1.0)
    y = x
    for _ in range(n):
        y = y * 1.0000001
    return x, y, n


def tree(library: Library, n: int) -> tuple[Any, Any, int]:
    """A leaf, and the root of a balanced tree of about n operations."""
    x = library.leaf(0.5)
    level = [x * 1.0 for _ in range(n // 2)]
    count = len(level)
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        count += len(pairs)
        level = pairs + level[len(pairs) * 2 :]
    return x, level[0], count


def network(library: Library, n: int) -> tuple[Any, Any, int]:
    """A weight, and the mean hinge loss of a network of scalars over two moons."""
    rng = np.random.default_rng(1337)
    sizes = [2, 16, 16, 1]
    layers = [
        [[library.leaf(w) for w in rng.uniform(-1, 1, inputs + 1).tolist()] for _ in range(outputs)]
        for inputs, outputs in itertools.pairwise(sizes)
    ]
    samples = max(1, n // (sum(b * (2 * a + 1) for a, b in itertools.pairwise(sizes)) + 3))
    angles = rng.uniform(0, np.pi, samples)
    side = rng.integers(0, 2, samples) * 2 - 1
    points = np.stack([side * np.cos(angles) + (side < 0), side * np.sin(angles) + 0.5 * (side < 0)], 1)
    total, count = library.leaf(0.0), 0
    for point, label in zip(points.tolist(), side.tolist(), strict=True):
        values: list[Any] = point
        for layer in layers:
            last = layer is layers[-1]
            values = [neuron(library, weights, values, last) for weights in layer]
            count += sum(2 * (len(weights) - 1) + (not last) for weights in layer)
        total = total + library.relu(values[0] * -float(label) + 1.0)
        count += 4
    return layers[0][0][0], total * (1.0 / samples), count + 1


def neuron(library: Library, weights: list[Any], inputs: list[Any], linear: bool) -> Any:
    """A weighted sum with a bias, the last weight, and relu unless it is linear."""
    total = weights[-1]
    for w, x in zip(weights, inputs, strict=False):
        total = total + w * x
    return total if linear else library.relu(total)


GRAPHS = {"chain": chain, "tree": tree, "network": network}


def measure(library: Library, name: str, n: int) -> dict[str, float]:
    gc.collect()
    start = time.perf_counter()
    x, y, count = GRAPHS[name](library, n)
    built = time.perf_counter()
    y.backward()
    done = time.perf_counter()
    return {
        "operations": count,
        "record_us": (built - start) / count * 1e6,
        "backward_ms": (done - built) * 1e3,
        "gradient": library.gradient(x),
    }


def compare(found: list[Library], n: int, turns: int) -> Iterator[dict[str, Any]]:
    """A row for each graph and library."""
    for name in GRAPHS:
        measured: dict[str, list[dict[str, float]]] = {library.name: [] for library in found}
        for _ in range(turns):
            for library in found:
                measured[library.name].append(measure(library, name, n))
        own = statistics.median(m["backward_ms"] for m in measured["chainrule"])
        wanted = measured["chainrule"][0]["gradient"]
        for library in found:
            taken = measured[library.name]
            assert all(np.isclose(m["gradient"], wanted, rtol=1e-9) for m in taken), (name, library.name)
            backward = statistics.median(m["backward_ms"] for m in taken)
            yield {
                "graph": name,
                "library": library.name,
                "operations": taken[0]["operations"],
                "record_us": statistics.median(m["record_us"] for m in taken),
                "backward_ms": backward,
                "best_ms": min(m["backward_ms"] for m in taken),
                "ratio": backward / own,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="run small graphs only, untimed")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--nodes", type=int, default=1_000_000, help="operations of each graph")
    parser.add_argument("--alone", action="store_true", help="chainrule only")
    options = parser.parse_args()
    found, missing = libraries()
    found = found[:1] if options.alone else found
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10 * options.nodes))
    list(compare(found[:1], 20_000, 1))  # what is loaded once
    if options.once:
        list(compare(found, 2000, 1))
        print("ran once, untimed")
        return
    rows = compare(found, options.nodes, TURNS)
    if options.json:
        print(json.dumps({"rows": list(rows), "missing": missing}))
        return
    print("graph    library     operations  record us/op  backward ms    best  ratio")
    for row in rows:
        print(
            f"{row['graph']:9}{row['library']:10}{row['operations']:12,}{row['record_us']:14.2f}"
            f"{row['backward_ms']:13.1f}{row['best_ms']:8.1f}{row['ratio']:7.1f}",
            flush=True,
        )
    if missing:
        print(f"not installed: {', '.join(missing)}")


if __name__ == "__main__":
    main()
