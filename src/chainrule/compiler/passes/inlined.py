"""Checkpoints as the graphs that they run, so that compiled programs see what is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.autodiff.body import Body
from chainrule.autodiff.checkpoint import Checkpoint
from chainrule.autodiff.opening import Opening
from chainrule.autodiff.scan import Scan
from chainrule.compiler.passes.rewrite import build
from chainrule.graph import Graph
from chainrule.node import Node, symbol
from chainrule.primitive import Primitive


def inlined(graph: Graph) -> Graph:
    """Put the graph of each checkpoint in its place, in the steps of scans too.

    Example:
        >>> import chainrule as cr
        >>> graph = cr.trace(cr.grad(cr.checkpoint(lambda x: cr.sin(cr.sin(x)))), 1.0)
        >>> [n.op.name for n in inlined(graph).nodes if n.op][:2]
        ['after', 'sin']
    """
    if not any(_holds(node) for node in graph.nodes):
        return graph
    starts = {x: x if x.op is None and x.value is None else symbol(x.spec, x.name) for x in graph.inputs}
    walk = Opening(dict(starts), _made)
    for node in graph.nodes:
        if node not in walk.new:
            walk.add(node)
    return Graph(tuple(starts.values()), [walk.of(x) for x in graph.outputs])


def _made(like: Node | None, op: type[Primitive], inputs: Sequence[Node], params: Mapping[str, Any]) -> Node:
    if like is not None and op is Scan and _holds(like):
        params = {**params, "body": _body(params["body"])}
    return build(op, *inputs, params=params, like=like)


def _holds(node: Node) -> bool:
    """Whether there is a checkpoint in a node."""
    if node.op is Checkpoint:
        return True
    if node.op is not Scan:
        return False
    body: Body = node.params["body"]
    return body.derived("holds checkpoints", lambda: any(map(_holds, body.graph.nodes)))


def _body(body: Body) -> Body:
    return body.derived("inlined", lambda: Body(inlined(body.graph), body.constants, body.carries, body.name))
