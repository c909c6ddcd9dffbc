"""What stands for a character that an output's encoding lacks: no information is lost, pictures keep their shape.

Registered as an error handler of codecs: ``stream.reconfigure(errors=ascii.HANDLER)``.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

HANDLER = "chainrule.substitute"

_SAME_WIDTH = {
    char: one
    for chars, one in (
        ("╭╮╰╯┼├┤┬┴", "+"),
        ("─−–╸╺", "-"),
        ("│", "|"),
        ("╔╗╚╝║", "#"),
        ("═━", "="),
        ("┏┓┗┛┃·⋅∗", "*"),
        ("█▉▊▋▌▍▎▏", "#"),
        ("▒", "%"),
        ("▲↑", "^"),
        ("▼↓", "v"),
        ("∂", "d"),
        ("×", "x"),
        ("÷", "/"),
        ("µ", "u"),
        ("“”", '"'),
    )
    for char in chars
}
_WORDS = {
    "∞": "inf", "√": "sqrt", "←": "<-", "→": "->", "…": "...", "≤": "<=", "≥": ">=", "≠": "!=",
    "✓": "ok", "✗": "no", "—": "--",
}  # fmt: skip
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ˣʸ", "0123456789-+xy", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_RUN = re.compile(f"([{''.join(_RAISED)}]+)|([{''.join(_LOWERED)}]+)|(.)", re.DOTALL)


def substitute(text: str) -> str:
    """``text`` in ASCII.

    Example:
        >>> substitute("∂f/∂x₁ = −2·10⁻⁵"), substitute("δ ← ☃")
        ('df/dx_1 = -2*10^-5', 'delta <- \\\\u2603')
    """
    return _RUN.sub(_substituted, text)


def _substituted(match: re.Match[str]) -> str:
    raised, lowered, char = match.groups()
    if raised:
        return "^" + "".join(_RAISED[c] for c in raised)
    if lowered:
        return "_" + "".join(_LOWERED[c] for c in lowered)
    if char.isascii():
        return char
    return _SAME_WIDTH.get(char) or _WORDS.get(char) or _greek(char) or _escaped(char)


def _greek(char: str) -> str:
    """The name of a Greek letter; "" for other characters."""
    name = unicodedata.name(char, "")
    if not name.startswith("GREEK "):
        return ""
    spelled = name.split()[-1].replace("LAMDA", "LAMBDA").lower()
    return spelled.capitalize() if char.isupper() else spelled


def _escaped(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode("ascii")


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return substitute(error.object[error.start : error.end]), error.end


codecs.register_error(HANDLER, _handle)
