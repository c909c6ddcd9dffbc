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

_MOVING = {"negative", "reshape", "astype", "identity", "getitem", "scale", "permute_dims"}
STEP = 1e-2
"""How far scores are moved towards their targets, as a part of the way, to see what the loss says."""
IGNORED = 0.3
"""Share of the squared error that gets no gradient, although it is of the worst examples."""
ROWS = 48
"""Examples from which nearest neighbours say something."""
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
            # between them and the last layer there may be a minus, as of distances, or another order of the classes
            node = next((x for x in anatomy.normalised if x.shape == scores.shape), scores)
            value = np.array(node.value)
            flat = value.reshape(-1, value.shape[-1])
            flat[np.arange(len(flat)), labels.reshape(-1)] += STEP
            return node, value, "the scores of the right classes grow"
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


def strange_labels(course: Course) -> Iterator[Finding]:
    """Class numbers that are no classes, or that start at 1 so that class 0 never occurs."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    if anatomy.classes is None or anatomy.scores is None or anatomy.scores.ndim != 2:
        return
    known = [a.classes[1].reshape(-1) for a in course.anatomies if a.classes is not None]
    known += [
        np.asarray(labels).reshape(-1) for labels in course.labels if np.asarray(labels).dtype.kind == "i"
    ]
    labels = np.concatenate(known)
    classes = anatomy.scores.shape[-1]
    present = np.unique(labels)
    if len(present) == 1 and classes >= 2 and labels.size >= 16:
        yield Finding(
            "wrong_targets",
            "the targets",
            f"all {count_text(labels.size)} labels are class {int(present[0])} of {classes}",
            (
                "the network only has to learn one bias; with shuffled batches of several classes this is no chance",
            ),
            "look at how labels are read; shuffle examples before they are put into batches",
            0.9,
        )
        return
    if not 2 < classes <= 1000:
        return
    low, high = int(present[0]), int(present[-1])
    outside = float(np.mean((labels < 0) | (labels >= classes)))
    never = (
        labels.size >= EXPECTED * classes and low == 1 and high == classes - 1 and len(present) == classes - 1
    )
    if not outside and not never:
        return
    text = (
        f"labels go from {low} to {high}, and there are {classes} scores, for the classes 0 to {classes - 1}"
    )
    if outside:
        evidence = (
            f"{share_text(outside)} of {count_text(labels.size)} labels are no class, and pull up no score"
        )
    else:
        evidence = f"class 0 never occurs in {count_text(labels.size)} labels"
    yield Finding(
        "shifted_targets" if low == 1 else "wrong_targets",
        "the targets",
        text,
        (evidence,),
        "count classes from 0 (labels - 1), with one score for each",
        0.95 if outside else 0.8,
    )


def moved_targets(course: Course) -> Iterator[Finding]:
    """Labels that belong to the example one or two rows before or after: what is alike then has the same label."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    inputs = [x for x in anatomy.inputs if x.dtype.kind == "f" and x.ndim > 1 and x.shape[0] == anatomy.batch]
    if anatomy.classes is None or len(inputs) != 1 or anatomy.batch < ROWS:
        return
    labels = anatomy.classes[1].reshape(-1)
    if labels.size != anatomy.batch or len(np.unique(labels)) < 2:
        return
    nearest = _nearest(np.asarray(inputs[0].value, np.float64).reshape(anatomy.batch, -1))
    share = np.bincount(labels - labels.min()) / labels.size
    chance = float(np.sum(share**2))
    given = float(np.mean(labels[nearest] == labels))
    shifts = {k: float(np.mean(np.roll(labels, k)[nearest] == np.roll(labels, k))) for k in (-2, -1, 1, 2)}
    best = max(shifts, key=lambda k: shifts[k])
    noise = np.sqrt(chance * (1 - chance) / labels.size)
    if given > chance + 4 * noise or shifts[best] < max(0.5, chance + 10 * noise):
        return
    yield Finding(
        "shifted_targets",
        "the targets",
        f"labels belong to other rows: moved by {-best}, examples that are alike have the same label in "
        f"{share_text(shifts[best])} of the cases, as they are in {share_text(given)}",
        (
            f"by chance it would be {share_text(chance)}",
            f"nearest neighbours of {labels.size} examples were compared",
        ),
        "look at how examples and labels are read: a header, a dropped row, or another order",
        0.93,
    )


def _nearest(rows: Array) -> Array:
    """The nearest other row of each."""
    squares = np.sum(rows * rows, axis=1)
    distances = squares[:, None] + squares[None] - 2 * rows @ rows.T
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)


def strange_probabilities(course: Course) -> Iterator[Finding]:
    """Targets of a cross-entropy that are no probabilities: outside of 0 to 1, or rows that do not add up to 1."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    head = [n for n in anatomy.head if n.op is not None]
    names = {n.op.name for n in head if n.op is not None}
    floats = [t for t in anatomy.targets if t.dtype.kind == "f" and t.size > 1]
    scores = anatomy.scores
    floats = [t for i, t in enumerate(floats) if not any(_is_complement(t, other) for other in floats[:i])]
    if len(floats) != 1 or scores is None or floats[0].size != scores.size:
        return
    value = np.asarray(floats[0].value, np.float64)
    joined = [
        n
        for n in head
        if n.op is not None and n.op.name in ("multiply", "scale") and floats[0] in set(n.inputs)
        if any(_is_of_scores(x, scores) for x in n.inputs)
    ]
    outside = (value < -1e-6) | (value > 1 + 1e-6)
    evidence = ""
    if names & {"softplus", "log_sigmoid"} and joined and outside.mean() > 0.05:
        evidence = f"{share_text(float(outside.mean()))} of them lie outside of 0 to 1"
    elif "log_softmax" in names and joined and value.ndim > 1 and value.shape[-1] > 1:
        evidence = _odd_rows(value)
    if not evidence:
        return
    yield Finding(
        "wrong_targets",
        "the targets",
        "a cross-entropy takes probabilities as targets, and these are none: "
        f"{number_text(float(value.min()))} to {number_text(float(value.max()))}",
        (
            evidence,
            "its minimum then lies at infinite scores, or at equal ones, and not at right predictions",
        ),
        "give probabilities, 0 and 1 for what is known: labels one-hot, signs as (y + 1) / 2, per cent divided by 100",
        0.9,
        source=joined[0].source,
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
            f"{number_text(smallest)} on the loss does not move with them; they hold {share_text(held)} of the "
            "squared error",
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


def _odd_rows(value: Array) -> str:
    """What is wrong with rows that should be probabilities; rows of one number may be weighted on purpose."""
    several = np.count_nonzero(value, axis=-1) > 1
    wrong = several & (np.abs(value.sum(axis=-1) - 1) > 1e-2)
    if wrong.mean() > 0.05:
        return f"{share_text(float(wrong.mean()))} of their rows do not add up to 1"
    empty = np.logical_not(value.any(axis=-1))
    unused = np.flatnonzero(np.logical_not(value.reshape(-1, value.shape[-1]).any(axis=0)))
    if empty.mean() > 0.02 and unused.size:
        return f"{share_text(float(empty.mean()))} of their rows are all 0, and class {int(unused[0])} never occurs"
    return ""


def _is_of_scores(node: Node, scores: Node) -> bool:
    """Whether a factor is the scores themselves, or their softplus, log-sigmoid or log-softmax."""
    squashed = False
    while node is not scores:
        name = node.op.name if node.op else ""
        if name not in _MOVING and (squashed or name not in ("softplus", "log_sigmoid", "log_softmax")):
            return False
        squashed = squashed or name not in _MOVING
        node = max(node.inputs, key=lambda x: x.size)
    return True


def _is_complement(a: Node, b: Node) -> bool:
    """Whether one is 1 minus the other, as in a binary cross-entropy by hand."""
    return a.shape == b.shape and bool(np.allclose(np.asarray(a.value), 1 - np.asarray(b.value)))


def deaf_examples(course: Course) -> Iterator[Finding]:
    """Examples whose loss is high and does not depend on their scores, since a target of 0 takes the scores away."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    scores, node = anatomy.scores, anatomy.examples
    delta = None if scores is None else anatomy.observed.deltas.get(scores)
    floats = [
        t for t in anatomy.targets if t.dtype.kind == "f" and scores is not None and t.size == scores.size
    ]
    if scores is None or node is None or delta is None or len(floats) != 1 or node.size != anatomy.batch:
        return
    losses = np.asarray(node.value, np.float64).reshape(-1)
    silent = np.logical_not(delta.reshape(len(losses), -1).any(axis=1))
    zero = np.logical_not(np.asarray(floats[0].value).reshape(len(losses), -1).any(axis=1))
    lost = silent & zero & (losses > 0)
    if lost.mean() < 0.1 or not (silent[zero]).all() or np.ptp(losses[lost]) > 1e-6 * losses[lost].max():
        return
    yield Finding(
        "wrong_targets",
        "the targets",
        f"{share_text(float(lost.mean()))} of the examples have the target 0, with which the loss multiplies their "
        "scores: nothing can be learned from them",
        (f"their loss is {number_text(float(losses[lost][0]))} whatever the network says",),
        "such a loss takes the signs −1 and 1 as targets: 2 * y - 1",
        0.9,
        source=node.source,
    )


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
        f"the loss is the sum over {n} examples: it and all gradients are {n} times those of the mean, and grow with "
        "the batch",
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
    """Batches whose targets are much more alike than those of shuffled examples would be."""
    batches = [b for b in map(np.asarray, course.labels) if b.size >= 4]
    if len(batches) < 3:
        return
    if all(b.dtype.kind in "ib" for b in batches):
        yield from _sorted_classes([b.reshape(-1) for b in batches])
    elif all(b.dtype.kind == "f" and b.size == len(b) for b in batches):
        yield from _sorted_numbers([b.reshape(-1).astype(np.float64) for b in batches])


def _sorted_numbers(batches: Sequence[Array]) -> Iterator[Finding]:
    whole = np.concatenate(batches)
    within, total = float(np.mean([b.var() for b in batches])), float(whole.var())
    size = float(np.mean([b.size for b in batches]))
    freedom = len(batches) - 1
    # the between-batch sum of squares over the variance is chi-square with that freedom if examples are shuffled
    statistic = sum(b.size * (b.mean() - whole.mean()) ** 2 for b in batches) / max(total, 1e-300)
    beyond = (statistic - freedom) / float(np.sqrt(2 * freedom))
    if beyond < SORTED or within > 0.3 * total:
        return
    yield _in_order(
        f"the targets within a batch vary by {share_text(within / total)} of what all of them do",
        f"the means of {counted(len(batches), 'batch')} of about {number_text(size, 3)} differ by "
        f"{number_text(beyond, 3)} "
        "standard deviations more than chance allows",
    )


def _in_order(text: str, evidence: str) -> Finding:
    return Finding(
        "sorted_batches",
        "the order of the examples",
        text,
        (evidence, "gradients of consecutive batches pull to one after the other, and forget the one before"),
        "shuffle the examples before each epoch, as cr.data.Batches and cr.train.fit do",
        0.95,
    )


def _sorted_classes(batches: Sequence[Array]) -> Iterator[Finding]:
    whole = np.concatenate(batches)
    names, index = np.unique(whole, return_inverse=True)
    if not 2 <= len(names) <= 1000:
        return
    beyond = _beyond_chance(batches, index, len(names))
    within = float(np.mean([len(np.unique(b)) for b in batches]))
    expected = float(np.mean([_distinct(index, len(names), b.size) for b in batches]))
    if beyond < SORTED or within > 0.7 * expected:
        return
    yield _in_order(
        f"a batch has {number_text(within, 3)} classes on average, {number_text(expected, 3)} would be expected of "
        "shuffled examples",
        f"the labels of {counted(len(batches), 'batch')} differ by {number_text(beyond, 3)} standard deviations more "
        "than chance allows",
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
