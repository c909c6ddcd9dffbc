"""JSON Schema of the trace of a formula: what `docs/trace.md` describes, and a test holds every trace against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.studio.drawing.schemas import COUNT, NUMBER, TREE, exactly
from chainrule.studio.formulas.trace import FORMAT, VERSION

_INDEX: dict[str, Any] = {"type": "integer", "minimum": 0}
_LARGE_COUNT: dict[str, Any] = {
    "description": "as text beyond 2^53",
    "anyOf": [COUNT, {"type": "string", "pattern": "^[0-9]+$"}],
}
_BENDS: dict[str, Any] = {
    "description": "where the edge passes the layers between its ends: [layer, place across]",
    "type": "array",
    "items": {"type": "array", "prefixItems": [_INDEX, {"type": "number"}], "minItems": 2, "maxItems": 2},
}
_INDICES: dict[str, Any] = {"type": "array", "items": _INDEX}


_NODE = exactly(
    {
        "id": _INDEX,
        "key": {"type": "string", "description": "the same for the same part of a formula that is edited"},
        "kind": {"enum": ["variable", "constant", "operation", "result"]},
        "name": {"type": "string"},
        "text": {"type": "string", "description": "the name; of a number without one the number"},
        "letter": TREE,
        "latex": {"type": "string", "description": "the same as letter, in LaTeX"},
        "value": NUMBER,
        "gradient": {"anyOf": [NUMBER, {"type": "null"}]},
        "layer": _INDEX,
        "across": {"type": "number", "minimum": 0},
        "paths": {
            "description": "how many paths lead from the result here; null beyond 10^300",
            "anyOf": [{"type": "string", "pattern": "^[0-9]+$"}, {"type": "null"}],
        },
    },
    {
        "range": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "data": {"type": "boolean"},
        "op": {"type": "string"},
        "label": {"type": "string"},
        "inputs": _INDICES,
        "definition": TREE,
        "plugged": TREE,
        "note": {"type": "string"},
    },
)
_EDGE = exactly(
    {
        "id": _INDEX,
        "from": _INDEX,
        "to": _INDEX,
        "slot": _INDEX,
        "local": NUMBER,
        "contribution": NUMBER,
        "bends": _BENDS,
        "because": {"type": "string"},
    },
    {
        "symbol": TREE,
        "selects": {
            "const": True,
            "description": "a local derivative of 0 passes nothing, not even infinity",
        },
    },
)
_EVENT = exactly(
    {"t": {"enum": ["start", "value", "seed", "flow", "sum", "tseed", "tangent", "done"]}},
    {"node": _INDEX, "edge": _INDEX, "wrt": _INDEX, "sweep": _INDEX},
)
_EVENTS: dict[str, Any] = {"type": "array", "items": _EVENT}
_COST = exactly(
    {"sweeps": COUNT, "products": COUNT, "nonzero_products": {"anyOf": [COUNT, {"type": "null"}]}}
)
_LEDGER = exactly(
    {
        "reused": {**_LARGE_COUNT, "description": "multiplications with every delta computed once"},
        "separate": {
            "anyOf": [_LARGE_COUNT, {"type": "null"}],
            "description": "the same path by path, each on its own; null beyond 10^300 paths",
        },
        "reuses": {
            "type": "array",
            "items": exactly({"node": _INDEX, "uses": COUNT}),
            "description": "the deltas that are used most",
        },
    }
)
_PROGRAM = exactly(
    {
        "registers": COUNT,
        "constants": {"type": "array", "items": {"type": "array", "prefixItems": [_INDEX, NUMBER]}},
        "instructions": {"type": "array", "items": {"type": "string"}},
        "steps": {
            **_INDICES,
            "description": "instruction, register, number of operands, operands, and so on",
        },
        "values": {**_INDICES, "description": "the register of each node's value"},
        "locals": {
            "type": "array",
            "items": _INDICES,
            "description": "registers of local derivatives, by slot",
        },
    }
)

FORMULA_TRACE: Mapping[str, Any] = {
    "title": "Trace of a formula",
    **exactly(
        {
            "format": {"const": FORMAT},
            "version": {"const": VERSION},
            "kind": {"const": "formula"},
            "source": exactly({"text": {"type": "string"}, "name": {"type": "string"}}),
            "variables": _INDICES,
            "result": _INDEX,
            "math": exactly(
                {
                    "lines": {
                        "type": "array",
                        "items": exactly({"node": _INDEX, "left": TREE}, {"letters": TREE, "numbers": TREE}),
                    },
                    "latex": {"type": "string"},
                }
            ),
            "nodes": {"type": "array", "items": _NODE},
            "edges": {"type": "array", "items": _EDGE},
            "wires": {"type": "array", "items": exactly({"from": _INDEX, "to": _INDEX, "bends": _BENDS})},
            "size": exactly({"layers": COUNT, "breadth": {"type": "number"}}),
            "events": exactly({"reverse": _EVENTS, "forward": {"anyOf": [_EVENTS, {"type": "null"}]}}),
            "costs": exactly({"reverse": _COST, "forward": _COST}),
            "ledger": _LEDGER,
            "notes": {"type": "array", "items": {"type": "string"}},
            "program": _PROGRAM,
        }
    ),
}
