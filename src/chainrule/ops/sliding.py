"""What ties pixels to the windows in which they lie: local Jacobians of convolutions, pools and windows.

The pixel ``i = o * stride + k * dilation - padding`` along an axis is that of window ``o`` at its place ``k``. So an
image is tied to its windows by two labels together, and a Jacobian is nonzero where they agree. At borders some of
these pixels are padding. There one label runs over the pairs of a window and a place that see the image, so that no
zero is ever multiplied.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.axes import At, Jointly, Ties
from chainrule.node import Node
from chainrule.ops.index import take
from chainrule.ops.move import permute_dims, reshape
from chainrule.shapes import Shape

if TYPE_CHECKING:
    from chainrule.ops.windows import Pads, Pair

Places = tuple[int, ...]


class Sliding(NamedTuple):
    """One axis along which windows slide.

    Attributes:
        output, kernel, image: what to state of the number of the window, the place in it, and the pixel.
        over: the label of pairs of a window and a place; None where all of them see the image.
        windows, places: of those pairs.
    """

    output: Hashable
    kernel: Hashable
    image: Hashable
    over: Hashable = None
    windows: Places = ()
    places: Places = ()


def slid(
    image: Pair,
    kernel: Pair,
    windows: Pair,
    by: tuple[str, str],
    *,
    stride: Pair,
    padding: Pads,
    dilation: Pair,
) -> tuple[Sliding, Sliding]:
    """Rows and columns.

    Args:
        image, kernel, windows: how many pixels, places in a window and windows, down and to the right.
        by: the roles of result and argument, ``"output"``, ``"kernel"`` or ``"image"``: pairs are in their order.
    """
    sizes = zip(image, kernel, windows, stride, padding, dilation, strict=True)
    rows, columns = (_along(a, by, *some) for a, some in enumerate(sizes))
    return rows, columns


def _along(
    axis: int,
    by: tuple[str, str],
    image: int,
    kernel: int,
    windows: int,
    stride: int,
    pads: Pair,
    dilation: int,
) -> Sliding:
    o, k = ("o", axis), ("k", axis)
    pixels = np.arange(windows)[:, None] * stride + np.arange(kernel) * dilation - pads[0]
    seen = (pixels >= 0) & (pixels < image)
    if seen.all():
        return Sliding(o, k, Jointly((o, k), (windows, kernel), tuple(pixels.ravel().tolist())))
    pairs: dict[str, Any] = dict(
        zip(("output", "kernel", "image"), (*np.nonzero(seen), pixels[seen]), strict=True)
    )
    order = np.lexsort([pairs[role] for role in by[::-1]])
    number, place, pixel = (tuple(x[order].tolist()) for x in pairs.values())
    over = ("seen", axis)
    return Sliding(At(over, number), At(over, place), At(over, pixel), over, number, place)


def entries(rows: Sliding, columns: Sliding, role: str) -> tuple[Hashable, Hashable]:
    """What to state of both axes of ``"output"``, ``"kernel"`` or ``"image"``."""
    return getattr(rows, role), getattr(columns, role)


def of_one(x: Node, first: int, role: str, both: Sequence[Sliding]) -> tuple[Node, list[Hashable]]:
    """Values with axes for the windows, or for the places in them, from ``first`` on, and the labels of those two."""
    labels: list[Hashable] = []
    for a, along in enumerate(both):
        if along.over is None:
            labels.append(getattr(along, role))
        else:
            places = along.windows if role == "output" else along.places
            x = take(x, np.array(places, np.int64), axis=first + a)
            labels.append(along.over)
    return x, labels


def of_windows(x: Node, both: Sequence[Sliding]) -> tuple[Node, tuple[Hashable, ...]]:
    """Values for each pixel of each window, (N, OH, OW, KH, KW, C), over those that see the image, and all labels."""
    labels: list[Hashable] = ["n", both[0].output, both[0].kernel, both[1].output, both[1].kernel, "c"]
    x = permute_dims(x, (0, 1, 3, 2, 4, 5))
    for first, along in ((3, both[1]), (1, both[0])):
        if along.over is not None:
            count = x.shape[first + 1]
            pairs = np.array(along.windows, np.int64) * count + np.array(along.places, np.int64)
            joined = (*x.shape[:first], x.shape[first] * count, *x.shape[first + 2 :])
            x = take(reshape(x, joined), pairs, axis=first)
            labels[first : first + 2] = [along.over]
    return x, tuple(labels)


def pooled(
    image: Shape,
    windows: Pair,
    values: Node | None,
    to_image: bool,
    params: dict[str, Any],
    selects: bool = False,
) -> Ties:
    """Ties of what makes one number of each window in each channel, or spreads it over the window.

    Args:
        image: shape (N, H, W, C).
        windows: how many, down and to the right.
        values: for each pixel of each window, (N, OH, OW, KH, KW, C); None for ones.
        to_image: whether the image is the result.
        params: size, stride and padding.
        selects: as in `Ties`.
    """
    by = ("image", "output") if to_image else ("output", "image")
    geometry: dict[str, Any] = {"stride": params["stride"], "padding": params["padding"], "dilation": (1, 1)}
    both = slid((image[1], image[2]), params["size"], windows, by, **geometry)
    axes = {role: ("n", *entries(*both, role), "c") for role in by}
    found, labels = (None, ()) if values is None else of_windows(values, both)
    return Ties(axes[by[0]], axes[by[1]], found, labels, selects=selects)
