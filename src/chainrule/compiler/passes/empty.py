"""Arrays without elements, for which no kernel is needed: what is made of them is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.compiler.passes.rewrite import constant_of, instead
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.ops.factor import Solve
from chainrule.ops.gather import IndexSet, ScatterAdd
from chainrule.ops.index import OneHot
from chainrule.ops.join import Concatenate
from chainrule.ops.selection import layout
from chainrule.shapes import count

_CHECKING = (OneHot, Solve)
"""Primitives that may find fault with one input even if there is nothing to compute. Indices are checked by flags."""


def without_elements(node: Node) -> Node | None:
    """A constant in the place of a node that has no elements, or reads only what has none.

    Sums of nothing are 0, for example, and means are nan. What is joined to other arrays is left out, and what an
    index without elements sets or adds.

    Example:
        >>> import chainrule as cr
        >>> graph = cr.trace(lambda x: cr.logsumexp(x, axis=0), np.ones((0, 2)))
        >>> without_elements(graph.outputs[0]).value.tolist()
        [-inf, -inf]
    """
    if node.op is None or not node.inputs:
        return None
    if not any(x.size for x in node.inputs):
        nothing = [np.zeros(x.shape, x.dtype) for x in node.inputs]
        return constant_of(silently(node.op.evaluate, *nothing, **node.params), node.name)
    if not node.size and node.op not in _CHECKING:
        return constant_of(np.zeros(node.shape, node.dtype), node.name)
    if node.op is Concatenate and not all(x.size for x in node.inputs):
        return instead(node, Concatenate, *[x for x in node.inputs if x.size], **node.params)
    if node.op is ScatterAdd and not _selects(node, node.inputs[1:]):
        return constant_of(np.zeros(node.shape, node.dtype), node.name)
    if node.op is IndexSet and not _selects(node, node.inputs[2:]):
        return node.inputs[0]
    return None


def _selects(node: Node, arrays: Sequence[Node]) -> bool:
    """Whether an index into the result's shape selects anything."""
    assert node.op is not None
    return count(layout(node.op.name, node.params["index"], node.shape, arrays).shape) > 0
