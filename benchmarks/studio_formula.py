"""How soon an edit is seen on the formula page, and how smoothly a dragged number moves, in a real Chromium.

From the keystroke to the painted graph for 100 and for 1,000 nodes; frames a second while a variable is dragged through
its range, one pointer move a frame. Headless Chromium without a GPU paints with the processor: with one it is faster.

    python benchmarks/studio_formula.py [--rounds 5] [--once] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from _chromium import launched
from playwright.sync_api import sync_playwright

from chainrule.studio.formulas import FormulaTrace

FRAMES = 120
LEVELS = ("cards", "small cards", "chips", "dots")

TYPE = """
async text => {
  const field = document.querySelector('.field textarea'), stage = document.querySelector('.graph-in');
  field.focus();
  const seen = new Promise(done => {
    const watch = new MutationObserver(() => {
      watch.disconnect();
      requestAnimationFrame(() => {
        const channel = new MessageChannel();  // answers after the frame is painted
        channel.port1.onmessage = () => done(performance.now());
        channel.port2.postMessage(0);
      });
    });
    watch.observe(stage, { childList: true, subtree: true, attributes: true, characterData: true });
  });
  const began = performance.now();
  field.value = text;
  field.dispatchEvent(new InputEvent('input', { bubbles: true }));
  const painted = (await seen) - began;
  const [answer] = performance.getEntriesByName(location.origin + '/api/formula').slice(-1);
  return [painted, answer.responseEnd - answer.startTime];
}
"""

DRAG = """
async frames => {
  const number = document.querySelector('.node.selected > .value');
  Element.prototype.setPointerCapture = () => {};
  Element.prototype.hasPointerCapture = () => false;
  const send = (name, x) => number.dispatchEvent(
    new PointerEvent(name, { bubbles: true, pointerId: 1, button: 0, buttons: 1, clientX: x, clientY: 0 }));
  const times = [];
  send('pointerdown', 0);
  await new Promise(done => {
    let k = 0;
    const frame = now => {
      times.push(now);
      if (k >= frames) return done();
      send('pointermove', 10 + 90 * Math.sin(k / 9));
      k += 1;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  send('pointerup', 0);
  return times;
}
"""


def products(nodes: int) -> str:
    """A formula of about so many nodes: a product of sums, two variables each."""
    return "*".join(f"(x{i}+y{i})" for i in range(1, (nodes + 1) // 4 + 1))


@contextmanager
def studio() -> Iterator[str]:
    """A running studio; gives its address."""
    command = [sys.executable, "-m", "chainrule", "studio", "--no-browser", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def frames_per_second(times: list[float]) -> tuple[float, float]:
    """On the whole, and of the slowest twentieth of frames."""
    gaps = sorted(b - a for a, b in itertools.pairwise(times))
    return 1000 * len(gaps) / sum(gaps), 1000 / gaps[int(len(gaps) * 0.95)]


def measured(page: Any, home: str, text: str, rounds: int, frames: int) -> dict[str, float | str]:
    """Edit and drag with one formula."""
    page.goto(f"{home}#/formula?f={quote(text, safe='')}&select=x1")
    page.wait_for_selector(".graph-in .node.selected > .value")
    page.wait_for_timeout(600)
    edits: list[tuple[float, float]] = []
    for i in range(rounds):
        edits.append(tuple(page.evaluate(TYPE, f"{text}+{i}")))
        page.wait_for_timeout(700)
    drags: list[tuple[float, float]] = []
    for _ in range(
        rounds
    ):  # the first one after edits shares its time with what they left to be cleared away
        drags.append(frames_per_second(page.evaluate(DRAG, frames)))
        page.wait_for_timeout(600)
    speed, slowest = sorted(drags)[len(drags) // 2]
    return {
        "drawn as": LEVELS[int(page.evaluate("document.querySelector('.stage').dataset.level"))],
        "edit to painted graph, ms": statistics.median(edit for edit, _ in edits),
        "of it the server's answer, ms": statistics.median(answer for _, answer in edits),
        "frames a second while dragged": speed,
        "of its slowest twentieth": slowest,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", action="store_true", help="one round each, a few frames")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rounds, frames = (1, 10) if options.once else (options.rounds, FRAMES)
    found: dict[str, dict[str, float | str]] = {}
    with studio() as url, sync_playwright() as playwright:
        browser = launched(playwright)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        home = page.url.partition("#")[0]
        for nodes in (100, 1_000):
            text = products(nodes)
            count = len(FormulaTrace(text).nodes)
            found[f"{count} nodes"] = measured(page, home, text, rounds, frames)
        browser.close()
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(name)
        for what, figure in figures.items():
            print(f"  {what:<32}{figure if isinstance(figure, str) else f'{figure:.4g}'}")


if __name__ == "__main__":
    main()
