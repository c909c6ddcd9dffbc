"""What a Jacobian costs whose graph of vertex elimination stands in a file, in each order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chainrule.autodiff.elimination_files import GraphFile
from chainrule.autodiff.ordering import MOVES, SECONDS, Found, search
from chainrule.explain.numbers import count_text, counted

KNOWN = ("forward", "reverse", "markowitz")
"""Orders that need no search."""


@dataclass(frozen=True, slots=True)
class GraphLedger:
    """Multiplications of local derivatives that a Jacobian takes, in each order of elimination.

    Attributes:
        name: of the program, or of the file.
        numbers_in, numbers_out: inputs and outputs that have to do with each other.
        vertices, edges: how many are to be eliminated; how many local derivatives there are.
        found: the cheapest order, and what is known of it.
        seconds: that the search took.
        published: multiplications that the file says others found, by method.
    """

    name: str
    numbers_in: int
    numbers_out: int
    vertices: int
    edges: int
    found: Found
    seconds: float
    published: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def tried(self) -> dict[str, int | None]:
        """Multiplications of the orders that need no search; None for which there was no time."""
        return {name: self.found.tried.get(name) for name in KNOWN}

    def text(self) -> str:
        """The ledger as a table, with what is known of the order that was found."""
        numbers = f"{counted(self.numbers_in, 'number')} in, {count_text(self.numbers_out)} out"
        lines = [
            f"Cost of the Jacobian of {self.name}: {numbers}, {counted(self.edges, 'local derivative')}, "
            f"{count_text(self.vertices)} to eliminate",
            "",
            f"{'order':<16}{'multiplications':>15}{'published':>11}",
        ]
        rows = {**self.tried, "found": self.found.multiplications}
        for name in dict.fromkeys((*rows, *self.published)):
            ours, theirs = rows.get(name), self.published.get(name)
            cells = ("" if n is None else count_text(n) for n in (ours, theirs))
            lines.append("{:<16}{:>15}{:>11}".format(name, *cells).rstrip())
        return "\n".join([*lines, "", self.verdict, *self._order()])

    @property
    def verdict(self) -> str:
        """What found the order, and whether it is proved to be the best."""
        found = self.found
        known = (
            "proved to be the fewest" if found.optimal else f"every order takes at least {found.at_least:,}"
        )
        spent = "less than a second" if self.seconds < 1 else f"{self.seconds:.1f} s"
        late = f"searched for {spent}{', all the time there was' if found.stopped else ''}"
        return f"{counted(found.multiplications, 'multiplication')} ({found.by}), {known}; {late}."

    def _order(self) -> list[str]:
        return [f"Order: {', '.join(map(str, self.found.order))}"] if self.found.order else []

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: ``format``, ``version``, the attributes and what is known of the order."""
        found = self.found
        return {
            "format": "chainrule-graph-cost",
            "version": 1,
            "name": self.name,
            "numbers_in": self.numbers_in,
            "numbers_out": self.numbers_out,
            "vertices": self.vertices,
            "edges": self.edges,
            "tried": self.tried,
            "multiplications": found.multiplications,
            "at_least": found.at_least,
            "optimal": found.optimal,
            "by": found.by,
            "stopped": found.stopped,
            "order": list(found.order),
            "seconds": self.seconds,
            "published": dict(self.published),
        }


def cost_graph(graph: GraphFile | str | Path, *, seconds: float = SECONDS, moves: int = MOVES) -> GraphLedger:
    """Search for the cheapest order of a graph of vertex elimination, beside forward, reverse and Markowitz.

    Args:
        graph: one that was read, or the path of a JSON file.
        seconds: when to stop with the best order so far.
        moves: how far the search goes if it has the time.

    Raises:
        DataError: the file is not there, or holds no such graph.
        ArgumentError: ``seconds`` or ``moves`` make no sense.

    Example:
        >>> from chainrule.autodiff.elimination_files import GraphFile
        >>> document = {"inputs": 1, "equations": 3, "edges": [[-1, 1], [1, 2], [1, 3]], "outputs": [2, 3]}
        >>> ledger = cost_graph(GraphFile.from_dict(document))
        >>> ledger.found.multiplications, ledger.found.optimal
        (2, True)
    """
    file = graph if isinstance(graph, GraphFile) else GraphFile.read(graph)
    began = time.perf_counter()
    found = search(file.graph, seconds=seconds, moves=moves, thorough=True)
    spent = time.perf_counter() - began
    return GraphLedger(
        name=file.name,
        numbers_in=file.graph.inputs,
        numbers_out=len(file.graph.outputs),
        vertices=len(file.graph.intermediates),
        edges=len(file.graph.edges),
        found=found,
        seconds=spent,
        published=file.published,
    )
