"""How the result depends on the last layer, where that has a form that everybody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from chainrule.explain.layered.finding import by_element
from chainrule.node import Node
from chainrule.primitive import Array

_CARRIERS = {"multiply", "divide", "sum", "mean", "reshape", "negative", "scale", "identity"}
"""What may follow: with constants, all of them are linear."""


@dataclass(frozen=True, eq=False)
class Closed:
    """∂E/∂a = factor·(output − target), for the activations of the last layer or for what a softmax makes of them.

    Attributes:
        made: what the output is of what the layer gives: ``softmax``, ``sigmoid``, or "" for itself.
        factor: the same for all elements.
        output, target: by element.
    """

    made: str
    factor: float
    output: Array
    target: Array


def closed_form(
    node: Node, places: Array, users: Mapping[Node, list[Node]], delta: Callable[[Node], Array]
) -> Closed | None:
    """The form of ∂E/∂node for a squared error or a cross-entropy of classes or of yes and no; None for anything else.

    Args:
        node: what the last layer gives, and which of its elements stands at each place.
        users: for each node those that use it.
        delta: the gradient of the result with respect to a node.
    """
    for form in (_squared, _cross_entropy, _binary_cross_entropy):
        found = form(node, places, users, delta)
        if found is not None:
            return found
    return None


def _squared(
    node: Node, places: Array, users: Mapping[Node, list[Node]], delta: Callable[[Node], Array]
) -> Closed | None:
    gap = _only(node, users, "subtract")
    if gap is None or gap.shape != node.shape or any(x.tracked for x in gap.inputs if x is not node):
        return None
    power = users[gap][0] if users[gap] else None
    if power is None or not _is_square(power, gap, users) or not _is_linear_behind(power, users):
        return None
    weights = 2 * delta(power).ravel()
    if not weights.size or np.any(weights != weights[0]):
        return None
    (target,) = (x for x in gap.inputs if x is not node) if gap.inputs[0] is not gap.inputs[1] else (node,)
    wanted = np.broadcast_to(np.asarray(target.value), node.shape)
    values = np.asarray(node.value)
    return Closed("", float(weights[0]), by_element(values, places), by_element(wanted, places))


def _is_square(node: Node, gap: Node, users: Mapping[Node, list[Node]]) -> bool:
    name = node.op.name if node.op else ""
    if name == "multiply":
        return all(x is gap for x in node.inputs) and all(u is node for u in users[gap])
    if len(users[gap]) != 1:
        return False
    return name == "square" or (
        name == "power" and node.inputs[0] is gap and node.inputs[1].size == 1 and float(node.inputs[1]) == 2
    )


def _only(node: Node, users: Mapping[Node, list[Node]], name: str) -> Node | None:
    """The one user of a node, if it is an operation of that name."""
    if len(users[node]) != 1:
        return None
    (user,) = users[node]
    return user if user.op is not None and user.op.name == name else None


def _is_linear_behind(node: Node, users: Mapping[Node, list[Node]]) -> bool:
    """Whether the result is a constant multiple of the sum of a node's elements, plus what does not depend on it."""
    while users[node]:
        if len(users[node]) != 1:
            return False
        (user,) = users[node]
        name = user.op.name if user.op else ""
        constant = all(x is node or not x.tracked for x in user.inputs)
        if name == "divide" and user.inputs[0] is not node:
            return False
        if name != "add" and (name not in _CARRIERS or not constant):
            return False
        node = user
    return True


def _cross_entropy(
    node: Node, places: Array, users: Mapping[Node, list[Node]], delta: Callable[[Node], Array]
) -> Closed | None:
    """``logsumexp(scores) - scores[label]``, added up with equal weights."""
    by_name = {u.op.name: u for u in users[node] if u.op is not None}
    if len(users[node]) != 2 or set(by_name) != {"logsumexp", "getitem"}:
        return None
    total, chosen = by_name["logsumexp"], by_name["getitem"]
    while (moved := _only(chosen, users, "reshape")) is not None:
        chosen = moved
    lost = _only(total, users, "subtract")
    if lost is None or _only(chosen, users, "subtract") is not lost or lost.inputs[0] is not total:
        return None
    weights = delta(lost).ravel()
    if not _is_linear_behind(lost, users) or not weights.size or np.any(weights != weights[0]):
        return None
    scores = np.asarray(node.value)
    shares = np.exp(scores - np.asarray(total.value).reshape(*scores.shape[:-1], 1))
    if total.size * scores.shape[-1] != scores.size:
        return None
    factor = float(weights[0])
    right = shares - delta(node) / factor if factor else shares
    target = np.round(right)
    if not np.allclose(right, target, atol=1e-4) or np.any(target.sum(-1) != 1):
        return None
    return Closed("softmax", factor, by_element(shares, places), by_element(target, places))


def _binary_cross_entropy(
    node: Node, places: Array, users: Mapping[Node, list[Node]], delta: Callable[[Node], Array]
) -> Closed | None:
    """``y·softplus(−z) + (1 − y)·softplus(z)``, added up with equal weights."""
    by_name = {u.op.name: u for u in users[node] if u.op is not None}
    if len(users[node]) != 2 or set(by_name) != {"negative", "softplus"}:
        return None
    lost_if_yes = _only(by_name["negative"], users, "softplus")
    if lost_if_yes is None:
        return None
    yes, no = (_only(x, users, "scale") for x in (lost_if_yes, by_name["softplus"]))
    if yes is None or no is None or yes.inputs[0].tracked or no.inputs[0].tracked:
        return None
    lost = _only(yes, users, "add")
    if lost is None or _only(no, users, "add") is not lost or not _is_linear_behind(lost, users):
        return None
    target, other = (np.broadcast_to(np.asarray(x.inputs[0].value), node.shape) for x in (yes, no))
    if np.any(target + other != 1):
        return None
    weights = delta(lost).ravel()
    if not weights.size or np.any(weights != weights[0]):
        return None
    # softplus(−z) is −ln σ(z), so nothing overflows.
    output = np.exp(-np.asarray(lost_if_yes.value))
    return Closed("sigmoid", float(weights[0]), by_element(output, places), by_element(target, places))
