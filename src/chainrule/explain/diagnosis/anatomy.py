"""What the nodes of a training pass are for: data, weights, layers with their z and a, scores, targets, the loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from chainrule.explain.diagnosis.observed import Observed
from chainrule.node import Node
from chainrule.primitive import Array

PRODUCTS = {"matmul", "conv2d", "einsum", "scan", "getitem", "linear_recurrence"}
"""Operations that are a layer where a weight meets data."""
SQUASHING = {"sigmoid", "tanh"}
"""Activations that go flat on both sides."""
ACTIVATIONS = {*SQUASHING, "relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "maximum", "softmax"}
_MOVING = {
    "reshape",
    "permute_dims",
    "astype",
    "identity",
    "broadcast_to",
    "narrow",
    "getitem",
    "concat",
    "scale",
}
_ADDING = {"add", "subtract"}
_NORMALISING = {"logsumexp", "log_softmax", "softmax"}
_RANDOM = {"random_split", "random_fold_in", "random_bits", "random_uniform", "random_normal"}


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One product of a weight with what comes in, as article 001 names its parts.

    Attributes:
        path: of its weight.
        name: that of the module, ``layers.0`` for ``layers.0.weight``; the path itself if it has no dot.
        weight: the parameter.
        product: the node in which it meets the data; ``data`` is what it meets.
        z: with the bias added.
        a: behind the activation; z itself where there is none.
        bias: the parameter that is added, or None.
    """

    path: str
    name: str
    weight: Node
    product: Node
    data: Node
    z: Node
    a: Node
    bias: Node | None


class Anatomy:
    """The parts of one observed pass."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.paths = {node: path for path, node in observed.parameters.items()}

    @cached_property
    def pure(self) -> dict[Node, str]:
        """What is computed from parameters and single numbers alone, and from which parameter."""
        found: dict[Node, str] = dict(self.paths)
        numbers: set[Node] = set()  # not every node of one element: the mean of a loss is made of data
        for node in self.observed.order:
            if node in found or not all(x in found or x in numbers for x in node.inputs):
                continue
            own = [found[x] for x in node.inputs if x in found]
            if own:
                found[node] = own[0]
            elif node.size == 1:
                numbers.add(node)
        return found

    @cached_property
    def fed(self) -> set[Node]:
        """What depends on data: on arrays that are neither parameters nor made of random numbers."""
        found: set[Node] = set()
        for node in self.observed.order:
            if node in self.pure or (node.op is not None and node.op.name in _RANDOM):
                continue
            is_given = (node.op is None or not node.inputs) and node.size > 1 and node not in self._keys
            if is_given or any(x in found for x in node.inputs):
                found.add(node)
        return found

    @cached_property
    def _keys(self) -> set[Node]:
        order = self.observed.order
        return {x for n in order if n.op is not None and n.op.name in _RANDOM for x in n.inputs}

    @cached_property
    def layers(self) -> list[Layer]:
        """In order of computation."""
        found: list[Layer] = []
        for node in self.observed.order:
            if node.op is None or node.op.name not in PRODUCTS or not node.tracked:
                continue
            weights = [x for x in node.inputs if x in self.pure and x.tracked and x.ndim]
            data = [x for x in node.inputs if x in self.fed]
            if node in self.pure or not weights or not data:
                continue
            weight = max(weights, key=lambda x: x.size)
            found.append(self._layer(node, weight, data[0]))
        shared: dict[str, set[str]] = {}
        for layer in found:
            shared.setdefault(layer.name, set()).add(layer.path)
        return [replace(layer, name=layer.path) if len(shared[layer.name]) > 1 else layer for layer in found]

    def _layer(self, product: Node, weight: Node, data: Node) -> Layer:
        path = self.pure[weight]
        z, bias = product, None
        user = self._only_user(z)
        if user is not None and user.op is not None and user.op.name in _ADDING:
            added = [x for x in user.inputs if x in self.pure and x.tracked]
            if added:
                z, bias = user, self.observed.parameters.get(self.pure[added[0]])
        a, user = z, self._only_user(z)
        if user is not None and user.op is not None and user.op.name in ACTIVATIONS:
            a = user
        owner = self.observed.parameters[path]
        return Layer(path, path.rpartition(".")[0] or path, owner, product, data, z, a, bias)

    def _only_user(self, node: Node) -> Node | None:
        users = self.observed.users.get(node, [])
        return users[0] if len(users) == 1 else None

    @cached_property
    def scores(self) -> Node | None:
        """What the last layer gives, before any activation; None if there are no layers."""
        return self.layers[-1].z if self.layers else None

    @cached_property
    def head(self) -> list[Node]:
        """What is computed from the scores: last activation and loss."""
        return [] if self.scores is None else self.observed.behind([self.scores])

    @cached_property
    def outputs(self) -> Node | None:
        """The scores behind an activation of the last layer, if there is one: what meets the targets."""
        node = self.scores
        while node is not None:
            user = self._only_user(node)
            if user is None or user.op is None or user.op.name not in _MOVING | ACTIVATIONS:
                return node
            if len([x for x in user.inputs if x.size > 1]) > 1:
                return node
            node = user
        return None

    @cached_property
    def inputs(self) -> list[Node]:
        """Arrays of data from which layers compute, in the order of their use."""
        if not self.layers:
            return []
        last = self.layers[-1].product
        before = [n for n in self.observed.order if n.index <= last.index]
        reaches: set[Node] = {layer.product for layer in self.layers}
        for node in reversed(before):
            if node in reaches:
                reaches.update(node.inputs)
        return [n for n in self._leaves if n in reaches]

    @cached_property
    def targets(self) -> list[Node]:
        """Arrays of data that meet the scores in the loss: not those that layers read, or that meet other scores."""
        known = set(self.inputs)
        met = {x for n in self.head for x in n.inputs if not x.tracked}
        for node in reversed(self.observed.order):
            if node in met:
                met.update(node.inputs)
        return [n for n in self._leaves if n in met and n not in known and n.ndim]

    @cached_property
    def _leaves(self) -> list[Node]:
        return [n for n in self.observed.order if not n.inputs and n in self.fed]

    @cached_property
    def batch(self) -> int:
        """How many examples there are; 0 if that cannot be told."""
        if self.scores is None or not self.scores.ndim:
            return 0
        rows = self.scores.shape[0]
        return rows if any(x.ndim and x.shape[0] == rows for x in (*self.inputs, *self.targets)) else 0

    @cached_property
    def classes(self) -> tuple[Node, Array] | None:
        """The node of integer labels, one for each row of the scores, and the labels; None if there is none.

        Where a softmax is taken of something else than the scores, such as of similarities, labels are not theirs.
        """
        scores = self.scores
        taken = self.normalised
        if scores is None or (taken and not any(x.shape[-1:] == scores.shape[-1:] for x in taken)):
            return None
        if not scores.ndim:
            return None
        shape = scores.shape[:-1]
        found = [n for n in self.targets if n.dtype.kind == "i" and n.shape in (shape, (*shape, 1))]
        # in scores[np.arange(n), labels] the first of the two numbers the rows, and no classes
        labels = [n for n in found if not _is_numbering(n)]
        labels += [n for n in found if n.size <= scores.shape[-1]]
        return (labels[0], np.asarray(labels[0].value).reshape(shape)) if labels else None

    @cached_property
    def normalised(self) -> list[Node]:
        """What softmax and its kin are taken of, behind the scores or the scores themselves."""
        return [n.inputs[0] for n in self.head if n.op is not None and n.op.name in _NORMALISING]

    @cached_property
    def examples(self) -> Node | None:
        """The last node of the loss with one row for each example, before they are added up."""
        if not self.batch:
            return None
        rows = [n for n in self.head if n.tracked and n.ndim and n.shape[0] == self.batch]
        return rows[-1] if rows else None

    @cached_property
    def floor(self) -> float | None:
        """The loss of a network that says nothing: with all scores 0; None without scores."""
        if self.scores is None:
            return None
        return self.observed.loss_with({self.scores: np.zeros(self.scores.shape, self.scores.dtype)})

    def activations(self, names: set[str]) -> list[Node]:
        """The nodes of such operations that derivatives flow through, in order of computation."""
        return [
            n
            for n in self.observed.order
            if n.tracked and n.op is not None and n.op.name in names and n in self.fed
        ]

    def layer_before(self, node: Node) -> Layer | None:
        """The layer whose z leads to a node."""
        before = [layer for layer in self.layers if layer.z.index < node.index]
        return before[-1] if before else None

    def place(self, node: Node) -> str:
        """``relu after layers.0``, for people."""
        name = node.op.name if node.op else "input"
        layer = self.layer_before(node)
        return name if layer is None else f"{name} after {layer.name}"


def _is_numbering(node: Node) -> bool:
    return node.ndim == 1 and node.size > 1 and np.array_equal(np.asarray(node.value), np.arange(node.size))
