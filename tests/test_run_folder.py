"""Runs on disk: what is in the folder, how it is resumed, and what happens to those that are damaged."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import chainrule as cr
from chainrule import nn, train
from chainrule.errors import ArgumentError, DataError, DivergenceError, OperandError
from chainrule.train import atomic, checkpoint, starting

KEYS = cr.random.split(cr.random.key(3), 3)


def work(folder: Any = None, **changes: Any) -> dict[str, Any]:
    """A small classifier with random layers and running averages, and 7 steps of an epoch."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (100, 2)).astype(np.float32)
    y = ((x**2).sum(1) > 0.6).astype(np.int64)
    data = cr.data.Dataset(x[:70], y[:70], x[70:], y[70:], ("inside", "outside"))
    layers = (
        nn.Linear(2, 8, key=KEYS[0]),
        nn.BatchNorm(8),
        cr.relu,
        nn.Dropout(0.2),
        nn.Linear(8, 2, key=KEYS[1]),
    )
    given = {"model": nn.Sequential(*layers), "data": data, "loss": nn.softmax_cross_entropy}
    given |= {
        "optimizer": cr.optim.adam(0.02),
        "epochs": 4,
        "batch_size": 10,
        "key": KEYS[2],
        "folder": folder,
    }
    return {**given, **changes}


def numbers(folder: Path) -> dict[str, bytes]:
    return {
        name: array.tobytes() for name, array in checkpoint.read_arrays(folder / "model.safetensors").items()
    }


def logged(folder: Path) -> list[dict[str, Any]]:
    events = train.RunFolder.open(folder).events()
    return [{k: v for k, v in event.items() if k not in ("seconds", "folder")} for event in events]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train.fit(**work(folder))
    return folder


def test_a_person_can_read_it(whole: Path):
    assert {p.name for p in whole.iterdir()} - {".lock"} == {
        "run.json",
        "log.jsonl",
        "epochs.csv",
        "checkpoints",
        "model.safetensors",
    }
    about = json.loads((whole / "run.json").read_text())
    assert about["version"] == 2 and about["loss"] == "softmax_cross_entropy"
    assert about["optimizer"]["name"] == "adam" and about["settings"]["epochs"] == 4
    assert about["data"]["sizes"] == {"train": 70, "test": 30} and about["data"]["classes"] == [
        "inside",
        "outside",
    ]
    assert about["model"]["parameters"]["layers.0.weight"] == [2, 8]
    with open(whole / "epochs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert {"train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "learning_rate"} < set(rows[0])
    names = [event["event"] for event in logged(whole)]
    assert names == ["Started", *(["Stepped"] * 7 + ["EpochEnded"]) * 4, "Finished"]


def test_the_trained_parameters_are_kept(whole: Path):
    given = work()
    finished = train.fit(**given)
    trained = train.load(whole, given["model"])
    for path, value in finished.model.parameters().items():
        np.testing.assert_array_equal(trained.model.parameters()[path].numpy(), value.numpy())
    for path, value in finished.model.buffers().items():
        np.testing.assert_array_equal(trained.model.buffers()[path].numpy(), value.numpy())
    x, y = given["data"].prepared("test")
    assert (trained.probabilities(x).argmax(-1) == y).mean() == pytest.approx(finished.test_accuracy)


@pytest.mark.parametrize("stop", [1, 5, 7, 9, 16, 28])
def test_a_run_that_is_left_goes_on_with_the_same_bits(tmp_path: Path, whole: Path, stop: int):
    """Stopped after so many steps, with checkpoints every 3 steps and after each epoch."""
    events = train.run(**work(tmp_path / "run", checkpoint_every=3))
    steps = 0
    for event in events:
        steps += isinstance(event, train.Stepped)
        if steps == stop:
            break
    events.close()
    started = next(iter(train.run(**work(tmp_path / "run", checkpoint_every=3, resume=True))))
    assert isinstance(started, train.Started) and stop - 3 < started.done + 1 and started.done <= stop
    train.fit(**work(tmp_path / "run", checkpoint_every=3, resume=True))
    assert numbers(tmp_path / "run") == numbers(whole)
    assert logged(tmp_path / "run") == logged(whole)


def test_resuming_what_is_not_there_begins_it(tmp_path: Path, whole: Path):
    train.fit(**work(tmp_path / "run", resume=True))
    assert numbers(tmp_path / "run") == numbers(whole)


def test_a_finished_run_can_be_made_longer(tmp_path: Path):
    long, short = tmp_path / "long", tmp_path / "short"
    train.fit(**work(long, epochs=6))
    train.fit(**work(short, epochs=4))
    train.fit(**work(short, epochs=6, resume=True))
    assert numbers(short) == numbers(long)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[2])
from test_run_folder import train, work
print("ready", flush=True)
for event in train.run(**work(sys.argv[1], epochs=30, checkpoint_every=2, resume=True)):
    print(type(event).__name__, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_kill_at_any_moment(tmp_path: Path):
    """Killed without warning again and again, a run stays readable, moves on, and ends as one that was not.

    Three times of four it may take more steps than lie between two checkpoints, however slow the machine is.
    """
    train.fit(**work(tmp_path / "whole", epochs=30))
    folder = tmp_path / "run"
    done, kills = -1, 0
    for attempt in itertools.count():
        command = [sys.executable, "-c", PROGRAM, str(folder), str(Path(__file__).parent)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n", process.communicate()
        steps = 0 if attempt % 4 == 3 else 15 + attempt
        while steps and (event := process.stdout.readline()):
            steps -= event == "Stepped\n"
        try:
            process.wait(0.0037 * (attempt % 17))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, complaints = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), complaints
        if process.returncode == 0:
            break
        if folder.exists() and (folder / "run.json").exists():
            kept = train.RunFolder.open(folder).newest()  # which warns of any checkpoint that is not whole
            reached = kept.progress["updates"] if kept else 0
            assert reached >= done
            done = reached
    assert kills >= 3
    assert numbers(folder) == numbers(tmp_path / "whole")
    assert not [path for path in folder.rglob("*") if atomic.is_temporary(path)]


def test_nothing_is_overwritten(tmp_path: Path, whole: Path):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match="holds a run already") as caught:
        train.fit(**work(whole))
    assert "resume=True" in (caught.value.fix or "")
    for change, what in (
        ({"batch_size": 20}, r"another settings \(batch_size: 10, now 20\)"),
        ({"optimizer": cr.optim.adam(0.1)}, r"another optimizer \(learning_rate: 0.02, now 0.1\)"),
        ({"model": nn.Linear(2, 2, key=KEYS[0])}, r"another model \(class: Sequential, now Linear\)"),
        ({"loss": nn.mean_squared_error}, r"another loss"),
        ({"key": cr.random.key(9)}, "another settings \\(key"),
    ):
        with pytest.raises(ArgumentError, match=what):
            train.fit(**work(whole, resume=True, **change))
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to mother.txt").write_text("dear")
    with pytest.raises(DataError, match="holds something else already"):
        train.fit(**work(tmp_path / "letters"))


def test_other_data_of_the_same_shape(whole: Path):
    given = work(whole, resume=True)
    given["data"] = given["data"].replace(train_x=given["data"].train_x + 1)
    with pytest.raises(ArgumentError, match="another data \\(sha256"):
        train.fit(**given)


def test_two_processes_do_not_share_a_folder(tmp_path: Path):
    events = train.run(**work(tmp_path / "run"))
    next(events)
    with pytest.raises(DataError, match="another process trains into"):
        train.run(**work(tmp_path / "run", resume=True))
    events.close()
    train.fit(**work(tmp_path / "run", resume=True))


def test_who_comes_second_changes_nothing(tmp_path: Path):
    """Also if the first has not yet written down what it trains."""
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(DataError, match="another process trains into"):
        train.fit(**work(tmp_path / "run"))
    assert not (tmp_path / "run" / "run.json").exists()
    train.fit(**work(tmp_path / "run", epochs=1))  # what is left of a start is no run


def test_runs_that_start_at_once_get_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    plan = train.Plan("digits", epochs=1)

    def run_while_another_starts(*given: Any, **settings: Any) -> Any:
        monkeypatch.setattr(starting, "run", train.run)
        assert [*train.begin(plan)][-1].to_dict()["folder"] == str(Path("runs", "digits-mlp-2"))
        return train.run(*given, **settings)

    monkeypatch.setattr(starting, "run", run_while_another_starts)
    assert [*train.begin(plan)][-1].to_dict()["folder"] == str(Path("runs", "digits-mlp-1"))
    with pytest.raises(ArgumentError, match="patience must be at least 1"):
        train.begin(train.Plan("digits", patience=0))
    assert not Path("runs", "digits-mlp-3").exists()  # nothing of a run that was refused


def test_what_is_not_json_is_refused_before_there_is_a_folder(tmp_path: Path):
    with pytest.raises(ArgumentError, match="must be JSON-ready: Object of type set"):
        train.fit(**work(tmp_path / "run", about={"who": {"me"}}))
    assert not (tmp_path / "run").exists()


def damaged(whole: Path, folder: Path) -> tuple[Path, Path]:
    """A copy of a run, and the file of its newest checkpoint."""
    shutil.copytree(whole, folder)
    return folder, checkpoint.found(folder / "checkpoints")[-1]


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, whole: Path):
    folder, newest = damaged(whole, tmp_path / "run")
    content = bytearray(newest.with_suffix(".safetensors").read_bytes())
    content[-1] ^= 1
    newest.with_suffix(".safetensors").write_bytes(content)
    with pytest.warns(UserWarning, match="another SHA-256; going on from an earlier one"):
        train.fit(**work(folder, resume=True))
    assert numbers(folder) == numbers(whole)


def test_no_checkpoint_is_whole(tmp_path: Path, whole: Path):
    folder, _ = damaged(whole, tmp_path / "run")
    for path in checkpoint.found(folder / "checkpoints"):
        path.with_suffix(".safetensors").unlink()
    warned = pytest.warns(UserWarning, match="going on from an earlier one")
    with warned, pytest.raises(DataError, match="cannot be read: No such file"):
        train.fit(**work(folder, resume=True))


def test_names_in_files_are_never_paths(tmp_path: Path, whole: Path):
    folder, _ = damaged(whole, tmp_path / "run")
    arrays = checkpoint.read_arrays(folder / "model.safetensors")
    arrays["/etc/passwd"] = np.zeros(1, np.float32)
    (folder / "model.safetensors").write_bytes(checkpoint.packed(arrays))
    with pytest.raises(DataError, match="does not belong to this model: it also has /etc/passwd"):
        train.load(folder, work()["model"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("parameters/layers.0.bias"), "it lacks parameters/layers.0.bias"),
        (
            lambda a: a.update({"parameters/layers.0.bias": np.zeros(3, np.float32)}),
            r"parameters/layers.0.bias is float32\[3\], expected float32\[8\]",
        ),
        (
            lambda a: a.update({"buffers/layers.1.mean": np.zeros(8, np.float64)}),
            r"buffers/layers.1.mean is float64\[8\], expected float32\[8\]",
        ),
    ],
)
def test_parameters_of_another_model(tmp_path: Path, whole: Path, change: Any, message: str):
    folder, _ = damaged(whole, tmp_path / "run")
    arrays = checkpoint.read_arrays(folder / "model.safetensors")
    change(arrays)
    (folder / "model.safetensors").write_bytes(checkpoint.packed(arrays))
    with pytest.raises(DataError, match=message):
        train.load(folder, work()["model"])


def test_a_run_of_another_version(tmp_path: Path, whole: Path):
    folder, _ = damaged(whole, tmp_path / "run")
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "version": 7}))
    for attempt in (
        lambda: train.load(folder, work()["model"]),
        lambda: train.fit(**work(folder, resume=True)),
    ):
        with pytest.raises(DataError, match="is a run of version 7, this chainrule reads 2"):
            attempt()


def test_no_run_at_all(tmp_path: Path):
    with pytest.raises(DataError, match=r"is no run: it has no run\.json"):
        train.load(tmp_path / "nowhere")
    train.fit(**work(tmp_path / "run", epochs=1))
    with pytest.raises(DataError, match="was trained by a program: how its model is built is not noted"):
        train.load(tmp_path / "run")


def test_a_log_that_was_cut_off_is_read_up_to_there(tmp_path: Path, whole: Path):
    folder, _ = damaged(whole, tmp_path / "run")
    log = folder / "log.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:5]) + lines[5][:-4])
    assert logged(folder) == logged(whole)[:5]
    log.write_bytes(lines[0] + b"nonsense\n" + lines[1])
    with pytest.raises(DataError, match="line 2 is no event"):
        logged(folder)


def test_nan_names_the_last_good_checkpoint(tmp_path: Path):
    """After 9 good steps the rate becomes enormous: the checkpoint of step 9 is named, and is there."""
    rate = lambda update: np.where(update < 9, 0.01, 1e30)
    with pytest.raises(DivergenceError) as caught:
        train.fit(**work(tmp_path / "run", optimizer=cr.optim.gradient_descent(rate), checkpoint_every=3))
    kept = checkpoint.found(tmp_path / "run" / "checkpoints")[-1]
    assert caught.value.message.endswith(f"The last good checkpoint is {kept}")
    assert "the first result that is not finite is that of layers." in caught.value.message
    assert all(np.isfinite(a).all() for a in checkpoint.load(kept).arrays.values())


def test_old_checkpoints_go_and_the_best_stays(tmp_path: Path):
    folder = train.RunFolder.create(tmp_path / "run", {})
    for updates in range(1, 8):
        best = 1 if updates < 3 else 3
        folder.save(updates, {"a": np.zeros(3, np.float32)}, {"best_updates": best})
    folder.close()
    kept = [f"step-0000000{updates}" for updates in (3, 6, 7)]
    names = sorted(path.stem for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == sorted(kept * 2)  # arrays and JSON of each


def test_the_best_is_that_of_the_least_loss(tmp_path: Path):
    """A rate that becomes too large spoils what was better before."""
    rate = lambda update: np.where(update < 14, 0.05, 30.0)
    train.fit(**work(tmp_path / "run", optimizer=cr.optim.gradient_descent(rate), epochs=6))
    losses = [event["valid"]["loss"] for event in logged(tmp_path / "run") if event["event"] == "EpochEnded"]
    best = int(np.argmin(losses)) + 1
    assert best < 5
    kept = [path.name for path in checkpoint.found(tmp_path / "run" / "checkpoints")]
    assert kept == [f"step-{7 * epoch:08d}.json" for epoch in (best, 5, 6)]


def test_latest_where_links_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for epochs in (1, 2):
        for _ in train.begin(train.Plan("digits", epochs=epochs)):
            pass
        assert train.load("runs/latest").plan.epochs == epochs
    assert (tmp_path / "runs" / "latest").read_text() == "digits-mlp-2\n"


def test_latest_moves_on_past_what_a_killed_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    train.begin(train.Plan("digits", epochs=1))
    Path("runs", f".latest-{os.getpid()}").symlink_to("digits-mlp-1")
    train.begin(train.Plan("digits", epochs=1))
    assert train.RunFolder.open("runs/latest").path.resolve().name == "digits-mlp-2"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_latest_that_is_the_users_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.chdir(tmp_path)
    theirs = tmp_path / "runs" / "latest"
    theirs.parent.mkdir()
    theirs.write_text("mine\n") if kind == "file" else theirs.mkdir()
    with pytest.warns(UserWarning, match="latest is no link to a run and is left as it is; this run is runs"):
        list(train.begin(train.Plan("digits", epochs=1)))
    assert theirs.read_text() == "mine\n" if kind == "file" else theirs.is_dir()


def test_latest_that_is_no_text(tmp_path: Path):
    (tmp_path / "latest").write_bytes(b"\xff\xfe run")
    with pytest.raises(DataError, match="latest does not name a run: 'utf-8' codec"):
        train.load(tmp_path / "latest")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is full")
def test_a_disk_that_is_full_under_the_log(tmp_path: Path, whole: Path):
    folder, _ = damaged(whole, tmp_path / "run")
    (folder / "log.jsonl").unlink()
    (folder / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"log\.jsonl cannot be written: No space left on device"):
        train.fit(**work(folder, epochs=6, resume=True))


def test_a_disk_that_is_full(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch):
    folder, newest = damaged(whole, tmp_path / "run")
    before = {path: path.read_bytes() for path in (folder / "checkpoints").iterdir()}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        checkpoint.save(folder / "checkpoints", 35, checkpoint.load(newest).arrays, {})
    assert {path: path.read_bytes() for path in (folder / "checkpoints").iterdir()} == before


@pytest.mark.skipif(os.name == "nt", reason="there are no permissions for groups")
@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_files_can_be_read_by_whom_the_system_lets(tmp_path: Path, mask: int):
    before = os.umask(mask)
    try:
        atomic.write(tmp_path / "run.json", b"{}")
    finally:
        os.umask(before)
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.skipif(os.name == "nt", reason="folders are never flushed")
@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_disk_that_does_not_flush_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    flush = os.fsync

    def files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", files_only)
    atomic.write(tmp_path / "run.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_parameters_and_examples_that_are_not_finite_are_named(tmp_path: Path, whole: Path):
    model, data = work()["model"], work()["data"]
    trained, (x, _) = train.load(whole, model), data.prepared("test")
    x[4, 1] = np.nan
    with pytest.raises(DataError, match="the input is not finite in row 4"):
        trained.probabilities(x)
    for path in ("parameters/layers.0.weight", "buffers/layers.1.mean"):
        damaged = tmp_path / path.replace("/", "-")
        shutil.copytree(whole, damaged)
        arrays = checkpoint.read_arrays(damaged / "model.safetensors")
        arrays[path] = np.full_like(arrays[path], np.nan)
        (damaged / "model.safetensors").write_bytes(checkpoint.packed(arrays))
        with pytest.raises(DataError, match=f"{path.partition('/')[2]} is not finite"):
            train.load(damaged, model)


def test_a_class_is_no_model(whole: Path):
    with pytest.raises(OperandError, match="load: model is the class Linear, expected an instance"):
        train.load(whole, nn.Linear)


def test_classes_that_lack_in_run_json_are_said(tmp_path: Path, whole: Path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    about = json.loads((folder / "run.json").read_text())
    about["data"]["classes"].pop()
    (folder / "run.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="names 1 classes, and the model has 2 outputs"):
        train.load(folder, work()["model"]).probabilities(work()["data"].prepared("test")[0])


def test_a_run_that_cannot_be_written_to(tmp_path: Path, whole: Path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "checkpoints").rename(folder / "kept")
    (folder / "checkpoints").write_text("in the way, for the superuser too")
    with pytest.raises(DataError, match=r"run cannot be written to: .*\n  Fix: go on as a user who may"):
        train.RunFolder.open(folder).claim()
