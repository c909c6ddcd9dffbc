"""Products and sums of structured Jacobians, before any number is known: what they look like and what they cost.

A Jacobian of tensors is a sum of *pieces*, each with a `Pattern` of its own: a residual connection is an identity
plus a matrix, and the two are never added up into a matrix while something is still to be multiplied. A `Form` is what
is known of a piece without its values. An edge of the graph is a tuple of forms with patterns that differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from chainrule.axes import Axis, Composition, Fold, Merge, Pattern, Settled, compose


class Form(NamedTuple):
    """A piece of a Jacobian without its values.

    Attributes:
        pattern: of its axes.
        labels: with which its values vary, ascending; None where they are all ones.
        factor: times the values.
    """

    pattern: Pattern
    labels: tuple[int, ...] | None
    factor: float = 1.0

    @property
    def size(self) -> int:
        """How many values there are to multiply."""
        return math.prod(self.pattern.sizes[x] for x in self.labels or ())


class Product(NamedTuple):
    """The product of two forms.

    Attributes:
        form: of the product.
        composition: how the labels meet.
        multiplications: scalar multiplications to be done.
    """

    form: Form
    composition: Composition
    multiplications: int


Edge: TypeAlias = "tuple[Form, ...]"
"""Pieces of different patterns, in the order in which they came."""


@lru_cache(maxsize=1 << 16)
def product(upper: Form, lower: Form) -> Product | None:
    """The form of the product of two pieces, the upper one nearer to the results; None where it is zero."""
    met = compose(upper.pattern, lower.pattern)
    if met is None:
        return None
    u, w = varying(met.upper, upper.labels), varying(met.lower, lower.labels)
    factor = upper.factor * lower.factor
    factor *= math.prod(n for x, n in enumerate(met.sizes) if x >= met.kept and x not in u and x not in w)
    ones = upper.labels is None and lower.labels is None
    form = settled_form(met.settled, None if ones else {x for x in u | w if x < met.kept}, factor)
    if upper.labels is None or lower.labels is None:
        return Product(form, met, 0)
    multiplied = {x for x in u | w if x < met.kept or (x in u and x in w)}  # the others are summed before
    return Product(form, met, math.prod(met.sizes[x] for x in multiplied))


def settled_form(settled: Settled, labels: Iterable[int] | None, factor: float) -> Form:
    """What a piece is whose values vary with some of the labels that were settled; None where they are all ones.

    What is folded without values is counted: where some places come up more often than others, the values become those
    numbers.
    """
    now: set[int] | None = None if labels is None else set(labels)
    for step in settled.steps:
        if isinstance(step, Merge):
            if now is not None and (step.first in now or step.second in now):
                now = now - {step.first, step.second} | {step.whole}
        elif now is not None and step.label in now:
            now = now - {step.label} | ({step.whole} if step.size > 1 else set[int]())
        else:
            often = multiplicities(step.groups)
            if min(often) == max(often):
                factor *= often[0]
            else:
                now = (now or set[int]()) | {step.whole}
    left = None if now is None else sorted(settled.names[x] for x in now if settled.sizes[x] > 1)
    return Form(settled.pattern, None if left is None else tuple(left), factor)


@lru_cache(maxsize=1 << 12)
def multiplicities(groups: tuple[int, ...]) -> tuple[int, ...]:
    """How often each number comes up."""
    return tuple(np.bincount(groups).tolist())


def varying(axes: tuple[Axis, ...], labels: tuple[int, ...] | None) -> frozenset[int]:
    """With which labels of a product the values of a factor vary."""
    return frozenset(y for x in labels or () for y in axes[x].labels)


def total(a: Form, b: Form) -> tuple[Form, int]:
    """The form of the sum of two pieces of one pattern, and the multiplications by their factors."""
    if a.labels is None and b.labels is None:
        return Form(a.pattern, None, a.factor + b.factor), 0
    if a.labels is not None and a.labels == b.labels and a.factor == b.factor:
        return a, 0
    labels = tuple(sorted({*(a.labels or ()), *(b.labels or ())}))
    return Form(a.pattern, labels), sum(scaling(x) for x in (a, b))


def scaling(form: Form) -> int:
    """Multiplications that bring the factor of a piece into its values; ones only change, and a sign costs none."""
    return 0 if form.labels is None or abs(form.factor) == 1.0 else form.size


class Effort(NamedTuple):
    """What carrying out an order takes, beyond its multiplications.

    Attributes:
        products: of Jacobians, however large they are.
        contracted: multiplications in products of matrices, which a processor does many of at once.
        written: entries of all products.
        folded: entries that are added up where windows overlap.
        placed: entries of Jacobians that are not dense, or sums of such, which are put together at the end.
        largest: entries of the largest product before windows are added up.
    """

    products: int = 0
    contracted: int = 0
    written: int = 0
    folded: int = 0
    placed: int = 0
    largest: int = 0

    def and_(self, other: Effort) -> Effort:
        """Both, one after the other."""
        sums = [a + b for a, b in zip(self, other, strict=True)]
        return Effort(*sums)._replace(largest=max(self.largest, other.largest))


def placing(edge: Edge) -> Effort:
    """What making a finished Jacobian dense takes."""
    axes = [axis for form in edge[:1] for axis in (*form.pattern.out, *form.pattern.into)]
    size = math.prod(axis.size for axis in axes)
    dense = len(edge) == 1 and math.prod(edge[0].pattern.sizes) == size
    return Effort(placed=0 if dense else size)


def effort(upper: Edge, lower: Edge) -> Effort:
    """What the product of two edges takes."""
    found = Effort()
    for a in upper:
        for b in lower:
            made = product(a, b)
            if made is not None:
                found = found.and_(_effort(a, b, made))
    return found


def _effort(upper: Form, lower: Form, made: Product) -> Effort:
    met = made.composition
    u, w = varying(met.upper, upper.labels), varying(met.lower, lower.labels)
    entries = math.prod(met.sizes[x] for x in u | w if x < met.kept)
    both = [math.prod(met.sizes[x] for x in some) for some in (u - w, w - u, u & w - set(range(met.kept)))]
    folded = sum(
        entries for step in met.settled.steps if isinstance(step, Fold) and step.size < len(step.groups)
    )
    return Effort(1, made.multiplications if min(both) > 1 else 0, entries, folded, largest=entries)


class Edges:
    """Edges by number, 0 for none: a search multiplies the same few again and again."""

    def __init__(self) -> None:
        self._forms: list[Edge] = [()]
        self._numbers: dict[Edge, int] = {(): 0}
        self._products: dict[tuple[int, int], tuple[int, int]] = {}
        self._sums: dict[tuple[int, int], tuple[int, int]] = {}

    def number(self, edge: Edge) -> int:
        """The number of an edge."""
        found = self._numbers.setdefault(edge, len(self._forms))
        if found == len(self._forms):
            self._forms.append(edge)
        return found

    def forms(self, number: int) -> Edge:
        """The edge of a number."""
        return self._forms[number]

    def through(self, upper: int, lower: int) -> tuple[int, int]:
        """The product of two edges, and its multiplications."""
        known = self._products.get((upper, lower))
        if known is None:
            edge, cost = self._multiplied(self._forms[upper], self._forms[lower])
            known = self._products[upper, lower] = self.number(edge), cost
        return known

    def joined(self, edge: int, more: int) -> tuple[int, int]:
        """The sum of two edges, and its multiplications."""
        known = self._sums.get((edge, more))
        if known is None:
            found, cost = _joined(self._forms[edge], self._forms[more])
            known = self._sums[edge, more] = self.number(found), cost
        return known

    def _multiplied(self, upper: Edge, lower: Edge) -> tuple[Edge, int]:
        edge: Edge = ()
        cost = 0
        for a in upper:
            for b in lower:
                found = product(a, b)
                if found is not None:
                    edge, more = _joined(edge, (found.form,))
                    cost += found.multiplications + more
        return edge, cost


def _joined(edge: Edge, more: Edge) -> tuple[Edge, int]:
    found = {form.pattern: form for form in edge}
    cost = 0
    for form in more:
        known = found.get(form.pattern)
        if known is None:
            found[form.pattern] = form
        else:
            found[form.pattern], times = total(known, form)
            cost += times
    return tuple(found.values()), cost
