"""The ledger predicts what is executed: derivative graphs of programs of every kind are evaluated and counted."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph import Graph, Program
from chainrule.modes import silently
from counted import ADDITIONS, MULTIPLICATIONS, TRANSCENDENTALS, counted_view, counting

RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape)


W1, W2, W3 = normal(4, 6), normal(6, 4), normal(3, 6)
KERNEL = normal(3, 3, 2, 3)


def layers(x):
    return W3 @ cr.tanh(W2 @ cr.sigmoid(W1 @ x))


def pointwise(x):
    return cr.exp(x) * cr.sin(x) / (1.0 + x * x) + cr.sqrt(cr.abs(x) + 1.0)


def contraction(x):
    return cr.einsum("ij,jk,ik->i", x, normal_cached("c", 5, 4), x @ normal_cached("d", 5, 4))


_known = {}


def normal_cached(name, *shape):
    return _known.setdefault(name, normal(*shape))


def convolution(x):
    y = cr.relu(cr.conv2d(x, KERNEL, padding="same"))
    return cr.sum(cr.max_pool2d(y, 2), axis=(0, 1, 2))


def reductions(x):
    return cr.logsumexp(x, axis=1) * cr.var(x, axis=1) + cr.mean(x, axis=1) - cr.prod(x, axis=1)


def recurrence(x):
    def step(h, row):
        h = cr.tanh(W1[:4, :4] @ h + row)
        return h, h * h

    last, seen = cr.scan(step, np.zeros(4), x)
    return last + cr.sum(seen, axis=0)


def loss(x):
    return cr.mean(cr.square(cr.softmax(x @ W1, axis=1) - 0.2))


def factored(x):
    return cr.sum(x[1:] * x[:-1], axis=0)


PROGRAMS = {
    "layers": (layers, normal(6)),
    "pointwise": (pointwise, normal(5)),
    "contraction": (contraction, normal(3, 5)),
    "convolution": (convolution, normal(2, 6, 6, 2)),
    "reductions": (reductions, normal(3, 4)),
    "recurrence": (recurrence, normal(5, 4)),
    "loss": (loss, normal(5, 4)),
    "factored": (factored, normal(4, 3)),
}
programs = pytest.mark.parametrize(("f", "x"), [pytest.param(*p, id=name) for name, p in PROGRAMS.items()])


def executed(f, *args):
    """What the graph of a function does while NumPy evaluates it."""
    graph = cr.trace(f, *args)
    constants = [node.value for node in graph.constants]
    program = Program(Graph([*graph.inputs, *graph.constants], graph.outputs))
    with counting() as count:
        silently(program.run, [counted_view(x) for x in (*args, *constants)])
    return count[MULTIPLICATIONS], count[ADDITIONS], count[TRANSCENDENTALS]


def figures(cost):
    return cost.multiplications, cost.additions, cost.transcendentals


def without(way, sweeps):
    """A way with fewer sweeps."""
    pairs = zip(figures(way.cost), figures(way.sweep), strict=True)
    return tuple(whole - sweeps * each for whole, each in pairs)


@programs
def test_the_function(f, x):
    assert figures(cr.cost(f, x).function.cost) == executed(f, x)


@programs
def test_a_reverse_sweep(f, x):
    way = cr.cost(f, x).way("reverse")
    y = np.asarray(f(x))

    def pulled(x, u):
        value, pull = cr.vjp(f, x)
        return value, pull(u)

    assert way.sweeps == y.size
    stated, counted = without(way, y.size - 1), executed(pulled, x, np.ones(y.shape))
    if f is convolution:  # NumPy adds sums of blocks to the image; a multiply-add would add each product
        assert (stated[0], stated[2]) == (counted[0], counted[2])
    else:
        assert stated == counted


@programs
def test_a_forward_sweep(f, x):
    way = cr.cost(f, x).way("forward")
    assert way.sweeps == x.size
    pushed = executed(lambda x, t: cr.jvp(f, (x,), (t,)), x, np.ones(x.shape))
    assert without(way, x.size - 1) == pushed


@pytest.mark.parametrize("name", ["layers", "pointwise", "contraction", "factored"])
def test_all_rows_of_a_jacobian(name):
    """Values and local derivatives once, and as many sweeps as there are results."""
    f, x = PROGRAMS[name]
    y = np.asarray(f(x))
    seeds = [np.ones(y.shape) for _ in range(y.size)]

    def rows(x, *seeds):
        value, pull = cr.vjp(f, x)
        return value, [pull(u) for u in seeds]

    # Each direction is a symbol of its own, so no two sweeps are alike.
    assert figures(cr.cost(f, x).way("reverse").cost) == executed(rows, x, *seeds)


def test_several_arguments():
    a, b = normal(3, 4), normal(4, 2)

    def f(a, b):
        return cr.sum(cr.tanh(a @ b))

    def both(a, b, u):
        value, pull = cr.vjp(f, a, b)
        return value, pull(u)

    assert figures(cr.cost(f, a, b, argnums=(0, 1)).way("reverse").cost) == executed(both, a, b, np.ones(()))


def test_nodes_add_up_to_the_whole():
    for f, x in PROGRAMS.values():
        ledger = cr.cost(f, x)
        for way in (ledger.function, *(ledger.way(key) for key in ("reverse", "forward"))):
            parts = [figures(node.costs[way.key]) for node in ledger.nodes]
            whole = tuple(map(sum, zip(*parts, strict=True)))
            if way is not ledger.function:
                whole = tuple(a + b for a, b in zip(whole, figures(ledger.function.cost), strict=True))
            assert whole == figures(way.cost), (ledger.name, way.key)


def test_products_of_a_chain_of_jacobians():
    """Dense local Jacobians, multiplied in each of the orders."""
    pairs = [normal(2, 10), normal(10, 2), normal(2, 10), normal(10, 2)]

    def f(x):
        for w in pairs:
            x = cr.sin(w @ x)
        return x

    x = normal(10)
    chain = cr.cost(f, x).chain
    factors = [cr.jacobian(lambda x, w=w: cr.sin(w @ x))(normal(w.shape[1])).numpy() for w in pairs]

    def multiplied(order):
        if isinstance(order, int):
            return counted_view(factors[order - 1])
        return multiplied(order[0]) @ multiplied(order[1])

    for order in (chain.best, chain.reverse, chain.forward):
        with counting() as count:
            multiplied(order.order)
        assert count[MULTIPLICATIONS] == order.multiplications


LARGE = 100_000


def deep(x):
    for _ in range(6):
        x = cr.exp(-x) * 0.5
    return cr.sum(x)


def branching(x):
    a, b = cr.sin(x), cr.cos(x)
    return cr.sum((a * b + a) * x)


def wide(x):
    return cr.sum(cr.exp(cr.reshape(x, (500, 200)).mT @ np.ones((500, 400))))


@pytest.mark.parametrize("f", [deep, branching, wide])
@pytest.mark.parametrize("differentiated", [False, True])
def test_peak_memory(f, differentiated):
    """NumPy's allocations while a graph is evaluated, beside what the ledger says."""
    x = np.ones(LARGE)

    def pulled(x, u):
        value, pull = cr.vjp(f, x)
        return value, pull(u)

    way = cr.cost(f, x).way("reverse" if differentiated else "function")
    args = (x, np.ones(())) if differentiated else (x,)
    graph = cr.trace(pulled if differentiated else f, *args)
    held = sum(node.size * node.dtype.itemsize for node in graph.nodes if not node.inputs)
    tracemalloc.start()
    graph.evaluate(*args)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak == pytest.approx(way.peak_bytes - held, rel=0.02)
