"""Places for the nodes of a graph in layers, with few crossings, and the bends of its edges.

Abstract: a layer and a place within it, in multiples of the distance between neighbours. Whoever draws decides how far
apart that is, and whether layers run from left to right or from top to bottom; page, SVG and TikZ show one arrangement.

fast-sugiyama (Rust) finds the layers (network simplex), the order within them and the places (Brandes and Köpf).

Source: Sugiyama, Tagawa and Toda, IEEE Trans. Syst. Man Cybern. 11(2), 1981, 109-125,
DOI 10.1109/TSMC.1981.4308636; Brandes and Köpf, GD 2001, LNCS 2265, 31-44, DOI 10.1007/3-540-45848-4_3.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fast_sugiyama import from_edges  # pyright: ignore[reportMissingTypeStubs]

from chainrule.show.layout import nearest_ascending

Point: TypeAlias = "tuple[int, float]"
"""A layer, and a place across it."""

_SPACING = 8.0
_SWEEPS = 16
_MOST_RELAXED = 600
"""Beyond so many nodes and bends places stay as they were found: nobody sees single cards there."""
_MOST_TRANSPOSED = 300
"""Beyond so many edges neighbours are no longer exchanged for fewer crossings, which takes most of the time."""
_MOST_BENDS, _LONG = 6_000, 12
"""Where edges would bend at more points than that, those across more than so many layers run straight."""
_STIFFNESS = 4.0
"""How much more a long edge wants to run straight than nodes want to lie beside each other."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where everything is.

    Attributes:
        places: of the nodes: the layer, 0 for the first, and the place across the layers, 0 for the outermost.
        bends: for each edge where it passes the layers between its ends.
        layers: how many there are.
        breadth: the largest place.
    """

    places: tuple[Point, ...]
    bends: tuple[tuple[Point, ...], ...]
    layers: int
    breadth: float


def arrange(count: int, edges: Sequence[tuple[int, int]]) -> Arrangement:
    """Place nodes so that every edge leads to a later layer.

    Edges have a bend in each layer that they pass; in a very large graph the longest have none.

    Args:
        count: how many nodes there are, numbered from 0.
        edges: from a node to one of a larger number that uses it; the same pair may occur more than once.
    """
    distinct = _without_long([edge for edge in dict.fromkeys(edges) if edge[0] != edge[1]], count)
    places: dict[int, Point] = {}
    bends: dict[tuple[int, int], tuple[Point, ...]] = {}
    below = 0.0
    for part in _parts(count, distinct):  # each part that hangs together is placed below the one before
        nodes = sorted({i for edge in part for i in edge})
        number = {i: k for k, i in enumerate(nodes)}
        points, links = _placed([(number[a], number[b]) for a, b in part])
        points = _relaxed(points, links, len(nodes))
        low = min(across for _, across in points.values()) - below
        shifted = {k: (layer, round(across - low, 3)) for k, (layer, across) in points.items()}
        places |= {i: shifted[number[i]] for i in nodes}
        for (a, b), passed in _chains(links, len(nodes)).items():
            bends[nodes[a], nodes[b]] = tuple(shifted[k] for k in passed)
        below = max(across for _, across in shifted.values()) + 1
    for i in range(count):
        if i not in places:
            places[i] = (0, below)
            below += 1
    return Arrangement(
        tuple(places[i] for i in range(count)),
        tuple(bends.get(edge, ()) for edge in edges),
        max(layer for layer, _ in places.values()) + 1 if places else 0,
        max((across for _, across in places.values()), default=0.0),
    )


def _parts(count: int, edges: Sequence[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The edges of each part of the graph that hangs together, in order of the first node."""
    leader = list(range(count))

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = i = leader[leader[i]]
        return i

    for a, b in edges:
        first, second = sorted((find(a), find(b)))
        leader[second] = first
    parts: dict[int, list[tuple[int, int]]] = {}
    for edge in edges:
        parts.setdefault(find(edge[0]), []).append(edge)
    return [parts[i] for i in sorted(parts)]


def _without_long(edges: list[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """All edges, or in a graph with very many long ones those that are short, or the shortest of their node."""
    depth = [0] * count
    for a, b in sorted(edges):
        depth[b] = max(depth[b], depth[a] + 1)
    span = {(a, b): depth[b] - depth[a] for a, b in edges}
    if sum(span.values()) <= _MOST_BENDS:
        return edges
    shortest: dict[int, tuple[int, int]] = {}
    for edge in edges:
        for end in edge:
            if end not in shortest or span[edge] < span[shortest[end]]:
                shortest[end] = edge
    kept = set(shortest.values())
    return [edge for edge in edges if span[edge] <= _LONG or edge in kept]


def _placed(edges: Sequence[tuple[int, int]]) -> tuple[dict[int, Point], list[tuple[int, int]]]:
    """Places of nodes numbered from 0 without gaps and, with larger numbers, of the points where long edges bend.

    The second result are the edges through those points.
    """
    ((found, _, _, linked),) = from_edges(
        edges,
        vertex_spacing=_SPACING,
        dummy_vertices=True,
        dummy_size=_SPACING,
        crossing_minimization="barycenter",
        transpose=len(edges) <= _MOST_TRANSPOSED,
        check_layout=False,
    )
    last = max(y for _, (_, y) in found)
    points = {int(i): (round((last - y) / _SPACING), x / _SPACING) for i, (x, y) in found}
    return points, [(int(a), int(b)) for a, b in linked or edges]


def _relaxed(places: Mapping[int, Point], links: Sequence[tuple[int, int]], nodes: int) -> dict[int, Point]:
    """The same order within layers, with everything nearer to the middle of its neighbours.

    Numbers from ``nodes`` on are bends.
    """
    if len(places) > _MOST_RELAXED:
        return dict(places)
    across = {i: place[1] for i, place in places.items()}
    beside: dict[int, list[tuple[int, float]]] = {i: [] for i in places}
    for a, b in links:
        weight = 1.0 if max(a, b) < nodes else _STIFFNESS
        beside[a].append((b, weight))
        beside[b].append((a, weight))
    layers: dict[int, list[int]] = {}
    for i in sorted(places, key=lambda i: places[i]):
        layers.setdefault(places[i][0], []).append(i)
    offsets = {layer: _offsets(row, nodes) for layer, row in layers.items()}
    order = sorted(layers)
    for sweep in range(_SWEEPS):
        for layer in order if sweep % 2 else order[::-1]:
            row = layers[layer]
            wanted = [
                sum(w * across[j] for j, w in beside[i]) / sum(w for _, w in beside[i]) - offset
                for i, offset in zip(row, offsets[layer], strict=True)
            ]
            found = nearest_ascending(wanted)
            across.update(zip(row, (x + o for x, o in zip(found, offsets[layer], strict=True)), strict=True))
    return {i: (places[i][0], x) for i, x in across.items()}


def _offsets(row: Sequence[int], nodes: int) -> list[float]:
    """How far each member of a layer is at least from the first: bends need less room than nodes."""
    gaps = (0.5 * ((a < nodes) + (b < nodes)) or 0.3 for a, b in itertools.pairwise(row))
    return list(itertools.accumulate(gaps, initial=0.0))


def _chains(links: Sequence[tuple[int, int]], nodes: int) -> dict[tuple[int, int], list[int]]:
    """The bends of long edges, by the edge's ends; numbers from ``nodes`` on are bends."""
    after = {a: b for a, b in links if a >= nodes}
    chains: dict[tuple[int, int], list[int]] = {}
    for start, point in links:
        if start < nodes <= point:
            passed: list[int] = []
            while point >= nodes:
                passed.append(point)
                point = after[point]
            chains[start, point] = passed
    return chains
