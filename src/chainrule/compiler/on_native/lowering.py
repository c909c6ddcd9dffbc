"""From groups to kernels: what this backend computes itself, and what it leaves to NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chainrule.compiler.groups import REDUCTIONS, Group, Grouping, group
from chainrule.compiler.inplace import overwrite
from chainrule.compiler.on_native import bodies, heads, loops, prepacking
from chainrule.compiler.on_native.elements import missing, slow
from chainrule.compiler.on_native.partial import in_parts
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.prologues import Takes, absorb
from chainrule.compiler.recompute import stored
from chainrule.compiler.steps import Place, Step, Workspace
from chainrule.compiler.views import Sight
from chainrule.graph import Graph
from chainrule.node import Node


def steps_of(
    graph: Graph, target: Target | None, donated: Mapping[Node, Node], flags: Sequence[Node]
) -> tuple[list[Step], dict[Node, Node], dict[Node, Sight]]:
    """The steps of a graph, in an order in which they can run.

    Args:
        graph: expanded.
        target: what to make kernels for; None for calls of NumPy alone.
        donated: for a result, the input whose memory it may take.
        flags: outputs that must be known before anything is overwritten.

    Returns:
        The steps; which results do take the memory of an input; and how every node is read.
    """
    if target is None:
        grouping = group(graph, elementwise=_never, kind_of=_call_of, reduces=_never, cheap=_never)
    else:
        grouping = group(
            graph, elementwise=is_elementwise, kind_of=heads.kind_of, reduces=is_reduction, cheap=is_cheap
        )
    needed = stored(graph, grouping, is_cheap)
    if target is not None:
        absorb(graph, grouping, needed, _takes(grouping, needed, target), is_cheap)
    overwritten = overwrite(graph, grouping, donated, flags)
    found: list[Step] = []
    headed = _headed(grouping, needed, target) if target else {}
    for each in grouping.groups:
        if target is None or each.kind == "call":
            found.append(_call(each.members[0], grouping, target is None))
        elif each.kind == "loop":
            found.extend(_loop(each, grouping, needed, target))
        elif each.kind == "head":
            found.extend(headed[each])
        else:
            found.extend(heads.alone(each, grouping, needed, target))
    return found, overwritten, grouping.sights


def is_elementwise(node: Node) -> bool:
    """Whether there is native code for each element of a node."""
    op = node.op
    if op is None or op.emit is None or not node.inputs:
        return False
    dtypes = tuple(x.dtype for x in node.inputs)
    return all(d in op.emits for d in dtypes) and not missing(op, dtypes, tuple(sorted(node.params.items())))


def is_cheap(node: Node) -> bool:
    """Whether an elementwise node takes a few instructions, none of them an elementary function or a root."""
    op = node.op
    if op is None or op.emit is None or not is_elementwise(node):
        return False
    return not slow(op, tuple(x.dtype for x in node.inputs), tuple(sorted(node.params.items())))


def is_reduction(node: Node) -> bool:
    """Whether a loop can reduce it."""
    if node.op not in REDUCTIONS or node.dtype.kind == "b":
        return False
    return bool(node.inputs[0].size)


def _takes(grouping: Grouping, needed: set[Node], target: Target) -> Takes:
    """Whether the kernel of a head can compute an input as it reads it."""

    def takes(group: Group, i: int, loop: Group) -> bool:
        with_it = replace(group, prologues={**group.prologues, i: loop})
        return heads.head(with_it, grouping, needed, target).takes(i)

    return takes


def _headed(grouping: Grouping, needed: set[Node], target: Target) -> dict[Group, list[Step]]:
    """The steps of all groups with a head: together, since they may share what is packed."""
    groups = [each for each in grouping.groups if each.kind == "head"]
    found = prepacking.lower([heads.head(each, grouping, needed, target) for each in groups], target)
    return dict(zip(groups, found, strict=True))


def _loop(each: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    body = bodies.build(each, grouping, needed)
    loop = loops.collapsed(
        loops.Loop(
            each.domain, body.reduced, tuple(body.arrays), tuple(body.instructions), tuple(body.stores)
        )
    )
    parts = in_parts(loop)
    if parts is None:
        return [_step(each.members, loop, body.places, target)]
    sums = [Place(Workspace(parts.size * dtype.itemsize)) for dtype in parts.dtypes]
    first = _step(each.members[:1], parts.first, [*body.places, *sums], target)
    return [first, _step(each.members, parts.last, [*sums, *body.places], target)]


def _step(members: Sequence[Node], loop: loops.Loop, places: Sequence[Place], target: Target) -> Step:
    """A kernel for a loop, on those of its arrays that it uses."""
    used = sorted({i.array for i in loop.body if i.array >= 0} | {array for array, _ in loop.stores})
    number = {array: i for i, array in enumerate(used)}
    written = {places[array].array for array, _ in loop.stores}
    lean = loops.Loop(
        loop.sizes,
        loop.reduced,
        tuple(loop.arrays[a] for a in used),
        tuple(replace(i, array=number[i.array]) if i.array >= 0 else i for i in loop.body),
        tuple((number[array], n) for array, n in loop.stores),
    )
    kernel = loops.lower(lean, target)
    return Step(members, [places[a] for a in used], frozenset(written), kernel)


def _never(node: Node) -> bool:
    return False


def _call_of(node: Node) -> str:
    return "call"


def _call(node: Node, grouping: Grouping, all_numpy: bool) -> Step:
    sights = [grouping.sights[x] for x in node.inputs]
    what = f"{node.op.name if node.op else '?'} of {node.dtype.name}"
    return Step(
        [node],
        (),
        frozenset([node]),
        sights=sights,
        reason="no native code for this machine" if all_numpy else f"no native kernel for {what}",
    )
