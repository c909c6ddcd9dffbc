"""Paths that share no vertex: the largest flow through a graph in which each vertex has room for one path.

Source: Ford and Fulkerson, Maximal flow through a network, Canad. J. Math. 8, 1956, 399-404, DOI
10.4153/CJM-1956-045-5; each path a shortest one, so that it ends soon.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

_SINK = -1


def disjoint_paths(steps: Sequence[int], start: int, ends: set[int]) -> int:
    """How many paths lead from ``start`` to ``ends`` of which no two share a vertex but ``start``.

    Args:
        steps: for each vertex the set of bits of those to which a step leads. No steps lead in a circle.
        start: a vertex; to stay there is no path, even if it is one of ``ends``.
        ends: vertices; paths may also lead through them.

    Example:
        >>> disjoint_paths([0b0110, 0b1000, 0b1000, 0], 0, {3}), disjoint_paths([0b0110, 0, 0], 0, {1, 2})
        (1, 2)
    """
    free = _arcs(steps, start, ends)
    count = 0
    while path := _free_path(free, 2 * start + 1):
        for a, b in path:
            free[a].remove(b)
            free[b].add(a)
        count += 1
    return count


def _arcs(steps: Sequence[int], start: int, ends: set[int]) -> dict[int, set[int]]:
    """Where a first path may go, by where it is: vertex v is an entry 2v and an exit 2v + 1."""
    free: dict[int, set[int]] = {_SINK: set(), 2 * start + 1: set()}
    todo = [start]
    while todo:
        v = todo.pop()
        some = steps[v]
        while some:
            low = some & -some
            some ^= low
            w = low.bit_length() - 1
            free[2 * v + 1].add(2 * w)
            if 2 * w not in free:
                free[2 * w], free[2 * w + 1] = {2 * w + 1}, {_SINK} if w in ends else set()
                todo.append(w)
    return free


def _free_path(free: dict[int, set[int]], start: int) -> list[tuple[int, int]]:
    """The arcs of a shortest path to the sink; none if there is no path."""
    came: dict[int, int] = {start: start}
    todo = deque([start])
    while todo and _SINK not in came:
        a = todo.popleft()
        for b in free[a] - came.keys():
            came[b] = a
            todo.append(b)
    arcs: list[tuple[int, int]] = []
    at = _SINK
    while at in came and at != start:
        arcs.append((came[at], at))
        at = came[at]
    return arcs
