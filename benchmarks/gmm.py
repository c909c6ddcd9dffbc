"""A Gaussian mixture with a Wishart prior: its objective and its gradient, float64.

ADBench's objective (Srajer, Kukelova, Fitzgibbon, DOI 10.1080/10556788.2018.1435651), as `examples/gmm.py`
writes it, in chainrule, jax under jit, torch and, with --compile, torch.compile; and its gradient by hand in
C++, on one thread, if there is a compiler. All take turns in one process. ``ratio`` is the time of a gradient
over that of its own objective.

    python benchmarks/gmm.py [--once] [--json] [--compile]
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _objectives import Pair, measure, shown
from _turns import library

import chainrule as cr

SIZES = [(n, d, k) for n in (1000, 10_000) for d in (10, 20) for k in (25, 50)]
HERE = Path(__file__).parent


def example() -> Any:
    """The objective as a user writes it."""
    spec = importlib.util.spec_from_file_location("gmm_example", HERE.parent / "examples" / "gmm.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLE = example()


def data(n: int, d: int, k: int) -> list[Any]:
    """Parameters and points, distributed as ADBench's."""
    rng = np.random.default_rng(0)
    sizes: list[Any] = [k, (k, d), (k, d * (d + 1) // 2), (n, d)]
    return [rng.uniform(size=s) if i == 1 else rng.normal(size=s) for i, s in enumerate(sizes)]


def on_chainrule(arrays: list[Any]) -> Pair:
    objective = cr.compile(EXAMPLE.log_posterior)
    gradient = cr.compile(cr.grad(EXAMPLE.log_posterior, argnums=(0, 1, 2)))
    return lambda: objective(*arrays).item(), lambda: gradient(*arrays)


def log_posterior(xp: Any, factors: Any, logsumexp: Any) -> Any:
    """The same objective for a library with NumPy's names; gamma is 1 and m is 0."""

    def f(alphas: Any, means: Any, icf: Any, x: Any) -> Any:
        n, d = x.shape
        q = factors(icf, d)
        scaled = xp.einsum("kij,nkj->nki", q, x[:, None, :] - means)
        terms = alphas + icf[:, :d].sum(1) - 0.5 * (scaled**2).sum(2)
        likelihood = logsumexp(terms, 1).sum() - n * (logsumexp(alphas, 0) + d / 2 * np.log(2 * np.pi))
        return likelihood + 0.5 * (q**2).sum() - len(alphas) * EXAMPLE.normalizer(d, 1.0, 0)

    return f


def on_jax(jax: Any, arrays: list[Any]) -> Pair:
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def factors(icf: Any, d: int) -> Any:
        columns, rows = np.triu_indices(d, 1)
        i = np.arange(d)
        strict = jnp.zeros((len(icf), d, d)).at[:, rows, columns].set(icf[:, d:])
        return strict.at[:, i, i].set(jnp.exp(icf[:, :d]))

    f = log_posterior(jnp, factors, lambda x, axis: jax.nn.logsumexp(x, axis=axis))
    objective, gradient = jax.jit(f), jax.jit(jax.grad(f, argnums=(0, 1, 2)))
    given = [jnp.asarray(a) for a in arrays]
    wait = jax.block_until_ready
    return lambda: wait(objective(*given)), lambda: wait(gradient(*given))


def on_torch(torch: Any, arrays: list[Any], compiled: bool = False) -> Pair:
    def factors(icf: Any, d: int) -> Any:
        columns, rows = np.triu_indices(d, 1)
        i = np.arange(d)
        q = torch.zeros(len(icf), d, d, dtype=icf.dtype)
        q[:, rows, columns] = icf[:, d:]
        q[:, i, i] = torch.exp(icf[:, :d])
        return q

    f = log_posterior(torch, factors, torch.logsumexp)
    f = torch.compile(f) if compiled else f
    given = [torch.tensor(a) for a in arrays]
    leaves = [*(x.clone().requires_grad_() for x in given[:3]), given[3]]
    return lambda: f(*given), lambda: torch.autograd.grad(f(*leaves), leaves[:3])


def on_cpp(arrays: list[Any]) -> Pair | None:
    """The gradient by hand: `gmm.cpp`, compiled here and now; None without a compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "gmm.so"
        flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, str(HERE / "gmm.cpp"), "-o", str(made)], check=True)
        code = ctypes.CDLL(str(made))
    n, d = arrays[3].shape
    k = len(arrays[0])
    given = [np.ascontiguousarray(a) for a in arrays]
    results = [np.zeros_like(a) for a in given[:3]]
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in given]
    into = [ctypes.c_void_p(a.ctypes.data) for a in results]
    code.objective.restype = code.gradient.restype = ctypes.c_double

    def objective() -> float:
        return code.objective(n, d, k, *pointers)

    def gradient() -> list[Any]:
        code.gradient(n, d, k, *pointers, *into)
        return results

    return objective, gradient


def require_equal(pairs: dict[str, Pair]) -> None:
    """All libraries compute the same."""
    wanted = [np.asarray(g) for g in pairs["chainrule"][1]()]
    value = float(pairs["chainrule"][0]())
    for name, (objective, gradient) in pairs.items():
        np.testing.assert_allclose(float(objective()), value, rtol=1e-9, err_msg=name)
        for got, expected in zip(gradient(), wanted, strict=True):
            scale = np.abs(expected).max()
            np.testing.assert_allclose(np.asarray(got), expected, atol=1e-9 * scale, err_msg=name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="one small size once, to see that it runs")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile, too, which takes long to compile"
    )
    options = parser.parse_args()
    jax, torch = library("jax"), library("torch")
    found: list[dict[str, Any]] = []
    for n, d, k in SIZES[:1] if options.once else SIZES:
        arrays = data(n, d, k)
        pairs = {"chainrule": on_chainrule(arrays)}
        if jax is not None:
            pairs["jax"] = on_jax(jax, arrays)
        if torch is not None:
            pairs["torch"] = on_torch(torch, arrays)
            if options.compile:
                pairs["torch.compile"] = on_torch(torch, arrays, compiled=True)
        by_hand = on_cpp(arrays)
        if by_hand is not None:
            pairs["C++, 1 thread"] = by_hand
        require_equal(pairs)
        rows = measure(pairs, 1 if options.once else 9, 1 if options.once else 3)
        found.append({"points": n, "dimensions": d, "components": k, "measured": rows})
        if not options.json:
            print(shown(f"n {n}, d {d}, K {k}", rows), flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
