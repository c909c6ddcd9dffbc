"""What to train, in words that a person types and that a run's folder keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from chainrule import data, models, nn, optim
from chainrule.data import Dataset
from chainrule.data.files import as_path
from chainrule.data.loading import known_name
from chainrule.errors import ArgumentError, DataError
from chainrule.ops import random
from chainrule.optim import Optimizer
from chainrule.shapes import as_flag, as_int, as_number
from chainrule.train.options import as_count
from chainrule.train.targets import RelativeSquaredError, Rescaled, target_moments

SCHEDULES = ("constant", "one_cycle", "cosine")
AUGMENTATIONS: dict[str, Callable[[], Any]] = {"flip": data.flip, "crop": data.crop}

_RATES = {
    "adam": 3e-3,
    "adamw": 3e-3,
    "rmsprop": 1e-3,
    "adagrad": 3e-2,
    "momentum": 3e-2,
    "nesterov": 3e-2,
    "gradient_descent": 2e-1,
}
_DIGITS = {"model": "mlp", "epochs": 30, "batch_size": 64, "optimizer": "adam", "schedule": "constant"}
_TABLE = {"model": "mlp", "epochs": 50, "batch_size": 32, "optimizer": "adam", "schedule": "one_cycle"}
_IMAGES = {"model": "cnn", "epochs": 6, "batch_size": 128, "optimizer": "adam", "schedule": "one_cycle"}
_RESNET = {
    "epochs": 60,
    "batch_size": 64,
    "optimizer": "nesterov",
    "learning_rate": 0.2,
    "schedule": "one_cycle",
    "weight_decay": 5e-4,
    "augment": ("crop", "flip"),
}
_number: Callable[[str, Any], float] = partial(as_number, "train")
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("epochs", "batch_size", "patience"), as_count),
    **dict.fromkeys(("learning_rate", "weight_decay", "validation"), _number),
    "seed": partial(as_int, "train"),
    "drop_last": partial(as_flag, "train"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train. None stands for what suits the data and the model; :meth:`filled` says what that is.

    Attributes:
        data: a data set's name or a path, for :func:`chainrule.data.load`; a name as it is written there.
        model: a name that :func:`chainrule.models.build` knows.
        epochs: how often each example is used.
        batch_size: examples in a step.
        optimizer: a name in ``cr.optim``.
        learning_rate: the largest, if it changes.
        schedule: how it changes: ``"constant"``, ``"one_cycle"`` or ``"cosine"``.
        weight_decay: for optimizers that take it; 0 for none.
        augment: of ``"crop"`` and ``"flip"``, in this order.
        validation: share of the training examples to watch instead; 0 for none.
        patience: epochs without a smaller loss after which training stops; None for never.
        seed: of everything random.
        drop_last: whether each epoch leaves out what does not fill a batch.
        options: what :func:`chainrule.data.load` is to know of this data, such as ``{"size": 64}``, JSON-ready.
    """

    data: str
    model: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    schedule: str | None = None
    weight_decay: float | None = None
    augment: tuple[str, ...] | None = None
    validation: float = 0.0
    patience: int | None = None
    seed: int = 0
    drop_last: bool = False
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", known_name(self.data) or self.data)

    def filled(self, examples: Dataset) -> Plan:
        """The plan with everything decided, for this data.

        Raises:
            ArgumentError: there is no such optimizer, or a number is none, or out of its range.
        """
        known: dict[str, Any] = {**self._usual(examples), **self._given()}
        _one_of("optimizer", known["optimizer"], _RATES)
        known |= {what: check(what, known[what]) for what, check in _CHECKS.items() if what in known}
        rate = known.get("learning_rate", _RATES.get(known["optimizer"]))
        return Plan(**{"weight_decay": 0.0, "augment": (), **known, "learning_rate": rate})

    def _given(self) -> dict[str, Any]:
        return {f.name: v for f in dataclasses.fields(self) if (v := getattr(self, f.name)) is not None}

    def _usual(self, examples: Dataset) -> dict[str, Any]:
        if self.data == "digits":
            usual: dict[str, Any] = _DIGITS
        else:
            usual = _TABLE if examples.image_shape is None else _IMAGES
        if (self.model or "").startswith("resnet"):
            usual = {**usual, **_RESNET}
        if self.optimizer not in (None, usual["optimizer"]):
            usual = {
                name: value for name, value in usual.items() if name not in ("learning_rate", "weight_decay")
            }
        return usual

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :meth:`from_dict` gives an equal plan."""
        plain = dataclasses.asdict(self)
        return {**plain, "augment": None if self.augment is None else list(self.augment)}

    @classmethod
    def from_dict(cls, document: Any) -> Plan:
        """What :meth:`to_dict` wrote.

        Raises:
            DataError: it did not write this.
        """
        kinds: dict[str, tuple[type, ...]] = {
            **dict.fromkeys(("data", "model", "optimizer", "schedule"), (str,)),
            **dict.fromkeys(("epochs", "batch_size", "patience", "seed"), (int,)),
            **dict.fromkeys(("learning_rate", "weight_decay", "validation"), (int, float)),
            "augment": (list,),
            "drop_last": (bool,),
            "options": (dict,),
        }
        if not isinstance(document, Mapping) or set(document) != set(kinds):
            raise DataError("the run's plan has other entries than a plan", fix=_FIX)
        for name, kind in kinds.items():
            value = document[name]
            if type(value) not in kind and (value is not None or name in _ALWAYS):
                raise DataError(f"the run's plan: {name} is {value!r}", fix=_FIX)
        augment, options = document["augment"], document["options"] or {}
        if augment is not None and not all(isinstance(name, str) for name in augment):
            raise DataError(f"the run's plan: augment is {augment!r}", fix=_FIX)
        changed = {"augment": None if augment is None else tuple(augment), "options": options}
        return cls(**{**document, **changed})


_ALWAYS = ("data", "validation", "seed", "drop_last")
_FIX = "the run's folder was changed by hand, or is of another version: train again"


@dataclass(frozen=True, slots=True)
class Work:
    """A plan made ready: arguments for ``cr.train.run(model, data, loss, optimizer, **settings)``."""

    plan: Plan
    model: Any
    data: Dataset
    loss: Callable[[Any, Any], Any]
    optimizer: Optimizer
    settings: dict[str, Any]


def prepare(plan: Plan) -> Work:
    """Load the data, make the model and the optimizer.

    A regression's model gives outputs in the units of the targets, and so is its mean absolute error; its loss is
    relative, 1 for a model that always says the mean of the training targets.

    Raises:
        DataError: the data is missing or is not what it should be.
        ArgumentError: a name is unknown, or a number out of its range.

    Example:
        >>> work = prepare(Plan("digits", epochs=1))
        >>> work.plan.model, work.plan.batch_size, work.model.summary().total
        ('mlp', 64, 9610)
    """
    examples = examples_of(plan)
    plan = plan.filled(examples)
    weights, order = _keys(plan)
    described = describe_model(plan, examples)
    model, loss = models.build(described, key=weights), nn.softmax_cross_entropy
    if examples.classes is None:
        average, deviation = target_moments(examples)
        model, loss = Rescaled(model, average, deviation), RelativeSquaredError(deviation)
    assert plan.batch_size is not None
    batches = data.Batches(examples, plan.batch_size, drop_last=plan.drop_last)
    return Work(
        plan,
        model,
        examples,
        loss,
        optimizer_of(plan, len(batches)),
        {
            "epochs": plan.epochs,
            "batch_size": plan.batch_size,
            "drop_last": plan.drop_last,
            "key": order,
            "patience": plan.patience,
            "augment": [_augmentation(name) for name in plan.augment or ()],
            "about": {
                "plan": dataclasses.replace(plan, data=_from_anywhere(plan.data)).to_dict(),
                "built": described,
            },
        },
    )


def examples_of(plan: Plan) -> Dataset:
    """The data of a plan as its model gets it: pictures and tables standardized, some moved to the validation part.

    Raises:
        DataError: the data is missing or is not what it should be.
    """
    found = data.load(plan.data, **plan.options)
    if plan.data != "digits":
        found = found if found.train_x.dtype.kind == "i" else found.standardized()
    elif plan.model not in (None, "mlp", "linear"):
        found = found.as_images()
    if found.classes is None and found.train_y.ndim == 1:  # models give one column
        found = found.replace(**{f"{part}_y": found.part(part)[1][:, None] for part in found.parts})
    return found.split(plan.validation, _keys(plan)[1]) if plan.validation else found


def _from_anywhere(where: str) -> str:
    """What names the same data in whatever folder the run goes on: a name as it is, a path from the root."""
    return known_name(where) or str(as_path("plan", where).absolute())


def _keys(plan: Plan) -> Any:
    """For the first weights, and for the order of the examples."""
    return random.split(random.key(plan.seed))


def describe_model(plan: Plan, examples: Dataset) -> dict[str, Any]:
    """The model of a plan for this data, as :func:`chainrule.models.build` takes it."""
    outputs = examples.train_y[0].size if examples.classes is None else len(examples.classes)
    return models.full_description(
        {"name": plan.model, "input_shape": list(examples.input_shape), "classes": outputs}
    )


def optimizer_of(plan: Plan, steps: int) -> Optimizer:
    """The optimizer of a filled plan.

    Args:
        steps: in an epoch.

    Raises:
        ArgumentError: there is no such optimizer or schedule, or it takes no weight decay.
    """
    assert plan.learning_rate is not None
    assert plan.epochs is not None
    schedule = _one_of("schedule", plan.schedule, SCHEDULES)
    rate: Any = plan.learning_rate
    if schedule != "constant":
        rate = {"one_cycle": optim.one_cycle, "cosine": optim.cosine}[schedule](rate, steps * plan.epochs)
    described: dict[str, Any] = {"name": plan.optimizer, "learning_rate": plan.learning_rate}
    if plan.weight_decay:
        described["weight_decay"] = plan.weight_decay
    if schedule != "constant":
        described["learning_rate"] = rate.to_dict()
    return optim.from_description(described)


def _augmentation(name: str) -> Any:
    return AUGMENTATIONS[_one_of("augmentation", name, AUGMENTATIONS)]()


def _one_of(what: str, name: str | None, known: Collection[str]) -> str:
    """The name, if it is known."""
    if name is None or name not in known:
        raise ArgumentError(f"there is no {what} {name!r}", fix=f"choose one of {', '.join(known)}")
    return name
