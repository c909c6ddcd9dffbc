"""Where training starts: random weights whose spread keeps signals and gradients of one size.

An initializer is a function ``(key, shape, dtype) -> tensor``. A weight has its inputs on the last axis but
one and its outputs on the last; axes before are a convolution's window. So a matrix is (in, out) and an
image kernel (height, width, in, out).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops import random
from chainrule.shapes import Shape, as_shape, float32, float64
from chainrule.tensor import Tensor, tensor

Initializer: TypeAlias = Callable[..., Tensor]


def he_normal(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Normal numbers with standard deviation ``sqrt(2 / fan_in)``, for layers that a relu follows.

    Args:
        key: from :func:`chainrule.random.key`; the same key gives the same numbers.
        shape: of the weight, ``(*window, in, out)``; fan_in is ``in`` times the size of the window.
        dtype: float32 or float64.

    Raises:
        ShapeError: fewer than two axes, or no inputs.

    Example:
        >>> w = he_normal(cr.random.key(0), (800, 400))
        >>> abs(w.std().item() / (2 / 800) ** 0.5 - 1) < 0.01
        True

    Source: He, Zhang, Ren and Sun, ICCV 2015, 1026-1034, DOI 10.1109/ICCV.2015.123.
    """
    shape = as_shape("he_normal", shape)
    fan_in, _ = _fans("he_normal", shape)
    return random.normal(key, shape, dtype) * math.sqrt(2 / fan_in)


def glorot_uniform(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Uniform numbers between ``±sqrt(6 / (fan_in + fan_out))``, for layers that a tanh or sigmoid follows.

    Args, Raises: as for :func:`he_normal`; fan_out is ``out`` times the size of the window.

    Example:
        >>> w = glorot_uniform(cr.random.key(0), (30, 20))
        >>> abs(w).max().item() <= (6 / 50) ** 0.5
        True

    Source: Glorot and Bengio, AISTATS 2010, PMLR 9, 249-256.
    """
    shape = as_shape("glorot_uniform", shape)
    fan_in, fan_out = _fans("glorot_uniform", shape)
    limit = math.sqrt(6 / (fan_in + fan_out))
    return (2 * random.uniform(key, shape, dtype) - 1) * limit


def orthogonal(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """A random matrix with orthonormal rows or columns, whichever are fewer, for a state that runs through it again and
    again: it neither grows nor shrinks.

    Args, Raises: as for :func:`he_normal`; a window counts as inputs.

    Example:
        >>> w = orthogonal(cr.random.key(0), (30, 30), cr.float64)
        >>> abs(w.mT @ w - cr.eye(30)).max().item() < 1e-12
        True

    Source: Saxe, McClelland and Ganguli, ICLR 2014, arXiv:1312.6120.
    """
    shape = as_shape("orthogonal", shape)
    _fans("orthogonal", shape)
    rows, columns = math.prod(shape[:-1]), shape[-1]
    tall = random.normal(key, (max(rows, columns), min(rows, columns)), float64).numpy()
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)  # so that all such matrices are equally likely
    return tensor((q if rows >= columns else q.T).reshape(shape), dtype=dtype)


def _fans(name: str, shape: Shape) -> tuple[int, int]:
    """Numbers that each output is a sum of, and outputs that each input goes into."""
    if len(shape) < 2 or not math.prod(shape):
        raise ShapeError(
            f"{name}: expected the shape of a weight, (in, out) or (height, width, in, out), got {shape}",
            fix="start a bias with cr.zeros(shape)",
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]
