"""Backward passes over a structure that was met before run again as a plain list of NumPy calls.

A training loop builds the same graph in every step. Which rule applies where, which gradients add up, which
shapes must be summed back: none of that depends on the numbers. So the sweep over a structure that keeps
coming is traced, on stand-ins without values, and from then on only its evaluations run. They are those of
the sweep, in its order: the bits are the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.graph import Graph, Program
from chainrule.node import Node, Params, symbol

Sweep: TypeAlias = "Callable[[list[Node], dict[Node, Node]], dict[Node, Node]]"
"""Pulls deltas back over nodes, inputs first, and gives those of the leaves."""

NODES = 1000
"""Larger graphs are swept each time: looking them up would cost more than it gives."""
SIGHTINGS = 4
"""How often a structure must come before it gets a program, which costs as much as some ten sweeps."""
PROGRAMS = 256
"""So many are kept; then all are forgotten, and those in use come back."""
SMALL = 1 << 15
"""Bytes up to which an intermediate gradient may stay until the end of the sweep."""


class Structure(NamedTuple):
    """What a sweep depends on.

    Attributes:
        key: apart from the numbers; graphs with equal keys are swept alike.
        nodes: those of the sweep, and, before a node, its inputs that no derivative reaches.
        values: of the nodes.
    """

    key: Hashable
    nodes: list[Node]
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Replay:
    """A sweep's evaluations. ``leaves`` are the places, among the structure's nodes, of its results."""

    program: Program
    leaves: list[int]


def structure_of(order: Sequence[Node]) -> Structure | None:
    """The structure of the nodes of a sweep, inputs first; None if its parameters cannot be compared."""
    places: dict[Node, int] = {}
    values: list[Any] = []
    key: list[Hashable] = []
    says, holds, known = key.append, values.append, places.get
    for node in order:  # the hot loop of eager training
        op = node.op
        if op is None:
            says(node.shape)
            says(node.dtype)
        else:
            for x in node.inputs:
                place = known(x)
                if place is None:  # no derivative reaches it
                    places[x] = place = len(values)
                    holds(x.value)
                    says(None)  # or it would look as a leaf that has a gradient
                    says(x.shape)
                    says(x.dtype)
                says(place)
            params = node.params
            if params and not _say_all(params, says):
                return None
            says(op)  # from all of which shape and dtype follow
        places[node] = len(values)
        holds(node.value)
    return Structure(tuple(key), list(places), values)


def _say_all(params: Params, says: Callable[[Hashable], None]) -> bool:
    for name, value in params.items():
        says(name)
        if not _say(value, says):
            return False
    return True


def _say(value: Any, says: Callable[[Hashable], None]) -> bool:
    """Add a parameter to a key that tells 1 from 1.0 and True, and 0.0 from -0.0; False if it cannot."""
    kind = value.__class__
    says(kind)
    if kind in _PLAIN or value is ...:
        says(value)
    elif kind is float:
        says(value.hex())
    elif issubclass(kind, tuple):
        says(len(value))
        for each in value:
            if not _say(each, says):
                return False
    elif issubclass(kind, np.dtype):
        says(value)
    else:
        return False
    return True


_PLAIN = frozenset((bool, int, str, type(None)))


class Replays:
    """The programs of structures that keep coming. Safe to use from several threads."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Replay | None] = {}
        self._sightings: dict[int, int] = {}
        self._changing = threading.RLock()  # a signal handler may run backward too

    def find(self, structure: Structure, order: Sequence[Node], sweep: Sweep) -> Replay | None:
        """The program for a structure; None where it came too seldom so far, or must be swept each time."""
        try:
            return self._known[structure.key]
        except KeyError:
            pass
        with self._changing:
            if len(self._known) >= PROGRAMS or len(self._sightings) >= 64 * PROGRAMS:
                self._known.clear()
                self._sightings.clear()
            seen = self._sightings[hash(structure.key)] = self._sightings.get(hash(structure.key), 0) + 1
            if seen >= SIGHTINGS:
                self._known[structure.key] = _traced(structure, order, sweep)
            return self._known.get(structure.key)


def without_values(structure: Structure, order: Sequence[Node]) -> tuple[Node, ...] | None:
    """For each place of a structure a node of the same graph without values; None if a rule may ask for numbers.

    Args:
        structure: of ``order``.
        order: the nodes that the program computed.
    """
    if not all(node.op is None or node.op.bare for node in order):
        return None  # a user's rule may do more than its primitives say
    inside = set(order)
    given = [x for x in structure.nodes if x not in inside or x.op is None]
    try:
        return Graph(given, structure.nodes).rebuild(*(symbol(x.spec) for x in given))
    except ChainruleError:
        return None


def _traced(structure: Structure, order: Sequence[Node], sweep: Sweep) -> Replay | None:
    standing = without_values(structure, order)
    if standing is None:
        return None
    try:
        alike = dict(zip(structure.nodes, standing, strict=True))
        seed = symbol(order[-1].spec)
        found = sweep([alike[node] for node in order], {alike[order[-1]]: seed})
    except ChainruleError:
        return None  # a rule asks for numbers
    leaves = [i for i, node in enumerate(standing) if node in found]
    graph = Graph((*standing, seed), [found[standing[i]] for i in leaves])
    return Replay(Program(graph, SMALL), leaves)
