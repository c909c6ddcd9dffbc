"""Layers that look at images through windows. Images are (N, H, W, C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.nn.arguments import as_floating, as_images, as_size
from chainrule.nn.init import Initializer, he_normal
from chainrule.nn.module import Module
from chainrule.ops import avg_pool2d, conv2d, max_pool2d, mean
from chainrule.ops.windows import Padding
from chainrule.shapes import float32
from chainrule.tensor import Tensor, tensor


class Conv2d(Module):
    """Convolution with a learned kernel (cross-correlation), and a bias for each channel.

    Args:
        in_channels: of the images.
        out_channels: number of kernels.
        size: rows and columns of a kernel; one number for both.
        key: for the weights, from ``cr.random.key``; biases start at 0.
        stride, padding, dilation, groups: as for :func:`chainrule.conv2d`.
        bias: whether there is one; before a normalization it is of no use.
        initializer: ``(key, shape, dtype) -> weights``.
        dtype: float32 or float64.

    Attributes:
        weight: shape ``(rows, columns, in_channels / groups, out_channels)``.
        bias: shape ``(out_channels,)``, or None.

    Raises:
        ArgumentError: a size below 1, or groups that do not divide the channels.
        DTypeError: ``dtype`` is not floating.

    Example:
        >>> layer = Conv2d(3, 16, 3, padding="same", key=cr.random.key(0))
        >>> layer(np.ones((2, 8, 8, 3), np.float32)).shape
        (2, 8, 8, 16)

    Source: LeCun et al., Proceedings of the IEEE 86(11), 1998, 2278-2324, DOI 10.1109/5.726791.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int | tuple[int, int],
        *,
        key: Tensor,
        stride: int | tuple[int, int] = 1,
        padding: Padding = "valid",
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        initializer: Initializer = he_normal,
        dtype: Any = float32,
    ) -> None:
        cin, cout = (
            as_size("Conv2d", what, n)
            for what, n in (("in_channels", in_channels), ("out_channels", out_channels))
        )
        parts = as_size("Conv2d", "groups", groups)
        if cin % parts or cout % parts:
            raise ArgumentError(
                f"Conv2d: {parts} groups do not divide {cin} and {cout} channels", fix="pass groups=1"
            )
        rows, columns = size if isinstance(size, tuple) else (size, size)
        window = as_size("Conv2d", "size", rows), as_size("Conv2d", "size", columns)
        shape, chosen = (*window, cin // parts, cout), as_floating(dtype)
        self.weight = tensor(initializer(key, shape, chosen), dtype=chosen, requires_grad=True, name="weight")
        zeros = np.zeros(cout, chosen)
        self.bias = tensor(zeros, requires_grad=True, name="bias") if bias else None
        self.stride, self.dilation, self.groups = stride, dilation, parts
        self.padding: Padding = padding

    def __call__(self, x: Any) -> Tensor:
        """Apply the layer.

        Args:
            x: images, shape ``(N, H, W, in_channels)``, floats.

        Returns:
            Shape ``(N, OH, OW, out_channels)``.

        Raises:
            ShapeError: other channels, or images smaller than the kernel.
            DTypeError: ``x`` does not hold floats.
        """
        images = as_images("Conv2d", x, self.weight.shape[2] * self.groups)
        y = conv2d(
            images,
            self.weight,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )
        return y if self.bias is None else y + self.bias


class _Pool2d(Module):
    """One number for each window and channel, by ``_pool``."""

    _pool: Callable[..., Any]

    def __init__(
        self,
        size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] | None = None,
        padding: Padding = "valid",
    ) -> None:
        self.size, self.stride = size, stride
        self.padding: Padding = padding

    def __call__(self, x: Any) -> Tensor:
        """Images ``(N, H, W, C)`` to ``(N, OH, OW, C)``."""
        images = as_images(type(self).__name__, x)
        return type(self)._pool(images, self.size, stride=self.stride, padding=self.padding)


class MaxPool2d(_Pool2d):
    """The largest pixel of each window, for each channel.

    Args:
        size, stride, padding: as for :func:`chainrule.max_pool2d`; windows do not overlap unless stride says so.

    Example:
        >>> MaxPool2d(2)(np.ones((1, 4, 4, 3), np.float32)).shape
        (1, 2, 2, 3)
    """

    _pool = staticmethod(max_pool2d)


class AvgPool2d(_Pool2d):
    """The mean of each window, for each channel. Arguments as for `MaxPool2d`; padding is not counted.

    Example:
        >>> AvgPool2d(2)(np.ones((1, 4, 4, 3), np.float32)).shape
        (1, 2, 2, 3)
    """

    _pool = staticmethod(avg_pool2d)


class GlobalAveragePool(Module):
    """The mean of each channel over the whole image.

    Example:
        >>> GlobalAveragePool()(np.ones((1, 4, 4, 3), np.float32)).shape
        (1, 3)

    Source: Lin, Chen and Yan, ICLR 2014, arXiv:1312.4400.
    """

    def __call__(self, x: Any) -> Tensor:
        """Images ``(N, H, W, C)`` to ``(N, C)``."""
        return mean(as_images("GlobalAveragePool", x), axis=(1, 2))
