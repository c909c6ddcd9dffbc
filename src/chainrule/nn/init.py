"""Where training starts: random weights whose spread keeps signals and gradients of one size.

An initializer is a function ``(key, shape, dtype) -> tensor``. A weight has its inputs on the last axis but
one and its outputs on the last; axes before are a convolution's window. So a matrix is (in, out) and an
image kernel (height, width, in, out). ``fan_in`` is how many numbers an output is a sum of: ``in`` times the size
of the window; ``fan_out`` how many an input goes into: ``out`` times the size of the window.

``functools.partial(cr.random.normal, std=0.02)`` is an initializer too, and so is any function of yours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from chainrule.errors import ShapeError
from chainrule.nn.arguments import as_floating
from chainrule.ops import random
from chainrule.shapes import Shape, as_shape, float32, float64
from chainrule.tensor import Tensor, tensor

Initializer: TypeAlias = Callable[..., Tensor]


def he_normal(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Normal numbers with standard deviation ``sqrt(2 / fan_in)``, for layers that a relu follows.

    Args:
        key: from :func:`chainrule.random.key`; the same key gives the same numbers.
        shape: of the weight, ``(*window, in, out)``.
        dtype: float32 or float64.

    Raises:
        ShapeError: fewer than two axes, or no inputs.

    Example:
        >>> w = he_normal(cr.random.key(0), (800, 400))
        >>> abs(w.std().item() / (2 / 800) ** 0.5 - 1) < 0.01
        True

    Source: He, Zhang, Ren and Sun, ICCV 2015, 1026-1034, DOI 10.1109/ICCV.2015.123.
    """
    fan_in, _ = _fans("he_normal", shape)
    return _normal(key, shape, dtype, 2 / fan_in)


def he_uniform(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Uniform numbers between ``±sqrt(6 / fan_in)``, of the variance of :func:`he_normal`, whose arguments it takes.

    Example:
        >>> abs(he_uniform(cr.random.key(0), (24, 20))).max().item() <= 0.5
        True

    Source: He, Zhang, Ren and Sun, ICCV 2015, 1026-1034, DOI 10.1109/ICCV.2015.123.
    """
    fan_in, _ = _fans("he_uniform", shape)
    return _uniform(key, shape, dtype, 6 / fan_in)


def glorot_normal(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Normal numbers with standard deviation ``sqrt(2 / (fan_in + fan_out))``; arguments as for :func:`he_normal`.

    Example:
        >>> w = glorot_normal(cr.random.key(0), (600, 200))
        >>> abs(w.std().item() / 0.05 - 1) < 0.01
        True

    Source: Glorot and Bengio, AISTATS 2010, PMLR 9, 249-256.
    """
    fan_in, fan_out = _fans("glorot_normal", shape)
    return _normal(key, shape, dtype, 2 / (fan_in + fan_out))


def glorot_uniform(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Uniform numbers between ``±sqrt(6 / (fan_in + fan_out))``, for layers that a tanh or sigmoid follows.

    Args, Raises: as for :func:`he_normal`.

    Example:
        >>> w = glorot_uniform(cr.random.key(0), (30, 20))
        >>> abs(w).max().item() <= (6 / 50) ** 0.5
        True

    Source: Glorot and Bengio, AISTATS 2010, PMLR 9, 249-256.
    """
    fan_in, fan_out = _fans("glorot_uniform", shape)
    return _uniform(key, shape, dtype, 6 / (fan_in + fan_out))


def lecun_normal(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Normal numbers with standard deviation ``sqrt(1 / fan_in)``; arguments as for :func:`he_normal`.

    Example:
        >>> w = lecun_normal(cr.random.key(0), (400, 300))
        >>> abs(w.std().item() / 0.05 - 1) < 0.01
        True

    Source: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 4.6, DOI 10.1007/3-540-49430-8_2.
    """
    fan_in, _ = _fans("lecun_normal", shape)
    return _normal(key, shape, dtype, 1 / fan_in)


def lecun_uniform(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """Uniform numbers between ``±sqrt(3 / fan_in)``, of the variance of :func:`lecun_normal`.

    Args, Raises: as for :func:`he_normal`.

    Example:
        >>> abs(lecun_uniform(cr.random.key(0), (12, 20))).max().item() <= 0.5
        True

    Source: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 4.6, DOI 10.1007/3-540-49430-8_2.
    """
    fan_in, _ = _fans("lecun_uniform", shape)
    return _uniform(key, shape, dtype, 3 / fan_in)


def orthogonal(key: Tensor, shape: Any, dtype: Any = float32) -> Tensor:
    """A random matrix that changes no lengths, so that signals keep their size through many layers.

    Its columns are orthonormal, or its rows if there are fewer. A kernel is such a matrix from all that an output is a
    sum of, ``(*window * in, out)``.

    Args, Raises: as for :func:`he_normal`. The key's numbers must be known: it is not for use within ``cr.compile``.

    Example:
        >>> w = orthogonal(cr.random.key(0), (3, 2), cr.float64)
        >>> np.allclose((w.mT @ w).numpy(), np.eye(2))
        True

    Source: Saxe, McClelland and Ganguli, ICLR 2014, arXiv:1312.6120; all such matrices are equally likely, after
    Mezzadri, Notices of the AMS 54(5), 2007, 592-604.
    """
    _fans("orthogonal", shape)
    sizes, chosen = as_shape("orthogonal", shape), as_floating(dtype)
    rows, columns = math.prod(sizes[:-1]), sizes[-1]
    draws = random.normal(key, (max(rows, columns), min(rows, columns)), float64)
    q, r = np.linalg.qr(draws.numpy())
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return tensor((q if rows >= columns else q.T).reshape(sizes).astype(chosen))


def _normal(key: Tensor, shape: Any, dtype: Any, variance: float) -> Tensor:
    return random.normal(key, shape, dtype) * math.sqrt(variance)


def _uniform(key: Tensor, shape: Any, dtype: Any, squared_limit: float) -> Tensor:
    return (2 * random.uniform(key, shape, dtype) - 1) * math.sqrt(squared_limit)


def _fans(name: str, shape: Any) -> tuple[int, int]:
    """fan_in and fan_out of a weight."""
    sizes: Shape = as_shape(name, shape)
    if len(sizes) < 2 or not math.prod(sizes):
        raise ShapeError(
            f"{name}: expected the shape of a weight, (in, out) or (height, width, in, out), got {sizes}",
            fix="start a bias with cr.zeros(shape)",
        )
    window = math.prod(sizes[:-2])
    return window * sizes[-2], window * sizes[-1]
