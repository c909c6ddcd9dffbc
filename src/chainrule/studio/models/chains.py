"""Chains of a graph in straight lines: what follows one after the other lies side by side."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from chainrule.studio.drawing.layout import Arrangement, Point

_NEAREST = {2: 0.98, 1: 0.48, 0: 0.28}
"""How near two cards, a card and a bend, and two bends may come across the layers."""


def straightened(arranged: Arrangement, edges: Sequence[tuple[int, int]]) -> Arrangement:
    """The same with nodes of a chain, and bends of an edge, at one place across, where nothing is in the way.

    Args:
        arranged: where everything is.
        edges: from a node to one that uses it.
    """
    places, bends = list(arranged.places), [list(bend) for bend in arranged.bends]
    for chain in _chains(len(places), edges):
        others = [*_cards(places, set(chain)), *_points(bends)]
        wanted = _free([places[i] for i in chain], others, True)
        if wanted is not None:
            for i in chain:
                places[i] = (places[i][0], wanted)
    for k, bend in enumerate(bends):
        if len(bend) < 2:
            continue
        others = [*_cards(places, set()), *_points(bends[:k] + bends[k + 1 :])]
        wanted = _free(bend, others, False)
        if wanted is not None:
            bends[k] = [(layer, wanted) for layer, _ in bend]
    return Arrangement(tuple(places), tuple(tuple(bend) for bend in bends), arranged.layers, arranged.breadth)


def _chains(count: int, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Nodes one behind the other, of which each is used by the next alone, which uses it alone."""
    distinct = set(edges)
    uses, used = Counter(b for _, b in distinct), Counter(a for a, _ in distinct)
    following = {a: b for a, b in distinct if used[a] == 1 and uses[b] == 1}
    behind = set(following.values())
    found: list[list[int]] = []
    for start in range(count):
        if start in following and start not in behind:
            chain = [start]
            while chain[-1] in following:
                chain.append(following[chain[-1]])
            found.append(chain)
    return found


def _cards(places: Sequence[Point], without: set[int]) -> list[tuple[Point, bool]]:
    return [(place, True) for i, place in enumerate(places) if i not in without]


def _points(bends: Iterable[Sequence[Point]]) -> list[tuple[Point, bool]]:
    return [(point, False) for bend in bends for point in bend]


def _free(points: Sequence[Point], others: Sequence[tuple[Point, bool]], are_cards: bool) -> float | None:
    """A place across the layers for all of these: the middle of theirs, or an end, if nothing else is too near."""
    across = [place for _, place in points]
    tried = (statistics.median(across), min(across), max(across))
    return next(
        (t for t in tried if not _meets([(layer, t) for layer, _ in points], others, are_cards)), None
    )


def _meets(points: Sequence[Point], others: Sequence[tuple[Point, bool]], are_cards: bool) -> bool:
    """Whether something else would be too near."""
    by_layer: dict[int, list[tuple[float, bool]]] = {}
    for (layer, across), is_card in others:
        by_layer.setdefault(layer, []).append((across, is_card))
    return any(
        abs(across - other) < _NEAREST[are_cards + is_card]
        for layer, across in points
        for other, is_card in by_layer.get(layer, ())
    )
