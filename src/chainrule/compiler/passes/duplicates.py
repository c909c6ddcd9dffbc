"""Common subexpressions: of nodes that compute the same thing the first one stays, and serves all."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.compiler.passes.rewrite import is_constant, rewrite
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.arithmetic import Add, Maximum, Minimum, Multiply
from chainrule.ops.compare import (
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalOr,
    LogicalXor,
    NotEqual,
)

COMPARED = 1 << 16
"""Bytes up to which constants are compared; larger ones are the same only if they are one array."""

_COMMUTE = {Add, Multiply, Equal, NotEqual, LogicalAnd, LogicalOr, LogicalXor}
_COMMUTE_FOR_INTEGERS = {Maximum, Minimum}  # of 0.0 and -0.0 they give the first or the second
_MIRRORED = {Greater: Less, GreaterEqual: LessEqual}


def duplicates(graph: Graph) -> Graph:
    """Let each operation on the same inputs with the same parameters, and each constant, occur once.

    Random numbers are functions of their keys like everything else: equal keys give equal numbers.

    Example:
        >>> import chainrule as cr
        >>> print(duplicates(cr.trace(lambda a, b: (a + b) * (b + a), 2.0, 3.0)))
        graph(a: float64[], b: float64[]):
          t = add(a, b): float64[]
          y = multiply(t, t): float64[]
          return y
    """
    first: dict[Any, Node] = {}

    def rule(node: Node) -> Node | None:
        known = first.setdefault(_key(node), node)
        return None if known is node else known

    return rewrite(graph, rule)


def _key(node: Node) -> Any:
    if node.op is None:
        return _constant_key(node) if is_constant(node) else node.index
    op, inputs = node.op, [x.index for x in node.inputs]
    if op in _MIRRORED:
        op, inputs = _MIRRORED[op], inputs[::-1]
    elif op in _COMMUTE or (op in _COMMUTE_FOR_INTEGERS and node.dtype.kind == "i"):
        inputs.sort()
    return op, tuple(inputs), tuple((key, _exactly(node.params[key])) for key in sorted(node.params))


def _constant_key(node: Node) -> Any:
    value: np.ndarray[Any, Any] = np.asarray(node.value)
    content = value.tobytes() if value.nbytes <= COMPARED else id(node.value)
    return "constant", node.dtype, node.shape, content


def _exactly(value: Any) -> Any:
    """A parameter as a key: 1, 1.0 and True are equal, and so are 0.0 and -0.0, but they are not the same."""
    if isinstance(value, tuple):
        return type(value), tuple([_exactly(each) for each in value])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, float):
        return float, value.hex()
    return type(value), value
