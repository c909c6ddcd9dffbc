"""Sums of products in terms of what has kernels: matrix products of floats, or loops that multiply and sum."""

from __future__ import annotations

from typing import Any

from chainrule.node import Node, apply
from chainrule.ops.arithmetic import multiply
from chainrule.ops.einsum import product_plan, terms_of
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import Transpose, permute_dims, reshape
from chainrule.ops.reduce import sum as sum_of
from chainrule.shapes import FLOATS, count

THIN = 1 << 14
"""Most elements of the operands of a product that loops compute."""


def einsum(node: Node) -> Node:
    """An einsum as a product of two matrices, as NumPy computes large ones; else as a sum over a loop's last axes."""
    subscripts: str = node.params["subscripts"]
    plan = product_plan(subscripts) if len(node.inputs) == 2 and node.dtype in FLOATS else None
    if plan is None:
        return _summed(node, *terms_of(subscripts))
    x, y = (permute_dims(f, axes) for f, axes in zip(node.inputs, (plan.left, plan.right), strict=True))
    batch, rows = x.shape[: plan.batches], x.shape[plan.batches : -plan.summed]
    columns, k = y.shape[plan.batches + plan.summed :], count(x.shape[-plan.summed :])
    left, right = reshape(x, (*batch, count(rows), k)), reshape(y, (*batch, k, count(columns)))
    product = apply(MatMul, (left, right))
    return permute_dims(reshape(product, (*batch, *rows, *columns)), plan.result)


def _summed(node: Node, terms: tuple[str, ...], out: str) -> Node:
    """All operands along one set of axes, those of the result first, multiplied and summed over the others."""
    sizes: dict[str, int] = {}
    for term, x in zip(terms, node.inputs, strict=True):
        sizes.update(zip(term, x.shape, strict=True))
    letters = [*out, *(c for c in sizes if c not in out)]
    product: Any = None
    for term, x in zip(terms, node.inputs, strict=True):
        own = [c for c in letters if c in term]
        moved = permute_dims(x, tuple(term.index(c) for c in own))
        factor = reshape(moved, tuple(sizes[c] if c in own else 1 for c in letters))
        product = factor if product is None else multiply(product, factor)
    summed = tuple(range(len(out), len(letters)))
    return sum_of(product, axis=summed, dtype=node.dtype) if summed else product


def thin_product(node: Node) -> Node | None:
    """A small product that loops compute, so that it joins others: of a column and a row, or of a turned array and a
    column."""
    x, y = node.inputs
    if not 0 < x.size + y.size <= THIN or len(x.shape) != 2 or len(y.shape) != 2:
        return None
    if x.shape[1] == 1:
        return multiply(x, y)
    if y.shape[1] == 1 and x.op is Transpose and x.shape[0] > 1:
        return reshape(sum_of(multiply(x.inputs[0], y), axis=0), node.shape)
    return None


def integer_product(node: Node) -> Node | None:
    """A product of matrices of integers as a sum, whose vectors lie along the rows of the right one."""
    if node.dtype in FLOATS:
        return None
    x, y = node.inputs
    pairs: Any = multiply(reshape(x, (*x.shape, 1)), reshape(y, (*y.shape[:-2], 1, *y.shape[-2:])))
    return sum_of(pairs, axis=-2, dtype=node.dtype)
