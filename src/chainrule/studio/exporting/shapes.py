"""Shapes and texts of figures in SVG, with attributes alone, and the colours of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from typing import Any, Literal, TypeAlias

from chainrule.errors import ArgumentError
from chainrule.studio.exporting.linking import STATIC

Theme: TypeAlias = Literal["light", "dark"]
Palette: TypeAlias = Mapping[str, str]

_SANS = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"


@cache
def palette(theme: Theme) -> Palette:
    """The colours of a theme by name, as the page's ``tokens.css`` has them.

    Raises:
        ArgumentError: there is no such theme.
    """
    if theme not in ("light", "dark"):
        raise ArgumentError(f"there is no theme {theme!r}", fix="themes are 'light' and 'dark'")
    text = (STATIC / "css" / "tokens.css").read_text(encoding="utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", text)
    return {name: light if theme == "light" else dark for name, light, dark in pairs}


def drawing(
    size: tuple[float, float], title: str, description: str, shapes: Iterable[str], colours: Palette
) -> str:
    """A document.

    Args:
        size: width and height.
        title: in one line.
        description: the picture in words, for who cannot see it.
        shapes: what is drawn.
        colours: of the theme, whose surface is behind all.
    """
    width, height = map(as_number, size)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title desc">',
        "<!-- drawn by chainrule studio -->",
        f'<title id="title">{as_text(title)}</title>',
        f'<desc id="desc">{as_text(description)}</desc>',
        element("rect", width=size[0], height=size[1], fill=colours["surface"]),
        *shapes,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def label(
    written: str, x: float, y: float, size: float, colour: str, anchor: str = "middle", weight: int = 600
) -> str:
    """A text on one line, whose line is at ``y``."""
    return element(
        "text",
        as_text(written),
        x=x,
        y=y,
        text_anchor=anchor,
        font_family=_SANS,
        font_size=size,
        font_weight=weight,
        fill=colour,
    )


def element(tag: str, content: str = "", /, **attributes: Any) -> str:
    """An element; what is None is left out, and ``_`` in a name is ``-``."""
    written = "".join(
        f' {name.replace("_", "-")}="{as_number(value) if isinstance(value, float) else escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def as_text(written: str) -> str:
    """A user's text, without the characters that XML does not have."""
    return escape(
        "".join(
            c if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff") else "\ufffd" for c in written
        )
    )


def as_number(x: float) -> str:
    """To a hundredth of a pixel."""
    return f"{x:.2f}".rstrip("0").rstrip(".")


def point(x: float, y: float) -> str:
    """Of a path."""
    return f"{as_number(x)} {as_number(y)}"
