"""From tokens to terms: operator precedence with explicit stacks, so that no text is too deep to read.

An expression becomes a sequence of terms in postfix order: ``a + 2b`` is ``a 2 b implicit +``. Whoever
reads it keeps a stack of results and needs no recursion either.

Source: Dijkstra, Algol 60 translation, Mathematisch Centrum MR 34/61, 1961 (the shunting yard).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from chainrule.errors import FormulaError
from chainrule.formula.functions import CONSTANTS, FUNCTIONS
from chainrule.formula.mistakes import closest, mistake
from chainrule.formula.tokens import Span, Token

MAX_TERMS = 5_000
MAX_DEPTH = 200

SIGMA = "σ"
"""The only name that is a function before a parenthesis and may be a variable elsewhere."""

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "implicit": 2, "/": 2, "neg": 3, "^": 4}
_LETTER_LIKE = re.compile(r"[^\W\d_]\d*(_\w+)?")
"""Names that are taken for a variable even before a parenthesis: one letter with an index."""


TermKind: TypeAlias = Literal["number", "name", "operator", "call"]


class Term(NamedTuple):
    """A step of evaluation.

    Attributes:
        kind: what it is.
        text: the number; the name; the function; or one of ``+ - * / ^``, ``neg`` for the unary minus
            and ``implicit`` for a product without a sign.
        arity: how many results it takes off the stack.
        span: the part of the formula's text that it and its operands came from.
    """

    kind: TermKind
    text: str
    arity: int
    span: Span


@dataclass(slots=True)
class Scope:
    """What the formula has named and used so far, and where.

    Attributes:
        assigned: names with a value from an earlier line.
        parameters: names that the header lists.
        used: each name that stood for a value, where it did so first.
        sigmoid: whether σ was called.
        terms: how many there are in all lines.
    """

    text: str
    assigned: dict[str, Token] = field(default_factory=dict[str, Token])
    parameters: dict[str, Token] = field(default_factory=dict[str, Token])
    used: dict[str, Token] = field(default_factory=dict[str, Token])
    sigmoid: bool = False
    terms: int = 0


class _Operand(NamedTuple):
    """A finished part of an expression: its extent, parentheses included, and its depth."""

    start: int
    end: int
    depth: int


class _Pending(NamedTuple):
    """What waits for its right operand or for its closing parenthesis."""

    kind: Literal["binary", "neg", "group", "call"]
    text: str
    start: int
    below: int
    """How many operands lie below those of this one."""


class Expression:
    """Reads one expression, from left to right.

    Args:
        scope: of the formula; what is used here is entered into it.
        tokens: at least one.
    """

    def __init__(self, scope: Scope, tokens: list[Token]) -> None:
        self.scope = scope
        self.tokens = tokens
        self._at = 0
        self._terms: list[Term] = []
        self._operands: list[_Operand] = []
        self._pending: list[_Pending] = []
        self._parentheses: list[Token] = []

    def read(self) -> tuple[Term, ...]:
        """Return the terms in postfix order.

        Raises:
            FormulaError: the tokens are no expression.
        """
        wants_operand = True
        while self._at < len(self.tokens):
            token = self.tokens[self._at]
            wants_operand = self._operand(token) if wants_operand else self._operator(token)
            self._at += 1
        last = self.tokens[-1]
        if self._parentheses and (not wants_operand or last.kind == "("):
            raise self._unclosed()
        if wants_operand:
            raise self._mistake(
                last.end,
                f'the line ends after "{self._written(last)}"',
                f'write what follows "{self._written(last)}", or delete it',
            )
        self._reduce(0)
        return tuple(self._terms)

    # The two states. Each returns whether an operand is expected next.

    def _operand(self, token: Token) -> bool:
        if token.kind == "number":
            self._push("number", token.text, (token.start, token.end))
            return False
        if token.kind == "name":
            return self._name(token)
        if token.kind == "(":
            self._open(_Pending("group", "", token.start, len(self._operands)), token)
            return True
        if token.kind == "operator" and token.text in "+-":
            if token.text == "-":
                self._pending.append(_Pending("neg", "neg", token.start, len(self._operands)))
            return True
        raise self._not_an_operand(token)

    def _operator(self, token: Token) -> bool:
        if token.kind == "operator":
            self._binary(token.text, token)
            return True
        if token.kind == "power":
            self._require_no_power(token)
            self._push("number", token.text.lstrip("+"), (token.start, token.end))
            self._apply_binary("^")
            return False
        if token.kind == ")":
            self._close(token)
            return False
        if token.kind == ",":
            self._comma(token)
            return True
        if token.kind in ("name", "("):
            before = self.tokens[self._at - 1]
            if token.kind == "(" and before.kind == "name":
                self._require_product(before)
            self._binary("implicit", token)
            return self._operand(token)
        if token.kind == "number":
            raise self._number_after(token)
        raise self._second_equals(token)

    def _name(self, token: Token) -> bool:
        name, scope = token.text, self.scope
        following = self.tokens[self._at + 1] if self._at + 1 < len(self.tokens) else None
        called = following is not None and following.kind == "("
        if name == SIGMA:
            variable = name in scope.used or name in scope.assigned or name in scope.parameters
            if variable if called else scope.sigmoid:
                raise self._mistake(
                    token.start,
                    "σ is the sigmoid function before a parenthesis, else a variable: here it is both",
                    "write sigmoid(...) for the function, or * for a product",
                )
            scope.sigmoid = called
        if name in FUNCTIONS and (called or name != SIGMA):
            if following is None or not called:
                raise self._not_called(token)
            self._at += 1
            self._open(_Pending("call", name, token.start, len(self._operands)), following)
            return True
        if name not in CONSTANTS:
            scope.used.setdefault(name, token)
        self._push("name", name, (token.start, token.end))
        return False

    def _binary(self, text: str, token: Token) -> None:
        if text == "^":
            self._require_no_power(token)
            self._reduce(_PRECEDENCE["^"] + 1)  # a^b^c is a^(b^c)
        else:
            self._reduce(_PRECEDENCE[text])
        self._pending.append(_Pending("binary", text, token.start, len(self._operands)))

    def _open(self, pending: _Pending, parenthesis: Token) -> None:
        self._parentheses.append(parenthesis)
        if len(self._parentheses) > MAX_DEPTH:
            raise self._too_deep(parenthesis.start)
        self._pending.append(pending)

    def _comma(self, token: Token) -> None:
        self._reduce(0)
        if self._pending and self._pending[-1].kind == "call":
            return
        before, after = self.tokens[self._at - 1], self.tokens[self._at + 1 : self._at + 2]
        if before.kind == "number" and after and after[0].kind == "number":
            fix = f"write a decimal number with a point: {before.text}.{after[0].text}"
        else:
            fix = "a formula has one value; write several formulas for several values"
        raise self._mistake(token.start, "a comma stands only between the values of a function", fix)

    def _close(self, token: Token) -> None:
        self._reduce(0)
        if not self._pending:
            raise self._mistake(
                token.start, 'this ")" closes no parenthesis', 'delete it, or write the "(" that it closes'
            )
        opened = self._pending.pop()
        self._parentheses.pop()
        if opened.kind == "group":
            self._operands[-1] = self._operands[-1]._replace(start=opened.start, end=token.end)
            return
        arity = len(self._operands) - opened.below
        self._require_arity(opened, arity)
        depth = 1 + max(operand.depth for operand in self._operands[opened.below :])
        self._push("call", opened.text, (opened.start, token.end), arity, depth)

    # Building terms.

    def _reduce(self, precedence: int) -> None:
        """Apply what is pending and binds at least as tightly as ``precedence``, down to a parenthesis."""
        while self._pending:
            pending = self._pending[-1]
            if pending.kind in ("group", "call") or _PRECEDENCE[pending.text] < precedence:
                return
            self._pending.pop()
            if pending.kind == "binary":
                self._apply_binary(pending.text)
            else:
                _, end, depth = self._operands[-1]
                self._push("operator", "neg", (pending.start, end), 1, depth + 1)

    def _apply_binary(self, text: str) -> None:
        left, right = self._operands[-2:]
        # Sums and products of many terms are read as one level, however long they are.
        level = left.depth if text not in "/^" else left.depth + 1
        self._push("operator", text, (left.start, right.end), 2, max(level, right.depth + 1))

    def _push(self, kind: TermKind, text: str, span: Span, arity: int = 0, depth: int = 1) -> None:
        if depth > MAX_DEPTH:
            raise self._too_deep(span[0])
        self.scope.terms += 1
        if self.scope.terms > MAX_TERMS:
            raise self._mistake(
                self.tokens[min(self._at, len(self.tokens) - 1)].start,
                f"the formula has more than {MAX_TERMS:,} numbers, names and operations",
                "split it into several formulas, or build it in Python with cr.tensor",
            )
        del self._operands[len(self._operands) - arity :]
        self._operands.append(_Operand(*span, depth))
        self._terms.append(Term(kind, text, arity, span))

    # What can be wrong.

    def _mistake(self, at: int, message: str, fix: str) -> FormulaError:
        return mistake(self.scope.text, at, message, fix)

    def _written(self, token: Token) -> str:
        return self.scope.text[token.start : token.end]

    def _too_deep(self, at: int) -> FormulaError:
        return self._mistake(
            at,
            f"the formula is nested more than {MAX_DEPTH} deep",
            "name a part of it on a line of its own: z = ...",
        )

    def _unclosed(self) -> FormulaError:
        return self._mistake(
            self._parentheses[-1].start, 'this "(" is never closed', 'write the ")" that closes it'
        )

    def _not_an_operand(self, token: Token) -> FormulaError:
        before = self.tokens[self._at - 1] if self._at else None
        got = self._written(token)
        if token.kind == "=":
            return self._second_equals(token)
        if before is None:
            return self._mistake(
                token.start,
                f'expected a number, a name or "(", got "{got}"',
                f'delete "{got}", or write what stands before it',
            )
        if before.kind == "(" and token.kind == ")":
            opened = self._pending[-1]
            if opened.kind == "call":
                return self._wrong_arity(opened, 0)
            return self._mistake(
                before.start, "nothing stands in these parentheses", "delete them, or fill them"
            )
        after = self._written(before)
        fix = f'write what stands between "{after}" and "{got}"'
        if before.kind == token.kind == "operator":
            fix = f'delete one "{got}"' if after == got else f'delete "{after}" or "{got}"'
        return self._mistake(
            token.start, f'expected a number, a name or "(" after "{after}", got "{got}"', fix
        )

    def _second_equals(self, token: Token) -> FormulaError:
        if self._parentheses:
            return self._unclosed()
        return self._mistake(
            token.start,
            'a line has one "=", this is the second',
            "write one line for each name",
        )

    def _number_after(self, token: Token) -> FormulaError:
        before, number = self._written(self.tokens[self._at - 1]), self._written(token)
        return self._mistake(
            token.start,
            f'the number {number} directly after "{before}" could be a factor or a power',
            f"write *{number} or ^{number}",
        )

    def _not_called(self, token: Token) -> FormulaError:
        name = token.text
        rest = self.tokens[self._at + 1 :]
        if rest and (rest[0].kind == "power" or rest[0].text == "^"):
            fix = f"write the power behind the parenthesis: {name}(x)^2"
        else:
            length = next(
                (i for i, t in enumerate(rest) if t.kind not in ("number", "name", "power")), len(rest)
            )
            argument = self.scope.text[rest[0].start : rest[length - 1].end] if length else "x"
            fix = f"write {name}({argument})"
        return self._mistake(
            token.start, f'{name} is a function: its value stands in parentheses, and here is no "("', fix
        )

    def _require_product(self, before: Token) -> None:
        """Raise unless a name before a parenthesis is safely a factor rather than a function."""
        name = before.text
        if name in CONSTANTS:
            return
        if name in ("f", "g", "h"):
            raise self._mistake(
                before.start,
                f"{name} is not a function: a formula can only call those that are built in",
                f"write {name}*(...) for a product; for the value of an earlier line write {name} alone",
            )
        if name in self.scope.assigned or name in self.scope.parameters or _LETTER_LIKE.fullmatch(name):
            return
        meant = closest(name, FUNCTIONS)
        product = f"write {name}*(...) for a product"
        raise self._mistake(
            before.start,
            f"there is no function {name}",
            f"did you mean {meant}(...)? Else {product}" if meant else product,
        )

    def _require_no_power(self, token: Token) -> None:
        before = self.tokens[self._at - 1]
        if before.kind == "power":
            raise self._mistake(
                token.start,
                f'two powers in a row: "{self._written(before)}" and "{self._written(token)}"',
                "use parentheses: (x²)^3 or x^(2^3)",
            )

    def _require_arity(self, call: _Pending, got: int) -> None:
        low, high = FUNCTIONS[call.text].arity
        if got < low or (high is not None and got > high):
            raise self._wrong_arity(call, got)

    def _wrong_arity(self, call: _Pending, got: int) -> FormulaError:
        function = FUNCTIONS[call.text]
        low, high = function.arity
        wants = f"{low} or more values" if high is None else "1 value" if low == 1 else f"{low} values"
        example = ", ".join("abcd"[:low]) if low > 1 else "x"
        return self._mistake(
            call.start, f"{call.text} takes {wants}, got {got or 'none'}", f"write {call.text}({example})"
        )
