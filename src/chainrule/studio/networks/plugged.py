"""A network's formula with its weights plugged in: as LaTeX, as text, and as a formula that chainrule reads again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from chainrule.explain.layered.notation import symbol
from chainrule.explain.numbers import MINUS
from chainrule.explain.terms import Line, Term, as_align, factor, more, number
from chainrule.formula.functions import FUNCTIONS
from chainrule.nn import Sequential
from chainrule.primitive import Array
from chainrule.studio.networks.building import Setting, linears

MOST_TERMS = 16
"""Inputs up to which the sum of a unit is written out; of more, the first so many."""
MOST_NESTED = 24
"""Weights up to which a whole network is written as one formula."""
DIGITS = 3


def letter(setting: Setting, layer: int, unit: int) -> Term:
    """``x₁``, ``a₁⁽²⁾``, and ŷ for what the network says; layers and units from 1."""
    last = len(setting.sizes)
    if layer == 1:
        return symbol("x", None, [unit] if setting.sizes[0] > 1 else [])
    if layer < last:
        return symbol("a", layer, [unit])
    y = Term("ŷ", r"\hat{y}")
    return (
        y
        if setting.sizes[-1] == 1
        else Term(f"{y.text}{symbol('', None, [unit]).text}", rf"{y.latex}_{{{unit}}}")
    )


def weighted(
    weights: Array, bias: float | None, inputs: Sequence[Term], digits: int = DIGITS, short: bool = False
) -> Term:
    """``3.12·x₁ − 0.432·x₂ + 2.28``; of many terms only the first ones where it is to be short."""
    text, latex = "", ""
    pairs: list[tuple[float, Term | None]] = list(zip(weights.tolist(), inputs, strict=True))
    left_out = max(0, len(pairs) - MOST_TERMS) if short else 0
    if left_out:
        pairs = pairs[:MOST_TERMS]
    if bias is not None:
        pairs.append((bias, None))
    for value, of in pairs:
        negative = value < 0
        size = number(abs(value), digits)
        size = factor(size) if "·" in size.text else size
        first = not text
        text += (MINUS if negative else "") if first else f" {MINUS if negative else '+'} "
        latex += ("-" if negative else "") if first else (" - " if negative else " + ")
        text += size.text if of is None else f"{size.text}·{of.text}"
        latex += rf"\class{{v}}{{{size.latex}}}" + ("" if of is None else rf"\,{of.latex}")
    if not left_out:
        return Term(text, latex)
    rest = more(left_out, "term")
    return Term(f"{text} + {rest.text}", f"{latex} + {rest.latex}")


def applied(function: str, inner: Term) -> Term:
    """``tanh(…)``; the inner term alone for none."""
    if function == "linear":
        return inner
    template = FUNCTIONS[function].latex
    short = {"sigmoid": "σ"}.get(function, function)
    return Term(f"{short}({inner.text})", template.replace("#", inner.latex))


def unit_line(
    setting: Setting, model: Sequential, layer: int, unit: int, digits: int = DIGITS, short: bool = False
) -> Line:
    """``a₁⁽²⁾ = tanh(3.12·x₁ − 0.432·x₂ + 2.28)``: one unit, layers and units from 1."""
    inputs = [letter(setting, layer - 1, i + 1) for i in range(setting.sizes[layer - 2])]
    return Line(letter(setting, layer, unit), _unit(setting, model, layer, unit, inputs, digits, short))


def _unit(
    setting: Setting,
    model: Sequential,
    layer: int,
    unit: int,
    inputs: Sequence[Term],
    digits: int,
    short: bool = False,
) -> Term:
    linear = linears(model)[layer - 2]
    bias = None if linear.bias is None else float(linear.bias.numpy()[unit - 1])
    inner = weighted(linear.weight.numpy()[:, unit - 1], bias, inputs, digits, short)
    return applied(_function(setting, layer), inner)


def _function(setting: Setting, layer: int) -> str:
    """What a layer makes of its sums, with the logistic function that a cross-entropy of yes and no implies."""
    last = setting.activations[layer - 2]
    if layer == len(setting.sizes) and setting.options.loss == "cross_entropy" and setting.sizes[-1] == 1:
        return "sigmoid"
    return last


def network_lines(setting: Setting, model: Sequential, digits: int = DIGITS) -> list[Line]:
    """The whole network: one formula where it is small, else a line for each unit."""
    sizes = setting.sizes
    layers = range(2, len(sizes) + 1)
    if sum(a * b for a, b in itertools.pairwise(sizes)) > MOST_NESTED:
        return [
            unit_line(setting, model, layer, unit + 1, digits)
            for layer in layers
            for unit in range(sizes[layer - 1])
        ]
    terms = [letter(setting, 1, i + 1) for i in range(sizes[0])]
    for layer in layers:
        terms = [_unit(setting, model, layer, unit + 1, terms, digits) for unit in range(sizes[layer - 1])]
    return [Line(letter(setting, len(sizes), unit + 1), term) for unit, term in enumerate(terms)]


def network_latex(lines: Sequence[Line]) -> str:
    """The lines for LaTeX and KaTeX."""
    return as_align(lines).replace(r"\class{v}", "")


def network_formula(setting: Setting, model: Sequential) -> str:
    """The network in full precision, as ``cr.formula`` reads it: a line for each unit, the last one is the output.

    Example:
        ``a2_1 = tanh(3.12*x1 - 0.432*x2 + 2.28)``
    """
    sizes = setting.sizes
    rows: list[str] = []
    for layer, linear in enumerate(linears(model), 2):
        weights = linear.weight.numpy()
        biases = None if linear.bias is None else linear.bias.numpy()
        for unit in range(sizes[layer - 1]):
            terms = [
                f"{w!r}*{_plain(setting, layer - 1, i + 1)}" for i, w in enumerate(weights[:, unit].tolist())
            ]
            terms += [] if biases is None else [repr(float(biases[unit]))]
            inner = " + ".join(terms).replace("+ -", "- ")
            f = _function(setting, layer)
            made = inner if f == "linear" else f"{f}({inner})"
            rows.append(f"{_plain(setting, layer, unit + 1)} = {made}")
    return "\n".join(rows)


def _plain(setting: Setting, layer: int, unit: int) -> str:
    if layer == 1:
        return f"x{unit}"
    last = layer == len(setting.sizes)
    return ("y" if setting.sizes[-1] == 1 else f"y{unit}") if last else f"a{layer}_{unit}"
