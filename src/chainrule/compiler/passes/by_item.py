"""Sums over many images: image by image, and then over the images.

A sum over rows, columns and images at once has to wait for the last image. The sum of one image can run as soon as
the image is made, while it is in the caches; those sums are few, and are added at the end. Long sums are more exact
for it, too.
"""

from __future__ import annotations

from chainrule.compiler.passes.rewrite import instead, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.reduce import Sum
from chainrule.shapes import FLOATS, Shape, count

MANY = 8
"""Items from which on they are summed one by one: enough for the threads of a small machine."""
LARGE = 1 << 17
"""Elements of all items from which on that is worth a second sum."""
EACH = 16
"""Elements that one number of an item is the sum of, at least."""


def by_item(graph: Graph) -> Graph:
    """Replace sums over a first axis and others by two: over the others, then over the first."""

    def rule(node: Node) -> Node | None:
        if node.op is not Sum or node.dtype not in FLOATS or node.inputs[0].dtype is not node.dtype:
            return None
        (x,) = node.inputs
        inner = within_items(x.shape, node.params["axes"])
        if not inner:
            return None
        each = instead(node, Sum, x, axes=inner, keepdims=True)
        return instead(node, Sum, each, axes=node.params["axes"], keepdims=node.params["keepdims"])

    return rewrite(graph, rule)


def within_items(shape: Shape, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a reduction without the first, if that is the axis of items and these are large; else none.

    Items are made one after the other where the last axis, of channels, is kept.
    """
    inner = axes[1:]
    plain = len(axes) > 1 and axes == tuple(range(len(axes))) and len(axes) < len(shape)
    if not plain or shape[0] < MANY or count(shape) < LARGE:
        return ()
    return inner if count(tuple(shape[a] for a in inner)) >= EACH else ()
