"""What a compiled program does, step by step, before addresses are known."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chainrule.compiler.views import Sight
from chainrule.node import Node


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere in an array: the array's key (a node or a `Workspace`), and bytes from its beginning."""

    array: Hashable
    offset: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Workspace:
    """Memory that a step needs for itself."""

    nbytes: int


@dataclass(frozen=True, eq=False, slots=True)
class Scratch:
    """Memory that a step needs for each thread."""

    nbytes: int


class _Pool:
    """The key of the pool of threads, for a step that hands out tasks itself."""

    def __repr__(self) -> str:
        return "POOL"


POOL = _Pool()


@dataclass(frozen=True, slots=True)
class Step:
    """One kernel, or one call of NumPy.

    Attributes:
        nodes: what it computes.
        places: of a kernel's operands, in the order of its table.
        writes: keys of arrays.
        kernel: native code, or None.
        sights: for a call of NumPy, how each input is read.
        reason: why NumPy is called.
        note: what else is worth saying about it.
        inside: of a loop over steps, those that it repeats.
        instead: pairs of an array that it writes and one that it reads, whose memory that may take.
    """

    nodes: Sequence[Node]
    places: Sequence[Place]
    writes: frozenset[Any]
    kernel: Any = None
    sights: Sequence[Sight] = field(default=())
    reason: str = ""
    note: str = ""
    inside: Sequence[Step] = field(default=())
    instead: Sequence[tuple[Hashable, Hashable]] = field(default=())

    @property
    def arrays(self) -> list[Any]:
        """Keys of all arrays that it touches, in an order that does not change from run to run."""
        if self.kernel is None:
            return list(dict.fromkeys([*(s.base for s in self.sights), *self.nodes]))
        return list(dict.fromkeys(place.array for place in self.places))
