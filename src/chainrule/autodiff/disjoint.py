"""Paths that share no vertex: the largest flow through a graph in which each vertex has room for one path.

Source: Ford and Fulkerson, Maximal flow through a network, Canad. J. Math. 8, 1956, 399-404, DOI
10.4153/CJM-1956-045-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

_SINK = -1


def disjoint_paths(steps: Sequence[int], start: int, ends: AbstractSet[int]) -> int:
    """How many paths lead from ``start`` to ``ends`` of which no two share a vertex but ``start``.

    Args:
        steps: for each vertex the set of bits of those to which a step leads. No steps lead in a circle, and each
            vertex to which one leads is an end or leads to one.
        start: a vertex; to stay there is no path, even if it is one of ``ends``.
        ends: vertices; paths may also lead through them.

    Example:
        >>> disjoint_paths([0b0110, 0b1000, 0b1000, 0], 0, {3}), disjoint_paths([0b0110, 0, 0], 0, {1, 2})
        (1, 2)
    """
    most = steps[start].bit_count()
    if most < 2:
        return most
    flow = _Flow(steps, start, ends)
    count = 0
    while count < most and flow.add():
        count += 1
    return count


class _Flow:
    """Vertex v is an entry 2v and an exit 2v + 1, with room for one path from the one to the other."""

    def __init__(self, steps: Sequence[int], start: int, ends: AbstractSet[int]) -> None:
        self._steps, self._ends, self._source = steps, ends, 2 * start + 1
        self._free: dict[int, set[int]] = {}
        """Where one more path may go, by where it is, for what was looked at so far."""

    def add(self) -> bool:
        """Look for one more path, which may also undo steps of others; returns whether there is one."""
        source = self._source
        came = {source: source}
        todo = [source]
        while todo:
            a = todo.pop()
            for b in self._from(a):
                if b not in came:
                    came[b] = a
                    if b == _SINK:
                        self._use(came)
                        return True
                    todo.append(b)
        return False

    def _from(self, a: int) -> set[int]:
        if a not in self._free:
            v = a >> 1
            if a & 1:
                places, some = set[int](), self._steps[v]
                while some:
                    low = some & -some
                    some ^= low
                    places.add(2 * (low.bit_length() - 1))
                if v in self._ends and a != self._source:
                    places.add(_SINK)
            else:
                places = {a + 1}
            self._free[a] = places
        return self._free[a]

    def _use(self, came: dict[int, int]) -> None:
        b = _SINK
        while b != self._source:
            a = came[b]
            self._from(a).remove(b)
            if b != _SINK:
                self._from(b).add(a)
            b = a
