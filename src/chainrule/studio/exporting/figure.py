"""What a still picture of a formula shows at a step, before it is written as SVG or TikZ: cards, roads and pills.

Sizes are those of the page in its own pixels; one is 1/96 inch, 0.75 pt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.explain.numbers import number_text
from chainrule.studio.exporting.letters import Run, runs_of, width_of
from chainrule.studio.exporting.moments import Mode, Moment, Trace, moment_at
from chainrule.studio.exporting.places import Box, Curve, Point, curves_of, links_of, pill_places

LETTER, DEFINITION, REGISTER, PILL = 20.0, 12.0, 14.0, 11.5
"""Sizes of type."""
SMALL_LETTER, SMALL_REGISTER, SMALL_PILL = 16.0, 12.0, 10.5
_MOST_CARDS = 15
"""With more nodes than this they are small ones, as on the page."""
_CARD, _SMALL, _CONSTANT = (116.0, 64.0), (64.0, 58.0), (34.0, 30.0)
_WIDEST = 220.0
_GAP, _SMALL_GAP = 116.0, 58.0
"""Between layers."""
_APART, _SMALL_APART = 94.0, 71.0
"""From neighbour to neighbour within a layer."""
_PILL, _SMALL_PILL = (78.0, 20.0), (38.0, 18.0)
"""Room that a pill looks for."""
_MARGIN = 16.0
_ROOM, _SMALL_ROOM = 6, 8
"""Characters of a register, which get fewer digits rather than less room."""


@dataclass(frozen=True, slots=True)
class Card:
    """A node.

    Attributes:
        id, kind: as in the trace.
        box: where it is.
        letter, definition: in runs of text; no definition on a small card or for a variable.
        value, gradient: as texts; None while there is none.
        lit: ``"value"`` or ``"gradient"`` if what happened last happened here.
    """

    id: int
    kind: str
    box: Box
    letter: Sequence[Run]
    definition: Sequence[Run]
    value: str | None
    gradient: str | None
    lit: str | None


@dataclass(frozen=True, slots=True)
class Road:
    """An edge.

    Attributes:
        curve: its middle.
        active: whether derivatives flow through it; constants' edges are dotted.
        valued: whether its value has gone forward.
        passed: whether a gradient, or a tangent, has passed.
        width: of the gradient's lane.
        negative: whether what has passed is.
        lit: whether that happened last.
    """

    curve: Curve
    active: bool
    valued: bool = False
    passed: bool = False
    width: float = 0.0
    negative: bool = False
    lit: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a pill: a text, which is a ``local`` derivative, a ``gradient``, or the ``result`` just made."""

    text: str
    hue: str
    width: float


@dataclass(frozen=True, slots=True)
class Pill:
    """The numbers of an edge, on its road."""

    at: Point
    cells: Sequence[Cell]
    height: float

    @property
    def width(self) -> float:
        """Of all cells."""
        return sum(cell.width for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Grid:
    """How abstract places become those of a picture.

    Attributes:
        left, top: of the place (0, 0).
        along, apart: from layer to layer, and from neighbour to neighbour.
        card, pill: the sizes of a node and of the room that a pill looks for.
    """

    left: float
    top: float
    along: float
    apart: float
    card: Point
    pill: Point

    def place(self, layer: float, across: float) -> Point:
        """Where an abstract place is."""
        return self.left + layer * self.along, self.top + across * self.apart

    def box(self, node: Trace) -> Box:
        """Where a node is."""
        size = _CONSTANT if node["kind"] == "constant" else self.card
        return Box(*self.place(node["layer"], node["across"]), *size)


@dataclass(frozen=True, slots=True)
class Figure:
    """All of it, with its size."""

    width: float
    height: float
    small: bool
    forward: bool
    result: int
    cards: Sequence[Card]
    roads: Sequence[Road]
    pills: Sequence[Pill]
    moment: Moment
    grid: Grid


def figure_of(
    trace: Trace, step: int | None = None, mode: Mode = "reverse", constants: bool = True
) -> Figure:
    """The picture of a formula's trace.

    Args:
        trace: of a formula.
        step: the place of an event; None for after both passes.
        mode: of which events.
        constants: whether they are drawn.
    """
    moment = moment_at(trace, step, mode)
    shown = [node for node in trace["nodes"] if constants or node["kind"] != "constant"]
    small = len(shown) > _MOST_CARDS
    letters = {node["id"]: runs_of(node["letter"]) for node in shown}
    definitions = {node["id"]: [] if small else _definition(node, trace) for node in shown}
    grid = _grid(shown, _card_width(letters, definitions, small), small)
    boxes = {node["id"]: grid.box(node) for node in shown}
    wide = max(box.x + box.width / 2 for box in boxes.values()) + _MARGIN
    high = max(box.y + box.height / 2 for box in boxes.values()) + _MARGIN
    cards = [
        _card(node, moment, boxes[node["id"]], letters[node["id"]], definitions[node["id"]], small)
        for node in shown
    ]
    links = links_of(trace)
    kept = [k for k, link in enumerate(links) if link.start in boxes and link.end in boxes]
    curves = curves_of(boxes, [links[k] for k in kept], grid.place)
    most = max((abs(x) for x in moment.added if math.isfinite(x)), default=0.0)
    roads = [_road(trace, moment, k, curve, most) for k, curve in zip(kept, curves, strict=True)]
    active = [(k, road) for k, road in zip(kept, roads, strict=True) if road.active]
    cells = [_cells(trace, moment, k, mode, small) for k, _ in active]
    at = pill_places([road.curve for _, road in active], boxes.values(), *grid.pill)
    pills = [
        Pill(point, some, 21.0 if len(some) > 2 else 18.0)
        for point, some in zip(at, cells, strict=True)
        if some
    ]
    forward = mode == "forward"
    return Figure(wide, high, small, forward, trace["result"], cards, roads, pills, moment, grid)


def _definition(node: Trace, trace: Trace) -> list[Run]:
    return runs_of(node["definition"]) if "definition" in node else []


def _card_width(letters: dict[int, list[Run]], definitions: dict[int, list[Run]], small: bool) -> float:
    """As wide as on the page, or wider where a definition needs it."""
    if small:
        return _SMALL[0]
    needed = [
        width_of(letters[i]) * LETTER + (width_of(definitions[i]) * DEFINITION + 26 if definitions[i] else 0)
        for i in letters
    ]
    return min(_WIDEST, max(_CARD[0], *needed, 0.0))


def _grid(nodes: Sequence[Trace], width: float, small: bool) -> Grid:
    """For cards of a width; what is left out above or to the left leaves no room."""
    gap, apart, height = (_SMALL_GAP, _SMALL_APART, _SMALL[1]) if small else (_GAP, _APART, _CARD[1])
    along = width + gap
    return Grid(
        _MARGIN + width / 2 - along * min(node["layer"] for node in nodes),
        _MARGIN + height / 2 - apart * min(node["across"] for node in nodes),
        along,
        apart,
        (width, height),
        _SMALL_PILL if small else _PILL,
    )


def _card(
    node: Trace, moment: Moment, box: Box, letter: Sequence[Run], definition: Sequence[Run], small: bool
) -> Card:
    i = node["id"]
    digits, room = (3, _SMALL_ROOM) if small else (4, max(_ROOM, int(box.width / 2 / 8.5)))
    constant = node["kind"] == "constant"
    here = moment.event.get("node") == i and not moment.ended
    lit = ("value" if moment.event["t"] == "value" else "gradient") if here else None
    return Card(
        i,
        node["kind"],
        box,
        letter,
        definition,
        None if constant or i not in moment.valued else fitted(float(node["value"]), digits, room),
        None if constant or i not in moment.gradients else fitted(moment.gradients[i], digits, room),
        lit,
    )


def fitted(number: float, digits: int, room: int) -> str:
    """A number in as many digits as fit."""
    text = number_text(number, digits)
    while len(text) > room and digits > 1:
        digits -= 1
        text = number_text(number, digits)
    return text


def _road(trace: Trace, moment: Moment, k: int, curve: Curve, most: float) -> Road:
    edges = trace["edges"]
    if k >= len(edges):
        return Road(curve, active=False)
    added = moment.added[k]
    return Road(
        curve,
        active=True,
        valued=edges[k]["to"] in moment.valued,
        passed=k in moment.flowed,
        width=1.75 + 4.25 * math.sqrt(abs(added) / most if most and math.isfinite(added) else 0.0),
        negative=added < 0,
        lit=_lit(moment, edges[k]),
    )


def _lit(moment: Moment, edge: Trace) -> bool:
    event = moment.event
    return event.get("edge") == edge["id"] or (event["t"] == "tangent" and event["node"] == edge["to"])


def _cells(trace: Trace, moment: Moment, k: int, mode: Mode, small: bool) -> list[Cell]:
    """What the pill of an edge says: its local derivative, what has passed, or the product that was made last."""
    edge: dict[str, Any] = trace["edges"][k]
    if edge["to"] not in moment.valued:
        return []
    slope = number_text(float(edge["local"]), 2 if small else 3)
    local = _cell(f"×{slope}", "local", small)
    lit = _lit(moment, edge)
    if small or k not in moment.flowed:
        return [_cell(f"×{slope}", "result", small) if lit else local]
    product = number_text(moment.added[k], 3)
    if not lit:
        cells = [_cell(product, "gradient", small), local]
        return cells if mode == "reverse" else cells[::-1]
    upstream = _cell(
        number_text(moment.gradients[edge["from" if mode == "forward" else "to"]], 3), "gradient", small
    )
    if mode == "forward":
        return [upstream, _cell(f"× {slope} =", "local", small), _cell(product, "result", small)]
    return [_cell(product, "result", small), _cell(f"= {slope} ×", "local", small), upstream]


def _cell(text: str, hue: str, small: bool) -> Cell:
    """As wide as its text."""
    return Cell(text, hue, max(18.0, len(text) * (6.3 if small else 7.1) + (7 if small else 9)))
