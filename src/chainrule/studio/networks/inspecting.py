"""One unit, weight or bias for one example: its formula with the numbers, and where its gradient comes from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError
from chainrule.explain import Layers, layers
from chainrule.explain.layered.derivation import LayerDerivation
from chainrule.explain.layered.equations import Equation
from chainrule.explain.layered.notation import symbol
from chainrule.explain.numbers import json_number, number_text
from chainrule.explain.terms import Line, Term, derivative, factor, name, number
from chainrule.nn import Linear, Sequential
from chainrule.primitive import Array
from chainrule.studio.drawing.mathtree import plain, tree
from chainrule.studio.networks.building import Setting, linears
from chainrule.studio.networks.plugged import MOST_TERMS, letter, unit_line
from chainrule.studio.networks.training import Selection
from chainrule.tensor import tensor


class Sample:
    """One example sent through a network, forward and backward.

    Args:
        setting: what the network is trained on.
        model: the network.
        point: number of the example.

    Attributes:
        loss: of this example alone.
        net: the network layer by layer.
    """

    def __init__(self, setting: Setting, model: Sequential, point: int) -> None:
        self.setting, self.model, self.point = setting, model, point
        examples = setting.examples
        x = tensor(examples.x[point : point + 1], requires_grad=True, name="x")
        targets = setting.objective.targets(examples.y[point : point + 1])
        self._x = x
        self._e = setting.objective.loss(model(x), targets)
        self.loss = float(self._e.item())
        self.net: Layers = layers(self._e, model)

    @cached_property
    def rows(self) -> list[dict[str, Array]]:
        """z, a and δ of each layer's units, from layer 2 on."""
        return [self.net.units(layer + 2) for layer in range(len(self.setting.sizes) - 1)]

    @cached_property
    def x(self) -> Array:
        """The inputs."""
        return self.setting.examples.x[self.point]

    @cached_property
    def to_input(self) -> Array:
        """The gradient of the loss with respect to the inputs."""
        return self.net.gradient("x")[0]

    def gradients(self) -> list[tuple[Array, Array | None]]:
        """The gradient of the loss with respect to each layer's weights and biases."""
        return [
            (
                self.net.gradient(f"{path}.weight"),
                None if layer.bias is None else self.net.gradient(f"{path}.bias"),
            )
            for path, layer in self.paths()
        ]

    def paths(self) -> Iterable[tuple[str, Linear]]:
        """Layers with weights, and what their parameters are called."""
        return [(f"layers.{i}", m) for i, m in enumerate(self.model.layers) if isinstance(m, Linear)]

    def activations(self, layer: int) -> Array:
        """What the units of a layer give; layer 1 are the inputs."""
        return self.x if layer == 1 else self.rows[layer - 2]["a"]


def inspected(sample: Sample, selection: Selection) -> dict[str, Any]:
    """What the page says of the selection, JSON-ready: formulas as trees, as LaTeX and as text.

    Raises:
        ArgumentError: there is no such unit or weight.
    """
    setting = sample.setting
    require_place(setting, selection)
    if selection.layer == 1:
        return _input(sample, selection.unit)
    if selection.into is None:
        return _unit(sample, selection.layer, selection.unit)
    return _parameter(sample, selection.layer, selection.unit, selection.into)


def require_place(setting: Setting, selection: Selection) -> None:
    """See that there is such an example, and such a unit or weight.

    Raises:
        ArgumentError: there is none.
    """
    sizes = setting.sizes
    last = len(setting.examples.x) - 1
    if not 0 <= selection.point <= last:
        raise ArgumentError(f"there is no example {selection.point}", fix=f"give a number from 0 to {last}")
    if not 1 <= selection.layer <= len(sizes):
        raise ArgumentError(
            f"there is no layer {selection.layer}", fix=f"give a number from 1 to {len(sizes)}"
        )
    if not 1 <= selection.unit <= sizes[selection.layer - 1]:
        raise ArgumentError(
            f"layer {selection.layer} has no unit {selection.unit}",
            fix=f"give a number from 1 to {sizes[selection.layer - 1]}",
        )
    if selection.into is None:
        return
    least = 0 if setting.options.biases else 1
    if selection.layer < 2 or not least <= selection.into <= sizes[selection.layer - 2]:
        raise ArgumentError(
            f"unit {selection.unit} of layer {selection.layer} has no weight {selection.into}",
            fix=f"give a number from {least} to {sizes[max(selection.layer - 2, 0)]}; 0 is its bias",
        )


def math(latex: str, text: str) -> dict[str, Any]:
    """A formula in all its forms."""
    return {
        "tree": tree(latex),
        "latex": plain(latex).replace(r"\class{v}", "").replace(r"\class{g}", ""),
        "text": text,
    }


def _term(term: Term) -> dict[str, Any]:
    return math(term.latex, term.text)


def _line(line: Line) -> dict[str, Any]:
    assert line.left is not None
    return math(f"{line.left.latex} = {line.right.latex}", f"{line.left.text} = {line.right.text}")


def _equation(e: Equation, hue: str) -> list[dict[str, Any]]:
    """``left = letters``, a line for each step, and ``= numbers = value`` in their hue."""
    value = number(e.value)
    letters = [step for step in e.steps if step not in (e.numbers, value)]
    numbers = [step for step in e.steps if step in (e.numbers, value)]
    latex = " = ".join(rf"\class{{{hue}}}{{{step.latex}}}" for step in numbers)
    steps = [(step.latex, step.text) for step in letters]
    steps.append((latex, " = ".join(step.text for step in numbers)))
    return [
        math(f"{'' if i else e.left.latex} = {latex}".strip(), f"{'' if i else e.left.text} = {text}".strip())
        for i, (latex, text) in enumerate(steps)
    ]


def _section(title: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"title": title, "lines": lines}


def _legend(derived: LayerDerivation) -> list[str]:
    return [*(reuse.text for reuse in derived.reuses[-1:]), *derived.legend]


def _unit(sample: Sample, layer: int, unit: int) -> dict[str, Any]:
    setting, derived = sample.setting, sample.net.delta(layer, unit)
    row = sample.rows[layer - 2]
    z, a, delta = (float(row[key][unit - 1]) for key in ("z", "a", "delta"))
    sums = [
        e
        for e in derived.forward
        if e.left.text in (f"{symbol('z', layer, [unit]).text}", f"{symbol('a', layer, [unit]).text}")
    ]
    tiles = [_tile("z", z, "v"), _tile("a", a, "v"), _tile("δ", delta, "g")]
    is_last = layer == len(setting.sizes)
    if is_last:
        word, values = setting.objective.said(row["a"][None])
        if word == "p":
            tiles[1] = _tile("p", float(values[0, unit - 1]), "v")
    return {
        "kind": "unit",
        "layer": layer,
        "unit": unit,
        "symbol": _term(letter(setting, layer, unit) if is_last else symbol("a", layer, [unit])),
        "title": f"unit {unit} of layer {layer}"
        + (", the output" if is_last and setting.sizes[-1] == 1 else ""),
        "tiles": tiles,
        "sections": [
            _section(
                "With the weights plugged in",
                [_line(unit_line(setting, sample.model, layer, unit, short=True))],
            ),
            _section("For this example", [line for e in sums for line in _equation(e, "v")]),
            _section("Where its δ comes from", _equation(derived.backward[-1], "g")),
        ],
        "parts": _incoming(sample, layer, unit),
        "parts_of": setting.sizes[layer - 2],
        "notes": _legend(derived),
    }


def _tile(title: str, value: float, hue: str) -> dict[str, Any]:
    return {"title": title, "value": json_number(value), "hue": hue}


def _incoming(sample: Sample, layer: int, unit: int) -> list[dict[str, Any]]:
    """What each input brings to the sum, and the bias: weight, value, product, gradient of the weight."""
    linear = linears(sample.model)[layer - 2]
    weights, values = linear.weight.numpy()[:, unit - 1], sample.activations(layer - 1)
    to_weights, to_biases = sample.gradients()[layer - 2]
    rows = [
        {
            "into": i + 1,
            "name": letter(sample.setting, layer - 1, i + 1).text,
            "value": json_number(float(values[i])),
            "weight": json_number(float(w)),
            "brings": json_number(float(w * values[i])),
            "gradient": json_number(float(to_weights[i, unit - 1])),
        }
        for i, w in ((i, weights[i]) for i in _strongest(weights * values))
    ]
    if linear.bias is not None and to_biases is not None:
        b = json_number(float(linear.bias.numpy()[unit - 1]))
        gradient = json_number(float(to_biases[unit - 1]))
        rows.append({"into": 0, "name": "bias", "value": 1.0, "weight": b, "brings": b, "gradient": gradient})
    return rows


def _strongest(brings: Array) -> list[int]:
    """All terms of a sum, or the largest of many, in their order."""
    if len(brings) <= MOST_TERMS:
        return list(range(len(brings)))
    return sorted(np.argsort(-np.abs(brings), kind="stable")[:MOST_TERMS].tolist())


def _parameter(sample: Sample, layer: int, unit: int, into: int) -> dict[str, Any]:
    path, linear = list(sample.paths())[layer - 2]
    net = sample.net
    derived = (
        net.derive(f"{path}.weight", into - 1, unit - 1) if into else net.derive(f"{path}.bias", unit - 1)
    )
    if into:
        value = float(linear.weight.numpy()[into - 1, unit - 1])
    else:
        assert linear.bias is not None
        value = float(linear.bias.numpy()[unit - 1])
    source = letter(sample.setting, layer - 1, into).text if into else ""
    sections = [_section("Its gradient for this example", _equation(derived.last[0], "g"))]
    if derived.chain:
        sections.append(_section("The same as one product", _equation(derived.chain[0], "g")))
    delta = derived.backward[-1]
    sections.append(_section("Where the δ comes from", _equation(delta, "g")))
    if step := _update(sample, derived, value):
        sections.append(_section("The next update", [step]))
    title = (
        f"weight from {source} to unit {unit} of layer {layer}"
        if into
        else f"bias of unit {unit} of layer {layer}"
    )
    return {
        "kind": "weight" if into else "bias",
        "layer": layer,
        "unit": unit,
        "into": into,
        "symbol": math(_latex_of(derived), derived.symbol),
        "title": title,
        "tiles": [_tile("weight" if into else "bias", value, "v"), _tile("gradient", derived.gradient, "g")],
        "sections": sections,
        "parts": [],
        "notes": _legend(derived),
    }


def _latex_of(derived: LayerDerivation) -> str:
    """The letter of a weight: what ∂E is divided by."""
    left = derived.last[0].left.latex
    return left.rsplit(r"\partial ", 1)[1].removesuffix("}")


def _update(sample: Sample, derived: LayerDerivation, value: float) -> dict[str, Any] | None:
    """``w − α·∂E/∂w``, where this example is all that there is and the optimizer does just that."""
    options = sample.setting.options
    alone = len(sample.setting.examples.x) == 1 and not options.decay
    if not alone or options.optimizer != "gradient_descent":
        return None
    w = Term(derived.symbol, _latex_of(derived))
    gradient = derivative(name(sample.net.result), w)
    after = value - options.rate * derived.gradient
    numbers = [number(value), number(options.rate), factor(number(derived.gradient)), number(after)]
    v, rate, g, found = numbers
    numbers_latex = rf"{v.latex} - {rate.latex} \cdot \class{{g}}{{{g.latex}}} = {found.latex}"
    return math(
        rf"{w.latex} - \alpha \, {gradient.latex} = {numbers_latex}",
        f"{w.text} − α·{gradient.text} = {v.text} − {rate.text}·{g.text} = {found.text}",
    )


def _input(sample: Sample, unit: int) -> dict[str, Any]:
    examples = sample.setting.examples
    given = float(examples.given[sample.point, unit - 1])
    value, gradient = float(sample.x[unit - 1]), float(sample.to_input[unit - 1])
    x = letter(sample.setting, 1, unit)
    notes = [f"{x.text} is {examples.features[unit - 1]}."]
    if examples.mean is not None:
        notes.append(
            f"It is {number_text(given)} in the table; the network gets it with mean 0 and standard deviation 1."
        )
    notes.append(
        "An input is not learned; its gradient says how the loss would change if this example were moved."
    )
    return {
        "kind": "input",
        "layer": 1,
        "unit": unit,
        "symbol": _term(x),
        "title": f"input {unit}",
        "tiles": [_tile("value", value, "v"), _tile("gradient", gradient, "g")],
        "sections": [],
        "parts": [],
        "notes": notes,
    }
