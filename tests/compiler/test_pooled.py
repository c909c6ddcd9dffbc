"""Pools at the end of convolutions, and their gradients in the sums for a kernel: nothing in between is stored."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import lowering, target
from chainrule.compiler.passes import expand as expanding
from chainrule.compiler.passes import run as simplified
from chainrule.compiler.passes.ties import ties
from compiler.same_bits import bits, operations
from compiler.test_compiled_graphs import close, sets

HOST = target.host()
native = pytest.mark.skipif(HOST is None, reason="there is no native code for this machine")
SHAPES = {
    "few channels": ((3, 8, 8, 3), (3, 3, 3, 32), 2),
    "winograd": ((50, 8, 8, 16), (3, 3, 16, 32), 2),
    "ragged tiles": ((50, 6, 10, 16), (3, 3, 16, 20), 2),
    "wide windows": ((2, 6, 12, 4), (3, 3, 4, 8), (2, 3)),
    "eight places": ((2, 8, 12, 5), (5, 5, 5, 12), (2, 4)),
    "nine places": ((2, 9, 9, 5), (3, 3, 5, 12), 3),
    "one row": ((40, 12, 12, 16), (3, 3, 16, 16), (1, 2)),
    "one pixel": ((1, 2, 2, 3), (1, 1, 3, 4), 2),
    "rows are left": ((3, 9, 8, 3), (3, 3, 3, 8), 2),
    "three channels": ((3, 8, 8, 4), (3, 3, 4, 3), 2),
    "small images": ((20, 4, 4, 3), (3, 3, 3, 8), 2),
}


def loss_of(pool, activation=cr.relu, **more):
    def loss(x, w, b):
        y = cr.max_pool2d(activation(cr.conv2d(x, w, padding=1) + b), pool, **more)
        return (y * y * np.linspace(-1, 2, y.size, dtype=y.dtype).reshape(y.shape)).sum()

    return loss


def drawn(images, kernel, dtype=np.float32):
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=s).astype(dtype) for s in (images, kernel, kernel[-1:]))
    x[0, :2] = 0.0  # where everything ties
    return [x, w, b]


def ends_with_pool(lines):
    return [line for line in lines if "max_pool2d" in line.nodes and "conv2d" in line.nodes]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("machine", sets())
def test_values_and_gradients(machine, shape, dtype):
    images, kernel, pool = SHAPES[shape]
    arrays = drawn(images, kernel, dtype)
    graph = cr.trace(cr.value_and_grad(loss_of(pool), (0, 1, 2)), *arrays)
    found = Executable(graph, machine, 2)(arrays)
    assert [bits(a) for a in Executable(graph, machine, 1)(arrays)] == [bits(a) for a in found]
    close(found, graph.evaluate(*arrays), graph, arrays)


@native
@pytest.mark.parametrize("activation", [cr.relu, lambda x: x])
@pytest.mark.parametrize("shape", ["few channels", "winograd", "wide windows"])
def test_the_bits_are_those_of_separate_steps(shape, activation, monkeypatch):
    images, kernel, pool = SHAPES[shape]
    arrays = drawn(images, kernel)
    graph = cr.trace(cr.value_and_grad(loss_of(pool, activation), (0, 1, 2)), *arrays)
    together = Executable(graph, HOST, 2)
    assert len(ends_with_pool(together.explain().lines)) == 1
    monkeypatch.setattr(lowering, "join_pools", lambda *_: None)
    separate = Executable(graph, HOST, 2)
    assert not ends_with_pool(separate.explain().lines)
    monkeypatch.setattr(expanding, "ties", lambda graph: graph)
    from_images = Executable(graph, HOST, 2)
    assert "max_pool2d_grad" in str(from_images.explain())
    found = [bits(a) for a in together(arrays)]
    assert found == [bits(a) for a in separate(arrays)]
    if shape != "few channels":  # there the rows that are summed at a time differ
        assert found == [bits(a) for a in from_images(arrays)]


@native
def test_nothing_in_between_is_stored():
    arrays = drawn((64, 32, 32, 3), (3, 3, 3, 32))
    report = Executable(cr.trace(cr.grad(loss_of(2), (1, 2)), *arrays), HOST, 2).explain()
    lines = report.lines
    (line,) = ends_with_pool(lines)
    assert "conv2d add relu max_pool2d max_pool2d_ties" in " ".join(line.nodes)
    assert line.results == ("float32[64, 16, 16, 32]", "int32[64, 16, 16, 8]")
    (sums,) = [at for at in lines if "max_pool2d_spread" in at.nodes]
    assert "conv2d_weight_grad" in sums.nodes and "row by row" in sums.note
    assert report.arena_bytes < 7 << 20  # the convolution's result alone has 8 MiB


@native
@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: (y := cr.relu(cr.conv2d(x, w)), cr.max_pool2d(y, 2)),
        lambda x, w: (y := cr.relu(cr.conv2d(x, w)), cr.max_pool2d(y, 2), y.sum())[1:],
        lambda x, w: cr.max_pool2d(cr.relu(y := cr.conv2d(x, w)), 2) + cr.max_pool2d(cr.tanh(y), 2),
        lambda x, w: (cr.max_pool2d(y := cr.conv2d(x, w), 2), cr.max_pool2d(y, 3)),
        cr.grad(lambda x, w: cr.max_pool2d(cr.tanh(cr.conv2d(x, w)), 2).sum(), (0, 1)),
        lambda x, w: cr.max_pool2d(cr.relu(cr.conv2d(x, w)), 2, stride=1),
        lambda x, w: cr.max_pool2d(cr.relu(cr.conv2d(x, w)), 2, padding=1),
        lambda x, w: cr.max_pool2d(cr.transpose(cr.relu(cr.conv2d(x, w)), (0, 2, 1, 3)), 2),
    ],
)
def test_what_others_read_or_windows_share_is_stored(f):
    arrays = drawn((4, 8, 8, 3), (3, 3, 3, 8))[:2]
    graph = cr.trace(f, *arrays)
    executable = Executable(graph, HOST, 2)
    close(executable(arrays), graph.evaluate(*arrays), graph, arrays)
    assert not ends_with_pool(executable.explain().lines)


@pytest.mark.parametrize("machine", sets())
def test_what_is_no_number_flows_as_in_numpy(machine):
    arrays = drawn((3, 8, 8, 4), (1, 1, 4, 8))
    x = arrays[0]
    x[0, 3, 3], x[1, 4, 5], x[2, 0, 0], x[2, 5, 5] = np.nan, np.inf, -np.inf, -0.0
    graph = cr.trace(cr.value_and_grad(loss_of(2, lambda x: x), (0, 1, 2)), *arrays)
    close(Executable(graph, machine, 2)(arrays), graph.evaluate(*arrays), graph, arrays)


@pytest.mark.parametrize(
    "pool", [{"size": 2}, {"size": (2, 4), "stride": 1}, {"size": (1, 3), "stride": (2, 1)}], ids=str
)
def test_ties_give_the_same_bits(pool):
    def f(x):
        y, back = cr.vjp(lambda x: cr.max_pool2d(x, **pool), x)
        return y, back(y * y)

    x = np.round(np.random.default_rng(0).normal(size=(2, 6, 8, 4))).astype(np.float32)
    x[0, 2, 3], x[1, :2] = np.nan, -0.0
    graph, _ = simplified(cr.trace(f, x))
    kept = ties(graph)
    assert "max_pool2d_grad" in operations(graph) and "max_pool2d_grad" not in operations(kept)
    for a, b in zip(kept.evaluate(x), graph.evaluate(x), strict=True):
        assert bits(a) == bits(b)


@pytest.mark.parametrize(
    ("shape", "pool"),
    [
        ((2, 6, 6, 4), {"size": 3}),
        ((2, 6, 6, 4), {"size": 2, "padding": 1}),
        ((2, 6, 6, 3), {"size": 2}),
    ],
)
def test_what_does_not_fit_bytes_reads_the_image(shape, pool):
    def f(x):
        y, back = cr.vjp(lambda x: cr.max_pool2d(x, **pool), x)
        return y, back(y)

    graph, _ = simplified(cr.trace(f, np.ones(shape, np.float32)))
    assert ties(graph) is graph
