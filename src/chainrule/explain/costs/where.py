"""Where the work of a function and its cheapest derivative is: step by step, and line by line of the user's program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainrule.errors import Source
from chainrule.explain.numbers import shape_text
from chainrule.primitive import Cost

if TYPE_CHECKING:
    from chainrule.explain.costs.ledger import CostLedger, NodeCost, Way

_LONGEST_NAME = 24


@dataclass(frozen=True, slots=True)
class Piece:
    """A step, or all steps of one line.

    Attributes:
        what: the step's operation with the names that the user gave; of a line its text.
        steps: how many.
        shape: of a step's result; "" of a line.
        function: work of the function.
        derivative: what the way adds for its derivative.
        source: the line.
    """

    what: str
    steps: int
    shape: str
    function: Cost
    derivative: Cost
    source: Source | None

    @property
    def flops(self) -> int:
        """Of both."""
        return self.function.flops + self.derivative.flops

    @property
    def bytes(self) -> int:
        """Moved by both."""
        return self.function.bytes + self.derivative.bytes


def way_shown(ledger: CostLedger) -> Way:
    """The cheapest way whose work is known step by step."""
    known = [w for w in ledger.derivatives if any(w.key in node.costs for node in ledger.nodes)]
    best = ledger.cheapest
    return best if best in known or not known else min(known, key=lambda way: way.cost.flops)


def by_step(ledger: CostLedger, top: int) -> list[Piece]:
    """The steps with the most FLOPs; those that move most bytes among equals."""
    key = way_shown(ledger).key
    return _costliest((_step(node, key) for node in ledger.nodes), top)


def by_line(ledger: CostLedger, top: int) -> list[Piece]:
    """The lines with the most FLOPs; none where there are few steps, or one line, as of a call of a whole network."""
    nodes = ledger.nodes
    places = {(s.file, s.line): s for s in (node.source for node in nodes) if s is not None}
    if len(nodes) <= top or len(places) < 2:
        return []
    key = way_shown(ledger).key
    of_line: dict[tuple[str, int], list[Piece]] = {}
    for node in nodes:
        if node.source is not None:
            of_line.setdefault((node.source.file, node.source.line), []).append(_step(node, key))
    return _costliest((_line(places[place], steps) for place, steps in of_line.items()), top)


def count_lines(ledger: CostLedger) -> int:
    """Lines of the user's that make steps."""
    return len({(node.source.file, node.source.line) for node in ledger.nodes if node.source is not None})


def _costliest(pieces: Iterable[Piece], top: int) -> list[Piece]:
    return sorted(pieces, key=lambda piece: (piece.flops, piece.bytes), reverse=True)[:top]


def _step(node: NodeCost, key: str) -> Piece:
    return Piece(
        _written(node),
        1,
        shape_text(node.shape) or "1",
        node.costs["function"],
        node.costs.get(key, Cost()),
        node.source,
    )


def _line(source: Source, steps: Sequence[Piece]) -> Piece:
    function, derivative = Cost(), Cost()
    for step in steps:
        function, derivative = function + step.function, derivative + step.derivative
    return Piece(source.text, len(steps), "", function, derivative, source)


def _written(node: NodeCost) -> str:
    """``matmul``, ``matmul model.layers.0.weight`` or ``h = matmul``, with what has a name of the user's."""
    reads = f" {', '.join(_end(name) for name in node.reads)}" if node.reads else ""
    return f"{f'{_end(node.name)} = ' if node.named else ''}{node.operation}{reads}"


def _end(name: str) -> str:
    """A name, or the end of a long one, which says more than its beginning."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"
