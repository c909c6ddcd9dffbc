"""Losses for predictions that are numbers: functions of the error ``prediction - target``."""

from __future__ import annotations

from typing import Any

from chainrule.nn.losses.reduction import Reduction, reduced, require_alike, require_floats
from chainrule.node import as_nodes
from chainrule.ops import abs, clip, square
from chainrule.shapes import as_above_zero
from chainrule.tensor import Tensor


def half_squared_error(prediction: Any, target: Any, *, reduction: Reduction = "mean") -> Tensor:
    """``(prediction - target)² / 2``, whose derivative is the error ``prediction - target`` itself.

    Args:
        prediction: floats, shape ``(*n,)``.
        target: the same shape, or one number.
        reduction: over all elements.

    Returns:
        One number, in squared units of the prediction; shape ``(*n,)`` with ``reduction="none"``.

    Raises:
        ShapeError: shapes differ, or there is nothing to take the mean of.
        DTypeError: predictions or targets are not floats.

    Example:
        >>> half_squared_error([3.0, 1.0], [1.0, 1.0]).item()
        1.0
    """
    error = _error("half_squared_error", prediction, target)
    return reduced("half_squared_error", square(error) * 0.5, reduction)


def mean_squared_error(prediction: Any, target: Any, *, reduction: Reduction = "mean") -> Tensor:
    """``(prediction - target)²``. Arguments, result and errors as for :func:`half_squared_error`.

    Example:
        >>> mean_squared_error([3.0, 1.0], [1.0, 1.0]).item()
        2.0
    """
    error = _error("mean_squared_error", prediction, target)
    return reduced("mean_squared_error", square(error), reduction)


def absolute_error(prediction: Any, target: Any, *, reduction: Reduction = "mean") -> Tensor:
    """``|prediction - target|``, in units of the prediction: a few large errors weigh little. Its derivative at 0 is 0.

    Arguments and errors as for :func:`half_squared_error`.

    Example:
        >>> absolute_error([3.0, 1.0], [1.0, 1.0]).item()
        1.0
    """
    return reduced("absolute_error", abs(_error("absolute_error", prediction, target)), reduction)


def huber(prediction: Any, target: Any, *, delta: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """Half the squared error where it is at most ``delta``, and a straight line beyond: the gradient is at most delta.

    Args:
        prediction, target, reduction: as for :func:`half_squared_error`.
        delta: where it turns straight, in units of the prediction, above 0.

    Returns:
        One number, in squared units of the prediction; shape ``(*n,)`` with ``reduction="none"``.

    Raises:
        ArgumentError: ``delta`` is not above 0.
        ShapeError, DTypeError: as for :func:`half_squared_error`.

    Example:
        >>> huber([3.0, 0.5], [0.0, 0.0], reduction="none").tolist()
        [2.5, 0.125]

    Source: Huber, The Annals of Mathematical Statistics 35(1), 1964, 73-101, DOI 10.1214/aoms/1177703732.
    """
    error, limit = _error("huber", prediction, target), as_above_zero("huber", "delta", delta, "1.0")
    part = clip(error, -limit, limit)
    return reduced("huber", part * (error - 0.5 * part), reduction)


def _error(name: str, prediction: Any, target: Any) -> Any:
    p, t = as_nodes(name, prediction, target)
    require_floats(name, "prediction", p)
    require_floats(name, "target", t)
    require_alike(name, "prediction", p, "target", t)
    return p - t
