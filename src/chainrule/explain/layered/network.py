"""The numbers of all layers: sums, activations, deltas and slopes, element by element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from chainrule.autodiff.reverse import pullback
from chainrule.explain.expressions import Piece, local_symbols, number_piece, written
from chainrule.explain.layered.finding import (
    VIEWS,
    FoundLayer,
    FoundLayers,
    behind_views,
    by_element,
    find_layers,
)
from chainrule.explain.layered.losses import Closed, closed_form
from chainrule.explain.layered.notation import Index, named, symbol
from chainrule.explain.layered.products import Place
from chainrule.explain.numbers import number_text
from chainrule.explain.terms import Term
from chainrule.node import Node, constant, is_differentiable, tracked_ancestors
from chainrule.primitive import Array

MOST_NUMBERED = 12
"""Up to so many weights in all are numbered through, as in the article: w₁, w₂, …"""


@dataclass(frozen=True, eq=False)
class Numbers:
    """A layer and its numbers, all in float64 and by element of the product.

    Attributes:
        number: of the layer; the input is layer 1.
        found: its nodes.
        z, a, delta, slope: sums, activations, ∂E/∂z, and ∂a/∂z.
        upstream: ∂E/∂a.
        data: what goes in, by place in the operand.
        weight: the weights, by place in the operand.
        next: layers that use the activations, if nothing else does.
        closed: the form of ∂E/∂a of a last layer.
    """

    number: int
    found: FoundLayer
    z: Array
    a: Array
    delta: Array
    slope: Array
    upstream: Array
    data: Array
    weight: Array
    next: tuple[int, ...]
    closed: Closed | None


class Source(NamedTuple):
    """Where an input of a layer comes from: an element of another layer (None for what no layer computes)."""

    layer: Numbers | None
    element: int


class Network:
    """The layers before a result, with names for everything in them."""

    def __init__(self, result: Node, names: Mapping[Node, str]) -> None:
        self.node, self.names = result, names
        self.result = names[result] if result.name else "E"
        self.found: FoundLayers = find_layers(result, names)
        self._brought: list[tuple[Node, Node, Array]] = []
        self._deltas: dict[Node, Array] = {result: np.ones(result.shape)}
        leaves = [n for n in tracked_ancestors(result)[0] if n.op is None]
        seed = constant(np.ones(result.shape, result.dtype))
        found = pullback([result], [seed], leaves, record=False, visit=self._visit)
        self._deltas |= {n: np.asarray(g.value) for n, g in zip(leaves, found, strict=True) if g is not None}
        self._by_node = {layer.node: i for i, layer in enumerate(self.found.layers)}
        self.layers = tuple(self._numbers(i, layer) for i, layer in enumerate(self.found.layers))

    def _visit(self, node: Node, delta: Node, contributions: list[Node | None]) -> None:
        self._deltas[node] = np.asarray(delta.value)
        for x, brought in zip(node.inputs, contributions, strict=True):
            if x.op is None and brought is not None and len(self.found.users.get(x, ())) > 1:
                self._brought.append((x, node, np.asarray(brought.value, np.float64)))

    def brought_elsewhere(self, leaf: Node, to: Node) -> Array | None:
        """What the uses of a variable that do not lead to a product or sum bring to its gradient; None without any."""
        others = [brought for x, user, brought in self._brought if x is leaf and not self._leads(user, to)]
        return np.sum(others, axis=0) if others else None

    def _leads(self, user: Node, to: Node) -> bool:
        """Whether a node is ``to``, or moves numbers to it."""
        while (
            user is not to
            and user.op is not None
            and user.op.name in VIEWS
            and len(self.found.users[user]) == 1
        ):
            (user,) = self.found.users[user]
        return user is to

    def delta_of(self, node: Node) -> Array:
        """∂E/∂node."""
        known = self._deltas.get(node)
        return np.zeros(node.shape) if known is None else known

    def _numbers(self, i: int, layer: FoundLayer) -> Numbers:
        (z, zs), (a, places) = layer.z, layer.a
        slope = np.ones(z.shape)
        if layer.steps:
            ones = constant(np.ones(a.shape, a.dtype))
            (given,) = pullback([a], [ones], [z], record=False)
            slope = np.zeros(z.shape) if given is None else np.asarray(given.value)
        following = self._next(a)
        closed = None if following else closed_form(a, places, self.found.users, self.delta_of)
        operand = layer.weight.places
        return Numbers(
            i + 2,
            layer,
            _ordered(z.value, zs),
            _ordered(a.value, places),
            _ordered(self.delta_of(z), zs),
            _ordered(slope, zs),
            _ordered(self.delta_of(a), places),
            np.asarray(layer.data.value, np.float64).ravel(),
            np.asarray(layer.weight.leaf.value, np.float64).ravel()[operand.ravel()],
            following,
            closed,
        )

    def _next(self, node: Node) -> tuple[int, ...]:
        """Layers that use what a node holds, moved or not; empty if anything else uses it too."""
        found: list[int] = []
        todo = [node]
        while todo:
            for user in self.found.users[todo.pop()]:
                if user in self._by_node:
                    found.append(self._by_node[user])
                elif user in self.found.carriers:
                    todo.append(user)
                else:
                    return ()
        return tuple(sorted(found))

    def source(self, layer: Numbers, x: int) -> Source:
        """Where the input at a place of a layer's operand comes from."""
        known = self.found.carriers.get(layer.found.data)
        if known is None:
            return Source(None, x)
        which, places = known
        return Source(self.layers[which], int(places.ravel()[x]))

    def after(self, layer: Numbers, element: int) -> list[tuple[Numbers, Array, Array]]:
        """For each next layer its elements to which an activation goes, and the weights on the way."""
        found: list[tuple[Numbers, Array, Array]] = []
        for i in layer.next:
            following = self.layers[i]
            _, places = self.found.carriers[following.found.data]
            for x in np.flatnonzero(places.ravel() == element):
                outputs, weights = following.found.product.of_input(int(x))
                found.append((following, outputs, weights))
        return found

    @property
    def legend(self) -> list[str]:
        """What f, p and y stand for."""
        lines: list[str] = []
        for text, group in self.activations.items():
            slope = self.slope_text(group[0])
            known = f", with derivative {slope} where a = f(z)" if slope else ""
            lines.append(f"{named(self.function(group[0])).text} is {text}{known}.")
        closed = [(n.number, n.closed.made) for n in self.layers if n.closed is not None]
        for number, made in closed[-1:]:
            meant = {
                "softmax": f"p is the softmax of layer {number}, and y is 1 for the right class and 0 for the others.",
                "sigmoid": f"p is σ(z) of layer {number}, and y is 1 for yes and 0 for no.",
            }
            lines.append(meant.get(made, "y is what the activations of the last layer should be."))
        return lines

    # Names.

    @cached_property
    def _first_weights(self) -> list[int] | None:
        """Number of each layer's first weight where weights are numbered through."""
        sizes = [layer.weight.size for layer in self.layers]
        if sum(sizes) > MOST_NUMBERED or any(layer.found.product.positions for layer in self.layers):
            return None
        return [1 + sum(sizes[:i]) for i in range(len(sizes))]

    @cached_property
    def activations(self) -> dict[str, list[Numbers]]:
        """What is made of the sums, in words, and in which layers."""
        found: dict[str, list[Numbers]] = {}
        for layer in self.layers:
            if layer.found.steps:
                found.setdefault(_activation_text(layer.found), []).append(layer)
        return found

    def function(self, layer: Numbers) -> str:
        """``f``; where layers have different ones, with the number of the first layer that has it."""
        if len(self.activations) < 2:
            return "f"
        return f"f_{self.activations[_activation_text(layer.found)][0].number}"

    def slope_text(self, layer: Numbers) -> str:
        """The derivative of an activation in letters, such as ``1 − a²``; "" where there is no short form."""
        if len(layer.found.steps) != 1:
            return ""
        (step,) = layer.found.steps
        names = {step: "a", **{x: "z" for x in step.inputs if is_differentiable(x)}}
        return next((s for s in local_symbols(step, names) if s), "")

    def unit(self, letter: str, layer: Numbers, place: Place, sample: Sequence[Index] = ()) -> Term:
        """``z₁⁽²⁾``: a letter of one unit; with a letter for the sample where all are meant."""
        return at_place(letter, layer.number, place, sample)

    def weight(self, layer: Numbers, weight: int) -> Term:
        """``w₅`` or ``w₄,₈⁽²⁾``: by its place in the operand."""
        i, j, window = layer.found.product.weight_place(weight)
        if self._first_weights is not None:
            first = self._first_weights[layer.number - 2]
            return symbol("w", None, [first + i * layer.found.product.units + j])
        return symbol("w", layer.number, [i + 1, j + 1], [n + 1 for n in window])

    def bias(self, layer: Numbers, unit: int) -> Term:
        """``b₈⁽²⁾``."""
        return symbol("b", layer.number, [unit + 1])

    def input(self, layer: Numbers, x: int, sample: Sequence[Index] = ()) -> Term:
        """``a₄⁽¹⁾``: what goes into a layer, by its place in the operand."""
        source, element = self.source(layer, x)
        if source is not None:
            return self.unit("a", source, source.found.product.place(element), sample)
        letter, number = self.given(layer)
        return at_place(letter, number, layer.found.product.input_place(x), sample)

    def given(self, layer: Numbers) -> tuple[str, int]:
        """Letter and layer of what goes in where no layer computes it: a⁽¹⁾, or x of the layer that takes it."""
        first = (
            next(n for n in self.layers if self._is_raw(n)) if any(map(self._is_raw, self.layers)) else None
        )
        if first is not None and self._is_raw(layer) and _same(layer.found.data, first.found.data):
            return "a", 1
        return "x", layer.number

    def _is_raw(self, layer: Numbers) -> bool:
        """Whether the input of a layer is given, not computed by anything with a variable."""
        return not layer.found.data.tracked or behind_views(layer.found.data) is not None


def at_place(letter: str, number: int | None, place: Place, sample: Sequence[Index] = ()) -> Term:
    """A letter with unit, position and sample below."""
    if not place.position:
        return symbol(letter, number, [place.unit + 1, *sample])
    return symbol(letter, number, [place.unit + 1], [*(n + 1 for n in place.position), *sample])


def _same(x: Node, other: Node) -> bool:
    return x is other or (x.shape == other.shape and bool(np.array_equal(x.value, other.value)))


def _ordered(values: Any, places: Array) -> Array:
    return by_element(np.asarray(values, np.float64), places)


def _activation_text(layer: FoundLayer) -> str:
    """``tanh``, or for several steps a formula in z."""
    steps = layer.steps
    assert steps[0].op is not None
    if len(steps) == 1 and len(steps[0].inputs) == 1:
        return steps[0].op.name
    pieces: dict[Node, Piece] = {}

    def operand(x: Node) -> Piece:
        if x in pieces:
            return pieces[x]
        return (
            number_piece(number_text(float(np.asarray(x.value).reshape(()))))
            if x.size == 1 and not x.tracked
            else _Z
        )

    for step in steps:
        assert step.op is not None
        pieces[step] = written(step.op, step.params, [operand(x) for x in step.inputs])
    return pieces[steps[-1]].text


_Z = Piece("z")
