"""JSON Schema of a frame of a network in training, as `docs/trace.md` describes it. A test holds frames against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.studio.drawing.schemas import COUNT, NUMBER, TREE, exactly

FORMAT, VERSION = "chainrule-trace", 1

_TEXT: dict[str, Any] = {"type": "string"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_BYTES: dict[str, Any] = {
    "type": "string",
    "description": "base64; bytes from 0 to 255 for −1 to 1, or 16 bits (little-endian) from −32767 to 32767",
}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _or_null(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [one, {"type": "null"}]}


def _one_of(kinds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"anyOf": list(kinds)}


_NUMBERS = _list(NUMBER)
_ROWS = _list(_NUMBERS)
_MEASURED = exactly(
    {
        "train": NUMBER,
        "test": _or_null(NUMBER),
        "train_right": _or_null(COUNT),
        "test_right": _or_null(COUNT),
    }
)
STATUS = exactly(
    {
        "running": _FLAG,
        "speed": {**COUNT, "description": "updates a second; 0 for as many as fit"},
        "goal": _or_null(COUNT),
        "problem": _or_null(exactly({"message": _TEXT, "fix": _TEXT})),
        "update": COUNT,
        "epoch": {"type": "number", "minimum": 0},
        "said": _TEXT,
        "per_epoch": {"type": "integer", "minimum": 1},
        "furthest": COUNT,
        "moments": _list(COUNT),
        "now": _MEASURED,
        "examples": exactly({"train": COUNT, "test": COUNT}),
    }
)
LOSSES = exactly(
    {
        "updates": _list(COUNT),
        "train": _list(_or_null(NUMBER)),
        "test": _list(_or_null(NUMBER)),
        "train_right": _list(_or_null(COUNT)),
        "test_right": _list(_or_null(COUNT)),
    }
)
_SURFACE = exactly({"values": _BYTES, "scale": {"type": "number"}}, {"classes": _BYTES})
PICTURES = _one_of(
    [
        exactly(
            {
                "kind": {"const": "plane"},
                "bounds": _ROWS,
                "grid": COUNT,
                "small": COUNT,
                "surface": _SURFACE,
                "units": _list(_list(_BYTES)),
                "scales": _ROWS,
            }
        ),
        exactly(
            {
                "kind": {"const": "curve"},
                "bounds": _ROWS,
                "x": _NUMBERS,
                "y": _NUMBERS,
                "units": _list(_list(exactly({"scale": {"type": "number"}, "values": _BYTES}))),
            }
        ),
        exactly(
            {
                "kind": {"const": "picture"},
                "shape": _list(COUNT),
                "wrong": _list(COUNT),
                "wrong_count": COUNT,
            }
        ),
    ]
)
SAMPLE = exactly(
    {
        "point": COUNT,
        "test": _FLAG,
        "x": _NUMBERS,
        "given": _NUMBERS,
        "y": _one_of([_TEXT, NUMBER]),
        "target": _one_of([NUMBER, _NUMBERS]),
        "chosen": _or_null(_TEXT),
        "right": _or_null(_FLAG),
        "output": exactly({"name": {"enum": ["p", "ŷ"]}, "values": _NUMBERS}),
        "loss": NUMBER,
        "gradient": {**_NUMBERS, "description": "of the loss with respect to the inputs"},
        "layers": _list(exactly({"z": _NUMBERS, "a": _NUMBERS, "delta": _NUMBERS})),
    }
)
FORMULA = exactly({"tree": TREE, "latex": _TEXT, "text": _TEXT})
SELECTED = exactly(
    {
        "kind": {"enum": ["input", "unit", "weight", "bias"]},
        "layer": COUNT,
        "unit": COUNT,
        "symbol": FORMULA,
        "title": _TEXT,
        "tiles": _list(exactly({"title": _TEXT, "value": NUMBER, "hue": {"enum": ["v", "g"]}})),
        "sections": _list(exactly({"title": _TEXT, "lines": _list(FORMULA)})),
        "parts": _list(
            exactly(
                {
                    "into": COUNT,
                    "name": _TEXT,
                    "value": NUMBER,
                    "weight": NUMBER,
                    "brings": NUMBER,
                    "gradient": NUMBER,
                }
            )
        ),
        "notes": _list(_TEXT),
    },
    {"into": COUNT, "parts_of": COUNT},
)
STATES = {**_list(_list(_TEXT)), "description": "of hidden units: dead, saturated, or nothing"}
MOVED = {**_NUMBERS, "description": "root mean square of each layer's last change"}
WEIGHTS: Mapping[str, Any] = {"w": _ROWS, "b": _or_null(_NUMBERS)}
GRADIENTS: Mapping[str, Any] = {"gw": _ROWS, "gb": _or_null(_NUMBERS)}

NETWORK_TRACE: Mapping[str, Any] = {
    "title": "Frame of a network in training",
    **exactly(
        {
            "format": {"const": FORMAT},
            "version": {"const": VERSION},
            "kind": {"const": "network"},
            "number": {**COUNT, "description": "grows with each change"},
            "sizes": {**_list(COUNT), "description": "units of each layer, the inputs first"},
            "activations": _list(_TEXT),
            "status": STATUS,
            "losses": LOSSES,
            "pictures": PICTURES,
            "states": STATES,
            "sample": SAMPLE,
            "weights": _list(exactly({**WEIGHTS, **GRADIENTS})),
            "moved": MOVED,
            "selected": SELECTED,
        }
    ),
}
"""Of a frame, as `/api/network/{session}/frame` and the WebSocket give it."""
