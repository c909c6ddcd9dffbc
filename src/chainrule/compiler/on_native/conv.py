"""Convolution of images, computed directly.

The weights come as the primitive has them; a first kernel packs them into panels in the workspace, a second one
computes. See :mod:`chainrule.compiler.on_native.direct` for how.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from chainrule.compiler.on_native.axis import forward_axis
from chainrule.compiler.on_native.call import Call, Epilogue, epilogue_operands, remembered
from chainrule.compiler.on_native.direct import Direct
from chainrule.compiler.on_native.ir import type_of
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.panels import PackedWeights, Weights
from chainrule.compiler.on_native.pool_ties import PoolEnd
from chainrule.compiler.on_native.prepacking import Packing
from chainrule.compiler.on_native.prologues import Prologue
from chainrule.compiler.on_native.target import Target
from chainrule.ops.windows import Pads, Pair, count_windows
from chainrule.shapes import DType

_LONG = 56
"""Pixels of a row from which on tiles of any size fill it well."""


@dataclass(frozen=True)
class Convolution:
    """A convolution as :func:`chainrule.conv2d` has it, or one of its two gradients.

    Images are (N, H, W, channels), the kernel is (KH, KW, channels / groups, outputs).

    Attributes:
        images: N.
        size: H and W.
        channels: of the images.
        kernel: KH and KW.
        outputs: channels of the result.
        dtype: of all arrays, float32 or float64.
        stride, padding, dilation, groups: as the primitive has them.
        epilogue: finishes the result of the forward pass or of the gradient, whichever is lowered.
        prologue: computes the images, or the gradient upstream, as they are staged: by Winograd's filtering alone.
        whole: whether tasks had better make whole images, since loops run within them.
        asked: bytes of an item of each array that is read ahead of the tasks, which is worth asking for before.
        pool: takes the result of the forward pass, which then is not stored.
        spread: rows and columns of the windows of a pool over which the gradient upstream is spread as the gradient for
            the kernel reads it; None if it lies there.
        packed: "w" holds packed weights (as the first kernel leaves them in the workspace), not the plain kernel.
    """

    images: int
    size: Pair
    channels: int
    kernel: Pair
    outputs: int
    dtype: DType
    stride: Pair = (1, 1)
    padding: Pads = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    epilogue: Epilogue | None = None
    packed: bool = False
    prologue: Prologue | None = None
    whole: bool = False
    asked: tuple[int, ...] = ()
    pool: PoolEnd | None = None
    spread: Pair | None = None

    @property
    def windows(self) -> Pair:
        """Rows and columns of the result."""
        return count_windows("conv2d", self.size, self.kernel, self.stride, self.padding, self.dilation)

    @property
    def depth(self) -> int:
        """Channels of the images in a group."""
        return self.channels // self.groups

    @property
    def width(self) -> int:
        """Channels of the result in a group."""
        return self.outputs // self.groups

    @property
    def depthwise(self) -> bool:
        """Whether each channel is a group of its own."""
        return self.groups > 1 and self.depth == self.width == 1

    @property
    def products(self) -> int:
        """Multiplications, those with padding counted."""
        rows, columns = self.windows
        return self.images * rows * columns * self.outputs * self.kernel[0] * self.kernel[1] * self.depth

    def name(self, target: Target) -> str:
        """Says all that the code for it depends on, but for what is packed."""
        return self.symbol("convolution", target)

    def symbol(self, stem: str, target: Target, finished: bool = True) -> str:
        """A kernel's name, which says all of it; ``finished`` if the epilogue is a part of that kernel."""
        pads = ".".join(str(n) for pair in self.padding for n in pair)
        sizes = f"{self.images}x{self.size[0]}x{self.size[1]}x{self.channels}"
        steps = f"s{_dotted(self.stride)}_p{pads}_d{_dotted(self.dilation)}_g{self.groups}"
        finish = f"_{self.epilogue.name}" if self.epilogue and finished else ""
        finish += f"_{self.prologue.name}" if self.prologue else ""
        finish += f"_spread{_dotted(self.spread)}" if self.spread else ""
        finish += "_whole" if self.whole and finished else ""
        finish += f"_asks{'.'.join(map(str, self.asked))}" if self.asked and finished else ""
        finish += f"_{self.pool.name}" if self.pool and finished else ""
        kernel = f"k{_dotted(self.kernel)}_o{self.outputs}"
        return f"{stem}_{sizes}_{kernel}_{steps}_{self.dtype.name}{finish}_{target.isa.name}"

    @property
    def extra(self) -> tuple[str, ...]:
        """The names of the operands of an epilogue, and of what is asked for."""
        return (*epilogue_operands(self.epilogue), *(f"ask{i}" for i in range(len(self.asked))))

    @property
    def flat(self) -> Convolution:
        """The same for kernels of one pixel: with rows that make full tiles, and all images as one if they may be."""
        single = self.kernel == self.stride == (1, 1) and not any(map(any, self.padding))
        images = self.images if self.whole else 1
        pixels = self.images * self.size[0] * self.size[1] // max(images, 1)
        if not single or not pixels or self.pool:
            return self
        row = next(n for n in range(min(_LONG, pixels), pixels + 1) if pixels % n == 0)
        return dataclasses.replace(self, images=images, size=(pixels // row, row))


def _dotted(pair: Pair) -> str:
    return f"{pair[0]}.{pair[1]}"


@remembered(Convolution.name)
def lower(problem: Convolution, target: Target) -> Lowered:
    """The kernels of a convolution: operands "x", "w", "y", those of the epilogue, and what is asked for.

    The epilogue sees the result as a matrix of (images × rows × columns, channels).
    """
    d, weights = forward(problem, target)
    return packed_and_swept(problem, d, weights, "x", "y", target)


def packing(problem: Convolution, target: Target) -> Packing:
    """How the packed weights of the forward pass lie."""
    d, weights = forward(problem, target)
    return PackedWeights.of_sums(weights, d.panels(target.isa))


def packed_and_swept(
    problem: Convolution, d: Direct, weights: Weights, source: str, result: str, target: Target
) -> Lowered:
    """Pack the weights if need be, then compute."""
    if not d.images * d.groups * d.width * d.result[0] * d.result[1]:
        return Lowered(())
    where = "w" if problem.packed else "workspace"
    kernel = d.kernel(weights, target)
    pooled = ("scratch", *problem.pool.operands[1:]) if problem.pool else ()
    scratch = d.room(d.panels(target.isa)) * problem.dtype.itemsize
    call = Call(kernel, (source, where, result, *problem.extra, *pooled))
    if problem.packed:
        return Lowered((call,), 0, scratch)
    panels = d.panels(target.isa)
    pack = Call(weights.pack(panels, f"{d.name}_pack", target), ("w", "workspace"))
    return Lowered((pack, call), weights.size(panels) * problem.dtype.itemsize, scratch)


def forward(problem: Convolution, target: Target) -> tuple[Direct, Weights]:
    """The sums that a convolution is, and its weights."""
    c = problem.flat
    windows = c.windows
    rows, columns = (
        forward_axis(c.size[i], windows[i], c.kernel[i], c.stride[i], c.padding[i], c.dilation[i])
        for i in (0, 1)
    )
    whole = c.depthwise
    d = Direct(
        name=c.symbol("conv", target),
        images=c.images,
        rows=(rows,),
        columns=(columns,),
        source=(*c.size, c.channels),
        result=(*windows, c.outputs),
        groups=1 if whole else c.groups,
        depth=c.depth,
        width=c.outputs if whole else c.width,
        depthwise=whole,
        products=c.products,
        kind=type_of(c.dtype),
        epilogue=c.epilogue,
        whole=c.whole,
        asked=c.asked,
        pool=c.pool,
    )
    one = c.depth * c.outputs
    weights = Weights(d.classes, c.depth, one * c.kernel[1], one, c.width, c.outputs, 1, d.kind)
    return d, weights
