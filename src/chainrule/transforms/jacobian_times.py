"""What a Jacobian takes by elimination and by sweeps, as far as counting tells: what a choice between them rests on.

Multiplications alone are not the time. A processor makes many at once in a product of matrices and few where each meets
numbers of its own; each array that is made costs something however small it is, and each entry has to be put into its
place. All figures are rough, measured on machines of two and four cores; what matters is that none is far off. Nothing
here looks at a clock, so that the same program is computed in the same way each time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from chainrule.autodiff.accumulate import JacobianGraph

LARGEST = 1 << 25
"""Entries of a product beyond which elimination would take too much memory."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds that pieces of work take.

    Attributes:
        step: a node of a sweep, without arithmetic.
        product: to make or to multiply a Jacobian, without arithmetic.
        matrices: a multiplication in a product of matrices.
        sliding: one of windows that slide over an image.
        elementwise: one between arrays, each with a number of its own.
        passing: the same in a sweep, where arrays for all units pass through memory.
        folded: an entry that is added to others, where windows overlap.
        entry: one that is put into its place at the end.
    """

    step: float
    product: float
    matrices: float
    sliding: float
    elementwise: float
    passing: float
    folded: float
    entry: float


EAGER = Speed(5e-5, 4e-5, 5e-11, 1.5e-9, elementwise=2e-9, passing=2e-9, folded=1e-7, entry=4e-9)
"""Where each step is a call of NumPy."""
COMPILED = Speed(6e-8, 5e-8, 7e-11, 1.5e-10, elementwise=3e-10, passing=1e-9, folded=1e-9, entry=1e-9)
"""As machine code: small steps are some instructions each."""


def eliminated_seconds(graph: JacobianGraph, order: tuple[int, ...], speed: Speed, items: int = 1) -> float:
    """What elimination may take.

    Args:
        graph: of local Jacobians.
        order: of its intermediates.
        speed: of the pieces.
        items: for so many points at once.
    """
    effort = graph.effort(order)
    if effort.largest > LARGEST:
        return math.inf
    others = max(0, graph.multiplications(order) + graph.making - effort.contracted)
    each = speed.matrices * effort.contracted + speed.elementwise * others
    each += speed.folded * effort.folded + speed.entry * effort.placed
    return speed.product * (2 + graph.edges + effort.products) + items * each


def swept_seconds(graph: JacobianGraph, units: int, speed: Speed, items: int = 1) -> float:
    """What sweeps may take, all of them at once: local Jacobians that mix numbers are then products of matrices.

    Args:
        graph: of local Jacobians.
        units: how many sweeps.
        speed: of the pieces.
        items: for so many points at once.
    """
    mixing = graph.sweep - graph.elementwise - graph.sliding
    each = speed.matrices * mixing + speed.sliding * graph.sliding + speed.passing * graph.elementwise
    return speed.step * len(graph.local) + items * units * each
