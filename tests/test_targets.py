"""Regressions in the units of their targets: learned, measured, kept, resumed and given back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chainrule import train
from chainrule.cli import main
from chainrule.train.plan import prepare


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    a, b = np.random.default_rng(0).standard_normal((2, 400))
    rows = [f"{x},{y},{30000 * x - 20000 * y + 250000.5}" for x, y in zip(a, b, strict=True)]
    (tmp_path / "houses.csv").write_text("\n".join(["a,b,price", *rows]))
    return tmp_path / "houses.csv"


def test_prices_are_learned_and_given_in_their_units(houses: Path, tmp_path: Path):
    work = prepare(train.Plan(str(houses)))
    *_, finished = train.begin(work.plan, tmp_path / "run")
    assert isinstance(finished, train.Finished)
    x, y = work.data.prepared("test")
    found = train.load(tmp_path / "run").outputs(x)
    assert finished.test["mean_absolute_error"] < 0.05 * y.std()
    assert np.abs(found - y).mean() == pytest.approx(finished.test["mean_absolute_error"], rel=1e-4)
    assert finished.test_loss == pytest.approx(np.mean((found - y) ** 2) / work.data.train_y.var(), rel=1e-3)
    np.testing.assert_array_equal(np.asarray(finished.model(x).numpy()), found)


def test_guessing_the_mean_has_a_loss_of_one(houses: Path):
    work = prepare(train.Plan(str(houses)))
    y = work.data.train_y
    assert work.loss(np.full_like(y, y.mean()), y).item() == pytest.approx(1, rel=1e-4)


def test_a_stopped_regression_ends_with_the_same_bits(houses: Path, tmp_path: Path):
    plan = train.Plan(str(houses), epochs=4)
    *_, whole = train.begin(plan, tmp_path / "whole")
    stopped = train.begin(plan, tmp_path / "stopped")
    next(event for event in stopped if isinstance(event, train.Saved))
    del stopped  # which lets go of the folder
    *_, resumed = train.resume(tmp_path / "stopped")
    assert isinstance(whole, train.Finished) and isinstance(resumed, train.Finished)
    assert resumed.test == whole.test
    x = np.zeros((3, 2), np.float32)
    first, second = (train.load(tmp_path / name).outputs(x) for name in ("whole", "stopped"))
    np.testing.assert_array_equal(first, second)


def test_json_has_the_error_in_the_users_units(
    houses: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(["train", str(houses), "--run", str(tmp_path / "run"), "--json"])
    assert not ended.value.code
    document = json.loads(capsys.readouterr().out)
    assert 10 < document["finished"]["test"]["mean_absolute_error"] < 2500
    assert document["finished"]["test"]["loss"] < 0.01


def test_each_of_several_targets_has_its_own_scale(tmp_path: Path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2)).astype(np.float32)
    y = np.stack([1e6 + 1e5 * x[:, 0], 1e-3 * x[:, 1], np.full(300, 7.0)], axis=1)
    np.savez(tmp_path / "three.npz", x=x, y=y)
    *_, finished = train.begin(train.Plan(str(tmp_path / "three.npz"), epochs=30), tmp_path / "run")
    assert isinstance(finished, train.Finished)
    loaded = prepare(train.Plan(str(tmp_path / "three.npz")))
    inputs, targets = loaded.data.prepared("test")
    wrong = np.abs(train.load(tmp_path / "run").outputs(inputs) - targets).mean(0)
    assert (wrong < [2e4, 2e-4, 0.2]).all()
