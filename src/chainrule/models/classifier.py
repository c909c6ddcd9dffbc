"""Small networks that give images, or rows of features, a score for each class."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.errors import ShapeError
from chainrule.nn import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, Sequential, lecun_normal
from chainrule.nn.arguments import as_features, as_size
from chainrule.nn.training import Training
from chainrule.ops import random, relu, tanh
from chainrule.shapes import Shape, as_shape
from chainrule.tensor import Tensor


class Classifier(Sequential):
    """Layers one after the other, for examples of one shape.

    Args:
        name: what messages call it.
        input_shape: of one example: ``(H, W, C)`` for images, ``(n,)`` for features.
        layers: modules or functions of one tensor.

    Attributes:
        input_shape: of one example.

    Example:
        >>> model = Classifier("sums", (2, 2, 1), Flatten(), Linear(4, 3, key=cr.random.key(0)))
        >>> model(np.ones((5, 2, 2, 1), np.float32)).shape
        (5, 3)
    """

    def __init__(self, name: str, input_shape: Sequence[int], *layers: Callable[[Any], Any]) -> None:
        super().__init__(*layers)
        self.name, self.input_shape = name, as_shape(name, input_shape)

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Shape ``(N, *input_shape)`` to scores ``(N, classes)``.

        Raises:
            ShapeError: examples of another shape.
            DTypeError: ``x`` does not hold floats.
        """
        examples = as_features(self.name, x)
        if examples.shape[1:] != self.input_shape:
            raise _other_shape(self.name, self.input_shape, examples.shape)
        return super().__call__(examples, training)


def _other_shape(name: str, expected: Shape, got: Shape) -> ShapeError:
    sizes = ", ".join(map(str, expected))
    if got == expected:
        fix = "one example is a batch of one: x[None]"
    elif expected[-1] == 1 and got[1:] == expected[:-1]:
        fix = "grey images have one channel: x[..., None]"
    elif len(expected) == 3 and got[1:] == (expected[2], *expected[:2]):
        fix = "images are (N, H, W, C) here, channels last: x.permute_dims((0, 2, 3, 1))"
    elif math.prod(got[1:]) == math.prod(expected):
        fix = f"give each example this shape: x.reshape((-1, {sizes}))"
    else:
        fix = f"resize the examples, or make the model with input_shape={got[1:]}"
    return ShapeError(f"{name}: expected examples of shape (N, {sizes}), got {got}", fix=fix)


def linear(input_shape: Sequence[int], classes: int, *, key: Tensor) -> Classifier:
    """One weighted sum of all inputs for each class: with `softmax_cross_entropy` it is softmax regression.

    Args:
        input_shape: of one example: ``(H, W, C)`` for images, ``(n,)`` for features.
        classes: number of scores.
        key: for the weights.

    Raises:
        ArgumentError: a size below 1.

    Example:
        >>> linear((8, 8, 1), 10, key=cr.random.key(0)).summary().total
        650
    """
    shape = as_input_shape("linear", input_shape)
    out = Linear(math.prod(shape), as_size("linear", "classes", classes), key=key, initializer=lecun_normal)
    return Classifier("linear", shape, *([Flatten()] if len(shape) > 1 else []), out)


def cnn(input_shape: Sequence[int], classes: int, *, key: Tensor) -> Classifier:
    """A small convolutional network, of a size for images such as Fashion-MNIST's.

    Twice a convolution of 3 × 3 (32, then 64 kernels; images keep their size) with relu and a maximum pool of 2 × 2;
    then a layer of 128 units with relu, and the scores.

    Args:
        input_shape: of one image, ``(H, W, C)``, at least 4 × 4.
        classes: number of scores.
        key: for the weights.

    Raises:
        ShapeError: images are too small.
        ArgumentError: a size below 1.

    Example:
        >>> model = cnn((28, 28, 1), 10, key=cr.random.key(0))
        >>> model(np.ones((2, 28, 28, 1), np.float32)).shape, model.summary().total
        ((2, 10), 421642)
    """
    height, width, channels = as_image_shape("cnn", input_shape, 4)
    keys, scores = random.split(key, 4), as_size("cnn", "classes", classes)
    features = (height // 4) * (width // 4) * 64
    return Classifier(
        "cnn",
        (height, width, channels),
        Conv2d(channels, 32, 3, padding="same", key=keys[0]),
        relu,
        MaxPool2d(2),
        Conv2d(32, 64, 3, padding="same", key=keys[1]),
        relu,
        MaxPool2d(2),
        Flatten(),
        Linear(features, 128, key=keys[2]),
        relu,
        Linear(128, scores, key=keys[3], initializer=lecun_normal),
    )


def lenet(input_shape: Sequence[int] = (28, 28, 1), classes: int = 10, *, key: Tensor) -> Classifier:
    """LeNet-5 as it is common today.

    Convolutions of 5 × 5 with 6 and 16 kernels, each followed by tanh and means of 2 × 2; then layers of 120 and 84
    units with tanh, and the scores: 61,706 parameters for ten classes. Images below 32 × 32 get a border of 2, as
    MNIST's have in the paper. There a map of the second convolution sees only some of the first, means have a learned
    factor and offset, and scores are distances to fixed patterns.

    Args:
        input_shape: of one image, ``(H, W, C)``, at least 12 × 12.
        classes: number of scores.
        key: for the weights.

    Raises:
        ShapeError: images are too small.
        ArgumentError: a size below 1.

    Example:
        >>> model = lenet(key=cr.random.key(0))
        >>> model(np.ones((2, 28, 28, 1), np.float32)).shape, model.summary().total
        ((2, 10), 61706)

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86(11), 1998, 2278-2324, DOI 10.1109/5.726791.
    """
    height, width, channels = as_image_shape("lenet", input_shape, 12)
    keys, scores = random.split(key, 5), as_size("lenet", "classes", classes)
    border = 2 if min(height, width) < 32 else 0
    rows, columns = (((size + 2 * border - 4) // 2 - 4) // 2 for size in (height, width))
    conv = functools.partial(Conv2d, initializer=lecun_normal)
    dense = functools.partial(Linear, initializer=lecun_normal)
    return Classifier(
        "lenet",
        (height, width, channels),
        conv(channels, 6, 5, padding=border, key=keys[0]),
        tanh,
        AvgPool2d(2),
        conv(6, 16, 5, key=keys[1]),
        tanh,
        AvgPool2d(2),
        Flatten(),
        dense(rows * columns * 16, 120, key=keys[2]),
        tanh,
        dense(120, 84, key=keys[3]),
        tanh,
        dense(84, scores, key=keys[4]),
    )


def as_input_shape(name: str, value: Any) -> Shape:
    """Return the shape of one example.

    Raises:
        ShapeError: no axis, or one of size 0.
        ArgumentError: sizes that are no integers.
    """
    shape = as_shape(name, value)
    if not shape or not math.prod(shape):
        raise ShapeError(
            f"{name}: expected the shape of one example, (H, W, C) or (n,), got {shape}", fix="x.shape[1:]"
        )
    return shape


def as_image_shape(name: str, value: Any, least: int) -> tuple[int, int, int]:
    """Return the shape of one image, ``(H, W, C)``.

    Raises:
        ShapeError: it is no image, or one of fewer than ``least`` rows or columns.
    """
    shape = as_input_shape(name, value)
    if len(shape) != 3:
        fix = (
            "grey images have one channel: (H, W, 1)"
            if len(shape) == 2
            else "features are for cr.models.mlp or linear"
        )
        raise ShapeError(f"{name}: expected images, (H, W, C), got {shape}", fix=fix)
    height, width, channels = shape
    if height < least or width < least:
        raise ShapeError(
            f"{name}: expected images of at least {least} × {least}, got {height} × {width}",
            fix="pass larger images, or take cr.models.mlp",
        )
    return height, width, channels
