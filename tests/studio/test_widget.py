"""The widget in Python: its state is checked, and it answers what the page asks; tests/browser shows it in Jupyter."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, FormulaError
from chainrule.studio.exporting import notebook

needs_anywidget = pytest.mark.skipif(
    importlib.util.find_spec("anywidget") is None,
    reason="anywidget is not installed: pip install -e '.[notebook]'",
)


@pytest.fixture
def widget() -> Any:
    return cr.studio.widget("(a+b)*(b+c)", a=-1, b=3, c=4)


def asked(widget: Any, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    """What a page would get that asks this."""
    sent: list[dict[str, Any]] = []
    widget.send = sent.append
    widget._asked(widget, {"id": "7", "method": method, "path": path, "arguments": arguments}, [])
    (told,) = sent
    assert told.pop("id") == "7"
    return told


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
def test_values_that_are_not_given_stay(widget: Any):
    widget.values = {"a": 5}
    assert widget.values == {"a": 5, "b": 3, "c": 4}


@needs_anywidget
def test_what_cannot_be_is_refused_and_the_state_stays(widget: Any):
    with pytest.raises(FormulaError):
        widget.text = "(a+"
    with pytest.raises(ArgumentError, match="no variable"):
        widget.values = {"q": 1}
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
    trace = asked(widget, "POST", "/api/formula", text="x*x", values={"x": 3})["answer"]
    assert trace["nodes"][0]["gradient"] == 6
    paths = asked(widget, "GET", "/api/formula/paths", text="x*x", at="x=3", node="x")["answer"]
    assert paths["count"] == "2"
    assert asked(widget, "GET", "/api/formula/examples")["answer"][0]["text"] == "(a+b)*(b+c)"


@needs_anywidget
def test_mistakes_are_answered_too(widget: Any):
    error = asked(widget, "POST", "/api/formula", text="(a+", values={})["error"]
    assert error["type"] == "FormulaError" and error["at"] == 3
    assert "does not answer" in asked(widget, "GET", "/api/network/choices")["error"]["message"]
    assert asked(widget, "POST", "/api/formula", text=7)["error"]["message"]


@needs_anywidget
def test_where_no_widget_can_be_there_is_a_figure(widget: Any):
    data, *_ = widget._repr_mimebundle_()
    assert data["image/svg+xml"].startswith("<svg") and "application/vnd.jupyter.widget-view+json" in data


@needs_anywidget
def test_the_view_is_exported(widget: Any, tmp_path: Path):
    widget.step = 2
    page = widget.export(tmp_path / "view.html").read_text(encoding="utf-8")
    assert '"state":{"step":"2"}' in page


@needs_anywidget
def test_its_script_and_sheet_ask_for_nothing_else(widget: Any):
    script, sheet = widget._esm, widget._css
    for text in (script, sheet):
        assert "http://127" not in text and "@import" not in text
    assert re.search(r"export default \{ render: linked\d+\.renderWidget \};\n$", script)


def test_without_anywidget_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    notebook._widget_class.cache_clear()
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(ArgumentError) as caught:
        cr.studio.widget("x*x")
    notebook._widget_class.cache_clear()
    assert caught.value.fix == "pip install 'chainrule[notebook]'"


def test_the_studio_has_no_other_names():
    with pytest.raises(AttributeError):
        _ = cr.studio.no_such_thing
    assert {"export", "widget"} <= set(cr.studio.__all__)
