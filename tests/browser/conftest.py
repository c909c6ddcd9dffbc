"""The studio in a real browser: Chromium, driven by Playwright.

Without them this folder is skipped, and says so, or fails where CHAINRULE_REQUIRE_BROWSER=1, as in CI.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("CHAINRULE_CHROMIUM") or shutil.which("chromium")
_NO_PLAYWRIGHT = importlib.util.find_spec("playwright") is None
REASON = (
    "playwright is not installed: python -m pip install -e '.[browser]'"
    if _NO_PLAYWRIGHT
    else "there is no chromium: apt-get install chromium, or name one in CHAINRULE_CHROMIUM"
    if CHROMIUM is None
    else ""
)
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)

if REASON and os.environ.get("CHAINRULE_REQUIRE_BROWSER") == "1":
    raise pytest.UsageError(f"CHAINRULE_REQUIRE_BROWSER=1, but {REASON}")


class Skipped(pytest.Module):
    """Stands in for a test module that cannot be imported."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    kind = Skipped if REASON else pytest.Module
    module: pytest.Module = kind.from_parent(parent, path=module_path)
    module.add_marker("browser")
    return module


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium for all tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield started
        started.close()


@contextmanager
def running_studio(*arguments: str, cwd: Path | None = None) -> Iterator[str]:
    """``chainrule studio`` as a user starts it; gives the address that it prints."""
    command = [sys.executable, "-m", "chainrule", "studio", *arguments, "--no-browser", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=cwd)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


@pytest.fixture(scope="session")
def studio() -> Iterator[str]:
    """The address of a studio that all tests share."""
    with running_studio() as url:
        yield url


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, studio: str) -> Iterator[Open]:
    """``open_page("#/formula?f=x*x")``: a page in a context of its own, on which nothing may go wrong unseen.

    Keywords go to the context: ``viewport={"width": 400, "height": 800}``, ``color_scheme="dark"``. ``url`` opens
    another studio than the shared one. Errors in the console and violations of the content-security policy fail the
    test; what it expects it takes out of ``page.problems``.
    """
    contexts: list[Any] = []
    pages: list[Any] = []

    def opened(fragment: str = "", *, url: str = studio, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.problems = []
        page.on("console", lambda m: m.type in ("error", "warning") and page.problems.append(m.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(url)  # sets the cookie and leaves the token behind
        if fragment:
            page.goto(f"{page.url.partition('#')[0]}{fragment}")
        pages.append(page)
        return page

    yield opened
    problems = [problem for page in pages for problem in page.problems]
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture
def open_file(browser: Any) -> Iterator[Open]:
    """``open_file(path, "#...")``: a page without a network, on which nothing may be asked for or go wrong."""
    contexts: list[Any] = []
    asked: list[str] = []
    problems: list[str] = []

    def opened(path: Path, fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_offline(True)
        context.route(
            "**/*", lambda route: route.continue_() if route.request.url == path.as_uri() else route.abort()
        )
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda m: m.type in ("error", "warning") and problems.append(m.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert {url.partition("#")[0].rpartition("/")[2] for url in asked if not url.startswith("data:")} <= {
        "page.html"
    }
    assert not problems
