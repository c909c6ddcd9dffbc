"""A Jacobian of one structure as machine code, for all later graphs of that structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.autodiff.replay import Structure, without_values
from chainrule.graph import Graph
from chainrule.node import Node, leaf, symbol
from chainrule.transforms.compiled import executable
from chainrule.transforms.sweeps import Entries
from chainrule.transforms.tracing import without_identities


@dataclass(frozen=True, slots=True)
class StandIn:
    """A graph of the same structure without values.

    Attributes:
        nodes: for each place of the structure.
        outputs, wrt: what stands for the results and the arguments.
    """

    nodes: tuple[Node, ...]
    outputs: list[Node]
    wrt: list[Node]


def ends_of(structure: Structure, outputs: Sequence[Node], wrt: Sequence[Node]) -> tuple[Any, ...]:
    """Which places of a structure are the results and the arguments; what is in none by its shape and dtype."""
    places = {node: i for i, node in enumerate(structure.nodes)}
    some = (tuple(places.get(n, (n.shape, n.dtype)) for n in nodes) for nodes in (outputs, wrt))
    return tuple(some)


def stand_in(
    structure: Structure, order: Sequence[Node], outputs: Sequence[Node], wrt: Sequence[Node]
) -> StandIn | None:
    """The same graph without values; None where a Jacobian could depend on more than shapes and floats.

    Args:
        structure: of ``order``.
        order: the nodes between arguments and results.
        outputs, wrt: results and arguments.
    """
    if any(x.dtype.kind == "i" or x.value is None for x in structure.nodes):
        return None  # places that are looked up say which entries are zero
    standing = without_values(structure, order)
    if standing is None:
        return None
    alike = dict(zip(structure.nodes, standing, strict=True))
    ends = ([alike[n] if n in alike else symbol(n.spec) for n in nodes] for nodes in (outputs, wrt))
    return StandIn(standing, *ends)


class JacobianProgram:
    """The Jacobian of a structure, compiled.

    Args:
        standing: the structure without values.
        entries: the Jacobian of its results, as nodes that are computed from it.
    """

    def __init__(self, standing: StandIn, entries: Entries) -> None:
        found = [entry for row in entries for entry in row if entry is not None]
        self._shape = [[entry is not None for entry in row] for row in entries]
        inputs = _used(found, set(standing.nodes))
        place = {node: i for i, node in enumerate(standing.nodes)}
        self._places = [place[node] for node in inputs]
        symbols = [symbol(x.spec) for x in inputs]
        graph = Graph(symbols, Graph(inputs, found).rebuild(*symbols))
        self._run = executable(without_identities(graph), None, winograd=0)

    def entries(self, values: Sequence[Any]) -> Entries:
        """The Jacobian for the values of a graph of the structure."""
        given = [np.ascontiguousarray(values[i]) for i in self._places]
        given = [x.reshape(np.shape(values[i])) for x, i in zip(given, self._places, strict=True)]
        found = iter([leaf(array, copy=False) for array in self._run(given)])
        return [[next(found) if there else None for there in row] for row in self._shape]


def _used(entries: Sequence[Node], known: set[Node]) -> list[Node]:
    """The known nodes from which others are computed, in order of computation."""
    seen: set[Node] = set()
    todo = list(entries)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            if node not in known:
                todo += node.inputs
    return sorted(seen & known, key=lambda node: node.index)


def is_native() -> bool:
    """Whether there is machine code for this machine."""
    from chainrule.compiler.on_native.target import host  # which takes a tenth of a second to import

    return host() is not None
