"""What only a product reads is computed where the product copies it: one step less, and the same bits."""

import dataclasses

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import lowering, target
from chainrule.compiler.on_native.matmul import panelled
from compiler.test_compiled_graphs import sets

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="there is no native code for this machine")
machines = pytest.mark.parametrize("machine", [m for m in sets() if m.values[0] is not None])
dtypes = pytest.mark.parametrize("dtype", ["f4", "f8"])


@pytest.fixture(autouse=True)
def _every_size(monkeypatch):
    """Small rows too; and no programs from disk, since those with and without prologues are of one graph."""
    monkeypatch.setattr(panelled, "STAGED", 1)
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


def made(*shapes, dtype="f4"):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(dtype) for s in shapes]


def compiled(monkeypatch, f, arrays, machine=HOST):
    """The program, once it has given the bits that loops of their own would, on any number of threads."""
    graph = cr.trace(f, *arrays)
    with monkeypatch.context() as patch:
        patch.setattr(lowering, "absorb", lambda *_: None)
        expected = [a.tobytes() for a in Executable(graph, machine, 2)(arrays)]
    for threads in (1, 4):
        executable = Executable(graph, machine, threads)
        for _ in range(2):
            assert [a.tobytes() for a in executable(arrays)] == expected
    return executable


def lines(executable):
    return [(" ".join(line.nodes), line.note) for line in executable.explain().lines]


@machines
@dtypes
@pytest.mark.parametrize("depth", [3, 45])
def test_rows_that_are_standardised(monkeypatch, machine, dtype, depth):
    arrays = made((150, depth), (depth,), (depth,), (depth, 5), (150, 1), dtype=dtype)
    executable = compiled(
        monkeypatch, lambda x, m, s, w, r: cr.relu(((x - m) / s + r) @ w + 1.0), arrays, machine
    )
    assert lines(executable) == [
        ("subtract divide add matmul add relu", "subtract divide add: into the product, as it is staged")
    ]


@machines
@dtypes
@pytest.mark.parametrize("shape", [(3, 5), (70, 33)])
@pytest.mark.parametrize("turned", [False, True])
def test_matrices_that_are_computed(monkeypatch, machine, dtype, shape, turned):
    k, n = shape
    arrays = made((90, k), (n, k) if turned else shape, (shape[0],) if turned else (n,), dtype=dtype)
    arrays[2] = made((k,) if turned else (n,), dtype=dtype)[0]

    def f(x, w, c):
        computed = cr.tanh(w) * c
        return x @ (computed.mT if turned else computed)

    packing, product = lines(compiled(monkeypatch, f, arrays, machine))
    spec = f"{np.dtype(dtype).name}[{k}, {n}]"
    assert packing == ("tanh multiply", f"into a product, as {spec} is packed")
    assert product == ("matmul", f"{spec} packed before")


@pytest.mark.parametrize("turned", [False, True])
def test_stacks_of_matrices(monkeypatch, turned):
    q, k, c = made((2, 3, 20, 24), (2, 3, 36, 24) if turned else (2, 3, 24, 36), (1,))
    f = lambda q, k, c: cr.relu((q * c) @ ((k + c).mT if turned else k + c) + c)
    executable = compiled(monkeypatch, f, [q, k, c])
    assert [name for name, _ in lines(executable)] == ["add", "multiply matmul add relu"]


def test_rows_of_what_is_flattened(monkeypatch):
    x, w = made((50, 3, 4, 5), (60, 7))
    executable = compiled(monkeypatch, lambda x, w: cr.reshape(cr.exp(-x), (50, 60)) @ w, [x, w])
    assert [name for name, _ in lines(executable)] == ["negative exp matmul"]
    c = made((5,))[0]  # is not read along 60 columns in one stride
    executable = compiled(monkeypatch, lambda x, w, c: cr.reshape(x * c, (50, 60)) @ w, [x, w, c])
    assert [name for name, _ in lines(executable)] == ["multiply", "matmul"]


def test_gradients_of_convolutions_of_one_pixel(monkeypatch):
    """They are products: of the gradient upstream, and of a kernel."""
    x, g, w = made((2, 5, 6, 8), (2, 5, 6, 20), (1, 1, 8, 20))
    gradient = cr.grad(lambda x, g, w: cr.sum(cr.conv2d(x, cr.tanh(w)) * cr.exp(g)))
    executable = compiled(monkeypatch, gradient, [x, g, w])
    assert [name for name, _ in lines(executable)] == ["tanh", "exp conv2d_input_grad"]


@machines
@pytest.mark.parametrize("tiles", [2, 4])
@pytest.mark.parametrize(("channels", "padding"), [(32, 0), (45, 1)])
def test_images_on_the_way_into_winograds_filter(monkeypatch, machine, tiles, channels, padding):
    machine = dataclasses.replace(machine, winograd=tiles)
    x, s, r, w = made((3, 30, 33, channels), (channels,), (3, 1, 1, 1), (3, 3, channels, 32))
    f = lambda x, s, r, w: cr.relu(cr.conv2d(cr.relu(x * s + 0.5) / r, w, padding=padding))
    executable = compiled(monkeypatch, f, [x, s, r, w], machine)
    what = "multiply add relu divide"
    assert lines(executable)[-1] == (f"{what} conv2d relu", f"{what}: into the convolution, as it is staged")
    assert all("winograd" in s.kernel.name or "transform" in s.kernel.name for s in executable.lowered.steps)


def test_the_gradient_upstream_of_a_convolution(monkeypatch):
    x, g, w = made((4, 32, 32, 32), (4, 32, 32, 48), (3, 3, 32, 48))
    gradient = cr.grad(lambda x, g, w: cr.sum(cr.conv2d(x, w, padding=1) * cr.tanh(g)))
    assert lines(compiled(monkeypatch, gradient, [x, g, w]))[-1][0] == "tanh conv2d_input_grad"


def test_other_convolutions_read_what_is_stored(monkeypatch):
    x, w = made((2, 9, 9, 8), (3, 3, 8, 16))
    executable = compiled(monkeypatch, lambda x, w: cr.conv2d(cr.exp(x), w, stride=2), [x, w])
    assert lines(executable)[0] == ("exp", "")


def test_many_columns_are_left_to_a_loop(monkeypatch):
    """Several tasks would compute the same rows."""
    executable = compiled(monkeypatch, lambda x, w: cr.exp(x) @ w, made((64, 200), (200, 1000)))
    assert [name for name, _ in lines(executable)] == ["exp", "matmul"]


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: (cr.exp(x) @ w, cr.exp(x)),
        lambda x, w: (cr.exp(x) @ w, cr.sum(cr.exp(x), axis=0)),
        lambda x, w: (cr.exp(x) @ w, cr.exp(x)[:10] @ w),
        lambda x, w: cr.cumulative_sum(cr.exp(x), axis=0) @ w,
    ],
)
def test_what_others_read_is_stored(monkeypatch, f):
    executable = compiled(monkeypatch, f, made((40, 20), (20, 5)))
    assert all("into" not in note for _, note in lines(executable))


def test_two_products_compute_what_is_cheap(monkeypatch):
    x, w = made((30, 40), (40, 40))
    twice = lambda f: lambda x, w: (x @ f(w)) @ f(w).mT
    assert [name for name, _ in lines(compiled(monkeypatch, twice(lambda w: w * 2.0), [x, w]))] == [
        "multiply",
        "matmul",
        "multiply",
        "matmul",
    ]
    found = [name for name, _ in lines(compiled(monkeypatch, twice(cr.exp), [x, w]))]
    assert found.count("exp") == 1


def test_one_packing_for_products_that_read_it_alike(monkeypatch):
    x, y, w = made((30, 40), (20, 40), (40, 50))
    executable = compiled(monkeypatch, lambda x, y, w: (x @ (w * w), y @ (w * w)), [x, y, w])
    assert lines(executable)[0] == ("multiply", "into 2 products, as float32[40, 50] is packed")
    assert len(lines(executable)) == 3


def test_parameters_are_not_overwritten_before_they_are_read():
    """The prologue reads old parameters when the product runs, not where its loop would have stood."""
    x, w, c = made((30, 40), (40, 50), (30, 50))

    def step(x, w, c):
        _, gradient = cr.value_and_grad(lambda w: cr.sum((x @ (w * 0.5) - c) ** 2))(w)
        return w - 0.001 * gradient

    executable = Executable(cr.trace(step, x, w, c), HOST, 2, {0: 1})
    mine, theirs = w.copy(), w.astype("f8")
    for _ in range(5):
        executable([x, mine, c])
        theirs = theirs - 0.001 * (x.T @ (2 * (x @ (theirs * 0.5) - c))) * 0.5
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)
    assert any("into" in note for _, note in lines(executable))


def test_nan_and_infinities_flow_through(monkeypatch):
    x, w = made((20, 18), (18, 5))
    x[3, 4], x[5, 17], x[7, 0] = np.nan, np.inf, -np.inf
    compiled(monkeypatch, lambda x, w: (x / 0.0) @ w, [x, w])
    compiled(monkeypatch, lambda x, w: w.mT @ cr.log(x.mT), [x, w])
