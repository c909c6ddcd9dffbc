"""How passes make a new graph of an old one: a walk over its nodes with one rule, and what rules build with.

Nodes are never changed. A pass is one rule, ``rule(node) -> Node | None``, that says what to compute instead of a
node whose inputs have been rewritten already, or None to leave it. What it gives must have the node's shape, dtype
and value, to the last bit, for every value of the graph's inputs: for nan, infinities and the signs of zeros too.
Only the sign and the payload of a nan are free, since no primitive sees them.

Every primitive is taken as a function of its inputs' values alone. NumPy's own sums are that but for the last bit,
in which they may depend on the strides that a move has left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from chainrule.construction import new_node
from chainrule.errors import GraphError
from chainrule.graph import Graph
from chainrule.node import Node, holding, symbol
from chainrule.ops.cast import AsType
from chainrule.ops.move import BroadcastTo
from chainrule.primitive import Primitive
from chainrule.shapes import DType, Shape

Rule: TypeAlias = "Callable[[Node], Node | None]"


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """Apply ``rule`` to every node but the inputs, in order, and to what it gives, until it gives None.

    Args:
        graph: inputs that were computed, or have a value, become symbols: only constants have one afterwards.
        rule: sees each node as it is in the new graph.

    Returns:
        A graph with the same inputs and outputs; ``graph`` itself if nothing has changed.

    Raises:
        GraphError: the rule gave something of another shape or dtype.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.ops.arithmetic import Negative, Square
        >>> def even(node):
        ...     if node.op is Square and node.inputs[0].op is Negative:
        ...         return instead(node, Square, node.inputs[0].inputs[0])
        >>> print(rewrite(cr.trace(lambda x: cr.square(-x), 3.0), even))
        graph(x: float64[]):
          y = square(x): float64[]
          return y
    """
    new = {n: n if n.op is None and n.value is None else symbol(n.spec, n.name) for n in graph.inputs}
    changed = any(x is not n for n, x in new.items())
    inputs = tuple(new.values())
    for node in graph.nodes:
        if node in new:
            continue
        made = _again(node, tuple([new[x] for x in node.inputs]))
        while (better := rule(made)) is not None:
            if (better.shape, better.dtype) != (node.shape, node.dtype):
                raise GraphError(f"{node!r} was rewritten to {better!r}", fix="keep shape and dtype")
            made, changed = better, True
        new[node] = made
    return Graph(inputs, [new[n] for n in graph.outputs]) if changed else graph


def build(
    op: type[Primitive],
    *inputs: Node,
    params: Mapping[str, Any] | None = None,
    like: Node | None = None,
) -> Node:
    """A node that is not computed, even if all its inputs are constants.

    Args:
        like: the node in whose place it comes; it gets that one's name and the user's line.
    """
    shape, dtype = op.infer(*inputs, **(params or {}))
    return _make(op, inputs, params or {}, shape, dtype, like)


def instead(node: Node, op: type[Primitive], *inputs: Node, **params: Any) -> Node:
    """What comes in the place of ``node``: another operation under the same name, from the same line."""
    return build(op, *inputs, params=params, like=node)


def fitted(x: Node, node: Node) -> Node:
    """``x``, which has the values of ``node`` or those that it repeats, in the shape and dtype of ``node``."""
    if x.dtype != node.dtype:
        x = instead(node, AsType, x, dtype=node.dtype)
    return x if x.shape == node.shape else instead(node, BroadcastTo, x, shape=node.shape)


def is_constant(node: Node) -> bool:
    """Whether a node of a rewritten graph is a constant."""
    return node.op is None and node.value is not None


def number(node: Node) -> Any:
    """The one number that fills a constant, as a NumPy scalar; None for other nodes.

    Elements count as one number only if they are equal in every bit.
    """
    if not is_constant(node) or not node.size:
        return None
    if not node.shape:
        return np.asarray(node.value)[()]
    array: np.ndarray[Any, Any] = np.asarray(node.value)
    first = array[(0,) * array.ndim]
    if not any(array.strides):
        return first
    bits = np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")
    return first if bits[0] == bits[-1] and bool((bits == bits[0]).all()) else None


def constant_of(value: Any, name: str | None = None) -> Node:
    """A constant that holds a value which has just been computed, row-major in memory."""
    array: np.ndarray[Any, Any] = np.asarray(value)
    return holding(np.ascontiguousarray(array) if array.ndim else array[()], name=name)


def _again(node: Node, inputs: tuple[Node, ...]) -> Node:
    """The same operation on other inputs of the same shapes and dtypes."""
    return node if node.op is None else _make(node.op, inputs, node.params, *node.spec, node)


def _make(
    op: type[Primitive],
    inputs: tuple[Node, ...],
    params: Mapping[str, Any],
    shape: Shape,
    dtype: DType,
    like: Node | None,
) -> Node:
    tracked = dtype.kind == "f" and op.differentiable and any(x.tracked for x in inputs)
    name, position = (like.name, like.position) if like is not None else (None, None)
    return new_node(op, inputs, params, shape, dtype, None, tracked, name, position)
