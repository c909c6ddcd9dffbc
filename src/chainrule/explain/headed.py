"""Texts under headings, as reasons and findings have them: lines for a terminal, a table for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TypeAlias

Rows: TypeAlias = Sequence[tuple[str, str]]
"""Headings and texts, in the order in which they are read."""
CELL = "text-align:left;vertical-align:top;padding:2px 12px"


def headed_lines(rows: Rows, width: int) -> list[str]:
    """A line for each text; a heading that comes again is not repeated. ``width``: of the headings."""
    before = ["", *(heading for heading, _ in rows)]
    return [
        f"  {'' if heading == last else heading:<{width}}{text}"
        for last, (heading, text) in zip(before, rows, strict=False)
    ]


def headed_table(rows: Rows) -> str:
    """The same as an HTML table."""
    cells = "".join(
        f'<tr><th style="{CELL}">{heading}</th><td style="{CELL}">{escape(text)}</td></tr>'
        for heading, text in rows
    )
    return f"<table><tbody>{cells}</tbody></table>"
