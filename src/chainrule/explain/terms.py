"""Pieces of formulas, written once and read as text, as LaTeX and as MathML.

A `Term` holds text and LaTeX side by side; what puts terms together does so in both at once, and MathML is read off the
LaTeX. So no form says anything that another does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.explain import mathml
from chainrule.explain.expressions import name_latex
from chainrule.explain.numbers import (
    DIGITS,
    FEW,
    MINUS,
    Value,
    as_factor,
    counted,
    number_latex,
    number_text,
    value_text,
)

_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of a formula.

    Attributes:
        text: in plain characters, such as ``∂f/∂x·2``.
        latex: the same for LaTeX with amsmath and for KaTeX.
    """

    text: str
    latex: str

    @property
    def mathml(self) -> str:
        """The same in MathML, as one element."""
        return mathml.row(self.latex)


@dataclass(frozen=True, slots=True)
class Line:
    """``left = right``; a step of the line before it where ``left`` is None."""

    left: Term | None
    right: Term


def name(of: str) -> Term:
    """A node's name."""
    return Term(of, name_latex(of))


def derivative(of: Term, by: Term) -> Term:
    """``∂f/∂b``."""
    return Term(f"∂{of.text}/∂{by.text}", rf"\frac{{\partial {of.latex}}}{{\partial {by.latex}}}")


def number(x: float, digits: int = DIGITS) -> Term:
    """A number."""
    return Term(number_text(x, digits), number_latex(x, digits))


def beside_one(x: float) -> Term:
    """A number so near to 1 or −1 that digits would run on.

    Example:
        >>> beside_one(1 + 1e-12).text, beside_one(-1 + 2e-9).text
        ('1 + 10⁻¹²', '−1 + 2·10⁻⁹')
    """
    nearest = math.copysign(1.0, x)
    one, gap, sign = number(nearest), number(abs(x - nearest), 2), x > nearest
    return Term(
        f"{one.text} {'+' if sign else MINUS} {gap.text}", f"{one.latex} {'+' if sign else '-'} {gap.latex}"
    )


def value(x: Value, digits: int = DIGITS) -> Term:
    """A number; a small array by its elements, a larger one by shape and range."""
    if isinstance(x, (int, float)):
        return number(x, digits)
    text = value_text(x, digits)
    if x.size <= FEW and x.size and x.ndim < 3:
        rows = x.reshape(-1, x.shape[-1]).tolist()
        body = r" \\ ".join(" & ".join(number_latex(float(n), digits) for n in row) for row in rows)
        return Term(text, rf"\begin{{bmatrix}} {body} \end{{bmatrix}}")
    sizes = r" \times ".join(map(str, x.shape))
    return Term(text, rf"\text{{array of shape }} {sizes}")


def parenthesised(term: Term) -> Term:
    """In parentheses."""
    return Term(f"({term.text})", rf"\left({term.latex}\right)")


def factor(term: Term) -> Term:
    """A number within a product: in parentheses where it would not stand alone in one."""
    loose = term.latex.startswith("-") or any(sign in term.latex for sign in (" + ", " - "))
    return Term(as_factor(term.text), parenthesised(term).latex if loose else term.latex)


def leading(term: Term) -> Term:
    """A number as the first factor of the first product, where a minus sign needs no parentheses."""
    return parenthesised(term) if " " in term.text else term


def product(factors: Sequence[Term]) -> Term:
    """``a·b``."""
    return Term("·".join(f.text for f in factors), r" \cdot ".join(f.latex for f in factors))


def total(terms: Sequence[Term]) -> Term:
    """``a + b``."""
    return Term(" + ".join(t.text for t in terms), " + ".join(t.latex for t in terms))


def chain(steps: Sequence[Term]) -> Term:
    """``a = b = c``, without steps that say the same again."""
    texts, forms = dict.fromkeys(s.text for s in steps), dict.fromkeys(s.latex for s in steps)
    return Term(" = ".join(texts), " = ".join(forms))


def lowered(term: Term, index: int) -> Term:
    """With a number as its index: ``(∂f/∂x)₁``."""
    return Term(f"{term.text}{str(index).translate(_LOWERED)}", rf"{term.latex}_{{{index}}}")


def marked(term: Term, word: str) -> Term:
    """With a word that says which is meant: ``(∂f/∂x direct)``."""
    return Term(f"({term.text} {word})", rf"\left({term.latex}\right)_{{\text{{{word}}}}}")


def more(count: int, noun: str) -> Term:
    """What stands for the rest of a sum: ``… (3 more terms)``."""
    return Term(f"… ({counted(count, f'more {noun}')})", r"\cdots")


def words(text: str) -> Term:
    """Plain words within a formula."""
    escaped = "".join(rf"\{c}" if c in "#$%&_{}" else c for c in text if c not in "\\^~")
    return Term(text, rf"\text{{{escaped}}}")


def negative(term: Term) -> Term:
    """With a minus sign."""
    return Term(f"{MINUS}{term.text}", f"-{term.latex}")


def as_align(lines: Sequence[Line]) -> str:
    """Lines as an ``align*`` environment, aligned at their equals signs."""
    rows = [f"{line.left.latex if line.left else ''} &= {line.right.latex}".strip() for line in lines]
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def as_mathml(lines: Sequence[Line]) -> str:
    """The same lines as a ``<math>`` element of presentation MathML."""
    return mathml.aligned([("" if s.left is None else s.left.latex, s.right.latex) for s in lines])
