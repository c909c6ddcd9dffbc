"""What training is asked for, checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Required, TypedDict

from chainrule.data import Dataset
from chainrule.errors import ArgumentError, OperandError
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
    folder: str | os.PathLike[str] | None = None
    resume: bool = False
    checkpoint_every: int | None = None
    about: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            what: as_count(what, getattr(self, what))
            for what in ("epochs", "batch_size", "patience", "checkpoint_every")
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


def require_arguments(model: Any, data: Any, loss: Any, optimizer: Any) -> None:
    """Raise an OperandError unless these can be trained with."""
    for name, value, kind in (("data", data, Dataset), ("optimizer", optimizer, Optimizer)):
        if not isinstance(value, kind):
            raise OperandError(
                f"train: {name} must be a {kind.__name__}, got {type(value).__name__}",
                fix="the order is (model, data, loss, optimizer); data from cr.data.digits(), an optimizer "
                "from cr.optim.adam(1e-3)",
            )
    for name, value in (("model", model), ("loss", loss)):
        if not callable(value):
            raise OperandError(
                f"train: {name} cannot be called: {value!r}", fix="pass a module, and a function"
            )
