"""Plans: what is left to the data, names and numbers that cannot be, and those that were changed by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import train
from chainrule.errors import ArgumentError, DataError
from chainrule.train.plan import prepare


def test_a_plan_says_what_it_leaves_to_the_data():
    filled = prepare(train.Plan("digits")).plan
    assert (filled.model, filled.epochs, filled.batch_size, filled.learning_rate) == ("mlp", 30, 64, 3e-3)
    deep = train.Plan("digits", "resnet20").filled(cr.data.digits())
    assert (deep.optimizer, deep.augment, deep.weight_decay) == ("nesterov", ("crop", "flip"), 5e-4)
    other = train.Plan("digits", "resnet20", optimizer="adam").filled(cr.data.digits())
    assert other.learning_rate == 3e-3 and other.weight_decay == 0
    assert train.Plan.from_dict(deep.to_dict()) == deep


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": "many"},
        {"data": None},
        {"seed": 1.5},
        {"more": 1},
        {"augment": "flip"},
        {"model": ["mlp"]},
        {"augment": [[1]]},
        {"drop_last": None},
    ],
)
def test_a_plan_that_was_changed_by_hand(change: dict):
    with pytest.raises(DataError, match="the run's plan"):
        train.Plan.from_dict({**train.Plan("digits").to_dict(), **change})


@pytest.mark.parametrize("name", ["DIGITS", "Digits"])
def test_a_name_means_the_same_in_any_case(name: str):
    """What suits the data, too, and where its runs are kept."""
    assert prepare(train.Plan(name)).plan == prepare(train.Plan("digits")).plan
    assert train.Plan("FashionMNIST").data == "fashion-mnist" and train.Plan("./Digits").data == "./Digits"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adagard"}, "there is no optimizer 'adagard'"),
        ({"optimizer": "adagard", "learning_rate": 0.1}, "there is no optimizer 'adagard'"),
        ({"schedule": "cosin"}, "there is no schedule 'cosin'"),
        ({"augment": ("blur",), "model": "cnn"}, "there is no augmentation 'blur'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 0, "schedule": "cosine"}, "batch_size must be at least 1, got 0"),
        ({"epochs": 0, "schedule": "cosine"}, "epochs must be at least 1, got 0"),
        ({"learning_rate": "much"}, "learning_rate must be a number, got str"),
        ({"batch_size": 5000, "drop_last": True}, "no batch of 5000 can be filled"),
    ],
)
def test_plans_that_cannot_be(change: dict[str, Any], message: str):
    with pytest.raises(ArgumentError, match=message) as caught:
        prepare(train.Plan("digits", **change))
    assert caught.value.fix


def test_a_plan_of_numbers_of_numpy_is_written_down():
    given = {"epochs": np.int64(2), "learning_rate": np.float32(0.5), "seed": np.uint8(3)}
    plan = prepare(train.Plan("digits", **given)).plan
    assert train.Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_the_schedule_ends_with_the_last_whole_batch():
    """1,437 examples are 22 whole batches of 64, and one of 29."""
    for drop_last, steps in ((False, 23), (True, 22)):
        work = prepare(train.Plan("digits", epochs=2, schedule="cosine", drop_last=drop_last))
        started = next(iter(train.run(work.model, work.data, work.loss, work.optimizer, **work.settings)))
        assert isinstance(started, train.Started) and started.steps == steps
        assert (
            work.optimizer.learning_rate_at(2 * steps) == 0 < work.optimizer.learning_rate_at(2 * steps - 1)
        )
