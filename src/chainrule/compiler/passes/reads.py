"""Which elements of the matrices of a node anybody reads: a walk from the outputs of a graph."""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import numpy as np

from chainrule.compiler.passes.rewrite import is_constant
from chainrule.graph import Graph
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.ops.compare import Where
from chainrule.ops.gather import GetItem, IndexSet
from chainrule.ops.join import Concatenate, Narrow
from chainrule.ops.move import BroadcastTo, Reshape, Transpose
from chainrule.ops.reduce import Sum
from chainrule.primitive import Array
from chainrule.shapes import count

Stairs: TypeAlias = "tuple[tuple[int, int], ...]"
"""Of each row of a matrix, the columns that are read, from and to."""
LARGEST = 1 << 20
"""Elements of what is looked at, at most: each gets a number."""


class Reads:
    """Which elements of the matrices of a node, its last two axes, are read; in any of its batch."""

    def __init__(self, graph: Graph) -> None:
        self.outputs = set(graph.outputs)
        self.readers: dict[Node, list[Node]] = {}
        for node in graph.nodes:
            for x in dict.fromkeys(node.inputs):
                self.readers.setdefault(x, []).append(node)
        self.known: dict[Node, Array] = {}

    def of(self, start: Node) -> Array:
        """True for what is read."""
        todo = [start]
        while todo:
            node = todo[-1]
            if node in self.known:
                todo.pop()
                continue
            readers = [] if node in self.outputs else self.readers.get(node, [])
            waits = [r for r in readers if _keeps_matrices(r, node) and r not in self.known]
            if waits:
                todo += waits
                continue
            todo.pop()
            found = np.full(node.shape[-2:], node in self.outputs)
            for reader in readers:
                for i, x in enumerate(reader.inputs):
                    if x is node and not found.all():
                        found |= self._by(reader, i)
            self.known[node] = found
        return self.known[start]

    def _by(self, reader: Node, i: int) -> Array:
        """What one reader reads of its i-th input."""
        x, own = reader.inputs[i], self.known.get(reader)
        if i == 0 and reader.op in (GetItem, Narrow) and _is_fixed(reader):
            read = np.zeros(count(x.shape[-2:]), bool)
            read[_evaluated(reader, _numbers(x)).reshape(-1)] = True
            return read.reshape(x.shape[-2:])
        if own is None or not _keeps_matrices(reader, x):
            return np.ones(x.shape[-2:], bool)
        if reader.op is Concatenate:
            return own[_part(reader, i)]
        if reader.op is IndexSet:
            kept = _evaluated(reader, np.zeros(x.shape, np.int8), np.int8(1)) == 0
            return own & _any(kept)
        if reader.op is Where and i and is_constant(reader.inputs[0]):
            taken = np.asarray(reader.inputs[0].value) == (i == 1)
            return own & _any(np.broadcast_to(taken, reader.shape))
        return own.T if reader.op is Transpose and _turns(reader) else own


def _keeps_matrices(reader: Node, x: Node) -> bool:
    """Whether elements of a reader's matrices come from those of what it reads, each from the same place or the
    transposed one."""
    op = reader.op
    if op is None or reader.ndim < 2 or reader.size > LARGEST:
        return False
    if op is Transpose:
        last = (x.ndim - 2, x.ndim - 1)
        return set(reader.params["axes"][-2:]) == set(last)
    if op is Concatenate:
        return x.ndim >= 2
    if reader.shape[-2:] != x.shape[-2:]:
        return False
    if op is IndexSet:
        return reader.inputs[0] is x and reader.inputs[1] is not x and _is_fixed(reader)
    if op is Sum:
        return max(reader.params["axes"], default=-1) < x.ndim - 2
    return op is Reshape or op is BroadcastTo or op.emit is not None


def _part(reader: Node, i: int) -> tuple[slice, ...]:
    """Where in the matrices of what is joined those of an input are."""
    axis: int = reader.params["axis"] - reader.ndim
    ends = list(itertools.accumulate((x.shape[axis] for x in reader.inputs), initial=0))
    return tuple(slice(ends[i], ends[i + 1]) if axis == a else slice(None) for a in (-2, -1))


def _turns(node: Node) -> bool:
    return node.params["axes"][-1] != node.ndim - 1


def _is_fixed(node: Node) -> bool:
    """Whether an index has no arrays but constants."""
    arrays = node.inputs[2 if node.op is IndexSet else 1 :]
    return node.inputs[0].size <= LARGEST and all(map(is_constant, arrays))


def _numbers(x: Node) -> Array:
    """For each element its number within its matrix."""
    return np.broadcast_to(np.arange(count(x.shape[-2:])).reshape(x.shape[-2:]), x.shape)


def _evaluated(node: Node, *first: Any) -> Array:
    """What an indexing node gives for other inputs in the place of the first."""
    assert node.op is not None
    arrays = [x.value for x in node.inputs[len(first) :]]
    return np.asarray(silently(node.op.evaluate, *first, *arrays, **node.params))


def _any(mask: Array) -> Array:
    return np.asarray(mask.any(axis=tuple(range(mask.ndim - 2))))
