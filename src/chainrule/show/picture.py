"""The graph as cards in the terminal: value and gradient on each node, local derivatives on the edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.text import Text

from chainrule.explain import Explanation
from chainrule.explain.numbers import FEW, Value, as_factor, root_mean_square, shape_text, value_text
from chainrule.explain.sweep import Edge, ExplainedNode
from chainrule.show import style
from chainrule.show.layout import CARD_HEIGHT, Layout, Link, Segment, place

MOST_CARDS = 24
_LONGEST_TITLE = 26
_LONGEST_ARRAY = 24
_FEWER_DIGITS = 3
"""Where the picture is too wide otherwise."""
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_LINES = {
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _UP | _LEFT: "╯",
    _UP | _RIGHT: "╰",
    _DOWN | _LEFT: "╮",
    _DOWN | _RIGHT: "╭",
}


@dataclass(frozen=True)
class Card:
    """What stands on a card: its title, its two registers, and how it is framed."""

    title: str
    value: str
    gradient: str
    frame: str
    """Corners and sides: ``╭╮╰╯─│``."""

    @property
    def width(self) -> int:
        registers = len(self.value) + len(self.gradient) + 10
        return max(len(self.title) + 6, registers)


def draw(explanation: Explanation, width: int, *, leading_to: int | None = None) -> list[Text] | None:
    """The picture, line by line; None if it does not fit into ``width`` columns.

    Args:
        leading_to: draw only the nodes on a path from the result to this one.
    """
    nodes = [node for node in explanation.nodes if node.gradient is not None]
    if leading_to is not None:
        behind = {leading_to}
        for node in nodes:
            if any(edge.input in behind for edge in node.edges):
                behind.add(node.index)
        nodes = [node for node in nodes if node.index in behind]
    if len(nodes) > MOST_CARDS:
        return None
    number = {node.index: i for i, node in enumerate(nodes)}
    for digits, arrays in ((explanation.digits, True), (explanation.digits, False), (_FEWER_DIGITS, False)):
        write = _Writer(explanation, digits, arrays)
        cards = [_card(explanation, node, write) for node in nodes]
        links = [
            Link(number[edge.node], number[edge.input], write.local(edge), write.contribution(edge))
            for node in nodes
            for edge in node.edges
            if edge.input in number
        ]
        layout = place([card.width for card in cards], links, width)
        if layout is not None:
            return _Grid(layout, cards).lines()
    return None


@dataclass(frozen=True)
class _Writer:
    """How numbers are written throughout a picture: boxes and edges agree, so that they can be checked.

    Attributes:
        digits: significant ones.
        arrays: whether small arrays are written out.
    """

    explanation: Explanation
    digits: int
    arrays: bool

    def number(self, number: float) -> str:
        return self.explanation.number(number, self.digits)

    def value(self, node: ExplainedNode) -> str:
        if isinstance(node.value, float):
            return self.number(node.value)
        return self._small(node.value) or shape_text(node.shape)

    def _small(self, value: Value) -> str:
        """A small array; "" if it is too large."""
        array = np.asarray(value)
        text = value_text(array, self.digits) if self.arrays and 0 < array.size <= FEW else ""
        return text if len(text) <= _LONGEST_ARRAY else ""

    def gradient(self, node: ExplainedNode, uses: list[Edge]) -> str:
        """``7 + 2 = 9``: the contributions that meet, and their sum."""
        assert node.gradient is not None
        if not isinstance(node.gradient, float):
            return self._small(node.gradient) or f"rms {self.number(root_mean_square(node.gradient))}"
        total = self.number(node.gradient)
        if not 2 <= len(uses) <= 3:
            return total
        parts = [edge.contribution for edge in uses if isinstance(edge.contribution, float)]
        written = [self.number(parts[0]), *(as_factor(self.number(part)) for part in parts[1:])]
        return f"{' + '.join(written)} = {total}"

    def local(self, edge: Edge) -> str:
        return f"×{self.number(edge.local)}" if isinstance(edge.local, float) else ""

    def contribution(self, edge: Edge) -> str:
        return self.number(edge.contribution) if isinstance(edge.contribution, float) else ""


def _card(explanation: Explanation, node: ExplainedNode, write: _Writer) -> Card:
    uses = explanation.uses(node.index)
    title = node.name
    expression = explanation.expression(node.index)
    if expression:
        title = f"{title} = {expression}"
    title = _short(title, _LONGEST_TITLE)
    if len(uses) > 1:
        title += f" · used {'twice' if len(uses) == 2 else f'{len(uses)} times'}"
    frame = "╭╮╰╯─│"
    if node.kind == "result":
        frame = "╔╗╚╝═║"
    elif explanation.wrt == (node.name,):
        frame = "┏┓┗┛━┃"
    return Card(title, write.value(node), write.gradient(node, uses), frame)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


class _Grid:
    """Characters and their styles, row by row."""

    def __init__(self, layout: Layout, cards: list[Card]) -> None:
        self.layout, self.cards = layout, cards
        self.rows: list[list[tuple[str, str]]] = []
        for layer, boxes in enumerate(layout.layers):
            self._blank(CARD_HEIGHT)
            top = len(self.rows) - CARD_HEIGHT
            for box in boxes:
                if box.card is None:
                    self._vertical(box.x, top, top + CARD_HEIGHT - 1)
                else:
                    self._card(self.cards[box.card], box.x, box.width, top)
            if layer + 1 < len(layout.layers):
                self._channel(layer)

    def lines(self) -> list[Text]:
        return [self._line(row) for row in self.rows]

    @staticmethod
    def _line(row: list[tuple[str, str]]) -> Text:
        line = Text(no_wrap=True)
        for char, look in row:
            line.append(char, look or None)
        line.rstrip()
        return line

    def _blank(self, rows: int) -> None:
        self.rows += [[(" ", "")] * self.layout.width for _ in range(rows)]

    def _put(self, row: int, column: int, text: str, look: str) -> None:
        for i, char in enumerate(text):
            self.rows[row][column + i] = (char, look)

    def _card(self, card: Card, x: int, width: int, top: int) -> None:
        nw, ne, sw, se, across, side = card.frame
        look = "" if card.frame != "╭╮╰╯─│" else style.EDGE
        self._put(top, x, f"{nw}{across * (width - 2)}{ne}", look)
        self._put(top, x + 2, f" {card.title} ", "bold")
        self._put(top + 1, x, side, look)
        self._put(top + 1, x + width - 1, side, look)
        self._put(top + 2, x, f"{sw}{across * (width - 2)}{se}", look)
        value, gradient = f"{style.UP} {card.value}", f"{style.DOWN} {card.gradient}"
        inner = width - 4
        between = (inner - len(value) - len(gradient)) // 3
        self._put(top + 1, x + 2 + between, value, style.VALUE)
        self._put(top + 1, x + width - 2 - between - len(gradient), gradient, style.GRADIENT)

    def _channel(self, layer: int) -> None:
        tracks = self.layout.tracks(layer)
        self._blank(tracks + 2)
        top = len(self.rows) - tracks - 2
        segments = self.layout.segments(layer)
        bits: dict[tuple[int, int], int] = {}
        for segment in segments:
            self._trace(segment, top, top + tracks + 1, bits)
        for (row, column), bit in bits.items():
            self._put(row, column, _LINES.get(bit, "┼"), style.EDGE)
        for segment in segments:
            self._label(segment, top, top + tracks + 1)

    @staticmethod
    def _trace(segment: Segment, top: int, bottom: int, bits: dict[tuple[int, int], int]) -> None:
        def mark(row: int, column: int, bit: int) -> None:
            bits[row, column] = bits.get((row, column), 0) | bit

        turn = bottom if segment.is_straight else top + 1 + segment.track
        for row in range(top, turn):
            mark(row, segment.leaves, _UP | _DOWN)
        if segment.is_straight:
            mark(bottom, segment.leaves, _UP | _DOWN)
            return
        low, high = sorted((segment.leaves, segment.arrives))
        for column in range(low + 1, high):
            mark(turn, column, _LEFT | _RIGHT)
        right = segment.arrives > segment.leaves
        mark(turn, segment.leaves, _UP | (_RIGHT if right else _LEFT))
        mark(turn, segment.arrives, _DOWN | (_LEFT if right else _RIGHT))
        for row in range(turn + 1, bottom + 1):
            mark(row, segment.arrives, _UP | _DOWN)

    def _label(self, segment: Segment, top: int, bottom: int) -> None:
        if segment.upper.card is not None:
            self._put(top, segment.leaves - len(segment.top), segment.top, style.LOCAL)
            self._put(top, segment.leaves, style.UP, style.VALUE)
        if segment.lower.card is not None:
            self._put(bottom, segment.arrives - len(segment.bottom), segment.bottom, style.GRADIENT)
            self._put(bottom, segment.arrives, style.DOWN, style.GRADIENT)

    def _vertical(self, column: int, top: int, bottom: int) -> None:
        for row in range(top, bottom + 1):
            self._put(row, column, "│", style.EDGE)
