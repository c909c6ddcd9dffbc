"""Residual networks, for small images (CIFAR) and for large ones (ImageNet)."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError
from chainrule.nn import BatchNorm, Conv2d, Linear, Module
from chainrule.nn.arguments import as_images, as_size
from chainrule.nn.training import Training
from chainrule.ops import max_pool2d, mean, pad, random, relu
from chainrule.tensor import Tensor

SMALL = {depth: (depth - 2) // 6 for depth in (20, 32, 44, 56, 110)}
"""By depth of the networks for small images: blocks in each of three stages (section 4.2 of the paper)."""

LARGE = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""By depth of the networks for large images: blocks in each stage (table 1 of the paper)."""

_BOTTLENECK = 50
"""The least depth of which the blocks are bottlenecks, four times as wide outside as inside."""


class ConvNorm(Module):
    """A convolution without bias, then batch normalization.

    Args:
        cin, cout: channels.
        size: of the kernel; images are padded so that stride 1 keeps theirs.
        stride: of the convolution.
        key: for the weights.
    """

    def __init__(self, cin: int, cout: int, size: int, stride: int, key: Tensor) -> None:
        self.conv = Conv2d(cin, cout, size, stride=stride, padding=size // 2, bias=False, key=key)
        self.norm = BatchNorm(cout)

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Images ``(N, H, W, cin)`` to ``(N, H / stride, W / stride, cout)``."""
        return self.norm(self.conv(x), training)


class Block(Module):
    """``relu(x + f(x))``, with relu between the convolutions of f.

    Args:
        cin: channels of the input.
        widths: channels after each convolution.
        sizes: of each convolution's kernel.
        stride: of the first convolution of size 3.
        key: for the weights.
        projected: whether the shortcut of a block that changes the shape is a convolution with batch norm; without,
            it leaves out pixels and adds channels of zeros, and has no parameters (option A of the paper).
    """

    def __init__(
        self,
        cin: int,
        widths: tuple[int, ...],
        sizes: tuple[int, ...],
        stride: int,
        key: Tensor,
        projected: bool,
    ) -> None:
        *keys, own = random.split(key, len(widths) + 1)
        at = sizes.index(3)
        self.layers = [
            ConvNorm(a, b, size, stride if i == at else 1, k)
            for i, (a, b, size, k) in enumerate(zip((cin, *widths), widths, sizes, keys, strict=False))
        ]
        changes = stride > 1 or cin != widths[-1]
        self.shortcut = ConvNorm(cin, widths[-1], 1, stride, own) if changes and projected else None
        self.stride, self.width = stride, widths[-1]

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Images ``(N, H, W, cin)`` to ``(N, H / stride, W / stride, widths[-1])``."""
        y = x
        for i, layer in enumerate(self.layers):
            y = layer(relu(y) if i else y, training)
        return relu(y + self._short(x, training))

    def _short(self, x: Any, training: Training | None) -> Any:
        if self.shortcut is not None:
            return self.shortcut(x, training)
        if self.stride == 1 and x.shape[-1] == self.width:
            return x
        some = x[:, :: self.stride, :: self.stride]
        return pad(some, ((0, 0), (0, 0), (0, 0), (0, self.width - x.shape[-1])))


class ResNet(Module):
    """A residual network; made by :func:`resnet`.

    Attributes:
        stem: the first convolution.
        stages: lists of blocks; the first block of a later stage halves the image.
        head: from the channels' means to scores.
    """

    def __init__(self, depth: int, classes: int, channels: int, key: Tensor) -> None:
        self.depth, small = depth, depth in SMALL
        first, *keys, last = random.split(key, 2 + (3 * SMALL[depth] if small else sum(LARGE[depth])))
        wide = 16 if small else 64
        self.stem = ConvNorm(channels, wide, 3 if small else 7, 1 if small else 2, first)
        blocks = (SMALL[depth],) * 3 if small else LARGE[depth]
        deep = not small and depth >= _BOTTLENECK
        self.stages: list[list[Block]] = []
        cin, waiting = wide, iter(keys)
        for stage, number in enumerate(blocks):
            inner = wide << stage
            widths, sizes = ((inner, inner, 4 * inner), (1, 3, 1)) if deep else ((inner, inner), (3, 3))
            self.stages.append([])
            for i in range(number):
                stride = 2 if stage and not i else 1
                self.stages[-1].append(Block(cin, widths, sizes, stride, next(waiting), not small))
                cin = widths[-1]
        self.head = Linear(cin, classes, key=last)

    def __call__(self, x: Any, training: Training | None = None) -> Tensor:
        """Images ``(N, H, W, channels)`` to scores ``(N, classes)``."""
        y = relu(self.stem(as_images("ResNet", x), training))
        if self.depth in LARGE:
            y = max_pool2d(y, 3, stride=2, padding=1)
        for stage in self.stages:
            for block in stage:
                y = block(y, training)
        return self.head(mean(y, axis=(1, 2)))


def resnet(depth: int, *, key: Tensor, classes: int | None = None, channels: int = 3) -> ResNet:
    """A residual network of the paper.

    Args:
        depth: 20, 32, 44, 56 or 110 for small images such as CIFAR's 32 × 32; 18, 34, 50, 101 or 152 for large ones
            such as ImageNet's 224 × 224. Of the latter those from 50 on are bottlenecks with the stride in the 3 × 3
            convolution, as in torchvision.
        key: for the weights.
        classes: number of scores; None for 10 and 1,000.
        channels: of the images.

    Returns:
        Maps images ``(N, H, W, channels)`` to scores ``(N, classes)``.

    Raises:
        ArgumentError: another depth, or a number below 1.

    Example:
        >>> model = resnet(20, key=cr.random.key(0))
        >>> model(np.ones((2, 32, 32, 3), np.float32)).shape, model.summary().total
        ((2, 10), 269722)

    Source: He, Zhang, Ren and Sun, CVPR 2016, 770-778, DOI 10.1109/CVPR.2016.90.
    """
    if depth not in SMALL and depth not in LARGE:
        raise ArgumentError(
            f"resnet: there is none of depth {depth!r}",
            fix=f"choose one of {list(SMALL)} for small images, {list(LARGE)} for large ones",
        )
    wanted = (10 if depth in SMALL else 1000) if classes is None else as_size("resnet", "classes", classes)
    return ResNet(depth, wanted, as_size("resnet", "channels", channels), key)
