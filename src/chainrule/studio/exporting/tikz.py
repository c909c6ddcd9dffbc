"""A figure as TikZ: a document of its own for pdfLaTeX, which a paper can also take in with ``\\\\input``.

Letters are the LaTeX of the formula itself; places, lanes and numbers are those of the SVG.
"""

from __future__ import annotations

from chainrule.studio.drawing.mathtree import plain
from chainrule.studio.exporting.figure import Card, Figure, Pill, Road, figure_of
from chainrule.studio.exporting.latex import CM, SCALE, at, corners, curve, latex_document, number_of
from chainrule.studio.exporting.moments import Mode
from chainrule.studio.exporting.svg import title_of
from chainrule.studio.formulas import FormulaTrace

_LANE, _CORNER, _CORNER_VARIABLE = 3.0, 9.0, 17.0
_SAID = "values are blue, gradients orange, local derivatives black"
_STYLES = (
    r"card/.style={draw=#1, fill=cr-surface}",
    r"road/.style={cr-track, line width=5.4pt}",
    r"value/.style={cr-val-line, line width=0.9pt, ->}",
    r"gradient/.style={cr-grad-line, line width=#1pt, ->}",
    r"waiting/.style={cr-edge, line width=0.5pt, opacity=0.65}",
    r"constant/.style={cr-edge, line width=0.5pt, dash pattern=on 0.8pt off 2pt}",
    r"negative/.style={dash pattern=on 3.2pt off 1.6pt}",
    r"letter/.style={text=cr-ink, font=\Large}",
    r"register/.style={text=#1, font=\normalsize}",
    r"pill/.style={text=#1, font=\footnotesize}",
)


def tikz(found: FormulaTrace, step: int | None = None, mode: Mode = "reverse", constants: bool = True) -> str:
    """The figure of a formula's trace as a LaTeX document.

    Args:
        found: the trace.
        step: the place of an event; None for after both passes.
        mode: ``"reverse"`` or ``"forward"``.
        constants: whether they are drawn.
    """
    trace = found.to_dict()
    figure = figure_of(trace, step, mode, constants)
    lines = [
        *(line for road in figure.roads for line in _road(road, figure.forward)),
        *(line for card in figure.cards for line in _card(card, figure, found)),
        *(line for pill in figure.pills for line in _pill(pill)),
    ]
    return latex_document(title_of(trace), _SAID, _STYLES, lines)


def _road(road: Road, forward: bool) -> list[str]:
    if not road.active:
        return [rf"\draw[constant] {curve(road.curve.lane(0.0))};"]
    lines = [rf"\draw[road] {curve(road.curve.lane(0.0))};"]
    lines.append(rf"\draw[{'value' if road.valued else 'waiting'}] {curve(road.curve.lane(-_LANE))};")
    if road.passed:
        towards = road.curve.lane(_LANE, back=not forward)
        style = f"gradient={road.width * 0.45:.2f}{', negative' if road.negative else ''}"
        lines.append(rf"\draw[{style}] {curve(towards)};")
    return lines


def _card(card: Card, figure: Figure, found: FormulaTrace) -> list[str]:
    box, letter = card.box, plain(found.letters[card.id])
    frame = corners((box.x, box.y), box.width, box.height)
    if card.kind == "constant":
        return [
            rf"\draw[card=cr-edge, dash pattern=on 1.5pt off 1.5pt, rounded corners=2.4pt] {frame};",
            rf"\node[text=cr-ink-2] at {at(box.x, box.y)} {{${letter}$}};",
        ]
    corner = f"rounded corners={(_CORNER_VARIABLE if card.kind == 'variable' else _CORNER) * 0.45:.1f}pt"
    line = {"variable": "cr-val-line", "result": "cr-ink, line width=1pt"}.get(card.kind, "cr-edge")
    bottom = box.y + box.height / 2
    if figure.small:
        half = (box.width, 17.0)
        places = ((box.x, bottom - 25.5), (box.x, bottom - 8.5))
        middle = (box.y - box.height / 2 + bottom - 34) / 2
    else:
        half = (box.width / 2, 25.0)
        places = ((box.x - box.width / 4, bottom - 12.5), (box.x + box.width / 4, bottom - 12.5))
        middle = (box.y - box.height / 2 + bottom - 25) / 2
    lines = [rf"\fill[cr-surface, {corner}] {frame};", rf"\begin{{scope}}\clip[{corner}] {frame};"]
    texts: list[str] = []
    for place, text, hue in zip(places, (card.value, card.gradient), ("val", "grad"), strict=True):
        tint = f"cr-{hue}-tint" if text else "cr-sunken"
        lines.append(rf"\fill[{tint}] {corners(place, *half)};")
        shown = number_of(text) if text else r"\cdot"
        texts.append(rf"\node[register=cr-{hue if text else 'ink-3'}] at {at(*place)} {{${shown}$}};")
    definition = ""
    if card.definition:
        definition = rf"\enspace{{\small\color{{cr-ink-3}}${plain(found.definition(card.id))}$}}"
    name, *options = line.split(", ")
    return [
        *lines,
        r"\end{scope}",
        *texts,
        rf"\node[letter] at {at(box.x, middle)} {{${letter}${definition}}};",
        rf"\draw[{', '.join([f'draw={name}', *options, corner])}] {frame};",
    ]


def _pill(pill: Pill) -> list[str]:
    x, y = pill.at
    frame = corners(pill.at, pill.width, pill.height)
    corner = f"rounded corners={pill.height * CM * 28.45 * SCALE / 2:.1f}pt"
    lines = [rf"\fill[cr-surface, {corner}] {frame};", rf"\begin{{scope}}\clip[{corner}] {frame};"]
    texts: list[str] = []
    left = x - pill.width / 2
    for cell in pill.cells:
        middle = (left + cell.width / 2, y)
        if cell.hue != "local":
            tint = "cr-grad-tint" if cell.hue == "gradient" else "cr-grad-fill"
            lines.append(rf"\fill[{tint}] {corners(middle, cell.width, pill.height)};")
        ink = {"local": "cr-ink", "gradient": "cr-grad", "result": "cr-on-grad"}[cell.hue]
        texts.append(rf"\node[pill={ink}] at {at(*middle)} {{${number_of(cell.text)}$}};")
        left += cell.width
    return [*lines, r"\end{scope}", *texts, rf"\draw[cr-edge, {corner}] {frame};"]
