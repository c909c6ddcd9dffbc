"""Loops that run within a convolution's tasks, image by image: fewer passes over memory, and the same bits."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import lowering, target
from chainrule.node import apply
from chainrule.ops import arithmetic
from chainrule.ops.conv import Conv2dInputGrad
from compiler.test_prologues import machines, made

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="there is no native code for this machine")


@pytest.fixture(autouse=True)
def _nothing_from_disk(monkeypatch):
    """Programs with and without joined tasks are of one graph."""
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


def compiled(monkeypatch, f, arrays, machine=HOST):
    """The program: it gives what separate loops do, and the same bits on any number of threads."""
    graph = cr.trace(f, *arrays)
    with monkeypatch.context() as patch:
        patch.setattr(lowering, "join_tasks", lambda *_: None)
        separate = Executable(graph, machine, 2)(arrays)
    seen = set()
    for threads in (1, 2, 4):
        executable = Executable(graph, machine, threads)
        for _ in range(2):
            found = executable(arrays)
            seen.add(b"".join(a.tobytes() for a in found))
            for a, b in zip(found, separate, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=3e-6 * np.abs(b).max(initial=0))
    assert len(seen) == 1
    return executable


def notes(executable):
    return [line.note for line in executable.explain().lines]


def joined(executable):
    """How many loops run before the tasks of a convolution, and how many behind them."""
    said = "; ".join(notes(executable))
    behind = said.count("behind each task") + said.count("as results are stored")
    return said.count("before each task"), behind


def normalise(y, scale, shift):
    pixels = (0, 1, 2)
    spread = cr.sqrt(cr.var(y, axis=pixels, keepdims=True) + 1e-5)
    return (y - cr.mean(y, axis=pixels, keepdims=True)) / spread * scale + shift


def block(x, w, v, scale, shift):
    y = cr.relu(normalise(cr.conv2d(x, w, padding=1), scale, shift))
    return cr.relu(normalise(cr.conv2d(y, v, padding=1), scale, shift) + x)


@machines
@pytest.mark.parametrize("channels", [16, 32, 24])
def test_a_block_of_convolutions_with_batch_norm(monkeypatch, machine, channels):
    """Direct sums, Winograd's filtering, and channels that fill no vector; statistics, inputs, gradients."""
    x, w, v, scale, shift = made(
        (64, 16, 16, channels),
        (3, 3, channels, channels),
        (3, 3, channels, channels),
        (channels,),
        (channels,),
    )
    gradients = cr.value_and_grad(lambda *a: cr.sum(block(*a) ** 2), argnums=(0, 1, 2, 3, 4))
    before, behind = joined(compiled(monkeypatch, gradients, [x, w, v, scale, shift], machine))
    assert before >= 2
    assert behind >= 3


def test_images_of_another_size_and_number(monkeypatch):
    """Blocks of several small images, the last of which is not full; rows that are no power of two."""
    for images, size, channels in ((50, 15, 32), (33, 25, 16), (17, 29, 32), (130, 9, 48)):
        x, w, scale = made((images, size, size, channels), (3, 3, channels, channels), (channels,))
        f = lambda x, w, s: normalise(cr.conv2d(cr.tanh(normalise(cr.conv2d(x, w), s, s)), w), s, s)
        assert sum(joined(compiled(monkeypatch, f, [x, w, scale]))) >= 1


def test_a_loop_runs_ahead_of_its_first_reader_alone(monkeypatch):
    x, w, s = made((64, 16, 16, 16), (3, 3, 16, 16), (16,))

    def f(x, w, s):
        y = cr.tanh(x * s)
        return cr.conv2d(y, w, padding=1) + y, cr.conv2d(y, w)

    assert joined(compiled(monkeypatch, f, [x, w, s])) == (1, 0)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w, s: cr.conv2d(cr.flip(cr.tanh(x), axis=0), w, padding=1),
        lambda x, w, s: cr.conv2d(cr.tanh(x)[1:], w, padding=1),
        lambda x, w, s: cr.conv2d(cr.flip(cr.tanh(x), axis=1), w, padding=1),
        lambda x, w, s: cr.conv2d(x, w + cr.sum(cr.tanh(x)) * 0.01, padding=1),
        lambda x, w, s: (lambda y: (cr.conv2d(y, w, padding=1), y))(cr.tanh(x)),
        lambda x, w, s: (lambda y: cr.conv2d(y, w + cr.max(y), padding=1))(cr.tanh(x)),
        lambda x, w, s: cr.max(cr.conv2d(x, w, padding=1), axis=(0, 1, 2)),
        lambda x, w, s: cr.sum(cr.flip(cr.conv2d(x, w, padding=1), axis=0) * x, axis=(1, 2)),
        lambda x, w, s: cr.sum(cr.conv2d(x, w, padding=1)[1:] * x[1:], axis=(1, 2)),
    ],
    ids=[
        "reversed",
        "shifted",
        "mirrored",
        "weights",
        "result",
        "waits",
        "all-images",
        "other-image",
        "other-part",
    ],
)
def test_what_needs_other_images_or_is_wanted_itself_stays_a_loop(monkeypatch, f):
    assert joined(compiled(monkeypatch, f, made((64, 16, 16, 16), (3, 3, 16, 16), (16,)))) == (0, 0)


def scaled_sums(z, x, scale, spread):
    """What the gradient of a normalisation sums, with factors that all terms share."""
    pixels = (0, 1, 2)
    deviations = (x - 0.5) / spread
    upstream = arithmetic.scale(z, scale)
    return (
        cr.sum(z, axis=pixels),
        cr.sum(arithmetic.scale(z, deviations), axis=pixels),
        cr.sum(arithmetic.scale(upstream, -(deviations / spread)), axis=pixels),
        cr.sum(-arithmetic.scale(upstream, 1 / spread), axis=pixels),
    )


@machines
@pytest.mark.parametrize("channels", [16, 32, 12])
@pytest.mark.parametrize("stride", [1, 2])
def test_sums_as_results_are_stored(monkeypatch, machine, channels, stride):
    """Factors are taken out of the sums where they are harmless; the results are those of a loop."""

    def f(g, w, mask, x, scale, spread):
        image = apply(Conv2dInputGrad, (g, w), parameters)
        return image, *scaled_sums(cr.where(mask <= 0, 0.0, image), x, scale, spread)

    parameters = {
        "size": (22, 22),
        "stride": (stride, stride),
        "padding": ((1, 1), (1, 1)),
        "dilation": (1, 1),
        "groups": 1,
    }
    windows = (40, 22 // stride, 22 // stride, 24)
    images = (40, 22, 22, channels)
    shapes = (windows, (3, 3, channels, 24), images, images, (channels,), (channels,))
    arrays = made(*shapes)
    arrays[5] = np.abs(arrays[5]) + 0.5
    executable = compiled(monkeypatch, f, arrays, machine)
    assert joined(executable) == (0, 1)
    assert any("_or_loop" in step.kernel.name for step in executable.lowered.steps)


@pytest.mark.parametrize("value", [0.0, np.inf, np.nan, 1e-30, 1e30])
@pytest.mark.parametrize("which", [4, 5])
def test_factors_that_are_not_harmless_stay_in_their_terms(value, which):
    """Infinite times zero, strong zeros and products out of range are where NumPy has them."""

    def f(a, w, mask, x, scale, spread):
        return scaled_sums(cr.where(mask <= 0, 0.0, cr.conv2d(a, w)), x, scale, spread)

    arrays = made((16, 34, 34, 16), (1, 1, 16, 16), *((16, 34, 34, 16),) * 2, (16,), (16,))
    arrays[2][..., 3] = -1.0  # nothing comes through
    arrays[5] = np.abs(arrays[5]) + 0.5
    arrays[which][[3, 5]] = value
    graph = cr.trace(f, *arrays)
    executable = Executable(graph, HOST, 2)
    assert joined(executable) == (0, 1)
    with np.errstate(all="ignore"):
        expected = Executable(graph, None, 1)(arrays)
    for a, b in zip(executable(arrays), expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        sane = np.isfinite(b)
        np.testing.assert_allclose(a[sane], b[sane], rtol=2e-3, atol=1e-4 * np.abs(b[sane]).max())


def test_sums_in_another_dtype_and_sums_of_the_results_alone(monkeypatch):
    def f(x, w, s):
        y = cr.conv2d(x, w, padding=1)
        exact = cr.astype(y, cr.float64)
        pixels = (0, 1, 2)
        factor = cr.astype(s, cr.float64)
        return y, cr.sum(exact * factor, axis=pixels), cr.sum(y, axis=pixels), cr.sum(-y * s, axis=pixels)

    for channels in (16, 32):
        arrays = made((32, 18, 18, channels), (3, 3, channels, channels), (channels,))
        assert joined(compiled(monkeypatch, f, arrays)) == (0, 1)


def test_a_program_of_numpy_has_no_tasks():
    x, w, s = made((16, 16, 16, 16), (3, 3, 16, 16), (16,))
    graph = cr.trace(lambda x, w, s: normalise(cr.conv2d(cr.tanh(x * s), w), s, s), x, w, s)
    (found,) = Executable(graph, None, 2)([x, w, s])
    (native,) = Executable(graph, HOST, 2)([x, w, s])
    np.testing.assert_allclose(native, found, rtol=1e-4, atol=1e-4)


def test_what_is_stored_and_summed_keeps_the_signs_of_its_zeros():
    """Sums see no signs of zeros; who reads the stored product does."""
    x, w, s = np.ones((16, 34, 34, 16), "f4"), np.zeros((1, 1, 16, 16), "f4"), -np.ones(16, "f4")

    def f(x, w, s):
        y = arithmetic.scale(cr.conv2d(x, w), s)
        return y, cr.sum(y, axis=(0, 1, 2)), cr.sum(arithmetic.scale(y, s), axis=(0, 1, 2))

    stored, *_ = Executable(cr.trace(f, x, w, s), HOST, 2)([x, w, s])
    assert np.signbit(stored).all()


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_variance_of_many_images_is_exact_and_zero_where_all_are_equal(mean):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((40, 20, 20, 12)) + mean).astype("f4")
    x[..., 3] = 0.1
    x[:, :, :, 5] *= np.arange(40, dtype="f4")[:, None, None]  # images that differ more than their pixels
    found = cr.compile(lambda x: cr.var(x, axis=(0, 1, 2)))(x).numpy()
    exact = np.var(x.astype("f8"), axis=(0, 1, 2))
    np.testing.assert_allclose(found, exact, rtol=2e-6)
    assert found[3] == 0.0


@pytest.mark.parametrize(
    "f",
    [
        lambda y: cr.var(y, axis=(0, 1, 2)),
        lambda y: cr.sum((y - cr.mean(y, axis=(1, 2), keepdims=True)) ** 2, axis=(1, 2)),
        lambda y: cr.sum((y - cr.flip(cr.mean(y, axis=(1, 2), keepdims=True), axis=0)) ** 2, axis=(1, 2)),
    ],
    ids=["variance", "same-image", "other-image"],
)
def test_sums_that_wait_for_sums_of_large_images(f):
    """What one loop sums of an image is not known while another would sum as results are stored."""
    x, w = made((16, 64, 64, 8), (3, 3, 8, 32))
    graph = cr.trace(lambda x, w: f(cr.conv2d(x, w, padding=1)), x, w)
    (expected,) = Executable(graph, None, 1)([x, w])
    (found,) = Executable(graph, HOST, 2)([x, w])
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_sums_over_images_keep_infinities_and_nan():
    x = np.ones((16, 40, 40, 8), "f4")
    x[3, 2, 1, 0], x[5, 0, 0, 1], x[6, 1, 1, 1], x[7, 1, 1, 2] = np.inf, np.inf, -np.inf, np.nan
    with np.errstate(invalid="ignore"):
        for f, reference in ((cr.sum, np.sum), (cr.var, np.var)):
            for keepdims in (False, True):
                g = lambda x, f=f, keepdims=keepdims: f(x, axis=(0, 1, 2), keepdims=keepdims)
                expected = reference(x, axis=(0, 1, 2), keepdims=keepdims)
                np.testing.assert_allclose(cr.compile(g)(x).numpy(), expected, rtol=1e-6)
