"""Which graphs native code takes over from the sweep, without loading it before it is needed."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from chainrule.autodiff.reverse import Large
from chainrule.construction import look_at_next
from chainrule.node import Node

LOADED, AT_FIRST = 1000, 10_000
"""A walk begins to pay at some hundred nodes; loading it, at some ten thousand. The bits are the same either way."""
IN_A_ROW = 3
"""Glances at a growing graph after which it is taken for a large one: some ten thousand nodes."""


def _sweep(output: Node, seed: Any, since: int) -> dict[Node, Any] | None:
    from chainrule.compiler import scalar_graphs  # and with it LLVM, in a tenth of a second

    natively.most = LOADED
    growing.stop()
    return scalar_graphs.gradients(output, seed, since)


natively = Large(AT_FIRST, _sweep)
"""Who sweeps large graphs."""


class Growing:
    """Sees that a large graph of scalars is being recorded, so that native code goes on with it and not only the next.

    Python looks for cycles whenever there are some thousand objects more than before. Then it is time to look at one
    node: a number, computed while the one that was looked at before is still there.
    """

    def __init__(self) -> None:
        self._ask = look_at_next  # at the end of a process modules lose their names before gc stops
        self._last: weakref.ref[Node] | None = None
        self._seen = 0

    def start(self) -> None:
        gc.callbacks.append(self.collected)

    def stop(self) -> None:
        if self.collected in gc.callbacks:
            gc.callbacks.remove(self.collected)

    def collected(self, phase: str, info: dict[str, int]) -> None:
        """Python has looked for cycles (:data:`gc.callbacks`)."""
        if phase == "stop" and info["generation"]:
            self._ask(self.look)

    def look(self, node: Node) -> None:
        """Look at a node that was just made."""
        kept = self._last is not None and self._last() is not None
        number = node.tracked and node.op is not None and node.value is not None and not node.shape
        self._seen = self._seen + 1 if kept and number else 0
        self._last = weakref.ref(node)
        if self._seen == IN_A_ROW:
            from chainrule.compiler import scalar_graphs

            self.stop()
            scalar_graphs.prepare(type(node))


growing = Growing()
"""Looks on until native code is loaded."""
growing.start()
