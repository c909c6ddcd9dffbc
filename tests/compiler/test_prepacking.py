"""Operands that are packed when a program is made, or once in a call: faster, and the same bits."""

import dataclasses

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import prepacking, target
from compiler.test_compiled_graphs import sets

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="there is no native code for this machine")
machines = pytest.mark.parametrize("machine", [m for m in sets() if m.values[0] is not None])
dtypes = pytest.mark.parametrize("dtype", ["f4", "f8"])


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    """Programs with and without packing are programs of one graph."""
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


def made(*shapes, dtype="f4", seed=0):
    rng = np.random.default_rng(seed)
    return [(0.1 * rng.standard_normal(s)).astype(dtype) for s in shapes]


def unpacked(monkeypatch, graph, machine, threads=2):
    """The same program, whose kernels pack for themselves."""
    with monkeypatch.context() as patch:
        patch.setattr(prepacking, "lower", lambda heads, *_: [head.steps(None) for head in heads])
        return Executable(graph, machine, threads)


def same_bits(monkeypatch, graph, arrays, machine):
    """With packing and without, on any number of threads, call after call; gives the program that packs."""
    expected = [a.tobytes() for a in unpacked(monkeypatch, graph, machine)(arrays)]
    for threads in (1, 4):
        packed = Executable(graph, machine, threads)
        for _ in range(3):
            assert [a.tobytes() for a in packed(arrays)] == expected
    return packed


def notes(executable):
    return [line.note for line in executable.explain().lines if line.note]


def layers(w, v):
    return lambda x: cr.relu(cr.relu(x @ w) @ v)


def test_a_constant_matrix_that_is_kept_by_halves():
    """Such a product is two partial sums, of a B that is packed in two parts."""
    w, x = made((128, 512), (32, 128))
    f = cr.compile(lambda x: x @ w)
    np.testing.assert_allclose(f(x).array(), x @ w, rtol=1e-4, atol=1e-4)
    assert "packed when compiled" in f.explain().lines[-1].note


@machines
@dtypes
@pytest.mark.parametrize("rows", [1, 7, 40])
def test_constant_matrices_are_packed_when_compiled(monkeypatch, machine, dtype, rows):
    w, v, x = made((600, 300), (300, 512), (rows, 600), dtype=dtype)
    executable = same_bits(monkeypatch, cr.trace(layers(w, v), x), [x], machine)
    assert len(executable.lowered.steps) == 2
    assert notes(executable) == [
        f"{dtype_name(dtype)}[{s}] packed when compiled" for s in ("600, 300", "300, 512")
    ]
    assert "[float" in str(executable.explain())
    assert executable.explain().to_dict()["steps"][0]["note"].endswith("packed when compiled")


def dtype_name(dtype):
    return np.dtype(dtype).name


def test_transposed_constants_and_what_is_computed_from_constants():
    w, x = made((700, 600), (32, 600))
    v = cr.tensor(w, requires_grad=True)
    f = cr.compile(lambda x: x @ (2.0 * v).mT)
    for _ in range(2):
        np.testing.assert_allclose(f(x).array(), x @ (2 * w).T, rtol=1e-4, atol=1e-4)
    (line,) = f.explain().lines
    assert line.note == "float32[600, 700] packed when compiled"


def test_what_reads_no_panels_is_left_alone():
    """A column, and a few rows times a transposed matrix: sums run along what is adjacent already."""
    w, v, x = made((64, 1), (600, 600), (2, 64))
    v = cr.tensor(v, requires_grad=True)  # a trace keeps the transposition
    f = cr.compile(lambda x, y: (x @ w, y @ v.mT))
    f(x, made((2, 600))[0])
    assert [line.note for line in f.explain().lines] == ["", ""]


def test_a_constant_that_no_kernel_can_read_is_copied_when_compiled():
    w, k, x, images = made((64, 48), (40, 3, 3, 16), (8, 64), (2, 8, 8, 16))
    f = cr.compile(
        lambda x, images: (
            x @ cr.flip(cr.tensor(w), axis=0),
            cr.conv2d(
                images, cr.permute_dims(cr.tensor(np.tile(k, (1, 1, 1, 200))), (1, 2, 3, 0))[:, :, :16]
            ),
        )
    )
    y, z = f(x, images)
    np.testing.assert_allclose(y.array(), x @ w[::-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        z.array(),
        cr.conv2d(images, np.ascontiguousarray(k.transpose(1, 2, 3, 0))).array(),
        rtol=1e-3,
        atol=1e-5,
    )
    assert len(f.explain().lines) == 2


@machines
def test_weights_of_convolutions_and_their_gradients(monkeypatch, machine):
    first, point, last, x = made((3, 3, 3, 20), (1, 1, 20, 40), (3, 3, 40, 18), (2, 12, 12, 3))

    def loss(x):
        y = cr.relu(cr.conv2d(cr.relu(cr.conv2d(x, first, padding=1)), point))
        return (cr.conv2d(y, last, stride=2, padding=1) ** 2).sum()

    executable = same_bits(monkeypatch, cr.trace(cr.value_and_grad(loss), x), [x], machine)
    assert [n.split("] ")[1] for n in notes(executable)] == ["packed when compiled"] * 6
    assert all(line.nodes[0] != "input" for line in executable.explain().lines)


@pytest.mark.parametrize("tiles", [2, 4])
@machines
def test_weights_that_winograd_transforms(monkeypatch, machine, tiles):
    """Constants when compiled; others once for all convolutions that read them."""
    machine = dataclasses.replace(machine, winograd=tiles)
    w, x, small = made((3, 3, 32, 32), (4, 32, 32, 32), (4, 30, 32, 32))
    loss = lambda x: (cr.relu(cr.conv2d(x, w, padding=1)) ** 2).sum()
    executable = same_bits(monkeypatch, cr.trace(cr.value_and_grad(loss), x), [x], machine)
    assert notes(executable) == ["float32[3, 3, 32, 32] packed when compiled"] * 2
    assert "winograd" in executable.lowered.steps[0].kernel.name

    graph = cr.trace(lambda x, y, w: (cr.conv2d(x, w, padding=1), cr.conv2d(y, w)), x, small, w)
    executable = same_bits(monkeypatch, graph, [x, small, w], machine)
    assert notes(executable).count("packs float32[3, 3, 32, 32] for 2 readers") == 2  # packs, and transforms
    assert len(executable.lowered.steps) == 4


def recurrence(h, xs, w, v):
    for x in xs:
        h = cr.tanh(x @ w + h @ v)
    return (h * h).sum()


@machines
@dtypes
def test_an_unrolled_recurrence_packs_once(monkeypatch, machine, dtype):
    arrays = made((8, 70), (5, 8, 40), (40, 70), (70, 70), dtype=dtype)
    graph = cr.trace(cr.value_and_grad(recurrence, (2, 3)), *arrays)
    executable = same_bits(monkeypatch, graph, arrays, machine)
    packs = [n for n in notes(executable) if n.startswith("packs")]
    assert packs == [f"packs {dtype_name(dtype)}[70, 70] for 4 readers"]
    assert notes(executable).count(f"{dtype_name(dtype)}[70, 70] packed before") == 4
    other = made((8, 70), (5, 8, 40), (40, 70), (70, 70), dtype=dtype, seed=1)
    expected = unpacked(monkeypatch, graph, machine)(other)
    for a, b in zip(executable(other), expected, strict=True):  # other numbers, packed anew
        assert a.tobytes() == b.tobytes()


def test_one_reader_packs_for_itself():
    w, x = made((70, 90), (20, 90))
    f = cr.compile(lambda x, w: x @ w.mT)
    f(x, w)
    assert [line.note for line in f.explain().lines] == [""]


@machines
def test_products_of_a_batch_share_what_they_read(monkeypatch, machine):
    x, w, b = made((6, 20, 50), (40, 50), (20, 40))
    executable = same_bits(
        monkeypatch, cr.trace(lambda x, w, b: cr.relu(x @ w.mT + b), x, w, b), [x, w, b], machine
    )
    assert notes(executable)[0] == "packs float32[50, 40] for a batch"


def test_shared_weights_of_convolutions(monkeypatch):
    def pyramid(x, y, w):
        return cr.conv2d(x, w, padding=1), cr.conv2d(y, w, padding=1), cr.conv2d(cr.relu(x), w, padding=1)

    arrays = made((2, 16, 16, 12), (2, 8, 16, 12), (3, 3, 12, 24))
    executable = same_bits(monkeypatch, cr.trace(pyramid, *arrays), arrays, HOST)
    assert sum(n.startswith("packs") for n in notes(executable)) == 1


def test_weights_that_are_overwritten_after_they_were_packed():
    """A step of gradient descent through products that share packed weights, in the memory of the old ones."""
    arrays = made((8, 70), (5, 8, 40), (40, 70), (70, 70))

    def step(h, xs, w, v):
        _, (dw, dv) = cr.value_and_grad(recurrence, (2, 3))(h, xs, w, v)
        return w - 0.1 * dw, v - 0.1 * dv

    executable = Executable(cr.trace(step, *arrays), HOST, 2, {0: 2, 1: 3})
    plain = [a.copy() for a in arrays]
    mine = [a.copy() for a in arrays]
    for _ in range(4):
        executable(mine)
        plain[2:] = [np.asarray(a.array()) for a in step(*plain)]
    assert any(n.startswith("packs") for n in notes(executable))
    np.testing.assert_allclose(mine[2], plain[2], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(mine[3], plain[3], rtol=1e-3, atol=1e-6)
