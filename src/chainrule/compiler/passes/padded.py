"""Sums of padded arrays: those that do not overlap are joined, as the gradients of an array's parts are, and those that
lie in the same place are added first."""

from __future__ import annotations

from chainrule.compiler.passes.rewrite import build, instead
from chainrule.node import Node
from chainrule.ops.arithmetic import Add
from chainrule.ops.join import Concatenate, Pad


def side_by_side(node: Node) -> Node | None:
    """A sum of two arrays, each padded along one axis up to where the other begins, as one array, joined; and of two
    that are padded alike, as their sum, padded.

    Where an element is -0.0 the sum would be 0.0.

    Example:
        >>> import chainrule as cr
        >>> total = cr.trace(
        ...     lambda x, y: cr.pad(x, (0, 2)) + cr.pad(y, (1, 0)), np.ones(1), np.ones(2)
        ... ).outputs[0]
        >>> side_by_side(total).op.name
        'concat'
    """
    if all(x.op is Pad and x.dtype == node.dtype for x in node.inputs):
        (x, y), width = (p.inputs[0] for p in node.inputs), node.inputs[0].params["width"]
        if width == node.inputs[1].params["width"] and x.shape == y.shape:
            return instead(node, Pad, build(Add, x, y), width=width)
    places = [_along(x) for x in node.inputs]
    first, second = places
    if first is None or second is None or first[0] != second[0]:
        return None
    x, y = (p.inputs[0] for p in node.inputs)
    axis, start, stop = first
    if stop == second[1]:
        stop = second[2]
    elif start == second[2]:
        start, x, y = second[1], y, x
    else:
        return None
    parts = [part for each in (x, y) for part in (each.inputs if _joins(each, axis) else (each,))]
    if any(part.dtype != node.dtype for part in parts):
        return None
    size = node.shape[axis]
    if (start, stop) == (0, size):
        return instead(node, Concatenate, *parts, axis=axis)
    width = [(0, 0)] * node.ndim
    width[axis] = (start, size - stop)
    joined = build(Concatenate, *parts, params={"axis": axis})
    return instead(node, Pad, joined, width=tuple(width))


def _along(x: Node) -> tuple[int, int, int] | None:
    """The one axis along which something is padded, and where on it the inside begins and ends."""
    if x.op is not Pad:
        return None
    width: list[tuple[int, int]] = x.params["width"]
    axes = [a for a, pair in enumerate(width) if any(pair)]
    if len(axes) != 1:
        return None
    (axis,) = axes
    before, after = width[axis]
    return axis, before, x.shape[axis] - after


def _joins(x: Node, axis: int) -> bool:
    return x.op is Concatenate and x.params["axis"] == axis
