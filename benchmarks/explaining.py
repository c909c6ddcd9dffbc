"""What explaining costs: one weight of ResNet-20, why, a diagnosis, shares of ResNet-152, and the monitor of a run.

The monitor's cost is that of one look at the signs, over the steps between two looks at the default interval; the
examination before the first step comes once a run and stands beside it.

    python benchmarks/explaining.py [--rounds 5] [--once] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.explain.diagnosis import examine_training
from chainrule.train.monitor import STEPS
from chainrule.train.options import Options
from chainrule.train.probe import Probe


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The median of some runs."""
    taken: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def resnet20(batch: int) -> tuple[Any, Any, Any]:
    """A fresh ResNet-20, images and labels."""
    rng = np.random.default_rng(0)
    model = cr.models.resnet(20, classes=10, key=cr.random.key(0))
    return model, rng.normal(size=(batch, 32, 32, 3)).astype(np.float32), np.arange(batch) % 10


def explained(rounds: int) -> dict[str, float]:
    """One weight of ResNet-20, batch 32: explain, its text, and why; a diagnosis with batch 128."""
    model, x, y = resnet20(32)
    training = cr.nn.Training(cr.random.key(1))
    loss = cr.nn.softmax_cross_entropy(model(x, training), y)
    path = next(iter(model.parameters()))
    element = (path, *(0,) * model.parameters()[path].ndim)
    wide, many, labels = resnet20(128)
    return {
        "explain one weight of ResNet-20, with text": seconds(
            lambda: cr.explain(loss, element, model).text, rounds
        ),
        "why of a weight of ResNet-20": seconds(lambda: cr.why(loss, model.parameters()[path]), rounds),
        "diagnose ResNet-20": seconds(
            lambda: cr.diagnose(wide, cr.nn.softmax_cross_entropy, (many, labels), cr.optim.momentum(0.1)), 1
        ),
    }


def shared(rounds: int) -> dict[str, float]:
    """Shares of one weight of ResNet-152, 64 × 64 pixels, batch 4."""
    x = np.random.default_rng(0).normal(size=(4, 64, 64, 3)).astype(np.float32)
    model = cr.models.resnet(152, classes=10, key=cr.random.key(0))
    loss = cr.nn.softmax_cross_entropy(model(x, cr.nn.Training(cr.random.key(1))), np.arange(4))
    path = next(iter(model.parameters()))
    element = (path, *(0,) * model.parameters()[path].ndim)
    kinds = ("branch", "layer", "sample", "term", "path")
    return {
        f"attribute ResNet-152 by {by}": seconds(lambda by=by: cr.attribute(loss, element, by, model), rounds)
        for by in kinds
    }


def watched(name: str, model: Any, x: Any, y: Any, rounds: int) -> dict[str, float]:
    """A compiled step, one look at the signs, and an examination."""
    loss, optimizer = cr.nn.softmax_cross_entropy, cr.optim.momentum(0.01)
    step = cr.train.compile_step(model, loss, optimizer, key=cr.random.key(2))
    probe = Probe(loss, optimizer, compile=True, threads=None)
    key = cr.random.key(3)
    step(x, y)
    probe(step.parts, x, y, key)
    every = Options(1, 1, key).monitor
    assert every is not None
    steps, looks = [], []
    for _ in range(4 * rounds):
        steps.append(seconds(lambda: step(x, y), 5))
        looks.append(seconds(lambda: probe(step.parts, x, y, key), 1))
    one, look = statistics.median(steps), statistics.median(looks)
    parts = step.model, step.state
    once = seconds(lambda: examine_training(parts[0], loss, (x, y), optimizer, parts[1], key, STEPS), 3)
    return {
        f"{name}: step": one,
        f"{name}: look at the signs": look,
        f"{name}: monitor, part of the steps": look / (every * one),
        f"{name}: examination before the first step": once,
    }


def _mlp(key: Any) -> Any:
    return cr.models.mlp((64, 64, 10), cr.relu, key=key)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--once", action="store_true", help="run each once on smaller networks, to see that it runs"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    digits = cr.data.digits()
    keys = cr.random.split(cr.random.key(0))
    if given.once:
        once = watched("digits, MLP, batch 64", _mlp(keys[0]), digits.train_x[:64], digits.train_y[:64], 1)
        print(", ".join(once))
        return
    found = explained(given.rounds) | shared(given.rounds)
    found |= watched(
        "digits, MLP, batch 64", _mlp(keys[0]), digits.train_x[:64], digits.train_y[:64], given.rounds
    )
    found |= watched("ResNet-20, batch 64", *resnet20(64), given.rounds)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:<62}{f'{100 * value:.2f} %' if 'part of' in name else f'{value:.4f} s'}")


if __name__ == "__main__":
    main()
