"""What is computed point by point and summed up runs in blocks of points, whose intermediate results stay in the
caches.

The likelihood of a mixture at 10,000 points makes arrays of many megabytes, writes each to memory and reads
it back, and keeps of all that a few sums. A block of some hundred points does the same within the second
cache. The blocks become the turns of a scan that carries nothing but the sums, so threads share them
(``on_native/turns``), and it is verified and run like any other. Which nodes these are, :mod:`.batches` finds
out. Sums are rounded in another order: values stay to a few ulp.

It pays where the intermediate results are large, and the totals and what all blocks read are small: each
block reads and writes those again. Points that are left over are computed first; their sums are what the scan
begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from chainrule.autodiff.body import Body, layout
from chainrule.autodiff.scan import Scan
from chainrule.compiler.passes.batches import Batch, batch
from chainrule.compiler.passes.points_last import moved, points_last
from chainrule.compiler.passes.rewrite import build, constant_of, is_constant
from chainrule.graph import Graph
from chainrule.node import Node, symbol
from chainrule.ops.arithmetic import Add
from chainrule.ops.join import Concatenate, Narrow
from chainrule.ops.matmul import MatMul
from chainrule.ops.move import BroadcastTo, Reshape, Transpose
from chainrule.shapes import FLOATS, Shape, Spec

SEEDS = 4
"""How many inputs are looked at, the largest first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When blocks are worth it, and how large they are.

    Attributes:
        points: fewer are not worth it.
        large: bytes of intermediate results from which on it is worth it: they leave the caches of a processor.
        worth: what need not be moved, as a share of the intermediate results, that makes it worth it.
        cache: bytes of intermediate results of a block.
        smallest: points of a block, at least,
        blocks: and blocks, at least, so that threads can share them.
        line: points that fill a cache line in float64: rows of whole lines are read without crossing any.
    """

    points: int = 512
    large: int = 2 << 20
    worth: float = 1.0
    cache: int = 1 << 20
    smallest: int = 128
    blocks: int = 8
    line: int = 8


USUAL = Limits()


def blocking(graph: Graph, runs: Callable[[Node], bool], limits: Limits = USUAL) -> Graph:
    """Compute in blocks of points what is summed over them.

    Args:
        graph: expanded.
        runs: whether a node has native code.
        limits: when it is worth it.

    Returns:
        A graph with the same inputs and outputs; ``graph`` itself if there is nothing to gain.
    """
    seeds = [x for x in graph.inputs if x.ndim and x.shape[0] >= limits.points]
    seeds.sort(key=lambda x: -x.size)
    found = [_plan(graph, batch(graph, x, 0, runs), limits) for x in seeds[:SEEDS]]
    plans = [plan for plan in found if plan is not None]
    return _rebuilt(graph, max(plans, key=lambda plan: plan.gain)) if plans else graph


@dataclass(frozen=True, slots=True)
class _Plan:
    """A part of a graph that runs in blocks.

    Attributes:
        batch: what is computed point by point.
        members: what of it runs in blocks, in order.
        given: those members that are read elsewhere, point by point.
        totals: those that are summed over the points.
        size: points of a block.
        gain: bytes that need not be moved.
    """

    batch: Batch
    members: tuple[Node, ...]
    given: tuple[Node, ...]
    totals: tuple[Node, ...]
    size: int
    gain: int


def _plan(graph: Graph, found: Batch, limits: Limits) -> _Plan | None:
    """What to run in blocks; None if it would gain nothing."""
    if not found.totals:
        return None
    needed = _ancestors(found.totals, found)
    members = tuple(n for n in graph.nodes if n in needed)
    outputs = set(graph.outputs)
    readers: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for x in node.inputs:
            readers.setdefault(x, []).append(node)
    given = tuple(
        n
        for n in members
        if n in found.along and (n in outputs or any(r not in needed for r in readers.get(n, ())))
    )
    kept = set(given)
    stored = [n for n in members if n in found.along and n not in kept and _is_stored(n, readers)]
    each = sum(_nbytes(n) for n in stored)
    if each < limits.large or any(n.dtype not in FLOATS for n in given):
        return None
    size = _block(found.points, each // found.points, limits)
    blocks = found.points // size
    read = {x for n in members for x in n.inputs if x not in needed and x not in found.along}
    again = 2 * sum(_nbytes(n) for n in found.totals) + sum(_nbytes(x) for x in read)
    gain = 2 * each - blocks * again
    if gain < limits.worth * max(each, 1):
        return None
    return _Plan(found, members, given, tuple(found.totals), size, gain)


def _ancestors(totals: Iterable[Node], found: Batch) -> set[Node]:
    """What of a batch the totals need."""
    cut = {node for node, _ in found.cut}
    needed: set[Node] = set()
    todo = list(totals)
    while todo:
        node = todo.pop()
        if node in needed or node in cut:
            continue
        needed.add(node)
        todo += [x for x in node.inputs if x in found.along]
    return needed


def _is_stored(node: Node, readers: dict[Node, list[Node]]) -> bool:
    """Whether a result goes through memory: that of a product, and what products read. Loops join what is between."""
    if node.op in (Transpose, Reshape, BroadcastTo, Narrow):
        return False
    return node.op is MatMul or any(_goes_to_product(r, readers) for r in readers.get(node, ()))


def _goes_to_product(reader: Node, readers: dict[Node, list[Node]]) -> bool:
    if reader.op in (Transpose, Reshape, Narrow):
        return any(_goes_to_product(r, readers) for r in readers.get(reader, ()))
    return reader.op is MatMul


def _nbytes(node: Node) -> int:
    return node.size * node.dtype.itemsize


def _block(points: int, each: int, limits: Limits) -> int:
    """Points of a block: they fit the cache, fill whole lines, and leave no rest if that can be."""
    fitting = max(limits.smallest, min(limits.cache // max(each, 1), points // limits.blocks))
    most = min(max(fitting // limits.line, 1) * limits.line, points)
    divisors = [n for n in range(max(most // 4, 1), most + 1) if points % n == 0]
    whole = [n for n in divisors if n % limits.line == 0] or [n for n in divisors if 2 * n > most]
    return max(whole, default=most)


def _rebuilt(graph: Graph, plan: _Plan) -> Graph:
    """The graph with a scan over blocks in the place of a plan's members."""
    new = _Blocks(plan).results()
    members = set(plan.members)
    for node in graph.nodes:
        if node.op is not None and node not in members and any(x in new for x in node.inputs):
            inputs = [new.get(x, x) for x in node.inputs]
            new[node] = build(node.op, *inputs, params=node.params, like=node)
    return Graph(graph.inputs, [new.get(n, n) for n in graph.outputs])


class _Blocks:
    """A plan that is carried out."""

    def __init__(self, plan: _Plan) -> None:
        self.plan, self.along = plan, plan.batch.along
        self.blocks, self.rest = divmod(plan.batch.points, plan.size)
        own = set(plan.members)
        read = dict.fromkeys(x for n in plan.members for x in n.inputs if x not in own)
        self.cut = [x for x in read if x in self.along]
        self.fixed = [x for x in read if x not in self.along and not is_constant(x)]

    def results(self) -> dict[Node, Node]:
        """What comes in the place of totals and of what is given."""
        plan = self.plan
        first = {
            x: moved(_narrow(x, self.along[x], 0, self.rest), self.along[x], x.ndim - 1) for x in self.cut
        }
        rest = points_last(plan.members, first, self.along, self.rest) if self.rest else {}
        start = [rest[n] if n in rest else _zeros(n) for n in plan.totals]
        body = self._body()
        kept = (False,) * len(start)
        params = {"body": body, "length": self.blocks, "reverse": False, "kept": kept}
        inputs = [*self.fixed, *start, *(self._in_blocks(x) for x in self.cut)]
        found: dict[Node, Node] = {}
        for dtype in dict.fromkeys(n.dtype for n in (*plan.totals, *plan.given)):
            flat = build(Scan, *inputs, params={**params, "dtype": dtype})
            at = layout(body, self.blocks, kept, dtype)
            for i, part in at.carries.items():
                found[plan.totals[i]] = part.row(flat, 0)
            for i, part in at.ys.items():
                node = plan.given[i]
                found[node] = self._joined(node, part.between(flat, 0, self.blocks), rest.get(node))
        return found

    def _body(self) -> Body:
        """What is computed of a block."""
        plan = self.plan
        fixed = {x: symbol(x.spec, x.name) for x in self.fixed}
        sums = [symbol(n.spec) for n in plan.totals]
        xs = {x: symbol(Spec((*self._rest(x), plan.size), x.dtype)) for x in self.cut}
        known = {**fixed, **{x: _adjacent(own) for x, own in xs.items()}}
        made = points_last(plan.members, known, self.along, plan.size)
        after = [build(Add, s, made[n]) for s, n in zip(sums, plan.totals, strict=True)]
        given = [moved(made[n], n.ndim - 1, 0) for n in plan.given]
        graph = Graph([*fixed.values(), *sums, *xs.values()], [*after, *given])
        body = Body(graph, len(fixed), len(sums), f"{plan.size} points")
        body.derived("is expanded", lambda: True)
        return body

    def _in_blocks(self, x: Node) -> Node:
        """An array with blocks as its first axis, and points as its last."""
        own = self._rest(x)
        x = moved(x, self.along[x], 0)
        if self.rest:
            x = _narrow(x, 0, self.rest, self.plan.batch.points)
        x = build(Reshape, x, params={"shape": (self.blocks, self.plan.size, *own)})
        return moved(x, 1, x.ndim - 1)

    def _rest(self, x: Node) -> Shape:
        """The shape of one point."""
        axis = self.along[x]
        return (*x.shape[:axis], *x.shape[axis + 1 :])

    def _joined(self, node: Node, blocks: Node, rest: Node | None) -> Node:
        """What the blocks give of a node, behind what the rest gives."""
        axis = self.along[node]
        shape = (self.blocks * self.plan.size, *blocks.shape[2:])
        whole = moved(build(Reshape, blocks, params={"shape": shape}), 0, axis)
        if rest is None:
            return whole
        return build(Concatenate, moved(rest, node.ndim - 1, axis), whole, params={"axis": axis})


def _adjacent(x: Node) -> Node:
    """A block with its points side by side; read where they lie, vectors would be gathered again and again."""
    if x.ndim < 2:
        return x
    return build(Reshape, build(Reshape, x, params={"shape": (x.size,)}), params={"shape": x.shape})


def _narrow(x: Node, axis: int, start: int, stop: int) -> Node:
    return build(Narrow, x, params={"axis": axis, "start": start, "stop": stop})


def _zeros(node: Node) -> Node:
    return constant_of(np.zeros(node.shape, node.dtype))
