"""Runs that go on: with the log and the parameters that belong to where they are, and only as they began."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, train
from chainrule.errors import ArgumentError, DataError
from chainrule.train import checkpoint, keeping
from test_run_folder import logged, work


def left(folder: Path, steps: int, **changes: Any) -> None:
    """A run that begins or goes on, and is left after so many steps more, in the middle of writing its log."""
    events = train.run(**work(folder, resume=True, **changes))
    for event in events:
        steps -= isinstance(event, train.Saved)
        if not steps:
            break
    events.close()


@pytest.mark.parametrize("cut", [0, 5])
def test_a_log_of_some_steps_has_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int):
    """In a long epoch most steps are saved without a line in the log, also right after the run went on."""
    monkeypatch.setattr(keeping, "_MOST_STEPS", 2)  # of 7 steps the fourth is logged
    train.fit(**work(tmp_path / "whole"))
    folder = tmp_path / "run"
    for steps in (3, 1, 1, 2, 6, 1):
        left(folder, steps, checkpoint_every=1)
        log = folder / "log.jsonl"
        later = b'{"event": "Stepped", "epoch": 9, "step": 9, "steps": 7, "loss": 0.5}\n' * 3
        log.write_bytes(log.read_bytes() + later[: len(later) - cut])  # written after the last checkpoint
    train.fit(**work(folder, resume=True))
    assert logged(folder) == logged(tmp_path / "whole")


def test_parameters_are_those_of_the_newest_checkpoint_once_a_run_goes_on(tmp_path: Path):
    folder = tmp_path / "run"
    train.fit(**work(folder, epochs=1))
    ended = train.RunFolder.open(folder).weights()
    left(folder, 3, epochs=4)
    newest = checkpoint.load(checkpoint.found(folder / "checkpoints")[-1])
    trained = train.load(folder, work()["model"]).model.parameters()
    for path, value in trained.items():
        np.testing.assert_array_equal(value.numpy(), newest.arrays[f"parameters/{path}"])
        assert (value.numpy() != ended[f"parameters/{path}"]).any()


def test_a_run_that_cannot_go_on_lets_go_of_its_folder(tmp_path: Path):
    folder = tmp_path / "run"
    train.fit(**work(folder, epochs=1))
    (newest,) = checkpoint.found(folder / "checkpoints")
    content = newest.read_bytes()
    newest.write_bytes(content[:-9])
    warned = pytest.warns(UserWarning, match="going on from an earlier one")
    with warned, pytest.raises(DataError, match="it is no JSON") as refused:
        train.fit(**work(folder, resume=True))
    newest.write_bytes(content)
    assert train.fit(**work(folder, resume=True)).epochs == 4
    del refused  # until here, with the frames that it came through


def one(scores: Any, labels: Any) -> Any:
    return cr.mean(scores * 0) + 1.0


def two(scores: Any, labels: Any) -> Any:
    return cr.mean(scores * 0) + 2.0


smoothed = lambda share: {"loss": partial(nn.softmax_cross_entropy, label_smoothing=share)}


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({}, {"metrics": {"one": one}}, r"another metrics \(one: None, now one\)"),
        ({"metrics": {"one": one}}, {}, r"another metrics \(accuracy: None, now accuracy\)"),
        (
            {"metrics": {"one": one, "two": two}},
            {"metrics": {"one": one}},
            r"another metrics \(two: two, now None\)",
        ),
        ({"metrics": {"one": one}}, {"metrics": {"one": two}}, r"another metrics \(one: one, now two\)"),
        (smoothed(0.1), smoothed(0.9), r"another loss \(keywords: {'label_smoothing': 0.1}, now .* 0.9}\)"),
        (smoothed(0.1), {}, r"another loss \(loss: {'function': 'softmax_cross_entropy'"),
        ({"drop_last": True}, {"drop_last": False}, r"another settings \(drop_last: True, now False\)"),
    ],
)
def test_another_run_is_not_taken_up(tmp_path: Path, first: Any, then: Any, message: str):
    """Or a metric's mean would be over some of the steps, and the loss another than the log's."""
    left(tmp_path / "run", 1, checkpoint_every=3, **first)
    with pytest.raises(ArgumentError, match=message):
        train.fit(**work(tmp_path / "run", resume=True, **then))
    assert train.fit(**work(tmp_path / "run", resume=True, **first)).epochs == 4


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (np.float32(0.5), np.float32(0.25)),
        (np.arange(3), np.arange(3) + 1),
        ([1, {"a": cr.relu}], [1, {"a": cr.tanh}]),
    ],
    ids=["a number", "an array", "nested"],
)
def test_what_a_partial_function_was_given_is_told_apart(value: Any, other: Any):
    described = [
        json.dumps(keeping.function_name(partial(one, scale=given))) for given in (value, value, other)
    ]
    assert described[0] == described[1] != described[2]
