"""Words of JSON Schema in which the pages' traces are described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NUMBER: Final[dict[str, Any]] = {
    "description": "full precision; what JSON has no numbers for comes as a word",
    "anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}],
}
COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}
TREE: Final[dict[str, Any]] = {
    "description": "a formula: a text, or [tag, {attributes}, child, ...]; tags are those of MathML, num and node",
    "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "prefixItems": [{"type": "string"}]}],
}


def exactly(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An object with these entries, those that may be left out, and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }
