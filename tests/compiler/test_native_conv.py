"""Native convolutions and pools against the evaluations of the primitives."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from chainrule.compiler.on_native import (
    conv,
    conv_gradient,
    conv_input_gradient,
    jit,
    pooling,
    target,
)
from chainrule.compiler.on_native.axis import Axis, backward_axes, forward_axis
from chainrule.compiler.on_native.call import Epilogue
from chainrule.compiler.on_native.conv import Convolution
from chainrule.compiler.on_native.ir import Function, Int, Value, number
from chainrule.compiler.on_native.matmul import Lowered
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.pooling import Pool
from chainrule.compiler.on_native.target import Target
from chainrule.ops.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from chainrule.ops.pool import MaxPool2d, MaxPool2dGrad, MaxPool2dTangent, SumPool2d
from chainrule.ops.windows import OverlapAdd2d

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="no kernels for this machine")
F32, F64 = np.dtype("float32"), np.dtype("float64")
SAME = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


def available(*names: str) -> list[Target]:
    """The host and the lesser instruction sets that it has."""
    if HOST is None or HOST.isa.name == "neon":
        return [HOST] if HOST else []
    return [
        HOST,
        *(target.forced(n) for n in names if n != HOST.isa.name and lanes(n) < HOST.isa.vector_bytes),
    ]


def lanes(name: str) -> int:
    return target.INSTRUCTION_SETS[name].vector_bytes


@functools.cache
def machine(where: Target) -> Callable[[Lowered], list[tuple[jit.Library, Any]]]:
    def build(lowered: Lowered) -> list[tuple[jit.Library, Any]]:
        built = []
        for call in lowered.calls:
            name = call.kernel.name
            library = jit.build(module(call.kernel.functions), [name], where)
            built.append((library, library.function(name, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)))
        return built

    return build


def run(
    lowered: Lowered,
    where: Target,
    arrays: Mapping[str, np.ndarray],
    shape: Sequence[int],
    orders: Iterable[Callable[[int], Iterable[int]]] = (range,),
) -> np.ndarray:
    """The result "y", filled with nan beforehand; the same bits are asked of every order of tasks."""
    dtype = next(iter(arrays.values())).dtype
    built = machine(where)(lowered)
    first: np.ndarray | None = None
    for order in orders:
        y = np.full(shape, np.nan, dtype)
        room = {"workspace": lowered.workspace, "scratch": 2 * lowered.scratch}
        # Guards behind the arrays show what is written beyond their ends.
        given = {k: np.full(n // dtype.itemsize + 8, np.nan, dtype) for k, n in room.items()} | {
            "y": y,
            **arrays,
        }
        for call, (_, function) in zip(lowered.calls, built, strict=True):
            table = (ctypes.c_void_p * len(call.operands))(*(given[n].ctypes.data for n in call.operands))
            for i, task in enumerate(order(call.kernel.tasks)):
                function(table, task, i % 2)
        for name, size in room.items():
            assert np.isnan(given[name][size // dtype.itemsize :]).all(), f"written behind {name}"
        assert first is None or first.tobytes() == y.tobytes()
        first = y
    assert first is not None
    return first


def shuffled(n: int) -> list[int]:
    return np.random.default_rng(n).permutation(n).tolist()


def close(y: np.ndarray, expected: np.ndarray, scale: np.ndarray) -> None:
    """Within rounding of the sum of the products' absolute values, element by element."""
    bound = (1e-6 if y.dtype == F32 else 2e-15) * scale + np.finfo(y.dtype).tiny
    wrong = ~(np.abs(y - expected) <= bound)
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size}, first at {np.argwhere(wrong)[0]}"


def params(c: Convolution) -> dict[str, Any]:
    return {"stride": c.stride, "padding": c.padding, "dilation": c.dilation, "groups": c.groups}


def sides(
    c: Convolution, rng: np.random.Generator
) -> list[tuple[Any, dict[str, np.ndarray], Callable[..., Any]]]:
    """The forward pass and both gradients: how to lower each, its inputs, and the primitive in float64."""
    x = rng.normal(size=(c.images, *c.size, c.channels)).astype(c.dtype)
    w = rng.normal(size=(*c.kernel, c.depth, c.outputs)).astype(c.dtype)
    g = rng.normal(size=(c.images, *c.windows, c.outputs)).astype(c.dtype)
    return [
        (conv.lower, {"x": x, "w": w}, functools.partial(Conv2d.evaluate, **params(c))),
        (
            conv_input_gradient.lower_input_gradient,
            {"g": g, "w": w},
            functools.partial(Conv2dInputGrad.evaluate, size=c.size, **params(c)),
        ),
        (
            conv_gradient.lower_weight_gradient,
            {"x": x, "g": g},
            functools.partial(Conv2dWeightGrad.evaluate, size=c.kernel, **params(c)),
        ),
    ]


def check(c: Convolution, where: Target, rng: np.random.Generator) -> None:
    for lower, inputs, evaluate in sides(c, rng):
        compare(lower(c, where), where, inputs, evaluate)


def compare(
    lowered: Lowered,
    where: Target,
    inputs: dict[str, np.ndarray],
    evaluate: Callable[..., Any],
) -> None:
    wide = [a.astype(F64) for a in inputs.values()]
    expected = evaluate(*wide)
    y = run(lowered, where, inputs, expected.shape, (range, shuffled))
    close(y, expected, evaluate(*map(np.abs, wide)))


CONVOLUTIONS = [
    Convolution(2, (8, 8), 16, (3, 3), 32, F32, padding=SAME),
    Convolution(3, (17, 30), 3, (3, 3), 33, F32, padding=SAME),
    Convolution(2, (9, 7), 5, (3, 2), 16, F32, (2, 1), ((1, 0), (0, 2)), (1, 2)),
    Convolution(2, (9, 7), 6, (3, 2), 10, F64, (2, 3), ((1, 0), (5, 2)), (1, 2), groups=2),
    Convolution(3, (9, 7), 33, (3, 3), 33, F32, padding=SAME, groups=33),
    Convolution(2, (9, 8), 17, (5, 3), 17, F64, (2, 2), ((2, 2), (1, 1)), groups=17),
    Convolution(3, (9, 7), 33, (1, 1), 17, F32),
    Convolution(2, (9, 7), 16, (1, 1), 5, F32, (2, 2)),
    Convolution(1, (5, 20), 3, (3, 3), 17, F32, (1, 1), ((9, 9), (9, 9)), (4, 4)),
    Convolution(40, (8, 8), 16, (3, 3), 33, F32, (2, 2), SAME),
    Convolution(1, (1, 1), 1, (1, 1), 1, F64),
    Convolution(1, (2, 3), 1, (2, 3), 1, F32),
    Convolution(2, (21, 19), 3, (7, 7), 16, F32, (2, 2), ((3, 3), (3, 3))),
    Convolution(1, (6, 6), 8, (3, 3), 12, F32, (1, 1), SAME, (2, 1), groups=4),
    Convolution(1, (12, 70), 4, (1, 9), 6, F32, (1, 2), ((0, 0), (4, 4)), (1, 3)),
    Convolution(2, (6, 5), 2, (2, 2), 3, F64, (3, 3), ((3, 1), (0, 4)), (3, 2)),
]


@pytest.mark.parametrize("c", CONVOLUTIONS, ids=lambda c: f"{c.size}{c.channels}-{c.kernel}-{c.outputs}")
def test_a_convolution_and_its_gradients_agree_with_the_primitives(
    c: Convolution, rng: np.random.Generator
) -> None:
    assert HOST is not None
    check(c, HOST, rng)


@pytest.mark.parametrize("where", available("avx2", "sse2")[1:], ids=lambda t: t.isa.name)
@pytest.mark.parametrize("c", CONVOLUTIONS[1:5], ids=lambda c: f"{c.size}{c.channels}-{c.kernel}-{c.outputs}")
def test_lesser_instruction_sets(c: Convolution, where: Target, rng: np.random.Generator) -> None:
    check(c, where, rng)


@pytest.mark.parametrize("seed", range(6))
def test_random_geometry(seed: int) -> None:
    assert HOST is not None
    rng = np.random.default_rng(seed)
    draw = lambda low, high: int(rng.integers(low, high + 1))
    groups, channels = draw(1, 3), (1, 3, 5, 16, 33)
    kernel, dilation = (draw(1, 4), draw(1, 4)), (draw(1, 3), draw(1, 3))
    padding = ((draw(0, 4), draw(0, 4)), (draw(0, 4), draw(0, 4)))
    size = tuple(
        max(draw(1, 14), (k - 1) * d + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    c = Convolution(
        draw(1, 4), (size[0], size[1]), groups * channels[draw(0, 4)], kernel, groups * channels[draw(0, 4)],
        F64 if seed % 2 else F32, (draw(1, 3), draw(1, 3)), padding, dilation, groups,
    )  # fmt: skip
    check(c, HOST, rng)


def test_no_images() -> None:
    assert HOST is not None
    c = Convolution(0, (4, 4), 3, (3, 3), 5, F32)
    assert conv.lower(c, HOST).calls == () and conv_input_gradient.lower_input_gradient(c, HOST).calls == ()
    inputs = {"x": np.zeros((0, 4, 4, 3), F32), "g": np.zeros((0, 2, 2, 5), F32)}
    assert not run(conv_gradient.lower_weight_gradient(c, HOST), HOST, inputs, (3, 3, 3, 5)).any()


def test_an_image_that_is_not_a_number_reaches_only_the_windows_that_see_it() -> None:
    assert HOST is not None
    c = Convolution(1, (9, 9), 4, (3, 3), 16, F32, padding=SAME)
    x, w = np.ones((1, 9, 9, 4), F32), np.ones((3, 3, 4, 16), F32)
    x[0, 0, 8, 2] = np.nan
    y = run(conv.lower(c, HOST), HOST, {"x": x, "w": w}, (1, 9, 9, 16))
    seen = np.zeros((9, 9), bool)
    seen[:2, 7:] = True
    assert (np.isnan(y[0]).all(-1) == seen).all() and np.isnan(y).sum() == 4 * 16


@dataclasses.dataclass(frozen=True)
class Affine(Epilogue):
    """Adds a bias for each channel and 1000 times the row."""

    name: str = "affine"
    operands: int = 1

    def apply(
        self, f: Function, pointers: Sequence[Value], result: Value, row: Int, column: Int,
        mask: Value | None, batch: Int,
    ) -> Value | None:  # fmt: skip
        bias = f.load(f.at(pointers[0], column, result.type), result.type, mask)
        scalar = f.convert("sitofp", f.operand(row), result.type.scalar)
        rows = f.mul(f.splat(scalar, result.type.lanes), number(result.type, 1000.0))
        return f.add(f.add(result, bias), rows)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [0, 1, 2])
def test_an_epilogue_sees_rows_and_columns(side: int, stride: int, rng: np.random.Generator) -> None:
    assert HOST is not None
    c = Convolution(2, (7, 9), 5, (3, 3), 20, F64, (stride, stride), SAME)
    lower, inputs, evaluate = sides(c, rng)[side]
    plain = evaluate(*inputs.values())
    bias = rng.normal(size=plain.shape[-1])
    rows = np.arange(plain.size // bias.size).reshape(*plain.shape[:-1], 1)
    lowered = lower(dataclasses.replace(c, epilogue=Affine()), HOST)
    y = run(lowered, HOST, {**inputs, "epilogue0": bias}, plain.shape)
    np.testing.assert_allclose(y, plain + bias + 1000 * rows, rtol=1e-12)


@pytest.mark.parametrize("side", [0, 1])
def test_weights_that_are_packed_already(side: int, rng: np.random.Generator) -> None:
    assert HOST is not None
    c = Convolution(2, (7, 9), 5, (3, 3), 20, F32, (2, 2), SAME)
    lower, inputs, _ = sides(c, rng)[side]
    shape = (2, *c.windows, 20) if side == 0 else (2, 7, 9, 5)
    whole = lower(c, HOST)
    packing = (conv, conv_input_gradient)[side].packing(c, HOST)
    assert whole.workspace == packing.nbytes
    again = lower(dataclasses.replace(c, packed=True), HOST)
    assert len(again.calls) == 1 and again.workspace == 0
    expected = run(whole, HOST, inputs, shape)
    packed = packing.of(inputs["w"].astype(F32))
    assert run(again, HOST, {**inputs, "w": packed}, shape).tobytes() == expected.tobytes()


@pytest.mark.parametrize("where", available("avx2", "sse2"), ids=lambda t: t.isa.name)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"groups": 5, "outputs": 20},
        {"groups": 5, "outputs": 5},
        {"dilation": (2, 1)},
        {"channels": 40, "outputs": 37},
    ],
    ids=str,
)
@pytest.mark.parametrize("side", [0, 1])
def test_numpy_packs_weights_as_the_kernel_does(
    where: Target, change: dict[str, Any], side: int, rng: np.random.Generator
) -> None:
    c = dataclasses.replace(Convolution(2, (7, 9), 5, (3, 3), 20, F32, (2, 2), SAME), **change)
    packing = (conv, conv_input_gradient)[side].packing(c, where)
    w = rng.normal(size=(3, 3, c.depth, c.outputs)).astype(F32)
    room = np.zeros(packing.nbytes // 4, F32)
    run(packing.lower((), where), where, {"plain": w, "packed": room}, ())
    assert packing.of(w).tobytes() == room.tobytes()
    other = dataclasses.replace(c, images=3, size=(11, 9))
    assert (conv, conv_input_gradient)[side].packing(other, where) == packing


def test_tasks_and_names_depend_on_the_problem_alone() -> None:
    assert HOST is not None
    c = Convolution(64, (16, 16), 32, (3, 3), 64, F32, padding=SAME)
    lowers = (conv.lower, conv_input_gradient.lower_input_gradient, conv_gradient.lower_weight_gradient)
    kernels = [call.kernel for lower in lowers for call in lower(c, HOST).calls]
    assert max(k.tasks for k in kernels) > 8
    again = [call.kernel for lower in lowers for call in lower(c, HOST).calls]
    assert [module(k.functions) for k in kernels] == [module(k.functions) for k in again]
    assert len({k.name for k in kernels}) == len(kernels)
    assert all(re.fullmatch(r"[\w.]+", k.name) for k in kernels)
    assert [k.flops for k in kernels if k.flops >= c.products] == [2 * c.products] * 3


@pytest.mark.parametrize("c", CONVOLUTIONS[:4], ids=lambda c: f"{c.size}{c.channels}-{c.kernel}-{c.outputs}")
def test_neon_is_emitted(c: Convolution) -> None:
    neon = target.forced("neon", "aarch64-unknown-linux-gnu")
    lowers = (conv.lower, conv_input_gradient.lower_input_gradient, conv_gradient.lower_weight_gradient)
    for lower in lowers:
        for call in lower(c, neon).calls:
            text = jit.assembly(module(call.kernel.functions), neon)
            assert "fmla" in text or call.kernel.flops < 2 * c.products


# Pools

POOLS = [
    Pool(2, (8, 8), 16, (2, 2), (2, 2), F32),
    Pool(2, (9, 7), 5, (3, 3), (2, 2), F32, SAME),
    Pool(1, (9, 7), 33, (3, 2), (1, 3), F64, ((1, 2), (0, 1))),
    Pool(3, (12, 9), 3, (5, 5), (2, 3), F32, ((2, 2), (4, 1))),
    Pool(1, (7, 7), 1, (1, 1), (3, 2), F32),
    Pool(5, (30, 30), 16, (2, 2), (2, 2), F32),
    Pool(1, (64, 64), 48, (3, 3), (2, 2), F32, SAME),
]


def pooled(p: Pool) -> dict[str, Any]:
    return {"size": p.window, "stride": p.stride, "padding": p.padding}


def check_pool(p: Pool, where: Target, rng: np.random.Generator) -> None:
    # Small whole numbers tie often.
    x = rng.integers(-2, 3, size=(p.images, *p.size, p.channels)).astype(p.dtype)
    x.ravel()[:: 7 * p.channels + 1] = np.nan
    t = rng.normal(size=x.shape).astype(p.dtype)
    g = rng.normal(size=(p.images, *p.windows, p.channels)).astype(p.dtype)
    cases = [
        (pooling.lower_max_pool, MaxPool2d, {"x": x}),
        (pooling.lower_sum_pool, SumPool2d, {"x": t}),
        (pooling.lower_max_pool_tangent, MaxPool2dTangent, {"t": t, "x": x}),
        (pooling.lower_max_pool_gradient, MaxPool2dGrad, {"g": g, "x": x}),
    ]
    for lower, primitive, inputs in cases:
        with np.errstate(all="ignore"):
            expected = primitive.evaluate(*inputs.values(), **pooled(p))
        y = run(lower(p, where), where, inputs, expected.shape, (range, shuffled))
        tight = 2e-6 if p.dtype == F32 else 1e-14
        np.testing.assert_allclose(y, expected, rtol=tight, atol=tight, err_msg=primitive.name)


@pytest.mark.parametrize("p", POOLS, ids=lambda p: f"{p.size}{p.channels}-{p.window}-{p.stride}")
def test_pools_agree_with_the_primitives(p: Pool, rng: np.random.Generator) -> None:
    assert HOST is not None
    check_pool(p, HOST, rng)


@pytest.mark.parametrize("where", available("avx2", "sse2")[1:], ids=lambda t: t.isa.name)
@pytest.mark.parametrize("p", POOLS[:3], ids=lambda p: f"{p.size}{p.channels}-{p.window}-{p.stride}")
def test_pools_of_lesser_instruction_sets(p: Pool, where: Target, rng: np.random.Generator) -> None:
    check_pool(p, where, rng)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("p", POOLS[:5], ids=lambda p: f"{p.size}{p.channels}-{p.window}-{p.stride}")
def test_windows_are_added_where_they_overlap(
    p: Pool, dilation: tuple[int, int], repeated: bool, rng: np.random.Generator
) -> None:
    assert HOST is not None
    p = dataclasses.replace(p, dilation=dilation)
    shape = (p.images, *p.windows, *p.window, p.channels)
    x = rng.normal(size=shape).astype(p.dtype)
    if repeated:  # what the gradient of a sum pool hands over
        x = np.broadcast_to(x[:, :, :, :1, :1].copy(), shape)
        p = dataclasses.replace(p, strides=tuple(s // x.itemsize for s in x.strides))
    expected = OverlapAdd2d.evaluate(x, shape=p.size, stride=p.stride, padding=p.padding, dilation=dilation)
    y = run(pooling.lower_overlap_add(p, HOST), HOST, {"x": x}, expected.shape, (range, shuffled))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_pools_of_nothing() -> None:
    assert HOST is not None
    p = Pool(0, (4, 4), 3, (2, 2), (2, 2), F32)
    for lower in (pooling.lower_max_pool, pooling.lower_max_pool_gradient, pooling.lower_overlap_add):
        assert lower(p, HOST).calls == ()


def test_neon_pools_are_emitted() -> None:
    neon = target.forced("neon", "aarch64-unknown-linux-gnu")
    for lower in (pooling.lower_max_pool, pooling.lower_max_pool_gradient, pooling.lower_overlap_add):
        (call,) = lower(POOLS[1], neon).calls
        assert "v0" in jit.assembly(module(call.kernel.functions), neon)


# The geometry


def brute(axis: Axis) -> list[tuple[int, int, int]]:
    """(position of the output, place, element of the kernel) of every product."""
    return sorted(
        (axis.start + m * axis.step, place, tap)
        for m in range(axis.outputs)
        for k, tap in enumerate(axis.taps)
        if 0 <= (place := m * axis.stride + axis.first + k * axis.gap) < axis.places
    )


@pytest.mark.parametrize("seed", range(30))
def test_backward_windows_are_forward_windows_turned_around(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride, dilation, before, size = (int(n) for n in rng.integers((1, 1, 1, 0, 1), (6, 5, 4, 7, 12)))
    after = int(rng.integers(0, 4)) + max(0, (kernel - 1) * dilation + 1 - size - before)
    windows = (size + before + after - (kernel - 1) * dilation - 1) // stride + 1
    there = forward_axis(size, windows, kernel, stride, (before, after), dilation)
    back = backward_axes(size, windows, kernel, stride, (before, after), dilation)
    turned = sorted((place, window, tap) for window, place, tap in brute(there))
    assert turned == sorted(product for axis in back for product in brute(axis))
    f = Function("f", [], target.forced("neon", "aarch64-unknown-linux-gnu"))
    for axis in (there, *back):
        for m in range(axis.outputs):
            a, b = axis.window(f, m)
            assert (
                isinstance(a, int) and isinstance(b, int) and list(range(a, b)) == list(range(*axis.seen(m)))
            )
        for k in range(len(axis.taps)):
            a, b = axis.viewers(f, k, 0, axis.outputs)
            sees = [m for m in range(axis.outputs) if axis.seen(m)[0] <= k < axis.seen(m)[1]]
            assert isinstance(a, int) and isinstance(b, int) and list(range(a, b)) == sees
        a, b = axis.inner
        assert list(range(a, b)) == [m for m in range(axis.outputs) if axis.seen(m) == (0, len(axis.taps))]
