"""The graph of a group: modules as boxes, opened ones as what is in them, down to the primitives."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.explain.numbers import counted, json_number, number_text
from chainrule.node import Node
from chainrule.studio.drawing.layout import arrange
from chainrule.studio.models.chains import straightened
from chainrule.studio.models.measuring import Numbers
from chainrule.studio.models.overview import output_of, size_json, totals
from chainrule.studio.models.tree import LOOSE, Group, Tree

MOST_ITEMS = 1_500
"""That are drawn at once."""


@dataclass(eq=False)
class _Item:
    """A box of the picture: a group, a node, or a group or node outside that something comes from."""

    thing: Group | Node
    outside: bool = False
    place: int = field(default=-1)

    @property
    def first(self) -> int:
        return self.thing.first if isinstance(self.thing, Group) else self.thing.index


def picture(
    tree: Tree, numbers: Mapping[Node, Numbers], root: Group, opened: Collection[str]
) -> dict[str, Any]:
    """What is in a group, as boxes with places and edges between them.

    Args:
        tree: of the pass.
        numbers: of its nodes.
        root: the group that is looked into.
        opened: paths of the groups in it that are shown as what is in them.

    Raises:
        ArgumentError: that is too much to draw.
    """
    items, stands = _items(tree, root, set(opened))
    edges = _edges(tree, numbers, items, stands)
    if len(items) > MOST_ITEMS:
        raise ArgumentError(
            f"{root.path or 'the model'} would be {counted(len(items), 'box')}, {MOST_ITEMS:,} can be drawn",
            fix="open fewer modules, or look into one of them",
        )
    forward = [
        (a, b) for a, b in edges if a < b
    ]  # a module that is used again is drawn once: back edges close loops
    arranged = straightened(arrange(len(items), forward), forward)
    bends = dict(zip(forward, arranged.bends, strict=True))
    paths = {node: path for path, node in reversed(tree.observed.parameters.items())}
    return {
        "root": root.path,
        "opened": sorted(set(opened)),
        "items": [
            {**_item(tree, item, numbers, paths), "layer": layer, "across": across}
            for item, (layer, across) in zip(items, arranged.places, strict=True)
        ],
        "edges": [
            {
                "from": a,
                "to": b,
                "bends": [list(bend) for bend in bends.get((a, b), ())],
                **known,
            }
            for (a, b), known in edges.items()
        ],
        "layers": arranged.layers,
        "breadth": arranged.breadth,
        "totals": totals(root, numbers, paths),
    }


def _items(tree: Tree, root: Group, opened: set[str]) -> tuple[list[_Item], dict[Node, _Item]]:
    """The boxes in order of computation, and which of them each node is in."""
    by_thing: dict[Group | Node, _Item] = {}
    stands: dict[Node, _Item] = {}
    for node in root.all_nodes:
        thing = tree.shown(node, root, opened)
        if thing is not None:
            stands[node] = by_thing.setdefault(thing, _Item(thing))
    for node in list(stands):
        for x in node.inputs:
            if x not in stands and x in tree.places:
                thing = _outside(tree, root, x)
                stands[x] = by_thing.setdefault(thing, _Item(thing, outside=True))
    items = sorted(by_thing.values(), key=lambda item: (not item.outside, item.first))
    for i, item in enumerate(items):
        item.place = i
    return items, stands


def _outside(tree: Tree, root: Group, node: Node) -> Group | Node:
    """The largest group with a node that does not hold the root as well."""
    around = {root.path}
    group: Group | None = root
    while group is not None:
        around.add(group.path)
        group = group.parent
    found: Group | Node = node
    inner: Group | None = tree.places[node]
    while inner is not None and inner.path not in around:
        found = inner
        inner = inner.parent
    return found


def _edges(
    tree: Tree, numbers: Mapping[Node, Numbers], items: list[_Item], stands: Mapping[Node, _Item]
) -> dict[tuple[int, int], dict[str, Any]]:
    """For each pair of boxes what goes from one to the other; of several tensors the largest, and how many."""
    found: dict[tuple[int, int], tuple[Node, float | None, int]] = {}
    for node, item in stands.items():
        if item.outside:
            continue
        for slot, x in enumerate(node.inputs):
            giver = stands.get(x)
            if giver is None or giver is item:
                continue
            added = numbers[node].added
            now = added[slot] if slot < len(added) else None
            key = giver.place, item.place
            known = found.get(key)
            if known is None:
                found[key] = x, now, 1
            elif (
                x is known[0]
            ):  # one tensor that is used twice: what comes back adds up in quadrature at most
                found[key] = x, _larger(known[1], now), known[2]
            else:
                larger = (x, now) if x.size > known[0].size else known[:2]
                found[key] = *larger, known[2] + 1
    return {
        key: {
            "shape": list(x.shape),
            "value": json_number(numbers[x].value.rms),
            "gradient": None if added is None else json_number(added),
            "tensors": several,
        }
        for key, (x, added, several) in sorted(found.items(), key=lambda item: item[0])
    }


def _larger(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)


def _item(
    tree: Tree, item: _Item, numbers: Mapping[Node, Numbers], paths: Mapping[Node, str]
) -> dict[str, Any]:
    thing = item.thing
    if isinstance(thing, Node):
        return node_json(tree, thing, numbers[thing], paths) | {"outside": item.outside}
    output = output_of(tree, thing)
    known = numbers[output]
    return {
        "id": thing.path,
        "type": "group",
        "name": thing.name,
        "kind": "" if thing.kind == LOOSE else thing.kind,
        "shape": list(output.shape),
        "value": size_json(known.value),
        "gradient": size_json(known.gradient),
        "outside": item.outside,
        "opens": True,
        **totals(thing, numbers, paths),
    }


def node_id(tree: Tree, node: Node) -> str:
    """A name for a node that is the same in each pass of the same program."""
    return f"#{tree.number(node)}"


def node_json(tree: Tree, node: Node, known: Numbers, paths: Mapping[Node, str]) -> dict[str, Any]:
    """A node for the page."""
    path = paths.get(node)
    source = node.source
    return {
        "id": node_id(tree, node),
        "type": "parameter" if path else "node" if node.op is not None else "data",
        "name": _name(node, path),
        "kind": node.op.name if node.op is not None and path is None else "",
        "path": path,
        "group": tree.places[node].path,
        "shape": list(node.shape),
        "dtype": node.dtype.name,
        "value": size_json(known.value),
        "gradient": size_json(known.gradient),
        "units": known.units,
        "dead": known.dead,
        "strange": known.strange,
        "strange_gradients": known.gradient.nan + known.gradient.inf if known.gradient else 0,
        "flops": known.flops,
        "bytes": known.bytes,
        "source": source and source.to_dict(),
        "opens": False,
    }


def _name(node: Node, path: str | None) -> str:
    """``weight``, ``relu``, ``+`` or ``× 0.5``."""
    if path is not None:
        return path.rpartition(".")[2]
    if node.op is None:
        values = np.asarray(node.value).reshape(-1)
        same = values.size and bool(np.all(values == values[0]))
        return node.name or (number_text(float(values[0]), 3) if same else "data")
    numbers = [x for x in node.inputs if x.op is None and x.size == 1 and not x.tracked]
    label = node.op.label or node.op.name
    if len(numbers) == 1 and len(node.inputs) == 2:
        number = number_text(float(np.asarray(numbers[0].value).reshape(-1)[0]), 3)
        return f"{number} {label}" if node.inputs[0] is numbers[0] else f"{label} {number}"
    return label
