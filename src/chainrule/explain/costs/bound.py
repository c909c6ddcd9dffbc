"""The cheap-gradient bound: how little a gradient may cost beside its function."""

from __future__ import annotations

from collections.abc import Set

from chainrule.node import Node
from chainrule.ops.arithmetic import Divide, Multiply
from chainrule.primitive import Cost, Linear

NONSCALAR, TOTAL = 3, 5
"""How many times its own work a function takes with its gradient, at most: in nonscalar operations, and in all."""


def nonscalar(node: Node, cost: Cost, active: Set[Node]) -> int:
    """Multiplications and divisions by what depends on the variables, and calls of elementary functions of it.

    Sums, and products with numbers that do not depend on the variables, are free in this count.

    Args:
        node: has a primitive.
        cost: of one evaluation.
        active: nodes that depend on the variables.

    Source: Baur and Strassen, Theoretical Computer Science 22, 1983, 317-330, DOI 10.1016/0304-3975(83)90110-X, where
    the operations are those of a field; an elementary function counts as one.
    """
    op = node.op
    moving = [x in active for x in node.inputs]
    if op is None or not any(moving):
        return 0
    if op is Divide:
        return cost.multiplications if moving[1] else 0
    if op is Multiply or issubclass(op, Linear):
        return cost.multiplications if sum(moving) > 1 else 0
    return cost.multiplications + cost.transcendentals
