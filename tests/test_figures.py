"""Figures of runs, what they leave out, and what is exported."""

from __future__ import annotations

import csv
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chainrule as cr
from chainrule import train
from chainrule.errors import DataError
from chainrule.show import draw_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two epochs: a linear classifier and a network of convolutions on digits, a table, a regression."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    for name, target in (("kinds", "AB"), ("numbers", None)):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["height", "width", "target"])
            for height, width in rng.uniform(1, 9, (60, 2)):
                table.writerow([height, width, target[int(height > width)] if target else height - 2 * width])
    plans = {
        "linear": train.Plan("digits", "linear", 2),
        "cnn": train.Plan("digits", "cnn", 2, augment=("crop",), validation=0.1),
        "kinds": train.Plan(str(folder / "kinds.csv"), epochs=2),
        "numbers": train.Plan(str(folder / "numbers.csv"), epochs=40, optimizer="adam", schedule="cosine"),
    }
    for name, plan in plans.items():
        for _ in train.begin(plan, folder / name):
            pass
    return folder


def test_all_figures_of_a_network_for_images(runs: Path):
    drawn = draw_run(runs / "cnn")
    assert set(drawn.files) == {"curves", "gradients", "confusion", "templates", "filters", "activations"}
    assert drawn.left_out == {"weights": "no linear layer sees the picture"}
    for path in drawn.files.values():
        assert path.parent == runs / "cnn" / "figures"
        with Image.open(path) as picture:
            assert len(np.unique(np.asarray(picture))) > 20


def test_the_templates_of_a_linear_classifier_are_its_weights(runs: Path):
    trained = train.load(runs / "linear")
    x, _ = cr.data.digits().prepared("test")
    (weight,) = (p for path, p in trained.model.parameters().items() if path.endswith("weight"))
    np.testing.assert_allclose(trained.templates(x[:20]), weight.numpy().T, rtol=1e-5, atol=1e-7)
    assert set(draw_run(runs / "linear").files) >= {"templates", "weights"}


def test_templates_of_other_models_are_mean_gradients(runs: Path):
    trained = train.load(runs / "cnn")
    x, _ = cr.data.digits().as_images().prepared("test")
    by_hand = np.stack([cr.grad(lambda x: trained.model(x[None])[0, 3])(one).numpy() for one in x[:5]]).mean(
        0
    )
    np.testing.assert_allclose(trained.templates(x[:5])[3], by_hand, rtol=1e-4, atol=1e-6)


def test_activations_are_what_each_layer_gives(runs: Path):
    trained = train.load(runs / "cnn")
    x, _ = cr.data.digits().as_images().prepared("test")
    found = trained.activations(x[:2])
    assert found[0][0] == "layers.0 Conv2d" and found[1][0] == "layers.1 relu"
    np.testing.assert_array_equal(found[1][1], np.maximum(found[0][1], 0))
    np.testing.assert_array_equal(found[-1][1], trained.outputs(x[:2]))


def test_tables_have_no_pictures(runs: Path):
    drawn = draw_run(runs / "kinds")
    assert set(drawn.files) == {"curves", "gradients", "confusion"}
    assert drawn.left_out == {"templates, filters, activations": "the examples are no pictures"}
    assert draw_run(runs / "numbers").left_out["confusion"] == "no classes"


def test_a_regression_from_a_table_learns(runs: Path):
    events = list(train.RunFolder.open(runs / "numbers").events())
    assert events[-1]["event"] == "Finished" and set(events[-1]["test"]) == {"loss", "mean_absolute_error"}
    first, last = (
        e["train"]["loss"] for e in (events_of(runs / "numbers")[0], events_of(runs / "numbers")[-1])
    )
    assert last < first / 10


def events_of(run: Path) -> list[dict]:
    return [event for event in train.RunFolder.open(run).events() if event["event"] == "EpochEnded"]


def test_data_that_is_gone(runs: Path, tmp_path: Path):
    os.rename(runs / "kinds.csv", tmp_path / "elsewhere.csv")
    drawn = draw_run(runs / "kinds", tmp_path / "figures")
    os.rename(tmp_path / "elsewhere.csv", runs / "kinds.csv")
    assert set(drawn.files) == {"curves", "gradients", "confusion"}
    assert "kinds.csv" in drawn.left_out["templates, filters, activations"]


def test_files_of_others_are_left_alone(runs: Path, tmp_path: Path):
    target = tmp_path / "mine"
    target.mkdir()
    Image.new("L", (4, 4)).save(target / "gradients.png")
    before = (target / "gradients.png").read_bytes()
    with pytest.raises(
        DataError, match=r"gradients.png is there already, and was not drawn here\n  Fix: .*--into"
    ):
        draw_run(runs / "kinds", target)
    assert [path.name for path in target.iterdir()] == ["gradients.png"]
    assert (target / "gradients.png").read_bytes() == before
    (target / "gradients.png").unlink()
    assert draw_run(runs / "kinds", target) == draw_run(runs / "kinds", target)  # its own are drawn anew


def test_a_log_that_was_removed(tmp_path: Path):
    plan = train.Plan("digits", epochs=2)
    for event in train.begin(plan, tmp_path / "run"):
        if isinstance(event, train.Saved):
            break
    (tmp_path / "run" / "log.jsonl").unlink()
    for _ in train.resume(tmp_path / "run"):
        pass
    assert [event["epoch"] for event in events_of(tmp_path / "run")] == [2]
    assert "curves" in draw_run(tmp_path / "run").files
    log = tmp_path / "run" / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(DataError, match="the log does not say how the run began"):
        draw_run(tmp_path / "run")


def test_a_run_that_has_just_begun(tmp_path: Path):
    events = train.begin(train.Plan("digits", epochs=2), tmp_path / "run")
    next(events)
    events.close()
    with pytest.raises(DataError, match="has no finished epoch yet"):
        draw_run(tmp_path / "run")


def test_figures_leave_the_users_figures_alone(runs: Path):
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("svg")
    mine = pyplot.figure()
    draw_run(runs / "linear")
    assert matplotlib.get_backend() == "svg" and pyplot.get_fignums() == [mine.number]
    pyplot.close(mine)


def records(path: Path) -> list[bytes]:
    """The records of a TFRecord file: length, its checksum, bytes, their checksum."""
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        found.append(content[12 : 12 + length])
        content = content[16 + length :]
    return found


def test_tensorboard(runs: Path):
    from tensorboardX.proto.event_pb2 import Event

    for _ in range(2):  # a second time replaces the first
        folder = train.export_tensorboard(runs / "cnn")
        (file,) = folder.iterdir()
    found: dict[str, dict[int, float]] = {}
    for record in records(file):
        event = Event.FromString(record)
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    epochs = events_of(runs / "cnn")
    steps = max(found["step/loss"]) // 2
    assert list(found["train/loss"]) == [steps, 2 * steps]
    assert found["valid/accuracy"][2 * steps] == pytest.approx(epochs[-1]["valid"]["accuracy"])
    assert {"learning_rate", "gradient/layers.0.weight", "update/layers.0.weight"} < set(found)


def test_tensorboard_that_is_not_installed(runs: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(DataError, match="needs tensorboardX") as caught:
        train.export_tensorboard(runs / "cnn")
    assert caught.value.fix == "pip install 'chainrule[tensorboard]'"
