"""Shapes of TikZ, in the colours of the page, and documents of pdfLaTeX that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from chainrule.studio.exporting.colours import palette
from chainrule.studio.exporting.places import Cubic, Point

CM = 2.54 / 96
"""A pixel."""
SCALE = 0.6
"""So that three layers fill a page of text."""
_COLOURS = (
    *("ink", "ink-2", "ink-3", "edge", "surface", "sunken", "track", "val", "val-line", "val-tint"),
    *("grad", "grad-line", "grad-fill", "grad-tint", "on-grad", "find"),
)
_HEAD = r"""% drawn by chainrule studio; {said}
% {title}
\documentclass[border=4pt]{{standalone}}
\usepackage{{amsmath,amssymb}}
\usepackage{{tikz}}
\usetikzlibrary{{arrows.meta}}
{colours}
\begin{{document}}
\begin{{tikzpicture}}[
  scale={scale}, transform shape, x=1cm, y=1cm, inner sep=0pt, >={{Stealth[length=5pt, width=4.5pt]}},
{styles}
]
"""
_FOOT = "\\end{tikzpicture}\n\\end{document}\n"
_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_POWER = re.compile("10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


def latex_document(title: str, said: str, styles: Sequence[str], lines: Iterable[str]) -> str:
    """A document for pdfLaTeX, which a paper can also take in with ``\\input``.

    Args:
        title: what is shown, in a line.
        said: what its colours mean.
        styles: of TikZ.
        lines: its commands.
    """
    given = {"title": " ".join(title.split()), "said": said, "scale": SCALE, "colours": colours()}
    head = _HEAD.format(styles="\n".join(f"  {style}," for style in styles), **given)
    return head + "".join(f"  {line}\n" for line in lines) + _FOOT


def number_of(text: str) -> str:
    """A number as the figure writes it, in LaTeX.

    Example:
        >>> number_of("−9.77·10⁻⁵"), number_of("= 4 ×"), number_of("NaN")
        ('-9.77\\\\cdot 10^{-5}', '=4{\\\\times}', '\\\\mathrm{NaN}')
    """
    powers = _POWER.sub(lambda found: f"10^{{{found[1].translate(_DIGITS)}}}", text)
    for sign, latex in (
        (" ", ""), ("−", "-"), ("·", r"\cdot "), ("×", r"{\times}"), ("∞", r"\infty "), ("NaN", r"\mathrm{NaN}"),
    ):  # fmt: skip
        powers = powers.replace(sign, latex)
    return powers


def colours() -> str:
    """The colours of the light page by their names, with ``cr-`` before."""
    light = palette("light")
    return "\n".join(rf"\definecolor{{cr-{name}}}{{HTML}}{{{light[name][1:].upper()}}}" for name in _COLOURS)


def at(x: float, y: float) -> str:
    """A place; pixels go down, centimetres up."""
    return f"({x * CM:.3f},{-y * CM:.3f})"


def curve(cubics: Sequence[Cubic]) -> str:
    """Curves, one after another."""
    (start, *_), *_ = cubics
    return at(*start) + "".join(f" .. controls {at(*b)} and {at(*c)} .. {at(*d)}" for _, b, c, d in cubics)


def corners(middle: Point, width: float, height: float) -> str:
    """A rectangle by its middle."""
    (x, y), a, b = middle, width / 2, height / 2
    return f"{at(x - a, y - b)} rectangle {at(x + a, y + b)}"
