"""Causes of gradients that are exactly zero: where influence ends, and why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.autodiff.rules import local_partials
from chainrule.explain.numbers import count_text, number_text, share_text
from chainrule.explain.reasons.cut import Cancelling, Cut
from chainrule.explain.reasons.passes import is_elementwise
from chainrule.explain.reasons.verdict import Change, Verdict
from chainrule.explain.reasons.words import Words, described
from chainrule.node import Node
from chainrule.primitive import Array, Pointwise

ALIKE = 1e-6
"""Relative spread below which units are copies."""
_STEPS = {"floor", "ceil", "round", "trunc", "sign", "floor_divide"}
_SQUASHING = {"sigmoid", "tanh", "softmax", "erf", "softplus", "log_sigmoid", "exp", "gelu", "silu"}
_SELECTING = {"max", "min", "max_pool2d", "getitem", "narrow", "sort"}
_STATIONARY = {"square", "abs", "cos", "cosh", "vector_norm", "power", "one_minus_square"}
_CANCELLED = (
    "look for a quantity that is subtracted from itself, or a sum that is constant by construction: of a softmax, of "
    "what a norm layer gives, of a bias before one"
)
_PRODUCTS = {"multiply", "scale", "matmul", "conv2d", "einsum", "divide"}


def are_copies(weight: Node, gradient: Array | None) -> bool:
    """Whether all columns of a matrix or kernel are equal, and those of its gradient: then they stay so."""
    if weight.ndim < 2 or weight.shape[-1] < 2 or gradient is None:
        return False
    return all(_equal_columns(value) for value in (np.asarray(weight.value), gradient))


def _equal_columns(value: Array) -> bool:
    spread = np.ptp(value.astype(np.float64), axis=-1)
    return bool((spread <= ALIKE * np.abs(value).max(initial=0.0)).all())


def verdict_on_cut(cut: Cut, words: Words) -> Verdict:
    """Why a node does not move although what goes into it does."""
    node = cut.node
    name = node.op.name if node.op else ""
    factor = _zero_factor(cut) if name in _PRODUCTS else None
    if factor is not None:
        return _times_zero(cut, factor, words)
    if name in ("multiply", "matmul") and not any(_values(cut, x).any() for x in node.inputs):
        return _zeros_multiplied(cut, words)
    for names, verdict in _BY_NAME:
        if name in names:
            return verdict(cut, words)
    if len(cut.slots) > 1 or name in ("sum", "mean", "subtract", "add", "matmul"):
        return verdict_on_cancelling(Cancelling(node, cut.slots, 0.0), words)
    return _flat(cut, words)


def _share(cut: Cut) -> str:
    size = cut.lost.size
    if size == 1:
        return ""
    if cut.count == size:
        return f"in all {count_text(size)} elements"
    return f"in {count_text(cut.count)} of {count_text(cut.reached)} elements that could carry it"


def _verdict(
    cut: Cut, words: Words, kind: str, text: str, evidence: tuple[str, ...], remedy: str, factor: float = 1.0
) -> Verdict:
    """With a local derivative other than zero in the lost elements as the test."""
    node = cut.node
    change = None
    if is_elementwise(node):
        own = {(node, slot): np.where(cut.lost, factor, _local(cut, slot)) for slot in cut.slots}
        change = Change(f"a local derivative of {number_text(factor)} there instead of 0", factors=own)
    where = _share(cut)
    return Verdict(kind, node, f"{text}{f', {where}' if where else ''}", evidence, remedy, change)


def _local(cut: Cut, slot: int) -> Array:
    """An elementwise node's local derivative for an input."""
    op = cut.node.op
    partial = local_partials(cut.node)[slot] if op is not None and issubclass(op, Pointwise) else None
    if partial is None:
        return np.zeros(cut.node.shape)
    value = np.asarray(partial.value if isinstance(partial, Node) else partial)
    return np.where(np.isfinite(value), value, 0.0)


def _values(cut: Cut, x: Node) -> Array:
    """An operand's elements, of an elementwise node those in the lost elements."""
    value = np.asarray(x.value)
    return np.broadcast_to(value, cut.node.shape)[cut.lost] if is_elementwise(cut.node) else value


def _there(cut: Cut, x: Node, words: Words) -> str:
    """The range of an operand in the lost elements."""
    z = _values(cut, x)
    return f"{words.name(x)} there: {number_text(float(z.min()))} to {number_text(float(z.max()))}"


def _relu(cut: Cut, words: Words) -> Verdict:
    node = cut.node
    return _verdict(
        cut,
        words,
        "dead_relu",
        f"{words.formula(node)} is flat: {words.name(node.inputs[0])} is not positive",
        (
            f"{_there(cut, node.inputs[0], words)}; the derivative of relu is 0 for all of it",
            f"{share_text(float(np.mean(np.asarray(node.value) == 0)))} of all of {words.name(node)} is 0",
        ),
        "if it is so for every batch the unit is dead: lower the learning rate, start biases at 0 or above, "
        "use He initialisation or cr.leaky_relu",
    )


def _outdone(cut: Cut, x: Node, other: Node, words: Words) -> Verdict:
    """One of two operands of a maximum or minimum that both vary."""
    return _verdict(
        cut,
        words,
        "never_selected",
        f"{words.formula(cut.node)} takes {words.name(other)} and not {words.name(x)}",
        (
            f"{_there(cut, x, words)}; {words.name(other)}: {described(other)}",
            "the derivative goes to what was taken: the other one gets exactly 0 and cannot catch up",
        ),
        "start both alike in size, or use a soft choice such as cr.logaddexp",
    )


def _clipped(cut: Cut, words: Words) -> Verdict:
    node = cut.node
    x = node.inputs[cut.slots[0]]
    other = next((y for i, y in enumerate(node.inputs) if i not in cut.slots and y.tracked), None)
    if other is not None:
        return _outdone(cut, x, other, words)
    return _verdict(
        cut,
        words,
        "clipped",
        f"{words.formula(node)} cuts {words.name(x)} off, and with it the gradient",
        (
            f"{_there(cut, x, words)}; {words.name(node)}: {described(node)}",
            "outside of its limits a clipped value does not move, so nothing is learned where it is most wrong",
        ),
        "clip the gradient instead of the value (cr.optim.clip_by_norm), or use cr.nn.huber, whose derivative "
        "stays at its limit",
    )


def _untaken(cut: Cut, words: Words) -> Verdict:
    node = cut.node
    x = node.inputs[cut.slots[0]]
    return _verdict(
        cut,
        words,
        "untaken_branch",
        f"{words.formula(node)} does not take {words.name(x)}",
        (f"the condition {words.name(node.inputs[0])} chooses the other branch there",),
        "look at the condition; a soft choice, such as a product with cr.sigmoid, passes gradients to both",
    )


def _step(cut: Cut, words: Words) -> Verdict:
    return _verdict(
        cut,
        words,
        "step_function",
        f"{words.formula(cut.node)} is a step function, whose derivative is 0",
        ("it moves in jumps: no small change of its input changes its value",),
        "compute the loss before rounding, or pass gradients straight through: x + stop_gradient(round(x) - x)",
    )


def _saturated(cut: Cut, words: Words) -> Verdict:
    node = cut.node
    return _verdict(
        cut,
        words,
        "saturated",
        f"{words.formula(node)} is saturated: its derivative is below the smallest {node.dtype.name}",
        (_there(cut, node.inputs[0], words),),
        "keep what goes in near 0: normalise inputs, initialise with cr.nn.glorot_uniform, put a norm layer before; "
        "for a last layer use a loss of the scores",
    )


def _selected(cut: Cut, words: Words) -> Verdict:
    node = cut.node
    return Verdict(
        "never_selected",
        node,
        f"{words.formula(node)} picks other elements: these are never the chosen ones",
        (f"{words.name(node)}: {described(node)}",),
        "cr.logsumexp or cr.softmax pass some gradient to all; check that the others are not always smaller",
        None,
    )


def _stationary(cut: Cut, words: Words) -> Verdict:
    node = cut.node
    return _verdict(
        cut,
        words,
        "stationary_point",
        f"{words.formula(node)} is at its lowest point or symmetric there: its derivative is 0",
        (f"{words.name(node.inputs[0])} there: {described(node.inputs[0])}",),
        "nothing need be wrong: for a loss it says that the target is met exactly; if it should not be, look at "
        "whether target and prediction are the same array",
    )


def _zeros_multiplied(cut: Cut, words: Words) -> Verdict:
    """A product whose factors both move, and are both zero: the lowest point of a square, or a saddle."""
    x, y = cut.node.inputs
    factors = f"with itself, and {words.name(x)} is" if x is y else f"with {words.name(y)}, and both are"
    return _verdict(
        cut,
        words,
        "stationary_point",
        f"{words.formula(cut.node)} multiplies {words.name(x)} {factors} 0: so is its derivative",
        (f"{words.name(x)}: {described(x)}",),
        f"find out why {words.name(x)} is 0; for a loss that squares an error it says that the target is met exactly",
    )


def _zero_factor(cut: Cut) -> Node | None:
    """The other operand of a product, where it is zero."""
    node = cut.node
    for slot, x in enumerate(node.inputs):
        if slot in cut.slots:
            continue
        value = _values(cut, x)
        if value.size and not value.any():
            return x
    return None


def _times_zero(cut: Cut, zero: Node, words: Words) -> Verdict:
    node = cut.node
    kind = "zero_weights" if zero.tracked and not zero.inputs else "times_zero"
    rng = np.random.default_rng(0)
    value = np.asarray(zero.value)
    filled = np.where(value == 0, rng.uniform(0.5, 1.0, value.shape), value)
    where = _share(cut)
    evidence = [f"{words.name(zero)}: {described(zero)}"]
    if zero.source:
        evidence.append(f"{words.formula(zero)}  ({zero.source})")
    return Verdict(
        kind,
        node,
        f"{words.formula(node)} multiplies with {words.name(zero)}, which is 0{f', {where}' if where else ''}",
        tuple(evidence),
        f"initialise {words.name(zero)} with random numbers (cr.nn.he_normal): with zeros nothing reaches the layers "
        "before it"
        if kind == "zero_weights"
        else f"find out why {words.name(zero)} is 0: a mask, a weight of the loss, or an input without signal",
        Change(f"{words.name(zero)} between 0.5 and 1 where it is 0", {zero: filled}),
    )


def verdict_on_cancelling(found: Cancelling, words: Words) -> Verdict:
    """A sum that hardly moves although its parts do."""
    node = found.node
    ways = " and ".join(dict.fromkeys(words.name(node.inputs[i]) for i in found.slots))
    return Verdict(
        "cancelling_paths",
        node,
        f"in {words.formula(node)} what comes by {ways} cancels: {number_text(found.left, 2)} of it is left",
        ("each part alone moves the result; together they leave it as it is",),
        _CANCELLED,
        None,
    )


def _flat(cut: Cut, words: Words) -> Verdict:
    return _verdict(
        cut,
        words,
        "flat",
        f"{words.formula(cut.node)} has a derivative of exactly 0",
        tuple(f"{words.name(x)}: {described(x)}" for x in cut.node.inputs[:2] if x in words.names),
        "move its input to where it has a slope",
    )


_BY_NAME: tuple[tuple[set[str], Callable[[Cut, Words], Verdict]], ...] = (
    ({"relu", "elu", "leaky_relu"}, _relu),
    ({"clip", "minimum", "maximum"}, _clipped),
    ({"where"}, _untaken),
    (_STEPS, _step),
    (_SQUASHING, _saturated),
    (_SELECTING, _selected),
    (_STATIONARY, _stationary),
)
