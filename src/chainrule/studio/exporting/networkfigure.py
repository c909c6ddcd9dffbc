"""A still picture of a network in training, as SVG: what its page shows, for where no page can be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.explain.numbers import number_text
from chainrule.studio.exporting.shapes import Palette, Theme, drawing, element, label, palette, point

_WIDTH, _HEIGHT = 760.0, 380.0
_NET = (70.0, 640.0, 64.0, 244.0)
"""Left, right, top and bottom of the units."""
_LOSS = (70.0, 640.0, 288.0, 344.0)
"""The same of the losses."""
_MOST_DRAWN = 20
"""Units of a layer that are drawn one by one."""
_RADIUS, _THICKEST = 11.0, 5.0

Place = tuple[float, float]


def network_svg(frame: Mapping[str, Any], options: Mapping[str, Any], theme: Theme = "light") -> str:
    """The network of a frame with its weights, and its losses.

    Args:
        frame: as ``docs/trace.md`` describes it.
        options: of its training.
        theme: ``"light"`` or ``"dark"``.
    """
    colours = palette(theme)
    status = frame["status"]
    sizes = " – ".join(map(str, frame["sizes"]))
    title = f"{options['data']}: {sizes} units, {options['activation']}, {options['optimizer']}"
    said = f"After update {status['update']:,}: {_loss_text(status['now'])}."
    drawn = len(frame["losses"]["updates"]) > 1
    shapes = [
        label(title, 24.0, 30.0, 15.0, colours["ink"], "start"),
        label(said, 24.0, 50.0, 12.5, colours["ink-2"], "start", 400),
        *_network(frame, colours),
        *(_losses(frame["losses"], status["update"], colours) if drawn else ()),
    ]
    described = (
        f"A network in training. {said} Blue lanes are weights, thicker ones larger, dashed ones negative."
    )
    return drawing((_WIDTH, _HEIGHT if drawn else _LOSS[2]), title, described, shapes, colours)


def _loss_text(now: Mapping[str, Any]) -> str:
    test = "" if now["test"] is None else f", {number_text(float(now['test']), 3)} on the test examples"
    return f"loss {number_text(float(now['train']), 3)}{test}"


def _network(frame: Mapping[str, Any], colours: Palette) -> list[str]:
    places = [_column(i, len(frame["sizes"]), size) for i, size in enumerate(frame["sizes"])]
    shapes: list[str] = []
    for left, right, layer in zip(places, places[1:], frame["weights"], strict=False):
        shapes += _lanes(left, right, layer["w"], colours)
    for i, (column, size) in enumerate(zip(places, frame["sizes"], strict=True)):
        line = colours["val-line" if i == 0 else "ink" if i == len(places) - 1 else "edge"]
        for x, y in column or [_middle(i, len(places))]:
            shape = {"cx": x, "cy": y, "r": min(_RADIUS, 0.42 * _apart(size))}
            shapes.append(element("circle", **shape, fill=colours["val-tint"], stroke=line, stroke_width=1.5))
        if not column:
            x, y = _middle(i, len(places))
            shapes.append(
                label(f"{size} {'inputs' if not i else 'units'}", x, y + 28, 11.5, colours["ink-2"])
            )
    return shapes


def _middle(i: int, layers: int) -> Place:
    left, right, top, bottom = _NET
    return left + (right - left) * i / (layers - 1), (top + bottom) / 2


def _column(i: int, layers: int, size: int) -> list[Place]:
    """Where the units of a layer are; nowhere if there are too many."""
    if size > _MOST_DRAWN:
        return []
    x, middle = _middle(i, layers)
    return [(x, middle + (k - (size - 1) / 2) * _apart(size)) for k in range(size)]


def _apart(size: int) -> float:
    """From unit to unit; those that are not drawn are one."""
    return min(40.0, (_NET[3] - _NET[2]) / size) if size <= _MOST_DRAWN else 40.0


def _lanes(
    left: Sequence[Place], right: Sequence[Place], weights: Sequence[Sequence[Any]], colours: Palette
) -> list[str]:
    """Of one layer; its largest weight has the thickest lane."""
    numbers = [[float(w) for w in row] for row in weights]
    largest = max((abs(w) for row in numbers for w in row if math.isfinite(w)), default=0.0) or 1.0
    shapes: list[str] = []
    for start, row in zip(left, numbers, strict=False):
        for end, weight in zip(right, row, strict=False):
            if not math.isfinite(weight):
                line = {"stroke": colours["find-line"], "stroke_width": 2.0}
            else:
                line = {
                    "stroke": colours["val-line"],
                    "stroke_width": max(0.3, _THICKEST * abs(weight) / largest),
                }
            middle = (start[0] + end[0]) / 2
            road = f"M{point(*start)}C{point(middle, start[1])} {point(middle, end[1])} {point(*end)}"
            dashed = "7 3.5" if weight < 0 else None
            shapes.append(element("path", d=road, fill="none", stroke_dasharray=dashed, opacity=0.8, **line))
    return shapes


def _losses(losses: Mapping[str, Any], update: int, colours: Palette) -> list[str]:
    left, right, top, bottom = _LOSS
    updates: Sequence[int] = losses["updates"]
    curves = [
        [(k, float(y)) for k, y in zip(updates, losses[name], strict=True) if y is not None]
        for name in ("test", "train")
    ]
    finite = [y for curve in curves for _, y in curve if math.isfinite(y)]
    highest, furthest = max(finite, default=1.0) or 1.0, max([*updates, update, 1])

    def place(k: float, y: float) -> str:
        return point(left + (right - left) * k / furthest, bottom - (bottom - top) * y / highest)

    shapes = [
        element("path", d=f"M{point(left, bottom)}H{right}", stroke=colours["line"], stroke_width=1.0),
        label(f"loss {number_text(highest, 3)}", left, top - 8, 11.0, colours["ink-3"], "start", 400),
        label(f"{furthest:,} updates", right, bottom + 16, 11.0, colours["ink-3"], "end", 400),
    ]
    for curve, colour in zip(curves, ("ink-3", "val-line"), strict=True):
        places = [place(k, y) for k, y in curve if math.isfinite(y)]
        if len(places) > 1:
            line = f"M{'L'.join(places)}"
            shapes.append(element("path", d=line, fill="none", stroke=colours[colour], stroke_width=1.75))
    return shapes
