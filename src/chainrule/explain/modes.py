"""What the gradient costs in reverse and in forward mode, counted on the graph itself."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.explain.sweep import Sweep

MOST_WORK = 10_000_000
"""Beyond so many variables times edges the products that are not zero are not counted."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to get the derivative with respect to every variable.

    Attributes:
        sweeps: passes over the graph: one for reverse mode, one for each number in the variables for forward.
        products: upstream (or tangent) times local derivative, one for each edge and sweep.
        nonzero_products: the same without edges where nothing changes yet; None where not counted.
    """

    sweeps: int
    products: int
    nonzero_products: int | None


@dataclass(frozen=True, slots=True)
class Modes:
    """Both modes beside each other, for the gradient with respect to every variable of the graph."""

    reverse: Mode
    forward: Mode


def count_modes(sweep: Sweep) -> Modes:
    """Count sweeps and products of local derivatives for both modes."""
    edges = sweep.edge_count
    sweeps = sum(v.size for v in sweep.variables)
    reverse = Mode(1, edges, edges)
    return Modes(reverse, Mode(sweeps, sweeps * edges, _nonzero(sweep)))


def _nonzero(sweep: Sweep) -> int | None:
    """Edges that lie behind a variable, added up over the variables' elements."""
    if len(sweep.variables) * sweep.edge_count > MOST_WORK:
        return None
    behind = {sweep.index[v]: 1 << k for k, v in enumerate(sweep.variables)}  # sets of variables, as bits
    elements: dict[int, int] = {}
    total = 0
    for node in sweep.nodes:
        for edge in node.edges:
            reached = behind.get(edge.input, 0)
            behind[node.index] = behind.get(node.index, 0) | reached
            if reached not in elements:
                elements[reached] = sum(v.size for k, v in enumerate(sweep.variables) if reached >> k & 1)
            total += elements[reached]
    return total
