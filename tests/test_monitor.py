"""The monitor of a run: what it finds, when, and that it changes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import train
from chainrule.cli import main
from chainrule.train import monitor


def settings(**changed):
    model, data, loss, optimizer, given = cr.models.digits_classifier()
    given = {**given, "epochs": 2}
    return {"model": model, "data": data, "loss": loss, "optimizer": optimizer, **given, **changed}


def events(**changed):
    given = settings(**changed)
    return list(
        train.run(given.pop("model"), given.pop("data"), given.pop("loss"), given.pop("optimizer"), **given)
    )


def found(happened):
    return [(e.epoch, e.step, f.kind) for e in happened if isinstance(e, train.Found) for f in e.findings]


def twice(scores, labels):
    return cr.nn.softmax_cross_entropy(cr.softmax(scores, axis=-1), labels)


def test_a_healthy_run_has_no_findings():
    assert found(events(monitor=10)) == []


def test_what_is_wrong_from_the_start_is_found_before_the_first_step():
    happened = events(loss=twice)
    assert found(happened) == [(1, 0, "double_softmax")]
    assert [type(e).__name__ for e in happened[:3]] == ["Started", "Found", "Stepped"]


def test_what_goes_wrong_later_is_found_at_the_next_look():
    leap = lambda updates: np.where(updates < 20, 0.05, 20.0)
    happened = events(epochs=2, optimizer=cr.optim.gradient_descent(leap), monitor=5)
    epoch, step, kind = found(happened)[0]
    assert kind in ("learning_rate_too_high", "dead_relu")
    updates = (epoch - 1) * happened[0].steps + step
    assert updates >= 20 and updates % 5 == 0  # the very next update, tried on a copy, would leap


def test_a_loss_that_does_not_fall_is_looked_into():
    model, _, _, _, _ = cr.models.digits_classifier()
    stuck = lambda scores, labels: cr.nn.softmax_cross_entropy(
        scores * 0.0 + cr.stop_gradient(scores), labels
    )
    kinds = {kind for _, _, kind in found(events(model=model, loss=stuck, monitor=5))}
    assert kinds & {"times_zero", "detached", "flat"}


def test_it_changes_no_number():
    with_it, without = (events(monitor=every)[-1] for every in (3, None))
    for path, value in without.model.parameters().items():
        np.testing.assert_array_equal(with_it.model.parameters()[path].numpy(), value.numpy())
    assert with_it.test == without.test


def test_fit_warns_where_nobody_listens():
    given = settings(loss=twice)
    args = [given.pop(name) for name in ("model", "data", "loss", "optimizer")]
    with pytest.warns(
        UserWarning, match=r"double_softmax in .*\. Give the scores to the loss, without softmax"
    ):
        train.fit(*args, **given)


def test_a_finding_stands_in_the_log_once_also_after_resuming(tmp_path: Path):
    whole = tmp_path / "whole"
    events(loss=twice, folder=whole, epochs=2)
    parts = tmp_path / "parts"
    events(loss=twice, folder=parts, epochs=1)
    assert found(events(loss=twice, folder=parts, epochs=2, resume=True)) == []
    logs = [
        [
            line
            for line in map(json.loads, (f / "log.jsonl").read_text().splitlines())
            if line["event"] == "Found"
        ]
        for f in (whole, parts)
    ]
    assert logs[0] == logs[1]
    assert [f["kind"] for f in logs[0][0]["findings"]] == ["double_softmax"]


def test_a_network_that_cannot_be_examined_is_trained_all_the_same(monkeypatch: pytest.MonkeyPatch):
    def raises(*_: object) -> None:
        raise RuntimeError("this model runs on Tuesdays only")

    monkeypatch.setattr(monitor, "examine_training", raises)
    with pytest.warns(
        UserWarning, match="the monitor could not examine the network: this model runs on Tuesdays only"
    ):
        assert isinstance(events()[-1], train.Finished)


def test_bad_intervals_are_refused():
    with pytest.raises(cr.errors.ArgumentError, match="monitor must be at least 1, got 0"):
        events(monitor=0)


def test_the_command_prints_findings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    arguments = [
        "train",
        "digits",
        "--optimizer",
        "gradient_descent",
        "--learning-rate",
        "1000",
        "--epochs",
        "1",
    ]
    with pytest.raises(SystemExit):
        main([*arguments, "--run", "a"])
    shown = capsys.readouterr().out
    assert "before the first step: learning_rate_too_high" in shown
    assert "remedy" in shown
