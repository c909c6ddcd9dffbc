"""A network's figure as TikZ; places, lanes and numbers are those of the SVG."""

from __future__ import annotations

from chainrule.studio.exporting.latex import CM, SCALE, at, corners, curve, latex_document, number_of
from chainrule.studio.exporting.network_figure import STEPS, NetworkFigure, Patch, Road, Unit
from chainrule.studio.exporting.places import Box

_SAID = "weights and values are blue, gradients orange, negative ones dashed"
_STYLES = (
    r"weight/.style={cr-val-line, line width=#1pt}",
    r"gradient/.style={cr-grad-line, line width=#1pt}",
    r"negative/.style={dash pattern=on 3.2pt off 1.6pt}",
    r"layer/.style={text=cr-ink-2, font=\small}",
    r"register/.style={text=#1, font=\scriptsize}",
    r"flag/.style={text=cr-find, font=\tiny}",
)
_POINT = CM * 28.45 * SCALE
"""A pixel in points as the document has them."""
_ROUND = 8.0


def network_tikz(figure: NetworkFigure, title: str) -> str:
    """The figure of a network as a LaTeX document.

    Args:
        figure: of a frame.
        title: of the picture.
    """
    lines = [
        *(rf"\node[layer] at {at(x, 11)} {{{text}}};" for x, text in figure.heads),
        *(line for road in figure.roads for line in _road(road, figure)),
        *(line for unit in figure.units for line in _unit(unit, figure)),
    ]
    return latex_document(title, _SAID, _STYLES, lines)


def _road(road: Road, figure: NetworkFigure) -> list[str]:
    lines = [f"% {road.said}"] if road.lanes else []
    for lane in road.lanes:
        style = "weight" if lane.hue == "val-line" else "gradient"
        dashes = ", negative" if lane.negative else ""
        width = f"{lane.width * _POINT:.2f}"
        lines.append(rf"\draw[{style}={width}{dashes}, opacity={figure.pale:g}] {curve([lane.cubic])};")
    return lines


def _unit(unit: Unit, figure: NetworkFigure) -> list[str]:
    box = unit.box
    top = box.y - box.height / 2
    corner = f"rounded corners={_ROUND * _POINT:.1f}pt"
    frame = corners((box.x, box.y), box.width, box.height)
    lines = [
        f"% {unit.said}",
        rf"\fill[cr-surface, {corner}] {frame};",
        rf"\begin{{scope}}\clip[{corner}] {frame};",
    ]
    lines += _picture(unit, top, figure.picture)
    texts: list[str] = []
    below = top + figure.picture
    for text, hue in ((unit.value, "val"), (unit.delta, "grad")):
        if text is None:
            continue
        middle = box.x, below + figure.line / 2
        lines.append(rf"\fill[cr-{hue}-tint] {corners(middle, box.width, figure.line)};")
        texts.append(rf"\node[register=cr-{hue}] at {at(*middle)} {{{_latex(text)}}};")
        below += figure.line
    if unit.state:
        texts.append(rf"\node[flag] at {at(box.x + box.width / 2 - 8, top + 8)} {{$\blacktriangle$}};")
    return [*lines, r"\end{scope}", *texts, rf"\draw[cr-edge, line width=0.6pt, {corner}] {frame};"]


def _latex(text: str) -> str:
    """A number, with the letter before it or the word behind it."""
    sign, _, rest = text.rpartition("\u2009")
    if sign:
        return rf"$\delta\,{{{number_of(rest)}}}$"  # in braces a minus stands close to its number
    count, _, word = text.partition(" ")
    return rf"{count} {word}" if word else f"${number_of(text)}$"


def _picture(unit: Unit, top: float, high: float) -> list[str]:
    """A command for each shade."""
    shades: dict[int, list[Patch]] = {}
    for patch in unit.picture:
        shades.setdefault(patch.shade, []).append(patch)
    hue = f"cr-{unit.hue}"
    return [
        rf"\fill[{hue if shade > 0 else 'cr-edge'}!{100 * abs(shade) / STEPS:g}!cr-surface] "
        + " ".join(_rectangle(patch, unit.box, top, high) for patch in some)
        + ";"
        for shade, some in sorted(shades.items())
    ]


def _rectangle(patch: Patch, box: Box, top: float, high: float) -> str:
    left = box.x - box.width / 2 + patch.left * box.width
    above = top + patch.top * high
    wide, deep = patch.width * box.width, patch.height * high
    return corners((left + wide / 2, above + deep / 2), wide, deep)
