"""Gradients of ``logsumexp``: the exponentials that it has summed, over their sum.

Its derivative is written as ``exp(x - logsumexp(x))``, which takes every exponential a second time. Times the
reciprocal of the sum, of which there is one for many exponentials, they give the same values to the rounding of
``x - logsumexp(x)``, which they leave out. The sum is at least 1, the largest of its terms, or all of them are 0 or
nan: no reciprocal overflows or is denormal.
"""

from __future__ import annotations

import math

from chainrule.compiler.passes.rewrite import build, constant_of, instead, number, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.arithmetic import Add, Divide, Multiply, Subtract
from chainrule.ops.compare import Equal, Where
from chainrule.ops.exponential import Exp, Log
from chainrule.ops.move import BroadcastTo, Reshape
from chainrule.ops.reduce import Sum


def weights(graph: Graph) -> Graph:
    """Replace ``exp(x - log(sum(exp(x - shift))) - shift)`` by ``exp(x - shift) * (1 / sum(exp(x - shift)))``."""

    def rule(node: Node) -> Node | None:
        if node.op is not Exp or node.inputs[0].op is not Subtract:
            return None
        x, total = node.inputs[0].inputs
        guarded = total.op is Where
        if guarded:
            test, zero, total = total.inputs
            if test.op is not Equal or number(zero) != 0 or number(test.inputs[1]) != -math.inf:
                return None
            if _moved(test.inputs[0]) is not _moved(total):
                return None
        found = _exponentials(_moved(total))
        if found is None:
            return None
        exponentials, sums = found
        if exponentials.inputs[0].inputs[0] is not x or exponentials.shape != node.shape:
            return None
        axes = sums.params["axes"]
        kept = tuple(1 if a in axes else n for a, n in enumerate(node.shape))
        if total.size != sums.size or total.shape != kept:
            return None
        divisor = build(Reshape, sums, params={"shape": kept}) if sums.shape != kept else sums
        if guarded:  # where all are 0
            none = build(Equal, divisor, constant_of(node.dtype.type(0)))
            divisor = build(Where, none, constant_of(node.dtype.type(1)), divisor)
        share = build(Divide, constant_of(node.dtype.type(1)), divisor)
        return instead(node, Multiply, exponentials, share)

    return rewrite(graph, rule)


def _moved(x: Node) -> Node:
    """What was reshaped."""
    while x.op is Reshape:
        (x,) = x.inputs
    return x


def _exponentials(total: Node) -> tuple[Node, Node] | None:
    """The exponentials and their sum, if this is how :mod:`.expand` writes a ``logsumexp``."""
    if total.op is not Add or total.inputs[0].op is not Log:
        return None
    sums, shift = total.inputs[0].inputs[0], _moved(total.inputs[1])
    if sums.op is not Sum or sums.inputs[0].op is not Exp:
        return None
    (exponentials,) = sums.inputs
    (difference,) = exponentials.inputs
    if difference.op is not Subtract or difference.inputs[1].op is BroadcastTo:
        return None
    return (exponentials, sums) if _moved(difference.inputs[1]) is shift else None
