"""Patterns of Jacobians: products of random ones against products of matrices."""

import itertools
import math
import random

import numpy as np
import pytest

from chainrule.axes import Axis, Merge, Pattern, compose, pattern_of, reshaping

SIZES = (1, 2, 3, 4, 6)


def places_of(axis, sizes, values):
    entry = 0
    for x in axis.labels:
        entry = entry * sizes[x] + values[x]
    return entry if axis.places is None else axis.places[entry]


def dense(pattern, values):
    """The Jacobian that a pattern and values stand for."""
    axes = (*pattern.out, *pattern.into)
    found = np.zeros([a.size for a in axes])
    for at in itertools.product(*map(range, pattern.sizes)):
        found[tuple(places_of(a, pattern.sizes, at) for a in axes)] += values[at]
    return found


def multiplied(met, upper, lower):
    values = np.zeros(met.sizes[: met.kept])
    for at in itertools.product(*map(range, met.sizes)):
        u = upper[tuple(places_of(e, met.sizes, at) for e in met.upper)]
        w = lower[tuple(places_of(e, met.sizes, at) for e in met.lower)]
        values[at[: values.ndim]] += u * w
    return followed(values, list(range(met.kept)), met.settled)


def followed(values, labels, settled):
    """Values for all labels, step by step, as arrays."""
    for step in settled.steps:
        if isinstance(step, Merge):
            k = labels.index(step.first)
            values = np.moveaxis(values, labels.index(step.second), -1)
            labels.remove(step.second)
            k = labels.index(step.first)
            values = np.moveaxis(values, -1, k + 1)
            values = values.reshape(*values.shape[:k], -1, *values.shape[k + 2 :])
            labels[k] = step.whole
        else:
            k = labels.index(step.label)
            moved = np.moveaxis(values, k, 0)
            added = np.zeros((step.size, *moved.shape[1:]))
            np.add.at(added, list(step.groups), moved)
            values = np.moveaxis(added, 0, k) if step.size > 1 else added[0]
            labels[k : k + 1] = [step.whole] if step.size > 1 else []
    order = sorted(range(len(labels)), key=lambda k: settled.names[labels[k]])
    return values.transpose(order)


def label(rng, size, known, sizes):
    if known and rng.random() < 0.6:
        return rng.choice(known)
    sizes[len(sizes)] = size
    return len(sizes) - 1


def random_axis(rng, size, sizes):
    kind = rng.random()
    if kind < 0.3:
        cuts = [[size], *([a, size // a] for a in range(2, size) if size % a == 0)]
        labels = []
        for n in rng.choice(cuts):
            labels.append(label(rng, n, [x for x in sizes if sizes[x] == n and x not in labels], sizes))
        return Axis(size, tuple(labels))
    if kind < 0.5:
        k = rng.randrange(size)
        return Axis(size, (), range(k, k + 1) if size > 1 else None)
    if kind < 0.65:
        labels = [label(rng, 2, list(sizes), sizes)]
        labels.append(label(rng, 3, [x for x in sizes if x not in labels], sizes))
        return Axis(
            size,
            tuple(labels),
            tuple(rng.randrange(size) for _ in range(math.prod(sizes[x] for x in labels))),
        )
    x = label(rng, rng.randrange(2, 4), list(sizes), sizes)
    return Axis(size, (x,), tuple(rng.randrange(size) for _ in range(sizes[x])))


def random_pattern(rng, out, into):
    sizes = {}
    axes = [random_axis(rng, n, sizes) for n in (*out, *into)]
    return pattern_of(axes[: len(out)], axes[len(out) :], sizes)


@pytest.mark.parametrize("block", range(8))
def test_the_product_of_patterns_is_that_of_the_matrices(block):
    nonzero = 0
    for seed in range(100 * block, 100 * block + 100):
        rng, numbers = random.Random(seed), np.random.default_rng(seed)
        out, middle, into = ([rng.choice(SIZES) for _ in range(rng.randrange(3))] for _ in range(3))
        a, b = random_pattern(rng, out, middle), random_pattern(rng, middle, into)
        u, w = numbers.normal(size=a.sizes), numbers.normal(size=b.sizes)
        expected = np.tensordot(dense(a, u), dense(b, w), len(middle))
        met = compose(a, b)
        if met is None:
            assert not expected.any()
            continue
        nonzero += 1
        np.testing.assert_allclose(
            dense(met.pattern, multiplied(met, u, w)), expected, atol=1e-12, err_msg=str(seed)
        )
    assert nonzero > 50


def test_a_diagonal_times_a_matrix_stays_one_product_for_each_element():
    diagonal = pattern_of([Axis(3, (0,))], [Axis(3, (0,))], {0: 3})
    matrix = pattern_of([Axis(3, (0,))], [Axis(4, (1,))], {0: 3, 1: 4})
    met = compose(diagonal, matrix)
    assert met is not None and met.pattern == matrix and met.sizes == (3, 4)


def test_places_that_do_not_meet_give_nothing():
    first = pattern_of([], [Axis(3, (), range(1))], {})
    last = pattern_of([Axis(3, (), range(2, 3))], [], {})
    assert compose(first, last) is None


@pytest.mark.parametrize(
    ("shape", "to"), [((6,), (2, 3)), ((2, 3), (3, 2)), ((4, 3), (2, 6)), ((1, 5), (5,)), ((2, 3, 4), (6, 4))]
)
def test_reshaping_there_and_back_is_the_identity(shape, to):
    there, back = reshaping(shape, to), reshaping(to, shape)
    assert there is not None
    assert back is not None
    count = math.prod(shape)
    np.testing.assert_array_equal(dense(there, np.ones(there.sizes)).reshape(count, count), np.eye(count))
    met = compose(back, there)
    assert met is not None
    round_trip = dense(met.pattern, np.ones(met.pattern.sizes)).reshape(count, count)
    np.testing.assert_array_equal(round_trip, np.eye(count))


def test_one_spelling_for_what_is_one_pattern():
    assert pattern_of([Axis(6, (7, 3))], [Axis(6, (7, 3))], {7: 2, 3: 3}) == Pattern(
        (Axis(6, (0,)),), (Axis(6, (0,)),), (6,)
    )


def windows(count, kernel, stride=1, before=0):
    """The pattern of windows that slide along one axis: window, pixel; cut off at the border."""
    size = (count - 1) * stride + kernel - 2 * before
    pairs = [(o, k, o * stride + k - before) for o in range(count) for k in range(kernel)]
    seen = [(o, k, i) for o, k, i in pairs if 0 <= i < size]
    if len(seen) == len(pairs):
        pixels = Axis(size, (0, 1), tuple(i for _, _, i in seen))
        return pattern_of([Axis(count, (0,))], [pixels], {0: count, 1: kernel})
    numbers, _, pixels = zip(*seen, strict=True)
    return pattern_of([Axis(count, (0,), numbers)], [Axis(size, (0,), pixels)], {0: len(seen)})


def test_windows_of_windows_are_windows():
    upper, lower = windows(6, 3), windows(8, 3)
    met = compose(upper, lower)
    assert met is not None
    assert met.pattern == windows(6, 5)  # not the 9 pairs of places


def test_a_matrix_behind_windows_is_a_matrix():
    matrix = pattern_of([Axis(4, (0,))], [Axis(6, (1,))], {0: 4, 1: 6})
    for slid in (windows(6, 3), windows(6, 3, stride=2), windows(6, 3, before=1)):
        met = compose(matrix, slid)
        assert met is not None
        assert met.pattern.sizes == (4, slid.into[0].size)


def test_what_windows_of_windows_are_does_not_depend_on_the_order():
    for borders in itertools.product((0, 1), repeat=3):
        third = windows(11, 3, 1, borders[2])
        second = windows(third.out[0].size - 2 + 2 * borders[1], 3, 1, borders[1])
        first = windows(second.out[0].size - 2 + 2 * borders[0], 3, 1, borders[0])
        left = compose(compose(first, second).pattern, third)
        right = compose(first, compose(second, third).pattern)
        assert left.pattern == right.pattern
