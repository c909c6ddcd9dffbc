"""Optimizers as plain data, through JSON and back; and descriptions that somebody else wrote."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule import optim
from chainrule.errors import ArgumentError, ChainruleError, OperandError

RATE = optim.warm_up(optim.cosine(0.1, 6, final=0.01), 3, first=0.1)
OPTIMIZERS = [
    optim.gradient_descent(0.1),
    optim.gradient_descent(optim.constant(0.1), weight_decay=0.1),
    optim.momentum(optim.step_decay(0.1, 4, 0.5), decay=0.8, weight_decay=0.1, decays="*weight"),
    optim.nesterov(RATE, 0.7, weight_decay=0.1, decays=["b", "*.weight"]),
    optim.adagrad(0.2, epsilon=1e-6),
    optim.rmsprop(optim.warm_up(0.01, 3), decay=0.8, epsilon=1e-6),
    optim.clip_by_norm(optim.adam(RATE, beta1=0.8, beta2=0.9, epsilon=1e-6), 0.5),
    optim.clip_by_value(optim.clip_by_norm(optim.adamw(optim.one_cycle(0.1, 9, rising=0.4)), 0.5), 0.3),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
def test_there_and_back(optimizer: optim.Optimizer, rng: np.random.Generator):
    described = optim.describe(optimizer)
    written = json.loads(json.dumps(described, allow_nan=False))
    again = optim.from_description(written)
    assert written == described == optim.describe(again) and repr(again) == repr(optimizer)
    p = q = {"b": cr.tensor(rng.normal(size=3)), "weight": cr.tensor(1.0), "a": {"weight": cr.tensor(2.0)}}
    state = other = optimizer.init(p)
    for _ in range(10):
        gradients = {"b": rng.normal(size=3), "weight": rng.normal(), "a": {"weight": rng.normal()}}
        p, state = optimizer.update(gradients, state, p)
        q, other = again.update(gradients, other, q)
    assert p["b"].tolist() == q["b"].tolist() and p["a"]["weight"].item() == q["a"]["weight"].item()


def test_a_description_is_a_copy():
    optimizer = optim.clip_by_norm(optim.adam(RATE), 1.0)
    described = optim.describe(optimizer)
    described["learning_rate"]["updates"] = 0
    described["clipping"].clear()
    assert optimizer.settings["learning_rate"]["updates"] == 3 and optimizer.settings["clipping"]


def test_a_set_of_patterns_is_described_alike_in_every_process():
    names = [f"layers.{i}.*" for i in range(10)]
    assert optim.describe(optim.adamw(decays=set(names)))["decays"] == names  # hashes of texts are not alike


def test_what_is_left_out_has_its_default():
    assert optim.from_description({"name": "adam"}).settings == optim.adam().settings
    assert (
        optim.from_description({"name": "momentum", "learning_rate": 1}).settings
        == optim.momentum(1).settings
    )


def test_functions_are_described_for_people_only():
    def matrices(path: str) -> bool:
        return path.endswith("weight")

    described = optim.describe(optim.adamw(decays=matrices))
    assert described["decays"] == {"function": "matrices"} and json.dumps(described)
    with pytest.raises(
        ArgumentError, match=r"decays was a function, 'matrices', which a description does not hold"
    ):
        optim.from_description(described)
    described = optim.describe(optim.adam(optim.warm_up(lambda u: 0.1, 10)))
    assert json.dumps(described)
    with pytest.raises(
        ArgumentError, match=r"learning_rate was a function, '<lambda>', which a description"
    ) as caught:
        optim.from_description(described)
    assert "learning_rate= and the function itself" in caught.value.fix


ADAM = {"name": "adam"}


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (None, "the description must be a dict with names as keys, got None"),
        ([["name", "adam"]], "the description must be a dict"),
        ({1: 2}, "the description must be a dict"),
        ({}, "unknown optimizer None: expected one of gradient_descent, momentum"),
        ({"name": "Adam"}, "unknown optimizer 'Adam'"),
        ({"name": "__init__"}, "unknown optimizer '__init__'"),
        ({"name": ["adam"]}, r"unknown optimizer \['adam'\]"),
        ({"name": "momentum"}, "momentum lacks the setting 'learning_rate'"),
        ({**ADAM, "beta3": 0.9}, "adam has no setting 'beta3': expected learning_rate, beta1"),
        ({**ADAM, "beta1": "0.9"}, "adam: beta1 must be a number, got str"),
        ({**ADAM, "beta1": True}, "adam: beta1 must be a number, got bool"),
        ({**ADAM, "learning_rate": None}, "adam: learning_rate must be a number or a schedule, got NoneType"),
        ({**ADAM, "learning_rate": float("nan")}, "adam: learning_rate must be above 0 and finite, got nan"),
        (
            {**ADAM, "learning_rate": 10**5000},
            "adam: learning_rate must be above 0 and finite, got a very long int",
        ),
        ({**ADAM, "learning_rate": lambda u: 0.1}, "learning_rate is function: expected plain data"),
        ({**ADAM, "learning_rate": {}}, "unknown schedule None: expected one of constant, step_decay"),
        ({**ADAM, "learning_rate": {"schedule": "eval", "rate": 1}}, "unknown schedule 'eval'"),
        ({**ADAM, "learning_rate": {"schedule": "cosine", "rate": 1}}, "cosine lacks the setting 'updates'"),
        (
            {**ADAM, "learning_rate": {"schedule": "cosine", "rate": 1, "updates": "9"}},
            "updates must be an integer",
        ),
        (
            {**ADAM, "learning_rate": {"schedule": "cosine", "rate": 1, "updates": 9, "to": 0}},
            "no setting 'to'",
        ),
        ({**ADAM, "decays": []}, r"decays must be a pattern for paths, or several, or a function, got \[\]"),
        ({**ADAM, "clipping": {"by": "norm"}}, "clipping must be a list"),
        (
            {**ADAM, "clipping": [{"by": "norm", "limit": 1.0}] * 1000},
            "clipping must be a list of at most 20",
        ),
        ({**ADAM, "clipping": ["norm"]}, "the clipping must be a dict"),
        (
            {**ADAM, "clipping": [{"by": "area", "limit": 1}]},
            "unknown clipping 'area': expected one of norm, value",
        ),
        ({**ADAM, "clipping": [{"by": "norm"}]}, "clip_by_norm lacks the setting 'limit'"),
        (
            {**ADAM, "clipping": [{"by": "norm", "limit": 1, "optimizer": 3}]},
            "no setting 'optimizer': expected limit",
        ),
        ({**ADAM, "clipping": [{"by": "norm", "limit": 0}]}, "clip_by_norm: limit must be above 0"),
    ],
)
def test_descriptions_that_describe_nothing(description: Any, message: str):
    with pytest.raises(ArgumentError, match=message) as caught:
        optim.from_description(description)
    assert caught.value.fix and len(str(caught.value)) < 1000


def test_a_schedule_within_itself_ends():
    rate: Any = 0.1
    for _ in range(100_000):
        rate = {"schedule": "warm_up", "rate": rate, "updates": 1}
    with pytest.raises(ArgumentError, match="more than 20 schedules within each other"):
        optim.from_description({"name": "adam", "learning_rate": rate})
    while isinstance(rate, dict):  # else Python frees it by recursion
        rate = rate.pop("rate")


def test_only_optimizers_are_described():
    with pytest.raises(OperandError, match="describe: expected an optimizer, got str"):
        optim.describe("adam")  # pyright: ignore[reportArgumentType]


WORDS = [
    "schedule",
    "rate",
    "updates",
    "by",
    "limit",
    "norm",
    "cosine",
    "warm_up",
    "function",
    "*",
    "adam",
    "decays",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
SETTINGS = st.dictionaries(
    st.sampled_from(
        ["learning_rate", "decay", "beta1", "epsilon", "weight_decay", "decays", "clipping", "name"]
    ),
    VALUES,
)


@given(st.sampled_from(["adam", "adamw", "nesterov", "rmsprop"]), SETTINGS)
def test_anything_is_an_optimizer_or_an_error_of_ours(name: str, settings: dict[str, Any]):
    try:
        optimizer = optim.from_description({"name": name, **settings})
    except ChainruleError:
        return
    described = optim.describe(optimizer)
    assert optim.describe(optim.from_description(described)) == described
