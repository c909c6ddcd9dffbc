"""Max pools that remember where their maxima are: what a compiled gradient keeps instead of the whole image.

Where the pixels of a window tie for its maximum fits a byte, a bit for each place: a sixteenth of a window of 2 × 2
numbers. The compiler puts these primitives into graphs whose derivatives have been taken
(:mod:`chainrule.compiler.passes.ties`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ShapeError
from chainrule.ops.arithmetic import Scale
from chainrule.ops.batching import folded
from chainrule.ops.pool import MaxPool2d, MaxPool2dGrad, SumPool2d
from chainrule.ops.windows import Pads, Pair, count_windows, image_shape, taps
from chainrule.primitive import (
    Array,
    Cost,
    Discrete,
    Example,
    HasSpec,
    moved_bytes,
    register,
)
from chainrule.shapes import FLOATS, DType, Shape, Spec, int32, require_dtype

MOST = 8
"""Places of a window: bits of a byte."""
TOGETHER = 4
"""Bytes in an element of what is kept: channels come in multiples of it."""
_UNPADDED: Pads = ((0, 0), (0, 0))


def fits(shape: Shape, size: Pair, padding: Pads) -> bool:
    """Whether a pool of images has windows without padding, of at most `MOST` places, and a multiple of `TOGETHER`
    channels."""
    return padding == _UNPADDED and size[0] * size[1] <= MOST and shape[-1] % TOGETHER == 0


def _ties(x: Array, *, size: Pair, stride: Pair, padding: Pads) -> Array:
    y = MaxPool2d.evaluate(x, size=size, stride=stride, padding=padding)
    bits = np.zeros(y.shape, np.uint8)
    for tap in taps(x.shape[1:3], size, y.shape[1:3], stride, padding, (1, 1)):
        wins = x[tap.pixels] == y[tap.windows]
        bits[tap.windows] |= wins.astype(np.uint8) << np.uint8(size[1] * tap.row + tap.column)
    return bits.view(np.int32)


def _spread(g: Array, ties: Array, *, image: Pair, size: Pair, stride: Pair, padding: Pads) -> Array:
    bits = np.ascontiguousarray(ties).view(np.uint8)
    number = sum((bits >> np.uint8(i) & np.uint8(1) for i in range(size[0] * size[1])), np.uint8(0))
    share = g / np.asarray(number).astype(g.dtype)
    spread = np.zeros((g.shape[0], *image, g.shape[3]), g.dtype)
    for tap in taps(image, size, g.shape[1:3], stride, padding, (1, 1)):
        wins = bits[tap.windows] >> np.uint8(size[1] * tap.row + tap.column) & np.uint8(1)
        spread[tap.pixels] += Scale.evaluate(wins.astype(bool), share[tap.windows])
    return spread


_EXAMPLES: tuple[tuple[Shape, dict[str, Any]], ...] = (
    ((2, 4, 5, 4), {"size": (2, 2), "stride": (2, 2), "padding": _UNPADDED}),
    ((1, 5, 6, 8), {"size": (2, 4), "stride": (1, 2), "padding": _UNPADDED}),
    ((0, 3, 3, 4), {"size": (2, 2), "stride": (1, 1), "padding": _UNPADDED}),
)


def _require_fit(name: str, shape: Shape, params: dict[str, Any]) -> None:
    if not fits(shape, params["size"], params["padding"]):
        raise ShapeError(
            f"{name}: windows of {params['size']} with padding {params['padding']} over {shape[-1]} channels",
            fix=f"keep ties of at most {MOST} places, without padding, for multiples of {TOGETHER} channels",
        )


@register
class MaxPool2dTies(Discrete):
    """Which places of each window hold its maximum: bit ``columns * i + j`` for row i and column j, a byte for each
    channel, four of them in an element. No bit where the maximum is nan.

    For images (N, H, W, C) it is (N, OH, OW, C / 4).
    """

    name, label, latex = "max_pool2d_ties", "argmaxpool", r"\operatorname{{argmaxpool}} {0}"
    batch = classmethod(folded)
    evaluate = staticmethod(_ties)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        (n, oh, ow, c), _ = MaxPool2d.infer(*xs, **params)
        _require_fit(cls.name, xs[0].shape, params)
        return (n, oh, ow, c // TOGETHER), int32

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        pooled, own = MaxPool2d.infer(*xs, **params)
        once = MaxPool2d.cost(xs, pooled, own, **params)
        return Cost(additions=2 * once.additions, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, params in _EXAMPLES:
            yield Example((np.round(rng.normal(size=image)),), params)


@register
class MaxPool2dSpread(Discrete):
    """The upstream gradient of each window, shared by the places that tie for its maximum: the gradient of a max pool
    for the image, from what :class:`MaxPool2dTies` has kept.

    For g (N, OH, OW, C) and ties (N, OH, OW, C / 4) it is (N, *image, C).
    """

    name, label, latex = (
        "max_pool2d_spread",
        "maxpoolᵀ",
        r"\operatorname{{maxpool}}'^{{\mathsf T}}_{{{1}}} {0}",
    )
    batch = classmethod(folded)
    evaluate = staticmethod(_spread)

    @classmethod
    def infer(cls, *xs: HasSpec, **params: Any) -> tuple[Shape, DType]:
        g, ties = xs
        n, oh, ow, c = image_shape(cls.name, g)
        require_dtype(cls.name, g.dtype, FLOATS)
        require_dtype(cls.name, ties.dtype, (int32,))
        _require_fit(cls.name, g.shape, params)
        given = params["image"], params["size"], params["stride"], params["padding"]
        windows = count_windows(cls.name, *given, (1, 1))
        if (oh, ow) != windows or ties.shape != (n, oh, ow, c // TOGETHER):
            raise ShapeError(
                f"{cls.name}: gradients of shape {g.shape} and ties of {ties.shape} do not fit images of "
                f"{params['image']}",
                fix="pass what max_pool2d_ties gave for such images, and a gradient of the same windows",
            )
        return (n, *params["image"], c), g.dtype

    @classmethod
    def cost(cls, xs: Sequence[HasSpec], shape: Shape, dtype: DType, /, **params: Any) -> Cost:
        given = {name: params[name] for name in ("size", "stride", "padding")}
        multiplications = MaxPool2dGrad.cost(
            (xs[0], Spec(shape, dtype)), shape, dtype, **given
        ).multiplications
        sums = SumPool2d.cost((Spec(shape, dtype),), xs[0].shape, dtype, **given).additions
        return Cost(multiplications, sums, bytes=moved_bytes(xs, shape, dtype))

    @classmethod
    def examples(cls, rng: np.random.Generator) -> Iterable[Example]:
        for image, params in _EXAMPLES:
            ties = _ties(np.round(rng.normal(size=image)), **params)
            g = rng.normal(size=(*ties.shape[:3], image[3]))
            yield Example((g, ties), {**params, "image": image[1:3]})
