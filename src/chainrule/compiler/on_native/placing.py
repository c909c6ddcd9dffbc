"""Arrays put into a part of a larger one: joined, padded, moved."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import loops
from chainrule.compiler.on_native.operands import Operand, as_it_lies
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Access, Instruction, Loop
from chainrule.compiler.steps import Place, Step
from chainrule.node import Node
from chainrule.ops.cast import AsType
from chainrule.shapes import DType, Shape, row_major


def lower_concat(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """Each input is copied to its place along the axis, unless it is stored there."""
    node = group.members[0]
    axis: int = node.params["axis"]
    strides = row_major(node.shape)
    found: list[Step] = []
    start = 0
    for x in node.inputs:
        if x.size and grouping.sights[x].base not in grouping.placed:
            found.append(copy(x, node, start * strides[axis], strides, grouping, target))
        start += x.shape[axis]
    return found


def lower_pad(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """Zeros, and then the input in their midst."""
    node = group.members[0]
    strides = row_major(node.shape)
    width: Sequence[tuple[int, int]] = node.params["width"]
    offset = sum(before * s for (before, _), s in zip(width, strides, strict=True))
    return [zeros(node, target), copy(node.inputs[0], node, offset, strides, grouping, target)]


def lower_windows(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A copy of the windows of images without padding, which overlap where they are read."""
    node = group.members[0]
    (x,) = node.inputs
    given = as_it_lies(grouping.sights[x])
    images, rows, columns, channels = given.strides
    (down, right), (below, beside) = node.params["stride"], node.params["dilation"]
    overlapping = (images, rows * down, columns * right, rows * below, columns * beside, channels)
    own = tuple(0 if n == 1 else s for n, s in zip(node.shape, overlapping, strict=True))
    return [_move(Operand(given.place, own), node, 0, row_major(node.shape), node.shape, target)]


def lower_reshape(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A copy in row-major order, where the axes that are joined are not adjacent in memory."""
    node = group.members[0]
    (x,) = node.inputs
    return [copy(x, node, 0, row_major(x.shape), grouping, target)]


def zeros(node: Node, target: Target) -> Step:
    """Fill a node's array with zeros."""
    loop = Loop(
        node.shape,
        frozenset(),
        (Access(row_major(node.shape), node.dtype),),
        (Instruction("number", (), node.dtype, number=0, full=False),),
        ((0, 0),),
    )
    return Step([node], (Place(node),), frozenset([node]), loops.lower(loop, target))


def copy(
    x: Node,
    node: Node,
    offset: int,
    strides: Sequence[int],
    grouping: Grouping,
    target: Target,
    shape: Shape = (),
) -> Step:
    """Write ``x`` into ``node`` from an offset on, in elements; it is repeated if ``shape`` says so."""
    given = as_it_lies(grouping.sights[x])
    shape = shape or x.shape
    extra = len(shape) - len(x.shape)
    repeated = (0,) * extra
    own = (*repeated, *(0 if n == 1 else s for n, s in zip(x.shape, given.strides, strict=True)))
    return _move(Operand(given.place, own), node, offset, strides, shape, target, x.dtype)


def _move(
    given: Operand,
    node: Node,
    offset: int,
    strides: Sequence[int],
    shape: Shape,
    target: Target,
    dtype: DType | None = None,
) -> Step:
    """Copy elements of a dtype, by default the node's, which they become."""
    dtype = dtype or node.dtype
    params = (("dtype", node.dtype),)
    loop = Loop(
        shape,
        frozenset(),
        (Access(given.strides, dtype), Access(tuple(strides), node.dtype)),
        (
            Instruction("load", (), dtype, array=0, full=False),
            Instruction("emit", (0,), node.dtype, AsType, params, full=False),
        ),
        ((1, int(dtype != node.dtype)),),
    )
    places = (given.place, Place(node, offset * node.dtype.itemsize))
    return Step([node], places, frozenset([node]), loops.lower(loop, target))
