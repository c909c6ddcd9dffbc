"""Running sums and products along an axis, and the linear recurrence from which their derivatives follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from chainrule.axes import Ties, along
from chainrule.errors import ArgumentError, ShapeError
from chainrule.node import N, Node, Operand, apply, as_node, as_nodes, constant
from chainrule.ops.arithmetic import add, scale
from chainrule.ops.batching import along_axis
from chainrule.ops.join import concat, narrow
from chainrule.ops.move import broadcast_arrays, reshape
from chainrule.ops.reduce import accumulator
from chainrule.primitive import (
    Array,
    Cost,
    Custom,
    Example,
    HasSpec,
    Linear,
    Partial,
    PerElement,
    Primitive,
    moved_bytes,
    register,
)
from chainrule.shapes import (
    FLOATS,
    NUMBERS,
    DType,
    Shape,
    as_flag,
    count,
    normalize_axis,
    promote,
    require_dtype,
)


class _Scan(Primitive):
    """Shape rule and cost of what combines each element along ``axis`` with the result before it.

    Attributes:
        step: work of doing so once.
    """

    step: ClassVar[PerElement]
    batch = classmethod(along_axis)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        require_dtype(cls.name, xs[0].dtype, NUMBERS)
        return xs[0].shape, xs[0].dtype

    @classmethod
    def cost(cls, xs: Any, shape: Shape, dtype: DType, **params: Any) -> Cost:
        axis: int = params["axis"]
        length, n = shape[axis], count(shape)
        steps = n - n // length if length else 0
        return Cost(
            steps * cls.step.multiplications,
            steps * cls.step.additions,
            bytes=moved_bytes(xs, shape, dtype),
        )


def _cumulative_sum(x: Any, axis: int, reverse: bool) -> Array:
    # NumPy would sum int32 in int64; the dtype of the result has been chosen before.
    if reverse:
        return np.flip(np.add.accumulate(np.flip(x, axis), axis, x.dtype), axis)
    return np.add.accumulate(x, axis, x.dtype)


@register
class CumulativeSum(_Scan, Linear):
    """Sums of all elements up to each; with ``reverse``, of all from each on."""

    name, label, latex = "cumulative_sum", "cumsum", r"\operatorname{{cumsum}} {0}"
    step = PerElement(additions=1)
    evaluate = staticmethod(_cumulative_sum)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return along(y.ndim, (params["axis"],), pulled=True)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return apply(CumulativeSum, (g,), {"axis": params["axis"], "reverse": not params["reverse"]})

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 4)),), {"axis": 1, "reverse": False})
        yield Example((rng.normal(size=(3, 4)),), {"axis": 0, "reverse": True})
        yield Example((rng.normal(size=(0,)),), {"axis": 0, "reverse": False})


def _cumulative_prod(x: Any, axis: int) -> Array:
    return np.multiply.accumulate(x, axis, x.dtype)


@register
class CumulativeProd(_Scan, Custom):
    """Products of all elements up to each. Its derivative never divides, so zeros are no exception."""

    name, label, latex = "cumulative_prod", "cumprod", r"\operatorname{{cumprod}} {0}"
    step = PerElement(multiplications=1)
    evaluate = staticmethod(_cumulative_prod)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return along(y.ndim, (params["axis"],), pulled=True)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,), (x,), axis = tangents, xs, params["axis"]
        return None if t is None else _recurrence(x, scale(t, _later(y, axis, 1.0)), axis, False)

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        (x,), axis = xs, params["axis"]
        return (scale(_recurrence(x, g, axis, True), _later(y, axis, 1.0)),)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=(3, 4)),), {"axis": 1})
        yield Example((rng.normal(size=(3, 2)),), {"axis": 0})
        yield Example((np.array([2.0, 0.0, -1.0, 0.0, 3.0]),), {"axis": 0})
        yield Example((rng.normal(size=(0, 2)),), {"axis": 0})


def _linear_recurrence(a: Any, b: Any, axis: int, reverse: bool) -> Array:
    factors = np.ascontiguousarray(np.moveaxis(a, axis, 0))
    y = np.array(np.moveaxis(b, axis, 0), np.result_type(a, b), order="C")
    finite = np.isfinite(factors).all()
    n, step = len(y), 1 if reverse else -1
    for t in range(n - 2, -1, -1) if reverse else range(1, n):
        before = y[t + step]
        carried = factors[t + step if reverse else t] * before
        # Strong zeros here too: what carries nothing adds nothing, whatever the factor.
        y[t] += carried if finite else np.where(before == 0, 0, carried)
    return np.moveaxis(y, 0, axis)


@register
class LinearRecurrence(_Scan, Custom):
    """``y[t] = a[t] * y[t-1] + b[t]`` along an axis, from ``y[0] = b[0]``; ``a[0]`` has no effect.

    With ``reverse`` it is the transpose of that in ``b``: ``y[t] = a[t+1] * y[t+1] + b[t]``, from the end.
    Each is the other's derivative, so differentiating one needs no other primitive.
    """

    name, label, latex = "linear_recurrence", "recur", r"y_t = {0}_t\, y_{{t-1}} + {1}_t"
    step = PerElement(multiplications=1, additions=1)
    evaluate = staticmethod(_linear_recurrence)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        a, b = xs
        if a.shape != b.shape:
            raise ShapeError(
                f"{cls.name}: expected a and b of one shape, got {a.shape} and {b.shape}",
                fix="broadcast them first: cr.broadcast_arrays(a, b)",
            )
        dtype = promote(cls.name, a.dtype, b.dtype)
        require_dtype(cls.name, dtype, FLOATS)
        return b.shape, dtype

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (da, db), axis, reverse = tangents, params["axis"], params["reverse"]
        b = db
        if da is not None:
            carried = _earlier(scale(da, y), axis) if reverse else scale(da, _later(y, axis))
            b = carried if db is None else add(carried, db)
        return None if b is None else _recurrence(xs[0], b, axis, reverse)

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        axis, reverse = params["axis"], params["reverse"]
        s = _recurrence(xs[0], g, axis, not reverse)
        return (lambda: scale(_later(s, axis), y) if reverse else scale(s, _later(y, axis)), s)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        yield Example((rng.normal(size=4), rng.normal(size=4)), {"axis": 0, "reverse": False})
        for reverse in (False, True):
            a, b = rng.normal(size=(2, 2, 3))
            yield Example((a, b), {"axis": 1, "reverse": reverse})
        yield Example((np.zeros((0, 2)), np.zeros((0, 2))), {"axis": 0, "reverse": True})


def _later(y: Node, axis: int, first: float = 0.0) -> Node:
    """Each element moved on by one place along ``axis``; ``first`` comes in, the last drops out."""
    n = y.shape[axis]
    return concat([_edge(y, axis, first), narrow(y, axis, 0, n - 1)], axis=axis) if n else y


def _earlier(y: Node, axis: int) -> Node:
    """Each element moved back by one place along ``axis``; 0 comes in, the first drops out."""
    n = y.shape[axis]
    return concat([narrow(y, axis, 1, n), _edge(y, axis, 0.0)], axis=axis) if n else y


def _edge(y: Node, axis: int, value: float) -> Any:
    shape = (*y.shape[:axis], 1, *y.shape[axis + 1 :])
    return constant(np.full(shape, value, y.dtype))


def _recurrence(a: Node, b: Node, axis: int, reverse: bool) -> Any:
    return apply(LinearRecurrence, (a, b), {"axis": axis, "reverse": reverse})


def cumulative_sum(
    x: Operand[N], /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> N:
    """Sums of all elements up to each, along an axis.

    Args:
        x: numbers, shape ``(*n,)``.
        axis: the axis; may be left out for one axis.
        dtype: of the result. By default that of ``x``, but int64 where ``x`` holds int32 or booleans.
        include_initial: begin with the sum of nothing, so that the axis has one element more.

    Returns:
        ``x.shape``, in the units of ``x``.

    Raises:
        ArgumentError: several axes, and none named.
        AxisError: the axis is out of range.

    Example:
        >>> cumulative_sum([1.0, 2.0, 3.0]).tolist()
        [1.0, 3.0, 6.0]
    """
    node, place = _operand("cumulative_sum", x, axis, dtype)
    sums = apply(CumulativeSum, (node,), {"axis": place, "reverse": False})
    return _with_initial("cumulative_sum", sums, place, 0.0, include_initial)


def cumsum(x: Operand[N], axis: int | None = None, dtype: Any = None) -> N:
    """:func:`cumulative_sum` under NumPy's name; without ``axis`` the array is flattened.

    Example:
        >>> cumsum([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [1.0, 3.0, 6.0, 10.0]
    """
    return cumulative_sum(_flattened(x, axis), axis=axis, dtype=dtype)


def cumulative_prod(
    x: Operand[N], /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> N:
    """Products of all elements up to each, along an axis.

    Args:
        x: numbers, shape ``(*n,)``.
        axis: the axis; may be left out for one axis.
        dtype: of the result. By default that of ``x``, but int64 where ``x`` holds int32 or booleans.
        include_initial: begin with the product of nothing, so that the axis has one element more.

    Returns:
        ``x.shape``. The gradient is exact where elements are 0, to every order.

    Raises:
        ArgumentError: several axes, and none named.
        AxisError: the axis is out of range.

    Example:
        >>> cumulative_prod([1.0, 2.0, 3.0]).tolist()
        [1.0, 2.0, 6.0]
    """
    node, place = _operand("cumulative_prod", x, axis, dtype)
    products = apply(CumulativeProd, (node,), {"axis": place})
    return _with_initial("cumulative_prod", products, place, 1.0, include_initial)


def cumprod(x: Operand[N], axis: int | None = None, dtype: Any = None) -> N:
    """:func:`cumulative_prod` under NumPy's name; without ``axis`` the array is flattened.

    Example:
        >>> cumprod([[1.0, 2.0], [3.0, 4.0]]).tolist()
        [1.0, 2.0, 6.0, 24.0]
    """
    return cumulative_prod(_flattened(x, axis), axis=axis, dtype=dtype)


def linear_recurrence(a: Operand[N], b: Operand[N], /, *, axis: int = 0, reverse: bool = False) -> N:
    """``y[t] = a[t] * y[t-1] + b[t]`` along an axis, from ``y[0] = b[0]``; ``a[0]`` has no effect.

    Running averages, discounted sums and linear recurrent layers are of this kind. Work is linear in the
    length, one step after another; all other axes are computed together.

    Args:
        a: factors; broadcast against ``b``.
        b: what is added at each step.
        axis: the axis of time, counted in the broadcast shape.
        reverse: from the end: ``y[t] = a[t+1] * y[t+1] + b[t]``, the transpose in ``b``.

    Returns:
        The broadcast shape, in the units of ``b``.

    Raises:
        ShapeError: the shapes do not broadcast.
        AxisError: the axis is out of range.

    Example:
        >>> linear_recurrence(0.5, [1.0, 1.0, 1.0]).tolist()
        [1.0, 1.5, 1.75]
    """
    factors, added = broadcast_arrays(*as_nodes("linear_recurrence", a, b))
    return _recurrence(
        factors,
        added,
        normalize_axis("linear_recurrence", axis, added.ndim),
        as_flag("linear_recurrence", "reverse", reverse),
    )


def _operand(name: str, x: Operand[Node], axis: int | None, dtype: Any) -> tuple[Any, int]:
    node = accumulator(x, dtype)
    if not node.ndim:
        node = reshape(node, (1,))
    if axis is None and node.ndim > 1:
        raise ArgumentError(
            f"{name}: shape {node.shape} has {node.ndim} axes, and none was named",
            fix="name one, axis=-1 for the last, or flatten first: cr.reshape(x, -1)",
        )
    return node, normalize_axis(name, 0 if axis is None else axis, node.ndim)


def _with_initial(name: str, y: Any, axis: int, value: float, wanted: bool) -> Any:
    """``y`` with ``value`` before it, if that is wanted."""
    if not as_flag(name, "include_initial", wanted):
        return y
    return concat([_edge(y, axis, value), y], axis=axis)


def _flattened(x: Operand[Node], axis: int | None) -> Any:
    node = as_node(x)
    return reshape(node, (-1,)) if axis is None else node
