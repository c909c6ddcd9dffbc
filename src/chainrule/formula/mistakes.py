"""The picture of a mistake in a formula: the line, and a caret under the character."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from chainrule.errors import FormulaError

_NEWLINE = re.compile(r"\r\n|\r|\n")
_WIDTH = 72
"""Columns of a line that are shown; a longer one is cut on both sides of the caret."""

GREEK = "Α-ΡΣ-Ωα-ωϑϕϱϵϰµ"
"""Greek letters, as a range of a regular expression; π is among them."""

_SHOWN = re.compile(rf"[ -~{GREEK}×·⋅∗÷−√²³¹⁰⁴-⁹⁺⁻₀-₉…]")
"""Characters that take one column on any terminal; every other is shown escaped."""


def mistake(text: str, at: int, message: str, fix: str) -> FormulaError:
    """The error for ``text``, whose message shows the line of character ``at`` with a caret under it."""
    number, begin = 1, 0
    for newline in _NEWLINE.finditer(text, 0, at):
        number, begin = number + 1, newline.end()
    following = _NEWLINE.search(text, at)
    end = following.start() if following else len(text)
    if _NEWLINE.search(text.strip()):
        message = f"line {number}: {message}"
    first = max(begin, min(at - _WIDTH // 2, end - _WIDTH))
    last = min(end, first + _WIDTH)
    before = ("…" if first > begin else "") + escape(text[first:at])
    after = escape(text[at:last]) + ("…" if last < end else "")
    return FormulaError(f"{message}\n    {before}{after}\n    {' ' * len(before)}^", fix=fix, at=at)


def escape(text: str) -> str:
    """``text`` with each character that cannot be seen, or is not one column wide, as in ``\\u200b``."""
    return "".join(
        " " if c in "\t\xa0" else c if _SHOWN.match(c) else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def closest(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that was probably meant by ``name``, if any."""
    known = list(names)
    lower = {k.lower(): k for k in reversed(known)}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return lower[found[0]] if found else None
