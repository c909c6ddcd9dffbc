"""Convolutions and pools of a graph, handed to their kernels."""

from __future__ import annotations

from typing import Any

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import conv, conv_gradient, matmul, pooling, winograd, winograd_gradient
from chainrule.compiler.on_native.conv import Convolution
from chainrule.compiler.on_native.epilogues import Finish, finish
from chainrule.compiler.on_native.operands import as_it_lies, dense
from chainrule.compiler.on_native.pooling import Pool
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Place, Scratch, Step, Workspace
from chainrule.node import Node
from chainrule.ops.windows import OverlapAdd2d
from chainrule.shapes import Shape, float32


def lower_conv(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A convolution of images."""
    node = group.members[0]
    x, w = node.inputs
    end = finish(group, grouping, needed, target, batched=False)
    problem = _convolution(node, x.shape, w.shape, end)
    lowered = (winograd if _by_winograd(problem) else conv).lower(problem, target)
    return _steps(lowered, end, grouping, ("x", "w"), target)


def lower_conv_input_grad(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """The gradient of a convolution for its images."""
    node = group.members[0]
    _, w = node.inputs
    end = finish(group, grouping, needed, target, batched=False)
    problem = _convolution(node, node.shape, w.shape, end)
    if _is_product(problem):
        rows = problem.images * problem.size[0] * problem.size[1]
        n, k = problem.channels, problem.outputs
        product = matmul.Product(rows, n, k, problem.dtype, (k, 1), (1, k), n, epilogue=end.epilogue)
        return _steps(matmul.lower(product, target), end, grouping, ("a", "b"), target, "c")
    chosen = winograd if _by_winograd(problem) else conv_gradient
    return _steps(chosen.lower_input_gradient(problem, target), end, grouping, ("g", "w"), target)


def lower_conv_weight_grad(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """The gradient of a convolution for its kernel."""
    node = group.members[0]
    x, _ = node.inputs
    end = finish(group, grouping, needed, target, batched=False)
    problem = _convolution(node, x.shape, node.shape, end)
    if problem.dtype is float32 and winograd_gradient.suits(problem):
        lowered = winograd_gradient.lower_weight_gradient(problem, target)
    else:
        lowered = conv_gradient.lower_weight_gradient(problem, target)
    return _steps(lowered, end, grouping, ("x", "g"), target)


def _convolution(node: Node, images: Shape, kernel: Shape, end: Finish) -> Convolution:
    p: dict[str, Any] = dict(node.params)
    return Convolution(
        images[0],
        (images[1], images[2]),
        images[3],
        (kernel[0], kernel[1]),
        kernel[3],
        node.dtype,
        p["stride"],
        p["padding"],
        p["dilation"],
        p["groups"],
        end.epilogue,
    )


def _by_winograd(problem: Convolution) -> bool:
    """Whether fewer multiplications are worth a rounding error that is a little larger: never in float64."""
    return problem.dtype is float32 and winograd.suits(problem)


def _is_product(problem: Convolution) -> bool:
    """Whether a gradient for the images is a product of matrices: kernels of one pixel that see each pixel once."""
    plain = problem.kernel == problem.stride == (1, 1) and not any(map(any, problem.padding))
    return plain and problem.groups == 1


def _steps(
    lowered: matmul.Lowered,
    end: Finish,
    grouping: Grouping,
    names: tuple[str, str],
    target: Target,
    result: str = "y",
) -> list[Step]:
    found: list[Step] = []
    inputs = end.group.members[0].inputs
    arrays = {
        name: dense(grouping.sights[x], x, found, target).place for name, x in zip(names, inputs, strict=True)
    }
    return [*found, *end.steps(lowered.calls, lowered.workspace, lowered.scratch, arrays, result)]


_POOLS = {
    "max_pool2d": (pooling.lower_max_pool, ("x",)),
    "max_pool2d_grad": (pooling.lower_max_pool_gradient, ("g", "x")),
    "max_pool2d_tangent": (pooling.lower_max_pool_tangent, ("t", "x")),
    "sum_pool2d": (pooling.lower_sum_pool, ("x",)),
    "overlap_add2d": (pooling.lower_overlap_add, ("x",)),
}


def lower_pool(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A pool, or what its gradient is made of."""
    node = group.members[0]
    assert node.op is not None
    lower, names = _POOLS[node.op.name]
    p: dict[str, Any] = dict(node.params)
    found: list[Step] = []
    if node.op is OverlapAdd2d:
        (windows,) = node.inputs
        sight = grouping.sights[windows]
        loose = sight.strides[-1] == 1 and min(sight.strides) >= 0
        given = as_it_lies(sight) if loose else dense(sight, windows, found, target)
        problem = Pool(
            node.shape[0],
            (node.shape[1], node.shape[2]),
            node.shape[3],
            (windows.shape[3], windows.shape[4]),
            p["stride"],
            node.dtype,
            p["padding"],
            p["dilation"],
            given.strides,
        )
        places = {"x": given.place}
    else:
        n, h, w, c = node.inputs[-1].shape
        problem = Pool(n, (h, w), c, p["size"], p["stride"], node.dtype, p["padding"])
        places = {
            name: dense(grouping.sights[x], x, found, target).place
            for name, x in zip(names, node.inputs, strict=True)
        }
    lowered = lower(problem, target)
    everything = {
        **places,
        "y": Place(node),
        "workspace": Place(Workspace(lowered.workspace)),
        "scratch": Place(Scratch(lowered.scratch)),
    }
    for call in lowered.calls:
        writes = frozenset(everything[n].array for n in call.operands if n not in places)
        found.append(Step([node], [everything[n] for n in call.operands], writes, call.kernel))
    return found
