"""The page's own numbers against chainrule's: every function of the language, and how numbers are written."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import FormulaError
from chainrule.explain.numbers import json_number, number_text
from chainrule.formula.functions import FUNCTIONS
from chainrule.studio.formulas import FormulaTrace
from chainrule.studio.formulas.program import Program

RUN = """
async ([program, points]) => {
  const { makeProgram } = await import('/js/formula/program.js');
  const run = makeProgram(program);
  const words = x => (Number.isFinite(x) ? (Object.is(x, -0) ? '-0' : x) : String(x));
  return points.map(point => [...run(point.map(Number))].map(words));
}
"""
SWEEP = """
async ([trace, points]) => {
  const { makeNumbers } = await import('/js/formula/sweep.js');
  const numbers = makeNumbers(trace);
  return points.map(point => {
    numbers.set(point);
    const elsewhere = numbers.at(point, trace.variables[0]);
    return { values: [...numbers.values], gradients: [...numbers.gradients], elsewhere };
  });
}
"""
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 2.5, -2.5, 3.0, math.nan, math.inf, -math.inf]
ORDINARY = [0.3, -0.7, 1.7, -2.9, 7.25, -11.5, 1e-9, -1e-9, 1e9, 40.0, -40.0, 1e300, 5e-324]
OPERATORS = ["x + y", "x - y", "x * y", "x / y", "x ^ y", "-x", "x^2", "x^0.5", "2^x", "x // y", "x % y"]
CLOSE, EPSILON = 1e-13, 2.0**-53


def calls() -> list[tuple[str, int]]:
    """Every function with each number of arguments that it takes, and the operators."""
    found: list[tuple[str, int]] = []
    for name in sorted(FUNCTIONS):
        for count, written in enumerate(("x", "x, y", "x, y, z"), start=1):
            found += [(f"{name}({written})", count)] if is_formula(f"{name}({written})") else []
    return found + [(text, 2 if "y" in text else 1) for text in OPERATORS if is_formula(text)]


def is_formula(text: str) -> bool:
    try:
        cr.formula(text)
    except FormulaError:
        return False
    return True


def points_for(count: int) -> list[tuple[float, ...]]:
    """Special values against each other, and ordinary ones."""
    random.seed(count)
    everything = [*SPECIAL, *ORDINARY]
    if count == 1:
        return [(x,) for x in everything] + [(random.gauss(0, 3),) for _ in range(200)]
    pairs = [(x, y) for x in everything for y in everything] + [
        (random.gauss(0, 3), random.gauss(0, 3)) for _ in range(100)
    ]
    return pairs if count == 2 else [(*pair, random.choice(everything)) for pair in pairs]


def differs(found: float, expected: float, lost: float = 0.0) -> bool:
    """``lost``: what a sum of numbers that cancel may lose, where its terms differ in their last digit."""
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) != math.isnan(found)
    if math.isinf(expected) or math.isinf(found):
        return found != expected
    return abs(found - expected) > max(CLOSE * abs(expected), lost, 5e-322)


def lost_by_cancelling(program: Program, registers: list[float]) -> list[float]:
    """By how much each register may be off where terms that cancel differ in their last digit, as in 1 − tanh²."""
    lost = [0.0] * len(registers)
    for name, register, xs in program.recorder.steps:
        if name in ("add", "sub"):
            lost[register] = sum(lost[x] + 2 * EPSILON * abs(registers[x]) for x in xs)
        elif name == "mul":
            lost[register] = sum(lost[x] * abs(registers[y]) for x, y in (xs, xs[::-1]))
    return [x if math.isfinite(x) else 0.0 for x in lost]


def test_every_instruction_gives_what_numpy_gives(scripts: Any) -> None:
    """Values and local derivatives of every function, register by register."""
    wrong: list[str] = []
    compared = 0
    for text, count in calls():
        f = cr.formula(text)
        program = Program(f.graph.inputs, f.graph.nodes)
        points = points_for(len(f.graph.inputs))
        written = [[str(x).replace("nan", "NaN").replace("inf", "Infinity") for x in p] for p in points]
        answers = scripts.evaluate(RUN, [program.to_dict(), written])
        wanted = sorted({*program.values, *(r for registers in program.locals for r in registers)})
        for point, answer in zip(points, answers, strict=True):
            if text in ("x ^ y", "x^0.5") and (*point, 0.5)[:2] == (-math.inf, 0.5):
                continue  # ∞ in IEEE 754 and C; NumPy takes the root, NaN
            expected = program.run(point)
            lost = lost_by_cancelling(program, expected)
            for register in wanted:
                compared += 1
                if differs(float(answer[register]), expected[register], lost[register]):
                    at = f"{text} at {point[:count]}, register {register}"
                    wrong.append(f"{at}: {answer[register]} instead of {expected[register]!r}")
    assert compared > 20_000
    assert not wrong, "\n".join([f"{len(wrong)} differ", *wrong[:60]])


@pytest.mark.parametrize(
    "text",
    [
        "(a+b)*(b+c)",
        "tanh(a)*relu(b) + max(a, b)^2 / (1 + exp(a - b)) - abs(a*b)",
        "-log(1/(1+exp(-a*b))) + min(a^3, sin(b))*c",
        "a/b + sqrt(c) + erf(a)*gelu(b) + softplus(c)",
    ],
)
def test_both_passes_give_chainrules_values_and_gradients(scripts: Any, text: str) -> None:
    generator = np.random.default_rng(7)
    names = cr.formula(text).variables
    points = [tuple(map(float, p)) for p in generator.normal(0, 2, (40, len(names)))]
    answers = scripts.evaluate(SWEEP, [FormulaTrace(text).to_dict(), points])
    for point, answer in zip(points, answers, strict=True):
        with np.errstate(all="ignore"):
            expected = FormulaTrace(text, dict(zip(names, point, strict=True)))
        count = len(expected.nodes)
        values = [expected.value(i) for i in range(count)]
        gradients = [expected.gradient(i) for i in range(count)]
        for i in range(count):
            assert not differs(answer["values"][i], values[i])
            if gradients[i] is not None:
                assert answer["gradients"][i] == pytest.approx(
                    gradients[i], rel=1e-11, abs=1e-12, nan_ok=True
                )
        assert answer["elsewhere"]["value"] == pytest.approx(values[expected.result], nan_ok=True, rel=1e-12)


def test_numbers_are_written_as_in_python(scripts: Any) -> None:
    generator = random.Random(3)
    numbers = [s * m * 10.0**p for s in (1, -1) for p in range(-12, 13) for m in (1, 9.9995, 1.0005, 2.5)]
    numbers += [s * k / 2**p for s in (1, -1) for p in range(12) for k in range(1, 4000, 7)]
    numbers += [generator.gauss(0, 10 ** generator.uniform(-8, 8)) for _ in range(6000)]
    numbers += [float(generator.randint(-200_000, 200_000)) for _ in range(500)]
    numbers += [struct.unpack("d", generator.randbytes(8))[0] for _ in range(500)]
    numbers += [0.0, -0.0, math.nan, math.inf, -math.inf, 99_999.0, 99_999.5, 0.001, 0.00099995, 5e-324]
    for digits in (2, 3, 4, 5):
        written = scripts.evaluate(
            "async ([numbers, digits]) => { const { fmt, fromJson } = await import('/js/numbers.js');"
            " return numbers.map(x => fmt(fromJson(x), digits)); }",
            [[json_number(x) for x in numbers], digits],
        )
        wrong = [
            (x, found, number_text(x, digits))
            for x, found in zip(numbers, written, strict=True)
            if found != number_text(x, digits)
        ]
        assert not wrong, (len(wrong), wrong[:20])


EXACT = {
    "1/2": 0.5,
    "−1.5": -1.5,
    "pi/4": math.pi / 4,
    "2^(1/2)": 2**0.5,
    "-2^2": -4,
    "1e-3": 1e-3,
    " 3 ": 3,
    "1,5": 1.5,
    "2*(3-1)/4": 1,
    "inf": math.inf,
    "-∞": -math.inf,
    "2**-1": 0.5,
}
NO_NUMBERS = [
    "",
    "x",
    "1/",
    "(1",
    "1 2",
    "alert(1)",
    "constructor",
    "__proto__",
    "1..2",
    "()",
    "e e",
    "(" * 300,
]


def test_what_a_hand_writes_is_read_as_a_number(scripts: Any) -> None:
    read = (
        "async texts => { const { exactNumber } = await import('/js/formula/exact.js');"
        " return texts.map(exactNumber); }"
    )
    assert scripts.evaluate(read, list(EXACT)) == pytest.approx(list(EXACT.values()), rel=1e-15)
    assert scripts.evaluate(read, NO_NUMBERS) == [None] * len(NO_NUMBERS)
    assert math.isnan(scripts.evaluate(read, ["nan"])[0])
