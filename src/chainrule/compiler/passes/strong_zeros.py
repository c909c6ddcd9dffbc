"""Strong zeros that cannot matter: ``scale`` becomes a plain multiplication where 0 never meets inf or nan."""

from __future__ import annotations

import numpy as np

from chainrule.compiler.passes.bounds import Bounds, bounds, of_dtype
from chainrule.compiler.passes.rewrite import instead, is_constant, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.arithmetic import Multiply, Scale


def strong_zeros(graph: Graph) -> Graph:
    """Replace ``scale(upstream, factor)``, which is 0 where upstream is 0 and the factor infinite or nan.

    ====================  ==================  ==========================================================
    what                  becomes             if
    ====================  ==================  ==========================================================
    ``scale(g, f)``       ``g * f``           g is certainly nowhere 0, or f certainly finite everywhere
    ====================  ==================  ==========================================================

    Example:
        >>> import chainrule as cr
        >>> print(strong_zeros(cr.trace(cr.grad(lambda x: cr.sum(cr.exp(x))), np.ones(2))))
        graph(x: float64[2]):
          t = constant: float64[2]
          u = exp(x): float64[2]
          y = multiply(t, u): float64[2]
          return y
    """
    known: dict[Node, Bounds | None] = {x: of_dtype(x.dtype) for x in graph.inputs}

    def rule(node: Node) -> Node | None:
        known[node] = bounds(node, [known.get(x) for x in node.inputs])
        if node.op is not Scale:
            return None
        upstream, factor = node.inputs
        harmless = known.get(factor) is not None or _never_zero(upstream, known.get(upstream))
        return instead(node, Multiply, upstream, factor) if harmless else None

    return rewrite(graph, rule)


def _never_zero(node: Node, within: Bounds | None) -> bool:
    if is_constant(node):  # its infinities and nans are no zeros either
        return bool(np.all(np.asarray(node.value) != 0))
    return within is not None and within.nonzero
