"""Mistakes in formulas: every message, with its caret and its fix; and no text that breaks the reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.formula.functions import FUNCTIONS


def mistake(text: str) -> tuple[str, str]:
    """Message and fix of the error that ``text`` raises."""
    with pytest.raises(cr.errors.FormulaError) as caught:
        cr.formula(text)
    return caught.value.message, caught.value.fix or ""


STRANGER = "does not belong in a formula"
LANGUAGE = "use letters a-z, A-Z or Greek, digits, + - * / ^ ( ) and functions such as sin(x)"
UNSEEN = "delete this character, which cannot be seen; spaces are allowed"

CATALOGUE = Path(__file__).with_name("formula_messages.txt").read_text(encoding="utf-8")
"""Errors as they are printed; the second line of each is the formula."""


@pytest.mark.parametrize("printed", [b for b in CATALOGUE.strip().split("\n\n") if not b.startswith("#")])
def test_message(printed: str):
    message, fix = printed.split("\n  Fix: ")
    assert mistake(message.splitlines()[1][4:]) == (message, fix)


@pytest.mark.parametrize(
    ("text", "column", "message", "fix"),
    [
        ("", 0, "the formula is empty", "write one, such as (a+b)*(b+c)"),
        (" ; ;", 0, "the formula is empty", "write one, such as (a+b)*(b+c)"),
        ("x = ", 3, 'nothing stands right of "="', "write a value: x = 1"),
    ],
)
def test_message_about_nothing(text: str, column: int, message: str, fix: str):
    assert mistake(text) == (f"{message}\n    {text}\n    {' ' * column}^", fix)


@pytest.mark.parametrize(
    ("text", "name", "line", "caret", "fix"),
    [
        ("x + 😀", "U+1F600 GRINNING FACE", r"x + \U0001f600", 4, LANGUAGE),
        ("😀", "U+1F600 GRINNING FACE", r"\U0001f600", 0, LANGUAGE),
        ("2\uff13", "U+FF13 FULLWIDTH DIGIT THREE", r"2\uff13", 1, "write 3"),
        ("\U0001d465", "U+1D465 MATHEMATICAL ITALIC SMALL X", r"\U0001d465", 0, "write x"),
        ("x\u2013y", "U+2013 EN DASH", r"x\u2013y", 1, "write - for minus"),
        ("a\u200bb", "U+200B ZERO WIDTH SPACE", r"a\u200bb", 1, UNSEEN),
        ("a\x00b", "U+0000 control character", r"a\x00b", 1, UNSEEN),
        ("a\x1b[31mb", "U+001B control character", r"a\x1b[31mb", 1, UNSEEN),
        ("a\u202eb", "U+202E RIGHT-TO-LEFT OVERRIDE", r"a\u202eb", 1, UNSEEN),
        ("a\u2066b", "U+2066 LEFT-TO-RIGHT ISOLATE", r"a\u2066b", 1, UNSEEN),
        ("a\u2062b", "U+2062 INVISIBLE TIMES", r"a\u2062b", 1, UNSEEN),
        ("a\u2028b", "U+2028 LINE SEPARATOR", r"a\u2028b", 1, UNSEEN),
        ("a\ud800b", "U+D800 unnamed character", r"a\ud800b", 1, UNSEEN),
        ("х", "U+0445 CYRILLIC SMALL LETTER HA", r"\u0445", 0, LANGUAGE),
        ("é", "U+00E9 LATIN SMALL LETTER E WITH ACUTE", r"\xe9", 0, LANGUAGE),
        ("“x”", "U+201C LEFT DOUBLE QUOTATION MARK", r"\u201cx\u201d", 0, "leave the quotation marks out"),
        (
            "x′",
            "U+2032 PRIME",
            r"x\u2032",
            1,
            "a name may have letters, digits and _: write x_1 instead of x'",
        ),
    ],
)
def test_characters_that_cannot_be_shown_are_escaped(text: str, name: str, line: str, caret: int, fix: str):
    assert mistake(text) == (f"{name} {STRANGER}\n    {line}\n    {' ' * caret}^", fix)


def test_the_caret_stands_under_the_character_after_what_is_escaped_or_wide():
    message, _ = mistake("α\t+ δ² ++* 𝑥")
    assert message.splitlines()[1:] == [r"    α + δ² ++* \U0001d465", "               ^"]


def test_a_line_of_several_is_shown_with_its_number():
    message, _ = mistake("a = 1\r\nb = 2\n\n c = a +* b\n d = 1")
    assert (
        message
        == 'line 4: expected a number, a name or "(" after "+", got "*"\n     c = a +* b\n            ^'
    )
    message, _ = mistake("sin(x\n+ y")
    assert message == 'line 1: this "(" is never closed\n    sin(x\n       ^'


def test_a_long_line_is_cut_around_the_caret():
    message, _ = mistake("a + " * 100 + "+* b" + " + c" * 100)
    first, line, caret = message.splitlines()
    assert first == 'expected a number, a name or "(" after "+", got "*"'
    assert line.startswith("    …")
    assert line.endswith("…")
    assert len(line) < 80
    assert line[caret.index("^")] == "*"


def test_an_error_names_the_line_of_the_program():
    with pytest.raises(cr.errors.FormulaError) as caught:
        cr.formula("3 +* 4")
    assert caught.value.source is not None
    assert caught.value.source.text == 'cr.formula("3 +* 4")'


@pytest.mark.parametrize(
    ("text", "at"), [("3 +* 4", 3), ("", 0), ("z = x + 1\nz * )", 14), ("x = a\n\ny = [b]", 11)]
)
def test_an_error_has_the_place_of_its_character(text: str, at: int):
    with pytest.raises(cr.errors.FormulaError) as caught:
        cr.formula(text)
    assert caught.value.at == at


# Limits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 10_000, "the formula is nested more than 200 deep"),
        ("sin(" * 2_000, "the formula is nested more than 200 deep"),
        ("(" * 201 + "x" + ")" * 201, "the formula is nested more than 200 deep"),
        ("-" * 19_000 + "x", "the formula is nested more than 200 deep"),
        ("^".join(["x"] * 4_000), "the formula is nested more than 200 deep"),
        ("/".join(["x"] * 2_000), "the formula is nested more than 200 deep"),
        ("+".join(["x"] * 2_501), "the formula has more than 5,000 numbers, names and operations"),
        ("x " * 9_999, "the formula has more than 5,000 numbers, names and operations"),
        ("x;" * 5_001, "the value of this line is lost: only the last line may be without a name"),
        ("x" * 20_001, "the formula has 20,001 characters, at most 20,000 are read"),
        (" " * 10_000_000, "the formula has 10,000,000 characters, at most 20,000 are read"),
        ("x" * 51, "a name of 51 characters: at most 50 are read"),
        ("1" * 1_001, "a number of 1,001 characters: at most 1,000 are read"),
        ("1." + "0" * 10_000, "a number of 10,002 characters: at most 1,000 are read"),
        ("9" * 1_000, "99999999999999999999999999999… overflows: the largest float64 is about 1.8e308"),
        ("1e" + "9" * 900, "1e999999999999999999999999999… overflows: the largest float64 is about 1.8e308"),
        ("9^" * 150 + "9", "9^9^9 overflows: the largest float64 is about 1.8e308"),
    ],
    ids=lambda text: text[:20],
)
def test_limits_are_met_at_once(text: str, message: str):
    got, _ = mistake(text)
    assert got.splitlines()[0] == message
    assert all(len(line) < 120 for line in got.splitlines())


# Any text at all

WORDS = [
    *"0123456789+-*/^()=;,.\n \txyzefgπσδ_₁²³⁻·×−÷√|$@'",
    "**",
    "sin(",
    "x_1",
    "1e",
    "max(",
    "f(x) = ",
    "e^",
    "9^",
]
texts = st.one_of(
    st.text(),
    st.text(st.characters(codec=None), max_size=30),
    st.lists(st.sampled_from(WORDS), max_size=60).map("".join),
    st.lists(st.sampled_from([*FUNCTIONS, *WORDS]), max_size=40).map("".join),
)


def read(text: str) -> cr.Formula | cr.errors.FormulaError:
    try:
        return cr.formula(text)
    except cr.errors.FormulaError as error:
        return error


@given(texts)
@example("x=(\n=")
@example("σ(σ=")
@example("f(x)=;")
@example("z=e;z=z")
@example("\r\n(\r\n)")
def test_any_text_is_a_formula_or_a_mistake(text: str):
    result = read(text)
    if isinstance(result, cr.Formula):
        check_formula(result)
    else:
        check_mistake(result)


def check_mistake(error: cr.errors.FormulaError):
    """The message is a sentence, a line, and a caret under it or directly behind it."""
    message, line, caret = error.message.split("\n")
    assert caret.strip() == "^"
    assert caret.index("^") <= len(line)
    assert message.isprintable()
    assert line.isprintable()
    assert error.fix


def check_formula(f: cr.Formula):
    """Graph, names, spans and LaTeX agree with each other, and the formula can be evaluated."""
    f.graph.verify()
    assert set(f.spans) == set(f.graph.nodes)
    assert all(0 <= a < b <= len(f.text) for a, b in f.spans.values())
    names = [n.name for n in f.graph.nodes if n.op is not None]
    assert None not in names
    assert len({*names, *f.variables}) == len(names) + len(f.variables)
    assert f(*range(1, len(f.variables) + 1)).shape == ()
    assert f.latex.count("{") == f.latex.count("}")
    assert f.latex.count(r"\left") == f.latex.count(r"\right")
