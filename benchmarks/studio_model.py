"""The studio's model page for ResNet-152: the pass, the answers, and, where Chromium is, what a person waits for.

Limits of the project: the collapsed view under 2 s from the request, a block opened under 200 ms.

    python benchmarks/studio_model.py [--size 64] [--batch 4] [--rounds 5] [--once] [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import shutil
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _chromium import launched

import chainrule as cr
from chainrule.studio.models import Opened, Opening
from chainrule.studio.models.sources import pass_through
from chainrule.studio.serving import SHARED, Server, endpoints

BLOCK = "stages.2.17"
INSIDE = [f"{BLOCK}.layers.0", f"{BLOCK}.layers.0.norm"]
DRAWN = """([what, gone]) => new Promise(done => {
  const look = () => document.querySelector(what) && !(gone && document.querySelector(gone))
    ? requestAnimationFrame(() => done(performance.now())) : setTimeout(look, 2);
  look();
})"""
CLICK = """name => {
  const began = performance.now();
  document.querySelector(`[aria-label="Open ${name}"]`).click();
  return new Promise(done => {
    const look = () => document.querySelector(`[aria-label="Close ${name}"]`)
      ? requestAnimationFrame(() => done(performance.now() - began)) : setTimeout(look, 1);
    look();
  });
}"""


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The median of some runs."""
    taken: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def answers(opening: Opening, rounds: int) -> dict[str, float]:
    """What the server works out, with the JSON."""
    view = opening.view
    return {
        "collapsed view, answer": seconds(lambda: json.dumps(opening.to_dict()), rounds),
        "block, answer": seconds(lambda: json.dumps(view.graph(BLOCK, [])), rounds),
        "block opened to primitives, answer": seconds(lambda: json.dumps(view.graph(BLOCK, INSIDE)), rounds),
    }


def in_browser(opened: Opened, name: str, rounds: int) -> dict[str, float]:
    """What a person waits for: a page that loads until its columns are drawn, and a click until its cards are."""
    from playwright.sync_api import sync_playwright

    server = Server(endpoints(opened), shared=SHARED)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    whole: list[float] = []
    clicks: list[float] = []
    with sync_playwright() as playwright:
        chromium = launched(playwright)
        page = chromium.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(server.url)
        root = page.url.partition("#")[0]
        for k in range(rounds):
            page.goto("about:blank")
            began = time.perf_counter()
            page.goto(f"{root}#/model?of=python:{name}&at={BLOCK}&k={k}")
            page.evaluate(DRAWN, [".strip-picture .bar", None])
            whole.append(time.perf_counter() - began)
            page.evaluate(DRAWN, [f'[data-id="{BLOCK}.layers.0"]', None])
            clicks += [page.evaluate(CLICK, path) / 1000 for path in INSIDE]
        chromium.close()
    server.stop()
    thread.join(10)
    return {
        "collapsed view, page loaded and drawn": statistics.median(whole),
        "a block opened, from click to drawn": statistics.median(clicks),
        "the slowest of these": max(clicks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", action="store_true", help="small and quick, to see that it runs")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rounds, size = 1 if given.once else given.rounds, given.size
    model = cr.models.resnet(152, classes=10, key=cr.random.key(0))
    x = np.random.default_rng(0).standard_normal((given.batch, size, size, 3)).astype(np.float32)
    y = np.arange(given.batch) % 10
    loss = cr.nn.softmax_cross_entropy
    found = {"pass forward and back, measured": seconds(lambda: pass_through(model, loss, x, y), rounds)}
    opened = Opened()
    opening = opened.model(model, loss, (x, y), name="ResNet-152")
    while opening.state == "opening":
        opening.wait(0.01)
    found |= answers(opening, rounds)
    has_browser = importlib.util.find_spec("playwright") and shutil.which("chromium")
    if has_browser and not given.once:
        found |= {f"{k}, doctor at work": v for k, v in in_browser(opened, "ResNet-152", rounds).items()}
        opening.stop()
        opening.wait()
        found |= in_browser(opened, "ResNet-152", rounds)
    opening.stop()
    opening.wait()
    report: dict[str, Any] = {"size": size, "batch": given.batch, "seconds": found}
    report["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if given.json:
        print(json.dumps(report))
        return
    print(f"ResNet-152, {given.batch} images of {size} × {size}; peak memory {report['peak_gib']:.2f} GiB")
    for name, value in found.items():
        print(f"{value * 1e3:9.1f} ms  {name}")


if __name__ == "__main__":
    main()
