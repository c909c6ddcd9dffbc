"""Backpropagation as textbooks write it, layer by layer: ``z``, ``a`` and ``δ`` with the indices of layer and unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from chainrule.autodiff.opening import opened
from chainrule.errors import ArgumentError, OperandError
from chainrule.explain import mistakes, terms
from chainrule.explain.layered.counting import count_units
from chainrule.explain.layered.derivation import VERSION, LayerDerivation
from chainrule.explain.layered.equations import (
    Equation,
    activation_of,
    delta_of,
    gradient_of_bias,
    gradient_of_weight,
    path_from,
    sum_of,
    unfolded,
)
from chainrule.explain.layered.network import Network, Numbers
from chainrule.explain.layered.products import Place
from chainrule.explain.layered.reuse import reused
from chainrule.explain.ledger import Ledger
from chainrule.explain.numbers import count_text, counted, json_number, number_text
from chainrule.explain.reasons.words import Words
from chainrule.explain.wanted import parameter_names
from chainrule.nn import Module
from chainrule.node import Node
from chainrule.primitive import Array

MOST_NAMES = 6


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, in the notation of the equations. Numbers of layers count from 1, and layer 1 is the input.

    Attributes:
        number: of the layer.
        units: how many; of a convolution its channels.
        inputs: how many numbers or channels go in.
        positions: rows and columns of a convolution's output; empty otherwise.
        samples: in the batch.
        weight, bias: names of the variables; "" where there is no bias.
        activation: what ``f`` is: a name, or a formula in z; "" where ``a`` is ``z``.
        next: numbers of the layers from whose deltas this one's is computed; empty where its delta is left to the
            general form, or comes from the loss.
    """

    number: int
    units: int
    inputs: int
    positions: tuple[int, ...]
    samples: int
    weight: str
    bias: str
    activation: str
    next: tuple[int, ...]


class Layers:
    """A network layer by layer. Made by :func:`layers`; ``print`` shows ``text``.

    Layers, units, positions and samples count from 1, as in the notation; elements of tensors from 0, as in Python.

    Attributes:
        result: name of what is differentiated: its own, or E.
        value: its value.
        layers: from layer 2, the first that computes, to the last.
        left: variables that are in no layer, each with the reason: their gradients are left to the general form,
            ``cr.explain(loss, name)``.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.result = network.result
        self.value = float(np.asarray(network.node.value).reshape(()))
        self.layers = tuple(self._layer(n) for n in network.layers)
        self.left = dict(network.found.left)

    def _layer(self, n: Numbers) -> Layer:
        kind, names = n.found.product, self._network.names
        bias = n.found.bias
        which = next((text for text, group in self._network.activations.items() if n in group), "")
        following = tuple(i + 2 for i in n.next)
        return Layer(
            n.number, kind.units, kind.inputs, tuple(kind.positions), kind.samples, names[n.found.weight.leaf],
            names[bias.leaf] if bias else "", which, following,
        )  # fmt: skip

    @cached_property
    def ledger(self) -> Ledger | None:
        """Multiplications for all gradients, unit by unit: with each delta computed once, and path by path.

        None where the layers are not a chain of dense ones, or something is left to the general form.
        """
        return count_units(self._network)

    # Numbers.

    def z(self, layer: int, unit: int, at: Sequence[int] = (), sample: int = 1) -> float:
        """The weighted sum of one unit.

        Args:
            layer: from 2.
            unit: from 1.
            at: row and column in a convolution's output, from 1.
            sample: from 1.

        Raises:
            ArgumentError: there is no such layer, unit, position or sample.
        """
        n, element = self._element("z", layer, unit, at, sample)
        return float(n.z[element])

    def a(self, layer: int, unit: int, at: Sequence[int] = (), sample: int = 1) -> float:
        """What the activation makes of the sum. Arguments as for :meth:`z`."""
        n, element = self._element("a", layer, unit, at, sample)
        return float(n.a[element])

    def units(self, layer: int, sample: int = 1) -> dict[str, Array]:
        """z, a and δ of all units of a layer for one sample, by these names; of a convolution at its first position.

        Example:
            >>> import chainrule as cr
            >>> x, w = (
            ...     cr.tensor([2.0, 3.0]),
            ...     cr.tensor([[0.5, 1.0], [1.0, 0.0]], requires_grad=True, name="w"),
            ... )
            >>> layers(cr.sum(cr.square(x @ w))).units(2)["delta"].tolist()
            [8.0, 4.0]
        """
        n, _ = self._element("units", layer, 1, (), sample)
        kind = n.found.product
        first = kind.place(0)._replace(sample=sample - 1)
        places = [kind.output(first._replace(unit=unit)) for unit in range(kind.units)]
        return {"z": n.z[places], "a": n.a[places], "delta": n.delta[places]}

    def gradient(self, wrt: Any) -> Array:
        """What the backward pass gives for a variable, or its name, as an array of its shape."""
        leaf = self._find(wrt)
        return np.asarray(self._network.delta_of(leaf), np.float64)

    def delta(self, layer: int, unit: int, at: Sequence[int] = (), sample: int = 1) -> LayerDerivation:
        """How δ of one unit, ∂E/∂z, comes from the deltas of the next layer. Arguments as for :meth:`z`.

        Example:
            >>> import chainrule as cr
            >>> x, w = cr.tensor([2.0, 3.0]), cr.tensor([[0.5], [1.0]], requires_grad=True, name="w")
            >>> net = layers(cr.sum(cr.square(x @ w)))
            >>> net.delta(2, 1).value
            8.0
        """
        n, element = self._element("delta", layer, unit, at, sample)
        symbol = self._network.unit("δ", n, n.found.product.place(element)).text
        return self._derivation(
            f"delta({layer}, {unit})", symbol, n, element, None, float(n.delta[element]), sample
        )

    def _element(
        self, name: str, layer: int, unit: int, at: Sequence[int], sample: int
    ) -> tuple[Numbers, int]:
        found = [n for n in self._network.layers if n.number == layer]
        if not found:
            last = len(self._network.layers) + 1
            raise ArgumentError(
                f"{name}: there is no layer {layer!r} with weights", fix=f"give a number from 2 to {last}"
            )
        (n,) = found
        kind = n.found.product
        position = tuple(at) or (1,) * len(kind.positions)
        wanted = (("unit", unit, kind.units), ("sample", sample, kind.samples))
        places = tuple(("position", p, size) for p, size in zip(position, kind.positions, strict=False))
        if len(position) != len(kind.positions):
            raise ArgumentError(
                f"{name}: layer {layer} has {len(kind.positions)} axes of positions, got at={tuple(at)}",
                fix="at=(row, column) for a convolution, nothing for other layers",
            )
        for what, given, size in (*wanted, *places):
            if not isinstance(given, (int, np.integer)) or not 1 <= given <= size:
                raise ArgumentError(
                    f"{name}: layer {layer} has no {what} {given!r}", fix=f"give a number from 1 to {size}"
                )
        return n, kind.output(Place(unit - 1, tuple(p - 1 for p in position), sample - 1))

    # Derivations.

    def derive(self, wrt: Any, *index: int, sample: int | None = None) -> LayerDerivation:
        """How the gradient of one weight or bias comes from the delta of its unit.

        Args:
            wrt: the variable or its name.
            index: which element, from 0, as in Python; nothing for the first.
            sample: for which of the batch sums and deltas are shown, from 1; by default the one that brings most.

        Raises:
            OperandError: ``wrt`` is neither a tensor nor a name.
            ArgumentError: it is in no layer, or has no such element.

        Example:
            >>> import chainrule as cr
            >>> x, w = cr.tensor([2.0, 3.0]), cr.tensor([[0.5], [1.0]], requires_grad=True, name="w")
            >>> print(layers(cr.sum(cr.square(x @ w))).derive("w", 1).last[0].steps[1].text)
            δ₁⁽²⁾·a₂⁽¹⁾
        """
        leaf = self._find(wrt)
        name = self._network.names[leaf]
        given = (*index, *(0,) * (leaf.ndim - len(index)))
        try:
            flat = int(np.ravel_multi_index(given, leaf.shape)) if given else 0
        except (ValueError, TypeError):
            raise ArgumentError(
                f"derive: {name} of shape {leaf.shape} has no element {list(index)}",
                fix="give whole numbers from 0, each below the size of its axis",
            ) from None
        gradient = float(self._network.delta_of(leaf).ravel()[flat])
        about = f"{name}{list(given) if given else ''}"
        for n in self._network.layers:
            bias = n.found.bias
            if n.found.weight.leaf is leaf:
                return self._weight(
                    n, int(np.flatnonzero(n.found.weight.places.ravel() == flat)[0]), about, gradient, sample
                )
            if bias is not None and bias.leaf is leaf:
                return self._bias(n, np.flatnonzero(bias.places == flat), about, gradient, sample)
        raise ArgumentError(
            f"derive: {name} belongs to no layer: {self.left.get(name, '')}",
            fix=f"cr.explain(loss, {name!r}) gives the general form",
        )

    def _find(self, wrt: Any) -> Node:
        names = {n: name for n, name in self._network.names.items() if n.op is None and n.tracked}
        if isinstance(wrt, Node):
            if wrt in names:
                return wrt
            raise mistakes.not_in_graph(wrt, names.values(), "derive")
        if not isinstance(wrt, str):
            raise OperandError(
                f"derive: expected a variable or its name, got {type(wrt).__name__}",
                fix="net.derive('layers.0.weight', 3, 7)",
            )
        found = [n for n, name in names.items() if name == wrt]
        if not found:
            raise mistakes.not_in_graph(wrt, names.values(), "derive")
        return found[0]

    def _weight(
        self, n: Numbers, weight: int, about: str, gradient: float, sample: int | None
    ) -> LayerDerivation:
        kind = n.found.product
        qs, xs = kind.of_weight(weight)
        if not len(qs):
            raise ArgumentError(f"derive: {about} meets no number of the batch", fix="use a smaller padding")
        element = self._strongest(n, qs, n.data[xs], sample)
        i, j, _ = kind.weight_place(weight)
        last = gradient_of_weight(self._network, n, weight)
        chain = unfolded(self._network, n, weight)
        symbol = self._network.weight(n, weight).text
        what = f", from input {i + 1} to unit {j + 1} of layer {n.number}"
        return self._derivation(about, symbol, n, element, last, gradient, sample, what, chain)

    def _bias(
        self, n: Numbers, qs: Array, about: str, gradient: float, sample: int | None
    ) -> LayerDerivation:
        element = self._strongest(n, qs, np.ones(len(qs)), sample)
        unit = n.found.product.place(element).unit
        last = gradient_of_bias(self._network, n, unit)
        symbol = self._network.bias(n, unit).text
        return self._derivation(
            about, symbol, n, element, last, gradient, sample, f", of unit {unit + 1} of layer {n.number}"
        )

    def _strongest(self, n: Numbers, qs: Array, data: Array, sample: int | None) -> int:
        kind = n.found.product
        brings = np.abs(n.delta[qs] * data)
        if sample is not None:
            if not 1 <= sample <= kind.samples:
                raise ArgumentError(
                    f"derive: there is no sample {sample}", fix=f"give a number from 1 to {kind.samples}"
                )
            brings = np.where([kind.place(int(q)).sample == sample - 1 for q in qs], brings, -1.0)
        return int(qs[int(np.argmax(np.nan_to_num(brings, nan=np.inf)))])

    def _derivation(
        self, about: str, symbol: str, n: Numbers, element: int, last: Equation | None, gradient: float,
        sample: int | None, what: str = "", chain: Equation | None = None,
    ) -> LayerDerivation:  # fmt: skip
        network = self._network
        path = path_from(network, n, element, strongest=True) or []
        forward: list[Equation] = []
        for layer, at in path:
            found = [sum_of(network, layer, at), activation_of(network, layer, at)]
            forward += [e for e in found if e is not None]
        backward = tuple(delta_of(network, layer, at) for layer, at in reversed(path))
        value = backward[-1].value if last is None else last.value
        shown = self._shown_for(path, sample, last is not None)
        head = f"∂{self.result}/∂{symbol}" if last is not None else symbol
        said = f", where {symbol} is {about}{what}" if last is not None else ""
        return LayerDerivation(
            about, symbol, value, gradient, f"{head} = {number_text(value)}{said}.{shown}", tuple(forward), backward,
            () if last is None else (last,), () if chain is None else (chain,),
            tuple(reused(network, layer, at) for layer, at in reversed(path)), tuple(network.legend),
        )  # fmt: skip

    def _shown_for(self, path: list[tuple[Numbers, int]], sample: int | None, is_sum: bool) -> str:
        layer, element = path[0]
        kind = layer.found.product
        chosen = ", which brings most" if sample is None and is_sum else ""
        parts: list[str] = []
        if kind.samples > 1:
            number = kind.place(element).sample + 1
            parts.append(
                f"Sums and deltas are those of sample {number} of {count_text(kind.samples)}{chosen}."
            )
        after = self._network.after(layer, element)
        if sum(len(q) for _, q, _ in after) > 1 and len(path) > 1:
            parts.append("Above its layer the units are shown through which most comes.")
        return f"\n{' '.join(parts)}" if parts else ""

    # Forms.

    @cached_property
    def text(self) -> str:
        """The layers and their equations in general, what ``f`` is, and what is left to the general form."""
        network = self._network
        lines = [
            f"{self.result} = {number_text(self.value)}; layers and units count from 1, and layer 1 is the input."
        ]
        for layer, n in zip(self.layers, network.layers, strict=True):
            lines.append(f"Layer {layer.number}: {_described(layer)}")
            example = self._example(n)
            lines += [f"  {e.left.text} = {' = '.join(s.text for s in e.letters)}" for e in example]
        lines += network.legend
        if self.ledger is not None:
            lines.append(f"Unit by unit, {self.ledger.text[0].lower()}{self.ledger.text[1:]}")
        lines += self.notes
        return "\n".join(lines)

    def _example(self, n: Numbers) -> list[Equation]:
        """The equations of its first unit."""
        found = [
            sum_of(self._network, n, 0),
            activation_of(self._network, n, 0),
            delta_of(self._network, n, 0),
        ]
        return [e for e in found if e is not None]

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is left to the general form."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.left.items():
            by_reason.setdefault(reason, []).append(name)
        notes: list[str] = []
        for reason, names in by_reason.items():
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            notes.append(f"Left to the general form: {', '.join(names[:MOST_NAMES])}{more}: {reason}.")
        last = max((layer.number for layer in self.layers), default=1)
        open_ended = [layer.number for layer in self.layers if not layer.next and layer.number < last]
        if open_ended:
            several = len(open_ended) > 1
            numbers = ", ".join(map(str, open_ended))
            notes.append(
                f"Behind layer{'s' if several else ''} {numbers} stand operations that are no layer: ∂{self.result}/∂a "
                f"is taken there as the general form gives it, and {'each' if several else 'its'} δ starts from it."
            )
        return tuple(notes)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Layers of {self.result}: {counted(len(self.layers), 'layer')} with weights>"

    def _repr_html_(self) -> str:
        parts: list[str] = []
        for layer, n in zip(self.layers, self._network.layers, strict=True):
            lines = [terms.Line(e.left, terms.chain(e.letters)) for e in self._example(n)]
            parts.append(
                f"<div>Layer {layer.number}: {escape(_described(layer))}</div>{terms.as_mathml(lines)}"
            )
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return f'<div class="chainrule-layers">{"".join(parts)}{notes}</div>'

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: the layers, not their numbers."""
        return {
            "version": VERSION,
            "result": self.result,
            "value": json_number(self.value),
            "layers": [
                {
                    "number": n.number,
                    "units": n.units,
                    "inputs": n.inputs,
                    "positions": list(n.positions),
                    "samples": n.samples,
                    "weight": n.weight,
                    "bias": n.bias or None,
                    "activation": n.activation or None,
                    "next": list(n.next),
                }
                for n in self.layers
            ],
            "ledger": None if self.ledger is None else self.ledger.to_dict(),
            "left": self.left,
            "notes": list(self.notes),
        }


def _described(layer: Layer) -> str:
    """``3 units, each of 2 inputs, weights layers.0.weight, f = tanh``."""
    windows = f" at {'×'.join(map(str, layer.positions))} positions" if layer.positions else ""
    kind = "channel" if layer.positions else "unit"
    bias = f", biases {layer.bias}" if layer.bias else ""
    inputs = counted(layer.inputs, "input channel" if layer.positions else "input")
    return f"{counted(layer.units, kind)}{windows} of {inputs}, weights {layer.weight}{bias}"


def layers(loss: Any, model: Module | None = None) -> Layers:
    """See a network layer by layer, with the letters of textbooks: z, a and δ with layer above and unit below.

    Layers are products of data with a variable (``x @ w``, ``w @ x``, ``conv2d``), what is added, and an activation;
    it does not matter how they were written. What else is in the graph is left to the general form, and said.

    Args:
        loss: a tensor with one element and its graph.
        model: gives its parameters their paths as names.

    Returns:
        `Layers`: ``print`` it, ask ``.derive("layers.0.weight", 3, 7)`` or ``.delta(2, 1)``.

    Raises:
        OperandError: ``loss`` is not a tensor, or ``model`` no model.
        GradientError: ``loss`` is not one floating number, or depends on nothing that requires a gradient.
        ArgumentError: nothing in it is a layer.

    Example:
        >>> import chainrule as cr
        >>> model = cr.models.mlp([2, 3, 1], cr.tanh, key=cr.random.key(0))
        >>> net = layers(cr.sum(model([[1.0, 2.0]])), model)
        >>> [(layer.number, layer.units, layer.activation) for layer in net.layers]
        [(2, 3, 'tanh'), (3, 1, '')]

    Source: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, Nature 323, 1986,
    533-536, DOI 10.1038/323533a0 (the generalized delta rule).
    """
    result = mistakes.check_result(loss, "layers")
    result = opened(result)[result]
    if model is not None and not isinstance(model, Module):
        raise OperandError(f"layers: model is {type(model).__name__}", fix="cr.layers(loss, model)")
    network = Network(result, Words(result, parameter_names(model, "layers")).names)
    if not network.layers:
        raise ArgumentError(
            "layers: nothing in this computation is a product of data with one variable",
            fix="cr.explain(loss) gives the general form",
        )
    return Layers(network)
