"""Targets of a regression: learned as if they had mean 0 and standard deviation 1, given in the user's units."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.data import Dataset
from chainrule.data.examples import moments
from chainrule.nn import Buffer, Module, Training
from chainrule.nn.training import call
from chainrule.ops import mean, square
from chainrule.primitive import Array
from chainrule.shapes import float32
from chainrule.tensor import Tensor, tensor


class Rescaled(Module):
    """A model whose outputs are brought to the units of the targets: ``model(x) * std + mean``.

    First weights give outputs of about 1, and the steps of an optimizer are as small: prices of 250,000 would stay out
    of reach. Mean and deviation are buffers, so whoever has the trained model has them too.

    Args:
        model: maps ``(n, *example)`` to ``(n, targets)``.
        mean, std: of the training targets, shape ``(targets,)``.
    """

    def __init__(self, model: Any, mean: Array, std: Array) -> None:
        self.model = model
        self.mean, self.std = (Buffer(tensor(np.asarray(v, float32))) for v in (mean, std))

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Outputs in the units of the targets, shape ``(n, targets)``."""
        return call(self.model, x, training) * self.std.value + self.mean.value


class RelativeSquaredError:
    """A loss: the mean squared error in units of the targets' variance, so that 1 is that of guessing their mean.

    Args:
        std: of the training targets, shape ``(targets,)``.
    """

    def __init__(self, std: Array) -> None:
        self._std = np.asarray(std, float32)

    def __call__(self, output: Any, target: Any) -> Tensor:
        """One number, from outputs and targets of shape ``(n, targets)``."""
        return mean(square((output - target) / self._std))


def target_moments(data: Dataset) -> tuple[Array, Array]:
    """Mean and deviation of each training target, float64, shape ``(targets,)``; a deviation of 0 comes as 1."""
    return moments(data.train_y, data.train_y[0].size)
