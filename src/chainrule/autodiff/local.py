"""Local Jacobians of nodes, as pieces that keep what they are: diagonal, permuted, repeated, summed, dense."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.autodiff.forms import Form
from chainrule.autodiff.rules import is_linear_in, local_partials, pull, push
from chainrule.axes import Pattern, Ties, aligned, elementwise
from chainrule.node import Node, as_node
from chainrule.ops.create import zeros_like
from chainrule.ops.join import stack
from chainrule.ops.move import permute_dims, reshape
from chainrule.primitive import Discrete, Linear, Pointwise
from chainrule.shapes import Shape, count


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a Jacobian.

    Attributes:
        form: its pattern, and with which labels its values vary.
        values: one axis for each of ``form.labels``; None for ones.
        selects: whether a value of exactly 0 means that nothing passes, not even what is infinite.
    """

    form: Form
    values: Node | None
    selects: bool = False


class LocalJacobians:
    """Local Jacobians of the nodes of a graph, each found once."""

    def __init__(self) -> None:
        self._partials: dict[Node, tuple[Any, ...]] = {}

    def of(self, node: Node, i: int) -> Piece | None:
        """The derivative of a node with respect to its input ``i``; None where it is zero."""
        op, x = node.op, node.inputs[i]
        if op is None or issubclass(op, Discrete) or (issubclass(op, Linear) and not is_linear_in(op, i)):
            return None
        if issubclass(op, Pointwise):
            return self._pointwise(node, i)
        ties = op.ties(i, node, *node.inputs, **node.params) if op.ties else None
        if isinstance(ties, Pattern):
            return Piece(Form(ties, None), None)
        if ties is None:
            ties = Ties(_own("y", node), _own("x", x), pulled=True)
        if ties.pulled:
            ties = _found(node, i, ties)
        return piece_of(ties, node.shape, x.shape, op.name == "where")

    def _pointwise(self, node: Node, i: int) -> Piece | None:
        partials = self._partials.get(node)
        if partials is None:
            partials = self._partials[node] = local_partials(node)
        partial, x = partials[i], node.inputs[i]
        if partial is None:
            return None
        if isinstance(partial, Node):
            ties = elementwise(x.shape, node.shape, values=partial, labels=aligned(partial.shape, node.shape))
        else:
            ties = elementwise(x.shape, node.shape, factor=float(partial))
        return piece_of(ties, node.shape, x.shape, bool(node.op and getattr(node.op, "selects", False)))


def _own(name: str, node: Node) -> tuple[Hashable, ...]:
    return tuple((name, k) for k in range(node.ndim))


def piece_of(ties: Ties, out: Shape, into: Shape, selects: bool = False) -> Piece:
    """The piece that ties state for a result and an argument of these shapes."""
    pattern, names = ties.pattern(out, into)
    if ties.values is None:
        return Piece(Form(pattern, None, ties.factor), None)
    values, labels = spelled(ties.values, [names.get(x) for x in ties.labels])
    return Piece(Form(pattern, labels, ties.factor), values, selects)


def spelled(values: Node, labels: Sequence[int | None]) -> tuple[Node, tuple[int, ...]]:
    """Values with one axis for each label, ascending; axes without one have size 1 and go."""
    kept = [(x, n) for x, n in zip(labels, values.shape, strict=True) if x is not None]
    shape = tuple(n for _, n in kept)
    if shape != values.shape:
        values = reshape(values, shape)
    order = sorted(range(len(kept)), key=lambda k: kept[k][0])
    if order != list(range(len(order))):
        values = permute_dims(values, order)
    return values, tuple(sorted(x for x, _ in kept))


def _found(node: Node, i: int, ties: Ties) -> Ties:
    """Values by pulls or pushes of ones, one for each place of the axes that only one side has.

    Axes that are tied are asked all at once, since nothing passes between their places (Curtis, Powell and Reid, On the
    estimation of sparse Jacobian matrices, IMA J. Appl. Math. 13, 1974, 117-119, DOI 10.1093/imamat/13.1.117).
    """
    x = node.inputs[i]
    rows = [k for k, label in enumerate(ties.out) if label is None or label not in ties.into]
    columns = [k for k, label in enumerate(ties.into) if label is None or label not in ties.out]
    out, into = _named(ties.out, "y"), _named(ties.into, "x")
    by_rows = count(tuple(node.shape[k] for k in rows)) <= count(tuple(x.shape[k] for k in columns))
    if by_rows:
        wanted = [k == i for k in range(len(node.inputs))]
        ask: Callable[[Node], Node | None] = lambda seed: pull(node, seed, wanted)[i]  # noqa: E731
        values = _stacked(ask, node, rows, x)
        labels = (*(out[k] for k in rows), *into)
    else:
        tangents: list[Node | None] = [None] * len(node.inputs)
        ask = lambda seed: push(node, [*tangents[:i], seed, *tangents[i + 1 :]])  # noqa: E731
        values = _stacked(ask, x, columns, node)
        labels = (*(into[k] for k in columns), *out)
    return Ties(out, into, values, labels)


def _named(labels: Sequence[Hashable], name: str) -> tuple[Hashable, ...]:
    return tuple((name, k) if label is None else label for k, label in enumerate(labels))


def _stacked(ask: Callable[[Node], Node | None], seeded: Node, axes: Sequence[int], answer: Node) -> Node:
    """What is answered to ones at each place of ``axes``, one after another along new first axes."""
    sizes = tuple(seeded.shape[k] for k in axes)
    rows: list[Node] = []
    for place in itertools.product(*map(range, sizes)):
        seed = np.zeros(seeded.shape, seeded.dtype)
        at: list[Any] = [slice(None)] * seeded.ndim
        for k, p in zip(axes, place, strict=True):
            at[k] = p
        seed[tuple(at)] = 1
        found = ask(as_node(seed))
        rows.append(zeros_like(answer) if found is None else found)
    return reshape(stack(rows), (*sizes, *answer.shape)) if axes else rows[0]
