"""Networks, each written once, in words that every library has.

A network is a function ``(words, parameters, x) -> y``. The words are a library's own operations under one set of
names, so that all libraries do the same work. To a network images are (N, H, W, C), dense weights (in, out) and
image kernels (KH, KW, Cin, Cout); a library holds them as suits it best.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from chainrule.primitive import Array
from chainrule.shapes import Shape, float32

Parameters: TypeAlias = "Mapping[str, Any]"


class Words(Protocol):
    """What a library says for the operations of networks, and for the losses."""

    def dense(self, x: Any, weight: Any, bias: Any, /) -> Any: ...
    def relu(self, x: Any, /) -> Any: ...

    def conv(self, x: Any, kernel: Any, /, *, bias: Any = None, stride: int = 1) -> Any:
        """Padded with zeros by half the kernel on every side."""
        ...

    def max_pool(self, x: Any, /) -> Any:
        """Over windows of 2 × 2 without overlap."""
        ...

    def mean_pixels(self, x: Any, /) -> Any:
        """(N, H, W, C) to (N, C)."""
        ...

    def batch_norm(self, x: Any, scale: Any, shift: Any, /) -> Any:
        """With mean and biased variance of this batch, and 1e-5 added to the variance."""
        ...

    def squared_error(self, y: Any, target: Any, /) -> Any:
        """Mean over all elements."""
        ...

    def cross_entropy(self, scores: Any, labels: Any, /) -> Any:
        """Of a softmax, mean over the batch."""
        ...


class Network(Protocol):
    """A function of parameters and a batch."""

    def shapes(self) -> dict[str, Shape]:
        """Of the parameters. What begins with ``scale`` starts at 1, other vectors at 0, the rest at random."""
        ...

    def __call__(self, words: Words, p: Parameters, x: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Mlp:
    """Dense layers with relu between them.

    Attributes:
        sizes: of the input, each hidden layer and the output.
    """

    sizes: tuple[int, ...]

    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for i, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            found |= {f"weight{i}": (fan_in, fan_out), f"bias{i}": (fan_out,)}
        return found

    def __call__(self, words: Words, p: Parameters, x: Any) -> Any:
        last = len(self.sizes) - 2
        for i in range(last):
            x = words.relu(words.dense(x, p[f"weight{i}"], p[f"bias{i}"]))
        return words.dense(x, p[f"weight{last}"], p[f"bias{last}"])


@dataclass(frozen=True, slots=True)
class Cnn:
    """3 × 3 convolutions and relu, a 2 × 2 maximum after each but the last, the mean of the pixels, a dense layer.

    Attributes:
        channels: of the image and of each convolution.
        classes: how many scores.
    """

    channels: tuple[int, ...]
    classes: int

    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for i, (cin, cout) in enumerate(zip(self.channels, self.channels[1:], strict=False)):
            found |= {f"kernel{i}": (3, 3, cin, cout), f"bias{i}": (cout,)}
        return {**found, "weight": (self.channels[-1], self.classes), "bias": (self.classes,)}

    def __call__(self, words: Words, p: Parameters, x: Any) -> Any:
        last = len(self.channels) - 2
        for i in range(last + 1):
            x = words.relu(words.conv(x, p[f"kernel{i}"], bias=p[f"bias{i}"]))
            x = words.max_pool(x) if i < last else words.mean_pixels(x)
        return words.dense(x, p["weight"], p["bias"])


@dataclass(frozen=True, slots=True)
class ResNet:
    """The residual network for small images: stages of blocks of two convolutions, each with batch norm.

    The first block of a stage after the first halves the image and doubles the channels; its shortcut is a
    1 × 1 convolution with batch norm.

    Attributes:
        widths: channels of each stage.
        blocks: in each stage; 3 make ResNet-20.
        classes: how many scores.

    Source: He, Zhang, Ren and Sun, CVPR 2016, 770-778, section 4.2, DOI 10.1109/CVPR.2016.90.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    blocks: int = 3
    classes: int = 10

    def _blocks(self) -> Iterator[tuple[str, int, int, int]]:
        """Name, channels in and out, and stride of each block."""
        cin = self.widths[0]
        for stage, width in enumerate(self.widths):
            for block in range(self.blocks):
                yield f"_{stage}_{block}", cin, width, 2 if stage and not block else 1
                cin = width

    def shapes(self) -> dict[str, Shape]:
        found = _convolution("_first", 3, 3, self.widths[0])
        for name, cin, width, stride in self._blocks():
            found |= _convolution(f"{name}_a", 3, cin, width)
            found |= _convolution(f"{name}_b", 3, width, width)
            if stride > 1:
                found |= _convolution(f"{name}_shortcut", 1, cin, width)
        return {**found, "weight": (self.widths[-1], self.classes), "bias": (self.classes,)}

    def __call__(self, words: Words, p: Parameters, x: Any) -> Any:
        def normed(x: Any, name: str, stride: int = 1) -> Any:
            y = words.conv(x, p[f"kernel{name}"], stride=stride)
            return words.batch_norm(y, p[f"scale{name}"], p[f"shift{name}"])

        x = words.relu(normed(x, "_first"))
        for name, _, _, stride in self._blocks():
            y = normed(words.relu(normed(x, f"{name}_a", stride)), f"{name}_b")
            x = words.relu(y + (normed(x, f"{name}_shortcut", stride) if stride > 1 else x))
        return words.dense(words.mean_pixels(x), p["weight"], p["bias"])


def _convolution(name: str, size: int, cin: int, cout: int) -> dict[str, Shape]:
    return {f"kernel{name}": (size, size, cin, cout), f"scale{name}": (cout,), f"shift{name}": (cout,)}


def start(network: Network, seed: int) -> dict[str, Array]:
    """The parameters before the first step, float32: the same for every library."""
    rng = np.random.default_rng(seed)
    return {name: _first(rng, name, shape).astype(float32) for name, shape in network.shapes().items()}


def _first(rng: np.random.Generator, name: str, shape: Shape) -> Array:
    if name.startswith("scale"):
        return np.ones(shape)
    if len(shape) == 1:
        return np.zeros(shape)
    return rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[:-1]))
