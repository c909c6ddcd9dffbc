"""Layers that give weighted sums of all their inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, GradientError, ShapeError
from chainrule.nn.arguments import as_features, as_floating, as_size
from chainrule.nn.init import Initializer, he_normal
from chainrule.nn.module import Module
from chainrule.ops import max
from chainrule.ops.matmul import matmul
from chainrule.shapes import float32
from chainrule.tensor import Tensor, tensor


class Linear(Module):
    """``y = x @ weight + bias``.

    Args:
        in_features: size of the last axis of ``x``.
        out_features: size of the last axis of ``y``.
        key: for the weights, from ``cr.random.key``; biases start at 0.
        bias: whether there is one.
        initializer: ``(key, shape, dtype) -> weights``.
        dtype: float32 or float64.

    Attributes:
        weight: shape ``(in_features, out_features)``.
        bias: shape ``(out_features,)``, or None.

    Raises:
        ArgumentError: a size below 1.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> layer = Linear(2, 3, key=cr.random.key(0))
        >>> layer(np.ones((5, 2), np.float32)).shape
        (5, 3)
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        key: Tensor,
        bias: bool = True,
        initializer: Initializer = he_normal,
        dtype: Any = float32,
    ) -> None:
        self._set_weights(
            as_size("Linear", "in_features", in_features),
            as_size("Linear", "out_features", out_features),
            key,
            bias,
            initializer,
            as_floating(dtype),
        )

    def _set_weights(
        self, fan_in: int, fan_out: int, key: Tensor, bias: bool, initializer: Initializer, dtype: Any
    ) -> None:
        weight = initializer(key, (fan_in, fan_out), dtype)
        self.weight = tensor(weight, dtype=dtype, requires_grad=True, name="weight")
        zeros = np.zeros(fan_out, dtype)
        self.bias = tensor(zeros, requires_grad=True, name="bias") if bias else None

    @property
    def in_features(self) -> int:
        """Size of the last axis of the input."""
        return self.weight.shape[0]

    @property
    def out_features(self) -> int:
        """Size of the last axis of the output."""
        return self.weight.shape[1]

    def __call__(self, x: Any) -> Tensor:
        """Apply the layer.

        Args:
            x: shape ``(*batch, in_features)``, floats.

        Returns:
            Shape ``(*batch, out_features)``.

        Raises:
            ShapeError: the last axis of ``x`` has another size.
            DTypeError: ``x`` does not hold floats.
        """
        x = as_features(type(self).__name__, x)
        if x.shape[-1] != self.weight.shape[0]:
            raise _wrong_size(type(self).__name__, x, self.weight.shape[0])
        y = matmul(x, self.weight)
        return y if self.bias is None else y + self.bias


class Dense(Linear):
    """A `Linear` layer that learns its input size from the first input, and an activation.

    Until then it has no parameters, and whatever asks for them raises an error: call the model once
    before it is differentiated or trained.

    Args:
        out_features: size of the last axis of the output.
        activation: applied to the weighted sums, such as ``cr.relu``; None for none.
        key, bias, initializer, dtype: as for `Linear`.

    Example:
        >>> layer = Dense(3, cr.tanh, key=cr.random.key(0))
        >>> layer(np.ones((5, 2), np.float32)).shape
        (5, 3)
        >>> layer.weight.shape
        (2, 3)
    """

    def __init__(
        self,
        out_features: int,
        activation: Callable[[Any], Any] | None = None,
        *,
        key: Tensor,
        bias: bool = True,
        initializer: Initializer = he_normal,
        dtype: Any = float32,
    ) -> None:
        if activation is not None and (not callable(activation) or isinstance(activation, type)):
            raise ArgumentError(
                f"Dense: activation must be a function of one tensor, got {activation!r}",
                fix="pass the function itself: cr.tanh",
            )
        size = as_size("Dense", "out_features", out_features)
        self.activation = activation
        self._waiting: tuple[Any, ...] | None = (size, key, bias, initializer, as_floating(dtype))

    def tree_children(self) -> list[tuple[str, Any]]:
        if self._waiting is not None:
            raise GradientError(
                "this Dense layer has no parameters yet: it learns its input size from the first input",
                fix="call the model once before it is differentiated or trained: model(x[:1]); or use "
                "cr.nn.Linear(in_features, out_features, key=key)",
            )
        return super().tree_children()

    def __call__(self, x: Any) -> Tensor:
        if self._waiting is not None:
            x = as_features("Dense", x)
            self._set_weights(
                as_size("Dense", "the last axis of its first input", x.shape[-1]), *self._waiting
            )
            self._waiting = None
        y = super().__call__(x)
        return y if self.activation is None else self.activation(y)

    def __repr__(self) -> str:
        if self._waiting is None:
            return super().__repr__()
        return f"Dense(waits for its first input, out_features={self._waiting[0]})"


class Maxout(Linear):
    """The largest of several weighted sums: an activation that is learned together with its weights.

    Args:
        in_features: size of the last axis of ``x``.
        out_features: size of the last axis of ``y``.
        pieces: how many sums each output is the largest of; two of them can be a relu or an absolute value.
        key, bias, initializer, dtype: as for `Linear`.

    Attributes:
        weight: shape ``(in_features, pieces * out_features)``; those of piece p are the columns from
            ``p * out_features`` on.
        bias: shape ``(pieces * out_features,)``, or None.

    Raises:
        ArgumentError: a size below 1.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> layer = Maxout(4, 3, 2, key=cr.random.key(0))
        >>> layer(np.ones((5, 4), np.float32)).shape, layer.summary().total
        ((5, 3), 30)

    Source: Goodfellow, Warde-Farley, Mirza, Courville and Bengio, ICML 2013, PMLR 28(3), 1319-1327.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        pieces: int,
        *,
        key: Tensor,
        bias: bool = True,
        initializer: Initializer = he_normal,
        dtype: Any = float32,
    ) -> None:
        size, self.pieces = (
            as_size("Maxout", "out_features", out_features),
            as_size("Maxout", "pieces", pieces),
        )
        fan_in = as_size("Maxout", "in_features", in_features)
        self._set_weights(fan_in, self.pieces * size, key, bias, initializer, as_floating(dtype))

    @property
    def out_features(self) -> int:
        return self.weight.shape[1] // self.pieces

    def __call__(self, x: Any) -> Tensor:
        y = super().__call__(x)
        return max(y.reshape((*y.shape[:-1], self.pieces, self.out_features)), axis=-2)


def _wrong_size(name: str, x: Any, expected: int) -> ShapeError:
    if x.shape[0] == expected and x.ndim == 2:
        fix = "transpose the input: x.mT"
    elif x.ndim > 2 and int(np.prod(x.shape[1:])) == expected:
        fix = f"flatten each example: x.reshape(-1, {expected})"
    else:
        fix = f"pass an array of shape (*batch, {expected}), or make the layer with in_features={x.shape[-1]}"
    return ShapeError(f"{name}: expected {expected} features on the last axis, got shape {x.shape}", fix=fix)
