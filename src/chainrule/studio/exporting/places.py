"""From the trace's abstract places to a picture's: boxes, the roads between them, and where on a road its pill stands.

``docs/trace.md`` states the rules, which the page follows too (``static/js/formula/roads.js``); a test compares them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

Point: TypeAlias = "tuple[float, float]"
Cubic: TypeAlias = "tuple[Point, Point, Point, Point]"

_SAMPLES = 12
_BOW = 36.0
_PORTS, _MARGIN = 17.0, 22.0
"""How far apart edges leave a node at most, and how much of its side they leave free."""
_SHARES = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8)
_CROSSED = 6.0
"""What it costs a pill to hide a piece of another road."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its middle."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        across = min(self.x + self.width / 2, other.x + other.width / 2) - max(
            self.x - self.width / 2, other.x - other.width / 2
        )
        along = min(self.y + self.height / 2, other.y + other.height / 2) - max(
            self.y - self.height / 2, other.y - other.height / 2
        )
        return max(0.0, across) * max(0.0, along)

    def holds(self, point: Point) -> bool:
        """Whether a point lies within."""
        return abs(point[0] - self.x) < self.width / 2 and abs(point[1] - self.y) < self.height / 2


@dataclass(frozen=True)
class Curve:
    """A road: Bézier curves through points, level at both ends, which do not swing over between them.

    Source of the slopes: Fritsch and Carlson, SIAM J. Numer. Anal. 17(2), 1980, 238-246, DOI 10.1137/0717021.
    """

    points: tuple[Point, ...]
    bow: float = 0.0

    def lane(self, aside: float, back: bool = False) -> list[Cubic]:
        """The same, shifted to the right of those who go forward; from its end to its beginning, if asked."""
        cubics = [self._cubic(i, aside) for i in range(len(self.points) - 1)]
        return [(d, c, b, a) for a, b, c, d in cubics[::-1]] if back else cubics

    def _cubic(self, i: int, aside: float) -> Cubic:
        (x0, y0), (x1, y1) = self.points[i], self.points[i + 1]
        y0, y1 = y0 + aside, y1 + aside
        first, last = i == 0, i + 2 == len(self.points)
        leave, arrive = (x1 - x0) * (0.5 if first else 0.36), (x1 - x0) * (0.5 if last else 0.36)
        return (
            (x0, y0),
            (x0 + leave, y0 + self._slope(i) * leave + self.bow),
            (x1 - arrive, y1 - self._slope(i + 1) * arrive + self.bow),
            (x1, y1),
        )

    def _slope(self, i: int) -> float:
        if i in (0, len(self.points) - 1):
            return 0.0
        (x0, y0), (x1, y1), (x2, y2) = self.points[i - 1 : i + 2]
        a, b = (y1 - y0) / ((x1 - x0) or 1.0), (y2 - y1) / ((x2 - x1) or 1.0)
        return 2 * a * b / (a + b) if a * b > 0 else 0.0

    @cached_property
    def steps(self) -> list[tuple[float, Point]]:
        """Points along it, with how far from its beginning they are."""
        passed, before = 0.0, self.points[0]
        found = [(0.0, before)]
        for cubic in self.lane(0.0):
            for k in range(1, _SAMPLES + 1):
                here = _on(cubic, k / _SAMPLES)
                passed += math.dist(before, here)
                found.append((passed, here))
                before = here
        return found

    def at(self, share: float) -> Point:
        """The point to which this share of its length leads."""
        goal = share * self.steps[-1][0]
        for (low, a), (high, b) in itertools.pairwise(self.steps):
            if high >= goal:
                part = (goal - low) / (high - low) if high > low else 0.0
                return a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])
        return self.steps[-1][1]


def _on(cubic: Cubic, t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    return (
        sum(w * p[0] for w, p in zip(weights, cubic, strict=True)),
        sum(w * p[1] for w, p in zip(weights, cubic, strict=True)),
    )


@dataclass(frozen=True, slots=True)
class Link:
    """An edge that is drawn: ends, the place among its user's inputs, and bends."""

    start: int
    end: int
    slot: int
    bends: tuple[Point, ...]


def links_of(trace: Mapping[str, Any]) -> list[Link]:
    """All edges of a trace: those that derivatives flow through, then those from constants."""
    return [
        Link(
            edge["from"],
            edge["to"],
            edge.get("slot", 0),
            tuple((float(x), float(y)) for x, y in edge["bends"]),
        )
        for edge in (*trace["edges"], *trace["wires"])
    ]


def curves_of(
    boxes: Mapping[int, Box], links: Sequence[Link], place: Callable[[float, float], Point]
) -> list[Curve]:
    """The roads.

    Edges leave and arrive in the order of their other ends, so that they never cross at a node. Where one passes a
    layer it runs straight for the width of a node, so that it stays between nodes. Those that share both ends bow.

    Args:
        boxes: of the nodes, by id.
        links: the edges.
        place: turns an abstract place into one of the picture.
    """
    ports = {end: _ports(boxes, links, place, end) for end in ("start", "end")}
    curves: list[Curve] = []
    for k, link in enumerate(links):
        start, end = boxes[link.start], boxes[link.end]
        bends = [place(*bend) for bend in link.bends]
        straight = [(x + side * end.width / 2, y) for x, y in bends for side in (-1, 1)]
        points = (
            (start.x + start.width / 2, start.y + ports["start"][k]),
            *straight,
            (end.x - end.width / 2, end.y + ports["end"][k]),
        )
        twins = [i for i, other in enumerate(links) if (other.start, other.end) == (link.start, link.end)]
        bow = 2 * twins.index(k) / (len(twins) - 1) - 1 if len(twins) > 1 else 0.0
        curves.append(Curve(points, bow * _BOW))
    return curves


def _ports(
    boxes: Mapping[int, Box], links: Sequence[Link], place: Callable[[float, float], Point], end: str
) -> dict[int, float]:
    """For each edge how far from the middle of its node's side it leaves, or arrives."""
    groups: dict[int, list[int]] = {}
    for k, link in enumerate(links):
        groups.setdefault(getattr(link, end), []).append(k)

    def beyond(k: int) -> tuple[float, int]:
        """How far across the place is that the edge leads to first, seen from this end."""
        link = links[k]
        if link.bends:
            return place(*link.bends[0 if end == "start" else -1])[1], link.slot
        return boxes[link.end if end == "start" else link.start].y, link.slot

    found: dict[int, float] = {}
    for i, group in groups.items():
        apart = min(_PORTS, max(0.0, boxes[i].height - _MARGIN) / max(1.0, len(group) - 0.5))
        for rank, k in enumerate(sorted(group, key=beyond)):
            found[k] = (rank - (len(group) - 1) / 2) * apart
    return found


def pill_places(curves: Sequence[Curve], boxes: Iterable[Box], width: float, height: float) -> list[Point]:
    """For each road the freest of nine places: the middle, if nothing is in the way.

    Args:
        curves: the roads that have a pill.
        boxes: of the nodes.
        width, height: of a pill.
    """
    blocked = [Box(box.x, box.y, box.width + 4, box.height + 4) for box in boxes]
    found: list[Point] = []
    for k, curve in enumerate(curves):
        others = [point for j, other in enumerate(curves) if j != k for _, point in other.steps[::2]]
        best, least = Box(*curve.at(0.5), width, height), math.inf
        for share in _SHARES:
            pill = Box(*curve.at(share), width, height)
            cost = abs(share - 0.5) * 20 + sum(pill.overlap(other) for other in blocked)
            wide = Box(pill.x, pill.y, width, height + 6)
            for (
                point
            ) in others:  # added one by one, as the page does: two places may cost the same but for rounding
                cost += _CROSSED if wide.holds(point) else 0.0
            if cost < least:
                best, least = pill, cost
        blocked.append(best)
        found.append((best.x, best.y))
    return found
