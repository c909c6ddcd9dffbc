"""One graph for many items: each node that differs from item to item is made again by its batching rule.

As :mod:`chainrule.autodiff.rules` does for derivatives, it finds the rule of a primitive: its own ``batch``, or for
`Pointwise` ones the one that follows from their kind. What is the same for all items is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.modes import is_recording, recording
from chainrule.node import Node, ancestors, apply, is_cut, leaf
from chainrule.ops.batching import elementwise, items_in
from chainrule.ops.cast import ConstantIn
from chainrule.ops.join import narrow, stack
from chainrule.ops.move import reshape
from chainrule.primitive import Pointwise, Primitive


def batched(outputs: Sequence[Node], starts: Mapping[Node, Node]) -> list[Node | None]:
    """Compute ``outputs`` for many items at once.

    Args:
        outputs: results for one item, any shapes.
        starts: the nodes that stand for one item, and for each the node of all items: one axis more, in front, of the
            same size for all.

    Returns:
        For each output the results of all items, with the batch axis in front; None where it does not depend on
        ``starts``, so that it is the same for all.
    """
    if not starts:
        return [None for _ in outputs]
    new: dict[Node, Node] = dict(starts)
    for node in ancestors(outputs, since=min(n.index for n in starts), until=starts):
        if node not in new and any(x in new for x in node.inputs):
            with recording(is_recording() and not is_cut(node)):
                new[node] = _again(node, new)
    return [new.get(output) for output in outputs]


def _again(node: Node, new: Mapping[Node, Node]) -> Node:
    """A node for all items."""
    assert node.op is not None
    flags = [x in new for x in node.inputs]
    xs = tuple([new.get(x, x) for x in node.inputs])
    items = items_in(xs, flags)
    if not items:
        return _nothing(node, xs)
    rule = node.op.batch
    if rule is not None:
        return rule(xs, flags, **node.params)
    if issubclass(node.op, Pointwise):
        return elementwise(node.op, xs, flags, **node.params)
    return one_by_one(node.op, xs, flags, **node.params)


def one_by_one(op: type[Primitive], xs: Sequence[Any], flags: Sequence[bool], **params: Any) -> Node:
    """The last resort, for primitives of others that state no rule: apply it to each item, and stack the results."""
    made: list[Any] = []
    for i in range(items_in(xs, flags)):
        item = [
            reshape(narrow(x, 0, i, i + 1), x.shape[1:]) if b else x for x, b in zip(xs, flags, strict=True)
        ]
        made.append(apply(op, tuple(item), params))
    return stack(made)


def _nothing(node: Node, xs: Sequence[Node]) -> Node:
    """The results of no items, which still belong to the inputs: their derivatives are zero, not missing."""
    empty = leaf(np.zeros((0, *node.shape), node.dtype), copy=False)
    for x in xs:
        if x.tracked and node.tracked:
            empty = apply(ConstantIn, (empty, x))
    return empty
