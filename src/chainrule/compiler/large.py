"""Which graphs native code takes over from the sweep, without loading it before it is needed."""

from __future__ import annotations

import sys
from typing import Any

from chainrule.autodiff.reverse import Large
from chainrule.node import Node


def natively() -> Large:
    """Who sweeps large graphs now."""
    return _LOADED if "chainrule.compiler.scalar_graphs" in sys.modules else _AT_FIRST


def _sweep(output: Node, seed: Any) -> dict[Node, Any] | None:
    from chainrule.compiler import scalar_graphs  # and with it LLVM, in a tenth of a second

    return scalar_graphs.gradients(output, seed)


_LOADED, _AT_FIRST = Large(1000, _sweep), Large(10_000, _sweep)
"""A walk begins to pay at some hundred nodes; loading it, at some ten thousand. The bits are the same either way."""
