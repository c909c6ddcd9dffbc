"""MathML read off LaTeX: the part of LaTeX in which formulas, names and primitives are written here.

Only elements and attributes of MathML Core, so browsers typeset it without a script. Everything that users write enters
escaped. A command that is not known is shown as it is written. ``\\class{name}{...}``, which MathJax knows too, gives
its element that class.

Source: MathML Core, W3C Candidate Recommendation, https://www.w3.org/TR/mathml-core/.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from chainrule.formula.typeset import LETTERS

NAMESPACE = "http://www.w3.org/1998/Math/MathML"

_GREEK = {command[1:]: char for char, command in LETTERS.items() if command.startswith("\\")}
_OPERATORS = {
    "cdot": "·", "times": "×", "star": "⋆", "ne": "≠", "le": "≤", "ge": "≥", "land": "∧", "lor": "∨", "lnot": "¬",
    "oplus": "⊕", "sum": "∑", "prod": "∏", "bigvee": "⋁", "bigwedge": "⋀", "lfloor": "⌊", "rfloor": "⌋",
    "lceil": "⌈", "rceil": "⌉", "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "bmod": "mod",
    "cdots": "⋯", "ldots": "…", "dots": "…", "vdots": "⋮", "to": "→", "approx": "≈", "#": "#", "%": "%", "$": "$",
    "&": "&", "_": "_", "{": "{", "}": "}",
}  # fmt: skip
_SYMBOLS = {"infty": "∞", "partial": "∂", "ell": "ℓ", "nabla": "∇"}
_FUNCTIONS = {
    *(
        "ln",
        "log",
        "exp",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "min",
        "max",
        "det",
        "arcsin",
        "arccos",
    ),
    *("arctan", "arg", "sup", "inf"),
}
_SPACES = {",": "0.17em", ";": "0.28em", ":": "0.22em", " ": "0.25em", "quad": "1em", "qquad": "2em"}
_STYLED = {"mathbf": 0x1D400, "mathcal": 0x1D4D0, "mathsf": 0x1D5A0}
"""Where the capitals of an alphabet begin among the mathematical letters; small ones follow."""
_TOKEN = re.compile(r"\s*(\\[A-Za-z]+|\\.|[0-9]+(?:\.[0-9]+)?|\S|$)")
_RAW = re.compile(r"\s*\{((?:[^{}\\]|\\.)*)\}")
_FENCES = {"cases": ("{", ""), "bmatrix": ("[", "]")}
_STRETCHY = ' stretchy="true"'
_APPLY = "<mo>&#x2061;</mo>"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Unreadable(Exception):
    """The LaTeX is not of the kind that is written here."""


def row(latex: str) -> str:
    """The formula as one element, an ``mrow`` unless it is a single one.

    Example:
        >>> row(r"\\frac{1}{x}")
        '<mfrac><mn>1</mn><mi>x</mi></mfrac>'
    """
    reader = _Reader(latex)
    try:
        found = reader.row("")
    except _Unreadable:
        return _element("mtext", latex)
    return found


def inline(latex: str) -> str:
    """The formula as a ``<math>`` element within a line."""
    return f'<math xmlns="{NAMESPACE}">{row(latex)}</math>'


def aligned(lines: Sequence[tuple[str, str]]) -> str:
    """Equations below each other as a ``<math>`` element, aligned at their equals signs.

    Args:
        lines: LaTeX on the left and on the right of each sign.
    """
    rows = "".join(
        f'<mtr><mtd style="text-align:right">{row(left) if left else ""}</mtd>'
        f'<mtd style="text-align:left"><mrow><mo>=</mo>{row(right)}</mrow></mtd></mtr>'
        for left, right in lines
    )
    return f'<math xmlns="{NAMESPACE}" display="block"><mtable displaystyle="true">{rows}</mtable></math>'


def _element(tag: str, text: str, attributes: str = "") -> str:
    shown = escape(_NOT_XML.sub("\ufffd", text), quote=False)
    return f"<{tag}{attributes}>{shown}</{tag}>"


def _operator(sign: str) -> str:
    return _element("mo", "−" if sign == "-" else sign)


def _identifier(text: str) -> str:
    """A name: slanted if it is one letter, as MathML has it; upright if it is a word."""
    return _element("mi", text)


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


class _Reader:
    """One pass over a formula, by recursive descent; nesting is as deep as fractions are."""

    def __init__(self, latex: str) -> None:
        self.latex, self.at, self.ended = latex, 0, ""

    def row(self, *stops: str) -> str:
        """Elements up to one of ``stops``, which is read too; "" for the end."""
        return _joined(self._parts(*stops))

    def _parts(self, *stops: str) -> list[str]:
        parts: list[str] = []
        called = False  # whether a function's name waits for what it is applied to
        while True:
            token = self._token()
            if token in stops:
                self.ended = token
                return parts
            if not token or token in ("}", r"\right", "&", r"\\"):
                raise _Unreadable
            part = self._scripted(self._atom(token))
            if called and not part.startswith("<mspace"):
                parts.append(_APPLY)
            called = token[1:] in _FUNCTIONS or token == r"\operatorname"
            parts.append(part)

    def _token(self) -> str:
        match = _TOKEN.match(self.latex, self.at)
        assert match is not None
        self.at = match.end()
        return match[1]

    def _peek(self) -> str:
        at = self.at
        token = self._token()
        self.at = at
        return token

    def _scripted(self, base: str) -> str:
        below: list[str] = []
        above: list[str] = []
        while (sign := self._peek()) in ("_", "^", "'"):
            self._token()
            if sign == "'":
                above.append(_operator("′"))
            else:
                (below if sign == "_" else above).append(self._argument())
        scripts = "".join(_joined(parts) for parts in (below, above) if parts)
        tag = "msubsup" if below and above else "msub" if below else "msup"
        return f"<{tag}>{base}{scripts}</{tag}>" if scripts else base

    def _argument(self) -> str:
        token = self._token()
        if token == "{":
            return self.row("}")
        if not token or token in "}_^&":
            raise _Unreadable
        if token[0].isdigit():  # of 12 only the 1, as in TeX
            self.at -= len(token) - 1
            token = token[0]
        return self._atom(token)

    def _atom(self, token: str) -> str:
        if token.startswith("\\"):
            return self._command(token[1:])
        if token == "{":
            return self.row("}")
        if token[0].isdigit():
            return _element("mn", token)
        if token in "_^'":
            raise _Unreadable
        return _identifier(token) if token.isalpha() else _operator(token)

    def _command(self, command: str) -> str:
        if command in _GREEK:
            return _identifier(_GREEK[command])
        if command in _SYMBOLS:
            return _identifier(_SYMBOLS[command])
        if command in _OPERATORS:
            return _operator(_OPERATORS[command])
        if command in _FUNCTIONS:
            return _identifier(command)
        if command in _SPACES:
            return f'<mspace width="{_SPACES[command]}"></mspace>'
        if command in _STYLED:
            return self._styled(_STYLED[command])
        if command in ("mathrm", "operatorname", "text"):
            return self._upright(command)
        if command == "class":
            return f'<mrow class="{escape(self._raw())}">{self._argument()}</mrow>'
        if command == "frac":
            return f"<mfrac>{self._argument()}{self._argument()}</mfrac>"
        if command == "hat":
            return f'<mover accent="true">{self._argument()}<mo stretchy="false">^</mo></mover>'
        if command == "sqrt":
            return self._root()
        if command == "left":
            return self._fenced()
        if command == "begin":
            return self._environment()
        return _element("mtext", f"\\{command}")

    def _raw(self) -> str:
        """An argument of words, without its escapes and thin spaces."""
        match = _RAW.match(self.latex, self.at)
        if match is None:
            raise _Unreadable
        self.at = match.end()
        return re.sub(r"\\(.)", lambda m: " " if m[1] == "," else m[1], match[1])

    def _upright(self, command: str) -> str:
        word = self._raw()
        if command == "text":
            return _element("mtext", word.replace(" ", "\u00a0"))
        return _element("mi", word, ' mathvariant="normal"' if len(word) == 1 else "")

    def _styled(self, start: int) -> str:
        word = self._raw() if self._peek() == "{" else self._token()
        letters = (
            chr(start + ord(c) - 65)
            if "A" <= c <= "Z"
            else chr(start + 26 + ord(c) - 97)
            if "a" <= c <= "z"
            else c
            for c in word
        )
        return _identifier("".join(letters))

    def _root(self) -> str:
        if self._peek() != "[":
            return f"<msqrt>{self._argument()}</msqrt>"
        self._token()
        degree = self.row("]")
        return f"<mroot>{self._argument()}{degree}</mroot>"

    def _fence(self) -> str:
        token = self._token()
        if token == ".":
            return ""
        sign = _OPERATORS.get(token[1:]) if token.startswith("\\") else token
        if not sign:
            raise _Unreadable
        return _element("mo", sign, _STRETCHY)

    def _fenced(self) -> str:
        opening = self._fence()
        inner = "".join(self._parts(r"\right"))
        return f"<mrow>{opening}{inner}{self._fence()}</mrow>"

    def _environment(self) -> str:
        kind = self._raw()
        if kind not in _FENCES:
            raise _Unreadable
        rows, cells = "", ""
        while self.ended != r"\end":
            cell = self.row("&", r"\\", r"\end")
            cells += f"<mtd>{cell}</mtd>"
            if self.ended != "&":
                rows, cells = f"{rows}<mtr>{cells}</mtr>", ""
        self.ended = ""
        if self._raw() != kind:
            raise _Unreadable
        opening, closing = (_element("mo", sign, _STRETCHY) if sign else "" for sign in _FENCES[kind])
        return f"<mrow>{opening}<mtable>{rows}</mtable>{closing}</mrow>"
