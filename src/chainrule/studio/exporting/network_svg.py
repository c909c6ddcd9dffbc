"""A network's figure as SVG that every program reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.studio.exporting.colours import Palette, Theme, palette
from chainrule.studio.exporting.network_figure import MANY, STEPS, Lane, NetworkFigure, Patch, Road, Unit
from chainrule.studio.exporting.shapes import document, element, label, mark_of, number, path, point, text_of

_ROUND = {"card": 8.0, "small": 8.0, "tiny": 6.0}
_LETTERS = {"card": 11.5, "small": 10.5, "tiny": 10.5}
"""Sizes of the numbers of a unit."""
_HEAD = 12.0
_DASHES = "7 3.5"
_FLAG = 10.5


def network_svg(figure: NetworkFigure, title: str, theme: Theme = "light") -> str:
    """The figure of a network.

    Args:
        figure: of a frame.
        title: of the picture.
        theme: ``"light"`` or ``"dark"``.
    """
    colours, said = palette(theme), described(figure)
    mark = mark_of(figure.width, figure.height, said)
    shapes = [
        *(label(text, x, 15.0, _HEAD, colours["ink-2"], weight=400) for x, text in figure.heads),
        *(_road(road, figure, colours) for road in figure.roads),
        *(_unit(unit, figure, colours, mark) for unit in figure.units),
    ]
    return document(figure.width, figure.height, title, said, colours["surface"], shapes)


def described(figure: NetworkFigure) -> str:
    """The picture in words, for who cannot see it."""
    said = "A neural network, layers from left to right; blue lanes are weights, orange ones their gradients."
    return " ".join([said, *(f"{unit.said[0].upper()}{unit.said[1:]}." for unit in figure.units)])


def _road(road: Road, figure: NetworkFigure, colours: Palette) -> str:
    lanes = "".join(_lane(lane, colours) for lane in road.lanes)
    # Of very many, nobody points at one.
    title = element("title", text_of(road.said)) if len(figure.roads) <= MANY else ""
    return element("g", f"{title}{lanes}", opacity=figure.pale) if lanes else ""


def _lane(lane: Lane, colours: Palette) -> str:
    dashed = {"stroke_dasharray": _DASHES} if lane.negative else {}
    return path([lane.cubic], stroke=colours[lane.hue], stroke_width=lane.width, **dashed)


def _unit(unit: Unit, figure: NetworkFigure, colours: Palette, mark: str) -> str:
    box, corner = unit.box, _ROUND[figure.level]
    left, top = box.x - box.width / 2, box.y - box.height / 2
    frame = {"x": left, "y": top, "width": box.width, "height": box.height, "rx": corner}
    clip = f"u{unit.layer}-{unit.unit}{mark}"
    shapes = [
        element("clipPath", element("rect", **frame), id=clip),
        element("rect", fill=colours["surface"], **frame),
    ]
    inside = _picture(unit, left, top, figure.picture, colours)
    below = top + figure.picture
    size = _LETTERS[figure.level]
    for text, hue in ((unit.value, "val"), (unit.delta, "grad")):
        if text is None:
            continue
        tint = colours[f"{hue}-tint"]
        inside += element("rect", x=left, y=below, width=box.width, height=figure.line, fill=tint)
        inside += label(text, box.x, below + figure.line / 2 + size * 0.36, size, colours[hue])
        below += figure.line
    shapes.append(element("g", inside, clip_path=f"url(#{clip})"))
    shapes.append(element("rect", **frame, fill="none", stroke=colours["edge"], stroke_width=1.25))
    if unit.state:
        shapes.append(label("▲", left + box.width - 8, top + 11, _FLAG, colours["find"]))
    return element("g", f"{element('title', text_of(unit.said))}{''.join(shapes)}")


def _picture(unit: Unit, left: float, top: float, high: float, colours: Palette) -> str:
    """A path for each shade."""
    shades: dict[int, list[Patch]] = {}
    for patch in unit.picture:
        shades.setdefault(patch.shade, []).append(patch)
    wide = unit.box.width
    return "".join(
        element(
            "path",
            d="".join(_rectangle(patch, left, top, wide, high) for patch in some),
            fill=mixed(colours, unit.hue, shade),
            shape_rendering="crispEdges",
        )
        for shade, some in sorted(shades.items())
    )


def _rectangle(patch: Patch, left: float, top: float, wide: float, high: float) -> str:
    start = point(left + patch.left * wide, top + patch.top * high)
    return (
        f"M{start}h{number(patch.width * wide)}v{number(patch.height * high)}h{number(-patch.width * wide)}z"
    )


def mixed(colours: Mapping[str, str], hue: str, shade: int) -> str:
    """The colour of a shade: from the paper to a hue, or to charcoal where it is negative."""

    def parts(name: str) -> Sequence[int]:
        return [int(colours[name][i : i + 2], 16) for i in (1, 3, 5)]

    share = abs(shade) / STEPS
    pairs = zip(parts("surface"), parts(hue if shade > 0 else "edge"), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
