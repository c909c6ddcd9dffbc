"""Convolutions and pools of a graph, handed to their kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import (
    conv,
    conv_gradient,
    conv_input_gradient,
    matmul,
    pooling,
    winograd,
    winograd_gradient,
)
from chainrule.compiler.on_native.conv import Convolution
from chainrule.compiler.on_native.finishing import Finish, finish
from chainrule.compiler.on_native.ir import Function, Value
from chainrule.compiler.on_native.kernel import operand
from chainrule.compiler.on_native.operands import Operand, as_it_lies, dense, is_constant, is_dense
from chainrule.compiler.on_native.pool_ties import PoolEnd
from chainrule.compiler.on_native.pooling import Pool
from chainrule.compiler.on_native.prepacking import Check, Head, Packing, Wish
from chainrule.compiler.on_native.products import ProductHead, computed_inputs
from chainrule.compiler.on_native.prologues import Computed, computed, prologue_operands, with_prologue
from chainrule.compiler.on_native.summing import SummingEpilogue
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.winograd_filter import FILTERS, Filter
from chainrule.compiler.steps import Place, Scratch, Step, Workspace
from chainrule.compiler.views import of_base
from chainrule.node import Node
from chainrule.ops.pool_ties import MaxPool2dSpread, MaxPool2dTies
from chainrule.ops.windows import OverlapAdd2d, Pair
from chainrule.shapes import Shape, float32


@dataclass(slots=True)
class ConvHead(Head):
    """A convolution or one of its gradients.

    Attributes:
        problem: what is computed.
        end: what runs on its results.
        lower: gives the kernels of a problem.
        names: of its two inputs in those kernels.
        packing: of the weights, if it reads any.
        computed: the first input, if its kernels compute it as they stage it.
        sound: says whether the sums that its last kernel makes are right.
    """

    problem: Convolution
    end: Finish
    grouping: Grouping
    lower: Callable[[Convolution, Target], matmul.Lowered]
    names: tuple[str, str]
    target: Target
    packing: Packing | None = None
    computed: Computed | None = None
    sound: Check | None = None

    @property
    def within(self) -> Sequence[Group]:
        return self.end.within

    def takes(self, i: int) -> bool:
        return self.problem.spread is not None if i else self.computed is not None

    @property
    def pools(self) -> bool:
        return self.problem.pool is not None

    def wish(self) -> Wish | None:
        if self.packing is None:
            return None
        w = self.end.group.members[0].inputs[1]
        sight = self.grouping.sights[w]
        lies = as_it_lies(sight)
        if not (is_constant(lies.place) or is_dense(sight, w.shape)):
            return None
        return Wish(w, lies.place, w.shape, lies.strides, self.packing, 1.0)

    def steps(self, packed: Place | None) -> list[Step]:
        found: list[Step] = []
        arrays: dict[str, Place] = {}
        how = self.computed
        for i, (name, x) in enumerate(zip(self.names, self.end.group.members[0].inputs, strict=True)):
            if i == 0 and how:
                arrays[name] = how.places[0]
                arrays |= zip(prologue_operands(how.prologue), how.places, strict=True)
            elif name == "w" and packed is not None:
                arrays[name] = packed
            elif name == "g" and self.problem.spread:
                pooled = self.end.group.prologues[i].members[0].inputs
                for part, y in zip(("g", "ties"), pooled, strict=True):
                    arrays[part] = dense(self.grouping.sights[y], y, found, self.target).place
            else:
                arrays[name] = dense(self.grouping.sights[x], x, found, self.target).place
        asked = _read_ahead(self.end.group, self.grouping)
        arrays |= {f"ask{i}": Place(x) for i, x in enumerate(asked)}
        problem = replace(
            self.problem,
            packed=packed is not None,
            prologue=how and how.prologue,
            asked=tuple(x.size // x.shape[0] * x.dtype.itemsize for x in asked),
        )
        lowered = self._lowered(problem)
        steps = self.end.steps(lowered.calls, lowered.workspace, lowered.scratch, arrays, "y")
        if self.problem.spread:
            first, *others = steps
            spread = self.end.group.prologues[1].members
            note = "max_pool2d_spread: into the sums, row by row"
            steps = [replace(first, nodes=[*spread, *first.nodes], note=note), *others]
        return [*found, *(with_prologue(steps, how, "convolution") if how else steps)]

    def _lowered(self, problem: Convolution) -> matmul.Lowered:
        """The kernels; with factors taken out of sums if those can be made again by tasks where that is wrong."""
        epilogue = problem.epilogue
        fast = epilogue.factored() if isinstance(epilogue, SummingEpilogue) else None
        if fast is not None:
            lowered = self.lower(replace(problem, epilogue=fast), self.target)
            if lowered.calls and lowered.calls[-1].kernel.items:
                self.sound = self._check(fast, lowered.calls[-1].operands.index("epilogue0"))
                return lowered
        return self.lower(problem, self.target)

    def _check(self, epilogue: SummingEpilogue, first: int) -> Check:
        """Says whether the sums of an epilogue are right, whose operands begin at a place of the table."""
        lanes = self.target.isa.lanes(self.problem.dtype.itemsize)

        def sound(f: Function, operands: Value) -> Value:
            pointers = [operand(f, operands, first + i) for i in range(epilogue.operands)]
            return epilogue.sound(f, pointers, lanes)

        return sound


def head_of_conv(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> Head:
    """A convolution of images."""
    node = group.members[0]
    x, w = node.inputs
    end = finish(group, grouping, _made(group, needed), target, batched=False, sums=True)
    problem = _convolution(node, x.shape, w.shape, end)
    how = _filter(problem, winograd.suits, target)
    if group.pool is not None:
        problem = _pooled(problem, group.pool, end, how)
    if how:
        packing = winograd.packing(problem, target, how)
        lower = partial(winograd.lower, how=how)
        known = _computed(group, grouping, target)
        return ConvHead(problem, end, grouping, lower, ("x", "w"), target, packing, known)
    packing = conv.packing(problem, target)
    return ConvHead(problem, end, grouping, conv.lower, ("x", "w"), target, packing)


def head_of_conv_input_grad(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> Head:
    """The gradient of a convolution for its images."""
    node = group.members[0]
    g, w = node.inputs
    end = finish(group, grouping, needed, target, batched=False, sums=True)
    problem = _convolution(node, node.shape, w.shape, end)
    if _is_product(problem):
        end = finish(group, grouping, needed, target, batched=False)
        rows = problem.images * problem.size[0] * problem.size[1]
        n, k = problem.channels, problem.outputs

        def product(right: Operand) -> matmul.Product:
            b = (right.strides[-1], right.strides[-2])
            return matmul.Product(rows, n, k, problem.dtype, (k, 1), b, n, epilogue=end.epilogue)

        before: list[Step] = []
        left = dense(grouping.sights[g], g, before, target)
        sight = grouping.sights[w]
        known = computed_inputs(group, grouping, target)
        return ProductHead(
            end, left, w, sight, is_dense(sight, w.shape), dense, product, target, before, known
        )
    how = _filter(problem, winograd.suits, target)
    if how:
        lower = partial(winograd.lower_input_gradient, how=how)
        packing = winograd.packing(problem, target, how, gradient=True)
        known = _computed(group, grouping, target)
        return ConvHead(problem, end, grouping, lower, ("g", "w"), target, packing, known)
    packing = conv_input_gradient.packing(problem, target)
    return ConvHead(
        problem, end, grouping, conv_input_gradient.lower_input_gradient, ("g", "w"), target, packing
    )


def head_of_conv_weight_grad(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> Head:
    """The gradient of a convolution for its kernel."""
    node = group.members[0]
    x, g = node.inputs
    end = finish(group, grouping, needed, target, batched=False)
    problem = _convolution(node, x.shape, node.shape, end)
    if _is_product(problem) and _pays_to_pack(problem):
        pixels, m, n = problem.images * problem.size[0] * problem.size[1], problem.channels, problem.outputs

        def product(right: Operand) -> matmul.Product:
            return matmul.Product(m, n, pixels, problem.dtype, (1, m), (n, 1), n, epilogue=end.epilogue)

        before: list[Step] = []
        left = dense(grouping.sights[x], x, before, target)
        sight, unseen = grouping.sights[g], dict.fromkeys(group.prologues)
        return ProductHead(
            end, left, g, sight, is_dense(sight, g.shape), dense, product, target, before, unseen
        )
    how = _filter(problem, winograd_gradient.suits, target)
    if how:
        lower = partial(winograd_gradient.lower_weight_gradient, how=how)
    else:
        lower = conv_gradient.lower_weight_gradient
        problem = replace(problem, spread=_spread(group, g, grouping))
    return ConvHead(problem, end, grouping, lower, ("x", "g"), target)


def _spread(group: Group, g: Node, grouping: Grouping) -> Pair | None:
    """The windows that the gradient upstream is spread over as it is read: if they cover the image without overlap."""
    spread = group.prologues[1].members[0] if 1 in group.prologues else None
    if spread is None or spread.op is not MaxPool2dSpread or grouping.sights[g] != of_base(g):
        return None
    params: dict[str, Any] = dict(spread.params)
    size: Pair = params["size"]
    whole = all(n % s == 0 for n, s in zip(params["image"], size, strict=True))
    return size if whole and params["stride"] == size else None


def _read_ahead(group: Group, grouping: Grouping) -> list[Node]:
    """Arrays that loops ahead of a head read item by item."""
    found: dict[Node, None] = {}
    for loop in group.ahead:
        for x in (x for node in loop.members for x in node.inputs):
            for base in sorted(grouping.arrays_read(x), key=lambda n: n.index):
                if base.shape == loop.domain and grouping.home.get(base) not in group.ahead:
                    found[base] = None
    return list(found)


def _computed(group: Group, grouping: Grouping, target: Target) -> Computed | None:
    """The first input as what its prologue computes, pixel by pixel; None if there is none, or it cannot be seen so."""
    x = group.members[0].inputs[0]
    sight = grouping.sights[x]
    if 0 not in group.prologues or sight.offset or not is_dense(sight, x.shape) or x.size != sight.base.size:
        return None
    return computed(group.prologues[0], sight.base, x.shape[-1], grouping, target)


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
        whole=bool(end.group.ahead or end.group.behind),
    )


def _filter(
    problem: Convolution, suits: Callable[[Convolution, Filter], bool], target: Target
) -> Filter | None:
    """Winograd's filter, where fewer products are wanted and worth a larger rounding error: never in float64."""
    if problem.dtype is not float32:
        return None
    return next((how for how in FILTERS if how.least <= target.winograd and suits(problem, how)), None)


def _made(group: Group, needed: set[Node]) -> set[Node]:
    """The nodes that are stored, or would be if no pool came at once."""
    return needed | set(group.pool.members[0].inputs) if group.pool else needed


def _stored_by_pool(pool: Group) -> dict[str, Node]:
    """What a pool stores, by the names that kernels have for it."""
    return {"ties" if n.op is MaxPool2dTies else "y": n for n in pool.members}


def _pooled(problem: Convolution, pool: Group, end: Finish, how: Filter | None) -> Convolution:
    """A convolution that ends with a pool, whose results are those of the pool, if tiles hold whole windows."""
    size: Pair = pool.members[0].params["size"]
    if how and any(m % s for m, s in zip(how.outputs, size, strict=True)):
        return problem
    end.arrays["result"] = Place(pool.members[0])
    end.pooled = _stored_by_pool(pool)
    return replace(problem, pool=PoolEnd(size, (True, "ties" in end.pooled)))


_FEW_PIXELS, _FAR, _MANY_SUMS = 1000, 1024, 1 << 21
"""From where on packing pays: fewer pixels; bytes from pixel to pixel, and bytes of the sums, of at least so many."""


def _pays_to_pack(problem: Convolution) -> bool:
    """Whether the gradient of a kernel of one pixel is faster as a product of matrices, which packs what it reads.

    The direct sums read a few channels at each pixel: far apart they share the sets of the cache, and are too few to
    make up for the parts that are added at the end if the kernel is large.
    """
    pixels, size = problem.images * problem.size[0] * problem.size[1], problem.dtype.itemsize
    sums = problem.channels * problem.outputs * size
    return pixels < _FEW_PIXELS or problem.channels * size >= _FAR or sums >= _MANY_SUMS


def _is_product(problem: Convolution) -> bool:
    """Whether a gradient is a product of matrices: kernels of one pixel that see each pixel once."""
    plain = problem.kernel == problem.stride == (1, 1) and not any(map(any, problem.padding))
    return plain and problem.groups == 1


_POOLS = {
    "max_pool2d": (pooling.lower_max_pool, ("x",)),
    "max_pool2d_grad": (pooling.lower_max_pool_gradient, ("g", "x")),
    "max_pool2d_tangent": (pooling.lower_max_pool_tangent, ("t", "x")),
    "max_pool2d_spread": (pooling.lower_max_pool_spread, ("g", "ties")),
    "sum_pool2d": (pooling.lower_sum_pool, ("x",)),
    "overlap_add2d": (pooling.lower_overlap_add, ("x",)),
}


def lower_pool(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    """A pool, or what its gradient is made of."""
    node = group.members[0]
    assert node.op is not None
    stored = _stored_by_pool(group)
    if "ties" in stored:
        keeps = "y" in stored, True
        lower, names = partial(pooling.lower_max_pool_with_ties, keeps=keeps), ("x",)
    else:
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
        n, h, w, c = node.shape if node.op is MaxPool2dSpread else node.inputs[-1].shape
        problem = Pool(n, (h, w), c, p["size"], p["stride"], node.inputs[0].dtype, p["padding"])
        places = {
            name: dense(grouping.sights[x], x, found, target).place
            for name, x in zip(names, node.inputs, strict=True)
        }
    lowered = lower(problem, target)
    everything = {
        **places,
        **{name: Place(n) for name, n in stored.items()},
        "workspace": Place(Workspace(lowered.workspace)),
        "scratch": Place(Scratch(lowered.scratch)),
    }
    for call in lowered.calls:
        writes = frozenset(everything[n].array for n in call.operands if n not in places)
        found.append(Step(group.members, [everything[n] for n in call.operands], writes, call.kernel))
    return found
