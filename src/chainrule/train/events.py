"""What happens while a model is trained, as plain data."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened while training; epochs and steps count from 1."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``event`` says which, a model becomes its summary, and numbers that JSON lacks text."""
        values = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"event": type(self).__name__, **values}


@dataclass(frozen=True, slots=True)
class Started(Event):
    """Nothing is trained yet, or in a resumed run nothing since it was stopped.

    Attributes:
        epochs, steps: how many, and how many steps in each.
        batch_size: examples in a step; the last of an epoch may have fewer.
        train, test: number of examples.
        parameters: number of scalar parameters.
        optimizer: its name and hyperparameters.
        done: steps that an earlier part of the run made.
        validated_on: ``"valid"`` if the data has a validation part, else ``"test"``.
        folder: where the run is kept, if it is.
    """

    epochs: int
    steps: int
    batch_size: int
    train: int
    test: int
    parameters: int
    optimizer: dict[str, Any]
    done: int = 0
    validated_on: str = "test"
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Stepped(Event):
    """One update was made. ``loss`` is that of the batch before the update."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class Found(Event):
    """The monitor has found something wrong, as :func:`chainrule.diagnose` does.

    Attributes:
        epoch, step: after which; step 0 of epoch 1 is before the first.
        findings: each with its cause, evidence and remedy.
    """

    epoch: int
    step: int
    findings: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Saved(Event):
    """A checkpoint is safe on disk, in ``file``, after so many updates."""

    updates: int
    file: str


@dataclass(frozen=True, slots=True)
class EpochEnded(Event):
    """All examples were used once more.

    Attributes:
        train: loss and metrics by name, means over the epoch's batches, each before its update.
        valid: the same, of the model as it is now, on the validation part, or on the test part if there is none.
        gradients: root mean square of each parameter's gradient, by path, of the epoch's last batch.
        updates: of each parameter, the root mean square of its last update over that of the parameter.
        learning_rate: of the last update.
        seconds: since the start, those of earlier parts of a resumed run included.
    """

    epoch: int
    epochs: int
    train: dict[str, float]
    valid: dict[str, float]
    gradients: dict[str, float]
    updates: dict[str, float]
    learning_rate: float
    seconds: float

    @property
    def train_loss(self) -> float:
        """Mean loss of the epoch's batches."""
        return self.train["loss"]

    @property
    def train_accuracy(self) -> float:
        """Share of the epoch's examples that were right, before each update; nan if it is not measured."""
        return self.train.get("accuracy", math.nan)

    @property
    def valid_loss(self) -> float:
        """Loss on examples that are not trained on."""
        return self.valid["loss"]

    @property
    def valid_accuracy(self) -> float:
        """Share of examples that are not trained on and are right; nan if it is not measured."""
        return self.valid.get("accuracy", math.nan)


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The last event.

    Attributes:
        model: trained; the model that was passed in is as it was.
        test: loss and metrics by name, on the test examples.
        classes: their names; empty where targets are numbers.
        confusion: how many test examples of each class (row) were taken for each class (column).
        gradients: root mean square gradient of each layer's parameters in the last step, by path.
        epochs, seconds: what it took.
        reason: why it ended: ``"all epochs"``, or ``"a steady loss"``.
        folder: where the run is kept, if it is.
    """

    model: Any
    test: dict[str, float]
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    gradients: dict[str, float]
    epochs: int
    seconds: float
    reason: str = "all epochs"
    folder: str | None = None

    @property
    def test_loss(self) -> float:
        """On the test examples."""
        return self.test["loss"]

    @property
    def test_accuracy(self) -> float:
        """Share of test examples that are right; nan if it is not measured."""
        return self.test.get("accuracy", math.nan)


def _plain(value: Any) -> Any:
    if hasattr(value, "summary"):
        return value.summary().to_dict()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
