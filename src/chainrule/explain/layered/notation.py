"""The letters of layers: ``z₁⁽²⁾``, ``w₄,₈⁽²⁾``, ``δₖ⁽³⁾``, with indices that are numbers or letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from chainrule.explain.terms import Term

Index: TypeAlias = "int | str"

_LOWERED = str.maketrans("0123456789+-−aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_GREEK = {"δ": r"\delta"}


def symbol(letter: str, layer: int | None, *groups: Sequence[Index]) -> Term:
    """A letter with its layer above and its indices below: groups of indices are separated by a semicolon.

    Args:
        letter: z, a, δ, w, b or another.
        layer: its number; None for none.
        groups: unit, position, and so on; empty ones are left out.

    Example:
        >>> symbol("z", 2, [1]).text, symbol("w", 2, [4, "j"], [1, 2]).latex
        ('z₁⁽²⁾', 'w_{4,j;1,2}^{(2)}')
    """
    below = ";".join(",".join(map(str, group)) for group in groups if len(group))
    text, latex = letter, _GREEK.get(letter, letter)
    if below:
        text += below.translate(_LOWERED)
        latex += f"_{below}" if len(below) == 1 else f"_{{{below}}}"
    if layer is not None:
        text += f"⁽{str(layer).translate(_RAISED)}⁾"
        latex += f"^{{({layer})}}"
    return Term(text, latex)


def named(function: str) -> Term:
    """``f``, or of ``f_2`` ``f₂``."""
    letter, _, number = function.partition("_")
    return symbol(letter, None, [number] if number else [])


def applied(function: str, to: Term, primed: bool = False) -> Term:
    """``f(z)``, or ``f′(z)``."""
    f = named(function)
    text, latex = (f"{f.text}′", f"{f.latex}'") if primed else (f.text, f.latex)
    return Term(f"{text}({to.text})", f"{latex}({to.latex})")


def summed(over: Sequence[str], of: Term) -> Term:
    """``Σₙ …``; without letters the term alone."""
    if not over:
        return of
    below = ",".join(over)
    return Term(f"Σ{below.translate(_LOWERED)} {of.text}", rf"\sum_{{{below}}} {of.latex}")


def beside(*factors: Term) -> Term:
    """Letters as a product: ``δ₁⁽³⁾·w₅`` in text, beside each other in LaTeX."""
    return Term("·".join(f.text for f in factors), " ".join(f.latex for f in factors))
