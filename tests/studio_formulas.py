"""Formulas of every kind, for tests of pictures."""

from __future__ import annotations

from chainrule.studio.formulas import FormulaTrace
from chainrule.studio.formulas.examples import EXAMPLES

FORMULAS: dict[str, FormulaTrace] = {
    f"{example.source}: {example.name or example.text}": FormulaTrace(
        example.text, example.values, example.presentation
    )
    for example in EXAMPLES
} | {
    text: FormulaTrace(text)
    for text in (
        "x",
        "3",
        "x^3 + max(x, y)/min(x, y)",
        "sqrt(x)*alpha_1^y + abs(sin(θ))",
        "log(x - 7)/0",
        "x*x*x + x*x",
        "a+b+c+d+g+h+k+l+m+n+p+q+r",
    )
}
