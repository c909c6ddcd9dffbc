"""Training learns, repeats to the bit, tells what happens in order, and stops when it must."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import models, nn, optim, train
from chainrule.data import Dataset
from chainrule.errors import (
    ArgumentError,
    DivergenceError,
    OperandError,
    ShapeError,
    StructureError,
)


@pytest.fixture(scope="module")
def points() -> Dataset:
    """Two classes of points in the plane, inside and outside of a circle."""
    x = np.random.default_rng(0).uniform(-1, 1, (300, 2)).astype(np.float32)
    y = ((x**2).sum(1) > 0.6).astype(np.int64)
    return Dataset(x[:200], y[:200], x[200:], y[200:], ("inside", "outside"))


def arguments(points: Dataset, rate: float = 0.02, **changes: Any) -> dict[str, Any]:
    model = models.mlp((2, 16, 2), cr.relu, key=cr.random.key(1))
    given = {"model": model, "data": points, "loss": nn.softmax_cross_entropy, "optimizer": optim.adam(rate)}
    return {**given, "epochs": 3, "batch_size": 64, "key": cr.random.key(2), **changes}


def without_seconds(event: train.Event) -> dict[str, Any]:
    return {name: value for name, value in event.to_dict().items() if name != "seconds"}


def test_events_come_in_order(points: Dataset):
    events = list(train.run(**arguments(points)))
    epoch = ["Stepped"] * 4 + ["EpochEnded"]
    assert [type(e).__name__ for e in events] == ["Started", *epoch * 3, "Finished"]
    assert [(e.epoch, e.step, e.steps) for e in events if isinstance(e, train.Stepped)] == [
        (epoch, step, 4) for epoch in (1, 2, 3) for step in (1, 2, 3, 4)
    ]
    started = events[0]
    assert isinstance(started, train.Started)
    assert (started.epochs, started.steps, started.batch_size) == (3, 4, 64)
    assert (started.train, started.test, started.parameters) == (200, 100, 2 * 16 + 16 + 32 + 2)
    assert started.optimizer["name"] == "adam" and started.optimizer["learning_rate"] == 0.02
    texts = [json.dumps(e.to_dict(), allow_nan=False) for e in events]
    assert json.loads(texts[-1])["model"]["total"] == started.parameters
    assert json.loads(texts[1])["event"] == "Stepped"


def test_it_learns(points: Dataset):
    finished = train.fit(**arguments(points, epochs=40))
    assert finished.test_accuracy >= 0.95
    confusion = np.array(finished.confusion)
    assert confusion.sum() == 100 and confusion.trace() == round(100 * finished.test_accuracy)
    np.testing.assert_array_equal(confusion.sum(1), np.bincount(points.test_y))  # rows are the truth
    predicted = finished.model.predict(points.test_x).argmax(-1)
    np.testing.assert_array_equal(confusion.sum(0), np.bincount(predicted))
    assert list(finished.gradients) == ["layers.0", "layers.2"]
    assert all(0 < size < 1 for size in finished.gradients.values())


def test_two_runs_give_the_same_bits(points: Dataset):
    one, two = (list(train.run(**arguments(points))) for _ in range(2))
    assert [without_seconds(e) for e in one] == [without_seconds(e) for e in two]
    other = list(train.run(**arguments(points, key=cr.random.key(3))))
    assert without_seconds(one[1]) != without_seconds(other[1])


def test_fit_is_run_to_the_end(points: Dataset):
    seen: list[train.Event] = []
    finished = train.fit(**arguments(points), on_event=seen.append)
    assert seen[-1] is finished
    again = [without_seconds(e) for e in train.run(**arguments(points))]
    assert [without_seconds(e) for e in seen] == again


def test_the_first_step_by_hand(points: Dataset):
    """Loss, gradient sizes and update sizes of one step on all examples, from the definitions."""
    given = arguments(points, batch_size=200, epochs=1, optimizer=optim.gradient_descent(0.5))
    model = given["model"]
    before = {path: p.numpy() for path, p in model.parameters().items()}
    _, stepped, ended, finished = train.run(**given)
    assert isinstance(stepped, train.Stepped)
    assert isinstance(ended, train.EpochEnded) and isinstance(finished, train.Finished)
    loss = lambda model, x, y: nn.softmax_cross_entropy(model(x), y)
    value, gradients = cr.value_and_grad(loss)(model, points.train_x, points.train_y)
    assert stepped.loss == pytest.approx(value.item(), rel=1e-5)
    for path, g in gradients.parameters().items():
        rms = math.sqrt((g.numpy() ** 2).mean())
        assert ended.gradients[path] == pytest.approx(rms, rel=1e-4)
        after = finished.model.parameters()[path].numpy()
        np.testing.assert_allclose(after, before[path] - 0.5 * g.numpy(), rtol=1e-4, atol=1e-6)
        moved = np.linalg.norm(after - before[path]) / np.linalg.norm(after)
        assert ended.updates[path] == pytest.approx(moved, rel=1e-4)
        np.testing.assert_array_equal(model.parameters()[path].numpy(), before[path])
    test = loss(finished.model, points.test_x, points.test_y).item()
    assert ended.valid_loss == finished.test_loss == pytest.approx(test, rel=1e-5)
    accuracy = (model.predict(points.train_x).argmax(-1) == points.train_y).mean()
    assert ended.train_accuracy == pytest.approx(accuracy)  # of each batch before its update
    assert ended.train_loss == pytest.approx(stepped.loss) and ended.learning_rate == 0.5


def test_dense_layers_get_their_first_input(points: Dataset):
    keys = cr.random.split(cr.random.key(0))
    model = nn.Sequential(nn.Dense(16, cr.relu, key=keys[0]), nn.Dense(2, key=keys[1]))
    finished = train.fit(**arguments(points, model=model))
    assert finished.model.summary().total == 2 * 16 + 16 + 32 + 2


def test_divergence_is_not_hidden(points: Dataset):
    with pytest.raises(DivergenceError) as caught:
        train.fit(**arguments(points, optimizer=optim.gradient_descent(1e30), monitor=None))
    assert caught.value.message == (
        "training stopped in epoch 1, step 2: the loss is nan. In step 2 the first result that is not finite is that "
        "of layers.2 (Linear). There is no checkpoint"
    )
    assert caught.value.fix == "lower the learning rate: 0.1 instead of 1e+30"


def test_a_schedule_that_diverges_is_named(points: Dataset):
    rate = optim.warm_up(1e30, 2, first=1.0)
    with pytest.raises(DivergenceError) as caught:
        train.fit(**arguments(points, optimizer=optim.gradient_descent(rate), monitor=None))
    assert caught.value.fix == "lower the schedule of the learning rate, which was 1e+30 in the last update"


def test_the_first_event_says_how_to_make_the_optimizer_again(points: Dataset):
    rate = optim.warm_up(optim.cosine(0.02, 8), 4)
    optimizer = optim.clip_by_norm(optim.adamw(rate, decays="*weight"), 0.5)
    written = json.dumps(next(iter(train.run(**arguments(points, optimizer=optimizer)))).to_dict())
    again = optim.from_description(json.loads(written)["optimizer"])
    first, second = (train.fit(**arguments(points, optimizer=o)) for o in (optimizer, again))
    assert without_seconds(first) == without_seconds(second)


def test_a_loss_that_starts_infinite_has_another_remedy(points: Dataset):
    loss = lambda scores, labels: nn.softmax_cross_entropy(scores, labels) * cr.inf
    with pytest.raises(
        DivergenceError,
        match=r"step 1: the loss is inf\. In step 1 the model's output is finite, and the loss function makes it inf\."
        r".*\n  Fix: nothing is updated yet",
    ):
        train.fit(**arguments(points, loss=loss, monitor=None))


def test_a_gradient_that_is_not_finite_is_named(points: Dataset):
    loss = lambda scores, labels: nn.softmax_cross_entropy(scores, labels) + cr.sqrt((scores * 0).sum())
    with pytest.raises(
        DivergenceError,
        match=r"step 2: the loss is nan\. In step 1 the loss is finite, and the gradient of layers\.0\.weight is not\.",
    ):
        train.fit(**arguments(points, loss=loss, monitor=None))


def test_bad_arguments_are_refused_at_once(points: Dataset):
    for name in ("epochs", "batch_size"):
        with pytest.raises(ArgumentError, match=f"{name} must be at least 1, got 0"):
            train.run(**arguments(points, **{name: 0}))
        with pytest.raises(ArgumentError, match=f"{name} must be an integer, got 2.5"):
            train.run(**arguments(points, **{name: 2.5}))
    with pytest.raises(OperandError, match=r"data must be a Dataset, got tuple"):
        train.run(**arguments(points, data=(points.train_x, points.train_y)))
    with pytest.raises(OperandError, match="optimizer must be a Optimizer, got function"):
        train.run(**arguments(points, optimizer=optim.adam))
    with pytest.raises(OperandError, match="loss cannot be called: 'cross entropy'"):
        train.run(**arguments(points, loss="cross entropy"))
    with pytest.raises(ShapeError, match=r"the model maps \(1, 2\) to \(1, 3\), expected \(1, 2\)"):
        train.run(**arguments(points, model=models.mlp((2, 4, 3), cr.relu, key=cr.random.key(0))))
    shared = nn.Linear(2, 2, key=cr.random.key(0))
    with pytest.raises(StructureError, match=r"layers.1.weight is the same tensor as layers.0.weight"):
        train.run(**arguments(points, model=nn.Sequential(shared, shared)))


def test_numbers_of_numpy_are_numbers(points: Dataset, tmp_path: Path):
    numpy = {"epochs": np.int64(1), "batch_size": np.int32(64), "patience": np.uint8(2)}
    numpy |= {"tolerance": np.float32(1e-3), "checkpoint_every": np.int64(2), "drop_last": np.bool_(True)}
    train.fit(**arguments(points, folder=tmp_path / "run", winograd=np.int64(2), **numpy))
    settings = train.RunFolder.open(tmp_path / "run").about["settings"]
    assert (settings["epochs"], settings["batch_size"], settings["drop_last"]) == (1, 64, True)


def test_what_does_not_fill_a_batch_can_be_left_out(points: Dataset):
    """57 examples in batches of 14: of the last one alone batch normalization knows no variance."""
    x, y = points.train_x[:57], points.train_y[:57]
    model = nn.Sequential(nn.Linear(2, 2, key=cr.random.key(0)), nn.BatchNorm(2))
    given = arguments(points.replace(train_x=x, train_y=y), model=model, batch_size=14)
    with pytest.raises(ShapeError, match=r"more than one number for each channel, got \(1, 2\)") as refused:
        train.fit(**given)
    assert "drop_last=True" in (refused.value.fix or "")
    started, *events = train.run(**given, drop_last=True)
    assert isinstance(started, train.Started) and started.steps == 4
    assert sum(isinstance(event, train.Stepped) for event in events) == 4 * 3
    with pytest.raises(ArgumentError, match="no batch of 64 can be filled with 57 examples"):
        train.run(**{**given, "batch_size": 64}, drop_last=True)
    with pytest.raises(ArgumentError, match="drop_last must be True or False, got 1"):
        train.run(**given, drop_last=1)


def test_nan_in_a_layer_is_named(points: Dataset):
    keys = cr.random.split(cr.random.key(0))
    model = nn.Sequential(nn.Linear(2, 4, key=keys[0]), cr.sqrt, nn.Linear(4, 2, key=keys[1]))
    with pytest.raises(
        DivergenceError, match=r"the first result that is not finite is that of layers\.1 \(sqrt\)"
    ):
        train.fit(**arguments(points, model=model, monitor=None))


def test_eager_training_is_compiled_training(points: Dataset):
    compiled, eager = (train.fit(**arguments(points, compile=c)) for c in (True, False))
    assert eager.test_accuracy == compiled.test_accuracy
    for path, value in compiled.model.parameters().items():
        np.testing.assert_allclose(
            eager.model.parameters()[path].numpy(), value.numpy(), rtol=1e-4, atol=1e-6
        )


def test_a_validation_part_is_watched(points: Dataset):
    parted = points.split(0.25, cr.random.key(5))
    started, *_, finished = train.run(**arguments(parted))
    assert isinstance(started, train.Started) and started.validated_on == "valid" and started.train == 150
    ended = [e for e in train.run(**arguments(parted)) if isinstance(e, train.EpochEnded)][-1]
    assert isinstance(finished, train.Finished)
    x, y = parted.prepared("valid")
    assert ended.valid_accuracy == pytest.approx((finished.model.predict(x).argmax(-1) == y).mean())


def test_a_steady_loss_ends_training(points: Dataset):
    events = list(train.run(**arguments(points, epochs=500, patience=3, tolerance=0.01)))
    finished = events[-1]
    assert isinstance(finished, train.Finished) and finished.reason == "a steady loss"
    losses = [e.valid_loss for e in events if isinstance(e, train.EpochEnded)]
    assert 4 <= len(losses) == finished.epochs < 500
    best = min(losses[:-3])
    assert all(loss >= best * 0.99 for loss in losses[-3:])


def test_images_of_bytes_are_prepared():
    """Bright images against dark ones, kept as bytes: as good as the same images as floats."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    images = (rng.integers(0, 100, (120, 4, 4)) + 80 * labels[:, None, None]).astype(np.uint8)
    data = Dataset.from_arrays(images, labels, test=20).flattened()
    model = models.mlp((16, 8, 2), cr.relu, key=cr.random.key(1))
    finished = train.fit(**arguments(data, model=model, epochs=10))
    assert finished.test_accuracy == 1.0
    floats = Dataset(*(a for p in ("train", "test") for a in data.prepared(p)), data.classes)
    assert train.fit(**arguments(floats, model=model, epochs=10)).test_loss == finished.test_loss


def test_regression():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2)).astype(np.float32)
    y = (x @ [[2.0], [-3.0]] + 0.5).astype(np.float32)
    data = Dataset.from_arrays(x[:150], y[:150], test=(x[150:], y[150:]))
    model = nn.Linear(2, 1, key=cr.random.key(0))
    settings = {"epochs": 40, "batch_size": 10, "key": cr.random.key(1)}
    finished = train.fit(model, data, nn.mean_squared_error, optim.adam(0.05), **settings)
    assert finished.test_loss < 1e-4 and finished.test["mean_absolute_error"] < 0.02
    assert finished.confusion == () and finished.classes == () and math.isnan(finished.test_accuracy)
    np.testing.assert_allclose(finished.model.weight.numpy(), [[2.0], [-3.0]], atol=0.02)


def test_own_metrics(points: Dataset):
    top = {"margin": lambda scores, labels: cr.max(scores, axis=-1).mean()}
    ended = next(e for e in train.run(**arguments(points, metrics=top)) if isinstance(e, train.EpochEnded))
    assert set(ended.train) == set(ended.valid) == {"loss", "margin"}


def test_training_with_random_layers_and_running_averages_repeats_to_the_bit(points: Dataset):
    keys = cr.random.split(cr.random.key(0))
    layers = (
        nn.Linear(2, 8, key=keys[0]),
        nn.BatchNorm(8),
        cr.relu,
        nn.Dropout(0.2),
        nn.Linear(8, 2, key=keys[1]),
    )
    one, two = (train.fit(**arguments(points, model=nn.Sequential(*layers), threads=t)) for t in (1, 2))
    assert without_seconds(one) == without_seconds(two)
    for path, value in one.model.buffers().items():
        np.testing.assert_array_equal(two.model.buffers()[path].numpy(), value.numpy())
    assert (one.model.buffers()["layers.1.mean"].numpy() != 0).any()


def test_a_run_can_be_left(points: Dataset):
    events = train.run(**arguments(points, epochs=10**9))
    assert [type(next(events)).__name__ for _ in range(2)] == ["Started", "Stepped"]
    events.close()


def test_the_digits_are_read():
    model, data, loss, optimizer, settings = models.digits_classifier(seed=0)
    finished = train.fit(model, data, loss, optimizer, **settings)
    assert finished.test_accuracy >= 0.97
    assert np.array(finished.confusion).shape == (10, 10)


def test_nan_on_examples_that_are_not_trained_on(points: Dataset):
    """The square root of a distance from the training examples' range: finite for them alone."""
    x = points.test_x.copy()
    x[3] = 100.0
    model = nn.Sequential(lambda x: cr.sqrt(10.0 - x), nn.Linear(2, 2, key=cr.random.key(0)))
    with pytest.raises(DivergenceError) as caught:
        train.fit(**arguments(points.replace(test_x=x), model=model))
    assert caught.value.message == (
        "training stopped after epoch 1, step 4: the loss on the test examples is nan. Every training step was finite, "
        "only the result on other examples is not. There is no checkpoint"
    )


def test_a_last_look_that_is_not_finite_blames_no_step(points: Dataset):
    """Only the test examples are out of range, when all is done; further steps would diverge, but none are made."""
    x = points.test_x.copy()
    x[3] = 100.0
    data = points.replace(test_x=x).split(0.2, cr.random.key(3))
    model = nn.Sequential(lambda x: cr.sqrt(10.0 - x), nn.Linear(2, 2, key=cr.random.key(0)))
    optimizer = optim.gradient_descent(lambda update: np.where(update < 6, 0.02, 1e300))
    with pytest.raises(DivergenceError) as caught:
        train.fit(**arguments(data, model=model, optimizer=optimizer, epochs=2))
    assert caught.value.message == (
        "training stopped after epoch 2, step 3: the loss on the test examples is nan. Every training step was finite, "
        "only the result on other examples is not. There is no checkpoint"
    )


def test_a_run_that_ended_at_a_steady_loss_has_ended(points: Dataset, tmp_path: Path):
    given = arguments(points, epochs=500, patience=2, tolerance=0.05, folder=tmp_path / "run")
    first = train.fit(**given)
    events = list(train.run(**given, resume=True))
    assert [type(e).__name__ for e in events] == ["Started", "Finished"]
    assert without_seconds(events[-1]) == without_seconds(first) and first.reason == "a steady loss"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"metrics": {"loss": lambda o, y: cr.mean(o) * 0}}, ArgumentError, 'a metric is called "loss"'),
        ({"metrics": {"m": 3}}, OperandError, "metric 'm' cannot be called: 3"),
        ({"metrics": [train.accuracy]}, OperandError, "metrics must be a dictionary"),
        ({"metrics": {"m": lambda o, y: o[:, 0]}}, ShapeError, r"metric 'm' gives shape \(64,\)"),
        (
            {"metrics": {"m": lambda o, y: o[:, 0]}, "compile": False},
            ShapeError,
            r"metric 'm' gives shape \(64,\)",
        ),
        ({"epoch": 3}, ArgumentError, "no argument epoch\n  Fix: did you mean epochs?"),
        ({"model": nn.Linear}, OperandError, "model is the class Linear, expected an instance"),
    ],
)
def test_arguments_that_make_no_sense_are_named(points: Dataset, changes: Any, error: Any, message: str):
    with pytest.raises(error, match=message):
        train.fit(**arguments(points, **changes))


@pytest.mark.parametrize("name", ["epochs", "batch_size", "key"])
def test_arguments_that_lack_are_named(points: Dataset, name: str):
    given = arguments(points)
    del given[name]
    with pytest.raises(ArgumentError, match=f"{name} is not given\n  Fix: pass {name}="):
        train.fit(**given)
