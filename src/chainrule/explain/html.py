"""An explanation as a fragment of HTML for notebooks. Text of the user enters escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from chainrule.explain import mathml, rule, text
from chainrule.explain.numbers import counted
from chainrule.explain.terms import chain

if TYPE_CHECKING:
    from chainrule.explain.explanation import Derivation, Explanation

_VALUE = "color:light-dark(#0a5aa6,#7fc1ff)"
_GRADIENT = "color:light-dark(#a8430a,#ffb27a)"
_BAR = "background:light-dark(#b4500b,#f0883e)"
_CELL = "text-align:left;padding:2px 12px"


def write(explanation: Explanation) -> str:
    """A table of the nodes, the chain rule, and the paths with bars."""
    shown = explanation.derivations_shown(text.MOST_VARIABLES)
    rules = "".join(f"<div>{_rule(explanation, d)}</div>" for d in shown)
    paths = "".join(_paths(explanation, d) for d in text.with_paths(shown))
    notes = "".join(f"<div>{escape(note)}</div>" for note in explanation.notes)
    return f'<div class="chainrule-explanation">{notes}{_nodes(explanation)}{rules}{paths}</div>'


def _nodes(explanation: Explanation) -> str:
    named = [n for n in explanation.nodes if n.name]
    rows = "".join(
        f'<tr><th style="{_CELL}">{escape(n.name)}</th>'
        f'<td style="{_CELL}">{_expression(explanation, n.index)}</td>'
        f'<td style="{_CELL};{_VALUE}">{escape(explanation.shown(n.value))}</td>'
        f'<td style="{_CELL};{_GRADIENT}">'
        f"{'' if n.gradient is None else escape(explanation.shown(n.gradient))}</td></tr>"
        for n in named[: text.MOST_NODES]
    )
    left_out = len(named) - text.MOST_NODES
    if left_out > 0:
        rows += f'<tr><td colspan="4" style="{_CELL}">… and {counted(left_out, "more node")}</td></tr>'
    result = escape(explanation.result)
    head = "".join(
        f'<th style="{_CELL};{style}">{label}</th>'
        for label, style in (
            ("node", ""),
            ("is", ""),
            ("value", _VALUE),
            (f"gradient ∂{result}/∂node", _GRADIENT),
        )
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _expression(explanation: Explanation, i: int) -> str:
    return mathml.inline(explanation.expression_term(i).latex) if explanation.expression(i) else ""


def _rule(explanation: Explanation, d: Derivation) -> str:
    *steps, value = rule.steps(explanation, d)
    left = chain([rule.gradient(explanation, d), *steps]).latex
    shown = mathml.inline(f"{left} =")
    return f'{shown} <b style="{_GRADIENT}">{mathml.inline(value.latex)}</b>'


def _paths(explanation: Explanation, d: Derivation) -> str:
    rows = ""
    for path in d.paths.listed[: text.MOST_PATHS]:
        share = d.share(path) or 0.0
        bar = f'<div style="{_BAR};height:8px;width:{120 * share:.0f}px"></div>'
        cells = (text.route(explanation, path), text.product_text(explanation, path), text.share_of(d, path))
        rows += "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in cells)
        rows += f'<td style="{_CELL}">{bar if text.share_of(d, path) else ""}</td></tr>'
    others = text.others_row(explanation, d, text.MOST_PATHS)
    if others:
        rows += "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in others) + "</tr>"
    notes = "".join(f"<div>{escape(note)}</div>" for note in text.remarks(explanation, d))
    heading = escape(text.paths(explanation, d)[0])
    return f"<div>{heading}</div><table><tbody>{rows}</tbody></table>{notes}"
