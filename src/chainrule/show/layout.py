"""Places for the cards of a graph in a grid of characters: result on top, variables at the bottom.

Layers by longest path, crossings reduced by medians, positions by isotonic regression, edges on tracks of
their own. Only geometry: nothing here knows what a card says.

Source: Sugiyama, Tagawa and Toda, IEEE Trans. Syst. Man Cybern. 11(2), 1981, 109-125,
DOI 10.1109/TSMC.1981.4308636.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

CARD_HEIGHT = 3
_GAP = 3
_SWEEPS = 8
_MOST_LINKS = 400


class Link(NamedTuple):
    """An edge to be drawn: from the card of the user down to the card of what it uses.

    Attributes:
        upper, lower: numbers of the cards.
        top, bottom: what is written where it leaves and where it arrives.
    """

    upper: int
    lower: int
    top: str
    bottom: str


@dataclass(eq=False)
class Box:
    """A card, or the point where a long edge passes a layer.

    Attributes:
        card: its number; None for a passing edge.
        width: columns.
        x: the leftmost of them.
    """

    card: int | None
    width: int
    layer: int
    x: int = 0
    up: list[Segment] = field(default_factory=list["Segment"])
    down: list[Segment] = field(default_factory=list["Segment"])

    @property
    def center(self) -> float:
        return self.x + (self.width - 1) / 2


@dataclass(eq=False)
class Segment:
    """The part of a link between two layers.

    Attributes:
        leaves, arrives: columns at its upper and its lower end.
        track: row between the layers on which it runs sideways, from 0; unused if it runs straight.
    """

    upper: Box
    lower: Box
    top: str
    bottom: str
    leaves: int = 0
    arrives: int = 0
    track: int = 0

    @property
    def is_straight(self) -> bool:
        return self.leaves == self.arrives


@dataclass
class Layout:
    """Where everything is.

    Attributes:
        layers: boxes from left to right, the result's layer first.
        width: columns in all.
    """

    layers: list[list[Box]]
    width: int

    def segments(self, layer: int) -> list[Segment]:
        """Those that leave a layer downward."""
        return [segment for box in self.layers[layer] for segment in box.down]

    def tracks(self, layer: int) -> int:
        """How many rows the segments below a layer need to run sideways."""
        return max((s.track + 1 for s in self.segments(layer) if not s.is_straight), default=0)


def place(widths: Sequence[int], links: Sequence[Link], width: int) -> Layout | None:
    """Place cards and links.

    Args:
        widths: of the cards in columns; the last card is the result. A link leads to a smaller number.
        links: edges.
        width: columns that there are.

    Returns:
        None if there is not room enough, or if there are too many links for a picture to help.
    """
    if len(links) > _MOST_LINKS:
        return None
    layers = _layers(widths, links)
    if any(_needed(layer) > width for layer in layers):
        return None
    _order(layers)
    _position(layers, width)
    for upper in layers[:-1]:
        if not _ports(upper):
            return None
        _route([segment for box in upper for segment in box.down])
    left = min(box.x for layer in layers for box in layer)
    for box in (box for layer in layers for box in layer):
        box.x -= left
        for segment in box.down:
            segment.leaves -= left
            segment.arrives -= left
    return Layout(layers, max(box.x + box.width for layer in layers for box in layer))


def _layers(widths: Sequence[int], links: Sequence[Link]) -> list[list[Box]]:
    depth = [0] * len(widths)
    for link in sorted(links, key=lambda link: -link.upper):
        depth[link.lower] = max(depth[link.lower], depth[link.upper] + 1)
    boxes = [Box(card, width, depth[card]) for card, width in enumerate(widths)]
    layers: list[list[Box]] = [[] for _ in range(max(depth) + 1)]
    # Depth first from the result: cards that belong together start beside each other.
    seen, stack = set[int](), [len(widths) - 1]
    by_upper: dict[int, list[Link]] = {}
    for link in links:
        by_upper.setdefault(link.upper, []).append(link)
    while stack:
        card = stack.pop()
        if card in seen:
            continue
        seen.add(card)
        layers[depth[card]].append(boxes[card])
        stack.extend(link.lower for link in reversed(by_upper.get(card, [])))
    for link in links:
        if link.upper in seen:
            _thread(boxes[link.upper], boxes[link.lower], link, layers)
    for box in boxes:
        box.width = max(box.width, _slots(s.top for s in box.down), _slots(s.bottom for s in box.up))
    return layers


def _thread(upper: Box, lower: Box, link: Link, layers: list[list[Box]]) -> None:
    """One segment for each layer that a link crosses."""
    above = upper
    for layer in range(upper.layer + 1, lower.layer + 1):
        last = layer == lower.layer
        below = lower if last else Box(None, 1, layer)
        segment = Segment(above, below, link.top if above is upper else "", link.bottom if last else "")
        above.down.append(segment)
        below.up.append(segment)
        if not last:
            layers[layer].append(below)
        above = below


def _slots(labels: Iterable[str]) -> int:
    """Columns that labels need beside each other, with their arrows."""
    return sum(len(label) + 3 for label in labels)


def _needed(layer: list[Box]) -> int:
    return sum(box.width for box in layer) + _GAP * (len(layer) - 1)


def _order(layers: list[list[Box]]) -> None:
    """Order the boxes within layers so that few edges cross; the best order seen is kept."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers[1:] if down else layers[-2::-1]:
            place_of = {box: i for other in layers for i, box in enumerate(other)}
            layer.sort(key=lambda box: _mean_place(box, down, place_of))
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    for layer, order in zip(layers, best, strict=True):
        layer[:] = order
    for layer in layers:
        place_of = {box: i for other in layers for i, box in enumerate(other)}
        for box in layer:
            box.down.sort(key=lambda s: place_of[s.lower])
            box.up.sort(key=lambda s: place_of[s.upper])


def _mean_place(box: Box, down: bool, place_of: dict[Box, int]) -> float:
    near = [s.upper for s in box.up] if down else [s.lower for s in box.down]
    return sum(place_of[b] for b in near) / len(near) if near else place_of[box]


def _crossings(layers: list[list[Box]]) -> int:
    total = 0
    for upper, lower in itertools.pairwise(layers):
        place_of = {box: i for i, box in enumerate(lower)}
        ends = [(i, place_of[s.lower]) for i, box in enumerate(upper) for s in box.down]
        total += sum(
            (a < c and b > d) or (a > c and b < d) for k, (a, b) in enumerate(ends) for c, d in ends[:k]
        )
    return total


def _position(layers: list[list[Box]], width: int) -> None:
    """Columns: each box near the middle of its neighbours, none overlapping, all within ``width``."""
    for layer in layers:
        x = (width - _needed(layer)) // 2
        for box in layer:
            box.x, x = x, x + box.width + _GAP
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers[1:] if down else layers[-2::-1]:
            wanted = [_wanted_center(box, down) for box in layer]
            _spread(layer, wanted, width)


def _wanted_center(box: Box, down: bool) -> float:
    near = [s.upper.center for s in box.up] if down else [s.lower.center for s in box.down]
    return sum(near) / len(near) if near else box.center


def _spread(layer: list[Box], centers: list[float], width: int) -> None:
    """The places nearest to the wanted ones (least squares) in this order and without overlap."""
    before = [sum(b.width + _GAP for b in layer[:i]) for i in range(len(layer))]
    wanted = [c - (b.width - 1) / 2 - o for b, c, o in zip(layer, centers, before, strict=True)]
    slack = width - _needed(layer)
    for box, start, offset in zip(layer, nearest_ascending(wanted), before, strict=True):
        box.x = min(max(round(start), 0), slack) + offset


def nearest_ascending(wanted: Sequence[float]) -> list[float]:
    """The numbers nearest to the wanted ones (least squares) of which none is smaller than the one before.

    Example:
        >>> nearest_ascending([0.0, 3.0, 1.0, 5.0])
        [0.0, 2.0, 2.0, 5.0]

    Source: the pool-adjacent-violators algorithm; Barlow et al., Statistical Inference under Order
    Restrictions, Wiley 1972.
    """
    pools: list[tuple[float, int]] = []
    for number in wanted:
        pools.append((number, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return [mean for mean, n in pools for _ in range(n)]


def _ports(upper: list[Box]) -> bool:
    """Choose the columns at both ends of the segments below a layer; False if they do not fit."""
    for box in upper:
        for segment, column in zip(box.down, _columns(box, [s.top for s in box.down]), strict=True):
            segment.leaves = column
    segments = [s for box in upper for s in box.down]
    leaving = {s.leaves: s for s in segments}
    if len(leaving) < len(segments):
        return False
    taken: set[int] = set()
    for box in dict.fromkeys(s.lower for s in segments):
        box.up.sort(key=lambda s: s.leaves)
        columns = _columns(box, [s.bottom for s in box.up])
        for segment, column in zip(box.up, columns, strict=True):
            choices = [segment.leaves] if abs(segment.leaves - column) <= 4 else []
            choices += [column, column + 1, column - 1, column + 2, column - 2]
            for choice in choices:
                cells = range(choice - len(segment.bottom) - 1, choice + 1)
                inside = (
                    abs(choice - box.x) <= 1 if box.card is None else box.x < choice < box.x + box.width - 1
                )
                if inside and leaving.get(choice, segment) is segment and taken.isdisjoint(cells):
                    segment.arrives = choice
                    taken.update(cells)
                    break
            else:
                return False
        if box.card is None:
            box.x = box.up[0].arrives
    return True


def _columns(box: Box, labels: Sequence[str]) -> list[int]:
    """A column for each label's arrow, spread over the width of a box."""
    if box.card is None:
        return [box.x]
    spare = box.width - _slots(labels)
    columns: list[int] = []
    x = float(box.x)
    for label in labels:
        slot = len(label) + 3 + spare / len(labels)
        columns.append(round(x + (slot + len(label)) / 2 - 0.5))
        x += slot
    return columns


def _route(segments: list[Segment]) -> None:
    """Give every segment that runs sideways a track on which it meets no other."""
    right = sorted((s for s in segments if s.arrives > s.leaves), key=lambda s: -s.leaves)
    left = sorted((s for s in segments if s.arrives < s.leaves), key=lambda s: s.leaves)
    done: list[Segment] = []
    for group in (left, right):
        placed: list[Segment] = []
        for segment in group:
            lowest = max((s.track + 1 for s in placed if _overlap(s, segment)), default=0)
            busy = {s.track for s in done if _overlap(s, segment)}
            while lowest in busy:
                lowest += 1
            segment.track = lowest
            placed.append(segment)
        done += placed


def _overlap(a: Segment, b: Segment) -> bool:
    low, high = sorted((a.leaves, a.arrives))
    start, end = sorted((b.leaves, b.arrives))
    return low <= end and start <= high
