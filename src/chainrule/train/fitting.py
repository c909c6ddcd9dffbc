"""The training loop of a classifier. It emits events and prints nothing; whoever wants to see, listens.

:func:`run` yields events while it trains, :func:`fit` waits for the last one. The same arguments give the
same numbers to the bit, apart from the seconds.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule import trees
from chainrule.data import Batches, Dataset
from chainrule.errors import ArgumentError, DataError, DivergenceError, OperandError, ShapeError
from chainrule.node import as_node
from chainrule.optim import Optimizer, describe
from chainrule.primitive import Array
from chainrule.shapes import as_int
from chainrule.tensor import no_grad
from chainrule.transforms import value_and_grad

_EVALUATED_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened while training; epochs and steps count from 1."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``event`` says which, a model becomes its summary."""
        values = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"event": type(self).__name__, **values}


@dataclass(frozen=True, slots=True)
class Started(Event):
    """Nothing is trained yet.

    Attributes:
        epochs, steps: how many, and how many steps in each.
        batch_size: examples in a step; the last of an epoch may have fewer.
        train, test: number of examples.
        parameters: number of scalar parameters.
        optimizer: its name and hyperparameters, as :func:`chainrule.optim.describe` gives them.
    """

    epochs: int
    steps: int
    batch_size: int
    train: int
    test: int
    parameters: int
    optimizer: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stepped(Event):
    """One update was made. ``loss`` is that of the batch before the update."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class EpochEnded(Event):
    """All examples were used once more.

    Attributes:
        train_loss, train_accuracy, test_loss, test_accuracy: of the model as it is now.
        gradients: root mean square of each parameter's gradient over the epoch, by path.
        updates: of each parameter, the root mean square of its last update over that of the parameter.
        seconds: since the start.
    """

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    gradients: dict[str, float]
    updates: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The last event.

    Attributes:
        model: trained; the model that was passed in is as it was.
        test_loss, test_accuracy: on the test examples.
        classes: their names.
        confusion: how many test examples of each class (row) were taken for each class (column).
        gradients: root mean square gradient of each layer's parameters over the last epoch, by path.
        epochs, seconds: what it took.
    """

    model: Any
    test_loss: float
    test_accuracy: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    gradients: dict[str, float]
    epochs: int
    seconds: float


def run(
    model: Any,
    data: Dataset,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    key: Any,
) -> Iterator[Event]:
    """Train and yield what happens: `Started`; `Stepped` and `EpochEnded` in each epoch; `Finished`.

    Args:
        model: a module; maps ``(n, *features)`` to scores ``(n, classes)``. Layers that wait for their
            first input get it now.
        data: what to train and to test on.
        loss: ``(scores, labels) -> one number``, the mean over a batch.
        optimizer: from ``cr.optim``.
        epochs: how often each example is used, at least 1.
        batch_size: examples in a step, at least 1.
        key: from ``cr.random.key``, for the order of the examples.

    Raises:
        ArgumentError, OperandError: an argument is out of range or not what it should be.
        ShapeError: the model does not give one score for each class.
        DataError: the targets are numbers, not classes.
        DivergenceError: a loss or a gradient is infinite or nan; raised at the step where it happens.

    Example:
        >>> model, data, loss, optimizer, settings = cr.models.digits_classifier()
        >>> events = run(model, data, loss, optimizer, **settings)
        >>> next(events).steps, next(events).step
        (23, 1)
    """
    for name, value, kind in (("data", data, Dataset), ("optimizer", optimizer, Optimizer)):
        if not isinstance(value, kind):
            raise OperandError(
                f"train: {name} must be a {kind.__name__}, got {type(value).__name__}",
                fix="the order is (model, data, loss, optimizer); data from cr.data.digits(), an optimizer "
                "from cr.optim.adam(1e-3)",
            )
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if as_int("train", name, value) < 1:
            raise ArgumentError(f"train: {name} must be at least 1, got {value}", fix=f"pass {name}=10")
    for name, value in (("model", model), ("loss", loss)):
        if not callable(value):
            raise OperandError(
                f"train: {name} cannot be called: {value!r}", fix="pass a module, and a function"
            )
    _require_scores(model, data)
    training = _Training(model, data, loss, optimizer, int(epochs), int(batch_size), key)
    return training.events()


def fit(
    model: Any,
    data: Dataset,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    epochs: int,
    batch_size: int,
    key: Any,
    on_event: Callable[[Event], object] | None = None,
) -> Finished:
    """Train to the end.

    Args:
        on_event: called with each event as it happens.
        model, data, loss, optimizer, epochs, batch_size, key: as for :func:`run`, and so are the errors.

    Returns:
        The last event, which holds the trained model.

    Example:
        >>> model, data, loss, optimizer, settings = cr.models.digits_classifier()
        >>> finished = fit(model, data, loss, optimizer, **settings)
        >>> finished.test_accuracy > 0.97
        True
    """
    event: Event | None = None
    for event in run(model, data, loss, optimizer, epochs=epochs, batch_size=batch_size, key=key):
        if on_event is not None:
            on_event(event)
    assert isinstance(event, Finished)
    return event


class _Training:
    """What changes while a model is trained."""

    def __init__(
        self,
        model: Any,
        data: Dataset,
        loss: Any,
        optimizer: Optimizer,
        epochs: int,
        batch_size: int,
        key: Any,
    ) -> None:
        self.began = time.perf_counter()
        self.model = self.before = model
        self.data, self.loss, self.optimizer = data, loss, optimizer
        self.classes = _classes(data)
        self.state = optimizer.init(model)
        self.epochs, self.batch_size, self.key = epochs, batch_size, key
        self.steps = math.ceil(len(data.train_x) / batch_size)
        self.gradient = value_and_grad(lambda model, x, y: loss(model(x), y))
        self.paths = trees.paths(model)
        self.sizes = [as_node(p).size for p in trees.leaves(model)]
        self.squares = [0.0] * len(self.paths)
        """Sum of the squares of each parameter's gradients in this epoch."""

    def events(self) -> Iterator[Event]:
        yield Started(
            self.epochs,
            self.steps,
            self.batch_size,
            len(self.data.train_x),
            len(self.data.test_x),
            sum(self.sizes),
            describe(self.optimizer),
        )
        test = None
        for epoch in range(1, self.epochs + 1):
            yield from self.steps_of(epoch)
            train, test = (self.evaluate("train"), self.evaluate("test"))
            self.require_finite(epoch, self.steps, train.loss + test.loss, {})
            yield self.epoch_ended(epoch, train, test)
        assert test is not None
        yield self.finished(test)

    def steps_of(self, epoch: int) -> Iterator[Stepped]:
        data, self.squares = self.data, [0.0] * len(self.paths)
        for step, (x, y) in enumerate(Batches(data, self.batch_size, self.key).epoch(epoch), 1):
            value, gradients = self.gradient(self.model, x, y)
            loss, found = float(value), [_sum_of_squares(g) for g in trees.leaves(gradients)]
            self.require_finite(epoch, step, loss, dict(zip(self.paths, found, strict=True)))
            self.squares = [a + b for a, b in zip(self.squares, found, strict=True)]
            self.before = self.model
            self.model, self.state = self.optimizer.update(gradients, self.state, self.model)
            yield Stepped(epoch, step, self.steps, loss)

    def epoch_ended(self, epoch: int, train: _Score, test: _Score) -> EpochEnded:
        moved = map(_relative_change, trees.leaves(self.before), trees.leaves(self.model))
        return EpochEnded(
            epoch,
            self.epochs,
            train.loss,
            train.accuracy,
            test.loss,
            test.accuracy,
            self.gradient_sizes(self.paths),
            dict(zip(self.paths, moved, strict=True)),
            self.seconds,
        )

    def finished(self, test: _Score) -> Finished:
        return Finished(
            self.model,
            test.loss,
            test.accuracy,
            self.classes,
            _confusion(self.data.test_y, test.predicted, len(self.classes)),
            self.gradient_sizes([path.rpartition(".")[0] for path in self.paths]),
            self.epochs,
            self.seconds,
        )

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def gradient_sizes(self, groups: Sequence[str]) -> dict[str, float]:
        """Root mean square over the epoch's gradients of all parameters in a group."""
        squares: dict[str, float] = {}
        counts: dict[str, int] = {}
        for group, total, size in zip(groups, self.squares, self.sizes, strict=True):
            squares[group] = squares.get(group, 0.0) + total
            counts[group] = counts.get(group, 0) + size * self.steps
        return {group: math.sqrt(squares[group] / counts[group]) for group in squares}

    def evaluate(self, part: str) -> _Score:
        _, y = self.data.part(part)
        total, predicted = 0.0, []
        with no_grad():
            for some, right in Batches(self.data, _EVALUATED_AT_ONCE, part=part).epoch():
                scores = self.model(some)
                total += float(self.loss(scores, right)) * len(right)
                predicted.append(scores.array().argmax(-1))
        classes = np.concatenate(predicted)
        return _Score(total / len(y), float(np.mean(classes == y)), classes)

    def require_finite(self, epoch: int, step: int, loss: float, squares: dict[str, float]) -> None:
        wrong = [path for path, total in squares.items() if not math.isfinite(total)]
        if math.isfinite(loss) and not wrong:
            return
        what = f"the gradient of {wrong[0]}" if math.isfinite(loss) else f"the loss ({loss})"
        if (epoch, step) == (1, 1):
            fix = "nothing is updated yet: check the scale of the inputs and of the first weights, and log, "
            fix += "sqrt or division in the loss"
        else:
            rate = self.optimizer.learning_rate_at(self.state["updates"].item() - 1)
            fix = "lower the learning rate" + (f": {rate / 10:g} instead of {rate:g}" if rate else "")
            if isinstance(self.optimizer.settings["learning_rate"], dict):
                fix = f"lower the schedule of the learning rate, which was {rate:g} in the last update"
        raise DivergenceError(
            f"training stopped in epoch {epoch}, step {step}: {what} is not finite", fix=fix
        )


@dataclass(frozen=True, slots=True)
class _Score:
    loss: float
    accuracy: float
    predicted: Array


def _classes(data: Dataset) -> tuple[str, ...]:
    if data.classes is None:
        raise DataError(
            "train: the targets are numbers, expected classes: this loop trains classifiers",
            fix="make steps of your own with cr.train.compile_step(model, cr.nn.mean_squared_error, optimizer)",
        )
    return data.classes


def _require_scores(model: Any, data: Dataset) -> None:
    """Call the model once: layers that wait for their first input get it."""
    one = data.preparation(data.test_x[:1])
    with no_grad():
        scores = model(one)
    expected = (1, len(_classes(data)))
    if getattr(scores, "shape", None) != expected:
        got = getattr(scores, "shape", type(scores).__name__)
        raise ShapeError(
            f"train: the model maps {one.shape} to {got}, expected {expected}, one score for each class",
            fix=f"give its last layer {expected[1]} outputs",
        )


def _sum_of_squares(gradient: Any) -> float:
    values = as_node(gradient).array()
    return float(np.vdot(values, values))


def _relative_change(before: Any, after: Any) -> float:
    old, new = as_node(before).array(), as_node(after).array()
    change, size = float(np.linalg.norm(new - old)), float(np.linalg.norm(new))
    return change / size if size else 0.0


def _confusion(right: Array, predicted: Array, classes: int) -> tuple[tuple[int, ...], ...]:
    counts = np.bincount(right * classes + predicted, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.reshape(classes, classes).tolist())


def _plain(value: Any) -> Any:
    if hasattr(value, "summary"):
        return value.summary().to_dict()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
