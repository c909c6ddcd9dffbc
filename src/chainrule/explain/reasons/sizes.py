"""Which factors make a gradient small or large: along the way on which most of it comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.explain.numbers import number_text, root_mean_square
from chainrule.explain.reasons.passes import Passes, users_of
from chainrule.explain.reasons.verdict import Change, Verdict
from chainrule.explain.reasons.words import Words, described
from chainrule.node import Node
from chainrule.primitive import Array

SINGLE = 0.5
"""Share of all decades that one factor must have to be the cause alone."""
DEEP = 4
"""Times that an operation must occur on the way for its factors to be one cause, its depth."""
LARGEST = 2048
"""Rows of a matrix whose eigenvalues are computed."""
_SQUASHING = {"sigmoid", "tanh", "softmax", "erf"}
_OF_RECURRENCE = (
    "clip gradients by norm (cr.optim.clip_by_norm), use cr.nn.LSTM or GRU, orthogonal initialisation, or shorter "
    "sequences"
)
_WEIGHING = {"matmul", "einsum", "conv2d"}


@dataclass(frozen=True, slots=True)
class Gain:
    """One edge on the way: how much larger a typical element is behind it than before.

    Attributes:
        node, slot: the edge.
        decades: log₁₀ of the factor.
    """

    node: Node
    slot: int
    decades: float


def gains(passes: Passes, chosen: Array) -> list[Gain]:
    """The factors from the result to the variable, always along the edge that brings most."""
    users = users_of(passes.order)
    found: list[Gain] = []
    node, part = passes.variable, chosen
    while node is not passes.result:
        edges = [
            (root_mean_square(np.where(part, added, 0.0)), user, slot)
            for user, slot in users.get(node, [])
            if user in passes.added and (added := passes.added[user][slot]) is not None
        ]
        if not edges:
            break
        size, user, slot = max(edges, key=lambda e: (e[0], e[1].index))
        behind = root_mean_square(passes.deltas[user])
        found.append(Gain(user, slot, math.log10(size / behind) if size and behind else -math.inf))
        node, part = user, np.ones(user.shape, bool)
    return found[::-1]


def verdict_on_size(passes: Passes, chosen: Array, words: Words, small: bool) -> Verdict:
    """What makes a gradient small, or large: one factor, or many alike."""
    sign = -1.0 if small else 1.0
    found = [Gain(g.node, g.slot, sign * g.decades) for g in gains(passes, chosen)]
    towards = sum(g.decades for g in found if g.decades > 0) or 1.0
    most = max(found, key=lambda g: g.decades)
    repeated = _repeated(found)
    deep = sum(g.decades for g in repeated)
    if repeated and deep > SINGLE * towards and most.decades < SINGLE * towards:
        return _by_depth(repeated, deep, small, words)
    if most.node.op is not None and most.node.op.name == "scan":
        return _recurrence(most, small, words)
    return _single(most, towards, small, words)


def _repeated(found: Sequence[Gain]) -> list[Gain]:
    """The factors of operations that occur again and again, whatever their sign."""
    by_name: dict[str, list[Gain]] = {}
    for gain in found:
        by_name.setdefault(gain.node.op.name if gain.node.op else "", []).append(gain)
    return [g for same in by_name.values() if len(same) >= DEEP for g in same]


def _by_depth(repeated: Sequence[Gain], deep: float, small: bool, words: Words) -> Verdict:
    totals: dict[str, list[float]] = {}
    for gain in repeated:
        assert gain.node.op is not None
        totals.setdefault(gain.node.op.name, []).append(gain.decades)
    sign = -1.0 if small else 1.0
    lines = tuple(
        f"{name}: {len(decades)} times, {number_text(10 ** (sign * sum(decades) / len(decades)), 3)} each on average"
        for name, decades in sorted(totals.items(), key=lambda item: -sum(item[1]))
        if abs(sum(decades)) > 0.1
    )
    times = max(len(d) for d in totals.values())
    shared = _shared_weight(repeated)
    kind = ("vanishing" if small else "exploding") + ("_by_depth" if shared is None else "_recurrence")
    if shared is not None:
        lines = (f"all of them multiply with {words.name(shared)}", *radius_text([shared]), *lines)
    squashing = next((name for name in totals if name in _SQUASHING), None)
    each = number_text(10 ** (sign * deep / times), 3)
    remedy = "initialise so that layers keep the size of what passes: cr.nn.he_normal before relu, "
    remedy += "cr.nn.glorot_uniform before tanh; add residual connections or a norm layer"
    if squashing and small:
        remedy = f"{squashing} passes less than it gets: use relu or residual connections; " + remedy
    if shared is not None:
        remedy = _OF_RECURRENCE
    return Verdict(
        kind,
        repeated[-1].node,
        f"{times} {'layers' if shared is None else 'steps'} multiply the gradient by {each} each: together by "
        f"10^{number_text(sign * deep, 3)}",
        lines,
        remedy,
        Change(
            f"each of these {len(repeated)} factors set to 1",
            gains={(g.node, g.slot): 10 ** (-sign * g.decades) for g in repeated},
        ),
    )


def _shared_weight(repeated: Sequence[Gain]) -> Node | None:
    """The matrix that all products among these factors have in common: a recurrence that is written as a loop."""
    products = [g for g in repeated if g.node.op is not None and g.node.op.name in _WEIGHING]
    weights = {x for g in products for i, x in enumerate(g.node.inputs) if i != g.slot}
    return weights.pop() if len(products) >= DEEP and len(weights) == 1 else None


def radius_text(weights: Sequence[Node]) -> tuple[str, ...]:
    """The spectral radius of the first square matrix among these, in words; nothing if there is none."""
    for weight in weights:
        shape = weight.shape
        if len(shape) == 2 and 1 < shape[0] == shape[1] <= LARGEST and weight.tracked:
            radius = float(np.abs(np.linalg.eigvals(np.asarray(weight.value, np.float64))).max())
            return (f"the spectral radius of its matrix {shape[0]}×{shape[1]} is {number_text(radius)}",)
    return ()


def _recurrence(most: Gain, small: bool, words: Words) -> Verdict:
    node = most.node
    steps = node.params.get("length", 0)
    kind = "vanishing_recurrence" if small else "exploding_recurrence"
    decades = -most.decades if small else most.decades
    each = 10 ** (decades / max(steps, 1))
    return Verdict(
        kind,
        node,
        f"{steps} steps of {words.name(node)} = scan(...) multiply the gradient by about {number_text(each, 3)} each: "
        f"together by 10^{number_text(decades, 3)}",
        radius_text(node.inputs),
        _OF_RECURRENCE,
        Change("the factor of the scan set to 1", gains={(node, most.slot): 10 ** (-decades)}),
    )


def _single(most: Gain, towards: float, small: bool, words: Words) -> Verdict:
    node = most.node
    name = node.op.name if node.op else ""
    decades = -most.decades if small else most.decades
    factor = number_text(10**decades, 3)
    share = number_text(100 * most.decades / towards, 2)
    evidence = [f"{share} % of the decades on the way come from this factor"]
    others = [x for i, x in enumerate(node.inputs) if i != most.slot and x.size]
    evidence += [f"{words.name(x)}: {described(x)}" for x in others[:2] if np.isfinite(x.value).all()]
    kind, remedy = "small_factor" if small else "large_factor", "look at the operands above"
    if small and name in _SQUASHING:
        kind = "saturated"
        evidence.append(f"{words.name(node.inputs[0])}: {described(node.inputs[0])}")
        remedy = "keep what goes in near 0: normalise inputs, initialise with cr.nn.glorot_uniform, put a norm layer "
        remedy += "before; for a last layer use a loss of the scores"
    elif name in ("multiply", "divide", "scale") and others and others[0].size == 1:
        kind = "scaled"
        remedy = f"take the factor {words.name(others[0])} out, or make up for it in the learning rate"
    elif name in ("mean", "sum", "divide") and small:
        kind = "averaged"
        remedy = "nothing need be wrong: each of many elements has a small share in a mean"
    elif name in ("matmul", "conv2d", "einsum"):
        kind = "small_weights" if small else "large_weights"
        remedy = "initialise by the number of inputs (cr.nn.he_normal), or normalise what goes in"
    return Verdict(
        kind,
        node,
        f"{words.formula(node)} multiplies the gradient by {factor}",
        tuple(evidence),
        remedy,
        Change("this factor set to 1", gains={(node, most.slot): 10 ** (-decades)}),
    )


def unremarkable(passes: Passes, chosen: Array, words: Words) -> tuple[str, ...]:
    """The strongest factors on the way, for a gradient with which nothing is wrong."""
    found = [g for g in gains(passes, chosen) if abs(g.decades) > 0.3]
    found.sort(key=lambda g: -abs(g.decades))
    return tuple(f"{words.formula(g.node)} multiplies by {number_text(10**g.decades, 3)}" for g in found[:5])
