"""Of what batching rules are made: how inputs with and without a batch axis come together in one application.

A rule is ``batch(cls, xs, batched, **params)``: inputs of which those that are ``batched`` have one axis more than the
primitive expects, in front; it gives the result with that axis in front, as if the primitive had been applied to each
item by itself. At least one input is batched, and there is at least one item. A class states its rule in one line where
one of those below fits: ``batch = classmethod(along_axis)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.node import Node, apply
from chainrule.ops.move import broadcast_to, moveaxis, reshape
from chainrule.primitive import Primitive
from chainrule.shapes import Shape


def items_in(xs: Sequence[Any], batched: Sequence[bool]) -> int:
    """How many items there are."""
    return next(x.shape[0] for x, b in zip(xs, batched, strict=True) if b)


def ranks_of(xs: Sequence[Any], batched: Sequence[bool]) -> list[int]:
    """How many axes one item of each input has."""
    return [x.ndim - b for x, b in zip(xs, batched, strict=True)]


def repeated(xs: Sequence[Any], batched: Sequence[bool]) -> tuple[Any, ...]:
    """All inputs with a batch axis: those without are the same for every item."""
    items = items_in(xs, batched)
    return tuple(x if b else broadcast_to(x, (items, *x.shape)) for x, b in zip(xs, batched, strict=True))


def with_rank(x: Any, rank: int) -> Any:
    """A batched input whose items have at least ``rank`` axes: new ones, of size 1, come in front of theirs."""
    missing = rank + 1 - x.ndim
    return reshape(x, (x.shape[0], *(1,) * missing, *x.shape[1:])) if missing > 0 else x


def elementwise(op: type[Primitive], xs: Sequence[Any], batched: Sequence[bool], **params: Any) -> Node:
    """Whatever broadcasts: items get as many axes as the largest of them, and the batch axis broadcasts too."""
    rank = max(ranks_of(xs, batched))
    aligned = tuple(with_rank(x, rank) if b else x for x, b in zip(xs, batched, strict=True))
    return apply(op, aligned, params)


def along_axis(op: type[Primitive], xs: Sequence[Any], batched: Sequence[bool], **params: Any) -> Node:
    """Whatever works along the one ``axis`` of its parameters, on inputs of one rank."""
    return apply(op, repeated(xs, batched), {**params, "axis": params["axis"] + 1})


def along_axes(op: type[Primitive], xs: Sequence[Any], batched: Sequence[bool], **params: Any) -> Node:
    """Whatever works along the ``axes`` of its parameters, on one input."""
    return apply(op, tuple(xs), {**params, "axes": tuple(a + 1 for a in params["axes"])})


def stacks(op: type[Primitive], xs: Sequence[Any], batched: Sequence[bool], **params: Any) -> Node:
    """Whatever takes any number of axes in front of its own, on one input."""
    return apply(op, tuple(xs), params)


def folded(op: type[Primitive], xs: Sequence[Any], batched: Sequence[bool], **params: Any) -> Node:
    """Whatever does the same along its first axis, as with several images: the batch and that become one axis."""
    given = repeated(xs, batched)
    items, rows = given[0].shape[:2]
    y = apply(op, tuple(reshape(x, (items * x.shape[1], *x.shape[2:])) for x in given), params)
    return reshape(y, (items, rows, *y.shape[1:]))


def to_front(y: Any, axis: int) -> Any:
    """``y`` with its batch axis, which is at ``axis``, in front."""
    return moveaxis(y, axis, 0) if axis else y


def merged(x: Any, place: int) -> Any:
    """The batch axis, which is in front, moved before axis ``place`` of an item and made one with it."""
    moved = moveaxis(x, 0, place)
    shape: Shape = moved.shape
    return reshape(moved, (*shape[:place], shape[place] * shape[place + 1], *shape[place + 2 :]))


def split_off(y: Any, place: int, items: int) -> Any:
    """The inverse of `merged`: the batch axis out of axis ``place``, and in front."""
    shape: Shape = y.shape
    return to_front(reshape(y, (*shape[:place], items, shape[place] // items, *shape[place + 1 :])), place)
