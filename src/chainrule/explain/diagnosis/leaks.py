"""Answers where a network can read them: later tokens, the target of the same step, a label among features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.numbers import number_text
from chainrule.node import Node


def sees_the_answer(course: Course) -> Iterator[Finding]:
    """A network that is to tell the next token, and can read it."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    pair = _shifted(anatomy)
    if pair is None:
        return
    x, time = pair
    moved = _earlier_scores_move(anatomy, x)
    if not moved:
        return
    yield Finding(
        "sees_the_answer",
        anatomy.layers[-1].name,
        "the targets are the inputs one step later, and the scores at a step depend on later inputs: the answer is "
        "read, not predicted",
        (
            f"with other inputs from step {time // 2} on, scores before it move by up to {number_text(moved)}",
            "training will look far better than the network is",
        ),
        "mask what is later: cr.nn.MultiHeadAttention(..., causal=True), or a recurrence in one direction",
        0.97,
        source=anatomy.layers[-1].product.source,
    )


def copies_its_input(course: Course) -> Iterator[Finding]:
    """A network in one direction whose targets are its inputs of the same step: it learns to copy."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    scores = anatomy.scores
    for x in anatomy.inputs:
        value = np.asarray(x.value)
        if scores is None or x.dtype.kind != "i" or value.ndim != 2 or value.shape[1] < 4:
            continue
        same = [t for t in anatomy.targets if t.size == x.size and t.dtype.kind == "i"]
        if not any(np.array_equal(np.asarray(t.value).reshape(-1), value.reshape(-1)) for t in same):
            continue
        moved = _earlier_scores_move(anatomy, x)
        if moved is None or moved > 0:
            continue
        yield Finding(
            "shifted_targets",
            "the targets",
            "the targets are the inputs of the same step, and the network looks only back: it learns to copy what "
            "it is given",
            (f"all {value.size:,} tokens are equal", "scores of a step do not depend on later inputs"),
            "move the targets by one step: inputs ids[:, :-1], targets ids[:, 1:]",
            0.85,
        )
        return


def _earlier_scores_move(anatomy: Anatomy, x: Node) -> float | None:
    """By how much scores of the first half of the steps move when the inputs of the second half do."""
    scores = anatomy.scores
    value = np.array(x.value)
    steps = value.shape[1]
    middle = steps // 2
    later = value[:, middle:]
    value[:, middle:] = np.roll(later, 1, axis=0) if len(later) > 1 else later[:, ::-1]
    if scores is None or np.array_equal(value, np.asarray(x.value)):
        return None
    new = anatomy.observed.again({x: value}).get(scores)
    old = np.asarray(scores.value)
    if new is None or old.size % (len(value) * steps):
        return None
    old, new = (v.reshape(len(value), steps, -1)[:, :middle] for v in (old, new))
    moved = float(np.abs(new - old).max(initial=0.0))
    return moved if moved > 1e-6 * max(1e-30, float(np.abs(old).max())) else 0.0


def leaked_label(course: Course) -> Iterator[Finding]:
    """A feature that is one number for each class: the answer stands among the inputs."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    if anatomy.classes is None:
        return
    labels = anatomy.classes[1].reshape(-1)
    names = np.unique(labels)
    for x in anatomy.inputs:
        value = np.asarray(x.value)
        if (
            value.dtype.kind == "i"
            and value.size == labels.size > 16
            and np.array_equal(value.reshape(-1), labels)
        ):
            yield Finding(
                "sees_the_answer",
                "the input",
                f"the {labels.size} labels themselves are among what the first layers read",
                ("the network has only to copy what it is given",),
                "leave the label out of the input: what will be predicted is not known when it is",
                0.9,
            )
            return
        if (
            value.ndim != 2
            or value.dtype.kind != "f"
            or len(value) != labels.size
            or labels.size < 16 * len(names)
        ):
            continue
        rows = [value[labels == name] for name in names]
        still = np.logical_and.reduce([np.ptp(r, axis=0) == 0 for r in rows])
        for feature in np.flatnonzero(still):
            pairs = list(zip(names.tolist(), rows, strict=True))[:4]
            if len(names) > 1 and len({float(r[0, feature]) for r in rows}) == len(names):
                yield Finding(
                    "sees_the_answer",
                    f"feature {int(feature)} of the input",
                    f"feature {int(feature)} is one number for each class, in all {labels.size} examples: it is "
                    "the label",
                    (", ".join(f"class {c}: {number_text(float(r[0, feature]))}" for c, r in pairs),),
                    "leave this feature out: what will be predicted is not known when it is",
                    0.9,
                )
                return


def leaked_target(course: Course) -> Iterator[Finding]:
    """A feature among others that is the target to the last digit, but for scale and offset."""
    if not course.finite:
        return
    anatomy = course.anatomies[0]
    compared = {x for n in anatomy.head if n.op is not None and n.op.name == "subtract" for x in n.inputs}
    floats = [t for t in anatomy.targets if t.dtype.kind == "f" and t in compared]
    targets = [np.asarray(t.value, np.float64).reshape(-1) for t in floats]
    targets = [t for t in targets if t.size == anatomy.batch and t.size >= 16 and len(np.unique(t)) > 8]
    for x in anatomy.inputs:
        if (
            len(targets) != 1
            or x.ndim != 2
            or x.dtype.kind != "f"
            or x.shape[1] < 3
            or len(x.value) != targets[0].size
        ):
            continue
        value = np.asarray(x.value, np.float64)
        centred, target = value - value.mean(axis=0), targets[0] - targets[0].mean()
        sizes = np.sqrt(np.sum(centred**2, axis=0) * np.sum(target**2))
        alike = np.abs(target @ centred) / np.where(sizes > 0, sizes, np.inf)
        feature = int(alike.argmax())
        if alike[feature] < 1 - 1e-6:
            continue
        yield Finding(
            "sees_the_answer",
            f"feature {feature} of the input",
            f"feature {feature} is the target but for scale and offset, in all {targets[0].size} examples",
            (
                f"their correlation is {alike[feature]:.9f}",
                "what is measured has noise: so good a feature is a copy",
            ),
            "leave this feature out: what will be predicted is not known when it is",
            0.8,
        )
        return


def _shifted(anatomy: Anatomy) -> tuple[Node, int] | None:
    """The inputs whose next steps are the targets, and their number of steps."""
    for target in anatomy.targets:
        y = np.asarray(target.value)
        for x in anatomy.inputs:
            value = np.asarray(x.value)
            if y.ndim != 2 and y.size == value.size and value.ndim == 2:
                y = y.reshape(value.shape)
            if value.ndim != 2 or value.dtype.kind != "i" or y.shape != value.shape or value.shape[1] < 3:
                continue
            if np.mean(value[:, 1:] == y[:, :-1]) > 0.99 and np.mean(value == y) < 0.9:
                return x, value.shape[1]
    return None
