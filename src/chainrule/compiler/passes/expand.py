"""Composite reductions in terms of simpler ones, which fuse with what surrounds them.

Means, variances, softmax and their like are one node each where people look at a graph. For a kernel they are
maxima, sums and elementwise nodes, in the order in which their own evaluation computes them. Sums are rounded as a
kernel's sums are, so this pass keeps values to a few ulp, not to the bit.

Picking one element of each row by its label, as losses do, becomes a comparison with the columns' numbers. Labels
that name no column are an error that only a run can show: for each such node the graph gets one more output, a
*flag* that is 0 if all is well. So are negative exponents of integers.

Operands of a product that differ in dtype are converted first, as NumPy does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autodiff.body import Body
from chainrule.autodiff.body import layout as scan_layout
from chainrule.autodiff.scan import Scan
from chainrule.compiler.passes import run
from chainrule.compiler.passes.by_item import by_item, within_items
from chainrule.compiler.passes.empty import without_elements
from chainrule.compiler.passes.in_range import INDEXING, flag_outside, is_flagged, require_in_range
from chainrule.compiler.passes.known_places import known_places
from chainrule.compiler.passes.lookups import lookups
from chainrule.compiler.passes.padded import side_by_side
from chainrule.compiler.passes.partly_read import partly_read
from chainrule.compiler.passes.pools import pools
from chainrule.compiler.passes.products import einsum, integer_product, thin_product
from chainrule.compiler.passes.rewrite import build, instead, is_constant, rewrite
from chainrule.compiler.passes.sums_first import sums_first
from chainrule.compiler.passes.ties import ties
from chainrule.compiler.passes.weights import weights
from chainrule.graph import Graph
from chainrule.node import Node, constant
from chainrule.ops.arithmetic import Add, Scale, abs, divide, multiply, square, subtract
from chainrule.ops.cast import AsType, astype
from chainrule.ops.compare import LogicalNot, equal, isfinite, isnan, logical_and, logical_or, where
from chainrule.ops.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from chainrule.ops.einsum import Einsum
from chainrule.ops.exponential import Power, exp, log, power, sqrt
from chainrule.ops.gather import GetItem, ScatterAdd
from chainrule.ops.index import Numbered, OneHot
from chainrule.ops.join import Concatenate, concat, narrow, pad
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import SumTo, broadcast_to, reshape
from chainrule.ops.norm import VectorNorm
from chainrule.ops.reduce import CountNonzero
from chainrule.ops.reduce import max as max_of
from chainrule.ops.reduce import min as min_of
from chainrule.ops.reduce import sum as sum_of
from chainrule.ops.scan import LinearRecurrence
from chainrule.ops.searching import AllNonzero, AnyNonzero, ArgMax, ArgMin
from chainrule.ops.selection import ARRAY
from chainrule.ops.statistics import LogSoftmax, LogSumExp, Mean, Softmax, Std, Var
from chainrule.ops.windows import Windows2d
from chainrule.primitive import Primitive
from chainrule.shapes import FLOATS, bool_, count, float32, float64, int32, int64, row_major, sum_axes

COLUMNS = 1024
"""The most columns among which a label is found by comparing it with each."""


def expand(graph: Graph) -> tuple[Graph, int]:
    """Replace composite reductions.

    Returns:
        The graph, whose last outputs are flags, and how many these are.
    """
    flags: dict[object, Node] = {}

    def rule(node: Node) -> Node | None:
        if node.op in INDEXING:
            require_in_range(node, flags)
        known = without_elements(node)
        if known is not None:
            return known
        if node.op in _PROMOTING and any(x.dtype != node.dtype for x in node.inputs):
            return instead(node, node.op, *[astype(x, node.dtype) for x in node.inputs], **node.params)
        if node.op in _RULES:
            return _RULES[node.op](node, node.inputs[0], **node.params)
        if node.op is Add:
            return side_by_side(node)
        if node.op is Scale:
            return _masked(node, *node.inputs)
        if node.op is Einsum:
            return einsum(node)
        if node.op is MatMul:
            return thin_product(node) if node.dtype in FLOATS else integer_product(node)
        if node.op is Power:
            _require_powers(node, flags)
        if node.op is OneHot:
            return _one_hot(node, flags)
        if node.op is Numbered:
            flag_outside(node.inputs[0], 0, node.params["count"], flags)
            return node.inputs[0]
        if node.op is GetItem or node.op is ScatterAdd:
            picked = _picked(node, flags)
            return known_places(node) if picked is None else picked
        if node.op is Scan:
            return _expanded_step(node, flags)
        return None

    made = rewrite(lookups(graph), rule)
    whole = Graph(made.inputs, (*made.outputs, *flags.values())) if flags else made
    return by_item(partly_read(sums_first(weights(ties(pools(whole)))))), len(flags)


def _expanded_step(node: Node, flags: dict[object, Node]) -> Node | None:
    """A scan whose step is simplified and expanded itself; a flag of a step is one more thing that it gives."""
    body: Body = node.params["body"]
    expected = [x.dtype for x in body.graph.inputs]
    if not node.params["length"]:  # the first carries are the last
        first = node.inputs[body.constants : body.constants + body.carries]
        own = [
            astype(x, d) for x, d in zip(first, expected[body.constants :], strict=False) if d == node.dtype
        ]
        return concat([reshape(x, (-1,)) for x in own])
    if any(x.dtype != dtype for x, dtype in zip(node.inputs, expected, strict=True)):
        converted = [astype(x, dtype) for x, dtype in zip(node.inputs, expected, strict=True)]
        return instead(node, Scan, *converted, **node.params)
    if body.derived("is expanded", lambda: False):
        return None

    def look() -> tuple[Body, int]:
        graph, count = expand(run(body.graph)[0])
        made = Body(graph, body.constants, body.carries, body.name)
        made.derived("is expanded", lambda: True)
        return made, count

    lean, count = body.derived("expanded", look)
    params = {**node.params, "body": lean}
    if not count:
        return instead(node, Scan, *node.inputs, **params)
    sizes = [scan_layout(b, node.params["length"], node.params["kept"], int64).size for b in (body, lean)]
    key = (lean, node.inputs, node.params["reverse"])
    if key not in flags:
        counted = build(Scan, *node.inputs, params={**params, "dtype": int64})
        flags[key] = max_of(narrow(counted, 0, *sizes))
    if node.dtype == int64:
        return narrow(flags[key].inputs[0].inputs[0], 0, 0, sizes[0])
    return instead(node, Scan, *node.inputs, **params)


def _sum_to(node: Node, x: Node, shape: tuple[int, ...]) -> Node:
    return reshape(sum_of(x, axis=sum_axes(x.shape, shape), dtype=x.dtype), shape)


def _mean(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    return divide(sum_of(x, axis=axes, keepdims=keepdims), _number(_size(x, axes), x))


def _size(x: Node, axes: tuple[int, ...]) -> int:
    return count(tuple(x.shape[a] for a in axes))


def _number(value: float, x: Node) -> Node:
    made: Node = constant(float(value), x.dtype)
    return made


def _var(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool, correction: float) -> Node:
    free = max(_size(x, axes) - correction, 0.0)
    inner = within_items(x.shape, axes)
    first, mean, squares = _squares(x, inner or axes)
    if inner:  # the items' own, and those of their means, which are counted from one number on
        means = mean + (first - narrow(first, 0, 0, 1))
        spread = multiply(_squares(means, axes[:1])[2], _number(_size(x, inner), x))
        squares = sum_of(squares, axis=axes[:1], keepdims=True) + spread
    whole = divide(squares, _number(free, x))
    return whole if keepdims else reshape(whole, node.shape)


def _squares(x: Node, axes: tuple[int, ...]) -> tuple[Node, Node, Node]:
    """One element of each slice, the mean deviation from it, and the sum of squared deviations from the mean.

    So the deviations of equal elements are exactly 0, and of large ones nothing is lost.
    """
    first = x
    for axis in axes:
        first = narrow(first, axis, 0, 1)
    deviations = subtract(x, first)
    mean = divide(sum_of(deviations, axis=axes, keepdims=True), _number(_size(x, axes), x))
    squares = square(subtract(deviations, mean))
    return first, mean, sum_of(squares, axis=axes, keepdims=True)


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


def _all(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    return astype(min_of(astype(astype(x, bool_), int32), axis=axes, keepdims=keepdims), bool_)


def _any(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    return astype(max_of(astype(astype(x, bool_), int32), axis=axes, keepdims=keepdims), bool_)


def _first_of(extremum: Callable[..., Node]) -> Callable[..., Node]:
    """The first place, in row-major order, where an extremum is reached, or where there is a nan."""

    def rule(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
        axes = axes if len(axes) == 1 else tuple(range(x.ndim))
        x = astype(x, int32) if x.dtype == bool_ else x
        found: Any = equal(x, extremum(x, axis=axes, keepdims=True))
        if x.dtype.kind == "f":
            found = logical_or(found, isnan(x))
        n = _size(x, axes)
        kind = int32 if n < 2**31 else int64
        place: Any = constant(0, kind)
        for axis, step in zip(axes, row_major(tuple(x.shape[a] for a in axes)), strict=True):
            along = np.arange(x.shape[axis], dtype=kind) * kind.type(step)
            place = place + constant(along.reshape(-1, *[1] * (x.ndim - axis - 1)))
        first = min_of(where(found, place, constant(n, kind)), axis=axes, keepdims=keepdims)
        return astype(first, int64)

    return rule


def _vector_norm(node: Node, x: Node, axes: tuple[int, ...], keepdims: bool, ord: float) -> Node:
    if ord == 2:
        return _root_of_squares(x, axes, keepdims)
    size: Any = abs(x)
    largest = max_of(size, axis=axes, keepdims=True)
    fits = logical_and(largest > _number(0.0, x), largest < _number(np.inf, x))
    unit: Any = where(fits, largest, _number(1.0, x))
    total = sum_of(power(size / unit, _number(ord, x)), axis=axes, keepdims=True)
    return reshape(power(total, _number(1 / ord, x)) * unit, node.shape)


def _root_of_squares(x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    """One pass: of float32 in float64, which no square leaves; of float64 as it is, enlarged, and reduced."""

    def total(x: Node, factor: float) -> Any:
        return sum_of(square(x if factor == 1 else x * _number(factor, x)), axis=axes, keepdims=keepdims)

    if x.dtype == float32:
        return astype(sqrt(total(astype(x, float64), 1.0)), float32)
    plain, far = total(x, 1.0), 2.0**600
    large = sqrt(total(x, 1 / far)) * _number(far, x)
    small = sqrt(total(x, far)) * _number(1 / far, x)
    root = where(plain < _number(2.0**-900, x), small, sqrt(plain))
    return where(plain > _number(2.0**1000, x), large, root)


def _windows2d(node: Node, x: Node, **params: Any) -> Node | None:
    """Windows of padded images: pad first, so that every window is a part of the image."""
    if not any(map(any, params["padding"])):
        return None
    padded = pad(x, ((0, 0), *params["padding"], (0, 0)))
    return instead(node, Windows2d, padded, **{**params, "padding": ((0, 0), (0, 0))})


_RULES: dict[type[Primitive], Callable[..., Node | None]] = {
    AllNonzero: _all,
    AnyNonzero: _any,
    ArgMax: _first_of(max_of),
    ArgMin: _first_of(min_of),
    CountNonzero: _count_nonzero,
    LogSoftmax: _log_softmax,
    LogSumExp: _logsumexp,
    Mean: _mean,
    Softmax: _softmax,
    Std: _std,
    SumTo: _sum_to,
    Var: _var,
    VectorNorm: _vector_norm,
    Windows2d: _windows2d,
}

_PROMOTING = (
    Concatenate,
    Conv2d,
    Conv2dInputGrad,
    Conv2dWeightGrad,
    Einsum,
    LinearRecurrence,
    MatMul,
)
"""Primitives that NumPy computes in the common dtype of their inputs."""


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


def _require_powers(node: Node, flags: dict[object, Node]) -> None:
    """Flag negative exponents of integers."""
    exponents = node.inputs[1]
    if exponents.dtype.kind == "i":
        flag_outside(exponents, 0, np.iinfo(exponents.dtype).max + 1, flags)


def _one_hot(node: Node, flags: dict[object, Node]) -> Node | None:
    (labels,), classes = node.inputs, node.params["num_classes"]
    flag_outside(labels, 0, classes, flags)
    return astype(_hits(labels, (*labels.shape, 1), classes), node.dtype)


def _picked(node: Node, flags: dict[object, Node]) -> Node | None:
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
    if not is_flagged(labels, columns, flags):
        from_end = labels < constant(0, labels.dtype)
        labels = where(from_end, labels + constant(columns, labels.dtype), labels)
    hit = _hits(labels, (n, 1), columns)
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
