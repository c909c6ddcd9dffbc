"""Models: published sizes, what they accept and refuse, and how they are built from descriptions."""

from __future__ import annotations

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import models, trees
from chainrule.errors import ArgumentError, AxisError, ChainruleError, DTypeError, ShapeError, StructureError

KEY = cr.random.key(0)


def says(error: type[ChainruleError], text: str):
    """The error is raised, and its text with the fix contains this one."""
    return pytest.raises(error, match=text)


def images(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_mlp():
    model = models.mlp((2, 8, 8, 1), cr.tanh, key=KEY, dtype=cr.float64)
    assert [getattr(f, "__name__", "Linear") for f in model.layers] == ["Linear", "tanh"] * 2 + ["Linear"]
    weights = [model.layers[0].weight, model.layers[2].weight]
    assert weights[0].dtype == cr.float64 and weights[0][0, 0].item() != weights[1][0, 0].item()
    with says(ArgumentError, r"mlp: expected .* got \(64,\)"):
        models.mlp((64,), cr.tanh, key=KEY)


# Classifiers


@pytest.mark.parametrize("size", [28, 30, 31, 32, 33])
def test_lenet_has_the_published_size(size: int):
    model = models.lenet((size, size, 1), key=KEY)
    assert model.summary().total == 61_706
    assert model(images(2, size, size, 1)).shape == (2, 10)


def test_shapes_of_classifiers():
    assert models.lenet((12, 20, 3), 4, key=KEY)(images(2, 12, 20, 3)).shape == (2, 4)
    assert models.cnn((28, 28, 1), 10, key=KEY).summary().total == 421_642
    assert models.cnn((4, 7, 2), 3, key=KEY)(images(2, 4, 7, 2)).shape == (2, 3)
    assert models.linear((64,), 10, key=KEY)(images(2, 64)).shape == (2, 10)
    assert models.linear((8, 8, 1), 10, key=KEY)(images(0, 8, 8, 1)).shape == (0, 10)


@pytest.mark.parametrize("make", [models.lenet, models.cnn], ids=lambda f: f.__name__)
def test_images_that_do_not_fit(make):
    name, model = make.__name__, make((28, 28, 1), 10, key=KEY)
    with says(
        ShapeError, rf"{name}: expected examples of shape \(N, 28, 28, 1\), got \(2, 4, 4, 1\)\n  Fix: resize"
    ):
        model(images(2, 4, 4, 1))
    for x, fix in (
        (images(28, 28, 1), r"x\[None\]"),
        (images(2, 28, 28), r"x\[..., None\]"),
        (images(2, 1, 28, 28), "channels last"),
        (images(2, 784), r"x.reshape\(\(-1, 28, 28, 1\)\)"),
        (images(2, 28, 28, 3), r"input_shape=\(28, 28, 3\)"),
    ):
        with says(ShapeError, rf"got \({x.shape[0]}, .*\n  Fix: .*{fix}"):
            model(x)
    with says(DTypeError, f"{name}: expected floats, got int64"):
        model(np.ones((2, 28, 28, 1), np.int64))
    with says(ArgumentError, f"{name}: classes must be at least 1, got 0"):
        make((28, 28, 1), 0, key=KEY)
    with says(ShapeError, rf"{name}: expected images, \(H, W, C\), got \(28, 28\)\n  Fix: grey"):
        make((28, 28), 10, key=KEY)


def test_images_that_are_too_small():
    with says(ShapeError, "lenet: expected images of at least 12 × 12, got 4 × 4"):
        models.lenet((4, 4, 1), key=KEY)
    with says(ShapeError, "cnn: expected images of at least 4 × 4, got 8 × 3"):
        models.cnn((8, 3, 1), 10, key=KEY)
    models.lenet((12, 12, 1), key=KEY)(images(1, 12, 12, 1))
    models.cnn((4, 4, 1), 10, key=KEY)(images(1, 4, 4, 1))


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "lenet", "resnet20"])
def test_no_images_have_no_scores(name: str):
    model = models.build({"name": name, "input_shape": [12, 12, 1], "classes": 3}, key=KEY)
    assert model.predict(images(0, 12, 12, 1)).shape == (0, 3)
    assert cr.compile(model)(images(0, 12, 12, 1)).shape == (0, 3)
    with says(ShapeError, "mean of no losses"):
        cr.nn.softmax_cross_entropy(model(images(0, 12, 12, 1)), np.zeros(0, np.int64))


def test_a_nan_is_not_hidden():
    for model in (models.lenet(key=KEY), models.cnn((28, 28, 1), 10, key=KEY)):
        x = images(2, 28, 28, 1)
        x[0, 14, 14] = np.nan
        y = model(x).numpy()
        assert np.isnan(y[0]).all() and np.isfinite(y[1]).all()


@pytest.mark.parametrize(("name", "rate"), [("linear", 1e-2), ("mlp", 1e-2), ("lenet", 1e-2), ("cnn", 1e-3)])
def test_classifiers_learn_what_they_see(name: str, rate: float):
    model = models.build({"name": name, "input_shape": [12, 12, 1], "classes": 3}, key=KEY)
    x, y = np.random.default_rng(0).normal(size=(12, 12, 12, 1)).astype(np.float32), np.arange(12) % 3
    step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(rate))
    losses = [step(x, y).item() for _ in range(40)]
    assert losses[-1] < 0.1 < losses[0]
    assert (step.model.predict(x).argmax(-1) == y).all()


# Descriptions


@pytest.mark.parametrize("name", models.NAMES)
def test_full_descriptions_are_json_and_full(name: str):
    description = {"name": name, "input_shape": [12, 12, 1], "classes": 3}
    full = json.loads(json.dumps(models.full_description(description)))
    assert models.full_description(full) == full and full.items() >= description.items()


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn", "lenet", "resnet20", "resnet18"])
def test_models_are_built_by_name(name: str):
    description = {"name": name, "input_shape": [12, 12, 1], "classes": 3}
    model = models.build(description, key=KEY)
    again = models.build(models.full_description(description), key=KEY)
    x = images(2, 12, 12, 1)
    assert model(x).shape == (2, 3)
    np.testing.assert_array_equal(model(x).numpy(), again(x).numpy())


def test_an_mlp_by_description():
    description = {"name": "mlp", "input_shape": (2, 3), "classes": 4, "hidden": [5, 6], "activation": "tanh"}
    model = models.build(description, key=KEY)
    assert [getattr(layer, "__name__", type(layer).__name__) for layer in model.layers] == [
        *("Flatten", "Linear", "tanh", "Linear", "tanh", "Linear")
    ]
    assert model.summary().total == 6 * 5 + 5 + 5 * 6 + 6 + 6 * 4 + 4
    assert model(images(7, 2, 3)).shape == (7, 4)
    linear = models.build({"name": "mlp", "input_shape": [6], "classes": 4, "hidden": []}, key=KEY)
    assert linear.summary().total == 28
    assert description["input_shape"] == (2, 3)


def test_a_description_depends_on_nothing_else():
    full = models.full_description({"name": "mlp", "input_shape": [64], "classes": 10})
    assert full == {
        "name": "mlp",
        "input_shape": [64],
        "classes": 10,
        "hidden": [128],
        "activation": "relu",
    }
    full["hidden"].append(3)
    assert models.full_description({"name": "mlp", "input_shape": [64], "classes": 10})["hidden"] == [128]


MLP = {"name": "mlp", "input_shape": [64], "classes": 10}


@pytest.mark.parametrize(
    ("description", "kind", "text"),
    [
        ("mlp", ArgumentError, "model: expected a description, got 'mlp'"),
        ([], ArgumentError, "model: expected a description"),
        ({}, ArgumentError, "model: the description lacks 'name'\n  Fix: choose from linear, mlp"),
        ({**MLP, "name": "resnet21"}, ArgumentError, "unknown name 'resnet21'\n  Fix: did you mean 'resnet"),
        ({**MLP, "name": ["mlp"]}, ArgumentError, r"unknown name \['mlp'\]"),
        ({**MLP, "name": "m" * 10**6}, ArgumentError, "unknown name 'mmm"),
        (
            {**MLP, "hiden": [3]},
            ArgumentError,
            "mlp: unknown key 'hiden' in the .*\n  Fix: did you mean 'hidden'",
        ),
        ({**MLP, "name": "linear", "hidden": [3]}, ArgumentError, "linear: unknown key 'hidden'"),
        ({**MLP, 3: 4}, ArgumentError, "mlp: unknown key 3"),
        ({"name": "mlp", "classes": 10}, ArgumentError, "mlp: the description lacks 'input_shape'"),
        ({"name": "mlp", "input_shape": [64]}, ArgumentError, "mlp: the description lacks 'classes'"),
        ({**MLP, "classes": 0}, ArgumentError, "classes must be at least 1, got 0"),
        ({**MLP, "classes": True}, ArgumentError, "classes must be an integer, got True"),
        ({**MLP, "classes": 2.0}, ArgumentError, "classes must be an integer, got 2.0"),
        ({**MLP, "classes": -(10**5000)}, ArgumentError, "classes must be at least 1, got a very long int"),
        ({**MLP, "classes": None}, ArgumentError, "classes must be an integer, got None"),
        ({**MLP, "input_shape": 64}, ShapeError, "input_shape must be a list of sizes, got 64"),
        ({**MLP, "input_shape": "64"}, ShapeError, "input_shape must be a list of sizes, got '64'"),
        ({**MLP, "input_shape": []}, ShapeError, "expected the shape of one example"),
        ({**MLP, "input_shape": [0]}, ShapeError, "expected the shape of one example"),
        ({**MLP, "input_shape": [-3]}, ShapeError, "must not be negative"),
        ({**MLP, "input_shape": [1] * 10**6}, ShapeError, "input_shape must be a list of sizes, got"),
        ({**MLP, "input_shape": [[8], 8]}, ArgumentError, r"must be an integer, got \[8\]"),
        ({**MLP, "input_shape": [float("nan")]}, ArgumentError, "must be an integer, got nan"),
        ({**MLP, "hidden": 128}, ArgumentError, "hidden must be a list of at most 64 sizes, got 128"),
        ({**MLP, "hidden": [1] * 65}, ArgumentError, "hidden must be a list of at most 64 sizes"),
        ({**MLP, "hidden": [0]}, ArgumentError, "each size of hidden must be at least 1, got 0"),
        ({**MLP, "hidden": ["9"]}, ArgumentError, "each size of hidden must be an integer, got '9'"),
        (
            {**MLP, "activation": "rely"},
            ArgumentError,
            "unknown activation 'rely'\n  Fix: did you mean 'relu'",
        ),
        ({**MLP, "activation": "__import__"}, ArgumentError, "unknown activation '__import__'"),
        ({**MLP, "hidden": [10**9]}, ArgumentError, "would have 74000000000 weights, the most is 268435456"),
        ({**MLP, "hidden": [2**14] * 64}, ArgumentError, "weights, the most is"),
        ({**MLP, "name": "linear", "input_shape": [2**20], "classes": 2**20}, ArgumentError, "the most is"),
        (
            {"name": "cnn", "input_shape": [2**12, 2**12, 3], "classes": 10},
            ArgumentError,
            "cnn: the model would have .* weights",
        ),
        ({"name": "resnet18", "input_shape": [8, 8, 2**30], "classes": 10}, ArgumentError, "the most is"),
        ({**MLP, "name": "resnet20"}, ShapeError, r"resnet20: expected images, \(H, W, C\), got \(64,\)"),
        (
            {"name": "lenet", "input_shape": [4, 4, 1], "classes": 10},
            ShapeError,
            "at least 12 × 12, got 4 × 4",
        ),
    ],
    ids=lambda value: (
        value["name"] if isinstance(value, dict) and isinstance(value.get("name"), str) else None
    ),
)
def test_hostile_descriptions(description, kind, text):
    for take in (models.full_description, lambda d: models.build(d, key=KEY)):
        with says(kind, text):
            take(description)


# The transformer


def formula(vocabulary: int, width: int, layers: int, context: int) -> int:
    return (vocabulary + context + 2) * width + layers * (12 * width**2 + 13 * width)


def test_a_transformer_has_the_size_that_it_says():
    assert formula(50257, 768, 12, 1024) == 124_439_808  # the smallest GPT-2
    model = models.transformer(11, 8, 2, 3, 7, key=KEY)
    assert model.summary().total == formula(11, 8, 3, 7)


def test_a_transformer_does_not_look_ahead():
    model = models.transformer(11, 8, 2, 2, 7, key=KEY)
    ids = np.random.default_rng(0).integers(0, 11, (3, 7))
    scores = model(ids).numpy()
    assert scores.shape == (3, 7, 11) and scores.dtype == np.float32
    for t in range(1, 8):
        np.testing.assert_allclose(model(ids[:, :t]).numpy(), scores[:, :t], rtol=1e-4, atol=1e-6)
    changed = ids.copy()
    changed[:, 4] = (ids[:, 4] + 1) % 11
    other = model(changed).numpy()
    np.testing.assert_array_equal(other[:, :4], scores[:, :4])
    assert (other[:, 4:] != scores[:, 4:]).any(axis=-1).all()


def test_a_transformer_learns_a_sequence():
    """What follows an item depends on the one before it, so that looking at one place is not enough."""
    text = np.array([0, 1, 2, 1, 3, 1] * 4)
    model = models.transformer(4, 16, 2, 2, 12, key=KEY)
    step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(1e-2))
    x = np.stack([text[i : i + 12] for i in range(6)])
    y = np.stack([text[i + 1 : i + 13] for i in range(6)])
    losses = [step(x, y).item() for _ in range(200)]
    assert losses[0] > 1.2 > 0.2 > losses[-1]
    assert (step.model(x).numpy().argmax(-1) == y)[:, 1:].all()


def test_what_a_transformer_refuses():
    model = models.transformer(11, 8, 2, 1, 7, key=KEY)
    with says(ShapeError, r"at most 7 in a row, got shape \(2, 8\)\n  Fix: cut them"):
        model(np.zeros((2, 8), np.int64))
    with says(ShapeError, r"got shape \(\)"):
        model(3)
    assert model(np.zeros((0, 7), np.int64)).shape == (0, 7, 11)
    with says(AxisError, "id 11 is not one of 11"):
        model([[0, 11]])
    with says(DTypeError, "ids must be integers"):
        model(images(2, 7))
    with says(ArgumentError, "transformer: layers must be at least 1, got 0"):
        models.transformer(11, 8, 2, 0, 7, key=KEY)
    with says(ArgumentError, "3 heads do not divide 8 features"):
        models.transformer(11, 8, 3, 1, 7, key=KEY)
    with says(ArgumentError, r"transformer: dropout must lie in \[0, 1\)"):
        models.transformer(11, 8, 2, 1, 7, dropout=1.5, key=KEY)


# The recurrent network


@pytest.mark.parametrize(("cell", "gates", "biases"), [("rnn", 1, 1), ("gru", 3, 4), ("lstm", 4, 4)])
def test_a_char_rnn_has_the_size_that_it_says(cell: str, gates: int, biases: int):
    model = models.char_rnn(11, 8, cell, 2, key=KEY)
    assert model.summary().total == 11 * 8 + 2 * (gates * 2 * 8 * 8 + biases * 8) + 8 * 11 + 11


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_char_rnn_goes_on_from_its_state(cell: str):
    model = models.char_rnn(11, 8, cell, 2, key=KEY)
    ids = np.random.default_rng(0).integers(0, 11, (3, 7))
    whole, last = model.run(ids)
    np.testing.assert_array_equal(model(ids).numpy(), whole.numpy())
    first, state = model.run(ids[:, :4])
    rest, end = model.run(ids[:, 4:], state)
    np.testing.assert_allclose(cr.concat([first, rest], axis=1).numpy(), whole.numpy(), rtol=1e-4, atol=1e-6)
    for ours, expected in zip(trees.leaves(end), trees.leaves(last), strict=True):
        np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_char_rnn_learns_a_sequence(cell: str):
    text = np.array([0, 1, 2, 1, 3, 1] * 4)
    x = np.stack([text[i : i + 12] for i in range(6)])
    y = np.stack([text[i + 1 : i + 13] for i in range(6)])
    model = models.char_rnn(4, 16, cell, key=KEY)
    step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(1e-2))
    losses = [step(x, y).item() for _ in range(150)]
    assert losses[0] > 1.0 and (step.model(x).numpy().argmax(-1) == y)[:, 1:].all()


def test_dropout_of_a_char_rnn():
    model, ids = models.char_rnn(5, 8, dropout=0.5, key=KEY), np.zeros((2, 3), np.int64)
    np.testing.assert_array_equal(model(ids).numpy(), models.char_rnn(5, 8, key=KEY)(ids).numpy())
    assert (model(ids, cr.nn.Training(KEY)).numpy() != model(ids).numpy()).any()


def test_what_a_char_rnn_refuses():
    model, ids = models.char_rnn(11, 8, "gru", 2, key=KEY), np.zeros((2, 3), np.int64)
    with says(ShapeError, r"expected ids \(batch, time\), got shape \(3,\)\n  Fix: .*ids\[None\]"):
        model(ids[0])
    with says(AxisError, "id 11 is not one of 11"):
        model(ids + 11)
    with says(StructureError, "expected a list of 2 states, got Tensor of shape"):
        model.run(ids, cr.zeros((2, 8)))
    with says(StructureError, "expected a list of 2 states"):
        model.run(ids, model.run(ids)[1][:1])
    with says(ShapeError, r"expected a state of float32\[2, 8\], got float32\[3, 8\]"):
        model.run(ids, model.run(np.zeros((3, 3), np.int64))[1])
    with says(ArgumentError, "unknown cell 'lstmm'\n  Fix: choose \"lstm\""):
        models.char_rnn(11, 8, "lstmm", key=KEY)
    with says(ArgumentError, "char_rnn: layers must be at least 1, got 0"):
        models.char_rnn(11, 8, layers=0, key=KEY)
