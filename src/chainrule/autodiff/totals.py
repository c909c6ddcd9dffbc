"""Gradients of a scan's constants: what every step adds to them, collected and summed once where that is faster.

At each step a weight's gradient grows by a product ``a[t].mT @ d[t]``. Adding these up reads and writes an array as
large as the weight at each step, and the products are small. If instead the factors of all steps are stacked, one
product gives the same sum, ``(a[0].mT ... a[n].mT) @ (d[0] ... d[n])``. It is taken where the factors are there anyway,
or are not much larger than the weight. A bias's gradient is a sum of what is stacked for its weight. Everything else is
added up from step to step, by a carry of the scan that is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from chainrule.node import Node, apply, symbol
from chainrule.ops.arithmetic import Add, Negative
from chainrule.ops.cast import AsType
from chainrule.ops.join import Narrow, Pad
from chainrule.ops.matmul import MatMul, matmul
from chainrule.ops.move import BroadcastTo, Flip, Reshape, SumTo, Transpose, permute_dims, reshape, sum_to
from chainrule.ops.reduce import Sum
from chainrule.ops.reduce import sum as sum_of

MORE = 4
"""Factors may be stacked that are, at each step, so many times as large as the product."""

Stacked: TypeAlias = "Callable[[str, int], Any]"
"""Rows of all steps, with time as the first axis: of what a step reads ("read") or gives ("y"), by number."""
Total: TypeAlias = "Callable[[Stacked, Callable[[int], Any]], Any]"
"""A gradient over all steps, from what is stacked, and from sums that the scan has made, by number."""

_Source: TypeAlias = "Callable[[Stacked], Any]"
_LINEAR = (Reshape, Transpose, Negative, Narrow, Pad, Flip, AsType, BroadcastTo)
"""Linear operations on one array: the sum of their results is their result for the sum."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the gradients of constants come about.

    Attributes:
        sums, next_sums: carries for what is added up step by step, before and after a step.
        ys: all that a step gives.
        totals: for each constant; None where it has no gradient.
    """

    sums: list[Node]
    next_sums: list[Node]
    ys: list[Node]
    totals: tuple[Total | None, ...]


def totals(deltas: Sequence[Node | None], reads: Sequence[Node], ys: Mapping[Node, int]) -> Plan:
    """Plan the gradients of constants.

    Args:
        deltas: what a step adds to the gradient of each constant; None for nothing.
        reads: what a step reads from arrays with time.
        ys: what a step gives anyway, with their numbers.
    """
    planner = _Planner(reads, ys)
    terms = [[] if d is None else _terms(d) for d in deltas]
    for term in (t for each in terms for t in each):
        planner.find(term)  # decides what is stacked for products, which sums can then use
    sums: list[Node] = []
    next_sums: list[Node] = []
    found: list[Total | None] = []
    for each in terms:
        moved = [(t, planner.find(t)) for t in each]
        rest = [t for t, source in moved if source is None]
        if rest:
            sums.append(symbol(rest[0].spec))
            total = sums[-1]
            for t in rest:
                total = total + t
            next_sums.append(total)
        sources = [source for _, source in moved if source is not None]
        found.append(_total(sources, len(sums) - 1 if rest else None) if each else None)
    return Plan(sums, next_sums, list(planner.ys), tuple(found))


def _total(sources: Sequence[_Source], place: int | None) -> Total:
    def total(stacked: Stacked, carried: Callable[[int], Any]) -> Any:
        parts = [source(stacked) for source in sources]
        if place is not None:
            parts.append(carried(place))
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        return whole

    return total


def _terms(node: Node) -> list[Node]:
    """The summands of which a node is the sum."""
    found: list[Node] = []
    todo = [node]
    while todo:
        at = todo.pop()
        if at.op is Add and all(x.spec == at.spec for x in at.inputs):
            todo += reversed(at.inputs)
        else:
            found.append(at)
    return found


class _Planner:
    """Finds sums over all steps that need no sum in each.

    Attributes:
        ys: what a step gives, with the number of each; grows.
    """

    def __init__(self, reads: Sequence[Node], ys: Mapping[Node, int]) -> None:
        self.reads = {node: i for i, node in enumerate(reads)}
        self.ys = dict(ys)

    def find(self, node: Node) -> _Source | None:
        """The sum of a node over all steps; None if it has to be made step by step."""
        op = node.op
        if op is MatMul:
            return self._product(node)
        if op is SumTo or op is Sum:
            return self._sum(node)
        if op in _LINEAR and node.inputs[0].dtype.kind == "f":
            below = self.find(node.inputs[0])
            return below and (lambda stacked: apply(op, (below(stacked),), node.params))
        if op is Add and all(x.spec == node.spec for x in node.inputs):
            both = [self.find(x) for x in node.inputs]
            first, second = both
            return first and second and (lambda stacked: first(stacked) + second(stacked))
        return None

    def _product(self, node: Node) -> _Source | None:
        a, b = node.inputs
        if a.ndim != 2 or b.ndim != 2:
            return None
        turned = a.op is Transpose
        x = a.inputs[0] if turned else a
        new = {n for n in (self._stacks(x), self._stacks(b)) if n is not None}
        if sum(n.size for n in new) > MORE * node.size:
            return None
        left, right = self._source(x), self._source(b)

        def total(stacked: Stacked) -> Any:
            rows, columns = left(stacked), _joined(right(stacked))
            if turned:
                return matmul(_joined(rows).mT, columns)
            steps, m, k = rows.shape
            return matmul(reshape(permute_dims(rows, (1, 0, 2)), (m, steps * k)), columns)

        return total

    def _sum(self, node: Node) -> _Source | None:
        (x,) = node.inputs
        if self._stacks(x) is not None:
            return None
        source = self._source(x)
        if node.op is SumTo:
            return lambda stacked: sum_to(source(stacked), node.shape)
        axes = (0, *(a + 1 for a in node.params["axes"]))
        return lambda stacked: reshape(sum_of(source(stacked), axis=axes), node.shape)

    def _stacks(self, node: Node) -> Node | None:
        """What a step would have to give in addition so that a node can be stacked."""
        if node in self.reads or node in self.ys:
            return None
        if node.op is Reshape or node.op is Transpose:
            return self._stacks(node.inputs[0])
        return node

    def _source(self, node: Node) -> _Source:
        """A node at all steps."""
        if node in self.reads:
            place = self.reads[node]
            return lambda stacked: stacked("read", place)
        if node not in self.ys and (node.op is Reshape or node.op is Transpose):
            below, params = self._source(node.inputs[0]), node.params
            if node.op is Transpose:
                axes = (0, *(a + 1 for a in params["axes"]))
                return lambda stacked: permute_dims(below(stacked), axes)
            return lambda stacked: _reshaped(below(stacked), node.shape)
        place = self.ys.setdefault(node, len(self.ys))
        return lambda stacked: stacked("y", place)


def _joined(x: Any) -> Any:
    """Matrices of all steps as one, row below row."""
    steps, rows, columns = x.shape
    return reshape(x, (steps * rows, columns))


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    return reshape(x, (x.shape[0], *shape))
