"""Shapes and texts of SVG with attributes alone: no styles, scripts or foreign elements. Every program reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from html import escape
from typing import Any

SANS = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"


def document(
    width: float,
    height: float,
    title: str,
    description: str,
    paper: str,
    shapes: Iterable[str],
    by: str = "chainrule",
) -> str:
    """A picture of its own.

    Args:
        width, height: in pixels.
        title, description: in words, for who cannot see it.
        paper: the colour behind everything.
        shapes: what is on it.
        by: who drew it, which a comment says.
    """
    w, h = number(width), number(height)
    mark = mark_of(title, description)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" '
        f'viewBox="0 0 {w} {h}" role="img" aria-labelledby="title{mark} desc{mark}">',
        f"<!-- drawn by {by} -->",
        f'<title id="title{mark}">{text_of(title)}</title>',
        f'<desc id="desc{mark}">{text_of(description)}</desc>',
        element("rect", width=width, height=height, fill=paper),
        *shapes,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def label(
    text: str, x: float, y: float, size: float, colour: str, anchor: str = "middle", weight: int = 600
) -> str:
    """A text on one line, which is at ``y``."""
    return element(
        "text",
        text_of(text),
        x=x,
        y=y,
        text_anchor=anchor,
        font_family=SANS,
        font_size=size,
        font_weight=weight,
        fill=colour,
    )


def element(tag: str, content: str = "", /, **attributes: Any) -> str:
    """An element; attributes that are None are left out, ``_`` in their names is ``-``."""
    written = "".join(
        f' {name.replace("_", "-")}="{number(value) if isinstance(value, float) else escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def mark_of(*about: object) -> str:
    """What makes the ids of a picture its own: several may stand in one web page, as in that of a notebook."""
    return (
        "-" + hashlib.sha256("\n".join(map(str, about)).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    )


def text_of(text: str) -> str:
    """A user's text, without the characters that XML does not have."""
    return escape(
        "".join(
            c
            if c in "\t\n" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
            else "\ufffd"
            for c in text
        )
    )


def number(x: float) -> str:
    """A length, to a hundredth of a pixel."""
    return f"{x:.2f}".rstrip("0").rstrip(".")


def point(x: float, y: float) -> str:
    """A place, as paths have it."""
    return f"{number(x)} {number(y)}"
