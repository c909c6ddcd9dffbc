"""How the axes of a Jacobian hang together: what it is before any number is known.

The derivative of a tensor with respect to a tensor has the axes of both. Most of its entries are zeros of a known
pattern: an elementwise function ties each axis of its result to one of its argument, a matrix product ties the rows, a
sum forgets an axis, an index fixes a place on one. A `Pattern` names the index variables (*labels*) over which such a
Jacobian runs, and says for each axis where its place comes from. With values d[labels] it stands for

    J[out, into] = sum over all labels of d[labels] * [out == places(labels)] * [into == places(labels)],

so a diagonal has one label for both axes, a matrix two, a broadcast or a sum one that its values do not vary with.
Products of such Jacobians are such Jacobians again (`compose`): what is zero is never multiplied, and what only moves
numbers costs nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from chainrule.shapes import Shape

Places: TypeAlias = "range | tuple[int, ...]"
Index: TypeAlias = "np.ndarray[Any, np.dtype[np.intp]]"


class Axis(NamedTuple):
    """Where the place on one axis comes from.

    Attributes:
        size: places on the axis.
        labels: labels that run over it, the last one fastest; none for a fixed place.
        places: the place for each of their values; None if they count all places in order.
    """

    size: int
    labels: tuple[int, ...]
    places: Places | None = None


class Pattern(NamedTuple):
    """The axes of a Jacobian, by labels 0, 1, ... in the order in which they occur.

    Attributes:
        out: axes of the result.
        into: axes of the argument.
        sizes: of the labels.
    """

    out: tuple[Axis, ...]
    into: tuple[Axis, ...]
    sizes: tuple[int, ...]

    @property
    def is_elementwise(self) -> bool:
        """Whether it ties each number of the result to one of the argument at most: nothing is added up."""
        out, into = ({x for a in axes for x in a.labels} for axes in (self.out, self.into))
        return out == into


class At(NamedTuple):
    """An axis on which only some places count.

    Attributes:
        label: runs over them; None for a single one.
        places: in the order of the label's values.
    """

    label: Hashable
    places: Places


class Ties(NamedTuple):
    """Which axes of a local derivative belong together, as a primitive states it.

    Attributes:
        out, into: for each axis of the result and of the argument its label, anything hashable; where the same label
            stands twice, the Jacobian is diagonal. `At` for some places of an axis, None for a label of its own.
        values: a node; None for ones.
        labels: of the axes of ``values``.
        factor: times all values.
        selects: whether a value of exactly 0 means that nothing passes, not even what is infinite.
        pulled: whether the values must be found by pulling gradients back, one pull for each place of the axes of the
            result that are not tied.
    """

    out: tuple[Hashable, ...]
    into: tuple[Hashable, ...]
    values: Any = None
    labels: tuple[Hashable, ...] = ()
    factor: float = 1.0
    selects: bool = False
    pulled: bool = False

    def pattern(self, out: Shape, into: Shape) -> tuple[Pattern, Mapping[Hashable, int]]:
        """The pattern for axes of these sizes, and its labels by those of the primitive, without those of size 1."""
        sizes: dict[int, int] = {}
        names: dict[Hashable, int] = {}
        axes: list[Axis] = []
        for entry, n in zip((*self.out, *self.into), (*out, *into), strict=True):
            label, places = entry if isinstance(entry, At) else (entry, None)
            if places is not None and label is None:
                axes.append(Axis(n, (), places if n > 1 else None))
                continue
            number = names.setdefault(object() if label is None else label, len(names))
            sizes[number] = n if places is None else len(places)
            axes.append(Axis(n, (number,), places if places is None or len(places) > 1 else places[:1]))
        pattern, (spelled, _) = _spelled(axes, len(out), sizes, [Axis(n, (i,)) for i, n in sizes.items()])
        known = {x: spelled[i].labels[0] for x, i in names.items() if spelled[i].labels}
        return pattern, known


def aligned(shape: Shape, to: Shape) -> tuple[int | None, ...]:
    """For each axis of ``shape`` the axis of ``to`` that it broadcasts to; None where it is stretched."""
    before = len(to) - len(shape)
    return tuple(before + i if n == to[before + i] else None for i, n in enumerate(shape))


def stretched(shape: Shape, to: Shape, **more: Any) -> Ties:
    """Ties of what broadcasts ``shape`` to ``to``, element by element."""
    return Ties(tuple(range(len(to))), aligned(shape, to), **more)


def reduced(rank: int, axes: Sequence[int], keepdims: bool, **more: Any) -> Ties:
    """Ties of what makes one number of each slice along ``axes``."""
    kept = [None if i in axes else i for i in range(rank) if keepdims or i not in axes]
    return Ties(tuple(kept), tuple(range(rank)), **more)


def along(rank: int, axes: Sequence[int], **more: Any) -> Ties:
    """Ties of what mixes the places along ``axes`` and treats all slices alike."""
    return Ties(tuple(None if i in axes else i for i in range(rank)), tuple(range(rank)), **more)


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
    """The product of two patterns.

    Attributes:
        pattern: of the product.
        upper, lower: what becomes of each label of the two factors: an `Axis` of that label's size, over the labels of
            the product; those from ``len(pattern.sizes)`` on are summed.
        sizes: of all those labels.
    """

    pattern: Pattern
    upper: tuple[Axis, ...]
    lower: tuple[Axis, ...]
    sizes: tuple[int, ...]


def pattern_of(out: Iterable[Axis], into: Iterable[Axis], sizes: Mapping[int, int]) -> Pattern:
    """A pattern in its one spelling: labels numbered as they occur, neighbours that never part made one.

    Labels of size 1 are left out: they fix a place.
    """
    axes, out = [*out, *into], tuple(out)
    pattern, _ = _spelled(axes, len(out), dict(sizes))
    return pattern


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
            *(_renamed(a, moved) for a in (*lower.out, *lower.into)),
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
            return self._tie(b.labels, a.labels, _array(a.places))
        assert b.places is not None  # as both were None before
        return self._tie(a.labels, b.labels, _array(b.places))

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
        same = np.broadcast_to(_placed(a, values, self.sizes) == _placed(b, values, self.sizes), shape)
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
        self.axes = [_renamed(a, names) for a in self.axes]

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
        self.axes = [_substituted(a, known, self.sizes) for a in self.axes]
        return True

    def result(self) -> Composition:
        u, w = self.upper, self.lower
        lower_out = len(u.out) + len(u.into)
        lower_into = lower_out + len(w.out)
        labels = lower_into + len(w.into)
        out, into, every = self.axes[: len(u.out)], self.axes[lower_into:labels], self.axes[labels:]
        pattern, all_axes = _spelled([*out, *into], len(out), self.sizes, every)
        spelled, sizes = all_axes
        return Composition(pattern, tuple(spelled[: len(u.sizes)]), tuple(spelled[len(u.sizes) :]), sizes)


def _common_cuts(a: Sequence[int], b: Sequence[int]) -> list[int] | None:
    """Sizes into which both can be cut, the last fastest; None if there are none."""
    if math.prod(a) != math.prod(b):
        return None
    counts = sorted({math.prod(s[i:]) for s in (a, b) for i in range(len(s) + 1)}, reverse=True)
    if any(x % y for x, y in itertools.pairwise(counts)):
        return None
    return [x // y for x, y in itertools.pairwise(counts)]


def _renamed(axis: Axis, names: Mapping[int, int]) -> Axis:
    return axis._replace(labels=tuple(names.get(x, x) for x in axis.labels))


def _placed(axis: Axis, values: Mapping[int, Any], sizes: Mapping[int, int]) -> Any:
    """The places on an axis for arrays of the values of its labels."""
    entry: Any = np.intp(0)
    for x in axis.labels:
        entry = entry * sizes[x] + values[x]
    return entry if axis.places is None else _array(axis.places)[entry]


def _substituted(
    axis: Axis, known: Mapping[int, tuple[tuple[int, ...], Index]], sizes: Mapping[int, int]
) -> Axis:
    """An axis where some labels are functions of others: for each, which ones, and its value for each entry of them."""
    if not any(x in known for x in axis.labels):
        return axis
    labels = tuple(dict.fromkeys(y for x in axis.labels for y in (known[x][0] if x in known else (x,))))
    grid = dict(zip(labels, np.indices([sizes[y] for y in labels], sparse=True), strict=True))
    values: dict[int, Any] = {}
    for x in axis.labels:
        if x in known:
            names, value = known[x]
            entry: Any = np.intp(0)
            for y in names:
                entry = entry * sizes[y] + grid[y]
            values[x] = value[entry]
        else:
            values[x] = grid[x]
    places = np.broadcast_to(_placed(axis, values, sizes), [sizes[y] for y in labels])
    return Axis(axis.size, labels, _shortest(places.ravel(), axis.size))


def _shortest(places: Index, size: int) -> Places | None:
    """Places as a range where they are one; None where they are all in order."""
    first, count = int(places[0]), len(places)
    step = int(places[1]) - first if count > 1 else 1
    if step and np.array_equal(places, first + step * np.arange(count)):
        return None if (first, step, count) == (0, 1, size) else range(first, first + step * count, step)
    return tuple(places.tolist())


def _array(places: Places) -> Index:
    return np.asarray(places, np.intp)


def _spelled(
    axes: Sequence[Axis], outs: int, sizes: Mapping[int, int], others: Sequence[Axis] = ()
) -> tuple[Pattern, tuple[list[Axis], tuple[int, ...]]]:
    """The pattern that axes make, and ``others`` over its labels, with the sizes of all of those."""
    axes = [_without_ones(a, sizes) for a in axes]
    others = [_without_ones(a, sizes) for a in others]
    sizes = dict(sizes)
    while pair := _inseparable(axes):
        x, y = pair
        whole = max(sizes) + 1
        sizes[whole] = sizes[x] * sizes[y]
        entry = np.arange(sizes[whole])
        known = {x: ((whole,), entry // sizes[y]), y: ((whole,), entry % sizes[y])}
        axes, others = ([_substituted(a, known, sizes) for a in some] for some in (axes, others))
    names: dict[int, int] = {}
    for x in (x for a in (*axes, *others) for x in a.labels):
        names.setdefault(x, len(names))
    kept = len({x for a in axes for x in a.labels})
    spelled = [_renamed(a, names) for a in (*axes, *others)]
    all_sizes = tuple(sizes[x] for x in names)
    pattern = Pattern(tuple(spelled[:outs]), tuple(spelled[outs : len(axes)]), all_sizes[:kept])
    return pattern, (spelled[len(axes) :], all_sizes)


def _without_ones(axis: Axis, sizes: Mapping[int, int]) -> Axis:
    return axis._replace(labels=tuple(x for x in axis.labels if sizes[x] != 1))


def _inseparable(axes: Sequence[Axis]) -> tuple[int, int] | None:
    """Two labels of which the second always follows the first, if there are any."""
    behind: dict[int, set[int]] = {}
    before: dict[int, set[int]] = {}
    for a in axes:
        for x, y in itertools.pairwise((-1, *a.labels, -1)):
            behind.setdefault(x, set()).add(y)
            before.setdefault(y, set()).add(x)
    for x, after in behind.items():
        y = next(iter(after))
        if x >= 0 and y >= 0 and len(after) == 1 and before[y] == {x}:
            return x, y
    return None
