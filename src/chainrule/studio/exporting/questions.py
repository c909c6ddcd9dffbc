"""What a page asks to be exported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.studio.endpoints import Endpoint
from chainrule.studio.exporting.svg import title_of
from chainrule.studio.exporting.writing import KINDS, View, exported
from chainrule.studio.formulas.questions import AT, TEXT, trace_of, values_at

_STEP = {"type": "integer", "minimum": 0, "description": "the moment after this event; left out: the last"}


def endpoints() -> Sequence[Endpoint]:
    """All that a page asks."""
    return (
        Endpoint(
            "GET",
            "/api/formula/export",
            "A formula as a page that works without a server, as a figure (SVG, TikZ), or as its trace.",
            _formula,
            {
                "type": "object",
                "properties": {
                    "text": TEXT,
                    "at": AT,
                    "as": {"enum": list(KINDS)},
                    "step": _STEP,
                    "mode": {"enum": ["reverse", "forward"]},
                    "theme": {"enum": ["light", "dark"]},
                },
                "required": ["text", "as"],
            },
            {
                "type": "object",
                "required": ["name", "type", "content"],
                "properties": {
                    "name": {"type": "string", "description": "for the file"},
                    "type": {"type": "string", "description": "its media type"},
                    "content": {"type": "string"},
                },
            },
        ),
    )


def _formula(given: Mapping[str, Any]) -> dict[str, str]:
    found = trace_of(given["text"], values_at(given.get("at", "")))
    view = View(given.get("step"), given.get("mode", "reverse"), given.get("theme", "light"))
    kind = given["as"]
    return {
        "name": f"{file_name(title_of(found.to_dict()))}.{kind}",
        "type": KINDS[kind].media,
        "content": exported(found, kind, view),
    }


def file_name(title: str) -> str:
    """A name for a file that every system takes.

    Example:
        >>> file_name("1/(1+e^(-x))"), file_name("(∂)")
        ('1-1-e-x', 'formula')
    """
    return re.sub("[^A-Za-z0-9]+", "-", title).strip("-")[:40] or "formula"
