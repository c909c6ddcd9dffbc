"""The memory plan, and moves as views."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.compiler.memory import ALIGNMENT, Life, plan
from chainrule.compiler.views import of_base, see_through
from chainrule.node import symbol
from chainrule.shapes import Spec, float64

LIVES = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 20), st.integers(0, 20)).map(
        lambda t: Life(t[0], min(t[1:]), max(t[1:]))
    ),
    max_size=30,
)


@given(LIVES)
def test_arrays_that_live_at_once_do_not_overlap(lives):
    offsets, total = plan(dict(enumerate(lives)))
    for i, a in enumerate(lives):
        assert offsets[i] % ALIGNMENT == 0
        assert offsets[i] + a.nbytes <= total or not a.nbytes
        for j, b in enumerate(lives[:i]):
            together = a.first <= b.last and b.first <= a.last
            apart = offsets[i] + a.nbytes <= offsets[j] or offsets[j] + b.nbytes <= offsets[i]
            assert apart or not together or not a.nbytes or not b.nbytes


@given(LIVES)
def test_memory_is_never_more_than_all_arrays_and_at_least_the_busiest_step(lives):
    _, total = plan(dict(enumerate(lives)))
    rounded = [-(-life.nbytes // ALIGNMENT) * ALIGNMENT for life in lives]
    assert total <= sum(rounded)
    for step in range(21):
        assert total >= sum(r for r, x in zip(rounded, lives, strict=True) if x.first <= step <= x.last)


def test_a_chain_needs_two_arrays():
    _, total = plan({i: Life(64, i, i + 1) for i in range(100)})
    assert total == 128


MOVES = [
    lambda x: x.T,
    lambda x: x[1:, ::2],
    lambda x: x[::-1],
    lambda x: x[2],
    lambda x: x[None, ..., None],
    lambda x: x.reshape(2, 2, 6),
    lambda x: x.reshape(24),
    lambda x: cr.broadcast_to(x[:1], (3, 4, 6)),
    lambda x: cr.flip(x, axis=1).T[1],
    lambda x: x.reshape(4, 2, 3).mT[::-1, 1],
    lambda x: cr.split(x, 2)[1].reshape(3, 4)[:, ::3],
    lambda x: x[:, 1:3].T.reshape(2, 2, 2),
    lambda x: x[:0].T,
]


def test_a_view_is_the_array_that_numpy_gives():
    data = np.arange(24.0).reshape(4, 6)
    for move in MOVES:
        x = symbol(Spec((4, 6), float64))
        node, sights = move(x), {}

        def sight(n, sights=sights):
            if n not in sights:
                sights[n] = of_base(n) if not n.inputs else see_through(n, sight(n.inputs[0]))
            return sights[n]

        found = sight(node)
        if node.size:
            reach = [(n - 1) * s for n, s in zip(node.shape, found.strides, strict=True)]
            low, high = (found.offset + sum(f(r, 0) for r in reach) for f in (min, max))
            assert low >= 0 and high < 24
            steps = tuple(8 * s for s in found.strides)
            view = np.lib.stride_tricks.as_strided(data.reshape(-1)[found.offset :], node.shape, steps)
            np.testing.assert_array_equal(view, move(cr.tensor(data)).numpy())


def test_a_reshape_that_needs_a_copy_is_no_view():
    x = symbol(Spec((4, 6), float64))
    turned = x.T
    assert see_through(turned.reshape(24), see_through(turned, of_base(x))) is None
