"""Numbers and arrays as they are written, and where NaN and infinities come from."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.explain import Explanation, explain
from chainrule.explain.numbers import (
    count_text,
    counted,
    factor_text,
    json_value,
    number_latex,
    number_text,
    value_text,
)


def formula(text: str, wrt: Any = None, **values: float) -> Explanation:
    return explain(cr.formula(text)(**values), wrt)


def variable(value: Any, name: str = "x") -> Any:
    return cr.tensor(value, requires_grad=True, name=name)


@pytest.mark.parametrize(
    ("number", "text", "latex"),
    [
        (0.0, "0", "0"),
        (-0.0, "0", "0"),
        (-2.5, "−2.5", "-2.5"),
        (1797.0, "1797", "1797"),
        (12345.0, "12345", "12345"),
        (12345.678, "12346", "12346"),
        (2 / 3, "0.6667", "0.6667"),
        (0.001, "0.001", "0.001"),
        (0.99999, "1", "1"),
        (0.0009996, "9.996·10⁻⁴", r"9.996 \cdot 10^{-4}"),
        (99999.9, "10⁵", "10^{5}"),
        (9.77312e-5, "9.773·10⁻⁵", r"9.773 \cdot 10^{-5}"),
        (-1e-20, "−10⁻²⁰", "-10^{-20}"),
        (math.nan, "NaN", r"\mathrm{NaN}"),
        (-math.inf, "−∞", r"-\infty"),
    ],
)
def test_numbers(number: float, text: str, latex: str):
    assert number_text(number) == text
    assert number_latex(number) == latex


def test_numbers_in_context():
    assert (factor_text(-1.0), factor_text(2.0), factor_text(3e-7)) == ("(−1)", "2", "(3·10⁻⁷)")
    assert (count_text(1_797), count_text(10**30)) == ("1,797", "10³⁰")
    assert value_text(np.array([1.0, -2.0])) == "[1, −2]"
    assert value_text(np.array([[1.0, np.nan], [3.0, -4.0]])) == "[[1, NaN], [3, −4]]"
    assert value_text(np.array([[1.0, np.nan], [3.0, -4.0]] * 3)) == "6×2, −4 to 3, 3 not finite"
    assert (counted(1, "path"), counted(2, "path")) == ("1 path", "2 paths")
    assert value_text(np.zeros((0, 3))) == "0×3, no elements"
    assert json_value(np.array([np.inf, 1.0]))["elements"] == ["Infinity", 1.0]
    assert "elements" not in json_value(np.zeros(2_000))


def test_a_factor_near_one_is_not_written_as_one():
    x = variable(1.1)
    text = explain(x * 1.0001 * 1.0001).text
    assert "y = x·1.0001 = 1.1·1.0001 = 1.1001" in text
    assert "∂f/∂x = ∂f/∂y·∂y/∂x = 1.0001·1.0001 = 1.0002" in text
    far = explain(x * (1 + 1e-12))
    assert "1.1·(1 + 10⁻¹²) = 1.1   ∂f/∂x = 1 + 10⁻¹²" in far.text
    assert explain(x * 0.5 * 3.0).digits == 4
    assert r"1.1 \cdot 1.0001" in explain(x * 1.0001).latex


def test_rounding_is_not_shown():
    assert explain(variable(1.0) * (1 + 2.3e-16)).digits == 4


@pytest.mark.parametrize(
    ("text", "values", "notes"),
    [
        ("log(x)", {"x": -1}, ["NaN starts at f = log(x): x = −1 lies outside its domain."]),
        (
            "x^y",
            {"x": -8, "y": 0.5},
            [
                "NaN starts at f = x^y, where x = −8 and y = 0.5.",
                "Backward, NaN starts at ∂f/∂y: the local derivative ∂f/∂y is NaN where x = −8 and y = 0.5.",
            ],
        ),
        (
            "1/x",
            {"x": 0},
            [
                "∞ starts at f = 1/x, where x = 0.",
                "Backward, −∞ starts at ∂f/∂x: the local derivative ∂f/∂x = −f/x is −∞ where x = 0.",
            ],
        ),
        (
            "sqrt(x)+y",
            {"x": 0, "y": 1},
            ["Backward, ∞ starts at ∂f/∂x: the local derivative ∂z/∂x = 0.5/z is ∞ where x = 0."],
        ),
        ("x*y", {"x": 1, "y": 2}, []),
    ],
)
def test_where_the_infinite_starts(text: str, values: dict[str, float], notes: list[str]):
    explanation = formula(text, **values)
    assert list(explanation.notes) == notes
    assert json.loads(json.dumps(explanation.to_dict(), allow_nan=False))["notes"] == notes
    for note in notes:
        assert note in explanation.text
        assert note in explanation._repr_html_()


def test_where_the_infinite_starts_in_arrays():
    x = variable([1.0, -1.0, 2.0, -4.0])
    (note,) = explain(cr.log(x).sum()).notes
    assert note == (
        "NaN starts at y = log(x), in 2 of 4 elements, the first at [1]: x = −1 lies outside its domain."
    )
    first, second, *_ = explain((cr.log(variable(0.0)) * 1.0) - cr.log(variable(0.0, "y"))).notes
    assert first.startswith("−∞ starts at ")
    assert second.startswith("NaN starts at f = ")
    (given, *_) = explain(variable(math.nan) * 2.0).notes
    assert given == "NaN is there from the start: x = NaN."
