"""What becomes of values when the labels of their product are settled: the numbers behind `chainrule.axes.settle`."""

from __future__ import annotations

import numpy as np

from chainrule.autodiff.forms import multiplicities
from chainrule.axes import Fold, Merge, Places, Settled
from chainrule.axes.patterns import shortest
from chainrule.node import Node, apply, as_node
from chainrule.ops.gather import ScatterAdd
from chainrule.ops.index import getitem, take
from chainrule.ops.move import broadcast_to, permute_dims, reshape
from chainrule.ops.reduce import sum as summed
from chainrule.ops.selection import ARRAY, FULL, Index

Labels = tuple[int, ...]


def settled_values(values: Node | None, labels: Labels, settled: Settled) -> tuple[Node | None, Labels]:
    """Values over the labels of a pattern, given over those that were settled; nothing is multiplied.

    Args:
        values: one axis for each of ``labels``; None for ones.
        labels: before they were settled.
        settled: what became of them.
    """
    for step in settled.steps:
        if isinstance(step, Merge):
            if values is not None:
                values, labels = _merged(values, labels, step, settled)
        elif step.label in labels or len(set(multiplicities(step.groups))) > 1:
            values, labels = _folded(values, labels, step)
    return values, tuple(settled.names[x] for x in labels)


def picked(values: Node, position: int, places: Places) -> Node:
    """The entries at some places of one axis, which stays."""
    if not isinstance(places, range):
        return take(values, np.asarray(places, np.int64), axis=position)
    last = places[-1] + (1 if places.step > 0 else -1)
    cut = slice(places[0], None if last < 0 else last, places.step)
    return getitem(values, (*[slice(None)] * position, cut))


def _merged(values: Node, labels: Labels, step: Merge, settled: Settled) -> tuple[Node, Labels]:
    first, second = step.first, step.second
    if first not in labels and second not in labels:
        return values, labels
    if first in labels and second in labels:
        order = [x for x in labels if x != second]
        order.insert(order.index(first) + 1, second)
        if tuple(order) != labels:
            values = permute_dims(values, [labels.index(x) for x in order])
        k = order.index(first)
    else:
        k = labels.index(first if first in labels else second)
        at = k + (first in labels)
        new = settled.sizes[second if first in labels else first]
        shape = values.shape
        values = broadcast_to(reshape(values, (*shape[:at], 1, *shape[at:])), (*shape[:at], new, *shape[at:]))
        order = [*labels[:k], first, second, *labels[k + 1 :]]
    shape = values.shape
    values = reshape(values, (*shape[:k], shape[k] * shape[k + 1], *shape[k + 2 :]))
    return values, (*order[:k], step.whole, *order[k + 2 :])


def _folded(values: Node | None, labels: Labels, step: Fold) -> tuple[Node, Labels]:
    if values is None:
        return as_node(np.array(multiplicities(step.groups), np.float32)), (step.whole,)
    if step.label not in labels:
        shape = values.shape
        values = broadcast_to(reshape(values, (*shape, 1)), (*shape, len(step.groups)))
        labels = (*labels, step.label)
    k = labels.index(step.label)
    here = (step.whole,) if step.size > 1 else ()
    return _grouped(values, k, step), (*labels[:k], *here, *labels[k + 1 :])


def _grouped(values: Node, k: int, step: Fold) -> Node:
    """Sums over the entries of each group along axis ``k``; a single group leaves no axis."""
    if step.size == 1:
        return summed(values, axis=k)
    groups, often, shape = np.array(step.groups), multiplicities(step.groups), values.shape
    if len(set(often)) > 1:
        index = Index((*[FULL] * k, ARRAY))
        params = {"index": index, "shape": (*shape[:k], step.size, *shape[k + 1 :])}
        return apply(ScatterAdd, (values, as_node(groups)), params)
    if often[0] > 1 and np.array_equal(groups, np.arange(len(groups)) % step.size):
        return summed(reshape(values, (*shape[:k], often[0], step.size, *shape[k + 1 :])), axis=k)
    places = shortest(np.argsort(groups, kind="stable"), len(groups))
    if places is not None:
        values = picked(values, k, places)
    if often[0] == 1:
        return values
    return summed(reshape(values, (*shape[:k], step.size, often[0], *shape[k + 1 :])), axis=k + 1)
