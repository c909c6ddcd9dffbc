"""Values of which nobody sees whether a zero is 0.0 or -0.0: they only go into sums and products of matrices.

Adding either zero leaves any other number as it is. So such values may be computed in a way that does not keep the sign
of zeros, if that takes fewer instructions; of a sum whose terms are all zeros the sign may differ.
"""

from __future__ import annotations

from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.arithmetic import Multiply, Negative, Scale
from chainrule.ops.join import Narrow
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import BroadcastTo, Reshape, Transpose
from chainrule.ops.reduce import Sum

_PASSED_ON = (Negative, Multiply, Scale, Sum, Reshape, Transpose, BroadcastTo, Narrow)
"""Where a zero gives a zero, or nan whatever its sign."""


def unsigned(graph: Graph) -> set[Node]:
    """The nodes of a graph whose zeros are all alike.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> g = cr.trace(lambda x: cr.sum(-x), np.ones(2))
        >>> [n.op.name for n in g.nodes if n in unsigned(g)]
        ['negative']
    """
    found: set[Node] = set()
    kept: set[Node] = set(graph.outputs)  # and what is read in any other way
    for node in reversed(graph.nodes):
        if node not in kept and node.op is not None:
            found.add(node)
        if not _adds(node) and not (node.op in _PASSED_ON and node in found):
            kept.update(node.inputs)
    return found - set(graph.inputs)


def _adds(node: Node) -> bool:
    """Whether sums are made: not of one term each."""
    return node.op is MatMul or (node.op is Sum and node.size < node.inputs[0].size)
