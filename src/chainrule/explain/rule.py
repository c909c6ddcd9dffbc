"""The chain rule of one variable, as terms: in letters, in numbers, and the gradient that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.explain.sweep import Edge
from chainrule.explain.terms import (
    Line,
    Term,
    chain,
    derivative,
    factor,
    leading,
    lowered,
    marked,
    more,
    name,
    parenthesised,
    product,
    total,
)

if TYPE_CHECKING:
    from chainrule.explain.explanation import Derivation, Explanation

MOST_TERMS = 8
MOST_NODES = 40
MOST_VARIABLES = 12


def gradient(explanation: Explanation, d: Derivation) -> Term:
    """``∂f/∂b``, the left side."""
    return derivative(name(explanation.result), name(d.variable))


def steps(explanation: Explanation, d: Derivation) -> list[Term]:
    """What stands behind the equals signs: letters, numbers, the gradient; without those that say nothing."""
    found = [in_letters(explanation, d), in_numbers(explanation, d), explanation.value_term(d.gradient)]
    return list(dict.fromkeys(step for step in found if step is not None))


def lines(explanation: Explanation) -> list[Line]:
    """Every value, then the chain rule for each variable: what LaTeX and MathML show."""
    named = [n.index for n in explanation.nodes if n.name]
    found = [_definition(explanation, i) for i in named[:MOST_NODES]]
    if len(named) > MOST_NODES:
        found.append(Line(None, Term("⋮", r"\;\;\vdots")))
    for d in explanation.derivations_shown(MOST_VARIABLES):
        left: Term | None = gradient(explanation, d)
        for step in steps(explanation, d):
            found.append(Line(left, step))
            left = None
    return found


def _definition(explanation: Explanation, i: int) -> Line:
    node = explanation.nodes[i]
    found = [explanation.value_term(node.value)]
    if explanation.expression(i):
        numbers = [explanation.expression_term(i, numbers=True)] if explanation.substituted(i) else []
        found = [explanation.expression_term(i), *numbers, *found]
    return Line(name(node.name), chain(found))


def local(explanation: Explanation, edge: Edge) -> Term:
    """``∂x/∂b``; with the number of the use where the node uses the same input more than once."""
    found = derivative(explanation.named_term(edge.node), explanation.named_term(edge.input))
    if not explanation.is_repeated(edge):
        return found
    return lowered(parenthesised(found), use(explanation, edge))


def use(explanation: Explanation, edge: Edge) -> int:
    """Which use of the input by this node it is, from 1."""
    same = [e.slot for e in explanation.nodes[edge.node].edges if e.input == edge.input]
    return same.index(edge.slot) + 1


def in_letters(explanation: Explanation, d: Derivation) -> Term | None:
    """``∂f/∂x·∂x/∂b + ∂f/∂y·∂y/∂b``; None where it would only say ∂f/∂b."""
    last = len(explanation.nodes) - 1
    terms: list[Term] = []
    for edge in d.terms[:MOST_TERMS]:
        found = local(explanation, edge)
        if edge.node != last:
            upstream = derivative(name(explanation.result), explanation.named_term(edge.node))
            terms.append(product([upstream, found]))
        elif explanation.is_repeated(edge):
            terms.append(found)
        elif len(d.terms) > 1:  # the same letters would otherwise mean the whole
            terms.append(marked(found, "direct"))
    return total([*terms, *_omitted(d)]) if terms else None


def _omitted(d: Derivation) -> list[Term]:
    left_out = len(d.terms) - MOST_TERMS
    return [more(left_out, "term")] if left_out > 0 else []


def in_numbers(explanation: Explanation, d: Derivation) -> Term | None:
    """``7·1 + 2·1``; where arrays take part their contributions, if there are several."""
    last = len(explanation.nodes) - 1
    terms: list[Term] = []
    for edge in d.terms[:MOST_TERMS]:
        upstream = explanation.nodes[edge.node].gradient
        if not isinstance(edge.local, float) or not isinstance(upstream, float):
            return _of_arrays(explanation, d)
        factors = [edge.local] if edge.node == last else [upstream, edge.local]
        first, *others = map(explanation.number_term, factors)
        if terms:
            first = factor(first)
        elif others:
            first = leading(first)
        terms.append(product([first, *map(factor, others)]))
    return total([*terms, *_omitted(d)]) if terms else None


def _of_arrays(explanation: Explanation, d: Derivation) -> Term | None:
    if len(d.terms) < 2:
        return None
    parts = [explanation.value_term(edge.contribution) for edge in d.terms[:MOST_TERMS]]
    # A shape with its range has blanks in it: parentheses say where it ends.
    fitted = [part if part.text.startswith("[") else factor(part) for part in parts]
    return total([*fitted, *_omitted(d)])
