"""Gradients in less memory: the time that a budget costs, and what it saves.

A chain of 1,000 layers ``tanh(x @ w)`` (256 × 64, float32, weights of its own for each layer): its gradient compiled as
it is, and with a twentieth of the memory for intermediate results (``cr.compile(..., memory=)``); torch's eager
backward pass, and the same with ``torch.utils.checkpoint.checkpoint_sequential`` in as many segments as the root of the
layers. Then a training step of ResNet-20 on 32 × 32 pictures with a half and a third. All take turns in one process,
and what is shown is the median of the ratios to the pass with all memory, the bytes that the plan of a compiled program
takes for intermediate results, and, for the chains, by how much the resident memory of a process of its own grows in a
pass, the gradients of the weights (16 MiB) included.

    python benchmarks/memory.py [--once] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.transforms.compiled import executable

ROUNDS, PAUSE = 12, 0.02
LAYERS, ROWS, WIDTH, SHARE = 1000, 256, 64, 20
PICTURES = 32
RNG = np.random.default_rng(0)


def library(name: str) -> Any:
    """A library if it is installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def chain_of(layers: int) -> tuple[list[Any], Any]:
    """Weights and input."""
    ws = [(RNG.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float32) for _ in range(layers)]
    return ws, RNG.normal(size=(ROWS, WIDTH)).astype(np.float32)


def chain(ws: list[Any], x: Any) -> Any:
    for w in ws:
        x = cr.tanh(x @ w)
    return (x * x).mean()


def chains(layers: int, share: int) -> dict[str, tuple[Callable[[], Any], Callable[[], int]]]:
    """Passes over the chain, each with the bytes that its plan says."""
    ws, x = chain_of(layers)
    plain = cr.compile(cr.grad(chain))
    plain(ws, x)
    whole = plain.explain().arena_bytes
    small = cr.compile(cr.grad(chain), memory=whole // share)
    small(ws, x)
    found: dict[str, tuple[Callable[[], Any], Callable[[], int]]] = {
        "chainrule": (lambda: plain(ws, x), lambda: whole),
        f"chainrule, memory / {share}": (lambda: small(ws, x), lambda: small.explain().arena_bytes),
    }
    torch = library("torch")
    if torch is not None:
        found |= torch_chains(torch, ws, x)
    return found


def torch_chains(torch: Any, ws: list[Any], x: Any) -> dict[str, Any]:
    """The same in torch, eager, plain and with checkpoints."""
    checkpointed = importlib.import_module("torch.utils.checkpoint").checkpoint_sequential
    given = torch.tensor(x, requires_grad=True)
    layers = [torch.nn.Linear(WIDTH, WIDTH, bias=False) for _ in ws]
    for layer, w in zip(layers, ws, strict=True):
        layer.weight.data = torch.tensor(w.T.copy())
    network = torch.nn.Sequential(*(m for layer in layers for m in (layer, torch.nn.Tanh())))
    segments = max(1, round(len(ws) ** 0.5))

    def step(forward: Callable[[], Any]) -> None:
        for layer in layers:
            layer.weight.grad = None
        (forward() ** 2).mean().backward()

    return {
        "torch": (lambda: step(lambda: network(given)), lambda: 0),
        f"torch, {segments} segments": (
            lambda: step(lambda: checkpointed(network, segments, given, use_reentrant=False)),
            lambda: 0,
        ),
    }


def resnets(pictures: int) -> dict[str, tuple[Callable[[], Any], Callable[[], int]]]:
    """Training steps of ResNet-20."""
    x = RNG.normal(size=(pictures, 32, 32, 3)).astype(np.float32)
    y = RNG.integers(0, 10, pictures)
    found: dict[str, tuple[Callable[[], Any], Callable[[], int]]] = {}
    whole = 0
    for share in (1, 2, 3):
        model = cr.models.resnet(20, classes=10, key=cr.random.key(0))
        step: Any = cr.train.compile_step(
            model,
            cr.nn.softmax_cross_entropy,
            cr.optim.momentum(0.1),
            memory=whole // share if whole else None,
        )
        step(x, y)
        whole = whole or step.explain().arena_bytes
        name = "ResNet-20" if share == 1 else f"ResNet-20, memory / {share}"
        found[name] = (
            lambda step=step: step(x, y).item(),
            lambda step=step: step.explain().arena_bytes,
        )
    return found


def measure(passes: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Milliseconds, and ratios to the first of each family."""
    times: dict[str, list[float]] = {name: [] for name in passes}
    for run, _ in passes.values():
        run()
    for _ in range(rounds):
        for name, (run, _) in passes.items():
            time.sleep(PAUSE)  # other libraries' threads still spin
            began = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - began))
    found: dict[str, Any] = {}
    for name, (_, planned) in passes.items():
        base = times[name.split(",")[0]]
        found[name] = {
            "median_ms": statistics.median(times[name]),
            "ratio": statistics.median(a / b for a, b in zip(times[name], base, strict=True)),
            "planned_bytes": planned(),
        }
    return found


def peak_of(name: str, layers: int, share: int) -> int:
    """Bytes by which the resident memory of a process of its own grows while it makes one pass over the chain."""
    command = [sys.executable, __file__, "--peak-of", name, "--layers", str(layers), "--share", str(share)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def growth(name: str, layers: int, share: int) -> int:
    """The same in this process. Compiled programs have not run before, so their memory is not resident yet."""
    ws, x = chain_of(layers)
    if name.startswith("torch"):
        torch = library("torch")
        run = torch_chains(torch, ws, x)[name][0]
    else:
        graph = cr.trace(cr.grad(chain), ws, x)
        made = executable(graph, None)
        if "," in name:
            made = executable(graph, None, memory=made.layout.arena_bytes // share)
        run = lambda: made([*ws, x])
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest point
    before = status("VmRSS")
    run()
    return status("VmHWM") - before


def status(what: str) -> int:
    """Bytes, as Linux counts them for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="one small round, to see that it runs")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    parser.add_argument("--layers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        print(growth(options.peak_of, options.layers, options.share))
        return
    layers, share, rounds = (60, 5, 1) if options.once else (LAYERS, SHARE, ROUNDS)
    found = measure(chains(layers, share), rounds)
    for name, row in found.items() if sys.platform == "linux" else ():
        row["resident_bytes"] = peak_of(name, layers, share)
    found |= measure(resnets(4 if options.once else PICTURES), rounds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found.items():
        sizes = [
            f"{row[each] / 2**20:7.1f} MiB {word}" if row.get(each) else " " * (12 + len(word))
            for each, word in (("planned_bytes", "planned"), ("resident_bytes", "resident"))
        ]
        print(
            f"{name:<26} {'  '.join(sizes)}  median {row['median_ms']:8.2f} ms  {row['ratio']:5.2f} of the time"
        )


if __name__ == "__main__":
    main()
