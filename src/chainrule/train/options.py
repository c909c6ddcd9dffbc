"""What training is asked for, checked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Required, TypedDict

from chainrule.data import Dataset
from chainrule.errors import ArgumentError, OperandError, shown
from chainrule.formula.mistakes import closest
from chainrule.nn import absolute_error
from chainrule.node import as_node
from chainrule.optim import Optimizer
from chainrule.optim import hyperparameters as hyper
from chainrule.shapes import as_flag
from chainrule.train.metrics import Metrics, accuracy
from chainrule.transforms.compiled import as_winograd


class Settings(TypedDict, total=False):
    """Keyword arguments of :func:`chainrule.train.run` and :func:`chainrule.train.fit`; see there."""

    epochs: Required[int]
    batch_size: Required[int]
    key: Required[Any]
    drop_last: bool
    augment: Sequence[Any]
    metrics: Metrics | None
    compile: bool
    threads: int | None
    winograd: int
    patience: int | None
    tolerance: float
    monitor: int | None
    folder: str | os.PathLike[str] | None
    resume: bool
    checkpoint_every: int | None
    about: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Options:
    """The same with defaults, checked. Attributes as :func:`chainrule.train.run` describes them."""

    epochs: int
    batch_size: int
    key: Any
    drop_last: bool = False
    augment: Sequence[Any] = ()
    metrics: Metrics | None = None
    compile: bool = True
    threads: int | None = None
    winograd: int = 2
    patience: int | None = None
    tolerance: float = 1e-3
    monitor: int | None = 250
    folder: str | os.PathLike[str] | None = None
    resume: bool = False
    checkpoint_every: int | None = None
    about: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            what: as_count(what, getattr(self, what))
            for what in ("epochs", "batch_size", "patience", "monitor", "checkpoint_every")
            if getattr(self, what) is not None
        }
        checked["tolerance"] = hyper.at_least("train", "tolerance", self.tolerance, 0, "1e-3")
        for what in ("drop_last", "compile", "resume"):
            checked[what] = as_flag("train", what, getattr(self, what))
        checked["winograd"] = as_winograd("train", self.winograd)
        for what, value in checked.items():
            object.__setattr__(self, what, value)  # numbers of Python, which JSON has
        if self.folder is None and (self.resume or self.checkpoint_every is not None):
            what = "resume" if self.resume else "checkpoint_every"
            raise ArgumentError(f"train: {what} needs a folder", fix='name it: folder="runs/first"')
        if self.metrics is not None:
            _require_metrics(self.metrics)

    def to_dict(self) -> dict[str, Any]:
        """What decides the numbers of a run, JSON-ready."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "key": as_node(self.key).array().tolist(),
            "augment": [augmentation.to_dict() for augmentation in self.augment],
            "compile": self.compile,
            "winograd": self.winograd,
            "patience": self.patience,
            "tolerance": self.tolerance,
        }

    def metrics_for(self, data: Dataset) -> Metrics:
        """What is measured: what is asked for, or what suits the data."""
        if self.metrics is not None:
            return self.metrics
        return {"mean_absolute_error": absolute_error} if data.classes is None else {"accuracy": accuracy}


def as_count(what: str, value: Any) -> int:
    """A number of epochs, examples or steps: an integer of at least 1.

    Raises:
        ArgumentError: it is none.
    """
    return hyper.count("train", what, value, fix=f"pass {what}=10, or leave it out")


def options_of(settings: Mapping[str, Any]) -> Options:
    """Keyword arguments as options.

    Raises:
        ArgumentError: one is unknown, lacking or out of its range.
    """
    known = {field.name: field for field in dataclasses.fields(Options)}
    for name in settings:
        if name not in known:
            meant = closest(name, known)
            fix = f"did you mean {meant}?" if meant else f"there are {', '.join(known)}"
            raise ArgumentError(f"train: there is no argument {name}", fix=fix)
    for name, like in (("epochs", "10"), ("batch_size", "64"), ("key", "cr.random.key(0)")):
        if name not in settings:
            raise ArgumentError(f"train: {name} is not given", fix=f"pass {name}={like}")
    return Options(**settings)


def _require_metrics(metrics: Any) -> None:
    if not isinstance(metrics, Mapping):
        raise OperandError(
            f"train: metrics must be a dictionary of functions, got {shown(metrics)}",
            fix='pass metrics={"accuracy": cr.train.accuracy}',
        )
    for name, metric in metrics.items():
        if name == "loss":
            raise ArgumentError(
                'train: a metric is called "loss", as what is trained on', fix="give the metric another name"
            )
        if not callable(metric):
            raise OperandError(
                f"train: metric {name!r} cannot be called: {shown(metric)}",
                fix="pass a function, (output, targets) -> one number",
            )


def require_instance(what: str, model: Any) -> None:
    """Raise an OperandError for a class where one of its instances is needed."""
    if isinstance(model, type):
        name = model.__name__
        raise OperandError(
            f"{what}: model is the class {name}, expected an instance", fix=f"make one: {name}(...)"
        )


def require_arguments(model: Any, data: Any, loss: Any, optimizer: Any) -> None:
    """Raise an OperandError unless these can be trained with."""
    for name, value, kind in (("data", data, Dataset), ("optimizer", optimizer, Optimizer)):
        if not isinstance(value, kind):
            raise OperandError(
                f"train: {name} must be a {kind.__name__}, got {type(value).__name__}",
                fix="the order is (model, data, loss, optimizer); data from cr.data.digits(), an optimizer "
                "from cr.optim.adam(1e-3)",
            )
    require_instance("train", model)
    for name, value in (("model", model), ("loss", loss)):
        if not callable(value):
            raise OperandError(
                f"train: {name} cannot be called: {value!r}", fix="pass a module, and a function"
            )
