"""Causes of NaN and infinities: poles, overflow, and what lies outside of a function's domain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.explain.numbers import number_text
from chainrule.explain.reasons.origin import Origin, behind, shrink
from chainrule.explain.reasons.passes import is_elementwise
from chainrule.explain.reasons.verdict import Change, Verdict
from chainrule.explain.reasons.words import Words, elements, value_at
from chainrule.node import Node
from chainrule.primitive import Array

NEARBY = 1e-3
"""How far from a pole an operand is put to see whether it is the cause."""
MODERATE = 10.0
"""An exponent that no dtype finds large."""
_LOGARITHMS = {"log": 0.0, "log2": 0.0, "log10": 0.0, "log1p": -1.0}
_EXPONENTIALS = {"exp", "exp2", "expm1", "sinh", "cosh"}
_QUOTIENTS = {"divide", "reciprocal", "remainder", "floor_divide"}
_SQUARES = {"square", "multiply", "power", "abs"}
_STABLE_LOSS = "compute the loss from the scores in one piece: cr.nn.softmax_cross_entropy(scores, labels)"


def verdict_on(origin: Origin, words: Words) -> Verdict:
    """What made the first number that is not finite, and what to do about it."""
    node = origin.node
    if origin.direction == "given":
        return _given(origin, words)
    if origin.direction == "backward":
        return _backward(origin, words)
    name = node.op.name if node.op else ""
    if any(not np.isfinite(x.value).all() for x in node.inputs):
        return _infinities_meet(origin, words)
    if name in _LOGARITHMS:
        return _logarithm(origin, words, _LOGARITHMS[name])
    if name in _QUOTIENTS:
        return _quotient(origin, words)
    if name in _EXPONENTIALS:
        return _exponential(origin, words)
    if name == "power":
        return _power(origin, words)
    if np.isnan(node.value[origin.first] if node.shape else node.value):
        return _outside(origin, words)
    return _overflow(origin, words)


def _at(origin: Origin, words: Words) -> str:
    """``, where z[3] = 812 (in 2 of 5 elements, ...)``."""
    node = origin.node
    parts: list[str] = []
    if is_elementwise(node):
        given = [words.element(x, origin.first) for x in dict.fromkeys(node.inputs) if x in words.names]
        parts += [f"where {' and '.join(given)}"] if given else []
    where = elements(origin.strange)
    parts += [where] if where else []
    return f" {', '.join(parts)}" if parts else ""


def _given(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    what = "a parameter" if node.tracked else "an input or a constant"
    kind = number_text(float(np.asarray(node.value)[origin.first]))
    value = np.where(np.isfinite(node.value), node.value, 0.0)
    return Verdict(
        "given_not_finite",
        node,
        f"{words.name(node)}, {what}, holds {kind} from the start"
        + (f", {where}" if (where := elements(origin.strange)) else ""),
        (),
        "look at where it was made or read: np.isfinite(x).all() finds it before the network does"
        if not node.tracked
        else "go back to a checkpoint from before; an update made it so, and chainrule.why on that step says which",
        Change(f"{words.name(node)} = 0 there", {node: value}),
    )


def _infinities_meet(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    masks = [n for n in words.nodes if not n.inputs and not np.isfinite(n.value).all()]
    finite = {x: np.where(np.isfinite(x.value), x.value, -MODERATE) for x in masks}
    return Verdict(
        "infinities_meet",
        node,
        f"{words.formula(node)} is not defined for infinities{_at(origin, words)}",
        tuple(f"{words.name(x)} is given as it is: nothing computed makes it infinite" for x in masks),
        "use a large finite number in the mask, such as -1e9, or leave out rows in which everything is masked",
        Change(f"{' and '.join(words.name(x) for x in masks)} = −10 where infinite", finite),
    )


def _logarithm(origin: Origin, words: Words, pole: float) -> Verdict:
    node = origin.node
    (x,) = node.inputs
    mask = shrink(origin.strange, x.shape)
    at_pole = value_at(x, origin.first) == pole
    vanished = _vanished(x, words) if at_pole else None
    kind = "log_of_zero" if at_pole else "log_of_negative"
    what = "the logarithm of zero" if at_pole else "the logarithm of a negative number"
    remedy = "keep the operand above zero: cr.log(x + 1e-8), or cr.log1p(x) if x is a small quantity"
    if not at_pole:
        remedy = f"find out why {words.name(x)} is negative; a variance or a probability cannot be"
    if vanished:
        remedy = (
            _STABLE_LOSS if x.op and x.op.name != "sigmoid" else "cr.nn.binary_cross_entropy(scores, labels)"
        )
    return Verdict(
        kind,
        node,
        f"{words.formula(node)} takes {what}{_at(origin, words)}",
        vanished or _made_by(x, origin, words),
        remedy,
        _nudged(x, mask, words, pole),
    )


def _vanished(x: Node, words: Words) -> tuple[str, ...]:
    """What is to be said of a probability that underflows."""
    node = behind(x)
    name = node.op.name if node.op else ""
    by_hand = name == "divide" and behind(node.inputs[0]).op and behind(node.inputs[0]).op.name == "exp"  # pyright: ignore
    if name not in ("softmax", "sigmoid") and not by_hand:
        return ()
    limit = -float(np.log(np.finfo(node.dtype).smallest_subnormal))
    return (
        f"{words.formula(node)} is 0 where a score lies more than {number_text(limit, 3)} below the largest: "
        f"exp underflows in {node.dtype.name}",
    )


def _quotient(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    below = node.inputs[-1]
    if value_at(below, origin.first) != 0:
        return _overflow(origin, words)
    mask = shrink(origin.strange, below.shape)
    above = value_at(node.inputs[0], origin.first) if len(node.inputs) > 1 else 1.0
    norm = _is_norm(below)
    kind = "norm_at_zero" if norm and above == 0 else "zero_over_zero" if above == 0 else "division_by_zero"
    what = {
        "norm_at_zero": "divides a vector of zeros by its own norm",
        "zero_over_zero": "divides zero by zero",
        "division_by_zero": "divides by zero",
    }[kind]
    return Verdict(
        kind,
        node,
        f"{words.formula(node)} {what}{_at(origin, words)}",
        _made_by(below, origin, words),
        "divide by norm + 1e-8, or by cr.sqrt(cr.sum(x * x) + 1e-12)"
        if norm
        else f"keep {words.name(below)} away from zero: add 1e-8, or choose with cr.where before the division",
        _nudged(below, mask, words, 0.0),
    )


def _is_norm(node: Node) -> bool:
    """Whether a node is the square root of a sum of squares, or a norm."""
    node = behind(node)
    if node.op is None:
        return False
    if node.op.name in ("vector_norm", "hypot"):
        return True
    return node.op.name == "sqrt" and _is_sum_of_squares(node.inputs[0])


def _is_sum_of_squares(node: Node) -> bool:
    node = behind(node)
    if node.op is not None and node.op.name in ("sum", "mean", "add"):
        return any(x.op is not None and x.op.name in _SQUARES for x in map(behind, node.inputs))
    return False


def _exponential(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    (x,) = node.inputs
    mask = shrink(origin.strange, x.shape)
    limit = float(np.log(np.finfo(node.dtype).max))
    limit = limit / math.log(2) if node.op and node.op.name == "exp2" else limit
    divided = _is_normalized(node, words.nodes)
    evidence = (f"exp of more than {number_text(limit, 4)} is beyond {node.dtype.name}",)
    if divided is not None:
        evidence += (f"{words.formula(divided)} then divides infinity by infinity: a softmax by hand",)
    return Verdict(
        "softmax_by_hand" if divided is not None else "overflow_in_exp",
        node,
        f"{words.formula(node)} overflows{_at(origin, words)}",
        (*evidence, *_made_by(x, origin, words)),
        "cr.softmax(z) takes the largest score off first; for a loss cr.nn.softmax_cross_entropy(scores, labels)"
        if divided is not None
        else "bound the exponent with cr.minimum(x, 50.0), or work with its logarithm: cr.logsumexp, cr.log1p",
        Change(f"{words.name(x)} = 10 there", {x: np.where(mask, MODERATE, x.value)}),
    )


def _is_normalized(node: Node, nodes: Sequence[Node]) -> Node | None:
    """The division of an exponential by the sum of it, if there is one; both may be computed for themselves."""
    equal = {n for n in nodes if n.op is node.op and n.inputs[0] is node.inputs[0]}
    sums = {n for n in nodes if n.op and n.op.name in ("sum", "sum_to") and n.inputs[0] in equal}
    for user in nodes:
        if user.op and user.op.name == "divide" and user.inputs[0] in equal:
            below = user.inputs[1]
            while below.op and below.op.name in ("reshape", "broadcast_to"):
                below = below.inputs[0]
            if below in sums:
                return user
    return None


def _power(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    base, exponent = node.inputs
    b, e = value_at(base, origin.first), value_at(exponent, origin.first)
    if b != 0 and not (b < 0 and not float(e).is_integer()):
        return _overflow(origin, words)
    what = (
        "raises zero to a negative power"
        if b == 0
        else "raises a negative number to a power that is not whole"
    )
    mask = shrink(origin.strange, base.shape)
    change = _nudged(base, mask, words, 0.0) if b == 0 else _positive(base, mask, words)
    return Verdict(
        "power_at_pole" if b == 0 else "outside_domain",
        node,
        f"{words.formula(node)} {what}{_at(origin, words)}",
        _made_by(base, origin, words),
        f"keep {words.name(base)} above zero, with cr.maximum({words.name(base)}, 1e-8)",
        change,
    )


def _outside(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    name = node.op.name if node.op else ""
    change = None
    if is_elementwise(node) and len(node.inputs) == 1:
        x = node.inputs[0]
        mask = shrink(origin.strange, x.shape)
        if name == "sqrt":
            change = _positive(x, mask, words)
        else:
            inside = 1.5 if name == "acosh" else 0.5
            change = Change(f"{words.name(x)} = {inside} there", {x: np.where(mask, inside, x.value)})
    return Verdict(
        "sqrt_of_negative" if name == "sqrt" else "outside_domain",
        node,
        f"{words.formula(node)} is not defined{_at(origin, words)}",
        tuple(line for x in node.inputs[:2] for line in _made_by(x, origin, words)),
        "a difference that should be positive may be slightly negative by rounding: cr.sqrt(cr.maximum(x, 0))"
        if name == "sqrt"
        else "keep the operand within the function's domain, with cr.clip",
        change,
    )


def _overflow(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    largest = float(np.finfo(node.dtype).max)
    sizes = [
        f"{words.name(x)} is as large as {number_text(float(np.abs(x.value).max()))}"
        for x in dict.fromkeys(node.inputs)
        if x.size and x in words.names
    ]
    return Verdict(
        "overflow",
        node,
        f"{words.formula(node)} overflows{_at(origin, words)}",
        (f"{node.dtype.name} ends at {number_text(largest)}", *sizes),
        "scale what goes in: normalise inputs, lower the learning rate if weights have grown, or use float64",
        Change(f"{words.name(node)} = 0 there", {node: np.where(origin.strange, 0.0, node.value)}),
    )


def _backward(origin: Origin, words: Words) -> Verdict:
    node, slot = origin.node, origin.slot
    assert node.op is not None
    x, name = node.inputs[slot], node.op.name
    if not node.op.__module__.startswith("chainrule."):
        return _user_rule(origin, words)
    if not is_elementwise(node):
        return _gradient_overflow(origin, words)
    value = float(np.asarray(x.value)[origin.first])
    pole = {
        "sqrt": 0.0,
        "cbrt": 0.0,
        "power": 0.0,
        "asin": math.copysign(1, value),
        "acos": math.copysign(1, value),
    }
    pole |= {"acosh": 1.0, "divide": 0.0, "reciprocal": 0.0, **_LOGARITHMS}
    if name not in pole or value != pole[name]:
        return _gradient_overflow(origin, words)
    norm = name == "sqrt" and _is_sum_of_squares(x)
    known = {"sqrt": "sqrt_at_zero", "power": "power_at_pole"}
    place = f"{words.name(x)} = {number_text(value)}"
    where = elements(origin.strange)
    return Verdict(
        "norm_at_zero" if norm else known.get(name, "derivative_at_pole"),
        node,
        f"the derivative of {words.formula(node)} is infinite at {place}" + (f", {where}" if where else ""),
        (
            "the value is finite, so nothing is seen in the forward pass",
            *_made_by(x, origin, words),
        ),
        "take the root of cr.sum(x * x) + 1e-12; cr.linalg.vector_norm has derivative 0 there"
        if norm
        else f"keep {words.name(x)} off that point: cr.{name}({words.name(x)} + 1e-8)"
        if value == 0
        else f"keep {words.name(x)} within the open interval, with cr.clip",
        _nudged(x, origin.strange, words, value, inwards=name in ("asin", "acos")),
    )


def _user_rule(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    assert node.op is not None
    shape = origin.strange.shape
    x = node.inputs[origin.slot]
    factors = {(node, origin.slot): np.ones(node.shape)} if x.shape == node.shape else {}
    return Verdict(
        "user_rule",
        node,
        f"the derivative rule of {node.op.name}, which {node.op.__module__} defines, gives a number that is not "
        f"finite for {words.name(x)}" + (f", {where}" if (where := elements(origin.strange)) else ""),
        (f"what comes from behind is finite, and so are its operands (shape {shape})",),
        f"test the rule: cr.check(cr.{node.op.name}, ...) compares it with differences; choose with cr.where before "
        "the singular step, not behind it",
        Change("a local derivative of 1 instead", factors=factors) if factors else None,
    )


def _gradient_overflow(origin: Origin, words: Words) -> Verdict:
    node = origin.node
    return Verdict(
        "gradient_overflow",
        node,
        f"the upstream gradient of {words.formula(node)} times its local derivative is beyond {node.dtype.name}"
        + (f", {where}" if (where := elements(origin.strange)) else ""),
        (),
        "scale the loss down, normalise between layers, or compute in float64",
        None,
    )


def _made_by(x: Node, origin: Origin, words: Words) -> tuple[str, ...]:
    """One step more: what made an operand what it is."""
    if not x.inputs or x.op is None:
        kind = "a parameter" if x.tracked else "given"
        return (f"{words.name(x)} is {kind}",) if x in words.names else ()
    line = f"{words.formula(x)}"
    if is_elementwise(x) and is_elementwise(origin.node):
        index = origin.first
        given = [words.element(v, index) for v in dict.fromkeys(x.inputs) if v in words.names]
        line += f", where {' and '.join(given)}" if given else ""
    return (f"{line}  ({x.source})" if x.source else line,)


def _nudged(x: Node, mask: Array, words: Words, pole: float, inwards: bool = False) -> Change:
    away = pole - math.copysign(NEARBY, pole) if inwards else pole + NEARBY
    value = np.where(mask, away, x.value)
    return Change(f"{words.name(x)} = {number_text(away)} there", {x: value})


def _positive(x: Node, mask: Array, words: Words) -> Change:
    value = np.where(mask, np.abs(x.value) + NEARBY, x.value)
    return Change(f"{words.name(x)} positive there, of the same size", {x: value})
