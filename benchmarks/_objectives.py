"""Objectives and gradients of several libraries, measured in turns in one process, and what their ratios are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

PAUSE = 0.02
"""Seconds before a turn: other libraries' threads still spin."""

Pair = tuple[Callable[[], Any], Callable[[], Any]]
"""An objective and its gradient, as calls that wait for their results."""


def measure(pairs: dict[str, Pair], blocks: int, calls: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each library, and ratios of what was measured in the same block.

    ``ratio``: a gradient, as a multiple of its own objective. ``ours``: chainrule's gradient, as a share of this one.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for pair in pairs.values():
        for call in pair:
            call()
    for _ in range(blocks):
        for name, pair in pairs.items():
            time.sleep(PAUSE)
            objective, gradient = (_median(call, calls) for call in pair)
            times[name].append((objective, gradient))
    ours = times["chainrule"]
    return {
        name: {
            "objective_ms": statistics.median(o for o, _ in found),
            "gradient_ms": statistics.median(g for _, g in found),
            "best_gradient_ms": min(g for _, g in found),
            "ratio": statistics.median(g / o for o, g in found),
            "ours": statistics.median(a[1] / b[1] for a, b in zip(ours, found, strict=True)),
        }
        for name, found in times.items()
    }


def _median(call: Callable[[], Any], calls: int) -> float:
    call()
    found: list[float] = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        found.append(1e3 * (time.perf_counter() - began))
    return statistics.median(found)


def shown(title: str, rows: dict[str, dict[str, float]]) -> str:
    """A table of one measurement."""
    lines = [f"{title:<28}{'objective':>12}{'gradient':>12}{'ratio':>8}{'ours / this':>13}"]
    for name, row in rows.items():
        times = f"{row['objective_ms']:>9.3f} ms{row['gradient_ms']:>9.3f} ms{row['ratio']:>8.2f}"
        lines.append(f"  {name:<26}{times}{row['ours']:>13.3f}")
    return "\n".join(lines)
