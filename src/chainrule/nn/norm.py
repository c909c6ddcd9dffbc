"""Normalization: activations of mean 0 and variance 1, then a learned scale and shift."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.nn.arguments import (
    as_above_zero,
    as_features,
    as_floating,
    as_share,
    as_size,
    require_channels,
)
from chainrule.nn.module import Buffer, Module
from chainrule.nn.training import Training
from chainrule.ops import mean, sqrt, stop_gradient, var
from chainrule.shapes import float32
from chainrule.tensor import Tensor, tensor


class BatchNorm(Module):
    """Normalization of each channel, by mean and variance of the batch while it is trained.

    Otherwise, ``layer(x)``, by running averages of both, which training passes leave::

        average = decay · average + (1 - decay) · batch

    Args:
        channels: size of the last axis.
        decay: share of a running average that stays, in [0, 1); torch's momentum is 1 - decay.
        epsilon: added to the variance, above 0.
        dtype: float32 or float64.

    Attributes:
        scale, shift: shape ``(channels,)``; they start at 1 and 0.
        mean, variance: running averages, a `Buffer` each; the variance's batches are counted without bias,
            with n - 1, as in torch.

    Raises:
        ArgumentError: a number out of its range.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> layer = BatchNorm(3)
        >>> x = np.random.default_rng(0).normal(5, 2, (100, 3)).astype(np.float32)
        >>> y = layer(x, cr.nn.Training())
        >>> abs(y.mean().item()) < 1e-5, abs(y.std().item() - 1) < 1e-3
        (True, True)

    Source: Ioffe and Szegedy, ICML 2015, PMLR 37, 448-456.
    """

    trains_differently = True

    def __init__(
        self, channels: int, *, decay: float = 0.9, epsilon: float = 1e-5, dtype: Any = float32
    ) -> None:
        size, chosen = as_size("BatchNorm", "channels", channels), as_floating(dtype)
        self.scale = tensor(np.ones(size, chosen), requires_grad=True, name="scale")
        self.shift = tensor(np.zeros(size, chosen), requires_grad=True, name="shift")
        self.mean, self.variance = (Buffer(tensor(start(size, chosen))) for start in (np.zeros, np.ones))
        self.decay = as_share("BatchNorm", "decay", decay)
        self.epsilon = as_above_zero("BatchNorm", "epsilon", epsilon)

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Apply the layer.

        Args:
            x: shape ``(*batch, channels)``, such as images ``(N, H, W, channels)``; floats.
            training: the pass, while the layer is trained.

        Returns:
            The same shape.

        Raises:
            ShapeError: other channels, or a batch of one number for each channel while it is trained.
            DTypeError: ``x`` does not hold floats.
        """
        x = as_features("BatchNorm", x)
        require_channels("BatchNorm", x, self.scale.shape[0])
        if training is None:
            factor = self.scale / sqrt(self.variance.value + self.epsilon)
            return (x - self.mean.value) * factor + self.shift
        axes, n = tuple(range(x.ndim - 1)), math.prod(x.shape[:-1])
        if n < 2:
            raise ShapeError(
                f"BatchNorm: the variance of a batch needs more than one number for each channel, got {x.shape}",
                fix="train with larger batches, or drop the last one of an epoch if it has one example",
            )
        average, spread = mean(x, axis=axes, keepdims=True), var(x, axis=axes, keepdims=True)
        self._keep(training, self.mean, average)
        self._keep(training, self.variance, spread * (n / (n - 1)))
        return (x - average) / sqrt(spread + self.epsilon) * self.scale + self.shift

    def _keep(self, training: Training, buffer: Buffer, of_batch: Tensor) -> None:
        new = stop_gradient(of_batch).reshape(buffer.value.shape)
        training.keep(buffer, self.decay * training.current(buffer) + (1 - self.decay) * new)
