"""Both passes between a result and one variable, written down: upstream gradients, what each edge adds, tangents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from chainrule.autodiff.reverse import between, pullback
from chainrule.autodiff.rules import push
from chainrule.construction import new_node
from chainrule.modes import recording
from chainrule.node import Node, ancestors, apply, constant
from chainrule.ops.cast import astype
from chainrule.ops.move import sum_to
from chainrule.primitive import REGISTRY, Array, Pointwise

Edge: TypeAlias = tuple[Node, int]
"""A node, and which of its inputs is meant."""


def is_elementwise(node: Node) -> bool:
    """Whether each element of a node comes of those elements of its inputs that are broadcast to it."""
    return node.op is not None and (issubclass(node.op, Pointwise) or node.op.name == "where")


class Passes:
    """What a backward pass from a result to a variable meets.

    Args:
        result: one number, computed.
        variable: a node before it.

    Attributes:
        order: the nodes on a path between the two, in order of computation.
        deltas: ∂result/∂node for each of these, as arrays.
        added: for each node what it adds to ∂result/∂input, for each input; None for none.
    """

    def __init__(self, result: Node, variable: Node) -> None:
        self.result, self.variable = result, variable
        self.order, self.live = between([result], [variable])
        self.deltas: dict[Node, Array] = {result: np.ones(result.shape, result.dtype)}
        self.added: dict[Node, list[Array | None]] = {}
        self.gradient = gradient_of(result, variable, visit=self._see)
        if self.gradient is None and result in self.live:  # every rule on the way says that nothing passes
            self.gradient = np.zeros(variable.shape, variable.dtype)
        if self.gradient is not None:
            self.deltas[variable] = self.gradient

    def _see(self, node: Node, delta: Node, contributions: list[Node | None]) -> None:
        self.deltas[node] = delta.array()
        self.added[node] = [None if c is None else c.array() for c in contributions]

    def tangents(self, direction: Array) -> dict[Node, Array]:
        """How every node on the way changes when the variable moves in a direction, to first order.

        Nodes that do not change at all are left out.
        """
        return tangents_of(self.order, self.variable, direction)


def tangents_of(order: Sequence[Node], variable: Node, direction: Array) -> dict[Node, Array]:
    """How nodes behind a variable, given in order, change when it moves in a direction; without those that do not."""
    moved: dict[Node, Node] = {variable: constant(direction, variable.dtype)}
    with recording(False):
        for node in order:
            if node is variable:
                continue
            tangent = push(node, [moved.get(x) for x in node.inputs])
            if tangent is not None:
                moved[node] = tangent
    return {node: tangent.array() for node, tangent in moved.items()}


def gradient_of(result: Node, variable: Node, visit: Any = None) -> Array | None:
    """∂result/∂variable; None if no derivative flows between the two."""
    return gradients_of(result, [variable], visit)[0]


def gradients_of(result: Node, variables: Sequence[Node], visit: Any = None) -> list[Array | None]:
    """The same for several variables, in one sweep."""
    seed = constant(np.ones(result.shape, result.dtype))
    found = pullback([result], [seed], variables, record=False, visit=visit)
    return [None if g is None else g.array() for g in found]


def again(
    result: Node,
    variable: Node,
    values: Mapping[Node, Array] | None = None,
    factors: Mapping[Edge, Array] | None = None,
    gains: Mapping[Edge, float] | None = None,
) -> tuple[Array, Array | None]:
    """The same two passes with something changed: the counterfactual of a finding.

    Args:
        result, variable: as before; their own nodes stay as they are.
        values: what nodes hold instead of what they compute. Derivatives flow through them as before.
        factors: local derivatives that elementwise nodes have instead of their own, shaped as the node.
        gains: numbers by which what edges add is multiplied.

    Returns:
        The result's value, and ∂result/∂variable or None.
    """
    factors, gains = factors or {}, gains or {}
    new, _ = rebuilt(result, values or {})
    instead = {(new[node], slot): factor for (node, slot), factor in factors.items()}
    times = {(new[node], slot): gain for (node, slot), gain in gains.items()}

    def replace(node: Node, delta: Node, contributions: list[Node | None]) -> None:
        for slot, x in enumerate(node.inputs):
            factor = instead.get((node, slot))
            if factor is not None:
                contributions[slot] = astype(sum_to(delta * constant(factor), x.shape), x.dtype)
            added, gain = contributions[slot], times.get((node, slot))
            if added is not None and gain is not None:
                contributions[slot] = added * gain

    gradient = gradient_of(new[result], variable, replace)
    return new[result].array(), gradient


def rebuilt(result: Node, values: Mapping[Node, Array]) -> tuple[dict[Node, Node], dict[Node, Node]]:
    """The forward pass again, with other values in some places.

    Returns:
        For each node before ``result`` its new one, and the other way round.
    """
    new: dict[Node, Node] = {}
    old: dict[Node, Node] = {}
    with recording(True):
        for node in ancestors([result]):
            inputs = tuple(new[x] for x in node.inputs)
            made = node
            if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
                assert node.op is not None
                made = apply(node.op, inputs, node.params, node.name, node.position)
            new[node] = _holding(made, values[node]) if node in values else made
            old[made] = old[new[node]] = node
    return new, old


def _holding(node: Node, value: Array) -> Any:
    """A node that holds another value, as if it had been computed; derivatives flow on to the node itself."""
    held = np.asarray(value, node.dtype).reshape(node.shape)
    identity = REGISTRY["identity"]
    return new_node(
        identity, (node,), {}, node.shape, node.dtype, held, node.tracked, node.name, node.position
    )


def users_of(order: Sequence[Node]) -> dict[Node, list[Edge]]:
    """For each node the edges through which others of ``order`` use it."""
    users: dict[Node, list[Edge]] = {}
    for node in order:
        for slot, x in enumerate(node.inputs):
            users.setdefault(x, []).append((node, slot))
    return users
