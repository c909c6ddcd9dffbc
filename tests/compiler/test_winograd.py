"""Convolutions by Winograd's filters: kernels against the primitives in float64, and the option for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import ir, jit, target, winograd, winograd_gradient
from chainrule.compiler.on_native.conv import Convolution
from chainrule.compiler.on_native.ir import Function, Value
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.target import Target
from chainrule.compiler.on_native.winograd_filter import (
    F2,
    F4,
    F24,
    FILTERS,
    Filter,
    Points,
    recipe_of,
    turned,
)
from chainrule.errors import ArgumentError, GraphError
from compiler.test_native_conv import F32, F64, SAME, Affine, available, run, shuffled, sides

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="no kernels for this machine")
BOUND = {(2, F32): 2e-6, (4, F32): 1e-5, (2, F64): 6e-15, (4, F64): 2e-14}
"""Error relative to the largest element, as the documentation has it, by the shorter edge of a tile."""
Lower = Callable[[Convolution, Target], Lowered]


def lowers(how: Filter) -> list[Lower]:
    """The forward pass, the gradient for the images, and the one for the kernel."""
    three = (winograd.lower, winograd.lower_input_gradient, winograd_gradient.lower_weight_gradient)
    return [partial(lower, how=how) for lower in three]


CONVOLUTIONS = [
    Convolution(2, (8, 8), 32, (3, 3), 32, F32, padding=SAME),
    Convolution(5, (8, 8), 33, (3, 3), 40, F32, padding=SAME),
    Convolution(3, (9, 7), 35, (3, 3), 33, F64, padding=((2, 0), (1, 3))),
    Convolution(2, (31, 34), 16, (3, 3), 48, F32, padding=SAME),
    Convolution(1, (40, 42), 64, (3, 3), 64, F32),
    Convolution(7, (4, 5), 3, (3, 3), 7, F64, padding=((0, 4), (5, 0))),
    Convolution(40, (6, 6), 128, (3, 3), 192, F32, padding=SAME),
]


def name(z: object) -> str | None:
    if isinstance(z, Convolution):
        return f"{z.size}{z.channels}-{z.outputs}"
    return z.isa.name if isinstance(z, Target) else f"F{z.name}" if isinstance(z, Filter) else None


@pytest.mark.parametrize(
    ("c", "where"),
    [
        *((c, t) for t in available() for c in CONVOLUTIONS),
        *((CONVOLUTIONS[i], t) for t in available("avx2", "sse2")[1:] for i in (1, 2)),
    ],
    ids=name,
)
@pytest.mark.parametrize("how", FILTERS, ids=name)
def test_all_three_agree_with_the_primitives(
    c: Convolution, where: Target, how: Filter, rng: np.random.Generator
) -> None:
    assert winograd.applies(c)
    for lower, (_, inputs, evaluate) in zip(lowers(how), sides(c, rng), strict=True):
        expected = evaluate(*(a.astype(F64) for a in inputs.values()))
        y = run(lower(c, where), where, inputs, expected.shape, (range, shuffled))
        assert np.abs(y - expected).max() <= BOUND[how.least, c.dtype] * np.abs(expected).max()


@pytest.mark.parametrize("how", FILTERS, ids=name)
@pytest.mark.parametrize("side", [0, 1, 2])
def test_an_epilogue_sees_rows_and_columns(side: int, how: Filter, rng: np.random.Generator) -> None:
    assert HOST is not None
    c = dataclasses.replace(CONVOLUTIONS[2], epilogue=Affine())
    _, inputs, evaluate = sides(c, rng)[side]
    plain = evaluate(*inputs.values())
    bias = rng.normal(size=plain.shape[-1])
    rows = np.arange(plain.size // bias.size).reshape(*plain.shape[:-1], 1)
    y = run(lowers(how)[side](c, HOST), HOST, {**inputs, "epilogue0": bias}, plain.shape)
    np.testing.assert_allclose(y, plain + bias + 1000 * rows, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("how", FILTERS, ids=name)
@pytest.mark.parametrize("side", [0, 1])
def test_weights_that_are_transformed_already(side: int, how: Filter, rng: np.random.Generator) -> None:
    assert HOST is not None
    c = CONVOLUTIONS[1]
    _, inputs, evaluate = sides(c, rng)[side]
    shape = evaluate(*inputs.values()).shape
    lower = lowers(how)[side]
    whole = lower(c, HOST)
    expected = run(whole, HOST, inputs, shape)
    packing = winograd.packing(c, HOST, how, gradient=side == 1)
    assert packing is not None
    again = lower(dataclasses.replace(c, packed=True), HOST)
    assert len(again.calls) == 1 and again.workspace == 0
    y = run(again, HOST, {**inputs, "w": packing.of(inputs["w"])}, shape)
    assert y.tobytes() == expected.tobytes()


@pytest.mark.parametrize("how", [F24.down, F24.across], ids=["two", "four"])
def test_the_transforms_are_a_convolution(how: Points) -> None:
    def times(m: tuple[tuple[Fraction, ...], ...], v: list[Fraction]) -> list[Fraction]:
        return [sum((a * b for a, b in zip(row, v, strict=True)), Fraction(0)) for row in m]

    d = [Fraction(n * n % 7 - 3) for n in range(how.size)]
    g = [Fraction(2), Fraction(-5), Fraction(3)]
    products = [a * b for a, b in zip(times(how.weights, g), times(how.pixels, d), strict=True)]
    direct = [sum(g[k] * d[i + k] for k in range(3)) for i in range(how.outputs)]
    assert times(how.results, products) == direct
    for row in (*how.pixels, *how.results):  # constants that float32 holds exactly
        assert all(float(np.float32(c)) == c for c in row)


@pytest.mark.parametrize(
    ("how", "counts"), [(F2.down, (4, 4, 2)), (F4.down, (12, 12, 8))], ids=["two", "four"]
)
def test_transforms_share_what_rows_have_in_common(how: Points, counts: tuple[int, ...]) -> None:
    assert HOST is not None
    if not HOST.isa.fma:
        pytest.skip("counted for a fused multiply-add")
    kind = ir.F32.vector(4)
    for matrix, most in zip((how.pixels, how.results, turned(how.results)), counts, strict=True):
        f = Function("f", [], HOST)
        before = len(f.text().splitlines())
        recipe_of(matrix, fma=True).write(f, [Value.of(f"%v{i}", kind) for i in range(len(matrix[0]))])
        assert len(f.text().splitlines()) - before <= most


def test_what_is_faster_this_way() -> None:
    c = Convolution(64, (16, 16), 32, (3, 3), 64, F32, padding=SAME)
    assert all(winograd.suits(c, how) and winograd_gradient.suits(c, how) for how in FILTERS)
    for change in (
        {"stride": (2, 2)},
        {"dilation": (2, 2)},
        {"groups": 2},
        {"channels": 2},
        {"kernel": (1, 3)},
        {"size": (3, 3)},
        {"images": 1},
        {"images": 0},
    ):
        assert not any(winograd.suits(dataclasses.replace(c, **change), how) for how in FILTERS)
    # Images of three channels: forward and back, if there are many outputs; never the gradient for the kernel.
    colours = dataclasses.replace(c, channels=3)
    assert winograd.suits(colours, F24) and not winograd_gradient.suits(colours, F24)
    assert not winograd.suits(dataclasses.replace(colours, outputs=16), F24)
    # Tiles of 4 × 4 that reach far beyond the edge save no more than those of 2 × 2.
    small = dataclasses.replace(c, images=99, size=(6, 6))
    assert winograd.suits(small, F2) and not any(winograd.suits(small, how) for how in (F24, F4))


def test_kernels_of_different_filters_have_different_names() -> None:
    assert HOST is not None
    c = CONVOLUTIONS[0]
    names = [call.kernel.name for how in FILTERS for lower in lowers(how) for call in lower(c, HOST).calls]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("how", FILTERS, ids=name)
def test_neon_is_emitted(how: Filter) -> None:
    neon = target.forced("neon", "aarch64-unknown-linux-gnu")
    for lower in lowers(how):
        for call in lower(CONVOLUTIONS[1], neon).calls:
            text = jit.assembly(module(call.kernel.functions), neon)
            assert "fmla" in text or call.kernel.flops < CONVOLUTIONS[1].products


# The option


def step(w: Any, x: Any) -> Any:
    """Uses a convolution forward and both gradients."""
    y = cr.conv2d(x, w, padding=1)
    return (cr.tanh(y) ** 2).mean()


@pytest.fixture
def arrays(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    w = rng.normal(size=(3, 3, 32, 32)).astype(F32) / 17
    return w, rng.normal(size=(16, 16, 16, 32)).astype(F32)


def bits(*results: Any) -> list[bytes]:
    return [np.asarray(r.numpy()).tobytes() for r in results]


def test_more_is_saved_only_if_asked_for(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    w, x = arrays
    forward = lambda w, x: cr.conv2d(x, w, padding=1)
    exact = cr.conv2d(x.astype(F64), w.astype(F64), padding=1).numpy()
    made = {n: cr.compile(forward, winograd=n)(w, x).numpy() for n in (0, 2, 4)}
    assert np.array_equal(cr.compile(forward)(w, x).numpy(), made[2])
    error = {n: np.abs(y - exact).max() / np.abs(exact).max() for n, y in made.items()}
    assert error[0] < 3e-6 and error[2] < 2e-6 and error[2] < error[4] < 1e-5
    assert len({y.tobytes() for y in made.values()}) == 3


def test_float64_is_computed_directly(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    wide = [a.astype(F64) for a in arrays]
    gradient = cr.grad(step, (0, 1))
    assert bits(*cr.compile(gradient, winograd=4)(*wide)) == bits(*cr.compile(gradient, winograd=0)(*wide))


@pytest.mark.parametrize("tiles", [2, 4])
def test_gradients_have_the_same_bits_on_any_number_of_threads(
    tiles: int, arrays: tuple[np.ndarray, np.ndarray]
) -> None:
    gradient = cr.value_and_grad(step, (0, 1))
    _, slopes = gradient(*arrays)
    found = []
    for threads in (1, 2, 4):
        v, made = cr.compile(gradient, winograd=tiles, threads=threads)(*arrays)
        found.append(bits(v, *made))
        for a, b in zip(made, slopes, strict=True):
            assert np.abs(a.numpy() - b.numpy()).max() < 2e-5 * np.abs(b.numpy()).max()
    assert found[0] == found[1] == found[2]


def test_a_program_on_disk_is_of_its_own_filter(
    arrays: tuple[np.ndarray, np.ndarray], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    made = [bits(cr.compile(step, winograd=n)(*arrays)) for n in (2, 4, 2, 4)]
    assert made[0] == made[2] != made[1] == made[3]


def test_a_training_step_may_use_it(rng: np.random.Generator) -> None:
    class Net(cr.nn.Module):
        def __init__(self) -> None:
            self.w = [
                cr.tensor(rng.normal(size=(3, 3, 32, 32)).astype(F32) / 17, requires_grad=True)
                for _ in range(2)
            ]
            self.v = cr.tensor(rng.normal(size=(32, 4)).astype(F32), requires_grad=True)

        def __call__(self, x: Any) -> Any:
            for w in self.w:
                x = cr.relu(cr.conv2d(x, w, padding=1))
            return x.mean(axis=(1, 2)) @ self.v

    net, x, y = Net(), rng.normal(size=(16, 16, 16, 32)).astype(F32), np.arange(16) % 4
    losses = {}
    for tiles in (2, 4):
        train = cr.train.compile_step(
            net, cr.nn.softmax_cross_entropy, cr.optim.gradient_descent(0.1), winograd=tiles
        )
        losses[tiles] = [train(x, y).item() for _ in range(10)]
    assert losses[4][-1] < losses[4][0] and losses[4] != losses[2]
    np.testing.assert_allclose(losses[4], losses[2], rtol=1e-4)

    assert HOST is not None


def test_equal_names_of_different_functions_are_refused() -> None:
    assert HOST is not None
    functions = [Function("same", [("%x", ir.PTR)], HOST, exported=False) for _ in range(3)]
    for f, number in zip(functions, (1.0, 1.0, 2.0), strict=True):
        f.store(ir.number(ir.F32, number), f.parameters[0])
        f.ret()
    assert module(functions[:2]).count("define") == 1
    with pytest.raises(GraphError, match="two kernels need different functions, both named same"):
        module(functions)


def test_kernels_of_one_program_that_filter_the_same_images_in_other_blocks(rng: np.random.Generator) -> None:
    """The result takes two small images at a time, the gradient for the kernel three."""
    x = rng.normal(size=(64, 8, 8, 64)).astype(F32)
    w = (rng.normal(size=(3, 3, 64, 128)) / 24).astype(F32)

    def loss(w: Any, x: Any) -> Any:
        return cr.relu(cr.conv2d(x, w, padding=1)).mean(axis=(1, 2)).sum()

    value, slope = cr.compile(cr.value_and_grad(loss))(w, x)
    right, right_slope = cr.value_and_grad(loss)(w.astype(F64), x.astype(F64))
    np.testing.assert_allclose(value.item(), right.item(), rtol=1e-5)
    np.testing.assert_allclose(
        slope.numpy(), right_slope.numpy(), rtol=1e-4, atol=1e-5 * np.abs(right_slope.numpy()).max()
    )


@pytest.mark.parametrize("wrong", [1, 3, 6, -2, True, 2.0, "4", None])
def test_other_values_are_refused(wrong: Any) -> None:
    for make in (cr.compile, partial(cr.compile, step)):
        with pytest.raises(ArgumentError, match=r"^compile: winograd must be"):
            make(winograd=wrong)
    model = cr.nn.Linear(2, 1, key=cr.random.key(0))
    with pytest.raises(ArgumentError, match=r"^compile_step: winograd must be"):
        cr.train.compile_step(model, cr.nn.mean_squared_error, cr.optim.gradient_descent(0.1), winograd=wrong)


def test_the_message_says_what_to_pass() -> None:
    with pytest.raises(ArgumentError, match="winograd must be 0, 2 or 4, got 3") as caught:
        cr.compile(step, winograd=3)
    assert "leave it out for 2; 4 is faster and less exact" in str(caught.value)
