"""LSTMs over long sequences: an objective and its gradient.

ADBench's (Srajer, Kukelova, Fitzgibbon, DOI 10.1080/10556788.2018.1435651): 14 features, each with weights of
its own, 2 and 4 layers, 1,024 and 4,096 steps, float64, in chainrule and in jax, as a scan under jit. And a
usual one, 32 sequences of 100 steps with 128 features, float32, beside `torch.nn.LSTM` too. All take turns in
one process. ``ratio`` is the time of a gradient over that of its own objective.

    python benchmarks/lstm.py [--once] [--json]
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from _objectives import Pair, measure, shown
from _turns import library

import chainrule as cr

SIZES = [(layers, steps) for layers in (2, 4) for steps in (1024, 4096)]
FEATURES = 14
BATCH, LENGTH, WIDTH = 32, 100, 128


def data(layers: int, steps: int) -> list[Any]:
    """Gates' weights and biases, weights of input and output, first states, and a text as bits."""
    rng = np.random.default_rng(0)
    shapes = [(2 * layers, 4 * FEATURES), (3, FEATURES), (2 * layers, FEATURES)]
    return [*(rng.uniform(size=s) for s in shapes), rng.integers(0, 2, (steps, FEATURES)).astype(float)]


def loss_of(xp: Any, sigmoid: Any, scan: Any) -> Any:
    """ADBench's objective for a library with NumPy's names."""

    def f(gates: Any, ends: Any, state: Any, text: Any) -> Any:
        layers = len(state) // 2
        own = [[gates[i, FEATURES * g : FEATURES * (g + 1)] for g in range(4)] for i in range(2 * layers)]

        def step(carry: Any, seen: Any) -> Any:
            x, following = seen
            after: list[Any] = []
            x = x * ends[0]
            for i in range(layers):
                (hidden, cell), w, b = carry[2 * i : 2 * i + 2], own[2 * i], own[2 * i + 1]
                forget, out = sigmoid(x * w[0] + b[0]), sigmoid(x * w[2] + b[2])
                into, change = sigmoid(hidden * w[1] + b[1]), xp.tanh(hidden * w[3] + b[3])
                cell = cell * forget + into * change
                x = out * xp.tanh(cell)
                after += [x, cell]
            scores = x * ends[1] + ends[2]
            return tuple(after), (following * (scores - xp.log(xp.exp(scores).sum() + 2))).sum()

        first = tuple(state[i] for i in range(2 * layers))
        return -scan(step, first, (text[:-1], text[1:]))[1].sum() / ((len(text) - 1) * FEATURES)

    return f


def on_chainrule(arrays: list[Any]) -> Pair:
    f = loss_of(cr, cr.sigmoid, cr.scan)
    objective, gradient = cr.compile(f), cr.compile(cr.grad(f, argnums=(0, 1)))
    return lambda: objective(*arrays).item(), lambda: gradient(*arrays)


def on_jax(jax: Any, arrays: list[Any]) -> Pair:
    f = loss_of(jax.numpy, jax.nn.sigmoid, jax.lax.scan)
    objective, gradient = jax.jit(f), jax.jit(jax.grad(f, argnums=(0, 1)))
    given = [jax.numpy.asarray(a) for a in arrays]
    wait = jax.block_until_ready
    return lambda: wait(objective(*given)), lambda: wait(gradient(*given))


def usual() -> tuple[Any, Any, Any, Any]:
    """Points, and weights: of the input, of the state, biases."""
    rng = np.random.default_rng(0)
    shapes = [(BATCH, LENGTH, WIDTH), (WIDTH, 4 * WIDTH), (WIDTH, 4 * WIDTH), (4 * WIDTH,)]
    x, *weights = (rng.normal(size=s).astype(np.float32) for s in shapes)
    return x, *(w * np.float32(0.1) for w in weights)


def usual_loss(xp: Any, sigmoid: Any, scan: Any, zeros: Any) -> Any:
    """Mean square of the outputs of one layer."""

    def f(x: Any, of_input: Any, of_state: Any, bias: Any) -> Any:
        def step(carry: Any, gates: Any) -> Any:
            hidden, cell = carry
            gates = gates + hidden @ of_state
            i, f, g, o = (gates[:, WIDTH * n : WIDTH * (n + 1)] for n in range(4))
            cell = sigmoid(f) * cell + sigmoid(i) * xp.tanh(g)
            hidden = sigmoid(o) * xp.tanh(cell)
            return (hidden, cell), hidden

        gates = (x @ of_input + bias).transpose((1, 0, 2))
        outputs = scan(step, (zeros, zeros), gates)[1]
        return (outputs * outputs).mean()

    return f


def usual_on_chainrule(arrays: Any) -> Pair:
    f = usual_loss(cr, cr.sigmoid, cr.scan, cr.tensor(np.zeros((BATCH, WIDTH), np.float32)))
    objective, gradient = cr.compile(f), cr.compile(cr.grad(f, argnums=(1, 2, 3)))
    return lambda: objective(*arrays).item(), lambda: gradient(*arrays)


def usual_on_jax(jax: Any, arrays: Any) -> Pair:
    zeros = jax.numpy.zeros((BATCH, WIDTH), np.float32)
    f = usual_loss(jax.numpy, jax.nn.sigmoid, jax.lax.scan, zeros)
    objective, gradient = jax.jit(f), jax.jit(jax.grad(f, argnums=(1, 2, 3)))
    given = [jax.numpy.asarray(a) for a in arrays]
    wait = jax.block_until_ready
    return lambda: wait(objective(*given)), lambda: wait(gradient(*given))


def usual_on_torch(torch: Any, arrays: Any) -> Pair:
    lstm = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True)
    x, of_input, of_state, bias = (torch.tensor(a) for a in arrays)
    with torch.no_grad():
        for name, value in {"ih": of_input, "hh": of_state}.items():
            getattr(lstm, f"weight_{name}_l0").copy_(value.T)
        lstm.bias_ih_l0.copy_(bias)
        lstm.bias_hh_l0.zero_()
    weights = [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0]

    def objective() -> Any:
        with torch.no_grad():
            return lstm(x)[0].square().mean()

    return objective, lambda: [
        g.T if g.ndim == 2 else g for g in torch.autograd.grad(lstm(x)[0].square().mean(), weights)
    ]


def require_equal(pairs: dict[str, Pair], tolerance: float) -> None:
    """All libraries compute the same."""
    wanted = [np.asarray(g) for g in pairs["chainrule"][1]()]
    value = float(pairs["chainrule"][0]())
    for name, (objective, gradient) in pairs.items():
        np.testing.assert_allclose(float(objective()), value, rtol=tolerance, err_msg=name)
        for got, expected in zip(gradient(), wanted, strict=True):
            scale = np.abs(expected).max()
            np.testing.assert_allclose(np.asarray(got), expected, atol=tolerance * scale, err_msg=name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--once", action="store_true", help="the shortest and the usual one once")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args()
    jax, torch = library("jax"), library("torch")
    blocks, calls = (1, 1) if options.once else (11, 5)
    found: dict[str, Any] = {}

    def note(title: str, pairs: dict[str, Pair], tolerance: float) -> None:
        require_equal(pairs, tolerance)
        found[title] = measure(pairs, blocks, calls)
        if not options.json:
            print(shown(title, found[title]), flush=True)

    arrays = usual()
    pairs = {"chainrule": usual_on_chainrule(arrays)}
    if jax is not None:  # before it is told to take float64
        pairs["jax"] = usual_on_jax(jax, arrays)
    if torch is not None:
        pairs["torch"] = usual_on_torch(torch, arrays)
    note(f"{BATCH} x {LENGTH} x {WIDTH}, float32", pairs, 1e-4)
    if jax is not None:
        jax.config.update("jax_enable_x64", True)
    for layers, steps in SIZES[:1] if options.once else SIZES:
        given = data(layers, steps)
        pairs = {"chainrule": on_chainrule(given)}
        if jax is not None:
            pairs["jax"] = on_jax(jax, given)
        note(f"{layers} layers, {steps} steps", pairs, 1e-9)
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
