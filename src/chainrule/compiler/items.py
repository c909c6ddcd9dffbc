"""Loops that run within the tasks of a head: on what a task will read, or has made, while it is in the caches.

A convolution's kernel makes items, the images of a batch, one after the other, each of the same item of its input. A
loop that makes those inputs, or that reduces within the items made, need not run over all of them at once.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from chainrule.compiler.groups import Group, Grouping
from chainrule.compiler.views import of_base
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.ops.conv import Conv2d, Conv2dInputGrad
from chainrule.shapes import Shape, count

MANY = 16
"""Items from which on there is enough to do at once if each is made by one task."""
BY_ITEM = (Conv2d, Conv2dInputGrad)
"""Primitives whose results' first axis is that of their first input, item by item."""


def join_tasks(graph: Graph, grouping: Grouping, needed: Container[Node]) -> None:
    """Put loops ahead of the heads whose inputs they make and behind those whose results they reduce.

    They are taken out of the order, and run when the head does.

    Args:
        graph: whose own results are computed by themselves.
        grouping: of it.
        needed: nodes with an array of their own.
    """
    outside = {grouping.sights[n].base for n in graph.outputs}
    heads = {
        g: None
        for g in grouping.groups
        if g.kind == "head" and g.members[0].op in BY_ITEM and g.domain[0] >= MANY
    }
    readers: dict[Group, list[Group]] = {}  # heads by the loop that makes their first input
    for head in heads:
        source = grouping.home.get(grouping.sights[head.members[0].inputs[0]].base)
        if source is not None:
            readers.setdefault(source, []).append(head)
    for loop in list(grouping.groups):
        if loop.kind != "loop" or loop.once or outside & set(loop.members) or 0 in loop.reduced:
            continue
        behind = bool(loop.reduced)
        candidates = _heads_read(loop, grouping) if behind else readers.get(loop, [])
        for head in candidates:
            if head in heads and (_may_follow if behind else _may_lead)(loop, head, grouping, needed):
                grouping.groups.remove(loop)
                (head.behind if behind else head.ahead).append(loop)
                head.after = (head.after | loop.after) & ~(loop.bit | head.bit)
                wait_for(head, loop, grouping)
                break


def _heads_read(loop: Group, grouping: Grouping) -> list[Group]:
    """The heads of whose results a loop reads something."""
    homes = {grouping.home.get(base) for base in _arrays_read(loop, grouping)}
    return sorted((g for g in homes if g is not None and g.kind == "head"), key=lambda g: g.number)


def _arrays_read(loop: Group, grouping: Grouping) -> set[Node]:
    return {base for node in loop.members for x in node.inputs for base in grouping.arrays_read(x)}


def wait_for(head: Group, loop: Group, grouping: Grouping) -> None:
    """Let who waits for the loop wait for the head that it runs with."""
    for group in grouping.groups:
        if group is not head and group.after & (loop.bit | head.bit):
            group.after = (group.after & ~loop.bit) | head.bit | head.after


def _may_follow(loop: Group, head: Group, grouping: Grouping, needed: Container[Node]) -> bool:
    """Whether all else that the loop waits for can run before the head, whose results it reads item by item."""
    if loop.domain != head.domain:
        return False
    if any(g.after & head.bit and loop.after & g.bit for g in grouping.groups):
        return False
    read = {grouping.home.get(base) for base in _arrays_read(loop, grouping)}
    if not read.isdisjoint(head.behind):
        return False  # what another loop makes behind the head is not there when results are stored
    return _reads_items(loop, [head, *head.ahead], grouping, needed, loop.members)


def _may_lead(loop: Group, head: Group, grouping: Grouping, needed: Container[Node]) -> bool:
    """Whether the head reads the loop's results item by item, before anybody whom it waits for does."""
    first, *others = head.members
    if loop.domain != first.inputs[0].shape or head.prologues:
        return False
    if any(g.after & loop.bit and head.after & g.bit for g in grouping.groups):
        return False
    if any(loop in map(grouping.home.get, grouping.arrays_read(x)) for x in first.inputs[1:]):
        return False
    direct = grouping.sights[first.inputs[0]]
    if direct != of_base(direct.base):
        return False  # a step before the head's last makes a copy
    readers = [(head, others), *((g, g.members) for g in head.behind)]
    return all(_reads_items(g, [loop], grouping, needed, members, any_at_all=False) for g, members in readers)


def _reads_items(
    reader: Group,
    sources: Sequence[Group],
    grouping: Grouping,
    needed: Container[Node],
    members: list[Node],
    *,
    any_at_all: bool = True,
) -> bool:
    """Whether members of a group read of an item of others' results only what belongs to the same item.

    Args:
        any_at_all: whether they have to read one.
    """
    found = not any_at_all
    todo = [(x, reader.reads[node]) for node in members for x in node.inputs]
    while todo:
        x, along = todo.pop()
        sight = grouping.sights[x]
        home = grouping.home.get(sight.base)
        if home is reader:
            continue
        own = along[len(along) - len(x.shape) :]
        if sight.base in grouping.again:
            todo += [(y, own) for y in sight.base.inputs]
        elif home in sources:
            if sight.base not in needed or x.ndim != len(reader.domain) or own[0] != 0:
                return False
            if not _within(sight.offset, sight.strides, x.shape, sight.base.shape):
                return False
            found = True
    return found


def _within(offset: int, strides: tuple[int, ...], shape: Shape, base: Shape) -> bool:
    """Whether item i of what is seen lies in item i of the array that it is seen in."""
    item = count(base[1:])
    reach = [(n - 1) * s for n, s in zip(shape[1:], strides[1:], strict=True)]
    first, last = offset + sum(min(r, 0) for r in reach), offset + sum(max(r, 0) for r in reach)
    return strides[0] == item and shape[0] == base[0] and first >= 0 and last < item
