"""The examples of the four articles, and a few that show what a graph is for; each one click away.

`chainrule.tour.articles` says which articles these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

from chainrule.studio.formulas.trace import PLAIN, Presentation
from chainrule.tour.network import TEXT, VALUES


@dataclass(frozen=True, slots=True)
class Example:
    """A formula with values: those of its article, or chainrule's own where the article has letters only.

    Attributes:
        text: the formula.
        source: where it is from, in a word or two.
        values: of its variables.
        wrt: the variable that is selected.
        rate: learning rate of the descent.
        name: how it is called, where the formula itself is too long.
        presentation: letters, ranges and remarks.
    """

    text: str
    source: str
    values: Mapping[str, float]
    wrt: str
    rate: float = 0.1
    name: str = ""
    presentation: Presentation = PLAIN

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "text": self.text,
            "name": self.name or self.text,
            "source": self.source,
            "values": dict(self.values),
            "wrt": self.wrt,
            "rate": self.rate,
        }


_LETTERS = {
    "z1": "z_1^{(2)}",
    "z2": "z_2^{(2)}",
    "z3": "z_1^{(3)}",
    "a1": "a_1^{(2)}",
    "a2": "a_2^{(2)}",
    "a3": "a_1^{(3)}",
}

_DELTAS = {
    "z1": "Article 001 calls its gradient δ, of node 1 in layer 2: computed once, and used for w₁ and w₃.",
    "z2": "Article 001 calls its gradient δ, of node 2 in layer 2: computed once, and used for w₂ and w₄.",
    "z3": "Article 001 calls its gradient δ, of node 1 in layer 3: computed once, and used for w₅, w₆ and all before.",
}

EXAMPLES: tuple[Example, ...] = (
    Example("(a+b)*(b+c)", "article 000", {"a": -1, "b": 3, "c": 4}, "b"),
    Example("x*y", "article 000", {"x": -2, "y": 3}, "x"),
    Example("(4x+1)^2", "article 002", {"x": 1}, "x", 0.01),
    Example("1/(1+e^(-x))", "article 002", {"x": 1}, "x", 2.0),
    Example("(7x+3)^2", "article 002", {"x": 1}, "x", 0.005),
    Example("3^x + 2x", "article 002", {"x": 1}, "x", 0.05),
    Example(
        dedent(TEXT).strip(),
        "article 001",
        VALUES,
        "w1",
        1.0,
        "2-2-1 network",
        Presentation(_LETTERS, 3.0, ("x1", "x2", "y"), _DELTAS),
    ),
    Example("x*y", "article 003", {"x": 2, "y": -6}, "x", name="x*y at (2, −6)"),
    Example("x*x", "used twice", {"x": 3}, "x"),
    Example("relu(w*x + b)", "a unit", {"w": 0.8, "x": 1.5, "b": -0.5}, "w"),
    Example("-log(1/(1+exp(-w*x)))", "a loss", {"w": 0.5, "x": 2}, "w", 0.5),
)


def presentation_of(text: str) -> Presentation:
    """How a formula is shown: as the example of the same text, else plainly."""
    return next((e.presentation for e in EXAMPLES if e.text == text), PLAIN)
