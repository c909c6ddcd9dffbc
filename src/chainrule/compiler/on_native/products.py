"""Products of matrices of a graph, handed to their kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import matmul
from chainrule.compiler.on_native.finishing import Finish, finish
from chainrule.compiler.on_native.operands import (
    Operand,
    as_it_lies,
    factor,
    is_constant,
    is_dense,
    lies_so,
    readable,
)
from chainrule.compiler.on_native.prepacking import Head, Wish
from chainrule.compiler.on_native.prologues import Computed, computed, prologue_operands, with_prologue
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.steps import Place, Step
from chainrule.compiler.views import Sight
from chainrule.node import Node
from chainrule.shapes import Shape, row_major


@dataclass(slots=True)
class ProductHead(Head):
    """A product, or something that is one.

    Attributes:
        end: what runs on its results.
        left: A.
        right, sight: B, and how it is read.
        readable: whether kernels can read B as it lies.
        copied: otherwise, what copies it by a step.
        product: what is computed, given how B lies.
        before: steps that copy A, if need be.
        computed: inputs that are computed as they are read, by their number; None for one that cannot be.
    """

    end: Finish
    left: Operand
    right: Node
    sight: Sight
    readable: bool
    copied: Callable[[Sight, Node, list[Step], Target], Operand]
    product: Callable[[Operand], matmul.Product]
    target: Target
    before: list[Step]
    computed: Mapping[int, Computed | None]
    panelling: matmul.Panelling | None = field(init=False, default=None)

    def wish(self) -> Wish | None:
        lies = as_it_lies(self.sight)
        if self.readable or is_constant(lies.place):
            self.panelling = matmul.panelling(self.product(lies), self.target)
        how = self.panelling
        computed = self.computed.get(1)
        return how and Wish(self.right, lies.place, how.shape, how.strides, how.packing, how.saves, computed)

    def takes(self, i: int) -> bool:
        if self.computed[i] is None:
            return False
        if i == 1:
            return self.wish() is not None
        return matmul.computes_rows(self.product(as_it_lies(self.sight)), self.target)

    def steps(self, packed: Place | None) -> list[Step]:
        found = list(self.before)
        if packed is None:
            right = self.copied(self.sight, self.right, found, self.target)
            product, place = self.product(right), right.place
        else:
            assert self.panelling is not None
            product, place = self.panelling.product, packed
        rows = self.computed.get(0)
        arrays = {"a": self.left.place, "b": place}
        if rows:
            product = replace(product, prologue=rows.prologue)
            arrays |= zip(prologue_operands(rows.prologue), rows.places, strict=True)
            arrays["a"] = rows.places[0]
        lowered = matmul.lower(product, self.target)
        steps = self.end.steps(lowered.calls, lowered.workspace, lowered.scratch, arrays, "c")
        return [*found, *(with_prologue(steps, rows, "product") if rows else steps)]


def head_of_matmul(group: Group, grouping: Grouping, needed: set[Node], target: Target) -> Head:
    """A product of matrices, or of stacks of them."""
    node = group.members[0]
    end = finish(group, grouping, needed, target, batched=True)
    x, y = node.inputs
    before: list[Step] = []
    left = factor(grouping.sights[x], x, before, target)
    batch = node.shape[:-2]
    m, n = node.shape[-2:]

    def product(right: Operand) -> matmul.Product:
        return matmul.Product(
            m,
            n,
            x.shape[-1],
            node.dtype,
            (left.strides[-2], left.strides[-1]),
            (right.strides[-2], right.strides[-1]),
            n,
            batch,
            (
                _batch_strides(left, x.shape, len(batch)),
                _batch_strides(right, y.shape, len(batch)),
                row_major(node.shape)[:-2],
            ),
            end.epilogue,
            repeated=grouping.repeated,
            stairs=tuple(grouping.stairs.get(node, ())),
        )

    sight = grouping.sights[y]
    known = computed_inputs(group, grouping, target)
    return ProductHead(end, left, y, sight, readable(sight, y.shape), factor, product, target, before, known)


def computed_inputs(group: Group, grouping: Grouping, target: Target) -> dict[int, Computed | None]:
    """The inputs of a product for which its group has prologues, by number; None for one that cannot be seen so."""
    return {i: _computed(group, i, grouping, target) for i in group.prologues}


def _computed(group: Group, i: int, grouping: Grouping, target: Target) -> Computed | None:
    """An input as what its prologue computes: a matrix row by row, or, on the right, its transpose."""
    x = group.members[0].inputs[i]
    sight = grouping.sights[x]
    loop, whole = group.prologues[i], x.size == sight.base.size and not sight.offset
    rows, columns = x.shape[-2:]
    turned = (*row_major((*x.shape[:-2], columns, rows))[:-2], 1, rows)
    if whole and is_dense(sight, x.shape):
        return computed(loop, sight.base, columns, grouping, target)
    if whole and i == 1 and lies_so(sight, x.shape, turned):
        return computed(loop, sight.base, rows, grouping, target)
    return None


def _batch_strides(x: Operand, shape: Shape, rank: int) -> tuple[int, ...]:
    own = [0 if n == 1 else s for n, s in zip(shape[:-2], x.strides[:-2], strict=True)]
    return (0,) * (rank - len(own)) + tuple(own)
