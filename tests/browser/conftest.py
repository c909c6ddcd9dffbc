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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from browser.reading import at_rest
from browser.waiting import PATIENCE, slowed

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
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield started
        started.close()


def context_in(browser: Any, **options: Any) -> Any:
    """A context in which pages are waited for patiently."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(1000 * PATIENCE)
    return context


@pytest.fixture
def new_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """``new_page(offline=True)``: an empty page in a context of its own, which is closed after the test."""
    with ExitStack() as contexts:

        def made(**options: Any) -> Any:
            context = context_in(browser, **options)
            contexts.callback(_closed, context)
            return slowed(context.new_page())

        yield made


def _closed(context: Any) -> None:
    """Close a context. What a page asked for last may still be on its way through a test's own route: let it be."""
    for page in context.pages:
        page.unroute_all(behavior="ignoreErrors")
    context.unroute_all(behavior="ignoreErrors")
    context.close()


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
        process.wait(timeout=PATIENCE)
        process.stdout.close()


@pytest.fixture(scope="session")
def studio() -> Iterator[str]:
    """The address of a studio that all tests share."""
    with running_studio() as url:
        yield url


Open = Callable[..., Any]


def watched(page: Any) -> Any:
    """The page, with what goes wrong on it in ``page.problems``, but for what has a word of ``page.forgiven``."""
    page.problems, page.forgiven = [], []

    def wrong(text: str) -> None:
        if not any(word in text for word in page.forgiven):
            page.problems.append(text)

    page.on("console", lambda m: m.type in ("error", "warning") and wrong(m.text))
    page.on("pageerror", lambda error: wrong(str(error)))
    return page


@pytest.fixture
def open_page(new_page: Open, studio: str) -> Iterator[Open]:
    """``open_page("#/formula?f=x*x")``: a page in a context of its own, on which nothing may go wrong unseen.

    Keywords go to the context: ``viewport={"width": 400, "height": 800}``, ``color_scheme="dark"``. ``url`` opens
    another studio than the shared one. Errors in the console and violations of the content-security policy fail the
    test; what it expects it names before in ``page.forgiven``.
    """
    pages: list[Any] = []

    def opened(fragment: str = "", *, url: str = studio, **options: Any) -> Any:
        page = watched(new_page(**options))
        pages.append(page)
        page.goto(f"{url}{fragment}")  # sets the cookie and leaves the token behind
        return page

    yield opened
    assert not [problem for page in pages for problem in page.problems]


@pytest.fixture
def network(open_page: Open) -> Open:
    """``network("at=60", 60)``: the network page with a query, at rest at that update."""

    def opened(query: str = "", update: int = 0, **options: Any) -> Any:
        page = open_page(f"#/network{'?' + query if query else ''}", **options)
        return at_rest(page, update)

    return opened


@pytest.fixture(scope="session")
def scripts(browser: Any, studio: str) -> Iterator[Any]:
    """A page of the studio that only runs what a test imports of its scripts."""
    context = context_in(browser)
    page = watched(slowed(context.new_page()))
    page.goto(studio)
    yield page
    problems = page.problems
    context.close()
    assert not problems


@pytest.fixture
def open_file(new_page: Open) -> Iterator[Open]:
    """``open_file(path, "#...")``: a page without a network, on which nothing may be asked for or go wrong."""
    asked: list[str] = []
    pages: list[Any] = []

    def opened(path: Path, fragment: str = "", **options: Any) -> Any:
        page = watched(new_page(**{"viewport": {"width": 1280, "height": 900}, **options}))
        pages.append(page)
        page.context.set_offline(True)
        page.context.route(
            "**/*", lambda route: route.continue_() if route.request.url == path.as_uri() else route.abort()
        )
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    assert {url.partition("#")[0].rpartition("/")[2] for url in asked if not url.startswith("data:")} <= {
        "page.html"
    }
    assert not [problem for page in pages for problem in page.problems]
