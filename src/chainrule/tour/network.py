"""The 2-2-1 network of article 001: every delta, every weight's gradient, and how often a delta is reused."""

from __future__ import annotations

import numpy as np

from chainrule.explain import Explanation, explain
from chainrule.explain.numbers import count_text, number_text
from chainrule.formula import Formula, formula
from chainrule.tour.stop import Check, Stop

WEIGHTS = ("w1", "w2", "w3", "w4", "w5", "w6")
TEXT = """
    z1 = x1*w1 + x2*w3
    z2 = x1*w2 + x2*w4
    a1 = sigmoid(z1)
    a2 = sigmoid(z2)
    z3 = a1*w5 + a2*w6
    a3 = sigmoid(z3)
    E  = (y - a3)^2 / 2
"""
VALUES = {
    "x1": 0.5,
    "x2": -1.0,
    "y": 1.0,
    "w1": 0.4,
    "w2": -0.6,
    "w3": 0.3,
    "w4": 0.8,
    "w5": 1.2,
    "w6": -0.7,
}


def by_the_articles_formulas(v: dict[str, float]) -> dict[str, float]:
    """z, a, delta and ∂E/∂w in plain NumPy, as article 001 derives them by hand."""

    def sigmoid(z: float) -> float:
        return float(1 / (1 + np.exp(-z)))

    def slope(z: float) -> float:
        return sigmoid(z) * (1 - sigmoid(z))

    z1, z2 = v["x1"] * v["w1"] + v["x2"] * v["w3"], v["x1"] * v["w2"] + v["x2"] * v["w4"]
    a1, a2 = sigmoid(z1), sigmoid(z2)
    z3 = a1 * v["w5"] + a2 * v["w6"]
    a3 = sigmoid(z3)
    delta3 = (a3 - v["y"]) * slope(z3)
    delta1, delta2 = delta3 * v["w5"] * slope(z1), delta3 * v["w6"] * slope(z2)
    return {
        "z1": z1,
        "z2": z2,
        "z3": z3,
        "a1": a1,
        "a2": a2,
        "a3": a3,
        "E": (v["y"] - a3) ** 2 / 2,
        "δ1": delta1,
        "δ2": delta2,
        "δ3": delta3,
        "w1": delta1 * v["x1"],
        "w2": delta2 * v["x1"],
        "w3": delta1 * v["x2"],
        "w4": delta2 * v["x2"],
        "w5": delta3 * a1,
        "w6": delta3 * a2,
    }


def central_difference(network: Formula, values: dict[str, float], name: str, step: float = 1e-5) -> float:
    """∂E/∂name from two more forward passes."""
    above, below = ({**values, name: values[name] + sign * step} for sign in (1, -1))
    return float(network(**above).item() - network(**below).item()) / (2 * step)


def two_two_one() -> Stop:
    """Forward values, deltas, and all six gradients, against the article's formulas and differences."""
    network = formula(TEXT)
    explanation = explain(network(**VALUES), list(WEIGHTS))
    nodes = {node.name: node for node in explanation.nodes}
    said = by_the_articles_formulas(VALUES)
    source = "formula of 001"
    checks = [Check(name, source, said[name], _float(nodes[name].value)) for name in ("z1", "z2", "z3")]
    checks += [Check(name, source, said[name], _float(nodes[name].value)) for name in ("a1", "a2", "a3", "E")]
    for unit in "321":
        checks.append(
            Check(f"δ{unit} = ∂E/∂z{unit}", source, said[f"δ{unit}"], _float(nodes[f"z{unit}"].gradient))
        )
    for name in WEIGHTS:
        computed = explanation.gradients[name].item()
        checks.append(Check(f"∂E/∂{name}", source, said[name], computed))
        difference = central_difference(network, VALUES, name)
        checks.append(Check(f"∂E/∂{name}", "central difference", difference, computed, tolerance=1e-8))
    return Stop(
        "a 2-2-1 network",
        "001",
        "E = (y − a3)²/2 behind two hidden units and one output unit, all sigmoid. δ is ∂E/∂z of a unit; "
        "every weight's gradient is its unit's δ times what the weight multiplies.",
        checks,
        _reuse(explanation),
        slip="001 twice writes z of the output unit as a1·w5 + a1·w6; its figure and its results use a2·w6, "
        "as here.",
    )


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value


def _reuse(explanation: Explanation) -> list[str]:
    """How often each delta serves, and what the six gradients would cost without reuse."""
    uses = dict.fromkeys(("z3", "z1", "z2"), 0)
    for path in explanation.paths:
        for i in path.nodes:
            if (name := explanation.named(i)) in uses:
                uses[name] += 1
    apart = sum(len(path.edges) for path in explanation.paths)
    (seconds,) = {len(explanation.paths)}
    together = len({edge for path in explanation.paths for edge in path.edges})
    return [
        "δ3 is computed once and used for {z3} weights, δ1 for {z1}, δ2 for {z2}.".format(**uses),
        f"{seconds} gradients by {seconds} separate chains take {apart} products; with every δ reused "
        f"{together}: {number_text(apart / together)} times fewer.",
        f"{count_text(len(explanation.nodes))} nodes; the same sweep also gives ∂E/∂x1, ∂E/∂x2 and ∂E/∂y.",
    ]
