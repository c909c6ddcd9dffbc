"""Moves of elements that cancel, and elementwise operations that work on fewer elements before a broadcast."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.compiler.passes.rewrite import (
    Rule,
    build,
    constant_of,
    fitted,
    instead,
    number,
    rewrite,
)
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.exponential import Power
from chainrule.ops.join import Narrow
from chainrule.ops.move import BroadcastTo, Flip, Reshape, Transpose


def moves(graph: Graph) -> Graph:
    """Remove moves that cancel, and repeat results instead of computing repeatedly.

    =======================================  ===============================  ============================
    what                                     becomes                          if
    =======================================  ===============================  ============================
    ``reshape``, ``permute_dims``,           ``x``                            it leaves x as it is
    ``broadcast_to``, ``flip``
    ``reshape(reshape(x))``                  ``reshape(x)``
    ``permute_dims(permute_dims(x))``        ``permute_dims(x)``
    ``broadcast_to(broadcast_to(x))``        ``broadcast_to(x)``
    ``flip(flip(x))``                        ``flip(x)``, ``x``
    ``move(broadcast_to(x))``                ``broadcast_to(x)``              x has one element
    ``f(broadcast_to(x), y)``                ``f(x, y)``, repeated if need    f is elementwise
                                             be
    ``f(constant, y)``                       ``f(number, y)``, likewise       f is elementwise, the
                                                                              constant filled by one number
    =======================================  ===============================  ============================

    The exponent of a power stays as it is: NumPy raises to one number in another way than to several.

    Example:
        >>> import chainrule as cr
        >>> f = lambda a, b: cr.broadcast_to(a, (2, 3)) * b.T.T
        >>> print(moves(cr.trace(f, np.ones((2, 1)), np.ones((2, 3)))))
        graph(a: float64[2, 1], b: float64[2, 3]):
          y = multiply(a, b): float64[2, 3]
          return y
    """
    return rewrite(graph, _moved)


def _moved(node: Node) -> Node | None:
    if node.op is None:
        return None
    rule = _RULES.get(node.op)
    if rule is not None:
        return rule(node)
    return _before_broadcast(node) if node.op.emit is not None else None


def _unless_same(rule: Rule) -> Rule:
    """The rule, where the shape changes; where it does not, nothing moves."""
    return lambda node: node.inputs[0] if node.shape == node.inputs[0].shape else rule(node)


def _reshape(node: Node) -> Node | None:
    (x,) = node.inputs
    return instead(node, Reshape, x.inputs[0], shape=node.shape) if x.op is Reshape else _repeated(node)


def _transpose(node: Node) -> Node | None:
    (x,), axes = node.inputs, node.params["axes"]
    if axes == tuple(range(node.ndim)):
        return x
    if x.op is Transpose:
        below = x.params["axes"]
        return instead(node, Transpose, x.inputs[0], axes=tuple(below[a] for a in axes))
    return _repeated(node)


def _broadcast_to(node: Node) -> Node | None:
    (x,) = node.inputs
    return instead(node, BroadcastTo, x.inputs[0], shape=node.shape) if x.op is BroadcastTo else None


def _flip(node: Node) -> Node | None:
    (x,), axes = node.inputs, set(node.params["axes"])
    if x.op is Flip:
        x, axes = x.inputs[0], axes ^ set(x.params["axes"])
    kept = tuple(sorted(a for a in axes if node.shape[a] > 1))
    if not kept:
        return x
    return _repeated(node) if kept == node.params["axes"] else instead(node, Flip, x, axes=kept)


def _repeated(node: Node) -> Node | None:
    """Any move of one number that is repeated gives that number, repeated."""
    (x,) = node.inputs
    if x.op is not BroadcastTo or x.inputs[0].size != 1:
        return None
    (one,) = x.inputs
    return fitted(build(Reshape, one, params={"shape": ()}) if one.shape else one, node)


def _before_broadcast(node: Node) -> Node | None:
    """An elementwise operation on what its inputs repeat, then repeated itself as far as need be."""
    op = node.op
    assert op is not None
    few = tuple([x if op is Power and i == 1 else _once(x) for i, x in enumerate(node.inputs)])
    if all(a is b for a, b in zip(few, node.inputs, strict=True)):
        return None
    return fitted(instead(node, op, *few, **node.params), node)


def _once(x: Node) -> Node:
    """The elements of ``x`` before they are repeated."""
    if x.op is BroadcastTo:
        return x.inputs[0]
    value = number(x) if x.shape else None
    return x if value is None else constant_of(value, x.name)


_RULES: dict[object, Callable[[Node], Node | None]] = {
    Reshape: _unless_same(_reshape),
    Transpose: _transpose,
    BroadcastTo: _unless_same(_broadcast_to),
    Flip: _flip,
    Narrow: _repeated,
}
