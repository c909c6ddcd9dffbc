"""The same work by several libraries in turns, so that a slow moment of the machine hits them alike."""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

BLOCKS, STEPS, PAUSE = 20, 5, 0.03


def library(name: str) -> Any:
    """A library if it is installed; one that is missing is named."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        print(f"without {name}, which is not installed: pip install 'chainrule[bench]'", file=sys.stderr)
        return None


def with_peers(ours: Callable[[], Any], **peers: Callable[[Any], Any]) -> dict[str, Any]:
    """What each library makes, by its name: chainrule, and the peers that are installed."""
    found = {name: (make, library(name)) for name, make in peers.items()}
    return {
        "chainrule": ours(),
        **{name: make(peer) for name, (make, peer) in found.items() if peer is not None},
    }


def measure(steps: Mapping[str, Callable[[], Any]], blocks: int) -> dict[str, Any]:
    """Milliseconds of a step, by library; and the median of the blocks' ratios of chainrule's time to it."""
    times: dict[str, list[list[float]]] = {name: [] for name in steps}
    for _ in range(blocks):
        for name, step in steps.items():
            time.sleep(PAUSE)  # other libraries' threads still spin
            step()
            block: list[float] = []
            for _ in range(STEPS):
                began = time.perf_counter()
                step()
                block.append(1e3 * (time.perf_counter() - began))
            times[name].append(block)
    medians = {name: [statistics.median(b) for b in found] for name, found in times.items()}
    ours = medians["chainrule"]
    return {
        name: {
            "best_ms": min(min(b) for b in found),
            "median_ms": statistics.median(medians[name]),
            "ratio": statistics.median(a / b for a, b in zip(ours, medians[name], strict=True)),
        }
        for name, found in times.items()
    }


def options(description: str | None) -> argparse.Namespace:
    """``--once`` and ``--json``, which every benchmark takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="one block each, to see that it runs")
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser.parse_args()


def report(found: Mapping[str, Any], as_json: bool) -> None:
    """Print what `measure` gives."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found.items():
        ratio = "" if name == "chainrule" else f"  chainrule takes {row['ratio']:.2f} of it"
        print(f"{name:<10} best {row['best_ms']:7.2f} ms  median {row['median_ms']:7.2f} ms{ratio}")
