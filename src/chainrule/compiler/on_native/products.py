"""Products of matrices of a graph, handed to their kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import matmul
from chainrule.compiler.on_native.epilogues import Finish, finish
from chainrule.compiler.on_native.operands import Operand, as_it_lies, factor, is_constant, readable
from chainrule.compiler.on_native.prepacking import Head, Wish
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
    panelling: matmul.Panelling | None = field(init=False, default=None)

    def wish(self) -> Wish | None:
        lies = as_it_lies(self.sight)
        if self.readable or is_constant(lies.place):
            self.panelling = matmul.panelling(self.product(lies), self.target)
        how = self.panelling
        return how and Wish(self.right, lies.place, how.shape, how.strides, how.packing, how.saves)

    def steps(self, packed: Place | None) -> list[Step]:
        found = list(self.before)
        if packed is None:
            right = self.copied(self.sight, self.right, found, self.target)
            product, place = self.product(right), right.place
        else:
            assert self.panelling is not None
            product, place = self.panelling.product, packed
        lowered = matmul.lower(product, self.target)
        arrays = {"a": self.left.place, "b": place}
        return [*found, *self.end.steps(lowered.calls, lowered.workspace, lowered.scratch, arrays, "c")]


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
        )

    sight = grouping.sights[y]
    return ProductHead(end, left, y, sight, readable(sight, y.shape), factor, product, target, before)


def _batch_strides(x: Operand, shape: Shape, rank: int) -> tuple[int, ...]:
    own = [0 if n == 1 else s for n, s in zip(shape[:-2], x.strides[:-2], strict=True)]
    return (0,) * (rank - len(own)) + tuple(own)
