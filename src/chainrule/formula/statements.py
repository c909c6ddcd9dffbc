"""From text to statements: one line each, with a name or a header on the left of an equals sign."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.formula.expressions import SIGMA, Expression, Scope, Term
from chainrule.formula.functions import CONSTANTS, FUNCTIONS
from chainrule.formula.mistakes import mistake
from chainrule.formula.tokens import Span, Token, tokenize

_HEADER = re.compile(r"(\((n(,n)*)?\))?")
"""What follows the name on the left, each name in it written as n."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One line: ``target(parameters) = terms``, ``target = terms``, or only terms.

    Attributes:
        target: the name on the left, if any.
        parameters: the names in a header such as ``g(x)``; None without a header.
        terms: the right side, in postfix order.
        span: of the whole line.
    """

    target: str | None
    parameters: tuple[str, ...] | None
    terms: tuple[Term, ...]
    span: Span


def parse(text: str) -> tuple[list[Statement], Scope]:
    """Read ``text``: one statement or several, and what names they use.

    Raises:
        FormulaError: the text is no formula; the message points at the character.
    """
    lines = _lines(tokenize(text))
    if not lines:
        raise mistake(text, 0, "the formula is empty", "write one, such as (a+b)*(b+c)")
    scope = Scope(text)
    statements = [_statement(scope, line, line is lines[-1]) for line in lines]
    return statements, scope


def _lines(tokens: Sequence[Token]) -> list[list[Token]]:
    """Split at ``;`` and at line ends; inside parentheses a line goes on."""
    lines: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.kind == ";" or (token.kind == "newline" and depth == 0):
            lines.append([])
            depth = 0
        elif token.kind != "newline":
            depth = max(0, depth + (token.kind == "(") - (token.kind == ")"))
            lines[-1].append(token)
    return [line for line in lines if line]


def _statement(scope: Scope, line: list[Token], last: bool) -> Statement:
    span = (line[0].start, line[-1].end)
    sign = next((i for i, token in enumerate(line) if token.kind == "="), None)
    if sign is None:
        terms = Expression(scope, line).read()
        if not last:
            raise mistake(
                scope.text,
                span[0],
                "the value of this line is lost: only the last line may be without a name",
                "name it, as in z = ..., or delete the line",
            )
        return Statement(None, None, terms, span)
    target, parameters = _left_side(scope, line[:sign], line[sign])
    if parameters is not None and not last:
        raise mistake(
            scope.text,
            target.start,
            "only the last line may have a header",
            f"write {target.text} = ... and use {target.text} without parentheses",
        )
    if sign + 1 == len(line):
        raise mistake(
            scope.text, line[sign].end, 'nothing stands right of "="', f"write a value: {target.text} = 1"
        )
    scope.parameters.update((p.text, p) for p in parameters or ())
    terms = Expression(scope, line[sign + 1 :]).read()
    _require_unused(scope, target, span)
    scope.assigned[target.text] = target
    return Statement(
        target.text, None if parameters is None else tuple(p.text for p in parameters), terms, span
    )


def _left_side(scope: Scope, left: list[Token], sign: Token) -> tuple[Token, list[Token] | None]:
    """Read ``z`` or ``g(x, y)``."""
    if not left:
        raise mistake(scope.text, sign.start, 'nothing stands left of "="', "name the value: f = ...")
    target, rest = left[0], left[1:]
    header = "".join("n" if token.kind == "name" else token.text for token in rest)
    if target.kind != "name" or not _HEADER.fullmatch(header):
        if sum((token.kind == "(") - (token.kind == ")") for token in left) > 0:
            Expression(Scope(scope.text), left).read()  # points at the parenthesis that is not closed
        raise mistake(
            scope.text,
            target.start,
            'only a name, or a header such as g(x), can stand left of "="',
            "write f = ...; to compare two sides take their difference, left - right",
        )
    names = [target, *(token for token in rest if token.kind == "name")]
    seen: set[str] = set()
    for token in names:
        _require_free(scope, token)
        if token.text in seen:
            raise mistake(
                scope.text, token.start, f"{token.text} stands twice in the header", "write each name once"
            )
        seen.add(token.text)
    return target, names[1:] if rest else None


def _require_free(scope: Scope, token: Token) -> None:
    """Raise unless ``token`` may name a value."""
    name, fix = token.text, "choose another name"
    if name in CONSTANTS:
        message = f"{name} is the number {CONSTANTS[name].value:.6g} and cannot name another value"
        fix = f"choose another name, such as {'E' if name == 'e' else 'p'}"
    elif (name in FUNCTIONS and name != SIGMA) or (name == SIGMA and scope.sigmoid):
        message = f"{name} is a function and cannot name a value"
        fix = f"choose another name, such as {name[0]}_1"
    elif name in scope.assigned:
        message = f"{name} already has a value, from an earlier line"
    else:
        return
    raise mistake(scope.text, token.start, message, fix)


def _require_unused(scope: Scope, target: Token, span: Span) -> None:
    """Raise if ``target`` was used before this line gives it a value."""
    used = scope.used.get(target.text)
    if used is None:
        return
    if used.start > span[0]:
        raise mistake(
            scope.text,
            used.start,
            f"{target.text} is used in its own definition",
            "give the left side a name of its own",
        )
    raise mistake(
        scope.text,
        used.start,
        f"{target.text} is used before the line that gives it a value",
        f'move the line "{target.text} = ..." up, or rename one of the two',
    )
