"""Which way a product is computed."""

from __future__ import annotations

from dataclasses import replace

from chainrule.compiler.on_native.call import Call, Lowered
from chainrule.compiler.on_native.matmul.blocks import multiply
from chainrule.compiler.on_native.matmul.inner import multiply_inner, suits
from chainrule.compiler.on_native.matmul.parts import finish, in_parts, into_workspace, parts_of, turned
from chainrule.compiler.on_native.matmul.product import Product, normalized
from chainrule.compiler.on_native.target import Target

TURNED = 1 << 12
"""Elements of A from which on a product with a vector is worth a second call, if that needs one."""


def lower(product: Product, target: Target) -> Lowered:
    """The calls that compute a product of matrices, or a batch of them.

    The work of each call is cut into tasks that depend on shapes alone, as does the order of every sum.

    Args:
        product: may be empty: without elements in C there are no calls, and without elements in A and B the
            epilogue gets zeros.
        target: what the code is made for.
    """
    if not product.m * product.n * product.items:
        return Lowered(())
    p = normalized(replace(product, stairs=()))
    parts = parts_of(p)
    if parts > 1:
        return _in_two(in_parts(p, parts), p, parts, target)
    if p.n == 1 < p.m and _turns(p):
        if p.epilogue is None and p.c == 1:
            return _named(_one(turned(p), target), {"a": "b", "b": "a"})
        return _in_two(into_workspace(replace(p, epilogue=None)), p, 1, target)
    if product.stairs and p.m == product.m and suits(p):
        return multiply_inner(replace(p, stairs=product.stairs), target)
    return _one(p, target)


def _one(p: Product, target: Target) -> Lowered:
    return multiply_inner(p, target) if suits(p) else multiply(p, target)


def _turns(p: Product) -> bool:
    """Whether a product with a vector is fast as a row: sums run along adjacent elements, or across them."""
    if p.packed_b or not (p.a[0] == 1 or (p.a[1] == 1 and p.b[0] == 1)):
        return False
    return (p.epilogue is None and p.c == 1) or p.m * p.k >= TURNED


def _in_two(first: Product, p: Product, parts: int, target: Target) -> Lowered:
    """A product into the workspace, and what makes C of it."""
    made = _named(lower(first, target), {"c": "workspace"})
    workspace = parts * p.items * p.m * p.n * p.dtype.itemsize
    return Lowered((*made.calls, finish(p, parts, target)), workspace, made.scratch)


def _named(lowered: Lowered, names: dict[str, str]) -> Lowered:
    """The same calls on other arrays."""
    calls = tuple(Call(c.kernel, tuple(names.get(name, name) for name in c.operands)) for c in lowered.calls)
    return replace(lowered, calls=calls)
