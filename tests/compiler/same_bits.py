"""Whether two graphs give the same results, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node, ancestors
from chainrule.primitive import Array

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-40, 1e30)
"""What floats may be, besides ordinary."""


def reference(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs, with every intermediate result in row-major order.

    NumPy's sums round differently for other strides. Here they do not depend on the views on the way, so that
    each primitive is a function of values alone.
    """
    values = dict(zip(graph.inputs, inputs, strict=True))
    for node in ancestors(graph.outputs, until=values):
        if node not in values:
            values[node] = (
                node.array() if node.op is None else evaluate(node, [values[x] for x in node.inputs])
            )
    return [values[n] for n in graph.outputs]


def evaluate(node: Node, inputs: Sequence[Any]) -> Array:
    """One node from arrays, row-major."""
    assert node.op is not None
    return row_major(silently(node.op.evaluate, *[np.asarray(x)[()] for x in inputs], **node.params))


def row_major(value: Any) -> Array:
    """The value as an array in row-major order."""
    array: Array = np.asarray(value)
    return np.ascontiguousarray(array) if array.ndim else array


def operations(graph):
    """Names of the primitives, in order."""
    return " ".join(n.op.name for n in graph.nodes if n.op is not None)


def bits(array):
    """Comparable bits; all nans are alike, since no primitive sees their signs and payloads."""
    array = np.asarray(array)
    if array.dtype.kind != "f":
        return array.shape, array.dtype, array.tobytes()
    plain = np.where(np.isnan(array), array.dtype.type(np.nan), array)
    return array.shape, array.dtype, plain.tobytes()


def special(array):
    """Numbers of every kind in the place of floats."""
    if array.dtype.kind != "f":
        return array
    return np.resize(np.array(SPECIAL), array.shape).astype(array.dtype)


def require_same(before, after, inputs):
    assert [(n.name, n.spec) for n in after.inputs] == [(n.name, n.spec) for n in before.inputs]
    assert [n.spec for n in after.outputs] == [n.spec for n in before.outputs]
    after.verify()
    for wanted, got in zip(reference(before, inputs), reference(after, inputs), strict=True):
        assert bits(got) == bits(wanted)


def require_same_for_all_numbers(before, after, inputs):
    require_same(before, after, inputs)
    for shift in range(len(SPECIAL)):
        rolled = [np.roll(special(x), shift * (i + 1)) for i, x in enumerate(inputs)]
        require_same(before, after, rolled)
