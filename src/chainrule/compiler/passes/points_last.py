"""What is computed point by point, written anew with the points along the last axis of everything.

So vectors lie along points: nothing is gathered, no vector is half empty, and a sum or a maximum over
features or classes needs no additions across a vector. Products keep their sizes; where their rows are points
they are turned around.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.compiler.passes.rewrite import build
from chainrule.node import Node
from chainrule.ops.gather import GetItem
from chainrule.ops.join import Narrow
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import BroadcastTo, Reshape, Transpose
from chainrule.ops.reduce import Max, Min, Prod, Sum
from chainrule.shapes import Shape


def points_last(
    members: Sequence[Node], known: Mapping[Node, Node], along: Mapping[Node, int], points: int
) -> dict[Node, Node]:
    """Compute nodes of a batch for so many points.

    Args:
        members: in order; totals are those that have no axis of points.
        known: for what they read of the batch, what it is, with the points along its last axis; and for other
            nodes what to read instead.
        along: the axis of the points, of what has one.
        points: how many.

    Returns:
        What each member is; totals have their own shape.
    """
    made = dict(known)
    for node in members:
        made[node] = _Member(node, made, along, points).made()
    return made


class _Member:
    """One node, and how it sees its inputs."""

    def __init__(
        self, node: Node, known: Mapping[Node, Node], along: Mapping[Node, int], points: int
    ) -> None:
        self.node, self.known, self.along, self.points = node, known, along, points

    def made(self) -> Node:
        node = self.node
        if node.op is MatMul:
            return self._matmul(*node.inputs)
        if node.op in (Max, Min, Prod, Sum):
            return self._reduction(node.inputs[0])
        if node.op is Transpose:
            return self._transpose(node.inputs[0])
        if node.op is Narrow:
            return self._narrow(node.inputs[0])
        if node.op in (Reshape, GetItem):
            return _reshaped(self.known[node.inputs[0]], self._own_shape())
        if node.op is BroadcastTo:
            x = self.known[node.inputs[0]]
            return build(BroadcastTo, x, params={"shape": self._own_shape()}, like=node)
        assert node.op is not None
        return build(node.op, *map(self._beside, node.inputs), params=node.params, like=node)

    def _own_shape(self) -> Shape:
        return (*_without(self.node.shape, self.along[self.node]), self.points)

    def _beside(self, x: Node) -> Node:
        """An operand of an elementwise operation, such that it broadcasts with the others."""
        own = self.known.get(x, x)
        if x in self.along or not x.ndim:
            return own
        axis = self.along[self.node] - (self.node.ndim - x.ndim)
        rest = x.shape if axis < 0 else _without(x.shape, axis)
        return _reshaped(own, (*rest, 1))

    def _reduction(self, x: Node) -> Node:
        node, axis = self.node, self.along[x]
        gone = node.params["axes"]
        axes = tuple(sorted(x.ndim - 1 if a == axis else a - (a > axis) for a in gone))
        made = build(node.op or Sum, self.known[x], params={**node.params, "axes": axes}, like=node)
        return _reshaped(made, node.shape) if axis in gone else made

    def _transpose(self, x: Node) -> Node:
        axis = self.along[x]
        order = [a - (a > axis) for a in self.node.params["axes"] if a != axis]
        return _transposed(self.known[x], (*order, x.ndim - 1))

    def _narrow(self, x: Node) -> Node:
        axis = self.node.params["axis"]
        own = {**self.node.params, "axis": axis - (axis > self.along[x])}
        return build(Narrow, self.known[x], params=own, like=self.node)

    def _matmul(self, x: Node, y: Node) -> Node:
        node, ndim = self.node, self.node.ndim
        a, b = self.known.get(x, x), self.known.get(y, y)
        if node not in self.along:  # the points are contracted
            return build(MatMul, a, _turned(b), like=node)
        axis = self.along[node]
        if axis == ndim - 2:
            return build(MatMul, _turned(b), a, like=node)
        if axis == ndim - 1:
            return build(MatMul, a, b, like=node)
        a, b = (moved(i, i.ndim - 1, self.along[n]) if n in self.along else i for n, i in ((x, a), (y, b)))
        return moved(build(MatMul, a, b, like=node), axis, ndim - 1)


def moved(x: Node, axis: int, to: int) -> Node:
    """One axis moved to another place."""
    order = list(_without(tuple(range(x.ndim)), axis))
    order.insert(to, axis)
    return _transposed(x, tuple(order))


def _transposed(x: Node, order: tuple[int, ...]) -> Node:
    return x if order == tuple(range(x.ndim)) else build(Transpose, x, params={"axes": order})


def _turned(x: Node) -> Node:
    return moved(x, x.ndim - 1, x.ndim - 2)


def _reshaped(x: Node, shape: Shape) -> Node:
    return x if x.shape == shape else build(Reshape, x, params={"shape": shape})


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])
