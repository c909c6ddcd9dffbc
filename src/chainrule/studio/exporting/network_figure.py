"""A still picture of a network, before it is written as SVG or TikZ: units with their numbers, and lanes between them.

Places, widths and numbers are those of the page (``static/js/network/places.js`` and ``diagram.js``); a test compares
them. Sizes are in the page's own pixels; one is 1/96 inch.
"""

from __future__ import annotations

import base64
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, shown
from chainrule.explain.numbers import number_text
from chainrule.primitive import Array
from chainrule.studio.exporting.places import Box, Cubic

STEPS = 8
"""Shades of a picture between 0 and 1."""
SIZES = {"card": (66.0, 42.0, 2, 17.0), "small": (52.0, 30.0, 2, 15.0), "tiny": (30.0, 22.0, 0, 15.0)}
"""Of a unit: its width, the height of its picture, its lines of numbers, and the height of one."""
_ROOM = {"card": 8, "small": 6, "tiny": 6}
"""Characters of a number."""
_COLUMN, _LEAST, _MOST = 150.0, 120.0, 4000.0
"""How wide a layer is where no width is given; and how wide a figure can be."""
_APART, _THIN, MANY = 2.3, 0.6, 260
"""How far a lane is from the middle of its road; what many roads are made thinner by."""
_RAISED = re.compile("[⁻⁰¹²³⁴-⁹]")
STATES = {
    "dead": "dead: its output is 0 for every point, so no gradient passes",
    "saturated": "saturated: for every point its slope is almost 0",
}


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of one shade, in parts of a picture; ``shade`` goes from ``-STEPS`` to ``STEPS``."""

    left: float
    top: float
    width: float
    height: float
    shade: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        layer, unit: from 1.
        box: where it is.
        picture: what it computes over the inputs, or its weights.
        hue: of what is positive in the picture: ``"val-line"`` or ``"ink"``.
        value, delta: as texts; None where there is none, or no room.
        state: ``"dead"``, ``"saturated"`` or nothing.
        said: all of it in words.
    """

    layer: int
    unit: int
    box: Box
    picture: Sequence[Patch]
    hue: str
    value: str | None
    delta: str | None
    state: str
    said: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A weight, or its gradient, along a road."""

    cubic: Cubic
    hue: str
    width: float
    negative: bool


@dataclass(frozen=True, slots=True)
class Road:
    """A connection, with what is said of it, and its lanes."""

    layer: int
    start: int
    end: int
    lanes: Sequence[Lane]
    said: str


@dataclass(frozen=True, slots=True)
class NetworkFigure:
    """All of it, with its size; ``pale`` is how opaque lanes are."""

    width: float
    height: float
    level: str
    picture: float
    line: float
    heads: Sequence[tuple[float, str]]
    roads: Sequence[Road]
    units: Sequence[Unit]
    pale: float


@dataclass(frozen=True, slots=True)
class Places:
    """Where layers and units are in a width.

    Attributes:
        sizes: units of each layer, as they are drawn.
        level: how large units are, one of `SIZES`.
        width, height: of everything.
    """

    sizes: Sequence[int]
    level: str
    width: float
    height: float

    @classmethod
    def of(cls, sizes: Sequence[int], room: float) -> Places:
        """For layers of these sizes, in so many pixels."""
        each = room / len(sizes)
        level = "tiny" if max(sizes) > 10 or each < 56 else "small" if max(sizes) > 6 or each < 82 else "card"
        wide, _, _, _ = SIZES[level]
        gap, least = (5.0, 250.0) if level == "tiny" else (8.0, 330.0)
        height = max(_TOP + max(sizes) * (cls(sizes, level, 0, 0).high + gap) + 8, least)
        width = max(room, (wide / 2 + 12) * 2 + (len(sizes) - 1) * (wide + 26))
        return cls(sizes, level, width, height)

    @property
    def high(self) -> float:
        """How high a unit is."""
        _, picture, lines, line = SIZES[self.level]
        return picture + lines * line

    def x(self, layer: int) -> float:
        """The middle of a layer, from 0."""
        margin = SIZES[self.level][0] / 2 + 12
        return margin + layer / (len(self.sizes) - 1) * (self.width - 2 * margin)

    def y(self, layer: int, unit: int) -> float:
        """The middle of a unit, from 0."""
        return _TOP + (self.height - _TOP) * (unit + 0.5) / self.sizes[layer]

    def road(self, layer: int, start: int, end: int) -> tuple[float, float, float, float]:
        """From where to where the road into a layer from 1 leads: x, y, x, y."""
        wide = SIZES[self.level][0]
        leave = min(6.0, self.high * 0.5 / self.sizes[layer]) * (end - (self.sizes[layer] - 1) / 2)
        into = min(9.0, self.high * 0.7 / self.sizes[layer - 1]) * (start - (self.sizes[layer - 1] - 1) / 2)
        return (
            self.x(layer - 1) + wide / 2,
            self.y(layer - 1, start) + leave,
            self.x(layer) - wide / 2,
            self.y(layer, end) + into,
        )


_TOP = 40.0
"""Room for the names of layers."""


def network_figure(frame: Mapping[str, Any], show: str = "both", width: float | None = None) -> NetworkFigure:
    """The picture of a frame of a network in training.

    Args:
        frame: as ``/api/network/{session}/frame`` gives it.
        show: what the lanes show: ``"both"``, ``"weights"`` or ``"gradients"``.
        width: in pixels; by the number of layers if left out. What does not fit in it makes it wider.

    Raises:
        ArgumentError: the width is none.
    """
    if width is not None and not _LEAST <= width <= _MOST:
        raise ArgumentError(
            f"width: expected a number of pixels from {_LEAST:g} to {_MOST:g}, got {shown(width)}",
            fix="pass width=800",
        )
    whole = _is_picture(frame)
    sizes = [1, *frame["sizes"][1:]] if whole else list(frame["sizes"])
    places = Places.of(sizes, _COLUMN * len(sizes) if width is None else width)
    _, picture, _, line = SIZES[places.level]
    units = [_unit(frame, places, layer, k) for layer, size in enumerate(sizes) for k in range(size)]
    roads = _roads(frame, places, show)
    heads = [
        (min(places.width - 36, max(36.0, places.x(layer))), _head(layer, sizes))
        for layer in range(len(sizes))
    ]
    pale = 0.3 if len(roads) > MANY else 0.62
    return NetworkFigure(places.width, places.height, places.level, picture, line, heads, roads, units, pale)


def _is_picture(frame: Mapping[str, Any]) -> bool:
    """Whether the inputs are pixels, which are drawn as one picture."""
    return frame["pictures"]["kind"] == "picture"


def _head(layer: int, sizes: Sequence[int]) -> str:
    return "inputs" if layer == 0 else "output" if layer == len(sizes) - 1 else f"layer {layer + 1}"


def short_text(x: float, room: int) -> str:
    """A number where there is little room: fewer digits until they fit, at last the nearest power of ten.

    Example:
        >>> short_text(-0.0028712, 6), short_text(3.14159, 8), short_text(1.234e-07, 6)
        ('−0.003', '3.14', '10⁻⁷')
    """
    for digits in (3, 2, 1):
        text = number_text(x, digits)
        if _wide(text) <= room:
            return text
    if 0 < abs(x) < 1e-3:
        return number_text(math.copysign(10.0 ** round(math.log10(abs(x))), x), 1)
    return number_text(x, 1)


def _wide(text: str) -> float:
    return len(text) - 0.5 * len(_RAISED.findall(text))


# Units.


def _unit(frame: Mapping[str, Any], places: Places, layer: int, k: int) -> Unit:
    last = len(places.sizes) - 1
    whole = not layer and _is_picture(frame)
    delta = float(frame["sample"]["layers"][layer - 1]["delta"][k]) if layer else None
    value = math.nan if whole else _value(frame, layer, k, layer == last)
    state: str = frame["states"][layer - 1][k] if 0 < layer < last else ""
    said = [_name(places, layer, k, whole)]
    if not math.isnan(value):
        said[0] += f": value {number_text(value)}"
    if delta is not None:
        said.append(f"delta {number_text(delta)}")
    if state:
        said.append(STATES[state])
    wide, high, lines, line = SIZES[places.level]
    room = _ROOM[places.level]
    texts: list[str | None] = [None, None]
    if lines:
        texts[0] = f"{len(frame['sample']['x'])} pixels" if whole else short_text(value, room)
        texts[1] = None if delta is None else f"δ\u2009{short_text(delta, room - 2)}"
    box = Box(
        places.x(layer), places.y(layer, k), wide, high + sum(text is not None for text in texts) * line
    )
    picture, hue = _picture(frame, layer, k)
    return Unit(layer + 1, k + 1, box, picture, hue, texts[0], texts[1], state, ", ".join(said))


def _value(frame: Mapping[str, Any], layer: int, k: int, last: bool) -> float:
    """What an input is, a unit gives, or the network says."""
    sample = frame["sample"]
    if not layer:
        return float(sample["x"][k])
    return float(sample["output"]["values"][k] if last else sample["layers"][layer - 1]["a"][k])


def _name(places: Places, layer: int, k: int, whole: bool) -> str:
    if layer == 0:
        return "inputs: the pixels of the image" if whole else f"input {k + 1}"
    if layer < len(places.sizes) - 1:
        return f"unit {k + 1} of layer {layer + 1}"
    return f"output {k + 1}" if places.sizes[layer] > 1 else "output"


def _picture(frame: Mapping[str, Any], layer: int, k: int) -> tuple[Sequence[Patch], str]:
    pictures = frame["pictures"]
    if pictures["kind"] == "plane":
        return patches(_bytes(pictures["units"][layer][k]).reshape(pictures["small"], -1)), "val-line"
    if pictures["kind"] == "curve":
        return patches(_bytes(pictures["units"][layer][k]["values"])[None]), "val-line"
    rows, columns = pictures["shape"]
    if layer == 0:
        return patches(np.array(frame["sample"]["x"], np.float64).reshape(rows, columns)), "ink"
    if layer == 1:
        column = np.array([row[k] for row in frame["weights"][0]["w"]], np.float64)
        return patches(_by_largest(column).reshape(rows, columns)), "val-line"
    a = np.array(frame["sample"]["layers"][layer - 1]["a"], np.float64)
    return patches(_by_largest(a)[k : k + 1, None]), "val-line"


def _bytes(text: str) -> Array:
    """Numbers from −1 to 1."""
    return np.frombuffer(base64.b64decode(text), np.uint8) / 127.5 - 1


def _by_largest(values: Array) -> Array:
    size = np.abs(values).max()
    return np.clip(values / size if math.isfinite(size) and size > 0 else values, -1, 1)


def patches(values: Array) -> list[Patch]:
    """A picture of numbers from −1 to 1 in rectangles of one shade each, as few as rows and columns allow.

    Example:
        >>> [(p.width, p.height, p.shade) for p in patches(np.array([[0.5, 0.5], [0.5, 0.5], [0.0, -1.0]]))]
        [(1.0, 0.6666666666666666, 4), (0.5, 0.3333333333333333, -8)]
    """
    rows, columns = values.shape
    shades = np.rint(np.nan_to_num(values) * STEPS).astype(int)
    found: list[Patch] = []
    open_: dict[tuple[int, int, int], int] = {}
    for at in range(rows + 1):
        runs = set(_runs(shades[at])) if at < rows else set[tuple[int, int, int]]()
        for run in sorted(set(open_) - runs):
            start, end, shade = run
            top = open_.pop(run)
            found.append(
                Patch(start / columns, top / rows, (end - start) / columns, (at - top) / rows, shade)
            )
        for run in runs - set(open_):
            open_[run] = at
    return found


def _runs(row: Array) -> list[tuple[int, int, int]]:
    """Stretches of one shade: from, to, and the shade; what is 0 is the paper."""
    edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
    return [(start, end, int(row[start])) for start, end in itertools.pairwise(edges) if row[start]]


# Roads.


def _roads(frame: Mapping[str, Any], places: Places, show: str) -> list[Road]:
    numbers = {
        (layer, start, end): _numbers(frame, layer, start, end)
        for layer in range(1, len(places.sizes))
        for end in range(places.sizes[layer])
        for start in range(places.sizes[layer - 1])
    }
    most = [
        max([1e-12, *(abs(pair[i]) for pair in numbers.values() if math.isfinite(pair[i]))]) for i in (0, 1)
    ]
    thin = _THIN if len(numbers) > MANY else 1.0
    hues = {"weights": ["val-line"], "gradients": ["grad-line"]}.get(show, ["val-line", "grad-line"])
    return [
        Road(*at, _lanes(places.road(*at), pair, most, hues, thin), _said(frame, *at, pair))
        for at, pair in numbers.items()
    ]


def _lanes(
    ends: tuple[float, float, float, float],
    pair: tuple[float, float],
    most: Sequence[float],
    hues: Sequence[str],
    thin: float,
) -> list[Lane]:
    """Of a weight and its gradient those that are shown and not 0."""
    x0, y0, x1, y1 = ends
    middle = (x0 + x1) / 2
    found: list[Lane] = []
    for x, largest, hue, aside in zip(pair, most, ("val-line", "grad-line"), (-_APART, _APART), strict=True):
        if hue not in hues or not x or not math.isfinite(x):
            continue
        by = aside if len(hues) > 1 else 0.0
        cubic = (x0, y0 + by), (middle, y0 + by), (middle, y1 + by), (x1, y1 + by)
        found.append(Lane(cubic, hue, thin * (0.5 + 4.2 * math.sqrt(abs(x) / largest)), x < 0))
    return found


def _numbers(frame: Mapping[str, Any], layer: int, start: int, end: int) -> tuple[float, float]:
    """A weight and its gradient; of all pixels the root of the sums of squares."""
    found = frame["weights"][layer - 1]
    if layer == 1 and _is_picture(frame):
        w, g = (np.array([float(row[end]) for row in found[key]]) for key in ("w", "gw"))
        return float(np.sqrt((w**2).sum())), float(np.sqrt((g**2).sum()))
    return float(found["w"][start][end]), float(found["gw"][start][end])


def _said(frame: Mapping[str, Any], layer: int, start: int, end: int, pair: tuple[float, float]) -> str:
    whole = layer == 1 and _is_picture(frame)
    source = f"unit {start + 1} of layer {layer}"
    if layer == 1:
        source = "all pixels" if whole else f"input {start + 1}"
    what = "size of the weights" if whole else "weight"
    w, g = map(number_text, pair)
    return f"{what} from {source} to unit {end + 1} of layer {layer + 1}: {w}, gradient {g}"
