"""A pass as a tree: modules in modules, down to the nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from chainrule.explain.diagnosis.observed import Observed
from chainrule.node import Node
from chainrule.studio.models.measuring import Numbers
from chainrule.studio.models.places import INPUT, LOSS, parents

MOST_BLOCKS = 400
"""Columns of an overview."""
_FEWEST_BLOCKS = 4
_IN_A_ROW = ("Sequential", "Classifier")
LOOSE = "loose"
"""Kind of a group of nodes that stand between the modules of one."""


@dataclass(eq=False)
class Group:
    """A module, or a list of some, with all that is in it.

    Attributes:
        path: from the model, such as ``stages.0.1``; "" for the model.
        kind: name of its class; "" for a list or dictionary of modules.
        parent: the group that it is in; None for the model.
        groups: in it, in order of computation.
        nodes: directly in it, likewise.
        parameters: of the whole model.
    """

    path: str
    kind: str = ""
    parent: Group | None = None
    groups: list[Group] = field(default_factory=list["Group"])
    nodes: list[Node] = field(default_factory=list[Node])
    parameters: frozenset[Node] = frozenset()

    def computes(self, node: Node) -> bool:
        """Whether a node is an operation; a parameter that a transform differentiates for looks like one."""
        return node.op is not None and node not in self.parameters

    @cached_property
    def operations(self) -> list[Node]:
        """All nodes in it that compute something."""
        return [node for node in self.all_nodes if self.computes(node)]

    @property
    def name(self) -> str:
        """What it is called in the module that it is in: ``layers.0`` for ``stages.1.3.layers.0``."""
        module = self.parent
        while module is not None and module.is_list:
            module = module.parent
        return self.path if module is None else self.path[len(module.path) :].lstrip(".")

    @cached_property
    def all_nodes(self) -> list[Node]:
        """In it and in its groups, in order of computation."""
        found = [*self.nodes, *(node for group in self.groups for node in group.all_nodes)]
        return sorted(found, key=lambda n: n.index)

    @cached_property
    def first(self) -> int:
        """The number of its first node that computes; of its first one where none does."""
        nodes = self.operations or self.all_nodes
        return min((n.index for n in nodes), default=_LAST)

    @property
    def is_list(self) -> bool:
        """Whether it is a list of modules, or the way to the only one, and none itself."""
        if self.kind or not self.groups:
            return False
        if len(self.groups) == 1 and not any(map(self.computes, self.nodes)):
            return True
        return any(self._part(group).isdigit() for group in self.groups)

    @property
    def is_row(self) -> bool:
        """Whether it computes nothing but what its groups do."""
        return self.is_list or (bool(self.groups) and self.kind in _IN_A_ROW)

    def _part(self, group: Group) -> str:
        return group.path[len(self.path) :].lstrip(".")

    def walk(self) -> Iterator[Group]:
        """It and all groups in it."""
        yield self
        for group in self.groups:
            yield from group.walk()


_LAST = 1 << 62
"""Behind all nodes."""


class Tree:
    """The groups of a pass.

    Args:
        observed: the pass.
        places: the path of the module of each node.
        kinds: names of classes by path.

    Attributes:
        root: the model with what is before and behind it.
        groups: all of them by path.
        places: the group of each node.
    """

    def __init__(self, observed: Observed, places: Mapping[Node, str], kinds: Mapping[str, str]) -> None:
        self.observed = observed
        self.parameters = parameters = frozenset(observed.parameters.values())
        self.root = Group("", kinds.get("", ""), parameters=parameters)
        self.groups: dict[str, Group] = {"": self.root}
        self.places: dict[Node, Group] = {}
        self._kinds = kinds
        for node in observed.order:
            if node.op is None and node not in parameters and node.size == 1 and not node.tracked:
                continue  # numbers such as the 2 of x / 2 are part of what uses them
            group = self._group(places.get(node, ""))
            group.nodes.append(node)
            self.places[node] = group
        self._dissolve(self.root)
        self._gather(self.root)
        for group in self.groups.values():
            group.groups.sort(key=lambda g: (g.path != INPUT or g.parent is not self.root, g.first))

    def _group(self, path: str) -> Group:
        known = self.groups.get(path)
        if known is not None:
            return known
        group = self.root
        for inner in parents(path):
            if inner not in self.groups:
                made = Group(inner, self._kinds.get(inner, ""), group, parameters=self.parameters)
                group.groups.append(made)
                self.groups[inner] = made
            group = self.groups[inner]
        return group

    def _dissolve(self, group: Group) -> None:
        """A module that is one node is that node; in a list it stays, as it has its number there."""
        for inner in list(group.groups):
            self._dissolve(inner)
            if (
                group is not self.root
                and not group.is_row
                and len(inner.nodes) == 1
                and not inner.groups
                and inner.path not in (INPUT, LOSS)
            ):
                (node,) = inner.nodes
                if group.computes(node):
                    group.groups.remove(inner)
                    group.nodes.append(node)
                    self.places[node] = group
                    del self.groups[inner.path]

    def _gather(self, group: Group) -> None:
        """Where groups are one behind the other, the nodes between them become groups too, named by what they do."""
        for inner in list(group.groups):
            self._gather(inner)
        if group is not self.root and not group.is_row:
            return
        starts = sorted(g.first for g in group.groups)
        runs: dict[int, list[Node]] = {}
        for node in group.nodes:
            if group.computes(node) and group.groups:
                runs.setdefault(sum(start < node.index for start in starts), []).append(node)
        for run in runs.values():
            name = " · ".join(dict.fromkeys(n.op.name for n in run if n.op is not None).keys())
            if len(run) > 3:
                name = f"{run[0].op.name} … {run[-1].op.name}" if run[0].op and run[-1].op else name
            path, number = f"{group.path}.{name}".lstrip("."), 2
            while path in self.groups:
                path, number = f"{group.path}.{name} {number}".lstrip("."), number + 1
            made = Group(path, LOOSE, group, nodes=run, parameters=self.parameters)
            self.groups[path] = made
            group.groups.append(made)
            for node in run:
                self.places[node] = made
        gathered = {node for run in runs.values() for node in run}
        group.nodes = [n for n in group.nodes if n not in gathered]

    @cached_property
    def _numbers(self) -> dict[Node, int]:
        return {node: i for i, node in enumerate(self.observed.order)}

    def number(self, node: Node) -> int:
        """Which of the pass's nodes it is, from 0."""
        return self._numbers[node]

    @cached_property
    def blocks(self) -> list[Group]:
        """The columns of an overview: the model's groups, and in the place of lists what is in them."""
        found = list(self.root.groups) or [self.root]
        while len(found) < MOST_BLOCKS:
            wide = [g for g in found if g.is_row]
            if not wide and len([g for g in found if g.path not in (INPUT, LOSS)]) < _FEWEST_BLOCKS:
                wide = [g for g in found if len(g.groups) > 1]
            if not wide:
                break
            group = max(wide, key=lambda g: len(g.all_nodes))
            if len(found) + len(group.groups) > MOST_BLOCKS:
                break
            at = found.index(group)
            found[at : at + 1] = group.groups
        return [g for g in found if g.operations or g.path == INPUT]

    def shown(self, node: Node, root: Group, opened: Sequence[str] | set[str]) -> Group | Node | None:
        """What stands for a node where only some groups below ``root`` are opened; None if it is not in there."""
        group = self.places.get(node)
        if group is None:
            return None
        stands: Group | Node = node
        while group is not root:
            if group.path not in opened and not group.is_list:
                stands = group
            if group.parent is None:
                return None
            group = group.parent
        return stands


def numbers_in(group: Group, numbers: Mapping[Node, Numbers]) -> list[tuple[Node, Numbers]]:
    """The nodes of a group with their numbers."""
    return [(node, numbers[node]) for node in group.all_nodes if node in numbers]
