"""Composite reductions in terms of simpler ones, which fuse with what surrounds them.

Means, variances, softmax and their like are one node each where people look at a graph. For a kernel they are
maxima, sums and elementwise nodes, in the order in which their own evaluation computes them. Sums are rounded as a
kernel's sums are, so this pass keeps values to a few ulp, not to the bit.

Picking one element of each row by its label, as losses do, becomes a comparison with the columns' numbers. Labels
that name no column are an error that only a run can show: for each such node the graph gets one more output, a
*flag* that is 0 if all is well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.compiler.passes.rewrite import is_constant, rewrite
from chainrule.graph import Graph
from chainrule.node import Node, constant
from chainrule.ops.arithmetic import Scale, divide, square, subtract
from chainrule.ops.cast import AsType, astype
from chainrule.ops.compare import LogicalNot, equal, isfinite, logical_or, where
from chainrule.ops.exponential import exp, log, sqrt
from chainrule.ops.gather import GetItem, ScatterAdd
from chainrule.ops.index import OneHot
from chainrule.ops.join import narrow
from chainrule.ops.move import SumTo, broadcast_to, reshape
from chainrule.ops.reduce import CountNonzero
from chainrule.ops.reduce import max as max_of
from chainrule.ops.reduce import sum as sum_of
from chainrule.ops.selection import ARRAY
from chainrule.ops.statistics import LogSoftmax, LogSumExp, Mean, Softmax, Std, Var
from chainrule.primitive import Primitive
from chainrule.shapes import bool_, count, int64, sum_axes

COLUMNS = 1024
"""The most columns among which a label is found by comparing it with each."""


def expand(graph: Graph) -> tuple[Graph, int]:
    """Replace composite reductions.

    Returns:
        The graph, whose last outputs are flags, and how many these are.
    """
    flags: list[Node] = []

    def rule(node: Node) -> Node | None:
        if node.op in _RULES and node.inputs[0].size:
            return _RULES[node.op](node, node.inputs[0], **node.params)
        if node.op is Scale:
            return _masked(node, *node.inputs)
        if node.op is OneHot:
            return _one_hot(node, flags)
        if node.op is GetItem or node.op is ScatterAdd:
            return _picked(node, flags)
        return None

    made = rewrite(graph, rule)
    return (Graph(made.inputs, (*made.outputs, *flags)) if flags else made), len(flags)


def _sum_to(node: Node, x: Node, shape: tuple[int, ...]) -> Node:
    return reshape(sum_of(x, axis=sum_axes(x.shape, shape)), shape)


def _mean(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    return divide(sum_of(x, axis=axes, keepdims=keepdims), _number(_size(x, axes), x))


def _size(x: Node, axes: tuple[int, ...]) -> int:
    return count(tuple(x.shape[a] for a in axes))


def _number(value: float, x: Node) -> Node:
    made: Node = constant(float(value), x.dtype)
    return made


def _var(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool, correction: float) -> Node:
    first = x
    for axis in axes:
        first = narrow(first, axis, 0, 1)
    deviations = subtract(x, first)
    mean = divide(sum_of(deviations, axis=axes, keepdims=True), _number(_size(x, axes), x))
    squares = square(subtract(deviations, mean))
    free = max(_size(x, axes) - correction, 0.0)
    return divide(sum_of(squares, axis=axes, keepdims=keepdims), _number(free, x))


def _std(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool, correction: float) -> Node:
    return sqrt(_var(node, x, axes, keepdims, correction))


def _logsumexp(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    largest = max_of(x, axis=axes, keepdims=True)
    shift = where(isfinite(largest), largest, _number(0.0, x))
    sums = sum_of(exp(subtract(x, shift)), axis=axes, keepdims=keepdims)
    return log(sums) + reshape(shift, sums.shape)


def _softmax(node: Node, x: Node, axes: tuple[int, ...]) -> Node:
    weights = exp(subtract(x, max_of(x, axis=axes, keepdims=True)))
    return divide(weights, sum_of(weights, axis=axes, keepdims=True))


def _log_softmax(node: Node, x: Node, axes: tuple[int, ...]) -> Node:
    shifted = subtract(x, max_of(x, axis=axes, keepdims=True))
    return subtract(shifted, log(sum_of(exp(shifted), axis=axes, keepdims=True)))


def _count_nonzero(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    return sum_of(astype(astype(x, bool_), int64), axis=axes, keepdims=keepdims)


_RULES: dict[type[Primitive], Callable[..., Node]] = {
    CountNonzero: _count_nonzero,
    LogSoftmax: _log_softmax,
    LogSumExp: _logsumexp,
    Mean: _mean,
    Softmax: _softmax,
    Std: _std,
    SumTo: _sum_to,
    Var: _var,
}


def _masked(node: Node, mask: Node, x: Node) -> Node | None:
    """A gradient that reaches the chosen elements: a choice instead of a product with 0 and 1.

    Where nothing is chosen the result is 0.0; the product would have the sign of ``x``.
    """
    if mask.op is not AsType or mask.inputs[0].dtype != bool_ or x.dtype != node.dtype:
        return None
    chosen, zero = mask.inputs[0], constant(0.0, node.dtype)
    if chosen.op is LogicalNot:
        result: Node = where(chosen.inputs[0], zero, x)
    else:
        result = where(chosen, x, zero)
    return result if result.shape == node.shape else None


def _one_hot(node: Node, flags: list[Node]) -> Node | None:
    (labels,), classes = node.inputs, node.params["num_classes"]
    if not 0 < classes <= COLUMNS or not labels.size:
        return None
    flags.append(_outside(labels, 0, classes))
    return astype(_hits(labels, (*labels.shape, 1), classes), node.dtype)


def _picked(node: Node, flags: list[Node]) -> Node | None:
    """One element of each row of a matrix: read for `getitem`, written among zeros for `scatter_add`."""
    shape = node.inputs[0].shape if node.op is GetItem else node.shape
    if tuple(node.params["index"]) != (ARRAY, ARRAY) or len(shape) != 2 or not count(shape):
        return None
    rows, labels = node.inputs[1:]
    n, columns = shape
    if (
        columns > COLUMNS
        or labels.size != n
        or not _counts(rows, n)
        or max(len(rows.shape), len(labels.shape)) > 2
    ):
        return None
    flags.append(_outside(labels, -columns, columns))
    from_end = labels < constant(0, labels.dtype)
    hit = _hits(where(from_end, labels + constant(columns, labels.dtype), labels), (n, 1), columns)
    zero = constant(0.0 if node.dtype.kind == "f" else 0, node.dtype)
    if node.op is GetItem:
        return reshape(sum_of(where(hit, node.inputs[0], zero), axis=1, dtype=node.dtype), node.shape)
    selected = (n,) if len(rows.shape) == len(labels.shape) == 1 else (n, 1)
    return where(hit, reshape(broadcast_to(node.inputs[0], selected), (n, 1)), zero)


def _counts(rows: Node, n: int) -> bool:
    """Whether a constant holds 0, 1, 2 ... down its only long axis."""
    if not is_constant(rows) or rows.shape not in ((n,), (n, 1)):
        return False
    return bool(np.array_equal(np.asarray(rows.value).reshape(-1), np.arange(n)))


def _hits(labels: Node, shape: tuple[int, ...], columns: int) -> Node:
    return equal(reshape(labels, shape), constant(np.arange(columns, dtype=labels.dtype)))


def _outside(labels: Node, low: int, high: int) -> Node:
    """1 if a label is not in ``[low, high)``, else 0."""
    wrong: Any = logical_or(labels < constant(low, labels.dtype), labels >= constant(high, labels.dtype))
    return max_of(astype(wrong, int64))
