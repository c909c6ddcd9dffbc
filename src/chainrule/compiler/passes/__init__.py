"""Graph passes: what makes a graph smaller before it is compiled, and never changes a result.

Each pass is a function from graph to graph in a file of its own; :mod:`.rewrite` is the walk that they share.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from chainrule.compiler.passes.dead import dead
from chainrule.compiler.passes.duplicates import duplicates
from chainrule.compiler.passes.fold import fold
from chainrule.compiler.passes.inlined import inlined
from chainrule.compiler.passes.moves import moves
from chainrule.compiler.passes.simplify import simplify
from chainrule.compiler.passes.strong_zeros import strong_zeros
from chainrule.compiler.passes.unread import unread
from chainrule.graph import Graph

PASSES: tuple[Callable[[Graph], Graph], ...] = (
    inlined,
    fold,
    simplify,
    moves,
    dead,
    unread,
    strong_zeros,
    duplicates,
)
"""In the order in which they run."""

ROUNDS = 10
"""How often all of them run at most; they stop when nothing changes, mostly after two rounds."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one pass did: the number of nodes before and after it. Passes that change nothing are not listed."""

    pass_name: str
    before: int
    after: int


def run(graph: Graph, skip: Container[str] = ()) -> tuple[Graph, list[Change]]:
    """Run all passes, round after round, until none of them finds anything to do.

    Args:
        graph: stays as it is.
        skip: names of passes that are left out.

    Returns:
        A graph that gives the same bits for the same inputs, and what was done to get there.

    Raises:
        GraphError: a pass has made a graph that is not well-formed.

    Example:
        >>> import chainrule as cr
        >>> graph, changes = run(cr.trace(cr.grad(lambda x: cr.exp(x) ** 2), 1.0))
        >>> print(graph)
        graph(x: float64[]):
          t = exp(x): float64[]
          u = multiply(2, t): float64[]
          y = scale(u, t): float64[]
          return y
    """
    changes: list[Change] = []
    for _ in range(ROUNDS):
        start = graph
        for each in PASSES:
            if each.__name__ in skip:
                continue
            result = each(graph)
            if result is not graph:
                changes.append(Change(each.__name__, len(graph), len(result.verify())))
                graph = result
        if graph is start:
            break
    return graph, changes
