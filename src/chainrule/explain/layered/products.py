"""Which numbers a layer's product multiplies: for one output, one weight or one input, all the others that meet it.

Elements are meant by their place in the flattened arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from chainrule.node import Node
from chainrule.primitive import Array
from chainrule.shapes import count


class Place(NamedTuple):
    """Where an element stands, each number counted from 0.

    Attributes:
        unit: of the layer; of images the channel.
        position: row and column of an image; empty otherwise.
        sample: of the batch.
    """

    unit: int
    position: tuple[int, ...]
    sample: int


class Product(Protocol):
    """A product of data with weights, ``z = Σ w·x``.

    Attributes:
        units, inputs, samples: how many.
        positions: rows and columns of the outputs, where they are images.
        unit_axis: axis of the outputs along which units lie.
    """

    @property
    def units(self) -> int: ...
    @property
    def inputs(self) -> int: ...
    @property
    def samples(self) -> int: ...
    @property
    def positions(self) -> tuple[int, ...]: ...
    @property
    def unit_axis(self) -> int: ...

    def place(self, output: int) -> Place:
        """Of an output."""
        ...

    def output(self, place: Place) -> int:
        """The output at a place."""
        ...

    def input_place(self, x: int) -> Place:
        """Of a number that goes in."""
        ...

    def weight_place(self, weight: int) -> tuple[int, int, tuple[int, ...]]:
        """From which input to which unit a weight leads, and where in the window."""
        ...

    def of_output(self, output: int) -> tuple[Array, Array]:
        """Inputs and weights whose products add up to an output."""
        ...

    def of_weight(self, weight: int) -> tuple[Array, Array]:
        """Outputs and inputs between which a weight stands."""
        ...

    def of_input(self, x: int) -> tuple[Array, Array]:
        """Outputs to which an input goes, and the weights on the way."""
        ...


@dataclass(frozen=True)
class Dense:
    """A matrix product with weights on the right, ``x @ w``, or on the left, ``w @ x``."""

    units: int
    inputs: int
    samples: int
    columns: int
    """Samples that lie side by side, where the weights stand on the left; 0 where they stand on the right."""
    positions: tuple[int, ...] = ()

    @property
    def unit_axis(self) -> int:
        """Axis of the outputs along which units lie."""
        return -2 if self.columns else -1

    @classmethod
    def of(cls, node: Node, slot: int) -> Dense:
        """``node`` multiplies with weights, its input ``slot``, which has two axes."""
        weight, x = node.inputs[slot], node.inputs[1 - slot]
        if slot == 1:
            inputs, units = weight.shape
            return cls(units, inputs, count(x.shape[:-1]), 0)
        units, inputs = weight.shape
        return cls(units, inputs, count(x.shape[:-2]) * x.shape[-1], x.shape[-1])

    def _split(self, flat: int, size: int) -> tuple[int, int]:
        """Unit or input, and sample, of an array with so many of them."""
        if not self.columns:
            return flat % size, flat // size
        block, rest = divmod(flat, size * self.columns)
        return rest // self.columns, block * self.columns + rest % self.columns

    def _joined(self, which: Any, sample: Any, size: int) -> Any:
        if not self.columns:
            return sample * size + which
        return (sample // self.columns * size + which) * self.columns + sample % self.columns

    def _weight(self, i: Any, unit: Any) -> Any:
        return unit * self.inputs + i if self.columns else i * self.units + unit

    def place(self, output: int) -> Place:
        unit, sample = self._split(output, self.units)
        return Place(unit, (), sample)

    def output(self, place: Place) -> int:
        return int(self._joined(place.unit, place.sample, self.units))

    def input_place(self, x: int) -> Place:
        i, sample = self._split(x, self.inputs)
        return Place(i, (), sample)

    def weight_place(self, weight: int) -> tuple[int, int, tuple[int, ...]]:
        first, second = divmod(weight, self.inputs if self.columns else self.units)
        return (second, first, ()) if self.columns else (first, second, ())

    def of_output(self, output: int) -> tuple[Array, Array]:
        unit, sample = self._split(output, self.units)
        every = np.arange(self.inputs)
        return self._joined(every, sample, self.inputs), self._weight(every, unit)

    def of_weight(self, weight: int) -> tuple[Array, Array]:
        i, unit, _ = self.weight_place(weight)
        every = np.arange(self.samples)
        return self._joined(unit, every, self.units), self._joined(i, every, self.inputs)

    def of_input(self, x: int) -> tuple[Array, Array]:
        i, sample = self._split(x, self.inputs)
        every = np.arange(self.units)
        return self._joined(every, sample, self.units), self._weight(i, every)


@dataclass(frozen=True)
class Convolution:
    """``conv2d`` of images with a kernel; each weight serves every window."""

    images: tuple[int, ...]
    kernel: tuple[int, ...]
    outputs: tuple[int, ...]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    """Rows and columns of padding above and to the left."""
    groups: int
    unit_axis: int = -1

    @classmethod
    def of(cls, node: Node) -> Convolution:
        """``node`` convolves its first input with its second."""
        given = node.params
        x, kernel = node.inputs
        before = (given["padding"][0][0], given["padding"][1][0])
        shapes = x.shape, kernel.shape, node.shape
        return cls(*shapes, given["stride"], given["dilation"], before, given["groups"])

    @property
    def units(self) -> int:
        """Output channels."""
        return self.kernel[3]

    @property
    def inputs(self) -> int:
        """Input channels."""
        return self.images[3]

    @property
    def samples(self) -> int:
        """Images."""
        return self.images[0]

    @property
    def positions(self) -> tuple[int, ...]:
        """Rows and columns of the output."""
        return self.outputs[1:3]

    def place(self, output: int) -> Place:
        n, row, column, unit = _unraveled(output, self.outputs)
        return Place(unit, (row, column), n)

    def output(self, place: Place) -> int:
        return int(np.ravel_multi_index((place.sample, *place.position, place.unit), self.outputs))

    def input_place(self, x: int) -> Place:
        n, row, column, channel = _unraveled(x, self.images)
        return Place(channel, (row, column), n)

    def weight_place(self, weight: int) -> tuple[int, int, tuple[int, ...]]:
        u, v, depth, unit = _unraveled(weight, self.kernel)
        return self._channel(depth, unit), unit, (u, v)

    def _channel(self, depth: Any, unit: Any) -> Any:
        return unit // (self.units // self.groups) * self.kernel[2] + depth

    def _pixels(self, axis: int, windows: Any, offset: Any) -> Any:
        """The row or column that a place in the kernel sees from a window; it may lie in the padding."""
        return windows * self.stride[axis] + offset * self.dilation[axis] - self.before[axis]

    def _inside(self, rows: Any, columns: Any) -> Any:
        height, width = self.images[1:3]
        return (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)

    def of_output(self, output: int) -> tuple[Array, Array]:
        n, row, column, unit = _unraveled(output, self.outputs)
        u, v, depth = (a.ravel() for a in np.indices(self.kernel[:3]))
        rows, columns = self._pixels(0, row, u), self._pixels(1, column, v)
        kept = self._inside(rows, columns)
        x = _raveled((n, rows, columns, self._channel(depth, unit)), self.images, kept)
        return x, _raveled((u, v, depth, unit), self.kernel, kept)

    def of_weight(self, weight: int) -> tuple[Array, Array]:
        u, v, depth, unit = _unraveled(weight, self.kernel)
        n, row, column = (a.ravel() for a in np.indices(self.outputs[:3]))
        rows, columns = self._pixels(0, row, u), self._pixels(1, column, v)
        kept = self._inside(rows, columns)
        outputs = _raveled((n, row, column, unit), self.outputs, kept)
        return outputs, _raveled((n, rows, columns, self._channel(depth, unit)), self.images, kept)

    def of_input(self, x: int) -> tuple[Array, Array]:
        n, row, column, channel = _unraveled(x, self.images)
        u, v, unit = (a.ravel() for a in np.indices((*self.kernel[:2], self.units)))
        # A window sees the pixel at (u, v) if it begins that far before it, at a multiple of the stride.
        rows, columns = -self._pixels(0, 0, u) + row, -self._pixels(1, 0, v) + column
        windows = rows // self.stride[0], columns // self.stride[1]
        kept = (rows % self.stride[0] == 0) & (columns % self.stride[1] == 0)
        for at, size in zip(windows, self.outputs[1:3], strict=True):
            kept &= (at >= 0) & (at < size)
        depth = channel % self.kernel[2]
        kept &= self._channel(depth, unit) == channel
        return (
            _raveled((n, *windows, unit), self.outputs, kept),
            _raveled((u, v, depth, unit), self.kernel, kept),
        )


def _unraveled(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))


def _raveled(index: tuple[Any, ...], shape: tuple[int, ...], kept: Array) -> Array:
    parts = [np.broadcast_to(part, kept.shape)[kept] for part in index]
    return np.asarray(np.ravel_multi_index(parts, shape))
