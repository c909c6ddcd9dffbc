"""NaN, infinities and numbers that overflow in convolutions: they go where they go in NumPy, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from compiler.same_bits import bits
from compiler.test_compiled_graphs import sets

SHAPES = {
    "even tiles": ((4, 16, 16, 16), 24, 1),
    "ragged tiles": ((6, 14, 13, 35), 33, 1),
    "no padding": ((2, 30, 31, 16), 16, 0),
    "uneven padding": ((10, 9, 12, 16), 20, ((2, 0), (1, 3))),
    "few channels": ((4, 12, 12, 3), 32, 1),
    "many images": ((40, 6, 6, 16), 16, 1),
}
BAD = (np.nan, np.inf, -np.inf, 1e38)


def kinds(a):
    return np.where(np.isnan(a), 2, np.where(np.isinf(a), np.sign(a), 0))


def agree(found, expected):
    for y, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(kinds(y), kinds(e))
        finite = np.isfinite(e)
        y, e = (np.where(finite, z, 0).astype(np.float64) for z in (y, e))
        assert np.abs(y - e).max() <= 2e-5 * np.abs(e).max()


def three(padding):
    def f(x, w, g):
        y, back = cr.vjp(lambda x, w: cr.conv2d(x, w, padding=padding), x, w)
        return y, *back(g)

    return f


def places(shape):
    """The first element, one in the middle, and the last."""
    return [tuple(i * (n - 1) // 2 for n in shape) for i in range(3)]


def filters():
    """The machines, each with every choice of transforms; NumPy has none."""
    made = [(p.values[0], p.id) for p in sets()]
    return [
        pytest.param(replace(machine, winograd=n) if machine else None, id=f"{name}-{n}")
        for machine, name in made
        for n in ((0, 2, 4) if machine else (0,))
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("machine", filters())
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_all_three_directions(machine, shape, rng):
    images, outputs, padding = SHAPES[shape]
    x, w = (rng.normal(size=s).astype(np.float32) for s in (images, (3, 3, images[-1], outputs)))
    f = three(padding)
    g = rng.normal(size=cr.conv2d(x, w, padding=padding).shape).astype(np.float32)
    graph = cr.trace(f, x, w, g)
    compiled = Executable(graph, machine, 2)
    for which in range(3):
        for n, bad in enumerate(BAD):
            arrays = [x.copy(), w.copy(), g.copy()]
            arrays[which][places(arrays[which].shape)[n % 3]] = bad
            agree(compiled(arrays), graph.evaluate(*arrays))


@pytest.mark.parametrize("bad", BAD[:2])
@pytest.mark.parametrize("machine", sets())
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_with_all_that_joins_a_convolution(machine, bad, rng):
    """Pixels computed as they are read, an end with sums, a pool, its gradient spread, whatever the threads."""

    def loss(x, w, v, b, scale):
        y = cr.max_pool2d(cr.relu(cr.conv2d(x, w, padding=1) + b), 2)
        z = cr.conv2d(cr.relu(y * 2 - b), v, padding=1)
        centred = z - z.mean((0, 1, 2))
        return (cr.tanh(centred) * scale).sum() + (z * scale).sum()

    shapes = (12, 16, 16, 3), (3, 3, 3, 32), (3, 3, 32, 32), (32,), (12, 8, 8, 32)
    plain = [rng.normal(size=s).astype(np.float32) for s in shapes]
    graph = cr.trace(cr.value_and_grad(loss, (0, 1, 2, 3)), *plain)
    compiled = [Executable(graph, machine, threads) for threads in (1, 2, 4)]
    for which, array in enumerate(plain):
        for place in places(array.shape):
            arrays = [a.copy() for a in plain]
            arrays[which][place] = bad
            found = [c(arrays) for c in compiled]
            assert [bits(a) for a in found[0]] == [bits(a) for a in found[1]] == [bits(a) for a in found[2]]
            agree(found[0], graph.evaluate(*arrays))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_padding_takes_no_part(groups, rng):
    """Eager, compiled and by hand: an infinite weight or gradient meets no zeros outside the image."""
    x, w = rng.normal(size=(2, 5, 6, 4)), rng.normal(size=(3, 2, 4 // groups, 4))
    options = {"padding": ((1, 2), (1, 0)), "stride": (1, 2), "groups": groups}

    def f(x, w, g):
        y, back = cr.vjp(lambda x, w: cr.conv2d(x, w, **options), x, w)
        return y, *back(g)

    g = rng.normal(size=cr.conv2d(x, w, **options).shape)
    ones = f(*(np.ones_like(z) for z in (x, w, g)))
    for which, place in ((1, (0, 0, 0, 1)), (2, (1, 0, 0, 2))):
        arrays = [x, w, g]
        arrays[which] = arrays[which].copy()
        arrays[which][place] = np.inf
        eager = [np.asarray(z) for z in f(*arrays)]
        agree([np.asarray(z) for z in cr.compile(f)(*arrays)], eager)
        counted = [np.ones_like(z) for z in (x, w, g)]
        counted[which][place] = 0  # fewer terms exactly where it takes part
        fewer = f(*counted)
        for made, one, less in zip(eager, ones, fewer, strict=True):
            np.testing.assert_array_equal(np.isfinite(made), np.asarray(one) == np.asarray(less))
