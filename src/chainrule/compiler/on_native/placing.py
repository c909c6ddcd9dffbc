"""Arrays put into a part of a larger one: joined, padded, or where an index without arrays points."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import loops
from chainrule.compiler.on_native.loops import Access, Instruction, Loop
from chainrule.compiler.on_native.operands import as_it_lies
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Place, Step
from chainrule.compiler.views import of_base, selected
from chainrule.node import Node
from chainrule.ops.gather import ScatterAdd
from chainrule.ops.selection import layout
from chainrule.shapes import Shape, row_major


def lower_concat(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """Each input is copied to its place along the axis."""
    node = group.members[0]
    axis: int = node.params["axis"]
    strides = row_major(node.shape)
    found: list[Step] = []
    start = 0
    for x in node.inputs:
        if x.size:
            found.append(_copy(x, node, start * strides[axis], strides, grouping, target))
        start += x.shape[axis]
    return found


def lower_pad(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """Zeros, and then the input in their midst."""
    node = group.members[0]
    strides = row_major(node.shape)
    width: Sequence[tuple[int, int]] = node.params["width"]
    offset = sum(before * s for (before, _), s in zip(width, strides, strict=True))
    return [_zeros(node, target), _copy(node.inputs[0], node, offset, strides, grouping, target)]


def lower_scatter(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """Zeros, and then the input where the index points: nowhere twice, since the index has no arrays."""
    node = group.members[0]
    index = node.params["index"]
    region = selected(index, node.shape, of_base(node))
    shape = layout(ScatterAdd.name, index, node.shape, ()).shape
    return [
        _zeros(node, target),
        _copy(node.inputs[0], node, region.offset, region.strides, grouping, target, shape),
    ]


def lower_reshape(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A copy in row-major order, where the axes that are joined are not adjacent in memory."""
    node = group.members[0]
    (x,) = node.inputs
    return [_copy(x, node, 0, row_major(x.shape), grouping, target)]


def _zeros(node: Node, target: Target) -> Step:
    loop = Loop(
        node.shape,
        frozenset(),
        (Access(row_major(node.shape), node.dtype),),
        (Instruction("number", (), node.dtype, number=0, full=False),),
        ((0, 0),),
    )
    return Step([node], (Place(node),), frozenset([node]), loops.lower(loop, target))


def _copy(
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
    loop = Loop(
        shape,
        frozenset(),
        (Access(own, x.dtype), Access(tuple(strides), node.dtype)),
        (Instruction("load", (), x.dtype, array=0, full=False),),
        ((1, 0),),
    )
    places = (given.place, Place(node, offset * node.dtype.itemsize))
    return Step([node], places, frozenset([node]), loops.lower(loop, target))
