"""Flags of indices: whether an array of them names a place that is not there."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.compiler.passes.rewrite import is_constant
from chainrule.node import Node, constant
from chainrule.ops.cast import astype
from chainrule.ops.compare import logical_or
from chainrule.ops.gather import GetItem, IndexSet, ScatterAdd
from chainrule.ops.move import Reshape
from chainrule.ops.reduce import max as max_of
from chainrule.ops.selection import ARRAY, spread
from chainrule.shapes import int64

INDEXING = (GetItem, IndexSet, ScatterAdd)
"""Primitives with an index, whose arrays are the last inputs."""


def require_in_range(node: Node, flags: dict[object, Node]) -> None:
    """Flag the arrays of indices of a node, each once for every size of axis."""
    shape = node.shape if node.op is ScatterAdd else node.inputs[0].shape
    arrays = iter(node.inputs[2 if node.op is IndexSet else 1 :])
    for _, axis, entry in spread(node.params["index"], len(shape)):
        if entry == ARRAY:
            flag_outside(next(arrays), -shape[axis], shape[axis], flags)


def flag_outside(indices: Node, low: int, high: int, flags: dict[object, Node]) -> None:
    """Flag integers, unless they are known, that are not in ``[low, high)``: 1 if there is one, else 0."""
    limits = np.iinfo(indices.dtype)
    indices = _origin(indices)
    if not indices.size or (indices, low, high) in flags or is_flagged(indices, high, flags):
        return
    if is_constant(indices) and low <= np.min(indices.value) and np.max(indices.value) < high:
        return
    wrong: list[Any] = []
    if low > limits.min:
        wrong.append(indices < constant(low, indices.dtype))
    if high <= limits.max:
        wrong.append(indices >= constant(high, indices.dtype))
    if wrong:
        either = logical_or(*wrong) if len(wrong) == 2 else wrong[0]
        flags[indices, low, high] = max_of(astype(either, int64))


def is_flagged(indices: Node, size: int, flags: dict[object, Node]) -> bool:
    """Whether integers that are not in ``[0, size)`` are flagged: then none that is used is negative."""
    return (_origin(indices), 0, size) in flags


def _origin(indices: Node) -> Node:
    """What was given another shape: its elements are the same."""
    while indices.op is Reshape:
        indices = indices.inputs[0]
    return indices
