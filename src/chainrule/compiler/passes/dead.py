"""Dead code: what is computed, or carried along, and reaches no output.

A `Graph` holds only what its outputs are made of, so nodes and constants that nobody uses are gone as soon as a pass
has built one. This pass removes what is used but not read: parts of joined, surrounded or cut arrays that are cut
away again, and inputs that have no influence.
"""

from __future__ import annotations

from chainrule.compiler.passes.rewrite import build, constant_of, fitted, instead, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.cast import ConstantIn
from chainrule.ops.join import Concatenate, Narrow, Pad


def dead(graph: Graph) -> Graph:
    """Remove what no output reads.

    ====================================  ============================  =============================
    what                                  becomes                       if
    ====================================  ============================  =============================
    ``constant_in(x, y)``                 ``x``
    ``narrow`` of a whole axis            its input
    ``narrow(narrow(x))``                 ``narrow(x)``                 along the same axis
    ``narrow(concat(x, y, ...))``         ``narrow(x)``                 it lies within x, of its dtype
    ``narrow(pad(x))``                    ``narrow(x)``, zeros, or      only that axis is surrounded
                                          ``pad(narrow(x))``
    ``concat(x)``                         ``x``
    ``concat(x, y, ...)``                 without y                     y has no elements, and is not
                                                                        needed for the dtype
    ====================================  ============================  =============================

    Example:
        >>> import chainrule as cr
        >>> left = lambda x, y: cr.split(cr.concat([x, cr.exp(y)]), 2)[0]
        >>> print(dead(cr.trace(left, np.ones(2), np.ones(2))))
        graph(x: float64[2], y: float64[2]):
          return x
    """
    return rewrite(graph, _read)


def _read(node: Node) -> Node | None:
    if node.op is ConstantIn:
        return node.inputs[0]
    if node.op is Concatenate:
        return _joined(node)
    return _cut(node) if node.op is Narrow else None


def _joined(node: Node) -> Node | None:
    if len(node.inputs) == 1:
        return node.inputs[0]
    kept = [x for x in node.inputs if x.size]
    same = all(x.dtype == node.dtype for x in kept)
    if kept and same and len(kept) < len(node.inputs):
        return instead(node, Concatenate, *kept, **node.params)
    return None


def _cut(node: Node) -> Node | None:
    (x,) = node.inputs
    axis: int = node.params["axis"]
    start: int = node.params["start"]
    stop: int = node.params["stop"]
    if node.shape == x.shape:
        return x
    if x.op is Narrow and x.params["axis"] == axis:
        return _narrow(node, x.inputs[0], start + x.params["start"])
    if x.op is Pad:
        width: list[tuple[int, int]] = list(x.params["width"])
        before, _ = width.pop(axis)
        if not any(map(any, width)):
            return _cut_of_padded(node, x.inputs[0], start - before, stop - before)
    if x.op is Concatenate and x.params["axis"] == axis:
        for part in x.inputs:
            if start >= 0 and stop <= part.shape[axis]:
                return _narrow(node, part, start) if part.dtype == node.dtype else None
            start, stop = start - part.shape[axis], stop - part.shape[axis]
    return None


def _cut_of_padded(node: Node, x: Node, start: int, stop: int) -> Node:
    """The elements of ``x`` in a range, and zeros where it has none."""
    axis: int = node.params["axis"]
    low, high = max(start, 0), min(stop, x.shape[axis])
    if low >= high:
        return fitted(constant_of(node.dtype.type(0)), node)
    if (low, high) == (start, stop):
        return _narrow(node, x, start)
    inside = build(Narrow, x, params={"axis": axis, "start": low, "stop": high})
    width = [(0, 0)] * node.ndim
    width[axis] = (low - start, stop - high)
    return instead(node, Pad, inside, width=tuple(width))


def _narrow(node: Node, x: Node, start: int) -> Node:
    """As many elements of ``x`` as ``node`` has."""
    axis: int = node.params["axis"]
    return instead(node, Narrow, x, axis=axis, start=start, stop=start + node.shape[axis])
