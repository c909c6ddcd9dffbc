"""Gradients of max pools that are masked and summed before they are spread over the image."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import target
from chainrule.compiler.passes import run as simplified
from chainrule.compiler.passes.expand import expand
from chainrule.compiler.passes.pools import pools
from compiler.same_bits import bits, operations
from compiler.test_compiled_graphs import close, run, sets

POOLS = [
    {"size": 2},
    {"size": 3, "stride": 2},
    {"size": 3, "stride": 1, "padding": 1},
]


def images(kind):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, 8, 8, 5)).astype(np.float32)
    if kind == "ties":
        return np.round(x)
    if kind == "special":
        x[0, 2, 3] = np.nan
        x[1, 4, 4] = np.inf
        x[2] = -np.abs(x[2])
    return x


def gradients(activation, **pool):
    def f(z, b):
        weights = np.linspace(-1, 2, 3 * 8 * 8 * 5, dtype=np.float32)
        y = cr.max_pool2d(activation(z + b), **pool)
        return (y * y * weights[: y.size].reshape(y.shape)).sum()

    return cr.grad(f, (0, 1))


@pytest.mark.parametrize("kind", ["plain", "ties", "special"])
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("machine", sets())
def test_gradients_through_relu_and_pool(machine, pool, kind):
    z, b = images(kind), np.linspace(-0.5, 0.5, 5, dtype=np.float32)
    graph = cr.trace(gradients(cr.relu, **pool), z, b)
    close(run(graph, [z, b], machine), graph.evaluate(z, b), graph, [z, b])


@pytest.mark.parametrize("kind", ["plain", "ties", "special"])
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize(
    "mask",
    [
        lambda x, g: cr.where(x <= 0, 0.0, g),
        lambda x, g: cr.where(x > 0.25, g, 0.0),
        lambda x, g: cr.where(x != 1, g, 0.0),
        lambda x, g: cr.where(x > -1, g, 0.0),
    ],
)
def test_masks_move_to_the_bit(mask, pool, kind):
    def f(x):
        slope = cr.grad(lambda x: (cr.max_pool2d(x, **pool) * 3).sum())(x)
        return cr.max_pool2d(x, **pool), mask(x, slope)

    x = images(kind)
    graph, _ = simplified(cr.trace(f, x))
    moved = pools(graph)
    assert operations(moved).endswith("max_pool2d_grad") and operations(graph).endswith("where")
    for a, b in zip(moved.evaluate(x), graph.evaluate(x), strict=True):
        assert bits(a) == bits(b)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, g: cr.where(x <= 0, 1.0, g),
        lambda x, g: cr.where(x <= 0, -0.0, g),
        lambda x, g: cr.where(x * 2 <= 0, 0.0, g),
        lambda x, g: cr.where(x <= np.arange(5, dtype=np.float32), 0.0, g),
        lambda x, g: cr.where(x <= 0, g, g * 0.5),
        lambda x, g: g.sum(1),
        lambda x, g: g.sum((0, 1)),
        lambda x, g: g.sum(3),
    ],
)
def test_what_is_left_alone(f):
    def whole(x):
        slope = cr.grad(lambda x: (cr.max_pool2d(x, size=2) * 3).sum())(x)
        return cr.max_pool2d(x, size=2), f(x, slope)

    graph, _ = simplified(cr.trace(whole, images("plain")))
    assert pools(graph) is graph


@pytest.mark.skipif(target.host() is None, reason="this machine has no native code")
def test_nothing_of_the_images_size_is_read_for_mask_and_bias():
    z, b = images("plain"), np.zeros(5, np.float32)
    graph, _ = expand(simplified(cr.trace(gradients(cr.relu, size=2), z, b))[0])
    large = [
        n.op.name
        for n in graph.nodes
        if n.op and n.op.name in ("where", "sum") and n.inputs[0].size == z.size
    ]
    assert not large
