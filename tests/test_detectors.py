"""What cr.diagnose finds: for each mechanism small networks that have it, and some that only look alike."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from small_networks import ADAM, DESCENT, IDS, KEYS, LABELS, SCORES, SQUARES, SUMS, X, drawn, loss_of, mlp


def deep(act, layers, initializer=cr.nn.he_normal):
    made = []
    for i in range(layers):
        made += [cr.nn.Linear(16 if i else 4, 16, initializer=initializer, key=KEYS[i]), act]
    return cr.nn.Sequential(*made, cr.nn.Linear(16, 3, key=KEYS[layers]))


def normal(deviation):
    return lambda key, shape, dtype=cr.float32: cr.random.normal(key, shape) * np.float32(deviation)


def summed(scores, y):
    return ((scores - y) ** 2).sum()


def log_likelihood(scores, y):
    return cr.mean(cr.log_softmax(scores, axis=-1)[np.arange(len(y)), y])


class Branches(cr.nn.Module):
    """The largest of some planes."""

    def __init__(self, apart: float) -> None:
        self.planes = cr.nn.Linear(4, 6, key=KEYS[0])
        self.heights = cr.tensor(np.float32(apart) * np.arange(6, dtype=np.float32), requires_grad=True)

    def __call__(self, x):
        return cr.max(self.planes(x) + self.heights, axis=1, keepdims=True)


class Deaf(cr.nn.Module):
    """Does not pass on that it is trained."""

    def __init__(self, tells: bool) -> None:
        self.inner = cr.nn.Sequential(mlp(), cr.nn.Dropout(0.3))
        self.tells = tells

    def __call__(self, x, training=None):
        return self.inner(x, training) if self.tells else self.inner(x)


class Noisy(cr.nn.Module):
    """Drops elements, in training only or always."""

    def __init__(self, always: bool) -> None:
        self.inner, self.always = mlp(), always

    def __call__(self, x, training=None):
        scores = self.inner(x)
        if training is None and not self.always:
            return scores
        key = cr.random.key(3) if training is None else training.next_key("Noisy")
        return cr.where(cr.random.uniform(key, scores.shape) > 0.3, scores, 0.0)


class Cut(cr.nn.Module):
    """Two layers, the first one cut off in some way, and one that may be unused."""

    def __init__(self, how) -> None:
        self.first, self.last = cr.nn.Linear(4, 8, key=KEYS[0]), cr.nn.Linear(8, 3, key=KEYS[1])
        self.how = how

    def __call__(self, x):
        return self.last(self.how(cr.relu(self.first(x))))


def looks_back(model, ids):
    seen = model["e"][ids]
    return (cr.cumsum(seen, axis=1) @ model["w"]).reshape((-1, 20))


def looks_around(model, ids):
    seen = model["e"][ids]
    return ((seen + cr.mean(seen, axis=1, keepdims=True)) @ model["w"]).reshape((-1, 20))


def symbols(formula):
    return lambda model, ids, y: SCORES(formula(model, ids), y.reshape(-1))


def recurrence(factor, steps=30):
    weights = {"w": np.eye(8) * factor, "u": drawn(4, 8), "v": drawn(8, 3) / 3}

    def scores(model, x):
        h = cr.zeros((len(x), 8), dtype=cr.float64)
        for t in range(steps):
            h = (
                cr.tanh(x[:, t] @ model["u"] + h @ model["w"])
                if factor <= 1
                else x[:, t] @ model["u"] + h @ model["w"]
            )
        return h @ model["v"]

    return cr.diagnose(weights, loss_of(scores), (drawn(32, steps, 4), LABELS))


LANGUAGE = {"e": drawn(20, 8), "w": drawn(8, 20) / 3}
WITH_LABEL = np.concatenate([X[:, :3], LABELS[:, None]], axis=1).astype(np.float32)
ALIKE = np.repeat(X[:1], 32, axis=0)


FOUND = {
    "wrong step: too high": (
        "learning_rate_too_high",
        "the update",
        lambda: cr.diagnose(mlp(), SCORES, (X, LABELS), DESCENT(100.0)),
    ),
    "units killed by too long a step": (
        "learning_rate_too_high",
        "the update",
        lambda: cr.diagnose(mlp(hidden=64), SCORES, (X, LABELS), DESCENT(1000.0)),
    ),
    "too low": (
        "learning_rate_too_low",
        "the update",
        lambda: cr.diagnose(mlp(), SCORES, (X, LABELS), DESCENT(1e-4)),
    ),
    "clipped to nothing": (
        "clipping_too_tight",
        "the update",
        lambda: cr.diagnose(mlp(), SCORES, (X, LABELS), cr.optim.clip_by_norm(DESCENT(0.1), 1e-4)),
    ),
    "too low to move a float32": (
        "learning_rate_too_low",
        "the update",
        lambda: cr.diagnose(mlp(), SCORES, (X, LABELS), DESCENT(1e-9)),
    ),
    "clipped to less than moves a float32": (
        "clipping_too_tight",
        "the update",
        lambda: cr.diagnose(mlp(), SCORES, (X, LABELS), cr.optim.clip_by_norm(DESCENT(0.1), 1e-9)),
    ),
    "a large offset": (
        "rounded_away",
        "w",
        lambda: cr.diagnose(
            {"w": np.full((4, 1), 1e7, np.float32)},
            lambda m, x, y: SQUARES(x @ (m["w"] - 1e7), y),
            (X, SUMS),
            DESCENT(0.1),
        ),
    ),
    "decay": (
        "weight_decay_too_strong",
        "the optimizer",
        lambda: cr.diagnose(mlp(), SCORES, (X, LABELS), DESCENT(0.1, weight_decay=1.0)),
    ),
    "penalty": (
        "weight_decay_too_strong",
        "the loss",
        lambda: cr.diagnose(
            {"w": drawn(4, 3)},
            lambda m, x, y: SCORES(x @ m["w"], y) + 10 * (m["w"] ** 2).sum(),
            (X, LABELS),
        ),
    ),
    "sum": ("loss_summed", "the loss", lambda: cr.diagnose(mlp(classes=1), summed, (X, SUMS), DESCENT(0.05))),
    "mean of a mean": (
        "loss_averaged_twice",
        "the loss",
        lambda: cr.diagnose(mlp(classes=1), lambda p, y: SQUARES(p, y) / len(y), (X, SUMS)),
    ),
    "likelihood without its minus": (
        "uphill",
        "the loss",
        lambda: cr.diagnose(mlp(), log_likelihood, (X, LABELS)),
    ),
    "minus squares": (
        "uphill",
        "the loss",
        lambda: cr.diagnose(mlp(classes=1), lambda p, y: -SQUARES(p, y), (X, SUMS)),
    ),
    "shapes": (
        "broadcast_targets",
        "the loss",
        lambda: cr.diagnose(mlp(classes=1), lambda p, y: cr.mean((p - y) ** 2), (X, SUMS[:, 0])),
    ),
    "softmax twice": (
        "double_softmax",
        "softmax after layers.2",
        lambda: cr.diagnose(mlp(), lambda p, y: SCORES(cr.softmax(p, axis=-1), y), (X, LABELS)),
    ),
    "out of reach": (
        "unreachable_targets",
        "sigmoid after layers.2",
        lambda: cr.diagnose(mlp(classes=1), lambda p, y: SQUARES(cr.sigmoid(p), y), (X, 3 * SUMS)),
    ),
    "labels from 1": (
        "shifted_targets",
        "the targets",
        lambda: cr.diagnose(mlp(classes=4), SCORES, (X, LABELS + 1)),
    ),
    "label among the inputs": (
        "sees_the_answer",
        "feature 3 of the input",
        lambda: cr.diagnose(mlp(), SCORES, (WITH_LABEL.repeat(2, 0), LABELS.repeat(2))),
    ),
    "later symbols": (
        "sees_the_answer",
        "w",
        lambda: cr.diagnose(LANGUAGE, symbols(looks_around), (IDS[:, :-1], IDS[:, 1:])),
    ),
    "copies": (
        "shifted_targets",
        "the targets",
        lambda: cr.diagnose(LANGUAGE, symbols(looks_back), (IDS[:, :-1], IDS[:, :-1])),
    ),
    "softmax over examples": (
        "samples_mixed",
        "softmax after layers.2",
        lambda: cr.diagnose(mlp(), lambda p, y: SCORES(3 * cr.softmax(p, axis=0), y), (X, LABELS)),
    ),
    "errors cut off": (
        "clipped",
        "clip after layers.2",
        lambda: cr.diagnose(
            mlp(classes=1), lambda p, y: cr.mean(cr.clip(y - p, -0.5, 0.5) ** 2), (X, 5 * SUMS)
        ),
    ),
    "one class after the other": (
        "sorted_batches",
        "the order of the examples",
        lambda: cr.diagnose(mlp(), SCORES, [(X, np.full(32, i % 3)) for i in range(6)]),
    ),
    "copies of one unit": (
        "symmetric_initialisation",
        "layers.0",
        lambda: cr.diagnose(mlp(weight=0.1, last_weight=0.1), SCORES, (X, LABELS)),
    ),
    "raw inputs": (
        "unnormalised_inputs",
        "input of layers.0",
        lambda: cr.diagnose(mlp(), SCORES, (1000 * X, LABELS)),
    ),
    "one large input": (
        "unnormalised_inputs",
        "input of layers.0",
        lambda: cr.diagnose(mlp(), SCORES, (X * np.float32([1, 1, 1, 1e4]), LABELS)),
    ),
    "large layers": (
        "exploding_by_depth",
        "layers.0 to layers.20",
        lambda: cr.diagnose(deep(cr.relu, 10, normal(1.0)), SCORES, (X, LABELS)),
    ),
    "large embeddings": (
        "weights_too_large",
        "e",
        lambda: cr.diagnose(
            {"e": drawn(20, 8, scale=100), "w": drawn(8, 3) / 3},
            loss_of(lambda m, x: m["e"][x] @ m["w"]),
            (np.arange(32) % 20, LABELS),
        ),
    ),
    "small layers": (
        "vanishing_by_depth",
        "layers.0 to layers.6",
        lambda: cr.diagnose(deep(cr.relu, 4, normal(0.01)), SCORES, (X, LABELS)),
    ),
    "sigmoids": (
        "vanishing_by_depth",
        "layers.0 to layers.20",
        lambda: cr.diagnose(deep(cr.sigmoid, 10, cr.nn.glorot_uniform), SCORES, (X, LABELS)),
    ),
    "dead by bias": (
        "dead_relu",
        "layers.0",
        lambda: cr.diagnose(mlp(bias=-50.0, hidden=64), SCORES, (X, LABELS)),
    ),
    "far out": (
        "saturated",
        "tanh after layers.0",
        lambda: cr.diagnose(mlp(cr.tanh, weight=drawn(4, 16, scale=50)), SCORES, (X, LABELS)),
    ),
    "one branch": (
        "never_selected",
        "max after planes",
        lambda: cr.diagnose(Branches(50.0), SQUARES, (X, SUMS)),
    ),
    "nothing varies": (
        "batch_norm_constant",
        "input",
        lambda: cr.diagnose(cr.nn.Sequential(cr.nn.BatchNorm(4), mlp()), SCORES, (ALIKE, LABELS)),
    ),
    "not told": ("training_mode", "inner.layers.1", lambda: cr.diagnose(Deaf(False), SCORES, (X, LABELS))),
    "always drops": ("training_mode", "the model", lambda: cr.diagnose(Noisy(True), SCORES, (X, LABELS))),
    "cut off": ("detached", None, lambda: cr.diagnose(Cut(lambda h: h.detach()), SCORES, (X, LABELS))),
    "steps": ("step_function", None, lambda: cr.diagnose(Cut(cr.sign), SCORES, (X, LABELS))),
    "linear": (
        "no_nonlinearity",
        "layers.0 and layers.2",
        lambda: cr.diagnose(mlp(lambda h: h), SCORES, (X, LABELS)),
    ),
    "nan in the data": (
        "given_not_finite",
        None,
        lambda: cr.diagnose(mlp(), SCORES, (np.where(X[3, 1] == X, np.float32(np.nan), X), LABELS)),
    ),
    "log of 0": (
        "log_of_zero",
        None,
        lambda: cr.diagnose(
            {"w": drawn(4, 1)}, lambda m, x, y: -cr.mean(cr.log(cr.relu(x @ m["w"]))), (X, SUMS)
        ),
    ),
    "forgets": ("vanishing_recurrence", "w", lambda: recurrence(0.1)),
    "grows": ("exploding_recurrence", "w", lambda: recurrence(2.0)),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_cause_is_found_and_nothing_else(name: str):
    kind, where, call = FOUND[name]
    report = call()
    assert [f.kind for f in report.findings] == [kind], report.text
    assert where is None or report.findings[0].where == where
    assert report.findings[0].evidence and report.findings[0].remedy


HEALTHY = {
    "a warm-up from 0": lambda: cr.diagnose(
        mlp(), SCORES, (X, LABELS), ADAM(cr.optim.warm_up(1e-3, updates=1000))
    ),
    "a long warm-up from 0": lambda: cr.diagnose(
        mlp(), SCORES, (X, LABELS), ADAM(cr.optim.warm_up(1e-3, updates=10**5))
    ),
    "a large offset in float64": lambda: cr.diagnose(
        {"w": np.full((4, 1), 1e7)},
        lambda m, x, y: SQUARES(x @ (m["w"] - 1e7), y),
        (X.astype(np.float64), SUMS.astype(np.float64)),
        DESCENT(0.1),
    ),
    "a code of few units": lambda: cr.diagnose(mlp(bias=-1.0, hidden=64), SCORES, (X, LABELS), ADAM(1e-3)),
    "a sum with a small rate": lambda: cr.diagnose(mlp(classes=1), summed, (X, SUMS), DESCENT(1e-3)),
    "a sum with adam": lambda: cr.diagnose(mlp(classes=1), summed, (X, SUMS), ADAM(1e-3)),
    "a limit that is seldom reached": lambda: cr.diagnose(
        mlp(), SCORES, (X, LABELS), cr.optim.clip_by_norm(DESCENT(0.1), 1.0)
    ),
    "usual decay": lambda: cr.diagnose(mlp(), SCORES, (X, LABELS), DESCENT(0.1, weight_decay=1e-4)),
    "a small penalty": lambda: cr.diagnose(
        {"w": drawn(4, 3)},
        lambda m, x, y: SCORES(x @ m["w"], y) + 1e-4 * (m["w"] ** 2).sum(),
        (X, LABELS),
    ),
    "negative log-likelihood by hand": lambda: cr.diagnose(
        mlp(), lambda p, y: -log_likelihood(p, y), (X, LABELS), ADAM(1e-3)
    ),
    "weighted examples by hand": lambda: cr.diagnose(
        mlp(),
        lambda p, y: cr.mean(
            cr.log_softmax(p, axis=-1)[np.arange(32), y] * -np.linspace(0, 2, 32, dtype=np.float32)
        ),
        (X, LABELS),
        ADAM(1e-3),
    ),
    "minus distances as scores": lambda: cr.diagnose(
        mlp(), lambda p, y: SCORES(-p, y), (X, LABELS), ADAM(1e-3)
    ),
    "classes in another order": lambda: cr.diagnose(
        mlp(), lambda p, y: SCORES(p[:, np.array([2, 0, 1])], y), (X, LABELS), ADAM(1e-3)
    ),
    "pairs of a batch": lambda: cr.diagnose(
        mlp(classes=8), lambda p, y: SCORES(p @ p.T, np.arange(len(y))), (X, LABELS), ADAM(1e-3)
    ),
    "targets in reach": lambda: cr.diagnose(
        mlp(classes=1), lambda p, y: SQUARES(cr.sigmoid(p), y), (X, (SUMS > 0).astype(np.float32))
    ),
    "huber": lambda: cr.diagnose(mlp(classes=1), cr.nn.huber, (X, 5 * SUMS)),
    "yes and no": lambda: cr.diagnose(
        mlp(classes=1), cr.nn.binary_cross_entropy, (X, (SUMS > 0).astype(np.float32))
    ),
    "a class that is missing by chance": lambda: cr.diagnose(mlp(classes=4), SCORES, (X, LABELS)),
    "shuffled batches": lambda: cr.diagnose(
        mlp(), SCORES, [(X, np.random.default_rng(i).permutation(LABELS)) for i in range(6)], ADAM(1e-3)
    ),
    "symmetry that the last layer breaks": lambda: cr.diagnose(mlp(weight=0.1), SCORES, (X, LABELS)),
    "a last layer of zeros": lambda: cr.diagnose(mlp(last_weight=0.0), SCORES, (X, LABELS), ADAM(1e-3)),
    "a start at zero of one layer": lambda: cr.diagnose(
        {"w": np.zeros((4, 3))}, loss_of(lambda m, x: x @ m["w"]), (X, LABELS), DESCENT(0.1)
    ),
    "yes and no as inputs": lambda: cr.diagnose(mlp(), SCORES, ((X > 0).astype(np.float32), LABELS)),
    "many layers of relu": lambda: cr.diagnose(deep(cr.relu, 10), SCORES, (X, LABELS)),
    "branches alike": lambda: cr.diagnose(Branches(0.0), SQUARES, (X, SUMS)),
    "a bottleneck": lambda: cr.diagnose(
        cr.nn.Sequential(cr.nn.Linear(4, 2, key=KEYS[0]), cr.nn.Linear(2, 4, key=KEYS[1])), SQUARES, (X, X)
    ),
    "batch norm of what varies": lambda: cr.diagnose(
        cr.nn.Sequential(cr.nn.BatchNorm(4), mlp()), SCORES, (X, LABELS)
    ),
    "told": lambda: cr.diagnose(Deaf(True), SCORES, (X, LABELS)),
    "drops in training": lambda: cr.diagnose(Noisy(False), SCORES, (X, LABELS)),
    "the next symbol": lambda: cr.diagnose(LANGUAGE, symbols(looks_back), (IDS[:, :-1], IDS[:, 1:])),
    "a recurrence that keeps": lambda: recurrence(0.9),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_what_only_looks_alike(name: str):
    report = HEALTHY[name]()
    assert report.healthy, report.text


def test_a_proof_changes_just_the_cause():
    for name, text in (
        ("wrong step: too high", "of the same update takes the loss to"),
        ("dead by bias", "with the biases of layers.0 at 0, 0 units would be off"),
        ("softmax twice", "given the scores the loss is 1."),
        ("raw inputs", "with each feature at mean 0 and deviation 1 the loss is 1."),
        ("large layers", "with each of these weights made smaller by that factor the loss is "),
        ("clipped to nothing", "one update without clipping takes the loss to 1."),
    ):
        (finding,) = FOUND[name][2]().findings
        assert text in finding.proof and finding.confidence > 0.9


def test_the_proof_of_dead_units_holds():
    model = mlp(bias=-50.0, hidden=64)
    assert cr.diagnose(model, SCORES, (X, LABELS)).layers[0].off == 1.0
    alive = cr.diagnose(mlp(bias=0.0, hidden=64), SCORES, (X, LABELS))
    assert alive.healthy and alive.layers[0].off == 0.0
    assert len(trees.leaves(model)) == 4


def test_the_line_of_the_user_is_named():
    (finding,) = FOUND["shapes"][2]().findings
    assert finding.source is not None and finding.source.file == __file__
    assert "cr.mean((p - y) ** 2)" in finding.source.text
