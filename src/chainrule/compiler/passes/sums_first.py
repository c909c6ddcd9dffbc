"""Sums of products of matrices: what is summed is summed before it is multiplied.

A gradient that many points share, such as that of a mean which was subtracted from all of them, is a sum of products
``sum(a[n] @ w)``. The sum of the ``a[n]`` times ``w`` is the same, and one product instead of many. Sums are rounded in
another order, so values stay to a few ulp. Where they overflow, or infinities meet, nan may stand for infinity.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.compiler.passes.rewrite import build, instead, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.arithmetic import Negative
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import Reshape, Transpose
from chainrule.ops.reduce import Sum
from chainrule.shapes import FLOATS


def sums_first(graph: Graph) -> Graph:
    """Move sums ahead of products of matrices, over axes that only one of the factors has.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> print(
        ...     sums_first(cr.trace(lambda a, w: cr.sum(-(a @ w), axis=0), np.ones((9, 2)), np.ones((2, 3))))
        ... )
        graph(a: float64[9, 2], w: float64[2, 3]):
          t = sum(a, axes=(0,), keepdims=True): float64[1, 2]
          u = matmul(t, w): float64[1, 3]
          v = negative(u): float64[1, 3]
          y = reshape(v, shape=(3,)): float64[3]
          return y
    """

    def rule(node: Node) -> Node | None:
        if node.op is not Sum or node.dtype not in FLOATS or node.inputs[0].dtype is not node.dtype:
            return None
        made = _sum(node.inputs[0], node.params["axes"])
        if made is None:
            return None
        return made if made.shape == node.shape else instead(node, Reshape, made, shape=node.shape)

    return rewrite(graph, rule)


def _sum(x: Node, axes: tuple[int, ...]) -> Node | None:
    """The sum over axes, which are kept, if part of it can be taken ahead of a product; else None."""
    if x.op is Negative:
        below = _sum(x.inputs[0], axes)
        return None if below is None else build(Negative, below)
    if x.op is Transpose:
        order = x.params["axes"]
        below = _sum(x.inputs[0], _sorted(order[a] for a in axes))
        return None if below is None else build(Transpose, below, params={"axes": order})
    if x.op is MatMul and all(i.ndim >= 2 and i.dtype == x.dtype for i in x.inputs):
        return _product(x, set(axes))
    return None


def _product(product: Node, axes: set[int]) -> Node | None:
    ndim, done = product.ndim, set[int]()
    factors = list(product.inputs)
    for which, own in ((0, ndim - 2), (1, ndim - 1)):
        x, other = factors[which], factors[1 - which]
        shift = ndim - x.ndim
        repeated = {a for a in range(shift, ndim - 2) if x.shape[a - shift] > 1 and _lacks(other, a, ndim)}
        mine = axes & ({own} | repeated)
        if mine:
            summed = {"axes": _sorted(a - shift for a in mine), "keepdims": True}
            factors[which] = build(Sum, x, params=summed)
            done |= mine
    if not done:
        return None
    made = build(MatMul, *factors)
    rest = _sorted(axes - done)
    return build(Sum, made, params={"axes": rest, "keepdims": True}) if rest else made


def _lacks(x: Node, axis: int, ndim: int) -> bool:
    """Whether a factor is repeated along an axis of its product."""
    own = axis - (ndim - x.ndim)
    return own < 0 or x.shape[own] == 1


def _sorted(axes: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(axes))
