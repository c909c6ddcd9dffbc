"""Convolution over images, and the two operations that transpose it.

Three primitives are closed under transposition, each linear in either input while the other is held::

    conv2d(x, w)                 image and kernel to output
    conv2d_input_grad(g, w)      upstream gradient and kernel to the image's gradient
    conv2d_weight_grad(x, g)     image and upstream gradient to the kernel's gradient

so every derivative of a convolution, of any order, is one of the three. Images are (N, H, W, C), kernels
(KH, KW, Cin / groups, Cout).

Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from chainrule.axes import Jointly, Ties
from chainrule.errors import ArgumentError, ShapeError
from chainrule.node import N, Node, Operand, apply, as_nodes
from chainrule.ops.batching import items_in, merged, split_off
from chainrule.ops.move import reshape
from chainrule.ops.sliding import entries, of_one, slid
from chainrule.ops.windows import (
    Padding,
    Pads,
    Pair,
    Tap,
    Windows2d,
    count_seen,
    count_windows,
    cut_windows,
    geometry,
    image_shape,
    taps,
)
from chainrule.primitive import Array, Cost, Example, HasSpec, Linear, moved_bytes, register
from chainrule.shapes import FLOATS, DType, Shape, as_int, count, promote, require_dtype

_BLOCK_BYTES = 1 << 22
"""Windows are unrolled into matrices of about this size, which the cache holds: best of 0.5 to 16 MiB."""


def _blocks(images: int, rows: int, bytes_per_row: int) -> Iterator[tuple[slice, slice, slice]]:
    """Parts of a batch that fit the block size: images, rows in each, and rows counted over the batch."""
    per_image = max(1, rows * bytes_per_row)
    if per_image <= _BLOCK_BYTES:
        step = _BLOCK_BYTES // per_image
        for a in range(0, images, step):
            b = min(a + step, images)
            yield slice(a, b), slice(0, rows), slice(a * rows, b * rows)
        return
    step = max(1, _BLOCK_BYTES // bytes_per_row)
    for a in range(images):
        for r in range(0, rows, step):
            s = min(r + step, rows)
            yield slice(a, a + 1), slice(r, s), slice(a * rows + r, a * rows + s)


def _by_group(matrix: Array, groups: int) -> Array:
    """Rows of all channels (P, C) as one matrix for each group, (G, P, C / G): a view."""
    return matrix.reshape(len(matrix), groups, matrix.shape[1] // groups).transpose(1, 0, 2)


def _unrolled(
    x: Array, kernel: Pair, stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Iterator[tuple[slice, Array]]:
    """Blocks of windows as matrices (G, P, KH * KW * Cin / G), with the rows of the output that they give."""
    windows = cut_windows(x, kernel, stride, padding, dilation)
    n, oh, ow, kh, kw, c = windows.shape
    split = windows.reshape(n, oh, ow, kh, kw, groups, c // groups).transpose(5, 0, 1, 2, 3, 4, 6)
    length = kh * kw * (c // groups)
    for images, rows, output_rows in _blocks(n, oh, ow * kh * kw * c * x.itemsize):
        pixels = slice(output_rows.start * ow, output_rows.stop * ow)
        block = split[:, images, rows]
        yield pixels, block.reshape(groups, pixels.stop - pixels.start, length)


def _conv2d(x: Array, w: Array, *, stride: Pair, padding: Pads, dilation: Pair, groups: int) -> Array:
    kh, kw, depth, cout = w.shape
    n, h, width, _ = x.shape
    oh, ow = count_windows("conv2d", (h, width), (kh, kw), stride, padding, dilation)
    places = taps((h, width), (kh, kw), (oh, ow), stride, padding, dilation)
    if depth == 1 and cout == groups:
        return _depthwise(x, w, list(places), (oh, ow))
    if any(map(any, padding)) and not np.isfinite(w).all():
        return _by_taps(x, w, places, (oh, ow), groups)
    out = np.empty((n * oh * ow, cout), np.result_type(x, w))
    matrices = _by_group(w.reshape(kh * kw * depth, cout), groups)
    for pixels, windows in _unrolled(x, (kh, kw), stride, padding, dilation, groups):
        np.matmul(windows, matrices, out=_by_group(out[pixels], groups))
    return out.reshape(n, oh, ow, cout)


def _input_grad(
    g: Array, w: Array, *, size: Pair, stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    # One product for each place in the kernel, added where its windows see the image: this beats a
    # matrix of whole windows followed by overlap-add, which writes KH * KW times as much.
    kh, kw, depth, cout = w.shape
    n, oh, ow, _ = g.shape
    cin = depth * groups
    image = np.zeros((n, *size, cin), np.result_type(g, w))
    places = list(taps(size, (kh, kw), (oh, ow), stride, padding, dilation))
    if depth == 1 and cout == groups:
        return _depthwise_input_grad(g, w, places, image)
    matrices = w.reshape(kh, kw, depth, groups, cout // groups).transpose(0, 1, 3, 4, 2)
    for images, *_ in _blocks(n, 1, oh * ow * cin * image.itemsize):
        part = image[images]
        block = _by_group(g[images].reshape(len(part) * oh * ow, cout), groups)
        for tap in places:
            product = np.matmul(block, matrices[tap.row, tap.column]).transpose(1, 0, 2)
            part[tap.pixels] += product.reshape(len(part), oh, ow, cin)[tap.windows]
    return image


def _weight_grad(
    x: Array, g: Array, *, size: Pair, stride: Pair, padding: Pads, dilation: Pair, groups: int
) -> Array:
    depth, cout = x.shape[3] // groups, g.shape[3]
    places = taps(x.shape[1:3], size, g.shape[1:3], stride, padding, dilation)
    if depth == 1 and cout == groups:
        return _depthwise_weight_grad(x, g, list(places), size)
    if any(map(any, padding)) and not np.isfinite(g).all():
        return _weight_grad_by_taps(x, g, places, size, groups)
    length = size[0] * size[1] * depth
    rows = g.reshape(g.shape[0] * g.shape[1] * g.shape[2], cout)
    total = np.zeros((groups, length, cout // groups), np.result_type(x, g))
    for pixels, windows in _unrolled(x, size, stride, padding, dilation, groups):
        total += np.matmul(windows.transpose(0, 2, 1), _by_group(rows[pixels], groups))
    return total.transpose(1, 0, 2).reshape(*size, depth, cout)


# Padding takes no part: a zero there would make NaN of an infinite weight or gradient. Where one is, each place in the
# kernel meets the pixels alone that it sees.


def _by_taps(x: Array, w: Array, places: Iterable[Tap], windows: Pair, groups: int) -> Array:
    out = np.zeros((len(x), *windows, w.shape[3]), np.result_type(x, w))
    for tap in places:
        seen = x[tap.pixels]
        rows = _by_group(seen.reshape(count(seen.shape[:3]), seen.shape[3]), groups)
        product = np.matmul(rows, _by_group(w[tap.row, tap.column], groups))
        out[tap.windows] += product.transpose(1, 0, 2).reshape(*seen.shape[:3], w.shape[3])
    return out


def _weight_grad_by_taps(x: Array, g: Array, places: Iterable[Tap], size: Pair, groups: int) -> Array:
    total = np.zeros((*size, x.shape[3] // groups, g.shape[3]), np.result_type(x, g))
    for tap in places:
        seen, upstream = (z.reshape(count(z.shape[:3]), z.shape[3]) for z in (x[tap.pixels], g[tap.windows]))
        product = np.matmul(_by_group(seen, groups).transpose(0, 2, 1), _by_group(upstream, groups))
        total[tap.row, tap.column] = product.transpose(1, 0, 2).reshape(total.shape[2:])
    return total


# One channel in each group ("depthwise"): products element by element are several times as fast as one
# narrow matrix for each channel.


def _depthwise(x: Array, w: Array, places: list[Tap], windows: Pair) -> Array:
    y = np.zeros((len(x), *windows, x.shape[3]), np.result_type(x, w))
    for images, *_ in _blocks(len(x), 1, y.itemsize * count(y.shape[1:])):
        part, seen = y[images], x[images]
        for tap in places:
            part[tap.windows] += seen[tap.pixels] * w[tap.row, tap.column, 0]
    return y


def _depthwise_input_grad(g: Array, w: Array, places: list[Tap], image: Array) -> Array:
    for images, *_ in _blocks(len(g), 1, image.itemsize * count(image.shape[1:])):
        part, upstream = image[images], g[images]
        for tap in places:
            part[tap.pixels] += upstream[tap.windows] * w[tap.row, tap.column, 0]
    return image


def _depthwise_weight_grad(x: Array, g: Array, places: list[Tap], size: Pair) -> Array:
    total = np.zeros((*size, 1, x.shape[3]), np.result_type(x, g))
    for tap in places:
        total[tap.row, tap.column, 0] = np.einsum("nhwc,nhwc->c", x[tap.pixels], g[tap.windows])
    return total


_AXES = {"image": "nhwgc", "kernel": "hwcgo", "output": "nhwgo"}
"""The axes of an image, a kernel and an output whose channels are split into groups: g of c each, or of o each."""


def _split_groups(x: Node, groups: int) -> Node:
    """The last axis as one for groups and one for the channels of each."""
    return reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))


def _joined_groups(x: Node) -> Node:
    """The inverse."""
    return reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))


class _Convolution(Linear):
    """What the three share: linear in either input, and the same products summed in three ways."""

    unfolds = True
    linear = (0, 1)
    joint = False
    roles: ClassVar[tuple[str, str, str]]
    """What the inputs and the output are: ``image``, ``kernel`` or ``output`` of a convolution."""

    @classmethod
    def ties(cls, i: int, y: Node, *xs: Node, size: Any = None, **params: Any) -> Ties:
        """A pixel is tied to a window and a place in the kernel; the values are those of the third array."""
        nodes = dict(zip(cls.roles, (*xs, y), strict=True))
        result, wrt, held = cls.roles[2], cls.roles[i], cls.roles[1 - i]
        image, kernel, output = (nodes[role].shape for role in ("image", "kernel", "output"))
        groups, geometry = params["groups"], {k: params[k] for k in ("stride", "padding", "dilation")}
        h, w, kh, kw, oh, ow = *image[1:3], *kernel[:2], *output[1:3]
        both = slid((h, w), (kh, kw), (oh, ow), (result, wrt), **geometry)
        inside = Jointly(("g", "c"), (groups, kernel[2]))
        outside = Jointly(("g", "o"), (groups, kernel[3] // groups))
        x = nodes[held]
        if held == "image":  # padding is zeros here: a label for windows, one for places
            cut = apply(Windows2d, (x,), {"size": (kh, kw), **geometry})
            windows, places = (("o", 0), ("o", 1)), (("k", 0), ("k", 1))
            axes = {"kernel": (*places, "c", outside), "output": ("n", *windows, outside)}
            return Ties(
                axes[result], axes[wrt], _split_groups(cut, groups), ("n", *windows, *places, "g", "c")
            )
        values, labels = of_one(x, 0 if held == "kernel" else 1, held, both)
        axes = {
            "image": ("n", *entries(*both, "image"), inside),
            "kernel": (*entries(*both, "kernel"), "c", outside),
            "output": ("n", *entries(*both, "output"), outside),
        }
        named = (*labels, "c", "g", "o") if held == "kernel" else ("n", *labels, "g", "o")
        return Ties(axes[result], axes[wrt], _split_groups(values, groups), named)

    @classmethod
    def batch(cls, xs: Sequence[Node], batched: Sequence[bool], **params: Any) -> Node:
        """The batch joins the axis that those arrays share which differ from item to item: images, channels, groups."""
        differ = {cls.roles[2], *(role for role, b in zip(cls.roles, batched, strict=False) if b)}
        letter = next(c for c in "ncog" if {role for role, axes in _AXES.items() if c in axes} == differ)
        items, groups = items_in(xs, batched), params["groups"]
        given = [
            _joined_groups(merged(_split_groups(x, groups), _AXES[role].index(letter))) if b else x
            for x, b, role in zip(xs, batched, cls.roles, strict=False)
        ]
        groups *= items if letter == "g" else 1
        y = _split_groups(apply(cls, tuple(given), {**params, "groups": groups}), groups)
        return _joined_groups(split_off(y, _AXES[cls.roles[2]].index(letter), items))

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        shapes = dict(zip(cls.roles, (xs[0].shape, xs[1].shape, shape), strict=True))
        kernel, output = shapes["kernel"], shapes["output"]
        products = count(output) * count(kernel[:3])
        if kernel[2] == 1 and kernel[3] == params["groups"]:  # which computes nothing on padding
            h, w = shapes["image"][1:3]
            seen = count_seen(
                (h, w),
                (kernel[0], kernel[1]),
                (output[1], output[2]),
                params["stride"],
                params["padding"],
                params["dilation"],
            )
            products = output[0] * seen * kernel[3]
        return Cost(products, products, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, kernel, params in _EXAMPLES:
            output, _ = Conv2d.infer(np.zeros(image), np.zeros(kernel), **params)
            shapes = {"image": image, "kernel": kernel, "output": output}
            inputs = tuple(rng.normal(size=shapes[role]) for role in cls.roles[:2])
            sizes = {"image": {"size": image[1:3]}, "kernel": {"size": kernel[:2]}, "output": {}}
            yield Example(inputs, {**sizes[cls.roles[2]], **params})


@register
class Conv2d(_Convolution):
    """Cross-correlation of images with a kernel, over rows and columns, all channels of a group at once."""

    name, label, latex = "conv2d", "conv", r"{0} \star {1}"
    roles = ("image", "kernel", "output")
    evaluate = staticmethod(_conv2d)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        x, w = xs
        n, h, width, cin = image_shape(cls.name, x)
        kh, kw, depth, cout = kernel_shape(cls.name, w)
        groups = params["groups"]
        if cin != depth * groups:
            raise _channels(x.shape, w.shape, groups)
        if cout % groups:
            raise ArgumentError(
                f"{cls.name}: groups={groups} does not divide the {cout} output channels of kernel {w.shape}",
                fix=f"give the kernel a multiple of {groups} output channels",
            )
        number = _output_size((h, width), (kh, kw), params)
        return (n, *number, cout), _dtype(cls.name, x, w)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, **params: Any) -> Node:
        x, w = xs
        if i == 0:
            return apply(Conv2dInputGrad, (g, w), {"size": x.shape[1:3], **params})
        return apply(Conv2dWeightGrad, (x, g), {"size": w.shape[:2], **params})


@register
class Conv2dInputGrad(_Convolution):
    """Gradient of a convolution for its image, from the upstream gradient and the kernel.

    Also known as transposed or fractionally strided convolution.
    """

    name, label, latex = "conv2d_input_grad", "convᵀ", r"{0} \star^{{\mathsf T}} {1}"
    roles = ("output", "kernel", "image")
    evaluate = staticmethod(_input_grad)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        g, w = xs
        kh, kw, depth, cout = kernel_shape(cls.name, w)
        number = _output_size(params["size"], (kh, kw), params)
        _require_output(cls.name, g, number, cout)
        return (g.shape[0], *params["size"], depth * params["groups"]), _dtype(cls.name, g, w)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, size: Pair, **params: Any) -> Node:
        upstream, w = xs
        if i == 0:
            return apply(Conv2d, (g, w), params)
        return apply(Conv2dWeightGrad, (g, upstream), {"size": w.shape[:2], **params})


@register
class Conv2dWeightGrad(_Convolution):
    """Gradient of a convolution for its kernel, from the image and the upstream gradient."""

    name, label, latex = "conv2d_weight_grad", "∂conv/∂w", r"{0} \star_w {1}"
    roles = ("image", "output", "kernel")
    evaluate = staticmethod(_weight_grad)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        x, g = xs
        _, h, width, cin = image_shape(cls.name, x)
        cout = g.shape[-1] if g.shape else 0
        _require_output(cls.name, g, _output_size((h, width), params["size"], params), cout)
        return (*params["size"], cin // params["groups"], cout), _dtype(cls.name, x, g)

    @staticmethod
    def transpose(g: Node, i: int, *xs: Node, size: Pair, **params: Any) -> Node:
        x, upstream = xs
        if i == 0:
            return apply(Conv2dInputGrad, (upstream, g), {"size": x.shape[1:3], **params})
        return apply(Conv2d, (x, g), params)


def _plain(
    stride: int = 1, padding: Pads = ((0, 0), (0, 0)), dilation: int = 1, groups: int = 1
) -> dict[str, Any]:
    return {
        "stride": (stride, stride),
        "padding": padding,
        "dilation": (dilation, dilation),
        "groups": groups,
    }


_EXAMPLES: tuple[tuple[Shape, Shape, dict[str, Any]], ...] = (
    ((2, 4, 5, 2), (2, 3, 2, 3), _plain()),
    ((1, 6, 6, 2), (3, 2, 2, 2), _plain(stride=2, padding=((1, 0), (0, 2)))),
    ((1, 5, 6, 4), (2, 2, 2, 4), _plain(dilation=2, groups=2)),
    ((2, 3, 3, 3), (2, 2, 1, 3), _plain(padding=((1, 1), (1, 1)), groups=3)),
    ((1, 1, 1, 2), (1, 1, 2, 1), _plain(stride=2)),
    ((0, 3, 3, 1), (2, 2, 1, 2), _plain()),
)


def kernel_shape(name: str, w: HasSpec) -> tuple[int, int, int, int]:
    """The four sizes (KH, KW, Cin / groups, Cout) of a kernel.

    Raises:
        ShapeError: not four axes.
    """
    if len(w.shape) != 4:
        raise ShapeError(
            f"{name}: expected a kernel of shape (KH, KW, Cin / groups, Cout), got {w.shape}",
            fix="reshape to four axes, with 1 for a size that is missing",
        )
    return w.shape


def _dtype(name: str, *xs: HasSpec) -> DType:
    dtype = promote(name, *(x.dtype for x in xs))
    require_dtype(name, dtype, FLOATS)
    return dtype


def _output_size(image: Pair, kernel: Pair, params: dict[str, Any]) -> Pair:
    return count_windows("conv2d", image, kernel, params["stride"], params["padding"], params["dilation"])


def _require_output(name: str, g: HasSpec, number: Pair, channels: int) -> None:
    if len(g.shape) != 4 or g.shape[1:] != (*number, channels):
        raise ShapeError(
            f"{name}: expected a gradient of shape (N, {number[0]}, {number[1]}, {channels}), got {g.shape}",
            fix="it must be shaped as the output of the convolution",
        )


def _channels(x: Shape, w: Shape, groups: int) -> ShapeError:
    depth, cin = w[2], x[3]
    if x[1] == depth * groups:
        n, c, h, width = x
        fix = f"the images look like (N, C, H, W): permute_dims(x, (0, 2, 3, 1)) is {(n, h, width, c)}"
    elif w[1] * groups == cin and w[2] == w[3] != w[0]:
        cout, _, kh, kw = w
        fix = (
            f"the kernel looks like torch's: permute_dims(w, (2, 3, 1, 0)) is {(kh, kw, cin // groups, cout)}"
        )
    elif depth and cin % depth == 0 and not w[3] % (cin // depth):
        fix = f"pass groups={cin // depth}"
        if cin % groups == 0:
            fix += f", or a kernel with {cin // groups} input channels"
    elif cin % groups:
        fix = f"groups={groups} must divide the {cin} channels of the images"
    else:
        fix = f"the kernel's third size must be {cin // groups}"
    times = f" in each of {groups} groups" if groups > 1 else ""
    return ShapeError(
        f"conv2d: images of shape {x} have {cin} channels, the kernel of shape {w} takes {depth}{times}",
        fix=fix,
    )


def conv2d(
    x: Operand[N],
    w: Operand[N],
    /,
    *,
    stride: int | Pair = 1,
    padding: Padding = "valid",
    dilation: int | Pair = 1,
    groups: int = 1,
) -> N:
    """Convolve images with a kernel (cross-correlation: the kernel is not flipped).

    ``y[n, i, j, o] = Σ x[n, i' + a * dilation, j' + b * dilation, c] * w[a, b, c, o]`` over the kernel's rows
    a, columns b and channels c, with ``i' = i * stride - top`` and ``j' = j * stride - left``; pixels outside
    the image take no part, as if they were 0, and not even an infinite weight makes NaN of them.

    Args:
        x: images, floating, shape (N, H, W, Cin).
        w: kernel, floating, shape (KH, KW, Cin / groups, Cout), as in Keras and jax.
        stride: pixels from one window to the next; one number, or (rows, columns).
        padding: ``"valid"`` none; ``"same"`` what makes ceil(H / stride) rows, the odd pixel at the bottom
            and right; or zeros on all sides, (rows, columns), or ((top, bottom), (left, right)).
        dilation: pixels from one element of the kernel to the next; one number, or (rows, columns).
        groups: parts into which the channels are cut; each part of the output sees one part of the input.

    Returns:
        Shape (N, OH, OW, Cout), with ``OH = (H + top + bottom - (KH - 1) * dilation - 1) // stride + 1``.

    Raises:
        ShapeError: not four axes, channels that do not fit, or a kernel larger than the padded images.
        ArgumentError: groups do not divide the channels; stride, dilation, groups or padding impossible.
        DTypeError: not floating.

    Example:
        >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
        >>> conv2d(x, np.ones((2, 2, 1, 1))).reshape((2, 2)).tolist()
        [[8.0, 12.0], [20.0, 24.0]]

    Source: Dumoulin and Visin, arXiv:1603.07285; LeCun et al., Proc. IEEE 86(11), 1998,
    DOI 10.1109/5.726791.
    """
    images, kernel = as_nodes("conv2d", x, w)
    size = kernel_shape("conv2d", kernel)[:2]
    params = geometry("conv2d", image_shape("conv2d", images)[1:3], size, stride, padding, dilation)
    number = as_int("conv2d", "groups", groups)
    if number < 1:
        raise ArgumentError(f"conv2d: groups must be 1 or more, got {groups}", fix="pass groups=1")
    return apply(Conv2d, (images, kernel), {**params, "groups": number})
