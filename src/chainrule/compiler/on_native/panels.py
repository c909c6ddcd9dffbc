"""Channels cut into panels for the registers, and the kernel that packs weights accordingly.

A panel is some vectors wide. Packed weights lie as ``[class][panel][row][column][depth][channels of a panel]``, so a
tile reads them from front to back; a ragged panel is as wide as the others, and what is beyond is never read into
a result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chainrule.compiler.on_native.axis import Axis
from chainrule.compiler.on_native.call import Call, Lowered
from chainrule.compiler.on_native.ir import PTR, Function, Int, Type, Value, first_lanes, number
from chainrule.compiler.on_native.kernel import Kernel, entry, operand, share
from chainrule.compiler.on_native.matmul.packing import transposed
from chainrule.compiler.on_native.prepacking import Packing
from chainrule.compiler.on_native.prologues import Prologue
from chainrule.compiler.on_native.target import Target
from chainrule.primitive import Array


@dataclass(frozen=True, slots=True)
class Panels:
    """How the channels of a result are cut.

    Attributes:
        lanes: elements in a vector.
        vectors: in a panel.
        groups: of channels; a panel lies within one.
        width: channels of a group.
    """

    lanes: int
    vectors: int
    groups: int
    width: int

    @property
    def channels(self) -> int:
        """Channels of a panel."""
        return self.lanes * self.vectors

    @property
    def full(self) -> int:
        """Panels of a group that are not ragged."""
        return self.width // self.channels

    @property
    def each(self) -> int:
        """Panels of a group."""
        return -(-self.width // self.channels)

    @property
    def count(self) -> int:
        """Panels of all groups."""
        return self.each * self.groups

    def shape(self, ragged: bool) -> tuple[int, Value | None]:
        """Vectors of a panel, and the mask of the last one; None if it is full."""
        width = self.width - self.full * self.channels if ragged else self.channels
        lanes = width % self.lanes
        return -(-width // self.lanes), first_lanes(lanes, self.lanes) if lanes else None

    def sweep(self, f: Function, start: Int, stop: Int, body: Callable[[Int, Int, Int, bool], None]) -> None:
        """Run ``body(panel, group, channel, ragged)`` for a range of panels; channel is the panel's first."""

        def one(panel: Int, _: list[Value]) -> None:
            group, place = f.div_int(panel, self.each), f.mod_int(panel, self.each)
            channel = f.add_int(f.mul_int(group, self.width), f.mul_int(place, self.channels))
            if self.full in (0, self.each):
                body(panel, group, channel, self.full == 0)
                return
            f.when(
                f.less_int(place, self.full),
                lambda: body(panel, group, channel, False),
                lambda: body(panel, group, channel, True),
            )

        f.loop(start, stop, 1, one, may_be_empty=True)


def parts(total: int, wanted: int) -> int:
    """Into how many parts of one size, the last perhaps smaller but not empty; at most as many as wanted."""
    size = -(-total // max(1, min(wanted, total)))
    return max(1, -(-total // max(size, 1)))


@dataclass(frozen=True, slots=True)
class Weights:
    """Plain weights, and the classes of windows that they are packed for.

    Attributes:
        classes: taps of rows and columns.
        depth: weights of one tap and channel.
        row, column, group, deep, channel: elements from one tap, group, depth or channel to the next.
        kind: element type.
    """

    classes: tuple[tuple[Axis, Axis], ...]
    depth: int
    row: int
    column: int
    group: int
    deep: int
    channel: int
    kind: Type

    def size(self, panels: Panels) -> int:
        """Elements when packed."""
        return sum(self.block(panels, c) for c in self.classes) * panels.count

    def block(self, panels: Panels, axes: tuple[Axis, Axis]) -> int:
        """Elements of one panel of a class."""
        return len(axes[0].taps) * len(axes[1].taps) * self.depth * panels.channels

    def pack(self, panels: Panels, name: str, target: Target) -> Kernel:
        """The kernel that packs; its operands are the plain weights and the packed ones."""
        tasks = parts(panels.count, min(16, self.size(panels) >> 13))
        f, operands, task, _ = entry(name, target)
        w, packed = operand(f, operands, 0), operand(f, operands, 1)
        start, stop = share(f, task, panels.count, tasks)
        before = 0
        squares: dict[str, Function] = {}
        for axes in self.classes:
            _Packing(f, self, panels, axes, w, f.at(packed, before, self.kind), squares).run(start, stop)
            before += self.block(panels, axes) * panels.count
        f.ret()
        return Kernel(name, [f, *squares.values()], tasks, 0, 2 * before * self.kind.itemsize)


@dataclass(frozen=True, slots=True)
class PackedWeights(Packing):
    """Weights as tiles read them: equal for all sizes of images."""

    weights: Weights
    panels: Panels

    @staticmethod
    def of_sums(weights: Weights, panels: Panels) -> PackedWeights:
        """The packing for weights of certain windows, of which the taps alone matter."""
        bare = tuple((_taps_alone(r), _taps_alone(c)) for r, c in weights.classes)
        return PackedWeights(replace(weights, classes=bare), panels)

    @property
    def nbytes(self) -> int:
        return self.weights.size(self.panels) * self.weights.kind.itemsize

    def of(self, array: Array) -> Array:
        w, p = self.weights, self.panels
        panel, channel = np.divmod(np.arange(p.count * p.channels), p.channels)
        group, place = np.divmod(panel, p.each)
        within = place * p.channels + channel
        inside = within < p.width
        start = np.where(inside, group * w.group + within * w.channel, 0).reshape(p.count, 1, 1, 1, -1)
        deep = (np.arange(w.depth) * w.deep)[:, None]
        plain, found = array.reshape(-1), list[Array]()
        for rows, columns in w.classes:
            r = (np.array(rows.taps, int) * w.row)[:, None, None, None]
            c = (np.array(columns.taps, int) * w.column)[:, None, None]
            values = plain[start + r + c + deep]
            values[:] = np.where(inside.reshape(start.shape), values, 0)
            found.append(values.reshape(-1))
        return np.concatenate(found)

    def lower(self, strides: Sequence[int], target: Target, prologue: Prologue | None = None) -> Lowered:
        assert prologue is None  # no convolution takes one for its weights
        kernel = self.weights.pack(self.panels, f"pack_weights_{self.code}_{target.isa.name}", target)
        return Lowered((Call(kernel, ("plain", "packed")),))

    @property
    def code(self) -> str:
        """Stands for all of it in names."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:20]


def _taps_alone(axis: Axis) -> Axis:
    return Axis(0, 0, 1, 0, 1, 0, 1, axis.taps)


@dataclass(slots=True)
class _Packing:
    """Code that packs the weights of one class."""

    f: Function
    weights: Weights
    panels: Panels
    axes: tuple[Axis, Axis]
    plain: Value
    packed: Value
    squares: dict[str, Function]

    def run(self, start: Int, stop: Int) -> None:
        self.panels.sweep(self.f, start, stop, self.panel)

    def panel(self, panel: Int, group: Int, channel: Int, ragged: bool) -> None:
        f, w = self.f, self.weights
        rows, columns = self.axes
        within = f.mul_int(f.mod_int(panel, self.panels.each), self.panels.channels * w.channel)
        start = f.add_int(f.mul_int(group, w.group), within)
        block = f.mul_int(panel, w.block(self.panels, self.axes))

        def tap(r: Int, c: Int) -> None:
            offset = f.add_int(f.mul_int(rows.tap(f, r), w.row), f.mul_int(columns.tap(f, c), w.column))
            place = f.mul_int(f.add_int(f.mul_int(r, len(columns.taps)), c), w.depth * self.panels.channels)
            source = f.at(self.plain, f.add_int(start, offset), w.kind)
            result = f.at(self.packed, f.add_int(block, place), w.kind)
            (self.copy if w.channel == 1 else self.transpose)(source, result, ragged)

        def row(r: Int, _: list[Value]) -> None:
            f.loop(0, len(columns.taps), 1, lambda c, _: tap(r, c))

        f.loop(0, len(rows.taps), 1, row)

    def copy(self, source: Value, result: Value, ragged: bool) -> None:
        """All depths of a tap, whose channels are neighbours."""
        f, w, lanes = self.f, self.weights, self.panels.lanes
        vectors, mask = self.panels.shape(ragged)
        kind = w.kind.vector(lanes)

        def depth(d: Int, _: list[Value]) -> None:
            line, to = (
                f.at(source, f.mul_int(d, w.deep), kind),
                f.at(result, f.mul_int(d, self.panels.channels), kind),
            )
            for v in range(vectors):
                within = mask if v == vectors - 1 else None
                f.store(f.load(f.at(line, v * lanes, kind), kind, within), f.at(to, v * lanes, kind))

        f.loop(0, w.depth, 1, depth)

    def transpose(self, source: Value, result: Value, ragged: bool) -> None:
        """All depths of a tap, which are neighbours, in squares of as many channels as lanes."""
        f, w, lanes = self.f, self.weights, self.panels.lanes
        width = (
            self.panels.width - self.panels.full * self.panels.channels if ragged else self.panels.channels
        )

        def squares(d: Int, depth: int) -> None:
            for c in range(0, width, lanes):
                near = f.at(source, f.add_int(d, c * w.channel), w.kind)
                to = f.at(result, f.add_int(f.mul_int(d, self.panels.channels), c), w.kind)
                f.call(self.square(min(lanes, width - c), depth), [near, to])

        whole = w.depth - w.depth % lanes
        f.loop(0, whole, lanes, lambda d, _: squares(d, lanes))
        if w.depth > whole:
            squares(whole, w.depth - whole)

    def square(self, channels: int, depth: int) -> str:
        """The function that transposes so many channels and depths."""
        w, lanes = self.weights, self.panels.lanes
        name = f"{self.f.name}_square{channels}_{depth}"
        if name not in self.squares:
            f = Function(name, [("%from", PTR), ("%to", PTR)], self.f.target, exported=False)
            source, to = f.parameters
            kind = w.kind.vector(lanes)
            mask = first_lanes(depth, lanes) if depth < lanes else None
            lines = [f.load(f.at(source, c * w.channel, kind), kind, mask) for c in range(channels)]
            lines += [number(kind, 0)] * (lanes - channels)
            for d, line in enumerate(transposed(f, lines)[:depth]):
                f.store(line, f.at(to, d * self.panels.channels, kind))
            self.squares[name] = f
        return name
