"""Time for each node of a chain and of a binary tree of scalars, as they grow: linear means a flat column.

python benchmarks/million_nodes.py [--once] [--json]
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from typing import Any

import chainrule as cr

SIZES = (10_000, 100_000, 1_000_000)


def chain(n: int) -> tuple[Any, Any]:
    """A leaf, and the end of n multiplications in a row."""
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(n):
        y = y * 1.0000001
    return x, y


def tree(n: int) -> tuple[Any, Any]:
    """A leaf, and the root of a balanced tree of about n additions."""
    x = cr.tensor(0.5, requires_grad=True)
    level = [x * 1.0 for _ in range(n // 2)]
    while len(level) > 1:
        pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return x, level[0]


def measure(build: Any, n: int) -> dict[str, float]:
    gc.collect()
    start = time.perf_counter()
    x, y = build(n)
    built = time.perf_counter()
    y.backward()
    done = time.perf_counter()
    assert x.grad is not None
    return {"nodes": n, "forward_us": (built - start) / n * 1e6, "backward_us": (done - built) / n * 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="run the smallest size only, untimed")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    builders = {"chain": chain, "tree": tree}
    if options.once:
        for build in builders.values():
            measure(build, SIZES[0])
        print("ran once, untimed")
        return
    rows = [{"graph": name, **measure(build, n)} for n in SIZES for name, build in builders.items()]
    if options.json:
        print(json.dumps(rows))
        return
    print("graph        nodes   forward us/node   backward us/node")
    for row in rows:
        print(f"{row['graph']:6}{row['nodes']:12,}{row['forward_us']:18.2f}{row['backward_us']:19.2f}")


if __name__ == "__main__":
    main()
