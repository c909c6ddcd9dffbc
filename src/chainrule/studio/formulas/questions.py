"""What the formula page asks: the trace of a formula, the strongest paths to a node, and the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.errors import ArgumentError
from chainrule.explain import explain
from chainrule.explain.numbers import json_number
from chainrule.formula import formula
from chainrule.studio.endpoints import Endpoint
from chainrule.studio.formulas.examples import EXAMPLES, presentation_of
from chainrule.studio.formulas.trace import FormulaTrace

_NUMBER = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
TEXT = {"type": "string", "maxLength": 20_000, "description": "a formula, such as (a+b)*(b+c)"}
AT = {"type": "string", "maxLength": 20_000, "description": "values of variables, such as a=-1,b=3"}
_TRACE = {"$ref": "#/components/schemas/FormulaTrace"}
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def endpoints() -> Sequence[Endpoint]:
    """All that the page asks."""
    return (
        Endpoint(
            "GET",
            "/api/formula",
            "The trace of a formula: values, gradients, places, events, words.",
            lambda given: _exactly(given["text"], values_at(given.get("at", ""))),
            {"type": "object", "properties": {"text": TEXT, "at": AT}, "required": ["text"]},
            _TRACE,
        ),
        Endpoint(
            "POST",
            "/api/formula",
            "The same, for texts and values of any length.",
            lambda given: trace(given["text"], _numbers(given.get("values", {}))),
            {
                "type": "object",
                "properties": {"text": TEXT, "values": {"type": "object", "additionalProperties": _NUMBER}},
                "required": ["text"],
            },
            _TRACE,
        ),
        Endpoint(
            "GET",
            "/api/formula/paths",
            "The strongest paths from the result to a variable or an intermediate result.",
            lambda given: strongest_paths(given["text"], values_at(given.get("at", "")), given["node"]),
            {
                "type": "object",
                "properties": {"text": TEXT, "at": AT, "node": {"type": "string", "maxLength": 200}},
                "required": ["text", "node"],
            },
            {"type": "object"},
        ),
        Endpoint(
            "GET",
            "/api/formula/examples",
            "The examples of the four articles, and some more.",
            lambda given: [example.to_dict() for example in EXAMPLES],
            {"type": "object", "properties": {}},
            {"type": "array", "items": {"type": "object"}},
        ),
    )


def trace(text: str, values: Mapping[str, float]) -> dict[str, Any]:
    """The trace of a formula as plain data."""
    return trace_of(text, values).to_dict()


def trace_of(text: str, values: Mapping[str, float]) -> FormulaTrace:
    """The trace of a formula, shown as the example of the same text.

    Values of variables that an edit has taken out of the formula are left out.
    """
    known = set(formula(text).variables)
    at = {name: value for name, value in values.items() if name in known}
    return FormulaTrace(text, at, presentation_of(text))


def _exactly(text: str, values: Mapping[str, float]) -> dict[str, Any]:
    """The same, where a value for no variable is a mistake."""
    return FormulaTrace(text, values, presentation_of(text)).to_dict()


def strongest_paths(text: str, values: Mapping[str, float], node: str) -> dict[str, Any]:
    """The strongest paths from the result to ``node``, each with the names on it, its factors and its product."""
    found = FormulaTrace(text, values, presentation_of(text))
    explanation = explain(found.formula(**found.values), node)
    (derivation,) = explanation.derivations
    paths = derivation.paths
    return {
        "count": None if paths.count is None else str(paths.count),
        "paths": [
            {
                "nodes": [explanation.named(i) for i in path.nodes],
                "factors": [json_number(float(x)) for x in path.factors if isinstance(x, float)],
                "product": json_number(float(path.product)),
            }
            for path in paths.listed
        ],
        "rest": json_number(float(paths.rest)),
        "total": json_number(float(paths.total)),
    }


def values_at(text: str) -> dict[str, float]:
    """``a=-1,b=3`` as numbers by name.

    Raises:
        ArgumentError: something else.
    """
    values: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, sign, written = part.partition("=")
        try:
            values[name.strip()] = float(written)
        except ValueError:
            sign = ""
        if not sign:
            raise ArgumentError(f"expected name=number, got {part[:60]!r}", fix="write a=-1,b=3")
    return values


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: _WORDS[x] if isinstance(x, str) else float(x) for name, x in values.items()}
