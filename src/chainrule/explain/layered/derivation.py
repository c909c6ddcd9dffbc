"""How one gradient or one delta comes about, in the notation of layers: plain data and its forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

from chainrule.explain import terms
from chainrule.explain.layered.equations import Equation
from chainrule.explain.layered.reuse import Reused
from chainrule.explain.numbers import json_number, number_text

VERSION = 1
"""Of the JSON."""


@dataclass(frozen=True, slots=True)
class LayerDerivation:
    """How one gradient, or one delta, comes about in the notation of layers. ``print`` shows ``text``.

    Attributes:
        about: what is derived, such as ``layers.0.weight[3, 7]``.
        symbol: how it is written, such as ``w₄,₈⁽²⁾``.
        value: what the equations give.
        gradient: what the backward pass gives.
        headline: what is derived and for which sample, in words.
        forward: sums and activations on the way to the result.
        backward: deltas, from the result down.
        last: the gradient from the delta; empty where a delta was asked for.
        chain: the whole chain rule as one product, where there is a single path.
        reuses: what each delta is used for.
        legend: what f, p and y stand for.
    """

    about: str
    symbol: str
    value: float
    gradient: float
    headline: str
    forward: tuple[Equation, ...]
    backward: tuple[Equation, ...]
    last: tuple[Equation, ...]
    chain: tuple[Equation, ...]
    reuses: tuple[Reused, ...]
    legend: tuple[str, ...]

    @property
    def equations(self) -> tuple[Equation, ...]:
        """All of them, in the order of both passes."""
        return self.forward + self.backward + self.last + self.chain

    @property
    def agrees(self) -> bool:
        """Whether the equations give what the backward pass gives, up to rounding."""
        if not math.isfinite(self.value) or not math.isfinite(self.gradient):
            return json_number(self.value) == json_number(self.gradient)
        scale = max([abs(self.value), abs(self.gradient), *(abs(e.value) for e in self.backward)])
        return abs(self.value - self.gradient) <= 1e-4 * scale

    @property
    def text(self) -> str:
        """All of it as plain text."""
        blocks = [[self.headline]]
        for title, group in self._groups():
            blocks.append(
                [title, *(f"  {e.left.text} = {' = '.join(s.text for s in e.steps)}" for e in group)]
            )
        blocks.append([*(reuse.text for reuse in self.reuses), *self.legend])
        if not self.agrees:
            blocks.append([f"The backward pass gives {number_text(self.gradient)}: the sums round apart."])
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def _groups(self) -> list[tuple[str, tuple[Equation, ...]]]:
        groups = [
            ("Forward", self.forward),
            ("Backward: every δ once, from the result down", self.backward),
            ("The gradient", self.last),
            ("The same without δ, as one product", self.chain),
        ]
        return [(title, group) for title, group in groups if group]

    @property
    def latex(self) -> str:
        """The equations as an ``align*`` environment, for LaTeX with amsmath and for KaTeX."""
        return terms.as_align([line for e in self.equations for line in e.lines])

    @property
    def mathml(self) -> str:
        """The same as a ``<math>`` element of presentation MathML."""
        return terms.as_mathml([line for e in self.equations for line in e.lines])

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        notes = "".join(f"<div>{escape(reuse.text)}</div>" for reuse in self.reuses)
        notes += "".join(f"<div>{escape(line)}</div>" for line in self.legend)
        return f'<div class="chainrule-layers"><div>{escape(self.headline)}</div>{self.mathml}{notes}</div>'

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "version": VERSION,
            "about": self.about,
            "symbol": self.symbol,
            "value": json_number(self.value),
            "gradient": json_number(self.gradient),
            "agrees": self.agrees,
            "headline": self.headline,
            **{
                key: [_equation_dict(e) for e in group]
                for key, group in (
                    ("forward", self.forward),
                    ("backward", self.backward),
                    ("last", self.last),
                    ("chain", self.chain),
                )
            },
            "reuses": [reuse.to_dict() for reuse in self.reuses],
            "legend": list(self.legend),
        }


def _equation_dict(e: Equation) -> dict[str, Any]:
    return {
        "left": e.left.text,
        "steps": [step.text for step in e.steps],
        "latex": " = ".join([e.left.latex, *(step.latex for step in e.steps)]),
        "value": json_number(e.value),
    }
