"""Trained models, read back from the folders of their runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import models
from chainrule.data import Description, looks_inverted, one_image
from chainrule.data.pictures import frame_of, pixels_text
from chainrule.errors import DataError
from chainrule.nn.watching import watched
from chainrule.node import Node
from chainrule.ops import random, softmax, sum
from chainrule.primitive import Array
from chainrule.tensor import no_grad
from chainrule.train.divergence import first_parameter
from chainrule.train.folder import ABOUT, RunFolder
from chainrule.train.options import require_instance
from chainrule.train.plan import Plan
from chainrule.train.state import model_from
from chainrule.train.step import buffers_of
from chainrule.train.targets import Rescaled
from chainrule.transforms import grad

_FINITE = "remove or replace nan, infinities and numbers far from those of the training examples"
_REPLACED = random.key(0)
"""For weights that are replaced by the trained ones."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        file: the picture.
        scores: the probability of each class by name, the largest first; or the outputs of a regression by number.
        notes: what was done to the picture, or is strange about it.
    """

    file: str
    scores: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The most probable class."""
        return next(iter(self.scores))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"file": self.file, "label": self.label, "scores": self.scores, "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained model with what its input must look like.

    Attributes:
        model: with its parameters and buffers.
        description: of the data, see :class:`chainrule.data.Description`.
        folder: of the run.
        plan: what it was trained by, if ``chainrule train`` made it.
    """

    model: Any
    description: Description
    folder: RunFolder
    plan: Plan | None

    def outputs(self, x: Array) -> Array:
        """The model's outputs for prepared examples, shape ``(n, *input_shape)``.

        Raises:
            DataError: an example or its output is not finite, or the model has not one output for each class.
        """
        with no_grad():
            found = self.model(x).numpy()
        for what, array in (("the input", x), ("the model's output", found)):
            if not np.isfinite(array).all():
                row = int(np.argwhere(~np.isfinite(array))[0][0])
                raise DataError(f"{what} is not finite in row {row}", fix=_FINITE)
        classes = self.description.classes
        if classes is not None and found.shape[-1] != len(classes):
            raise DataError(
                f"{self.folder.path}: {ABOUT} names {len(classes)} classes, and the model has "
                f"{found.shape[-1]} outputs",
                fix="undo what was changed in it, or train again",
            )
        return found

    def probabilities(self, x: Array) -> Array:
        """Of each class, for prepared examples: a softmax over the scores, shape ``(n, classes)``.

        Raises:
            DataError: as for :meth:`outputs`.
        """
        with no_grad():
            return np.asarray(softmax(self.outputs(x), axis=-1).numpy())

    def templates(self, x: Array) -> Array:
        """For each output what raises it: its gradient for the input, a mean over examples.

        Of a model that is one linear layer these are its weights, the templates of a class; of any other, the weights
        of the linear function that is nearest to it, around these examples.

        Args:
            x: prepared examples, shape ``(n, *input_shape)``.

        Returns:
            Shape ``(outputs, *input_shape)``.
        """
        outputs = self.model(x[:1]).shape[-1]
        slope = grad(lambda x, chosen: sum(self.model(x) * chosen))
        return np.stack([slope(x, one).numpy().mean(0) for one in np.eye(outputs, dtype=x.dtype)])

    def activations(self, x: Array) -> list[tuple[str, Array]]:
        """What each layer makes of prepared examples: its path and kind, and its result, in order."""
        found: list[tuple[str, Array]] = []

        def see(path: str, layer: Any, result: Any) -> None:
            if isinstance(result, Node) and path:
                kind = getattr(layer, "__name__", type(layer).__name__)
                found.append((f"{path} {kind}", result.array()))

        with no_grad():
            watched(self.model, see)(x)
        return found

    def see(self, files: Sequence[str | os.PathLike[str]], *, invert: bool = False) -> list[Prediction]:
        """What the model says of picture files.

        Args:
            files: PNG, JPEG and other pictures; of another size they are scaled and cut, which is noted.
            invert: whether black and white change places.

        Raises:
            DataError: a file is no picture, or the model was not trained on pictures.
        """
        return [self._see(Path(file), invert) for file in files]

    def _see(self, file: Path, invert: bool) -> Prediction:
        x = one_image(file, self.description, resize=True, invert=invert)
        classes, notes = self.description.classes, _notes(file, self.description, invert)
        if classes is None:
            outputs = self.outputs(x)[0].reshape(-1).tolist()
            return Prediction(str(file), {str(i): value for i, value in enumerate(outputs)}, notes)
        shares = self.probabilities(x)[0]
        order = np.argsort(-shares, kind="stable")
        return Prediction(str(file), {classes[i]: float(shares[i]) for i in order}, notes)


def _notes(file: Path, description: Description, invert: bool) -> tuple[str, ...]:
    frame, (rows, columns) = frame_of(file), (description.image_shape or (0, 0))[:2]
    found: list[str] = []
    if (frame.rows, frame.columns) != (rows, columns):
        found.append(f"scaled and cut from {frame.columns} × {frame.rows} to {pixels_text(rows, columns)}")
    if not invert and looks_inverted(file, description):
        found.append(
            "bright where the training pictures are dark, or the reverse: try invert=True, or --invert"
        )
    return tuple(found)


def load(folder: str | os.PathLike[str], model: Any = None) -> Trained:
    """The model of a run.

    Args:
        folder: of the run, such as ``runs/latest``.
        model: of the same kind, to be given the trained parameters; None if ``chainrule train`` made the run, which
            has noted how its model is built.

    Raises:
        DataError: it is no run, has no parameters yet, is damaged, or of another model, or a parameter is not finite.
        OperandError: ``model`` is a class.

    Example:
        >>> model, data, loss, optimizer, settings = cr.models.digits_classifier()
        >>> _ = cr.train.fit(model, data, loss, optimizer, **{**settings, "epochs": 5}, folder="runs/readme")
        >>> trained = load("runs/readme", model)
        >>> x, y = data.prepared("test")
        >>> bool((trained.probabilities(x).argmax(-1) == y).mean() > 0.9)
        True
    """
    run = RunFolder.open(folder)
    described = run.about.get("data")
    if not isinstance(described, dict):
        raise DataError(f"{run.path}: run.json does not describe its data", fix="train again")
    fields = {name: value for name, value in described.items() if name not in ("sizes", "sha256")}
    description = Description.from_dict(fields)
    plan = Plan.from_dict(run.about["plan"]) if "plan" in run.about else None
    require_instance("load", model)
    if model is None:
        if "built" not in run.about:
            raise DataError(
                f"{run.path} was trained by a program: how its model is built is not noted",
                fix="pass a model of the same kind: cr.train.load(folder, model)",
            )
        model = models.build(run.about["built"], key=_REPLACED)
        if description.classes is None:
            ones = np.ones(run.about["built"]["classes"])  # replaced by the run's, as the weights are
            model = Rescaled(model, ones, ones)
    trained = model_from(run.weights(), model, str(run.path))
    wrong = first_parameter(trained) or first_parameter(buffers_of(trained))
    if wrong is not None:
        raise DataError(
            f"{run.path}: {wrong} is not finite", fix="bring back the file as it was, or train again"
        )
    return Trained(trained, description, run, plan)
