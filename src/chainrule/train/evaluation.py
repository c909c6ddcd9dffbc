"""How good a model is on examples that it is not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.data import Dataset
from chainrule.errors import ShapeError
from chainrule.node import as_node
from chainrule.primitive import Array
from chainrule.tensor import no_grad
from chainrule.train.metrics import Metrics
from chainrule.train.step import with_buffers
from chainrule.transforms import compile as compiled

AT_ONCE = 256
"""Examples in a call: enough for every processor, and few enough for their memory."""


@dataclass(frozen=True, slots=True)
class Score:
    """Loss and metrics by name, and the model's outputs."""

    measured: dict[str, float]
    outputs: Array


class Evaluator:
    """Runs a model on whole parts of a data set, and measures its outputs.

    Args:
        loss: ``(model(x), y) -> one number``, a mean over examples.
        metrics: likewise, by name.
        compile: whether as machine code; else through NumPy.
        threads: how many run it.
    """

    def __init__(
        self, loss: Callable[[Any, Any], Any], metrics: Metrics, compile: bool, threads: int | None
    ) -> None:
        self._measures = {"loss": loss, **metrics}
        self._run = compiled(_outputs, threads=threads) if compile else _outputs

    def __call__(self, parts: tuple[Any, dict[str, Any]], data: Dataset, part: str) -> Score:
        """Measure.

        Args:
            parts: the model and its buffers.
            data: whose examples.
            part: such as ``"test"``.
        """
        x, y = data.part(part)
        outputs = self.outputs(parts, x, data.preparation)
        with no_grad():
            found = {name: float(f(outputs, y)) for name, f in self._measures.items()}
        return Score(found, outputs)

    def outputs(
        self, parts: tuple[Any, dict[str, Any]], x: Array, prepare: Callable[[Array], Array]
    ) -> Array:
        """The model's outputs for raw examples; a last part is filled up, so that one shape is compiled."""
        found: list[Array] = []
        size = min(AT_ONCE, len(x))
        for start in range(0, len(x), size):
            some = prepare(x[start : start + size])
            filled = np.concatenate([some, np.broadcast_to(some[:1], (size - len(some), *some.shape[1:]))])
            with no_grad():
                found.append(as_node(self._run(*parts, filled)).array()[: len(some)])
        return np.concatenate(found)


def _outputs(model: Any, buffers: dict[str, Any], x: Any) -> Any:
    return with_buffers(model, buffers)(x)


def require_scores(model: Any, x: Array, classes: int) -> None:
    """Call the model once, so that layers that wait for their first input get it, and look at its scores.

    Raises:
        ShapeError: it does not give one score for each class.
    """
    with no_grad():
        scores = model(x[:1])
    expected = (1, classes)
    if classes and getattr(scores, "shape", None) != expected:
        got = getattr(scores, "shape", type(scores).__name__)
        raise ShapeError(
            f"train: the model maps {x[:1].shape} to {got}, expected {expected}, one score for each class",
            fix=f"give its last layer {classes} outputs",
        )


def confusion(right: Array, predicted: Array, classes: int) -> tuple[tuple[int, ...], ...]:
    """How many examples of each class (row) were taken for each class (column)."""
    counts = np.bincount(right * classes + predicted, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.reshape(classes, classes).tolist())
