"""Normalization: activations of mean 0 and variance 1, then a learned scale and shift.

Layers differ in what they take the mean over: `BatchNorm` over the batch for each channel, `LayerNorm` over the
features of one example, `GroupNorm` over one image and some of its channels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.arguments import (
    as_features,
    as_floating,
    as_size,
    require_channels,
)
from chainrule.nn.module import Buffer, Module
from chainrule.nn.training import Training
from chainrule.ops import mean, sqrt, stop_gradient, var
from chainrule.shapes import as_above_zero, as_share, float32
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
        self.scale, self.shift = _scale_and_shift(size, chosen)
        self.mean, self.variance = (Buffer(tensor(start(size, chosen))) for start in (np.zeros, np.ones))
        self.decay = as_share("BatchNorm", "decay", decay)
        self.epsilon = as_above_zero("BatchNorm", "epsilon", epsilon, "1e-5")

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
                fix="train with larger batches, or with drop_last=True if the last of an epoch has one example",
            )
        average, spread = mean(x, axis=axes, keepdims=True), var(x, axis=axes, keepdims=True)
        self._keep(training, self.mean, average)
        self._keep(training, self.variance, spread * (n / (n - 1)))
        return _standardized(x, average, spread, self.epsilon) * self.scale + self.shift

    def _keep(self, training: Training, buffer: Buffer, of_batch: Tensor) -> None:
        new = stop_gradient(of_batch).reshape(buffer.value.shape)
        training.keep(buffer, self.decay * training.current(buffer) + (1 - self.decay) * new)


class LayerNorm(Module):
    """Normalization of each example by mean and variance of its own features: no batch is needed.

    Args:
        features: size of the last axis.
        epsilon: added to the variance, above 0.
        dtype: float32 or float64.

    Attributes:
        scale, shift: shape ``(features,)``; they start at 1 and 0.

    Raises:
        ArgumentError: a number out of its range.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> y = LayerNorm(4)(np.array([[1.0, 2.0, 3.0, 4.0]], np.float32))
        >>> abs(y.mean().item()) < 1e-6, abs(y.std().item() - 1) < 1e-4
        (True, True)

    Source: Ba, Kiros and Hinton, arXiv:1607.06450.
    """

    def __init__(self, features: int, *, epsilon: float = 1e-5, dtype: Any = float32) -> None:
        size, chosen = as_size("LayerNorm", "features", features), as_floating(dtype)
        self.scale, self.shift = _scale_and_shift(size, chosen)
        self.epsilon = as_above_zero("LayerNorm", "epsilon", epsilon, "1e-5")

    def __call__(self, x: Any) -> Tensor:
        """Apply the layer.

        Args:
            x: shape ``(*batch, features)``, floats.

        Returns:
            The same shape.

        Raises:
            ShapeError: another number of features.
            DTypeError: ``x`` does not hold floats.
        """
        x = as_features("LayerNorm", x)
        if x.shape[-1] != self.scale.shape[0]:
            raise ShapeError(
                f"LayerNorm: expected {self.scale.shape[0]} features on the last axis, got shape {x.shape}",
                fix=f"make the layer with features={x.shape[-1]}",
            )
        average, spread = mean(x, axis=-1, keepdims=True), var(x, axis=-1, keepdims=True)
        return _standardized(x, average, spread, self.epsilon) * self.scale + self.shift


class GroupNorm(Module):
    """Normalization of each image and each group of channels by their own mean and variance.

    One group is layer normalization over a whole image, as many groups as channels instance normalization.

    Args:
        groups: into how many the channels are cut; neighbours belong together.
        channels: size of the last axis, a multiple of ``groups``.
        epsilon: added to the variance, above 0.
        dtype: float32 or float64.

    Attributes:
        scale, shift: shape ``(channels,)``; they start at 1 and 0.

    Raises:
        ArgumentError: a number out of its range, or groups that do not divide the channels.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> GroupNorm(2, 6)(np.ones((5, 8, 8, 6), np.float32)).shape
        (5, 8, 8, 6)

    Source: Wu and He, ECCV 2018, 3-19, DOI 10.1007/978-3-030-01261-8_1.
    """

    def __init__(self, groups: int, channels: int, *, epsilon: float = 1e-5, dtype: Any = float32) -> None:
        self.groups = as_size("GroupNorm", "groups", groups)
        size, chosen = as_size("GroupNorm", "channels", channels), as_floating(dtype)
        if size % self.groups:
            raise ArgumentError(
                f"GroupNorm: {self.groups} groups do not divide {size} channels",
                fix=f"pass a number of groups that does, such as {math.gcd(self.groups, size)}",
            )
        self.scale, self.shift = _scale_and_shift(size, chosen)
        self.epsilon = as_above_zero("GroupNorm", "epsilon", epsilon, "1e-5")

    def __call__(self, x: Any) -> Tensor:
        """Apply the layer.

        Args:
            x: shape ``(N, *space, channels)``, such as images ``(N, H, W, channels)``; floats.

        Returns:
            The same shape.

        Raises:
            ShapeError: other channels, or no axis for the batch.
            DTypeError: ``x`` does not hold floats.
        """
        x = as_features("GroupNorm", x)
        require_channels("GroupNorm", x, self.scale.shape[0])
        if x.ndim < 2:
            raise ShapeError(
                f"GroupNorm: expected (N, *space, channels), got shape {x.shape}",
                fix="one example is a batch of one: x[None]",
            )
        *outer, channels = x.shape
        space, size = math.prod(outer[1:]), channels // self.groups
        parts = x.reshape((outer[0], space, self.groups, size))
        average, spread = mean(parts, axis=(1, 3), keepdims=True), var(parts, axis=(1, 3), keepdims=True)
        y = _standardized(parts, average, spread, self.epsilon).reshape(x.shape)
        return y * self.scale + self.shift


def _scale_and_shift(size: int, dtype: Any) -> tuple[Tensor, Tensor]:
    scale = tensor(np.ones(size, dtype), requires_grad=True, name="scale")
    return scale, tensor(np.zeros(size, dtype), requires_grad=True, name="shift")


def _standardized(x: Any, average: Any, spread: Any, epsilon: float) -> Any:
    return (x - average) / sqrt(spread + epsilon)
