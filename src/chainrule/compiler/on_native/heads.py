"""Nodes with kernels of their own: products of matrices, convolutions, pools.

Products and convolutions head a group: what joins it runs on their results. Pools are steps of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import images, matmul, placing
from chainrule.compiler.on_native.epilogues import finish
from chainrule.compiler.on_native.operands import Operand, factor
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Step
from chainrule.node import Node
from chainrule.ops.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from chainrule.ops.gather import ScatterAdd
from chainrule.ops.join import Concatenate, Pad
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import Reshape
from chainrule.ops.pool import MaxPool2d, MaxPool2dGrad, MaxPool2dTangent, SumPool2d
from chainrule.ops.windows import OverlapAdd2d
from chainrule.primitive import Primitive
from chainrule.shapes import FLOATS, Shape, row_major

Lower: TypeAlias = "Callable[[Group, Grouping, set[Node], Target], list[Step]]"


def lower_matmul(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A product of matrices, or of stacks of them."""
    node = group.members[0]
    end = finish(group, grouping, needed, target, batched=True)
    found: list[Step] = []
    left, right = (factor(grouping.sights[x], x, found, target) for x in node.inputs)
    batch = node.shape[:-2]
    m, n = node.shape[-2:]
    product = matmul.Product(
        m,
        n,
        node.inputs[0].shape[-1],
        node.dtype,
        (left.strides[-2], left.strides[-1]),
        (right.strides[-2], right.strides[-1]),
        n,
        batch,
        (
            _batch_strides(left, node.inputs[0].shape, len(batch)),
            _batch_strides(right, node.inputs[1].shape, len(batch)),
            row_major(node.shape)[:-2],
        ),
        end.epilogue,
    )
    lowered = matmul.lower(product, target)
    arrays = {"a": left.place, "b": right.place}
    return [*found, *end.steps(lowered.calls, lowered.workspace, lowered.scratch, arrays, "c")]


def _batch_strides(x: Operand, shape: Shape, rank: int) -> tuple[int, ...]:
    own = [0 if n == 1 else s for n, s in zip(shape[:-2], x.strides[:-2], strict=True)]
    return (0,) * (rank - len(own)) + tuple(own)


HEADS: dict[type[Primitive], Lower] = {
    MatMul: lower_matmul,
    Conv2d: images.lower_conv,
    Conv2dInputGrad: images.lower_conv_input_grad,
    Conv2dWeightGrad: images.lower_conv_weight_grad,
}
"""Primitives whose group goes on with their results."""

ALONE: dict[type[Primitive], Lower] = {
    MaxPool2d: images.lower_pool,
    MaxPool2dGrad: images.lower_pool,
    MaxPool2dTangent: images.lower_pool,
    SumPool2d: images.lower_pool,
    OverlapAdd2d: images.lower_pool,
    Concatenate: placing.lower_concat,
    Pad: placing.lower_pad,
    Reshape: placing.lower_reshape,
    ScatterAdd: placing.lower_scatter,
}
"""Primitives with a kernel that ends with them."""


_INPUTS: dict[type[Primitive] | None, int] = {
    Concatenate: 64,
    Pad: 1,
    Reshape: 1,
    ScatterAdd: 1,
}
"""With more inputs NumPy does it: an index with arrays has them as inputs."""


def kind_of(node: Node) -> str:
    """``head``, ``alone`` or ``call``: who computes a node that is neither elementwise nor a reduction."""
    if not node.size or not all(x.dtype is node.dtype for x in node.inputs):
        return "call"
    if node.op in _INPUTS:
        return (
            "alone" if all(x.size for x in node.inputs) and len(node.inputs) <= _INPUTS[node.op] else "call"
        )
    if node.dtype not in FLOATS or not all(x.size for x in node.inputs):
        return "call"
    return "head" if node.op in HEADS else "alone" if node.op in ALONE else "call"


def lower(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> Sequence[Step]:
    """The steps of a group with a kernel of its own."""
    op = group.members[0].op
    assert op is not None
    return (HEADS if group.kind == "head" else ALONE)[op](group, grouping, needed, target)
