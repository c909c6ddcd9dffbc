"""Nodes with kernels of their own: products of matrices, convolutions, pools.

Products and convolutions head a group: what joins it runs on their results. Pools are steps of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import images, placing, products, scans, scatters
from chainrule.compiler.on_native.prepacking import Head
from chainrule.compiler.on_native.random_numbers import GENERATORS
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Step
from chainrule.node import Node
from chainrule.ops.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from chainrule.ops.gather import GetItem, IndexSet, ScatterAdd
from chainrule.ops.join import Concatenate, Pad
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import Reshape
from chainrule.ops.pool import MaxPool2d, MaxPool2dGrad, MaxPool2dTangent, SumPool2d
from chainrule.ops.pool_ties import MaxPool2dSpread, MaxPool2dTies
from chainrule.ops.scan import CumulativeProd, CumulativeSum, LinearRecurrence
from chainrule.ops.windows import OverlapAdd2d, Windows2d
from chainrule.primitive import Primitive
from chainrule.shapes import FLOATS

Lower: TypeAlias = "Callable[[Group, Grouping, set[Node], Target], list[Step]]"
MakeHead: TypeAlias = "Callable[[Group, Grouping, set[Node], Target], Head]"


HEADS: dict[type[Primitive], MakeHead] = {
    MatMul: products.head_of_matmul,
    Conv2d: images.head_of_conv,
    Conv2dInputGrad: images.head_of_conv_input_grad,
    Conv2dWeightGrad: images.head_of_conv_weight_grad,
}
"""Primitives whose group goes on with their results."""

ALONE: dict[type[Primitive], Lower] = {
    MaxPool2d: images.lower_pool,
    MaxPool2dGrad: images.lower_pool,
    MaxPool2dTangent: images.lower_pool,
    MaxPool2dTies: images.lower_pool,
    MaxPool2dSpread: images.lower_pool,
    SumPool2d: images.lower_pool,
    OverlapAdd2d: images.lower_pool,
    Concatenate: placing.lower_concat,
    Pad: placing.lower_pad,
    Reshape: placing.lower_reshape,
    ScatterAdd: scatters.lower_scatter,
    IndexSet: scatters.lower_index_set,
    Windows2d: placing.lower_windows,
    CumulativeProd: scans.lower_scan,
    CumulativeSum: scans.lower_scan,
    LinearRecurrence: scans.lower_scan,
}
"""Primitives with a kernel that ends with them."""


_INPUTS: dict[type[Primitive] | None, int] = {
    Concatenate: 64,
    Pad: 1,
    Reshape: 1,
    Windows2d: 1,
    OverlapAdd2d: 1,
    CumulativeProd: 1,
    CumulativeSum: 1,
    LinearRecurrence: 2,
}
"""With more inputs NumPy does it."""


def kind_of(node: Node) -> str:
    """``head``, ``alone``, ``loop`` or ``call``: who computes what is neither elementwise nor a reduction."""
    if not node.size or not all(x.size for x in node.inputs):
        return "call"
    if node.op in GENERATORS:
        return "loop" if node.inputs[0].ndim == 1 else "call"  # numbers of several keys, by NumPy
    if node.op is GetItem:
        return "loop"
    if node.op in (IndexSet, ScatterAdd, MaxPool2dTies, MaxPool2dSpread):
        return "alone"
    if not all(x.dtype is node.dtype for x in node.inputs):
        return "call"
    if node.op in _INPUTS:
        return "alone" if len(node.inputs) <= _INPUTS[node.op] else "call"
    if node.dtype not in FLOATS:
        return "call"
    return "head" if node.op in HEADS else "alone" if node.op in ALONE else "call"


def head(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> Head:
    """A group that goes on with the results of its head, on its way to steps."""
    op = group.members[0].op
    assert op is not None
    return HEADS[op](group, grouping, needed, target)


def alone(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> Sequence[Step]:
    """The steps of a node with a kernel that ends with it."""
    op = group.members[0].op
    assert op is not None
    return ALONE[op](group, grouping, needed, target)
