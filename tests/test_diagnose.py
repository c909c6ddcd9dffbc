"""cr.diagnose: its numbers, what it says of healthy networks and of bad input, and that nothing is changed by it."""

from __future__ import annotations

import json
import math
import random
from html import escape

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors, trees
from chainrule.explain.diagnosis import subject
from small_networks import IDS, LABELS, X, drawn, mlp

IMAGES = drawn(32, 8, 8, 1).astype(np.float32)
LOSS = cr.nn.softmax_cross_entropy
SIX_STEPS = cr.optim.adam(1e-3)


def convolutional():
    keys = cr.random.split(cr.random.key(0), 2)
    return cr.nn.Sequential(
        cr.nn.Conv2d(1, 8, 3, key=keys[0]),
        cr.nn.BatchNorm(8),
        cr.relu,
        cr.nn.MaxPool2d(2),
        cr.nn.Flatten(),
        cr.nn.Dropout(0.1),
        cr.nn.Linear(72, 3, key=keys[1]),
    )


def linear(seed=0, columns=3):
    rng = np.random.default_rng(seed)
    return {"w": rng.standard_normal((4, columns)), "b": np.zeros(columns)}


def affine_loss(model, x, y):
    return LOSS(x @ model["w"] + model["b"], y)


class Reader(cr.nn.Module):
    """A recurrence, and a head on its last step."""

    def __init__(self) -> None:
        keys = cr.random.split(cr.random.key(0), 2)
        self.steps = cr.nn.LSTM(4, 16, key=keys[0], returns="last")
        self.head = cr.nn.Linear(16, 3, key=keys[1])

    def __call__(self, x):
        return self.head(self.steps(x))


def next_symbol(scores, ids):
    return LOSS(scores.reshape((-1, 20)), ids.reshape(-1))


HEALTHY = {
    "relu": lambda: cr.diagnose(mlp(), LOSS, (X, LABELS), SIX_STEPS),
    "tanh": lambda: cr.diagnose(mlp(cr.tanh), LOSS, (X, LABELS), cr.optim.momentum(0.05)),
    "without an optimizer": lambda: cr.diagnose(mlp(), LOSS, (X, LABELS)),
    "convolutions and batch norm": lambda: cr.diagnose(convolutional(), LOSS, (IMAGES, LABELS), SIX_STEPS),
    "lstm": lambda: cr.diagnose(Reader(), LOSS, (IMAGES[:, :, :4, 0], LABELS), SIX_STEPS),
    "transformer": lambda: cr.diagnose(
        cr.models.transformer(20, 32, 2, 2, 16, key=cr.random.key(0), dropout=0.1),
        next_symbol,
        (IDS[:, :-1], IDS[:, 1:]),
        cr.optim.adamw(1e-3),
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_a_healthy_network(name: str):
    report = HEALTHY[name]()
    assert report.findings == () and report.healthy
    assert report.text.startswith("Nothing wrong was found in 7 backward passes, ")
    assert len(report.losses) == 7 and all(map(math.isfinite, report.losses))


def test_nothing_is_found_before_and_after_training():
    model, data, loss, optimizer, settings = cr.models.digits_classifier()
    trained = cr.train.fit(model, data, loss, optimizer, **{**settings, "epochs": 5}).model
    before, after = (cr.diagnose(m, loss, data, optimizer) for m in (model, trained))
    assert before.healthy and after.healthy
    assert after.losses[0] < 0.2 < before.losses[0]


def broken():
    """Two causes: a layer cut off, and one that is never used."""

    class Broken(cr.nn.Module):
        def __init__(self) -> None:
            keys = cr.random.split(cr.random.key(0), 3)
            self.first, self.second, self.third = (
                cr.nn.Linear(*shape, key=key)
                for shape, key in zip(((4, 8), (8, 3), (8, 3)), keys, strict=True)
            )

        def __call__(self, x):
            return self.second(cr.relu(self.first(x)).detach())

    return Broken()


def test_findings_are_complete_in_text_html_and_json():
    report = cr.diagnose(broken(), LOSS, (X, LABELS), SIX_STEPS)
    assert [f.kind for f in report.findings] == ["detached", "not_used"]
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (data["version"], data["healthy"], data["raised"]) == (1, False, None)
    assert data == report.to_dict()
    html = report._repr_html_()
    for finding, given in zip(report.findings, data["findings"], strict=True):
        assert 0 < finding.confidence <= 1 and finding.evidence and finding.remedy and finding.cause
        assert given["kind"] == finding.kind and given["evidence"] == list(finding.evidence)
        for part in (finding.title, *(text for _, text in finding.rows)):
            assert part in report.text and escape(part) in html
    assert report.findings[0].source.text.endswith(".detach())")
    assert data["findings"][0]["source"]["line"] == report.findings[0].source.line
    assert str(report) == report.text and "2 findings in 7 backward passes" in html
    for row, given in zip(report.layers, data["layers"], strict=True):
        assert given["name"] == row.name and row.name in report.text and row.name in html
        assert given["output"] == row.output
    assert [row.name for row in report.layers] == ["first", "second"]


def test_a_loss_that_is_no_number_is_text_in_json():
    report = cr.diagnose(mlp(), lambda scores, y: LOSS(scores, y) * float("nan"), (X, LABELS))
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["losses"] == ["NaN"] and math.isnan(report.losses[0])
    assert (report.layers, report.noise, report.stretches, report.chance) == ((), None, (), None)
    assert not report.healthy and "nan" in report.text.lower() and "nan" in report._repr_html_().lower()


def test_names_are_escaped_in_html():
    name = "<script>&"
    model = {name: np.zeros((4, 3)), "w": linear()["w"]}
    report = cr.diagnose(model, lambda m, x, y: LOSS(x @ m["w"], y), (X, LABELS))
    assert [f.where for f in report.findings] == [name] and name in report.text
    assert "<script>" not in report._repr_html_() and "&lt;script&gt;&amp;" in report._repr_html_()


def size(array):
    return float(np.sqrt(np.mean(np.square(np.asarray(array, np.float64)))))


def test_the_numbers_of_layers_are_those_of_numpy():
    model = mlp(hidden=5)
    w1, b1, w2, b2 = (np.asarray(p.numpy(), np.float64) for p in trees.leaves(model))
    report = cr.diagnose(model, LOSS, (X, LABELS), cr.optim.gradient_descent(0.1), steps=1)
    z1 = X @ w1 + b1
    a1 = np.maximum(z1, 0)
    z2 = a1 @ w2 + b2
    p = np.exp(z2) / np.exp(z2).sum(axis=1, keepdims=True)
    delta2 = (p - np.eye(3)[LABELS]) / 32
    delta1 = (delta2 @ w2.T) * (z1 > 0)
    gradients = X.T @ delta1, a1.T @ delta2
    for row, z, delta, gradient, w in zip(
        report.layers, (z1, z2), (delta1, delta2), gradients, (w1, w2), strict=True
    ):
        numbers = (row.output, row.delta, row.gradient, row.weight, row.update)
        expected = (size(z), size(delta), size(gradient), size(w), 0.1 * size(gradient) / size(w))
        np.testing.assert_allclose(numbers, expected, rtol=1e-4)
    assert report.layers[0].off == np.mean((z1 <= 0).all(axis=0)) and report.layers[1].off is None
    np.testing.assert_allclose(report.losses[0], -np.mean(np.log(p[np.arange(32), LABELS])), rtol=1e-5)
    assert report.parameters == sum(w.size for w in (w1, b1, w2, b2))


def test_the_numbers_of_layers_are_those_of_backward():
    keys = cr.random.split(cr.random.key(1), 2)
    first = cr.nn.Conv2d(1, 3, 3, key=keys[0])
    last = cr.nn.Linear(108, 3, key=keys[1])
    z = first(IMAGES)
    z.retain_grad()
    LOSS(last(cr.tanh(z).reshape((32, -1))), LABELS).backward()
    report = cr.diagnose(cr.nn.Sequential(first, cr.tanh, cr.nn.Flatten(), last), LOSS, (IMAGES, LABELS))
    row = report.layers[0]
    expected = size(z.numpy()), size(z.grad.numpy()), size(first.weight.grad.numpy())
    np.testing.assert_allclose((row.output, row.delta, row.gradient), expected, rtol=1e-5)


@pytest.mark.parametrize("classes", [3, 7])
def test_chance_is_the_loss_of_equal_scores(classes: int):
    report = cr.diagnose(mlp(classes=classes), LOSS, (X, LABELS))
    assert report.chance == pytest.approx(math.log(classes), rel=1e-6)
    targets = X[:, :1]
    report = cr.diagnose(mlp(classes=1), cr.nn.mean_squared_error, (X, targets))
    assert report.chance == pytest.approx(float(np.mean(targets**2)), rel=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_noise_is_that_of_gradients_one_by_one(penalty: float):
    model = linear()

    def loss(m, x, y):
        value = affine_loss(m, x, y)
        return value + penalty * (m["w"] ** 2).sum() if penalty else value

    def gradient(rows):
        found = cr.grad(loss)({name: cr.tensor(v) for name, v in model.items()}, X[rows], LABELS[rows])
        return np.concatenate([found[name].numpy().ravel() for name in sorted(found)])

    noise = cr.diagnose(model, loss, (X, LABELS)).noise
    picked = np.linspace(0, 31, 8).round().astype(int)
    whole = gradient(slice(None))
    distances = [np.linalg.norm(gradient([i]) - whole) for i in picked]
    spread = np.sqrt(np.mean(np.square(distances))) / np.linalg.norm(whole)
    np.testing.assert_allclose((noise.spread, noise.scale), (spread, spread**2), rtol=1e-6)
    assert noise.examples == 8


def test_stretches_compare_the_slope_with_the_loss():
    model = linear()
    values = {name: cr.tensor(v) for name, v in model.items()}
    gradients = cr.grad(affine_loss)(values, X, LABELS)
    squares = sum(float((g.numpy() ** 2).sum()) for g in gradients.values())
    start = affine_loss(values, X, LABELS).item()
    report = cr.diagnose(model, affine_loss, (X, LABELS), cr.optim.gradient_descent(0.2))
    assert [s.length for s in report.stretches] == [0.1, 1.0, 10.0, 100.0]
    for stretch in report.stretches:
        moved = {n: cr.tensor(v - stretch.length * 0.2 * gradients[n].numpy()) for n, v in model.items()}
        assert stretch.predicted == pytest.approx(-stretch.length * 0.2 * squares, rel=1e-6)
        assert stretch.actual == pytest.approx(affine_loss(moved, X, LABELS).item() - start, rel=1e-6)


def fails(scores, y):
    np.random.random(), random.random()
    raise ZeroDivisionError


@pytest.mark.parametrize("loss", [LOSS, fails])
def test_nothing_is_changed(loss):
    model = convolutional()
    leaves = [(p, p.value, p.numpy().copy(), p.grad) for p in trees.leaves(model)]
    buffers = {path: b.value.numpy().copy() for path, b in model.named_buffers().items()}
    images, labels = IMAGES.copy(), LABELS.copy()
    legacy, own = np.random.get_state()[1].copy(), random.getstate()
    if loss is fails:
        with pytest.raises(ZeroDivisionError):
            cr.diagnose(model, loss, (images, labels))
    else:
        cr.diagnose(model, loss, (images, labels), SIX_STEPS)
    assert np.array_equal(np.random.get_state()[1], legacy) and random.getstate() == own
    assert np.array_equal(images, IMAGES) and np.array_equal(labels, LABELS)
    for p, value, numbers, gradient in leaves:
        assert p.value is value and np.array_equal(value, numbers) and p.grad is gradient
    assert [id(p) for p, *_ in leaves] == [id(p) for p in trees.leaves(model)]
    for path, b in model.named_buffers().items():
        assert np.array_equal(b.value.numpy(), buffers[path])


def test_the_same_report_every_time(monkeypatch: pytest.MonkeyPatch):
    reports = []
    for threads in ("1", "2", "2"):
        monkeypatch.setenv("CHAINRULE_THREADS", threads)
        reports.append(cr.diagnose(convolutional(), LOSS, (IMAGES, LABELS), SIX_STEPS).to_dict())
        np.random.random()
    assert reports[0] == reports[1] == reports[2]
    other = cr.diagnose(convolutional(), LOSS, (IMAGES, LABELS), SIX_STEPS, key=cr.random.key(1)).to_dict()
    assert other["losses"] != reports[0]["losses"]  # the key is what dropout draws with


def test_batches_may_be_nested():
    model = {"left": linear(0)["w"], "right": linear(1)["w"]}

    def loss(m, x, y):
        return LOSS(x[0] @ m["left"] + x[1] @ m["right"], y["label"])

    report = cr.diagnose(model, loss, ((X, X[::-1].copy()), {"label": LABELS}))
    expected = loss(model, (cr.tensor(X), cr.tensor(X[::-1].copy())), {"label": LABELS}).item()
    assert report.healthy and report.losses[0] == pytest.approx(expected, rel=1e-6)
    assert [row.name for row in report.layers] == ["left", "right"] and report.noise is not None


def test_batches_of_a_list_take_turns():
    batches = [(X[:16], LABELS[:16]), (X[16:], LABELS[16:])]
    seen = []

    def loss(scores, y):
        seen.append(y.copy())
        return LOSS(scores, y)

    cr.diagnose(mlp(), loss, batches, steps=3)
    passes = [y for y in seen if len(y) == 16][-4:]
    for i, y in enumerate(passes):
        assert np.array_equal(y, batches[i % 2][1])


def test_a_data_set_gives_prepared_batches():
    data = cr.data.Dataset(
        (X * 50 + 300).repeat(8, 0), LABELS.repeat(8), X, LABELS, ("a", "b", "c")
    ).standardized()
    report = cr.diagnose(mlp(), LOSS, data, SIX_STEPS)
    assert report.healthy and report.noise.examples == 8
    raw = cr.diagnose(mlp(), LOSS, (data.train_x[::4], data.train_y[::4]), SIX_STEPS)
    assert [f.kind for f in raw.findings] == ["unnormalised_inputs"]


def test_of_large_batches_some_examples_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    seen = []

    def loss(scores, y):
        seen.append(len(y))
        return LOSS(scores, y)

    monkeypatch.setattr(subject, "MOST_NUMBERS", 3000)
    report = cr.diagnose(mlp(), loss, (X.repeat(40, 0), LABELS.repeat(40)))
    few, *rest = seen
    assert few == 2 and len(set(rest)) == 1 and 16 <= rest[0] < 100
    assert report.healthy


def test_a_model_that_takes_one_size_of_batch():
    class Fixed(cr.nn.Module):
        def __init__(self) -> None:
            self.inner = mlp()

        def __call__(self, x):
            assert x.shape[0] == 32, "made for 32 examples"
            return self.inner(x)

    assert cr.diagnose(Fixed(), LOSS, (X, LABELS)).healthy
    with pytest.raises(AssertionError, match="made for 32") as raised:
        cr.diagnose(Fixed(), LOSS, (X[:20], LABELS[:20]))
    assert raised.value.__notes__ == ["  In:  the model (Fixed), given float32(20, 4)"]


def test_few_steps_and_examples():
    report = cr.diagnose(mlp(), LOSS, (X[:1], LABELS[:1]), SIX_STEPS, steps=1)
    assert report.healthy and len(report.losses) == 2 and report.noise is None
    assert cr.diagnose(mlp(), LOSS, (X.tolist(), LABELS.tolist())).healthy
    assert cr.diagnose(mlp(), LOSS, (cr.tensor(X), cr.tensor(LABELS))).healthy
    with cr.no_grad():
        assert cr.diagnose(mlp(), LOSS, (X, LABELS), SIX_STEPS).layers[0].gradient > 0


def test_what_is_trained_counts():
    class Shifted(cr.nn.Module):
        def __init__(self) -> None:
            self.inner, self.shift = mlp(), cr.tensor(np.ones(3, np.float32))
            self.order = cr.tensor(np.array([2, 0, 1]))

        def __call__(self, x):
            return (self.inner(x) * self.shift)[:, self.order.numpy()]

    report = cr.diagnose(Shifted(), LOSS, (X, LABELS), SIX_STEPS)
    assert report.healthy and report.parameters == mlp().summary().total + 3  # integers are not trained


def mlp_of(loss, batch=(X, LABELS), **settings):
    return lambda: cr.diagnose(mlp(), loss, batch, **settings)


WRONG = {
    "no parameters": (
        lambda: cr.diagnose(cr.nn.Sequential(cr.relu), LOSS, (X, LABELS)),
        errors.ArgumentError,
        "Sequential has no parameters",
    ),
    "no model": (
        lambda: cr.diagnose(linear(), LOSS, (X, LABELS)),
        errors.OperandError,
        "dict, which cannot be called",
    ),
    "one path twice": (
        lambda: cr.diagnose({"a.b": X, "a": {"b": X}}, lambda m, x, y: cr.mean(m["a.b"]), (X, LABELS)),
        errors.StructureError,
        "two parameters have the path 'a.b'",
    ),
    "integers as parameters": (
        lambda: cr.diagnose({**linear(), "n": LABELS}, affine_loss, (X, LABELS)),
        errors.DTypeError,
        "n is int64",
    ),
    "no pair": (mlp_of(LOSS, X), errors.ArgumentError, "a batch is a pair (x, y), got ndarray"),
    "three things": (mlp_of(LOSS, (X, X, X)), errors.ArgumentError, "got 3 things"),
    "no batch": (mlp_of(LOSS, []), errors.ArgumentError, "got 0 things"),
    "no examples": (mlp_of(LOSS, (X[:0], LABELS[:0])), errors.ShapeError, "no losses"),
    "no function": (mlp_of("mse"), errors.OperandError, "loss is str, expected a function"),
    "one argument": (mlp_of(lambda scores: scores), errors.OperandError, "it takes neither"),
    "four arguments": (mlp_of(lambda m, x, y, z: m), errors.OperandError, "it takes neither"),
    "no optimizer": (mlp_of(LOSS, optimizer=0.1), errors.OperandError, "optimizer is float"),
    "a maker of optimizers": (mlp_of(LOSS, optimizer=cr.optim.adam), errors.OperandError, "is function"),
    "no steps": (mlp_of(LOSS, steps=0), errors.ArgumentError, "steps must be at least 1, got 0"),
    "half a step": (mlp_of(LOSS, steps=0.5), errors.ArgumentError, "steps must be an integer"),
    "many losses": (mlp_of(lambda scores, y: scores), errors.GradientError, "has shape (32, 3)"),
    "an integer": (mlp_of(lambda scores, y: 3), errors.GradientError, "int64, which has no derivative"),
    "nothing": (mlp_of(lambda scores, y: None), errors.GradientError, "loss returns None"),
    "chance": (
        mlp_of(lambda scores, y: LOSS(scores, y) * np.random.random()),
        errors.GradientError,
        "something in it is random",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_said(name: str):
    call, kind, message = WRONG[name]
    with pytest.raises(kind) as raised:
        call()
    assert type(raised.value) is kind and message in raised.value.message and raised.value.fix


def test_an_error_in_the_model_has_a_place():
    with pytest.raises(errors.ShapeError) as raised:
        cr.diagnose(mlp(), LOSS, (X[:, :3], LABELS))
    assert raised.value.message.startswith("layers.0 (Linear), given float32(32, 3): Linear: expected 4")


class Fails(cr.nn.Module):
    def __init__(self, error: Exception) -> None:
        self.inner, self.error = mlp(), error

    def __call__(self, x):
        raise self.error


class Falls(cr.nn.Module):
    """Tries one layer after the other."""

    def __init__(self, *layers) -> None:
        self.layers = list(layers)

    def __call__(self, x):
        for layer in self.layers[:-1]:
            try:
                layer(x)
            except ValueError:
                continue
        return self.layers[-1](x)


def test_an_error_that_is_not_of_chainrule_keeps_its_type_and_gets_a_note():
    with pytest.raises(KeyError) as raised:
        cr.diagnose(cr.nn.Sequential(mlp(classes=4), Fails(KeyError("k"))), LOSS, (X, LABELS))
    assert "  In:  layers.1 (Fails), given float32(32, 4)" in raised.value.__notes__


def test_an_error_that_the_model_catches_does_not_take_the_place_of_another():
    class Raises(cr.nn.Module):
        def __init__(self) -> None:
            self.inner = mlp()

        def __call__(self, x):
            raise ValueError(x)

    assert cr.diagnose(Falls(Raises(), Raises(), mlp()), LOSS, (X, LABELS)).losses
    with pytest.raises(ValueError, match="tensor") as raised:
        cr.diagnose(Falls(Raises(), Raises(), Raises()), LOSS, (X, LABELS))
    assert raised.value.__notes__ == ["  In:  layers.2 (Raises), given float32(32, 4)"]
