"""Gradients of max pools: masked and summed where the pool's results are, which are fewer.

A pool's gradient is put where x has its windows' maxima. Whether x exceeds a bound there, as after a ReLU, the
window's maximum says; and what is put into an image altogether is the sum of the windows' gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.compiler.passes.rewrite import instead, is_constant, rewrite
from chainrule.graph import Graph
from chainrule.node import Node, apply, constant
from chainrule.ops.compare import (
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    NotEqual,
    Where,
    equal,
    where,
)
from chainrule.ops.pool import MaxPool2d, MaxPool2dGrad
from chainrule.ops.reduce import Sum

_COMPARISONS = (Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual)


def pools(graph: Graph) -> Graph:
    """Replace operations on gradients of max pools; y is ``max_pool2d(x)``, which the graph has, c a number.

    =============================================  ==============================================
    what                                           becomes
    =============================================  ==============================================
    ``where(x <= c, 0, max_pool2d_grad(g, x))``    ``max_pool2d_grad(where(y <= c, 0, g), x)``
    ``sum(max_pool2d_grad(g, x), axes)``           ``sum(where(y == y, g, 0), axes)``
    =============================================  ==============================================

    The first has the same bits, with any comparison and in either order. The second is for axes that include those
    of the image, and sums in another order; where y is nan nothing is put anywhere.
    """
    known: dict[tuple[Node, str], Node] = {}

    def rule(node: Node) -> Node | None:
        if node.op is MaxPool2d:
            known[pool_key(node.inputs[0], node)] = node
        if node.op is Where:
            condition, a, b = node.inputs
            found = _masked(node, condition, a, b, known, chosen=False)
            return found if found is not None else _masked(node, condition, b, a, known, chosen=True)
        if node.op is Sum and node.inputs[0].op is MaxPool2dGrad and {1, 2} <= set(node.params["axes"]):
            gradient, x = node.inputs[0].inputs
            pooled = known.get(pool_key(x, node.inputs[0]))
            if pooled is not None and node.dtype == gradient.dtype:
                put = where(equal(pooled, pooled), gradient, constant(0.0, gradient.dtype))
                return instead(node, Sum, put, **node.params)
        return None

    return rewrite(graph, rule)


def _masked(
    node: Node,
    condition: Node,
    zero: Node,
    spread: Node,
    known: dict[tuple[Node, str], Node],
    *,
    chosen: bool,
) -> Node | None:
    """A gradient of a pool that counts where the condition is ``chosen``."""
    if spread.op is not MaxPool2dGrad or condition.op not in _COMPARISONS or not _is_zero(zero):
        return None
    gradient, x = spread.inputs
    pooled = known.get(pool_key(x, spread))
    others = [n for n in condition.inputs if n is not x]
    if pooled is None or len(others) != 1 or not is_constant(others[0]) or others[0].size != 1:
        return None
    if node.shape != spread.shape or others[0].ndim > pooled.ndim:
        return None
    asked: Any = apply(
        condition.op, tuple(pooled if n is x else n for n in condition.inputs), condition.params
    )
    nothing: Any = constant(0.0, gradient.dtype)
    left = where(asked, gradient, nothing) if chosen else where(asked, nothing, gradient)
    return instead(node, MaxPool2dGrad, left, x, **spread.params)


def pool_key(x: Node, pool: Node) -> tuple[Node, str]:
    """Equal for pools of one image that have the same windows, and for what belongs to them."""
    return x, repr(sorted(pool.params.items()))


def _is_zero(node: Node) -> bool:
    values: Any = node.value if is_constant(node) else None
    return values is not None and not np.any(values) and not np.any(np.signbit(values))
