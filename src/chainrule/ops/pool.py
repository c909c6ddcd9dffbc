"""Pooling: the maximum or the mean of each window of an image.

Conventions: pixels that tie for a window's maximum share its gradient equally, as in :func:`ops.reduce.max`;
padding never wins (it counts as -inf) and, unless asked for, is not counted in a mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.axes import Ties
from chainrule.errors import ShapeError
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.arithmetic import Scale, maximum
from chainrule.ops.batching import folded
from chainrule.ops.cast import astype, stop_gradient
from chainrule.ops.compare import equal
from chainrule.ops.join import pad
from chainrule.ops.move import broadcast_to, reshape
from chainrule.ops.reduce import max as largest
from chainrule.ops.reduce import sum as total_of
from chainrule.ops.sliding import pooled
from chainrule.ops.windows import (
    OverlapAdd2d,
    Padding,
    Pads,
    Pair,
    Tap,
    Windows2d,
    as_pair,
    count_seen,
    count_windows,
    geometry,
    image_shape,
    taps,
)
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
from chainrule.shapes import FLOATS, DType, Shape, as_flag, count, require_dtype

_NEAR: Pair = (1, 1)
"""The dilation of pools: their windows have no gaps."""


def _layout(x: Array, size: Pair, stride: Pair, padding: Pads) -> tuple[Shape, list[Tap]]:
    """Shape of the pooled images, and for each place in a window the pixels that lie there."""
    n, h, w, c = x.shape
    number = count_windows("pool", (h, w), size, stride, padding, _NEAR)
    return (n, *number, c), list(taps((h, w), size, number, stride, padding, _NEAR))


def _max_pool(x: Array, *, size: Pair, stride: Pair, padding: Pads) -> Array:
    shape, places = _layout(x, size, stride, padding)
    y = np.full(shape, -np.inf, x.dtype)
    for tap in places:
        part = y[tap.windows]
        np.maximum(part, x[tap.pixels], out=part)
    return y


def _ties(x: Array, size: Pair, stride: Pair, padding: Pads) -> tuple[list[tuple[Tap, Array]], Array]:
    """Where each place in a window holds its maximum, and how many places of the window do."""
    y = _max_pool(x, size=size, stride=stride, padding=padding)
    shape, places = _layout(x, size, stride, padding)
    number = np.zeros(shape, np.int32)
    reached: list[tuple[Tap, Array]] = []
    for tap in places:
        mask = x[tap.pixels] == y[tap.windows]
        number[tap.windows] += mask
        reached.append((tap, mask))
    return reached, number


def _max_pool_tangent(t: Array, x: Array, *, size: Pair, stride: Pair, padding: Pads) -> Array:
    reached, number = _ties(x, size, stride, padding)
    total = np.zeros(number.shape, t.dtype)
    for tap, mask in reached:
        total[tap.windows] += Scale.evaluate(mask, t[tap.pixels])
    return Scale.evaluate(total, np.reciprocal(number.astype(t.dtype)))


def _max_pool_grad(g: Array, x: Array, *, size: Pair, stride: Pair, padding: Pads) -> Array:
    reached, number = _ties(x, size, stride, padding)
    share = g / number.astype(g.dtype)
    image = np.zeros(x.shape, g.dtype)
    for tap, mask in reached:
        image[tap.pixels] += Scale.evaluate(mask, share[tap.windows])
    return image


def _sum_pool(x: Array, *, size: Pair, stride: Pair, padding: Pads) -> Array:
    shape, places = _layout(x, size, stride, padding)
    y = np.zeros(shape, x.dtype)
    for tap in places:
        y[tap.windows] += x[tap.pixels]
    return y


class _Pool(Primitive):
    """Shape rule, cost and examples of what pools an image or spreads a pool over one."""

    unfolds = True
    batch = classmethod(folded)
    each = PerElement(additions=1)
    """Work for each pixel of each window; padding is left out."""
    whole = PerElement()
    """Work for each window."""

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        for x in xs:
            require_dtype(cls.name, x.dtype, FLOATS)
        return _pooled(cls.name, xs[-1], params), xs[0].dtype

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        n, h, w, c = xs[-1].shape
        whole = _pooled(cls.name, xs[-1], params)
        windows = whole[1], whole[2]
        pixels = (
            n * c * count_seen((h, w), params["size"], windows, params["stride"], params["padding"], _NEAR)
        )
        return Cost(
            cls.each.multiplications * pixels + cls.whole.multiplications * count(whole),
            cls.each.additions * pixels,
            bytes=moved_bytes(xs, shape, dtype),
        )

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, params in _EXAMPLES:
            yield Example((_distinct(rng, image),), params)


_EXAMPLES: tuple[tuple[Shape, dict[str, Any]], ...] = (
    ((2, 4, 5, 2), {"size": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))}),
    ((1, 5, 4, 2), {"size": (3, 2), "stride": (2, 1), "padding": ((1, 2), (0, 1))}),
    ((1, 2, 7, 1), {"size": (1, 2), "stride": (2, 3), "padding": ((0, 0), (0, 0))}),
    ((0, 3, 3, 1), {"size": (2, 2), "stride": (1, 1), "padding": ((0, 0), (0, 0))}),
)


def _distinct(rng: np.random.Generator, shape: Shape) -> Array:
    """Numbers that differ by at least 0.1, so that small changes never alter which is the largest."""
    return 0.1 * rng.permutation(count(shape)).reshape(shape) - 1.0


def _pooled(name: str, x: HasSpec, params: dict[str, Any]) -> Shape:
    n, h, w, c = image_shape(name, x)
    size, padding = params["size"], params["padding"]
    number = count_windows(name, (h, w), size, params["stride"], padding, _NEAR)
    for pixels, wide, pads in zip((h, w), size, padding, strict=True):
        if pixels == 0 or max(pads) >= wide:
            raise ShapeError(
                f"{name}: windows of {size} would see nothing but padding: images of {(h, w)} are padded by "
                f"{padding}",
                fix="pad by less than the size of a window, and pass images with at least one pixel",
            )
    return (n, *number, c)


def _shares(x: Node, params: dict[str, Any]) -> Node:
    """Which part of its window's gradient each pixel gets, (N, OH, OW, KH, KW, C): constant in ``x``."""
    size, stride = params["size"], params["stride"]
    (top, bottom), (left, right) = params["padding"]
    low = pad(stop_gradient(x), ((0, 0), (top, bottom), (left, right), (0, 0)), value=-np.inf)
    window = {"stride": stride, "padding": ((0, 0), (0, 0)), "dilation": _NEAR}
    windows = apply(Windows2d, (low,), {"size": size, **window})
    wins = astype(equal(windows, largest(windows, axis=(3, 4), keepdims=True)), x.dtype)
    ones = as_node(np.ones((1, *x.shape[1:3], 1), x.dtype))
    inside = apply(Windows2d, (ones,), {**window, "size": size, "padding": params["padding"]})
    wins = wins * inside if any(map(any, params["padding"])) else wins
    return wins / maximum(total_of(wins, axis=(3, 4), keepdims=True), 1.0)  # none where a nan is the largest


@register
class MaxPool2d(_Pool, Custom):
    """The largest pixel of each window; pixels that tie share the gradient equally."""

    name, label, latex = "max_pool2d", "maxpool", r"\operatorname{{maxpool}} {0}"
    evaluate = staticmethod(_max_pool)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return pooled(xs[0].shape, _windows(y), _shares(xs[0], params), False, params, selects=True)

    @staticmethod
    def jvp(tangents: tuple[Node | None, ...], y: Node, *xs: Node, **params: Any) -> Node | None:
        (t,) = tangents
        return None if t is None else apply(MaxPool2dTangent, (t, *xs), params)

    @staticmethod
    def vjp(g: Node, y: Node, *xs: Node, **params: Any) -> tuple[Partial, ...]:
        return (lambda: apply(MaxPool2dGrad, (g, *xs), params),)


@register
class MaxPool2dTangent(_Pool, Linear):
    """The elements of t where a window of x has its maximum; their mean where pixels tie.

    Linear in t. For x it is constant wherever it is differentiable.
    """

    name, label, latex = "max_pool2d_tangent", "maxpool'", r"\operatorname{{maxpool}}'_{{{1}}} {0}"
    each, whole = PerElement(multiplications=1, additions=4), PerElement(multiplications=2)
    evaluate = staticmethod(_max_pool_tangent)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        t, x = xs
        _require_shape(cls.name, t, x.shape)
        return super().infer(t, x, **params)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return pooled(xs[1].shape, _windows(y), _shares(xs[1], params), False, params, selects=True)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return apply(MaxPool2dGrad, (g, xs[1]), params)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, params in _EXAMPLES:
            yield Example((rng.normal(size=image), _distinct(rng, image)), params)


@register
class MaxPool2dGrad(_Pool, Linear):
    """The upstream gradient of each window, put where x has the window's maximum: shared where pixels tie.

    Linear in g. For x it is constant wherever it is differentiable.
    """

    name, label, latex = "max_pool2d_grad", "maxpoolᵀ", r"\operatorname{{maxpool}}'^{{\mathsf T}}_{{{1}}} {0}"
    each, whole = PerElement(multiplications=1, additions=4), PerElement(multiplications=1)
    evaluate = staticmethod(_max_pool_grad)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        g, x = xs
        number, dtype = super().infer(g, x, **params)
        _require_shape(cls.name, g, number)
        return x.shape, dtype

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return pooled(y.shape, _windows(xs[0]), _shares(xs[1], params), True, params, selects=True)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        return apply(MaxPool2dTangent, (g, xs[1]), params)

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, params in _EXAMPLES:
            x = _distinct(rng, image)
            yield Example((rng.normal(size=_pooled(cls.name, x, params)), x), params)


@register
class SumPool2d(_Pool, Linear):
    """The sum of each window; padding counts as 0."""

    name, label, latex = "sum_pool2d", "sumpool", r"\operatorname{{sumpool}} {0}"
    evaluate = staticmethod(_sum_pool)

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return pooled(xs[0].shape, _windows(y), None, False, params)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, size: Pair, **params: Any) -> Node:
        n, oh, ow, c = g.shape
        windows = broadcast_to(reshape(g, (n, oh, ow, 1, 1, c)), (n, oh, ow, *size, c))
        return apply(OverlapAdd2d, (windows,), {"shape": xs[0].shape[1:3], **params, "dilation": _NEAR})


def _windows(pool: Node) -> Pair:
    """How many windows there are, down and to the right."""
    return pool.shape[1], pool.shape[2]


def _require_shape(name: str, x: HasSpec, shape: Shape) -> None:
    if x.shape != shape:
        raise ShapeError(f"{name}: expected shape {shape}, got {x.shape}", fix=f"pass an array of {shape}")


def max_pool2d(
    x: Operand[N], /, size: int | Pair, *, stride: int | Pair | None = None, padding: Padding = "valid"
) -> N:
    """The largest pixel of each window of an image, for each channel.

    Args:
        x: images, floating, shape (N, H, W, C).
        size: rows and columns of a window; one number for both.
        stride: pixels from one window to the next; None for ``size``: windows that neither overlap nor leave
            gaps.
        padding: ``"valid"``, ``"same"``, a number, (rows, columns) or ((top, bottom), (left, right)), as in
            :func:`conv2d`; less than ``size``. Padding counts as -inf.

    Returns:
        Shape (N, OH, OW, C), ``OH = (H + top + bottom - rows) // stride + 1``. The gradient of a window goes
        to its largest pixel; pixels that tie share it equally.

    Raises:
        ShapeError: not four axes, windows larger than the padded images, or a window of padding alone.
        ArgumentError: size, stride or padding is none of the above.
        DTypeError: not floating.

    Example:
        >>> x = np.arange(8.0).reshape(1, 2, 4, 1)
        >>> max_pool2d(x, 2).tolist()
        [[[[5.0], [7.0]]]]
    """
    node = as_node(x)
    return apply(MaxPool2d, (node,), _params("max_pool2d", node, size, stride, padding))


def avg_pool2d(
    x: Operand[N],
    /,
    size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: Padding = "valid",
    count_include_pad: bool = False,
) -> N:
    """The mean of each window of an image, for each channel.

    Args:
        x: images, floating, shape (N, H, W, C).
        size, stride, padding: as in :func:`max_pool2d`, but padding counts as 0.
        count_include_pad: whether a mean divides by the whole window's size (True) or by the number of its
            pixels that lie in the image (False).

    Returns:
        Shape (N, OH, OW, C), as :func:`max_pool2d`.

    Raises:
        ShapeError, ArgumentError, DTypeError: as :func:`max_pool2d`.

    Example:
        >>> x = np.arange(8.0).reshape(1, 2, 4, 1)
        >>> avg_pool2d(x, 2).tolist()
        [[[[2.5], [4.5]]]]
        >>> avg_pool2d(np.ones((1, 1, 2, 1)), (1, 2), stride=1, padding=(0, 1)).tolist()
        [[[[1.0], [1.0], [1.0]]]]
    """
    node = as_node(x)
    params = _params("avg_pool2d", node, size, stride, padding)
    total = apply(SumPool2d, (node,), params)
    if as_flag("avg_pool2d", "count_include_pad", count_include_pad) or not any(map(any, params["padding"])):
        return total / float(params["size"][0] * params["size"][1])
    pixels = _sum_pool(np.ones((1, *node.shape[1:3], 1), node.dtype), **params)
    return total / pixels


def _params(name: str, x: Node, size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    """The parameters of a pool, checked; errors bear the name that the user called."""
    image = image_shape(name, x)[1:3]
    kernel = as_pair(name, "size", size)
    given = geometry(name, image, kernel, kernel if stride is None else stride, padding, _NEAR)
    params = {"size": kernel, "stride": given["stride"], "padding": given["padding"]}
    require_dtype(name, x.dtype, FLOATS)
    _pooled(name, x, params)
    return params
