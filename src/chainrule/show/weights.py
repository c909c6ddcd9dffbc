"""Weights, gradients and activations drawn as the images that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from chainrule.data import Dataset
from chainrule.nn import Conv2d, Linear, Module
from chainrule.primitive import Array
from chainrule.shapes import count
from chainrule.show.canvas import BLUE, ORANGE, signed, subplots
from chainrule.train import Trained

_EXAMPLES = 256
"""Over so many test examples a class's template is the mean."""
_MOST_UNITS, _MOST_CHANNELS, _MOST_LAYERS = 64, 16, 6


def templates(trained: Trained, data: Dataset) -> Any:
    """For each class an image of what raises its score; see :meth:`chainrule.train.Trained.templates`.

    Returns:
        A matplotlib figure.
    """
    x, _ = data.prepared("test")
    images = [_picture(values, data) for values in trained.templates(x[:_EXAMPLES])]
    return _grid(images, data.classes, "what raises the score of each class", ORANGE)


def first_units(trained: Trained, data: Dataset) -> Callable[[], Any] | None:
    """The weights of the first layer as images, if it is linear; a function that draws them, or None."""
    first = _first(trained.model, Linear)
    if first is None or _first(trained.model, Conv2d) is not None:
        return None
    kernel = first.weight.numpy()
    if kernel.shape[0] != count(data.train_x.shape[1:]):
        return None
    images = [_picture(kernel[:, i], data) for i in range(min(kernel.shape[1], _MOST_UNITS))]
    title = f"weights of the first layer, {len(images)} of {kernel.shape[1]} units"
    return partial(_grid, images, None, title, BLUE)


def filters(trained: Trained, data: Dataset) -> Callable[[], Any] | None:
    """The kernels of the first convolution; a function that draws them, or None."""
    first = _first(trained.model, Conv2d)
    if first is None:
        return None
    kernel = first.weight.numpy()
    shown = min(kernel.shape[3], _MOST_UNITS)
    if kernel.shape[2] == 3:
        top = np.abs(kernel).max() or 1.0
        images = [(kernel[..., i] / top + 1) / 2 for i in range(shown)]
    else:
        images = [kernel[..., i].mean(-1) for i in range(shown)]
    title = f"filters of the first convolution, {shown} of {kernel.shape[3]}"
    return partial(_grid, images, None, title, BLUE)


def activations(trained: Trained, data: Dataset) -> Callable[[], Any] | None:
    """What the layers make of the first test example; a function that draws it, or None."""
    x, y = data.prepared("test")
    found = [
        (name, value[0])
        for name, value in trained.activations(x[:1])
        if value.ndim == 4 and value.shape[1] > 1
    ]
    if not found:
        return None
    chosen = [
        found[i] for i in np.linspace(0, len(found) - 1, min(len(found), _MOST_LAYERS)).round().astype(int)
    ]
    which = f"of class {data.classes[int(y[0])]}" if data.classes else f"with target {y[0]}"
    return partial(_rows, chosen, f"activations for a test example {which}")


def _first(model: Module, kind: type) -> Any:
    return next((m for m in model.named_modules().values() if isinstance(m, kind)), None)


def _picture(values: Array, data: Dataset) -> Array:
    """Numbers of an example as an image of one channel; colours are added up."""
    assert data.image_shape is not None
    image = values.reshape(*data.image_shape[:2], -1)
    return image.sum(-1)


def _grid(images: Sequence[Array], names: Sequence[str] | None, title: str, hue: str) -> Any:
    columns = min(len(images), 10 if len(images) > 16 else 5)
    rows = -(-len(images) // columns)
    figure, axes = subplots(rows, columns, (columns * 1.1, rows * 1.2 + 0.4), square=True)
    for axis in axes.flat:
        axis.axis("off")
    for i, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        top = float(np.abs(image).max()) or 1.0
        axis.imshow(image, cmap=signed(hue), vmin=-top, vmax=top)
        if names is not None:
            axis.set_title(names[i], loc="center", fontsize=8)
    figure.suptitle(
        f"{title} (+ coloured, - dark)" if images[0].ndim == 2 else title, x=0.02, ha="left", fontsize=10
    )
    return figure


def _rows(layers: Sequence[tuple[str, Array]], title: str) -> Any:
    columns = min(_MOST_CHANNELS, max(value.shape[2] for _, value in layers))
    size = (columns * 0.8, len(layers) * 1.0 + 0.4)
    figure, axes = subplots(len(layers), columns, size, square=True)
    for row, (name, value) in zip(axes, layers, strict=True):
        for axis in row:
            axis.axis("off")
        row[0].set_title(
            f"{name}  {value.shape[0]} × {value.shape[1]} × {value.shape[2]}", loc="left", fontsize=7
        )
        for axis, channel in zip(row, np.moveaxis(value, 2, 0), strict=False):
            top = float(np.abs(channel).max()) or 1.0
            axis.imshow(channel, cmap=signed(BLUE), vmin=-top, vmax=top)
    figure.suptitle(title, x=0.02, ha="left", fontsize=10)
    return figure
