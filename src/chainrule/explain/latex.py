"""An explanation in LaTeX: an ``align*`` environment that LaTeX (with amsmath) and KaTeX typeset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.explain.expressions import name_latex
from chainrule.explain.numbers import Value, number_latex
from chainrule.explain.sweep import Edge

if TYPE_CHECKING:
    from chainrule.explain.explanation import Derivation, Explanation

MOST_NODES = 40
MOST_VARIABLES = 12
MOST_TERMS = 6


def write(explanation: Explanation) -> str:
    """Every value, then the chain rule for each variable."""
    named = [n.index for n in explanation.nodes if n.name]
    rows = [_definition(explanation, i) for i in named[:MOST_NODES]]
    if len(named) > MOST_NODES:
        rows.append(r"&\;\;\vdots")
    for d in explanation.derivations_shown(MOST_VARIABLES):
        rows += _rule(explanation, d)
    return "\\begin{align*}\n" + " \\\\\n".join(rows) + "\n\\end{align*}"


def _definition(explanation: Explanation, i: int) -> str:
    node = explanation.nodes[i]
    steps = [_value(explanation, node.value)]
    if explanation.expression(i):
        numbers = [explanation.expression_latex(i, numbers=True)] if explanation.substituted(i) else []
        steps = list(dict.fromkeys([explanation.expression_latex(i), *numbers, *steps]))
    return f"{name_latex(node.name)} &= {' = '.join(steps)}"


def _rule(explanation: Explanation, d: Derivation) -> list[str]:
    left = _fraction(explanation.result, d.variable)
    terms, numbers = [], []
    for edge in d.terms[:MOST_TERMS]:
        symbol, number = _term(explanation, edge, len(d.terms) == 1)
        terms.append(symbol)
        numbers.append(number)
    dots = r" + \cdots" if len(d.terms) > MOST_TERMS else ""
    steps = []
    if len(terms) > 1 or (d.terms and d.terms[0].node != len(explanation.nodes) - 1):
        steps.append(" + ".join(terms) + dots)
    if numbers and all(numbers):
        first = (
            numbers[0].removeprefix(r"\left(").replace(r"\right)", "", 1)
            if numbers[0][:6] == r"\left("
            else ""
        )
        steps.append(" + ".join([first or numbers[0], *numbers[1:]]) + dots)
    steps.append(_value(explanation, d.gradient))
    steps = list(dict.fromkeys(steps))
    return [f"{left} &= {steps[0]}", *(f"&= {step}" for step in steps[1:])]


def _term(explanation: Explanation, edge: Edge, sole: bool) -> tuple[str, str]:
    """Upstream times local, in letters and in numbers ("" for arrays)."""
    user, used = explanation.named(edge.node), explanation.named(edge.input)
    local = _fraction(user, used)
    if explanation.is_repeated(edge):
        local = rf"\left({local}\right)_{{{edge.slot + 1}}}"
    upstream = explanation.nodes[edge.node].gradient
    scalar = isinstance(edge.local, float) and isinstance(upstream, float)
    if edge.node == len(explanation.nodes) - 1:
        if not sole and not local.startswith(r"\left") and not sole:
            local = rf"\left.{local}\right|_{{\text{{direct}}}}"
        return local, _factor(explanation, edge.local) if isinstance(edge.local, float) else ""
    letters = rf"{_fraction(explanation.result, user)} \cdot {local}"
    if not scalar:
        return letters, ""
    assert isinstance(edge.local, float)
    assert isinstance(upstream, float)
    return letters, rf"{_factor(explanation, upstream)} \cdot {_factor(explanation, edge.local)}"


def _fraction(of: str, by: str) -> str:
    return rf"\frac{{\partial {name_latex(of)}}}{{\partial {name_latex(by)}}}"


def _factor(explanation: Explanation, number: float) -> str:
    text = number_latex(number, explanation.digits)
    return rf"\left({text}\right)" if text.startswith("-") else text


def _value(explanation: Explanation, value: Value) -> str:
    if isinstance(value, (int, float)):
        return number_latex(value, explanation.digits)
    sizes = r" \times ".join(map(str, value.shape))
    return rf"\text{{array of shape }} {sizes}"
