"""Pages of models: what is recorded for them, in how much room, and what is told where there is nothing to record."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import chainrule as cr
from chainrule import studio
from chainrule.errors import ArgumentError, ProcessError
from chainrule.studio.exporting.recorded_models import recorded
from chainrule.studio.exporting.recording import Recording
from chainrule.studio.models import Opening, examine
from chainrule.studio.models.schema import GRAPH, PLACE, REASON, TRACE
from chainrule.train.plan import Plan
from chainrule.train.starting import begin
from studio.test_exporting import data_of, run

SCHEMAS = {"graph": GRAPH, "at": PLACE, "why": REASON}


@pytest.fixture(scope="module")
def opening() -> Opening:
    """A network with units that never answer, examined."""
    model = cr.models.mlp((4, 16, 16, 3), cr.relu, key=cr.random.key(0))
    values = {path: node.numpy().copy() for path, node in model.parameters().items()}
    values["layers.0.bias"] -= 40.0
    x = np.random.default_rng(0).standard_normal((32, 4)).astype("f")
    opening = examine(
        model.with_parameters(values), cr.nn.softmax_cross_entropy, x, np.arange(32) % 3, key=cr.random.key(1)
    )
    assert opening.wait(120) and opening.doctor == "done"
    return opening


def answers(recording: Recording) -> dict[tuple[str, ...], Any]:
    lines = gzip.decompress(base64.b64decode(recording.packed)).decode("utf-8").splitlines()
    pairs = [line.split("\t") for line in lines]
    return {tuple(json.loads(question)): json.loads(answer) for question, answer in pairs}


def test_all_that_opens_is_recorded_as_it_is_answered_live(opening: Opening):
    found, whole = recorded(opening)
    held = answers(found)
    assert whole and found.answers == len(held)
    for (kind, *asked), answer in held.items():
        jsonschema.validate(answer, SCHEMAS[kind])
        if kind == "graph":
            assert answer == opening.view.graph(asked[0], asked[1].split(",") if asked[1] else [])
    for path, group in opening.view.tree.groups.items():
        assert ("graph", path, "") in held
        assert ("at", path) in held or not group.path
    assert all(("at", path) in held for path in opening.view.observed.parameters)
    # Each card of each graph has its numbers, and each module that opens its graph with it opened.
    for (kind, *asked), answer in held.items():
        for item in answer["items"] if kind == "graph" else ():
            assert ("at", item["id"]) in held
            if item["opens"] and not item["outside"] and not asked[1]:
                assert ("graph", asked[0], item["id"]) in held


def test_where_the_doctor_points_it_is_said_why(opening: Opening):
    findings = opening.says()["findings"]
    assert findings
    held = answers(recorded(opening)[0])
    for finding in findings:
        assert ("why", [*finding["nodes"], *finding["groups"]][0], "why") in held


def test_answers_end_where_the_room_does(opening: Opening):
    told: list[float] = []
    whole, _ = recorded(opening)
    some, down = recorded(opening, len(whole.packed) // 2, lambda count, part: told.append(part))
    assert not down and some.answers < whole.answers
    assert max(told[:-1]) <= 1 < told[-1]
    first = next(iter(answers(some)))
    assert first == ("graph", opening.to_dict()["overview"]["columns"][0]["id"], "")


def test_recording_changes_nothing(opening: Opening):
    before = opening.to_dict()
    assert recorded(opening) == recorded(opening)
    assert opening.to_dict() == before


def test_a_page_holds_trace_answers_and_the_command(opening: Opening, tmp_path: Path):
    path = studio.export_model(opening, tmp_path / "model.html", command="python train.py")
    page = path.read_text(encoding="utf-8")
    data = data_of(page)
    jsonschema.validate(data["trace"], TRACE)
    recording = data["recording"]
    assert isinstance(recording, dict)
    assert recording["command"] == "python train.py" and recording["said"].endswith("python train.py")
    assert "<ol>" in page.partition("<noscript>")[2].partition("</noscript>")[0]
    trace = json.loads(studio.export_model(opening, tmp_path / "model.json").read_text())
    jsonschema.validate(trace, TRACE)


def test_a_model_is_no_figure(opening: Opening, tmp_path: Path):
    with pytest.raises(ArgumentError, match="a model is no figure"):
        studio.export_model(opening, tmp_path / "model.svg")
    assert not list(tmp_path.iterdir())


def test_a_model_that_fails_says_why_and_writes_nothing(tmp_path: Path):
    def loss(y: Any, t: Any) -> Any:
        raise LookupError("no such label")

    model = cr.models.mlp((2, 3), cr.relu, key=cr.random.key(0))
    opening = examine(model, loss, np.ones((4, 2), "f"), np.zeros(4, int))
    with pytest.raises(ProcessError, match="LookupError: no such label") as caught:
        studio.export_model(opening, tmp_path / "model.html")
    assert caught.value.fix
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "runs" / "first"
    for _ in begin(Plan("digits", epochs=1), folder):
        pass
    out = tmp_path / "run.html"
    capsys.readouterr()
    assert run("studio", "--export", str(out), str(folder), "--json") == 0
    printed = capsys.readouterr()
    told = {"path": str(out), "kind": "html", "type": "text/html", "bytes": out.stat().st_size}
    assert json.loads(printed.out) == told
    assert printed.err == ""
    data = data_of(out.read_text(encoding="utf-8"))
    trace = data["trace"]
    assert isinstance(trace, dict)
    assert not trace["running"] and trace["curves"]["state"] == "ended"
    assert "loss" in trace["curves"]["series"]


def test_the_command_tells_of_a_program_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    program = tmp_path / "nothing.py"
    program.write_text("print('nothing')\n")
    assert run("studio", "--export", str(tmp_path / "out.html"), str(program), "--json") != 0
    error = json.loads(capsys.readouterr().out)["error"]
    assert "backward pass" in error["message"] and error["fix"]
    assert not (tmp_path / "out.html").exists()
