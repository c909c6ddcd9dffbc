"""What a question takes, and what is wrong with what it got, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, exceptions

from chainrule.errors import ArgumentError, shown
from chainrule.formula.mistakes import closest

_KINDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
"""JSON's types in words."""

_WRITTEN = {
    "string": '"x"',
    "number": "0.5",
    "integer": "3",
    "boolean": "true",
    "array": "[1, 2]",
    "object": "{}",
}
_COMPARED = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "more than",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
}
_COUNTED = {
    "minLength": ("at least", "character", "characters"),
    "maxLength": ("at most", "character", "characters"),
    "minItems": ("at least", "element", "elements"),
    "maxItems": ("at most", "element", "elements"),
    "minProperties": ("at least", "name", "names"),
    "maxProperties": ("at most", "name", "names"),
}
_JSONSCHEMA: Any = exceptions
"""Its annotations have gaps."""
_LOOKED_AT = 50
"""Of many mistakes so many are compared for the one that is told."""


class Schema:
    """What a question takes. Names that are not among the properties are refused.

    Args:
        takes: JSON Schema of an object.
    """

    def __init__(self, takes: Mapping[str, Any]) -> None:
        self._document = closed(takes)
        Draft202012Validator.check_schema(self._document)
        self._validator: Any = Draft202012Validator(self._document)

    def kinds(self, name: str) -> tuple[str, ...]:
        """Types, of those that JSON has, which an argument may have."""
        kinds = self._document.get("properties", {}).get(name, {}).get("type", ())
        return (kinds,) if isinstance(kinds, str) else tuple(kinds)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise the most telling mistake, if there is any.

        Raises:
            ArgumentError: an argument is missing, or not what the schema says.
        """
        found: Iterator[Any] = self._validator.iter_errors(arguments)
        try:
            error = _JSONSCHEMA.best_match(islice(found, _LOOKED_AT))
            mistake = None if error is None else _said(error)
        except RecursionError:
            mistake = too_deep()
        if mistake is not None:
            raise mistake


def closed(takes: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object, in which no other names are allowed unless it says so."""
    return {"type": "object", "additionalProperties": False, **takes}


def too_deep() -> ArgumentError:
    """The mistake of lists within lists within lists."""
    return ArgumentError(
        "the body is nested too deeply", fix="send fewer lists and objects within each other"
    )


def _said(error: Any) -> ArgumentError:
    """A mistake that jsonschema found, in chainrule's words."""
    rule, wanted, got = str(error.validator), error.validator_value, error.instance
    where = ".".join(str(part) for part in error.absolute_path) or "the body"
    where = where if len(where) <= 80 else f"{where[:77]}..."
    if rule == "required":
        return _missing(error, where)
    if rule == "additionalProperties":
        return _unknown(error)
    if rule == "type":
        kinds: list[str] = [wanted] if isinstance(wanted, str) else list(wanted)
        words = " or ".join(_KINDS[kind] for kind in kinds)
        return ArgumentError(
            f"{where} must be {words}, got {_as_json(got)}", fix=f"write {_WRITTEN.get(kinds[0], 'null')}"
        )
    if rule in ("enum", "const"):
        return _no_choice(where, list(wanted) if rule == "enum" else [wanted], got)
    if rule in _COMPARED:
        such = "another number" if "exclusive" in rule else f"another number, such as {wanted}"
        return ArgumentError(
            f"{where} must be {_COMPARED[rule]} {wanted}, got {_as_json(got)}", fix=f"write {such}"
        )
    if rule in _COUNTED:
        bound, one, many = _COUNTED[rule]
        return ArgumentError(
            f"{where} must have {bound} {wanted} {one if wanted == 1 else many}, got {len(got)}",
            fix=f"send {'fewer' if rule.startswith('max') else 'more'}",
        )
    return ArgumentError(
        f"{where}: {_as_json(got)} does not fit: {rule} {_as_json(wanted)}", fix="see /api/openapi.json"
    )


def _no_choice(where: str, choices: list[Any], got: Any) -> ArgumentError:
    names = [one for one in choices if isinstance(one, str)]
    meant = closest(got[:100], names) if isinstance(got, str) else None
    return ArgumentError(
        f"{where} must be {' or '.join(map(_as_json, choices))}, got {_as_json(got)}",
        fix=f"did you mean {_as_json(meant)}?" if meant else f"write {_as_json(choices[0])}",
    )


def _missing(error: Any, where: str) -> ArgumentError:
    name = next(str(name) for name in error.validator_value if name not in error.instance)
    kind = error.schema.get("properties", {}).get(name, {}).get("type", "string")
    written = _WRITTEN.get(kind if isinstance(kind, str) else kind[0], "...")
    within = "" if where == "the body" else f" in {where}"
    return ArgumentError(f"there is no {name}{within}", fix=f"pass it: {name}={written}")


def _unknown(error: Any) -> ArgumentError:
    known = [str(name) for name in error.schema.get("properties", ())]
    name = next(str(name) for name in error.instance if name not in known)
    meant = closest(name[:100], known)
    if meant:
        fix = f"did you mean {meant}?"
    else:
        fix = f"the arguments are {', '.join(known)}" if known else "leave it out: nothing is taken here"
    return ArgumentError(f"there is no argument {shown(name)}", fix=fix)


def _as_json(value: Any) -> str:
    """``value`` on one short line."""
    if isinstance(value, list) and len(value) > 20:  # pyright: ignore[reportUnknownArgumentType]
        return f"a list of {len(value)}"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict) and len(value) > 20:  # pyright: ignore[reportUnknownArgumentType]
        return f"an object of {len(value)}"  # pyright: ignore[reportUnknownArgumentType]
    text = json.dumps(value[:100] if isinstance(value, str) else value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
