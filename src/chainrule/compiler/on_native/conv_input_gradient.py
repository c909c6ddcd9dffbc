"""The gradient of a convolution for the image.

Sums over windows of the upstream gradient, with the kernel turned around. A stride of s makes s × s classes of pixels,
each of which is seen through its own taps (:mod:`chainrule.compiler.on_native.axis`).
"""

from __future__ import annotations

from chainrule.compiler.on_native.axis import backward_axes
from chainrule.compiler.on_native.call import remembered
from chainrule.compiler.on_native.conv import Convolution, packed_and_swept
from chainrule.compiler.on_native.direct import Direct
from chainrule.compiler.on_native.ir import type_of
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.panels import PackedWeights, Weights
from chainrule.compiler.on_native.prepacking import Packing
from chainrule.compiler.on_native.target import Target


@remembered(Convolution.name)
def lower_input_gradient(problem: Convolution, target: Target) -> Lowered:
    """The kernels of the gradient for the image: operands "g", "w", "y", and those of the epilogue.

    "g" is the gradient upstream, shaped as the result of the convolution; "y" is shaped as the images. The epilogue
    sees "y" as a matrix of (images × rows × columns, channels).
    """
    d, weights = backward(problem, target)
    return packed_and_swept(problem, d, weights, "g", "y", target)


def packing(problem: Convolution, target: Target) -> Packing:
    """How the packed weights of the gradient for the image lie."""
    d, weights = backward(problem, target)
    return PackedWeights.of_sums(weights, d.panels(target.isa))


def backward(problem: Convolution, target: Target) -> tuple[Direct, Weights]:
    """The sums that the gradient for the image is, and its weights."""
    c = problem.flat
    windows = c.windows
    rows, columns = (
        tuple(backward_axes(c.size[i], windows[i], c.kernel[i], c.stride[i], c.padding[i], c.dilation[i]))
        for i in (0, 1)
    )
    whole = c.depthwise
    d = Direct(
        name=c.symbol("conv_input_gradient", target),
        images=c.images,
        rows=rows,
        columns=columns,
        source=(*windows, c.outputs),
        result=(*c.size, c.channels),
        groups=1 if whole else c.groups,
        depth=c.width,
        width=c.channels if whole else c.depth,
        depthwise=whole,
        products=c.products,
        kind=type_of(c.dtype),
        epilogue=c.epilogue,
        whole=c.whole,
        asked=c.asked,
    )
    one = c.depth * c.outputs
    channel = 1 if whole else c.outputs
    return d, Weights(d.classes, c.width, one * c.kernel[1], one, c.width, 1, channel, d.kind)
