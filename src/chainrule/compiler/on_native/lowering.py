"""From groups to kernels: what this backend computes itself, and what it leaves to NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from chainrule.autodiff.body import Body
from chainrule.autodiff.scan import Scan
from chainrule.compiler.groups import REDUCTIONS, Group, Grouping, group
from chainrule.compiler.inplace import overwrite
from chainrule.compiler.items import join_tasks
from chainrule.compiler.joining import place_parts
from chainrule.compiler.on_native import bodies, heads, loops, prepacking, repetition, turns
from chainrule.compiler.on_native.elements import missing, slow
from chainrule.compiler.on_native.in_place import overwritable
from chainrule.compiler.on_native.kernel import Kernel, one_after_the_other
from chainrule.compiler.on_native.partial import in_parts
from chainrule.compiler.on_native.repetition import Repeated
from chainrule.compiler.on_native.stairs import stairs_of
from chainrule.compiler.on_native.summing import unless_sound
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.values import Loop, collapsed
from chainrule.compiler.passes.reads import Reads
from chainrule.compiler.pooled import Pools, join_pools
from chainrule.compiler.prologues import Takes, absorb
from chainrule.compiler.recompute import stored
from chainrule.compiler.steps import Place, Step, Workspace
from chainrule.compiler.unsigned import unsigned
from chainrule.compiler.views import Sight, of_base, see_through
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.conv import Conv2dWeightGrad


def steps_of(
    graph: Graph,
    target: Target | None,
    donated: Mapping[Node, Node],
    flags: Sequence[Node],
    repeated: Repeated | None = None,
) -> tuple[list[Step], dict[Node, Node], dict[Node, Sight]]:
    """The steps of a graph, in an order in which they can run.

    Args:
        graph: expanded.
        target: what to make kernels for; None for calls of NumPy alone.
        donated: for a result, the input whose memory it may take.
        flags: outputs that must be known before anything is overwritten.
        repeated: if all of it runs again and again, how.

    Returns:
        The steps; which results do take the memory of an input; and how every node is read.
    """
    if target is None:
        grouping = group(graph, elementwise=_never, kind_of=_call_of, reduces=_never, cheap=_never)
    else:
        grouping = group(
            graph,
            elementwise=is_elementwise,
            kind_of=kind_of,
            reduces=is_reduction,
            cheap=is_cheap,
            seen=repeated and repeated.seen,
        )
    grouping.repeated = repeated is not None
    grouping.unsigned = unsigned(graph)
    if repeated is not None:
        grouping.stairs = repeated.stairs
    needed = stored(graph, grouping, is_cheap)
    if target is not None:
        absorb(graph, grouping, needed, _takes(grouping, needed, target), is_cheap)
        join_tasks(graph, grouping, needed)
        join_pools(graph, grouping, needed, _pools(grouping, needed, target))
        place_parts(graph, grouping, needed)
    overwritten = overwrite(graph, grouping, donated, flags)
    found: list[Step] = []
    headed = _headed(grouping, needed, target, repeated) if target else {}
    for each in grouping.groups:
        if target is None or each.kind == "call":
            found.append(_call(each.members[0], grouping, target is None))
        elif each.kind == "loop":
            found.extend(_loop(each, grouping, needed, target))
        elif each.kind == "head":
            found.extend(_with_loops(*headed[each], each, grouping, needed, target))
        elif each.members[0].op is Scan:
            found.append(_scan(each, graph, grouping, target))
        else:
            found.extend(heads.alone(each, grouping, needed, target))
    return found, overwritten, grouping.sights


def kind_of(node: Node) -> str:
    """As :func:`heads.kind_of`; a scan has a kernel if all of its step has."""
    if node.op is not Scan:
        return heads.kind_of(node)
    body: Body = node.params["body"]
    same = all(x.dtype == own.dtype for x, own in zip(node.inputs, body.graph.inputs, strict=True))
    sized = node.size and all(x.size for x in node.inputs)
    return "alone" if same and sized and not _left(body) else "call"


def _left(body: Body) -> list[Node]:
    """What a step would leave to NumPy."""

    def look() -> list[Node]:
        inputs = set(body.graph.inputs)
        computed = [n for n in body.graph.nodes if n.op is not None and n not in inputs]
        return [n for n in computed if not runs(n)]

    return body.derived("left to NumPy", look)


def runs(node: Node) -> bool:
    """Whether there is native code for a node, or it needs none."""
    if is_elementwise(node) or is_reduction(node) or kind_of(node) != "call":
        return True
    return bool(node.inputs) and see_through(node, of_base(node.inputs[0])) is not None


def _scan(each: Group, graph: Graph, grouping: Grouping, target: Target) -> Step:
    """A scan as one step, whose kernel runs the kernels of the scan's own steps."""
    whole = repetition.Whole(each.members, grouping.sights)
    repeated = replace(whole.repeated, stairs=stairs_of(whole, Reads(graph)))
    lowered = steps_of(whole.graph, target, whole.donated, (), repeated)
    return turns.lower(whole, *lowered, target) or repetition.lower(whole, *lowered, target)


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
        if loop.kind != "loop" and group.members[0].op is not Conv2dWeightGrad:
            return False
        with_it = replace(group, prologues={**group.prologues, i: loop})
        return heads.head(with_it, grouping, needed, target).takes(i)

    return takes


def _pools(grouping: Grouping, needed: set[Node], target: Target) -> Pools:
    """Whether the kernel of a head can end with a pool."""

    def pools(group: Group, pool: Group) -> bool:
        return heads.head(replace(group, pool=pool), grouping, needed, target).pools

    return pools


def _headed(
    grouping: Grouping, needed: set[Node], target: Target, repeated: Repeated | None
) -> dict[Group, tuple[prepacking.Head, list[Step]]]:
    """The steps of all groups with a head: made together, since they may share what is packed."""
    groups = [each for each in grouping.groups if each.kind == "head"]
    made = [heads.head(each, grouping, needed, target) for each in groups]
    fixed, times = (repeated.fixed, repeated.times) if repeated else ((), 1)
    steps = prepacking.lower(made, target, fixed, times)
    return {g: (head, own) for g, head, own in zip(groups, made, steps, strict=True)}


def _with_loops(
    head: prepacking.Head,
    steps: Sequence[Step],
    group: Group,
    grouping: Grouping,
    needed: set[Node],
    target: Target,
) -> list[Step]:
    """The steps of a head and of the loops around it: in the tasks of its last kernel if these share items."""
    *found, last = steps
    separate: list[Step] = []
    for each in head.within:
        checked = _checked(last, each, head.sound, grouping, needed, target) if head.sound else last
        if checked is None:
            separate += _loop(each, grouping, needed, target)
        else:
            last = checked
    for each in reversed(group.ahead):
        joined = _joined(last, each, True, grouping, needed, target)
        if joined is None:
            found = [*_loop(each, grouping, needed, target), *found]
        else:
            last = joined
    for each in (loop for loop in group.behind if loop not in head.within):
        joined = _joined(last, each, False, grouping, needed, target)
        if joined is None:
            separate += _loop(each, grouping, needed, target)
        else:
            last = joined
    return [*found, last, *separate]


def _checked(
    step: Step,
    each: Group,
    sound: prepacking.Check,
    grouping: Grouping,
    needed: set[Node],
    target: Target,
) -> Step | None:
    """A step whose tasks make their sums again, as a loop does, where they are not right; None if they can not."""
    loop, places = _whole(each, grouping, needed)
    again = loops.lower_items(loop, step.kernel, target)
    if again is None:
        return None
    kernel = unless_sound(step.kernel, len(step.places), again, sound, target)
    return replace(step, places=[*step.places, *places], kernel=kernel)


def _joined(
    step: Step, each: Group, ahead: bool, grouping: Grouping, needed: set[Node], target: Target
) -> Step | None:
    """A step whose tasks run a share of a loop, too, before or after their own; None if they can not."""
    loop, places = _whole(each, grouping, needed)
    own: Kernel = step.kernel
    kernel = loops.lower_items(loop, own, target) if own.items else None
    if kernel is None:
        return None
    pairs = [(kernel, each.members, places), (own, step.nodes, step.places)]
    first, second = pairs if ahead else pairs[::-1]
    words = " ".join(n.op.name for n in each.members if n.op)
    note = f"{words}: {'before' if ahead else 'behind'} each task"
    return replace(
        step,
        nodes=[*first[1], *second[1]],
        places=[*first[2], *second[2]],
        writes=step.writes | _written(loop, places),
        kernel=one_after_the_other(first[0], len(first[2]), second[0], target),
        note="; ".join(filter(None, (step.note, note))),
    )


def _loop(each: Group, grouping: Grouping, needed: set[Node], target: Target) -> list[Step]:
    loop, places = _whole(each, grouping, needed)
    loop = collapsed(loop)
    parts = in_parts(loop)
    if parts is None:
        return [_step(each.members, loop, places, target)]
    sums = [Place(Workspace(parts.size * dtype.itemsize)) for dtype in parts.dtypes]
    first = _step(each.members[:1], parts.first, [*places, *sums], target)
    return [first, _step(each.members, parts.last, [*sums, *places], target)]


def _whole(each: Group, grouping: Grouping, needed: set[Node]) -> tuple[Loop, list[Place]]:
    """A group as a loop, and where the arrays are that it uses."""
    body = bodies.build(each, grouping, needed)
    loop = Loop(each.domain, body.reduced, tuple(body.arrays), tuple(body.instructions), tuple(body.stores))
    lean, used = loop.lean()
    return lean, [body.places[a] for a in used]


def _step(members: Sequence[Node], loop: Loop, places: Sequence[Place], target: Target) -> Step:
    """A kernel for a loop, on those of its arrays that it uses."""
    lean, used = loop.lean()
    own = [places[a] for a in used]
    return Step(members, own, _written(lean, own), loops.lower(lean, target), instead=overwritable(lean, own))


def _written(loop: Loop, places: Sequence[Place]) -> frozenset[Any]:
    return frozenset(places[array].array for array, _ in loop.stores)


def _never(node: Node) -> bool:
    return False


def _call_of(node: Node) -> str:
    return "call"


def _call(node: Node, grouping: Grouping, all_numpy: bool) -> Step:
    sights = [grouping.sights[x] for x in node.inputs]
    what = f"{node.op.name if node.op else '?'} of {node.dtype.name}"
    left = _left(node.params["body"]) if node.op is Scan else ()
    if left:
        names = dict.fromkeys(n.op.name for n in left if n.op)
        what = f"{', '.join(names)} of {left[0].dtype.name} in its step"
    return Step(
        [node],
        (),
        frozenset([node]),
        sights=sights,
        reason="no native code for this machine" if all_numpy else f"no native kernel for {what}",
    )
