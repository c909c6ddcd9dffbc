"""What a page asks to be exported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from chainrule.studio.endpoints import Endpoint
from chainrule.studio.exporting.svg import title_of
from chainrule.studio.exporting.trained import exported_network
from chainrule.studio.exporting.trained import title_of as network_title
from chainrule.studio.exporting.writing import KINDS, View, exported
from chainrule.studio.formulas.questions import AT, TEXT, trace_of, values_at
from chainrule.studio.networks import Sessions
from chainrule.studio.networks.addresses import address_of, read_address

_STEP = {"type": "integer", "minimum": 0, "description": "the moment after this event; left out: the last"}


_FILE = {
    "type": "object",
    "required": ["name", "type", "content"],
    "properties": {
        "name": {"type": "string", "description": "for the file"},
        "type": {"type": "string", "description": "its media type"},
        "content": {"type": "string"},
    },
}
_KIND, _THEME = {"enum": list(KINDS)}, {"enum": ["light", "dark"]}
_ANSWERS = 1500
"""That are recorded of a training while a person waits for the file."""


def endpoints(sessions: Sessions | None = None) -> Sequence[Endpoint]:
    """All that a page asks, about formulas, and about networks that are kept in ``sessions``."""
    kept = sessions if sessions is not None else Sessions()
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
                    "as": _KIND,
                    "step": _STEP,
                    "mode": {"enum": ["reverse", "forward"]},
                    "theme": _THEME,
                },
                "required": ["text", "as"],
            },
            _FILE,
        ),
        Endpoint(
            "GET",
            "/api/network/{session}/export",
            "A network as a page on which its training can be rewound without a server, as a figure, or as its trace.",
            partial(_network, kept),
            {
                "type": "object",
                "properties": {
                    "session": {"type": "string", "maxLength": 64},
                    "as": _KIND,
                    "address": {"type": "string", "description": "of the page that shows it, from # on"},
                    "theme": _THEME,
                    "width": {"type": "number", "description": "of a figure, in pixels"},
                },
                "required": ["session", "as"],
            },
            _FILE,
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


def _network(sessions: Sessions, given: Mapping[str, Any]) -> dict[str, str]:
    """What is written of a network is what is shown now: it is not trained again."""
    training = sessions.get(given["session"])
    setting, view, kind = training.setting, training.view(), given["as"]
    address = read_address(given["address"]) if "address" in given else address_of(setting.options.to_dict())
    theme, width = given.get("theme", "light"), given.get("width")
    content = exported_network(setting, view, address, kind, theme=theme, width=width, answers=_ANSWERS)
    return {
        "name": f"{file_name(network_title(setting, view))}.{kind}",
        "type": KINDS[kind].media,
        "content": content,
    }


def file_name(title: str) -> str:
    """A name for a file that every system takes.

    Example:
        >>> file_name("1/(1+e^(-x))"), file_name("(∂)")
        ('1-1-e-x', 'formula')
    """
    return re.sub("[^A-Za-z0-9]+", "-", title).strip("-")[:40] or "formula"
