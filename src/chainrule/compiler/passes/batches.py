"""Which nodes of a graph are computed point by point: for each, along which of its axes the points lie.

A walk from one array, whose points lie along one of its axes. Elementwise operations, products over features,
reductions over other axes and moves keep points apart. A sum over the points, and a product that contracts
their axis, is a *total*: a sum of what the points give. What needs all points in another way, or needs a
total, comes *after*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.gather import GetItem
from chainrule.ops.join import Narrow
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import BroadcastTo, Reshape, Transpose
from chainrule.ops.reduce import Max, Min, Prod, Sum
from chainrule.ops.selection import FULL
from chainrule.shapes import FLOATS, count


@dataclass(slots=True)
class Batch:
    """What is computed point by point.

    Attributes:
        points: how many.
        along: the axis of the points, for each node that has one, in the order of the graph; the first is the seed.
        totals: sums over the points.
        after: what waits for all points.
        cut: arrays that the points read a part of, each its own, with the axis; they are not computed point by point.
    """

    points: int
    along: dict[Node, int]
    totals: dict[Node, None] = field(default_factory=dict[Node, None])
    after: set[Node] = field(default_factory=set[Node])
    cut: dict[tuple[Node, int], None] = field(default_factory=dict[tuple[Node, int], None])

    @property
    def members(self) -> list[Node]:
        """What is computed point by point, and totals."""
        cut = {node for node, _ in self.cut}
        return [n for n in (*self.along, *self.totals) if n not in cut]


def batch(graph: Graph, seed: Node, axis: int, runs: Callable[[Node], bool]) -> Batch:
    """Follow the points of one array through a graph.

    Args:
        seed: an array with points.
        axis: along which they lie.
        runs: whether a node has native code.
    """
    found = Batch(seed.shape[axis], {seed: axis}, cut={(seed, axis): None})
    for node in graph.nodes:
        if node.op is None or node is seed:
            continue
        if any(x in found.totals or x in found.after for x in node.inputs):
            found.after.add(node)
        elif any(x in found.along for x in node.inputs):
            _visit(node, found, runs)
    return found


@dataclass(frozen=True, slots=True)
class _Step:
    """The axis of points in each input of an operation (None: it has none) and in its result (None: summed)."""

    inputs: tuple[int | None, ...]
    result: int | None


def _visit(node: Node, found: Batch, runs: Callable[[Node], bool]) -> None:
    rule = _RULES.get(node.op) if node.op is not None else None
    if rule is None and node.op is not None and node.op.emit is not None:
        rule = _elementwise
    step = rule(node, found) if rule and runs(node) else None
    if step is None or (step.result is None and node.dtype not in FLOATS):
        found.after.add(node)
        return
    cut = [(x, a) for x, a in zip(node.inputs, step.inputs, strict=True) if a is not None]
    for x, a in cut:
        if x in found.along and found.along[x] != a:
            found.after.add(node)
            return
    for x, a in cut:
        if x not in found.along:
            found.along[x] = a
            found.cut[x, a] = None
    if step.result is None:
        found.totals[node] = None
    else:
        found.along[node] = step.result


def _elementwise(node: Node, found: Batch) -> _Step | None:
    axes = {found.along[x] + node.ndim - x.ndim for x in node.inputs if x in found.along}
    if len(axes) != 1:
        return None
    (axis,) = axes
    own: list[int | None] = []
    for x in node.inputs:
        place = axis - (node.ndim - x.ndim)
        own.append(place if place >= 0 and x.shape[place] == found.points else None)
    return _Step(tuple(own), axis)


def _reduction(node: Node, found: Batch) -> _Step | None:
    axis, gone = found.along[node.inputs[0]], node.params["axes"]
    if axis in gone:
        plain = node.op is Sum and node.dtype == node.inputs[0].dtype
        return _Step((axis,), None) if plain else None
    kept = axis if node.params["keepdims"] else axis - sum(a < axis for a in gone)
    return _Step((axis,), kept)


def _transpose(node: Node, found: Batch) -> _Step | None:
    axis = found.along[node.inputs[0]]
    return _Step((axis,), node.params["axes"].index(axis))


def _reshape(node: Node, found: Batch) -> _Step | None:
    (x,) = node.inputs
    axis = found.along[x]
    ahead = count(x.shape[:axis])
    for a, n in enumerate(node.shape):
        if n == found.points and count(node.shape[:a]) == ahead:
            return _Step((axis,), a)
    return None


def _broadcast(node: Node, found: Batch) -> _Step | None:
    axis = found.along[node.inputs[0]]
    return _Step((axis,), axis + node.ndim - node.inputs[0].ndim)


def _getitem(node: Node, found: Batch) -> _Step | None:
    """An index that adds axes, and takes all of every other."""
    axis = found.along.get(node.inputs[0])
    index = node.params["index"]
    if axis is None or any(entry is not None and entry != FULL for entry in index):
        return None
    full = [a for a, entry in enumerate(index) if entry is not None]
    return _Step((axis,), full[axis] if axis < len(full) else len(index) + axis - len(full))


def _narrow(node: Node, found: Batch) -> _Step | None:
    axis = found.along[node.inputs[0]]
    return None if axis == node.params["axis"] else _Step((axis,), axis)


def _matmul(node: Node, found: Batch) -> _Step | None:
    x, y = node.inputs
    if min(x.ndim, y.ndim) < 2 or x.dtype != y.dtype or node.dtype not in FLOATS:
        return None
    ndim = node.ndim
    a = found.along[x] + ndim - x.ndim if x in found.along else None
    b = found.along[y] + ndim - y.ndim if y in found.along else None
    if a == ndim - 1 or b == ndim - 2:  # the points are contracted
        whole = a in (None, ndim - 1) and b in (None, ndim - 2)
        return _Step((x.ndim - 1, y.ndim - 2), None) if whole else None
    if a == ndim - 2:
        return _Step((x.ndim - 2, None), a) if b is None else None
    if b == ndim - 1:
        return _Step((None, y.ndim - 1), b) if a is None else None
    axis = a if a is not None else b
    if axis is None or (a is not None and b is not None and a != b):
        return None
    own = tuple(_place(i, axis, ndim, found.points) for i in (x, y))
    return _Step(own, axis)


def _place(x: Node, axis: int, ndim: int, points: int) -> int | None:
    place = axis - (ndim - x.ndim)
    return place if place >= 0 and x.shape[place] == points else None


_RULES: dict[object, Callable[[Node, Batch], _Step | None]] = {
    BroadcastTo: _broadcast,
    GetItem: _getitem,
    MatMul: _matmul,
    Max: _reduction,
    Min: _reduction,
    Narrow: _narrow,
    Prod: _reduction,
    Reshape: _reshape,
    Sum: _reduction,
    Transpose: _transpose,
}
