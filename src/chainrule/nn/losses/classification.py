"""Losses for predictions that are scores of classes.

Those with a logarithm take scores (logits), not probabilities, so that they are exact however large a score is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.nn.losses.reduction import Reduction, reduced, require_alike, require_floats
from chainrule.node import Node, as_node
from chainrule.ops import (
    arange,
    astype,
    exp,
    expand_dims,
    log_softmax,
    logsumexp,
    mean,
    relu,
    softplus,
    squeeze,
    sum,
    take_along_axis,
    where,
)
from chainrule.ops.arithmetic import scale
from chainrule.ops.index import numbered
from chainrule.shapes import INTS, as_above_zero, as_share
from chainrule.tensor import Tensor


def softmax_cross_entropy(
    logits: Any, labels: Any, *, label_smoothing: float = 0.0, reduction: Reduction = "mean"
) -> Tensor:
    """Minus the logarithm of the probability that a softmax over ``logits`` gives to the right class.

    Computed as ``logsumexp(logits) - logits[label]``, so that large scores neither overflow nor round the
    loss to 0.

    Args:
        logits: a score for each class, floats, shape ``(*batch, classes)``.
        labels: the right class of each example, integers from 0, shape ``(*batch,)``.
        label_smoothing: in [0, 1); a share of the loss that is the mean over all classes instead, so that scores
            need not grow without end.
        reduction: over the batch.

    Returns:
        One number, in nats; shape ``(*batch,)`` with ``reduction="none"``.

    Raises:
        DTypeError: ``logits`` are not floats, or ``labels`` not integers.
        ShapeError: the shapes do not fit, or the batch is empty.
        AxisError: a label is not a class.
        ArgumentError: ``label_smoothing`` out of its range.

    Example:
        >>> loss = softmax_cross_entropy([[0.0, 0.0], [1000.0, 0.0]], [1, 0])
        >>> round(loss.item(), 4)  # log(2) / 2
        0.3466

    Source: Bridle, Neurocomputing, NATO ASI Series 68, 1990, 227-236, DOI 10.1007/978-3-642-76153-9_28; label
    smoothing: Szegedy et al., CVPR 2016, 2818-2826, DOI 10.1109/CVPR.2016.308.
    """
    name = "softmax_cross_entropy"
    share = as_share(name, "label_smoothing", label_smoothing, like="0.1")
    scores, right = _scores_and_classes(name, logits, labels)
    chosen = _of_class(scores, right)
    if share:
        chosen = (1 - share) * chosen + share * mean(scores, axis=-1)
    return reduced(name, logsumexp(scores, axis=-1) - chosen, reduction)


def binary_cross_entropy(logits: Any, labels: Any, *, reduction: Reduction = "mean") -> Tensor:
    """Minus the logarithm of the probability that ``sigmoid(logits)`` gives to what is the case.

    Computed as ``labels * softplus(-logits) + (1 - labels) * softplus(logits)``: sums of numbers that are not negative,
    so that neither large scores nor nearly certain ones lose digits.

    Args:
        logits: scores for "yes", floats, shape ``(*n,)``; probability 1/2 is score 0.
        labels: 1 for yes and 0 for no, or a probability of yes; floats, integers or booleans, shape ``(*n,)``, or
            one for all.
        reduction: over all elements.

    Returns:
        One number, in nats; shape ``(*n,)`` with ``reduction="none"``. A label that is only traced, as in a compiled
        step, gives nan where it is out of range.

    Raises:
        ArgumentError: a label out of 0 .. 1.
        ShapeError: shapes differ, or there is nothing to take the mean of.
        DTypeError: ``logits`` are not floats.

    Example:
        >>> binary_cross_entropy([0.0, 1000.0], [1, 1], reduction="none").tolist()
        [0.6931471805599453, 0.0]

    Source: Cox, Journal of the Royal Statistical Society B 20(2), 1958, 215-232,
    DOI 10.1111/j.2517-6161.1958.tb00292.x.
    """
    name = "binary_cross_entropy"
    z, y = _scores_and_marks(name, "logits", logits, labels, _PROBABILITIES)
    # A factor of exactly 0 hides an infinite logarithm: an infinite score may be right.
    return reduced(name, scale(y, softplus(-z)) + scale(1 - y, softplus(z)), reduction)


def hinge(scores: Any, labels: Any, *, reduction: Reduction = "mean") -> Tensor:
    """``max(0, 1 - label * score)``, the loss of a support vector machine: 0 from a margin of 1 on the right side on.

    Args:
        scores: floats, shape ``(*n,)``; their sign is the prediction.
        labels: -1 or 1, floats or integers, shape ``(*n,)``, or one for all.
        reduction: over all elements.

    Returns:
        One number, in units of the scores; shape ``(*n,)`` with ``reduction="none"``. A label that is only traced, as
        in a compiled step, gives nan where it is neither.

    Raises:
        ArgumentError: a label that is neither -1 nor 1.
        ShapeError: shapes differ, or there is nothing to take the mean of.
        DTypeError: ``scores`` are not floats.

    Example:
        >>> hinge([2.0, 0.5, 0.5], [1, 1, -1], reduction="none").tolist()
        [0.0, 0.5, 1.5]

    Source: Cortes and Vapnik, Machine Learning 20, 1995, 273-297, DOI 10.1007/BF00994018.
    """
    s, y = _scores_and_marks("hinge", "scores", scores, labels, _SIGNS)
    return reduced("hinge", relu(1 - y * s), reduction)


def multiclass_hinge(
    scores: Any, labels: Any, *, margin: float = 1.0, reduction: Reduction = "mean"
) -> Tensor:
    """The sum over all wrong classes of ``max(0, margin + their score - the right one's)``.

    This is the sum as in the paper; torch's ``MultiMarginLoss`` divides it by the number of classes.

    Args:
        scores: of each class, floats, shape ``(*batch, classes)``.
        labels: the right class of each example, integers from 0, shape ``(*batch,)``.
        margin: by how much the right score is to be above the others, above 0.
        reduction: over the batch.

    Returns:
        One number, in units of the scores; shape ``(*batch,)`` with ``reduction="none"``.

    Raises:
        ArgumentError: ``margin`` is not above 0.
        DTypeError, ShapeError, AxisError: as for :func:`softmax_cross_entropy`.

    Example:
        >>> multiclass_hinge([[3.0, 2.5, 5.0]], [0]).item()  # 0.5 + 3.0
        3.5

    Source: Weston and Watkins, ESANN 1999, 219-224.
    """
    name = "multiclass_hinge"
    limit = as_above_zero(name, "margin", margin, "1.0")
    s, right = _scores_and_classes(name, scores, labels)
    over = relu(s - expand_dims(_of_class(s, right), axis=-1) + limit)
    wrong = expand_dims(right, axis=-1) != arange(s.shape[-1], dtype=right.dtype)
    return reduced(name, sum(where(wrong, over, 0.0), axis=-1), reduction)


def kl_divergence(logits: Any, target_logits: Any, *, reduction: Reduction = "mean") -> Tensor:
    """KL(target ‖ prediction): what it costs to take the prediction's distribution for the target's.

    Both are distributions over the last axis, given as scores: ``p = softmax(target_logits)``,
    ``q = softmax(logits)``, and the loss is the sum of ``p * (log p - log q)``. Logarithms of probabilities are such
    scores, so they may be passed as they are.

    Args:
        logits: of the prediction, floats, shape ``(*batch, classes)``.
        target_logits: the same shape; gradients flow to both, so that ``cr.stop_gradient`` is for the teacher.
        reduction: over the batch.

    Returns:
        One number, in nats; shape ``(*batch,)`` with ``reduction="none"``. It is infinite where the prediction rules
        out what the target does not.

    Raises:
        ShapeError: shapes differ, there is no axis of classes, or the batch is empty.
        DTypeError: not floats.

    Example:
        >>> round(kl_divergence([[0.0, 0.0]], np.log([[0.75, 0.25]])).item(), 4)
        0.1308

    Source: Kullback and Leibler, The Annals of Mathematical Statistics 22(1), 1951, 79-86,
    DOI 10.1214/aoms/1177729694.
    """
    name = "kl_divergence"
    z, t = as_node(logits), as_node(target_logits)
    require_floats(name, "logits", z)
    require_floats(name, "target_logits", t)
    _require_classes(name, z)
    if z.shape != t.shape:
        raise ShapeError(
            f"{name}: logits have shape {z.shape}, target_logits {t.shape}",
            fix="give both a score for each class",
        )
    log_p = log_softmax(t, axis=-1)
    lost = where(log_p == -np.inf, 0.0, log_p - log_softmax(z, axis=-1))  # nothing where p is 0, even if q is
    return reduced(name, sum(exp(log_p) * lost, axis=-1), reduction)


def _of_class(scores: Any, classes: Any) -> Any:
    """Each example's score of one class."""
    return squeeze(take_along_axis(scores, expand_dims(classes, axis=-1), axis=-1), -1)


def _scores_and_classes(name: str, logits: Any, labels: Any) -> tuple[Any, Any]:
    """Scores of classes and the right classes, checked."""
    scores, right = as_node(logits), as_node(labels)
    require_floats(name, "logits", scores)
    _require_classes(name, scores)
    if right.shape == scores.shape and right.shape != scores.shape[:-1]:
        raise ShapeError(
            f"{name}: labels have the shape of the logits, {scores.shape}: expected a class number each, "
            f"shape {scores.shape[:-1]}",
            fix="if they are one-hot: labels.argmax(-1)",
        )
    if right.dtype not in INTS:
        raise DTypeError(
            f"{name}: labels must be integers, got {right.spec}", fix="convert: labels.astype(np.int64)"
        )
    if right.shape != scores.shape[:-1]:
        raise ShapeError(
            f"{name}: logits {scores.shape} need labels of shape {scores.shape[:-1]}, got {right.shape}",
            fix="give one label for each example",
        )
    classes = scores.shape[-1]
    wrong, fix = (
        f"{name}: label {{}} is not one of {classes} classes",
        f"number the classes 0 .. {classes - 1}",
    )
    return scores, numbered(right, classes, wrong, fix, ", or give the model {} outputs")


def _require_classes(name: str, logits: Node) -> None:
    if not logits.shape or not logits.shape[-1]:
        raise ShapeError(
            f"{name}: expected logits (*batch, classes), got {logits.shape}", fix="add the class axis"
        )


class _Marks(NamedTuple):
    """Which numbers may be labels: a test of them, what messages say, and what to do with others."""

    fits: Callable[[Any], Any]
    text: str
    fix: str


_PROBABILITIES = _Marks(
    lambda y: (y >= 0) & (y <= 1),
    "from 0 to 1",
    "labels of -1 and 1 become (labels + 1) / 2; for several classes there is softmax_cross_entropy",
)
_SIGNS = _Marks(
    lambda y: (y == 1) | (y == -1),
    "-1 or 1",
    "labels of 0 and 1 become 2 * labels - 1; for several classes there is multiclass_hinge",
)


def _scores_and_marks(name: str, what: str, scores: Any, labels: Any, allowed: _Marks) -> tuple[Any, Any]:
    """Scores, which the loss calls ``what``, and the numbers that say what is right, checked and in one dtype."""
    s, given = as_node(scores), as_node(labels)
    require_floats(name, what, s)
    require_alike(name, what, s, "labels", given)
    y = astype(given, s.dtype)
    if given.value is None:
        return s, where(allowed.fits(y), y, np.nan)
    known = np.asarray(given.value, s.dtype)
    wrong = known[~allowed.fits(known)]
    if wrong.size:
        raise ArgumentError(f"{name}: label {wrong[0]:g} is not {allowed.text}", fix=allowed.fix)
    return s, y
