"""Findings of the doctor, on the modules and nodes that they concern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from chainrule.explain.diagnosis import Finding
from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.explain.reasons.words import Words
from chainrule.node import Node
from chainrule.studio.models.picture import node_id
from chainrule.studio.models.places import LOSS
from chainrule.studio.models.tree import Group, Tree

_PROOF = re.compile(
    r"with (?P<change>.+?)(?:: |, | (?=(?:the|a|its|their) \S+(?: \S+){0,3} (?:is|are|would)\b))(?P<then>.+)"
)


def pinned(findings: Sequence[Finding], tree: Tree, anatomy: Anatomy) -> list[dict[str, Any]]:
    """The findings for the page, each with the groups, nodes and columns that it is about."""
    words = Words(tree.observed.result, {n: p for p, n in tree.observed.parameters.items()})
    return [_pinned(i, finding, tree, anatomy, words) for i, finding in enumerate(findings, 1)]


def _pinned(number: int, finding: Finding, tree: Tree, anatomy: Anatomy, words: Words) -> dict[str, Any]:
    things = list(dict.fromkeys(_things(finding, tree, anatomy, words)))
    groups = [t if isinstance(t, Group) else tree.places[t] for t in things]
    columns = sorted({i for thing in things for i in _columns(tree, thing)})
    if len(things) == 2 and re.search(r" to |…", finding.where):  # all from the one to the other
        columns = list(range(columns[0], columns[-1] + 1)) if columns else []
    parts = _PROOF.fullmatch(finding.proof)
    return {
        "number": number,
        **finding.to_dict(),
        "title": finding.kind.replace("_", " "),
        "change": parts["change"] if parts else None,
        "then": parts["then"] if parts else None,
        "groups": list(dict.fromkeys(group.path for group in groups)),
        "nodes": [node_id(tree, t) for t in things if isinstance(t, Node)],
        "columns": columns,
    }


def _things(finding: Finding, tree: Tree, anatomy: Anatomy, words: Words) -> Iterator[Group | Node]:
    """What a finding's place names; failing that, what its line has made."""
    if " after " in finding.where:
        nodes = [n for n in tree.observed.order if n in tree.places and n.tracked and n.op is not None]
        placed = [node for node in nodes if anatomy.place(node) == finding.where]
        if placed:
            yield from placed
            return
    found = False
    for word in re.findall(r"[^\s,;:()]+", finding.where):
        thing = _named(word.strip("'\"`"), tree, words)
        if thing is not None:
            found = True
            yield thing
    if found or finding.source is None:
        return
    line = finding.source.to_dict()
    for node in tree.observed.order:
        if node in tree.places and node.op is not None and node.tracked:
            source = node.source
            if source is not None and source.to_dict() == line:
                yield node
                return


def _named(word: str, tree: Tree, words: Words) -> Group | Node | None:
    node = tree.observed.parameters.get(word)
    if node is not None and node in tree.places:
        return node
    if word and word in tree.groups:
        return tree.groups[word]
    known = [n for n, name in words.names.items() if name == word and n in tree.places]
    if known:
        return known[0]
    if word == "targets":
        return tree.groups.get(LOSS)
    # a buffer, or a path that a program's name for its model goes before
    parts = word.split(".")
    ends = [".".join(parts[:k]) for k in range(len(parts), 0, -1)] if len(parts) > 1 else []
    found = (group for end in ends for path, group in tree.groups.items() if f".{path}".endswith(f".{end}"))
    return next(found, None)


def _columns(tree: Tree, thing: Group | Node) -> list[int]:
    """The columns that a group is in, or that are in it; of a node between columns the one before it."""
    group = thing if isinstance(thing, Group) else tree.places[thing]
    around: set[Group] = set()
    inner: Group | None = group
    while inner is not None:
        around.add(inner)
        inner = inner.parent
    holding = [i for i, block in enumerate(tree.blocks) if block in around]
    if isinstance(thing, Node):
        before = [i for i, block in enumerate(tree.blocks) if block.first <= thing.index]
        return holding or before[-1:]
    return holding or [i for i, b in enumerate(tree.blocks) if group is not tree.root and b in group.walk()]
