"""The whole model in columns, a block each, with what flows through it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.explain.numbers import json_number
from chainrule.node import Node
from chainrule.studio.models.measuring import Numbers, Size
from chainrule.studio.models.tree import LOOSE, Group, Tree, numbers_in


def overview(
    tree: Tree, numbers: Mapping[Node, Numbers], updates: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """The columns, what flows between them, and which of them belong together.

    Args:
        tree: of the pass.
        numbers: of its nodes.
        updates: the size of each parameter's last update over that of the parameter, as far as it is known.
    """
    blocks = tree.blocks
    paths = {node: path for path, node in reversed(tree.observed.parameters.items())}
    return {
        "columns": [_column(tree, block, numbers, paths, updates or {}) for block in blocks],
        "edges": _edges(tree, blocks, numbers),
        "stages": _stages(blocks),
    }


def output_of(tree: Tree, group: Group) -> Node:
    """The last node of a group that is used outside of it; the last of all if none is."""
    nodes = group.operations or group.all_nodes
    inside = set(group.all_nodes)
    used = [n for n in nodes if any(u not in inside for u in tree.observed.users.get(n, []))]
    return (used or nodes)[-1]


def size_json(size: Size | None) -> dict[str, Any] | None:
    """A size for the page."""
    if size is None:
        return None
    return {
        "rms": json_number(size.rms),
        "mean": json_number(size.mean),
        "zeros": size.zeros,
        "nan": size.nan,
        "inf": size.inf,
    }


def weights_of(
    group: Group, numbers: Mapping[Node, Numbers], paths: Mapping[Node, str], updates: Mapping[str, float]
) -> list[dict[str, Any]]:
    """The parameters of a group, in order of their use."""
    found: list[dict[str, Any]] = []
    for node, known in numbers_in(group, numbers):
        path = paths.get(node)
        if path is None:
            continue
        found.append(
            {
                "path": path,
                "shape": list(node.shape),
                "count": node.size,
                "value": json_number(known.value.rms),
                "gradient": None if known.gradient is None else json_number(known.gradient.rms),
                "strange": 0 if known.gradient is None else known.gradient.nan + known.gradient.inf,
                "update": None if path not in updates else json_number(updates[path]),
            }
        )
    return found


def totals(group: Group, numbers: Mapping[Node, Numbers], paths: Mapping[Node, str]) -> dict[str, Any]:
    """What a group holds and costs, and what is wrong in it."""
    inside = numbers_in(group, numbers)
    worst = max((k for _, k in inside if k.units), key=lambda k: k.dead / k.units, default=None)
    return {
        "nodes": len(group.operations),
        "parameters": sum(node.size for node, _ in inside if node in paths),
        "flops": sum(k.flops for _, k in inside),
        "bytes": sum(k.bytes for node, k in inside if group.computes(node)),
        "units": worst.units if worst else 0,
        "dead": worst.dead if worst else 0,
        "strange": sum(k.strange for _, k in inside),
        "strange_gradients": sum(k.gradient.nan + k.gradient.inf for _, k in inside if k.gradient),
    }


def _column(
    tree: Tree,
    block: Group,
    numbers: Mapping[Node, Numbers],
    paths: Mapping[Node, str],
    updates: Mapping[str, float],
) -> dict[str, Any]:
    output = output_of(tree, block)
    known = numbers[output]
    return {
        "id": block.path,
        "name": block.name,
        "kind": "" if block.kind == LOOSE else block.kind,
        "module": block.kind != LOOSE,
        "shape": list(output.shape),
        "dtype": output.dtype.name,
        "value": size_json(known.value),
        "gradient": size_json(known.gradient),
        "weights": weights_of(block, numbers, paths, updates),
        "skip": _has_branches(tree, block),
        **totals(block, numbers, paths),
    }


def _has_branches(tree: Tree, block: Group) -> bool:
    """Whether what comes in goes more than one way through the parts of a block."""
    if not block.groups:
        return False
    inside = set(block.all_nodes)
    entering: dict[Node, set[Group | Node]] = {}
    for node in block.all_nodes:
        for x in node.inputs:
            if x not in inside and x.tracked and x in tree.places:
                part = tree.shown(node, block, ())
                if part is not None:
                    entering.setdefault(x, set()).add(part)
    return any(len(parts) > 1 for parts in entering.values())


def _edges(tree: Tree, blocks: list[Group], numbers: Mapping[Node, Numbers]) -> list[dict[str, Any]]:
    """What each column hands to another: the largest tensor, and the gradient that comes back on this way."""
    column = {node: i for i, block in enumerate(blocks) for node in block.all_nodes}
    found: dict[tuple[int, int], tuple[Node, float | None]] = {}
    for node, user in column.items():
        for slot, x in enumerate(node.inputs):
            giver = column.get(x)
            if giver is None or giver == user:
                continue
            added = numbers[node].added
            known = found.get((giver, user))
            if known is None or x.size > known[0].size:
                found[(giver, user)] = x, added[slot] if slot < len(added) else None
    return [
        {
            "from": giver,
            "to": user,
            "shape": list(x.shape),
            "value": json_number(numbers[x].value.rms),
            "gradient": None if added is None else json_number(added),
        }
        for (giver, user), (x, added) in sorted(found.items(), key=lambda item: item[0])
    ]


def _stages(blocks: list[Group]) -> list[dict[str, Any]]:
    """Columns one behind the other that are parts of the same list."""
    found: list[dict[str, Any]] = []
    for i, block in enumerate(blocks):
        parent = "" if block.parent is None or not block.parent.is_row else block.parent.path
        if found and parent and found[-1]["path"] == parent:
            found[-1]["last"] = i
        else:
            found.append({"path": parent, "first": i, "last": i})
    return found
