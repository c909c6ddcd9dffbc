"""The widget in a real Jupyter: JupyterLab and Notebook 7, a kernel, cells that are run, a slider that is dragged."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chainrule

_TOKEN = "for-this-test"
_NEEDED = {"lab": "jupyterlab", "notebook": "notebook"}
_CELLS = (
    "import chainrule as cr\nw = cr.studio.widget('(a+b)*(b+c)', a=-1, b=3, c=4)\nw",
    "print('READ', w.values, w.step, w.trace.gradient(0))",
    "w.values = {'b': 1}\nw.step = 5",
    "v = cr.studio.widget('x*x', x=3)\nv",
    "print('BOTH', w.text, v.text, w.values, v.values)",
)


def missing(app: str) -> str:
    absent = [name for name in ("anywidget", _NEEDED[app]) if importlib.util.find_spec(name) is None]
    return f"{' and '.join(absent)} not installed: pip install -e '.[browser,notebook]'" if absent else ""


def a_free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(params=list(_NEEDED))
def jupyter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a notebook in a Jupyter of its own."""
    app: str = request.param
    if why := missing(app):
        if os.environ.get("CHAINRULE_REQUIRE_BROWSER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    cells = [
        {
            "cell_type": "code",
            "id": f"c{k}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": text,
        }
        for k, text in enumerate(_CELLS)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "studio.ipynb").write_text(json.dumps(notebook))
    places = {"CONFIG": "JUPYTER_CONFIG_DIR", "DATA": "JUPYTER_DATA_DIR", "RUNTIME": "JUPYTER_RUNTIME_DIR"}
    environment = {
        **os.environ,
        **{name: str(tmp_path / kind) for kind, name in places.items()},
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": str(Path(chainrule.__file__).parents[1]),
    }
    port = a_free_port()
    command = [
        *(sys.executable, "-m", _NEEDED[app], "--no-browser", "--allow-root", f"--port={port}"),
        *(
            f"--IdentityProvider.token={_TOKEN}",
            f"--ServerApp.root_dir={folder}",
            "--ServerApp.port_retries=0",
        ),
    ]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/api", process, tmp_path / "log")
        path = "lab/tree" if app == "lab" else "notebooks"
        yield f"http://127.0.0.1:{port}/{path}/studio.ipynb?token={_TOKEN}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=5)
        except OSError:
            time.sleep(0.25)
        else:
            return
    pytest.fail(f"Jupyter did not start: {log.read_text()[-2000:]}")


def run_cell(page: Any, k: int) -> None:
    """Run a cell; again, where Jupyter drops it because its kernel is not connected yet, though it says idle."""
    cell = page.locator(".jp-CodeCell").nth(k)
    prompt = cell.locator(".jp-InputPrompt")
    for _ in range(20):
        cell.locator(".jp-InputArea-editor").click()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(1000)
        if prompt.inner_text().strip("[]: "):
            return
    pytest.fail(f"cell {k} does not run")


def printed(page: Any, k: int, word: str) -> str:
    output = page.locator(".jp-CodeCell").nth(k).locator(".jp-OutputArea-output pre", has_text=word)
    output.wait_for(timeout=30_000)
    return output.inner_text().strip()


def test_the_widget_in_jupyter(browser: Any, jupyter: str):
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    problems: list[str] = []
    # Jupyter has errors of its own; the widget's script is at a blob: address.
    page.on("pageerror", lambda error: "blob:" in (error.stack or "") and problems.append(str(error)))
    page.goto(jupyter)
    page.locator(".jp-CodeCell").first.wait_for(timeout=90_000)
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first.wait_for(timeout=90_000)
    run_cell(page, 0)
    first = page.locator(".jp-CodeCell").nth(0).locator(".chainrule")
    slider = first.locator('.var-row[data-name="b"] input[type=range]')
    slider.wait_for(timeout=90_000)

    # What is dragged can be read in Python.
    slider.fill("2")
    run_cell(page, 1)
    assert printed(page, 1, "READ") == "READ {'a': -1.0, 'b': 2.0, 'c': 4.0} None 6.0"

    # Keys within the widget are its own: d, d would delete the cell, m would make it text.
    slider.focus()
    for key in "dmdd":
        page.keyboard.press(key)
    assert page.locator(".jp-CodeCell").count() == len(_CELLS)

    # What Python sets is shown.
    run_cell(page, 2)
    first.locator(".transport .count", has_text="5 /").wait_for(timeout=30_000)
    assert slider.input_value() == "1"

    # Another formula is read by the kernel, and one with a mistake gets its message.
    field = first.get_by_role("textbox", name="Formula")
    field.fill("a*b*b")
    field.press("Enter")
    page.wait_for_function(
        "() => document.querySelectorAll('.jp-CodeCell')[0].querySelectorAll('.var-row[data-name]').length === 2"
    )
    field.fill("a*(b")
    field.press("Enter")
    first.locator("[role=alert]:not([hidden])").first.wait_for(timeout=30_000)
    page.wait_for_timeout(1500)  # longer than what is typed waits to become a step of undo

    # Two widgets do not know of each other.
    run_cell(page, 3)
    second = page.locator(".jp-CodeCell").nth(3).locator(".chainrule")
    second.locator('.var-row[data-name="x"] input[type=range]').fill("4")
    run_cell(page, 4)
    told = printed(page, 4, "BOTH")
    assert told.startswith("BOTH a*b*b x*x {'a'") and told.endswith("{'x': 4.0}")
    assert "studio.ipynb" in page.url and "#/" not in page.url
    assert not problems
    context.close()
