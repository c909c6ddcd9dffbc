"""Whole trainings, and steps of a deep network, beside torch: accuracy, seconds, memory.

Each library works in a process of its own, and they take turns. chainrule's seconds hold compiling, looks at the test
images after each epoch, checkpoints and the log; torch's hold the same looks.

    python benchmarks/training.py fashion-mnist [--rounds 2]
    python benchmarks/training.py path/to/cifar-batches --model resnet20 --epochs 60
    python benchmarks/training.py resnet152 [--batch 8]
    python benchmarks/training.py --once
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LIBRARIES = ("chainrule", "torch")


def trained(library: str, given: argparse.Namespace) -> dict[str, Any]:
    """Train once; accuracy and seconds."""
    from chainrule import train
    from chainrule.train.plan import examples_of

    plan = train.Plan(
        given.work,
        given.model,
        given.epochs,
        given.batch_size,
        learning_rate=given.learning_rate,
        seed=given.seed,
    )
    if library == "chainrule":
        with tempfile.TemporaryDirectory() as folder:
            *_, last = train.begin(plan, Path(folder) / "run", threads=given.threads)
        assert isinstance(last, train.Finished)
        return {"accuracy": last.test_accuracy, "seconds": last.seconds}
    import _torch_networks

    data = examples_of(plan)
    data = data.as_images() if given.work == "digits" else data
    accuracy, seconds = _torch_networks.train(data, plan.filled(data), given.threads)
    return {"accuracy": accuracy, "seconds": seconds}


def stepped(library: str, given: argparse.Namespace) -> dict[str, Any]:
    """Steps of a residual network with momentum; the first, the median of the others, and the most memory."""
    depth, batch, size = int(given.work[6:]), given.batch, given.size
    began = time.perf_counter()
    if library == "chainrule":
        import numpy as np

        import chainrule as cr

        made = cr.train.compile_step(
            cr.models.resnet(depth, classes=1000, key=cr.random.key(0)),
            cr.nn.softmax_cross_entropy,
            cr.optim.momentum(0.01),
            threads=given.threads,
        )
        x = np.random.default_rng(0).normal(size=(batch, size, size, 3)).astype(np.float32)
        y = np.arange(batch) % 1000
        began = time.perf_counter()
        step = lambda: made(x, y).item()
    else:
        import _torch_networks

        step = _torch_networks.step(depth, batch, size, given.threads)
    step()
    first, seconds = time.perf_counter() - began, []
    for _ in range(given.steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"first": first, "seconds": statistics.median(seconds), "megabytes": _most_memory()}


def _most_memory() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_turns(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Every library in a process of its own, round by round."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in LIBRARIES}
    for _ in range(given.rounds):
        for name in LIBRARIES:
            command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                if "ModuleNotFoundError: No module named 'torch'" in ran.stderr:
                    continue
                raise SystemExit(ran.stderr)
            found[name].append(json.loads(ran.stdout.splitlines()[-1]))
            if not given.json:
                print(
                    f"{name:<10}", "  ".join(f"{k} {v:,.4g}" for k, v in found[name][-1].items()), flush=True
                )
    return {name: results for name, results in found.items() if results}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "work", nargs="?", default="fashion-mnist", help="data, or resnet18 ... resnet152 for steps"
    )
    parser.add_argument("--model", default="cnn")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1, help="images in a step of a residual network")
    parser.add_argument("--size", type=int, default=224, help="their rows and columns")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--once", action="store_true", help="a little of everything, untimed")
    parser.add_argument("--only", choices=LIBRARIES)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.once:
        given.work, given.epochs, given.size, given.batch, given.steps, given.rounds = (
            "digits",
            1,
            32,
            2,
            1,
            1,
        )
    deep = given.work.startswith("resnet")
    if given.only:
        found = stepped(given.only, given) if deep else trained(given.only, given)
        if given.once:
            given.work = "resnet18"
            found |= stepped(given.only, given)
        print(json.dumps(found))
        return
    found = in_turns(given)
    if given.json:
        print(json.dumps(found, indent=2))
    elif len(found) == len(LIBRARIES):
        ours, theirs = (statistics.median(r["seconds"] for r in found[name]) for name in LIBRARIES)
        print(f"chainrule takes {ours / theirs:.2f} of torch's time")


if __name__ == "__main__":
    main()
