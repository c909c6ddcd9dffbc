"""JSON Schemas of what the page of models is given. Numbers that JSON lacks are words: NaN, Infinity, -Infinity."""

from __future__ import annotations

from typing import Any

NUMBER: dict[str, Any] = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_MAYBE: dict[str, Any] = {"anyOf": [NUMBER, {"type": "null"}]}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_TEXTS = {"type": "array", "items": _TEXT}
_SHAPE = {"type": "array", "items": _COUNT}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


_ERROR = _object({"type": _TEXT, "message": _TEXT, "fix": _MAYBE_TEXT})
_SOURCE = _object({"file": _TEXT, "line": _COUNT, "text": _TEXT})
_SIZE = _object({"rms": NUMBER, "mean": NUMBER, "zeros": _COUNT, "nan": _COUNT, "inf": _COUNT})
_WEIGHT = _object(
    {
        "path": _TEXT,
        "shape": _SHAPE,
        "count": _COUNT,
        "value": NUMBER,
        "gradient": _MAYBE,
        "strange": _COUNT,
        "update": _MAYBE,
    }
)
_TOTALS: dict[str, Any] = dict.fromkeys(
    ("nodes", "parameters", "flops", "bytes", "units", "dead", "strange", "strange_gradients"), _COUNT
)
_COLUMN = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "kind": _TEXT,
        "module": {"type": "boolean"},
        "shape": _SHAPE,
        "dtype": _TEXT,
        "value": _SIZE,
        "gradient": _maybe(_SIZE),
        "weights": _list(_WEIGHT),
        "skip": {"type": "boolean"},
        **_TOTALS,
    }
)
_EDGE = {"from": _COUNT, "to": _COUNT, "shape": _SHAPE, "value": NUMBER, "gradient": _MAYBE}
_STAGE = _object({"path": _TEXT, "first": _COUNT, "last": _COUNT})
_OVERVIEW = _object({"columns": _list(_COLUMN), "edges": _list(_object(_EDGE)), "stages": _list(_STAGE)})

STATUS = _object(
    {
        "id": _TEXT,
        "name": _TEXT,
        "source": {"type": "object"},
        "state": {"enum": ["opening", "ready", "failed", "stopped"]},
        "doing": _TEXT,
        "share": {"type": "number"},
        "error": _maybe(_ERROR),
        "doctor": {"enum": ["waiting", "working", "done", "failed", "stopped", "none"]},
        "findings": _COUNT,
        "shown": _COUNT,
        "running": {"type": "boolean"},
    }
)
LISTING = _object(
    {
        "models": _list(STATUS),
        "runs": _list(_object({"name": _TEXT, "begun": {"type": "number"}})),
        "examples": _list(_object({"name": _TEXT, "about": _TEXT})),
    }
)
_FINDING = _object(
    {
        "number": _COUNT,
        "kind": _TEXT,
        "title": _TEXT,
        "where": _TEXT,
        "cause": _TEXT,
        "evidence": _TEXTS,
        "proof": _MAYBE_TEXT,
        "change": _MAYBE_TEXT,
        "then": _MAYBE_TEXT,
        "remedy": _TEXT,
        "confidence": {"type": "number"},
        "source": _maybe(_SOURCE),
        "groups": _TEXTS,
        "nodes": _TEXTS,
        "columns": _list(_COUNT),
    }
)
DOCTOR = _object(
    {
        "state": STATUS["properties"]["doctor"],
        "doing": _TEXT,
        "findings": _list(_FINDING),
        "losses": _list(NUMBER),
        "raised": _TEXT,
        "updates": {"type": "object", "additionalProperties": NUMBER},
        "error": _maybe(_ERROR),
    }
)
CURVES = _object(
    {
        "state": {"enum": ["", "going on", "ended"]},
        "steps": _COUNT,
        "epochs": _COUNT,
        "version": _COUNT,
        "series": {
            "type": "object",
            "additionalProperties": _object({"x": _list({"type": "number"}), "y": _list(NUMBER)}),
        },
        "found": _list({"type": "object"}),
    }
)
_HEAD = _object(
    {
        "parameters": _COUNT,
        "nodes": _COUNT,
        "blocks": _COUNT,
        "loss": NUMBER,
        "chance": _MAYBE,
        "chance_text": _MAYBE_TEXT,
        "examples": _COUNT,
        "flops": _COUNT,
        "bytes": _COUNT,
    }
)
TRACE = _object(
    {
        "format": {"const": "chainrule-trace"},
        "version": {"const": 1},
        "kind": {"const": "model"},
        **STATUS["properties"],
        "notes": _TEXTS,
        "head": _maybe(_HEAD),
        "overview": _maybe(_OVERVIEW),
        "doctor_says": DOCTOR,
        "curves": CURVES,
    }
)
_ITEM = _object(
    {
        "id": _TEXT,
        "type": {"enum": ["group", "node", "parameter", "data"]},
        "name": _TEXT,
        "kind": _TEXT,
        "shape": _SHAPE,
        "value": _SIZE,
        "gradient": _maybe(_SIZE),
        "outside": {"type": "boolean"},
        "opens": {"type": "boolean"},
        "layer": _COUNT,
        "across": {"type": "number"},
    }
)
_BEND = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
GRAPH = _object(
    {
        "root": _TEXT,
        "opened": _TEXTS,
        "items": _list(_ITEM),
        "edges": _list(_object({**_EDGE, "bends": _list(_BEND), "tensors": _COUNT})),
        "layers": _COUNT,
        "breadth": {"type": "number"},
        "totals": _object(_TOTALS),
    }
)
PLACE = _object(
    {
        "at": _TEXT,
        "id": _TEXT,
        "type": _TEXT,
        "name": _TEXT,
        "shape": _SHAPE,
        "value": _SIZE,
        "gradient": _maybe(_SIZE),
        "weights": _list(_WEIGHT),
        "trail": _TEXTS,
    }
)
REASON = _object({"at": _TEXT, "by": _TEXT, "text": _TEXT, "data": {"type": "object"}})
MATCHES = _object({"matches": _list(_object({"id": _TEXT, "kind": _TEXT, "type": _TEXT})), "count": _COUNT})
