"""One backward pass of a network in training, as it was seen: graph, numbers, and the same with other numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.autodiff.opening import opened
from chainrule.autodiff.reverse import pullback
from chainrule.modes import silently
from chainrule.node import Node, ancestors, constant
from chainrule.primitive import Array


@dataclass(eq=False)
class Observed:
    """One pass, and the update that followed.

    Attributes:
        result: the loss, computed; without checkpoints, so that what is in them is seen.
        parameters: what it was differentiated for, by path.
        after: the parameters' values after the update; None if none is known.
        rate: the learning rate of that update, if it is known.
        used: the gradients that the optimizer was given, by path, if they are known.
        own: the sum of the gradients of all passes since the last update, this one's among them, if it is known.
        finite: whether the loss and all gradients are, if that is known.
    """

    result: Node
    parameters: dict[str, Node]
    after: dict[str, Array] | None = None
    rate: float | None = None
    used: dict[str, Array] | None = None
    own: dict[str, Array] | None = None
    finite: bool | None = None

    def __post_init__(self) -> None:
        self.result = opened(self.result, until=set(self.parameters.values()))[self.result]

    @cached_property
    def order(self) -> list[Node]:
        """The nodes before the result, in order of computation; nothing before a parameter."""
        return ancestors([self.result], until=set(self.parameters.values()))

    @cached_property
    def _both(self) -> tuple[dict[Node, Array], dict[str, Array | None]]:
        deltas: dict[Node, Array] = {self.result: np.ones(self.result.shape, self.result.dtype)}

        def see(node: Node, delta: Node, contributions: list[Node | None]) -> None:
            deltas[node] = delta.array()

        seed = constant(deltas[self.result])
        nodes = list(self.parameters.values())
        pulled = pullback([self.result], [seed], nodes, record=False, visit=see)
        found = [None if g is None else g.array() for g in pulled]
        deltas.update((n, g) for n, g in zip(nodes, found, strict=True) if g is not None)
        return deltas, dict(zip(self.parameters, found, strict=True))

    @property
    def deltas(self) -> dict[Node, Array]:
        """∂loss/∂node of every node on the way."""
        return self._both[0]

    @property
    def gradients(self) -> dict[str, Array | None]:
        """∂loss/∂parameter by path; None where no derivative leads to it."""
        return self._both[1]

    @cached_property
    def loss(self) -> float:
        """The loss, a number."""
        return float(np.asarray(self.result.value).reshape(()))

    @cached_property
    def is_finite(self) -> bool:
        """Whether the loss and all gradients are."""
        if self.finite is not None:
            return self.finite
        return bool(np.isfinite(self.loss)) and all(
            g is None or bool(np.isfinite(g).all()) for g in self.gradients.values()
        )

    @cached_property
    def users(self) -> dict[Node, list[Node]]:
        """For each node those that use it, in order of computation."""
        users: dict[Node, list[Node]] = {}
        for node in self.order:
            for x in dict.fromkeys(node.inputs):
                users.setdefault(x, []).append(node)
        return users

    def behind(self, nodes: Iterable[Node]) -> list[Node]:
        """Everything that is computed from ``nodes``, in order of computation; they themselves left out."""
        reached = set(nodes)
        found: list[Node] = []
        for node in self.order:
            if node not in reached and node.op is not None and any(x in reached for x in node.inputs):
                reached.add(node)
                found.append(node)
        return found

    def again(self, values: Mapping[Node, Array]) -> dict[Node, Array]:
        """The values of all nodes that change where some hold other values; those themselves included."""
        new: dict[Node, Array] = dict(values)
        for node in self.behind(values):
            assert node.op is not None
            inputs = [new.get(x, x.value) for x in node.inputs]
            new[node] = silently(node.op.evaluate, *inputs, **node.params)
        return new

    def loss_with(self, values: Mapping[Node, Array]) -> float:
        """The loss where some nodes hold other values."""
        found = self.again(values).get(self.result, self.result.value)
        return float(np.asarray(found).reshape(()))

    def loss_along(self, step: Mapping[str, Array], length: float) -> float:
        """The loss with the parameters moved by ``length`` times ``step``, on the same batch."""
        return self.loss_with(
            {
                node: np.asarray(node.value + length * step[path], node.dtype)
                for path, node in self.parameters.items()
                if path in step
            }
        )

    @cached_property
    def update(self) -> dict[str, Array] | None:
        """What the update added to each parameter, in float64; None if it is not known."""
        if self.after is None:
            return None
        return {
            path: self.after[path].astype(np.float64) - np.asarray(self.parameters[path].value)
            for path in self.parameters
            if path in self.after
        }

    def slope(self, step: Mapping[str, Array]) -> float:
        """The first-order change of the loss for a step."""
        total = 0.0
        for path, gradient in self.gradients.items():
            if gradient is not None and path in step:
                total += float(np.vdot(gradient.astype(np.float64), step[path]))
        return total


def norm(arrays: Iterable[Any]) -> float:
    """Of all arrays as one vector, in float64."""
    squares = [float(np.sum(np.square(np.asarray(a, np.float64)))) for a in arrays if a is not None]
    return float(np.sqrt(sum(squares)))
