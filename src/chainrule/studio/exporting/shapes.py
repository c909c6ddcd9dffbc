"""Shapes of the studio's figures as SVG: those of :mod:`chainrule.explain.svg`, and curves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from chainrule.explain import svg
from chainrule.explain.svg import SANS, element, label, mark_of, number, point, text_of
from chainrule.studio.exporting.places import Cubic

SERIF = "'STIX Two Text', 'Times New Roman', 'TeX Gyre Termes', 'Liberation Serif', Times, serif"

document = partial(svg.document, by="chainrule studio")
"""A picture of its own, which exporting knows again as the studio's."""


def path(cubics: Sequence[Cubic], **attributes: Any) -> str:
    """Curves, one after another."""
    (start, *_), *_ = cubics
    curves = "".join(f"C{point(*b)} {point(*c)} {point(*d)}" for _, b, c, d in cubics)
    return element("path", d=f"M{point(*start)}{curves}", fill="none", **attributes)


__all__ = [
    "SANS",
    "SERIF",
    "document",
    "element",
    "label",
    "mark_of",
    "number",
    "path",
    "point",
    "text_of",
]
