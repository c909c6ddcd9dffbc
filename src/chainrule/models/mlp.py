"""Multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.nn import Linear, Sequential
from chainrule.nn.init import Initializer, he_normal
from chainrule.ops import random
from chainrule.shapes import float32
from chainrule.tensor import Tensor


def mlp(
    sizes: Sequence[int],
    activation: Callable[[Any], Any],
    *,
    key: Tensor,
    initializer: Initializer = he_normal,
    dtype: Any = float32,
) -> Sequential:
    """Linear layers with an activation between them, and none after the last.

    Args:
        sizes: of the input, each hidden layer, and the output.
        activation: such as ``cr.relu``.
        key: for all weights.
        initializer: ``(key, shape, dtype) -> weights``.
        dtype: float32 or float64.

    Returns:
        Maps ``(*batch, sizes[0])`` to ``(*batch, sizes[-1])``.

    Raises:
        ArgumentError: fewer than two sizes, or a size below 1.

    Example:
        >>> model = mlp((64, 32, 10), cr.relu, key=cr.random.key(0))
        >>> model(np.ones((5, 64), np.float32)).shape
        (5, 10)
    """
    if len(sizes) < 2:
        raise ArgumentError(
            f"mlp: expected the sizes of input and output at least, got {tuple(sizes)}",
            fix="mlp((64, 10), ...)",
        )
    layers: list[Callable[[Any], Any]] = []
    for fan_in, fan_out, own in zip(sizes, sizes[1:], random.split(key, len(sizes) - 1), strict=False):
        layers += [Linear(fan_in, fan_out, key=own, initializer=initializer, dtype=dtype), activation]
    return Sequential(*layers[:-1])
