"""How far predictions are from what they should be, as one number to minimize.

``reduction`` says how the numbers of a batch become one: ``"mean"``, ``"sum"``, or ``"none"`` to keep them.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from chainrule.errors import ArgumentError, AxisError, DTypeError, ShapeError
from chainrule.node import Node, as_node, as_nodes
from chainrule.ops import expand_dims, logsumexp, mean, square, squeeze, sum, take_along_axis
from chainrule.shapes import FLOATS, INTS
from chainrule.tensor import Tensor

Reduction: TypeAlias = Literal["mean", "sum", "none"]


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
    return _reduce("half_squared_error", _squared("half_squared_error", prediction, target) * 0.5, reduction)


def mean_squared_error(prediction: Any, target: Any, *, reduction: Reduction = "mean") -> Tensor:
    """``(prediction - target)²``. Arguments, result and errors as for :func:`half_squared_error`.

    Example:
        >>> mean_squared_error([3.0, 1.0], [1.0, 1.0]).item()
        2.0
    """
    return _reduce("mean_squared_error", _squared("mean_squared_error", prediction, target), reduction)


def softmax_cross_entropy(logits: Any, labels: Any, *, reduction: Reduction = "mean") -> Tensor:
    """Minus the logarithm of the probability that a softmax over ``logits`` gives to the right class.

    Computed as ``logsumexp(logits) - logits[label]``, so that large scores neither overflow nor round the
    loss to 0.

    Args:
        logits: a score for each class, floats, shape ``(*batch, classes)``.
        labels: the right class of each example, integers from 0, shape ``(*batch,)``.
        reduction: over the batch.

    Returns:
        One number, in nats; shape ``(*batch,)`` with ``reduction="none"``.

    Raises:
        DTypeError: ``logits`` are not floats, or ``labels`` not integers.
        ShapeError: the shapes do not fit, or the batch is empty.
        AxisError: a label is not a class.

    Example:
        >>> loss = softmax_cross_entropy([[0.0, 0.0], [1000.0, 0.0]], [1, 0])
        >>> round(loss.item(), 4)  # log(2) / 2
        0.3466

    Source: Bridle, Neurocomputing, NATO ASI Series 68, 1990, 227-236, DOI 10.1007/978-3-642-76153-9_28.
    """
    name = "softmax_cross_entropy"
    scores, right = as_node(logits), as_node(labels)
    _require_floats(name, "logits", scores)
    _require_labels(name, scores, right)
    chosen = squeeze(take_along_axis(scores, expand_dims(right, axis=-1), axis=-1), -1)
    return _reduce(name, logsumexp(scores, axis=-1) - chosen, reduction)


def _squared(name: str, prediction: Any, target: Any) -> Any:
    p, t = as_nodes(name, prediction, target)
    _require_floats(name, "prediction", p)
    _require_floats(name, "target", t)
    if p.shape != t.shape and t.shape:
        fix = (
            f"reshape the target to {p.shape}" if p.size == t.size else "give one target for each prediction"
        )
        raise ShapeError(f"{name}: prediction has shape {p.shape}, target {t.shape}", fix=fix)
    return square(p - t)


def _require_floats(name: str, what: str, node: Node) -> None:
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"{name}: {what} must be floats, got {node.spec}", fix=f"convert: {what}.astype(np.float32)"
        )


def _require_labels(name: str, logits: Node, labels: Node) -> None:
    if not logits.shape or not logits.shape[-1]:
        raise ShapeError(
            f"{name}: expected logits (*batch, classes), got {logits.shape}", fix="add the class axis"
        )
    classes = logits.shape[-1]
    if labels.shape == logits.shape and labels.shape != logits.shape[:-1]:
        raise ShapeError(
            f"{name}: labels have the shape of the logits, {logits.shape}: expected a class number each, "
            f"shape {logits.shape[:-1]}",
            fix="if they are one-hot: labels.argmax(-1)",
        )
    if labels.dtype not in INTS:
        raise DTypeError(
            f"{name}: labels must be integers, got {labels.spec}", fix="convert: labels.astype(np.int64)"
        )
    if labels.shape != logits.shape[:-1]:
        raise ShapeError(
            f"{name}: logits {logits.shape} need labels of shape {logits.shape[:-1]}, got {labels.shape}",
            fix="give one label for each example",
        )
    if labels.value is None or not labels.size:
        return
    low, high = int(np.min(labels.value)), int(np.max(labels.value))
    if low < 0 or high >= classes:
        raise AxisError(
            f"{name}: label {low if low < 0 else high} is not one of {classes} classes",
            fix=f"number the classes 0 .. {classes - 1}, or give the model {high + 1} outputs",
        )


def _reduce(name: str, losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return sum(losses)
    if reduction != "mean":
        raise ArgumentError(f"{name}: unknown reduction {reduction!r}", fix='choose "mean", "sum" or "none"')
    if not losses.size:
        raise ShapeError(
            f"{name}: the mean of no losses, shape {losses.shape}", fix="pass at least one example"
        )
    return mean(losses)
