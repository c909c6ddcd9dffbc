"""How a reason names nodes, elements and lines of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.explain.expressions import Piece, node_text, number_piece
from chainrule.explain.letters import name_nodes
from chainrule.explain.numbers import count_text, number_text, shape_text
from chainrule.node import Node, ancestors
from chainrule.primitive import Array


class Words:
    """Names for the nodes before a result.

    Args:
        result: the last node.
        named: names that are known, of a model's parameters by their path.
    """

    def __init__(self, result: Node, named: Mapping[Node, str] | None = None) -> None:
        self.nodes = ancestors([result])
        self.names = name_nodes(self.nodes, result, named)

    def name(self, node: Node) -> str:
        """A node's name; of a constant without one its number."""
        return self.names.get(node) or number_text(float(np.asarray(node.value).reshape(-1)[0]))

    def formula(self, node: Node) -> str:
        """``p = softmax(z)``; for a leaf its name alone."""
        if not node.inputs:
            return self.name(node)
        return f"{self.name(node)} = {node_text(node, self._piece)}"

    def _piece(self, node: Node) -> Piece:
        name = self.names.get(node)
        return Piece(name) if name else number_piece(self.name(node))

    def element(self, node: Node, index: Sequence[int]) -> str:
        """``p[3, 0] = 0``; an index of a larger array is that of what was broadcast to it."""
        at = aligned(index, node.shape)
        place = f"[{', '.join(map(str, at))}]" if node.size > 1 else ""
        number = number_text(float(np.asarray(node.value)[at]))
        return f"{self.names[node]}{place} = {number}" if node in self.names else number


def aligned(index: Sequence[int], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index, in an operand of a shape, of what an elementwise result has at ``index``."""
    behind = tuple(index)[len(index) - len(shape) :]
    return tuple(0 if n == 1 else i for i, n in zip(behind, shape, strict=True))


def value_at(node: Node, index: Sequence[int]) -> float:
    """An operand's element for an element of the result."""
    return float(np.asarray(node.value)[aligned(index, node.shape)])


def elements(mask: Array) -> str:
    """``in 3 of 1,280 elements, the first at [17, 4]``; empty for a single number."""
    if mask.size == 1:
        return ""
    count = int(np.count_nonzero(mask))
    first = ", ".join(str(int(i)) for i in np.argwhere(mask)[0])
    some = "all" if count == mask.size else f"{count_text(count)} of"
    return f"in {some} {count_text(mask.size)} elements" + (
        f", the first at [{first}]" if count < mask.size else ""
    )


def described(node: Node) -> str:
    """Shape and range of an array."""
    value = np.asarray(node.value)
    if value.size == 1:
        return number_text(float(value.reshape(-1)[0]))
    return (
        f"{shape_text(value.shape)}, {number_text(float(value.min()))} to {number_text(float(value.max()))}"
    )
