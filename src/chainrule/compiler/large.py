"""Which graphs native code takes over from the sweep, without loading it before it is needed."""

from __future__ import annotations

from typing import Any

from chainrule.autodiff.reverse import Large
from chainrule.node import Node

LOADED, AT_FIRST = 1000, 10_000
"""A walk begins to pay at some hundred nodes; loading it, at some ten thousand. The bits are the same either way."""


def _sweep(output: Node, seed: Any, since: int) -> dict[Node, Any] | None:
    from chainrule.compiler import scalar_graphs  # and with it LLVM, in a tenth of a second

    natively.most = LOADED
    return scalar_graphs.gradients(output, seed, since)


natively = Large(AT_FIRST, _sweep)
"""Who sweeps large graphs."""
