"""One training step of a character model: embedding, LSTM, linear layer, cross entropy, Adam, float32.

65 characters, 32 sequences of 64, 128 features: chainrule's one native call against `torch.nn.LSTM` and
`jax.lax.scan` under `jax.jit`, in the same process. All take turns in blocks, so that a slow moment of the machine
hits them alike; the best and the median of all steps are shown, and the median of the blocks' ratios: below 1,
chainrule is faster.

    python benchmarks/recurrent.py [--once] [--json]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _turns import BLOCKS, measure, options, report, with_peers

import chainrule as cr

CHARACTERS, BATCH, LENGTH, FEATURES, RATE = 65, 32, 64, 128, 1e-3
RNG = np.random.default_rng(0)
X, Y = (RNG.integers(0, CHARACTERS, (BATCH, LENGTH)) for _ in range(2))


class Model(cr.nn.Module):
    """Scores of the next character at every place."""

    def __init__(self, key: Any) -> None:
        first, second, third = cr.random.split(key, 3)
        table = cr.random.normal(first, (CHARACTERS, FEATURES), cr.float32)
        self.table = cr.tensor(table, requires_grad=True)
        self.lstm = cr.nn.LSTM(FEATURES, FEATURES, key=second, returns="sequence")
        self.scores = cr.nn.Linear(FEATURES, CHARACTERS, key=third)

    def __call__(self, x: Any) -> Any:
        return self.scores(self.lstm(self.table[x]))


def on_chainrule() -> Callable[[], Any]:
    def loss(scores: Any, y: Any) -> Any:
        return cr.nn.softmax_cross_entropy(scores.reshape((-1, CHARACTERS)), y.reshape(-1))

    step = cr.train.compile_step(Model(cr.random.key(0)), loss, cr.optim.adam(RATE))
    return lambda: step(X, Y).item()


def on_torch(torch: Any) -> Callable[[], Any]:
    nn = torch.nn
    table, scores = nn.Embedding(CHARACTERS, FEATURES), nn.Linear(FEATURES, CHARACTERS)
    lstm = nn.LSTM(FEATURES, FEATURES, batch_first=True)
    parameters = [p for module in (table, lstm, scores) for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    x, y = torch.tensor(X), torch.tensor(Y).reshape(-1)

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(scores(lstm(table(x))[0]).reshape(-1, CHARACTERS), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def on_jax(jax: Any) -> Callable[[], Any]:
    jnp = jax.numpy
    shapes = {
        "table": (CHARACTERS, FEATURES),
        "input": (FEATURES, 4 * FEATURES),
        "state": (FEATURES, 4 * FEATURES),
        "bias": (4 * FEATURES,),
        "scores": (FEATURES, CHARACTERS),
        "last": (CHARACTERS,),
    }
    params = {n: jnp.asarray(RNG.normal(size=s) * 0.1, jnp.float32) for n, s in shapes.items()}
    zeros = {n: jnp.zeros(s, jnp.float32) for n, s in shapes.items()}

    def loss(p: Any, x: Any, y: Any) -> Any:
        def cell(carry: Any, gates: Any) -> Any:
            h, c = carry
            i, f, g, o = jnp.split(gates + h @ p["state"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros((BATCH, FEATURES))
        gates = p["table"][x].transpose(1, 0, 2) @ p["input"] + p["bias"]
        outputs = jax.lax.scan(cell, (start, start), gates)[1].transpose(1, 0, 2)
        logits = jax.nn.log_softmax(outputs @ p["scores"] + p["last"])
        return -jnp.take_along_axis(logits, y[..., None], -1).mean()

    @jax.jit
    def update(p: Any, mean: Any, square: Any, t: Any, x: Any, y: Any) -> Any:
        value, g = jax.value_and_grad(loss)(p, x, y)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, g)
        square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, g)
        rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        p = jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s) + 1e-8), p, mean, square)
        return p, mean, square, value

    state: list[Any] = [params, zeros, zeros, 1.0]

    def step() -> float:
        *state[:3], value = update(*state, X, Y)
        state[3] += 1.0
        return float(value)

    return step


def main() -> None:
    chosen = options(__doc__)
    steps = with_peers(on_chainrule, torch=on_torch, jax=on_jax)
    report(measure(steps, 1 if chosen.once else BLOCKS), chosen.json)


if __name__ == "__main__":
    main()
