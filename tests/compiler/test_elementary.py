"""Elementary functions in native code: within 2 ulp everywhere, NumPy's special values, no calls to a library."""

from __future__ import annotations

import ctypes
import functools
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from chainrule.compiler.on_native import ir, jit, target
from chainrule.compiler.on_native.elementary import ELEMENTARY, ROUNDING, supports
from chainrule.compiler.on_native.modules import module

host = target.host()
pytestmark = pytest.mark.skipif(host is None, reason="no native code for this machine")
ISAS = [
    name
    for name in ("avx512", "avx2", "sse2", "neon")
    if host is not None
    and (name == "neon") == (host.isa.name == "neon")
    and target.INSTRUCTION_SETS[name].vector_bytes <= host.isa.vector_bytes
]
DTYPES = {"float32": ir.F32, "float64": ir.F64}
BINARY = ("atan2", "pow", "hypot")
UNARY = [name for name in ELEMENTARY if name not in BINARY]
ALL = {**ELEMENTARY, **ROUNDING}
WIDE = np.finfo(np.longdouble).nmant >= 63
"""Whether NumPy has a float that is wider than float64, and its functions."""


@pytest.fixture(autouse=True, scope="module")
def no_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CACHE", "off")
        yield


@functools.cache
def at(isa: str) -> target.Target:
    """The host where it has that instruction set, for that is what users run."""
    assert host is not None
    return host if host.isa.name == isa else target.forced(isa)


def kernel(name: str, dtype: str, where: target.Target, lanes: int | None = None) -> ir.Function:
    """y[i] = f(x[i]) over a multiple of the lanes; of two arguments the second comes after the first."""
    element = DTYPES[dtype]
    lanes = where.isa.lanes(element.itemsize) if lanes is None else lanes
    arity = 2 if name in BINARY else 1
    parameters = [*((f"%x{i}", ir.PTR) for i in range(arity)), ("%y", ir.PTR), ("%count", ir.I64)]
    f = ir.Function(f"{name}_{dtype}_{lanes}", parameters, where)
    *xs, y, count = f.parameters

    def body(i: ir.Int, _: list[ir.Value]) -> None:
        values = [f.load(f.at(x, i, element), element.vector(lanes)) for x in xs]
        f.store(ALL[name](f, *values), f.at(y, i, element))

    f.loop(0, count, max(lanes, 1), body)
    return f


@functools.cache
def library(dtype: str, isa: str) -> jit.Library:
    """All functions of one dtype."""
    functions = [kernel(name, dtype, at(isa)) for name in ALL]
    return jit.build(module(functions), [f.name for f in functions], at(isa))


def call(address: int, lanes: int, *xs: np.ndarray) -> np.ndarray:
    padding = -len(xs[0]) % max(lanes, 1)
    padded = [np.concatenate([x, np.ones(padding, x.dtype)]) for x in xs]
    y = np.empty_like(padded[0])
    types = [ctypes.c_void_p] * (len(xs) + 1) + [ctypes.c_int64]
    ctypes.CFUNCTYPE(None, *types)(address)(*(x.ctypes.data for x in padded), y.ctypes.data, len(y))
    return y[: len(xs[0])]


def native(name: str, isa: str, *xs: np.ndarray) -> np.ndarray:
    dtype = xs[0].dtype.name
    lanes = at(isa).isa.lanes(xs[0].dtype.itemsize)
    return call(library(dtype, isa).addresses[f"{name}_{dtype}_{lanes}"], lanes, *xs)


# References


def _sigmoid(x: Any) -> Any:
    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


REFERENCE: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log", "log1p", "log2", "log10")},
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "cbrt", "hypot")},
    **{
        name: getattr(np, "arc" + name[1:])
        for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2")
    },
    **{name: getattr(np, name) for name in ("floor", "ceil", "trunc")},
    "pow": np.power,
    "round": np.rint,
    "sigmoid": _sigmoid,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "erfc": np.vectorize(math.erfc, otypes=[np.float64]),
}


def ulps(y: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Error in units of the last place that the exact value has in y's dtype, where both are finite."""
    information = np.finfo(y.dtype)
    _, exponent = np.frexp(exact)
    lowest = information.minexp - information.nmant
    unit = np.ldexp(np.ones_like(exact), np.maximum(exponent - information.nmant - 1, lowest))
    finite = np.isfinite(y) & np.isfinite(exact.astype(y.dtype))
    return np.abs(np.where(finite, y.astype(exact.dtype) - exact, 0)) / unit


def check(name: str, isa: str, y: np.ndarray, exact: np.ndarray, *xs: np.ndarray, limit: float = 2.0) -> None:
    """At most ``limit`` ulp off, and the same nan, infinities and signed zeros."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(y.dtype)
        error = ulps(y, exact)
    worst = int(error.argmax())
    assert error[worst] <= limit, (name, isa, [x[worst] for x in xs], y[worst], exact[worst])
    finite = np.isfinite(y) & np.isfinite(rounded)
    same = np.where(finite, True, (y == rounded) | (np.isnan(y) & np.isnan(rounded)))
    same &= (y != 0) | (rounded != 0) | (np.signbit(y) == np.signbit(rounded))
    assert same.all(), (name, isa, [x[~same][:5] for x in xs], y[~same][:5], rounded[~same][:5])


# Arguments


SPECIAL = [
    0.0,
    0.25,
    0.5,
    0.9,
    1.0,
    1.5,
    2.0,
    2.5,
    3.0,
    7.5,
    10.0,
    27.0,
    88.7,
    89.3,
    103.9,
    104.1,
    128.0,
    149.5,
]
SPECIAL += [
    709.7,
    709.8,
    710.4,
    710.5,
    745.1,
    745.2,
    1023.9,
    1074.9,
    2.0**22,
    2.0**23 + 1,
    2.0**52 + 1,
    2.0**53,
    1e19,
]
SPECIAL += [math.inf, math.nan]


def special(dtype: str) -> np.ndarray:
    """Where branches, overflow and rounding change, each also negative and with its neighbours."""
    information = np.finfo(dtype)
    limits = [information.tiny, information.smallest_subnormal, information.max, information.eps]
    points = np.concatenate([np.array(SPECIAL, dtype), np.array(limits, dtype)])
    points = np.concatenate([points, np.nextafter(points, points.dtype.type(0))])
    with np.errstate(over="ignore"):
        points = np.concatenate([points, np.nextafter(points, points.dtype.type(math.inf))])
    return np.concatenate([points, -points])


def spread(
    rng: np.random.Generator, dtype: str, count: int, low: float = 0.0, high: float = math.inf
) -> np.ndarray:
    """Of both signs, all binary exponents alike; ``low`` and ``high`` bound the magnitude."""
    information = np.finfo(dtype)
    low = max(low, float(information.smallest_subnormal))
    high = min(high, float(information.max) / 2)
    size = np.exp2(rng.uniform(math.log2(low), math.log2(high), count)).astype(dtype)
    return np.where(rng.random(count) < 0.5, size, -size)


def near_multiples_of_half_pi(rng: np.random.Generator, dtype: str, count: int) -> np.ndarray:
    """The hardest arguments for sine and cosine."""
    multiples = np.concatenate([np.arange(1, count // 2), rng.integers(1, 2**20, count // 2)])
    x = (multiples * (math.pi / 2)).astype(dtype)
    return np.concatenate([x, np.nextafter(x, x.dtype.type(0)), np.nextafter(x, x.dtype.type(math.inf))])


HARD = [6381956970095103 * 2.0**797, 5.319372648326541e255, 2.0**1000]
"""The float64 that is nearest to a multiple of pi/2, and its like (Muller et al. 2018, table 11.1)."""


def arguments(rng: np.random.Generator, name: str, dtype: str, count: int) -> tuple[np.ndarray, ...]:
    """Dense where the function has its structure, thin over the whole range, and all special points."""
    points = special(dtype)
    if name in BINARY:
        x, y = (grid.ravel() for grid in np.meshgrid(points, points))
        a = spread(rng, dtype, count, 1e-30, 1e30)
        b = (a * np.exp(rng.normal(0, 2, count))).astype(dtype)
        c, d = spread(rng, dtype, count), spread(rng, dtype, count)
        if name == "pow":
            near_1 = (1 + spread(rng, dtype, count, 1e-7, 0.5)).astype(dtype)
            top = 88.0 if dtype == "float32" else 708.0
            exponents = (rng.uniform(-top, top, count) / np.log(np.abs(near_1) + 1e-8)).astype(dtype)
            wholes = rng.integers(-40, 40, (2, count)).astype(dtype)
            powers = rng.uniform(-30, 30, count).astype(dtype)
            return np.concatenate([x, np.abs(a), near_1, wholes[0]]), np.concatenate(
                [y, powers, exponents, wholes[1]]
            )
        return np.concatenate([x, a, b, c]), np.concatenate([y, b, a, d])
    parts = [points, spread(rng, dtype, count), rng.uniform(-3, 3, count).astype(dtype)]
    parts += [rng.uniform(-120, 120, count).astype(dtype), rng.uniform(-760, 760, count).astype(dtype)]
    parts.append((1 + spread(rng, dtype, count, 1e-16, 0.9)).astype(dtype))
    if name in ("sin", "cos", "tan"):
        parts += [
            near_multiples_of_half_pi(rng, dtype, count),
            np.array(HARD if dtype == "float64" else [], dtype),
        ]
    if name == "erfc":
        parts.append(rng.uniform(5, 28, count).astype(dtype))
    return (np.concatenate(parts),)


# Tests


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ELEMENTARY)
def test_float32_is_within_two_ulp(name: str, isa: str, rng: np.random.Generator) -> None:
    """Against NumPy's (for erf and erfc, the C library's) float64."""
    xs = arguments(rng, name, "float32", 3_000)
    with np.errstate(all="ignore"):
        exact = np.asarray(REFERENCE[name](*(x.astype(np.float64) for x in xs)))
    check(name, isa, native(name, isa, *xs), exact, *xs)


@pytest.mark.skipif(not WIDE, reason="NumPy's longdouble is no wider than float64 here")
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", [name for name in ELEMENTARY if name not in ("erf", "erfc")])
def test_float64_is_within_two_ulp(name: str, isa: str, rng: np.random.Generator) -> None:
    """Against NumPy's longdouble."""
    xs = arguments(rng, name, "float64", 2_000)
    with np.errstate(all="ignore"):
        exact = REFERENCE[name](*(x.astype(np.longdouble) for x in xs))
    check(name, isa, native(name, isa, *xs), exact, *xs)


@pytest.mark.parametrize("name", ELEMENTARY)
def test_float64_agrees_with_mpmath(name: str, rng: np.random.Generator) -> None:
    """A few points against arbitrary precision, which does not depend on the machine's C library."""
    mp = pytest.importorskip("mpmath")
    points = [x[::61] for x in arguments(rng, name, "float64", 500 if name not in BINARY else 100)]
    if name in ("erf", "erfc"):
        points = [np.concatenate([points[0], rng.uniform(-6, 6, 150), rng.uniform(0.4, 27.3, 150)])]
    renamed: dict[str, Callable[..., Any]] = {
        "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
        "exp2": lambda x: mp.mpf(2) ** x,
        "hypot": lambda x, y: mp.sqrt(x * x + y * y),
        "log2": lambda x: mp.log(x, 2),
        "pow": mp.power,
        "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    }
    function = renamed.get(name) or getattr(mp, name)
    kept = np.ones(points[0].shape, bool)
    for x in points:
        kept &= np.isfinite(x) & (x != 0)
    with np.errstate(all="ignore"):
        wanted = np.asarray(REFERENCE[name](*points), np.float64)
    kept &= np.isfinite(wanted) & (wanted != 0)
    points = [x[kept] for x in points]
    with mp.workdps(60):
        exact = [function(*(mp.mpf(float(v)) for v in row)) for row in zip(*points, strict=True)]
        for isa in ISAS:
            y = native(name, isa, *points)
            # The error is small, so float64 holds it; the exact value itself would be rounded.
            error = np.array([float(mp.mpf(float(a)) - b) for a, b in zip(y, exact, strict=True)])
            with np.errstate(over="ignore"):
                worst = np.abs(error) / np.spacing(np.abs(np.array([float(b) for b in exact])))
            assert worst.max() <= 2, (name, isa, [x[worst.argmax()] for x in points])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_error_functions_have_the_c_librarys_special_values(name: str, dtype: str, isa: str) -> None:
    """Nan, infinities, zeros; math.erf is itself exact to 1 ulp only."""
    x = special(dtype)
    check(name, isa, native(name, isa, x), np.asarray(REFERENCE[name](x.astype(np.float64))), x, limit=3.0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values_by_hand(dtype: str, isa: str) -> None:
    """What the references might share with us by mistake."""
    inf, nan = math.inf, math.nan
    expected = {
        ("exp", -inf): 0.0, ("exp", inf): inf, ("exp", 0.0): 1.0, ("exp2", 10.0): 1024.0, ("expm1", -0.0): -0.0,
        ("log", 0.0): -inf, ("log", -1.0): nan, ("log", inf): inf, ("log", 1.0): 0.0,
        ("log1p", -1.0): -inf, ("log1p", -0.0): -0.0, ("log2", 1024.0): 10.0, ("log10", 1000.0): 3.0,
        ("tanh", -0.0): -0.0, ("tanh", inf): 1.0, ("tanh", -inf): -1.0, ("tanh", 30.0): 1.0,
        ("sigmoid", inf): 1.0, ("sigmoid", -inf): 0.0, ("sigmoid", 0.0): 0.5, ("sigmoid", -1e4): 0.0,
        ("sigmoid", 1e4): 1.0, ("sin", inf): nan, ("cos", -inf): nan, ("sin", -0.0): -0.0, ("tan", -0.0): -0.0,
        ("asin", 1.5): nan, ("acosh", 0.5): nan, ("acosh", 1.0): 0.0, ("atanh", -1.0): -inf, ("atanh", 2.0): nan,
        ("erf", -inf): -1.0, ("erfc", -inf): 2.0, ("erfc", inf): 0.0, ("cbrt", -27.0): -3.0, ("cbrt", -inf): -inf,
    }  # fmt: skip
    for (name, x), wanted in expected.items():
        (found,) = native(name, isa, np.array([x], dtype)).tolist()
        assert found == wanted or (math.isnan(found) and math.isnan(wanted)), (name, x, found)
        assert math.copysign(1, found) == math.copysign(1, wanted) or math.isnan(wanted), (name, x, found)
    powers = {
        (0.0, 0.0): 1.0, (nan, 0.0): 1.0, (1.0, nan): 1.0, (-1.0, inf): 1.0, (-8.0, 1 / 3): nan, (-2.0, 3.0): -8.0,
        (-0.0, -3.0): -inf, (-0.0, -2.0): inf, (-inf, 3.0): -inf, (0.5, inf): 0.0, (3.0, 3.0): 27.0,
    }  # fmt: skip
    for (x, y), wanted in powers.items():
        (found,) = native("pow", isa, np.array([x], dtype), np.array([y], dtype)).tolist()
        assert found == wanted or (math.isnan(found) and math.isnan(wanted)), (x, y, found)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROUNDING)
def test_rounding_is_exact(name: str, dtype: str, isa: str, rng: np.random.Generator) -> None:
    halves = (np.arange(-40, 40) / 2).astype(dtype)
    x = np.concatenate(
        [special(dtype), halves, spread(rng, dtype, 2_000), spread(rng, dtype, 2_000, 1e-3, 1e18)]
    )
    with np.errstate(all="ignore"):
        check(name, isa, native(name, isa, x), REFERENCE[name](x), x, limit=0.0)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("lanes", [0, 3, 8])
def test_any_number_of_lanes_gives_the_same_bits(lanes: int, isa: str, rng: np.random.Generator) -> None:
    names = ("exp", "tanh", "sin", "pow", "erfc", "round")
    for dtype in DTYPES:
        functions = [kernel(name, dtype, at(isa), lanes) for name in names]
        made = jit.build(module(functions), [f.name for f in functions], at(isa))
        x = np.concatenate([special(dtype), spread(rng, dtype, 200)])
        for name, f in zip(names, functions, strict=True):
            xs = (np.abs(x), x[::-1].copy()) if name in BINARY else (x,)
            y = call(made.addresses[f.name], lanes, *xs)
            np.testing.assert_array_equal(y, native(name, isa, *xs), err_msg=name)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_angle_leaves_its_neighbours_alone(dtype: str, isa: str, rng: np.random.Generator) -> None:
    """The branch for large arguments is taken for whole vectors."""
    x = rng.uniform(-10, 10, 64).astype(dtype)
    mixed = x.copy()
    mixed[::5] = 1e30
    mixed[1::5] = np.inf
    small = np.abs(mixed) < 100
    for name in ("sin", "cos", "tan"):
        np.testing.assert_array_equal(native(name, isa, mixed)[small], native(name, isa, x)[small])


@pytest.mark.parametrize("isa", ["avx512", "avx2", "sse2", "neon"])
def test_nothing_calls_a_library(isa: str) -> None:
    """In the assembly of all functions, on every instruction set, whether this machine has it or not."""
    triple = "aarch64-unknown-linux-gnu" if isa == "neon" else "x86_64-unknown-linux-gnu"
    where = target.forced(isa, triple)
    functions = [kernel(name, dtype, where) for name in ALL for dtype in DTYPES]
    assert not calls(module(functions), where)
    calling = ir.Function("calling", [("%x", ir.PTR)], where)
    calling.store(
        calling.intrinsic("exp", calling.load(calling.parameters[0], ir.F32)), calling.parameters[0]
    )
    assert calls(module([calling]), where)  # so they are seen where there are some


def calls(text: str, where: target.Target) -> list[str]:
    """The instructions of a module that call something."""
    lines = jit.assembly(text, where, level=1).splitlines()
    return [line for line in lines if re.match(r"\s+(call|bl\b|blr\b)", line)]


def test_the_digits_of_two_over_pi() -> None:
    """Each row of the table is 2**(16 j) 2/pi mod 4 to 2**-190."""
    mp = pytest.importorskip("mpmath")
    from chainrule.compiler.on_native import trigonometric

    with mp.workdps(500):
        for row in range(trigonometric.ROWS):
            parts = trigonometric._digits()[row * trigonometric.PARTS :][: trigonometric.PARTS]
            exact = mp.mpf(2) ** (trigonometric.STEP * row) * 2 / mp.pi
            assert (
                abs(mp.fsum(mp.mpf(p) for p in parts) - (exact - 4 * mp.floor(exact / 4))) < mp.mpf(2) ** -190
            )


def test_what_is_supported() -> None:
    for kind in (ir.F32, ir.F64.vector(8)):
        assert all(supports(name, kind) for name in ALL)
    assert not supports("exp", ir.I32)
    assert not supports("gamma", ir.F32)
