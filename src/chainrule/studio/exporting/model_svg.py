"""A still picture of a model, as SVG: the columns of its page and what the doctor says, for where no page can be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

from chainrule.explain.numbers import counted, number_text
from chainrule.studio.exporting.colours import Palette, Theme, palette
from chainrule.studio.exporting.shapes import document, element, label, point

_WIDTH = 760.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 76.0, 736.0, 92.0, 252.0
"""Of the marks."""
_MOST_NAMED = 16
"""Columns whose names have room."""
_MOST_FINDINGS, _LONGEST = 6, 110
_ROW = 18.0

Place: TypeAlias = tuple[float, float]


def model_svg(trace: Mapping[str, Any], theme: Theme = "light") -> str:
    """The sizes of values and gradients in each block, and the findings.

    Args:
        trace: of a model, as ``docs/trace.md`` describes it.
        theme: ``"light"`` or ``"dark"``.
    """
    colours = palette(theme)
    said = _said(trace)
    shapes = [
        label(trace["name"][:60], 24.0, 30.0, 15.0, colours["ink"], "start"),
        label(said, 24.0, 50.0, 12.5, colours["ink-2"], "start", 400),
    ]
    height = 68.0
    if trace["overview"]:
        shapes += _columns(trace["overview"]["columns"], colours)
        height = _BOTTOM + 40
    findings = trace["doctor_says"]["findings"]
    for finding in findings[:_MOST_FINDINGS]:
        told = f"▲ {finding['title']} in {finding['where']}: {finding['cause']}"
        shapes.append(label(_cut(told), 24.0, height + 4, 12.0, colours["find"], "start", 400))
        height += _ROW
    if len(findings) > _MOST_FINDINGS:
        more = f"and {len(findings) - _MOST_FINDINGS} more"
        shapes.append(label(more, 24.0, height + 4, 12.0, colours["find"], "start", 400))
        height += _ROW
    described = f"{said}. Sizes of values and of gradients by block, in decades; a cross is all zeros."
    return document(_WIDTH, height + 8, trace["name"][:200], described, colours["surface"], shapes)


def _said(trace: Mapping[str, Any]) -> str:
    head = trace["head"]
    if not head:
        return f"{trace['state']}: {trace['error']['message'] if trace['error'] else trace['doing']}"[
            :_LONGEST
        ]
    findings = trace["doctor_says"]
    doctor = {"done": counted(len(findings["findings"]), "finding"), "none": ""}.get(findings["state"], "")
    told = [
        counted(head["parameters"], "parameter"),
        counted(head["blocks"], "block"),
        f"loss {number_text(float(head['loss']))}",
    ]
    return ", ".join([*told, doctor] if doctor else told)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _columns(columns: Sequence[Mapping[str, Any]], colours: Palette) -> list[str]:
    rows = {name: [_rms(column[name]) for column in columns] for name in ("value", "gradient")}
    known = [math.log10(x) for row in rows.values() for x in row if _has_place(x)]
    low, high = math.floor(min(known, default=0.0)), math.ceil(max(known, default=1.0))
    high = max(high, low + 1)
    apart = (_RIGHT - _LEFT) / max(1, len(columns))
    middles = [_LEFT + apart * (i + 0.5) for i in range(len(columns))]

    def place(x: float, rms: float) -> Place:
        return x, _BOTTOM - (_BOTTOM - _TOP) * (math.log10(rms) - low) / (high - low)

    shapes = [*_scale(low, high, colours)]
    for (name, row), hue, x in zip(rows.items(), ("val", "grad"), (_LEFT, _LEFT + 110), strict=True):
        shapes.append(label(f"● {name}", x, _TOP - 16, 12.0, colours[hue], "start"))
        marks = [place(m, y) if _has_place(y) else None for m, y in zip(middles, row, strict=True)]
        shapes += _row(marks, colours[f"{hue}-line"])
        for middle, rms in zip(middles, row, strict=True):
            if rms == 0:
                aside = -6.0 if hue == "val" else 6.0
                shapes.append(label("×", middle + aside, _BOTTOM + 5, 16.0, colours[f"{hue}-line"]))
            elif rms is not None and not math.isfinite(rms):
                shapes.append(label("▲", middle, _TOP, 12.0, colours["find-line"]))
    if len(columns) <= _MOST_NAMED:
        names = zip(middles, (column["name"][-12:] for column in columns), strict=True)
        shapes += [label(name, x, _BOTTOM + 22, 10.5, colours["ink-2"], weight=400) for x, name in names]
    return shapes


def _row(marks: Sequence[Place | None], colour: str) -> Iterator[str]:
    """Marks, joined where they are neighbours."""
    for before, here in itertools.pairwise(marks):
        if before and here:
            line = f"M{point(*before)}L{point(*here)}"
            yield element("path", d=line, fill="none", stroke=colour, stroke_width=1.25)
    for mark in marks:
        if mark:
            yield element("circle", cx=mark[0], cy=mark[1], r=3.5, fill=colour)


def _scale(low: int, high: int, colours: Palette) -> Iterator[str]:
    step = -(-(high - low) // 6)
    for decade in range(low, high + 1, step):
        y = _BOTTOM - (_BOTTOM - _TOP) * (decade - low) / (high - low)
        yield element("path", d=f"M{point(_LEFT, y)}H{_RIGHT}", stroke=colours["line"], stroke_width=1.0)
        yield label(number_text(10.0**decade), _LEFT - 8, y + 4, 10.5, colours["ink-3"], "end", 400)


def _rms(size: Mapping[str, Any] | None) -> float | None:
    return float(size["rms"]) if size else None


def _has_place(rms: float | None) -> TypeGuard[float]:
    """On the scale, which has neither 0 nor infinity."""
    return rms is not None and math.isfinite(rms) and rms > 0
