"""Indexing: reading elements, setting and adding to them, diagonals, one-hot rows.

Where an index names a place twice, reading it sends both gradients there, adding adds both values, and
setting keeps the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, AxisError, ShapeError, TracedValueError
from chainrule.node import N, Node, Operand, apply, as_node, as_nodes, constant
from chainrule.ops.batching import stacks
from chainrule.ops.cast import astype
from chainrule.ops.gather import GetItem, IndexSet, ScatterAdd, require_broadcast
from chainrule.ops.move import moveaxis, reshape
from chainrule.ops.selection import ARRAY, FULL, Index, as_indices, layout, read, require_in_range
from chainrule.primitive import Array, Cost, Discrete, Example, HasSpec, moved_bytes, register
from chainrule.shapes import (
    INTS,
    NUMBERS,
    DType,
    Shape,
    as_dtype,
    as_int,
    broadcast,
    count,
    normalize_axis,
    promote,
    require_dtype,
    require_room,
)


@register
class OneHot(Discrete):
    """Rows of zeros with a single one."""

    name, label, latex = "one_hot", "one-hot", r"\mathbf{{e}}_{{{0}}}"
    batch = classmethod(stacks)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        require_dtype("one_hot: indices", xs[0].dtype, INTS)
        return (*xs[0].shape, params["num_classes"]), params["dtype"]

    @staticmethod
    def evaluate(indices: Any, num_classes: int, dtype: DType) -> Array:
        places = np.asarray(indices)
        outside = places[(places < 0) | (places >= num_classes)]
        if outside.size:
            raise AxisError(
                f"one_hot: {outside[0]} is none of {num_classes} classes",
                fix=f"number the classes from 0 to {num_classes - 1}, or raise num_classes",
            )
        return (places[..., None] == np.arange(num_classes)).astype(dtype)

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        return Cost(additions=count(shape), bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.integers(0, 4, (2, 3)),), {"num_classes": 4, "dtype": np.dtype(np.float64)})
        yield Example((np.array(0),), {"num_classes": 1, "dtype": np.dtype(np.bool_)})


@register
class Numbered(Discrete):
    """Integers as they are, which must lie in 0 .. count - 1: where they do not, an error in the words of who asks."""

    name, label, latex = "numbered", "checked", "{0}"
    batch = classmethod(stacks)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        require_dtype("numbered: indices", xs[0].dtype, INTS)
        return xs[0].shape, xs[0].dtype

    @staticmethod
    def evaluate(numbers: Any, count: int, message: str, fix: str, enlarge: str) -> Array:
        known = np.asarray(numbers)
        low, high = (int(known.min()), int(known.max())) if known.size else (0, -1)
        if low < 0 or high >= count:
            wrong = low if low < 0 else high
            more = enlarge.format(wrong + 1) if wrong > 0 else ""
            raise AxisError(message.format(wrong), fix=fix + more)
        return known

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        said = {"message": "{} is none of 4", "fix": "number them 0 .. 3", "enlarge": ", or have {}"}
        yield Example((rng.integers(0, 4, (2, 3)),), {"count": 4, **said})
        yield Example((np.zeros(0, np.int32),), {"count": 4, **said})


def numbered(numbers: Operand[N], size: int, message: str, fix: str, enlarge: str = "") -> N:
    """Integers that must number things, from 0 to ``size - 1``; checked now, or when the program runs.

    An index may be negative and then counts from the end; a label or the number of a character may not.

    Args:
        numbers: integers, shape ``(*n,)``.
        size: how many things there are.
        message, fix: of the error; ``{}`` in the message is a number that is none.
        enlarge: added to the fix where the number is too large; ``{}`` is the size that would do.

    Returns:
        The same numbers, shape ``(*n,)``.

    Raises:
        AxisError: a number is negative or too large.
    """
    node = as_indices("numbered", numbers)
    return apply(Numbered, (node,), {"count": size, "message": message, "fix": fix, "enlarge": enlarge})


def _require_known(name: str, index: Index, shape: Shape, arrays: tuple[Node, ...]) -> None:
    """Check the index arrays that have values now; those that are only traced are checked when they run."""
    if arrays:
        known = (None if a.value is None else np.asarray(a.value) for a in arrays)
        require_in_range(name, index, shape, known)


def getitem(x: Operand[N], index: Any, /) -> N:
    """The elements of ``x`` that ``index`` selects; ``x[index]`` calls it.

    Args:
        x: any dtype, shape ``(*n,)``.
        index: an entry, or a tuple of them: ints, slices with any step, None for a new axis, ``...``,
            integer arrays (which broadcast together), or boolean masks. Negative indices count from the end.

    Returns:
        The shape that NumPy gives. Where a place is selected twice its gradient is the sum of both.

    Raises:
        AxisError: an index is out of range, or there are more indices than axes.
        ShapeError: index arrays do not broadcast together, or a mask differs from the axes it covers.
        DTypeError: an index is a float.
        TracedValueError: a mask that is only being traced.

    Example:
        >>> getitem([[1.0, 2.0], [3.0, 4.0]], (slice(None), -1)).tolist()
        [2.0, 4.0]
        >>> getitem([1.0, 2.0, 3.0], [2, 0, 2]).tolist()
        [3.0, 1.0, 3.0]
    """
    node = as_node(x)
    entries, arrays, shape = read("getitem", index, node.shape)
    return _select("getitem", node if shape == node.shape else reshape(node, shape), entries, arrays)


def _select(name: str, node: Node, index: Index, arrays: tuple[Node, ...]) -> Any:
    if all(entry is ... or entry == FULL for entry in index):
        return node
    _require_known(name, index, node.shape, arrays)
    return apply(GetItem, (node, *arrays), {"index": index})


def index_set(x: Operand[N], index: Any, values: Operand[Node], /) -> N:
    """A copy of ``x`` with ``values`` at ``index``; ``x.at[index].set(values)`` calls it.

    Args:
        x: any dtype, shape ``(*n,)``.
        index: as for :func:`getitem`.
        values: broadcast to the selection, and take the dtype of ``x``.

    Returns:
        Shape and dtype of ``x``. Where a place is selected twice the last write, in row-major order of the
        selection, stays; only it receives a gradient.

    Raises:
        ShapeError: ``values`` do not broadcast to the selection.
        DTypeError: ``values`` are of another kind than ``x``.
        AxisError, TracedValueError: as for :func:`getitem`.

    Example:
        >>> index_set([1.0, 2.0, 3.0], [0, 0], [5.0, 7.0]).tolist()
        [7.0, 2.0, 3.0]
    """
    node, new = as_nodes("index_set", x, values)
    entries, arrays, shape = read("index_set", index, node.shape)
    _require_known("index_set", entries, shape, arrays)
    changed = apply(IndexSet, (reshape(node, shape), new, *arrays), {"index": entries})
    return reshape(changed, node.shape)


def index_add(x: Operand[N], index: Any, values: Operand[Node], /) -> N:
    """A copy of ``x`` with ``values`` added at ``index``; ``x.at[index].add(values)`` calls it.

    Args:
        x: numbers, shape ``(*n,)``.
        index: as for :func:`getitem`.
        values: broadcast to the selection, in the units of ``x``; they take its dtype.

    Returns:
        Shape and dtype of ``x``. Where a place is selected twice both values are added.

    Raises:
        ShapeError, DTypeError, AxisError, TracedValueError: as for :func:`index_set`.

    Example:
        >>> index_add([1.0, 2.0, 3.0], [0, 0], [5.0, 7.0]).tolist()
        [13.0, 2.0, 3.0]
    """
    node, new = as_nodes("index_add", x, values)
    require_dtype("index_add", promote("index_add", node.dtype, new.dtype), NUMBERS)
    entries, arrays, shape = read("index_add", index, node.shape)
    require_broadcast("index_add", new.shape, layout("index_add", entries, shape, arrays).shape)
    _require_known("index_add", entries, shape, arrays)
    return node + reshape(_scatter(astype(new, node.dtype), entries, arrays, shape), node.shape)


def _scatter(values: Node, index: Index, arrays: tuple[Node, ...], shape: Shape) -> Any:
    return apply(ScatterAdd, (values, *arrays), {"index": index, "shape": shape})


def take(x: Operand[N], indices: Operand[Node], /, *, axis: int | None = None) -> N:
    """The elements of ``x`` at ``indices`` along ``axis``; without ``axis``, of ``x`` flattened.

    Args:
        x: any dtype.
        indices: integers, shape ``(*k,)``; negative ones count from the end.
        axis: where they select.

    Returns:
        The shape of ``x`` with ``(*k,)`` in place of the size of ``axis``.

    Raises:
        AxisError: an index or ``axis`` is out of range.
        DTypeError: ``indices`` are not integers.

    Example:
        >>> take([[1.0, 2.0], [3.0, 4.0]], [1, 1, 0], axis=0).tolist()
        [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]
    """
    node = as_node(x)
    if axis is None:
        node, axis = reshape(node, (-1,)), 0
    place = normalize_axis("take", axis, node.ndim)
    return _select("take", node, Index((*(FULL,) * place, ARRAY)), (as_indices("take", indices),))


def take_along_axis(x: Operand[N], indices: Operand[Node], /, *, axis: int = -1) -> N:
    """For each line of ``x`` along ``axis`` the elements that the same line of ``indices`` names.

    Args:
        x: any dtype, shape ``(*n,)``.
        indices: integers with as many axes; sizes other than along ``axis`` broadcast with those of ``x``.
        axis: where they select.

    Returns:
        The broadcast shape, with the size of ``indices`` along ``axis``.

    Raises:
        ShapeError: another number of axes, or sizes that do not broadcast.
        AxisError: an index or ``axis`` is out of range.
        DTypeError: ``indices`` are not integers.

    Example:
        >>> take_along_axis([[1.0, 2.0], [3.0, 4.0]], [[1], [0]]).tolist()
        [[2.0], [3.0]]
    """
    node, picks = as_node(x), as_indices("take_along_axis", indices)
    place = normalize_axis("take_along_axis", axis, node.ndim)
    if picks.ndim != node.ndim:
        raise ShapeError(
            f"take_along_axis: x of shape {node.shape} has {node.ndim} axes, "
            f"indices of shape {picks.shape} have {picks.ndim}",
            fix="give both as many axes: indices[..., None] picks one element a line; "
            "cr.take(x, i, axis=axis) picks the same for every line",
        )
    return _select("take_along_axis", node, *_lines("take_along_axis", node.shape, picks, place))


def add_along_axis(values: Node, indices: Node, shape: Shape, axis: int) -> Any:
    """Zeros of ``shape`` with ``values`` added at ``indices``: the transpose of `take_along_axis`."""
    return _scatter(values, *_lines("add_along_axis", shape, indices, axis), shape)


def _lines(name: str, shape: Shape, indices: Node, axis: int) -> tuple[Index, tuple[Node, ...]]:
    """The index that takes ``indices`` along ``axis`` and each line's own place along every other axis."""
    rank = len(shape)
    broadcast(name, *((*s[:axis], 1, *s[axis + 1 :]) for s in (shape, indices.shape)))
    own = [constant(np.arange(n).reshape((n,) + (1,) * (rank - 1 - i))) for i, n in enumerate(shape)]
    return Index((ARRAY,) * rank), (*own[:axis], indices, *own[axis + 1 :])


def one_hot(indices: Operand[N], num_classes: int, dtype: Any = np.float64, /) -> N:
    """Rows of zeros with a one at each index.

    Args:
        indices: class numbers from 0 to ``num_classes - 1``, shape ``(*n,)``.
        num_classes: length of a row.
        dtype: of the result.

    Returns:
        Shape ``(*n, num_classes)``.

    Raises:
        AxisError: a class number is negative or too large.
        ArgumentError: ``num_classes`` is negative or not an integer.
        DTypeError: ``indices`` are not integers.

    Example:
        >>> one_hot([1, 0], 3).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    size = as_int("one_hot", "num_classes", num_classes)
    if size < 0:
        raise ArgumentError(
            f"one_hot: num_classes must be 0 or more, got {size}", fix="pass the number of classes"
        )
    node = as_indices("one_hot", indices)
    require_room("one_hot", (*node.shape, size))
    params = {"num_classes": size, "dtype": as_dtype(dtype)}
    return apply(OneHot, (node,), params)


def diagonal(x: Operand[N], /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> N:
    """The diagonal of matrices.

    Args:
        x: any dtype, shape ``(*batch, m, n)``.
        offset: which diagonal; above the main one if positive, below if negative.
        axis1, axis2: the axes of the matrices; the last two as in the array API standard, where NumPy's
            default is the first two.

    Returns:
        Shape ``(*batch, k)`` with the ``k`` elements of the diagonal; none if it lies outside.

    Raises:
        ShapeError: fewer than two axes.
        AxisError: an axis is out of range, or both are the same.

    Example:
        >>> diagonal([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [1.0, 4.0]
    """
    node = as_node(x)
    if node.ndim < 2:
        raise ShapeError(f"diagonal: expected at least 2 axes, got shape {node.shape}", fix="pass matrices")
    rows, columns = (normalize_axis("diagonal", a, node.ndim) for a in (axis1, axis2))
    if rows == columns:
        raise AxisError(f"diagonal: axis1 and axis2 are both axis {rows}", fix="name two different axes")
    shift = as_int("diagonal", "offset", offset)
    above, below = max(shift, 0), max(-shift, 0)
    length = max(min(node.shape[rows] - below, node.shape[columns] - above), 0)
    matrices = moveaxis(node, (rows, columns), (-2, -1))
    places = tuple(constant(np.arange(start, start + length)) for start in (below, above))
    return _select("diagonal", matrices, Index((..., ARRAY, ARRAY)), places)


def nonzero(x: Operand[N], /) -> tuple[N, ...]:
    """The places of the elements that are not 0 or False, one array of indices for each axis.

    Args:
        x: any dtype, at least one axis.

    Returns:
        As many integer arrays as ``x`` has axes, each of shape ``(k,)`` for ``k`` such elements, in
        row-major order.

    Raises:
        TracedValueError: ``x`` is only being traced, and ``k`` depends on its numbers.
        ShapeError: ``x`` has no axes.

    Example:
        >>> [i.tolist() for i in nonzero([[0.0, 2.0], [3.0, 0.0]])]
        [[0, 1], [1, 0]]
    """
    node = as_node(x)
    if node.value is None:
        raise TracedValueError(
            f"nonzero: the shape of the result depends on the numbers of a tensor that is only being traced "
            f"({node.spec})",
            fix="use cr.where(condition, x, 0), which keeps the shape, or cr.sum(condition) for the count",
        )
    if not node.ndim:
        raise ShapeError("nonzero: expected at least 1 axis, got shape ()", fix="reshape to (1,) first")
    return tuple(constant(places) for places in np.nonzero(node.value))
