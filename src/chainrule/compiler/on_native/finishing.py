"""Groups with a head on their way to steps: the head's kernels, and what they do with its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.on_native import bodies
from chainrule.compiler.on_native.bodies import Body
from chainrule.compiler.on_native.call import Call
from chainrule.compiler.on_native.epilogues import BodyEpilogue
from chainrule.compiler.on_native.factors import Total
from chainrule.compiler.on_native.summing import SummingEpilogue, only_sums
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Loop, as_matrix
from chainrule.compiler.steps import Place, Scratch, Step, Workspace
from chainrule.node import Node
from chainrule.shapes import count, row_major


@dataclass(slots=True)
class Finish:
    """A head's group, ready to be lowered.

    Attributes:
        epilogue: what runs on the results; None if they are just stored.
        arrays: where the epilogue's operands are, and ``result``, what the kernel itself stores.
        group, body: of the head, with the loops behind it whose sums it makes.
        within: these loops.
        pooled: what a pool at the end stores in the place of the results, by the names that calls have for it.
    """

    epilogue: BodyEpilogue | None
    arrays: dict[str, Place]
    group: Group
    body: Body
    within: Sequence[Group] = ()
    pooled: Mapping[str, Node] = field(default_factory=dict[str, Node])

    def steps(
        self, calls: Sequence[Call], workspace: int, scratch: int, arrays: Mapping[str, Place], result: str
    ) -> list[Step]:
        """A step for each kernel; what the epilogue reads and writes belongs to the last.

        Args:
            calls: of the lowered head.
            workspace, scratch: bytes that they need, and need for each thread.
            arrays: where the head's inputs are, by their names.
            result: what the calls name the head's result.
        """
        extra = {"workspace": Place(Workspace(workspace)), "scratch": Place(Scratch(scratch))}
        pooled = {name: Place(node) for name, node in self.pooled.items()}
        everything = {**self.arrays, **arrays, **extra, result: self.arrays["result"], **pooled}
        written = {"workspace", "scratch", result, *pooled}
        stored = {self.body.places[array].array for array, _ in self.body.stores}
        if self.group.pool and self.pooled:
            stored.difference_update(self.group.pool.members[0].inputs)
        steps: list[Step] = []
        for call in calls:
            writes = {everything[name].array for name in call.operands if name in written}
            last = call is calls[-1]
            if last:
                writes |= stored
            nodes = [*self.group.members, *self.pooled.values()] if last else self.group.members[:1]
            places = [everything[name] for name in call.operands]
            note = "; ".join(_said(loop) for loop in self.within) if last else ""
            steps.append(Step(nodes, places, frozenset(writes), call.kernel, note=note))
        return steps


def finish(
    group: Group,
    grouping: Grouping,
    needed: set[Node],
    target: Target,
    *,
    batched: bool,
    sums: bool = False,
) -> Finish:
    """Work out what runs on a head's results.

    Args:
        group: of the head.
        grouping: all of them.
        needed: nodes with an array of their own.
        target: what code is made for.
        batched: whether the head's kernel counts batches.
        sums: whether it can sum over the rows of an item.
    """
    within = [loop for loop in group.behind if sums and only_sums(loop, group, grouping, needed)]
    whole = _together(group, within)
    body = bodies.build(whole, grouping, needed)
    node = group.members[0]
    given = _main_store(body, node)
    result = Place(Workspace(0)) if given is None else body.places[body.stores[given][0]]
    arrays = {"result": result}
    head = body.of[node]
    if len(body.stores) == 1 and given is not None and body.stores[0][1] == head:
        return Finish(None, arrays, group, body)
    totals = [(array, n) for array, n in body.stores if body.instructions[n].kind == "reduce"]
    apart = [array for array, _ in totals] + ([] if given is None else [body.stores[given][0]])
    kept = [i for i in range(len(body.arrays)) if i not in apart]
    number = {array: i for i, array in enumerate(kept)}
    loop = Loop(
        group.domain,
        frozenset(),
        tuple(body.arrays[i] for i in kept),
        tuple(replace(i, array=number[i.array]) if i.kind == "load" else i for i in body.instructions),
        tuple((number[array], n) for array, n in body.stores if array in number),
    )
    stored = None if given is None else body.stores[given][1]
    if not batched:
        loop = as_matrix(loop, loop.sizes[-1])
        assert loop is not None
    places = [body.places[array] for array in (*kept, *(array for array, _ in totals))]
    arrays.update({f"epilogue{i}": place for i, place in enumerate(places)})
    epilogue = BodyEpilogue(loop, batched, head, stored, target)
    if totals:
        summed = [body.instructions[n] for _, n in totals]
        terms, dtypes = tuple(i.args[0] for i in summed), tuple(i.dtype for i in summed)
        rows = count(group.domain[1:-1])
        each = tuple(Total(n) for n in range(len(terms)))
        epilogue = SummingEpilogue(loop, batched, head, stored, target, terms, dtypes, rows, each)
    return Finish(epilogue, arrays, whole, body, within)


def _together(group: Group, loops: Sequence[Group]) -> Group:
    """A head's group with loops behind it as one, for as long as its code is written."""
    whole = replace(group, members=list(group.members), axes=dict(group.axes), reads=dict(group.reads))
    for loop in loops:
        whole.members += loop.members
        whole.axes |= loop.axes
        whole.reads |= loop.reads
        whole.passes = whole.passes | loop.passes
        whole.reduced = loop.reduced
    return whole


def _said(loop: Group) -> str:
    return f"{' '.join(n.op.name for n in loop.members if n.op)}: as results are stored"


def _main_store(body: Body, node: Node) -> int | None:
    """Which of the stores the head's own kernel can make: one of its shape and dtype without gaps."""
    wanted = row_major(node.shape)
    for i, (array, _) in enumerate(body.stores):
        access = body.arrays[array]
        same = all(n == 1 or s == w for n, s, w in zip(node.shape, access.strides, wanted, strict=True))
        if same and access.dtype is node.dtype:
            return i
    return None
