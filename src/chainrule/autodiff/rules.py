"""From the one rule that a primitive declares, both directions for one node.

=============  ==================================  =============================================
kind           pull (reverse)                      push (forward)
=============  ==================================  =============================================
`Pointwise`    scale by each partial, un-broadcast scale by each partial, add
`Linear`       its transpose                       the operation itself on the tangents
`Custom`       its ``vjp``                         its ``jvp``
=============  ==================================  =============================================

All of it builds nodes, so what comes out is a graph that can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.errors import GraphError
from chainrule.node import Node, Params, apply
from chainrule.ops.arithmetic import Scale, scale
from chainrule.ops.cast import astype
from chainrule.ops.create import zeros_like
from chainrule.ops.move import broadcast_to, sum_to
from chainrule.primitive import Custom, Discrete, Linear, Pointwise, Primitive


def pull(node: Node, g: Node, wanted: Sequence[bool]) -> list[Node | None]:
    """Pull the upstream gradient ``g`` of ``node`` back to its inputs.

    Args:
        node: has a primitive and inputs.
        g: ∂result/∂node, shaped as ``node``.
        wanted: for which inputs.

    Returns:
        For each input its contribution to ∂result/∂input, or None where that is zero or not wanted.
    """
    return pull_through(_op(node), node.params, node, node.inputs, g, wanted, scale)


def pull_through(
    op: type[Primitive],
    params: Params,
    y: Any,
    xs: Sequence[Any],
    g: Any,
    wanted: Sequence[bool],
    times: Callable[[Any, Any], Any] = Scale.evaluate,
) -> list[Any]:
    """:func:`pull` for an operation and its output and inputs, as nodes or, within ``on_bare_values``, arrays.

    ``times`` multiplies with strong zeros: the function ``scale`` for nodes, its evaluation for arrays.
    """
    found: list[Any] = []
    if issubclass(op, Pointwise):
        partials = op.partials(y, *xs, **params) if params else op.partials(y, *xs)
        if len(partials) != len(xs):
            raise _miscounted(op, partials, xs)
        for x, partial, want in zip(xs, partials, wanted):  # noqa: B905 (the hot loop)
            term = _scaled(g, partial, times, op.selects) if want else None
            if term is not None and (term.shape != x.shape or term.dtype is not x.dtype):
                term = _fit(term, x)
            found.append(term)
    elif issubclass(op, Linear):
        linear = op.linear
        if op.transpose_all is not None:
            pulled = op.transpose_all(g, wanted, *xs, **params)
            return [_fit(contribution, x) for contribution, x in zip(pulled, xs, strict=True)]
        for i, x in enumerate(xs):
            want = wanted[i] and (linear is None or i in linear)
            found.append(_fit(op.transpose(g, i, *xs, **params), x) if want else None)
    elif issubclass(op, Custom):
        pulled = op.vjp_all(g, wanted, y, *xs, **params) if op.vjp_all else op.vjp(g, y, *xs, **params)
        if len(pulled) != len(xs):
            raise _miscounted(op, pulled, xs)
        for x, contribution, want in zip(xs, pulled, wanted, strict=True):
            found.append(_fit(_resolved(contribution), x) if want else None)
    elif issubclass(op, Discrete):
        return [None] * len(xs)
    else:
        raise _no_rule(op)
    return found


def push(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """Push tangents of the inputs (None for zero) forward through ``node``."""
    op, xs = _op(node), node.inputs
    if all(t is None for t in tangents) or issubclass(op, Discrete):
        return None
    if issubclass(op, Pointwise):
        partials = op.partials(node, *xs, **node.params)
        pairs = [(t, p) for t, p in zip(tangents, partials, strict=True) if t is not None]
        terms = [_scaled(t, p, scale, op.selects) for t, p in pairs]
        total = add_all([t for t in terms if t is not None])
        return None if total is None else broadcast_to(total, node.shape)
    if issubclass(op, Linear):
        return _push_linear(op, node, tangents)
    if issubclass(op, Custom):
        return op.jvp(tuple(tangents), node, *xs, **node.params)
    raise _no_rule(op)


def _push_linear(op: type[Linear], node: Node, tangents: Sequence[Node | None]) -> Node | None:
    xs = node.inputs
    live = {i: t for i, t in enumerate(tangents) if t is not None and is_linear_in(op, i)}
    if not live:
        return None
    if op.joint:
        inputs = [
            x if not is_linear_in(op, i) else live[i] if i in live else zeros_like(x)
            for i, x in enumerate(xs)
        ]
        return apply(op, tuple(inputs), node.params)
    return add_all([apply(op, (*xs[:i], t, *xs[i + 1 :]), node.params) for i, t in live.items()])


def add_all(terms: Sequence[Node]) -> Node | None:
    """Sum from left to right; None for no terms."""
    total: Node | None = None
    for term in terms:
        total = term if total is None else total + term
    return total


def is_linear_in(op: type[Linear], i: int) -> bool:
    """Whether ``op`` is linear in input ``i``."""
    return op.linear is None or i in op.linear


def _scaled(g: Any, partial: Any, times: Callable[[Any, Any], Any], selects: bool) -> Any:
    if callable(partial):
        partial = partial()
    if partial is None:
        return None
    if type(partial) is float:
        return g if partial == 1.0 else -g if partial == -1.0 else g * partial
    return times(partial, g) if selects else times(g, partial)  # the first factor's zeros are strong


def _resolved(contribution: Any) -> Any:
    value = contribution() if callable(contribution) else contribution
    if type(value) in (float, int):
        raise GraphError(
            f"a vjp gave the number {value} where it should give a node", fix="cr.full_like(x, value)"
        )
    return value


def _fit(contribution: Any, x: Any) -> Any:
    """Undo broadcasting and promotion, so that the gradient has the input's own shape and dtype."""
    if contribution is None:
        return None
    if contribution.shape != x.shape:
        contribution = sum_to(contribution, x.shape)
    return contribution if contribution.dtype is x.dtype else astype(contribution, x.dtype)


def local_partials(node: Node) -> tuple[Any, ...]:
    """Local derivatives of a pointwise node, resolved: nodes, numbers, or None for zero."""
    op = _op(node)
    if not issubclass(op, Pointwise):
        raise GraphError(f"{op.name} is not pointwise: its local derivative is not one number an element")
    return tuple(p() if callable(p) else p for p in op.partials(node, *node.inputs, **node.params))


def _op(node: Node) -> type[Primitive]:
    if node.op is None:
        raise GraphError(f"{node!r} is a leaf: it has no rule")
    return node.op


def _miscounted(op: type[Primitive], given: Sequence[Any], xs: Sequence[Any]) -> GraphError:
    return GraphError(
        f"{op.name}: its rule gives {len(given)} derivatives for {len(xs)} inputs",
        fix="give one for each input; None for zero",
    )


def _no_rule(op: type[Primitive]) -> GraphError:
    return GraphError(
        f"{op.name} has no derivative rule", fix="derive it from Pointwise, Linear, Custom or Discrete"
    )
