"""Reads and writes at places that are known while compiling: slices, and constant arrays of indices.

The gradient of a slice is an array among zeros, that of several slices their sum; that of an array with other values at
some places is read, mostly, at the other places. What is known of the places makes that copies of a part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.compiler.passes.rewrite import instead, is_constant
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.ops.gather import GetItem, IndexSet, ScatterAdd
from chainrule.ops.join import Pad
from chainrule.ops.selection import Slice

LARGEST = 1 << 20
"""Elements of an array that is looked at, at most."""


def known_places(node: Node) -> Node | None:
    """``scatter_add`` of adjacent elements as ``pad``, and ``getitem`` beside what ``index_set`` has written.

    Where an element is -0.0, ``scatter_add`` would give 0.0.

    Example:
        >>> import chainrule as cr
        >>> x = cr.trace(cr.grad(lambda x: cr.square(x[1:3]).sum()), np.ones(4)).outputs[0]
        >>> x.op.name, known_places(x).op.name
        ('scatter_add', 'pad')
    """
    if node.op is ScatterAdd:
        return _padded(node)
    return _past_writes(node) if node.op is GetItem else None


def _padded(node: Node) -> Node | None:
    x, *arrays = node.inputs
    index: tuple[Any, ...] = node.params["index"]
    if arrays or not all(isinstance(entry, Slice) for entry in index):
        return None
    width: list[tuple[int, int]] = [(0, 0)] * node.ndim
    for axis, entry in enumerate(index):
        size, places = node.shape[axis], entry.places(node.shape[axis])
        if places.step != 1 or not len(places):
            return None
        width[axis] = (places.start, size - places.stop)
    return instead(node, Pad, x, width=tuple(width))


def _past_writes(node: Node) -> Node | None:
    x, arrays = node.inputs[0], node.inputs[1:]
    if x.op is not IndexSet or x.size > LARGEST or not all(map(is_constant, (*arrays, *x.inputs[2:]))):
        return None
    none = np.zeros(x.shape, np.int8)
    written = _evaluated(x, none, np.int8(1), *(a.value for a in x.inputs[2:]))
    if _evaluated(node, written, *(a.value for a in arrays)).any():
        return None
    return instead(node, GetItem, x.inputs[0], *arrays, **node.params)


def _evaluated(node: Node, *inputs: Any) -> Any:
    assert node.op is not None
    return silently(node.op.evaluate, *inputs, **node.params)
