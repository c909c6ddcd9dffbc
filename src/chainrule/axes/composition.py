"""Products of patterns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from chainrule.axes.patterns import (
    Axis,
    Index,
    Pattern,
    Settled,
    as_index,
    pattern_of,
    placed,
    renamed,
    settle,
    substituted,
    without_ones,
)
from chainrule.shapes import Shape


def reshaping(shape: Shape, to: Shape) -> Pattern | None:
    """The pattern of the same elements in another shape."""
    count = math.prod(shape)
    flat = Axis(count, tuple(range(len(shape))))
    down = pattern_of([flat], [Axis(n, (i,)) for i, n in enumerate(shape)], dict(enumerate(shape)))
    whole = Axis(count, tuple(range(len(to))))
    up = pattern_of([Axis(n, (i,)) for i, n in enumerate(to)], [whole], dict(enumerate(to)))
    found = compose(up, down)
    return found and found.pattern


class Composition(NamedTuple):
    """The product of two patterns, first over labels of its own: then values are multiplied, which lie as they are.

    Attributes:
        upper, lower: what becomes of each label of the two factors: an `Axis` of that label's size, over the labels of
            the product.
        sizes: of all those labels.
        kept: so many of them, the first ones, stay; the others are summed.
        settled: what the product is, and what becomes of the labels that stay.
    """

    upper: tuple[Axis, ...]
    lower: tuple[Axis, ...]
    sizes: tuple[int, ...]
    kept: int
    settled: Settled

    @property
    def pattern(self) -> Pattern:
        """Of the product."""
        return self.settled.pattern


@lru_cache(maxsize=1 << 16)
def compose(upper: Pattern, lower: Pattern) -> Composition | None:
    """The pattern of the product of two Jacobians, the upper one nearer to the results.

    Args:
        upper: its ``into`` are the axes of ``lower.out``.

    Returns:
        The product; None where it is zero.
    """
    meeting = _Meeting(upper, lower)
    for k in range(len(upper.into)):
        if not meeting.equate(len(upper.out) + k, len(upper.out) + len(upper.into) + k):
            return None
    return meeting.result()


class _Meeting:
    """Two patterns while the axes between them are made one.

    Attributes:
        axes: of both patterns, upper first, then one for each label of both, whose place is that label's value.
        sizes: of the labels in use.
    """

    def __init__(self, upper: Pattern, lower: Pattern) -> None:
        shift = len(upper.sizes)
        moved = {i: i + shift for i in range(len(lower.sizes))}
        self.upper, self.lower = upper, lower
        self.sizes = dict(enumerate((*upper.sizes, *lower.sizes)))
        self.axes = [
            *upper.out,
            *upper.into,
            *(renamed(a, moved) for a in (*lower.out, *lower.into)),
            *(Axis(n, (i,)) for i, n in self.sizes.items()),
        ]
        self._fresh = itertools.count(len(self.sizes))

    def equate(self, i: int, k: int) -> bool:
        """Keep only what has the same place on two axes; False if that is nothing."""
        a, b = self.axes[i], self.axes[k]
        if a[1:] == b[1:]:
            return True
        if set(a.labels) & set(b.labels):
            return self._solve(a, b)
        if a.places is None and b.places is None:
            if self._split(i, k):
                a, b = self.axes[i], self.axes[k]
                self._rename(dict(zip(b.labels, a.labels, strict=True)))
                return True
            return self._solve(a, b)
        if a.places is not None and b.places is not None:
            return self._join(a, b)
        if a.places is not None:
            return self._tie(b.labels, a.labels, as_index(a.places))
        assert b.places is not None  # as both were None before
        return self._tie(a.labels, b.labels, as_index(b.places))

    def _join(self, a: Axis, b: Axis) -> bool:
        """Both axes have places of their own: the pairs of values that meet."""
        found: dict[int, list[int]] = {}
        for value, place in enumerate(b.places or ()):
            found.setdefault(place, []).append(value)
        pairs = [(x, y) for x, place in enumerate(a.places or ()) for y in found.get(place, ())]
        if not pairs:
            return False
        xs, ys = (np.array(v, np.intp) for v in zip(*pairs, strict=True))
        if len(pairs) == self._count(a.labels) and np.array_equal(xs, np.arange(len(pairs))):
            return self._tie(b.labels, a.labels, ys)
        if len(pairs) == self._count(b.labels) and len(set(ys.tolist())) == len(pairs):
            return self._tie(a.labels, b.labels, xs[np.argsort(ys)])
        fresh = self._label(len(pairs))
        self._tie(a.labels, fresh, xs)
        return self._tie(b.labels, fresh, ys)

    def _solve(self, a: Axis, b: Axis) -> bool:
        """Any two axes: the values of all their labels for which the places are the same."""
        labels = tuple(dict.fromkeys((*a.labels, *b.labels)))
        shape = tuple(self.sizes[x] for x in labels)
        values = dict(zip(labels, np.indices(shape, sparse=True), strict=True))
        same = np.broadcast_to(placed(a, values, self.sizes) == placed(b, values, self.sizes), shape)
        if same.all() or not same.any():
            return bool(same.any())
        found = np.nonzero(same)
        fresh = self._label(len(found[0]))
        return self._substitute({x: (fresh, v) for x, v in zip(labels, found, strict=True)})

    def _tie(self, labels: tuple[int, ...], to: tuple[int, ...], entry: Index) -> bool:
        """Let ``labels`` together have entry number ``entry[i]`` where ``to`` has number ``i``."""
        shape = tuple(self.sizes[x] for x in labels)
        values = np.unravel_index(entry, shape) if labels else ()
        return self._substitute({x: (to, v) for x, v in zip(labels, values, strict=True)})

    def _label(self, size: int) -> tuple[int, ...]:
        if size == 1:
            return ()
        fresh = next(self._fresh)
        self.sizes[fresh] = size
        return (fresh,)

    def _count(self, labels: tuple[int, ...]) -> int:
        return math.prod(self.sizes[x] for x in labels)

    def _rename(self, names: dict[int, int]) -> None:
        self.axes = [renamed(a, names) for a in self.axes]

    def _split(self, i: int, k: int) -> bool:
        """Cut the labels of two axes of one size so that both have the same sizes; False if they do not fit."""
        cuts = _common_cuts(
            [self.sizes[x] for x in self.axes[i].labels], [self.sizes[x] for x in self.axes[k].labels]
        )
        if cuts is None:
            return False
        for n in (i, k):
            left = list(cuts)
            for label in self.axes[n].labels:
                parts: list[int] = []
                while math.prod(parts) < self.sizes[label]:
                    parts.append(left.pop(0))
                if len(parts) > 1:
                    fresh = tuple(self._label(size)[0] for size in parts)
                    self.axes = [
                        a._replace(labels=tuple(y for x in a.labels for y in (fresh if x == label else (x,))))
                        for a in self.axes
                    ]
        return True

    def _substitute(self, known: dict[int, tuple[tuple[int, ...], Index]]) -> bool:
        self.axes = [substituted(a, known, self.sizes) for a in self.axes]
        return True

    def result(self) -> Composition:
        u, w = self.upper, self.lower
        lower_out = len(u.out) + len(u.into)
        lower_into = lower_out + len(w.out)
        labels = lower_into + len(w.into)
        axes = without_ones([*self.axes[: len(u.out)], *self.axes[lower_into:labels]], self.sizes)
        every = without_ones(self.axes[labels:], self.sizes)
        names: dict[int, int] = {}
        for x in (x for a in (*axes, *every) for x in a.labels):
            names.setdefault(x, len(names))
        sizes = tuple(self.sizes[x] for x in names)
        kept = len({x for a in axes for x in a.labels})
        settled = settle([renamed(a, names) for a in axes], len(u.out), dict(enumerate(sizes)))
        expressed = [renamed(a, names) for a in every]
        return Composition(
            tuple(expressed[: len(u.sizes)]), tuple(expressed[len(u.sizes) :]), sizes, kept, settled
        )


def _common_cuts(a: Sequence[int], b: Sequence[int]) -> list[int] | None:
    """Sizes into which both can be cut, the last fastest; None if there are none."""
    if math.prod(a) != math.prod(b):
        return None
    counts = sorted({math.prod(s[i:]) for s in (a, b) for i in range(len(s) + 1)}, reverse=True)
    if any(x % y for x, y in itertools.pairwise(counts)):
        return None
    return [x // y for x, y in itertools.pairwise(counts)]
