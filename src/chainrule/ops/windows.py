"""Sliding windows over images: where they lie, cutting them out, and adding them back.

Images are arrays of shape (N, H, W, C): images, rows, columns, channels. What convolution and pooling
have in common lives here, so that both read ``stride``, ``padding`` and ``dilation`` in one way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from chainrule.axes import Ties
from chainrule.errors import ArgumentError, ShapeError, shown
from chainrule.node import N, Node, Operand, apply, as_node
from chainrule.ops.batching import folded
from chainrule.ops.sliding import entries, slid
from chainrule.primitive import Array, Cost, Example, HasSpec, Linear, moved_bytes, register
from chainrule.shapes import NUMBERS, DType, Shape, as_int, require_dtype, require_room

Pair: TypeAlias = "tuple[int, int]"
Pads: TypeAlias = "tuple[Pair, Pair]"
Padding: TypeAlias = (
    'Literal["valid", "same"] | int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]'
)

_NAMED_PADDING = ("valid", "same")


class Tap(NamedTuple):
    """One place (row, column) in the kernel, and which windows see a pixel of the image there.

    ``array[tap.windows]`` of an array (N, OH, OW, ...) and ``image[tap.pixels]`` of an image have the same
    shape and correspond; windows that see padding at this place are in neither.
    """

    row: int
    column: int
    windows: tuple[slice, slice, slice]
    pixels: tuple[slice, slice, slice]


def span(kernel: Pair, dilation: Pair) -> Pair:
    """Rows and columns that a window reaches over, gaps included."""
    return (kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1


def count_windows(name: str, image: Pair, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Pair:
    """The number of windows in each direction, (OH, OW).

    Raises:
        ShapeError: the kernel is larger than the padded image.
    """
    wide = span(kernel, dilation)
    room = [n + before + after for n, (before, after) in zip(image, padding, strict=True)]
    if min(kernel) < 1:
        raise ShapeError(
            f"{name}: a kernel needs at least 1 row and 1 column, got {kernel}", fix="enlarge it"
        )
    if wide[0] > room[0] or wide[1] > room[1]:
        dilated = f" with dilation {dilation}" if dilation != (1, 1) else ""
        raise ShapeError(
            f"{name}: a kernel of {kernel}{dilated} needs {wide[0]} rows and {wide[1]} columns, "
            f"the padded images have {room[0]} and {room[1]}",
            fix='pad the images, for example padding="same", or choose a smaller kernel',
        )
    return (room[0] - wide[0]) // stride[0] + 1, (room[1] - wide[1]) // stride[1] + 1


def taps(
    image: Pair, kernel: Pair, windows: Pair, stride: Pair, padding: Pads, dilation: Pair
) -> Iterator[Tap]:
    """Every place in the kernel, row by row; padding is left out, so no padded image is needed."""
    everything = slice(None)
    for row in range(kernel[0]):
        rows = _seen(image[0], windows[0], stride[0], row * dilation[0] - padding[0][0])
        for column in range(kernel[1]):
            columns = _seen(image[1], windows[1], stride[1], column * dilation[1] - padding[1][0])
            yield Tap(row, column, (everything, rows[0], columns[0]), (everything, rows[1], columns[1]))


def count_seen(image: Pair, kernel: Pair, windows: Pair, stride: Pair, padding: Pads, dilation: Pair) -> int:
    """Pairs of a window and a pixel of the image that lies in it; padding is left out."""
    along = [
        sum(
            len(range(*seen.indices(windows[a])))
            for tap in range(kernel[a])
            for seen in _seen(image[a], windows[a], stride[a], tap * dilation[a] - padding[a][0])[:1]
        )
        for a in (0, 1)
    ]
    return along[0] * along[1]


def _seen(size: int, windows: int, stride: int, offset: int) -> tuple[slice, slice]:
    """The windows ``o`` whose pixel ``o * stride + offset`` lies in the image, and those pixels."""
    first = max(0, -(offset // stride))
    stop = min(windows, (size - 1 - offset) // stride + 1)
    if stop <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, stop), slice(start, start + (stop - first - 1) * stride + 1, stride)


def cut_windows(x: Array, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    """All windows, (N, OH, OW, KH, KW, C): a view of the image, which is copied only to be padded."""
    if padding != ((0, 0), (0, 0)):
        (top, bottom), (left, right) = padding
        n, h, w, c = x.shape
        wide = (n, top + h + bottom, left + w + right, c)
        require_room("padding", wide)
        padded = np.zeros(wide, x.dtype)
        padded[:, top : top + h, left : left + w] = x
        x = padded
    windows = cast("Array", np.lib.stride_tricks.sliding_window_view(x, span(kernel, dilation), axis=(1, 2)))
    strided = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return strided.transpose(0, 1, 2, 4, 5, 3)


def _overlap_add(g: Array, shape: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
    n, oh, ow, kh, kw, c = g.shape
    image = np.zeros((n, *shape, c), g.dtype)
    for tap in taps(shape, (kh, kw), (oh, ow), stride, padding, dilation):
        image[tap.pixels] += g[tap.windows][:, :, :, tap.row, tap.column]
    return image


@register
class Windows2d(Linear):
    """All sliding windows of an image; pixels outside the image are 0."""

    unfolds = True
    name, label, latex = "windows2d", "windows", r"\operatorname{{windows}} {0}"
    batch = classmethod(folded)

    @staticmethod
    def evaluate(x: Array, *, size: Pair, stride: Pair, padding: Pads, dilation: Pair) -> Array:
        return cut_windows(x, size, stride, padding, dilation)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        n, h, w, c = image_shape(cls.name, xs[0])
        require_dtype(cls.name, xs[0].dtype, NUMBERS)
        size = params["size"]
        number = count_windows(
            cls.name, (h, w), size, params["stride"], params["padding"], params["dilation"]
        )
        return (n, *number, *size, c), xs[0].dtype

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return _window_ties(xs[0].shape, y.shape, ("windows", "image"), params)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, size: Pair, **geometry: Any) -> Node:
        return apply(OverlapAdd2d, (g,), {"shape": xs[0].shape[1:3], **geometry})

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, params in _EXAMPLES:
            yield Example((rng.normal(size=image),), params)


@register
class OverlapAdd2d(Linear):
    """The sum of all windows, each put where it lay in the image: the transpose of cutting them out."""

    unfolds = True
    name, label, latex = "overlap_add2d", "overlap-add", r"\operatorname{{overlapadd}} {0}"
    evaluate = staticmethod(_overlap_add)
    batch = classmethod(folded)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        given, shape = xs[0].shape, params["shape"]
        require_dtype(cls.name, xs[0].dtype, NUMBERS)
        if len(given) != 6:
            raise ShapeError(
                f"{cls.name}: expected windows of shape (N, OH, OW, KH, KW, C), got {given}",
                fix="pass what cr.windows2d returns",
            )
        size = (given[3], given[4])
        number = count_windows(cls.name, shape, size, params["stride"], params["padding"], params["dilation"])
        if number != given[1:3]:
            raise ShapeError(
                f"{cls.name}: an image of {shape} has {number} windows of {size}, got {given[1:3]}",
                fix="pass the same shape, stride, padding and dilation as to cr.windows2d",
            )
        return (given[0], *shape, given[5]), xs[0].dtype

    @staticmethod
    def ties(i: int, y: Node, *xs: Node, **params: Any) -> Ties:
        return _window_ties(y.shape, xs[0].shape, ("image", "windows"), params)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, shape: Pair, **geometry: Any) -> Node:
        return apply(Windows2d, (g,), {"size": xs[0].shape[3:5], **geometry})

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        n, *number, kh, kw, c = xs[0].shape
        seen = count_seen(
            params["shape"],
            (kh, kw),
            (number[0], number[1]),
            params["stride"],
            params["padding"],
            params["dilation"],
        )
        return Cost(additions=n * seen * c, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, params in _EXAMPLES:
            windows, _ = Windows2d.infer(np.zeros(image), **params)
            geometry = {key: value for key, value in params.items() if key != "size"}
            yield Example((rng.normal(size=windows),), {"shape": image[1:3], **geometry})


def _window_ties(image: Shape, windows: Shape, roles: tuple[str, str], params: dict[str, Any]) -> Ties:
    """Ties of an image and all its windows, (N, OH, OW, KH, KW, C); ``roles`` says which is the result."""
    (_, h, w, _), (_, oh, ow, kh, kw, _) = image, windows
    by = ("output", "image") if roles[0] == "windows" else ("image", "output")
    geometry = {k: params[k] for k in ("stride", "padding", "dilation")}
    both = slid((h, w), (kh, kw), (oh, ow), by, **geometry)
    axes = {
        "windows": ("n", *entries(*both, "output"), *entries(*both, "kernel"), "c"),
        "image": ("n", *entries(*both, "image"), "c"),
    }
    return Ties(axes[roles[0]], axes[roles[1]])


_NONE: Pads = ((0, 0), (0, 0))
_EXAMPLES: tuple[tuple[Shape, dict[str, Any]], ...] = (
    ((2, 4, 5, 2), {"size": (2, 3), "stride": (1, 1), "padding": _NONE, "dilation": (1, 1)}),
    ((1, 6, 5, 1), {"size": (3, 2), "stride": (2, 3), "padding": ((1, 2), (0, 3)), "dilation": (2, 1)}),
    ((0, 3, 3, 1), {"size": (2, 2), "stride": (1, 1), "padding": _NONE, "dilation": (1, 1)}),
)


def image_shape(name: str, x: HasSpec) -> tuple[int, int, int, int]:
    """The four sizes (N, H, W, C) of images.

    Raises:
        ShapeError: not four axes.
    """
    if len(x.shape) == 4:
        return x.shape
    fix = "reshape to four axes, with 1 for a size that is missing"
    if len(x.shape) == 3:
        h, w, c = x.shape
        fix = f"reshape to (1, {h}, {w}, {c}) for one image, or to ({h}, {w}, {c}, 1) for one channel"
    raise ShapeError(f"{name}: expected images of shape (N, H, W, C), got {x.shape}", fix=fix)


def as_pair(name: str, what: str, value: Any) -> Pair:
    """``value`` for height and width: one integer of 1 or more for both, or one each.

    Raises:
        ArgumentError: anything else.
    """
    given = tuple(cast("Sequence[Any]", value)) if isinstance(value, (tuple, list)) else (value, value)
    if len(given) != 2:
        raise ArgumentError(
            f"{name}: {what} must be one integer or two (height, width), got {shown(value)}",
            fix="pass a pair",
        )
    height, width = (as_int(name, what, n) for n in given)
    if height < 1 or width < 1:
        raise ArgumentError(f"{name}: {what} must be 1 or more, got {shown(value)}", fix=f"pass {what}=1")
    return height, width


def as_padding(name: str, padding: Any, image: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pads:
    """Rows (top, bottom) and columns (left, right) to add to an image.

    ``"same"`` adds what makes ``ceil(size / stride)`` windows, the odd pixel at the bottom and right, as
    Keras and TensorFlow do.

    Raises:
        ArgumentError: not one of the accepted forms, or negative.
    """
    if isinstance(padding, str):
        if padding not in _NAMED_PADDING:
            raise ArgumentError(
                f"{name}: padding {shown(padding)} is not one of {', '.join(map(repr, _NAMED_PADDING))}",
                fix="or pass integers: p, (rows, columns) or ((top, bottom), (left, right))",
            )
        if padding == "valid":
            return _NONE
        rows, columns = (_same(*sizes) for sizes in zip(image, span(kernel, dilation), stride, strict=True))
        return rows, columns
    sides = cast("Sequence[Any]", padding) if isinstance(padding, (tuple, list)) else (padding, padding)
    pairs = [tuple(cast("Sequence[Any]", s)) if isinstance(s, (tuple, list)) else (s, s) for s in sides]
    if len(pairs) != 2 or any(len(pair) != 2 for pair in pairs):
        raise ArgumentError(
            f"{name}: padding {shown(padding)} is not an integer, (rows, columns) "
            "or ((top, bottom), (left, right))",
            fix='pass one of these, "valid" or "same"',
        )
    (top, bottom), (left, right) = (tuple(as_int(name, "padding", n) for n in pair) for pair in pairs)
    if min(top, bottom, left, right) < 0:
        raise ArgumentError(
            f"{name}: padding must not be negative, got {shown(padding)}", fix="cut with x[:, a:b]"
        )
    return (top, bottom), (left, right)


def _same(size: int, wide: int, stride: int) -> Pair:
    total = max((-(-size // stride) - 1) * stride + wide - size, 0)
    return total // 2, total - total // 2


def windows2d(
    x: Operand[N],
    /,
    size: int | Pair,
    *,
    stride: int | Pair = 1,
    padding: Padding = "valid",
    dilation: int | Pair = 1,
) -> N:
    """Cut images into sliding windows (im2col).

    Args:
        x: numbers, shape (N, H, W, C).
        size: rows and columns of a window, KH and KW; one number for both.
        stride: pixels from one window to the next, down and to the right.
        padding: ``"valid"`` none; ``"same"`` what makes ceil(H / stride) windows; or a number of zeros for
            all sides, (rows, columns), or ((top, bottom), (left, right)).
        dilation: pixels from one element of a window to the next.

    Returns:
        Shape (N, OH, OW, KH, KW, C) with ``OH = (H + top + bottom - (KH - 1) * dilation - 1) // stride + 1``.

    Raises:
        ShapeError: ``x`` has not four axes, or a window is larger than the padded image.
        ArgumentError: size, stride, dilation or padding is none of the above.

    Example:
        >>> windows2d([[[[1.0], [2.0], [3.0]]]], (1, 2)).tolist()
        [[[[[[1.0], [2.0]]], [[[2.0], [3.0]]]]]]
    """
    node = as_node(x)
    image = image_shape("windows2d", node)[1:3]
    kernel = as_pair("windows2d", "size", size)
    params = geometry("windows2d", image, kernel, stride, padding, dilation)
    return apply(Windows2d, (node,), {"size": kernel, **params})


def overlap_add2d(
    x: Operand[N],
    /,
    shape: Pair,
    *,
    stride: int | Pair = 1,
    padding: Padding = "valid",
    dilation: int | Pair = 1,
) -> N:
    """Put windows back where they lay in the image and add where they overlap: the transpose of `windows2d`.

    Args:
        x: windows, shape (N, OH, OW, KH, KW, C).
        shape: rows and columns of the image, (H, W).
        stride, padding, dilation: as in :func:`windows2d`; what falls on the padding is dropped.

    Returns:
        Shape (N, H, W, C).

    Raises:
        ShapeError: an image of that shape has another number of windows.

    Example:
        >>> overlap_add2d(np.ones((1, 1, 2, 1, 2, 1)), (1, 3)).tolist()
        [[[[1.0], [2.0], [1.0]]]]
    """
    node = as_node(x)
    kernel = tuple(node.shape[3:5]) if node.ndim == 6 else (1, 1)
    image = as_pair("overlap_add2d", "shape", shape)
    params = geometry("overlap_add2d", image, kernel, stride, padding, dilation)
    require_room("overlap_add2d", (*node.shape[:1], *image, *node.shape[-1:]))
    return apply(OverlapAdd2d, (node,), {"shape": image, **params})


def geometry(
    name: str, image: Pair, kernel: Pair, stride: Any, padding: Any, dilation: Any
) -> dict[str, Any]:
    """The parameters ``stride``, ``padding`` and ``dilation`` of a primitive, checked and in full."""
    steps, gaps = as_pair(name, "stride", stride), as_pair(name, "dilation", dilation)
    pads = as_padding(name, padding, image, kernel, steps, gaps)
    return {"stride": steps, "padding": pads, "dilation": gaps}
