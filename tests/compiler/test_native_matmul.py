"""Matrix products in native code against NumPy in float64, with the error that k roundings can make."""

from __future__ import annotations

import ctypes
import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.compiler.on_native import jit
from chainrule.compiler.on_native.call import Epilogue
from chainrule.compiler.on_native.ir import Function, Int, Value, number
from chainrule.compiler.on_native.matmul import Lowered, Product, lower, packed_size, panel_width, panelling
from chainrule.compiler.on_native.matmul.parts import parts_of
from chainrule.compiler.on_native.modules import module
from chainrule.compiler.on_native.target import Target, forced, host
from chainrule.errors import ArgumentError
from chainrule.shapes import DType, float32, float64

THREADS = 3


def targets() -> list[Target]:
    found: dict[str, Target] = {}
    here = host()
    for name in ("avx512", "avx2", "sse2"):
        try:
            found[name] = forced(name)
        except ArgumentError:
            continue
    if here is not None:
        found.setdefault(here.isa.name, here)
    return list(found.values())


def kinds() -> list[tuple[Target, DType]]:
    """Instruction sets and dtypes, without all pairs of them."""
    found = targets()
    return [(t, (float32, float64)[i % 2]) for i, t in enumerate(found)] + [(t, float64) for t in found[:1]]


pytestmark = pytest.mark.skipif(host() is None, reason="there is no native code for this machine")
every_target = pytest.mark.parametrize("target", targets(), ids=lambda t: t.isa.name)
every_kind = pytest.mark.parametrize(("target", "dtype"), kinds(), ids=lambda x: getattr(x, "isa", x).name)


def room(size: int, dtype: DType) -> np.ndarray:
    """Elements that begin at a multiple of 64 bytes; nan, so that reading one that was not written shows."""
    whole = np.full(size + 64, np.nan, dtype.name)
    start = -whole.ctypes.data % 64 // whole.itemsize
    return whole[start : start + size]


def run(lowered: Lowered, target: Target, dtype: DType, order: int = 0, **arrays: np.ndarray) -> None:
    """Run all tasks of all calls: in their order, or in another one, as if on several threads."""
    kernels = [call.kernel for call in lowered.calls]
    text = module(f for k in kernels for f in k.functions)
    library = jit.build(text, [k.name for k in kernels], target)
    arrays["workspace"] = room(lowered.workspace // dtype.itemsize, dtype)
    arrays["scratch"] = room(THREADS * lowered.scratch // dtype.itemsize, dtype)
    chance = random.Random(order)
    for call in lowered.calls:
        entry = library.function(call.kernel.name, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        table = (ctypes.c_void_p * len(call.operands))(*(arrays[name].ctypes.data for name in call.operands))
        tasks = list(range(call.kernel.tasks))
        if order:
            chance.shuffle(tasks)
        for task in tasks:
            entry(ctypes.addressof(table), task, chance.randrange(THREADS) if order else 0)


def matrix(
    rng: np.random.Generator, shape: Sequence[int], dtype: DType, by_columns: bool, gap: int = 0
) -> np.ndarray:
    """Random numbers, with rows (or columns) adjacent and ``gap`` elements between them."""
    *batch, m, n = shape
    if by_columns:
        return np.swapaxes(matrix(rng, (*batch, n, m), dtype, False, gap), -1, -2)
    return rng.standard_normal((*batch, m, n + gap)).astype(dtype.name)[..., :n]


def strides(x: np.ndarray) -> tuple[int, ...]:
    return tuple(s // x.itemsize for s in x.strides)


def product_of(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, dtype: DType, end: Epilogue | None = None
) -> Product:
    rank = c.ndim - 2
    return Product(
        a.shape[-2],
        b.shape[-1],
        a.shape[-1],
        dtype,
        (strides(a)[-2], strides(a)[-1]),
        (strides(b)[-2], strides(b)[-1]),
        strides(c)[-2],
        c.shape[:-2],
        (strides(a)[:rank], strides(b)[:rank], strides(c)[:rank]),
        end,
    )


def agree(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    a, b = a.astype("f8"), b.astype("f8")
    bound = max(a.shape[-1], 1) * np.finfo(c.dtype).eps * (abs(a) @ abs(b))
    assert (abs(c - a @ b) <= bound).all()


def check(
    target: Target,
    shape: tuple[int, int, int],
    dtype: DType = float32,
    turned: tuple[bool, bool] = (False, False),
    gaps: tuple[int, int, int] = (0, 0, 0),
) -> Lowered:
    m, n, k = shape
    rng = np.random.default_rng(0)
    a, b = matrix(rng, (m, k), dtype, turned[0], gaps[0]), matrix(rng, (k, n), dtype, turned[1], gaps[1])
    whole = np.full((m, n + gaps[2]), np.nan, dtype.name)
    c = whole[:, :n]
    lowered = lower(product_of(a, b, c, dtype), target)
    run(lowered, target, dtype, a=a, b=b, c=c)
    agree(c, a, b)
    assert np.isnan(whole[:, n:]).all(), "something was written beside C"
    return lowered


SHAPES = [
    (1, 1, 1),
    (2, 2, 2),
    (1, 1, 5000),  # a dot product, in parts
    (1, 37, 50),  # a row
    (300, 1, 70),  # a column
    (33, 17, 1),  # an outer product
    (5, 1, 9),
    (3, 40, 100),
    (7, 9, 0),
    (64, 64, 64),
    (61, 70, 33),  # blocks of two heights, a ragged panel
    (128, 10, 784),
    (16, 16, 8192),  # in parts
    (40, 90, 3100),  # several passes
    (5, 5, 40),  # tiles of sums along rows, if B is turned
    (10, 10, 203),
    (64, 17, 130),
]


@every_kind
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_and_every_transpose(target: Target, dtype: DType, shape: tuple[int, int, int]) -> None:
    for turned in itertools.product((False, True), repeat=2):
        check(target, shape, dtype, turned)


@every_kind
def test_copies_of_large_operands(target: Target, dtype: DType) -> None:
    check(target, (100, 300, 700), dtype)  # B in panels
    check(target, (1024, 100, 70), dtype, (True, False))  # columns of A that share a set of the cache
    check(target, (1021, 70, 260), dtype, (True, True))  # both, with blocks of two heights
    check(target, (60, 50, 1024), dtype)  # rows of A that share a set: lower tiles
    check(target, (600, 600, 2), dtype)  # more to store than to compute


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 70)] * 3),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(*[st.integers(0, 20)] * 3),
    st.sampled_from([float32, float64]),
    st.sampled_from(targets() or [None]),
)
def test_strides_longer_than_rows(
    shape: tuple[int, int, int],
    turned: tuple[bool, bool],
    gaps: tuple[int, int, int],
    dtype: DType,
    target: Target,
) -> None:
    check(target, shape, dtype, turned, gaps)


@every_target
@pytest.mark.parametrize("shape", [(1, 9, 300), (9, 1, 300), (90, 1, 300), (1, 1, 300), (5, 9, 1)], ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_vectors_whose_elements_are_apart(target: Target, shape: tuple[int, int, int], turned: bool) -> None:
    m, n, k = shape
    rng = np.random.default_rng(1)
    a, b = matrix(rng, (m, k), float64, turned), matrix(rng, (k, n), float64, turned)
    if 1 in a.shape:
        a = rng.standard_normal((3 * m, 3 * k))[::3, ::3]
    if 1 in b.shape:
        b = rng.standard_normal((2 * k, 2 * n))[::2, ::2]
    c = np.full((m, n), np.nan)
    run(lower(product_of(a, b, c, float64), target), target, float64, a=a, b=b, c=c)
    agree(c, a, b)


BATCHES = [
    ((4,), (4,), 9, 8, 7),
    ((3, 5), (3, 5), 4, 6, 20),
    ((6,), (1,), 33, 20, 10),  # one B: A is one tall matrix
    ((1,), (6,), 33, 20, 10),
    ((2, 1, 3), (1, 4, 3), 5, 18, 6),
    ((40,), (40,), 32, 32, 64),  # several products to a task
    ((3,), (3,), 1, 50, 40),
    ((3,), (3,), 50, 1, 40),
    ((3,), (3,), 200, 130, 90),  # several tasks to a product
]


@every_target
@pytest.mark.parametrize(("left", "right", "m", "n", "k"), BATCHES)
def test_batches(
    target: Target, left: tuple[int, ...], right: tuple[int, ...], m: int, n: int, k: int
) -> None:
    rng = np.random.default_rng(2)
    batch = np.broadcast_shapes(left, right)
    for turned in itertools.product((False, True), repeat=2):
        a, b = matrix(rng, (*left, m, k), float32, turned[0]), matrix(rng, (*right, k, n), float32, turned[1])
        c = np.full((*batch, m, n), np.nan, "f4")
        wide = [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in (a, b)]
        run(lower(product_of(*wide, c, float32), target), target, float32, a=a, b=b, c=c)
        agree(c, a, b)


def packed(b: np.ndarray, dtype: DType, width: int) -> np.ndarray:
    """B in panels."""
    k, n = b.shape
    panels = -(-n // width)
    wide = np.zeros((k, panels * width), b.dtype)
    wide[:, :n] = b
    flat = room(packed_size(k, n, width), dtype)
    flat[:] = wide.reshape(k, panels, width).swapaxes(0, 1).ravel()
    return flat


@every_kind
@pytest.mark.parametrize(
    "shape", [(2, 3, 4), (1, 50, 30), (50, 10, 40), (64, 96, 32), (50, 75, 3100), (4, 40, 9000)], ids=str
)
def test_packed_right_operand(target: Target, dtype: DType, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    rng = np.random.default_rng(3)
    a, b = matrix(rng, (m, k), dtype, False), matrix(rng, (k, n), dtype, False)
    c = np.full((m, n), np.nan, dtype.name)
    width = panel_width(n, dtype, target)
    parts = parts_of(product_of(a, b, c, dtype))
    panels = np.concatenate([packed(each, dtype, width) for each in np.split(b, parts)])
    product = replace(product_of(a, b, c, dtype), b=(width, 1), packed_b=width)
    run(lower(product, target), target, dtype, a=a, b=panels, c=c)
    agree(c, a, b)


@every_kind
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "shape", [(1, 600, 300), (9, 600, 300), (40, 33, 70), (5, 300, 1100), (4, 40, 9000)], ids=str
)
def test_packing_before_keeps_the_bits(
    target: Target, dtype: DType, turned: bool, shape: tuple[int, int, int]
) -> None:
    m, n, k = shape
    rng = np.random.default_rng(3)
    a, b = matrix(rng, (2, m, k), dtype, False), matrix(rng, (2, k, n), dtype, turned)
    for one in (False, True):
        x, y = (a[0], b[0]) if one else (a, b)
        c, d = (np.full((*x.shape[:-1], n), np.nan, dtype.name) for _ in range(2))
        product = product_of(x, y, c, dtype)
        better = panelling(product, target)
        if better is None:  # B is small, or read along its columns
            assert (not turned and k * n * c.itemsize <= 1 << 19) or (turned and m < 5)
            continue
        flat = better.packing.of(np.lib.stride_tricks.as_strided(y, better.shape, y.strides))
        by_kernel = room(flat.size, dtype)
        run(better.packing.lower(better.strides, target), target, dtype, plain=y, packed=by_kernel)
        run(lower(product, target), target, dtype, a=x, b=y, c=c)
        for panels in (by_kernel, flat):
            run(lower(better.product, target), target, dtype, 1, a=x, b=panels, c=d)
            assert d.tobytes() == c.tobytes()


@dataclass(frozen=True, slots=True)
class BiasRelu(Epilogue):
    """Adds a bias to each column; keeps what is positive."""

    name: str = "bias_relu"
    operands: int = 1

    def apply(
        self,
        f: Function,
        pointers: Sequence[Value],
        result: Value,
        row: Int,
        column: Int,
        mask: Value | None,
        batch: Int,
    ) -> Value | None:
        x = f.add(result, f.load(f.at(pointers[0], column, result.type), result.type, mask))
        zero = number(x.type, 0.0)
        return f.select(f.compare("ogt", x, zero), x, zero)


@dataclass(frozen=True, slots=True)
class Descent(Epilogue):
    """Subtracts the result from weights, writes its square elsewhere, and does not keep it."""

    shape: tuple[int, int]
    operands: int = 2

    @property
    def name(self) -> str:
        return f"descent{self.shape[0]}_{self.shape[1]}"

    def apply(
        self,
        f: Function,
        pointers: Sequence[Value],
        result: Value,
        row: Int,
        column: Int,
        mask: Value | None,
        batch: Int,
    ) -> Value | None:
        rows = f.add_int(f.mul_int(batch, self.shape[0]), row)
        offset = f.add_int(f.mul_int(rows, self.shape[1]), column)
        weights, squares = (f.at(p, offset, result.type) for p in pointers)
        f.store(f.sub(f.load(weights, result.type, mask), result), weights, mask)
        f.store(f.mul(result, result), squares, mask)
        return None


ENDS = [
    (3, 5, 7),
    (64, 40, 30),
    (1, 70, 200),
    (90, 1, 60),
    (20, 12, 4096),
    (30, 70, 3100),
    (6, 7, 0),
    (10, 13, 60),
    (1, 1, 9000),
]


@every_target
@pytest.mark.parametrize("shape", ENDS, ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_epilogue_on_results(target: Target, shape: tuple[int, int, int], turned: bool) -> None:
    m, n, k = shape
    rng = np.random.default_rng(4)
    a, b = matrix(rng, (m, k), float64, False), matrix(rng, (k, n), float64, turned)
    bias = rng.standard_normal(n)
    c = np.full((m, n), np.nan)
    run(
        lower(product_of(a, b, c, float64, BiasRelu()), target),
        target,
        float64,
        a=a,
        b=b,
        c=c,
        epilogue0=bias,
    )
    np.testing.assert_allclose(c, np.maximum(a @ b + bias, 0), rtol=1e-9, atol=1e-9)


@every_target
@pytest.mark.parametrize("shape", [*ENDS, (200, 130, 90)], ids=str)
def test_epilogue_with_several_outputs_and_no_result(target: Target, shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    rng = np.random.default_rng(5)
    a, b = matrix(rng, (2, m, k), float64, True), matrix(rng, (2, k, n), float64, False)
    c = np.full((2, m, n), np.nan)
    weights, squares = rng.standard_normal((2, m, n)), np.full((2, m, n), np.nan)
    before = weights.copy()
    product = product_of(a, b, c, float64, Descent((m, n)))
    run(lower(product, target), target, float64, 1, a=a, b=b, c=c, epilogue0=weights, epilogue1=squares)
    np.testing.assert_allclose(weights, before - a @ b, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(squares, (a @ b) ** 2, rtol=1e-9, atol=1e-9)
    assert np.isnan(c).all()


@every_target
@pytest.mark.parametrize(
    ("shape", "turned"),
    [
        ((128, 128, 128), (False, False)),
        ((1024, 64, 300), (True, True)),
        ((60, 130, 3100), (False, True)),
        ((16, 16, 8192), (True, False)),
        ((1, 1, 100000), (False, False)),
        ((1, 1000, 700), (False, True)),
    ],
    ids=str,
)
def test_tasks_in_any_order_on_any_thread_give_the_same_bits(
    target: Target, shape: tuple[int, int, int], turned: tuple[bool, bool]
) -> None:
    m, n, k = shape
    rng = np.random.default_rng(6)
    a, b = matrix(rng, (m, k), float32, turned[0]), matrix(rng, (k, n), float32, turned[1])
    results = np.full((3, m, n), np.nan, "f4")
    lowered = lower(product_of(a, b, results[0], float32), target)
    assert max(call.kernel.tasks for call in lowered.calls) > 1
    for order, c in enumerate(results):
        run(lowered, target, float32, order, a=a, b=b, c=c)
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def lowered_plain(m: int, n: int, k: int, target: Target, **more: object) -> Lowered:
    return lower(replace(Product(m, n, k, float32, (k, 1), (n, 1), n), **more), target)


def test_nothing_to_compute_is_no_call() -> None:
    target = targets()[0]
    assert lowered_plain(0, 3, 4, target).calls == ()
    assert lowered_plain(3, 0, 4, target).calls == ()
    assert lowered_plain(3, 4, 5, target, batch=(0,), batch_strides=((15,), (20,), (12,))).calls == ()


def test_small_products_are_one_task_without_memory() -> None:
    for shape in ((2, 2, 2), (100, 16, 16), (48, 48, 48)):
        lowered = lowered_plain(*shape, targets()[0])
        assert [call.kernel.tasks for call in lowered.calls] == [1]
        assert lowered.workspace == lowered.scratch == 0


def test_large_products_are_cut_into_tasks_for_eight_threads_at_most() -> None:
    for n in (256, 512, 1024):
        (call,) = lowered_plain(n, n, n, targets()[0]).calls
        assert 4 <= call.kernel.tasks <= 32


def test_work_is_counted() -> None:
    (call,) = lowered_plain(6, 5, 4, targets()[0], batch=(3,), batch_strides=((24,), (0,), (30,))).calls
    assert call.kernel.flops == 2 * 3 * 6 * 5 * 4
    assert call.kernel.bytes == 4 * (3 * 24 + 20 + 3 * 30)


def test_names_say_what_the_code_depends_on() -> None:
    target = targets()[0]
    first, same = lowered_plain(60, 50, 40, target), lowered_plain(60, 50, 40, target)
    assert [c.kernel.name for c in first.calls] == [c.kernel.name for c in same.calls]
    bodies: dict[str, str] = {}
    for shape in itertools.product((20, 61), (20, 61), (20, 300)):
        for a_turned, b_turned, end in itertools.product((0, 1), (0, 1), (None, BiasRelu())):
            m, n, k = shape
            a, b = (1, m) if a_turned else (k, 1), (1, k) if b_turned else (n, 1)
            for call in lower(Product(m, n, k, float32, a, b, n, epilogue=end), target).calls:
                for f in call.kernel.functions:
                    assert re.fullmatch(r"\w+", f.name)
                    assert bodies.setdefault(f.name, f.text()) == f.text()


@pytest.mark.skipif("avx2" not in [t.isa.name for t in targets()], reason="this machine has no AVX2")
def test_avx2_masks_with_its_own_instructions() -> None:
    text = module(f for call in lowered_plain(6, 13, 40, forced("avx2")).calls for f in call.kernel.functions)
    code = jit.assembly(text, forced("avx2"))
    assert "vmaskmovps" in code and "vfmadd" in code


def test_arm_code_is_written() -> None:
    target = forced("neon", "aarch64-unknown-linux-gnu")
    for shape in ((64, 70, 300), (100, 100, 1700), (1, 50, 60), (3, 1, 5000)):
        m, n, k = shape
        for b in ((n, 1), (1, k)):
            product = Product(m, n, k, float32, (1, m), b, n, epilogue=BiasRelu())
            text = module(f for call in lower(product, target).calls for f in call.kernel.functions)
            assert "fmla" in jit.assembly(text, target)
