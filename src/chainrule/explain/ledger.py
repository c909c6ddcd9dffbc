"""The ledger of dynamic programming: what gradients cost with each delta computed once, and path by path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule.explain.modes import MOST_WORK
from chainrule.explain.numbers import LISTED, count_text, counted, json_count, number_text
from chainrule.explain.paths import COUNTED
from chainrule.explain.sweep import Sweep
from chainrule.node import Node
from chainrule.primitive import Linear, Pointwise


@dataclass(frozen=True, slots=True)
class Entry:
    """Multiplications for the gradient of one variable.

    Attributes:
        variable: its name.
        paths: how many lead to it; None for more than 10^300.
        reused: multiplications if only its gradient is wanted and each delta is computed once; None where there are too
            many variables to count for each.
        separate: multiplications if the product along each path is computed on its own; None as for ``paths``.
    """

    variable: str
    paths: int | None
    reused: int | None
    separate: int | None


@dataclass(frozen=True, slots=True)
class Reuse:
    """A delta that is computed once and used several times.

    Attributes:
        node: its index among the nodes.
        name: the node's.
        uses: multiplications that start from it, one for each input; for arrays, edges.
        below: names of the inputs.
    """

    node: int
    name: str
    uses: int
    below: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """Multiplications of numbers for the gradients of all variables, counted on the graph.

    An edge between two numbers costs one multiplication, upstream times local. An edge between arrays costs as many as
    the product of the upstream gradient with its local derivative has: one for each number of a pointwise operation,
    those of the product itself for matrix products and convolutions.

    Attributes:
        reused: with each delta computed once, as reverse mode does: the edges, each once.
        separate: each path on its own: lengths of all paths, added up; None for more than 10^300 paths.
        entries: the same for each variable.
        reuses: deltas that are used more than once, in the order of the backward pass.

    Source: Bellman, Dynamic Programming, Princeton University Press 1957; for gradients Linnainmaa, Taylor expansion of
    the accumulated rounding error, BIT 16, 1976, 146-160, DOI 10.1007/BF01931367.
    """

    reused: int
    separate: int | None
    entries: tuple[Entry, ...]
    reuses: tuple[Reuse, ...]

    @property
    def ratio(self) -> float | None:
        """How many times as much the paths cost one by one; None where that was not counted."""
        if self.separate is None or not self.reused:
            return None
        try:
            return self.separate / self.reused
        except OverflowError:  # beyond the largest float
            return None

    @property
    def text(self) -> str:
        """Both counts in one line."""
        separate = "more than 10³⁰⁰" if self.separate is None else count_text(self.separate)
        times = f" ({number_text(self.ratio, 3)} times as many)" if self.ratio else ""
        return f"Deltas reused: {counted(self.reused, 'multiplication')}; path by path: {separate}{times}."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; counts that not every reader of JSON keeps exact are text. At most 1,000 of each list."""
        return {
            "reused": json_count(self.reused),
            "separate": _count(self.separate),
            "ratio": self.ratio,
            "variables": [
                {
                    "variable": e.variable,
                    "paths": _count(e.paths),
                    "reused": _count(e.reused),
                    "separate": _count(e.separate),
                }
                for e in self.entries[:LISTED]
            ],
            "variables_left_out": max(0, len(self.entries) - LISTED),
            "reuses": [
                {"name": r.name, "uses": r.uses, "below": list(r.below[:LISTED])}
                for r in self.reuses[:LISTED]
            ],
            "reuses_left_out": max(0, len(self.reuses) - LISTED),
        }


def _count(number: int | None) -> int | str | None:
    return None if number is None else json_count(number)


def keep_ledger(sweep: Sweep, most_work: int = MOST_WORK) -> Ledger:
    """Count both ways for every variable: one pass down the graph, however many paths there are.

    Args:
        sweep: values and gradients.
        most_work: beyond so many variables times edges, `Entry.reused` is not counted.
    """
    last = len(sweep.nodes) - 1
    works = {(e.node, e.slot): work(sweep.origin[e.node], e.slot) for n in sweep.nodes for e in n.edges}
    counts, lengths = {last: 1}, {last: 0}
    for node in reversed(sweep.nodes):
        if node.index not in counts:
            continue
        above, behind = counts[node.index], lengths[node.index]
        for edge in node.edges:
            more = behind + above * works[edge.node, edge.slot]
            counts[edge.input] = min(counts.get(edge.input, 0) + above, COUNTED + 1)
            lengths[edge.input] = min(lengths.get(edge.input, 0) + more, COUNTED**2)
    alone = len(sweep.variables) * sweep.edge_count <= most_work
    entries = _entries(sweep, counts, lengths, works, alone)
    separate = [e.separate for e in entries]
    known = [n for n in separate if n is not None]
    return Ledger(
        sum(works.values()),
        sum(known) if len(known) == len(separate) else None,
        entries,
        tuple(_reuses(sweep)),
    )


def _entries(
    sweep: Sweep,
    counts: dict[int, int],
    lengths: dict[int, int],
    works: dict[tuple[int, int], int],
    alone: bool,
) -> tuple[Entry, ...]:
    found: list[Entry] = []
    for variable in sweep.variables:
        i = sweep.index[variable]
        paths = counts.get(i, 0)
        counted = paths <= COUNTED
        found.append(
            Entry(
                sweep.names[variable],
                paths if counted else None,
                _work_towards(sweep, i, works) if alone else None,
                lengths.get(i, 0) if counted else None,
            )
        )
    return tuple(found)


def _work_towards(sweep: Sweep, variable: int, works: dict[tuple[int, int], int]) -> int:
    """Work of the edges that lie on paths to one variable."""
    leading, total = {variable}, 0
    for node in sweep.nodes[variable + 1 :]:
        live = [e for e in node.edges if e.input in leading]
        if live:
            leading.add(node.index)
            total += sum(works[e.node, e.slot] for e in live)
    return total


def _reuses(sweep: Sweep) -> list[Reuse]:
    names = [n.name or "a constant" for n in sweep.nodes]
    return [
        Reuse(n.index, n.name, len(n.edges), tuple(names[e.input] for e in n.edges))
        for n in reversed(sweep.nodes[:-1])
        if len(n.edges) > 1
    ]


def work(node: Node, slot: int) -> int:
    """Multiplications of numbers in the product of a node's upstream gradient with one of its local derivatives.

    Where a rule only moves or adds numbers, each that the edge carries counts as a multiplication by 1, as it does
    between single numbers.
    """
    op, x = node.op, node.inputs[slot]
    assert op is not None
    if issubclass(op, Pointwise):
        return node.size
    cost = op.cost(node.inputs, node.shape, node.dtype, **node.params)
    if not issubclass(op, Linear):
        return max(node.size, x.size, cost.multiplications)
    if not op.joint:
        return cost.multiplications
    parts = op.linear is None and len(node.inputs) > 1  # each input is a part of the result
    return x.size if parts or cost.additions else node.size
