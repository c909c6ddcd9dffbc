"""The colours of figures: those of the page, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, TypeAlias

from chainrule.errors import ArgumentError
from chainrule.studio.exporting.linking import STATIC

Theme: TypeAlias = Literal["light", "dark"]
Palette: TypeAlias = Mapping[str, str]


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
