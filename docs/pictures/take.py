"""Take the pictures of README and docs anew: ``python docs/pictures/take.py [NAME...]``.

Needs the `browser` extra and Chromium (CHAINRULE_CHROMIUM names another). Each picture is of a page as it is, with what
people do before: nothing is drawn for the picture.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("CHAINRULE_CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
COLOURS = 256


@dataclass(frozen=True)
class Picture:
    """One file.

    Attributes:
        page: what follows the address.
        size: of the window.
        scheme: light or dark.
        ready: waits until the page shows what the picture is of.
        given: what the studio is started with.
    """

    page: str
    size: tuple[int, int]
    scheme: str
    ready: Callable[[Any], None]
    given: tuple[str, ...] = ()


def computed(page: Any) -> None:
    page.wait_for_selector(".node")


def current_factor(page: Any) -> None:
    page.wait_for_selector(".node")
    page.wait_for_timeout(400)


def trained(page: Any) -> None:
    page.wait_for_selector(".network .unit")
    page.get_by_role("button", name="Train").click()
    page.wait_for_timeout(9_000)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(800)


def examined(page: Any) -> None:
    page.wait_for_selector("text=sure", timeout=180_000)
    page.wait_for_timeout(1_000)


SUMS = "#/formula?f=(a%2Bb)*(b%2Bc)&at=a%3D-1%2Cb%3D3%2Cc%3D4&select=b"
PICTURES = {
    "formula": Picture(SUMS, (1280, 800), "light", computed),
    "factor": Picture(
        "#/formula?f=1%2F(1%2Be%5E(-x))&at=x%3D1&select=x&step=9", (1280, 800), "dark", current_factor
    ),
    "phone": Picture(SUMS, (400, 860), "light", computed),
    "network": Picture("#/network?data=spirals&layers=6-4", (1600, 1000), "dark", trained),
    "model": Picture("#/model", (1600, 1000), "dark", examined, ("examples/zoo/exploding_by_depth.py",)),
}


@contextmanager
def studio(*given: str) -> Iterator[str]:
    """A studio of its own, and its address."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "chainrule", "studio", *given, "--no-browser", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
            process.wait(timeout=30)
            process.stdout.close()


def take(browser: Any, name: str, picture: Picture) -> None:
    """Open the page, wait, and keep what is seen."""
    given = [str(HERE.parents[1] / one) if one.startswith("examples/") else one for one in picture.given]
    with studio(*given) as url:
        width, height = picture.size
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=picture.scheme, reduced_motion="reduce"
        )
        page = context.new_page()
        page.goto(url)
        page.goto(f"{page.url.partition('#')[0]}{picture.page}")
        picture.ready(page)
        seen = Image.open(io.BytesIO(page.screenshot()))
        context.close()
    file = HERE / f"{name}.png"
    seen.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; default: all")
    names = parser.parse_args().names or list(PICTURES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name in names:
            take(browser, name, PICTURES[name])
        browser.close()


if __name__ == "__main__":
    main()
