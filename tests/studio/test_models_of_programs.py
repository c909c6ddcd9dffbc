"""Programs and runs on the page of models: findings on their places, curves, and what is damaged or hostile."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DataError
from chainrule.studio.models import Opened, Opening
from chainrule.studio.models.curves import MOST_POINTS, Curves, thinned
from chainrule.studio.models.sources import checked_run
from chainrule.train.folder import RunFolder
from chainrule.train.plan import Plan
from chainrule.train.starting import begin

ZOO = Path(__file__).parents[2] / "examples" / "zoo"


def waited(opening: Opening) -> dict[str, Any]:
    assert opening.wait(120)
    return opening.to_dict()


def columns_of(trace: dict[str, Any], kind: str) -> list[str]:
    (finding,) = (f for f in trace["doctor_says"]["findings"] if f["kind"] == kind)
    return [trace["overview"]["columns"][i]["id"] for i in finding["columns"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "a"
    for _ in begin(Plan("digits", epochs=2), folder):
        pass
    return folder


@pytest.mark.parametrize(
    ("script", "columns"),
    [
        ("dead_relu", ["model.hidden"]),
        ("exploding_by_depth", [f"model.layers.{i}" for i in range(0, 17, 2)]),
        ("log_of_zero", ["loss"]),
        ("clipped", ["loss"]),
        ("detached", ["model.encoder.layers.2"]),
        ("training_mode", ["model.layers.1"]),
        ("shifted_targets", ["loss"]),
        ("weights_too_large", ["model.layers.2"]),
    ],
)
def test_findings_are_on_their_columns(script: str, columns: list[str], capsys: pytest.CaptureFixture[str]):
    opening = Opened().script(str(ZOO / f"{script}.py"))
    trace = waited(opening)
    assert trace["state"] == "ready" and trace["doctor"] == "done"
    assert columns_of(trace, script) == columns
    assert len(trace["curves"]["series"]["loss"]["y"]) == len(trace["doctor_says"]["losses"])
    assert capsys.readouterr().out == ""  # what a program prints is not for the command's own output


def test_the_pass_that_is_not_finite_is_shown():
    opening = Opened().script(str(ZOO / "log_of_zero.py"))
    trace = waited(opening)
    assert trace["head"]["loss"] == "NaN" and trace["curves"]["series"]["loss"]["y"][-1] == "NaN"
    (note,) = trace["notes"]
    assert note.endswith("the first one that is not finite.")
    (finding,) = trace["doctor_says"]["findings"]
    (node,) = finding["nodes"]
    item = opening.at(node)
    assert item["kind"] == "log" and item["strange"] == 1
    assert finding["change"] == "r = 0.001 there" and finding["then"].startswith("f is 0.009")


def test_a_healthy_twin_has_no_finding():
    trace = waited(Opened().script(str(ZOO / "healthy" / "dead_relu.py")))
    assert trace["doctor"] == "done" and trace["doctor_says"]["findings"] == []
    assert set(trace["doctor_says"]["updates"]) == {"model.hidden.weight", "model.head.weight"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import chainrule\nraise ValueError('two\\nlines')", "raised ValueError: two"),
        ("x = 1\n", "makes no backward pass"),
        ("def f(:\n", "is no Python"),
        ("import sys\nsys.exit(3)\n", "makes no backward pass"),
        ("import nothing_like_this", "raised ModuleNotFoundError"),
        ("1/0", "raised ZeroDivisionError"),
    ],
)
def test_a_program_that_raises_gets_a_message(tmp_path: Path, text: str, says: str):
    (tmp_path / "train.py").write_text(text)
    opening = Opened().script(str(tmp_path / "train.py"))
    trace = waited(opening)
    assert trace["state"] == "failed" and trace["overview"] is None
    assert says in trace["error"]["message"] and trace["error"]["fix"]


def test_a_program_that_raises_later_shows_what_it_did(tmp_path: Path):
    (tmp_path / "train.py").write_text(
        "import numpy as np\nimport chainrule as cr\n"
        "w = cr.tensor(np.ones((4, 3), 'f'), requires_grad=True, name='w')\n"
        "for step in range(3):\n"
        "    loss = cr.nn.softmax_cross_entropy(np.eye(4, dtype='f') @ w, np.arange(4) % 3)\n"
        "    loss.backward()\n"
        "    w = (w - 0.1 * w.grad).detach().requires_grad_()\n"
        "raise KeyError('late')\n"
    )
    trace = waited(Opened().script(str(tmp_path / "train.py")))
    assert trace["state"] == "ready" and trace["doctor_says"]["raised"].startswith("KeyError")
    assert len(trace["curves"]["series"]["loss"]["x"]) == 3


def test_a_program_can_be_stopped(tmp_path: Path):
    # told by the program itself: while its text is read, a stop may leave the file to the garbage collector
    going = tmp_path / "going"
    (tmp_path / "train.py").write_text(
        f"import pathlib, time\npathlib.Path({str(going)!r}).mkdir()\nwhile True:\n    time.sleep(0.01)\n"
    )
    opening = Opened().script(str(tmp_path / "train.py"))
    while not going.exists():
        assert opening.status()["running"], opening.status()
        time.sleep(0.01)
    assert "has not made" in opening.status()["doing"]
    opening.stop()
    assert opening.wait(30) and opening.status()["state"] == "stopped"


def test_a_run_has_its_model_and_its_curves(run: Path):
    opening = Opened().run(run)
    trace = waited(opening)
    assert trace["name"] == "a" and trace["state"] == "ready" and trace["doctor"] == "done"
    assert trace["head"]["parameters"] == 9610 and trace["head"]["loss"] < 1
    series, log = trace["curves"]["series"], list(RunFolder.open(run).events())
    steps = [e for e in log if e["event"] == "Stepped"]
    epochs = [e for e in log if e["event"] == "EpochEnded"]
    assert series["loss"]["y"] == [e["loss"] for e in steps]
    assert series["held-out loss"]["y"] == [e["valid"]["loss"] for e in epochs]
    assert series["learning rate"]["y"] == [e["learning_rate"] for e in epochs]
    assert trace["doctor_says"]["updates"] == epochs[-1]["updates"]
    assert trace["curves"]["state"] == "ended"
    weights = {w["path"]: w for c in trace["overview"]["columns"] for w in c["weights"]}
    kept = cr.train.load(run).model.parameters()
    for path, node in kept.items():
        np.testing.assert_allclose(weights[path]["value"], np.sqrt(np.mean(node.numpy() ** 2)), rtol=1e-5)


def test_a_run_that_goes_on_is_read_on(run: Path, tmp_path: Path):
    folder = tmp_path / "live"
    folder.mkdir()
    text = (run / "log.jsonl").read_text().splitlines(keepends=True)
    for name in ("run.json",):
        (folder / name).write_bytes((run / name).read_bytes())
    (folder / "log.jsonl").write_text("".join(text[:10]) + text[10][:7])  # a line that is being written
    curves = Curves(checked_run(folder))
    curves.refresh()
    first = curves.to_dict()
    assert first["state"] == "going on"
    with open(folder / "log.jsonl", "a") as file:
        file.write(text[10][7:] + "".join(text[11:]))
    curves.refresh()
    last = curves.to_dict()
    assert last["version"] > first["version"] and last["state"] == "ended"
    whole = Curves(checked_run(run))
    whole.refresh()
    assert last == whole.to_dict()
    (folder / "log.jsonl").write_text("".join(text[:6]))  # begun anew
    curves.refresh()
    assert len(curves.to_dict()["series"]["loss"]["x"]) < 6


def test_a_run_by_a_program_has_its_curves(tmp_path: Path):
    model, data, loss, optimizer, settings = cr.models.digits_classifier()
    cr.train.fit(model, data, loss, optimizer, **{**settings, "epochs": 1}, folder=tmp_path / "own")
    trace = waited(Opened().run(tmp_path / "own"))
    assert trace["state"] == "failed" and "was trained by a program" in trace["error"]["message"]
    assert "studio.models.examine" in trace["error"]["fix"]
    assert trace["curves"]["series"]["loss"]["x"]


def test_damaged_runs_get_messages(run: Path, tmp_path: Path):
    def copy(name: str, **changed: bytes | None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in run.iterdir():
            content = changed.get(path.name.partition(".")[0], path.read_bytes() if path.is_file() else None)
            if content is not None:
                (folder / path.name).write_bytes(content)
        return folder

    opened = Opened()
    with pytest.raises(DataError, match="is no run"):
        opened.run(tmp_path)
    with pytest.raises(DataError, match="is no run"):
        opened.run(tmp_path / "nothing")
    with pytest.raises(DataError):
        opened.run(copy("about", run=b"{"))
    for name, changed, says in (
        ("weights", {"model": b"no tensors"}, "model.safetensors"),
        ("line", {"log": b'{"event": "Stepped"}\n'}, "is not what chainrule writes"),
        ("log", {"log": b"x\n"}, "line 1 is no event"),
        (
            "plan",
            {"run": json.dumps({**json.loads((run / "run.json").read_text()), "plan": {}}).encode()},
            "plan",
        ),
    ):
        trace = opened.run(copy(name, **changed))
        trace.wait(60)
        status = trace.status()
        assert status["state"] == "failed" and says in status["error"]["message"], name
    assert waited(opened.run(run))["state"] == "ready"


def test_links_do_not_lead_out_of_a_run(run: Path, tmp_path: Path):
    (tmp_path / "secret").write_text("{}")
    for name in ("log.jsonl", "run.json", "model.safetensors"):
        folder = tmp_path / f"with-{name}"
        folder.mkdir()
        (folder / "run.json").write_bytes((run / "run.json").read_bytes())
        target = tmp_path / "secret" if name != "run.json" else run / "run.json"
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
        with pytest.raises(DataError, match="leads out of the run's folder"):
            Opened().run(folder)


def test_a_page_opens_only_runs_of_its_folder(run: Path, tmp_path: Path):
    root = tmp_path / "runs"
    root.mkdir()
    (root / "out").symlink_to(run)
    (root / "b").mkdir()
    for path in run.iterdir():
        if path.is_file():
            (root / "b" / path.name).write_bytes(path.read_bytes())
    (root / "latest").symlink_to("b")
    opened = Opened(root)
    assert [r["name"] for r in opened.runs()] == ["b"]
    assert opened.run_called("b").name == "b" and opened.run_called("latest").name == "b"
    for name in ("out", "../runs/b", str(run), "..", "", "b/../b", "a\0b", "c"):
        with pytest.raises(DataError):
            opened.run_called(name)
    # One that is stopped as it opens a file leaves the file to the garbage collector.
    for opening in opened.openings:
        assert opening.wait(120)
    opened.close()


def test_a_program_that_was_stopped_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chainrule.studio.models.opened._UNTIL_ENDED", 0.1)
    path = tmp_path / "endless.py"
    going = tmp_path / "going"
    path.write_text(
        "import pathlib, sys, time\n"
        f"pathlib.Path({str(going)!r}).write_text(sys.argv[1])\nwhile True: time.sleep(0.01)\n"
    )
    opened = Opened(tmp_path)
    first = opened.script(str(path), ["--wide"])
    while not going.exists():
        time.sleep(0.01)
    with pytest.raises(ArgumentError, match=r"endless\.py still runs"):
        opened.again(first.key)
    time.sleep(0.05)  # its file is closed again
    first.stop()
    assert first.wait(60) and first.state == "stopped"
    path.write_text("import sys\nraise ValueError(sys.argv[1])\n")
    second = opened.again(first.key)
    assert second.wait(60) and second.key != first.key and second.source == first.source
    assert second.state == "failed" and "--wide" in second.status()["error"]["message"]


def test_what_was_handed_over_in_python_is_not_opened_again():
    opened = Opened()
    model = cr.models.mlp((2, 2), cr.tanh, key=cr.random.key(0))
    opening = opened.model(model, cr.nn.softmax_cross_entropy, (np.ones((4, 2), "f"), np.arange(4) % 2))
    with pytest.raises(ArgumentError, match="was handed over in Python"):
        opened.again(opening.key)
    assert opening.wait(60)


def test_long_curves_keep_their_peaks():
    points = [(float(i), float(i % 7)) for i in range(50_000)]
    points[31_234] = (31_234.0, 1e9)
    points[40_000] = (40_000.0, float("nan"))
    few = thinned(points)
    assert len(few) <= 1.6 * MOST_POINTS and (31_234.0, 1e9) in few
    assert any(np.isnan(y) for _, y in few) and [x for x, _ in few] == sorted(x for x, _ in few)
    assert thinned(points[:50]) == points[:50]
