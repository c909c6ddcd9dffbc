"""Scans of random steps, compiled: what a loop in Python gives, forward and backward, on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import target
from chainrule.transforms.compiled import traced

MACHINE = target.host()
pytestmark = pytest.mark.skipif(MACHINE is None, reason="no native code for this machine")

SHAPE = (4, 6)
UNARY = (
    cr.tanh,
    cr.sigmoid,
    cr.sin,
    lambda a: a * 0.5,
    lambda a: cr.flip(a, axis=0),
    lambda a: cr.roll(a, 1, axis=1),
    lambda a: a.mT.reshape(SHAPE),
    lambda a: cr.cumulative_sum(a, axis=0) * 0.2,
    lambda a: cr.softmax(a, axis=-1),
    lambda a: a - a.mean(axis=0),
    lambda a: cr.concat([a[:, 3:], cr.tanh(a[:, :3])], axis=1),
)
BINARY = (
    lambda a, b: a + b,
    lambda a, b: cr.tanh(a) * b,
    lambda a, b: cr.where(a > b, a, b * 0.3),
    lambda a, b: cr.tanh(a @ b.mT) @ a * 0.3,
    lambda a, b: a - cr.sum(b, axis=1, keepdims=True) * 0.1,
)


def random_step(seed):
    """A step of up to four carries, some of which are swapped, copied, or stay; and weights that it closes over."""
    rng = np.random.default_rng(seed)
    carries, width = int(rng.integers(1, 5)), int(rng.integers(2, 9))
    plan = [(int(rng.integers(20)), *rng.integers(0, 10**6, 2)) for _ in range(width)]
    ends, gives = rng.integers(0, 10**6, carries), rng.integers(0, 10**6, int(rng.integers(1, 4)))

    def make(weights):
        def step(carry, given):
            values = [*carry, given, given @ weights[0], weights[1] * given]
            for kind, i, j in plan:
                a, b = values[i % len(values)], values[j % len(values)]
                if kind < len(UNARY):
                    values.append(UNARY[kind](a))
                elif kind < len(UNARY) + len(BINARY):
                    values.append(BINARY[kind - len(UNARY)](a, b))
                else:
                    values.append(cr.tanh(a @ weights[0] + weights[1]))
            after = tuple(values[e % len(values)] for e in ends)
            return tuple(cr.clip(c, -3.0, 3.0) for c in after) if ends[0] % 3 else after, [
                values[g % len(values)] for g in gives
            ]

        return step

    length = int(rng.integers(1, 7))
    arrays = (
        [rng.normal(size=(6, 6)) / 3, rng.normal(size=6)],
        tuple(rng.normal(size=SHAPE) for _ in range(carries)),
        rng.normal(size=(length, *SHAPE)),
    )
    seeds = [rng.normal(size=SHAPE) for _ in range(carries)] + [
        rng.normal(size=(length, *SHAPE)) for _ in gives
    ]
    return make, arrays, seeds, length, bool(rng.integers(2))


def unrolled(f, carry, xs, reverse):
    ys = [None] * xs.shape[0]
    for t in reversed(range(len(ys))) if reverse else range(len(ys)):
        carry, ys[t] = f(carry, xs[t])
    return carry, [cr.stack(rows) for rows in zip(*ys, strict=True)]


def losses(seed):
    """The same loss of weights, first carries and inputs, by a scan and by a loop; and arrays for it."""
    make, arrays, seeds, _, reverse = random_step(seed)

    def loss(run):
        def of(weights, carry, xs):
            last, ys = run(make(weights), carry, xs)
            own = sum((a * a).sum() for a in (*weights, *carry, xs))  # a step need not use them all
            return own + sum((r * s).sum() for r, s in zip([*last, *ys], seeds, strict=True))

        return cr.value_and_grad(of, (0, 1, 2))

    by_scan = loss(lambda f, c, x: cr.scan(f, c, x, reverse=reverse))
    return by_scan, loss(lambda f, c, x: unrolled(f, c, x, reverse)), arrays


@pytest.mark.parametrize("seed", range(40))
def test_values_and_gradients(seed):
    by_scan, by_loop, arrays = losses(seed)
    expected = by_loop(*trees.map_leaves(cr.asarray, arrays))
    graph, _ = traced(by_scan, arrays, {})
    results = [Executable(graph, MACHINE, threads)(trees.leaves(arrays)) for threads in (1, 3)]
    assert [a.tobytes() for a in results[0]] == [a.tobytes() for a in results[1]]
    for found, wanted in zip(results[0], trees.leaves(expected), strict=True):
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(40, 60))
def test_values_alone(seed):
    """Without gradients: carries that are not kept take turns, or are overwritten."""
    make, arrays, _, _, reverse = random_step(seed)
    run = lambda weights, carry, xs: cr.scan(make(weights), carry, xs, reverse=reverse)
    expected = unrolled(make(arrays[0]), *trees.map_leaves(cr.asarray, arrays[1:]), reverse)
    found = cr.compile(run)(*arrays)
    for a, b in zip(trees.leaves(found), trees.leaves(expected), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-10)
