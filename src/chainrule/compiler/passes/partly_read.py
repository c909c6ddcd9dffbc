"""Products of which only a part is read: a triangle of each matrix, a band, some rows. Only that part is computed.

The gradient of a triangular factor is a sum over all points, and half of it is never looked at. A walk from the
outputs finds which elements of a product anybody reads; where long sums could be saved, the rows are cut into strips,
and each strip is a product with the columns that are read of it. What nobody reads becomes 0. All else keeps its
value; sums may be rounded in another order, so values stay to a few ulp.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.compiler.passes.reads import LARGEST, Reads
from chainrule.compiler.passes.rewrite import build, constant_of, instead, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.join import Concatenate, Narrow
from chainrule.ops.matmul import MatMul
from chainrule.primitive import Array
from chainrule.shapes import FLOATS, count

LONG = 16
"""Sums so many times as long as the rows and the columns of a product hide what joins its strips."""
SAVED = 1 << 19
"""Multiplications that are saved, at least: some 10 µs."""
SHARE = 0.2
"""Of all multiplications, at least."""
HEIGHT, STRIPS = 5, 4
"""Rows of a strip, at least: with as many columns their sums fill the registers. How many strips there are, at most."""


def partly_read(graph: Graph, saved: int = SAVED) -> Graph:
    """Compute of products with long sums what is read.

    Args:
        saved: multiplications that must be saved for it to be worth it.

    Example:
        >>> import chainrule as cr
        >>> import numpy as np
        >>> a = np.ones((10, 50_000))
        >>> print(partly_read(cr.trace(lambda a: cr.sum(cr.tril(a @ a.T)), a)))
        graph(a: float64[10, 50000]):
          t = constant: bool[10, 10]
          u = permute_dims(a, axes=(1, 0)): float64[50000, 10]
          v = narrow(a, axis=0, start=0, stop=5): float64[5, 50000]
          w = narrow(u, axis=1, start=0, stop=5): float64[50000, 5]
          x = matmul(v, w): float64[5, 5]
          z = constant: float64[5, 5]
          t1 = concat(x, z, axis=1): float64[5, 10]
          t2 = narrow(a, axis=0, start=5, stop=10): float64[5, 50000]
          t3 = matmul(t2, u): float64[5, 10]
          t4 = concat(t1, t3, axis=0): float64[10, 10]
          t5 = where(t, t4, 0): float64[10, 10]
          y = sum(t5, axes=(0, 1), keepdims=False): float64[]
          return y
    """
    candidates = [n for n in graph.nodes if _is_long(n)]
    if not candidates:
        return graph
    reads = Reads(graph)
    cuts = {n: cut for n in candidates if (cut := _cut(n, reads.of(n), saved))}
    if not cuts:
        return graph
    given = set(graph.inputs)
    # The rule sees products of the new graph, in the order of the old ones.
    waiting = iter([cuts.get(n) for n in graph.nodes if n.op is MatMul and n not in given])

    def rule(node: Node) -> Node | None:
        cut = next(waiting) if node.op is MatMul else None
        return _joined(node, cut) if cut else None

    return rewrite(graph, rule)


def _is_long(node: Node) -> bool:
    """Whether a node is a product with sums that are long beside what they give."""
    if node.op is not MatMul or node.dtype not in FLOATS or any(x.ndim < 2 for x in node.inputs):
        return False
    m, n = node.shape[-2:]
    k = node.inputs[0].shape[-1]
    return min(m, n) > 1 and max(m, n) >= 2 * HEIGHT and k >= LONG * max(m, n) and node.size <= LARGEST


_Cut = Sequence[tuple[int, int, int, int]]
"""Strips: first row and the one after the last, and the same of its columns."""


def _cut(node: Node, read: Array, least: int) -> _Cut | None:
    """The strips that have all that is read of a product; None if too little is saved."""
    if read.all():
        return None
    m, n = read.shape
    number = min(STRIPS, max(m // HEIGHT, 1))
    ends = [m * i // number for i in range(number + 1)]
    strips: list[tuple[int, int, int, int]] = []
    for top, bottom in itertools.pairwise(ends):
        columns = np.flatnonzero(read[top:bottom].any(axis=0))
        left, right = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 0)
        if strips and strips[-1][2:] == (left, right):
            top = strips.pop()[0]
        strips.append((top, bottom, left, right))
    kept = sum((bottom - top) * (right - left) for top, bottom, left, right in strips)
    saved = m * n - kept
    worth = saved * count(node.shape[:-2]) * node.inputs[0].shape[-1] >= least
    return strips if worth and saved >= SHARE * m * n else None


def _joined(node: Node, cut: _Cut) -> Node:
    """A product as its strips, beside zeros: never a product itself."""
    x, y = node.inputs
    n, last = node.shape[-1], node.ndim - 1
    strips: list[Node] = []
    for top, bottom, left, right in cut:
        height = (*node.shape[:-2], bottom - top)
        parts: list[Node] = [_zeros(node, (*height, left))] if left else []
        if right > left:
            rows = _narrow(x, x.ndim - 2, top, bottom)
            parts.append(build(MatMul, rows, _narrow(y, y.ndim - 1, left, right), like=node))
        if right < n:
            parts.append(_zeros(node, (*height, n - right)))
        strips.append(_concatenated(node, parts, last))
    return _concatenated(node, strips, last - 1)


def _concatenated(node: Node, parts: Sequence[Node], axis: int) -> Node:
    return parts[0] if len(parts) == 1 else instead(node, Concatenate, *parts, axis=axis)


def _narrow(x: Node, axis: int, start: int, stop: int) -> Node:
    if (start, stop) == (0, x.shape[axis]):
        return x
    params: Mapping[str, Any] = {"axis": axis, "start": start, "stop": stop}
    return build(Narrow, x, params=params)


def _zeros(node: Node, shape: Sequence[int]) -> Node:
    return constant_of(np.zeros(tuple(shape), node.dtype))
