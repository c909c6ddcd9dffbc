"""What users promise: derivative rules of their own, and layers that are told when they are trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chainrule.autodiff.rules import pull
from chainrule.explain.diagnosis.course import Course
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.numbers import counted, number_text
from chainrule.modes import recording, silently
from chainrule.node import Node, apply, constant, leaf
from chainrule.primitive import Array

WRONG = 0.02
"""Relative error of a rule, along random directions, that is no rounding of differences."""
TRIES = 5


def wrong_rules(course: Course) -> Iterator[Finding]:
    """Rules of primitives that are not chainrule's own, against central differences at the very numbers they met."""
    if not course.finite:
        return
    seen: set[type] = set()
    for node in course.finite[0].order:
        op = node.op
        if op is None or op in seen or not node.inputs or op.__module__.split(".")[0] == "chainrule":
            continue
        seen.add(op)
        if not op.differentiable or node.dtype.kind != "f":
            continue
        tried = [pair for seed in range(TRIES) if (pair := _compared(node, seed)) is not None]
        wrong = [(rule, measured) for rule, measured in tried if _differ(rule, measured)]
        if len(wrong) < 0.6 * max(1, len(tried)):
            continue
        rule, measured = wrong[0]
        ratio = rule / measured if measured else float("inf")
        yield Finding(
            "wrong_rule",
            op.name,
            f"the derivative rule of {op.name} ({op.__module__}.{op.__name__}) is not its derivative",
            (
                f"along a random direction the rule says {number_text(rule, 6)}, differences say "
                f"{number_text(measured, 6)}: a factor of {number_text(ratio, 4)}",
                f"{len(wrong)} of {counted(len(tried), 'direction')} disagree",
            ),
            "mend its rule (partials, transpose or vjp), and try it: cr.check(f, x)",
            0.95,
            source=node.source,
        )


def _differ(rule: float, measured: float) -> bool:
    return abs(rule - measured) > WRONG * max(abs(rule), abs(measured), 1e-12)


def _compared(node: Node, seed: int) -> tuple[float, float] | None:
    """⟨u, dy⟩ along a random direction: by the rule, and by differences with two steps that agree with each other."""
    assert node.op is not None
    rng = np.random.default_rng(seed)
    wanted = [x.dtype.kind == "f" for x in node.inputs]
    values = [
        np.asarray(x.value, np.float64) if w else np.asarray(x.value)
        for x, w in zip(node.inputs, wanted, strict=True)
    ]
    steps = [
        rng.standard_normal(v.shape) * np.maximum(np.abs(v), 1e-3) if w else None
        for v, w in zip(values, wanted, strict=True)
    ]
    weights = rng.standard_normal(node.shape)
    with recording(True):
        inputs = tuple(leaf(v, tracked=w) for v, w in zip(values, wanted, strict=True))
        again = apply(node.op, inputs, node.params)
        pulled = pull(again, constant(weights), wanted)
    rule = sum(
        float(np.vdot(p.array(), d))
        for p, d in zip(pulled, steps, strict=True)
        if p is not None and d is not None
    )

    def at(h: float) -> Array:
        moved = [v if d is None else v + h * d for v, d in zip(values, steps, strict=True)]
        assert node.op is not None
        return np.asarray(silently(node.op.evaluate, *moved, **node.params), np.float64)

    measured = [float(np.vdot(weights, (at(h) - at(-h)) / (2 * h))) for h in (1e-4, 1e-6)]
    if not np.isfinite([rule, *measured]).all() or _differ(*measured):
        return None  # a kink or a pole between the two points
    return rule, measured[0]


def untold_layers(course: Course) -> Iterator[Finding]:
    """Layers that are called as if they were not trained, and buffers that training should move and does not."""
    if course.untold:
        yield Finding(
            "training_mode",
            course.untold[0].partition(" ")[0],
            f"{', '.join(course.untold)}: called without the training pass, while the model is trained",
            ("dropout drops nothing, and batch normalization uses running averages that nobody updates",),
            "pass training on: layer(x, training)",
            0.95,
        )
    if course.drops:
        yield Finding(
            "training_mode",
            "the model",
            "called without a training pass, the model still drops elements at random: what it predicts is noisy",
            ("a dropout mask is drawn in model(x), without the argument training",),
            "draw only if training is given: hand it on as it comes, layer(x, training)",
            0.9,
        )
    if course.stale:
        yield Finding(
            "training_mode",
            course.stale[0],
            f"{counted(len(course.stale), 'buffer')} of the model "
            f"({', '.join(course.stale[:3])}) {'is' if len(course.stale) == 1 else 'are'} as at the start, after "
            f"{counted(len(course.losses), 'pass')} of training",
            ("without running averages the model normalises with mean 0 and variance 1 when it is used",),
            "put them back after each step: model.with_buffers(training.buffers_of(model))",
            0.9,
        )
