"""Checkpoints as the graphs that they run, so that compiled programs see what is in them."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.autodiff.body import Body
from chainrule.autodiff.checkpoint import Checkpoint, places
from chainrule.autodiff.scan import Scan
from chainrule.compiler.passes.rewrite import build, instead
from chainrule.graph import Graph
from chainrule.node import Node, symbol
from chainrule.ops.cast import After, AsType
from chainrule.ops.join import Concatenate, Narrow
from chainrule.ops.move import Reshape


def inlined(graph: Graph) -> Graph:
    """Put the graph of each checkpoint in its place, in the steps of scans too.

    One that is computed again reads its inputs through `After`: it waits for the gradient, and is not merged with the
    first computation.

    Example:
        >>> import chainrule as cr
        >>> graph = cr.trace(cr.grad(cr.checkpoint(lambda x: cr.sin(cr.sin(x)))), 1.0)
        >>> [n.op.name for n in inlined(graph).nodes if n.op][:2]
        ['after', 'sin']
    """
    if not any(_holds(node) for node in graph.nodes):
        return graph
    new: dict[Node, Node] = {}
    for node in graph.inputs:
        new[node] = node if node.op is None and node.value is None else symbol(node.spec, node.name)
    made: dict[tuple[object, ...], list[Node]] = {}
    for node in graph.nodes:
        if node in new:
            continue
        op, inputs = node.op, tuple(new[x] for x in node.inputs if x in new)
        source = node.inputs[0] if node.inputs else node
        if op is Checkpoint:
            continue  # until it is read
        if op is None:
            new[node] = node
        elif source.op is Checkpoint and len(node.inputs) == 1 and op in (Reshape, Narrow):
            new[node] = _read(node, _results(source, new, made))
        elif op is Scan and _holds(node):
            new[node] = instead(node, Scan, *inputs, **{**node.params, "body": _body(node.params["body"])})
        else:
            given = [new[x] if x in new else _whole(x, _results(x, new, made)) for x in node.inputs]
            new[node] = instead(node, op, *given, **node.params)
    outputs = [new[x] if x in new else _whole(x, _results(x, new, made)) for x in graph.outputs]
    return inlined(Graph(tuple(new[x] for x in graph.inputs), outputs))


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


def _results(node: Node, new: dict[Node, Node], made: dict[tuple[object, ...], list[Node]]) -> list[Node]:
    """All results of a checkpoint, computed by the nodes of its graph."""
    body: Body = node.params["body"]
    after: tuple[int, ...] = node.params["after"]
    given: list[Node] = []
    for x, like in zip(node.inputs, body.graph.inputs, strict=True):
        value = new[x] if x in new else _whole(x, _results(x, new, made))
        given.append(
            value if value.dtype == like.dtype else build(AsType, value, params={"dtype": like.dtype})
        )
    key = (body, after, *(x.index for x in given))
    if key not in made:
        anchors = [given[i] for i in after]
        if anchors:
            given = [x if i in after else build(After, x, *anchors) for i, x in enumerate(given)]
        made[key] = _rebuilt(body.graph, given)
    return made[key]


def _rebuilt(graph: Graph, given: Sequence[Node]) -> list[Node]:
    """The nodes of a graph again, on other inputs."""
    new = dict(zip(graph.inputs, given, strict=True))
    for node in graph.nodes:
        if node in new:
            continue
        new[node] = (
            node if node.op is None else instead(node, node.op, *(new[x] for x in node.inputs), **node.params)
        )
    return [new[x] for x in graph.outputs]


def _read(node: Node, results: list[Node]) -> Node:
    """What a move reads of the flat results of a checkpoint."""
    (source,) = node.inputs
    at = places(source.params["body"], source.dtype)
    if node.op is Narrow:
        for i, part in at.ys.items():
            if node.params["start"] == part.start and node.size == results[i].size:
                return instead(node, Reshape, results[i], shape=node.shape)
    elif len(at.ys) == 1:
        return instead(node, Reshape, results[next(iter(at.ys))], shape=node.shape)
    assert node.op is not None
    return instead(node, node.op, _whole(source, results), **node.params)


def _whole(node: Node, results: list[Node]) -> Node:
    """The flat results of a checkpoint."""
    own = [results[i] for i in places(node.params["body"], node.dtype).ys]
    flat = [build(Reshape, x, params={"shape": (x.size,)}) for x in own]
    return flat[0] if len(flat) == 1 else build(Concatenate, *flat, params={"axis": 0})
