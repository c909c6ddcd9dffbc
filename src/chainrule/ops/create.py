"""Arrays from nothing but a shape: zeros, ones, ranges, grids, triangles. All of them are constants.

Floats are float64 and integers int64 unless a dtype is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays import as_array
from chainrule.errors import ArgumentError, DTypeError, GradientError, ShapeError, shown
from chainrule.node import ArrayLike, N, Node, Operand, as_node, constant, is_differentiable, leaf, no_value
from chainrule.ops.cast import astype
from chainrule.ops.compare import where
from chainrule.ops.move import broadcast_to, reshape
from chainrule.primitive import Array
from chainrule.shapes import (
    FLOATS,
    NUMBERS,
    DType,
    Shape,
    as_dtype,
    as_flag,
    as_int,
    as_shape,
    broadcast,
    float64,
    require_dtype,
    require_room,
    too_large,
)


def zeros(shape: int | Shape, *, dtype: Any = None) -> Any:
    """Zeros.

    Args:
        shape: sizes, or one size.
        dtype: float64 if None.

    Raises:
        ShapeError: a size is negative.
        SizeError: there is no memory for it.

    Example:
        >>> zeros((2, 1)).tolist()
        [[0.0], [0.0]]
    """
    return _made("zeros", np.zeros, as_shape("zeros", shape), _dtype(dtype))


def ones(shape: int | Shape, *, dtype: Any = None) -> Any:
    """Ones; arguments as for :func:`zeros`.

    Example:
        >>> ones(2, dtype="int64").tolist()
        [1, 1]
    """
    return _made("ones", np.ones, as_shape("ones", shape), _dtype(dtype))


def empty(shape: int | Shape, *, dtype: Any = None) -> Any:
    """Zeros: nothing can be written to an array later, so one that holds nothing yet would be of no use.

    Example:
        >>> empty(2).tolist()
        [0.0, 0.0]
    """
    return _made("empty", np.zeros, as_shape("empty", shape), _dtype(dtype))


def full(shape: int | Shape, fill_value: Node | ArrayLike, *, dtype: Any = None) -> Any:
    """One value everywhere.

    Args:
        shape: sizes, or one size.
        fill_value: a number, or anything that broadcasts to ``shape``; derivatives flow to a node.
        dtype: that of ``fill_value`` if None.

    Raises:
        ShapeError: ``fill_value`` does not broadcast to ``shape``.
        DTypeError: a float is to fill integers or booleans.

    Example:
        >>> full(2, 7).tolist()
        [7, 7]
    """
    return _filled("full", as_shape("full", shape), fill_value, None if dtype is None else as_dtype(dtype))


def zeros_like(x: Operand[N], /, *, dtype: Any = None) -> N:
    """Zeros in the shape of ``x``, and in its dtype unless ``dtype`` is given.

    Example:
        >>> zeros_like([1.0, 2.0]).tolist()
        [0.0, 0.0]
    """
    node = as_node(x)
    return _made("zeros_like", np.zeros, node.shape, node.dtype if dtype is None else as_dtype(dtype))


def ones_like(x: Operand[N], /, *, dtype: Any = None) -> N:
    """Ones in the shape of ``x``, and in its dtype unless ``dtype`` is given.

    Example:
        >>> ones_like([3, 4]).tolist()
        [1, 1]
    """
    node = as_node(x)
    return _made("ones_like", np.ones, node.shape, node.dtype if dtype is None else as_dtype(dtype))


def empty_like(x: Operand[N], /, *, dtype: Any = None) -> N:
    """Zeros in the shape of ``x``, as :func:`empty` gives them.

    Example:
        >>> empty_like([1.0, 2.0]).tolist()
        [0.0, 0.0]
    """
    return zeros_like(x, dtype=dtype)


def full_like(x: Operand[N], /, fill_value: Node | ArrayLike, *, dtype: Any = None) -> N:
    """One value in the shape of ``x``, and in its dtype unless ``dtype`` is given.

    Raises:
        ShapeError, DTypeError: as for :func:`full`.

    Example:
        >>> full_like([1.0, 2.0], 7).tolist()
        [7.0, 7.0]
    """
    node = as_node(x)
    return _filled("full_like", node.shape, fill_value, node.dtype if dtype is None else as_dtype(dtype))


def _filled(name: str, shape: Shape, value: Node | ArrayLike, dtype: DType | None) -> Any:
    given: Node | Array = value if isinstance(value, Node) else as_array(value, None, copy=False)
    target = dtype or given.dtype
    if given.dtype.kind == "f" and target not in FLOATS:
        raise DTypeError(
            f"{name}: cannot fill {target.name} with a {given.dtype.name}",
            fix="fill with an int, or give a floating dtype",
        )
    if broadcast(name, given.shape, shape) != shape:
        raise ShapeError(
            f"{name}: a value of shape {given.shape} does not broadcast to {shape}",
            fix="pass one number, or reduce it to that shape",
        )
    if isinstance(given, Node) or given.ndim:
        return broadcast_to(astype(given, target), shape)
    return _made(name, lambda shape, dtype: np.full(shape, given, dtype), shape, target)


def _made(name: str, make: Callable[[Shape, DType], Array], shape: Shape, dtype: DType) -> Any:
    """What ``make`` gives, as a constant."""
    try:
        return leaf(make(shape, dtype), copy=False)
    except MemoryError:
        raise too_large(name, shape, dtype) from None


def arange(
    start: float | Node, /, stop: float | Node | None = None, step: float | Node = 1, *, dtype: Any = None
) -> Any:
    """Numbers from ``start`` up to, but without, ``stop``.

    Args:
        start: the first number; the end, counting from 0, where ``stop`` is None.
        stop: where to end.
        step: distance of neighbours; negative to count down.
        dtype: int64 for integers and float64 for floats if None.

    Returns:
        Shape ``(ceil((stop - start) / step),)``.

    Raises:
        ArgumentError: ``step`` is 0, or a bound is infinite or nan.
        SizeError: there is no memory for so many.
        GradientError, TracedValueError: a bound requires a gradient, or is only being traced.

    Example:
        >>> arange(3).tolist()
        [0, 1, 2]
        >>> arange(2.0, 1.0, -0.5).tolist()
        [2.0, 1.5]
    """
    first, last = (0, start) if stop is None else (start, stop)
    first, last, distance = (_number("arange", n) for n in (first, last, step))
    if distance == 0:
        raise ArgumentError("arange: step is 0", fix="step by a positive or a negative number")
    target = None if dtype is None else as_dtype(dtype)
    steps = (float(last) - float(first)) / float(distance)
    if not math.isfinite(steps):
        raise ArgumentError(
            f"arange: from {first} to {last} by {distance} is no finite number of steps",
            fix="give finite bounds",
        )
    points = (max(math.ceil(steps), 0),)
    require_room("arange", points)
    try:
        return leaf(np.arange(first, last, distance), dtype=target, copy=False)
    except MemoryError:
        raise too_large("arange", points, target or float64) from None


def linspace(
    start: float | Node, stop: float | Node, /, num: int, *, dtype: Any = None, endpoint: bool = True
) -> Any:
    """``num`` numbers at equal distances from ``start`` to ``stop``.

    Args:
        start, stop: the first and the last number.
        num: how many, at least 0.
        dtype: float64 if None.
        endpoint: whether ``stop`` is among them.

    Raises:
        ArgumentError: ``num`` is negative or not an integer, or an end is infinite or nan.
        SizeError: there is no memory for so many.
        GradientError, TracedValueError: an end requires a gradient, or is only being traced.

    Example:
        >>> linspace(0.0, 1.0, 5).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    points, closed = as_int("linspace", "num", num), as_flag("linspace", "endpoint", endpoint)
    if points < 0:
        raise ArgumentError(
            f"linspace: num must be 0 or more, got {points}", fix="give how many numbers you want"
        )
    first, last = (float(_number("linspace", end)) for end in (start, stop))
    if not math.isfinite(last - first):
        raise ArgumentError(
            f"linspace: no equal distances from {first} to {last}",
            fix="give finite ends, less than 1e308 apart",
        )
    require_room("linspace", (points,))
    return _made(
        "linspace",
        lambda shape, dtype: np.linspace(first, last, *shape, endpoint=closed, dtype=dtype),
        (points,),
        _dtype(dtype),
    )


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None) -> Any:
    """Ones on a diagonal, zeros elsewhere.

    Args:
        n_rows, n_cols: sizes; square if the second is None.
        k: which diagonal; above the main one if positive, below if negative.
        dtype: float64 if None.

    Raises:
        ShapeError: a size is negative.

    Example:
        >>> eye(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    sizes = as_shape("eye", (n_rows, n_rows if n_cols is None else n_cols))
    diagonal = _diagonal("eye", k, *sizes)
    return _made(
        "eye", lambda shape, dtype: np.eye(shape[0], shape[1], diagonal, dtype), sizes, _dtype(dtype)
    )


def meshgrid(*xs: Operand[N], indexing: str = "xy") -> list[N]:
    """The coordinates of a grid: each vector repeated along the axes of the others.

    Args:
        xs: vectors, shapes ``(n1,)``, ``(n2,)``, ...
        indexing: ``"ij"`` for shape ``(n1, n2, n3, ...)``; ``"xy"`` for ``(n2, n1, n3, ...)``.

    Raises:
        ShapeError: an array has more than one axis.
        ArgumentError: ``indexing`` is neither.

    Example:
        >>> [a.tolist() for a in meshgrid([1.0, 2.0], [5.0, 6.0])]
        [[[1.0, 2.0], [1.0, 2.0]], [[5.0, 5.0], [6.0, 6.0]]]
    """
    if not isinstance(indexing, str) or indexing not in ("xy", "ij"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ArgumentError(
            f"meshgrid: expected indexing 'xy' or 'ij', got {shown(indexing)}", fix="choose one of them"
        )
    nodes = [as_node(x) for x in xs]
    places = list(range(len(nodes)))
    if indexing == "xy":
        places[:2] = places[:2][::-1]
    sizes = [1] * len(nodes)
    for node, place in zip(nodes, places, strict=True):
        if node.ndim > 1:
            raise ShapeError(
                f"meshgrid: expected vectors, got shape {node.shape}", fix="flatten it: x.reshape(-1)"
            )
        sizes[place] = node.size
    return [
        broadcast_to(reshape(node, [node.size if i == place else 1 for i in range(len(sizes))]), sizes)
        for node, place in zip(nodes, places, strict=True)
    ]


def tril(x: Operand[N], /, *, k: int = 0) -> N:
    """The lower triangle of matrices: zeros above the diagonal ``k``.

    Args:
        x: any dtype, shape ``(*batch, m, n)``.
        k: the diagonal up to which elements stay; above the main one if positive, below if negative.

    Raises:
        ShapeError: fewer than two axes.

    Example:
        >>> tril([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [[1.0, 0.0], [3.0, 4.0]]
    """
    return _triangle(
        "tril", x, lambda rows, columns: np.tri(rows, columns, _diagonal("tril", k, rows, columns), bool)
    )


def triu(x: Operand[N], /, *, k: int = 0) -> N:
    """The upper triangle of matrices: zeros below the diagonal ``k``; arguments as for :func:`tril`.

    Example:
        >>> triu([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [[1.0, 2.0], [0.0, 4.0]]
    """
    return _triangle(
        "triu", x, lambda rows, columns: ~np.tri(rows, columns, _diagonal("triu", k, rows, columns) - 1, bool)
    )


def _triangle(name: str, x: Operand[N], kept: Callable[[int, int], Array]) -> Any:
    node = as_node(x)
    if node.ndim < 2:
        raise ShapeError(f"{name}: expected at least 2 axes, got shape {node.shape}", fix="pass matrices")
    return where(kept(*node.shape[-2:]), node, constant(0, node.dtype))


def _diagonal(name: str, k: int, rows: int, columns: int) -> int:
    """The number of a diagonal; those outside the matrix are all alike."""
    return min(max(as_int(name, "k", k), -rows - 1), columns + 1)


def _dtype(dtype: Any) -> DType:
    return float64 if dtype is None else as_dtype(dtype)


def _number(name: str, value: Any) -> Any:
    """A bound as a plain number."""
    if isinstance(value, Node) and value.value is None:
        raise no_value(value, f"a bound of {name}")
    if isinstance(value, Node) and is_differentiable(value):
        raise GradientError(
            f"{name}: its numbers are constants, and would lose the gradient of the bound {shown(value)}",
            fix=f"scale them: w * cr.{name}(...), or pass w.item() if the gradient is not wanted",
        )
    array = value.array() if isinstance(value, Node) else as_array(value, None, copy=False)
    if array.ndim:
        raise ShapeError(f"{name}: expected a number, got shape {array.shape}", fix="pass one number")
    require_dtype(name, array.dtype, NUMBERS)
    return array[()]
