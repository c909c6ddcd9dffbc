"""Constant folding: what depends on constants only is computed once, now."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.passes.rewrite import constant_of, is_constant, rewrite
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.ops.join import Narrow
from chainrule.ops.move import BroadcastTo, Flip, Reshape, Transpose
from chainrule.shapes import count

LARGE = 1 << 20
"""Bytes from which a constant is worth its memory only if it replaces as many, and work besides."""

_FREE = (BroadcastTo, Flip, Narrow, Reshape, Transpose)


def fold(graph: Graph) -> Graph:
    """Compute every node whose inputs are constants.

    A large array is not made out of smaller ones, such as by repeating a number, nor by a mere move of another
    large one: as operations these take no memory.

    Example:
        >>> import chainrule as cr
        >>> weight = cr.tensor([1.0, 4.0], requires_grad=True)  # so a trace keeps what is made of it
        >>> print(fold(cr.trace(lambda x: x + cr.sqrt(weight).sum(), 0.0)))
        graph(x: float64[]):
          y = add(x, 3): float64[]
          return y
    """
    return rewrite(graph, _computed)


def _computed(node: Node) -> Node | None:
    if node.op is None or not all(is_constant(x) for x in node.inputs):
        return None
    size = _bytes([node])
    if size > LARGE and (node.op in _FREE or size > _bytes(node.inputs)):
        return None
    value = silently(node.op.evaluate, *[x.value for x in node.inputs], **node.params)
    return constant_of(value, node.name)


def _bytes(nodes: Sequence[Node]) -> int:
    return sum(count(n.shape) * n.dtype.itemsize for n in nodes)
