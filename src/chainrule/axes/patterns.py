"""Patterns: labels, axes, and the one spelling that each pattern has."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

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

    @property
    def slides(self) -> bool:
        """Whether windows slide along some axis: its places are those of more than one label, or of one elsewhere."""
        return any(isinstance(a.places, tuple) and a.labels for a in (*self.out, *self.into))


class Merge(NamedTuple):
    """Two labels, of which the second always follows the first, become one."""

    first: int
    second: int
    whole: int


class Fold(NamedTuple):
    """Values of a label that stand for the same places are added up; the rest is put in order.

    Attributes:
        label: that label.
        whole: what it becomes.
        groups: for each of its values the number of the new one.
        size: how many of those there are; a single one has no label.
    """

    label: int
    whole: int
    groups: tuple[int, ...]
    size: int


Step: TypeAlias = "Merge | Fold"


class Settled(NamedTuple):
    """Axes over any labels as a pattern.

    Attributes:
        pattern: what they are.
        steps: what becomes of the labels, one step after another.
        names: the labels that are left, by what they are called in the pattern.
        sizes: of all labels that there ever were.
    """

    pattern: Pattern
    steps: tuple[Step, ...]
    names: Mapping[int, int]
    sizes: Mapping[int, int]


def pattern_of(out: Iterable[Axis], into: Iterable[Axis], sizes: Mapping[int, int]) -> Pattern:
    """A pattern in its one spelling: labels numbered as they occur, neighbours that never part made one.

    Labels of size 1 are left out: they fix a place.
    """
    axes, out = [*out, *into], tuple(out)
    return settle(axes, len(out), sizes).pattern


def settle(axes: Sequence[Axis], outs: int, sizes: Mapping[int, int]) -> Settled:
    """The pattern that axes make, those of the result first, and what becomes of their labels.

    What it is does not depend on how it came about, but for the order of what is the same: labels that never part are
    one, and no two values of a label stand for the same places. So windows that overlap are added up where nothing
    else tells them apart, as behind two convolutions, or a matrix and one.
    """
    axes, all_sizes = without_ones(axes, sizes), dict(sizes)
    axes = _arranged(axes, all_sizes)
    steps: list[Step] = []
    while True:
        whole = 1 + max(all_sizes, default=-1)
        if pair := _inseparable(axes):
            steps.append(Merge(*pair, whole))
            all_sizes[whole] = all_sizes[pair[0]] * all_sizes[pair[1]]
            axes = [_joined(a, pair, whole) for a in axes]
        elif found := _foldable(axes, all_sizes, whole):
            fold, axes = found
            steps.append(fold)
            all_sizes[whole] = fold.size
        else:
            break
    names: dict[int, int] = {}
    for x in (x for a in axes for x in a.labels):
        names.setdefault(x, len(names))
    spelled = [renamed(a, names) for a in axes]
    pattern = Pattern(tuple(spelled[:outs]), tuple(spelled[outs:]), tuple(all_sizes[x] for x in names))
    return Settled(pattern, tuple(steps), names, all_sizes)


def renamed(axis: Axis, names: Mapping[int, int]) -> Axis:
    """An axis with other labels."""
    return axis._replace(labels=tuple(names.get(x, x) for x in axis.labels))


def placed(axis: Axis, values: Mapping[int, Any], sizes: Mapping[int, int] | Sequence[int]) -> Any:
    """The places on an axis for arrays of the values of its labels."""
    entry: Any = np.intp(0)
    for x in axis.labels:
        entry = entry * sizes[x] + values[x]
    return entry if axis.places is None else as_index(axis.places)[entry]


def substituted(
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
    places = np.broadcast_to(placed(axis, values, sizes), [sizes[y] for y in labels])
    return Axis(axis.size, labels, shortest(places.ravel(), axis.size))


def shortest(places: Index, size: int) -> Places | None:
    """Places as a range where they are one; None where they are all in order."""
    first, count = int(places[0]), len(places)
    step = int(places[1]) - first if count > 1 else 1
    if step and np.array_equal(places, first + step * np.arange(count)):
        return None if (first, step, count) == (0, 1, size) else range(first, first + step * count, step)
    return tuple(places.tolist())


def as_index(places: Places) -> Index:
    """Places as an array."""
    return np.asarray(places, np.intp)


def without_ones(axes: Sequence[Axis], sizes: Mapping[int, int]) -> list[Axis]:
    """Axes without labels of size 1, which fix a place."""
    return [a._replace(labels=tuple(x for x in a.labels if sizes[x] != 1)) for a in axes]


def _arranged(axes: Sequence[Axis], sizes: Mapping[int, int]) -> list[Axis]:
    """Where places are listed, first the labels that other axes have too, as they occur, then its own."""
    order: dict[int, int] = {}
    often: dict[int, int] = {}
    for x in (x for a in axes for x in a.labels):
        order.setdefault(x, len(order))
        often[x] = often.get(x, 0) + 1
    found: list[Axis] = []
    for a in axes:
        shared = sorted((x for x in a.labels if often[x] > 1), key=order.__getitem__)
        labels = (*shared, *(x for x in a.labels if often[x] == 1))
        if a.places is not None and labels != a.labels:
            by_label = as_index(a.places).reshape([sizes[x] for x in a.labels])
            turned = by_label.transpose([a.labels.index(x) for x in labels])
            a = Axis(a.size, labels, shortest(turned.ravel(), a.size))
        elif isinstance(a.places, tuple):
            a = a._replace(places=shortest(as_index(a.places), a.size))
        found.append(a)
    return found


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


def _joined(axis: Axis, pair: tuple[int, int], whole: int) -> Axis:
    if pair[0] not in axis.labels:
        return axis
    k = axis.labels.index(pair[0])
    return axis._replace(labels=(*axis.labels[:k], whole, *axis.labels[k + 2 :]))


def _foldable(axes: list[Axis], sizes: Mapping[int, int], whole: int) -> tuple[Fold, list[Axis]] | None:
    """A label of which two values stand for the same places, or whose values are not in order; and the axes without."""
    counting = {x for a in axes if a.places is None for x in a.labels}
    for label in dict.fromkeys(x for a in axes for x in a.labels if x not in counting):
        own = {i: _by_value(a, label, sizes) for i, a in enumerate(axes) if label in a.labels}
        if all(isinstance(p := axes[i].places, range) and p.step > 0 for i in own):
            continue  # in order, each once
        seen, first, groups = np.unique(
            np.concatenate(list(own.values()), axis=1), axis=0, return_index=True, return_inverse=True
        )
        groups = groups.ravel()
        if not np.array_equal(groups, np.arange(len(groups))):
            fold = Fold(label, whole, tuple(groups.tolist()), len(seen))
            return fold, [
                _folded(a, fold, own[i][first], sizes) if i in own else a for i, a in enumerate(axes)
            ]
    return None


def _by_value(axis: Axis, label: int, sizes: Mapping[int, int]) -> Index:
    """For each value of a label, in a row, the places for all values of the other labels of an axis."""
    places = as_index(axis.places or ()).reshape([sizes[x] for x in axis.labels])
    return np.moveaxis(places, axis.labels.index(label), 0).reshape(sizes[label], -1)


def _folded(axis: Axis, fold: Fold, by_value: Index, sizes: Mapping[int, int]) -> Axis:
    """An axis of which the places for each of the new values are known."""
    k, others = axis.labels.index(fold.label), [sizes[x] for x in axis.labels if x != fold.label]
    places = np.moveaxis(by_value.reshape(fold.size, *others), 0, k)
    here = (fold.whole,) if fold.size > 1 else ()
    return Axis(
        axis.size, (*axis.labels[:k], *here, *axis.labels[k + 1 :]), shortest(places.ravel(), axis.size)
    )
