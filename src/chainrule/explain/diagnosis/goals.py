"""What is asked of a network: targets, a loss that rewards mistakes, how much examples count, and their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.observed import norm
from chainrule.explain.numbers import count_text, counted, number_text, share_text
from chainrule.node import Node
from chainrule.primitive import Array

STEP = 1e-2
"""How far scores are moved towards their targets, as a part of the way, to see what the loss says."""
IGNORED = 0.3
"""Share of the squared error that gets no gradient, although it is of the worst examples."""
EXPECTED = 8.0
"""A class is missing by accident with probability e^-8 if so many of its examples are expected."""
SORTED = 20.0
"""Standard deviations of the chi-square statistic beyond chance."""


def uphill_loss(course: Course) -> Iterator[Finding]:
    """A loss that grows as predictions get better: a minus is missing."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    towards = _towards_targets(anatomy)
    if towards is None or anatomy.scores is None:
        return
    node, better, gain = towards
    observed = anatomy.observed
    after = observed.loss_with({node: better})
    delta = observed.deltas.get(node)
    if delta is None or not after > observed.loss:
        return
    rows = np.sum(
        (np.asarray(better, np.float64) - np.asarray(node.value)) * delta, axis=tuple(range(1, node.ndim))
    )
    if np.mean(rows > 0) < 0.9:
        return
    yield Finding(
        "uphill",
        "the loss",
        f"the loss grows from {number_text(observed.loss, 6)} to {number_text(after, 6)} as {gain}",
        (
            f"it does so for {share_text(float(np.mean(rows > 0)))} of the examples: descent makes predictions worse",
        ),
        "turn the sign of the loss: a log-likelihood is to grow, and its negative is the loss",
        0.95,
        source=observed.result.source,
    )


def _towards_targets(anatomy: Anatomy) -> tuple[Node, Array, str] | None:
    """A node of outputs, its values a little nearer to the targets, and what was done in words."""
    scores = anatomy.scores
    if scores is None:
        return None
    if anatomy.classes is not None and scores.ndim > 1:
        labels = anatomy.classes[1]
        if labels.size and labels.min() >= 0 and labels.max() < scores.shape[-1] > 1:
            value = np.array(scores.value)
            flat = value.reshape(-1, value.shape[-1])
            flat[np.arange(len(flat)), labels.reshape(-1)] += STEP
            return scores, value, "the scores of the right classes grow"
    for node in dict.fromkeys((anatomy.outputs, scores)):
        if node is None:
            continue
        for target in anatomy.targets:
            t = np.asarray(target.value)
            if t.dtype.kind == "f" and t.size == node.size and t.shape in (node.shape, node.shape[:1]):
                y = np.asarray(node.value)
                moved = y + STEP * (t.reshape(y.shape) - y)
                return node, moved.astype(node.dtype), "outputs come nearer to their targets"
    return None


def missing_class(course: Course) -> Iterator[Finding]:
    """Labels that start at 1: the scores have one class too many, which never occurs."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    if anatomy.classes is None or anatomy.scores is None or anatomy.scores.ndim < 2:
        return
    known = [a.classes[1].reshape(-1) for a in course.anatomies if a.classes is not None]
    known += [
        np.asarray(labels).reshape(-1) for labels in course.labels if np.asarray(labels).dtype.kind == "i"
    ]
    labels = np.concatenate(known)
    classes = anatomy.scores.shape[-1]
    present = np.unique(labels)
    distinct = len(np.unique(known[0])) if len(known) == 1 else len(present)
    if not 2 < classes <= 1000 or labels.size < EXPECTED * classes or distinct < 2:
        return
    if present.min() == 0 or len(present) != classes - 1 or present.max() != classes - 1:
        return
    yield Finding(
        "shifted_targets",
        "the targets",
        f"labels go from {int(present.min())} to {int(present.max())}, and class 0 of {classes} never occurs in "
        f"{count_text(labels.size)} labels",
        (
            f"of {classes} classes about {number_text(labels.size / classes, 3)} examples each would be expected",
        ),
        "count classes from 0 (labels - 1), with one score for each",
        0.8,
    )


def ignored_examples(course: Course) -> Iterator[Finding]:
    """Examples that are wrong and get no gradient: their error was clipped, not their gradient."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    for node, error in _errors(anatomy):
        delta = anatomy.observed.deltas.get(node)
        if delta is None:
            continue
        lost, kept = (delta == 0) & (error != 0), delta != 0
        if not lost.any():
            continue
        share = float(lost.mean())
        held = float(np.square(error[lost]).sum() / np.square(error).sum())
        smallest, typical = float(error[lost].min()), float(np.median(error[kept])) if kept.any() else 0.0
        if held < IGNORED or smallest <= typical:
            continue
        cut = next(
            (
                n
                for n in anatomy.observed.behind([node])
                if n.op is not None and n.op.name in ("clip", "minimum", "maximum", "where")
            ),
            node,
        )
        yield Finding(
            "clipped",
            anatomy.place(cut),
            f"{share_text(share)} of the errors get no gradient, and they are the largest: from "
            f"{number_text(smallest)} "
            f"on the loss does not move with them; they hold {share_text(held)} of the squared error",
            (
                f"a typical error that is learned from is {number_text(typical)}",
                "a value that is clipped has the derivative 0: nothing is learned where it is most wrong",
            ),
            "clip the gradient instead of the value (cr.optim.clip_by_norm), or use cr.nn.huber, whose derivative is "
            "clipped and never 0",
            0.95,
            source=cut.source,
        )
        return


def _errors(anatomy: Anatomy) -> Iterator[tuple[Node, Array]]:
    """Differences of outputs and targets in the loss, and their sizes."""
    for node in anatomy.head:
        if node.op is None or node.op.name != "subtract" or node.size < 8:
            continue
        tracked = [x for x in node.inputs if x.tracked]
        fixed = [x for x in node.inputs if not x.tracked and x in anatomy.fed and x.size == node.size]
        if len(tracked) == 1 and len(fixed) == 1 and tracked[0].size == node.size:
            yield node, np.abs(np.asarray(node.value, np.float64))


def weight_of_examples(anatomy: Anatomy) -> tuple[float, float] | None:
    """How much the loss counts each number of the last node with a row for each example; and what a mean counts it.

    None if they count differently, or there is no such node.
    """
    node = anatomy.examples
    delta = None if node is None else anatomy.observed.deltas.get(node)
    if node is None or delta is None or node.size < 2:
        return None
    low, high = float(delta.min()), float(delta.max())
    if low <= 0 or high - low > 1e-4 * high:
        return None
    return high, 1.0 / node.size


def averaged_twice(course: Course) -> Iterator[Finding]:
    """A mean over the batch that is divided by the number of examples once more."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    counted_as = weight_of_examples(anatomy)
    if counted_as is None or anatomy.batch < 4:
        return
    weight, mean = counted_as
    n = anatomy.batch
    if abs(weight * n / mean - 1) > 1e-3:
        return
    yield Finding(
        "loss_averaged_twice",
        "the loss",
        f"each of {n} examples counts {number_text(weight)}, a mean would count it {number_text(mean)}: the loss is "
        f"divided by {n} twice",
        (
            f"the loss is {number_text(anatomy.observed.loss)}; averaged once it is "
            f"{number_text(anatomy.observed.loss * n)}",
            f"all gradients are {n} times too small, and they shrink as batches grow",
        ),
        "divide once: cr.mean, or a sum divided by the number of examples",
        0.95,
        source=anatomy.observed.result.source,
    )


def summed_loss(course: Course) -> Iterator[Finding]:
    """A sum over the batch where no optimizer is known that would be made for it."""
    if not course.finite or (course.given and course.optimizer is not None):
        return
    anatomy = course.anatomies[0]
    if course.given and len(course.finite) > 1:
        return  # updates were seen: whether they are too large is seen as well
    finding = summed(anatomy, 0.7)
    if finding is not None:
        yield finding


def summed(anatomy: Anatomy, confidence: float, proof: str = "") -> Finding | None:
    """The finding for a loss that is the sum over its examples; None if it is not."""
    counted_as = weight_of_examples(anatomy)
    n = anatomy.batch
    if counted_as is None or n < 8 or abs(counted_as[0] - 1) > 1e-6 or anatomy.examples is None:
        return None
    return Finding(
        "loss_summed",
        "the loss",
        f"the loss is the sum over {n} examples: it and all gradients are {n} times those of the mean, and grow "
        "with the "
        "batch",
        (
            f"the loss is {number_text(anatomy.observed.loss)}, {number_text(anatomy.observed.loss / n)} for "
            "each example",
            f"the norm of the gradient is {number_text(norm(anatomy.observed.gradients.values()))}",
        ),
        "take the mean, or a learning rate made for the sum: that of the mean divided by the batch size",
        confidence,
        proof,
        anatomy.observed.result.source,
    )


def sorted_batches(course: Course) -> Iterator[Finding]:
    """Batches whose labels are much more alike than batches of shuffled examples would be."""
    batches = [np.asarray(b).reshape(-1) for b in course.labels if np.asarray(b).dtype.kind in "ib"]
    batches = [b for b in batches if b.size >= 4]
    if len(batches) < 3:
        return
    whole = np.concatenate(batches)
    names, index = np.unique(whole, return_inverse=True)
    if not 2 <= len(names) <= 1000:
        return
    beyond = _beyond_chance(batches, index, len(names))
    within = float(np.mean([len(np.unique(b)) for b in batches]))
    expected = float(np.mean([_distinct(index, len(names), b.size) for b in batches]))
    if beyond < SORTED or within > 0.7 * expected:
        return
    yield Finding(
        "sorted_batches",
        "the order of the examples",
        f"a batch has {number_text(within, 3)} classes on average, {number_text(expected, 3)} would be expected of "
        f"shuffled examples",
        (
            f"the labels of {counted(len(batches), 'batche')} differ by {number_text(beyond, 3)} standard "
            "deviations more "
            "than chance allows",
            "gradients of consecutive batches pull to one class after the other, and forget the one before",
        ),
        "shuffle the examples before each epoch, as cr.data.Batches and cr.train.fit do",
        0.95,
    )


def _beyond_chance(batches: Sequence[Array], index: Array, classes: int) -> float:
    """The chi-square statistic of batches against classes, in standard deviations from its mean."""
    total = len(index)
    share = np.bincount(index, minlength=classes) / total
    statistic, start = 0.0, 0
    for batch in batches:
        own = np.bincount(index[start : start + batch.size], minlength=classes)
        start += batch.size
        expected = share * batch.size
        statistic += float(np.sum(np.square(own - expected) / np.maximum(expected, 1e-12)))
    freedom = max(1, (len(batches) - 1) * (classes - 1))
    return (statistic - freedom) / float(np.sqrt(2 * freedom))


def _distinct(index: Array, classes: int, size: int) -> float:
    """How many classes a batch of so many examples would have."""
    share = np.bincount(index, minlength=classes) / len(index)
    return float(np.sum(1 - np.power(1 - share, size)))
