"""The equations of one element: its sum, its activation, its delta, and the gradient of one weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.explain.layered.finding import Weights
from chainrule.explain.layered.network import Network, Numbers
from chainrule.explain.layered.notation import Index, applied, beside, summed, symbol
from chainrule.explain.layered.products import Convolution
from chainrule.explain.numbers import MINUS
from chainrule.explain.terms import (
    Line,
    Term,
    derivative,
    factor,
    leading,
    more,
    name,
    number,
    parenthesised,
    product,
    total,
    words,
)
from chainrule.node import Node
from chainrule.primitive import Array

FEW = 4
"""Sums of up to so many terms are written out; of longer ones so many numbers are shown."""


@dataclass(frozen=True, slots=True)
class Equation:
    """``left = letters = numbers = value``.

    Attributes:
        left: what it is about, such as δ₁⁽²⁾.
        letters: steps in letters, each once.
        numbers: the last of them in numbers.
        value: what they give.
    """

    left: Term
    letters: tuple[Term, ...]
    numbers: Term
    value: float

    @property
    def steps(self) -> tuple[Term, ...]:
        """Letters, numbers, value; none that says what the one before it does."""
        return tuple(dict.fromkeys((*self.letters, self.numbers, number(self.value))))

    @property
    def lines(self) -> list[Line]:
        """One line for each step."""
        return [Line(None if i else self.left, step) for i, step in enumerate(self.steps)]


def equation(left: Term, letters: Sequence[Term], numbers: Term, value: float) -> Equation:
    """An equation whose letters do not say anything twice."""
    return Equation(left, tuple(dict.fromkeys(letters)), numbers, value)


def _numbers(pairs: Array, first: bool = True) -> Term:
    """``0.5·2 + …``: products of the columns of each row, so many as are shown."""
    terms: list[Term] = []
    for row in pairs[:FEW].tolist():
        head, *others = map(number, row)
        head = (leading(head) if others else head) if first and not terms else factor(head)
        terms.append(product([head, *map(factor, others)]))
    left_out = len(pairs) - FEW
    return total([*terms, *([more(left_out, "term")] if left_out > 0 else [])])


def sum_of(network: Network, layer: Numbers, element: int) -> Equation:
    """``z = Σ a·w + b``."""
    kind = layer.found.product
    place = kind.place(element)
    xs, ws = kind.of_output(element)
    terms = np.stack([layer.data[xs], layer.weight[ws]], axis=1)
    if len(xs) <= FEW:
        letters = [
            beside(network.input(layer, int(x)), network.weight(layer, int(w)))
            for x, w in zip(xs, ws, strict=True)
        ]
    else:
        letters = [_sum_in_letters(network, layer, element)]
    numbers = [_numbers(terms) if len(terms) else number(0.0)]
    value = float(np.sum(terms[:, 0] * terms[:, 1]))
    bias = layer.found.bias
    if bias is not None:
        b = float(np.asarray(bias.leaf.value, np.float64).ravel()[bias.places[element]])
        letters.append(network.bias(layer, place.unit))
        numbers.append(factor(number(b)))
        value += b
    return equation(network.unit("z", layer, place), [total(letters)], total(numbers), value)


def _sum_in_letters(network: Network, layer: Numbers, element: int) -> Term:
    kind = layer.found.product
    place = kind.place(element)
    weight = symbol(
        "w", layer.number, ["i", place.unit + 1], _WINDOW if isinstance(kind, Convolution) else []
    )
    if not isinstance(kind, Convolution):
        return summed(["i"], beside(_any_input(network, layer, ["i"]), weight))
    rows = [
        _affine(
            kind.dilation[k],
            _WINDOW[k],
            kind.stride[k] * place.position[k] - kind.before[k] - kind.dilation[k] + 1,
        )
        for k in (0, 1)
    ]
    return summed(["i", *_WINDOW], beside(_any_input(network, layer, ["i"], rows), weight))


_WINDOW, _POSITION = ("u", "v"), ("r", "s")


def _affine(times: int, letter: str, constant: int) -> str:
    """``2r−1``."""
    sign = f"+{constant}" if constant > 0 else f"-{-constant}" if constant else ""
    return f"{times if times != 1 else ''}{letter}{sign}"


def _any_input(network: Network, layer: Numbers, *groups: Sequence[Index]) -> Term:
    """What goes into a layer with letters for its place; the place is that in this layer's operand."""
    source, element = network.source(layer, 0)
    if source is None:
        letter, given = network.given(layer)
        return symbol(letter, given, *groups)
    moved = element != 0 or layer.found.data is not source.found.a[0]
    if moved and source.found.product.positions:  # a row of pixels: its places are those of this layer alone
        return symbol("x", layer.number, *groups)
    return symbol("a", source.number, *groups)


def activation_of(network: Network, layer: Numbers, element: int) -> Equation | None:
    """``a = f(z)``; None where the layer has no activation."""
    if not layer.found.steps:
        return None
    place = layer.found.product.place(element)
    f, z = network.function(layer), network.unit("z", layer, place)
    numbers = applied(f, number(float(layer.z[element])))
    return equation(network.unit("a", layer, place), [applied(f, z)], numbers, float(layer.a[element]))


def delta_of(network: Network, layer: Numbers, element: int) -> Equation:
    """``δ = ∂E/∂z``, from the deltas of the next layer, from a known form of the loss, or from ∂E/∂a as a number."""
    place = layer.found.product.place(element)
    e, z, a = name(network.result), network.unit("z", layer, place), network.unit("a", layer, place)
    left = network.unit("δ", layer, place)
    slope = applied(network.function(layer), z, primed=True) if layer.found.steps else None
    inner = derivative(a, z) if slope else None
    given = float(layer.slope[element])
    after = network.after(layer, element)
    if after:
        chain, letters, rows = _from_next(network, e, a if slope else z, after)
        upstream = float(np.sum(rows[:, 0] * rows[:, 1]))
        numbers = _numbers(rows)
        several = len(rows) > 1
    else:
        chain, letters, upstream, numbers = _from_result(network, layer, element, e, a if slope else z)
        several = False
    steps = [derivative(e, z), _times(chain, inner, several), _times(letters, slope, several)]
    if slope is not None:
        last = parenthesised(numbers) if several else numbers
        numbers = product([last, factor(number(given))])
    value = upstream * given if slope else upstream
    return equation(left, steps, numbers, value)


def _times(first: Term, second: Term | None, loose: bool) -> Term:
    if second is None:
        return first
    return beside(parenthesised(first) if loose else first, second)


def _from_next(
    network: Network, e: Term, a: Term, after: list[tuple[Numbers, Array, Array]]
) -> tuple[Term, Term, Array]:
    """The part of ∂E/∂a through each next layer: chain rule, δ·w in letters, and the numbers."""
    chains: list[Term] = []
    letters: list[Term] = []
    rows: list[Array] = []
    for following, outputs, weights in after:
        rows.append(np.stack([following.delta[outputs], following.weight[weights]], axis=1))
        if len(outputs) <= FEW:
            for q, w in zip(outputs.tolist(), weights.tolist(), strict=True):
                place = following.found.product.place(q)
                z = network.unit("z", following, place)
                chains.append(beside(derivative(e, z), derivative(z, a)))
                letters.append(beside(network.unit("δ", following, place), network.weight(following, w)))
            continue
        chain, sum_ = _next_in_letters(network, e, a, following, weights)
        chains.append(chain)
        letters.append(sum_)
    return total(chains), total(letters), np.concatenate(rows)


def _next_in_letters(
    network: Network, e: Term, a: Term, following: Numbers, weights: Array
) -> tuple[Term, Term]:
    kind = following.found.product
    i, _, _ = kind.weight_place(int(weights[0]))
    window = _WINDOW if isinstance(kind, Convolution) else ()
    position = _POSITION if isinstance(kind, Convolution) else ()
    z, delta = (symbol(letter, following.number, ["k"], position) for letter in ("z", "δ"))
    over = ["k", *position]
    chain = summed(over, beside(derivative(e, z), derivative(z, a)))
    return chain, summed(over, beside(delta, symbol("w", following.number, [i + 1, "k"], window)))


def _from_result(
    network: Network, layer: Numbers, element: int, e: Term, a: Term
) -> tuple[Term, Term, float, Term]:
    """∂E/∂a of a layer that no other follows: chain rule, form in letters if it is known, and numbers."""
    chain, upstream = derivative(e, a), float(layer.upstream[element])
    closed = layer.closed
    if closed is None:
        return chain, chain, upstream, leading(number(upstream))
    place = layer.found.product.place(element)
    several = layer.found.product.units > 1
    unit = [place.unit + 1] if several else []
    output = symbol("p", None, unit) if closed.made else network.unit("a", layer, place)
    target = symbol("y", None, unit)
    gap = Term(f"({output.text} {MINUS} {target.text})", rf"({output.latex} - {target.latex})")
    out, right = float(closed.output[element]), float(closed.target[element])
    second = factor(number(right))
    shown = Term(f"({number(out).text} {MINUS} {second.text})", rf"({number(out).latex} - {second.latex})")
    if closed.factor == 1:
        return chain, gap, out - right, shown
    scale = number(closed.factor)
    return chain, beside(scale, gap), closed.factor * (out - right), product([leading(scale), shown])


def gradient_of_weight(network: Network, layer: Numbers, weight: int) -> Equation:
    """``∂E/∂w = Σ δ·a``, over all samples and, of a kernel, over all windows."""
    kind = layer.found.product
    i, j, window = kind.weight_place(weight)
    qs, xs = kind.of_weight(weight)
    rows = np.stack([layer.delta[qs], layer.data[xs]], axis=1)
    e, w = name(network.result), network.weight(layer, weight)
    if len(qs) == 1:
        place = kind.place(int(qs[0]))
        z, delta = network.unit("z", layer, place), network.unit("δ", layer, place)
        chain, letters = (
            beside(derivative(e, z), derivative(z, w)),
            beside(delta, network.input(layer, int(xs[0]))),
        )
    else:
        over, here, there = _letters_of_weight(network, layer, i, window, int(xs[0]) if len(xs) else 0)
        z, delta = (symbol(letter, layer.number, [j + 1, *here[0]], here[1]) for letter in ("z", "δ"))
        chain = summed(over, beside(derivative(e, z), derivative(z, w)))
        letters = summed(over, beside(delta, there))
    left, found = derivative(e, w), layer.found
    return _with_rest(network, left, [chain, letters], rows, found.weight, weight, found.node)


def _letters_of_weight(
    network: Network, layer: Numbers, i: int, window: tuple[int, ...], x: int
) -> tuple[list[str], tuple[list[Index], list[Index]], Term]:
    """What is summed over, the indices of δ behind its unit, and the input in letters."""
    kind = layer.found.product
    sample = ["n"] if kind.samples > 1 else []
    if not isinstance(kind, Convolution):
        return sample, ([*sample], []), network.input(layer, x, sample)
    seen = [
        _affine(
            kind.stride[k], _POSITION[k], window[k] * kind.dilation[k] - kind.before[k] - kind.stride[k] + 1
        )
        for k in (0, 1)
    ]
    there = _any_input(network, layer, [i + 1], [*seen, *sample])
    return [*sample, *_POSITION], ([], [*_POSITION, *sample]), there


def gradient_of_bias(network: Network, layer: Numbers, unit: int) -> Equation:
    """``∂E/∂b = Σ δ``."""
    kind, bias = layer.found.product, layer.found.bias
    assert bias is not None
    first = kind.place(0)._replace(unit=unit)
    mine = bias.places[kind.output(first)]
    qs = np.flatnonzero(bias.places == mine)
    e, b = name(network.result), network.bias(layer, unit)
    sample: list[Index] = ["n"] if kind.samples > 1 else []
    position: list[Index] = [*_POSITION] if kind.positions else []
    groups = ([unit + 1], [*position, *sample]) if position else ([unit + 1, *sample], [])
    z, delta = (symbol(letter, layer.number, *groups) for letter in ("z", "δ"))
    over = [str(letter) for letter in (*sample, *position)]
    chain, letters = summed(over, beside(derivative(e, z), derivative(z, b))), summed(over, delta)
    rows = layer.delta[qs][:, None]
    left, place = derivative(e, b), kind.output(first)
    return _with_rest(network, left, [chain, letters], rows, bias, place, layer.found.z[0])


def _with_rest(
    network: Network, left: Term, letters: list[Term], rows: Array, variable: Weights, place: int, to: Node
) -> Equation:
    """The sum; where the variable has other uses, such as weight decay, with what they bring."""
    value = float(np.sum(np.prod(rows, axis=1)))
    numbers = _numbers(rows) if len(rows) else number(0.0)
    others = network.brought_elsewhere(variable.leaf, to)
    if others is not None:
        rest = float(others.ravel()[variable.places.ravel()[place]])
        letters = [total([letter, words("(its other uses)")]) for letter in letters]
        numbers, value = total([numbers, factor(number(rest))]), value + rest
    return equation(left, letters, numbers, value)


def unfolded(network: Network, layer: Numbers, weight: int) -> Equation | None:
    """The whole chain rule from the result to a weight, as one product; None unless there is just one path."""
    kind = layer.found.product
    qs, xs = kind.of_weight(weight)
    if len(qs) != 1:
        return None
    e, w = name(network.result), network.weight(layer, weight)
    path = path_from(network, layer, int(qs[0]))
    if path is None:
        return None
    upper: list[Term] = []
    numbers: list[float] = []
    last, top = path[-1]
    place = last.found.product.place(top)
    inner = network.unit("a" if last.found.steps else "z", last, place)
    upper.append(derivative(e, inner))
    numbers.append(float(last.upstream[top]))
    for k in range(len(path) - 1, -1, -1):
        at, element = path[k]
        place = at.found.product.place(element)
        z, a = network.unit("z", at, place), network.unit("a", at, place)
        if at.found.steps:
            upper.append(derivative(a, z))
            numbers.append(float(at.slope[element]))
        if k:
            below, x = path[k - 1]
            out = network.unit("a" if below.found.steps else "z", below, below.found.product.place(x))
            upper.append(derivative(z, out))
            ((_, _, weights),) = network.after(below, x)
            numbers.append(float(at.weight[weights[0]]))
        else:
            upper.append(derivative(z, w))
            numbers.append(float(layer.data[xs[0]]))
    row = np.asarray([numbers])
    return equation(derivative(e, w), [beside(*upper)], _numbers(row), float(np.prod(row)))


def path_from(
    network: Network, layer: Numbers, element: int, strongest: bool = False
) -> list[tuple[Numbers, int]] | None:
    """The elements through which a delta comes, from this layer up; None if there are several ways.

    Args:
        strongest: follow, of several ways, the one that brings most.
    """
    path = [(layer, element)]
    while True:
        after = network.after(*path[-1])
        ways = [
            (following, int(q), abs(float(following.delta[q] * following.weight[w])))
            for following, outputs, weights in after
            for q, w in zip(outputs, weights, strict=True)
        ]
        if not ways:
            return path
        if len(ways) > 1 and not strongest:
            return None
        best = max(ways, key=lambda way: way[2])
        path.append(best[:2])
