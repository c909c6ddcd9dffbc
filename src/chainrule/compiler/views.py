"""Moves that cost nothing: which nodes are another node's array seen with other shape and strides.

A reshape, a transposition, a broadcast, a slice need no code: whoever reads them reads the array below with other
strides. A `Sight` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.node import Node
from chainrule.ops.cast import After, Identity, StopGradient
from chainrule.ops.gather import GetItem
from chainrule.ops.join import Narrow
from chainrule.ops.move import BroadcastTo, Flip, Reshape, Transpose
from chainrule.shapes import Shape, row_major

Axes = tuple["int | None", ...]


@dataclass(frozen=True, slots=True)
class Sight:
    """How a node reads an array that lies row-major in memory.

    Attributes:
        base: the node whose array it is.
        offset, strides: in elements of that array.
        axes: for each axis of the reader the axis of ``base`` it runs along, None where it is repeated or of
            size 1; None instead of the tuple if axes were cut or joined on the way.
    """

    base: Node
    offset: int
    strides: tuple[int, ...]
    axes: Axes | None


def of_base(node: Node) -> Sight:
    """A node as it lies in memory."""
    axes = tuple(i if n != 1 else None for i, n in enumerate(node.shape))
    return Sight(node, 0, row_major(node.shape), axes)


def see_through(node: Node, below: Sight) -> Sight | None:
    """The sight of a move of what is seen with ``below``; None if ``node`` needs an array of its own."""
    op, x = node.op, node.inputs[0]
    if op is Identity or op is StopGradient or op is After:
        return below
    if op is Transpose:
        order: tuple[int, ...] = node.params["axes"]
        axes = None if below.axes is None else tuple(below.axes[a] for a in order)
        return Sight(below.base, below.offset, tuple(below.strides[a] for a in order), axes)
    if op is BroadcastTo:
        return _broadcast(node, x, below)
    if op is Reshape:
        return _reshaped(node.shape, x.shape, below)
    if op is Flip:
        flipped: tuple[int, ...] = node.params["axes"]
        ends = [(x.shape[a] - 1) * below.strides[a] for a in flipped if x.shape[a]]
        offset = below.offset + sum(ends)
        turned = tuple(-s if a in flipped else s for a, s in enumerate(below.strides))
        return Sight(below.base, offset, turned, None)
    if op is Narrow:
        axis: int = node.params["axis"]
        start: int = node.params["start"]
        return Sight(below.base, below.offset + start * below.strides[axis], below.strides, None)
    if op is GetItem and len(node.inputs) == 1:
        return selected(node.params["index"], x.shape, below)
    return None


def _broadcast(node: Node, x: Node, below: Sight) -> Sight:
    extra = len(node.shape) - len(x.shape)
    repeated = [i < extra or x.shape[i - extra] != n for i, n in enumerate(node.shape)]
    strides = tuple(0 if r else below.strides[i - extra] for i, r in enumerate(repeated))
    axes = None
    if below.axes is not None:
        axes = tuple(None if r else below.axes[i - extra] for i, r in enumerate(repeated))
    return Sight(below.base, below.offset, strides, axes)


def _reshaped(shape: Shape, before: Shape, below: Sight) -> Sight | None:
    """Axes that are split, or joined where they are adjacent in memory, keep their array."""
    if 0 in shape:
        return Sight(below.base, below.offset, row_major(shape), None)
    long = [(n, s, i) for i, (n, s) in enumerate(zip(before, below.strides, strict=True)) if n != 1]
    if [n for n in shape if n != 1] == [n for n, _, _ in long]:
        remaining = iter(long)
        found = [None if n == 1 else next(remaining) for n in shape]
        kept = tuple(0 if f is None else f[1] for f in found)
        axes = None
        if below.axes is not None:
            axes = tuple(None if f is None else below.axes[f[2]] for f in found)
        return Sight(below.base, below.offset, kept, axes)
    joined: list[list[int]] = []
    for n, s, _ in long:
        if joined and joined[-1][1] == n * s:
            joined[-1] = [joined[-1][0] * n, s]
        else:
            joined.append([n, s])
    strides: list[int] = []
    for n in reversed(shape):
        if n == 1:
            strides.append(0)
            continue
        while joined and joined[-1][0] == 1:
            joined.pop()
        if not joined or joined[-1][0] % n:
            return None
        strides.append(joined[-1][1])
        joined[-1] = [joined[-1][0] // n, joined[-1][1] * n]
    return Sight(below.base, below.offset, tuple(reversed(strides)), None)


def selected(index: Sequence[Any], shape: Shape, below: Sight) -> Sight:
    """What an index without arrays selects of something of ``shape``."""
    named = sum(1 for e in index if e is not None and e is not ...)
    offset, strides, axis = below.offset, list[int](), 0
    for entry in index:
        if entry is None:
            strides.append(0)
        elif entry is ...:
            for _ in range(len(shape) - named):
                strides.append(below.strides[axis])
                axis += 1
        elif isinstance(entry, int):
            offset += (entry % shape[axis] if shape[axis] else 0) * below.strides[axis]
            axis += 1
        else:
            places = entry.places(shape[axis])
            if len(places):
                offset += places.start * below.strides[axis]
            strides.append(places.step * below.strides[axis])
            axis += 1
    strides.extend(below.strides[axis:])
    return Sight(below.base, offset, tuple(strides), None)
