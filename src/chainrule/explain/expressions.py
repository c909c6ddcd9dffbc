"""How a node is written in terms of its inputs: in text and in LaTeX, from what its primitive declares.

Signs between two operands, the minus before one, and pictures such as ``x²`` or ``|·|`` come from the
primitive's ``label``; everything else is written as a call of the public function. So a new primitive
needs nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from chainrule.autodiff.rules import local_partials
from chainrule.explain.numbers import MINUS, number_text
from chainrule.formula.typeset import name as latex_name
from chainrule.modes import recording
from chainrule.node import Node, ancestors
from chainrule.primitive import Pointwise, Primitive

_COMPARISON, _SUM, _NEGATIVE, _PRODUCT, _POWER, _ATOM = range(6)
_SIGNS = {
    **dict.fromkeys(("<", "≤", ">", "≥", "=", "≠", "and", "or", "xor"), _COMPARISON),
    **dict.fromkeys(("+", "−"), _SUM),
    **dict.fromkeys(("×", "·", "/", "//", "%", "@"), _PRODUCT),
    "xʸ": _POWER,
}
_TIGHT = {"×": "·", "·": "·", "/": "/", "xʸ": "^"}
"""Signs that are written without spaces, and how."""
_OPERAND = re.compile(r"(?<![A-Za-z])x(?![A-Za-z])")
"""Where the operand stands in labels such as ``x²``."""

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LONGEST, _MOST_NODES = 40, 40


class Piece(NamedTuple):
    """A written operand and how tightly its outermost sign binds."""

    text: str
    level: int = _ATOM

    def at_least(self, level: int) -> str:
        """The text, in parentheses unless it binds as tightly as ``level``."""
        return self.text if self.level >= level else f"({self.text})"


def number_piece(text: str) -> Piece:
    """A written number as an operand; a negative one binds as loosely as a minus sign."""
    if " " in text:
        return Piece(text, _SUM)
    has_power = not set(text).isdisjoint("⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return Piece(text, _NEGATIVE if text.startswith(MINUS) else _PRODUCT if has_power else _ATOM)


def written(op: type[Primitive], params: Mapping[str, Any], operands: Sequence[Piece]) -> Piece:
    """``op`` applied to operands, as text."""
    label = op.label
    if len(operands) == 2 and label in _SIGNS:
        return _between(label, *operands)
    if len(operands) == 1:
        (operand,) = operands
        if label == MINUS:
            return Piece(f"{MINUS}{operand.at_least(_PRODUCT)}", _NEGATIVE)
        if "·" in label and len(label) > 1:
            return Piece(label.replace("·", operand.text))
        if _OPERAND.search(label):
            return Piece(_OPERAND.sub(lambda _: operand.at_least(_ATOM), label), _level(label))
    axis = params.get("axis")
    arguments = [operand.text for operand in operands] + ([] if axis is None else [f"axis={_plain(axis)}"])
    return Piece(f"{op.name}({', '.join(arguments)})")


def _level(label: str) -> int:
    """How tightly a picture such as ``x²``, ``1/x``, ``1−x²`` or ``ln(1+x)`` binds."""
    if label.endswith(")"):
        return _ATOM
    return _SUM if set(label) & set("+−") else _PRODUCT if "/" in label else _POWER


def _plain(axis: Any) -> Any:
    return axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis  # pyright: ignore[reportUnknownVariableType]


def _between(sign: str, left: Piece, right: Piece) -> Piece:
    level = _SIGNS[sign]
    tight = _TIGHT.get(sign)
    if level == _POWER:
        return _power(left, right)
    first = left.at_least(level)
    if level == _SUM and left.level == _NEGATIVE:
        first = left.text
    # a − (b + c) and a/(b·c) need their parentheses; a + b + c and a·b·c do not.
    second = right.at_least(level if sign in "+×·" else min(level + 1, _ATOM))
    if level == _SUM and right.level == _NEGATIVE:
        second = f"({right.text})"
    return Piece(f"{first}{tight}{second}" if tight else f"{first} {sign} {second}", level)


def _power(base: Piece, exponent: Piece) -> Piece:
    if exponent.text.isdecimal() and len(exponent.text) < 3:
        return Piece(f"{base.at_least(_ATOM)}{exponent.text.translate(_RAISED)}", _POWER)
    return Piece(f"{base.at_least(_ATOM)}^{exponent.at_least(_ATOM)}", _POWER)


def node_text(node: Node, operand: Callable[[Node], Piece]) -> str:
    """``node`` in terms of its inputs, each written by ``operand``."""
    assert node.op is not None
    return written(node.op, node.params, [operand(x) for x in node.inputs]).at_least(_SUM)


def node_latex(node: Node, operands: Sequence[str]) -> str:
    """``node`` in LaTeX, in terms of inputs that are written already; negative numbers get parentheses."""
    assert node.op is not None
    template = node.op.latex
    if "^" in template:  # a power of ten raised again would be a double superscript
        operands = [
            rf"\left({text}\right)" if "10^{" in text and not text.startswith(r"\left(") else text
            for text in operands
        ]
    leads = re.match(r"\{0\} (\+|-|\\cdot)|\\frac", template) is not None
    fitted = [
        rf"\left({x}\right)" if x.startswith("-") and (i or not leads) else x for i, x in enumerate(operands)
    ]
    if template:
        try:
            return template.format(*fitted)
        except IndexError:  # fewer operands than the template has places: written as a call
            pass
    return rf"{_operator_name(node.op.name)}\left({', '.join(operands)}\right)"


def _operator_name(name: str) -> str:
    return r"\operatorname{" + name.replace("_", r"\_") + "}"


def name_latex(name: str) -> str:
    """LaTeX of a node's name, whatever characters it has."""
    if re.fullmatch(r"[^\W\d_][^\W_]*(_[^\W_]+)*", name):
        try:
            return latex_name(name)
        except (KeyError, ValueError):  # letters that the language of formulas does not have
            pass
    return r"\mathrm{" + re.sub(r"([#$%&_{}])", r"\\\1", re.sub(r"[\\^~]", "", name)) + "}"


def local_symbols(
    node: Node, names: Mapping[Node, str], number: Callable[[float], str] = number_text
) -> tuple[str, ...]:
    """The local derivatives of a pointwise node in letters, such as ``y`` or ``2·x``; "" where too long.

    The rule that computes a local derivative builds nodes, so it can be read like any other node;
    ``number`` writes the constants in it.
    """
    if node.op is None or not issubclass(node.op, Pointwise):
        return ("",) * len(node.inputs)
    with recording(True):
        partials = local_partials(node)
    return tuple(_symbol(p, node, names, number) if isinstance(p, Node) else "" for p in partials)


def _symbol(partial: Node, of: Node, names: Mapping[Node, str], number: Callable[[float], str]) -> str:
    known = {x: names[x] for x in (of, *of.inputs) if x in names}
    inner = [n for n in ancestors([partial], since=of.index + 1) if n.inputs]
    if len(inner) > _MOST_NODES or any(x.dtype.kind == "b" for n in inner for x in (n, *n.inputs)):
        return ""  # too long, or a rule that tells cases apart
    pieces: dict[Node, Piece] = {}

    def operand(x: Node) -> Piece:
        if x in pieces:
            return pieces[x]
        if x in known:
            return Piece(known[x])
        return number_piece(number(float(x))) if x.value is not None and x.size == 1 else Piece("…")

    for node in inner:
        assert node.op is not None
        piece = _without_ones(node.op, node.params, [operand(x) for x in node.inputs])
        pieces[node] = Piece("…") if len(piece.text) > _LONGEST else piece
    text = operand(partial).text
    return "" if "…" in text else text


def _without_ones(op: type[Primitive], params: Mapping[str, Any], operands: Sequence[Piece]) -> Piece:
    """As `written`, but with ``1·x`` and ``x^1`` as ``x``."""
    if op.label in ("×", "·") and (others := [x for x in operands if x.text != "1"]) and len(others) == 1:
        return others[0]
    if op.label == "xʸ" and operands[1].text == "1":
        return operands[0]
    return written(op, params, operands)
