"""Local Jacobians of nodes, as pieces that keep what they are: diagonal, permuted, repeated, summed, dense."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.autodiff.batch import batched
from chainrule.autodiff.forms import Form, settled_form
from chainrule.autodiff.rules import is_linear_in, local_partials, pull, push
from chainrule.autodiff.settling import settled_values
from chainrule.axes import Pattern, Ties, aligned, stretched
from chainrule.node import Node, as_node, symbol
from chainrule.ops.create import zeros_like
from chainrule.ops.move import broadcast_to, reshape
from chainrule.primitive import Discrete, Linear, Pointwise
from chainrule.shapes import Shape, count


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a Jacobian.

    Attributes:
        form: its pattern, and with which labels its values vary.
        values: one axis for each of ``labels``; None for ones.
        labels: those of the form, in the order in which the values lie in memory, so that nothing is transposed.
        selects: whether a value of exactly 0 means that nothing passes, not even what is infinite.
    """

    form: Form
    values: Node | None
    labels: tuple[int, ...] = ()
    selects: bool = False


class LocalJacobians:
    """Local Jacobians of the nodes of a graph, each found once.

    Attributes:
        making: multiplications to find values by pulls and pushes, each counted as a product with the whole Jacobian.
    """

    def __init__(self) -> None:
        self.making = 0
        self._partials: dict[Node, tuple[Any, ...]] = {}

    def of(self, node: Node, i: int) -> Piece | None:
        """The derivative of a node with respect to its input ``i``; None where it is zero."""
        op, x = node.op, node.inputs[i]
        if op is None or issubclass(op, Discrete) or (issubclass(op, Linear) and not is_linear_in(op, i)):
            return None
        if not node.size or not x.size:
            return None  # there are no entries that could be anything else
        if issubclass(op, Pointwise):
            return self._pointwise(node, i)
        ties = op.ties(i, node, *node.inputs, **node.params) if op.ties else None
        if isinstance(ties, Pattern):
            return Piece(Form(ties, None), None)
        if ties is None:
            ties = Ties(_own("y", node), _own("x", x), pulled=True)
        found = _found(node, i, ties) if ties.pulled else ties
        piece = piece_of(found, node.shape, x.shape)
        if ties.pulled:
            by_rows, rows, columns = _asked(node, x, ties)
            sizes = [node.shape[k] for k in rows] if by_rows else [x.shape[k] for k in columns]
            self.making += math.prod(sizes) * math.prod(piece.form.pattern.sizes)
        return piece

    def _pointwise(self, node: Node, i: int) -> Piece | None:
        partials = self._partials.get(node)
        if partials is None:
            partials = self._partials[node] = local_partials(node)
        partial, x = partials[i], node.inputs[i]
        if partial is None:
            return None
        if isinstance(partial, Node):
            selects = bool(getattr(node.op, "selects", False))
            labels = aligned(partial.shape, node.shape)
            ties = stretched(x.shape, node.shape, values=partial, labels=labels, selects=selects)
        else:
            ties = stretched(x.shape, node.shape, factor=float(partial))
        return piece_of(ties, node.shape, x.shape)


def _own(name: str, node: Node) -> tuple[Hashable, ...]:
    return tuple((name, k) for k in range(node.ndim))


def piece_of(ties: Ties, out: Shape, into: Shape) -> Piece:
    """The piece that ties state for a result and an argument of these shapes."""
    settled, names = ties.settled(out, into)
    if ties.values is None:
        form = settled_form(settled, None, ties.factor)
        return Piece(form, *settled_values(None, (), settled))
    kept = [x for x in ties.labels if x in names and settled.sizes[names[x]] > 1]
    values, shape = ties.values, tuple(settled.sizes[names[x]] for x in kept)
    if shape != values.shape:  # other axes have size 1
        values = reshape(values, shape)
    labels = tuple(names[x] for x in kept)
    form = settled_form(settled, labels, ties.factor)
    return Piece(form, *settled_values(values, labels, settled), ties.selects)


def _found(node: Node, i: int, ties: Ties) -> Ties:
    """Values by pulls or pushes of ones, one for each place of the axes that only one side has.

    Axes that are tied are asked all at once, since nothing passes between their places (Curtis, Powell and Reid, On the
    estimation of sparse Jacobian matrices, IMA J. Appl. Math. 13, 1974, 117-119, DOI 10.1093/imamat/13.1.117).
    """
    x = node.inputs[i]
    by_rows, rows, columns = _asked(node, x, ties)
    out, into = _named(ties.out, "y"), _named(ties.into, "x")
    if by_rows:
        seed, answer = symbol(node.spec), x
        found = pull(node, seed, [k == i for k in range(len(node.inputs))])[i]
        labels = (*(out[k] for k in rows), *into)
    else:
        seed, answer = symbol(x.spec), node
        found = push(node, [seed if k == i else None for k in range(len(node.inputs))])
        labels = (*(into[k] for k in columns), *out)
    axes = rows if by_rows else columns
    sizes = tuple(seed.shape[k] for k in axes)
    if found is None:
        values = zeros_like(answer)
        return Ties(out, into, broadcast_to(values, (*sizes, *answer.shape)), labels)
    (values,) = batched([found], {seed: as_node(_ones(seed, axes))})
    if values is None:
        values = broadcast_to(found, (count(sizes), *found.shape))
    return Ties(out, into, reshape(values, (*sizes, *answer.shape)), labels)


def _asked(node: Node, x: Node, ties: Ties) -> tuple[bool, list[int], list[int]]:
    """Whether pulls are fewer than pushes, and the axes that only the result has, and only the argument."""
    rows = [k for k, label in enumerate(ties.out) if label is None or label not in ties.into]
    columns = [k for k, label in enumerate(ties.into) if label is None or label not in ties.out]
    pulls, pushes = count(tuple(node.shape[k] for k in rows)), count(tuple(x.shape[k] for k in columns))
    return pulls <= pushes, rows, columns


def _ones(node: Node, axes: Sequence[int]) -> Any:
    """Arrays shaped as ``node``, one for each place of ``axes``, with ones there and along all other axes."""
    sizes = tuple(node.shape[k] for k in axes)
    seeds = np.zeros((count(sizes), *node.shape), node.dtype)
    for n, place in enumerate(itertools.product(*map(range, sizes))):
        at: list[Any] = [n, *[slice(None)] * node.ndim]
        for k, p in zip(axes, place, strict=True):
            at[1 + k] = p
        seeds[tuple(at)] = 1
    return seeds


def _named(labels: Sequence[Hashable], name: str) -> tuple[Hashable, ...]:
    return tuple((name, k) if label is None else label for k, label in enumerate(labels))
