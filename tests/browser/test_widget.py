"""The widgets in a real Jupyter: JupyterLab and Notebook 7, a kernel, cells that are run, pages in their outputs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import chainrule
from browser.waiting import PATIENCE, eventually

_TOKEN = "for-this-test"
_NEEDED = {"lab": "jupyterlab", "notebook": "notebook"}
_FORMULA = (
    "import chainrule as cr\nw = cr.studio.widget('(a+b)*(b+c)', a=-1, b=3, c=4)\nw",
    "print('READ', w.values, w.step, w.trace.gradient(0))",
    "w.values = {'b': 1}\nw.step = 5",
    "v = cr.studio.widget('x*x', x=3)\nv",
    "print('BOTH', w.text, v.text, w.values, v.values)",
)
_NETWORK = (
    "import chainrule as cr\nw = cr.studio.network_widget('circles', (4,), rate=0.01)\nw",
    "print('READ', w.update, w.running, w.options['layers'], w.selected)",
    "w.options = {'rate': 0.1}\nw.selected = (2, 2)\nw.update = 30\nw.wait(120)",
    "w.close()",
    "import pathlib, time\nwhile not pathlib.Path('go-on').exists(): time.sleep(0.05)",
)
_MODEL = (
    "import chainrule as cr\nmodel, data, loss, optimizer, _ = cr.models.digits_classifier()\n"
    "w = cr.studio.model_widget(model, loss, data.train_x[:64], data.train_y[:64])\nw",
    "print('READ', w.at, w.opened, w.selected, w.asked)",
    "w.selected, w.asked = '', ''\nw.at = 'layers.0'",
)


_FAKE = """async () => {
  const { formulaInCell } = await import('/js/widget/formula.js');
  const traits = { text: 'x*x', values: { x: 3 }, step: null, selected: '', mode: 'reverse' };
  const listeners = {};
  const say = (message, ...bodies) => listeners['msg:custom'](message, bodies);
  const answer = async ({ ask, method, path, query, body }) => {
    const headers = { 'Content-Type': 'application/json' };
    const found = await fetch(`${path}?${query}`, { method, headers, body: body || undefined });
    say({ answer: ask, status: found.status }, new Uint8Array(await found.arrayBuffer()));
  };
  window.kernel = {
    sent: [],
    say,
    refuse: (ask, message) =>
      say({ answer: ask, status: 400 }, new TextEncoder().encode(JSON.stringify({ error: { message } }))),
    work: () => (window.kernel.answer = answer),
  };
  const model = {
    get: name => traits[name],
    set: (name, value) => (traits[name] = value),
    save_changes() {},
    on: (name, listener) => (listeners[name] = listener),
    off: name => delete listeners[name],
    send(message) {
      if (window.kernel.ended) throw new Error('Cannot send');
      window.kernel.sent.push(message);
      if (message.ask) window.kernel.answer?.(message);
    },
  };
  window.show = () => {
    document.body.replaceChildren();
    return formulaInCell({ model, el: document.body });
  };
  await show();
}"""
"""A page in a cell, and a kernel that says what it is told to say, or what the studio answers."""


def missing(app: str) -> str:
    absent = [name for name in ("anywidget", _NEEDED[app]) if importlib.util.find_spec(name) is None]
    return f"{' and '.join(absent)} not installed: pip install -e '.[browser,notebook]'" if absent else ""


def a_free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running_jupyter(app: str, cells: Sequence[str], tmp_path: Path) -> Iterator[str]:
    """The address of a notebook with these cells, in a Jupyter of its own."""
    if why := missing(app):
        if os.environ.get("CHAINRULE_REQUIRE_BROWSER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    written = [
        {
            "cell_type": "code",
            "id": f"c{k}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": text,
        }
        for k, text in enumerate(cells)
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {"cells": written, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
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
        process.wait(timeout=PATIENCE)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"Jupyter did not start: {log.read_text()[-2000:]}"
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).close()
        except OSError:
            return False
        return True

    eventually(answers, True)


def run_cell(page: Any, k: int) -> None:
    """Run a cell; again, where Jupyter drops it because its kernel is not connected yet, though it says idle."""
    cell = page.locator(".jp-CodeCell").nth(k)
    prompt = cell.locator(".jp-InputPrompt")
    begun = re.compile(rf"^(?!{re.escape(prompt.text_content() or '')}$).*[*\d]")  # another number, or a star
    for _ in range(10):
        cell.locator(".jp-InputArea-editor").click()
        page.keyboard.press("Control+Enter")
        with suppress(AssertionError):
            expect(prompt).to_have_text(begun, timeout=100 * PATIENCE)
            return
    pytest.fail(f"cell {k} does not run")


def tells(page: Any, k: int, expected: str) -> None:
    """Run a cell until it prints this, a pattern: what the page tells the kernel may come after the cell."""
    cell = page.locator(".jp-CodeCell").nth(k)

    def printed() -> str:
        run_cell(page, k)
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"))
        return cell.locator(".jp-OutputArea-output pre").inner_text().strip()

    eventually(printed, re.compile(expected).fullmatch)


Notebook = Callable[[str, Sequence[str]], Any]


@pytest.fixture
def open_notebook(new_page: Callable[..., Any], tmp_path: Path) -> Iterator[Notebook]:
    """``open_notebook("lab", cells)``: a page with a notebook, whose kernel listens."""
    problems: list[str] = []
    with ExitStack() as opened:

        def open_one(app: str, cells: Sequence[str]) -> Any:
            url = opened.enter_context(running_jupyter(app, cells, tmp_path))
            page = new_page(viewport={"width": 1280, "height": 1400})
            # Jupyter has errors of its own; the widget's script is at a blob: address.
            page.on("pageerror", lambda error: "blob:" in (error.stack or "") and problems.append(str(error)))
            # On a busy machine Jupyter asks which kernel it is to be before it knows of one.
            dialog = page.locator("dialog.jp-Dialog")
            page.add_locator_handler(dialog, lambda asked: asked.locator("button.jp-mod-accept").click())
            page.goto(url)
            page.locator(".jp-CodeCell").first.wait_for()
            idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
            idle.first.wait_for()
            return page

        yield open_one
    assert not problems


@pytest.mark.parametrize("app", list(_NEEDED))
def test_a_formula_in_a_notebook(open_notebook: Notebook, app: str):
    page = open_notebook(app, _FORMULA)
    run_cell(page, 0)
    first = page.locator(".jp-CodeCell").nth(0).locator(".chainrule")
    slider = first.locator('.var-row[data-name="b"] input[type=range]')
    slider.wait_for()

    # What is dragged can be read in Python.
    slider.fill("2")
    tells(page, 1, re.escape("READ {'a': -1.0, 'b': 2.0, 'c': 4.0} None 6.0"))

    # Keys within the widget are its own: d, d would delete the cell, m would make it text.
    slider.focus()
    for key in "dmdd":
        page.keyboard.press(key)

    # What Python sets is shown.
    run_cell(page, 2)
    first.locator(".transport .count", has_text="5 /").wait_for()
    expect(slider).to_have_value("1")
    expect(page.locator(".jp-CodeCell")).to_have_count(len(_FORMULA))  # none was deleted, nor made text

    # Another formula is read by the kernel, and one with a mistake gets its message.
    field = first.get_by_role("textbox", name="Formula")
    field.fill("a*b*b")
    field.press("Enter")
    expect(first.locator(".var-row[data-name]")).to_have_count(2)
    field.fill("a*(b")
    field.press("Enter")
    first.locator("[role=alert]:not([hidden])").first.wait_for()
    field.blur()  # what is typed becomes a step of undo, if it can be read

    # Two widgets do not know of each other.
    run_cell(page, 3)
    second = page.locator(".jp-CodeCell").nth(3).locator(".chainrule")
    second.locator('.var-row[data-name="x"] input[type=range]').fill("4")
    tells(page, 4, r"BOTH a\*b\*b x\*x \{'a'.*\{'x': 4\.0\}")
    assert "studio.ipynb" in page.url and "#/" not in page.url


def test_a_kernel_that_does_not_answer_is_told_of(open_page: Callable[..., Any]):
    page = open_page()
    page.wait_for_selector(".node")
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)
    page.evaluate(_FAKE)
    told = page.locator(".unheard")
    page.clock.run_for(5000)
    asked = page.evaluate("kernel.sent")
    assert [next(iter(message)) for message in asked] == ["ask", "there"]
    expect(told).to_be_hidden()

    # It works, and says that it is there: it is waited for.
    page.evaluate("name => kernel.say({ here: name })", asked[1]["there"])
    page.clock.run_for(5000)
    assert [next(iter(message)) for message in page.evaluate("kernel.sent")] == ["ask", "there", "there"]
    page.evaluate("() => kernel.say({ here: 'a page of another view' })")
    expect(told).to_be_hidden()
    page.clock.run_for(5000)
    expect(told).to_contain_text("does not answer")

    # After the cell that it ran it answers.
    page.evaluate("id => kernel.refuse(id, 'too much at once')", asked[0]["ask"])
    expect(told).to_be_hidden()
    expect(page.get_by_role("alert")).to_have_text("too much at once")
    page.clock.run_for(60_000)
    expect(told).to_be_hidden()  # nothing is waited for
    assert len(page.evaluate("kernel.sent")) == 3
    page.evaluate("() => { kernel.work(); return show(); }")
    expect(page.get_by_role("textbox", name="formula")).to_have_value("x*x")

    # Jupyter knows that it has ended.
    page.evaluate("() => { kernel.ended = true }")
    page.get_by_role("textbox", name="formula").fill("x*x*x")
    page.clock.run_for(1000)
    expect(told).to_contain_text("has ended")
    page.clock.run_for(60_000)
    expect(told).to_contain_text("has ended")


def test_a_network_in_a_notebook(open_notebook: Notebook, tmp_path: Path):
    page = open_notebook("lab", _NETWORK)
    run_cell(page, 0)
    shown = page.locator(".jp-CodeCell").nth(0).locator(".chainrule .network")
    transport = shown.locator(".transport")
    expect(transport).to_have_attribute("data-update", "0")

    # It trains in the background: frames come, and the kernel runs cells meanwhile.
    shown.get_by_role("button", name="▶ Train").click()
    eventually(lambda: int(transport.get_attribute("data-update")), lambda update: update > 5)
    tells(page, 1, r"READ ([6-9]|\d{2,}) True .*")

    # Frames come while a cell runs too.
    before = int(transport.get_attribute("data-update"))
    run_cell(page, 4)
    eventually(lambda: int(transport.get_attribute("data-update")), lambda update: update > before + 5)
    expect(page.locator(".jp-CodeCell").nth(4).locator(".jp-InputPrompt")).to_contain_text("*")
    (tmp_path / "notebooks" / "go-on").touch()

    # It is paused and rewound, another unit is chosen, another layer added; and Python sees all that.
    shown.get_by_role("button", name="❚❚ Pause").click()
    expect(shown.get_by_role("button", name="▶ Train")).to_be_visible()  # after the cell
    shown.get_by_role("button", name="Start over").click()
    expect(transport).to_have_attribute("data-update", "0")
    shown.get_by_role("button", name="One step on").click()
    expect(transport).to_have_attribute("data-update", "1")
    shown.locator(".unit").nth(4).click()
    tells(page, 1, re.escape("READ 1 False [4] [2, 3]"))
    shown.get_by_role("button", name="One hidden layer more").click()
    expect(shown.locator(".unit")).to_have_count(11)
    expect(transport).to_have_attribute("data-update", "0")
    tells(page, 1, re.escape("READ 0 False [4, 4] [2, 3]"))

    # What Python sets is shown.
    run_cell(page, 2)
    expect(transport).to_have_attribute("data-update", "30")
    expect(shown.locator(".knob-rate select")).to_have_value("0.1")
    expect(shown.locator(".unit").nth(3)).to_have_class(re.compile("sel"))
    assert "#/" not in page.url
    run_cell(page, 3)
    expect(shown).to_have_count(0)


def test_a_model_in_a_notebook(open_notebook: Notebook):
    page = open_notebook("lab", _MODEL)
    run_cell(page, 0)
    shown = page.locator(".jp-CodeCell").nth(0).locator(".chainrule .model-page")
    expect(shown.get_by_role("heading", level=1)).to_have_text("Sequential")
    expect(shown.get_by_role("button", name="Open …")).to_have_count(0)

    # A block is looked into, opened down to its operations, and asked why.
    shown.get_by_role("button", name="all blocks").click()
    shown.locator('.node-card[data-id="layers.2"]').click()
    shown.get_by_role("button", name="Open layers.2").click()
    expect(shown.get_by_role("button", name="Close layers.2")).to_be_visible()
    shown.get_by_role("radio", name="Why?").click()
    expect(shown.locator(".answer h3")).to_contain_text("layers.2")
    tells(page, 1, re.escape("READ * ['layers.2'] layers.2 why"))

    # What Python sets is shown.
    run_cell(page, 2)
    expect(shown.locator(".trail h2")).to_have_text("layers.0")
    assert "#/" not in page.url
