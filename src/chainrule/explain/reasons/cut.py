"""Where a derivative becomes exactly zero: what moves before a node, and what the result would feel behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.explain.reasons.passes import Passes, is_elementwise
from chainrule.modes import silently
from chainrule.node import Node
from chainrule.primitive import Array

NEARLY = 1e-5
"""Less than this part of an influence is what rounding leaves of it."""
_SUMS = {"sum", "mean", "add", "subtract", "sum_to"}


@dataclass(frozen=True, slots=True)
class Cut:
    """A node at which the variable's influence ends.

    Attributes:
        node: its inputs move with the variable, and the result would move with it, but it does not move.
        slots: the inputs that move.
        lost: which elements; all of them where the node is not elementwise.
        reached: how many elements the influence reaches, lost or not.
    """

    node: Node
    slots: tuple[int, ...]
    lost: Array
    reached: int

    @property
    def count(self) -> int:
        """How many elements are lost."""
        return int(np.count_nonzero(self.lost))


@dataclass(frozen=True, slots=True)
class Cancelling:
    """A sum in which what the variable moves cancels.

    Attributes:
        node: the sum.
        slots: the operands that move.
        left: how much of their movement is left, as a part of the sum of its sizes.
    """

    node: Node
    slots: tuple[int, ...]
    left: float


def cancelling(passes: Passes, chosen: Array) -> Cancelling | None:
    """The sum in which most of the variable's influence cancels; None if there is none where nearly all of it does."""
    tangents = passes.tangents(_direction(passes, chosen))
    found: list[Cancelling] = []
    for node in passes.order:
        name = node.op.name if node.op else ""
        slots = [i for i, x in enumerate(node.inputs) if x in tangents and tangents[x].any()]
        if name not in _SUMS or not slots or node is passes.variable:
            continue
        assert node.op is not None
        sizes = [np.abs(tangents[x]) if x in tangents else np.zeros(x.shape) for x in node.inputs]
        if name == "subtract":
            sizes[1] = -sizes[1]
        together = float(np.sum(np.abs(silently(node.op.evaluate, *sizes, **node.params))))
        left = float(np.sum(np.abs(tangents.get(node, np.zeros(1)))))
        if together and left < NEARLY * together:
            found.append(Cancelling(node, tuple(slots), left / together))
    return min(found, key=lambda c: c.left, default=None)


def _direction(passes: Passes, chosen: Array) -> Array:
    """Unequal steps, so that influences do not cancel by chance; the same ones each time."""
    steps = np.random.default_rng(0).uniform(0.5, 1.5, passes.variable.shape)
    return np.where(chosen, steps, 0.0)


def cuts(passes: Passes, chosen: Array) -> list[Cut]:
    """The nodes at which some elements of the variable lose their influence on the result, the largest share first.

    Args:
        passes: of a variable whose gradient is zero there.
        chosen: which elements.
    """
    tangents = passes.tangents(_direction(passes, chosen))
    found = _ends(passes, tangents, felt=True)
    if not found:  # what ends the influence hides behind something that the result does not feel either
        found = _ends(passes, tangents, felt=False)[:1] + _deaf(passes)[:1]
    return sorted(found, key=lambda c: (-c.count / max(c.reached, 1), c.node.index))


def _ends(passes: Passes, tangents: dict[Node, Array], felt: bool) -> list[Cut]:
    """Nodes that do not move although their inputs do; ``felt``: and the result would move with them."""
    found: list[Cut] = []
    for node in passes.order:
        if node is passes.variable:
            continue
        slots = [i for i, x in enumerate(node.inputs) if x in tangents and tangents[x].any()]
        if slots and (cut := _cut(passes, node, slots, tangents, felt)) is not None:
            found.append(cut)
    return found


def _deaf(passes: Passes) -> list[Cut]:
    """Elementwise nodes with which the result moves, and which do not move with any of their inputs."""
    found: list[Cut] = []
    for node in passes.order:
        delta, added = passes.deltas.get(node), passes.added.get(node)
        if delta is None or added is None or not delta.any() or not is_elementwise(node):
            continue
        slots = tuple(i for i, x in enumerate(node.inputs) if x in passes.live)
        if not any(a is not None and a.any() for a in added):
            lost = np.broadcast_to(delta != 0, node.shape)
            found.append(Cut(node, slots, lost, int(np.count_nonzero(lost))))
    return found


def _cut(
    passes: Passes, node: Node, slots: Sequence[int], tangents: dict[Node, Array], felt: bool
) -> Cut | None:
    out = tangents.get(node, np.zeros(node.shape))
    delta = passes.deltas.get(node)
    if delta is None:
        return None
    if is_elementwise(node):
        moving = [np.broadcast_to(tangents[node.inputs[i]] != 0, node.shape) for i in slots]
        reached = np.logical_or.reduce(moving)
    elif out.any():
        return None
    else:
        reached = np.ones(node.shape, bool)
    lost = reached & (out == 0) & ((delta != 0) | (not felt))
    return Cut(node, tuple(slots), lost, int(np.count_nonzero(reached))) if lost.any() else None
