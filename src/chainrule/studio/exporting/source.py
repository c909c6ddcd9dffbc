"""JavaScript with everything hidden that is not code, so that what a module imports and names can be read off it."""

from __future__ import annotations

import re

_BEFORE_REGEX = re.compile(
    r"(?:^|[=(,\[{;:?!&|+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|throw|new|void|delete))\s*\Z"
)
"""What stands before a regular expression; anything else before a slash is divided."""
_LITERALS = {
    "//": re.compile(r"//[^\n]*"),
    "/*": re.compile(r"/\*.*?\*/", re.DOTALL),
    "'": re.compile(r"'(?:[^'\\\n]|\\.)*'", re.DOTALL),
    '"': re.compile(r'"(?:[^"\\\n]|\\.)*"', re.DOTALL),
    "/": re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*"),
}
_NEXT = re.compile(r"//|/\*|['\"`/{}]")
_TEMPLATE = re.compile(r"\\.|\$\{|`", re.DOTALL)
_NEWLINE_OR_NOT = re.compile(r"[^\n]")
_CONTEXT = 40


def code_only(text: str) -> str:
    """The same text with blanks in place of comments, strings, regular expressions and the texts of templates.

    What is left stands where it stood; expressions within templates are code, and stay.

    Example:
        >>> code_only("const a = 'x{' + `b ${c} d`; // e")
        'const a =      +      c    ;     '
    """
    pieces: list[str] = []
    depths: list[int] = []  # for each template around this place: how many braces are open in its expression
    at = 0
    while found := _NEXT.search(text, at):
        start, sign = found.start(), found[0]
        pieces.append(text[at:start])
        at = found.end()
        if sign == "`":
            at = _template(text, start + 1, depths)
        elif sign == "{":
            if depths:
                depths[-1] += 1
            pieces.append("{")
            continue
        elif sign == "}":
            if depths and depths[-1] == 0:
                depths.pop()
                at = _template(text, start + 1, depths)
            else:
                if depths:
                    depths[-1] -= 1
                pieces.append("}")
                continue
        elif sign == "/" and not _BEFORE_REGEX.search("".join(pieces[-4:])[-_CONTEXT:]):
            pieces.append("/")
            continue
        elif literal := _LITERALS[sign].match(text, start):
            at = literal.end()
        pieces.append(_blank(text[start:at]))
    pieces.append(text[at:])
    return "".join(pieces)


def _template(text: str, at: int, depths: list[int]) -> int:
    """Where code goes on after a template's text that begins at ``at``: after ``${`` or after its end."""
    while found := _TEMPLATE.search(text, at):
        at = found.end()
        if found[0] == "${":
            depths.append(0)
            return at
        if found[0] == "`":
            return at
    return len(text)


def _blank(text: str) -> str:
    return _NEWLINE_OR_NOT.sub(" ", text)


def line_of(text: str, at: int) -> int:
    """The line, from 1, in which the character at ``at`` stands."""
    return text.count("\n", 0, at) + 1


def outermost(code: str) -> str:
    """The code with blanks in place of all that stands within brackets of any kind; the brackets stay.

    Example:
        >>> outermost("function f(a) { return [a]; } f(2);")
        'function f( ) {             } f( );'
    """
    pieces: list[str] = []
    depth = at = 0
    for found in re.finditer(r"[(\[{}\])]", code):
        piece = code[at : found.start()]
        pieces.append(_blank(piece) if depth else piece)
        at = found.end()
        opening = found[0] in "([{"
        depth += 1 if opening else -1
        outside = depth == (1 if opening else 0)
        pieces.append(found[0] if outside else " ")
    return "".join([*pieces, code[at:]])
