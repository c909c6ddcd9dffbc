"""Results that overwrite an input: new parameters in the place of the old ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.compiler.groups import Group, Grouping
from chainrule.graph import Graph
from chainrule.node import Node
from chainrule.shapes import row_major


def overwrite(
    graph: Graph, grouping: Grouping, given: Mapping[Node, Node], flags: Sequence[Node]
) -> dict[Node, Node]:
    """Decide which results can be written where an input lies, and order the groups so that it is safe.

    Args:
        graph: whose outputs may be views of inputs; those stay as they are.
        grouping: the groups wait, afterwards, for all others that read what they overwrite.
        given: for a result the input whose memory it may take.
        flags: that say whether the inputs are well; nothing is overwritten before they are known.

    Returns:
        Those for which it works. A result's group may read the input only where it writes, element by
        element, and no other group that reads it may come later.
    """
    outside = {grouping.sights[n].base for n in graph.outputs}
    readers: dict[Node, dict[Group, None]] = {}
    for group in grouping.groups:
        for node in group.nodes:
            for x in node.inputs:
                for base in grouping.arrays_read(x):
                    readers.setdefault(base, {})[group] = None
    checks = [grouping.home[grouping.sights[n].base] for n in flags]
    found: dict[Node, Node] = {}
    taken: set[Node] = set()
    for result, old in given.items():
        home = grouping.home.get(result)
        if home is None or home.kind in ("alone", "call") or old in outside or old in taken:
            continue
        if (result.shape, result.dtype) != (old.shape, old.dtype) or result.op is None:
            continue
        others = [g for g in (*readers.get(old, ()), *checks) if g is not home]
        if any(g.after & home.bit for g in others) or not _same_place(home, grouping, result, old):
            continue
        if not _reads_first(home, grouping, result, old):
            continue
        for group in others:
            home.after |= group.after | group.bit
        for group in grouping.groups:
            if group.after & home.bit:
                group.after |= home.after
        found[result] = old
        taken.add(old)
    grouping.groups.sort(key=lambda g: (g.after.bit_count(), g.number))
    return found


def _reads_first(home: Group, grouping: Grouping, result: Node, old: Node) -> bool:
    """Whether what the group reads of ``old`` is in registers when ``result`` is stored: it is computed from that."""
    readers = {n for n in home.members if any(grouping.sights[x].base is old for x in n.inputs)}
    todo, seen = [result], {result}
    while todo and readers:
        node = todo.pop()
        if node in readers:
            return True
        for base in (grouping.sights[x].base for x in node.inputs):
            if grouping.home.get(base) is home and base not in seen:
                seen.add(base)
                todo.append(base)
    return not readers


def _same_place(home: Group, grouping: Grouping, result: Node, old: Node) -> bool:
    """Whether the group reads ``old`` only at the element that it writes next."""
    for other in (*home.prologues.values(), *home.ahead, *home.behind):
        if any(old in grouping.arrays_read(x) for node in other.members for x in node.inputs):
            return False
    for node in home.members:
        for x in node.inputs:
            sight = grouping.sights[x]
            if sight.base is not old:
                if grouping.home.get(sight.base) is not home and old in grouping.arrays_read(x):
                    return False  # it is computed again from what is overwritten
                continue
            if home.reduced or node in grouping.opening or (home.kind == "head" and node is home.members[0]):
                return False
            if sight.offset or x.shape != old.shape or sight.strides != row_major(old.shape):
                return False
            along = home.reads[node]
            if along[len(along) - len(old.shape) :] != home.axes[result]:
                return False
    return True
