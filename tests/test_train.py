"""Training learns, repeats to the bit, tells what happens in order, and stops when it must."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import models, nn, optim, train
from chainrule.data import Dataset
from chainrule.errors import (
    ArgumentError,
    DataError,
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
    assert ended.test_loss == finished.test_loss == pytest.approx(test, rel=1e-5)
    accuracy = (finished.model.predict(points.train_x).argmax(-1) == points.train_y).mean()
    assert ended.train_accuracy == accuracy


def test_dense_layers_get_their_first_input(points: Dataset):
    keys = cr.random.split(cr.random.key(0))
    model = nn.Sequential(nn.Dense(16, cr.relu, key=keys[0]), nn.Dense(2, key=keys[1]))
    finished = train.fit(**arguments(points, model=model))
    assert finished.model.summary().total == 2 * 16 + 16 + 32 + 2


def test_divergence_is_not_hidden(points: Dataset):
    with pytest.raises(DivergenceError) as caught:
        train.fit(**arguments(points, optimizer=optim.gradient_descent(1e30)))
    assert caught.value.message.startswith("training stopped in epoch 1, step ")
    assert caught.value.message.endswith("is not finite")
    assert caught.value.fix == "lower the learning rate: 1e+29 instead of 1e+30"


def test_a_schedule_that_diverges_is_named(points: Dataset):
    rate = optim.warm_up(1e30, 2, first=1.0)
    with pytest.raises(DivergenceError) as caught:
        train.fit(**arguments(points, optimizer=optim.gradient_descent(rate)))
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
        DivergenceError, match=r"epoch 1, step 1: the loss \(inf\).*\n  Fix: nothing is updated yet"
    ):
        train.fit(**arguments(points, loss=loss))


def test_a_gradient_that_is_not_finite_is_named(points: Dataset):
    loss = lambda scores, labels: nn.softmax_cross_entropy(scores, labels) + cr.sqrt((scores * 0).sum())
    with pytest.raises(
        DivergenceError, match=r"epoch 1, step 1: the gradient of layers\.0\.weight is not finite"
    ):
        train.fit(**arguments(points, loss=loss))


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


def test_targets_that_are_numbers_are_refused(points: Dataset):
    numbers = Dataset.from_arrays(points.train_x, points.train_x.sum(1))
    with pytest.raises(DataError, match="train: the targets are numbers, expected classes"):
        train.run(**arguments(numbers))


def test_a_run_can_be_left(points: Dataset):
    events = train.run(**arguments(points, epochs=10**9))
    assert [type(next(events)).__name__ for _ in range(2)] == ["Started", "Stepped"]
    events.close()


def test_the_digits_are_read():
    model, data, loss, optimizer, settings = models.digits_classifier(seed=0)
    finished = train.fit(model, data, loss, optimizer, **settings)
    assert finished.test_accuracy >= 0.97
    assert np.array(finished.confusion).shape == (10, 10)
