"""Forward mode: one sweep carries the derivative with respect to one direction to every node after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule.autodiff.reverse import between
from chainrule.autodiff.rules import push
from chainrule.modes import recording
from chainrule.node import Node


def pushforward(
    outputs: Sequence[Node],
    wrt: Sequence[Node],
    tangents: Sequence[Node | None],
    *,
    record: bool = True,
    visit: Callable[[Node, Node], None] | None = None,
) -> list[Node | None]:
    """Push ``tangents`` of ``wrt`` forward to ``outputs``.

    Args:
        outputs: results, any shapes.
        wrt: nodes from which the tangents start.
        tangents: directions, of the shapes of ``wrt``; None for zero.
        record: whether the results remember how they were computed, to be differentiated again.
        visit: called as ``visit(node, tangent)`` at each node that is passed.

    Returns:
        The directional derivative of each output; None where it is zero.

    Source: Griewank and Walther, Evaluating Derivatives, 2nd ed., SIAM 2008, section 3.1,
    DOI 10.1137/1.9780898717761.
    """
    order, _ = between(outputs, wrt)
    moved: dict[Node, Node | None] = dict(zip(wrt, tangents, strict=True))
    with recording(record):
        for node in order:
            if node in moved:
                continue
            tangent = push(node, [moved.get(x) for x in node.inputs])
            if tangent is not None:
                moved[node] = tangent
                if visit is not None:
                    visit(node, tangent)
    return [moved.get(output) for output in outputs]
