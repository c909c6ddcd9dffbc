"""What cr.diagnose finds in losses and layers that are written by hand, and what it must not find in them."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from small_networks import ADAM, KEYS, LABELS, SCORES, SQUARES, SUMS, X, drawn, loss_of, mlp

SIGNS = np.sign(SUMS)
POINTS = drawn(32, 4, 2)


def cross_entropy(scores, probabilities):
    return -cr.mean(cr.sum(cr.log_softmax(scores, axis=-1) * probabilities, axis=-1))


def logistic(scores, y):
    return cr.mean(cr.softplus(scores) - scores * y)


def hinge(scores, y):
    return cr.mean(cr.maximum(1 - scores * y, 0.0))


def rows(order):
    """Each example's points in one row, with the axes moved before."""
    return loss_of(lambda m, x: cr.permute_dims(x, order).reshape((32, 8)) @ m["w"])


def gated(model, x):
    return (cr.sigmoid(x @ model["gate"] + model["bias"]) * cr.tanh(x @ model["in"])) @ model["out"]


def gates(bias):
    shapes = {"gate": (4, 8), "in": (4, 8), "out": (8, 3)}
    return {**{name: drawn(*shape) / 2 for name, shape in shapes.items()}, "bias": np.full(8, bias)}


def reader():
    return cr.nn.Sequential(cr.nn.LSTM(4, 16, key=KEYS[0], returns="last"), cr.nn.Linear(16, 3, key=KEYS[1]))


SEQUENCES = drawn(32, 16, 4).astype(np.float32)


def margins(apart):
    """Triplets, of which the wrong ones are as far away as is said."""
    others = X + np.float32(apart)

    def loss(model, x, y):
        near, far = (cr.sum(((x - z) @ model["w"]) ** 2, axis=1) for z in (X + np.float32(0.01), others))
        return cr.mean(cr.maximum(1 + near - far, 0.0))

    return cr.diagnose({"w": np.eye(4)}, loss, (X, LABELS))


def policy(scores, y):
    actions, rewards = y
    return -cr.mean(cr.log_softmax(scores, axis=-1)[np.arange(32), actions] * rewards)


def on_edges(model, x):
    features, edges = x
    return edges @ (cr.relu(edges @ (features @ model["w"])) @ model["v"])


FOUND = {
    "clipped features": (
        "clipped",
        "clip after layers.0",
        lambda: cr.diagnose(mlp(lambda h: cr.clip(100 * h, -1.0, 1.0)), SCORES, (X, LABELS)),
    ),
    "rows that do not add up": (
        "wrong_targets",
        "the targets",
        lambda: cr.diagnose(mlp(), cross_entropy, (X, np.abs(drawn(32, 3)).astype(np.float32))),
    ),
    "signs for a logistic loss": (
        "wrong_targets",
        "the targets",
        lambda: cr.diagnose(mlp(classes=1), logistic, (X, SIGNS)),
    ),
    "0 and 1 for a hinge": (
        "wrong_targets",
        "the targets",
        lambda: cr.diagnose(mlp(classes=1), hinge, (X, (SIGNS + 1) / 2)),
    ),
    "a reshape over examples": (
        "samples_mixed",
        "reshape",
        lambda: cr.diagnose({"w": drawn(8, 3) / 3}, rows((1, 0, 2)), (POINTS, LABELS)),
    ),
    "large weights": (
        "weights_too_large",
        "a",
        lambda: cr.diagnose(
            {"a": 20 * drawn(4, 16), "b": drawn(16, 3)},
            loss_of(lambda m, x: cr.relu(x @ m["a"]) @ m["b"]),
            (X, LABELS),
        ),
    ),
    "shut gates": (
        "saturated",
        "sigmoid after gate",
        lambda: cr.diagnose(gates(-30.0), loss_of(gated), (X, LABELS)),
    ),
    "shut gates of a recurrence": (
        "saturated",
        None,
        lambda: cr.diagnose(reader(), SCORES, (100 * SEQUENCES, LABELS)),
    ),
    "a score minus itself": (
        "cancelling_paths",
        None,
        lambda: cr.diagnose(mlp(classes=1), lambda p, y: cr.mean(cr.softplus(p - p)), (X, SUMS)),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_cause_is_found_and_nothing_else(name: str):
    kind, where, call = FOUND[name]
    report = call()
    assert [f.kind for f in report.findings] == [kind], report.text
    assert where is None or report.findings[0].where == where


HEALTHY = {
    "relu with an upper end": lambda: cr.diagnose(mlp(lambda h: cr.clip(h, 0.0, 6.0)), SCORES, (X, LABELS)),
    "tanh of straight lines": lambda: cr.diagnose(mlp(lambda h: cr.clip(h, -1.0, 1.0)), SCORES, (X, LABELS)),
    "one-hot rows": lambda: cr.diagnose(mlp(), cross_entropy, (X, np.eye(3, dtype=np.float32)[LABELS])),
    "soft rows": lambda: cr.diagnose(
        mlp(), cross_entropy, (X, 0.9 * np.eye(3, dtype=np.float32)[LABELS] + np.float32(0.1 / 3))
    ),
    "0 and 1 for a logistic loss": lambda: cr.diagnose(mlp(classes=1), logistic, (X, (SIGNS + 1) / 2)),
    "signs for a hinge": lambda: cr.diagnose(mlp(classes=1), hinge, (X, SIGNS)),
    "a reshape of each example": lambda: cr.diagnose(
        {"w": drawn(8, 3) / 3}, rows((0, 2, 1)), (POINTS, LABELS)
    ),
    "open gates": lambda: cr.diagnose(gates(1.0), loss_of(gated), (X, LABELS)),
    "a recurrence": lambda: cr.diagnose(reader(), SCORES, (SEQUENCES, LABELS), ADAM(1e-3)),
    "margins that are kept": lambda: margins(10.0),
    "margins that are not": lambda: margins(0.1),
    "rewards of both signs": lambda: cr.diagnose(mlp(), policy, (X, (LABELS, drawn(32).astype(np.float32)))),
    "edges of a graph": lambda: cr.diagnose(
        {"w": drawn(4, 8) / 4, "v": drawn(8, 3) / 8},
        loss_of(on_edges),
        ((X, (drawn(32, 32) > 1.6) + np.eye(32)), LABELS),
    ),
    "attention": lambda: cr.diagnose(
        cr.nn.Sequential(
            cr.nn.MultiHeadAttention(4, 2, key=KEYS[0]),
            lambda h: cr.mean(h, axis=1),
            cr.nn.Linear(4, 3, key=KEYS[1]),
        ),
        SCORES,
        (SEQUENCES, LABELS),
    ),
    "a quantile": lambda: cr.diagnose(
        mlp(classes=1), lambda p, y: cr.mean(cr.maximum(0.9 * (y - p), -0.1 * (y - p))), (X, SUMS)
    ),
    "counts": lambda: cr.diagnose(
        mlp(classes=1), lambda p, y: cr.mean(cr.exp(p) - p * y), (X, np.abs(SUMS).round())
    ),
    "a mean and a deviation": lambda: cr.diagnose(
        mlp(classes=2),
        lambda p, y: cr.mean(p[:, 1] + 0.5 * (y[:, 0] - p[:, 0]) ** 2 * cr.exp(-2 * p[:, 1])),
        (X, SUMS),
    ),
    "two tasks": lambda: cr.diagnose(
        {"w": drawn(4, 8) / 2, "a": drawn(8, 3) / 3, "b": drawn(8, 1) / 3},
        lambda m, x, y: (
            SCORES(cr.relu(x @ m["w"]) @ m["a"], y[0]) + SQUARES(cr.relu(x @ m["w"]) @ m["b"], y[1])
        ),
        (X, (LABELS, SUMS)),
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_what_only_looks_alike(name: str):
    report = HEALTHY[name]()
    assert report.healthy, report.text
