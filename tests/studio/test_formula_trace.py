"""The trace of a formula: chainrule's numbers, one node for each variable, places without overlaps, all as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ArgumentError, FormulaError
from chainrule.formula.functions import FUNCTIONS
from chainrule.studio.formulas import FORMULA_TRACE, FormulaTrace
from chainrule.studio.formulas.examples import EXAMPLES
from chainrule.studio.formulas.program import Program
from chainrule.studio.formulas.questions import strongest_paths, trace, values_at

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(x: Any) -> float:
    return _WORDS[x] if isinstance(x, str) else float(x)


def named(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    return next(node for node in found["nodes"] if node["name"] == name)


def test_articles_numbers() -> None:
    found = trace("(a+b)*(b+c)", {"a": -1, "b": 3, "c": 4})
    assert named(found, "f")["value"] == 14
    assert [named(found, name)["gradient"] for name in "abc"] == [7, 9, 2]
    assert [named(found, name)["value"] for name in "xy"] == [2, 7]
    assert found["costs"]["reverse"] == {"sweeps": 1, "products": 6, "nonzero_products": 6}
    assert found["costs"]["forward"]["sweeps"] == 3
    assert found["ledger"] == {
        "reused": 6,
        "separate": 8,
        "reuses": [{"node": named(found, name)["id"], "uses": 2} for name in "yx"],
    }
    simple = trace("(4x+1)^2", {"x": 1})
    assert (named(simple, "f")["value"], named(simple, "x")["gradient"]) == (25, 40)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.source}: {e.text[:20]}")
def test_examples_hold_the_schema_and_chainrules_numbers(example: Any) -> None:
    found = trace(example.text, example.values)
    jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), FORMULA_TRACE)
    f = cr.formula(example.text)
    value, gradients = cr.value_and_grad(f, argnums=tuple(range(len(f.variables))))(
        *(float(example.values[name]) for name in f.variables)
    )
    assert found["nodes"][found["result"]]["value"] == value.item()
    for name, gradient in zip(f.variables, gradients, strict=True):
        assert named(found, name)["gradient"] == pytest.approx(gradient.item(), rel=1e-14)
    assert named(found, example.wrt)["kind"] == "variable"


def test_a_variable_is_one_node_however_often_it_occurs() -> None:
    found = trace("x*x", {"x": 3})
    assert [node["name"] for node in found["nodes"]] == ["x", "f"]
    assert [edge["contribution"] for edge in found["edges"]] == [3, 3]
    assert named(found, "x")["gradient"] == 6


def test_gradients_meet_where_a_node_is_used_twice() -> None:
    found = trace("(a+b)*(b+c)", {})
    said = [event["t"] for event in found["events"]["reverse"]]
    assert said == ["start", *["value"] * 3, "seed", *["flow"] * 6, "sum", "done"]
    (meeting,) = [e["node"] for e in found["events"]["reverse"] if e["t"] == "sum"]
    assert found["nodes"][meeting]["name"] == "b"


def test_forward_mode_sweeps_once_for_each_variable() -> None:
    events = trace("(a+b)*(b+c)", {})["events"]["forward"]
    assert [e["node"] for e in events if e["t"] == "tseed"] == [0, 1, 2]
    assert sum(e["t"] == "tangent" for e in events) == 9


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_instructions_give_the_values_of_every_function(name: str) -> None:
    arguments = {1: "x", 2: "x, y", 3: "x, y, z"}
    points = [(0.3, 0.7, 0.9), (-1.5, 2.0, 2.0), (0.0, -0.0, 1.0), (4.0, 4.0, 4.0), (1e300, -3.0, 0.5)]
    accepted = 0
    for count, written in arguments.items():
        try:
            f = cr.formula(f"{name}({written})")
        except FormulaError:
            continue
        accepted += 1
        program = Program(f.graph.inputs, f.graph.nodes)
        for point in points:
            with np.errstate(all="ignore"):
                expected = [float(np.asarray(x)) for x in f.graph.evaluate(*point[:count])]
            found = program.run(point[:count])[program.values[-1]]
            np.testing.assert_array_equal(found, expected[0])
    assert accepted


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_instructions_give_the_local_derivatives(a: float, b: float) -> None:
    text = "tanh(a)*relu(b) + max(a, b)^2 / (1 + exp(a - b)) - abs(a*b)"
    found = FormulaTrace(text, {"a": a, "b": b})
    program = Program(found.formula.graph.inputs, found.nodes)
    registers = program.run((a, b))
    data = found.to_dict()
    for edge in data["edges"]:
        assert registers[program.locals[edge["to"]][edge["slot"]]] == pytest.approx(
            number(edge["local"]), rel=1e-13
        )


@pytest.mark.parametrize(
    "text",
    [
        "2^3",
        "5",
        "f(x, y) = x",
        "x",
        "g(x) = 7x + 3",
        "z = w x + b; σ(z)",
        "x^x^x",
        "1/0.5 + x",
        "π r^2",
        "sign(x) + floor(x)",
    ],
)
def test_unusual_formulas(text: str) -> None:
    found = trace(text, {})
    jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), FORMULA_TRACE)
    assert found["nodes"][found["result"]]["name"]
    assert len({(node["layer"], node["across"]) for node in found["nodes"]}) == len(found["nodes"])


def test_an_unused_variable_has_a_gradient_of_zero() -> None:
    found = trace("f(x, y) = x*x", {"x": 2, "y": 7})
    assert (named(found, "y")["value"], named(found, "y")["gradient"], named(found, "y")["paths"]) == (
        7,
        0,
        "0",
    )


def test_what_is_not_finite_comes_as_a_word() -> None:
    found = trace("log(x) * y", {"x": 0, "y": 2})
    assert named(found, "f")["value"] == "-Infinity"
    assert named(found, "x")["gradient"] == "Infinity"
    assert found["notes"]


def test_an_edit_keeps_the_keys_of_what_stays() -> None:
    before, after = trace("2*(a+b)*(b+c)", {}), trace("2*(a+b)*(b+c) + 2*a", {})
    assert {node["key"] for node in before["nodes"]} <= {node["key"] for node in after["nodes"]}
    assert len({node["key"] for node in after["nodes"]}) == len(after["nodes"])


def test_values_of_variables_that_an_edit_took_out_are_left_out() -> None:
    assert named(trace("a*2", {"a": 3, "b": 4}), "a")["value"] == 3


def test_too_large_and_wrong() -> None:
    with pytest.raises(ArgumentError, match="2,000 at most"):
        trace("+".join(f"x{i}*x{i}" for i in range(1200)), {})
    with pytest.raises(FormulaError, match="formula"):
        trace("", {})
    with pytest.raises(ArgumentError, match="name=number"):
        values_at("a=1,b")
    with pytest.raises(ArgumentError, match="no variable"):
        FormulaTrace("x", {"y": 1.0})


def test_strongest_paths_add_up() -> None:
    found = strongest_paths("(a+b)*(b+c)", {"a": -1, "b": 3, "c": 4}, "b")
    assert [(path["nodes"], path["product"]) for path in found["paths"]] == [
        (["f", "x", "b"], 7),
        (["f", "y", "b"], 2),
    ]
    assert found["total"] == 9


def test_letters_of_article_001() -> None:
    example = next(e for e in EXAMPLES if e.source == "article 001")
    found = trace(example.text, example.values)
    assert named(found, "z1")["letter"][0] == "msubsup"
    assert "δ" in named(found, "z1")["note"]
    assert named(found, "x1")["data"]
    assert not named(found, "w1")["data"]
