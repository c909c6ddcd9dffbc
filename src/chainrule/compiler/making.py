"""Nodes are made by native code, once there is any: sooner than by Python, and so that a walk finds them again.

What is written down of them, and how: :mod:`chainrule.compiler.on_native.ring`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from chainrule import construction
from chainrule.compiler.memory import aligned
from chainrule.compiler.objects import Fields
from chainrule.compiler.on_native import jit, python_call, ring
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.walk_state import State, know
from chainrule.node import Node, ancestors
from chainrule.primitive import REGISTRY, Array

ENTRIES = 1 << 20
"""Of the ring: nodes that are remembered."""


class Ring:
    """Makes nodes of one class, and remembers the newest.

    Args:
        kind: their class.
        fields: where in them what lies.
        target: what to make code for; must run here.
        entries: how many are remembered, a power of two.
    """

    def __init__(self, kind: type[Node], fields: Fields, target: Target, entries: int = ENTRIES) -> None:
        written = ring.functions(fields, target)
        imports = python_call.imports(ring.IMPORTED)
        names = [ring.MAKE, ring.NEXT_INDEX, ring.WATCH]
        library = jit.build(module(written), names, target, imports)
        self.entries = aligned(entries * ring.SIZE).view(np.int64).reshape(entries, -1)
        self.state = state = np.zeros(State.WORDS, np.int64)
        know(state, kind)
        self.put(state)
        self.ops = _table(id(op) for op in REGISTRY.values() if op.__module__.startswith("chainrule."))
        state[State.OPS], state[State.LAST_OP] = self.ops.ctypes.data, len(self.ops) - 1
        made = [python_call.function(library.addresses[name], state, self) for name in names]
        self.new_node: Callable[..., Any] = made[0]
        self.next_index: Callable[[], int] = made[1]
        self._watch: Callable[[Any], bool] = made[2]
        self._watched = _Known()
        self._library = library

    def put(self, state: Any) -> None:
        """Write into the state of a walk where the ring is, and what of it holds."""
        state[State.RING], state[State.MASK] = self.entries.ctypes.data, len(self.entries) - 1
        state[State.FROM] = self.state[State.FROM]

    def start(self) -> None:
        """Make all nodes from now on."""
        self.state[State.NEXT] = self.state[State.FROM] = construction.index_apart()
        construction.set_maker(self)

    def forget(self, node: Node) -> None:
        """What is remembered of a node no longer holds."""
        entry = self.entries[node.index & len(self.entries) - 1]
        entry[0] = 0

    def forget_uses(self, node: Node) -> None:
        """What is remembered of nodes that are computed from it no longer holds."""
        following = int(self.state[State.NEXT])
        if node.index + 1 < following:
            self.state[State.FROM] = following

    def watch(self, gradients: Iterable[Node]) -> None:
        """Nodes hold gradients that were recorded, and that may lead back to them: cycles are Python's to find."""
        roots = list(gradients)
        # Behind a gradient that was met before, all are watched: gradients add up, each sum on those before it.
        for node in ancestors(roots, until=self._watched):
            if node.inputs:
                self._watch(node)
                self._watch(node.inputs)
        self._watched.add(roots)


class _Known:
    """Nodes, as long as somebody else keeps them. They are compared by their numbers, since ``==`` is elementwise."""

    def __init__(self) -> None:
        self._nodes: weakref.WeakValueDictionary[int, Node] = weakref.WeakValueDictionary()

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Node) and node.index in self._nodes

    def add(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self._nodes[node.index] = node


def _table(places: Iterable[int]) -> Array:
    """Addresses in a table, each where its own bits say, with none in another's place."""
    found = list(places)
    bits = 8
    while len({place >> 4 & (1 << bits) - 1 for place in found}) < len(found):
        bits += 1
    table = np.zeros(1 << bits, np.int64)
    for place in found:
        table[place >> 4 & len(table) - 1] = place
    return table
