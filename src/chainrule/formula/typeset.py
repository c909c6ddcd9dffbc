"""LaTeX of a formula as it was written: fractions, roots, powers, Greek letters, subscripts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from chainrule.formula.expressions import Term
from chainrule.formula.functions import CONSTANTS, FUNCTIONS
from chainrule.formula.statements import Statement

_SUM, _NEGATIVE, _PRODUCT, _POWER, _ATOM = range(5)

_LOOK_LATIN = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
"""Greek letters that look like Latin ones, for which TeX has no commands."""


def _greek(char: str) -> str:
    """LaTeX of a Greek letter."""
    if char in _LOOK_LATIN:
        return _LOOK_LATIN[char]
    if char == "ς":
        return r"\varsigma"
    spelled = unicodedata.name(char).split()[-1].replace("LAMDA", "LAMBDA").lower()
    return rf"\{spelled.capitalize() if char.isupper() else spelled}"


LETTERS = {chr(code): _greek(chr(code)) for code in range(ord("Α"), ord("ω") + 1) if chr(code).isalpha()}
_COMMANDS = {latex for latex in LETTERS.values() if latex.startswith("\\")}


class _Piece(NamedTuple):
    """LaTeX, how tightly its outermost sign binds, and whether it begins with a digit."""

    latex: str
    level: int
    digit: bool = False

    def at_least(self, level: int) -> str:
        """The LaTeX, in parentheses unless it binds as tightly as ``level``."""
        return self.latex if self.level >= level else rf"\left({self.latex}\right)"

    def begins(self, level: int) -> bool:
        """Whether that begins with a digit."""
        return self.digit and self.level >= level


def typeset(statements: Sequence[Statement], result: str) -> str:
    """LaTeX for display mathematics: one equation, or several aligned at their equals signs.

    Args:
        statements: the lines of the formula.
        result: the name of the last one, where it has none.
    """
    lines = [(left(s, result), expression(s.terms)) for s in statements]
    if len(lines) == 1:
        return " = ".join(lines[0])
    rows = r" \\ ".join(f"{left} &= {right}" for left, right in lines)
    return rf"\begin{{aligned}} {rows} \end{{aligned}}"


def left(statement: Statement, result: str) -> str:
    """LaTeX of the left side of a line: its name, that of the result where it has none, and its parameters."""
    target = name(statement.target or result)
    if statement.parameters is None:
        return target
    return rf"{target}\left({', '.join(map(name, statement.parameters))}\right)"


def expression(
    terms: Sequence[Term],
    mark: Callable[[int, str], str] | None = None,
    number: Callable[[int], str | None] | None = None,
) -> str:
    """LaTeX of one expression in postfix order.

    Args:
        terms: of the expression.
        mark: gives the LaTeX of a part around which something is written, from the place of the part's last term among
            the terms, and the part's own LaTeX.
        number: gives what is written in the place of a name, from the place of its term; None for the name itself.
    """
    stack: list[_Piece] = []
    for i, term in enumerate(terms):
        pieces = stack[len(stack) - term.arity :]
        del stack[len(stack) - term.arity :]
        written = number(i) if number and term.kind == "name" else None
        piece = _piece(term, pieces) if written is None else _Piece(written, _ATOM, digit=True)
        stack.append(piece._replace(latex=mark(i, piece.latex)) if mark else piece)
    return stack[-1].latex


def _piece(term: Term, pieces: Sequence[_Piece]) -> _Piece:
    if term.kind == "number":
        return _number(term.text)
    if term.kind == "name":
        constant = CONSTANTS.get(term.text)
        return _Piece(constant.latex if constant else name(term.text), _ATOM)
    if term.kind == "call":
        arguments = ", ".join(piece.latex for piece in pieces)
        return _Piece(FUNCTIONS[term.text].latex.replace("#", arguments), _ATOM)
    if term.text == "neg":
        return _Piece(f"-{pieces[0].at_least(_PRODUCT)}", _NEGATIVE)
    return _operator(term.text, *pieces)


def _operator(sign: str, first: _Piece, second: _Piece) -> _Piece:
    if sign in ("+", "-"):
        return _Piece(f"{first.latex} {sign} {second.at_least(_PRODUCT)}", _SUM, first.digit)
    if sign == "/":
        return _Piece(rf"\frac{{{first.latex}}}{{{second.latex}}}", _POWER)
    if sign == "^":
        return _Piece(f"{first.at_least(_ATOM)}^{{{second.latex}}}", _POWER, first.begins(_ATOM))
    beside = sign == "implicit" and not second.begins(_POWER)
    one, other = first.at_least(_NEGATIVE), second.at_least(_POWER)
    written = f"{one} {other}" if beside else rf"{one} \cdot {other}"
    return _Piece(written, _PRODUCT, first.begins(_NEGATIVE))


def _number(text: str) -> _Piece:
    mantissa, _, exponent = text.lower().partition("e")
    if mantissa.startswith("."):
        mantissa = f"0{mantissa}"
    mantissa = mantissa.removesuffix(".")
    if not exponent:
        return _Piece(mantissa, _ATOM, digit=True)
    return _Piece(rf"{mantissa} \cdot 10^{{{int(exponent)}}}", _PRODUCT, digit=True)


def name(text: str) -> str:
    """LaTeX of a name: ``w_1`` and ``w1`` with a subscript, ``alpha`` and ``α`` as the Greek letter.

    Example:
        >>> name("w_12"), name("delta"), name("rate")
        ('w_{12}', '\\\\delta', '\\\\mathrm{rate}')
    """
    base, _, index = text.partition("_")
    if not index and (numbered := re.fullmatch(r"(\D+)(\d+)", base)):
        base, index = numbered.groups()
    if not index:
        return _word(base)
    parts = ", ".join(part if part.isdigit() else _word(part) for part in index.split("_"))
    return f"{_word(base)}_{{{parts}}}"


def _word(text: str) -> str:
    """Greek letters one by one; several Latin letters upright, as one word."""
    if f"\\{text}" in _COMMANDS:
        return f"\\{text}"
    runs = [_run(run) for run in re.findall(r"[!-~]+|.", text)]
    return runs[0] if len(runs) == 1 else f"{{{' '.join(runs)}}}"


def _run(text: str) -> str:
    return LETTERS.get(text, text) if len(text) == 1 else rf"\mathrm{{{text}}}"
