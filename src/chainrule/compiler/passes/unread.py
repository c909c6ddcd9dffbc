"""Results of scans that nobody reads: carries that need not be kept, and what need not be computed at all."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from chainrule.autodiff.body import Body, Layout, Part, layout
from chainrule.autodiff.scan import Scan
from chainrule.compiler.passes.rewrite import build, instead, rewrite
from chainrule.graph import Graph
from chainrule.node import Node, ancestors
from chainrule.ops.join import Narrow
from chainrule.shapes import count


def unread(graph: Graph) -> Graph:
    """Let scans give what is read of them, and carry what that needs.

    A scan that may be differentiated keeps each carry at all times, and a gradient's scan its own, in case there is a
    second derivative. What of that is read is known in the end.

    Example:
        >>> import chainrule as cr
        >>> f = lambda x: cr.scan(lambda c, x: ((c[0] + x, c[1] * x), c[1]), (0.0, 1.0), x)[0][0]
        >>> graph = cr.trace(f, np.ones(9))
        >>> [n.size for n in (*graph.nodes, *unread(graph).nodes) if n.op is Scan]
        [20, 1]
    """
    plans = _plans(graph)
    made: dict[Hashable, Node] = {}

    def rule(node: Node) -> Node | None:
        if node.op is not Narrow or node.inputs[0].op is not Scan:
            return None
        old = node.inputs[0]
        plan = plans.get(_key(old))
        if plan is None:
            return None
        key = (plan.body, tuple(x.index for x in old.inputs), old.dtype)
        if key not in made:
            inputs = [old.inputs[i] for i in plan.inputs]
            made[key] = build(Scan, *inputs, params={**old.params, "body": plan.body, "kept": plan.kept})
        start = plan.moved(old, node.params["start"])
        return instead(node, Narrow, made[key], axis=0, start=start, stop=start + node.size)

    return rewrite(graph, rule)


def _key(node: Node) -> Hashable:
    """Scans that have it in common are planned together."""
    return tuple(node.params[name] for name in ("body", "length", "reverse", "kept"))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A smaller scan.

    Attributes:
        body, kept: its own.
        inputs, carries, ys: which it has of the inputs, carries and things given before.
    """

    body: Body
    kept: tuple[bool, ...]
    inputs: tuple[int, ...]
    carries: tuple[int, ...]
    ys: tuple[int, ...]

    def moved(self, old: Node, start: int) -> int:
        """Where an element of the old scan's results is now."""
        body, length, kept = old.params["body"], old.params["length"], old.params["kept"]
        before = layout(body, length, kept, old.dtype)
        after = layout(self.body, length, self.kept, old.dtype)
        for parts, now, numbers in (
            (before.carries, after.carries, self.carries),
            (before.ys, after.ys, self.ys),
        ):
            for i, part in parts.items():
                if part.start <= start < part.start + part.rows * count(part.shape):
                    own = now[numbers.index(i)]
                    within = start - part.start
                    return own.start + (within if own.rows == part.rows else within % count(part.shape))
        raise AssertionError


def _plans(graph: Graph) -> dict[Hashable, _Plan]:
    scans = [n for n in graph.nodes if n.op is Scan and n.params["length"]]
    if not scans:
        return {}
    users: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for x in node.inputs:
            users.setdefault(x, []).append(node)
    outputs = set(graph.outputs)
    reads: dict[Hashable, _Reads] = {}
    whole: set[Hashable] = set()
    for node in scans:
        found = reads.setdefault(_key(node), _Reads(node))
        for user in users.get(node, []):
            if user.op is Narrow:
                found.note(node, user.params["start"], user.params["stop"])
            else:
                whole.add(_key(node))
        if node in outputs:
            whole.add(_key(node))
    plans = {key: found.plan() for key, found in reads.items() if key not in whole}
    return {key: plan for key, plan in plans.items() if plan is not None}


class _Reads:
    """What is read of scans that are alike."""

    def __init__(self, node: Node) -> None:
        self.params = node.params
        self.body: Body = node.params["body"]
        self.at_end: set[int] = set()
        self.at_all_times: set[int] = set()
        self.ys: set[int] = set()

    def note(self, node: Node, start: int, stop: int) -> None:
        """Note that some elements of the results are read."""
        length, kept = self.params["length"], self.params["kept"]
        at: Layout = layout(self.body, length, kept, node.dtype)
        for i, part in at.carries.items():
            size = count(part.shape)
            if _meets(part, start, stop):
                last = part.start + (size * length if kept[i] and not self.params["reverse"] else 0)
                only = start >= last and stop <= last + size
                (self.at_end if only else self.at_all_times).add(i)
        self.ys |= {i for i, part in at.ys.items() if _meets(part, start, stop)}

    def plan(self) -> _Plan | None:
        body, kept = self.body, self.params["kept"]
        wanted = self.at_end | self.at_all_times
        while True:
            ends = [*(body.carry_outputs[i] for i in wanted), *(body.y_outputs[i] for i in self.ys)]
            used = set(ancestors(ends))
            more = {i for i, x in enumerate(body.carry_inputs) if x in used} | wanted
            if more == wanted:
                break
            wanted = more
        carries, ys = tuple(sorted(wanted)), tuple(sorted(self.ys))
        keeps = tuple(kept[i] and i in self.at_all_times for i in carries)
        first, end = body.constants, body.constants + body.carries
        inputs = tuple(
            i
            for i, x in enumerate(body.graph.inputs)
            if (i - first in wanted if first <= i < end else x in used)
        )
        if len(ys) == len(body.y_outputs) and keeps == kept and len(inputs) == len(body.graph.inputs):
            return None
        if not carries and not ys:
            return None
        outputs = [*(body.carry_outputs[i] for i in carries), *(body.y_outputs[i] for i in ys)]
        constants = sum(i < first for i in inputs)
        key = ("unread", carries, ys)
        graph = Graph([body.graph.inputs[i] for i in inputs], outputs)
        small = body.derived(key, lambda: Body(graph, constants, len(carries), body.name))
        return _Plan(small, keeps, inputs, carries, ys)


def _meets(part: Part, start: int, stop: int) -> bool:
    return start < part.start + part.rows * count(part.shape) and part.start < stop
