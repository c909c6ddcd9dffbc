"""A cost ledger as a picture: bars for the ways to the derivative and for the costliest steps, and the trade-off."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from chainrule.errors import ArgumentError
from chainrule.explain.costs.text import headline, short, size_text, verdict
from chainrule.explain.costs.where import Piece, by_line, by_step, count_lines, way_shown
from chainrule.explain.svg import document, element, label, point, text_of

if TYPE_CHECKING:
    from chainrule.explain.costs.ledger import CostLedger, Way

TOP = 12
"""Steps that have a bar."""
_WIDTH, _LEFT, _RIGHT = 760.0, 208.0, 546.0
"""Of the picture, and of its bars; numbers stand behind these."""
_WAY, _STEP, _THICK, _THIN = 44.0, 28.0, 13.0, 5.0
_FACTOR = 50
"""From such a ratio on bars have a logarithmic scale: on another the short ones could not be seen."""
_LONGEST_NAME, _LONGEST_CODE, _LONGEST_LINE = 28, 32, 112
_CURVE = 130.0
_LETTER = 5.6
"""Width of a letter of the legend, about."""
_INK = {
    "surface": ("#ffffff", "#171b20"),
    "ink": ("#1a1c1f", "#eef0f2"),
    "ink-2": ("#4d5156", "#b8c0c8"),
    "line": ("#dfdcd3", "#2d353e"),
    "function": ("#2a7fcb", "#3f97e2"),
    "derivative": ("#d4630f", "#f0883e"),
    "bytes": ("#8b897f", "#6f7b88"),
}
"""For paper and for a dark screen: blue is a value, orange a gradient, as everywhere."""

Palette = Mapping[str, str]


def draw(ledger: CostLedger, theme: Literal["light", "dark", "both"] = "light", top: int = TOP) -> str:
    """The picture as SVG.

    Args:
        ledger: what is drawn.
        theme: ``"both"`` follows the page in which it stands.
        top: so many steps, the costliest.

    Raises:
        ArgumentError: another theme.
    """
    if theme not in ("light", "dark", "both"):
        raise ArgumentError(f"there is no theme {theme!r}", fix="themes are 'light' and 'dark'")
    pairs = _INK.items()
    if theme == "both":
        colours = {name: f"light-dark({light}, {dark})" for name, (light, dark) in pairs}
    else:
        colours = {name: light if theme == "light" else dark for name, (light, dark) in pairs}
    title = headline(ledger)
    y = 28.0
    shapes = [label(_cut(title, 84), 20.0, y, 15.0, colours["ink"], "start")]
    for line in _wrapped(f"{verdict(ledger)}"):
        y += 18
        shapes.append(label(line, 20.0, y, 12.0, colours["ink-2"], "start", 400))
    y, ways = _ways(ledger, y + 34, colours)
    y, steps = _steps(ledger, y + 20, top, colours)
    y, curve = _curve(ledger, y + 20, colours) if len(ledger.tradeoff) > 1 else (y, [])
    return document(
        _WIDTH, y + 8, title, _described(ledger, top), colours["surface"], [*shapes, *ways, *steps, *curve]
    )


def _described(ledger: CostLedger, top: int) -> str:
    """The picture in words."""
    said = [verdict(ledger)]
    for way in ledger.ways:
        said.append(f"{_capital(way.title)}: {short(way.cost.flops)} FLOPs, {_moved(way)}.")
    for piece in _pieces(ledger, top)[1]:
        said.append(f"{piece.what}: {short(piece.flops)} FLOPs, {size_text(piece.bytes)}.")
    return " ".join(said)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _moved(way: Way) -> str:
    parts = [f"{size_text(way.cost.bytes)} moved"] if way.cost.bytes and way.key != "chain" else []
    if way.peak_bytes is not None:
        parts.append(f"{size_text(way.peak_bytes)} at once")
    return ", ".join(parts) or "bytes not counted"


def _ways(ledger: CostLedger, y: float, colours: Palette) -> tuple[float, list[str]]:
    flops = _Scale([way.cost.flops for way in ledger.ways])
    moved = _Scale([way.cost.bytes for way in ledger.ways])
    shapes = [
        *_heading(
            f"{_capital(ledger.derivative)}, each way{flops.remark}",
            y,
            colours,
            (("function", "function"), ("derivative", "with derivative"), ("bytes", "bytes moved")),
        )
    ]
    y += 14
    for way in ledger.ways:
        hue = "function" if way is ledger.function else "derivative"
        name = f"✓ {way.title}" if way is ledger.cheapest else way.title
        shapes.append(label(_cut(name, _LONGEST_NAME), _LEFT - 12, y + 12, 12.5, colours["ink"], "end"))
        if way.sweeps is not None:
            sweeps = f"{short(way.sweeps)} sweep{'s' * (way.sweeps != 1)}"
            shapes.append(label(sweeps, _LEFT - 12, y + 27, 11.0, colours["ink-2"], "end", 400))
        shapes.append(_bar(_LEFT, y, flops(way.cost.flops), _THICK, colours[hue]))
        shapes.append(
            label(f"{short(way.cost.flops)} FLOPs", _RIGHT + 12, y + 11, 12.0, colours["ink"], "start")
        )
        if way.key != "chain":
            shapes.append(_bar(_LEFT, y + _THICK + 3, moved(way.cost.bytes), _THIN, colours["bytes"]))
        shapes.append(label(_moved(way), _RIGHT + 12, y + 26, 11.0, colours["ink-2"], "start", 400))
        y += _WAY
    return y, shapes


def _pieces(ledger: CostLedger, top: int) -> tuple[str, list[Piece]]:
    """Lines where there are many steps on several, else steps; and what they are, in words."""
    pieces, there, noun = by_line(ledger, top), count_lines(ledger), "line"
    if not pieces:
        pieces, there, noun = by_step(ledger, top), len(ledger.nodes), "step"
    return (
        f"the {len(pieces)} costliest of {there} {noun}s" if len(pieces) < there else f"all {noun}s"
    ), pieces


def _steps(ledger: CostLedger, y: float, top: int, colours: Palette) -> tuple[float, list[str]]:
    which, pieces = _pieces(ledger, top)
    if not pieces:
        return y, []
    legend = (("function", "function"), ("derivative", way_shown(ledger).title), ("bytes", "bytes moved"))
    shapes = [*_heading(f"Where the work is: {which}", y, colours, legend)]
    y += 14
    flops, moved = max(p.flops for p in pieces) or 1, max(p.bytes for p in pieces) or 1
    room = _RIGHT - _LEFT
    for piece in pieces:
        name = _cut(piece.what, _LONGEST_NAME if piece.shape else _LONGEST_CODE)
        size = 12.0 if piece.shape else 11.0
        shapes.append(
            label(name, _LEFT - 12, y + 11, size, colours["ink"], "end", 600 if piece.shape else 400)
        )
        width = room * (piece.function.flops / flops)
        shapes.append(_bar(_LEFT, y, width, _THICK, colours["function"]))
        rest = room * (piece.derivative.flops / flops)
        shapes.append(_bar(_LEFT + width, y, rest, _THICK, colours["derivative"]))
        shapes.append(_bar(_LEFT, y + _THICK + 2, room * (piece.bytes / moved), _THIN, colours["bytes"]))
        told = f"{short(piece.flops)} FLOPs, {size_text(piece.bytes)}"
        shapes.append(label(told, _RIGHT + 12, y + 11, 11.0, colours["ink"], "start", 400))
        shapes.append(_where(piece, y))
        y += _STEP
    return y, shapes


def _where(piece: Piece, y: float) -> str:
    """The user's line, as a tip over the whole row."""
    if piece.source is None:
        return ""
    tip = element("title", text_of(str(piece.source)))
    return element(
        "rect", tip, x=20.0, y=y - 3, width=_WIDTH - 40, height=_STEP, fill="none", pointer_events="all"
    )


def _heading(text: str, y: float, colours: Palette, legend: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield element(
        "path", d=f"M{point(20, y - 16)}H{_WIDTH - 20:.0f}", stroke=colours["line"], stroke_width=1.0
    )
    yield label(text, 20.0, y, 12.5, colours["ink"], "start")
    x = _WIDTH - 20
    for hue, name in reversed(legend):
        x -= _LETTER * len(name)
        yield label(name, x, y, 11.0, colours["ink-2"], "start", 400)
        x -= 14
        yield element("rect", x=x, y=y - 8, width=9.0, height=9.0, rx=2.0, fill=colours[hue])
        x -= 12


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    if width <= 0:
        return ""
    return element("rect", x=x, y=y, width=max(1.0, width), height=height, fill=colour)


class _Scale:
    """Lengths of bars: in proportion, or logarithmic where the numbers are too far apart for that."""

    def __init__(self, numbers: Sequence[int]) -> None:
        known = [n for n in numbers if n > 0]
        self.most, self.least = max(known, default=1), min(known, default=1)
        self.logarithmic = self.most > _FACTOR * self.least

    @property
    def remark(self) -> str:
        return " (bars on a logarithmic scale)" if self.logarithmic else ""

    def __call__(self, number: int) -> float:
        room = _RIGHT - _LEFT
        if number <= 0:
            return 0.0
        if not self.logarithmic:
            return room * (number / self.most)
        low = math.floor(math.log10(self.least)) - 0.5
        return room * (math.log10(number) - low) / (math.log10(self.most) - low)


def _curve(ledger: CostLedger, y: float, colours: Palette) -> tuple[float, list[str]]:
    points = sorted(ledger.tradeoff, key=lambda p: p.peak_bytes)
    shapes = [*_heading("Memory against work: FLOPs again, over bytes at once", y, colours, ())]
    top, bottom = y + 18, y + 18 + _CURVE
    sizes = [math.log10(max(1, p.peak_bytes)) for p in points]
    low, wide = sizes[0], (sizes[-1] - sizes[0]) or 1.0
    most = max(p.recomputed_flops for p in points) or 1
    places = [
        (_LEFT + (_RIGHT - _LEFT) * (x - low) / wide, bottom - (bottom - top) * p.recomputed_flops / most)
        for x, p in zip(sizes, points, strict=True)
    ]
    line = "M" + "L".join(point(*place) for place in places)
    axes = f"M{point(_LEFT, top)}V{bottom:.0f}H{_RIGHT:.0f}"
    shapes.append(element("path", d=axes, stroke=colours["line"], fill="none", stroke_width=1.0))
    shapes.append(element("path", d=line, stroke=colours["derivative"], fill="none", stroke_width=2.0))
    for (x, h), p in zip(places, points, strict=True):
        said = f"{size_text(p.peak_bytes)}: {short(p.recomputed_flops)} FLOPs again"
        shapes.append(
            element("circle", element("title", said), cx=x, cy=h, r=3.5, fill=colours["derivative"])
        )
    shapes.append(label(f"{short(most)} FLOPs", _LEFT - 8, top + 5, 11.0, colours["ink-2"], "end", 400))
    shapes.append(label("0", _LEFT - 8, bottom + 4, 11.0, colours["ink-2"], "end", 400))
    for x, anchor, p in ((_LEFT, "start", points[0]), (_RIGHT, "end", points[-1])):
        shapes.append(label(size_text(p.peak_bytes), x, bottom + 17, 11.0, colours["ink-2"], anchor, 400))
    return bottom + 24, shapes


def _wrapped(text: str) -> Iterator[str]:
    """Lines that fit."""
    line = ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= _LONGEST_LINE:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
