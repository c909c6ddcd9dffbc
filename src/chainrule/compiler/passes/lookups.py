"""Products with rows that were looked up: one product with the whole table, looked up afterwards.

An embedding is a table of which rows are looked up by their numbers, and what follows is mostly a product. Where more
rows are looked up than there are, the same products are computed again and again. Sums are made in another order, so
this keeps values to a few ulp.
"""

from __future__ import annotations

from typing import Any

from chainrule.compiler.passes.duplicates import duplicates
from chainrule.compiler.passes.moves import moves
from chainrule.compiler.passes.rewrite import build, instead, rewrite
from chainrule.graph import Graph
from chainrule.node import Node, constant
from chainrule.ops.compare import where
from chainrule.ops.gather import GetItem, ScatterAdd
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import Reshape, Transpose, reshape
from chainrule.ops.selection import ARRAY, Index
from chainrule.shapes import count

_INDEX = Index((ARRAY,))
MORE = 2
"""So many times as many rows as the table has make it worth while."""


def lookups(graph: Graph) -> Graph:
    """Let products work on tables.

    =========================================  ==========================================
    what                                       becomes
    =========================================  ==========================================
    ``table[i] @ w``                           ``(table @ w)[i]``
    ``table[i].mT @ g``                        ``table.mT @ scatter_add(g, i)``
    ``scatter_add(g @ w, i)``                  ``scatter_add(g, i) @ w``
    =========================================  ==========================================

    What was looked up may be moved in between, as long as rows stay rows. Rows of the table that are not looked up
    count as zeros in the second.

    Example:
        >>> import chainrule as cr
        >>> print(
        ...     lookups(
        ...         cr.trace(lambda t, w, i: t[i] @ w, np.ones((3, 2)), np.ones((2, 4)), np.zeros(9, int))
        ...     )
        ... )
        graph(t: float64[3, 2], w: float64[2, 4], i: int64[9]):
          u = matmul(t, w): float64[3, 4]
          y = getitem(u, i, index=[array]): float64[9, 4]
          return y
    """
    made = rewrite(graph, _rule)
    return graph if made is graph else duplicates(moves(made))


def _rule(node: Node) -> Node | None:
    if node.op is MatMul:
        found = _looked_up(node)
        return _collected(node) if found is None else found
    return _scattered(node) if node.op is ScatterAdd else None


def _looked_up(node: Node) -> Node | None:
    x, w = node.inputs
    found = _rows(x) if w.ndim == 2 and x.dtype == w.dtype else None
    if found is None:
        return None
    table, numbers = found
    product = build(MatMul, table, w)
    return instead(node, GetItem, product, numbers, index=_INDEX)


def _collected(node: Node) -> Node | None:
    turned, g = node.inputs
    if turned.op is not Transpose or turned.ndim != 2 or g.ndim != 2 or g.dtype != turned.dtype:
        return None
    found = _rows(turned.inputs[0])
    if found is None:
        return None
    table, numbers = found
    rows = _sums(g, numbers, table.shape[0])
    one, zero = constant(1.0, table.dtype), constant(0.0, table.dtype)
    shape = (table.shape[0], 1)
    times: Any = build(ScatterAdd, one, numbers, params={"index": _INDEX, "shape": shape[:1]})
    used: Node = where(reshape(times, shape) > zero, table, zero)
    return instead(node, MatMul, build(Transpose, used, params={"axes": (1, 0)}), rows)


def _scattered(node: Node) -> Node | None:
    if tuple(node.params["index"]) != (ARRAY,) or node.ndim != 2:
        return None
    x, numbers = node.inputs
    if x.shape != (*numbers.shape, node.shape[1]) or count(numbers.shape) < MORE * node.shape[0]:
        return None
    while _keeps_rows(x):
        if x.op is Transpose:
            axes: tuple[int, ...] = x.params["axes"][:-1]
            back = tuple(sorted(range(len(axes)), key=axes.__getitem__))
            numbers = build(Transpose, numbers, params={"axes": back})
        else:
            numbers = build(Reshape, numbers, params={"shape": x.inputs[0].shape[:-1]})
        (x,) = x.inputs
    if x.op is not MatMul or x.inputs[1].ndim != 2 or any(y.dtype != x.dtype for y in x.inputs):
        return None
    g, w = x.inputs
    return instead(node, MatMul, _sums(g, numbers, node.shape[0]), w)


def _sums(g: Node, numbers: Node, size: int) -> Node:
    """The rows of ``g``, added where their numbers say."""
    rows = count(numbers.shape)
    flat, places = reshape(g, (rows, g.shape[-1])), reshape(numbers, (rows,))
    params = {"index": _INDEX, "shape": (size, g.shape[-1])}
    return build(ScatterAdd, flat, places, params=params)


def _rows(x: Node) -> tuple[Node, Node] | None:
    """The table whose rows ``x`` holds, and their numbers; None if it holds none, or not many."""
    if _keeps_rows(x):
        found = _rows(x.inputs[0])
        if found is None:
            return None
        table, numbers = found
        if x.op is Transpose:
            return table, build(Transpose, numbers, params={"axes": x.params["axes"][:-1]})
        return table, build(Reshape, numbers, params={"shape": x.shape[:-1]})
    if x.op is not GetItem or tuple(x.params["index"]) != (ARRAY,):
        return None
    table, numbers = x.inputs
    many = count(numbers.shape) >= MORE * table.shape[0]
    return (table, numbers) if many and table.ndim == 2 else None


def _keeps_rows(x: Node) -> bool:
    """Whether it moves rows, and nothing within them."""
    if x.op is Transpose:
        return x.params["axes"][-1] == x.ndim - 1
    return x.op is Reshape and x.size > 0 and x.ndim > 0 and x.inputs[0].shape[-1:] == x.shape[-1:]
