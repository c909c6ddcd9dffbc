"""A figure as SVG that every program reads: shapes and texts with attributes, no styles, scripts or foreign elements.

Inkscape, LaTeX (through Inkscape or rsvg), Word and browsers show the same. Text stays text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.studio.exporting import figure as figures
from chainrule.studio.exporting.colours import Palette, Theme, palette
from chainrule.studio.exporting.figure import Card, Figure, Pill, Road, figure_of
from chainrule.studio.exporting.letters import Run, width_of
from chainrule.studio.exporting.moments import Mode, Trace
from chainrule.studio.exporting.places import Cubic
from chainrule.studio.exporting.shapes import SERIF, document, element, label, number, path, point, text_of

_ROUND, _ROUND_VARIABLE = 9.0, 17.0
_ARROW = 8.0
"""Length of an arrowhead, before which its lane ends."""
_LANE = 3.0


def svg(
    trace: Trace,
    step: int | None = None,
    mode: Mode = "reverse",
    theme: Theme = "light",
    constants: bool = True,
) -> str:
    """The figure of a formula's trace.

    Args:
        trace: of a formula, as `FormulaTrace.to_dict` gives it.
        step: the place of an event; None for after both passes.
        mode: ``"reverse"`` or ``"forward"``.
        theme: ``"light"`` or ``"dark"``.
        constants: whether they are drawn.
    """
    found = figure_of(trace, step, mode, constants)
    return _Writer(found, palette(theme)).document(title_of(trace), _described(trace, found))


def title_of(trace: Trace) -> str:
    """The formula as text, in one line."""
    lines = [line.strip() for line in trace["source"]["text"].splitlines() if line.strip()]
    return "; ".join(lines)


def _described(trace: Trace, found: Figure) -> str:
    """The picture in words, for who cannot see it."""
    name = trace["nodes"][found.result]["text"]
    word = "Tangent" if found.forward else f"Gradient of {name}"
    parts = [
        f"{trace['nodes'][card.id]['text']}, {card.kind}."
        + (f" Value {card.value}." if card.value else "")
        + (f" {word} with respect to it {card.gradient}." if card.gradient and not found.forward else "")
        + (f" {word} {card.gradient}." if card.gradient and found.forward else "")
        for card in found.cards
        if card.kind != "constant"
    ]
    return " ".join(["A computational graph: values flow to the right, gradients back to the left.", *parts])


class _Writer:
    def __init__(self, found: Figure, colours: Palette) -> None:
        self.figure, self.colours = found, colours

    def document(self, title: str, description: str) -> str:
        found = self.figure
        shapes = [
            *(self._road(road) for road in found.roads),
            *(self._card(card) for card in found.cards),
            *(self._pill(pill) for pill in found.pills),
        ]
        return document(found.width, found.height, title, description, self.colours["surface"], shapes)

    # Roads.

    def _road(self, road: Road) -> str:
        colours, curve = self.colours, road.curve
        if not road.active:
            dotted = {"stroke_dasharray": "1.5 4", "stroke_linecap": "round", "stroke_width": 1.25}
            return path(curve.lane(0.0), stroke=colours["edge"], **dotted)
        shapes = [
            path(curve.lane(0.0), stroke=colours["grad-tint" if road.lit else "track"], stroke_width=12)
        ]
        forward = curve.lane(-_LANE)
        if road.valued:
            shapes += self._lane(forward, colours["val-line"], 2.0)
        else:
            shapes.append(path(forward, stroke=colours["edge"], stroke_width=1.25, opacity=0.65))
        if road.passed:
            towards = curve.lane(_LANE, back=not self.figure.forward)
            shapes += self._lane(towards, colours["grad-line"], road.width, road.negative)
        return f"<g>{''.join(shapes)}</g>"

    def _lane(self, cubics: Sequence[Cubic], colour: str, width: float, dashed: bool = False) -> list[str]:
        """A lane with an arrowhead where it arrives, which is level."""
        *rest, (a, b, c, end) = cubics
        ahead = 1.0 if end[0] > a[0] else -1.0
        base = end[0] - ahead * _ARROW
        half = max(3.8, width / 2 + 2)
        line = path(
            [*rest, (a, b, (c[0], c[1]), (base + ahead, end[1]))],
            stroke=colour,
            stroke_width=round(width, 2),
            **({"stroke_dasharray": "7 3.5"} if dashed else {}),
        )
        tip = end[0] + ahead * 0.5
        head = f"M{point(base, end[1] - half)}L{point(tip, end[1])}L{point(base, end[1] + half)}Z"
        return [line, element("path", d=head, fill=colour)]

    # Cards.

    def _card(self, card: Card) -> str:
        return f"<g>{''.join(self._constant(card) if card.kind == 'constant' else self._shapes(card))}</g>"

    def _constant(self, card: Card) -> list[str]:
        return [
            self._rectangle(card, 7.0, stroke=self.colours["edge"], stroke_width=1, stroke_dasharray="3 3"),
            self._letters([(card.letter, 14.0, "ink-2")], card.box.x, card.box.y + 5),
        ]

    def _shapes(self, card: Card) -> list[str]:
        colours, box, small = self.colours, card.box, self.figure.small
        corner = _ROUND_VARIABLE if card.kind == "variable" else _ROUND
        line = {"variable": "val-line", "result": "ink"}.get(card.kind, "edge")
        shapes: list[str] = []
        if card.lit:
            halo = colours["val-line" if card.lit == "value" else "grad-line"]
            shapes.append(
                self._rectangle(card, corner + 3, 3.5, stroke=halo, stroke_width=5, stroke_opacity=0.45)
            )
        shapes.append(self._rectangle(card, corner, stroke="none"))
        top, bottom = box.y - box.height / 2, box.y + box.height / 2
        if small:
            edge = bottom - 34
            shapes += self._register(card, card.value, "val", (-1, 1), edge, bottom - 17, 0.0)
            shapes += self._register(card, card.gradient, "grad", (-1, 1), bottom - 17, bottom, corner)
            shapes.append(
                self._letters([(card.letter, figures.SMALL_LETTER, "ink")], box.x, (top + edge) / 2 + 5)
            )
        else:
            edge = bottom - 25
            shapes += self._register(card, card.value, "val", (-1, 0), edge, bottom, corner)
            shapes += self._register(card, card.gradient, "grad", (0, 1), edge, bottom, corner)
            pieces = [(card.letter, figures.LETTER, "ink")]
            if card.definition:
                pieces.append((card.definition, self._shrunk(card), "ink-3"))
            shapes.append(self._letters(pieces, box.x, (top + edge) / 2 + 6))
        shapes.append(
            self._rectangle(
                card, corner, fill="none", stroke=colours[line], stroke_width=2 if line == "ink" else 1
            )
        )
        return shapes

    def _shrunk(self, card: Card) -> float:
        """The size of a definition: smaller where the card is too narrow for it."""
        room = card.box.width - 26 - width_of(card.letter) * figures.LETTER
        return max(7.0, min(figures.DEFINITION, room / max(0.01, width_of(card.definition))))

    def _rectangle(self, card: Card, corner: float, grown: float = 0.0, **attributes: Any) -> str:
        box = card.box
        return element(
            "rect",
            x=box.x - box.width / 2 - grown,
            y=box.y - box.height / 2 - grown,
            width=box.width + 2 * grown,
            height=box.height + 2 * grown,
            rx=corner,
            **{"fill": self.colours["surface"] if not grown else "none", **attributes},
        )

    def _register(
        self,
        card: Card,
        text: str | None,
        hue: str,
        sides: tuple[int, int],
        top: float,
        bottom: float,
        corner: float,
    ) -> list[str]:
        """A register from side to side (-1 left, 0 middle, 1 right), with round corners where the card has them."""
        half = card.box.width / 2
        left, right = (card.box.x + side * half for side in sides)
        a, b = (corner if sides[0] < 0 else 0.0), (corner if sides[1] > 0 else 0.0)
        outline = (
            f"M{point(left, top)}H{number(right)}V{number(bottom - b)}"
            + (f"A{number(b)} {number(b)} 0 0 1 {point(right - b, bottom)}" if b else "")
            + f"H{number(left + a)}"
            + (f"A{number(a)} {number(a)} 0 0 1 {point(left, bottom - a)}" if a else "")
            + "Z"
        )
        size = figures.SMALL_REGISTER if self.figure.small else figures.REGISTER
        inset = (a - b) * 0.1
        colour = self.colours[hue if text else "ink-3"]
        return [
            element("path", d=outline, fill=self.colours[f"{hue}-tint" if text else "sunken"]),
            label(text or "·", (left + right) / 2 + inset, (top + bottom) / 2 + size * 0.36, size, colour),
        ]

    def _letters(self, pieces: Sequence[tuple[Sequence[Run], float, str]], x: float, y: float) -> str:
        """Formulas in a row around ``x``: (runs, size, colour) each."""
        spans: list[str] = []
        low = 0.0  # how far below its line the last run stood
        for k, (runs, size, colour) in enumerate(pieces):
            for j, run in enumerate(runs):
                drop = -run.rise * size
                aside = 10.0 if k and not j else -run.back * size
                spans.append(
                    element(
                        "tspan",
                        text_of(run.text),
                        dx=aside or None,
                        dy=(drop - low) or None,
                        font_size=size * run.scale,
                        font_style="italic" if run.slanted else None,
                        fill=self.colours[colour],
                    )
                )
                low = drop
        return element("text", "".join(spans), x=x, y=y, text_anchor="middle", font_family=SERIF)

    # Pills.

    def _pill(self, pill: Pill) -> str:
        colours, (x, y), height = self.colours, pill.at, pill.height
        x = min(max(x, pill.width / 2 + 3), self.figure.width - pill.width / 2 - 3)
        left, radius = x - pill.width / 2, height / 2
        size = figures.SMALL_PILL if self.figure.small else figures.PILL
        outline = {"x": left, "y": y - radius, "width": pill.width, "height": height, "rx": radius}
        shapes = [element("rect", fill=colours["surface"], **outline)]
        fills = {"local": "surface", "gradient": "grad-tint", "result": "grad-fill"}
        inks = {"local": "ink", "gradient": "grad", "result": "on-grad"}
        for k, cell in enumerate(pill.cells):
            first, last = k == 0, k == len(pill.cells) - 1
            if cell.hue != "local":
                shape = _cell_outline(left, y, cell.width, radius, first, last)
                shapes.append(element("path", d=shape, fill=colours[fills[cell.hue]]))
            middle = left + cell.width / 2
            shapes.append(label(cell.text, middle, y + size * 0.36, size, colours[inks[cell.hue]]))
            left += cell.width
        shapes.append(element("rect", **outline, fill="none", stroke=colours["edge"], stroke_width=1))
        return f"<g>{''.join(shapes)}</g>"


def _cell_outline(left: float, y: float, width: float, radius: float, first: bool, last: bool) -> str:
    a, b = (radius if first else 0.0), (radius if last else 0.0)
    arc = f"A{number(radius)} {number(radius)} 0 0 1 "
    return (
        f"M{point(left + a, y - radius)}H{number(left + width - b)}"
        + (f"{arc}{point(left + width - b, y + radius)}" if last else f"V{number(y + radius)}")
        + f"H{number(left + a)}"
        + (f"{arc}{point(left + a, y - radius)}" if first else "")
        + "Z"
    )
