"""One backward sweep, written down: every node with its gradient, every edge with its local derivative."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from chainrule.autodiff.reverse import pullback
from chainrule.autodiff.rules import local_partials, pull
from chainrule.explain.letters import name_nodes
from chainrule.explain.numbers import Value, as_value
from chainrule.modes import recording
from chainrule.node import Node, ancestors, constant, is_differentiable
from chainrule.primitive import Pointwise

Kind = Literal["result", "intermediate", "variable", "constant"]


@dataclass(frozen=True, slots=True)
class Edge:
    """One use of a node by another. A node that uses another twice, as ``x * x`` does, has two.

    Attributes:
        node: who uses, as an index into the nodes of the explanation.
        input: what is used, likewise.
        slot: which of the user's inputs this is, from 0.
        local: ∂node/∂input with all other inputs held: a number, an array for a pointwise node or for a
            result of one element; None where it is a map between arrays that no single array describes.
        contribution: upstream gradient of ``node`` times ``local``: what this edge adds to ∂result/∂input.
            Shaped as the input.
    """

    node: int
    input: int
    slot: int
    local: Value | None
    contribution: Value


@dataclass(frozen=True, slots=True)
class ExplainedNode:
    """What a node knows after both passes.

    Attributes:
        index: its place among the nodes of the explanation, which are in order of computation.
        name: the user's, the formula's, or a letter; "" for a constant that is written as its number.
        kind: what it is.
        op: name of its primitive; "" for a leaf.
        label: sign or short name of its primitive.
        inputs: indices of its inputs.
        shape, dtype: of the value.
        value: forward; a number if it has one element.
        gradient: backward: ∂result/∂node, shaped as the value; None for constants.
        edges: to its inputs, those that derivatives flow through.
    """

    index: int
    name: str
    kind: Kind
    op: str
    label: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: str
    value: Value
    gradient: Value | None
    edges: tuple[Edge, ...]

    @property
    def is_scalar(self) -> bool:
        """Whether it holds one number."""
        return isinstance(self.value, float)


class Sweep:
    """The record of one backward sweep from ``result``.

    Attributes:
        given: names that were given, of a model's parameters by their path.
        origin: the nodes as the program made them, in order of computation; the result is the last.
        names: of the nodes that have one.
        index: place of each node in ``origin``.
        nodes: the same with both passes' numbers.
    """

    def __init__(self, result: Node, given: Mapping[Node, str] | None = None) -> None:
        self.result = result
        self.origin = ancestors([result])
        self.index = {node: i for i, node in enumerate(self.origin)}
        self.given = given or {}
        self.names = name_nodes(self.origin, result, {n: p for n, p in self.given.items() if n in self.index})
        self.variables = [n for n in self.origin if n.op is None and is_differentiable(n)]
        self._deltas: dict[Node, Any] = {}
        self._contributions: dict[Node, Sequence[Any]] = {}
        seed = constant(np.ones(result.shape, result.dtype))
        self._deltas[result] = seed.value
        gradients = pullback([result], [seed], self.variables, record=False, visit=self._visit)
        self._deltas.update(
            (v, g.value) for v, g in zip(self.variables, gradients, strict=True) if g is not None
        )
        with recording(False):
            self.nodes = tuple(self._explained(i, node) for i, node in enumerate(self.origin))
        self._contributions.clear()

    def _visit(self, node: Node, delta: Node, contributions: list[Node | None]) -> None:
        self._deltas[node] = delta.value
        self._contributions[node] = [None if c is None else c.value for c in contributions]

    def _explained(self, i: int, node: Node) -> ExplainedNode:
        op = node.op
        kind: Kind = "intermediate"
        if node is self.result:
            kind = "result"
        elif op is None or not node.inputs:
            kind = "variable" if is_differentiable(node) else "constant"
        return ExplainedNode(
            i,
            self.names.get(node, ""),
            kind,
            op.name if op else "",
            op.label if op else "",
            tuple(self.index[x] for x in node.inputs),
            node.shape,
            _dtype_name(node.dtype),
            as_value(node.value),
            as_value(self._deltas.get(node, _zeros(node))) if is_differentiable(node) else None,
            self._edges(i, node),
        )

    def _edges(self, i: int, node: Node) -> tuple[Edge, ...]:
        if not node.inputs or not is_differentiable(node):
            return ()
        live = [is_differentiable(x) for x in node.inputs]
        if not any(live):
            return ()
        given = self._contributions.get(node, [None] * len(live))
        return tuple(
            Edge(i, self.index[x], slot, local, as_value(_zeros(x) if added is None else added))
            for slot, (x, on, local, added) in enumerate(
                zip(node.inputs, live, _locals(node, live), given, strict=True)
            )
            if on
        )

    @cached_property
    def users(self) -> list[list[Edge]]:
        """For each node the edges through which others use it, in order of computation."""
        users: list[list[Edge]] = [[] for _ in self.nodes]
        for node in self.nodes:
            for edge in node.edges:
                users[edge.input].append(edge)
        return users

    @cached_property
    def edge_count(self) -> int:
        """Edges that derivatives flow through: one multiplication each in a sweep."""
        return sum(len(node.edges) for node in self.nodes)

    @cached_property
    def is_scalar(self) -> bool:
        """Whether every node that derivatives flow through holds one number."""
        return all(node.is_scalar for node in self.nodes if node.gradient is not None)

    @cached_property
    def epsilon(self) -> float:
        """Spacing of numbers near 1 in the coarsest dtype that derivatives pass."""
        return max(float(np.finfo(n.dtype).eps) for n in self.nodes if n.gradient is not None)


def edge_to_element(edge: Edge, shape: tuple[int, ...], index: tuple[int, ...]) -> Edge:
    """What an edge adds to one element of its input, which has a ``shape``, with that element's local derivative."""
    added = as_value(np.asarray(edge.contribution).reshape(shape)[index])
    local = edge.local
    if isinstance(local, np.ndarray):
        local = as_value(local[index]) if local.shape == shape else None
    return replace(edge, local=local, contribution=added)


_dtype_name = functools.cache(operator.attrgetter("name"))  # NumPy works the name out anew each time


def _zeros(node: Node) -> Any:
    return np.zeros(node.shape, node.dtype)


def _locals(node: Node, wanted: Sequence[bool]) -> list[Value | None]:
    """Local derivative for each input, None where it is not an array."""
    assert node.op is not None
    if issubclass(node.op, Pointwise):
        return [
            _resolved(p, node) if want else None for p, want in zip(local_partials(node), wanted, strict=True)
        ]
    if node.size != 1:
        return [None] * len(wanted)
    one = constant(np.ones(node.shape, node.dtype))
    return [
        as_value(_zeros(x) if p is None else p.value) if want else None
        for p, x, want in zip(pull(node, one, wanted), node.inputs, wanted, strict=True)
    ]


def _resolved(partial: Any, node: Node) -> Value:
    if partial is None:
        return 0.0
    value = as_value(partial.value) if isinstance(partial, Node) else float(partial)
    # A float32 rule computes in float32; a number such as 0.1 in it is rounded alike.
    return value if not isinstance(value, float) or math.isnan(value) else float(node.dtype.type(value))
