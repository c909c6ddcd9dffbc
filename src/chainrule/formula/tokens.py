"""From characters to tokens."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, NamedTuple, TypeAlias

from chainrule.errors import FormulaError
from chainrule.formula.mistakes import GREEK, mistake

MAX_LENGTH = 20_000
MAX_NAME = 50
MAX_NUMBER = 1_000

Kind: TypeAlias = Literal["number", "name", "operator", "(", ")", ",", "=", "power", ";", "newline", "end"]
Span: TypeAlias = "tuple[int, int]"


class Token(NamedTuple):
    """A piece of the text.

    Attributes:
        kind: ``power`` is a raised number, as in ``x²``; every other kind is its own name.
        text: in the one spelling that the grammar knows: ``−`` is ``-``, ``w₁`` is ``w_1``, ``²`` is ``2``.
        start, end: where it stands in the formula's text.
    """

    kind: Kind
    text: str
    start: int
    end: int


_LETTER = "A-Za-z" + GREEK.replace("α-ω", "α-ορ-ω")
"""Letters of names. π is not among them, so that ``πr`` is a product."""

_TOKEN = re.compile(
    rf"""
      (?P<space>   [ \t\xa0]+)
    | (?P<newline> [\r\n]+)
    | (?P<number>  (?: [0-9]+ \.? [0-9]* | \.[0-9]+ ) (?: [eE] [+\-−]? [0-9]+ )?)
    | (?P<name>    π | [{_LETTER}] [{_LETTER}0-9]* (?: _ [{_LETTER}0-9]+ )* [₀-₉]* | √)
    | (?P<power>   [⁺⁻]? [⁰¹²³⁴-⁹]+)
    | (?P<operator> \*\* | [-+*/^×·⋅∗÷−])
    | (?P<sign>    [(),=;])
    """,
    re.VERBOSE,
)
_OPERATORS = {"**": "^", "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "−": "-"}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def tokenize(text: str) -> list[Token]:
    """Split ``text`` into tokens, spaces left out.

    Raises:
        FormulaError: a character is not of the language, or the text, a name or a number is too long.
    """
    if len(text) > MAX_LENGTH:
        raise mistake(
            text,
            MAX_LENGTH,
            f"the formula has {len(text):,} characters, at most {MAX_LENGTH:,} are read",
            "split it into several formulas, or build it in Python with cr.tensor",
        )
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _stranger(text, at)
        if found.lastgroup != "space":
            tokens.append(_token(text, found))
        at = found.end()
    return tokens


def _token(text: str, found: re.Match[str]) -> Token:
    kind, written, (start, end) = found.lastgroup, found[0], found.span()
    if kind == "number":
        _check_number(text, start, end)
        return Token("number", written.replace("−", "-"), start, end)
    if kind == "name":
        if end - start > MAX_NAME:
            raise mistake(
                text,
                start,
                f"a name of {end - start:,} characters: at most {MAX_NAME} are read",
                "choose a shorter name; a product of variables is written with * or a space between them",
            )
        return Token("name", normal_name(written), start, end)
    if kind == "operator":
        return Token("operator", _OPERATORS.get(written, written), start, end)
    if kind == "power":
        return Token("power", written.translate(_RAISED), start, end)
    if kind == "newline":
        return Token("newline", "\n", start, end)
    return Token(written, written, start, end)  # pyright: ignore[reportArgumentType]  # one of ( ) , = ;


def normal_name(name: str) -> str:
    """The one spelling of a name: as Python spells identifiers (``µ`` is ``μ``), and ``w₁`` as ``w_1``."""
    base = name.rstrip("₀₁₂₃₄₅₆₇₈₉")
    index = name[len(base) :].translate(_LOWERED)
    return unicodedata.normalize("NFKC", f"{base}_{index}" if index else base)


def _check_number(text: str, start: int, end: int) -> None:
    if end - start > MAX_NUMBER:
        raise mistake(
            text,
            start,
            f"a number of {end - start:,} characters: at most {MAX_NUMBER:,} are read",
            "round it: a float64 holds about 16 digits",
        )
    if text[end : end + 1] == ".":
        raise mistake(
            text,
            end,
            "a number has one decimal point, this is the second",
            "write one number, such as 1.5, or put an operator between two",
        )


_FIXES = {
    **dict.fromkeys("[]{}", "use round parentheses: ( and )"),
    **dict.fromkeys("'′’", "a name may have letters, digits and _: write x_1 instead of x'"),
    **dict.fromkeys('"“”`', "leave the quotation marks out"),
    **dict.fromkeys("<>≤≥", "choose with max(a, b), min(a, b) or relu(x) instead of a comparison"),
    **dict.fromkeys("–—", "write - for minus"),
    "|": "write abs(x) for the absolute value",
    "$": "leave the dollar signs of LaTeX out",
    "\\": "write sqrt(x), pi and a/b instead of LaTeX's commands",
    ".": "a decimal point stands beside a digit, as in 0.5; write * for a product",
    "_": "a name starts with a letter, and _ stands between letters or digits, as in w_1",
    "!": "write a factorial out as a product",
    "%": "write x/100 for a percentage",
    ":": "write = to name a value, and / to divide",
    "#": "leave comments out",
    "∞": "write a large number, such as 1e300",
}


def _stranger(text: str, at: int) -> FormulaError:
    char = text[at]
    plain = unicodedata.normalize("NFKC", char)
    fix = _FIXES.get(char)
    if fix is None and plain != char and plain.strip() and all(_TOKEN.match(c) for c in plain):
        fix = f"write {plain}"
    elif fix is None and (not char.isprintable() or char.isspace()):
        fix = "delete this character, which cannot be seen; spaces are allowed"
    elif fix is None:
        fix = "use letters a-z, A-Z or Greek, digits, + - * / ^ ( ) and functions such as sin(x)"
    return mistake(text, at, f"{describe(char)} does not belong in a formula", fix)


def describe(char: str) -> str:
    """The character in quotation marks if it is plain ASCII, else its number and name in Unicode."""
    if " " < char <= "~":
        return f'"{char}"' if char != '"' else "'\"'"
    kind = "control character" if unicodedata.category(char) == "Cc" else "unnamed character"
    return f"U+{ord(char):04X} {unicodedata.name(char, kind)}"
