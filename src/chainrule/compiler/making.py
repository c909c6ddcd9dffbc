"""Nodes are made by native code, once there is any: sooner than by Python, and so that a walk finds them again.

What is written down of them, and how: :mod:`chainrule.compiler.on_native.ring`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule import node as nodes
from chainrule.compiler.memory import aligned
from chainrule.compiler.objects import Fields
from chainrule.compiler.on_native import jit, python_call, ring
from chainrule.compiler.on_native.ir import module
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.walk_state import State, know
from chainrule.node import Node

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
        library = jit.build(module(written), [ring.MAKE, ring.NEXT_INDEX], target, imports)
        self.entries = aligned(entries * ring.SIZE).view(np.int64).reshape(entries, -1)
        self.state = state = np.zeros(State.WORDS, np.int64)
        know(state, kind)
        self.put(state)
        made = [
            python_call.function(library.addresses[name], state, self)
            for name in (ring.MAKE, ring.NEXT_INDEX)
        ]
        self.new_node: Callable[..., Any] = made[0]
        self.next_index: Callable[[], int] = made[1]
        self._library = library

    def put(self, state: Any) -> None:
        """Write into the state of a walk where the ring is, and what of it holds."""
        state[State.RING], state[State.MASK] = self.entries.ctypes.data, len(self.entries) - 1
        state[State.FROM] = self.state[State.FROM]

    def start(self) -> None:
        """Make all nodes from now on."""
        self.state[State.NEXT] = self.state[State.FROM] = nodes.index_apart()
        nodes.set_maker(self)

    def forget(self, node: Node) -> None:
        """What is remembered of a node no longer holds."""
        entry = self.entries[node.index & len(self.entries) - 1]
        entry[0] = 0

    def forget_uses(self, node: Node) -> None:
        """What is remembered of nodes that are computed from it no longer holds."""
        following = int(self.state[State.NEXT])
        if node.index + 1 < following:
            self.state[State.FROM] = following
