"""Jacobians in the order that chainrule chooses, against forward and reverse mode of others. float64.

- The flux of Roe (examples/roe_flux.py) at 100,000 points: its 3 x 6 Jacobian at each.
- A chain of layers 1000 -> 10 -> 1000 -> 5 with tanh: its 5 x 1000 Jacobian at one point.
- Two convolutions of 3 x 3 over an image of 32 x 32, with tanh between: its 1024 x 1024 Jacobian.
- Convolution, relu, convolution, relu, dense, for 8 images of 12 x 12 at once: the 80 x 1152 Jacobian of all scores.

`cr.compile(cr.vmap(cr.jacobian(f)))` against `jax.jit(jax.vmap(jax.jacfwd(f)))`, `jacrev` and `torch.func`, in the same
process; where there is one point also `cr.jacobian(f)` itself, which compiles what it meets where that pays. All take
turns in blocks; the best and the median of all steps are shown, and the median of the blocks' ratios: below 1,
chainrule is faster. The Jacobians are compared first. Multiplications are those that chainrule's order takes
at one point, and those of elimination in forward and in reverse order, which multiply no zeros either.

    python benchmarks/jacobians.py [--once] [--json]
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _turns import BLOCKS, library, measure, options, report

import chainrule as cr
from chainrule.autodiff.accumulate import JacobianGraph
from chainrule.node import as_node
from chainrule.transforms.orders import Orders
from chainrule.transforms.run import run_function

POINTS = 100_000
SIZES = (1000, 10, 1000, 5)
RNG = np.random.default_rng(0)
Case = tuple[Callable[[Any], Callable[..., Any]], tuple[Any, ...], bool]


def roe_flux(m: Any) -> Callable[..., Any]:
    """The example's function, computed by another library."""
    path = Path(__file__).parent.parent / "examples" / "roe_flux.py"
    spec = importlib.util.spec_from_file_location("roe_flux", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.cr = m
    return module.roe_flux


def states() -> tuple[np.ndarray[Any, Any], ...]:
    """Density, momentum and energy on both sides, at all points."""
    low, high = [0.5, -0.5, 2.0], [1.5, 0.5, 3.0]
    return RNG.uniform(low, high, (POINTS, 3)), RNG.uniform(low, high, (POINTS, 3))


def layers(m: Any) -> Callable[..., Any]:
    """Three layers."""

    def run(x: Any, a: Any, b: Any, c: Any) -> Any:
        return m.tanh(c @ m.tanh(b @ m.tanh(a @ x)))

    return run


def chain() -> tuple[np.ndarray[Any, Any], ...]:
    """A point, and the weights of the layers."""
    pairs = itertools.pairwise(SIZES)
    return RNG.normal(size=SIZES[0]), *(RNG.normal(size=(b, a)) / a**0.5 for a, b in pairs)


def convolution(m: Any) -> Callable[[Any, Any], Any]:
    """A convolution with a border of zeros, images (N, H, W, C), by a library."""
    if m is cr:
        return lambda x, k: cr.conv2d(x, k, padding=1)
    if m.__name__ == "torch":
        conv = m.nn.functional.conv2d
        return lambda x, k: conv(x.permute(0, 3, 1, 2), k.permute(3, 2, 0, 1), padding=1).permute(0, 2, 3, 1)
    conv = importlib.import_module("jax").lax.conv_general_dilated
    return lambda x, k: conv(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def filters(m: Any) -> Callable[..., Any]:
    """An image to an image."""
    conv = convolution(m)
    return lambda x, a, b: conv(m.tanh(conv(x, a)), b)


def scores(m: Any) -> Callable[..., Any]:
    """Images to scores."""
    conv = convolution(m)
    rectified = m.relu if hasattr(m, "relu") else lambda h: m.maximum(h, 0.0)

    def run(x: Any, a: Any, b: Any, c: Any) -> Any:
        return rectified(conv(rectified(conv(x, a)), b)).reshape(x.shape[0], -1) @ c

    return run


def normal(*shapes: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], ...]:
    """Numbers of about 1, and weights that keep them so."""
    return tuple(RNG.normal(size=s) / np.prod(s[:-1] if i else 1) ** 0.5 for i, s in enumerate(shapes))


CASES: dict[str, Callable[[], Case]] = {
    f"Roe flux, {POINTS:,} points": lambda: (roe_flux, states(), True),
    " -> ".join(map(str, SIZES)): lambda: (layers, chain(), False),
    "convolutions, 32 x 32": lambda: (
        filters,
        normal((1, 32, 32, 1), (3, 3, 1, 4), (3, 3, 4, 1)),
        False,
    ),
    "scores of 8 images": lambda: (
        scores,
        normal((8, 12, 12, 1), (3, 3, 1, 4), (3, 3, 4, 4), (576, 10)),
        False,
    ),
}


def steps_of(case: Case) -> dict[str, Callable[[], Any]]:
    """The Jacobians of one case by all libraries that are installed, modes apart."""
    program, arrays, each = case
    argnums = (0, 1) if each else 0
    over = cr.vmap if each else lambda f: f
    f = cr.compile(over(cr.jacobian(program(cr), argnums)))
    steps: dict[str, Callable[[], Any]] = {"chainrule": lambda: f(*arrays)}
    if not each:
        eager = cr.jacobian(program(cr), argnums)
        steps["chainrule, not compiled"] = lambda: eager(*arrays)
    jax, torch = library("jax"), library("torch")
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
        on_jax = [jax.numpy.asarray(x) for x in arrays]
        over = jax.vmap if each else lambda f: f
        for mode in (jax.jacfwd, jax.jacrev):
            g = jax.jit(over(mode(program(jax.numpy), argnums)))
            steps[f"jax {mode.__name__}"] = lambda g=g: jax.block_until_ready(g(*on_jax))
    if torch is not None:
        on_torch = [torch.from_numpy(x) for x in arrays]
        over = torch.func.vmap if each else lambda f: f
        for mode in (torch.func.jacfwd, torch.func.jacrev):
            h = over(mode(program(torch), argnums))
            steps[f"torch {mode.__name__}"] = lambda h=h: h(*on_torch)
    return steps


def multiplications(case: Case) -> dict[str, int]:
    """Scalar multiplications of the orders, at one point."""
    program, arrays, each = case
    point = [x[0] for x in arrays] if each else list(arrays)
    wanted = range(len(point)) if each else (0,)

    def count(*given: Any) -> Any:
        run = run_function("jacobian", program(cr), wanted, given, {})
        outputs = [as_node(run.result)]
        graph = JacobianGraph(outputs, run.wrt)
        choice = Orders("auto", None).plan(outputs, run.wrt).choice
        forward, reverse = graph.intermediates, graph.intermediates[::-1]
        orders = {"forward": forward, "reverse": reverse, "chosen": choice.order or reverse}
        counts.update({name: graph.multiplications(order) for name, order in orders.items()})
        return run.result

    counts: dict[str, int] = {}
    if each:
        cr.vmap(count)(*arrays)
    else:
        cr.trace(count, *point)
    return counts


def require_equal(steps: dict[str, Callable[[], Any]]) -> None:
    """Compare the Jacobians."""
    ours = steps["chainrule"]()
    for name, step in steps.items():
        theirs = step()
        pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else ((ours, theirs),)
        for a, b in pairs:
            np.testing.assert_allclose(np.asarray(b), a.numpy(), rtol=1e-7, atol=1e-9, err_msg=name)


def main() -> None:
    chosen = options(__doc__)
    found: dict[str, Any] = {}
    for name, make in CASES.items():
        case = make()
        steps = steps_of(case)
        require_equal(steps)
        found[name] = {
            "multiplications": multiplications(case),
            "times": measure(steps, 1 if chosen.once else BLOCKS),
        }
        if not chosen.json:
            counts = ", ".join(f"{mode} {n:,}" for mode, n in found[name]["multiplications"].items())
            print(f"{name}: multiplications at a point: {counts}")
            report(found[name]["times"], False)
    if chosen.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
