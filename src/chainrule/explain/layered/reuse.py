"""What a delta is used for: computed once, it serves the gradients of its unit and the deltas before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule.explain.layered.network import Network, Numbers
from chainrule.explain.numbers import counted

MOST = 4


@dataclass(frozen=True, slots=True)
class Reused:
    """A delta and what is computed from it.

    Attributes:
        delta: how it is written.
        gradients: of which weights and biases, the first few.
        gradient_count: of how many.
        deltas: of which units before it, the first few.
        delta_count: of how many.
    """

    delta: str
    gradients: tuple[str, ...]
    gradient_count: int
    deltas: tuple[str, ...]
    delta_count: int

    @property
    def count(self) -> int:
        """Uses in all."""
        return self.gradient_count + self.delta_count

    @property
    def text(self) -> str:
        """``δ₁⁽³⁾ is computed once and used for ∂E/∂w₅, ∂E/∂w₆ and for δ₁⁽²⁾, δ₂⁽²⁾.``"""
        parts = [
            _listed(names, count, noun)
            for names, count, noun in (
                (self.gradients, self.gradient_count, "gradient"),
                (self.deltas, self.delta_count, "delta"),
            )
            if count
        ]
        verb = "reused" if self.count > 1 else "used"
        return f"{self.delta} is {verb} for {' and for '.join(parts)}."

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "delta": self.delta,
            "gradients": list(self.gradients),
            "gradient_count": self.gradient_count,
            "deltas": list(self.deltas),
            "delta_count": self.delta_count,
        }


def _listed(names: tuple[str, ...], count: int, noun: str) -> str:
    more = count - len(names)
    return ", ".join(names) + (f" and {counted(more, f'more {noun}')}" if more else "")


def reused(network: Network, layer: Numbers, element: int) -> Reused:
    """What the delta of one element is used for."""
    kind = layer.found.product
    place = kind.place(element)
    xs, ws = kind.of_output(element)
    weights = [network.weight(layer, int(w)).text for w in ws[:MOST]]
    bias = [network.bias(layer, place.unit).text] if layer.found.bias is not None else []
    gradients = [f"∂{network.result}/∂{name}" for name in (bias + weights)[:MOST]]
    before: list[str] = []
    count = 0
    for x in xs.tolist():
        source, at = network.source(layer, x)
        if source is None or source.number - 2 < 0:
            break
        count += 1
        if count <= MOST:
            before.append(network.unit("δ", source, source.found.product.place(at)).text)
    return Reused(
        network.unit("δ", layer, place).text, tuple(gradients), len(ws) + len(bias), tuple(before), count
    )
