"""Runs that go on: with the log and the parameters that belong to where they are, and only as they began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule import train
from chainrule.errors import DataError
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
