"""A model in a cell: looked into, exported, and ended with its widget."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError
from chainrule.studio.models import examine
from chainrule.train.plan import Plan
from chainrule.train.starting import begin
from studio.cells import Page, needs_anywidget


@needs_anywidget
def test_a_model_is_looked_into(model: Any):
    page = Page(model)
    (listed,) = page.asked("GET", "/api/models")["models"]
    found = page.asked("GET", f"/api/models/{listed['id']}/graph", root="", open="layers.0")
    assert "layers.0" in found["opened"]
    assert page.asked("GET", f"/api/models/{listed['id']}/why", at="layers.0")["by"] == "why"
    assert model.trace["head"]["parameters"] == 9610 and model.findings == []
    assert "layers.0.weight" in model.why("layers.0")
    with pytest.raises(ArgumentError, match="no place is selected"):
        model.why()


@needs_anywidget
def test_the_state_of_a_model_is_read_and_set(model: Any):
    model.set_state({"at": "*", "opened": ["layers.0"], "selected": "layers.0.weight", "asked": "why"})
    assert (model.at, model.opened, model.selected, model.asked) == (
        "*",
        ["layers.0"],
        "layers.0.weight",
        "why",
    )
    assert "layers.0.weight" in model.why()
    model.at = "layers.2"
    for name in ("at", "selected"):
        with pytest.raises(ArgumentError, match="nothing called"):
            setattr(model, name, "layers.9")
    with pytest.raises(Exception, match="asked"):
        model.asked = "how"
    assert (model.at, model.selected) == ("layers.2", "layers.0.weight")


@needs_anywidget
def test_a_model_is_exported(model: Any, tmp_path: Path):
    assert json.loads(model.export(tmp_path / "m.json").read_text(encoding="utf-8"))["kind"] == "model"


@needs_anywidget
def test_an_opening_is_shown_as_it_is_and_not_ended(tmp_path: Path):
    recipe = cr.models.digits_classifier()
    opening = examine(recipe.model, recipe.loss, recipe.data.train_x[:32], recipe.data.train_y[:32])
    widget: Any = cr.studio.model_widget(opening, at="layers.0")
    assert widget.opening is opening and widget.at == "layers.0"
    widget.close()
    opening.wait()
    assert opening.doctor == "done"


@needs_anywidget
def test_what_is_no_model_is_refused(tmp_path: Path):
    for given, said in (
        ((tmp_path,), "no run"),
        (("train.py",), "is a program"),
        ((str(tmp_path), cr.nn.softmax_cross_entropy), "alone"),
        ((cr.relu, cr.nn.softmax_cross_entropy), "loss and a batch"),
    ):
        with pytest.raises(ChainruleError, match=said):
            cr.studio.model_widget(*given)


@needs_anywidget
def test_a_model_that_fails_says_so(tmp_path: Path):
    widget: Any = cr.studio.model_widget(
        cr.nn.relu if hasattr(cr.nn, "relu") else cr.relu, lambda y, t: y / 0, [1.0], [1]
    )
    widget.wait()
    assert widget.opening.state == "failed" and widget._repr_mimebundle_()[0]["image/svg+xml"].startswith(
        "<svg"
    )


@needs_anywidget
def test_work_that_a_widget_began_ends_with_it():
    began = threading.Event()

    def endless(model: Any, x: Any, y: Any) -> Any:
        began.set()
        while True:
            time.sleep(0.01)

    widget: Any = cr.studio.model_widget({"w": np.ones(2)}, endless, np.ones((2, 2)), np.ones(2))
    assert began.wait(30) and widget.opening.state == "opening"
    assert widget._repr_mimebundle_()[0]["text/plain"] == "<ModelWidget: dict, opening>"
    widget.close()
    assert widget.wait(30) and widget.opening.state == "stopped"


@needs_anywidget
def test_a_run_is_opened_alone_and_once_more(tmp_path: Path):
    for _ in begin(Plan("digits", epochs=1), tmp_path / "runs" / "first"):
        pass
    widget: Any = cr.studio.model_widget(tmp_path / "runs" / "first", at="layers.0")
    page = Page(widget)
    listing = page.asked("GET", "/api/models")
    assert [one["name"] for one in listing["models"]] == ["first"]
    assert listing["runs"] == listing["examples"] == []
    widget.wait()
    assert "loss" in widget.trace["curves"]["series"]
    again = page.asked("POST", f"/api/models/{widget.opening.key}/again")
    assert widget.opening.key == again["id"] != listing["models"][0]["id"]
    assert widget.wait(120)
    widget.close()
