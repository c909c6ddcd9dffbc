"""The primitives of indexing: reading, adding and setting the elements that an index selects.

Reading is linear and its transpose adds: where an index names a place twice, both gradients arrive there.
Setting keeps the last write, in row-major order of the selection, so only that one gets a gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.axes import At, Ties
from chainrule.errors import ShapeError
from chainrule.node import Node, apply, constant
from chainrule.ops.batching import items_in, repeated, to_front, with_rank
from chainrule.ops.compare import where
from chainrule.ops.move import moveaxis
from chainrule.ops.selection import (
    ARRAY,
    FULL,
    Entry,
    Index,
    Slice,
    as_numpy,
    flat_places,
    layout,
    require_in_range,
    spread,
)
from chainrule.primitive import Array, Cost, Example, HasSpec, Linear, moved_bytes, register
from chainrule.shapes import INTS, NUMBERS, DType, Shape, Spec, count, promote, require_dtype


def _selected_shape(name: str, index: Index, shape: Shape, arrays: Sequence[HasSpec]) -> Shape:
    for array in arrays:
        require_dtype(f"{name}: indices", array.dtype, INTS)
    return layout(name, index, shape, arrays).shape


def require_broadcast(name: str, values: Shape, selected: Shape) -> None:
    """Raise :class:`ShapeError` unless ``values`` broadcast to what an index selects."""
    extra = len(selected) - len(values)
    if extra < 0 or any(n not in (1, m) for n, m in zip(values, selected[extra:], strict=True)):
        raise ShapeError(
            f"{name}: values of shape {values} do not broadcast to the {selected} that the index selects",
            fix=f"reduce or reshape the values to {selected}",
        )


class _Batch:
    """One index for all items, by which each selects what the index selects from it alone.

    Where no array differs from item to item, the batch is an axis of which all is taken. Otherwise it is indexed too,
    by the items' own numbers.

    Attributes:
        index, arrays: of the whole.
    """

    def __init__(
        self,
        name: str,
        index: Index,
        shape: Shape,
        arrays: Sequence[Node],
        batched: Sequence[bool],
        items: int,
    ) -> None:
        one = [Spec(a.shape[1:] if b else a.shape, a.dtype) for a, b in zip(arrays, batched, strict=True)]
        self._one = layout(name, index, shape, one)
        self._numbered = any(batched)
        rank = len(self._one.block)
        self.arrays = tuple([with_rank(a, rank) if b else a for a, b in zip(arrays, batched, strict=True)])
        if self._numbered:
            numbers = constant(np.arange(items).reshape((items,) + (1,) * rank))
            self.index, self.arrays = Index((ARRAY, *index)), (numbers, *self.arrays)
        else:
            self.index = Index((FULL, *index))
        self._all = layout(name, self.index, (items, *shape), self.arrays)

    @property
    def rank(self) -> int:
        """How many axes the selection from one item has."""
        return len(self._one.shape)

    def of_items(self, selected: Any) -> Any:
        """A selection from all, with the batch axis in front and each item's axes in their order."""
        block, place = len(self._one.block), self._one.place
        if self._numbered:  # the batch is the first axis of the block, which stands in front
            return moveaxis(selected, range(1, 1 + block), range(1 + place, 1 + place + block))
        return to_front(selected, block if self._is_behind else 0)

    def of_all(self, items: Any) -> Any:
        """The inverse: values for each item, with all axes of a selection, as a selection from all."""
        block, place = len(self._one.block), self._one.place
        if self._numbered:
            return moveaxis(items, range(1 + place, 1 + place + block), range(1, 1 + block))
        return moveaxis(items, 0, block) if self._is_behind else items

    @property
    def _is_behind(self) -> bool:
        """Whether the block of the arrays stands before the batch axis: then other entries separate them."""
        return bool(self.arrays) and self._all.place == 0


def _get(x: Any, *arrays: Any, index: Index) -> Any:
    try:
        return x[as_numpy(index, arrays)]
    except IndexError:
        require_in_range("getitem", index, np.shape(x), map(np.asarray, arrays))
        raise


def _lookup_ties(index: Index, x: Node, *arrays: Node) -> Ties | None:
    """Ties of rows that one array of known numbers picks; None for anything else."""
    entries = list(spread(index, x.ndim))
    (places, *more) = arrays
    if (
        more
        or places.value is None
        or places.ndim != 1
        or any(e != ARRAY and e != FULL for _, _, e in entries)
    ):
        return None
    axis = next(axis for _, axis, entry in entries if entry == ARRAY)
    size, own = x.shape[axis], tuple(range(x.ndim))
    picked = tuple(int(k) % size for k in places.value)
    return Ties(own, (*own[:axis], At(axis, picked), *own[axis + 1 :]))


@register
class GetItem(Linear):
    """The elements that an index selects. Inputs: the array, then the index's integer arrays."""

    name, label, latex = "getitem", "[i]", r"{0}_{{[\cdot]}}"
    evaluate = staticmethod(_get)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties | None:
        x, index = xs[0], params["index"]
        if xs[1:]:
            return _lookup_ties(index, y, *xs)
        into: list[Any] = list(range(x.ndim))
        out: list[Any] = []
        for _, axis, entry in spread(index, x.ndim):
            if entry is None:
                out.append(None)
            elif isinstance(entry, int):
                into[axis] = At(None, range(entry % x.shape[axis], entry % x.shape[axis] + 1))
            elif isinstance(entry, Slice):
                into[axis] = At(axis, entry.places(x.shape[axis]))
                out.append(axis)
        return Ties(tuple(out), tuple(into))

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        return _selected_shape(cls.name, params["index"], xs[0].shape, xs[1:]), xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return apply(ScatterAdd, (g, *xs[1:]), {"index": params["index"], "shape": xs[0].shape})

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        (x, *arrays), index = xs, params["index"]
        if batched[0]:
            whole = _Batch(cls.name, index, x.shape[1:], arrays, batched[1:], x.shape[0])
            return whole.of_items(apply(GetItem, (x, *whole.arrays), {"index": whole.index}))
        one = [Spec(a.shape[1:] if b else a.shape, a.dtype) for a, b in zip(arrays, batched[1:], strict=True)]
        block, place = layout(cls.name, index, x.shape, one)[
            1:
        ]  # one array for all: the block has an axis more
        given = [with_rank(a, len(block)) if b else a for a, b in zip(arrays, batched[1:], strict=True)]
        return to_front(apply(GetItem, (x, *given), params), place)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for shape, arrays, index in _example_indices():
            yield Example((rng.normal(size=shape), *arrays), {"index": index})


def _scatter_add(g: Any, *arrays: Any, index: Index, shape: Shape) -> Array:
    out = np.zeros(shape, g.dtype)
    if not arrays:
        out[as_numpy(index, ())] = g
        return out
    places = flat_places("scatter_add", index, shape, tuple(map(np.asarray, arrays)))
    # One flat array of places: NumPy's fast path, which adds in row-major order whatever the strides.
    np.add.at(out.reshape(-1), places.ravel(), np.broadcast_to(g, places.shape).ravel())
    return out


@register
class ScatterAdd(Linear):
    """Zeros with values added at the places that an index selects: the transpose of `getitem`."""

    name, label, latex = "scatter_add", "+[i]", r"\operatorname{{scatter}} {0}"
    evaluate = staticmethod(_scatter_add)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        require_dtype(cls.name, xs[0].dtype, NUMBERS)
        selected = _selected_shape(cls.name, params["index"], params["shape"], xs[1:])
        require_broadcast(cls.name, xs[0].shape, selected)
        return params["shape"], xs[0].dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return apply(GetItem, (g, *xs[1:]), {"index": params["index"]})

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        arrays = xs[1:]
        items, shape = items_in(xs, batched), params["shape"]
        whole = _Batch(cls.name, params["index"], shape, arrays, batched[1:], items)
        values = whole.of_all(with_rank(repeated(xs, batched)[0], whole.rank))
        return apply(ScatterAdd, (values, *whole.arrays), {"index": whole.index, "shape": (items, *shape)})

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        selected = layout(cls.name, params["index"], shape, xs[1:]).shape
        return Cost(additions=count(selected) if xs[1:] else 0, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for shape, arrays, index in _example_indices():
            selected = layout(cls.name, index, shape, arrays).shape
            yield Example((rng.normal(size=selected), *arrays), {"index": index, "shape": shape})


def _set(x: Any, values: Any, *arrays: Any, index: Index) -> Array:
    out = np.array(x, order="C")  # so that its flat view below is no copy
    if not arrays:
        out[as_numpy(index, ())] = values
        return out
    places = flat_places("index_set", index, out.shape, tuple(map(np.asarray, arrays)))
    # NumPy promises no order of writing in general; over one flat array it writes in sequence.
    out.reshape(-1)[places.ravel()] = np.broadcast_to(values, places.shape).ravel()
    return out


@register
class IndexSet(Linear):
    """A copy of an array with other values at the places that an index selects; the last write stays."""

    name, label, latex = "index_set", "[i]=", r"{0}_{{[\cdot] = {1}}}"
    linear = (0, 1)
    evaluate = staticmethod(_set)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        x, values, *arrays = xs
        promote(cls.name, x.dtype, values.dtype)
        selected = _selected_shape(cls.name, params["index"], x.shape, arrays)
        require_broadcast(cls.name, values.shape, selected)
        return x.shape, x.dtype

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        arrays = xs[2:]
        if i == 0:
            return apply(IndexSet, (g, constant(0, g.dtype), *arrays), params)
        picked = apply(GetItem, (g, *arrays), params)
        return where(_last_writes(g.shape, arrays, params["index"]), picked, 0) if arrays else picked

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        x, values, *_ = repeated(xs, batched)
        whole = _Batch(cls.name, params["index"], x.shape[1:], xs[2:], batched[2:], x.shape[0])
        given = whole.of_all(with_rank(values, whole.rank))
        return apply(IndexSet, (x, given, *whole.arrays), {"index": whole.index})

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for shape, arrays, index in _example_indices():
            selected = layout(cls.name, index, shape, arrays).shape
            for values in (selected, selected[1:]):
                yield Example((rng.normal(size=shape), rng.normal(size=values), *arrays), {"index": index})


def _last_writes(shape: Shape, arrays: tuple[Node, ...], index: Index) -> Node:
    """Where, among the places that are selected, no later one is the same: each write leaves its number."""
    selected = layout("index_set", index, shape, arrays).shape
    number = constant(np.arange(count(selected)).reshape(selected))
    left = apply(IndexSet, (constant(np.zeros(shape, np.int64)), number, *arrays), {"index": index})
    return apply(GetItem, (left, *arrays), {"index": index}) == number


def _example_indices() -> Iterable[tuple[Shape, tuple[Array, ...], Index]]:
    """Shapes, integer arrays and indices on which the three primitives are tested."""
    twice = np.array([2, 0, -1, 2])
    pairs = np.array([[0, 1], [1, -1]]), np.array([2, 2])
    cases: list[tuple[Shape, tuple[Array, ...], tuple[Entry, ...]]] = [
        ((5,), (), (-2,)),
        ((4, 5), (), (Slice(None, None, -2), None, Slice(1, -1))),
        ((2, 3, 4), (), (..., Slice(5, 1), 0)),
        ((3, 2), (twice,), (ARRAY,)),
        ((2, 3, 4), pairs, (ARRAY, FULL, ARRAY)),
        ((2, 3, 4), (np.array([0, 2, 0]),), (1, ARRAY, Slice(None, None, 3))),
        ((3, 4), (np.zeros((0, 2), np.int64),), (..., ARRAY, None)),
        ((3,), (np.array(1),), (ARRAY,)),
    ]
    for shape, arrays, entries in cases:
        yield shape, arrays, Index(entries)
