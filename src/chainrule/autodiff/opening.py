"""Checkpoints as the graphs that they run, for whoever must see what is in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from chainrule.autodiff.body import Body
from chainrule.autodiff.checkpoint import Checkpoint, places
from chainrule.graph import Graph
from chainrule.modes import recording, remembering
from chainrule.node import Node, ancestors, apply, is_cut
from chainrule.ops.cast import After, AsType
from chainrule.ops.join import Concatenate, Narrow
from chainrule.ops.move import Reshape
from chainrule.primitive import Primitive

Make: TypeAlias = "Callable[[Node | None, type[Primitive], Sequence[Node], Mapping[str, Any]], Node]"
"""Makes a node of an operation, inputs and parameters, in the place of another one if that is given."""


class Opening:
    """A walk over nodes in order, that makes each again, and in the place of each checkpoint the nodes of its graph.

    A checkpoint that is computed again reads its inputs through `After`: it waits for the gradient, and is not merged
    with the first computation.

    Args:
        new: what stands for nodes that are not made again, such as a graph's inputs.
        make: how nodes are made.
    """

    def __init__(self, new: dict[Node, Node], make: Make) -> None:
        self.new, self._make = new, make
        self._made: dict[tuple[object, ...], list[Node]] = {}

    def add(self, node: Node) -> None:
        """The next node."""
        if node.op is Checkpoint:
            return  # until it is read
        source = node.inputs[0] if node.inputs else node
        if node.op is None:
            self.new[node] = node
        elif source.op is Checkpoint and source not in self.new and node.op in (Reshape, Narrow):
            self.new[node] = self._read(node, source)
        else:
            self.new[node] = self._make(node, node.op, [self.of(x) for x in node.inputs], node.params)

    def of(self, node: Node) -> Node:
        """What stands for a node."""
        return self.new[node] if node in self.new else self._whole(node)

    def _results(self, node: Node) -> list[Node]:
        """All results of a checkpoint, computed by the nodes of its graph."""
        body: Body = node.params["body"]
        after: tuple[int, ...] = node.params["after"]
        given = [self.of(x) for x in node.inputs]
        for i, like in enumerate(body.graph.inputs):
            if given[i].dtype != like.dtype:
                given[i] = self._make(None, AsType, [given[i]], {"dtype": like.dtype})
        key = (body, after, *(x.index for x in given))
        if key not in self._made:
            anchors = [given[i] for i in after]
            if anchors:
                given = [
                    x if i in after else self._make(None, After, [x, *anchors], {})
                    for i, x in enumerate(given)
                ]
            self._made[key] = self._inside(body.graph, given)
        return self._made[key]

    def _inside(self, graph: Graph, given: Sequence[Node]) -> list[Node]:
        """The nodes of a graph on other inputs, checkpoints within it opened too."""
        walk = Opening(dict(zip(graph.inputs, given, strict=True)), self._make)
        for node in graph.nodes:
            if node not in walk.new:
                walk.add(node)
        return [walk.of(x) for x in graph.outputs]

    def _read(self, node: Node, source: Node) -> Node:
        """What a move reads of the flat results of a checkpoint."""
        results = self._results(source)
        at = places(source.params["body"], source.dtype)
        if node.op is Narrow:
            for i, part in at.ys.items():
                if node.params["start"] == part.start and node.size == results[i].size:
                    return self._shaped(node, results[i])
        elif len(at.ys) == 1:
            return self._shaped(node, results[next(iter(at.ys))])
        assert node.op is not None
        return self._make(node, node.op, [self._whole(source)], node.params)

    def _shaped(self, node: Node, result: Node) -> Node:
        if result.shape == node.shape:
            return result
        return self._make(node, Reshape, [result], {"shape": node.shape})

    def _whole(self, node: Node) -> Node:
        """The flat results of a checkpoint."""
        own = [self._results(node)[i] for i in places(node.params["body"], node.dtype).ys]
        flat = [self._make(None, Reshape, [x], {"shape": (x.size,)}) for x in own]
        return flat[0] if len(flat) == 1 else self._make(None, Concatenate, flat, {"axis": 0})


def opened(result: Node, until: Collection[Node] = ()) -> dict[Node, Node]:
    """For each node before a computed result, itself included, one that is computed without checkpoints.

    A node with no checkpoint before it stands for itself. Whatever a checkpoint had forgotten is computed, and
    remembered, with the lines that the user wrote.

    Args:
        result: computed, eagerly.
        until: nodes that stand for themselves, whatever comes before them.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(2.0, requires_grad=True)
        >>> y = cr.checkpoint(lambda x: cr.sin(x * x))(x)
        >>> [n.op.name for n in ancestors([opened(y)[y]]) if n.op]
        ['multiply', 'sin']
    """
    whole = ancestors([result], until=until)
    if not any(node.op is Checkpoint for node in whole):
        return {node: node for node in whole}
    walk = Opening({node: node for node in until}, _computed)
    with remembering():
        for node in whole:
            if node not in walk.new:
                walk.add(node)
        return {node: walk.of(node) for node in whole}


def _computed(
    like: Node | None, op: type[Primitive], inputs: Sequence[Node], params: Mapping[str, Any]
) -> Node:
    if like is None:
        return apply(op, tuple(inputs), params)
    same = len(inputs) == len(like.inputs) and all(a is b for a, b in zip(inputs, like.inputs, strict=True))
    if same and like.op is op and like.value is not None:
        return like
    with recording(not is_cut(like)):
        return apply(op, tuple(inputs), params, like.name, like.position)
