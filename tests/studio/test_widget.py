"""The widgets in Python: state is checked, and what a page asks is answered; tests/browser shows them in Jupyter."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, FormulaError
from chainrule.studio.notebooks.busy import Cells
from studio.cells import Page, needs_anywidget


@needs_anywidget
def test_what_is_shown_can_be_read(widget: Any):
    assert widget.text == "(a+b)*(b+c)"
    assert widget.values == {"a": -1, "b": 3, "c": 4}
    assert (widget.step, widget.selected, widget.mode) == (None, "", "reverse")
    assert widget.trace.to_dict()["nodes"][widget.trace.result]["value"] == 14


@needs_anywidget
def test_formulas_are_taken_as_such_and_missing_values_are_usual_ones():
    widget: Any = cr.studio.widget(cr.formula("x*y"), {"y": 5})
    assert widget.text == "x*y" and widget.values == {"x": 1, "y": 5}


@needs_anywidget
def test_another_text_keeps_the_values_of_variables_that_it_still_has(widget: Any):
    widget.text = "b^2 + q"
    assert widget.values == {"b": 3, "q": 2}


@needs_anywidget
def test_another_formula_keeps_its_step_as_far_as_it_has_one(widget: Any):
    widget.step = 9
    widget.text = "a*b*c"
    assert widget.step is None and widget.still().startswith("<svg")
    widget.step = 2
    widget.text = "b^2 + q"
    assert widget.step == 2
    widget.mode, widget.step = "forward", 8
    widget.mode = "reverse"
    assert widget.step is None and widget.still().startswith("<svg")


@needs_anywidget
def test_values_that_are_not_given_stay(widget: Any):
    widget.values = {"a": 5}
    assert widget.values == {"a": 5, "b": 3, "c": 4}


@needs_anywidget
def test_what_cannot_be_is_refused_and_the_state_stays(widget: Any):
    with pytest.raises(FormulaError):
        widget.text = "(a+"
    with pytest.raises(ArgumentError, match="no variable"):
        widget.values = {"q": 1}
    with pytest.raises(ArgumentError, match="expected a number for b, got 'much'"):
        widget.values = {"b": "much"}
    with pytest.raises(ArgumentError, match="steps go from 0 to 12"):
        widget.step = 99
    assert widget.step is None
    assert widget.text == "(a+b)*(b+c)" and widget.values == {"a": -1, "b": 3, "c": 4}
    for mistake in ({"step": 99}, {"mode": "sideways"}, {"z": 1}):
        with pytest.raises(ArgumentError):
            cr.studio.widget("x*x", **mistake)


@needs_anywidget
def test_state_from_the_page_arrives_as_numbers(widget: Any):
    widget.set_state({"text": "x*y", "values": {"x": "NaN", "y": 2}, "step": 3, "selected": "x"})
    assert math.isnan(widget.values["x"]) and widget.values["y"] == 2
    assert widget.get_state("values")["values"] == {"x": "NaN", "y": 2}
    assert (widget.text, widget.step, widget.selected) == ("x*y", 3, "x")


@needs_anywidget
def test_the_page_gets_what_the_server_would_answer(widget: Any):
    page = Page(widget)
    trace = page.asked("POST", "/api/formula", text="x*x", values={"x": 3})
    assert trace["nodes"][0]["gradient"] == 6
    paths = page.asked("GET", "/api/formula/paths", text="x*x", at="x=3", node="x")
    assert paths["count"] == "2"
    assert page.asked("GET", "/api/formula/examples")[0]["text"] == "(a+b)*(b+c)"


@needs_anywidget
def test_mistakes_are_answered_too(widget: Any):
    page = Page(widget)
    error = page.asked("POST", "/api/formula", text="(a+", values={})["error"]
    assert error["type"] == "FormulaError" and error["at"] == 3
    assert "text must be text, got 7" in page.asked("POST", "/api/formula", text=7)["error"]["message"]
    assert "Not Found" in page.asked("GET", "/api/network/choices")["error"]["message"]


@needs_anywidget
@pytest.mark.parametrize(
    "nonsense", [None, 7, "ask", [], {}, {"ask": 7}, {"say": "9", "text": "x"}, {"shut": "9"}]
)
def test_messages_that_are_none_do_no_harm(widget: Any, nonsense: Any):
    page = Page(widget)
    page.tell(nonsense)
    assert page.asked("GET", "/api/formula/examples")


@needs_anywidget
def test_the_view_is_exported(widget: Any, tmp_path: Path):
    widget.step = 2
    page = widget.export(tmp_path / "view.html").read_text(encoding="utf-8")
    assert '"state":{"step":"2"}' in page


# All of them.


@needs_anywidget
@pytest.mark.parametrize("kind", ["widget", "network", "model"])
def test_where_no_widget_can_be_there_is_a_figure(kind: str, request: pytest.FixtureRequest):
    data, *_ = request.getfixturevalue(kind)._repr_mimebundle_()
    assert data["image/svg+xml"].startswith("<svg") and "application/vnd.jupyter.widget-view+json" in data
    assert (
        data["text/plain"]
        == {
            "widget": "<FormulaWidget: (a+b)*(b+c), a=-1, b=3, c=4>",
            "network": "<NetworkWidget: circles, hidden layers [4]>",
            "model": "<ModelWidget: Sequential, ready>",
        }[kind]
    )


@needs_anywidget
@pytest.mark.parametrize(
    ("kind", "page"), [("widget", "formula"), ("network", "network"), ("model", "model")]
)
def test_its_script_and_sheet_ask_for_nothing_else(kind: str, page: str, request: pytest.FixtureRequest):
    found = request.getfixturevalue(kind)
    for text in (found._esm, found._css):
        assert "http://127" not in text and "@import" not in text
    assert re.search(rf"export default \{{ render: linked\d+\.{page}InCell \}};\n$", found._esm)


@needs_anywidget
@pytest.mark.parametrize("kind", ["widget", "network", "model"])
def test_nothing_but_its_own_is_reachable(kind: str, request: pytest.FixtureRequest):
    page = Page(request.getfixturevalue(kind))
    own = {"widget": "formula", "network": "network", "model": "models"}[kind]
    for path in {"formula/examples", "network/choices", "models"} - {
        f"{own}/examples",
        f"{own}/choices",
        own,
    }:
        assert "Not Found" in page.asked("GET", f"/api/{path}")["error"]["message"]
    assert "Not Found" in page.asked("GET", "/api")["error"]["message"]
    told = page.asked("POST", "/api/models", example="digits")["error"]["message"]
    assert "Not Found" in told or "Method Not Allowed" in told


@needs_anywidget
def test_it_is_known_whether_a_cell_runs():
    from IPython.core.events import EventManager, available_events

    shell, cells = SimpleNamespace(events=EventManager(None, available_events)), Cells()
    cells.follow(shell)
    cells.follow(shell)
    assert cells.runs  # it is a cell that makes a widget
    for event, runs in (("post_run_cell", False), ("pre_run_cell", True), ("post_run_cell", False)):
        shell.events.trigger(event, None)
        assert cells.runs == runs


def test_without_anywidget_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    for make in (cr.studio.widget, cr.studio.network_widget, cr.studio.model_widget):
        with pytest.raises(ArgumentError) as caught:
            make("x*x")
        assert caught.value.fix == "pip install 'chainrule[notebook]'"


def test_the_studio_has_no_other_names():
    with pytest.raises(AttributeError):
        _ = cr.studio.no_such_thing
    assert {"export", "widget", "network_widget", "model_widget"} <= set(cr.studio.__all__)
