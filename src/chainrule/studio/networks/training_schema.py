"""JSON Schema of a recorded training, as `docs/trace.md` describes it: what a page without a server plays back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.studio.drawing.schemas import COUNT, exactly
from chainrule.studio.networks.choices import FIELDS
from chainrule.studio.networks.schema import (
    FORMAT,
    FORMULA,
    GRADIENTS,
    LOSSES,
    MOVED,
    PICTURES,
    SAMPLE,
    SELECTED,
    STATES,
    STATUS,
    VERSION,
    WEIGHTS,
)

KIND = "training"
_TEXT: dict[str, Any] = {"type": "string"}
_FILE = exactly({"name": _TEXT, "text": _TEXT})
_INTO = {"anyOf": [COUNT, {"type": "null"}]}
_LISTED = {
    "update": (
        (),
        exactly(
            {
                "status": STATUS,
                "pictures": PICTURES,
                "states": STATES,
                "weights": {"type": "array", "items": exactly(WEIGHTS)},
                "moved": MOVED,
            }
        ),
    ),
    "point": (
        (COUNT,),
        exactly({"sample": SAMPLE, "gradients": {"type": "array", "items": exactly(GRADIENTS)}}),
    ),
    "selected": ((COUNT, COUNT, COUNT, _INTO), SELECTED),
    "formula": (
        (),
        exactly(
            {
                "update": COUNT,
                "weights": COUNT,
                "lines": {"type": "array", "items": FORMULA},
                "latex": _TEXT,
                "text": _TEXT,
                "formula": _TEXT,
                "values": {"type": "object"},
            }
        ),
    ),
    "program": ((), exactly({"update": COUNT, "program": _FILE})),
}
"""Kinds of answers: what a question has behind its kind and its update, and what is answered."""


def _row(items: list[Mapping[str, Any]]) -> dict[str, Any]:
    """A list of just these."""
    return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}


TRAINING_TRACE: Mapping[str, Any] = {
    "title": "A network's training, recorded at some of its updates",
    **exactly(
        {
            "format": {"const": FORMAT},
            "version": {"const": VERSION},
            "kind": {"const": KIND},
            "command": {**_TEXT, "description": "what shows the same in the live studio"},
            "address": {**_TEXT, "description": "of the same view on the live page, from # on"},
            "options": {"type": "object", "required": list(FIELDS)},
            "choices": {"type": "object", "description": "what there is to choose, as /api/network/choices has it"},
            "data": {"type": "object", "description": "the examples, as /api/network/{session}/data has them"},
            "table": {**_FILE, "description": "the examples as CSV"},
            "sizes": {"type": "array", "items": COUNT},
            "activations": {"type": "array", "items": _TEXT},
            "losses": LOSSES,
            "updates": {"type": "array", "items": COUNT, "description": "at which it is recorded, ascending"},
            "shown": exactly(
                {"update": COUNT, "point": COUNT, "layer": COUNT, "unit": COUNT, "into": _INTO, "show": _TEXT}
            ),
            "recorded": {
                "anyOf": [
                    {
                        "type": "array",
                        "description": "pairs of question and answer",
                        "items": {
                            "anyOf": [
                                _row([_row([{"const": kind}, COUNT, *more]), answer])
                                for kind, (more, answer) in _LISTED.items()
                            ]
                        },
                    },
                    {
                        "type": "string",
                        "description": "in a page: a line for each, question, tab, answer; in gzip and base64",
                    },
                ]
            },
        }
    ),
}  # fmt: skip
"""Of what `chainrule studio --export out.json network` writes."""
